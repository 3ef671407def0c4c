"""OOD scores that need no fitting, and their metrics, against the matrix product and one softmax alone; in one run.

::

    python -m tests.benchmarks.ood

One model, 50,000 ID and 38,000 out images in five sets, 768 features, 1,000 classes. Both ways start from features in
memory and use the threads that they are given. Prints wall seconds (median of 3), CPU seconds, the ratio of both, and
the peak of memory, for a learned head whose activations are not negative (ASH has a product of its own), one whose
activations are signed, and a zero-shot head. Each head is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from engine.predictions import Head, ImageSet, Predictions
from studies import ood
from studies.detection import Sample
from studies.estimates import Site
from studies.scores import scores_for

CLASSES, WIDTH = 1000, 768
SETS = (50_000, 10_000, 10_000, 10_000, 6_000, 2_000)
KINDS = ("not negative", "signed", "zero-shot")
Features = Sequence[np.ndarray]


def main() -> None:
    """Measure every kind of head, and print."""
    parser = argparse.ArgumentParser(description="OOD scores against a matrix product and a softmax.")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of images")
    asked = parser.parse_args()
    for kind in KINDS:
        process = multiprocessing.get_context("spawn").Process(target=_measure, args=(kind, asked.scale))
        process.start()
        process.join()


def _measure(kind: str, scale: float) -> None:
    head, features = _head(kind), _features(kind, scale)
    times: dict[str, list[tuple[float, float]]] = {"alone": [], "scores": []}
    for _ in range(3):
        times["alone"].append(_timed(lambda: _alone(head, features)))
        times["scores"].append(_timed(lambda: _scores(head, features)))
    alone, ours = (np.array([statistics.median(each) for each in zip(*times[way], strict=True)]) for way in times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{kind:<13} product and softmax {alone[0]:6.2f} s ({alone[1]:6.2f} CPU)   scores and metrics {ours[0]:6.2f} s "
        f"({ours[1]:6.2f} CPU)   ratio {ours[0] / alone[0]:.2f} ({ours[1] / alone[1]:.2f} CPU)   peak {peak:.2f} GiB",
        flush=True,
    )


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _head(kind: str) -> Head:
    weight = np.random.default_rng(1).normal(size=(CLASSES, WIDTH)).astype(np.float32) / np.float32(np.sqrt(WIDTH))
    bias = np.zeros(CLASSES, dtype=np.float32)
    if kind == "zero-shot":
        weight /= np.linalg.norm(weight, axis=1, keepdims=True)
        return Head("openai80", "zero_shot", weight, bias, 100.0)
    return Head("learned", "learned", weight, bias, 1.0)


def _features(kind: str, scale: float) -> Features:
    rng = np.random.default_rng(0)
    found = [rng.standard_normal((max(40, int(n * scale)), WIDTH), dtype=np.float32) for n in SETS]
    for each in found:
        if kind == "not negative":
            np.abs(each, out=each)
        if kind == "zero-shot":
            each /= np.linalg.norm(each, axis=1, keepdims=True)
    return found


def _alone(head: Head, features: Features) -> None:
    weight = head.weight * np.float32(head.scale)
    for each in features:
        logits = each @ weight.T + head.bias
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)


def _scores(head: Head, features: Features) -> None:
    known: dict[str, Sample] = {}
    scores = scores_for(head)
    for each in features:
        labels = np.zeros(len(each), dtype=np.int64)
        images = pd.DataFrame(index=range(len(each)))
        shown = Predictions(ImageSet("out", "out", "clean", (), ()), head, images, each, head.logits(each), labels)
        if not known:
            known = ood._samples("model", shown, scores)
            continue
        site = Site("ood", "model", head.name, "out", "all", "")
        separate = list(ood._of_set(site, known, shown, {name: scores[name] for name in known}))
        assert len(separate) == len(known) * len(ood.METRICS)


if __name__ == "__main__":
    main()
