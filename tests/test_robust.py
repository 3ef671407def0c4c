"""Huber's line: the short way to it against weighting anew to the end, as R's MASS does."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.resampling import Floats, draw
from analysis.robust import huber_line


def reweighted(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept at each of 400 steps of weighting anew, of one draw whose models are repeated."""
    weights, lines = np.ones(len(x)), []
    for _ in range(400):
        lines.append(np.polyfit(x, y, 1, w=np.sqrt(weights)))
        size = np.abs(y - np.polyval(lines[-1], x))
        weights = np.minimum(1, 1.345 * np.median(size) / 0.6744897501960817 / np.maximum(size, 1e-300))
    return np.array(lines)[-1], np.array(lines)[-2]


@pytest.mark.parametrize("errors", ["normal", "heavy", "far", "rounded"])
def test_the_line_is_what_weighting_anew_comes_to(errors: str) -> None:
    rng = np.random.default_rng(len(errors))
    x = rng.uniform(0.3, 0.9, 60)
    error = {
        "normal": rng.normal(size=60), "heavy": rng.standard_t(1.5, 60),
        "far": np.where(rng.random(60) < 0.3, 5 * rng.normal(size=60) + 4, rng.normal(size=60)),
        "rounded": np.round(rng.normal(size=60), 1),
    }[errors]  # fmt: skip
    y = 0.8 * x + 0.1 * error
    weights = draw(np.arange(60) // 2, seed=1, draws=40)
    slopes, intercepts = huber_line(x, y, weights)
    for row, made in zip(weights.astype(int), zip(slopes, intercepts, strict=True), strict=True):
        theirs, before = reweighted(np.repeat(x, row), np.repeat(y, row))
        assert theirs == pytest.approx(before, abs=1e-11)
        assert made == pytest.approx(tuple(theirs), abs=1e-9)


def test_a_draw_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=30), rng.standard_t(2, size=30)
    weights = draw(np.arange(30) // 3, seed=0, draws=50)
    whole = np.array(huber_line(x, y, weights))
    alone = np.array([huber_line(x, y, weights[[row]]) for row in range(50)])[:, :, 0].T
    assert whole == pytest.approx(alone, abs=1e-12)


def test_a_perfect_line_is_found_and_none_through_one_place() -> None:
    x = np.array([0.1, 0.2, 0.4, 0.9])
    slopes, intercepts = huber_line(x, 2 * x - 1, np.array([[1.0, 1, 1, 1], [2, 1, 0, 3], [4, 0, 0, 0], [0, 0, 0, 0]]))
    assert (slopes[:2], intercepts[:2]) == (pytest.approx([2, 2]), pytest.approx([-1, -1]))
    assert np.isnan([slopes[2:], intercepts[2:]]).all()
