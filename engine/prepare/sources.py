"""Where pictures lie before they are prepared, seen alike: a list of members, and their bytes in any order."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import pyarrow.fs as pafs

from engine.files import Folder
from engine.image_sets import BadImageSet
from engine.prepare import names, tar_headers

REQUESTS = 16  # at once, to an object store, where a picture takes less time than the wait for it
KINDS = {b"\x1f\x8b": "gzip", b"PK": "zip", b"PAR1": "parquet"}
UNREAD = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"Rar!": "rar", b"7z\xbc\xaf": "7z"}
RENAME = "Rename it, or give a folder without it to --from."


class Member(NamedTuple):
    """One file of a source.

    Attributes
    ----------
    name : its path inside the source, with slashes, in Unicode's NFC; never absolute, never upwards
    size : bytes
    place : where its bytes lie, in the source's own terms
    label : what the source itself says of its class, as text; empty where it says nothing
    """

    name: str
    size: int
    place: tuple[int, ...] = ()
    label: str = ""


class Source(Protocol):
    """A folder, one or several archives, or tables. It can be pickled, and read from several threads at once."""

    def members(self) -> tuple[Member, ...]:
        """Every file inside, in any order; no contents are kept.

        Raises
        ------
        BadImageSet : where it is damaged, or holds what no image set holds
        """

    def read(self, members: Sequence[Member]) -> Iterator[bytes]:
        """Contents of these members, in the order in which they are given."""


@dataclass(frozen=True)
class Listed:
    """A source that was listed when it was found. A pickled copy leaves the list behind, and lists anew if asked."""

    listing: tuple[Member, ...] = field(repr=False, compare=False)

    def members(self) -> tuple[Member, ...]:
        """Every file inside, hidden ones left out."""
        return self.listing or self._listed()

    def _listed(self) -> tuple[Member, ...]:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "listing": ()}


@dataclass(frozen=True)
class Files(Listed):
    """A folder of files, at any depth. Hidden files and folders are left out, and links are never followed.

    Attributes
    ----------
    root : the folder
    links : number of symbolic links that were left out
    """

    root: Folder
    links: int = 0

    @classmethod
    def of(cls, root: Folder) -> Files:
        """The files below a folder, on a disk or in an object store."""
        members, links = _walk(root) if is_local(root) else (_keys(root), 0)
        return cls(names.listed(root, members), root, links)

    def _listed(self) -> tuple[Member, ...]:
        return Files.of(self.root).listing

    def at(self, member: Member) -> Folder:
        """Where a member is. Its place is the name on the disk, in bytes, where that is not in NFC."""
        return self.root / (os.fsdecode(bytes(member.place)) if member.place else member.name)

    def read(self, members: Sequence[Member]) -> Iterator[bytes]:
        """Contents of these members, in the order in which they are given."""
        if is_local(self.root):
            return map(self._on_disk, members)
        return in_parallel(self._in_store, members, remote=True)

    def _on_disk(self, member: Member) -> bytes:
        path = f"{self.root.path}/{os.fsdecode(bytes(member.place)) if member.place else member.name}"
        try:
            return whole(_read(path, member.size + 1), member, self.root)
        except OSError:
            with names.told(path):
                raise

    def _in_store(self, member: Member) -> bytes:
        at = self.at(member)
        with names.told(at), at.filesystem.open_input_file(at.path) as file:
            return whole(file.read(member.size + 1), member, self.root)


def _read(path: str, size: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def whole(content: bytes, member: Member, archive: object) -> bytes:
    """The content, when it has as many bytes as were listed."""
    if len(content) != member.size:
        fault = f"which had {member.size:,} bytes when it was listed, and now has another number"
        raise names.refusal(archive, member.name, fault, "Leave it as it is, and prepare it again.")
    return content


def in_parallel(one: Callable[[Member], bytes], members: Sequence[Member], *, remote: bool) -> Iterator[bytes]:
    """Contents in the order of the members; several requests at once where they go to an object store."""
    if not remote:
        yield from map(one, members)
        return
    with ThreadPoolExecutor(REQUESTS) as pool:
        yield from pool.map(one, members)


def is_local(at: Folder) -> bool:
    """Whether it lies on this computer's disks."""
    return isinstance(at.filesystem, pafs.LocalFileSystem)


def _walk(root: Folder) -> tuple[list[Member], int]:
    """The files below a folder on a disk, and the number of links."""
    found: list[Member] = []
    folders, links = [""], 0
    while folders and len(found) <= names.MOST:
        prefix = folders.pop()
        with os.scandir(root.path + "/" + prefix) as entries:
            for entry in entries:
                raw = entry.name
                if raw[0] == "." or raw == "__MACOSX":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(prefix + raw + "/")
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    continue
                raw = prefix + raw
                name, size = names.checked(raw, root, RENAME), status.st_size
                if not stat.S_ISREG(status.st_mode):
                    raise names.refusal(root, name, "a device, a FIFO or a socket", RENAME)
                if size > names.LARGEST:
                    names.refuse_size(root, name, size)
                found.append(Member(name, size, () if name == raw else tuple(os.fsencode(raw))))
    return found, links


def _keys(root: Folder) -> Iterator[Member]:
    for info in root.filesystem.get_file_info(pafs.FileSelector(root.path, recursive=True)):
        raw = info.path[len(root.path) + 1 :]
        if info.type == pafs.FileType.File and not names.hidden(raw):
            name = names.checked(raw, root, RENAME)
            names.refuse_size(root, name, info.size)
            yield Member(name, info.size, () if name == raw else tuple(os.fsencode(raw)))


def find(uri: str) -> Source:
    """What lies at a path or URI (``s3://``, ``gs://``, ``file://``): a folder of files, tars, a zip, or tables.

    A folder without pictures that holds tars, or Parquet files, is all of these as one. What a file is, its first bytes
    say, not its name.

    Raises
    ------
    BadImageSet : where there is nothing, or something that cannot be read safely and whole
    """
    check = "Give a folder or an archive that can be read to --from."
    with names.told(uri, check):
        at = Folder.of(uri)
        info = at.filesystem.get_file_info(at.path)
        if info.type == pafs.FileType.NotFound:
            raise BadImageSet(f"Nothing at '{uri}'. {check}")
        found = _in_folder(at) if info.type == pafs.FileType.Directory else _from_files((at,), kind(at))
    if not found.members():
        raise BadImageSet(f"'{uri}' holds no files, hidden ones and links aside. {check}")
    return found


def _in_folder(root: Folder) -> Source:
    files = Files.of(root)
    if any(names.is_picture(member.name) for member in files.listing):
        return files
    tables, tars = (
        tuple(sorted((files.at(member) for member in files.listing if member.name.lower().endswith(ending)), key=str))
        for ending in (".parquet", (".tar", ".tar.gz", ".tgz"))
    )
    if tables and tars:
        raise BadImageSet(f"'{root}' holds tars and Parquet files. Give the one or the other to --from.")
    if tables or tars:
        return _from_files(tables or tars, "parquet" if tables else "tar")
    for member in files.listing:
        if member.name.lower().endswith((".zip", ".rar", ".7z", ".bz2", ".xz", ".zst")):
            raise BadImageSet(f"'{root}' holds no pictures, but the archive '{files.at(member)}'. Give that to --from.")
    return files


def _from_files(at: tuple[Folder, ...], form: str) -> Source:
    from engine.prepare import tables, tars, zips  # they take Member from here

    if form == "zip":
        return zips.Zip.of(at[0])
    return tables.Tables.of(at) if form == "parquet" else tars.Tars.of(at)


def kind(at: Folder) -> str:
    """What a file is, by its first bytes: tar, gzip, zip or parquet.

    Raises
    ------
    BadImageSet : where it is something else
    """
    with at.filesystem.open_input_file(at.path) as file:
        head = file.read(tar_headers.BLOCK)
    for start, form in KINDS.items():
        if head.startswith(start):
            return form
    for start, form in UNREAD.items():
        if head.startswith(start):
            raise BadImageSet(f"'{at}' is compressed with {form}, which is not read here. {names.UNPACK}")
    if len(head) == tar_headers.BLOCK and tar_headers.begins(head):
        return "tar"
    raise BadImageSet(
        f"'{at}' is no tar, zip or Parquet file, or the beginning of it is damaged. "
        "Give a folder of pictures, or such an archive, to --from."
    )
