"""Prompt sets, and what they change: the draws, the pairing against scipy and DeLong's own formula, coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from results_by_hand import NET, clean_set, out_set, record, show, zero_shot
from scipy import stats

from engine import predictions
from engine.predictions import Folder, ImageSet, IncompleteRecord
from engine.prompts import OPENAI80, PROMPTS
from studies import calibration, estimates, factors, metrics, ood, outcomes, prompts, separations, shape, shift
from studies.detection import Sample, Separation
from studies.estimates import Estimate, Site
from studies.measurements import Measurement

PINNED = [1, 37, 50, 61, 63]
HEADS = ("openai80", "name", "photo")
CLASSES, WIDTH = 5, 8


def _unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    drawn = rng.normal(size=shape)
    return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    """A zero-shot model with three heads, near each other, on sets of every role."""
    folder, rng = Folder.of(tmp_path / "results"), np.random.default_rng(0)
    texts = _unit(rng, CLASSES, WIDTH)
    heads = {name: (texts + 0.15 * _unit(rng, CLASSES, WIDTH) * (name != "openai80")).tolist() for name in HEADS}
    zero_shot(folder, heads, scale=20.0)

    def seen(labels: list[int]) -> list[list[float]]:
        mixed = texts[labels] + 1.0 * _unit(rng, len(labels), WIDTH)
        return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).tolist()

    labels = [number % CLASSES for number in range(300)]
    kinds = ["pose" if number % 3 else "colour" for number in range(300)]
    marks = {"top_factor": kinds, "factors": [[kind] for kind in kinds], "prototype": [False] * 300}
    show(folder, clean_set(CLASSES), seen(labels), labels, **marks)
    show(folder, ImageSet("part", "shift", "plain", ("a", "b"), ((0,), (3,))), seen([0, 3] * 40), [0, 1] * 40)
    show(folder, out_set("odd"), _unit(rng, 120, WIDTH).tolist(), None)
    cues = ImageSet("cues", "conflict", "plain", ("a", "b", "c"), ((0,), (3,), (1, 2)))
    show(folder, cues, seen([0, 3, 1, 3, 1, 0] * 15), [0, 1, 2] * 30, texture=[1, 2, 0] * 30)
    return folder


def test_draws_are_of_the_80_and_always_the_same() -> None:
    draws = {name: texts for name, texts in PROMPTS.items() if name.startswith("random")}
    assert [(name, len(draws[name])) for name in sorted(draws)] == [
        ("random30-0", 30), ("random30-1", 30), ("random30-2", 30),
        ("random5-0", 5), ("random5-1", 5), ("random5-2", 5),
    ]  # fmt: skip
    for texts in draws.values():
        assert set(texts) < set(OPENAI80)
        assert len(set(texts)) == len(texts)
    assert len(set(draws.values())) == 6
    assert [OPENAI80.index(text) for text in draws["random5-0"]] == PINNED


def test_every_measurement_is_taken_under_every_head(results: Folder) -> None:
    found = list(prompts.measure(record(results)))
    assert len({(row.head, *row_key(row)) for row in found}) == len(found)
    for head in HEADS:
        under = record(results).under(head)
        parts = (shift.measure, ood.measure, calibration.measure, factors.measure, shape.measure)
        own = [row for part in parts for row in part(under) if row.metric not in calibration.CURVE]
        expected = {
            (row.image_set, row.subset, row.metric, f"{row.study}:{row.method}".rstrip(":")): row for row in own
        }
        plain = {row_key(row): row for row in found if row.head == head and not row.metric.endswith("_difference")}
        assert set(plain) - set(expected) == {("plain", "annotated", "mean_factor_top1", "factors:top")}
        for key, row in expected.items():
            assert (plain[key].value, plain[key].std_error, plain[key].n) == (row.value, row.std_error, row.n)


def row_key(row: Measurement) -> tuple[str, str, str, str]:
    return row.image_set, row.subset, row.metric, row.method


def test_nothing_is_carried_but_the_table(results: Folder) -> None:
    assert not any(row.influences for row in prompts.measure(record(results)))


def _differences(results: Folder, head: str) -> dict[tuple[str, str, str, str], Measurement]:
    rows = prompts.measure(record(results))
    return {row_key(row): row for row in rows if row.head == head and row.metric.endswith("_difference")}


def test_differences_of_means_are_scipys_paired_ones(results: Folder) -> None:
    """The paired t-test divides the mean difference by its error; of two accuracies that is McNemar's, to order 1/n."""
    found = _differences(results, "name")
    mine, theirs = (record(results).predictions("plain", head) for head in ("name", "openai80"))
    hits = [metrics.hits(each.logits, each.labels).astype(float) for each in (mine, theirs)]
    row = found["plain", "all", "top1_difference", "shift:full"]
    assert row.value == pytest.approx(hits[0].mean() - hits[1].mean(), abs=1e-12)
    assert row.value / row.std_error == pytest.approx(stats.ttest_rel(*hits).statistic)
    gained, lost = (int((hits[first] > hits[1 - first]).sum()) for first in (0, 1))
    mcnemar = (gained - lost) / np.sqrt(gained + lost)
    assert row.value / row.std_error == pytest.approx(mcnemar, rel=0.05)
    part = [record(results).predictions("part", head).on(((0,), (3,))) for head in ("name", "openai80")]
    losses = [metrics.log_losses(metrics.log_softmax(each.logits), each.labels) for each in part]
    row = found["part", "all", "nll_difference", "calibration:raw"]
    assert row.value / row.std_error == pytest.approx(stats.ttest_rel(*losses).statistic, rel=1e-5)


def test_differences_of_aurocs_are_delongs(results: Folder) -> None:
    """The paired form of DeLong et al. 1988, from every pair of images one by one."""
    placed = []
    for head in ("name", "openai80"):
        known, out = (record(results).predictions(name, head).logits.max(axis=1) for name in ("plain", "odd"))
        wins = (known[:, None] > out) + 0.5 * (known[:, None] == out)
        placed.append((wins.mean(axis=1), wins.mean(axis=0)))
    of_known, of_out = (placed[0][kind] - placed[1][kind] for kind in (0, 1))
    error = np.sqrt(of_known.var(ddof=1) / len(of_known) + of_out.var(ddof=1) / len(of_out))
    row = _differences(results, "name")["odd", "all", "auroc_difference", "ood:max_logit"]
    assert row.value == pytest.approx(of_known.mean(), abs=1e-9)
    assert row.std_error == pytest.approx(error, rel=1e-5)


def test_shape_bias_and_error_ratio_are_paired_although_they_rest_on_other_decisions(results: Folder) -> None:
    found = _differences(results, "name")
    cues = [row for key, row in found.items() if key[2] == "shape_bias_difference"]
    ratios = [row for key, row in found.items() if key[2] == "error_ratio_difference"]
    assert any(row.std_error for row in cues)
    assert any(row.std_error for row in ratios)


def test_without_influences_a_difference_has_no_error() -> None:
    first, second = (Measurement("s", NET, "h", "plain", "all", "m", "", value, 0.1, 9) for value in (0.75, 0.5))
    found = prompts.difference(first, second)
    assert (found.metric, found.value, found.std_error, found.n) == ("m_difference", 0.25, None, 9)


@pytest.mark.parametrize("metric", ["top1", "auroc", "nll", "shape_bias"])
def test_intervals_of_differences_cover(metric: str) -> None:
    """Two heads on the same images, drawn 600 times: 95 % intervals hold the true difference 95 times in 100."""
    rng, held, draws = np.random.default_rng(0), 0, 600
    drawn = [_pair(rng, metric, 300) for _ in range(draws)]
    true = np.mean([_pair(rng, metric, 20_000).value for _ in range(40)])
    held = sum(abs(row.value - true) < 1.96 * row.std_error for row in drawn)  # type: ignore[operator]
    assert 0.93 < held / draws < 0.97


def _pair(rng: np.random.Generator, metric: str, n: int) -> Measurement:
    """A difference of two heads whose scores share most of their noise."""
    site = Site("shift", NET, "name", "plain", "all", "full")
    labels = rng.integers(3, size=n)
    shared = rng.normal(size=(n, 3)) + 1.2 * np.eye(3)[labels]
    logits = [shared + rng.normal(scale=scale, size=(n, 3)) for scale in (0.8, 0.4)]
    out = rng.normal(size=n // 2)
    made: dict[str, list[Estimate]] = {
        "top1": [estimates.top_k(each.astype(np.float32), labels) for each in logits],
        "nll": [outcomes.nll(outcomes.outcomes(each.astype(np.float32), labels)) for each in logits],
        "auroc": [
            separations.auroc(
                Separation.of(Sample.of(each.max(axis=1)), out + rng.normal(scale=0.1, size=n // 2))
            )
            for each in logits
        ],
        "shape_bias": [estimates.shape_bias(each.argmax(axis=1), labels, (labels + 1) % 3) for each in logits],
    }  # fmt: skip
    rows = [row for found in made[metric] for row in site.measure(metric, lambda same: same, found)]
    return prompts.difference(rows[0], rows[1])


def test_features_are_read_once_for_all_heads(results: Folder) -> None:
    shown = record(results)
    before = shown.under("photo").predictions("plain").logits
    (results / "features" / "plain" / NET).clear()
    np.testing.assert_array_equal(shown.under("photo").predictions("plain").logits, before)
    assert len(shown.under("name").predictions("plain")) == 300


def test_features_without_room_are_read_again(results: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "KEPT_BYTES", 0)
    shown = record(results)
    shown.predictions("plain")
    (results / "features" / "plain" / NET).clear()
    with pytest.raises(IncompleteRecord):
        shown.under("name").predictions("plain")
