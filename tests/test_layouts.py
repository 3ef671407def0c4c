"""Every known set in its published layout gives its ids, labels and classes; every mistake gets its sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import packed
import pytest
from published import Published, build, picture, write

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare import sources
from engine.prepare.known import KNOWN
from engine.prepare.layouts import Arranged, arrange

LARGE = ("imagenet", "stylized-imagenet", "imagenet-sketch")
V2 = tuple(name for name in KNOWN if name.startswith("imagenet-v2"))
OWN_ROOT = {"imagenet-vid-robust": "imagenet_vid_ytbb_robust/imagenet-vid-robust", "objectnet": "objectnet-1.0"}


def _arrange(name: str, path: Path, labels: Path | None = None) -> Arranged:
    return arrange(KNOWN[name], sources.find(str(path)), None if labels is None else str(labels))


def _labels(arranged: Arranged) -> dict[str, int | None]:
    return {entry.image_id: entry.label for entry in arranged.entries}


@pytest.mark.parametrize("name", KNOWN)
def test_the_published_layout(name: str, tmp_path: Path) -> None:
    known = KNOWN[name]
    published = build(name, tmp_path / "set", each=1 if known.classes == 1000 else 2)
    arranged = _arrange(name, published.path)
    assert _labels(arranged) == published.labels
    assert [entry.image_id for entry in arranged.entries] == sorted(published.labels)
    assert all(entry.member.name.endswith(entry.image_id) for entry in arranged.entries)
    kinds = () if known.role == "out" else classes.folders(name)
    found = arranged.image_set
    assert (found.name, found.role, found.clean, found.border) == (name, known.role, "imagenet", known.border)
    assert found.class_names == tuple(kind.name for kind in kinds)
    assert found.classes == tuple(kind.classes for kind in kinds)
    assert arranged.published == known.images
    assert not any("were found in" in note for note in arranged.notes)


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in (*LARGE, *V2[1:])])
def test_an_archive_the_sets_own_root_and_a_wrapper_give_the_same(name: str, tmp_path: Path) -> None:
    published = build(name, tmp_path / "set")
    expected = _labels(_arrange(name, published.path))
    assert _labels(_arrange(name, packed.pack(published.path, tmp_path / "set.tar"))) == expected
    root = _arrange(name, published.path / OWN_ROOT.get(name, KNOWN[name].folder))
    assert _labels(root) == expected
    assert not any("were found in" in note for note in root.notes)
    published.path.rename(tmp_path / "elsewhere")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "elsewhere").rename(tmp_path / "deep" / "er" / "set")
    deeper = _arrange(name, tmp_path / "deep")
    assert _labels(deeper) == expected
    assert any(f"found in 'er/set/{KNOWN[name].folder}'" in note for note in deeper.notes)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    assert (
        "1 pictures of ObjectNet's other classes"
        in _arrange("objectnet", build("objectnet", tmp_path / "o").path).notes[0]
    )
    assert "60 frames" in _arrange("imagenet-vid-robust", build("imagenet-vid-robust", tmp_path / "v").path).notes[0]
    assert "2 pictures outside NINCO_OOD" in _arrange("ninco", build("ninco", tmp_path / "n").path).notes[0]
    v2 = build(V2[0], tmp_path / "2").path
    assert "could not be checked" in _arrange(V2[0], v2 / KNOWN[V2[0]].folder).notes[0]


def test_annotations_of_conflicts_and_videos(tmp_path: Path) -> None:
    arranged = _arrange("cue-conflict", build("cue-conflict", tmp_path / "c", each=3).path)
    names = arranged.image_set.class_names
    for entry in arranged.entries:
        shape, texture = entry.image_id.split("/")[1].removesuffix(".png").split("-")
        assert names[entry.label or 0] == shape.rstrip("0123456789")
        assert names[entry.annotations["texture"]] == texture.rstrip("0123456789")  # type: ignore[call-overload]
    arranged = _arrange("imagenet-vid-robust", build("imagenet-vid-robust", tmp_path / "v").path)
    labels = {entry.label: entry.annotations["labels"] for entry in arranged.entries}
    assert labels[5] == [5, 0]
    assert all(found == [label] for label, found in labels.items() if label != 5)


def test_objectnet_without_its_mapping_files(tmp_path: Path) -> None:
    published = build("objectnet", tmp_path)
    shutil.rmtree(tmp_path / "objectnet-1.0/mappings")
    arranged = _arrange("objectnet", tmp_path)
    assert _labels(arranged) == published.labels
    assert "own mapping files were not there" in arranged.notes[1]


def test_open_images_are_kept_as_listed(tmp_path: Path) -> None:
    published = build("openimage-o", tmp_path / "set")
    names = sorted(published.labels)
    listed = tmp_path / "openimage_o.txt"
    listed.write_text("".join(f"{name}\n" for name in names[:7]))
    arranged = _arrange("openimage-o", published.path, listed)
    assert [entry.image_id for entry in arranged.entries] == names[:7]
    assert "13 pictures" in arranged.notes[0]
    listed.write_text("0123456789abcdef.jpg\n")
    with pytest.raises(BadImageSet, match="1 of the 1 pictures"):
        _arrange("openimage-o", published.path, listed)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return build("imagenet", tmp_path_factory.mktemp("imagenet"))


@pytest.fixture(scope="module")
def flat(imagenet: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed.flat(imagenet, tmp_path_factory.mktemp("flat"))


def _lists(file: str) -> Callable[[Published, Path, Path], tuple[Path, Path | None]]:
    return lambda published, flat, to: (flat, packed.lists(published, to)[file])


def _tar_and_devkit(published: Published, flat: Path, to: Path) -> tuple[Path, Path | None]:
    kit = packed.devkit(published, to / "kit")
    return packed.pack(flat, to / "ILSVRC2012_img_val.tar"), packed.pack(kit, to / "ILSVRC2012_devkit_t12.tar.gz")


def _val_images(published: Published, _: Path, to: Path) -> tuple[Path, Path | None]:
    return packed.pack(packed.flat(published, to / "flat", wnids=True), to / "val_images.tar.gz"), None


LAYOUTS: dict[str, Callable[[Published, Path, Path], tuple[Path, Path | None]]] = {
    "tar of folders": lambda published, _, to: (packed.pack(published.path, to / "val.tar"), None),
    "flat folder, unpacked devkit": lambda published, flat, to: (flat, packed.devkit(published, to)),
    "flat tar, devkit": _tar_and_devkit,
    "TensorFlow's list": _lists("imagenet_2012_validation_synset_labels.txt"),
    "Caffe's list": _lists("val.txt"),
    "names and wnids": _lists("wnids.txt"),
    "Kaggle's list": _lists("LOC_val_solution.csv"),
    "list beside folders": lambda published, _, to: (published.path, packed.lists(published, to)["val.txt"]),
    "WebDataset": lambda published, _, to: (packed.webdataset(published, to), None),
    "Parquet": lambda published, _, to: (packed.parquet(published, to), None),
    "val_images.tar.gz": _val_images,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_imagenet_gives_the_same(layout: str, imagenet: Published, flat: Path, tmp_path: Path) -> None:
    path, labels = LAYOUTS[layout](imagenet, flat, tmp_path)
    arranged = _arrange("imagenet", path, labels)
    assert [(entry.image_id, entry.label) for entry in arranged.entries] == sorted(imagenet.labels.items())
    assert arranged.notes == ()
    first = next(entry.member for entry in arranged.entries)
    content = next(iter(sources.find(str(path)).read([first])))
    assert content == picture(classes.ids()["n01751748"])


def test_pictures_without_names_keep_their_keys(imagenet: Published, tmp_path: Path) -> None:
    arranged = _arrange("imagenet", packed.webdataset(imagenet, tmp_path, named=False))
    assert [entry.image_id for entry in arranged.entries] == [f"{number:08d}" for number in range(1000)]
    assert [entry.label for entry in arranged.entries] == [label for _, label in sorted(imagenet.labels.items())]
    assert "join only with those of the same files" in arranged.notes[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{c}\n", "bare numbers, and several orders"),
        ("{image_id} {next}\n", "labelled n01753488; as published it is n01751748"),
        ("{image_id} 1{c:03d}\n", "is no name of a validation picture"),
        ("{image_id}\n", "is no name of a validation picture"),
        ("{wnid} {c}\n", "is no wnid of ImageNet's"),
        ("n00000000\n", "is no wnid of ImageNet's"),
        ("", "it is no list"),
    ],
)
def test_a_list_that_tells_nothing_certain(
    text: str, sentence: str, imagenet: Published, flat: Path, tmp_path: Path
) -> None:
    rows = packed.contents(imagenet)
    lines = (text.format(image_id=i, c=c, wnid=wnid, next=(c + 1) % 1000) for i, c, wnid, _ in rows)
    (tmp_path / "list.txt").write_text("".join(lines))
    with pytest.raises(BadImageSet, match=sentence):
        _arrange("imagenet", flat, tmp_path / "list.txt")


def test_labels_that_are_missing_or_disagree(imagenet: Published, flat: Path, tmp_path: Path) -> None:
    with pytest.raises(BadImageSet, match=r"Nothing tells the class of .* ILSVRC2012_devkit_t12.tar.gz"):
        _arrange("imagenet", flat)
    with pytest.raises(BadImageSet, match=r"No file 'nowhere.txt'"):
        arrange(KNOWN["imagenet"], sources.find(str(flat)), "nowhere.txt")
    with pytest.raises(BadImageSet, match=r"does not hold ILSVRC2012_validation_ground_truth.txt"):
        _arrange("imagenet", flat, flat)
    lists = packed.lists(imagenet, tmp_path)
    some = lists["val.txt"].read_text().splitlines(keepends=True)
    (tmp_path / "short.txt").write_text("".join(some[:-1]))
    with pytest.raises(BadImageSet, match=r"says nothing of 'ILSVRC2012_val_00001000.JPEG'"):
        _arrange("imagenet", flat, tmp_path / "short.txt")
    (tmp_path / "torn.txt").write_text("".join([*some[:-1], "ILSVRC2012_val_00001000.JPEG 0\n"]))
    with pytest.raises(BadImageSet, match=r"is labelled n01440764 and n\d{8}: its folder"):
        _arrange("imagenet", imagenet.path, tmp_path / "torn.txt")
    kit = packed.devkit(imagenet, tmp_path / "kit")
    (kit / "ILSVRC2012_devkit_t12/data/meta.mat").write_bytes(b"MATLAB 5.0 MAT-file, but not really")
    with pytest.raises(BadImageSet, match=r"meta.mat in .* cannot be read"):
        _arrange("imagenet", flat, kit)


def test_records_that_are_damaged(imagenet: Published, tmp_path: Path) -> None:
    for name, content, sentence in (
        ("cls", b"1000", "has the label '1000'"),
        ("cls", b"tench-like fish", "must be a number from 0 to 999, a wnid or a name"),
        ("json", b"{", "is no JSON"),
        ("json", json.dumps({"label": 3}).encode(), "is labelled n01440764 and n01491361"),
    ):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        write(folder / "a.jpg", picture(0))
        write(folder / "a.cls", b"0")
        write(folder / f"a.{name}", content)
        with pytest.raises(BadImageSet, match=sentence):
            _arrange("imagenet", folder)
