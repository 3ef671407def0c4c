"""Whether this is the model that others published.

Every fact ``published_<set>`` of a model, its published top-1 as a fraction, is compared with the measured one where
RESULTS holds that set. ``top1_gap`` is measured minus published, ``top1_gap_tolerance`` how far apart independent runs
of one checkpoint were found to be on that set: the same images and the same weights, so the error over images has no
part in it. A gap beyond the tolerance means other weights, other preprocessing, or other prompts.

Of ours, the one that was published is compared:

- ImageNet, V2 and Sketch: all 1,000 classes, which are the set's own.
- ImageNet-A and -R: the 200 classes of the set, masked. So publish timm (validated with the class subset alone) and
  open_clip (asked with the 200 names alone). The full softmax is several points lower.
- ObjectNet: masked, the largest logit of the ImageNet classes that each of its 113 labels means. That is what is
  published of learned heads. Zero-shot heads are published as asked with ObjectNet's own 113 names, which is another
  number than ours: they are not compared. So with any set of which a label means several classes.
- Any other set: the set's own classes, masked; all of them on a clean set.

Where an image has several right labels, any of them counts. A zero-shot model is compared under the full prompt set,
with which open_clip publishes. The method names the source.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pandas as pd

from engine.predictions import Predictions, Record
from studies import estimates
from studies.estimates import Estimate, Site
from studies.measurements import Measurement
from studies.right import best_right

PREFIX = "published_"
TOLERANCES = {
    "imagenet": 0.0012,
    "imagenet-sketch": 0.0010,
    "imagenet-r": 0.0010,
    "imagenet-a": 0.0018,
    "imagenet-v2": 0.0023,
    "objectnet": 0.0030,
}
"""Largest difference of two independent runs (open_clip's and LAION's CLIP_benchmark) over 78 pairs of results."""
OTHERWISE = 0.0030
log = logging.getLogger(__name__)


def measure(record: Record) -> Iterator[Measurement]:
    """Gap of measured and published top-1 of one model, above 0 where ours is higher, and its tolerance; fractions."""
    source = record.facts.get(f"{PREFIX}source")
    method = "" if pd.isna(source) else str(source)
    for name, value in _published(record):
        predictions = record.predictions(name)
        if _asked_otherwise(predictions):
            log.info("%s at %s is not compared: published with the set's own class names.", record.model, name)
            continue
        site = Site("acceptance", record.model, predictions.head.name, name, "all", method)
        yield from site.measure("top1_gap", gap, predictions, value)
        yield from site.measure("top1_gap_tolerance", tolerance, predictions)


def gap(predictions: Predictions, published: float) -> Estimate:
    """Measured minus published top-1, a fraction; its error is that of the measured one."""
    among = predictions.on(predictions.image_set.classes)
    found = estimates.top_k(among.logits, best_right(among))
    return Estimate(found.value - published, found.std_error, found.n)


def tolerance(predictions: Predictions) -> Estimate:
    """How far apart two runs of one checkpoint may be on this set, a fraction; a convention, without an error."""
    name = predictions.image_set.name
    known = "imagenet-v2" if name.startswith("imagenet-v2-") else name
    return Estimate(TOLERANCES.get(known, OTHERWISE), None, len(predictions))


def _published(record: Record) -> Iterator[tuple[str, float]]:
    known = {image_set.name for image_set in record.image_sets if image_set.role in ("clean", "shift")}
    for fact, value in record.facts.items():
        name = str(fact).removeprefix(PREFIX)
        if name == fact or name == "source" or pd.isna(value) or value == "":
            continue
        if name in known:
            yield name, float(value)
        else:
            log.info("%s of %s is not compared: no image set '%s' in %s.", fact, record.model, name, record.results)


def _asked_otherwise(predictions: Predictions) -> bool:
    several = any(len(ids) > 1 for ids in predictions.image_set.classes)
    return several and predictions.head.kind == "zero_shot"
