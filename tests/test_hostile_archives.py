"""What comes in an archive does no harm: nothing is written, nothing is followed, and one sentence says why."""

from __future__ import annotations

import gzip
import os
import random
import struct
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import archives
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives import ended, entry, pax, zip_bytes, zip_entry

from engine.image_sets import BadImageSet
from engine.prepare import names, sources

GOOD = entry(b"a/1.jpg", b"picture")
STEPS = ("Get it again from", "Unpack it yourself", "Give ", "Pack the files themselves", "Rename it", "Leave it")


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the test itself makes lies in ``source``; a name that leads upwards or to the top would leave it."""
    for name in ("source", "work", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside/secret.txt").write_text("secret")
    monkeypatch.chdir(tmp_path / "work")
    yield
    assert [*tmp_path.glob("[!s]*/**/*")] == [tmp_path / "outside/secret.txt"]


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def refused(path: Path, *said: str, read: bool = False, seconds: float = 2.0) -> None:
    """The source ends in one sentence with all of these in it and one next step, soon, and is left as it was."""

    def look() -> None:
        source = sources.find(str(path))
        if read:
            list(source.read(source.members()))

    before, start = _listing(path.parent), time.process_time()
    with pytest.raises(BadImageSet) as caught:
        look()
    assert time.process_time() - start < seconds
    sentence = str(caught.value)
    assert [part for part in (path.name, *said) if part not in sentence] == [], sentence
    assert sum(step in sentence for step in STEPS) == 1, sentence
    assert sentence.isprintable()
    assert len(sentence) < 700
    assert _listing(path.parent) == before


def _sparse(number: int) -> bytes:
    said = {
        0: {"GNU__sparse__size": b"10737418240", "GNU__sparse__numblocks": b"1", "GNU__sparse__offset": b"0"},
        1: {"GNU__sparse__map": b"0,0", "GNU__sparse__size": b"10737418240", "GNU__sparse__name": b"a/2.jpg"},
        2: {"GNU__sparse__major": b"1", "GNU__sparse__realsize": b"10737418240", "GNU__sparse__name": b"a/2.jpg"},
    }[number]
    return pax(**said) + entry(b"a/2.jpg", b"0\n")


TARS: dict[str, tuple[bytes, str, str]] = {
    "upwards": (entry(b"../outside/x.jpg", b"x"), "'../outside/x.jpg'", "upwards"),
    "upwards inside": (entry(b"a/../../outside/x.jpg", b"x"), "'a/../../outside/x.jpg'", "upwards"),
    "upwards at the end": (entry(b"a/..", b"x"), "'a/..'", "upwards"),
    "upwards folder": (entry(b"../outside/", kind=b"5"), "'../outside/'", "upwards"),
    "upwards by pax": (pax(path=b"../x.jpg") + GOOD, "'../x.jpg'", "upwards"),
    "upwards by a long name": (entry(b"@", b"../x.jpg\0", kind=b"L") + GOOD, "'../x.jpg'", "upwards"),
    "absolute": (entry(b"/etc/x.jpg", b"x"), "'/etc/x.jpg'", "absolute"),
    "drive": (entry(b"C:/x.jpg", b"x"), "'C:/x.jpg'", "absolute"),
    "backslash": (entry(b"a\\..\\x.jpg", b"x"), r"'a\\..\\x.jpg'", "backslash"),
    "newline": (entry(b"a\nb.jpg", b"x"), r"'a\nb.jpg'", "control"),
    "escape": (entry(b"a\x1b[2Jb.jpg", b"x"), r"'a\x1b[2Jb.jpg'", "control"),
    "nul": (pax(path=b"a.jpg\0/../x") + GOOD, r"'a.jpg\x00/../x'", "control"),
    "latin": (entry(b"caf\xe9.jpg", b"x"), r"caf\xe9.jpg", "UTF-8"),
    "surrogate": (entry(b"\xed\xa0\x80.jpg", b"x"), r"\xed\xa0\x80.jpg", "UTF-8"),
    "long": (pax(path=b"a/" * 3000 + b"x.jpg") + GOOD, "'a/a/a/", "4096 bytes"),
    "symbolic link": (entry(b"a/2.jpg", kind=b"2", target=b"../outside/secret.txt"), "'a/2.jpg'", "symbolic link"),
    "hard link": (entry(b"a/2.jpg", kind=b"1", target=b"/etc/passwd"), "'a/2.jpg'", "hard link"),
    "character device": (entry(b"a/2.jpg", kind=b"3"), "'a/2.jpg'", "device"),
    "block device": (entry(b"a/2.jpg", kind=b"4"), "'a/2.jpg'", "device"),
    "fifo": (entry(b"a/2.jpg", kind=b"6"), "'a/2.jpg'", "FIFO"),
    "other volume": (entry(b"a/2.jpg", kind=b"M"), "'a/2.jpg'", "unknown kind"),
    "sparse": (entry(b"a/2.jpg", kind=b"S", size=10 << 30), "'a/2.jpg'", "sparse"),
    "sparse 0.0": (_sparse(0), "a/2.jpg", "sparse"),
    "sparse 0.1": (_sparse(1), "a/2.jpg", "sparse"),
    "sparse 1.0": (_sparse(2), "a/2.jpg", "sparse"),
    "large": (entry(b"a/2.jpg", size=10 << 30), "'a/2.jpg'", "10,737,418,240 bytes"),
    "large by pax": (pax(size=b"9" * 19) + GOOD, "'a/1.jpg'", "bytes; no picture"),
    "endless by pax": (pax(size=b"9" * 400_000) + GOOD, "'a/1.jpg'", "damaged"),
    "negative by pax": (pax(size=b"-1024") + GOOD, "'a/1.jpg'", "damaged"),
    "size for all": (pax(b"g", size=b"1") + GOOD, "PaxHeaders", "all that follows"),
    "twice": (entry(b"a/2.jpg", b"x") * 2, "'a/2.jpg'", "twice"),
    "twice in NFC": (entry("é.jpg".encode(), b"x") + entry("e\u0301.jpg".encode(), b"y"), r"'\xe9.jpg'", "twice"),
    "records without end": (entry(b"x", b"1" * 900_000, kind=b"x") + GOOD, "'a/0.jpg'", "damaged"),
    "records of 10 GB": (entry(b"x", kind=b"x", size=10 << 30), "'x'", "an extended header of 10,737,418,240"),
    "name of 10 GB": (entry(b"x", kind=b"L", size=10 << 30), "'x'", "an extended header of 10,737,418,240"),
    "damaged header": (GOOD[:130] + b"7" + GOOD[131:], "'a/0.jpg'", "damaged or cut off"),
    "no header": (b"garbage" * 100, "'a/0.jpg'", "damaged or cut off"),
    "folder with content": (entry(b"a/2.jpg/", b"x"), "'a/2.jpg'", "damaged"),
    "without a name": (entry(b"./", b"x"), "b'./'", "damaged"),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("case", TARS)
def test_a_hostile_tar_is_refused(case: str, compressed: bool, tmp_path: Path) -> None:
    content, member, reason = TARS[case]
    whole = ended(entry(b"a/0.jpg", b"first"), content)
    refused(archives.written(tmp_path / "source/x.tar", whole, compressed=compressed), member, reason)


@pytest.mark.parametrize("kept", [512 + 3, 512, 512 * 2 + 100, 512 * 4 + 5, 512 * 5 + 200])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_tar_that_is_cut_off_is_refused(kept: int, compressed: bool, tmp_path: Path) -> None:
    whole = entry(b"a/0.jpg", b"x" * 10) + pax(path=b"a/1.jpg") + entry(b"@", b"y" * 600)
    path = archives.written(tmp_path / "source/x.tar", whole[:kept], compressed=compressed)
    member = "'a/1.jpg'" if kept > 512 * 5 else "'a/0.jpg'"
    refused(path, member, "cut off")


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_a_gzip_that_is_cut_off_or_damaged_is_refused(cut: float, tmp_path: Path) -> None:
    whole = gzip.compress(ended(*(entry(b"a/%d.jpg" % number, os.urandom(5000)) for number in range(100))))
    at = int(len(whole) * cut)
    refused(archives.written(tmp_path / "source/x.tar.gz", whole[:at]), "'a/", "damage (Compressed file ended")
    changed = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
    refused(archives.written(tmp_path / "source/x.tar.gz", changed), "a/")
    refused(archives.written(tmp_path / "source/x.tar.gz", whole + b"garbage"), "'a/99.jpg'", "damage (Not a gzip")


def test_two_tars_in_one_file_are_refused(tmp_path: Path) -> None:
    first, second = ended(GOOD), ended(entry(b"b.jpg", b"x"))
    refused(archives.written(tmp_path / "source/x.tar", first + second), "'a/1.jpg'", "more after that")
    refused(archives.written(tmp_path / "source/y.tar.gz", first + second, compressed=True), "'a/1.jpg'", "more after")


def test_the_same_name_in_two_tars_is_refused(tmp_path: Path) -> None:
    for number in range(2):
        archives.written(tmp_path / f"source/set/{number}.tar", ended(GOOD))
    refused(tmp_path / "source/set", "'a/1.jpg'", "twice")


def test_a_bomb_in_a_gzip_is_refused(tmp_path: Path) -> None:
    path, zeros = tmp_path / "source/x.tar.gz", gzip.compress(bytes(16 << 20), 9) * 12
    large = gzip.compress(entry(b"a/0.jpg", size=500 << 20))
    refused(archives.written(path, large + zeros), "'a/0.jpg'", "no pictures do")
    larger = gzip.compress(entry(b"a/0.jpg", size=10 << 30))
    refused(archives.written(path, larger + zeros), "'a/0.jpg'", "10,737,418,240 bytes")
    refused(archives.written(path, gzip.compress(ended(GOOD)) + zeros), "'a/1.jpg'", "no pictures do")
    headers = gzip.compress(entry(b"x", bytes(1 << 20), kind=b"L") * 16, 9) * 12
    refused(archives.written(path, gzip.compress(GOOD) + headers), "'a/1.jpg'", "no pictures do")


def test_a_hundred_thousand_members_are_listed_and_too_many_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = [entry(b"%06d.jpg" % number) for number in range(1000)]
    many = b"".join(entry(b"%06d.jpg" % number) for number in range(100_000))
    path = archives.written(tmp_path / "source/x.tar", ended(many))
    start = time.process_time()
    assert len(sources.find(str(path)).members()) == 100_000
    assert time.process_time() - start < 10
    monkeypatch.setattr(names, "MOST", 999)
    refused(archives.written(tmp_path / "source/y.tar", ended(*one)), "'000999.jpg'", "more than 999 files")


ZIPS: dict[str, tuple[tuple[dict[str, object], ...], str, str]] = {
    "upwards": ((zip_entry(b"../outside/x.jpg"),), "'../outside/x.jpg'", "upwards"),
    "upwards folder": ((zip_entry(b"../outside/", b""),), "'../outside/'", "upwards"),
    "absolute": ((zip_entry(b"/etc/x.jpg"),), "'/etc/x.jpg'", "absolute"),
    "drive": ((zip_entry(b"c:x.jpg"),), "'c:x.jpg'", "absolute"),
    "backslash": ((zip_entry(b"..\\x.jpg"),), r"'..\\x.jpg'", "backslash"),
    "newline": ((zip_entry(b"a\nb.jpg"),), r"'a\nb.jpg'", "control"),
    "nul": ((zip_entry(b"a.jpg\0.txt"),), r"'a.jpg\x00.txt'", "control"),
    "not UTF-8": ((zip_entry(b"caf\xe9.jpg"),), r"caf\xe9.jpg", "UTF-8"),
    "not said to be UTF-8": ((zip_entry(b"caf\xe9.jpg", flags=0),), r"caf\xe9.jpg", "UTF-8"),
    "without a name": ((zip_entry(b"./."),), "./.", "without a name"),
    "symbolic link": ((zip_entry(b"a.jpg", b"../outside/secret.txt", mode=0o120777),), "'a.jpg'", "symbolic link"),
    "fifo": ((zip_entry(b"a.jpg", mode=0o010644),), "'a.jpg'", "FIFO"),
    "device": ((zip_entry(b"a.jpg", mode=0o060644),), "'a.jpg'", "device"),
    "large": ((zip_entry(b"a.jpg", size=0xF0000000, method=8),), "'a.jpg'", "4,026,531,840 bytes"),
    "twice": ((zip_entry(b"a.jpg"), zip_entry(b"a.jpg", b"x")), "'a.jpg'", "twice"),
    "twice in NFC": ((zip_entry("é".encode()), zip_entry("e\u0301".encode())), r"'\xe9'", "twice"),
    "bzip2": ((zip_entry(b"a.jpg", method=12),), "'a.jpg'", "method 12"),
    "AES": ((zip_entry(b"a.jpg", method=99, flags=0x801),), "'a.jpg'", "method 99"),
    "strong": ((zip_entry(b"a.jpg", flags=0x841),), "'a.jpg'", "encrypted"),
    "other password": (
        (zip_entry(b"a.jpg", flags=0x801, packed=archives.encrypted(b"picture", b"secret")),),
        "'a.jpg'",
        "password",
    ),
    "overlap": ((zip_entry(b"a.jpg", b"x" * 99), zip_entry(b"b.jpg", b"x" * 99, offset=20)), "'a.jpg'", "overlaps"),
    "same place": ((zip_entry(b"a.jpg"), zip_entry(b"b.jpg", offset=0)), ".jpg'", "overlaps"),
    "beyond the end": ((zip_entry(b"a.jpg", offset=5000),), "'a.jpg'", "overlaps"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_hostile_zip_is_refused(case: str, tmp_path: Path) -> None:
    entries, member, reason = ZIPS[case]
    path = archives.written(tmp_path / "source/x.zip", zip_bytes(zip_entry(b"0.jpg"), *_moved(entries)))
    refused(path, member, reason)


def _moved(entries: tuple[dict[str, object], ...]) -> list[dict[str, object]]:
    """The offsets that are given count from behind the first, good member."""
    first = 30 + 5 + 7
    return [
        {**each, "offset": None if each["offset"] is None else int(str(each["offset"])) + first} for each in entries
    ]


READ: dict[str, tuple[dict[str, object], str]] = {
    "longer than said": (zip_entry(b"a.jpg", bytes(50_000_000), size=100, packed=b"", method=8), "size or sum"),
    "shorter than said": (zip_entry(b"a.jpg", b"x" * 50, size=100, method=8), "size or sum"),
    "another sum": (zip_entry(b"a.jpg", b"x" * 50, crc=1), "size or sum"),
    "no deflate": (zip_entry(b"a.jpg", b"\xff" * 50, size=50, method=8), "size or sum"),
    "another name inside": (zip_entry(b"a.jpg", local=b"../b.jpg"), "upwards"),
    "another good name inside": (zip_entry(b"a.jpg", local=b"b.jpg"), "not where"),
    "stored short": (zip_entry(b"a.jpg", b"x" * 50, size=500), "size or sum"),
}


@pytest.mark.parametrize("case", READ)
def test_a_zip_that_lies_is_refused_when_it_is_read(case: str, tmp_path: Path) -> None:
    each, reason = READ[case]
    if case == "longer than said":
        squeeze = zlib.compressobj(9, wbits=-15)
        each = {**each, "packed": squeeze.compress(bytes(50_000_000)) + squeeze.flush()}
    refused(archives.written(tmp_path / "source/x.zip", zip_bytes(each)), ".jpg'", reason, read=True)


def test_a_second_lock_in_a_zip_is_refused_when_it_is_read(tmp_path: Path) -> None:
    entries = [
        zip_entry(b"0.jpg", b"small", flags=0x801, packed=archives.encrypted(b"small", b"objectnetisatestset")),
        zip_entry(b"1.jpg", b"larger", flags=0x801, packed=archives.encrypted(b"larger", b"another")),
    ]
    path = archives.written(tmp_path / "source/x.zip", zip_bytes(*entries))
    refused(path, "'1.jpg'", "password of ObjectNet does not open it", read=True)


def test_a_bomb_in_a_zip_is_refused(tmp_path: Path) -> None:
    squeeze = zlib.compressobj(9, wbits=-15)
    packed = squeeze.compress(bytes(1 << 20)) + squeeze.flush()
    one = {"method": 8, "size": 500 << 20, "packed": packed, "crc": 0}
    entries = [zip_entry(b"%d.jpg" % number, **one) for number in range(100)]  # type: ignore[arg-type]
    refused(archives.written(tmp_path / "source/x.zip", zip_bytes(*entries)), "'0.jpg'", "no pictures do")


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_zip_that_is_cut_off_or_damaged_is_refused(kept: float, tmp_path: Path) -> None:
    whole = zip_bytes(*(zip_entry(b"%d.jpg" % number, os.urandom(300)) for number in range(50)))
    refused(archives.written(tmp_path / "source/x.zip", whole[: int(len(whole) * kept)]), "cannot be read")
    directory = whole.index(b"PK\1\2")
    broken = whole[: directory + 60] + b"????" + whole[directory + 64 :]
    refused(archives.written(tmp_path / "source/y.zip", broken), "y.zip")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"\x28\xb5\x2f\xfd\0", "zstd"),
        (b"Rar!\x1a\7", "rar"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\xff\xd8\xff\xe0" + b"x" * 600, "no tar, zip or Parquet"),
        (b"", "no tar, zip or Parquet"),
        (b"PAR1" + b"\0" * 600, "cannot be read"),
        (b"\x1f\x8b\x08\0", "cannot be read"),
        (gzip.compress(b"no tar" * 200, mtime=0), "does not begin as a tar"),
    ],
)
def test_what_is_not_read_is_said(start: bytes, said: str, tmp_path: Path) -> None:
    refused(archives.written(tmp_path / "source/x.tar", start), said)
    archives.written(tmp_path / "source/set/y.tar", start)
    refused(tmp_path / "source/set", "y.tar")


def _named(name: bytes) -> Callable[[Path], None]:
    return lambda root: Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(b"x")  # type: ignore[return-value]


def _twins(root: Path) -> None:
    (root / "é.jpg").write_bytes(b"x")
    (root / "e\u0301.jpg").write_bytes(b"x")


def _large(root: Path) -> None:
    with (root / "a.jpg").open("wb") as file:
        file.truncate(10 << 30)


@pytest.mark.parametrize(
    ("make", "member", "reason"),
    [
        (_named(b"caf\xe9.jpg"), r"caf\udce9.jpg", "UTF-8"),
        (_named(b"a\nb.jpg"), r"a\nb.jpg", "control"),
        (_named(b"a\\b.jpg"), r"a\\b.jpg", "backslash"),
        (_twins, r"\xe9.jpg", "twice"),
        (_large, "'a.jpg'", "10,737,418,240 bytes"),
        (lambda root: os.mkfifo(root / "a.jpg"), "'a.jpg'", "FIFO"),
    ],
)
def test_a_hostile_folder_is_refused(make: Callable[[Path], None], member: str, reason: str, tmp_path: Path) -> None:
    root = tmp_path / "source/set"
    root.mkdir()
    make(root)
    refused(root, member, reason)


def _table(path: Path, images: object, label: object = None, **metadata: str) -> Path:
    columns = {"image": images} | ({} if label is None else {"label": label})
    said = {key.encode(): value.encode() for key, value in metadata.items()}
    pq.write_table(pa.table(columns).replace_schema_metadata(said), path)
    return path


NAMES = '{"info": {"features": {"label": {"names": ["a"]}}}}'
STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TABLES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "upwards": (lambda path: _table(path, [{"bytes": b"x", "path": "../x.jpg"}]), "upwards"),
    "absolute": (lambda path: _table(path, [{"bytes": b"x", "path": "/etc/x.jpg"}]), "absolute"),
    "no bytes": (
        lambda path: _table(path, pa.array([{"bytes": None, "path": "x.jpg"}], STRUCT)),
        "without a picture's",
    ),
    "no struct": (lambda path: _table(path, pa.array([None], STRUCT)), "without a picture's"),
    "no pictures": (lambda path: _table(path, ["x.jpg"], label=[1]), "no pictures in its columns ('image', 'label')"),
    "no such class": (lambda path: _table(path, [b"x"], label=[1], huggingface=NAMES), "the label 1, but names 1"),
    "JSON without end": (lambda path: _table(path, [b"x"], huggingface="[" * 200_000), "no JSON"),
    "no JSON": (lambda path: _table(path, [b"x"], label=[1], huggingface="{"), "no JSON"),
    "label of no kind": (lambda path: _table(path, [b"x"], label=[[1]]), "label"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_hostile_table_is_refused(case: str, tmp_path: Path) -> None:
    make, reason = TABLES[case]
    refused(make(tmp_path / "source/x.parquet"), reason)


def test_a_table_that_is_cut_off_or_damaged_is_refused(tmp_path: Path) -> None:
    whole = _table(tmp_path / "source/x.parquet", [os.urandom(3000) for _ in range(100)]).read_bytes()
    refused(archives.written(tmp_path / "source/y.parquet", whole[:5000]), "cannot be read")
    length = struct.unpack("<I", whole[-8:-4])[0]
    broken = whole[: -8 - length] + os.urandom(length) + whole[-8:]
    refused(archives.written(tmp_path / "source/z.parquet", broken), "z.parquet")
    hollow = whole[:4] + bytes(len(whole) - 12 - length) + whole[-8 - length :]
    refused(archives.written(tmp_path / "source/w.parquet", hollow), "w.parquet", read=True)


def test_a_table_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    content = pa.array([bytes(32 << 20)] * 5)
    path = tmp_path / "source/x.parquet"
    pq.write_table(pa.table({"image": content}), path, compression="zstd", use_dictionary=False, write_statistics=False)
    refused(path, "inflates to 167,7", "no pictures do")


@pytest.mark.parametrize("layout", ["x.tar", "x.tar.gz", "x.zip", "locked.zip", "x.parquet"])
def test_whatever_is_damaged_it_is_read_or_refused(layout: str, tmp_path: Path) -> None:
    rng, outcomes = random.Random(layout), set()  # noqa: S311
    files = {f"class/{number}.jpg": rng.randbytes(700) for number in range(6)}
    path = tmp_path / "source" / layout
    if layout == "locked.zip":
        locked = {name: archives.encrypted(content, b"objectnetisatestset") for name, content in files.items()}
        entries = [zip_entry(name.encode(), files[name], flags=0x801, packed=locked[name]) for name in files]
        path.write_bytes(zip_bytes(*entries))
    elif layout == "x.parquet":
        _table(path, [{"bytes": content, "path": name} for name, content in files.items()], label=[*range(6)])
    elif layout == "x.zip":
        archives.zipped(path, files)
    else:
        archives.tar(path, files, mode="w:gz" if layout.endswith("gz") else "w", form=tarfile.PAX_FORMAT)
    whole = path.read_bytes()
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(rng.choice((1, 2, 20))):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken[: rng.choice((None, rng.randrange(20, len(broken))))])
        try:
            source = sources.find(str(path))
            outcomes.add(len(list(source.read(source.members()))) <= len(files))
        except BadImageSet as error:
            outcomes.add(path.name in str(error) and str(error).isprintable())
    assert outcomes == {True}
