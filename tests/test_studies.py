"""Every study on small RESULTS folders, checked against numbers worked out by hand."""

from __future__ import annotations

import inspect
import logging
import pickle
from dataclasses import astuple
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from results_by_hand import (
    IDENTITY,
    NET,
    clean_set,
    learned,
    one_hot,
    out_set,
    overconfident,
    record,
    show,
    table,
    zero_shot,
)

from engine.predictions import Folder, Head, ImageSet, IncompleteRecord, write_head
from studies import measurements, ood, prompts, shape, shift
from studies.measurements import KEY
from studies.study import STUDIES, inputs, measure


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    return Folder.of(tmp_path / "results")


@pytest.fixture
def calibrated(results: Folder) -> Folder:
    overconfident(results)
    return results


# --- shift -----------------------------------------------------------------------------------------------------------

PAIR = ImageSet("pair", "shift", "plain", ("low", "high"), ((0, 1), (4,)))


@pytest.fixture
def shifted(results: Folder) -> Folder:
    """Six classes; a shift set whose label 0 means class 0 or 1 and label 1 means class 4."""
    learned(results, 6)
    show(results, clean_set(6), one_hot([0, 2, 2, 0, 4, 5], 6), [0, 1, 2, 3, 4, 5])
    show(results, PAIR, [[0, 1, 0, 0, 0, 0], [1, 0, 3, 0, 2, 0], [0, 0, 0, 3, 2, 1], [1, 0, 0, 0, 0, 2]], [0, 0, 1, 1])
    return results


def test_shift_full_is_over_all_classes_and_any_that_the_label_means(shifted: Folder) -> None:
    found = table(shift.measure(record(shifted)))
    # Image by image: class 1 is meant; class 2 wins; class 3 wins; class 5 wins.
    assert found["pair", "all", "top1", "full"].value == 0.25
    # The last image's class 4 ties with 1, 2 and 3, which stand before it, behind 5 and 0: sixth.
    assert found["pair", "all", "top5", "full"].value == 0.75


def test_shift_masked_is_among_the_classes_of_the_set(shifted: Folder) -> None:
    found = table(shift.measure(record(shifted)))
    # Low against high: (1, 0) low; (1, 2) high, wrong; (0, 2) high; (1, 0) low, wrong.
    row = found["pair", "all", "top1", "masked"]
    assert (row.value, row.n) == (0.5, 4)
    assert row.std_error == pytest.approx(np.sqrt(0.25 / 3))


def test_shift_clean_counterpart_has_the_same_classes(shifted: Folder) -> None:
    found = table(shift.measure(record(shifted)))
    clean = found["plain", "classes:pair", "top1", "masked"]
    # Images of class 0, 1, 4 remain. (1, 0) low; (0, 0), a tie, goes to low, which is right; (0, 1) high.
    assert (clean.value, clean.n) == (1.0, 3)
    assert clean.std_error is None
    # Over all classes, the images of class 1 and 3 are taken for others.
    full = found["plain", "all", "top1", "full"]
    assert (full.value, full.n) == (pytest.approx(4 / 6), 6)


def test_what_says_nothing_is_left_out_and_logged(shifted: Folder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = table(shift.measure(record(shifted)))
    assert ("pair", "all", "top5", "masked") not in found
    assert "top5 is undefined and left out" in caplog.text
    assert "Top-5 among 2 classes is always right" in caplog.text


def test_shift_counts_any_of_several_right_labels(results: Folder) -> None:
    learned(results, 8)
    several = ImageSet("film", "shift", "plain", ("ape", "bee", "cat"), ((0, 1), (4,), (6,)))
    show(results, clean_set(8), one_hot([0], 8), [0])
    shown = {4: [0, 1], 1: [1, 0], 6: [0, 1], 3: [2]}  # the class that wins, and the right labels
    show(results, several, one_hot(shown, 8), [0, 1, 0, 2], labels=list(shown.values()))
    found = table(shift.measure(record(results)))
    # Class 4 is a bee, class 1 an ape, both right; class 6 is a cat, wrong; class 3 is none of the set.
    assert found["film", "all", "top1", "full"].value == 0.5
    # Among the set's own the last is a tie, which the first wins: an ape, wrong.
    assert found["film", "all", "top1", "masked"].value == 0.5
    # Behind 6 come 0, 1, 2, 3 of equal ones; behind 3 come 0, 1, 2, 4, so the cat's 6 is not among five.
    assert found["film", "all", "top5", "full"].value == 0.75
    assert found["film", "all", "top1", "full"].n == 4


# --- ood -------------------------------------------------------------------------------------------------------------


def test_ood_by_hand(results: Folder) -> None:
    learned(results, 2)
    show(results, clean_set(2), [[4, 0], [3, 0], [0, 2], [1, 0]], [0, 0, 1, 0])
    show(results, out_set("odd"), [[2, 0], [0, 0]], None)
    found = table(ood.measure(record(results)))
    assert {key[3] for key in found} >= {"msp", "max_logit", "energy", "entropy", "gen", "ash"}
    for method in ("msp", "max_logit", "energy", "entropy", "gen"):
        # ID 4, 3, 2, 1 against out 2, 0: of 8 pairs, 6 are won and one is tied (2 and 2).
        assert found["odd", "all", "auroc", method].value == 6.5 / 8
        # All four ID must be kept: threshold 1, so one of two out passes.
        assert found["odd", "all", "fpr95", method].value == 0.5
        # Both out must be rejected: threshold 2, so ID 2 and 1 go with them.
        assert found["odd", "all", "fpr95_out", method].value == 0.5
        # Steps at 4, 3, 2, 1: precision 1, 1, 3/4, 4/5, each a quarter of the ID images.
        assert found["odd", "all", "aupr_in", method].value == pytest.approx((1 + 1 + 0.75 + 0.8) / 4)
        # From below, 0, 1, 2, 3: both out images among the first 1 and, with the tie of two, 4.
        assert found["odd", "all", "aupr_out", method].value == pytest.approx((1 + 2 / 4) / 2)
        assert found["odd", "all", "auroc", method].n == 6


def test_ood_holds_each_out_set_against_its_own_clean_set(results: Folder) -> None:
    learned(results, 2)
    show(results, clean_set(2), [[4, 0], [3, 0]], [0, 0])
    show(results, clean_set(2, "dull"), [[1, 0], [1, 0]], [0, 0])
    show(results, out_set("odd"), [[2, 0], [2, 0]], None)
    show(results, out_set("dim", "dull"), [[2, 0], [2, 0]], None)
    found = table(ood.measure(record(results)))
    assert found["odd", "all", "auroc", "msp"].value == 1.0
    assert found["dim", "all", "auroc", "msp"].value == 0.0


def test_ood_has_mcm_for_zero_shot_heads_and_it_is_not_msp(results: Folder) -> None:
    zero_shot(results, {"openai80": np.eye(3).tolist()}, scale=100.0)
    show(results, clean_set(3), [[0.5, 0.4, 0.4]], [0])
    show(results, out_set("odd"), [[0.5, 0.42, -0.5]], None)
    found = table(ood.measure(record(results)))
    # Scaled, the runner-up alone decides: 2 exp(-10) against exp(-8). At T = 1 on raw cosines the third class counts:
    # 2 exp(-0.1) = 1.81 against exp(-0.08) + exp(-1) = 1.29, so the out image is the surer one.
    assert found["odd", "all", "auroc", "msp"].value == 1.0
    assert found["odd", "all", "auroc", "mcm"].value == 0.0


def test_ood_measures_what_annotators_found_to_show_nothing_known_beside_the_full_set(results: Folder) -> None:
    learned(results, 2)
    show(results, clean_set(2), [[4, 0], [3, 0], [0, 2], [1, 0]], [0, 0, 1, 0])
    # Of 36 out images, 30 that show nothing known have 0, so that every clean one is above; the others have 5.
    logits = [[0.0, 0.0]] * 30 + [[5.0, 0.0]] * 6
    show(results, out_set("odd"), logits, None, contains_known=[False] * 30 + [True] * 3 + [None] * 3)
    show(results, out_set("few"), logits, None, contains_known=[False] * 29 + [None] * 7)
    show(results, out_set("told"), logits, None, contains_known=[True] * 36)
    found = table(ood.measure(record(results)))
    assert {key[:2] for key in found} == {("odd", "all"), ("odd", "cleaned"), ("few", "all"), ("told", "all")}
    full, cleaned = (found["odd", subset, "auroc", "max_logit"] for subset in ("all", "cleaned"))
    assert (full.value, full.n) == (pytest.approx(30 / 36), 4 + 36)
    assert (cleaned.value, cleaned.n) == (1.0, 4 + 30)
    assert {key[2] for key in found if key[1] == "cleaned"} == {"auroc", "fpr95", "fpr95_out", "aupr_in", "aupr_out"}


# --- shape -----------------------------------------------------------------------------------------------------------


def test_shape_by_hand(results: Folder) -> None:
    learned(results, 4)
    cues = ImageSet("cues", "conflict", "plain", ("cat", "car", "cup"), ((0, 1), (2,), (3,)))
    logits = np.log([[0.5, 0.02, 0.3, 0.18], [0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7], [0.1, 0.1, 0.7, 0.1]])
    show(results, cues, logits.tolist(), [0, 0, 1, 1], texture=[1, 2, 0, 1])
    found = table(shape.measure(record(results)))
    # First: cat has the likeliest class, 0.5, but the mean of its two is 0.26, so car wins, its texture.
    # Second: cat, its shape. Third: cup, neither. Fourth: shape and texture are both car, so it is left out.
    bias, accuracy = found["cues", "all", "shape_bias", "mapped"], found["cues", "all", "cue_accuracy", "mapped"]
    assert (bias.value, bias.n) == (0.5, 2)
    assert bias.std_error == pytest.approx(0.5)
    assert (accuracy.value, accuracy.n) == (pytest.approx(2 / 3), 3)
    # No decision on a car hits a cue, and no cup is shown: nothing is said of them.
    assert {key[1] for key in found} == {"all", "cat"}


def test_a_conflict_set_must_name_its_textures(results: Folder) -> None:
    learned(results, 2)
    show(results, ImageSet("cues", "conflict", "plain", ("a", "b"), ((0,), (1,))), [[1, 0]], [0])
    with pytest.raises(ValueError, match="Conflict set 'cues' has no column 'texture'"):
        list(shape.measure(record(results)))


# --- prompts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def prompted(results: Folder) -> Folder:
    """Two heads; the second has the first two classes swapped, so it is wrong on both of them."""
    zero_shot(results, {"openai80": np.eye(3).tolist(), "name": np.eye(3)[[1, 0, 2]].tolist()}, scale=10.0)
    show(results, clean_set(3), one_hot([0, 1, 2, 2], 3), [0, 1, 2, 2])
    show(results, out_set("odd"), [[0.5, 0.5, 0.5], [0.6, 0.6, 0.6]], None)
    return results


def test_prompts_by_hand(prompted: Folder) -> None:
    rows = list(prompts.measure(record(prompted)))
    default = table(row for row in rows if row.head == "openai80")
    other = table(row for row in rows if row.head == "name")
    assert default["plain", "all", "top1", "shift:full"].value == 1.0
    assert other["plain", "all", "top1", "shift:full"].value == 0.5
    difference = other["plain", "all", "top1_difference", "shift:full"]
    assert (difference.value, difference.n) == (-0.5, 4)
    # Two of four images turn from right to wrong: the standard deviation of (-1, -1, 0, 0) over the root of 4.
    assert difference.std_error == pytest.approx(np.sqrt(1 / 3) / 2)
    assert not any(metric.endswith("_difference") for _, _, metric, _ in default)
    assert default["odd", "all", "auroc", "ood:mcm"].value == other["odd", "all", "auroc", "ood:mcm"].value == 1.0


def test_what_is_the_same_under_every_head_has_no_difference(
    prompted: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        found = table(row for row in prompts.measure(record(prompted)) if row.head == "name")
    # Two classes swapped move no maximum softmax probability.
    assert ("odd", "all", "auroc", "ood:mcm") in found
    assert ("odd", "all", "auroc_difference", "ood:mcm") not in found
    assert "odd, all, auroc, ood:mcm of net.hand is the same under every head" in caplog.text


def test_prompts_weigh_every_factor_alike(results: Folder) -> None:
    zero_shot(results, {"openai80": np.eye(2).tolist()}, scale=10.0)
    taken_for = [0] * 30 + [1] * 30 + [0] * 30
    notes = {"top_factor": ["a"] * 60 + ["b"] * 30, "factors": [["a"]] * 60 + [["b"]] * 30, "prototype": [False] * 90}
    show(results, clean_set(2), one_hot(taken_for, 2), [0] * 90, **notes)
    found = table(prompts.measure(record(results)))["plain", "annotated", "mean_factor_top1", "factors:top"]
    assert (found.value, found.n) == (pytest.approx((0.5 + 1) / 2), 90)
    # Factor b never varies, so only a's error counts, halved.
    assert found.std_error == pytest.approx(np.sqrt(0.25 / 59) / 2)


def test_prompts_are_no_question_for_a_learned_head(shifted: Folder) -> None:
    assert list(prompts.measure(record(shifted))) == []


# --- all of them -----------------------------------------------------------------------------------------------------


def test_every_study_has_its_module_and_one_question() -> None:
    folder = Path(inspect.getfile(shift)).parent
    for name, function in STUDIES.items():
        assert function.__module__ == f"studies.{name}"
        assert (folder / f"{name}.py").exists()
    assert len(STUDIES) == 7


def test_measure_travels_and_keys_are_unique(calibrated: Folder) -> None:
    show(calibrated, out_set("odd"), [[1, 0, 0], [0, 0, 0]], None)
    travelled = pickle.loads(pickle.dumps(partial(measure, calibrated.path, studies=tuple(STUDIES))))  # noqa: S301
    rows = travelled(NET)
    assert pickle.loads(pickle.dumps(rows)) == rows  # noqa: S301
    assert {row.study for row in rows} == {"shift", "ood", "calibration"}
    assert {row.model for row in rows} == {NET}
    assert len({astuple(row)[: len(KEY)] for row in rows}) == len(rows)


def test_measuring_twice_writes_equal_bytes(calibrated: Folder, tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = measure(calibrated.path, NET, ("calibration",))
        measurements.write(Folder.of(tmp_path / name), "calibration", rows, {})
    files = [tmp_path / name / "measurements" / "calibration.parquet" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_missing_cell_is_an_error_not_a_gap(calibrated: Folder) -> None:
    (calibrated / "features" / "hard" / NET).remove("00000.parquet")
    with pytest.raises(IncompleteRecord, match=f"'{NET}' has been shown 0 of 8 readable images of 'hard'"):
        measure(calibrated.path, NET, ("shift",))


def test_inputs_change_with_what_studies_depend_on(shifted: Folder, tmp_path: Path) -> None:
    before = inputs(shifted)
    assert inputs(shifted) == before
    measurements.write(shifted, "shift", measure(shifted.path, NET, ("shift",)), {})
    assert inputs(shifted) == before
    moved = tmp_path / "moved"
    Path(shifted.path).rename(moved)
    assert inputs(Folder.of(moved)) == before
    seen = {before}
    head = Head("learned", "learned", np.eye(6, dtype=np.float32), np.zeros(6, np.float32), 1.0)
    for change in (
        lambda results: write_head(results, NET, head, IDENTITY | {"checkpoint": "bbbb"}),
        lambda results: learned(results, 6, published_plain=0.5),
        lambda results: show(results, out_set("odd"), [[1, 0, 0, 0, 0, 0]], None),
        lambda results: show(results, ImageSet("pair", "shift", "plain", ("a", "b"), ((0,), (4,))), [[1.0] * 6], [0]),
    ):
        change(Folder.of(moved))
        seen.add(inputs(Folder.of(moved)))
    assert len(seen) == 5


def test_inputs_of_an_empty_folder_say_what_to_run(results: Folder) -> None:
    with pytest.raises(IncompleteRecord, match="No results in"):
        inputs(results)
