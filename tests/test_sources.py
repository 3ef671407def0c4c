"""The same files in every layout are the same members with the same bytes, in any order, anywhere."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import pickle
import random
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import archives
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.image_sets import BadImageSet
from engine.prepare import sources, tar_headers, zips
from engine.prepare.sources import Source

FILES = archives.contents()
LAYOUTS = (
    "folder", "gnu.tar", "pax.tar", "ustar.tar", "packed.tar.gz", "packed.tgz", "packed_unsaid.tar",
    "two_members.tar.gz", "shards", "packed_shards", "deflated.zip", "stored.zip", "locked.zip",
    "struct.parquet", "struct",
)  # fmt: skip


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("layouts")
    decomposed = {unicodedata.normalize("NFD", name): content for name, content in FILES.items()}  # as macOS does
    archives.folder(root / "folder", decomposed)
    archives.tar(root / "gnu.tar", decomposed)
    archives.tar(root / "pax.tar", FILES, form=tarfile.PAX_FORMAT)
    archives.tar(root / "ustar.tar", {f"./{name}": content for name, content in FILES.items()})
    for name in ("packed.tar.gz", "packed.tgz", "packed_unsaid.tar"):
        archives.tar(root / name, FILES, mode="w:gz")
    whole = (root / "gnu.tar").read_bytes()
    (root / "two_members.tar.gz").write_bytes(gzip.compress(whole[:70_000]) + gzip.compress(whole[70_000:]))
    for number in range(3):
        part = dict(list(FILES.items())[number::3])
        archives.tar(root / "shards" / f"{number:05d}.tar", part)
        archives.tar(root / "packed_shards" / f"{number:05d}.tar.gz", part, mode="w:gz" if number else "w")
    archives.zipped(root / "deflated.zip", FILES)
    archives.zipped(root / "stored.zip", FILES, method=zipfile.ZIP_STORED)
    _locked(root / "locked.zip")
    rows = [{"image": {"bytes": content, "path": name}, "label": 0} for name, content in FILES.items()]
    archives.table(root / "struct.parquet", rows)
    for number in range(2):
        archives.table(root / "struct" / "data" / f"test-{number:05d}-of-00002.parquet", rows[number::2])
    return root


def _locked(path: Path) -> None:
    entries = [
        archives.zip_entry(name.encode(), content, flags=0x801, packed=archives.encrypted(content, zips.OBJECTNET))
        for name, content in FILES.items()
    ]
    path.write_bytes(archives.zip_bytes(*entries))


def _contents(source: Source, *, seed: int = 0) -> dict[str, bytes]:
    members = list(source.members())
    random.Random(seed).shuffle(members)  # noqa: S311
    return {member.name: content for member, content in zip(members, source.read(members), strict=True)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_files(layout: str, layouts: Path) -> None:
    source = sources.find(str(layouts / layout))
    assert {member.name: member.size for member in source.members()} == {name: len(FILES[name]) for name in FILES}
    assert _contents(source) == FILES
    assert (
        next(source.read([member for member in source.members() if member.name == "set/labels.json"]))
        == (FILES["set/labels.json"])
    )
    twice = source.members()[3:5] * 2
    assert [*source.read(twice)] == [FILES[member.name] for member in twice]
    assert [*source.read([])] == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pickled_copy_reads_the_same_from_four_threads(layout: str, layouts: Path) -> None:
    source = sources.find(str(layouts / layout))
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert copy.listing == (), "the list stays at home"
    assert set(copy.members()) == set(source.members())
    with ThreadPoolExecutor(4) as pool:
        assert all(found == FILES for found in pool.map(lambda seed: _contents(copy, seed=seed), range(4)))


def test_a_copy_of_a_gzip_needs_no_second_index(layouts: Path) -> None:
    source = sources.find(str(layouts / "packed.tar.gz"))
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert copy.indexes == source.indexes  # type: ignore[attr-defined]
    assert copy.indexes[0].startswith(b"GZIDX")


def test_a_path_and_a_file_uri_are_the_same(layouts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(layouts)
    for layout in ("folder", "gnu.tar", "packed.tar.gz", "stored.zip", "struct"):
        assert _contents(sources.find((layouts / layout).as_uri())) == _contents(sources.find(layout)) == FILES


def test_a_folder_leaves_out_what_is_hidden_and_counts_links(tmp_path: Path) -> None:
    archives.folder(tmp_path / "set", dict.fromkeys(("a/1.jpg", ".git/2.jpg", "a/.DS_Store", "._a.jpg"), b"1"))
    archives.folder(tmp_path / "set", {"__MACOSX/a/._1.jpg": b"1"})
    archives.folder(tmp_path / "elsewhere", {"3.jpg": b"1"})
    (tmp_path / "set/a/link.jpg").symlink_to(tmp_path / "elsewhere/3.jpg")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    (tmp_path / "set/dangling").symlink_to("nowhere")
    (tmp_path / "entry").symlink_to(tmp_path / "set")
    for root in (tmp_path / "set", tmp_path / "entry"):
        source = sources.find(str(root))
        assert [member.name for member in source.members()] == ["a/1.jpg"]
        assert isinstance(source, sources.Files)
        assert source.links == 3


def test_archives_leave_out_what_is_hidden_too(tmp_path: Path) -> None:
    files = dict.fromkeys(("a/1.jpg", "__MACOSX/a/._1.jpg", "a/.DS_Store", "a/._1.jpg", ".x/y.jpg", "a/t.txt"), b"1")
    for path in (archives.tar(tmp_path / "x.tar", files), archives.zipped(tmp_path / "x.zip", files)):
        assert {member.name for member in sources.find(str(path)).members()} == {"a/1.jpg", "a/t.txt"}


def test_a_folder_with_pictures_beside_tars_is_a_folder(tmp_path: Path) -> None:
    archives.folder(tmp_path, {"a/1.jpg": b"1", "b.tar": b"no tar"})
    assert {member.name for member in sources.find(str(tmp_path)).members()} == {"a/1.jpg", "b.tar"}


def test_a_file_that_changed_since_it_was_listed_is_not_taken(tmp_path: Path) -> None:
    source = sources.find(str(archives.folder(tmp_path, {"a/1.jpg": b"12345"})))
    (tmp_path / "a/1.jpg").write_bytes(b"123456")
    with pytest.raises(BadImageSet, match="which had 5 bytes when it was listed"):
        list(source.read(source.members()))
    (tmp_path / "a/1.jpg").unlink()
    (tmp_path / "a/1.jpg").symlink_to("/etc/hostname")
    with pytest.raises(BadImageSet, match="cannot be read"):
        list(source.read(source.members()))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_headers_are_read_as_tarfile_reads_them(form: int, tmp_path: Path) -> None:
    rng = random.Random(form)  # noqa: S311
    files = {}
    for number in range(300):
        longest = 30 if form == tarfile.USTAR_FORMAT else 90
        parts = [rng.choice("abcxyz") * rng.randrange(1, longest) for _ in range(rng.randrange(1, 4))]
        files["/".join([*parts, f"{number}.jpg"])] = rng.randbytes(rng.randrange(3000))
    path = archives.tar(tmp_path / "x.tar", files, form=form)
    with tarfile.open(path) as theirs, path.open("rb") as file:
        expected = [(info.name, info.offset_data, info.size) for info in theirs]
        assert [*tar_headers.files(file, path)] == expected


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs the tar of the system")
@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_tars_of_the_system_are_read(form: str, tmp_path: Path) -> None:
    short = {name: content for name, content in FILES.items() if len(name) < 90}
    archives.folder(tmp_path / "files", short)
    subprocess.run(["tar", f"--format={form}", "-cf", tmp_path / "x.tar", "-C", tmp_path / "files", "."], check=True)
    assert _contents(sources.find(str(tmp_path / "x.tar"))) == short


def test_a_tar_without_its_end_mark_is_whole(tmp_path: Path) -> None:
    member = archives.entry(b"a/1.jpg", b"x" * 700)
    for content in (member, member[: 512 + 700]):
        for compressed in (False, True):
            path = archives.written(tmp_path / "x.tar", content, compressed=compressed)
            assert _contents(sources.find(str(path))) == {"a/1.jpg": b"x" * 700}


def test_a_gzip_is_read_from_its_points(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(700_000)  # noqa: S311
    files = {f"{number}.jpg": noise + bytes([number]) for number in range(15)}
    source = sources.find(str(archives.tar(tmp_path / "x.tar.gz", files, mode="w:gz")))
    members = sorted(source.members(), key=lambda member: int(member.name[:-4]) * 7 % 15)
    assert [content[-1] for content in source.read(members)] == [int(member.name[:-4]) for member in members]
    index = source.indexes[0]  # type: ignore[attr-defined]
    assert 9 * 32768 < len(index) < 12 * 32768, "10 MiB, a point in each"


def test_a_list_is_small(tmp_path: Path) -> None:
    entries = b"".join(archives.entry(b"class/%06d.jpg" % number, b"x") for number in range(5000))
    path = archives.written(tmp_path / "x.tar", archives.ended(entries))
    tracemalloc.start()
    source = sources.find(str(path))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(source.members()) == 5000
    assert held < 5000 * 400
    assert peak < 5000 * 600


def test_binary_columns_are_named_by_file_and_row(tmp_path: Path) -> None:
    path = archives.table(tmp_path / "mine.parquet", [{"image": content} for content in FILES.values()])
    source = sources.find(str(path))
    assert [member.name for member in source.members()][:2] == ["mine/000000", "mine/000001"]
    assert [*source.read(source.members())] == [*FILES.values()]
    rows = [{"image": {"bytes": b"1", "path": None}}, {"image": {"bytes": b"2", "path": "b.jpg"}}]
    path = archives.table(tmp_path / "other.parquet", rows, group=1)
    assert [member.name for member in sources.find(str(path)).members()] == ["other/000000", "b.jpg"]


def test_paths_that_lost_their_folders_get_their_labels_back(tmp_path: Path) -> None:
    features = json.dumps({"info": {"features": {"label": {"_type": "ClassLabel", "names": ["eel", "owl"]}}}})
    rows = [
        {"image": {"bytes": bytes([label, n]), "path": f"{n}.jpg"}, "label": label} for label in (0, 1) for n in (7, 8)
    ]
    source = sources.find(str(archives.table(tmp_path / "x.parquet", rows, huggingface=features)))
    assert [member.name for member in source.members()] == ["eel/7.jpg", "eel/8.jpg", "owl/7.jpg", "owl/8.jpg"]
    assert [member.label for member in source.members()] == ["eel", "eel", "owl", "owl"]
    source = sources.find(str(archives.table(tmp_path / "y.parquet", [*rows, rows[0]], huggingface=features)))
    assert [member.name for member in source.members()][3:] == ["y/000003", "y/000004"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([3, -1], ["3", ""]), (["n01", None], ["n01", ""]), (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"])],
)
def test_labels_without_names_are_text(labels: list[object], expected: list[str], tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"1", b"2"], "label": labels}), tmp_path / "x.parquet")
    assert [member.label for member in sources.find(str(tmp_path / "x.parquet")).members()] == expected


def test_a_large_row_group_is_read_in_pieces(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(1 << 20)  # noqa: S311
    rows = pa.table({"image": [bytes([number]) + noise for number in range(120)]})
    pq.write_table(rows, tmp_path / "x.parquet", write_batch_size=4)
    usual, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    try:
        source = sources.find(str(tmp_path / "x.parquet"))
        assert [content[0] for content in source.read(source.members()[100:101])] == [100]
    finally:
        pa.set_memory_pool(usual)
    assert pool.max_memory() < 64 << 20


@pytest.fixture(scope="module")
def bucket(layouts: Path) -> Iterator[str]:
    """A bucket with all layouts in an S3 server on loopback; the form of a URI in it."""
    import boto3
    from moto.server import ThreadedMotoServer

    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    kept = {name: os.environ.get(name) for name in credentials}
    os.environ.update(credentials)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="sets")
    for file in layouts.rglob("*"):
        if file.is_file():
            client.put_object(Bucket="sets", Key=str(file.relative_to(layouts)), Body=file.read_bytes())
    yield f"s3://sets/{{}}?endpoint_override={host}%3A{port}&scheme=http&region=us-east-1"
    server.stop()
    for name, value in kept.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.mark.parametrize("layout", ["folder", "gnu.tar", "packed.tar.gz", "packed_shards", "deflated.zip", "struct"])
def test_an_object_store_is_read_like_a_disk(layout: str, bucket: str) -> None:
    source = sources.find(bucket.format(layout))
    assert _contents(source) == FILES
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert _contents(copy, seed=1) == FILES


def test_a_tar_in_an_object_store_is_listed_in_one_go(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="werkzeug"):
        source = sources.find(bucket.format("gnu.tar"))
    assert len(source.members()) == len(FILES)
    asked = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
    assert 1 <= len([line for line in asked if "GET /sets/gnu.tar" in line]) <= 3


def test_nothing_in_an_object_store_is_told(bucket: str) -> None:
    with pytest.raises(BadImageSet, match="Nothing at"):
        sources.find(bucket.format("nowhere"))


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("nowhere", "Nothing at 'nowhere'"),
        ("http://x/y.tar", "cannot be read"),
        ("empty", "'empty' holds no files"),
        ("notes", r"holds no pictures, but the archive '.*notes/set.zip'. Give that"),
        ("both", "holds tars and Parquet files"),
        ("splits", r"are of 2 splits \(test, train\)"),
    ],
)
def test_a_mistake_gets_one_sentence(uri: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty/.hidden").mkdir(parents=True)
    archives.folder(Path("notes"), {"set.zip": b"", "readme.txt": b"x"})
    archives.folder(Path("both"), {"set.tar": b"", "x.parquet": b"x"})
    archives.folder(Path("splits/data"), {f"{name}-00000-of-00001.parquet": b"" for name in ("train", "test")})
    with pytest.raises(BadImageSet, match=sentence) as caught:
        sources.find(uri)
    assert str(caught.value).endswith("--from.")


@pytest.mark.parametrize("compiled", [True, False])
def test_the_lock_is_the_one_of_zipfile(compiled: bool, layouts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(layouts / "locked.zip") as theirs:
        assert {name: theirs.read(name, zips.OBJECTNET) for name in theirs.namelist()} == FILES
    zips._cipher.cache_clear()
    if not compiled:
        monkeypatch.setitem(sys.modules, "numba", None)
    assert _contents(sources.find(str(layouts / "locked.zip"))) == FILES
    zips._cipher.cache_clear()


def test_zips_with_large_fields_and_zips_from_a_pipe_are_read(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
    (tmp_path / "x.zip").write_bytes(b"prefix" * 100 + pipe.getvalue())
    with pytest.raises(BadImageSet, match="no tar, zip"):
        sources.find(str(tmp_path / "x.zip"))
    (tmp_path / "x.zip").write_bytes(pipe.getvalue())
    assert _contents(sources.find(str(tmp_path / "x.zip"))) == FILES
