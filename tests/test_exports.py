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
from simulated import simulate
from test_report import HOSTILE, hostile_results

from analysis import latex, markdown, pdf
from analysis.__main__ import main

PDFLATEX = shutil.which("pdflatex")
DOCUMENT = r"""\documentclass{article}
\usepackage[paperwidth=80cm,paperheight=30cm,margin=1cm]{geometry}
\usepackage{booktabs,longtable}
\begin{document}
%s
\end{document}
"""
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
    for path in report.rglob("*.tex"):
        text = path.read_bytes().decode("ascii")
        rows = text.split(r"\endfoot")[1].split(r"\end{longtable}")[0].strip().splitlines()
        table = pd.read_csv(path.with_suffix(".csv"))
        assert len(rows) == len(table), path
        columns = re.findall(r"\{@\{\}([lr]+)@\{\}\}", text)[0]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns)}, path
    shown = (report / "tables" / "ood.tex").read_text()
    assert r"\textless{}script\textgreater{}alert(1)" in shown
    models = pd.read_csv(report / "tables" / "ood.csv")
    value = models.loc[models["model"].str.startswith("vit1s.SRC-large"), "letters"].iloc[0]
    assert re.search(rf"vit1s\.SRC-large & .*& {100 * value:.1f} ", shown)


def test_signs_that_latex_would_act_on_are_printed() -> None:
    assert latex.escape(r"a_b & 50 % of $x$ {#1} \end ^~") == (
        r"a\_b \& 50 \% of \$x\$ \{\#1\} \textbackslash{}end \textasciicircum{}\textasciitilde{}"
    )
    assert (
        latex.escape("\N{MINUS SIGN}4.0 caf\u00e9 na\u00efve \u202e\u4e2d")
        == r"$-$4.0 caf\'{e} na\"{\i}ve U+202EU+4E2D"
    )
    assert latex.escape("one\ntwo\x00") == "one twoU+0000"
    assert len(latex.cell("x" * 300)) < 80


def test_markdown_shows_hostile_names_and_does_nothing_else(report: Path) -> None:
    text = (report / "report.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;/script\\>&lt;img src=x onerror=alert(2)\\>" in text
    assert markdown.escape("a|b *c* _d_ [e](f) `g`\n- h") == r"a\|b \*c\* \_d\_ \[e\](f) \`g\` - h"
    for name in re.findall(r"\]\(((?:figures|tables)/[^)]*)\)", text):
        assert (report / name).exists(), name


def test_every_table_of_markdown_has_as_many_cells_in_every_row(report: Path) -> None:
    blocks = re.findall(r"(?:^\|.*\|\n)+", (report / "report.md").read_text(), re.MULTILINE)
    assert len(blocks) > 10
    for block in blocks:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block


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
def test_latex_compiles(report: Path, tmp_path: Path) -> None:
    tables = sorted(report.rglob("*.tex"))
    assert HOSTILE[:8] in (report / "tables" / "models.csv").read_text()
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n".join(path.read_text() for path in tables))
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    for _ in range(2):  # longtable finds its widths on the second run
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000
