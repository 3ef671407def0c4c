"""Whether a difference is small enough to be called none, and how large one must be to be seen.

A large p value is no evidence of no difference. Two one-sided tests are; and power says what a grid of this many
lineages, as noisy as these, could have seen.
"""

from __future__ import annotations

import math
from dataclasses import replace

from scipy import optimize, stats

from analysis.intervals import Estimate, TooLittle

POWER = 0.8
MOST = 100_000


def against(made: Estimate, bound: float, side: str) -> float:
    """P value of one side: that the number is ``above`` the bound, or ``below`` it, by Student's t."""
    if made.std_error is None or made.df is None:
        raise TooLittle(f"'{made.formula}' has no standard error to test with. {made.note}")
    t = (made.estimate - bound) / max(made.std_error, 1e-300)
    return float(stats.t.sf(t, made.df) if side == "above" else stats.t.cdf(t, made.df))


def equivalent(made: Estimate, margin: float) -> Estimate:
    """The estimate with the p of two one-sided tests that it lies within the margin of zero, and its 90 % interval.

    Schuirmann 1987 (doi:10.1007/BF01068419); Lakens 2017 (doi:10.1177/1948550617697177). P below 0.05 is the same as
    a 90 % interval that lies within the margin on both sides.
    """
    if not margin > 0:
        raise ValueError(f"A margin of {margin} calls nothing equivalent: take one above 0, in the unit of the number.")
    p = max(against(made, -margin, "above"), against(made, margin, "below"))
    reach = float(stats.t.ppf(0.95, made.df or 1.0)) * (made.std_error or 0.0)
    formula = f"|{made.formula}| < {margin:g}"
    low, high = made.estimate - reach, made.estimate + reach
    return replace(made, low=low, high=high, p=p, formula=formula, method=f"{made.method}; TOST, 90 % interval")


def detectable(std_error: float, df: float, *, level: float = 0.05, power: float = POWER) -> float:
    """The smallest true difference that a two-sided t test at this level finds with this power, in its unit.

    From the noncentral t distribution (Cohen 1988, section 2.5), at the standard error and degrees of freedom given.
    """
    if not (0 < level < power < 1):
        raise ValueError(f"A level of {level} and a power of {power} cannot be met: 0 < level < power < 1.")
    critical = float(stats.t.ppf(1 - level / 2, df))

    def missing(size: float) -> float:
        # Noncentral t fails in its far tail; the other tail of so large an effect is nothing.
        return float(stats.nct.sf(critical, df, size)) - power

    high = critical + 3
    while missing(high) < 0:
        high *= 2
    return float(optimize.brentq(missing, 1e-9, high)) * std_error


def lineages_needed(made: Estimate, *, level: float = 0.05, power: float = POWER) -> int:
    """How many lineages like these would find a true difference as large as the estimate, with this power.

    The standard error is taken to shrink with the square root of lineages.
    """
    if made.std_error is None or made.df is None or made.estimate == 0:
        raise TooLittle(f"'{made.formula}' has no size and standard error to plan with. {made.note}")
    per_lineage = made.std_error * math.sqrt(made.df + 1)
    low, high = 2, MOST
    while high - low > 1:
        middle = (low + high) // 2
        seen = detectable(per_lineage / math.sqrt(middle), middle - 1, level=level, power=power)
        low, high = (low, middle) if seen <= abs(made.estimate) else (middle, high)
    if high < MOST:
        return high
    raise TooLittle(f"No number of lineages below {MOST:,} would find a difference of {made.estimate:.3g}.")
