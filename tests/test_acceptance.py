"""Acceptance: measured against published accuracy, by hand; and the mark it leaves on the report."""

from __future__ import annotations

import csv
import logging
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_by_hand import clean_set, learned, one_hot, record, show, table, zero_shot
from simulated import Faults, simulate, with_faults
from test_report import Text

import analysis
from analysis import prose
from analysis.__main__ import main
from analysis.acceptance import checks, marks, stands_for
from analysis.charts import FIGURES as ALL_FIGURES
from analysis.ledger import ask
from analysis.results import image_counts
from analysis.tables import TABLES
from engine.files import Folder
from engine.predictions import ImageSet, write_models
from studies import acceptance, shift
from studies.measurements import Measurement

REFERENCE = Path(os.environ.get("REFERENCE_DATA", Path(__file__).parents[2] / "shared" / "reference" / "data"))
GROUPED = ImageSet("pair", "shift", "plain", ("low", "high"), ((0, 1), (4,)))
SUBSET = ImageSet("imagenet-a", "shift", "plain", ("a", "b"), ((0,), (1,)))


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    """Six classes on a clean set; a shift set of two groups, the masked choices of which are half right."""
    folder = Folder.of(tmp_path / "results")
    learned(folder, 6)
    show(folder, clean_set(6), one_hot([0, 2, 2, 0, 4, 5], 6), [0, 1, 2, 3, 4, 5])
    show(
        folder, GROUPED, [[0, 1, 0, 0, 0, 0], [1, 0, 3, 0, 2, 0], [0, 0, 0, 3, 2, 1], [1, 0, 0, 0, 0, 2]], [0, 0, 1, 1]
    )
    return folder


# --- the study -------------------------------------------------------------------------------------------------------


def test_the_gap_by_hand(results: Folder) -> None:
    published = {"published_plain": 0.6, "published_pair": 0.75, "published_elsewhere": 0.9}
    learned(results, 6, **published, published_source="a table")
    found = table(acceptance.measure(record(results)))
    assert {key[:3] for key in found} == {
        (name, "all", metric) for name in ("plain", "pair") for metric in ("top1_gap", "top1_gap_tolerance")
    }
    assert {key[3] for key in found} == {"a table"}
    assert found["plain", "all", "top1_gap", "a table"].value == pytest.approx(4 / 6 - 0.6)
    pair = found["pair", "all", "top1_gap", "a table"]
    assert (pair.value, pair.n) == (pytest.approx(0.5 - 0.75), 4)
    assert pair.std_error == pytest.approx(np.sqrt(0.25 / 3))
    tolerance = found["pair", "all", "top1_gap_tolerance", "a table"]
    assert (tolerance.value, tolerance.std_error, tolerance.n) == (0.003, None, 4)


def test_nothing_is_said_where_nothing_was_published(results: Folder) -> None:
    learned(results, 6, published_plain=np.nan, published_pair="", published_source="")
    assert list(acceptance.measure(record(results))) == []


def test_a_subset_of_the_classes_is_compared_masked_as_it_is_published(results: Folder) -> None:
    learned(results, 6, **{"published_imagenet-a": 0.5})
    # Class 5, which is not in the set, would win the second image; among the set's two it is right.
    show(results, SUBSET, [[1, 0, 0, 0, 0, 0], [0, 2, 0, 0, 0, 9]], [0, 1])
    found = table(acceptance.measure(record(results)))
    assert found["imagenet-a", "all", "top1_gap", ""].value == pytest.approx(1.0 - 0.5)
    measured = table(shift.measure(record(results)))
    assert measured["imagenet-a", "all", "top1", "masked"].value == 1.0
    assert measured["imagenet-a", "all", "top1", "full"].value == 0.5


def test_a_zero_shot_head_is_not_compared_where_labels_mean_several_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Folder.of(tmp_path / "results")
    zero_shot(folder, {"openai80": np.eye(6).tolist()}, scale=10.0)
    write_models(
        folder, pd.DataFrame([{"name": "net.hand", "digest": "aaaa", "published_pair": 0.5, "published_plain": 0.5}])
    )
    show(folder, clean_set(6), one_hot([0, 1], 6), [0, 1])
    show(folder, GROUPED, one_hot([0, 4], 6), [0, 1])
    with caplog.at_level(logging.INFO):
        found = table(acceptance.measure(record(folder)))
    assert {key[0] for key in found} == {"plain"}
    assert "net.hand at pair is not compared: published with the set's own class names." in caplog.text


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("imagenet", 0.0012),
        ("imagenet-v2-matched-frequency", 0.0023),
        ("imagenet-v2-threshold-0.7", 0.0023),
        ("imagenet-a", 0.0018),
        ("imagenet-r", 0.0010),
        ("imagenet-sketch", 0.0010),
        ("objectnet", 0.0030),
        ("plain", 0.0030),
    ],
)
def test_every_set_has_its_tolerance(name: str, tolerance: float, tmp_path: Path) -> None:
    folder = Folder.of(tmp_path / "results")
    learned(folder, 2, **{f"published_{name}": 0.5})
    show(folder, clean_set(2, name), one_hot([0, 0], 2), [0, 1])
    assert table(acceptance.measure(record(folder)))[name, "all", "top1_gap_tolerance", ""].value == tolerance


def test_the_tolerances_are_what_two_runs_of_78_differ_by() -> None:
    path = REFERENCE / "reference_answers" / "cross_source_openclip_docs_vs_clip_benchmark.csv"
    if not path.exists():
        pytest.skip(f"No reference data in {REFERENCE}; set REFERENCE_DATA.")
    names = {"ImageNet 1k": "imagenet", "ImageNet v2": "imagenet-v2", "ImageNet Sketch": "imagenet-sketch"}
    largest: dict[str, float] = defaultdict(float)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            name = names.get(row["dataset"], row["dataset"].lower())
            largest[name] = max(largest[name], abs(float(row["diff"])))
    assert set(largest) == set(acceptance.TOLERANCES)
    for name, difference in largest.items():
        assert acceptance.TOLERANCES[name] == pytest.approx(difference, abs=0.00006), name


# --- marks -----------------------------------------------------------------------------------------------------------


def row(model: str, image_set: str, gap: float, tolerance: float) -> list[Measurement]:
    key = ("acceptance", model, "learned", image_set, "all")
    return [
        Measurement(*key, "top1_gap", "", gap, 0.01, 100),
        Measurement(*key, "top1_gap_tolerance", "", tolerance, None, 100),
    ]


def test_a_mark_names_the_sets_and_the_gaps() -> None:
    rows = [
        *row("fits", "a", 0.0012, 0.0012),
        *row("fits", "b", -0.0009, 0.0010),
        *row("off", "a", 0.0213, 0.0012),
        *row("off", "b", 0.0001, 0.0010),
        *row("off", "c", -0.004, 0.003),
    ]
    found = pd.DataFrame(rows)
    said = marks(found, pd.Index(["fits", "off", "silent"]))
    assert said.to_dict() == {"fits": "ok", "off": "differs: a +0.0213, c -0.0040", "silent": "not checked"}
    assert list(checks(found)["fits"]) == [True, True, False, True, False]
    assert checks(found.iloc[:0]).empty


@pytest.mark.parametrize(("published", "fits"), [(0.5982, True), (0.5981, False)])
def test_the_edge_of_a_tolerance_is_within_it(published: float, fits: bool) -> None:
    # Measured .5994: in binary, .5994 - .5982 is a little more than .0012.
    assert list(checks(pd.DataFrame(row("m", "a", 0.5994 - published, 0.0012)))["fits"]) == [fits]


def test_one_model_stands_for_each_set_of_weights() -> None:
    assert stands_for({"a": "", "b": "a", "c": "b", "d": "elsewhere"}) == {"b": "a", "c": "a"}
    assert stands_for({"y": "x", "x": "y", "z": "y"}) == {"y": "x", "z": "x"}
    assert stands_for({"self": "self"}) == {}


# --- the report ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("faulty"), lineages=3)


@pytest.fixture(scope="module")
def faults(folder: Path) -> Faults:
    planted = with_faults(folder)
    assert main(["--results", str(folder)]) == 0
    return planted


def test_the_first_paragraph_says_who_was_checked_who_differs_and_who_is_there_twice(
    folder: Path, faults: Faults
) -> None:
    text = "".join(Text((folder / "report" / "index.html").read_text()).text)
    assert "All were checked against published accuracies: 48 agree; " in text
    assert f"{faults.failing} (pets +2.13 points) differs, and is marked in every table and figure." in text
    assert f"{faults.copy} has the weights of {faults.original}, and is left out of every fit and figure." in text


FIGURES = [figure for figure in ALL_FIGURES if figure.of_points]


def test_every_table_marks_the_model_and_keeps_the_copy(folder: Path, faults: Faults) -> None:
    for each in TABLES:
        made = pd.read_csv(folder / "report" / "tables" / f"{each.name}.csv").set_index("model")
        assert made.loc[faults.failing, "acceptance"] == "differs: pets +0.0213", each.name
        assert (made["acceptance"] == "ok").sum() == 48, each.name
        assert faults.copy in made.index
    made = pd.read_csv(folder / "report" / "tables" / "models.csv").set_index("model")
    assert made.loc[faults.copy, "duplicate_of"] == faults.original
    html = (folder / "report" / "index.html").read_text()
    assert html.count('<td class="text differs" title="differs: pets +0.0213">') == len(TABLES)


def test_every_figure_draws_the_model_hollow_and_the_copy_not_at_all(folder: Path, faults: Faults) -> None:
    html = (folder / "report" / "index.html").read_text()
    assert html.count("A hollow point is a model whose measured accuracy differs") == len(FIGURES)
    for figure in FIGURES:
        svg = (folder / "report" / "figures" / f"{figure.name}.svg").read_text()
        points = [each for each in svg.split("<path ")[1:] if 'aria-roledescription="point"' in each]
        hollow = [each for each in points if 'fill="white"' in each.split("/>", 1)[0] and 'stroke="white"' not in each]
        assert hollow, figure.name
        assert all(f"Model: {faults.failing};" in each and "differs: pets +0.0213" in each for each in hollow)
        assert len(hollow) == sum(f"Model: {faults.failing};" in each for each in points)
        assert f"Model: {faults.copy};" not in svg
        assert f"also named {faults.copy}" in svg


def test_a_report_without_faults_speaks_of_none(tmp_path: Path) -> None:
    assert main(["--results", str(simulate(tmp_path, lineages=1))]) == 0
    html = (tmp_path / "report" / "index.html").read_text()
    assert "A hollow point" not in html
    assert "has the weights of" not in html
    assert "duplicate_of" not in (tmp_path / "report" / "tables" / "models.csv").read_text()


def test_fits_are_those_without_the_copy(folder: Path, faults: Faults, tmp_path: Path) -> None:
    with_copy = analysis.load(folder)
    assert faults.copy in with_copy.models.index
    assert faults.copy not in with_copy.frame(x=analysis.pick("top1", "pets", study="shift")).index
    simulate(tmp_path, lineages=3)
    alone = analysis.load(tmp_path)
    assert faults.copy not in alone.models.index
    findings = [
        [each for each in ask(results).findings if each.question != "acceptance"] for results in (with_copy, alone)
    ]
    assert [each.estimate for each in findings[0]] == [each.estimate for each in findings[1]]
    assert [(each.low, each.high, each.n, each.lineages) for each in findings[0]] == [
        (each.low, each.high, each.n, each.lineages) for each in findings[1]
    ]


def test_a_child_of_the_copy_is_a_child_of_the_original(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=1)
    faults = with_faults(tmp_path)
    facts = Folder.of(tmp_path).read("models.parquet").to_pandas()
    child = facts.loc[facts["parent"] != "", "name"].iloc[0]
    facts.loc[facts["name"] == child, "parent"] = faults.copy
    write_models(Folder.of(tmp_path), facts)
    assert analysis.load(tmp_path).models.loc[child, "parent"] == faults.original


def test_many_that_differ_are_counted_not_named(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=1)
    with_faults(tmp_path)
    results = analysis.load(tmp_path)
    rows = results.measurements.copy()
    rows.loc[rows["metric"] == "top1_gap", "value"] = -0.05
    said = prose.summary(
        analysis.Results(results.folder, results.models, rows, results.image_sets), image_counts(results)
    )
    count = len(results.models)
    assert f": 0 agree; {results.models.index[0]} (pets " in said
    assert said.count("\N{MINUS SIGN}5.00 points") == prose.NAMED
    assert f"and {count - prose.NAMED} more differ, and are marked" in said


def test_without_the_study_no_model_counts_as_checked(tmp_path: Path) -> None:
    simulate(tmp_path, lineages=1)
    (tmp_path / "measurements" / "acceptance.parquet").unlink()
    results = analysis.load(tmp_path)
    assert "No model could be checked against a published accuracy." in prose.summary(results, image_counts(results))
    assert set(results.models["acceptance"]) == {"not checked"}
