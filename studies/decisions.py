"""Models of which only decisions are known: the class each image was taken for, and how sure of it the model was.

::

    RESULTS/decisions/<set>/<model>.parquet    image_id, decided, confidence

``decided`` is a class of the models, in a set of role conflict a label of the set. What the other classes were given is
not known and is not made up: of each study that is measured which needs no more than this, `LEFT_OUT` says what not.
Where every class of the models is a label of its own, as in ImageNet-V2, a choice among the set's classes is the one
among all, and such a set is measured "masked" too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from engine.predictions import Folder, Head, ImageSet, IncompleteRecord, Predictions, Record
from studies import estimates, factors, metrics, ood, shape
from studies.calibration import judge
from studies.detection import Sample
from studies.estimates import Site
from studies.halves import SEEDS, halve
from studies.measurements import Measurement
from studies.metrics import Doubles, Ints
from studies.outcomes import DECISION_METRICS, Outcomes
from studies.right import best_right

HEAD = Head("given", "given", np.zeros((0, 0), np.float32), np.zeros(0, np.float32), 1.0)
LEFT_OUT = {
    "shift": "top-5, and accuracy among the classes of a set that has not all of them, need a score for every class",
    "ood": "of the scores there is the maximum softmax probability alone, which is the confidence",
    "calibration": "temperature, NLL, the Brier score over classes, and sets without all classes need more than that",
    "shape": "a decision is taken as it was given, not made of the classes' probabilities",
    "prompts": "there are no prompts without the model",
    "acceptance": "nothing is published of a model of one's own",
}
"""What is not measured, or otherwise, by study."""


@dataclass(frozen=True)
class DecisionsRecord(Record):
    """A record of decisions. Its predictions have 1 for the decided class and 0 for all others: good for hits alone."""

    def predictions(self, name: str, head: str | None = None) -> Predictions:
        """The decisions on one image set, as scores of which only the largest means something. Order of the set."""
        image_set, images = self.image_set(name), self.images(name)
        decided = self._column(name, "decided").astype(np.int64)
        among = image_set if image_set.role == "conflict" else self.image_set(image_set.clean)
        logits = np.zeros((len(images), len(among.class_names)), np.float32)
        logits[np.arange(len(images)), decided] = 1
        labels = images["label"].fillna(-1).to_numpy(dtype=np.int64)
        return Predictions(image_set, replace(HEAD, name=head or HEAD.name), images, logits[:, :0], logits, labels)

    def confidence(self, name: str) -> Doubles:
        """How sure the model was of its decision (n,), 0 to 1."""
        return self._column(name, "confidence").astype(np.float64)

    def _column(self, name: str, column: str) -> Doubles:
        table = (self.results / "decisions" / name).read(f"{self.model}.parquet").to_pandas().set_index("image_id")
        ids = self.images(name)["image_id"]
        if len(table) != len(ids) or not table.index.isin(ids).all():
            raise IncompleteRecord(
                f"The decisions of '{self.model}' on '{name}' are not of the images that {self.results} holds. "
                "Import them again with: python -m studies import"
            )
        return np.asarray(table.loc[ids, column])


def write(
    results: Folder,
    image_set: str,
    model: str,
    image_ids: list[str],
    decided: Ints,
    confidence: Doubles,
    identity: dict[str, object],
) -> None:
    """Commit the decisions of one model on one set, (n,) each."""
    table = pa.table({"image_id": image_ids, "decided": pa.array(decided, pa.int32()), "confidence": confidence})
    (results / "decisions" / image_set).commit(f"{model}.parquet", table, identity)


def _shift(record: DecisionsRecord) -> Iterator[Measurement]:
    for image_set in (*record.sets("clean"), *record.sets("shift")):
        predictions = record.predictions(image_set.name)
        site = Site("shift", record.model, predictions.head.name, image_set.name, "all", "full")
        right = best_right(predictions, image_set.classes)
        yield from site.measure("top1", estimates.top_k, predictions.logits, right)
        if image_set.role == "shift" and _has_all_classes(image_set, predictions):
            yield from replace(site, method="masked").measure("top1", estimates.top_k, predictions.logits, right)
            clean = record.predictions(image_set.clean)
            site = replace(site, image_set=image_set.clean, subset=f"classes:{image_set.name}", method="masked")
            yield from site.measure("top1", estimates.top_k, clean.logits, best_right(clean))


def _has_all_classes(image_set: ImageSet, predictions: Predictions) -> bool:
    return sorted(image_set.classes) == [(number,) for number in range(predictions.logits.shape[1])]


def _ood(record: DecisionsRecord) -> Iterator[Measurement]:
    for image_set in record.sets("out"):
        site = Site("ood", record.model, HEAD.name, image_set.name, "all", "msp")
        known, out = Sample.of(record.confidence(image_set.clean)), record.confidence(image_set.name)
        yield from ood.separations_of(site, known, out, ood.found_unknown(record.predictions(image_set.name)))


def _calibration(record: DecisionsRecord) -> Iterator[Measurement]:
    for image_set in (*record.sets("clean"), *record.sets("shift")):
        predictions = record.predictions(image_set.name)
        if not _has_all_classes(image_set, predictions):
            continue
        correct = metrics.hits(predictions.logits, best_right(predictions, image_set.classes))
        whole, clean = Outcomes.of_decisions(record.confidence(image_set.name), correct), image_set.role == "clean"
        rows = [halve(predictions.labels, seed).test for seed in range(SEEDS)] if clean else [np.arange(len(correct))]
        subset = "test-half" if clean else "all"
        site = Site("calibration", record.model, predictions.head.name, image_set.name, subset, "raw")
        yield from judge(site, [whole[test] for test in rows], rows, len(correct), DECISION_METRICS)


def _factors(record: DecisionsRecord) -> Iterator[Measurement]:
    def outcomes(predictions: Predictions) -> Outcomes:
        correct = metrics.hits(predictions.logits, best_right(predictions))
        return Outcomes.of_decisions(record.confidence(predictions.image_set.name), correct)

    return factors.measure(record, outcomes)


def _shape(record: DecisionsRecord) -> Iterator[Measurement]:
    for image_set in record.sets("conflict"):
        predictions = record.predictions(image_set.name)
        decisions, shapes = predictions.logits.argmax(axis=1), predictions.labels
        textures = predictions.images["texture"].to_numpy(dtype=np.int64)
        site = Site("shape", record.model, predictions.head.name, image_set.name, "all", "given")
        yield from shape.of_decisions(site, image_set, decisions, shapes, textures)


STUDIES: dict[str, Callable[[DecisionsRecord], Iterator[Measurement]]] = {
    "shift": _shift,
    "ood": _ood,
    "calibration": _calibration,
    "factors": _factors,
    "shape": _shape,
}
"""What can be measured of decisions, by study."""
