"""Every kind of fit against R 4.2: `outside_fits.R` reads `outside_fits.csv`, and `outside_fits.json` is what it said.

The grid is unbalanced on purpose: 14 lineages of one to six models that share errors, three sources across lineages.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from test_outside_fits import DYESTUFF, PHONES

from analysis import equivalence, fits, lines, paired
from analysis.errors_in_variables import corrected_slope, over, york, york_slope
from analysis.intervals import Estimate
from analysis.mixed import mixed_slope, random_intercept
from analysis.resampling import slope as weighted_slope
from analysis.robust import huber_line

HERE = Path(__file__).parent
SCRIPT, DATA, SAID = (HERE / f"outside_fits.{ending}" for ending in ("R", "csv", "json"))
RSCRIPT = shutil.which("Rscript")
PACKAGES = "r-cran-mass r-cran-nlme r-cran-lme4 r-cran-sandwich r-cran-lmtest r-cran-jsonlite"
P_VALUES = [0.001, 0.04, 0.03, 0.2, 0.0004, 0.03, 0.6]
EXACT, SEARCHED, DRAWN = 1e-9, 1e-6, 0.05
"""Relative tolerances: the same algebra; an optimum that both look for; draws of their own."""
LEVELS = {"mixed": SEARCHED, "dyestuff": SEARCHED, "huber": SEARCHED, "huber_logit": SEARCHED,
          "phones": SEARCHED, "effective_robustness": SEARCHED, "drawn_pearson": DRAWN,
          "drawn_pooled_minus_within": DRAWN, "drawn_over": DRAWN}  # fmt: skip


def unbalanced() -> pd.DataFrame:
    """What `outside_fits.csv` holds; to six digits, so that both languages read the same numbers."""
    rng = np.random.default_rng(2024)
    member = np.repeat(np.arange(14), [1, 2, 3, 4, 5, 6, 3, 3, 2, 4, 5, 1, 3, 6])
    shared, own = rng.normal(size=(2, 14))[:, member], rng.normal(size=(3, len(member)))
    x = 0.6 + 0.5 * shared[0] + 0.4 * own[0]
    y = -0.3 + 0.7 * x + 0.3 * shared[1] + 0.2 * own[1]
    errors = rng.uniform(0.01, 0.03, len(member)), rng.uniform(0.01, 0.04, len(member))
    columns = {
        "model": [f"m{number:02d}" for number in range(len(member))], "lineage": [f"l{code:02d}" for code in member],
        "source": np.array(["a", "b", "c"])[member % 3], "x": expit(x), "y": expit(y), "z": own[2],
        "x_std_error": errors[0], "y_std_error": errors[1],
    }  # fmt: skip
    return pd.DataFrame(columns).round(6)


def test_the_stored_grid_is_the_seeded_one() -> None:
    pd.testing.assert_frame_equal(pd.read_csv(DATA), unbalanced(), rtol=0, atol=2e-6)


def _grid() -> pd.DataFrame:
    return pd.read_csv(DATA).set_index("model")


def _single(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~frame["lineage"].duplicated()]


def _named(made: Estimate, *names: str) -> dict[str, float]:
    return {name: asdict(made)[name] for name in names}


def _least_squares(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    is_first = frame["source"] == "a"
    band = lines.band(frame, "x", "y", np.array([0.4, 0.6, 0.8]))
    made = {
        "slope": fits.slope(frame, "x", "y"),
        "slope_within": fits.slope(frame, "x", "y", within="source"),
        "slope_given": fits.slope(frame, "x", "y", given="z"),
        "slope_logit": fits.slope(frame, "x", "y", axis="logit"),
        "slope_probit": fits.slope(frame, "x", "y", axis="probit"),
        "slope_difference": fits.slope_difference(frame, "x", "y", by="source", first="a", second="b"),
        "mean": fits.mean(frame, "y", formula="y"),
    }
    usual = ("estimate", "std_error", "p", "low", "high")
    return {name: _named(each, *usual) for name, each in made.items()} | {
        "contrast": _named(fits.contrast(frame, "y", is_first), *usual, "df"),
        "contrast_given": _named(fits.contrast(frame, "y", is_first, given="z"), *usual, "df"),
        "band": {f"{side}{place + 1}": band[side][place] for side in ("low", "high") for place in range(3)},
    }


def _correlations(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    kinds = {kind: fits.correlation(frame, "x", "y", kind=kind) for kind in ("pearson", "spearman", "kendall")}
    low, high = fits.fisher(kinds["pearson"].estimate, len(frame))
    return {
        "fisher": {"estimate": kinds["pearson"].estimate, "low": low, "high": high},
        "pearson": _named(kinds["pearson"], "estimate", "p"),
        "spearman": _named(kinds["spearman"], "estimate", "p"),
        "kendall": _named(kinds["kendall"], "estimate"),
        "pearson_within": _named(fits.correlation(frame, "x", "y", within="source"), "estimate"),
        "partial_correlation": _named(
            paired.partial_correlation(frame, "x", "y", given=["z", "source"]), "estimate", "low", "high", "p"
        ),
        "drawn_pearson": _named(kinds["pearson"], "std_error", "low", "high"),
    }


def _lines(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    members, baseline = frame["source"] == "a", frame["source"] != "a"
    above = lines.residuals(frame, "x", "y", baseline=baseline)[members]
    robust = lines.effective_robustness(frame, "x", "y", members=members, baseline=baseline)
    errors = [frame[name].to_numpy() for name in ("x", "y", "x_std_error", "y_std_error")]
    (slope,), (intercept,) = huber_line(np.arange(50.0, 74), np.array(PHONES), np.ones((1, 24)))
    told = ("estimate", "low", "high", "p")
    return {
        "york": {"intercept": york(*errors)[1], **_named(york_slope(frame, "x", "y"), *told)},
        "corrected_slope": _named(corrected_slope(frame, "x", "y"), *told),
        "huber": _named(fits.huber_slope(frame, "x", "y"), "estimate"),
        "huber_logit": _named(fits.huber_slope(frame, "x", "y", axis="logit"), "estimate"),
        "phones": {"slope": slope, "intercept": intercept},
        "effective_robustness": {"estimate": robust.estimate, "first": above.iloc[0]},
    }


def _mixed(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    batches = random_intercept(np.ones((30, 1)), np.array(DYESTUFF, dtype=float), np.repeat(np.arange(6), 5))
    return {
        "mixed": _named(mixed_slope(frame, "x", "y"), "estimate", "std_error"),
        "dyestuff": {
            "estimate": batches.coefficients[0],
            "std_error": float(np.sqrt(batches.covariance[0, 0])),
            "among": batches.among,
            "within": batches.within,
        },
    }


def _pairs(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    single = _single(frame)
    changed, usual = paired.change(single, "x", "y"), ("estimate", "low", "high", "p")
    planned = Estimate(0.5, 0.0, 0.0, 0.1, 8, 8, "", "", std_error=1 / np.sqrt(8), df=7)
    families = {"holm": fits.holm(P_VALUES), "benjamini_hochberg": fits.benjamini_hochberg(P_VALUES)}
    return {
        "change": _named(changed, *usual),
        "wins": _named(paired.wins(single, "x", "y"), *usual),
        "equivalent": _named(equivalence.equivalent(changed, 0.1), "p", "low", "high"),
        "detectable": {
            "of_8": equivalence.detectable(1 / np.sqrt(8), 7),
            "of_30": equivalence.detectable(1 / np.sqrt(30), 29, level=0.0025),
        },
        "lineages_needed": {"lineages": equivalence.lineages_needed(planned)},
        **{name: {str(place): p for place, p in enumerate(each, start=1)} for name, each in families.items()},
    }


def _draws(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    made = fits.pooled_minus_within(frame, "x", "y", groups="source")
    errors = {
        name: over(frame, "x", "y", lambda x, y, weights: weighted_slope(x, y, weights), draws_of=name).std_error
        for name in ("both", "images")
    }
    return {
        "pooled_minus_within": _named(made, "estimate"),
        "drawn_pooled_minus_within": _named(made, "std_error", "low", "high"),
        "drawn_over": errors,
    }


@pytest.fixture(scope="module")
def ours() -> dict[str, float]:
    frame = _grid()
    of = [kind(frame) for kind in (_least_squares, _correlations, _lines, _mixed, _pairs, _draws)]
    kinds = {name: each for kind in of for name, each in kind.items()}
    return {f"{name}.{part}": float(value) for name, each in kinds.items() for part, value in each.items()}


THEIRS: dict[str, float] = json.loads(SAID.read_text())["numbers"]


def test_every_number_of_ours_has_one_of_rs(ours: dict[str, float]) -> None:
    assert set(ours) == set(THEIRS)


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_our_number_is_that_of_r(ours: dict[str, float], name: str) -> None:
    level = LEVELS.get(name.split(".")[0], EXACT)
    # Ends of drawn intervals may lie near zero: their distance is held against the width of the interval.
    room = 0.0
    if level == DRAWN and name.endswith(("low", "high")):
        kind = name.rsplit(".", 1)[0]
        room = level * (THEIRS[f"{kind}.high"] - THEIRS[f"{kind}.low"])
        level = 0.0
    assert ours[name] == pytest.approx(THEIRS[name], rel=level, abs=room)


@pytest.mark.slow
@pytest.mark.skipif(RSCRIPT is None, reason=f"no R on this computer; Debian's packages are '{PACKAGES}'")
def test_r_says_again_what_is_stored() -> None:
    done = subprocess.run([str(RSCRIPT), SCRIPT, DATA], capture_output=True, text=True, check=False, timeout=280)
    if "there is no package called" in done.stderr:
        pytest.skip(f"R lacks a package; Debian's are '{PACKAGES}'")
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)["numbers"]
    assert set(numbers) == set(THEIRS)
    for name, value in numbers.items():  # its draws are seeded, its optima depend on the mathematics library
        assert value == pytest.approx(THEIRS[name], rel=1e-7, abs=1e-12), name
