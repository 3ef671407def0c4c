"""The reliability figure: its bins are those that were measured, and its thick lines those of all images together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from simulated import CLEAN, PLANTED, simulate

from analysis import reliability
from analysis.results import NotMeasured, load


def test_bins_are_as_planted(tmp_path: Path) -> None:
    results = load(simulate(tmp_path, lineages=1))
    bins = reliability.bins(results, CLEAN)
    assert set(bins["model"]) == set(results.distinct.index)
    gap = (bins["confidence"] - bins["accuracy"]).groupby(bins["method"])
    assert gap.min()["raw"] == pytest.approx(gap.max()["raw"]) == pytest.approx(PLANTED["too_sure"])
    assert gap.max()["scaled"] == pytest.approx(0)


def test_a_model_counts_by_its_images() -> None:
    rows = pd.DataFrame(
        {
            "series": "WIT", "method": "raw", "subset": ["test-half/bin-15"] * 2 + ["test-half/bin-14"],
            "confidence": [0.95, 0.97, 0.9], "accuracy": [0.8, 0.9, 0.7], "n": [30, 10, 5],
        }
    )  # fmt: skip
    whole = reliability.together(rows).set_index("subset")
    assert whole.loc["test-half/bin-15", "accuracy"] == pytest.approx((0.8 * 30 + 0.9 * 10) / 40)
    assert whole.loc["test-half/bin-15", "confidence"] == pytest.approx((0.95 * 30 + 0.97 * 10) / 40)
    assert whole.loc["test-half/bin-14", "accuracy"] == pytest.approx(0.7)


def test_bins_of_few_images_are_not_drawn_but_counted(tmp_path: Path) -> None:
    results = load(simulate(tmp_path, lineages=1))
    rows = results.measurements
    few = (rows["subset"] == "test-half/bin-08") & (rows["model"] == results.models.index[0])
    results.measurements.loc[few, "n"] = reliability.FEW - 1
    spec = reliability.curves(results).to_dict()
    drawn = pd.DataFrame(spec["datasets"][spec["data"]["name"]])
    by_model = drawn[drawn["kind"] == "model"].groupby("model").size()
    assert by_model[results.models.index[0]] == 2 * 7
    assert set(by_model.drop(results.models.index[0])) == {2 * 8}
    assert set(drawn.loc[drawn["kind"] == "line"].groupby(["series", "panel"]).size()) == {8}


def test_without_bins_the_sentence_says_how_to_make_them(tmp_path: Path) -> None:
    results = load(simulate(tmp_path, lineages=1))
    with pytest.raises(NotMeasured, match="python -m studies calibration"):
        reliability.bins(results, "far")
