"""Predictions made elsewhere: as good as those made here, decisions as far as they go, and mistakes told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_by_hand import NET, clean_set, learned, out_set, show
from scipy.special import softmax

from engine.files import BadStore
from engine.predictions import Folder, ImageSet, Record, models
from studies import imported
from studies.fitted import FITTED_SCORES
from studies.imported import BadPredictions
from studies.measurements import Measurement
from studies.study import STUDIES, left_out, measure

MINE = "mine.v1"
CUES = ImageSet("cues", "conflict", "plain", ("low", "high"), ((0, 1, 2), (3, 4, 5)))
SOME = ImageSet("some", "shift", "plain", ("a", "b"), ((0,), (4,)))
SAME = ImageSet("same", "shift", "plain", tuple("abcdef"), tuple((number,) for number in range(6)))
UNKNOWN = {*FITTED_SCORES, "ash"} - {"kl_matching"}
"""OOD scores of features, which imported logits lack."""
SETS = ("plain", "some", "same", "odd", "cues")


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    """A model of six classes that was shown all kinds of sets; its features are its logits."""
    folder, rng = Folder.of(tmp_path / "results"), np.random.default_rng(0)

    def logits(labels: list[int]) -> list[list[float]]:
        return (rng.normal(size=(len(labels), 6)) + 1.5 * np.eye(6)[labels]).tolist()

    learned(folder, 6)
    labels = [number % 6 for number in range(240)]
    factors = ["pose" if number % 2 else "colour" for number in range(240)]
    marks = {"top_factor": factors, "factors": [[each] for each in factors], "prototype": [False] * 240}
    show(folder, clean_set(6), logits(labels), labels, **marks)
    show(folder, SAME, logits(labels), labels)
    show(folder, SOME, logits([0, 4] * 30), [0, 1] * 30)
    show(folder, out_set("odd"), logits([0] * 60), None)
    show(folder, CUES, logits([0, 4] * 30), [0, 1] * 30, texture=[1, 0] * 30)
    return folder


def _scores(results: Folder, name: str) -> pd.DataFrame:
    shown = Record.of(results, NET).predictions(name)
    table = pd.DataFrame(shown.logits, columns=[f"class {number}" for number in range(6)])
    return table.astype(np.float64).assign(image_id=shown.images["image_id"]).sample(frac=1, random_state=0)


def _lists(results: Folder, name: str) -> pd.DataFrame:
    table = _scores(results, name)
    rows = table.drop(columns="image_id").to_numpy().tolist()
    return pd.DataFrame({"image_id": table["image_id"], "logits": rows})


def _decisions(results: Folder, name: str) -> pd.DataFrame:
    table = _scores(results, name)
    logits = table.drop(columns="image_id").to_numpy(dtype=np.float64)
    decided = logits.argmax(axis=1)
    if name == "cues":
        decided = softmax(logits, axis=1).reshape(-1, 2, 3).mean(axis=2).argmax(axis=1)
    confidence = softmax(logits, axis=1).max(axis=1)
    return pd.DataFrame({"image_id": table["image_id"], "prediction": decided, "confidence": confidence})


def _write(table: pd.DataFrame, file: Path) -> Path:
    table.to_csv(file, index=False) if file.suffix == ".csv" else table.to_parquet(file, index=False)
    return file


def _take(results: Folder, table: pd.DataFrame, name: str, tmp_path: Path, form: str = "parquet") -> str:
    return imported.take(results, _write(table, tmp_path / f"given.{form}"), MINE, name, {})


def _measured(results: Folder, model: str) -> list[Measurement]:
    return measure(results.path, model, tuple(STUDIES))


@pytest.mark.parametrize("form", ["parquet", "csv", "lists"])
def test_logits_are_measured_as_those_of_a_model_that_was_shown_the_images(
    form: str, results: Folder, tmp_path: Path
) -> None:
    for name in SETS:
        table = _scores(results, name)
        if form == "lists":
            table = _lists(results, name)
        said = _take(results, table, name, tmp_path, "csv" if form == "csv" else "parquet")
        assert f"imported logits of '{MINE}' on {len(table)} images of '{name}'" in said
    expected = [replace(row, model=MINE, head="given") for row in _measured(results, NET) if row.method not in UNKNOWN]
    assert [row for row in _measured(results, MINE) if row.metric != "error_consistency"] == expected
    assert len(expected) > 50


def test_decisions_are_measured_as_far_as_they_go(results: Folder, tmp_path: Path) -> None:
    for name in SETS:
        _take(results, _decisions(results, name), name, tmp_path, "csv")
    known = {_key(row): row for row in _measured(results, NET)}
    found = {_key(replace(row, method=row.method.replace("given", "mapped"))): row for row in _measured(results, MINE)}
    assert found.keys() < known.keys()
    for key, row in found.items():
        expected = known[key]
        assert (row.value, row.n) == (pytest.approx(expected.value, abs=1e-6), expected.n)
        assert row.std_error == pytest.approx(expected.std_error, abs=1e-6)
    assert {key[0] for key in found} == {"shift", "ood", "calibration", "factors", "shape"}
    assert not {"top5", "nll", "brier", "temperature"} & {key[3] for key in found}
    methods = {study: {key[4] for key in found if key[0] == study} for study in ("ood", "calibration")}
    assert methods == {"ood": {"msp"}, "calibration": {"raw"}}
    # Among two of six classes another one might have won; among all six, the decision is what it is.
    masked = {key[1:3] for key in found if key[0] == "shift" and key[4] == "masked"}
    assert masked == {("same", "all"), ("plain", "classes:same")}
    sentences = list(left_out(results, tuple(STUDIES)))
    assert [sentence.split()[0] for sentence in sentences] == [each for each in STUDIES if each != "factors"]
    assert all(MINE in sentence for sentence in sentences)


def _key(row: Measurement) -> tuple[str, ...]:
    return row.study, row.image_set, row.subset, row.metric, row.method


def test_a_prediction_may_be_a_name(results: Folder, tmp_path: Path) -> None:
    table = _decisions(results, "plain")
    _take(results, table, "plain", tmp_path)
    by_number = _measured(results, MINE)
    _take(results, table.assign(prediction=[f"class {each}" for each in table["prediction"]]), "plain", tmp_path)
    assert _measured(results, MINE) == by_number
    table = _decisions(results, "cues")
    _take(results, table.assign(prediction=[CUES.class_names[each] for each in table["prediction"]]), "cues", tmp_path)
    assert {row.method for row in measure(results.path, MINE, ("shape",))} == {"given"}


def test_a_set_waits_for_its_clean_one(results: Folder, tmp_path: Path) -> None:
    _take(results, _scores(results, "some"), "some", tmp_path)
    assert _measured(results, MINE) == []
    _take(results, _scores(results, "plain"), "plain", tmp_path)
    assert {row.image_set for row in _measured(results, MINE)} == {"plain", "some"}


def test_facts_are_kept_and_another_set_changes_none(results: Folder, tmp_path: Path) -> None:
    file = _write(_scores(results, "plain"), tmp_path / "given.parquet")
    imported.take(results, file, MINE, "plain", {"group": "clip_ft"})
    _take(results, _scores(results, "some"), "some", tmp_path)
    facts = models(results)
    assert list(facts.index) == [MINE, NET]
    assert tuple(facts.loc[MINE, ["group", "train_source", "lineage"]]) == ("clip_ft", "imported", MINE)
    assert facts.loc[NET, "digest"] == "aaaa"


def test_an_import_that_was_stopped_is_done_by_the_same_command(results: Folder, tmp_path: Path) -> None:
    table = _scores(results, "plain")
    in_the_way = Path(results.path, "heads", MINE)
    in_the_way.write_text("no folder")
    with pytest.raises(BadStore):
        _take(results, table, "plain", tmp_path)
    assert MINE not in models(results).index
    in_the_way.unlink()
    _take(results, table, "plain", tmp_path)
    assert {row.image_set for row in _measured(results, MINE)} == {"plain"}


def _altered(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def alter(table: pd.DataFrame) -> pd.DataFrame:
        changed = table.reset_index(drop=True).astype({column: object} if isinstance(value, str) else {})
        changed.loc[3, column] = value
        return changed

    return alter


@pytest.mark.parametrize(
    ("kind", "alter", "sentence"),
    [
        (_scores, lambda table: table[:-1], "lacks 1 of 240 images of 'plain', 'plain-"),
        (_scores, lambda table: pd.concat([table, table[:1]]), "' twice; give one row per image"),
        (_scores, _altered("image_id", "other"), "1 images that are not of 'plain', 'other' among them"),
        (_scores, _altered("class 2", np.nan), "row 4, column 'class 2': nan is no finite number"),
        (_scores, _altered("class 2", 1e39), "row 4, column 'class 2': 1e+39 is no finite number"),
        (_scores, lambda table: table.drop(columns="class 5"), "has logits of 5 classes; 'plain' has 6"),
        (_scores, lambda table: table[table.columns[::-1]], "has the classes of 'plain' in another order: class 5"),
        (_scores, lambda table: table.drop(columns="image_id"), "it needs image_id and either a column per class"),
        (_lists, lambda table: table.assign(logits=[[1.0]] + [[1.0] * 6] * 239), "lists of 1 to 6 logits; give one"),
        (_lists, lambda table: table.assign(logits=[[1.0] * 7] * 240), "has logits of 7 classes; 'plain' has 6"),
        (_decisions, _altered("confidence", 1.5), "row 4: the confidence is 1.5; give a probability from 0 to 1"),
        (_decisions, _altered("confidence", -0.1), "row 4: the confidence is -0.1"),
        (_decisions, _altered("confidence", np.nan), "row 4, column 'confidence': nan is no finite number"),
        (_decisions, _altered("prediction", 6), "row 4: the prediction is '6'; give for all images a number from 0"),
        (_decisions, _altered("prediction", "class 1"), "the prediction is '"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence_and_nothing_is_written(
    kind: Callable[[Folder, str], pd.DataFrame],
    alter: Callable[[pd.DataFrame], pd.DataFrame],
    sentence: str,
    results: Folder,
    tmp_path: Path,
) -> None:
    before = sorted(Path(results.path).rglob("*"))
    form = "parquet" if kind is _lists else "csv"
    with pytest.raises(BadPredictions) as caught:
        _take(results, alter(kind(results, "plain")), "plain", tmp_path, form)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(Path(results.path).rglob("*")) == before


@pytest.mark.parametrize(
    ("model", "name", "told", "sentence"),
    [
        (NET, "plain", {}, f"Model '{NET}' of .* was shown its images there. Give another name to --name"),
        ("a/b", "plain", {}, "'a/b' cannot be a file's name"),
        (MINE, "plane", {}, "No image set 'plane' in .*; there is: cues, odd, plain, same, some. Give .* to --data"),
        (MINE, "plain", {"colour": "red"}, "'colour' is no fact of an imported model; --facts takes family"),
    ],
)
def test_what_cannot_be_imported_is_told(
    model: str, name: str, told: dict[str, str], sentence: str, results: Folder, tmp_path: Path
) -> None:
    file = _write(_scores(results, "plain"), tmp_path / "given.parquet")
    with pytest.raises(BadPredictions, match=sentence):
        imported.take(results, file, model, name, told)


def test_a_model_is_logits_or_decisions(results: Folder, tmp_path: Path) -> None:
    _take(results, _decisions(results, "plain"), "plain", tmp_path)
    with pytest.raises(BadPredictions, match=r"was imported with decisions, and .* holds logits"):
        _take(results, _scores(results, "some"), "some", tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_file_that_is_none_is_told(content: bytes, results: Folder, tmp_path: Path) -> None:
    (tmp_path / "given.parquet").write_bytes(content)
    with pytest.raises(BadPredictions, match="cannot be read as Parquet or CSV"):
        imported.take(results, tmp_path / "given.parquet", MINE, "plain", {})
    with pytest.raises(BadPredictions, match=r"No file .* to --from"):
        imported.take(results, tmp_path / "away.csv", MINE, "plain", {})


def test_ids_of_digits_stay_texts(results: Folder, tmp_path: Path) -> None:
    table = _decisions(results, "plain").assign(image_id=[f"{number:04d}" for number in range(240)])
    with pytest.raises(BadPredictions, match="240 images that are not of 'plain', '0000' among them"):
        _take(results, table, "plain", tmp_path, "csv")
