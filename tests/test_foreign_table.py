"""A table of 338 models that others made, in the manner of ImageNet-testbed: gaps, zeros, ones, families unknown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from patsy import PatsyError
from scipy import special, stats

from analysis import explore, fits, lines
from analysis.mixed import mixed_slope
from analysis.paired import partial_correlation

X, Y, FAMILY = "val acc.", "imagenet-a (top1)", "Model type"
EXACT = 1e-9


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Two accuracies of every model; a fifth of either is missing, some are 0 or 1, and some families are."""
    rng = np.random.default_rng(0)
    trained = rng.integers(0, 90, 338)
    family = np.array(["Standard", "Lp adversarially robust", "Trained with more data", "SSL (SwAV)"])[trained % 4]
    skill = rng.normal(size=90)[trained] + 0.5 * rng.normal(size=338)
    far = 0.8 * skill - 1.5 + 0.6 * (family == "SSL (SwAV)") + 0.3 * rng.normal(size=90)[trained]
    frame = pd.DataFrame({X: special.expit(1 + skill), Y: special.expit(far + 0.2 * rng.normal(size=338))})
    frame[FAMILY] = family
    frame["lineage"] = [f"run {number}" for number in trained]
    frame.loc[rng.permutation(338)[:24], Y] = 0.0
    frame.loc[rng.permutation(338)[:6], X] = 1.0
    for name in (X, Y):
        frame.loc[rng.permutation(338)[:68], name] = np.nan
    frame.loc[rng.permutation(338)[:20], FAMILY] = None
    return frame


@pytest.fixture(scope="module")
def whole(table: pd.DataFrame) -> pd.DataFrame:
    """The models that have both accuracies."""
    return table[table[X].notna() & table[Y].notna()]


def cv3(design: pd.DataFrame, y: pd.Series, lineage: pd.Series, term: str) -> tuple[float, float]:
    """A coefficient of statsmodels and its error from fits without each lineage."""
    value = sm.OLS(y, design).fit().params[term]
    kept = [lineage != name for name in lineage.unique()]
    without = np.array([sm.OLS(y[rows], design[rows]).fit().params[term] for rows in kept])
    return value, np.sqrt((len(kept) - 1) / len(kept) * ((without - value) ** 2).sum())


def test_correlations_are_scipys_over_the_models_that_have_both(table: pd.DataFrame, whole: pd.DataFrame) -> None:
    assert 200 < len(whole) < 250
    kinds = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}
    made = explore.correlate(table, X, Y, by=FAMILY)
    for name, members in [("all", whole), *whole.groupby(FAMILY)]:
        for kind, theirs in kinds.items():
            assert made.loc[name, kind] == pytest.approx(theirs(members[X], members[Y])[0], abs=EXACT)
        assert made.loc[name, "n"] == len(members)
        fisher = stats.pearsonr(members[X], members[Y]).confidence_interval()
        assert tuple(made.loc[name, ["fisher_low", "fisher_high"]]) == pytest.approx(tuple(fisher), abs=EXACT)
        assert made.loc[name, "pearson_low"] < made.loc[name, "pearson"] < made.loc[name, "pearson_high"]
    assert set(made.index) == {"all", *table[FAMILY].dropna()}


@pytest.mark.parametrize("axis", ["fraction", "logit", "probit"])
def test_slopes_are_those_of_statsmodels(axis: str, table: pd.DataFrame, whole: pd.DataFrame) -> None:
    moved = whole
    if axis != "fraction":
        inside = whole[[X, Y]].gt(0).all(axis=1) & whole[[X, Y]].lt(1).all(axis=1)
        assert 8 < (~inside).sum() < 30
        quantile = special.logit if axis == "logit" else stats.norm.ppf
        moved = whole[inside].assign(**{name: quantile(whole.loc[inside, name]) for name in (X, Y)})
    value, error = cv3(sm.add_constant(moved[[X]]), moved[Y], moved["lineage"], X)
    made = fits.slope(table, X, Y, axis=axis)
    assert (made.estimate, made.std_error, made.n) == pytest.approx((value, error, len(moved)), rel=1e-7)
    robust = sm.RLM(moved[Y], sm.add_constant(moved[[X]]), M=sm.robust.norms.HuberT()).fit(maxiter=900, tol=1e-13)
    assert fits.huber_slope(table, X, Y, axis=axis).estimate == pytest.approx(robust.params[X], abs=1e-6)


def test_groups_that_are_not_known_belong_to_no_group(table: pd.DataFrame, whole: pd.DataFrame) -> None:
    there = whole[whole[FAMILY].notna()]
    dummies = pd.get_dummies(there[FAMILY], dtype=float)
    value, error = cv3(dummies.assign(x=there[X]), there[Y], there["lineage"], "x")
    made = fits.slope(table, X, Y, within=FAMILY)
    assert (made.estimate, made.std_error, made.n) == pytest.approx((value, error, len(there)), rel=1e-7)
    left = [sm.OLS(there[name], dummies).fit().resid for name in (X, Y)]
    theirs = stats.pearsonr(*left)[0]
    assert fits.correlation(table, X, Y, within=FAMILY).estimate == pytest.approx(theirs, abs=EXACT)
    assert partial_correlation(table, X, Y, given=[FAMILY]).estimate == pytest.approx(theirs, abs=EXACT)
    pooled = stats.linregress(there[X], there[Y])[0] - value
    assert fits.pooled_minus_within(table, X, Y, groups=FAMILY).estimate == pytest.approx(pooled, abs=EXACT)


def test_contrasts_means_and_interactions_leave_gaps_out(table: pd.DataFrame, whole: pd.DataFrame) -> None:
    first = table[FAMILY] == "SSL (SwAV)"
    design = sm.add_constant(whole[[X]]).assign(first=first[whole.index].astype(float))
    value, error = cv3(design, whole[Y], whole["lineage"], "first")
    made = fits.contrast(table, Y, first, given=X)
    assert (made.estimate, made.std_error, made.n) == pytest.approx((value, error, len(whole)), rel=1e-7)
    assert fits.mean(table, Y, formula=Y).estimate == pytest.approx(table[Y].mean(), abs=EXACT)
    names = ("SSL (SwAV)", "Standard")
    slopes = [stats.linregress(each[X], each[Y])[0] for each in (whole[whole[FAMILY] == name] for name in names)]
    steeper = fits.slope_difference(table, X, Y, by=FAMILY, first=names[0], second=names[1])
    assert steeper.estimate == pytest.approx(slopes[0] - slopes[1], abs=EXACT)
    assert mixed_slope(table, X, Y).n == len(whole)


def test_a_formula_leaves_gaps_zeros_and_ones_out(table: pd.DataFrame, whole: pd.DataFrame) -> None:
    inside = whole[(whole[Y] > 0) & (whole[X] < 1)]
    design = sm.add_constant(pd.DataFrame({"x": special.logit(inside[X])}))
    value, error = cv3(design, special.logit(inside[Y]), inside["lineage"], "x")
    made = explore.regress(table, f"logit(Q({Y!r})) ~ logit(Q({X!r}))").iloc[1]
    reach = stats.t.ppf(0.975, inside["lineage"].nunique() - 1) * error
    assert (made["n"], made["lineages"]) == (len(inside), inside["lineage"].nunique())
    assert tuple(made[["estimate", "low", "high"]]) == pytest.approx((value, value - reach, value + reach), rel=1e-7)


def test_effective_robustness_of_a_family_that_we_do_not_know(table: pd.DataFrame, whole: pd.DataFrame) -> None:
    inside = whole[(whole[Y] > 0) & (whole[X] < 1)]
    standard, members = (inside[inside[FAMILY] == name] for name in ("Standard", "SSL (SwAV)"))
    moved = sm.add_constant(special.logit(standard[[X]]))
    line = sm.RLM(special.logit(standard[Y]), moved, M=sm.robust.norms.HuberT()).fit(maxiter=900, tol=1e-13)
    above = members[Y] - special.expit(line.predict(sm.add_constant(special.logit(members[[X]]))))
    sides = {"members": table[FAMILY] == "SSL (SwAV)", "baseline": table[FAMILY] == "Standard"}
    made = lines.effective_robustness(table, X, Y, **sides)
    assert (made.estimate, made.n) == pytest.approx((above.mean(), len(members)), abs=1e-6)
    assert made.low is not None
    assert made.low < above.mean() < made.high
    each = lines.residuals(table, X, Y, baseline=sides["baseline"])
    assert each[members.index].to_numpy() == pytest.approx(above.to_numpy(), abs=1e-6)


def test_what_is_no_share_and_what_has_no_lineage_is_refused_in_a_sentence(table: pd.DataFrame) -> None:
    percent = table.assign(**{X: 100 * table[X]})
    with pytest.raises(ValueError, match="divide percent by 100"):
        fits.slope(percent, X, Y, axis="logit")
    with pytest.raises(PatsyError, match="divide percent by 100"):
        explore.regress(percent, f"Q({Y!r}) ~ logit(Q({X!r}))")
    for ask in (fits.slope, explore.correlate):
        with pytest.raises(ValueError, match="No column 'lineage'"):
            ask(table.drop(columns="lineage"), X, Y)
    twice = pd.concat([table, table.iloc[:1]])
    with pytest.raises(ValueError, match="occurs twice"):
        explore.regress(twice, f"Q({Y!r}) ~ Q({X!r})")
