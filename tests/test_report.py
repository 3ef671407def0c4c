"""The report: its numbers are those of the findings, its bytes are decided by the results, its text cannot do harm."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from simulated import OUT, SLOPES, simulate

from analysis import display, page, prose
from analysis.__main__ import main
from analysis.charts import FIGURES, WITHOUT
from analysis.findings import Finding, Verdict
from analysis.fits import Estimate
from analysis.ledger import ask
from analysis.questions import QUESTIONS
from analysis.results import image_counts, load
from engine.files import Folder
from engine.predictions import ImageSet, write_images, write_models
from engine.prompts import PROMPTS
from studies.measurements import Measurement, write

NOTE = "39 images <i onclick='x'>accepted</i> where 40 are published."
HOSTILE = "<script>alert(1)</script>\"'&" + "x" * 300 + "\u202eabc"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("results"), lineages=3)


@pytest.fixture(scope="module")
def folder(results: Path) -> Path:
    assert main(["--results", str(results)]) == 0
    return results / "report"


class Text(HTMLParser):
    """The text of a page, its tags, and what stands in its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.inside = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag and its attributes."""
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, _tag: str) -> None:
        """Leave the tag."""
        self.inside = ""

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees."""
        if self.inside not in ("script", "style"):
            self.text.append(data)


def test_the_folder_has_a_page_findings_tables_and_figures(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "cite.bib", "figures", "findings.csv", "findings.parquet", "findings.tex", "index.html", "manifest.json",
        "report.md", "report.tex", "tables",
    ]  # fmt: skip
    drawn = {f"{figure.name}{ending}" for figure in FIGURES for ending in (".svg", ".png", ".pdf")}
    assert {path.name for path in (folder / "figures").iterdir()} == drawn
    names = ("calibration", "factors", "models", "ood", "shift", "standings")
    made = {f"{name}{ending}" for name in names for ending in (".csv", ".parquet", ".tex")}
    assert {path.name for path in (folder / "tables").iterdir()} == made
    for path in (folder / "figures").glob("*.svg"):
        assert path.read_text().count("<path") > 10, path
    assert (folder / "index.html").stat().st_size < 2_000_000


def test_the_page_shows_the_planted_slopes_as_the_findings_have_them(folder: Path) -> None:
    findings = pd.read_csv(folder / "findings.csv")
    findings = findings[findings["way"].isna()]
    html = (folder / "index.html").read_text()
    for source, planted in SLOPES.items():
        rows = findings[(findings["subject"] == f"{source}, letters") & (findings["unit"] == "slope")]
        assert len(rows) == 1
        row = rows.iloc[0]
        assert row["low"] < planted < row["high"]
        shown = re.search(rf"<td[^>]*>{source}, letters \(slope\)</td><td[^>]*>([^<]*)</td>", html)
        assert shown is not None
        assert shown.group(1) == display.number(row["estimate"])


def test_every_figure_belongs_to_questions_that_are_asked() -> None:
    names = {question.__name__ for question in QUESTIONS}
    for figure in FIGURES:
        assert figure.questions
        assert set(figure.questions) <= names, figure.name


def test_every_question_belongs_to_a_figure_or_says_why_not(folder: Path) -> None:
    drawn = {name for figure in FIGURES for name in figure.questions}
    assert {question.__name__ for question in QUESTIONS} - drawn == set(WITHOUT)
    assert not drawn & set(WITHOUT)
    text = "".join(Text((folder / "index.html").read_text()).text)
    for reason in WITHOUT.values():
        assert f"({reason})" in text


def test_the_first_page_counts_claims_by_verdict(results: Path) -> None:
    ledger = ask(load(results))
    shown = "".join(Text(page.tally(ledger)).text)
    numbers = [sum(each.verdict == verdict for each in ledger.claims) for verdict in prose.VERDICTS]
    assert sum(numbers) <= len(ledger.claims) == len(QUESTIONS)
    words = (f"{number}{verdict}" for number, verdict in zip(numbers, prose.VERDICTS, strict=True))
    assert shown.startswith(f"{len(QUESTIONS)}claims" + "".join(words))
    assert shown.endswith(f"by {sum(bool(each.verdict) for each in ledger.findings)} tests")
    turned = replace(ledger, claims=tuple(replace(each, verdict="contradicted") for each in ledger.claims))
    assert f"{len(QUESTIONS)}contradicted0undecided" in "".join(Text(page.tally(turned)).text)


def test_prompt_sets_have_names_in_print() -> None:
    assert set(display.PROMPTS) == set(PROMPTS)
    minus = "\N{MINUS SIGN}"
    assert display.words("top1, prompts 'random5-1' - 'openai80'") == f"top-1, 5 of the 80, draw 2 {minus} 80 prompts"
    assert display.words("lineage 'clip-vit' - 'mine'") == f"lineage 'clip-vit' {minus} 'mine'"


def test_the_summary_counts_what_there_is(folder: Path) -> None:
    text = "".join(Text((folder / "index.html").read_text()).text)
    assert "48 models in 15 lineages: 18 zero-shot CLIP, 18 fine-tuned CLIP, 6 classifiers with more data and " in text
    assert "All were checked against published accuracies, and agree." in text
    assert "240 images of 6 sets (1 clean, 2 shift, 2 out-of-distribution and 1 cue-conflict)" in text
    assert "1 image could not be read and is left out for every model." in text


def test_many_notes_are_counted(results: Path) -> None:
    known = load(results)
    counts = [replace(each, image_set=replace(each.image_set, note="As it is.")) for each in image_counts(known)]
    text = prose.summary(known, counts)
    assert text.count("As it is.") == prose.NAMED == len(counts) - 1
    assert text.endswith("1 further set with a note: see Provenance.")
    assert "As it is." not in prose.summary(known, image_counts(known))


def test_a_sentence_changes_with_its_finding() -> None:
    def said(estimate: float) -> str:
        made = Estimate(estimate, estimate - 0.01, estimate + 0.01, 0.001, 20, 5, "", "")
        return prose.gist([Finding.of("child - parent, pets", made, unit="fraction", expected="negative")], [])

    minus = "\N{MINUS SIGN}"
    numbers = f"{minus}20.0 points [{minus}21.0 to {minus}19.0]; n = 20 in 5 lineages."
    assert said(-0.2) == f"Child {minus} parent, pets: {numbers}"
    assert "+3.0 points [+2.0 to +4.0]" in said(0.03)


def test_several_tests_are_counted_and_the_decided_ones_named() -> None:
    def found(subject: str, estimate: float, verdict: Verdict) -> Finding:
        made = Estimate(estimate, estimate - 0.01, estimate + 0.01, 0.001, 20, 5, "", "")
        return replace(Finding.of(subject, made, unit="fraction", expected="negative"), verdict=verdict)

    minus = "\N{MINUS SIGN}"
    mixed = [
        found("scaled - raw, far", -0.04, "supported"),
        found("scaled - raw, near", 0.07, "contradicted"),
        found("scaled - raw, odd", 0.01, "undecided"),
    ]
    ends = f"Differences (scaled {minus} raw) run from {minus}4.0 (far) to +7.0 points (near)."
    outcomes = "Of 3 tests, 1 is supported (far), 1 is contradicted (near) and 1 is undecided."
    assert prose.gist(mixed, []) == f"{outcomes} {ends}"
    alike = [replace(each, verdict="undecided") for each in mixed]
    assert prose.gist(alike, []) == f"All 3 tests are undecided. {ends}"
    unlike = [replace(each, subject=each.subject.split(", ")[1], verdict="") for each in mixed]
    assert prose.gist(unlike, []) == f"Differences run from {minus}4.0 (far) to +7.0 points (near)."


def test_bands_that_would_hide_a_panel_are_left_out_and_their_lines_stay(results: Path) -> None:
    spec = next(figure for figure in FIGURES if figure.name == "id-and-ood").draw(load(results)).to_dict()
    rows = pd.DataFrame(spec["datasets"][spec["data"]["name"]])
    line, models = rows[rows["kind"] == "line"], rows[rows["kind"] == "model"]
    widest = (line["high"] - line["low"]).groupby([line["panel"], line["series"]]).max()
    assert len(widest) == len(SLOPES) * len(OUT)
    assert line["y"].notna().all()
    assert 0 < widest.isna().sum() < len(widest)
    assert widest.max() < (models["y"].max() - models["y"].min()) / 2


def test_equal_results_make_equal_bytes(results: Path, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "analysis", "--results", str(results), "--out", str(tmp_path / "again")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(tmp_path / "again" / "index.html")
    first = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    second = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*.*")}
    assert first == second


def test_the_page_asks_no_network_for_anything(folder: Path) -> None:
    parsed = Text((folder / "index.html").read_text())
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, attributes)
    policies = [attributes["content"] for tag, attributes in parsed.tags if attributes.get("http-equiv")]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none';")
    assert "http" not in policies[0]
    assert (folder / "index.html").read_text().count("window.vegaEmbed") == 1


def hostile_results(tmp_path: Path) -> Path:
    """Results in which a model, a source and a lineage carry markup in their names; the model is none that is known."""
    simulate(tmp_path, lineages=3)
    models = Folder.of(tmp_path).read("models.parquet").to_pandas()
    known = models["name"].iloc[0]
    rename = {known: HOSTILE}
    models = models.assign(name=models["name"].replace(rename), parent=models["parent"].replace(rename))
    models["train_source"] = models["train_source"].replace({"SRC-small": "</script><img src=x onerror=alert(2)>"})
    models["lineage"] = models["lineage"].replace({"SRC-large-0": "<b>bold</b>"})
    write_models(Folder.of(tmp_path), models)
    indices = Folder.of(tmp_path) / "images"
    for name in OUT:
        facts = ImageSet.of(indices.identity(f"{name}.parquet"))
        write_images(Folder.of(tmp_path), replace(facts, note=NOTE), indices.read(f"{name}.parquet"))
    folder = Folder.of(tmp_path) / "measurements"
    for file in folder.files():
        rows = [Measurement(**row) for row in folder.read(file).to_pylist()]
        made = [replace(row, model=rename.get(row.model, row.model)) for row in rows]
        made = [replace(row, value=0.5) if (row.model, row.metric) == (HOSTILE, "top1_gap") else row for row in made]
        write(Folder.of(tmp_path), file.removesuffix(".parquet"), made, {"note": "</script><script>alert(3)</script>"})
    return tmp_path


def test_hostile_names_do_no_harm(folder: Path, tmp_path: Path) -> None:
    assert main(["--results", str(hostile_results(tmp_path))]) == 0
    parsed = Text((tmp_path / "report" / "index.html").read_text())
    harmless = Text((folder / "index.html").read_text())
    assert [tag for tag, _ in parsed.tags if tag == "script"] == [tag for tag, _ in harmless.tags if tag == "script"]
    assert not [tag for tag, _ in parsed.tags if tag in ("img", "iframe")]
    assert not [attributes for _, attributes in parsed.tags if any(name.startswith("on") for name in attributes)]
    text = "".join(parsed.text)
    assert HOSTILE in text
    assert text.count(f" {OUT[1]}: {NOTE} {OUT[0]}: {NOTE}") == 1, "told where the report speaks of the image sets"
    assert text.count(NOTE) == 2 * len(OUT), "and beside each set's digest"


def test_a_folder_without_results_is_one_sentence_and_status_two(tmp_path: Path) -> None:
    for results in (tmp_path / "nowhere", tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "analysis", "--results", results], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) == 1
        assert "python -m studies all" in done.stderr
    assert not (tmp_path / "report").exists()


def test_a_torn_file_is_one_sentence_and_status_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(tmp_path, lineages=1)
    (tmp_path / "measurements" / "ood.parquet").write_bytes(b"torn")
    assert main(["--results", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"The results in {tmp_path} cannot be read:")


def test_a_uri_needs_a_place_for_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", "s3://bucket/results"]) == 2
    assert "--out report" in capsys.readouterr().err


def test_results_without_image_sets_still_make_a_page(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=1)
    shutil.rmtree(tmp_path / "images")
    assert main(["--results", str(tmp_path)]) == 0
    assert "Not drawn, for want of measurements" in (tmp_path / "report" / "index.html").read_text()
    # Gaps to published accuracies need no image set.
    assert {path.stem for path in (tmp_path / "report" / "figures").iterdir()} == {"acceptance"}


def test_a_figure_that_cannot_be_drawn_is_left_out_and_named(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=3)
    stale = tmp_path / "report" / "figures" / "prompts.svg"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier report")
    (tmp_path / "measurements" / "prompts.parquet").unlink()
    assert main(["--results", str(tmp_path)]) == 0
    assert not stale.exists()
    text = "".join(Text((tmp_path / "report" / "index.html").read_text()).text)
    assert "Not drawn, for want of measurements: Prompt sets." in text
    assert "Make it with: python -m studies prompts" in text


BARE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ray", "torch", "torchvision", "timm", "open_clip", "sklearn", "PIL", "pyximport"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from analysis.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_base_dependencies_are_enough_and_twelve_seconds_too(results: Path, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", BARE, "--results", str(results), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (tmp_path / "index.html").exists()
    # Processor time, not the clock: other work on this computer shall not fail the test.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 12
