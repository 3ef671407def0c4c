"""How well a model notices that a picture shows nothing it knows.

Every out set is held against its clean set, by every score that the head allows, over all classes. ID is positive in
``auroc``, ``fpr95`` and ``aupr_in``, out in ``fpr95_out`` and ``aupr_out``. n counts both kinds of images.

Scores that need no fitting are held against all clean images. Those that are fitted on ID images are fitted on the
fitting half of seed 0 (`studies.halves`; on record in RESULTS/halves) and held against the other half alone, never
against images that fitted: their n is smaller by that half.

The full set (subset ``all``) is measured as others publish it. Where annotators said of some images whether they show a
class that the models know (column ``contains_known``; Bitterwolf et al. 2023, arXiv:2306.00826), those that were found
to show none are measured beside it (subset ``cleaned``), if they are 30 or more: a sample of the set, not the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

import numpy as np

from engine.predictions import Predictions, Record
from studies import separations
from studies.blocks import Score, Scored, scored, threads
from studies.detection import Sample, Separation
from studies.estimates import Estimate, Site
from studies.fitted import FITTED_SCORES, HEADLESS
from studies.fitting import Fitting, some
from studies.halves import halve
from studies.measurements import Measurement
from studies.metrics import Bools, Doubles
from studies.scores import scores_for

LEAST_IMAGES = 30
METRICS: dict[str, Callable[[Separation], Estimate]] = {
    "auroc": separations.auroc,
    "fpr95": separations.fpr_at_95,
    "fpr95_out": separations.fpr_at_95_out,
    "aupr_in": separations.aupr_in,
    "aupr_out": separations.aupr_out,
}
log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """AUROC, FPR at 95 % TPR and AUPR of one model for each out set and score, fractions."""
    for clean, out_sets in groupby(sorted(record.sets("out"), key=attrgetter("clean")), attrgetter("clean")):
        known = record.predictions(clean)
        half = halve(known.labels, 0)
        fitting = Fitting.of(known, half.fit)
        plain, fitted = scores_for(known.head), _fitted(record.model, fitting, without=HEADLESS if record.head else ())
        of_known = _samples(record.model, known, plain) | _samples(record.model, some(known, half.test), fitted)
        scores = {name: score for name, score in (plain | fitted).items() if name in of_known}
        for out_set in out_sets:
            site = Site("ood", record.model, known.head.name, out_set.name, "all", "")
            yield from _of_set(site, of_known, record.predictions(out_set.name), scores)


def _fitted(model: str, fitting: Fitting, *, without: Collection[str]) -> dict[str, Score]:
    found, undefined = {}, {}
    for name, fit in FITTED_SCORES.items():
        if name in without:
            continue
        try:
            found[name] = fit(fitting)
        except ValueError as reason:
            undefined[name] = str(reason)
    _tell(model, fitting.predictions, undefined)
    return found


def _samples(model: str, known: Predictions, scores: Mapping[str, Score]) -> dict[str, Sample]:
    found = scored(known, scores)
    _tell(model, known, found.undefined)
    return {name: Sample.of(values) for name, values in found.scores.items()}


def _tell(model: str, predictions: Predictions, undefined: Mapping[str, str]) -> None:
    for name, reason in undefined.items():
        log.info("score %s is undefined and left out for %s on %s: %s", name, model, predictions.image_set.name, reason)


def _of_set(
    site: Site, of_known: Mapping[str, Sample], out: Predictions, scores: Mapping[str, Score]
) -> Iterator[Measurement]:
    found: Scored = scored(out, scores)
    _tell(site.model, out, found.undefined)
    clear = found_unknown(out)

    def separate(name: str) -> list[Measurement]:
        return list(separations_of(replace(site, method=name), of_known[name], found.scores[name], clear))

    with ThreadPoolExecutor(threads()) as pool:
        for measured in pool.map(separate, found.scores):
            yield from measured


def separations_of(site: Site, known: Sample, out: Doubles, clear: Bools) -> Iterator[Measurement]:
    """Every metric of one score, over the whole out set and over the images that were found to be clear of ID."""
    yield from _separations(site, known, out)
    if clear.sum() >= LEAST_IMAGES:
        yield from _separations(replace(site, subset="cleaned"), known, out[clear])


def found_unknown(out: Predictions) -> Bools:
    """Which images annotators found to show nothing that the models know (n,)."""
    if "contains_known" not in out.images:
        return np.zeros(len(out), dtype=bool)
    return np.asarray(out.images["contains_known"].eq(False), dtype=bool)


def _separations(site: Site, known: Sample, out: Doubles) -> Iterator[Measurement]:
    try:
        pair = Separation.of(known, out)
    except ValueError as reason:
        log.info("nothing separates at %s: %s", site, reason)
        return
    for metric, estimate in METRICS.items():
        yield from site.measure(metric, estimate, pair)
