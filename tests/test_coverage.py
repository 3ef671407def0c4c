"""Intervals on simulated grids whose truth is known: 30 correlated lineages, three sources, errors of measurement."""

from __future__ import annotations

import pytest
import statsmodels.api as sm
from grids_by_hand import AMONG, OWN, SHARED, SLOPES, WITHIN, grid, true_correlation

from analysis import fits
from analysis.errors_in_variables import corrected_slope
from analysis.intervals import Estimate


def coverage(grids: int) -> dict[str, float]:
    """Share of grids in which a 95 % interval holds the truth, over lineages and as if models were independent."""
    truth, inside = (
        true_correlation(),
        dict.fromkeys(("slope", "difference", "correlation", "naive", "fisher", "mean"), 0),
    )
    inside |= {"noisy": 0, "corrected": 0, "unclustered mean": 0}
    for seed in range(grids):
        frame = grid(seed)
        one = frame[frame["source"] == "a"]
        inside["slope"] += holds(fits.slope(one, "x", "y"), SLOPES["a"])
        difference = fits.slope_difference(frame, "x", "y", by="source", first="a", second="b")
        inside["difference"] += holds(difference, SLOPES["a"] - SLOPES["b"])
        found = fits.correlation(frame, "x", "y", within="source", seed=seed)
        inside["correlation"] += holds(found, truth)
        low, high = fits.fisher(found.estimate, len(frame) - len(SLOPES) + 1)
        inside["fisher"] += low <= truth <= high
        low, high = sm.OLS(one["y"], sm.add_constant(one["x"])).fit().conf_int().loc["x"]
        inside["naive"] += low <= SLOPES["a"] <= high
        inside["mean"] += holds(fits.mean(frame, "x", formula="x"), 0.7)
        low, high = sm.OLS(frame["x"], [1.0] * len(frame)).fit().conf_int().to_numpy()[0]
        inside["unclustered mean"] += low <= 0.7 <= high
        noisy = grid(seed, measured=0.05)
        inside["noisy"] += holds(fits.slope(noisy[noisy["source"] == "a"], "x", "y"), SLOPES["a"])
        inside["corrected"] += holds(corrected_slope(noisy[noisy["source"] == "a"], "x", "y"), SLOPES["a"])
    return {name: count / grids for name, count in inside.items()}


def holds(made: Estimate, truth: float) -> bool:
    assert made.low is not None
    assert made.high is not None
    return made.low <= truth <= made.high


def test_true_correlation_is_that_of_a_large_grid() -> None:
    frame = grid(0, lineages=9_000, per_lineage=2, measured=0.0)
    left = frame[["x", "y"]] - frame.groupby("source")[["x", "y"]].transform("mean")
    assert left.corr().loc["x", "y"] == pytest.approx(true_correlation(), abs=0.01)
    assert (AMONG, SHARED) > (WITHIN, OWN)  # lineages differ more than the models within them


def test_intervals_hold_in_a_few_grids() -> None:
    share = coverage(40)
    for name in ("slope", "difference", "correlation", "mean", "corrected"):
        assert share[name] >= 0.85, share
    for name in ("naive", "fisher", "unclustered mean"):
        assert share[name] < share["slope"], share


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_intervals_hold_in_925_to_975_of_1000_grids() -> None:
    share = coverage(1000)
    for name in ("slope", "difference", "correlation", "mean"):
        assert 0.925 <= share[name] <= 0.975, share
    assert share["corrected"] >= 0.925, share
    for name in ("naive", "fisher", "unclustered mean"):
        assert share[name] < 0.9, share
    assert share["noisy"] < 0.85, share  # an error of x as large as the differences within lineages flattens the line
