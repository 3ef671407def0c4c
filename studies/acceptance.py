"""Whether this is the model that others published.

Every fact ``published_<set>`` of a model, its published top-1 as a fraction, is compared with the measured one where
RESULTS holds that set: ``top1_gap`` is measured minus published. Measured over all classes on clean sets, over the
set's own classes (masked) on shift sets, as the published tables do. The method names the source. Independent runs of
one model differ by at most .0012 on ImageNet, .0010 on Sketch and R, .0018 on A, .0023 on V2, .0030 on ObjectNet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pandas as pd

from engine.predictions import Predictions, Record
from studies import estimates
from studies.estimates import Estimate, Site
from studies.measurements import Measurement

PREFIX = "published_"
log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """Gap between measured and published top-1 of one model, a fraction; above 0 where the measured one is higher."""
    source = record.facts.get(f"{PREFIX}source")
    known = {image_set.name for image_set in record.image_sets if image_set.role in ("clean", "shift")}
    for fact, value in record.facts.items():
        name = str(fact).removeprefix(PREFIX)
        if name == fact or name == "source" or pd.isna(value) or value == "":
            continue
        if name not in known:
            log.info("%s of %s is not compared: no image set '%s' in %s.", fact, record.model, name, record.results)
            continue
        predictions = record.predictions(name)
        method = "" if pd.isna(source) else str(source)
        site = Site("acceptance", record.model, predictions.head.name, name, "all", method)
        yield from site.measure("top1_gap", gap, predictions, float(value))


def gap(predictions: Predictions, published: float) -> Estimate:
    """Measured minus published top-1, a fraction; its error is that of the measured one."""
    among = predictions.on(predictions.image_set.classes)
    found = estimates.top_k(among.logits, among.labels)
    return Estimate(found.value - published, found.std_error, found.n)
