"""Pictures of a user's own: classes found by name, wrappers left out of the ids, mistakes told."""

from __future__ import annotations

from pathlib import Path

import packed
import pytest
from published import picture, plain, write

from engine import classes
from engine.image_sets import BadImageSet, ImageSet, Role
from engine.prepare import own, sources
from engine.prepare.entries import Arranged

PETS = ImageSet("pets", "clean", "pets", ("cat", "dog", "eel", "eel"), ((0,), (1,), (2,), (3,)))


def _arrange(path: Path, role: Role, clean: ImageSet | None = PETS) -> Arranged:
    return own.arrange("new", role, clean, sources.find(str(path)))


def _files(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write(root / name, plain(number) if name.endswith(".png") else picture(number))
    write(root / "notes.txt", "no picture")
    return root


def _rows(arranged: Arranged) -> list[tuple[str, int | None]]:
    return [(entry.image_id, entry.label) for entry in arranged.entries]


def test_a_folder_per_class_becomes_a_clean_set(tmp_path: Path) -> None:
    root = _files(tmp_path / "pets", "dog/2.jpg", "cat/1.jpg", "cat/0.jpg")
    arranged = _arrange(root, "clean", None)
    assert _rows(arranged) == [("cat/0.jpg", 0), ("cat/1.jpg", 0), ("dog/2.jpg", 1)]
    found = arranged.image_set
    assert (found.role, found.clean, found.class_names, found.classes) == ("clean", "new", ("cat", "dog"), ((0,), (1,)))
    assert _rows(_arrange(packed.pack(tmp_path, tmp_path.with_suffix(".tar")), "clean", None)) == _rows(arranged)


def test_a_shift_set_finds_its_classes_by_name(tmp_path: Path) -> None:
    root = _files(tmp_path / "deep" / "er", "dog/0.jpg", "cat/0.jpg")
    for path in (root, tmp_path):
        arranged = _arrange(path, "shift")
        assert _rows(arranged) == [("cat/0.jpg", 0), ("dog/0.jpg", 1)]
        assert (arranged.image_set.class_names, arranged.image_set.classes) == (("cat", "dog"), ((0,), (1,)))
    one = _arrange(_files(tmp_path / "one", "dog/0.jpg"), "shift")
    assert (_rows(one), one.image_set.classes) == ([("dog/0.jpg", 0)], ((1,),))


def test_imagenets_classes_may_be_wnids(tmp_path: Path) -> None:
    clean = ImageSet("imagenet", "clean", "imagenet", classes.names(), tuple((number,) for number in range(1000)))
    arranged = _arrange(_files(tmp_path, "n01443537/0.jpg", "tench/1.jpg"), "shift", clean)
    assert _rows(arranged) == [("n01443537/0.jpg", 1), ("tench/1.jpg", 0)]
    assert (arranged.image_set.class_names, arranged.image_set.classes) == (("tench", "goldfish"), ((0,), (1,)))
    with pytest.raises(BadImageSet, match="Two folders of 'new' mean the class 'tench'"):
        _arrange(_files(tmp_path, "n01440764/0.jpg"), "shift", clean)


def test_any_pictures_are_an_out_set(tmp_path: Path) -> None:
    root = _files(tmp_path, "all/1.jpg", "all/a/0.jpg", "all/a/b/0.jpg")
    arranged = _arrange(root, "out")
    assert _rows(arranged) == [("1.jpg", None), ("a/0.jpg", None), ("a/b/0.jpg", None)]
    assert (arranged.image_set.clean, arranged.image_set.class_names) == ("pets", ())


def test_conflicts_tell_shape_and_texture(tmp_path: Path) -> None:
    arranged = _arrange(_files(tmp_path, "cat/cat1-dog2.png", "dog/dog10-cat3.png", "dog/dog1-dog1.png"), "conflict")
    assert [(entry.label, entry.annotations["texture"]) for entry in arranged.entries] == [(0, 1), (1, 1), (1, 0)]
    assert arranged.image_set.classes == PETS.classes


@pytest.mark.parametrize(
    ("role", "files", "sentence"),
    [
        ("clean", ("0.jpg", "1.jpg"), "holds 0 folders; it must hold one folder per class, at least two"),
        ("clean", ("cat/0.jpg", "cat/1.jpg"), "holds 0 folders; it must hold one folder per class"),
        ("clean", ("cat/0.jpg", "dog/1.jpg", "2.jpg"), "'2.jpg' lies in no class folder"),
        ("clean", ("train/cat/0.jpg", "val/cat/1.jpg"), "lies deeper than in its class folder"),
        ("clean", ("notes.txt",), "No picture for 'new' was found among 1 files"),
        ("shift", ("cat/0.jpg", "cow/1.jpg"), "'cow' is not named as a class of 'pets' (cat, dog, ...)"),
        ("shift", ("cat/0.jpg", "1.jpg"), "'.' is not named as a class of 'pets'"),
        ("shift", ("eel/0.jpg",), "'eel' is not named as a class of 'pets'"),  # two classes are called so
        ("shift", ("cat/0.jpg", "more/cat/1.jpg"), "lie in 2 places, such as '.' and 'more'"),
        ("shift", ("cat/dog/0.jpg",), "lies in a folder inside the class folder 'cat'"),
        ("conflict", ("cat/cat1.png",), "does not tell its texture"),
    ],
)
def test_a_mistake_gets_one_sentence(role: Role, files: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadImageSet) as caught:
        _arrange(_files(tmp_path, *files), role)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_clean_set_is_needed(tmp_path: Path) -> None:
    with pytest.raises(BadImageSet, match="give its name to --clean"):
        _arrange(_files(tmp_path, "cat/0.jpg"), "shift", None)
