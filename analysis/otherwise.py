"""The same questions asked in other ways: how much of a finding is the rule by which it was made.

A finding keeps what it was asked of (`analysis.intervals.Posed`), and the same models are asked again by every other
method that suits the number. What comes of it is described and changes no verdict. Where two questions rest on one
number, it is asked again under the first of them. How the numbers are made is left to the fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from analysis import evidence, fits, off_the_line
from analysis.errors_in_variables import corrected_slope, over, york_slope
from analysis.findings import Finding, LeftOut
from analysis.intervals import Estimate, Posed, TooLittle, clustered, column, too_few
from analysis.ledger import Ledger
from analysis.mixed import mixed
from analysis.paired import partial_correlation
from analysis.resampling import MIN_DRAWN, MIN_LINEAGES, Floats, lineage_codes, pearson
from analysis.resampling import slope as weighted_slope

Way = Callable[[Posed], Estimate]
RUNS = "clustered by pre-training run"
EQUAL = "at equal size and amount of pre-training"


def added(ledger: Ledger) -> Ledger:
    """The ledger with each of its findings asked in every other way that suits it."""
    answers = list(_of(ledger.findings))
    made = tuple(each for each in answers if isinstance(each, Finding))
    return replace(ledger, otherwise=made, not_otherwise=tuple(each for each in answers if isinstance(each, LeftOut)))


def _of(findings: Sequence[Finding]) -> Iterator[Finding | LeftOut]:
    seen = set()
    for finding in findings:
        key = (finding.subject, finding.formula, finding.unit)
        if finding.posed is None or key in seen:
            continue
        seen.add(key)
        for name, way in ways(finding.posed).items():
            try:
                made = way(finding.posed)
                if not np.isfinite(made.estimate):
                    raise TooLittle("The models leave the number undefined.")
            except TooLittle as reason:
                yield LeftOut(finding.question, finding.subject, str(reason), name)
                continue
            asked = Finding.of(finding.subject, made, unit=finding.unit, part=finding.part)
            yield replace(asked, question=finding.question, claim=finding.claim, way=name, without=(), posed=None)


def ways(posed: Posed) -> dict[str, Way]:
    """Every other way in which a number can be asked for, by its name in print."""
    found = dict(WAYS[posed.kind])
    if posed.kind == "correlation" and posed.within is not None:
        found = {name: way for name, way in found.items() if name not in fits.KINDS}
    if posed.kind != "above the line" and (posed.frame["family"] == evidence.ZERO_SHOT).all():
        found[RUNS] = _by_run
    return found


def _by_run(posed: Posed) -> Estimate:
    """The rule of the report, with what was trained in one run for a lineage: a model's parent, or the model itself."""
    parent = posed.frame["parent"]
    frame = posed.frame.assign(lineage=parent.where(parent != "", posed.frame.index.to_series()))
    if posed.kind == "correlation":
        made = fits.correlation(frame, posed.x, posed.y, within=posed.within)
    else:
        contrast = posed.kind == "contrast"
        made = clustered(_design(posed), column(frame, posed.y), frame, "", every=posed.sides, contrast=contrast)
    method, note = (each.replace("lineage", "pre-training run") for each in (made.method, made.note))
    return replace(made, method=method, note=note, formula=f"lineage = run: {posed.y}, {posed.x}")


def _mixed(posed: Posed) -> Estimate:
    formula = f"{posed.y} ~ " + " + ".join(filter(None, (posed.x, posed.within, "group" * (posed.first is not None))))
    y, contrast = column(posed.frame, posed.y), posed.kind == "contrast"
    made = mixed(_design(posed), y, posed.frame, formula, every=posed.sides, contrast=contrast)
    if made.low is None:
        raise TooLittle(made.note)
    return made


def _design(posed: Posed) -> Floats:
    if posed.design is None:
        raise ValueError(f"A question of kind '{posed.kind}' has no design.")
    return posed.design


def _of_line(fit: Callable[..., Estimate], posed: Posed, **more: str) -> Estimate:
    return fit(posed.frame, posed.x, posed.y, **more)


def _at_equal(posed: Posed) -> Estimate:
    frame = evidence.with_log(evidence.with_log(posed.frame, "params_m"), "pretrain_images")
    given = ["log_params_m", "log_pretrain_images", *filter(None, [posed.within])]
    return partial_correlation(frame, posed.x, posed.y, given=given)


def _over(draws_of: str, posed: Posed) -> Estimate:
    """Other images, or other images and lineages; the interval is that of plain percentiles."""
    posed = _with_errors(posed)
    codes = lineage_codes(posed.frame)
    lineages = len(np.unique(codes))
    if draws_of == "both" and lineages < MIN_DRAWN:
        raise TooLittle(too_few(lineages, lineages, MIN_DRAWN))
    fewest = min([lineages, *(len(np.unique(codes[rows])) for rows in posed.sides)])
    if draws_of == "both" and fewest < MIN_LINEAGES:
        raise TooLittle(too_few(lineages, fewest))
    frame = off_the_line.on_logits(posed) if posed.kind == "above the line" else posed.frame
    made = over(frame, posed.x or posed.y, posed.y, partial(_statistic, posed), draws_of=draws_of)
    about = codes[posed.first] if posed.first is not None and posed.kind == "above the line" else codes
    return replace(made, n=len(about), lineages=len(np.unique(about)))


def _with_errors(posed: Posed) -> Posed:
    """The question of those models alone that have standard errors over images."""
    names = [f"{name}_std_error" for name in (posed.x, posed.y) if name]
    if not set(names) <= set(posed.frame.columns):
        raise TooLittle("These measurements have no standard errors over images.")
    there = posed.frame[names].notna().all(axis=1).to_numpy(dtype=bool)
    first = None if posed.first is None else posed.first[there]
    if there.sum() < 3 or (first is not None and min(first.sum(), (~first).sum()) < 2):
        raise TooLittle(f"Only {there.sum()} of these models have standard errors over images.")
    return replace(posed, frame=posed.frame[there], first=first, design=None)


def _statistic(posed: Posed, x: Floats, y: Floats, weights: Floats) -> Floats:
    """The number of a question for each draw of x, y and weights."""
    if posed.kind == "correlation":
        groups = None if posed.within is None else np.unique(posed.frame[posed.within], return_inverse=True)[1]
        return pearson(x, y, weights, groups)
    if posed.first is None:
        return weighted_slope(x, y, weights)
    if posed.kind == "above the line":
        return off_the_line.of_draws(x, y, weights, posed.first)
    return _difference(x if posed.x else None, y, weights, posed.first.astype(float))


def _difference(given: Floats | None, y: Floats, weights: Floats, first: Floats) -> Floats:
    """Mean of y on the first side minus that on the other, at equal `given` (Frisch, Waugh and Lovell)."""
    if given is None:
        return weighted_slope(first, y, weights)
    on_given, of_y = weighted_slope(given, first, weights), weighted_slope(given, y, weights)
    return weighted_slope(first - on_given[:, None] * given, y - of_y[:, None] * given, weights)


OVER: dict[str, Way] = {
    "bootstrap over images": partial(_over, "images"),
    "bootstrap over lineages and images": partial(_over, "both"),
}
WAYS: dict[str, dict[str, Way]] = {
    "correlation": {
        "spearman": partial(_of_line, fits.correlation, kind="spearman"),
        "kendall": partial(_of_line, fits.correlation, kind="kendall"),
        EQUAL: _at_equal,
        **OVER,
    },
    "line": {
        "robust line (Huber)": partial(_of_line, fits.huber_slope),
        "mixed model": _mixed,
        "errors in both axes (York)": partial(_of_line, york_slope),
        "error of x taken out": partial(_of_line, corrected_slope),
        **OVER,
    },
    "contrast": {"mixed model": _mixed, **OVER},
    "least squares": {"mixed model": _mixed},
    "above the line": {
        "robust line, jackknife": partial(off_the_line.above, off_the_line.robust),
        "least-squares line": partial(off_the_line.above, off_the_line.least_squares),
        "errors in both axes (York)": partial(off_the_line.above, off_the_line.errors_in_both),
        **{f"least-squares line, {name}": way for name, way in OVER.items()},
    },
}
