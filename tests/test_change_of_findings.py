"""The interval of a finding's change: scipy's where scipy has one, and its coverage on simulated pairs of studies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import fits
from analysis.compare import change_of
from analysis.findings import Finding

CHANGE, TILT, NOISE = 0.2, 0.06, 0.06
LEAST = 0.925


def study(rng: np.random.Generator, lineages: int, tag: str) -> pd.DataFrame:
    """True numbers of models in lineages of two to four; ``own`` is how each lineage takes a change."""
    member = np.repeat(np.arange(lineages), rng.integers(2, 5, size=lineages))
    shared, own = rng.normal(size=(3, lineages))[:, member], rng.normal(size=(2, len(member)))
    x = 0.7 * shared[0] + 0.7 * own[0]
    columns = {"x": x, "y": 0.5 * x + 0.4 * shared[1] + 0.4 * own[1], "own": 0.1 * shared[2]}
    names = {"lineage": [f"{tag}{code:02d}" for code in member], "group": np.where(member % 2, "a", "b")}
    return pd.DataFrame(columns | names, index=[f"{tag}-{number}" for number in range(len(member))])


def measured(true: pd.DataFrame, rng: np.random.Generator, *, changed: bool) -> pd.DataFrame:
    """A study of these models: each measured with an error of its own, after a change or before it."""
    moved = true["y"] + changed * (CHANGE + true["own"] + TILT * true["x"])
    noise = NOISE * rng.normal(size=(2, len(true)))
    return true.assign(x=true["x"] + noise[0], y=moved + noise[1])


def pair(seed: int, design: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two studies, now and before: of the same models, with lineages that only one of them has, or of other models."""
    rng = np.random.default_rng(seed)
    here = there = study(rng, 12, "l")
    if design == "more":
        here = pd.concat([here, study(rng, 4, "n")])
    if design == "apart":
        here = study(rng, 16, "k")
    return measured(here, rng, changed=True), measured(there, rng, changed=False)


def numbers(frame: pd.DataFrame) -> dict[str, Finding]:
    made = {
        "mean": fits.mean(frame, "y", formula="y"),
        "slope": fits.slope(frame, "x", "y"),
        "contrast": fits.contrast(frame, "y", frame["group"] == "a"),
        "pearson": fits.correlation(frame, "x", "y"),
        "spearman": fits.correlation(frame, "x", "y", kind="spearman"),
    }
    return {name: Finding.of(name, each, unit="slope") for name, each in made.items()}


def truth() -> dict[str, float]:
    """The changes that were planted; those of the correlations from 30,000 lineages."""
    now, before = (measured(study(np.random.default_rng(0), 30_000, "l"), np.random.default_rng(1), changed=changed)
                   for changed in (True, False))  # fmt: skip
    ranks = {
        kind: now["x"].corr(now["y"], kind) - before["x"].corr(before["y"], kind) for kind in ("pearson", "spearman")
    }
    return {"mean": CHANGE, "slope": TILT / (1 + NOISE**2 / 0.98), "contrast": 0.0, **ranks}


def coverage(design: str, pairs: int) -> dict[str, float]:
    """Share of pairs of studies whose 95 % interval of the change holds the true one."""
    true = truth()
    inside = dict.fromkeys(true, 0)
    for seed in range(pairs):
        now, before = (numbers(frame) for frame in pair(seed, design))
        for name in inside:
            made = change_of(now[name], before[name])
            assert made.low is not None
            assert made.high is not None
            inside[name] += made.low <= true[name] <= made.high
    return {name: count / pairs for name, count in inside.items()}


@pytest.mark.parametrize("design", ["same", "more", "apart"])
def test_intervals_of_changes_hold_in_a_few_pairs(design: str) -> None:
    share = coverage(design, 20)
    assert min(share.values()) >= 0.7, share


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("design", ["same", "more", "apart"])
def test_intervals_of_changes_hold_in_at_least_925_of_1000_pairs(design: str) -> None:
    share = coverage(design, 1000)
    # With lineages that one study alone has they are too wide, and hold 99 %: see change_of.
    assert design == "more" or all(share[name] <= 0.975 for name in ("mean", "slope")), share
    assert min(share.values()) >= LEAST, share  # with Satterthwaite's fewer degrees of freedom contrasts hold more


def test_pairs_and_other_models_are_scipys_when_every_model_is_a_lineage() -> None:
    now, before = (frame[~frame["lineage"].duplicated()] for frame in pair(0, "same"))
    made = change_of(numbers(now)["mean"], numbers(before)["mean"])
    theirs = stats.ttest_rel(now["y"], before["y"])
    assert (made.low, made.high) == pytest.approx(tuple(theirs.confidence_interval()), rel=1e-9)
    assert made.p == pytest.approx(theirs.pvalue, rel=1e-9)
    other, before = (frame[~frame["lineage"].duplicated()] for frame in pair(0, "apart"))
    made = change_of(numbers(other)["mean"], numbers(before)["mean"])
    welch = stats.ttest_ind(other["y"], before["y"], equal_var=False)
    assert (made.low, made.high) == pytest.approx(tuple(welch.confidence_interval()), rel=1e-9)
    assert made.df == pytest.approx(welch.df, rel=1e-9)
    assert made.lineages == 28


def test_what_the_models_share_makes_the_interval_narrower() -> None:
    now, before = (numbers(frame)["slope"] for frame in pair(1, "same"))
    made = change_of(now, before)
    assert made.std_error is not None
    assert now.std_error is not None
    assert made.std_error < now.std_error / 2
    renamed = replace(before, without=tuple((f"other {name}", value) for name, value in before.without))
    apart = change_of(now, renamed)
    assert apart.std_error == pytest.approx(np.hypot(now.std_error, before.std_error), rel=1e-12)


def test_a_lineage_of_one_study_alone_counts_once() -> None:
    now, before = (numbers(frame)["mean"] for frame in pair(2, "more"))
    made = change_of(now, before)
    only = [value - now.estimate for name, value in now.without if name.startswith("n")]
    kept = dict(made.without)
    assert [kept[name] - made.estimate for name, _ in now.without if name.startswith("n")] == pytest.approx(only)
    assert made.lineages == 16
    assert made.df == 11


def test_a_study_that_is_the_same_to_rounding_has_not_changed() -> None:
    frame = pair(3, "same")[0]
    again = frame.assign(y=frame["y"] + 1e-12)
    for name, before in numbers(frame).items():
        for made in (change_of(numbers(again)[name], before), change_of(before, before)):
            assert (made.estimate, made.low, made.high, made.p) == (0, 0, 0, 1), name


def test_without_an_interval_on_one_side_there_is_none_of_the_change() -> None:
    now, before = pair(4, "same")
    few = numbers(before[before["lineage"].isin(["l00", "l01"])])
    for name, each in few.items():
        made = change_of(numbers(now)[name], each)
        assert (made.low, made.p, made.std_error) == (None, None, None)
        assert made.note.startswith("No interval of the change. Before: No interval: "), made.note
