"""What lies beside the page: every format holds the same numbers, equal content makes equal bytes, LaTeX compiles."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import vl_convert
from markdown_it import MarkdownIt
from markdown_it.token import Token
from simulated import simulate
from test_report import HOSTILE, hostile_results

from analysis import latex, longtable, markdown, pdf
from analysis.__main__ import main
from analysis.questions import QUESTIONS

PDFLATEX = shutil.which("pdflatex")
NAMES = [
    HOSTILE, "a_b & 50 % of $x$ {#1} \\end{longtable} ^~ \\\\ \\input{x} ^^41", "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 80,
    "\N{HEBREW LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}\N{ARABIC LETTER BEH}", "\N{GRINNING FACE} \N{WAVING BLACK FLAG}",
    "x" * 300, "[x]", "*", "- ",
    "na\u00efve \u0141\u00f3d\u017a \u00df", "", "vit_base_patch16_clip_224.laion2b_ft_in12k",
    "'\"`<<>>--- ?` !`", "\x00\x07\n\r\t", "\N{COMBINING ACUTE ACCENT}e\N{COMBINING ACUTE ACCENT}\N{ZERO WIDTH SPACE}",
]  # fmt: skip
TWO_FONTS = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><g opacity="0.4"><circle cx="9" cy="9" r="5"/></g>'
    '<g opacity="0.6"><circle cx="40" cy="9" r="5"/></g><g opacity="0.7"><circle cx="60" cy="9" r="5"/></g>'
    '<text x="5" y="30">plain</text><text x="5" y="50" font-weight="bold">bold</text></svg>'
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = hostile_results(tmp_path_factory.mktemp("results"))
    assert main(["--results", str(results)]) == 0
    return results / "report"


def test_csv_and_parquet_hold_the_same(report: Path) -> None:
    names = sorted(path.with_suffix("") for path in report.rglob("*.csv"))
    assert len(names) == 7
    for name in names:
        text, table = pd.read_csv(f"{name}.csv"), pd.read_parquet(f"{name}.parquet")
        assert list(text.columns) == list(table.columns)
        assert len(text) == len(table) > 5
        for column in table.select_dtypes("number").columns:
            pd.testing.assert_series_equal(
                text[column].astype(float), table[column].astype(float), check_exact=False, rtol=1e-12, atol=0
            )


def test_latex_prints_each_row_and_nothing_but_ascii(report: Path) -> None:
    for path in (report / "findings.tex", *(report / "tables").glob("*.tex")):
        text = path.read_bytes().decode("ascii")
        table = pd.read_csv(path.with_suffix(".csv"))
        parts = re.findall(r"\\endfoot\n(.*?)\n\\end\{longtable\}", text, re.DOTALL)
        kinds = re.findall(r"\\begin\{longtable\}\{@\{\}(.*)@\{\}\}", text)
        assert len(parts) == len(kinds) == text.count(r"\caption") > 0, path
        assert text.count(r"\label{") == 1, path
        for part, columns in zip(parts, kinds, strict=True):
            rows = part.splitlines()
            assert len(rows) == len(table), path
            assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {columns.count("p{")}, path
    shown = (report / "tables" / "ood.tex").read_text().replace(r"\allowbreak{}", "")
    assert r"\textless{}script\textgreater{}alert(1)" in shown
    models = pd.read_csv(report / "tables" / "ood.csv")
    value = models.loc[models["model"].str.startswith("vit1s.SRC-large"), "letters"].iloc[0]
    assert re.search(rf"vit1s\.SRC-large & .*& {100 * value:.1f} ", shown)


def test_the_document_takes_in_every_table_but_very_long_ones(report: Path) -> None:
    text = (report / "report.tex").read_text()
    taken = set(re.findall(r"^\\input\{(.*)\}$", text, re.MULTILINE))
    named = set(re.findall(r"^% \\input\{(.*?)\}", text, re.MULTILINE))
    written = {path.relative_to(report).with_suffix("").as_posix() for path in report.rglob("*.csv")}
    assert taken | named == written
    rows = {name: len(pd.read_csv(report / f"{name}.csv")) for name in written}
    assert {name for name in written if rows[name] > latex.LARGE} == named


def test_tables_too_wide_for_a_page_come_in_parts_with_their_first_column() -> None:
    heads = ["model", *(f"column number {place}" for place in range(40))]
    rows = [["some-model", *(f"{place}.5" for place in range(40))]] * 3
    made = longtable.longtable(heads, rows, caption="Wide", label="tab:wide", numeric=[False] + [True] * 40)
    assert r"\begin{landscape}" in made
    assert (made.count("some-"), made.count("number 7 ")) == (9, 2), (
        "three parts of three rows; a head for the first page and one for the others"
    )
    narrow = longtable.longtable(heads[:4], [row[:4] for row in rows], caption="", label="l", numeric=[False] * 4)
    assert "landscape}" not in narrow


def test_signs_that_latex_would_act_on_are_printed() -> None:
    assert longtable.escape(r"a_b & 50 % of $x$ {#1} \end ^~") == (
        r"a\_b \& 50 \% of {\char36}x{\char36} \{\#1\} \textbackslash{}end \textasciicircum{}\textasciitilde{}"
    )
    assert (
        longtable.escape("\N{MINUS SIGN}4.0 caf\u00e9 na\u00efve \u202e\u4e2d")
        == r"$-$4.0 caf\'{e} na\"{\i}ve U+202EU+4E2D"
    )
    assert longtable.escape("one\ntwo\x00") == "one twoU+0000"
    assert longtable.cell("x" * 300).replace(r"\allowbreak{}", "") == "x" * 59 + r"\ldots{}"
    assert longtable.cell("\u4e2d" * 300).count("U+4E2D") == 9


def test_markdown_shows_hostile_names_and_does_nothing_else(report: Path) -> None:
    text = (report / "report.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;/script\\>&lt;img src=x onerror=alert(2)\\>" in text
    assert markdown.escape("a|b *c* _d_ [e](f) `g`\n- h") == r"a\|b \*c\* \_d\_ \[e\](f) \`g\` - h"
    for name in re.findall(r"\]\(((?:figures|tables)/[^)]*)\)", text):
        assert (report / name).exists(), name


def test_another_parser_reads_every_table_of_markdown(report: Path) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse((report / "report.md").read_text())
    kinds = [token.type for token in tokens]
    inside = [child for token in tokens for child in token.children or ()]
    assert not {"html_block", "code_block", "fence"} & set(kinds)
    assert {child.type for child in inside} <= {"text", "image", "link_open", "link_close", "text_special"}
    tables = _tables(tokens)
    assert {len(row) for row in tables[0]} == {3}
    assert len(tables[0]) == 1 + len(QUESTIONS)
    assert {len({len(row) for row in table}) for table in tables} == {1}
    assert {len(table[0]) for table in tables[1:]} == {6, 7}, "the same asked in other ways has no verdict"
    assert sum(len(table) - 1 for table in tables[1:]) == len(pd.read_csv(report / "findings.csv"))
    assert len(tables) == kinds.count("table_open")
    for child in inside:
        if child.type in ("link_open", "image"):
            assert (report / str(child.attrs.get("href") or child.attrs["src"])).is_file(), child.attrs


def _tables(tokens: list[Token]) -> list[list[list[str]]]:
    """The texts of every table: rows of cells, the head first."""
    tables: list[list[list[str]]] = []
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif tokens[place - 1].type in ("th_open", "td_open"):
            tables[-1][-1].append("".join(child.content for child in token.children or ()))
    return tables


@pytest.mark.parametrize("name", NAMES)
def test_another_parser_reads_a_hostile_name_as_it_is(name: str) -> None:
    text = markdown.table(("About", "Model"), [("a", name), (name, "b")])
    ((_, *rows),) = _tables(MarkdownIt("commonmark").enable("table").parse(text))
    shown = " ".join(name.replace("\x00", "\N{REPLACEMENT CHARACTER}").split())
    assert rows == [["a", shown], [shown, "b"]]


def test_a_pdf_shows_the_same_in_the_same_bytes() -> None:
    drawn = [vl_convert.svg_to_pdf(TWO_FONTS) for _ in range(24)]
    assert len(set(drawn)) > 1, "the library orders its resources at random, which is why they are put in order"
    made = {pdf.canonical(each) for each in drawn}
    assert len(made) == 1
    (one,) = made
    assert pdf.canonical(one) == one
    for content in re.findall(rb"stream\n(.*?)\nendstream", drawn[0], re.DOTALL):
        assert content in one
    table = int(re.search(rb"startxref\n(\d+)", one)[1])  # type: ignore[index]
    for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n", one[table:]), start=1):
        assert one.startswith(b"%d 0 obj\n" % number, int(offset))


def test_what_is_no_such_pdf_is_refused() -> None:
    with pytest.raises(ValueError, match="no plain table of objects"):
        pdf.canonical(b"%PDF-1.7\nstartxref\n9\n%%EOF")


def test_the_manifest_names_what_was_read_and_what_was_written(tmp_path: Path) -> None:
    results = simulate(tmp_path / "results", lineages=1)
    assert main(["--results", str(results)]) == 0
    report = results / "report"
    said = json.loads((report / "manifest.json").read_text())
    written = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()} - {"manifest.json"}
    assert set(said["written"]) == written
    for name, mark in said["written"].items():
        assert hashlib.sha256((report / name).read_bytes()).hexdigest() == mark
    before = said["results"]["measurements/ood.parquet"]
    assert before["made_from"]["commit"] == "0123abc"
    assert said["bootstrap"]["seed"] == 0
    assert str(tmp_path) not in (report / "manifest.json").read_text()
    simulate(tmp_path / "other", lineages=1, seed=1)
    shutil.copy(tmp_path / "other" / "measurements" / "ood.parquet", results / "measurements" / "ood.parquet")
    assert main(["--results", str(results)]) == 0
    after = json.loads((report / "manifest.json").read_text())
    assert after["results"]["measurements/ood.parquet"]["digest"] != before["digest"]
    assert after["results"]["measurements/shift.parquet"] == said["results"]["measurements/shift.parquet"]


def test_the_bibliography_names_the_commit(report: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (report / "cite.bib").read_text().count("\n@") == 1
    monkeypatch.setenv("CLOSERLOOK_COMMIT", "fedcba9")
    assert main(["--results", str(report.parent), "--out", str(tmp_path)]) == 0
    assert "fedcba9" in (tmp_path / "cite.bib").read_text()
    assert json.loads((tmp_path / "manifest.json").read_text())["software"]["commit"] == "fedcba9"


@pytest.mark.slow
@pytest.mark.skipif(PDFLATEX is None, reason="no pdflatex on this computer; Debian's package is 'texlive-latex-extra'")
def test_latex_compiles_and_nothing_stands_over_the_edge(report: Path, tmp_path: Path) -> None:
    assert HOSTILE[:8] in (report / "tables" / "models.csv").read_text()
    shutil.copytree(report, tmp_path, dirs_exist_ok=True)
    rows = [[name, f"-{place}.25", name] for place, name in enumerate(NAMES)] * 15
    made = longtable.longtable(NAMES[:3], rows, caption=NAMES[1], label="tab:hostile", numeric=(False, True, False))
    (tmp_path / "tables" / "hostile.tex").write_text(made, encoding="ascii")
    written = [path.relative_to(report).with_suffix("").as_posix() for path in report.rglob("*.csv")]
    (tmp_path / "report.tex").write_text(latex.document([(name, 1) for name in [*written, "tables/hostile"]]))
    for _ in range(2):  # longtable finds its widths on the second run
        command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "report.log").read_text(errors="replace")
    for complaint in ("Overfull", "undefined", "multiply", "Missing character"):
        assert complaint not in log, log[log.index(complaint) - 200 :][:600]
    pages = re.search(r"report\.pdf \((\d+) pages", log)
    assert pages is not None
    assert int(pages[1]) > 10
