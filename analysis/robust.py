"""The robust line of very many draws at once: Huber's, with its scale estimated along with it.

The line is what weighting anew comes to, as R's ``MASS::rlm`` does it. That takes dozens of steps, but after a few it
is known which models lie beyond Huber's reach and which residual is the median; given these, the line is the solution
of two linear equations. Where the solution leaves them as they were, it is taken; elsewhere weighting goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.resampling import Floats, Ints

HUBER = 1.345
MAD_TO_SD = 0.6744897501960817
REACH = HUBER / MAD_TO_SD
"""Huber's reach over the median absolute residual."""
STEPS, EVERY = 200, 4
"""Steps of weighting anew at most, and after how many of them the equations are tried."""
STILL = 1e-12


@dataclass(frozen=True, slots=True)
class Residuals:
    """What is left over the lines of some draws.

    Attributes
    ----------
    size, sign : (draws, n) of each residual
    middle : (draws, 2) places of the two sizes in the middle
    reach : (draws, 1) size beyond which a model counts for less
    """

    size: Floats
    sign: Floats
    middle: Ints
    reach: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats, weights: Floats, lines: Floats) -> Residuals:
        """Those over `lines` (2, draws), slopes and intercepts."""
        values = y - lines[0][:, None] * x - lines[1][:, None]
        size = np.abs(values)
        middle = _middle(size, weights)
        reach = REACH * np.take_along_axis(size, middle, axis=1).mean(axis=1, keepdims=True)
        return cls(size, np.sign(values), middle, reach)

    @property
    def cut(self) -> Floats:
        """Signs of the residuals beyond the reach, 0 for the others (draws, n)."""
        cut: Floats = self.sign * (self.size > self.reach)
        return cut

    def weights(self, weights: Floats) -> Floats:
        """Huber's weights, times those of the draws."""
        huber = np.minimum(1, self.reach / np.maximum(self.size, 1e-300))
        return np.where(self.reach <= 1e-15, weights, weights * huber)

    def alike(self, other: Residuals) -> npt.NDArray[np.bool_]:
        """In which draws the same residuals are cut on the same sides, and the same are in the middle (draws,)."""
        same = (self.cut == other.cut).all(axis=1) & (self.middle == other.middle).all(axis=1)
        alike: npt.NDArray[np.bool_] = same & (self.reach > 1e-15)[:, 0]
        return alike


def huber_line(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept (draws,) of the robust line of each draw; NaN where a draw has no line.

    Huber's weights at 1.345 times the scale, which is the median absolute residual over 0.6745 and is estimated along
    with the line (Huber 1981, section 7.8; the rule of R's ``MASS::rlm``).
    """
    centre = x.mean(), y.mean()
    x, y = x - centre[0], y - centre[1]
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y], axis=1)
    lines, moving = np.empty((2, len(weights))), np.arange(len(weights))
    with np.errstate(invalid="ignore", divide="ignore"):
        line = _least_squares(basis, weights)
        for step in range(1, STEPS):
            found = Residuals.of(x, y, weights, line)
            after = _least_squares(basis, found.weights(weights))
            done = ~(np.abs(after - line).max(axis=0) >= STILL)
            if step % EVERY == 0:
                solved = _solved(basis, weights, found)
                taken = found.alike(Residuals.of(x, y, weights, solved))
                after, done = np.where(taken, solved, after), done | taken
            lines[:, moving] = after
            moving, weights, line = moving[~done], weights[~done], after[:, ~done]
            if not len(moving):
                break
    return lines[0], lines[1] + centre[1] - lines[0] * centre[0]


def _middle(size: Floats, weights: Floats) -> Ints:
    order = np.argsort(size, axis=1)
    reached = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    last = reached[:, -1:] - 1
    at = [(reached > np.floor(rank)).argmax(axis=1) for rank in (last / 2, np.ceil(last / 2))]
    return np.take_along_axis(order, np.stack(at, axis=1), axis=1)


def _least_squares(basis: Floats, weights: Floats) -> Floats:
    """Lines (2, draws) from the moments of 1, x, y, xx, xy."""
    n, x, y, xx, xy = (weights @ basis).T
    spread = xx - x * x / n
    slope = np.where(spread > 1e-18, (xy - x * y / n) / spread, np.nan)
    return np.stack([slope, (y - slope * x) / n])


def _solved(basis: Floats, weights: Floats, found: Residuals) -> Floats:
    """Lines (2, draws) over which the residuals, cut at the reach, and their products with x sum to nothing.

    Which are cut, and which are in the middle, is as it was found, so that both sums are linear in slope and intercept.
    """
    n, x, y, xx, xy = ((weights * (found.cut == 0)) @ basis).T
    cut, cut_x = ((weights * found.cut) @ basis[:, :2]).T
    half = REACH / 2 * np.take_along_axis(found.sign, found.middle, axis=1)
    one, at, of = ((half * part[found.middle]).sum(axis=1) for part in basis[:, :3].T)
    first = x + at * cut, n + one * cut, y + of * cut
    second = xx + at * cut_x, x + one * cut_x, xy + of * cut_x
    whole = first[0] * second[1] - first[1] * second[0]
    slope = (first[2] * second[1] - first[1] * second[2]) / whole
    return np.stack([slope, (first[0] * second[2] - first[2] * second[0]) / whole])
