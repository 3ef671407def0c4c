"""Two tables for someone at a prompt: correlations of two columns, and a regression by formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special, stats
from statsmodels.formula.api import ols

from analysis.fits import SEED, TooLittle, correlation, fisher
from analysis.intervals import known
from analysis.resampling import MIN_LINEAGES, Floats, jackknife, lineage_codes


def logit(share: Floats) -> Floats:
    """ln(p / (1 - p)), for formulas; missing at 0 and 1."""
    return _inside(share, special.logit(share))


def probit(share: Floats) -> Floats:
    """Quantile of the normal distribution, for formulas; missing at 0 and 1."""
    return _inside(share, special.ndtri(share))


def _inside(share: Floats, quantiles: Floats) -> Floats:
    if not np.all(np.isnan(share) | ((share >= 0) & (share <= 1))):
        raise ValueError(f"Logit and probit take shares from 0 to 1, not {np.nanmax(share):g}: divide percent by 100.")
    return np.where(np.isfinite(quantiles), quantiles, np.nan)


def correlate(frame: pd.DataFrame, x: str, y: str, *, by: str | None = None, seed: int = SEED) -> pd.DataFrame:
    """Correlations of two columns, one row for all models together (``all``) and one per group of the column `by`.

    Columns: ``n``, ``lineages``; ``pearson``, ``spearman``, ``kendall`` with ``_low`` and ``_high`` (95 %, bootstrap
    over lineages, missing where fewer than six); ``fisher_low`` and ``fisher_high`` (95 %, as if models were
    independent). Models without one of the numbers, and groups of too few models, are left out. The row of all
    models mixes the groups: its sign need not be theirs.
    """
    frame = known(frame, x, y)
    lineage_codes(frame)
    groups = [("all", frame)] + ([] if by is None else [(str(name), rows) for name, rows in frame.groupby(by)])
    rows = {}
    for name, members in groups:
        try:
            row: dict[str, float | None] = {"n": len(members), "lineages": members["lineage"].nunique()}
            for kind in ("pearson", "spearman", "kendall"):
                made = correlation(members, x, y, kind=kind, seed=seed)
                row |= {kind: made.estimate, f"{kind}_low": made.low, f"{kind}_high": made.high}
            if len(members) > 3:
                row["fisher_low"], row["fisher_high"] = fisher(row["pearson"] or 0.0, len(members))
        except TooLittle:
            continue
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by or "models")


def regress(frame: pd.DataFrame, formula: str) -> pd.DataFrame:
    """Coefficients of an ordinary least-squares fit: one row per term, with the jackknife over lineages (CV3).

    The formula may use ``logit()`` and ``probit()``; models with a 0 or a 1 there are left out, and so are those that
    lack one of its columns. Columns: ``estimate``,
    ``low``, ``high`` (95 %), ``p`` (Student's t, lineages - 1 degrees of freedom), ``n``, ``lineages``.
    """
    model = ols(formula, data=frame)
    frame = frame.loc[model.data.row_labels]
    codes = lineage_codes(frame)
    lineages = len(np.unique(codes))
    if lineages < MIN_LINEAGES:
        raise TooLittle(f"A regression clustered on lineage takes {MIN_LINEAGES} lineages; there are {lineages}.")
    fit = jackknife(model.exog, model.endog, codes)
    error, values = np.sqrt(np.diag(fit.covariance)), fit.coefficients
    reach = stats.t.ppf(0.975, lineages - 1) * error
    p = 2 * stats.t.sf(np.abs(values) / np.maximum(error, 1e-300), lineages - 1)
    columns = {"estimate": values, "low": values - reach, "high": values + reach, "p": p}
    return pd.DataFrame(columns, index=model.exog_names).assign(n=len(frame), lineages=lineages).rename_axis("term")
