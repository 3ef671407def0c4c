"""Folders of pictures become prepared sets: bytes kept, classes found by name, mistakes told."""

from __future__ import annotations

from pathlib import Path

import pytest
import small

from engine import image_sets
from engine.files import Folder
from engine.prepare.__main__ import main


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("cat", "dog", "eel"):
        (tmp_path / "clean" / name).mkdir(parents=True)
        for number in range(3):
            content = small.picture((90, 80, 70), seed=number, form="JPEG")
            (tmp_path / "clean" / name / f"{number}.jpg").write_bytes(content)
    (tmp_path / "zoo" / "zebra").mkdir(parents=True)
    (tmp_path / "zoo" / "zebra" / "0.jpg").write_bytes(small.picture((1, 2, 3), form="JPEG"))
    (tmp_path / "clean" / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "clean" / "dog" / "link.jpg").symlink_to(tmp_path / "clean/cat/0.jpg")
    return tmp_path


def _prepare(root: Path, *arguments: object) -> int:
    return main([*(str(argument) for argument in arguments), "--data", str(root / "data")])


def test_a_folder_per_class_becomes_a_clean_set(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _prepare(pictures, "pets", "--from", pictures / "clean", "--role", "clean") == 0
    assert "9 images of 3 labels" in capsys.readouterr().out
    data = Folder.of(pictures / "data")
    found = image_sets.read(data, "pets")
    assert found.image_set.class_names == ("cat", "dog", "eel")
    rows = (data / "pets").read("00000.parquet").to_pylist()
    assert [row["image_id"] for row in rows][:4] == ["cat/0.jpg", "cat/1.jpg", "cat/2.jpg", "dog/0.jpg"]
    assert all(row["image"] == (pictures / "clean" / row["image_id"]).read_bytes() for row in rows)
    assert [row["label"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_shift_set_finds_its_classes_by_name(pictures: Path) -> None:
    _prepare(pictures, "pets", "--from", pictures / "clean", "--role", "clean")
    (pictures / "clean" / "cat").rename(pictures / "elsewhere")
    assert _prepare(pictures, "pets-new", "--from", pictures / "clean", "--role", "shift", "--clean", "pets") == 0
    found = image_sets.read(Folder.of(pictures / "data"), "pets-new").image_set
    assert (found.class_names, found.classes) == (("dog", "eel"), ((1,), (2,)))
    assert _prepare(pictures, "any", "--from", pictures / "elsewhere", "--role", "out", "--clean", "pets") == 0
    assert image_sets.read(Folder.of(pictures / "data"), "any").image_set.n_images == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("imagnet", "--from", "clean"), "No known set is called 'imagnet'"),
        (("imagenet", "--from", "clean", "--role", "clean"), "'imagenet' is a known set"),
        (("pets", "--role", "clean"), "give its pictures to --from"),
        (("new", "--from", "clean", "--role", "shift", "--clean", "cats"), "No prepared image set 'cats'"),
        (("pets", "--from", "nowhere", "--role", "clean"), "Nothing at 'nowhere'"),
        (("pets", "--from", "clean/cat", "--role", "clean"), "holds 0 folders; it must hold one folder per class"),
        (("new", "--from", "clean", "--role", "shift"), "give its name to --clean"),
        (("new", "--from", "zoo", "--role", "shift", "--clean", "pets"), "'zebra' is not named as a class of 'pets'"),
    ],
)
def test_a_mistake_gets_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(pictures)
    _prepare(pictures, "pets", "--from", "clean", "--role", "clean")
    capsys.readouterr()
    assert _prepare(pictures, *arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
