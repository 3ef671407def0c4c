"""Files, prepared sets and the table of predictions: what is read is what was written, or it is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from results_by_hand import IDENTITY, clean_set, learned, out_set, show, zero_shot

from engine import image_sets
from engine.files import Folder
from engine.image_sets import BadImageSet, ImageSet
from engine.predictions import IncompleteRecord, Record, models, write_features, write_images

# A file size limit with the default action kills the process in the middle of a write, at the same byte every time.
KILLED_HALF_WAY = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from engine.files import Folder
from engine.image_sets import ImageSet, write
from engine.predictions import write_features

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
folder = Folder.of(sys.argv[1])
random = np.random.default_rng(0)
def rows():
    for number in range(6):
        yield {"image_id": str(number), "image": random.bytes(1_000 if number < 4 else 30_000), "label": 0}
if sys.argv[2] == "features":
    features = random.normal(size=(100, 100)).astype(np.float32)
    write_features(folder, "plain", "net", "00000.parquet", [str(n) for n in range(100)], features, {})
else:
    write(folder, ImageSet("plain", "clean", "plain", ("zero",), ((0,),)), rows(), shard_rows=2)
"""


def killed(folder: Path, what: str) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", KILLED_HALF_WAY, str(folder), what]
    assert subprocess.run(command, cwd=root, check=False).returncode == -signal.SIGXFSZ


def pictures(n: int, label: int | None = 0) -> Iterator[dict[str, object]]:
    for number in range(n):
        yield {"image_id": f"i{number}", "image": bytes([number]) * 10, "label": label, "top_factor": "pose"}


def test_a_writer_killed_half_way_leaves_nothing_readable(tmp_path: Path) -> None:
    killed(tmp_path, "features")
    cell = Folder.of(tmp_path) / "features" / "plain" / "net"
    left = list((tmp_path / "features" / "plain" / "net").iterdir())
    assert len(left) == 1  # what had been written, under its hidden name
    assert 0 < left[0].stat().st_size <= 20_000
    assert cell.files() == ()
    assert cell.folders() == ()
    write_features(Folder.of(tmp_path), "plain", "net", "00000.parquet", ["a"], np.ones((1, 2), np.float32), {})
    assert cell.files() == ("00000.parquet",)


def test_a_set_killed_half_way_is_not_mistaken_for_a_small_one(tmp_path: Path) -> None:
    killed(tmp_path, "images")
    assert (Folder.of(tmp_path) / "plain").files() == ("00000.parquet", "00001.parquet")
    with pytest.raises(BadImageSet, match=r"'plain' .* was not written to its end. Delete .* and prepare it again"):
        image_sets.read(Folder.of(tmp_path), "plain")


def test_a_file_carries_its_identity_and_replaces_the_one_before(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path)
    folder.commit("a.parquet", pa.table({"x": [1, 2]}), {"model": "é", "n": 2})
    folder.commit("a.parquet", pa.table({"x": [3]}), {"model": "é", "n": 1})
    assert folder.identity("a.parquet") == {"model": "é", "n": 1}
    assert folder.rows("a.parquet") == 1
    assert folder.read("a.parquet").to_pydict() == {"x": [3]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_equal_content_makes_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        Folder.of(tmp_path).commit(name, pa.table({"x": [1, 2]}), {"n": 2, "model": "m"})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_folder_opens_as_a_uri_too(tmp_path: Path) -> None:
    Folder.of(tmp_path).commit("a.parquet", pa.table({"x": [1]}), {})
    assert Folder.of(tmp_path.as_uri()).files() == ("a.parquet",)
    assert (Folder.of(tmp_path) / "absent").files() == ()


def test_a_prepared_set_reads_as_written(tmp_path: Path) -> None:
    data, image_set = Folder.of(tmp_path), clean_set(2)
    image_sets.write(data, image_set, pictures(5), shard_rows=2)
    found = image_sets.read(data, "plain")
    assert [shard.rows for shard in found.shards] == [2, 2, 1]
    assert found.image_set == replace(image_set, digest=found.image_set.digest, n_images=5)
    table = (data / "plain").read("00001.parquet")
    assert table.column("image").to_pylist() == [b"\x02" * 10, b"\x03" * 10]
    assert "image" not in image_sets.without_pictures(table).column_names
    assert image_sets.without_pictures(table).column("top_factor").to_pylist() == ["pose", "pose"]
    assert [each.image_set.name for each in image_sets.read_all(data)] == ["plain"]


def test_the_digest_sees_every_picture_and_label(tmp_path: Path) -> None:
    digests = set()
    for name, rows in {
        "same": pictures(5),
        "again": pictures(5),
        "label": pictures(5, label=1),
        "fewer": pictures(4),
        "picture": ({**row, "image": b"other"} for row in pictures(5)),
    }.items():
        image_sets.write(Folder.of(tmp_path / name), clean_set(2), rows, shard_rows=2)
        digests.add(image_sets.read(Folder.of(tmp_path / name), "plain").image_set.digest)
    assert len(digests) == 4


def test_bad_sets_are_refused_with_a_sentence(tmp_path: Path) -> None:
    data = Folder.of(tmp_path)
    with pytest.raises(BadImageSet, match=r"No prepared image set in .* python -m engine.miniature"):
        list(image_sets.read_all(data))
    with pytest.raises(BadImageSet, match="has no images"):
        image_sets.write(data, clean_set(2), iter(()))
    with pytest.raises(BadImageSet, match="an image id twice in shard 1"):
        image_sets.write(data, clean_set(2), [*pictures(2), *pictures(1)], shard_rows=2)
    with pytest.raises(BadImageSet, match="role 'odd'; it must be one of clean, shift, out, conflict"):
        replace(clean_set(2), role="odd")  # type: ignore[arg-type]
    with pytest.raises(BadImageSet, match="names 2 labels but maps 1"):
        replace(clean_set(2), classes=((0,),))
    (data / "other").commit("00000.parquet", pa.table({"x": [1]}), {})
    with pytest.raises(BadImageSet, match="no shard of a prepared image set"):
        image_sets.read(data, "other")


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    """A model shown three images of four classes, in two shards, and two images of no class."""
    folder = Folder.of(tmp_path)
    learned(folder, 4, family="classifier")
    show(
        folder,
        clean_set(4),
        [[4, 3, 2, 1], [0, 5, 0, 0], [1, 2, 4, 3]],
        [0, 1, 3],
        shards=2,
        top_factor=["a", None, "b"],
    )
    show(folder, out_set("odd"), [[1, 0, 0, 0], [0, 1, 0, 0]], None)
    return folder


def test_sets_written_before_borders_and_notes_are_still_read(results: Folder) -> None:
    old = {name: value for name, value in asdict(clean_set(4)).items() if name not in ("border", "note")}
    folder = results / "images"
    folder.commit("plain.parquet", folder.read("plain.parquet"), old)
    found = Record.of(results, "net.hand").image_set("plain")
    assert (found.border, found.note) == (0, "")
    framed = replace(clean_set(4), border=2, note="3 images accepted where 4 are published.")
    write_images(results, framed, folder.read("plain.parquet"))
    assert Record.of(results, "net.hand").image_set("plain") == framed


def test_predictions_read_as_shown(results: Folder) -> None:
    record = Record.of(results, "net.hand")
    assert (record.model, record.facts["family"], record.heads) == ("net.hand", "classifier", ("learned",))
    assert [image_set.name for image_set in record.sets("out")] == ["odd"]
    found = record.predictions("plain")
    assert found.logits.dtype == np.float32
    assert found.logits.tolist() == [[4, 3, 2, 1], [0, 5, 0, 0], [1, 2, 4, 3]]
    assert found.labels.tolist() == [0, 1, 3]
    assert found.images["top_factor"].isna().tolist() == [False, True, False]
    assert record.predictions("odd").labels.tolist() == [-1, -1]


def test_rows_follow_the_set_whatever_the_order_they_were_shown_in(results: Folder) -> None:
    cell = results / "features" / "plain" / "net.hand"
    for file in cell.files():
        cell.remove(file)
    ids, features = ["plain-2", "plain-0", "plain-1"], np.array([[2.0] * 4, [0.0] * 4, [1.0] * 4])
    write_features(results, "plain", "net.hand", "00000.parquet", ids, features.astype(np.float32), IDENTITY)
    assert Record.of(results, "net.hand").predictions("plain").features[:, 0].tolist() == [0, 1, 2]


def test_logits_of_a_zero_shot_head_are_scaled_cosines(tmp_path: Path) -> None:
    results = Folder.of(tmp_path)
    zero_shot(results, {"openai80": [[1, 0], [0, 1]], "name": [[0, 1], [1, 0]]}, scale=50.0)
    show(results, clean_set(2), [[0.6, 0.8]], [1])
    record = Record.of(results, "net.hand")
    assert record.default_head == "openai80"
    assert record.predictions("plain").logits == pytest.approx(np.array([[30, 40]]))
    assert record.predictions("plain").cosines == pytest.approx(np.array([[0.6, 0.8]]))
    assert record.predictions("plain", "name").logits == pytest.approx(np.array([[40, 30]]))


def test_on_masks_to_groups_and_takes_the_largest_of_each(results: Folder) -> None:
    found = Record.of(results, "net.hand").predictions("plain").on([(0, 2), (3,)])
    assert found.logits.tolist() == [[4, 1], [4, 3]]  # the image of class 1, which is in no group, is left out
    assert found.labels.tolist() == [0, 1]
    assert found.images["image_id"].tolist() == ["plain-0", "plain-2"]
    assert len(found.features) == len(found) == 2


def test_on_gives_a_meaning_to_labels_that_join_classes(results: Folder) -> None:
    joined = ImageSet("joined", "shift", "plain", ("x", "y"), ((1, 3), (2,)))
    show(results, joined, [[9, 0, 1, 5], [9, 0, 3, 1]], [0, 1])
    found = Record.of(results, "net.hand").predictions("joined").on(joined.classes)
    assert found.logits.tolist() == [[5, 1], [1, 3]]
    assert found.labels.tolist() == [0, 1]


def test_on_keeps_every_image_of_an_out_set(results: Folder) -> None:
    assert len(Record.of(results, "net.hand").predictions("odd").on([(0,), (1,)])) == 2


def test_incomplete_cells_are_refused_with_what_is_missing(results: Folder) -> None:
    (results / "features" / "plain" / "net.hand").remove("00001.parquet")
    with pytest.raises(IncompleteRecord, match=r"has been shown 2 of 3 readable images of 'plain'.*Show it the rest"):
        Record.of(results, "net.hand").predictions("plain")
    (results / "features" / "plain" / "net.hand").remove("00000.parquet")
    with pytest.raises(IncompleteRecord, match="shown 0 of 3"):
        Record.of(results, "net.hand").predictions("plain")


def test_an_image_shown_twice_is_refused(results: Folder) -> None:
    write_features(results, "plain", "net.hand", "00002.parquet", ["plain-0"], np.zeros((1, 4), np.float32), IDENTITY)
    with pytest.raises(IncompleteRecord, match=r"4 rows for 3 readable images of 'plain': some are there twice"):
        Record.of(results, "net.hand").predictions("plain")


def test_unreadable_images_are_left_out_of_every_model(results: Folder) -> None:
    index = (results / "images").read("plain.parquet")
    errors = pa.array([None, "truncated", None], pa.string())
    write_images(results, clean_set(4), index.set_column(index.schema.get_field_index("error"), "error", errors))
    cell = results / "features" / "plain" / "net.hand"
    for file in cell.files():
        cell.remove(file)
    shown = np.array([[4, 3, 2, 1], [1, 2, 4, 3]], np.float32)
    write_features(results, "plain", "net.hand", "00000.parquet", ["plain-0", "plain-2"], shown, IDENTITY)
    found = Record.of(results, "net.hand").predictions("plain")
    assert found.images["image_id"].tolist() == ["plain-0", "plain-2"]
    assert found.labels.tolist() == [0, 3]


def test_what_is_not_there_is_named_with_what_is(results: Folder, tmp_path: Path) -> None:
    record = Record.of(results, "net.hand")
    with pytest.raises(IncompleteRecord, match=r"No model 'net.hans' in .* It holds: net.hand"):
        Record.of(results, "net.hans")
    with pytest.raises(IncompleteRecord, match=r"No image set 'plane' in .* It holds: odd, plain"):
        record.predictions("plane")
    with pytest.raises(IncompleteRecord, match=r"has no head 'name' in .*; it has: learned"):
        record.predictions("plain", "name")
    with pytest.raises(IncompleteRecord, match=r"No results in .*: no model has been shown anything"):
        models(Folder.of(tmp_path / "empty"))


def test_files_open_with_pandas_alone(results: Folder) -> None:
    table = pd.read_parquet(Path(results.path) / "features" / "plain" / "net.hand" / "00000.parquet")
    assert table["image_id"].tolist() == ["plain-0", "plain-1"]
    assert table["features"][0].tolist() == [4, 3, 2, 1]
    assert (results / "images").identity("plain.parquet") == {
        **asdict(clean_set(4)), "class_names": list(clean_set(4).class_names), "classes": [[0], [1], [2], [3]],
    }  # fmt: skip
