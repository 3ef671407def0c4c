"""Fits against other people's numbers: published worked examples, R's printed output, scipy and statsmodels.

R's numbers here are as printed in the manuals and papers named beside them; the data are theirs. What R itself says to
every kind of fit is in `test_against_r.py`.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from analysis import cautions, equivalence, fits, paired
from analysis.errors_in_variables import corrected_slope, over, york, york_slope
from analysis.intervals import Estimate, TooLittle
from analysis.mixed import mixed_slope, random_intercept
from analysis.resampling import kendall, pearson, slope
from analysis.robust import huber_line

PHONES = [4.4, 4.7, 4.7, 5.9, 6.6, 7.3, 8.1, 8.8, 10.6, 12.0, 13.5, 14.9, 16.1, 21.2, 119, 124, 142, 159, 182, 212, 43,
          24, 27, 29]  # fmt: skip
DYESTUFF = [1545, 1440, 1440, 1520, 1580, 1540, 1555, 1490, 1560, 1495, 1595, 1550, 1605, 1510, 1560, 1445, 1440, 1595,
            1465, 1545, 1595, 1630, 1515, 1635, 1625, 1520, 1455, 1450, 1480, 1445]  # fmt: skip
PEARSON_X = np.array([0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4])
PEARSON_Y = np.array([5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5])
YORK_X = 1 / np.sqrt([1000, 1000, 500, 800, 200, 80, 60, 20, 1.8, 1])
YORK_Y = 1 / np.sqrt([1, 1.8, 4, 8, 20, 20, 70, 70, 100, 500])


def grid(seed: int = 0, *, lineages: int = 12, per_lineage: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(lineages), per_lineage)
    x = rng.normal(size=lineages)[member] + rng.normal(size=len(member))
    y = 0.5 * x + rng.normal(size=lineages)[member] + rng.normal(size=len(member))
    columns = {"x": x, "y": y, "z": rng.normal(size=len(x)), "lineage": [f"l{code}" for code in member]}
    frame = pd.DataFrame(columns, index=[f"m{number}" for number in range(len(x))])
    return frame.assign(x_std_error=0.1, y_std_error=0.2)


def test_huber_line_is_that_of_rlm_on_the_belgian_phone_calls() -> None:
    """Venables & Ripley 2002, section 6.5: ``rlm(calls ~ year, phones, maxit = 50)``.

    R stops when residuals change by less than one part in 10,000 in a step, ours when the line does by 1e-9.
    """
    slopes, intercepts = huber_line(np.arange(50.0, 74), np.array(PHONES), np.ones((1, 24)))
    assert slopes[0] == pytest.approx(2.0414, rel=1e-3)
    assert intercepts[0] == pytest.approx(-102.6222, rel=1e-3)
    frame = grid()
    theirs = sm.RLM(frame["y"], sm.add_constant(frame["x"]), M=sm.robust.norms.HuberT()).fit(maxiter=500, tol=1e-12)
    assert fits.huber_slope(frame, "x", "y").estimate == pytest.approx(theirs.params["x"], abs=1e-6)


def test_mixed_model_is_that_of_lme4_on_the_dyestuff_data() -> None:
    """Bates et al. 2015 (doi:10.18637/jss.v067.i01) and lme4's manual: ``lmer(Yield ~ 1 + (1 | Batch), Dyestuff)``."""
    made = random_intercept(np.ones((30, 1)), np.array(DYESTUFF, dtype=float), np.repeat(np.arange(6), 5))
    assert made.coefficients[0] == pytest.approx(1527.5, abs=1e-6)
    assert np.sqrt(made.covariance[0, 0]) == pytest.approx(19.38, abs=0.005)
    assert (made.among, made.within) == pytest.approx((1764.05, 2451.25), abs=0.01)


def test_mixed_slope_is_that_of_statsmodels() -> None:
    frame = grid(3)
    theirs = sm.MixedLM(frame["y"], sm.add_constant(frame["x"]), groups=frame["lineage"]).fit(reml=True)
    made = mixed_slope(frame, "x", "y")
    assert made.estimate == pytest.approx(theirs.params["x"], abs=1e-5)
    assert made.std_error == pytest.approx(theirs.bse["x"], rel=1e-3)
    assert made.low == pytest.approx(made.estimate - stats.t.ppf(0.975, 11) * made.std_error)
    assert "% of the variance" in made.note
    alone = frame.assign(lineage=frame.index)
    assert mixed_slope(alone, "x", "y").note == "No interval: a lineage for each model."


def test_lineages_that_share_nothing_give_least_squares() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(5), 4)
    y = np.tile([1.0, -1.0, 2.0, -2.0], 5) + 1e-3 * rng.normal(size=20)  # every lineage has the same mean
    made = random_intercept(np.ones((20, 1)), y, codes)
    assert made.among == 0
    assert made.covariance[0, 0] == pytest.approx(y.var(ddof=1) / 20)


def test_york_is_the_published_answer_to_pearsons_data() -> None:
    """York et al. 2004 (doi:10.1119/1.1632486), section IV: Pearson's data (1901) with York's weights (1966)."""
    assert york(PEARSON_X, PEARSON_Y, YORK_X, YORK_Y) == pytest.approx((-0.480533407, 5.47991022), abs=1e-8)


def test_deming_is_the_closed_form_and_the_nearest_line() -> None:
    """Equal errors: Deming 1943, the closed form; and least squares over the true places of all points."""
    frame, ratio = grid(4), 4.0  # variance of y's error over that of x's
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    sxx, syy, sxy = np.var(x), np.var(y), np.cov(x, y, ddof=0)[0, 1]
    closed = (syy - ratio * sxx + np.sqrt((syy - ratio * sxx) ** 2 + 4 * ratio * sxy**2)) / (2 * sxy)
    made = york_slope(frame, "x", "y")
    assert made.estimate == pytest.approx(closed, abs=1e-9)

    def away(guess: np.ndarray) -> np.ndarray:
        line, places = guess[:2], guess[2:]
        return np.concatenate([(x - places) / 0.1, (y - line[0] * places - line[1]) / 0.2])

    nearest = optimize.least_squares(away, np.concatenate([[0.5, 0.0], x]), xtol=1e-14, ftol=1e-14)
    assert made.estimate == pytest.approx(nearest.x[0], abs=1e-6)
    with pytest.raises(TooLittle, match="above 0"):
        york_slope(frame.assign(x_std_error=0.0), "x", "y")


def test_corrected_slope_finds_what_least_squares_flatten() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(size=20_000)
    frame = pd.DataFrame({"x": true + 0.7 * rng.normal(size=20_000), "y": 0.5 * true + rng.normal(size=20_000)})
    frame = frame.assign(x_std_error=0.7, y_std_error=0.0, lineage=[f"l{number % 20}" for number in range(20_000)])
    assert fits.slope(frame, "x", "y").estimate == pytest.approx(0.5 / 1.49, abs=0.02)
    made = corrected_slope(frame, "x", "y")
    assert made.estimate == pytest.approx(0.5, abs=0.02)
    assert made.low < 0.5 < made.high
    with pytest.raises(TooLittle, match="no more than its standard errors"):
        corrected_slope(frame.assign(x_std_error=3.0), "x", "y")


def test_kendall_is_that_of_scipy_with_ties_and_weights() -> None:
    frame = grid(5).round(0)
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    times = np.random.default_rng(0).integers(0, 4, size=len(x))
    expected = stats.kendalltau(np.repeat(x, times), np.repeat(y, times)).statistic
    assert kendall(x, y, times[None].astype(float))[0] == pytest.approx(expected, abs=1e-12)
    assert fits.correlation(frame, "x", "y", kind="kendall").estimate == pytest.approx(stats.kendalltau(x, y).statistic)
    with pytest.raises(ValueError, match="pearson, spearman, kendall"):
        fits.correlation(frame, "x", "y", kind="cosine")


def test_partial_correlation_is_that_of_the_inverse_correlation_matrix() -> None:
    """Whittaker 1990, section 5.8: minus the scaled entry of the precision matrix."""
    frame = grid(6)
    inverse = np.linalg.inv(np.corrcoef(frame[["x", "y", "z"]].to_numpy().T))
    made = paired.partial_correlation(frame, "x", "y", given=["z"])
    assert made.estimate == pytest.approx(-inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1]), abs=1e-12)
    assert -1 < made.low < made.estimate < made.high < 1
    groups = frame.assign(source=["a", "b", "c"] * 16)
    within = fits.correlation(groups, "x", "y", within="source").estimate
    assert paired.partial_correlation(groups, "x", "y", given=["source"]).estimate == pytest.approx(within, abs=1e-12)
    with pytest.raises(TooLittle, match="too few"):
        paired.partial_correlation(frame.head(3), "x", "y", given=["z"])


def test_pairs_are_scipys_when_every_model_is_a_lineage() -> None:
    frame = grid(7, per_lineage=1)
    theirs = stats.ttest_rel(frame["y"], frame["x"])
    made = paired.change(frame, "x", "y")
    assert made.estimate == pytest.approx((frame["y"] - frame["x"]).mean(), abs=1e-12)
    # The jackknife divides by n where the variance of a mean divides by n - 1, and multiplies by n - 1 over n.
    assert made.p == pytest.approx(theirs.pvalue, rel=1e-9)
    share = paired.wins(frame, "x", "y")
    assert share.estimate == pytest.approx((frame["y"] > frame["x"]).mean() - 0.5)


def test_equivalence_is_the_published_example_and_scipys() -> None:
    """Lakens 2017 (doi:10.1177/1948550617697177), on Moon et al. 1993: t(182) = -2.69, p = .004."""
    sd = np.sqrt((0.95**2 + 0.83**2) / 2)
    error = np.sqrt(0.95**2 / 95 + 0.83**2 / 89)
    made = Estimate(5.25 - 5.22, 0.0, 0.0, None, 184, 184, "Welch", "chinese - american", std_error=error, df=182)
    tested = equivalence.equivalent(made, 0.43 * sd)
    assert (made.estimate - 0.43 * sd) / error == pytest.approx(-2.69, abs=0.01)
    assert tested.p == pytest.approx(0.004, abs=0.0005)
    frame = grid(8, per_lineage=1)
    mean = fits.mean(frame, "y", formula="y")
    sides = [
        stats.ttest_1samp(frame["y"], -1, alternative="greater"),
        stats.ttest_1samp(frame["y"], 1, alternative="less"),
    ]
    assert equivalence.equivalent(mean, 1.0).p == pytest.approx(max(side.pvalue for side in sides), rel=1e-9)
    with pytest.raises(ValueError, match="A margin of 0"):
        equivalence.equivalent(mean, 0)
    with pytest.raises(TooLittle, match="No interval: 2 lineages"):
        equivalence.equivalent(fits.mean(frame.head(2), "y", formula="y"), 1.0)


def test_power_is_that_of_statsmodels() -> None:
    for n, level, power in ((8, 0.05, 0.8), (12, 0.0025, 0.8), (30, 0.05, 0.9)):
        size = TTestPower().solve_power(nobs=n, alpha=level, power=power)
        made = equivalence.detectable(1 / np.sqrt(n), n - 1, level=level, power=power)
        assert made == pytest.approx(size, rel=1e-3)
    made = Estimate(0.5, 0.0, 0.0, 0.1, 8, 8, "", "", std_error=1 / np.sqrt(8), df=7)
    needed = TTestPower().solve_power(effect_size=0.5, alpha=0.05, power=0.8)
    assert equivalence.lineages_needed(made) == int(np.ceil(needed))


def test_benjamini_hochberg_is_that_of_statsmodels() -> None:
    values = [0.001, 0.04, 0.03, 0.2, 0.0004, 0.03]
    assert fits.benjamini_hochberg(values) == pytest.approx(list(multipletests(values, method="fdr_bh")[1]), abs=1e-15)
    assert fits.benjamini_hochberg([]) == []


def test_draws_of_images_and_of_lineages_make_an_interval_wider_together() -> None:
    frame = grid(9).assign(x_std_error=0.3, y_std_error=0.3)
    width = {}
    for name in ("lineages", "images", "both"):
        made = over(frame, "x", "y", lambda x, y, weights: slope(x, y, weights), draws_of=name, draws=400)
        width[name] = made.std_error
        assert made.estimate == pytest.approx(fits.slope(frame, "x", "y").estimate, abs=1e-12)
    assert width["both"] > max(width["images"], width["lineages"])
    still = frame.assign(x_std_error=0.0, y_std_error=0.0)
    made = over(still, "x", "y", lambda x, y, weights: pearson(x, y, weights), draws_of="images", draws=50)
    assert made.low == made.high == pytest.approx(made.estimate)
    with pytest.raises(ValueError, match="No draws of 'pixels'"):
        over(frame, "x", "y", lambda x, y, weights: slope(x, y, weights), draws_of="pixels")


def test_cautions_say_what_is_wrong_with_a_fit() -> None:
    frame = grid(10, lineages=12)
    groups = frame.assign(group=["a"] * 24 + ["b"] * 24)
    groups["y"] = -groups["x"] + groups["group"].map({"a": 0.0, "b": 40.0})
    groups["x"] += groups["group"].map({"a": 0.0, "b": 20.0})
    made = fits.slope(groups, "x", "y")
    assert "signs disagree (Simpson)" in cautions.of_models(made, groups, "x", "y", groups="group").note
    assert cautions.of_models(made, frame, "x", "y").note == ""
    twice = frame.copy()
    twice.loc["m1", ["x", "y"]] = twice.loc["m0", ["x", "y"]]
    assert "'m0', 'm1' agree in every digit" in cautions.of_models(made, twice, "x", "y").note
    full = frame.assign(x=np.linspace(0.9, 1.0, len(frame)), y=0.5 + 0.01 * frame["y"])
    assert "'x' is saturated: 19 %" not in cautions.of_models(made, full, "x", "y").note
    full = full.assign(x=np.linspace(0.95, 1.0, len(frame)))
    assert "'x' is saturated: 40 %" in cautions.of_models(made, full, "x", "y").note
    far = frame.copy()
    far.loc[far["lineage"] == "l0", ["x", "y"]] = [50.0, -50.0]
    assert "Lineage 'l0' carries it" in cautions.of_lineages(fits.slope(far, "x", "y")).note
    few = fits.mean(grid(11, lineages=5), "y", formula="y")
    assert "Only 5 lineages" in cautions.of_lineages(few).note


def test_deming_is_that_of_scipys_odr() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        odr = pytest.importorskip("scipy.odr", reason="scipy has taken odr out")
    frame = grid(12)
    data = odr.RealData(frame["x"], frame["y"], sx=0.1, sy=0.2)
    found = odr.ODR(data, odr.unilinear, beta0=[0.5, 0.0], sstol=1e-14, partol=1e-14).run()
    assert york_slope(frame, "x", "y").estimate == pytest.approx(found.beta[0], abs=1e-6)
