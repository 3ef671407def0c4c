"""The image sets that are known by name: what they hold as published, where to get them, and how they lie there.

Counts, licences and papers are those that the sets' own pages and papers state. A set restricted to the classes that
ImageNet knows (ObjectNet) is counted after the restriction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.classes import ClassFolder
from engine.image_sets import ImageSet, Role

CLEAN = "imagenet"
Layout = Literal["validation", "class folders", "objectnet", "videos", "conflict", "flat"]

_IMAGENET_TERMS = "ImageNet's terms of access: non-commercial research and education"
_MIT = "MIT (its repository); the pictures are others' work"
_SOURCES = "the terms of the collection it was chosen from"
_V2 = "https://huggingface.co/datasets/vaishaal/ImageNetV2"
_MOS = "https://github.com/deeplearning-wisc/large_scale_ood"
_ADVERSARIAL = "https://github.com/hendrycks/natural-adv-examples"
_RECHT = "Recht et al. 2019, arXiv:1902.10811"
_GEIRHOS = "Geirhos et al. 2019, arXiv:1811.12231"
_HENDRYCKS = "Hendrycks et al. 2021, arXiv:1907.07174"
_HUANG = "Huang and Li 2021, arXiv:2105.01879"


@dataclass(frozen=True, slots=True)
class KnownSet:
    """An image set as published.

    Attributes
    ----------
    name : what it is called here
    title : what it is called elsewhere
    role : what it is for; the clean set of all is ``imagenet``
    images : number of images, after any restriction to classes
    classes : number of its own classes; 0 where it has none
    layout : how its files lie
    folder : where its class folders, or its pictures, lie in what is published
    archive : names of the published files
    home : page where to get it
    licence : under which terms
    paper : authors, year, arXiv id
    border : pixels that are cut off every side of every picture
    """

    name: str
    title: str
    role: Role
    images: int
    classes: int
    layout: Layout
    folder: str
    archive: str
    home: str
    licence: str
    paper: str
    border: int = 0

    def image_set(self, kinds: Sequence[ClassFolder] = ()) -> ImageSet:
        """What the set is for, with the classes of these folders."""
        names, groups = tuple(kind.name for kind in kinds), tuple(kind.classes for kind in kinds)
        return ImageSet(self.name, self.role, CLEAN, names, groups, border=self.border)


_ALL = (
    KnownSet(
        CLEAN, "ImageNet, validation", "clean", 50_000, 1000, "validation", "val",
        "ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz",
        "https://image-net.org/download-images.php", _IMAGENET_TERMS, "Russakovsky et al. 2015, arXiv:1409.0575",
    ),
    KnownSet(
        "imagenet-v2-matched-frequency", "ImageNetV2, matched frequency", "shift", 10_000, 1000, "class folders",
        "imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency.tar.gz", _V2, _MIT, _RECHT,
    ),
    KnownSet(
        "imagenet-v2-threshold-0.7", "ImageNetV2, threshold 0.7", "shift", 10_000, 1000, "class folders",
        "imagenetv2-threshold0.7-format-val", "imagenetv2-threshold0.7.tar.gz", _V2, _MIT, _RECHT,
    ),
    KnownSet(
        "imagenet-v2-top-images", "ImageNetV2, top images", "shift", 10_000, 1000, "class folders",
        "imagenetv2-top-images-format-val", "imagenetv2-top-images.tar.gz", _V2, _MIT, _RECHT,
    ),
    KnownSet(
        "imagenet-r", "ImageNet-R", "shift", 30_000, 200, "class folders", "imagenet-r", "imagenet-r.tar",
        "https://github.com/hendrycks/imagenet-r", _MIT, "Hendrycks et al. 2021, arXiv:2006.16241",
    ),
    KnownSet(
        "imagenet-a", "ImageNet-A", "shift", 7_500, 200, "class folders", "imagenet-a", "imagenet-a.tar",
        _ADVERSARIAL, _MIT, _HENDRYCKS,
    ),
    KnownSet(
        "imagenet-sketch", "ImageNet-Sketch", "shift", 50_889, 1000, "class folders", "sketch",
        "ImageNet-Sketch.zip", "https://github.com/HaohanWang/ImageNet-Sketch", _MIT,
        "Wang et al. 2019, arXiv:1905.13549",
    ),
    KnownSet(
        "objectnet", "ObjectNet, the 113 classes that ImageNet knows", "shift", 18_574, 113, "objectnet",
        "objectnet-1.0/images", "objectnet-1.0.zip", "https://objectnet.dev",
        "CC BY 4.0, never to tune a model, shown on the web only with its red border", "Barbu et al. 2019, NeurIPS",
        border=2,
    ),
    KnownSet(
        "imagenet-vid-robust", "ImageNet-Vid-Robust, anchor frames", "shift", 1_109, 30, "videos",
        "imagenet_vid_ytbb_robust/imagenet-vid-robust", "imagenet_vid_ytbb_robust.tar.gz",
        "https://github.com/modestyachts/imagenet-vid-robust-example", _IMAGENET_TERMS,
        "Shankar et al. 2021, arXiv:1906.02168",
    ),
    KnownSet(
        "stylized-imagenet", "Stylized-ImageNet, validation", "shift", 50_000, 1000, "class folders", "val",
        "made from ImageNet by the authors' script", "https://github.com/rgeirhos/Stylized-ImageNet",
        _IMAGENET_TERMS, _GEIRHOS,
    ),
    KnownSet(
        "cue-conflict", "Texture-shape cue conflict", "conflict", 1_280, 16, "conflict", "cue-conflict",
        "cue-conflict.tar.gz", "https://github.com/bethgelab/model-vs-human/releases/tag/v0.1", "CC BY 4.0",
        _GEIRHOS,
    ),
    KnownSet(
        "inaturalist", "iNaturalist, the MOS selection", "out", 10_000, 0, "flat", "iNaturalist/images",
        "iNaturalist.tar.gz", _MOS, _SOURCES, _HUANG,
    ),
    KnownSet(
        "sun", "SUN, the MOS selection", "out", 10_000, 0, "flat", "SUN/images", "SUN.tar.gz", _MOS, _SOURCES, _HUANG
    ),
    KnownSet(
        "places", "Places, the MOS selection", "out", 10_000, 0, "flat", "Places/images", "Places.tar.gz", _MOS,
        _SOURCES, _HUANG,
    ),
    KnownSet(
        "textures", "Describable Textures (DTD)", "out", 5_640, 47, "class folders", "dtd/images",
        "dtd-r1.0.1.tar.gz", "https://www.robots.ox.ac.uk/~vgg/data/dtd/", "for research purposes",
        "Cimpoi et al. 2014, arXiv:1311.3618",
    ),
    KnownSet(
        "imagenet-o", "ImageNet-O", "out", 2_000, 200, "class folders", "imagenet-o", "imagenet-o.tar",
        _ADVERSARIAL, _MIT, _HENDRYCKS,
    ),
    KnownSet(
        "ninco", "NINCO, OOD classes", "out", 5_879, 64, "class folders", "NINCO/NINCO_OOD_classes",
        "NINCO_all.tar.gz", "https://zenodo.org/record/8013288", _MIT, "Bitterwolf et al. 2023, arXiv:2306.00826",
    ),
    KnownSet(
        "openimage-o", "OpenImage-O", "out", 17_632, 0, "flat", "openimage_o/images",
        "Open Images V3, test, the files of datalists/openimage_o.txt", "https://github.com/haoqiwang/vim",
        "CC BY 2.0 (the pictures)", "Wang et al. 2022, arXiv:2203.10807",
    ),
)  # fmt: skip
KNOWN = {known.name: known for known in _ALL}


def table() -> str:
    """Every known set in a few lines, for people: what it holds, whose it is, its terms, where it comes from."""
    return "\n".join(_lines(known) for known in _ALL)


def _lines(known: KnownSet) -> str:
    classes = f"  {known.classes:,} classes" if known.classes else ""
    return (
        f"{known.name:<30} {known.role:<8} {known.images:>6,} images{classes}\n"
        f"    {known.title}: {known.paper}\n"
        f"    {known.home}: {known.archive}\n"
        f"    {known.licence}"
    )


def missing(names: Collection[str]) -> str:
    """One sentence that names the known sets not among these; empty where all are."""
    absent = [name for name in KNOWN if name not in names]
    if not absent:
        return ""
    return (
        f"{len(absent)} of the {len(KNOWN)} known image sets are not prepared: {', '.join(absent)}. "
        "Where to get them: python -m engine.prepare --list"
    )
