"""How well a model notices that a picture shows nothing it knows.

Every out set is held against all images of its clean set, by every score that the head allows, over all classes. ID is
positive in ``auroc``, ``fpr95`` and ``aupr_in``; ``fpr95_out`` has out as positive. n counts both kinds of images.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from engine.predictions import Record
from studies import estimates
from studies.estimates import Site
from studies.measurements import Measurement
from studies.metrics import Doubles
from studies.scores import scores_for


def measure(record: Record) -> Iterator[Measurement]:
    """AUROC, FPR at 95 % TPR and AUPR of one model for each out set and score, fractions."""
    for clean, out_sets in groupby(sorted(record.sets("out"), key=attrgetter("clean")), attrgetter("clean")):
        known = record.predictions(clean)
        scores = scores_for(known.head)
        of_known = {name: score(known) for name, score in scores.items()}
        for out_set in out_sets:
            out = record.predictions(out_set.name)
            for name, score in scores.items():
                site = Site("ood", record.model, known.head.name, out_set.name, "all", name)
                yield from _separations(site, of_known[name], score(out))


def _separations(site: Site, known: Doubles, out: Doubles) -> Iterator[Measurement]:
    yield from site.measure("auroc", estimates.auroc, known, out)
    yield from site.measure("fpr95", estimates.fpr_at_95, known, out)
    yield from site.measure("fpr95_out", estimates.fpr_at_95_out, known, out)
    yield from site.measure("aupr_in", estimates.aupr_in, known, out)
