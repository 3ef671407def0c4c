"""How well a model notices that a picture shows nothing it knows.

Every out set is held against all images of its clean set, by every score that the head allows, over all classes. ID is
positive in ``auroc``, ``fpr95`` and ``aupr_in``; ``fpr95_out`` has out as positive. n counts both kinds of images.

The full set (subset ``all``) is measured as others publish it. Where annotators said of some images whether they show a
class that the models know (column ``contains_known``; Bitterwolf et al. 2023, arXiv:2306.00826), those that were found
to show none are measured beside it (subset ``cleaned``), if they are 30 or more: a sample of the set, not the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

import numpy as np

from engine.predictions import Predictions, Record
from studies import estimates
from studies.estimates import Site
from studies.measurements import Measurement
from studies.metrics import Bools, Doubles
from studies.scores import scores_for

LEAST_IMAGES = 30


def measure(record: Record) -> Iterator[Measurement]:
    """AUROC, FPR at 95 % TPR and AUPR of one model for each out set and score, fractions."""
    for clean, out_sets in groupby(sorted(record.sets("out"), key=attrgetter("clean")), attrgetter("clean")):
        known = record.predictions(clean)
        scores = scores_for(known.head)
        of_known = {name: score(known) for name, score in scores.items()}
        for out_set in out_sets:
            out = record.predictions(out_set.name)
            clear = _found_unknown(out)
            for name, score in scores.items():
                site = Site("ood", record.model, known.head.name, out_set.name, "all", name)
                of_out = score(out)
                yield from _separations(site, of_known[name], of_out)
                if clear.sum() >= LEAST_IMAGES:
                    yield from _separations(replace(site, subset="cleaned"), of_known[name], of_out[clear])


def _found_unknown(out: Predictions) -> Bools:
    """Which images annotators found to show nothing that the models know (n,)."""
    if "contains_known" not in out.images:
        return np.zeros(len(out), dtype=bool)
    return np.asarray(out.images["contains_known"].eq(False), dtype=bool)


def _separations(site: Site, known: Doubles, out: Doubles) -> Iterator[Measurement]:
    yield from site.measure("auroc", estimates.auroc, known, out)
    yield from site.measure("fpr95", estimates.fpr_at_95, known, out)
    yield from site.measure("fpr95_out", estimates.fpr_at_95_out, known, out)
    yield from site.measure("aupr_in", estimates.aupr_in, known, out)
