"""OOD scores that need statistics of ID images: what fitted in, a score out; higher = more like what is known.

To add one, write a function of `Fitting` that returns a function of a block, and enter it in `FITTED_SCORES`. What
fits is never scored as ID. All are for any head but ReAct and SHE, which are of activations and so for learned heads:
an entry of a unit embedding is no activation, and has no ceiling or pattern of its own. ViM and NNGuide multiply logits
or energies, and are undefined where those of the fitting images are not positive on average, as with a large negative
bias. A function raises ValueError, with the reason, where its score is undefined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studies.blocks import Block, Score, score
from studies.fitting import Fitting, unit
from studies.metrics import Doubles, Floats, log_softmax
from studies.scores import energy, of_activations, under

NEIGHBOURS = 10
CLIPPED = 90


def kl_matching(fitting: Fitting) -> Score:
    """Negative smallest KL divergence of the softmax from the typical ones, in nats.

    Hendrycks et al. 2022 (arXiv:1911.11132), sec. 4.2: the typical one of a class is the mean over the fitting images
    that the model takes for it; classes that it takes none for have none.
    """
    logits = fitting.logits
    totals, counts = np.zeros((logits.shape[1], logits.shape[1])), np.zeros(logits.shape[1])
    for part in fitting.parts():
        taken_for = logits[part].argmax(axis=1)
        np.add.at(totals, taken_for, np.exp(log_softmax(logits[part])))
        counts += np.bincount(taken_for, minlength=len(counts))
    typical = totals[counts > 0] / counts[counts > 0, None]
    logs = np.log(np.maximum(typical, np.finfo(np.float64).tiny))

    def of(block: Block) -> Doubles:
        log_probabilities = log_softmax(block.logits)
        probabilities = np.exp(log_probabilities)
        entropies = np.vecdot(probabilities, log_probabilities)
        scores: Doubles = (probabilities @ logs.T).max(axis=1) - entropies
        return scores

    return of


def mahalanobis(fitting: Fitting) -> Score:
    """Negative squared Mahalanobis distance of the features to the nearest class mean, under one covariance.

    Lee et al. 2018 (arXiv:1807.03888), eq. 2, on the last features. The covariance is that within classes, over n; its
    pseudo-inverse leaves out directions in which the fitting images do not vary (as OpenOOD's does).
    """
    fitting.gaussians  # noqa: B018 - undefined here, not in a block
    return lambda block: -fitting.distances(block)


def relative_mahalanobis(fitting: Fitting) -> Score:
    """The same less the squared distance to the mean of all, under the covariance of all. Ren et al. 2021, eq. 3.

    arXiv:2106.09022; `mahalanobis` says how covariances are turned round.
    """
    found = fitting.gaussians

    def of(block: Block) -> Doubles:
        white = (block.features - found.centre) @ found.overall
        scores: Doubles = np.vecdot(white, white) - fitting.distances(block)
        return scores

    return of


def knn(fitting: Fitting) -> Score:
    """Negative distance of the unit feature to the 10th nearest of the fitting images' unit features.

    Sun et al. 2022 (arXiv:2204.06507), eq. 4; 10 is their k for 12,800 images of ImageNet, half as many as fit here.
    """
    _enough(fitting, "kNN")

    def of(block: Block) -> Doubles:
        place = np.argpartition(fitting.similarities(block), -NEIGHBOURS, axis=1)[:, -NEIGHBOURS]
        # A cosine near 1 leaves few exact digits of the distance, so that of the chosen one is measured anew.
        pair = (unit(each.astype(np.float64)) for each in (block.features, fitting.features[place]))
        scores: Doubles = -np.linalg.norm(np.subtract(*pair), axis=1)
        return scores

    return of


def nnguide(fitting: Fitting) -> Score:
    """Energy times its guidance: the mean of the 10 largest of cosine times energy over the fitting images.

    Park et al. 2023 (arXiv:2309.14888), eq. 6, with their k for ImageNet; all fitting images are in the bank.
    """
    _enough(fitting, "NNGuide")
    energies = score(fitting.predictions, energy)
    _positive(energies, "NNGuide multiplies energies")
    weights = energies.astype(np.float32)

    def of(block: Block) -> Doubles:
        guides = np.partition(fitting.similarities(block) * weights, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        scores: Doubles = energy(block) * guides.mean(axis=1, dtype=np.float64)
        return scores

    return of


def vim(fitting: Fitting) -> Score:
    """Energy less the virtual logit: the norm of the features' part outside the principal space, times alpha.

    Wang et al. 2022 (arXiv:2203.10807), eq. 5 to 8. The origin is -pinv(weight) bias; the principal space has 1,000
    dimensions of 2,048 or more, 512 of 768 or more, else half, as in their code; alpha is the mean largest logit of the
    fitting images over their mean residual.
    """
    head, width = fitting.predictions.head, fitting.features.shape[1]
    weight = head.weight.astype(np.float64) * head.scale
    origin = -np.linalg.pinv(weight) @ head.bias.astype(np.float64)
    principal = 1000 if width >= 2048 else 512 if width >= 768 else width // 2
    moments = fitting.moments(lambda part: fitting.features[part] - origin)
    outside = np.linalg.eigh(moments)[1][:, : width - principal]

    def residual(block: Block) -> Doubles:
        norms: Doubles = np.linalg.norm((block.features - origin) @ outside, axis=1)
        return norms

    largest, residuals = fitting.logits.max(axis=1), score(fitting.predictions, residual)
    _positive(largest, "ViM scales the residual to the largest logits")
    _positive(residuals, "ViM divides by the residuals")
    alpha = largest.mean(dtype=np.float64) / residuals.mean()
    return lambda block: energy(block) - alpha * residual(block)


def react(fitting: Fitting) -> Score:
    """Energy of the logits of features clipped at the 90th percentile of all activations of the fitting images.

    Sun et al. 2021 (arXiv:2111.12797), eq. 1, with their percentile. For learned heads.
    """
    of_activations(fitting.predictions.head, "ReAct")
    ceiling = np.float32(np.percentile(fitting.features, CLIPPED))
    return lambda block: energy(under(block.head, np.minimum(block.features, ceiling)))


def she(fitting: Fitting) -> Score:
    """Inner product of the features with the pattern of the class that the model takes the image for.

    Zhang et al. 2023 (ICLR, openreview KkazG4lgKL), eq. 7: the pattern is the mean of the fitting images of the class
    that are classified right; of all images of the class, where none is right. For learned heads.
    """
    of_activations(fitting.predictions.head, "SHE")
    labels, taken_for = fitting.predictions.labels, fitting.logits.argmax(axis=1)
    of_right, right = fitting.class_means(np.where(labels == taken_for, labels, -1))
    of_every, every = fitting.class_means(labels)
    patterns = np.where(right[:, None] > 0, of_right, of_every)

    def of(block: Block) -> Doubles:
        unknown = every[block.top] == 0
        if unknown.any():
            raise ValueError(
                f"SHE has no pattern of class {block.top[unknown][0]}: no image of it is among those that fit."
            )
        scores: Doubles = np.vecdot(block.features.astype(np.float64), patterns[block.top])
        return scores

    return of


def _enough(fitting: Fitting, method: str) -> None:
    n = len(fitting.predictions)
    if n < NEIGHBOURS:
        raise ValueError(f"{method} looks at {NEIGHBOURS} neighbours; only {n} images fit.")


def _positive(values: Floats, what: str) -> None:
    mean = values.mean(dtype=np.float64)
    if not mean > 0:
        raise ValueError(f"{what}, and their mean over the images that fit is {mean:.3g}: not positive.")


FITTED_SCORES: dict[str, Callable[[Fitting], Score]] = {
    "kl_matching": kl_matching,
    "mahalanobis": mahalanobis,
    "relative_mahalanobis": relative_mahalanobis,
    "knn": knn,
    "nnguide": nnguide,
    "vim": vim,
    "react": react,
    "she": she,
}
HEADLESS = ("mahalanobis", "relative_mahalanobis", "knn")
"""Scores that go by features alone: no head changes them."""
