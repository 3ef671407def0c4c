"""Fits against scipy, statsmodels, published reference answers, and simulated grids whose answers are known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis import fits, lines
from analysis.explore import correlate, regress
from analysis.findings import Finding, decide, judge
from analysis.fits import TooLittle
from analysis.resampling import bootstrap, draw, jackknife, kendall, lineage_codes, pearson, slope, spearman
from analysis.robust import huber_line

REFERENCE = Path(os.environ.get("REFERENCE_DATA", Path(__file__).parents[2] / "shared/reference/data"))
EXACT = 1e-8
"""The reference answers were computed twice, and agree with each other to 1e-9."""
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"no reference data in {REFERENCE}; set REFERENCE_DATA to its folder"
)


def grid(
    seed: int, *, lineages: int = 30, per_lineage: int = 4, true_slope: float = 0.5, shared: float = 1.0
) -> pd.DataFrame:
    """Models of correlated lineages: both x and the error have a part that the lineage shares."""
    rng = np.random.default_rng(seed)
    lineage = np.repeat(np.arange(lineages), per_lineage)
    x = rng.normal(size=lineages)[lineage] + 0.5 * rng.normal(size=len(lineage))
    error = shared * rng.normal(size=lineages)[lineage] + 0.5 * rng.normal(size=len(lineage))
    frame = pd.DataFrame({"x": x, "y": true_slope * x + error, "lineage": [f"l{code}" for code in lineage]})
    return frame.set_index("m" + frame.index.astype(str))


def published() -> list[tuple[str, pd.DataFrame, pd.Series]]:
    """Every row of the two tables of reference answers, with the models that it is about."""
    if not REFERENCE.is_dir():
        return []
    answers = REFERENCE / "reference_answers"
    timm = pd.read_csv(answers / "timm_joined_top1.csv")
    shares = ["imagenet", "a", "a_clean", "r", "r_clean", "real", "v2", "sketch"]
    timm[shares] /= 100
    best = timm.sort_values(["imagenet", "img_size"], ascending=[False, True]).drop_duplicates("model")
    scopes = {"all_rows": timm, "one_row_per_model": best}
    cases = []
    for _, row in pd.read_csv(answers / "timm_shift_correlations.csv").iterrows():
        scope = scopes["all_rows" if row["scope"] == "all_rows" else "one_row_per_model"]
        cases.append((f"timm {row['scope']} {row['x']} {row['y']} {row['group']}", scope, row))
    groups = pd.read_csv(answers / "openclip_groups.csv")[["name", "pretrained", "group"]]
    open_clip = pd.read_csv(REFERENCE / "open_clip" / "openclip_results.csv").merge(groups, on=["name", "pretrained"])
    for _, row in pd.read_csv(answers / "openclip_shift_correlations.csv").iterrows():
        cases.append((f"open_clip {row['x']} {row['y']} {row['group']}", open_clip, row))
    return cases


@needs_reference
def test_every_published_correlation_and_line_is_met() -> None:
    cases = published()
    assert len(cases) == 70 + 98
    for name, table, row in cases:
        frame = table if row["group"] == "ALL" else table[table["group"] == row["group"]]
        frame = frame.dropna(subset=[row["x"], row["y"]]).reset_index(drop=True).assign(lineage=lambda each: each.index)
        x, y, ones = frame[row["x"]].to_numpy(), frame[row["y"]].to_numpy(), np.ones((1, len(frame)))
        assert len(frame) == row["n"], name
        if pd.isna(row["pearson"]):  # two models
            with pytest.raises(TooLittle):
                fits.correlation(frame, row["x"], row["y"])
            continue
        assert pearson(x, y, ones)[0] == pytest.approx(row["pearson"], abs=EXACT), name
        assert spearman(x, y, ones)[0] == pytest.approx(row["spearman"], abs=EXACT), name
        assert kendall(x, y, ones)[0] == pytest.approx(row["kendall_tau_b"], abs=EXACT), name
        if len(frame) > 3:
            interval = (row["pearson_ci95_lo"], row["pearson_ci95_hi"])
            assert fits.fisher(row["pearson"], len(frame)) == pytest.approx(interval, abs=EXACT), name
        for axis, prefix in {"fraction": "ols", "logit": "logit", "probit": "probit"}.items():
            if pd.isna(row[f"{prefix}_slope"]):
                continue
            moved = fits.on_axis(frame, (row["x"], row["y"]), axis)
            fitted = fits.slope(frame, row["x"], row["y"], axis=axis)
            at_zero = lines.band(moved, row["x"], row["y"], np.zeros(1))[row["y"]].item()
            ones = np.ones((1, len(moved)))
            explained = pearson(moved[row["x"]].to_numpy(), moved[row["y"]].to_numpy(), ones)[0] ** 2
            expected = (
                row.get(f"{prefix}_n", len(frame)),
                *row[[f"{prefix}_{name}" for name in ("slope", "intercept", "r2")]],
            )
            assert (fitted.n, fitted.estimate, at_zero, explained) == pytest.approx(expected, abs=EXACT), name


def test_a_row_of_weights_is_the_same_as_repeating_the_models() -> None:
    frame = grid(1, lineages=8).round(1)  # rounded, so that there are ties
    x, y, codes = frame["x"].to_numpy(), frame["y"].to_numpy(), lineage_codes(frame)
    weights = draw(codes, seed=3, draws=25)
    slopes, intercepts = huber_line(x, y, weights)
    for number, times in enumerate(weights.astype(int)):
        a, b = np.repeat(x, times), np.repeat(y, times)
        one = weights[number : number + 1]
        assert pearson(x, y, one)[0] == pytest.approx(stats.pearsonr(a, b)[0], abs=1e-12)
        assert spearman(x, y, one)[0] == pytest.approx(stats.spearmanr(a, b)[0], abs=1e-12)
        assert slope(x, y, one)[0] == pytest.approx(stats.linregress(a, b)[0], abs=1e-12)
        robust = sm.RLM(b, sm.add_constant(a), M=sm.robust.norms.HuberT()).fit(maxiter=500, tol=1e-12)
        assert (intercepts[number], slopes[number]) == pytest.approx(tuple(robust.params), abs=1e-6)


def test_slope_is_that_of_statsmodels_with_its_error_from_leaving_lineages_out() -> None:
    frame = grid(2, lineages=9)
    fit = sm.OLS(frame["y"], sm.add_constant(frame["x"])).fit()
    without = [
        sm.OLS(rest["y"], sm.add_constant(rest["x"])).fit().params["x"]
        for rest in (frame[frame["lineage"] != lineage] for lineage in frame["lineage"].unique())
    ]
    error = np.sqrt(8 / 9 * sum((value - fit.params["x"]) ** 2 for value in without))
    made = fits.slope(frame, "x", "y")
    assert made.estimate == pytest.approx(fit.params["x"], rel=1e-9)
    # Student's t with lineages - 1 degrees of freedom, not the normal distribution.
    assert made.high - made.estimate == pytest.approx(stats.t.ppf(0.975, 8) * error, rel=1e-9)
    assert made.p == pytest.approx(2 * stats.t.sf(abs(made.estimate) / error, 8), rel=1e-9)


def test_with_a_lineage_for_each_model_the_error_is_hc3() -> None:
    """White's HC3 is the jackknife over single models, but for the factor (n - 1) / n."""
    frame = grid(12, lineages=40, per_lineage=1)
    first = pd.Series(np.arange(len(frame)) % 3 == 0, index=frame.index)
    design = pd.DataFrame({"first": first.astype(float), "one": 1.0, "x": frame["x"]})
    fit = sm.OLS(frame["y"], design).fit(cov_type="HC3")
    made = fits.contrast(frame, "y", first, given="x")
    assert made.estimate == pytest.approx(fit.params["first"], rel=1e-9)
    reach = stats.t.ppf(0.975, made.df) * fit.bse["first"] * np.sqrt(39 / 40)
    assert (made.low, made.high) == pytest.approx((made.estimate - reach, made.estimate + reach), rel=1e-9)
    table = regress(frame.assign(first=first.astype(float)), "y ~ first + x")
    wide = stats.t.ppf(0.975, 39) * fit.bse["first"] * np.sqrt(39 / 40)
    assert table.loc["first", "high"] == pytest.approx(made.estimate + wide, rel=1e-9)


def test_slopes_by_group_and_their_difference_are_those_of_one_interaction_model() -> None:
    frame = pd.concat([grid(3, lineages=6), grid(4, lineages=7, true_slope=-0.2)])
    frame = frame.assign(group=["a"] * 24 + ["b"] * 28, lineage=frame["lineage"] + frame.index.duplicated().astype(str))
    frame.index = [f"m{number}" for number in range(len(frame))]
    table = regress(frame, "y ~ x * group")
    made = fits.slope_difference(frame, "x", "y", by="group", first="b", second="a")
    assert made.estimate == pytest.approx(table.loc["x:group[T.b]", "estimate"], rel=1e-9)
    assert (made.low, made.high) == pytest.approx(tuple(table.loc["x:group[T.b]", ["low", "high"]]), rel=1e-9)
    alone = fits.slope(frame[frame["group"] == "a"], "x", "y")
    assert alone.estimate == pytest.approx(table.loc["x", "estimate"], rel=1e-9)


def test_within_groups_is_the_partial_correlation_given_the_groups() -> None:
    frame = grid(5, lineages=12).assign(source=["a", "b", "c"] * 16)
    frame["y"] += frame["source"].map({"a": 0.0, "b": 5.0, "c": -5.0})
    dummies = pd.get_dummies(frame["source"], dtype=float)
    left = [sm.OLS(frame[name], dummies).fit().resid for name in ("x", "y")]
    assert fits.correlation(frame, "x", "y", within="source").estimate == pytest.approx(
        stats.pearsonr(*left)[0], abs=1e-12
    )
    pooled = fits.pooled_minus_within(frame, "x", "y", groups="source")
    common = sm.OLS(frame["y"], dummies.assign(x=frame["x"])).fit().params["x"]
    assert pooled.estimate == pytest.approx(stats.linregress(frame["x"], frame["y"])[0] - common, abs=1e-12)


def test_models_of_one_lineage_are_not_independent_evidence() -> None:
    """95 % intervals over lineages cover in 92 to 98 % of simulated grids; Fisher's z and plain OLS do not."""
    truth = 0.5 * 1.25 / np.sqrt(1.25 * (0.25 * 1.25 + 1.25))  # correlation of x and y in `grid`
    inside = {"bootstrap": 0, "fisher": 0, "clustered": 0, "plain": 0}
    grids = 400
    for seed in range(grids):
        frame = grid(seed)
        x, y, codes = frame["x"].to_numpy(), frame["y"].to_numpy(), lineage_codes(frame)
        made = bootstrap(lambda weights, x=x, y=y: pearson(x, y, weights), codes, seed=seed, draws=600)
        inside["bootstrap"] += made.low <= truth <= made.high
        low, high = fits.fisher(made.estimate, len(frame))
        inside["fisher"] += low <= truth <= high
        line = fits.slope(frame, "x", "y")
        inside["clustered"] += line.low <= 0.5 <= line.high
        plain = sm.OLS(y, sm.add_constant(x)).fit().conf_int()[1]
        inside["plain"] += plain[0] <= 0.5 <= plain[1]
    share = {name: count / grids for name, count in inside.items()}
    assert 0.92 <= share["bootstrap"] <= 0.98, share
    assert 0.92 <= share["clustered"] <= 0.98, share
    assert share["fisher"] < 0.85, share
    assert share["plain"] < 0.85, share


def test_few_lineages_make_intervals_wide_not_wrong() -> None:
    """Coverage of the slope in 600 grids of four lineages; statsmodels' clustered covariance covers less."""
    inside, usual = 0, 0
    for seed in range(600):
        frame = grid(seed, lineages=4, per_lineage=2)
        made = fits.slope(frame, "x", "y")
        inside += made.low <= 0.5 <= made.high
        kind = {"cov_type": "cluster", "cov_kwds": {"groups": lineage_codes(frame)}, "use_t": True}
        low, high = sm.OLS(frame["y"], sm.add_constant(frame["x"])).fit(**kind).conf_int().loc["x"]
        usual += low <= 0.5 <= high
    assert 0.925 <= inside / 600 <= 0.98, inside / 600
    assert usual / 600 < 0.91, usual / 600


def test_effective_robustness_is_the_planted_distance_above_the_line() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.3, 0.9, 40)
    member = pd.Series(np.arange(40) >= 20)
    y = fits.FROM_AXIS["logit"](0.9 * fits.AXES["logit"](x) - 0.4) + 0.07 * member.to_numpy()
    frame = pd.DataFrame({"x": x, "y": y, "lineage": [f"l{number // 2}" for number in range(40)]})
    made = lines.effective_robustness(frame, "x", "y", members=member, baseline=~member)
    assert made.estimate == pytest.approx(0.07, abs=1e-6)
    assert (made.n, made.lineages) == (20, 10)
    above = lines.residuals(frame, "x", "y", baseline=~member)
    assert above[member].to_numpy() == pytest.approx(0.07, abs=1e-6)


def test_zeros_and_ones_are_left_out_of_logit_fits_and_n_says_so() -> None:
    frame = grid(6).assign(share=lambda each: each["x"].rank(pct=True), other=lambda each: each["y"].rank(pct=True) / 2)
    assert (frame["share"] == 1).sum() == 1
    assert fits.slope(frame, "share", "other", axis="logit").n == len(frame) - 1
    assert fits.slope(frame, "share", "other").n == len(frame)


def test_too_few_lineages_give_an_estimate_without_an_interval_and_say_so() -> None:
    frame = grid(7, lineages=2)
    for made in (fits.slope(frame, "x", "y"), fits.mean(frame, "y", formula="y")):
        assert (made.low, made.high, made.p) == (None, None, None)
        assert made.note == "No interval: 2 lineages, and it takes 3."
    assert fits.correlation(frame, "x", "y").note == "No interval: 2 lineages, and it takes 6."
    # A side of one lineage would have a standard error of nothing, however many lineages the other side has.
    frame = grid(8, lineages=6)
    made = fits.contrast(frame, "y", frame["lineage"] == "l0")
    assert made.low is None
    assert "1 lineage" in made.note
    with pytest.raises(TooLittle, match="models that differ"):
        fits.correlation(frame.assign(x=1.0), "x", "y")
    with pytest.raises(ValueError, match="occurs twice"):
        fits.correlation(pd.concat([frame, frame]), "x", "y")


def test_seed_decides_the_interval() -> None:
    frame = grid(9, lineages=10)
    assert fits.correlation(frame, "x", "y", seed=1) == fits.correlation(frame, "x", "y", seed=1)
    assert fits.correlation(frame, "x", "y", seed=1).low != fits.correlation(frame, "x", "y", seed=2).low


def test_holm_is_that_of_statsmodels() -> None:
    values = [0.001, 0.04, 0.03, 0.2, 0.0004, 0.03]
    assert fits.holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]), abs=1e-15)
    assert fits.holm([]) == []


@pytest.mark.parametrize(
    ("expected", "estimate", "low", "high", "p", "verdict"),
    [
        ("positive", 1.0, 0.5, 1.5, 0.001, "supported"),
        ("negative", 1.0, 0.5, 1.5, 0.001, "contradicted"),
        ("different", -1.0, -1.5, -0.5, 0.001, "supported"),
        ("positive", 1.0, 0.1, 1.9, 0.04, "undecided"),  # 0.04 twice is 0.08 by Holm
        ("positive", 1.0, None, None, None, "undecided"),
        ("near zero", 0.001, -0.002, 0.004, 0.5, "supported"),
        ("near zero", 0.01, 0.006, 0.014, 0.001, "contradicted"),
        ("near zero", 0.004, -0.002, 0.008, 0.5, "undecided"),
        ("", 1.0, 0.5, 1.5, 0.001, ""),
    ],
)
def test_verdicts_follow_the_written_rule(
    expected: str, estimate: float, low: float | None, high: float | None, p: float | None, verdict: str
) -> None:
    made = fits.Estimate(estimate, low, high, p, 10, 5, "method", "formula")
    finding = Finding.of("subject", made, unit="fraction", expected=expected, margin=0.005)
    other = Finding.of("other", fits.Estimate(1.0, 0.5, 1.5, 0.6, 10, 5, "", ""), unit="fraction", expected="positive")
    decided = decide([finding, other])
    assert decided[0].verdict == verdict == judge(decided[0])


def test_correlate_has_a_row_for_all_and_one_per_group() -> None:
    frame = grid(10, lineages=10).assign(source=["a"] * 20 + ["b"] * 19 + ["c"])
    table = correlate(frame, "x", "y", by="source")
    assert list(table.index) == ["all", "a", "b"]  # a source of one model has no correlation
    members = frame[frame["source"] == "a"]
    assert table.loc["a", "pearson"] == pytest.approx(stats.pearsonr(members["x"], members["y"])[0], abs=1e-12)
    assert table.loc["a", "spearman"] == pytest.approx(stats.spearmanr(members["x"], members["y"])[0], abs=1e-12)
    assert table.loc["a", "lineages"] == 5


@pytest.mark.parametrize("columns", ["line", "groups", "one lineage's own group"])
def test_leaving_lineages_out_at_once_is_fitting_anew_without_each(columns: str) -> None:
    frame = grid(11, lineages=12)
    x, codes = frame["x"].to_numpy(), lineage_codes(frame)
    more = {
        "line": np.ones((len(x), 1)),
        "groups": np.eye(4)[codes // 3],
        "one lineage's own group": np.column_stack([np.ones(len(x)), codes == 5]),
    }
    design = np.column_stack([x, more[columns]])
    made = jackknife(design, frame["y"].to_numpy(), codes)
    for code in range(12):
        kept = codes != code
        theirs = np.linalg.lstsq(design[kept], frame["y"].to_numpy()[kept], rcond=None)[0]
        assert made.without[code] == pytest.approx(theirs, abs=1e-11)
