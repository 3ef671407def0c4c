"""Names inside a source: what they may be, and the sentence where they are not so.

A source comes from anywhere. Nothing of it is ever written to a disk under its own name, but a name becomes the id of
a picture, is shown to people, and may be unpacked by others; so a name that points elsewhere, or that two systems
would read differently, refuses the whole source. So does what no set of pictures needs: links, devices, sparse files.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import pyarrow as pa

from engine.image_sets import BadImageSet

if TYPE_CHECKING:
    from engine.prepare.sources import Member

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LARGEST = 512 << 20  # bytes of a picture, which is held in memory whole, several at a time; most have a few MB or less
MOST = 2_000_000  # files; all of ImageNet has 1.3 million, and the list itself must stay small
LONGEST = 4096  # bytes of a path, where Linux ends

AGAIN = "Get it again from where it is published."
UNPACK = "Unpack it yourself, and give the folder to --from."

BROKEN = (OSError, EOFError, UnicodeError, zlib.error, BadZipFile, NotImplementedError, pa.ArrowException)


def refusal(archive: object, member: str | bytes, fault: str, step: str = AGAIN) -> BadImageSet:
    """The sentence for one member of a source: which, its fault, the next step. Escaped and cut, whatever it holds."""
    text = ascii(member)
    return BadImageSet(f"'{archive}' holds {text if len(text) < 200 else text[:200] + '...'}, {fault}. {step}")


@contextmanager
def told(archive: object, step: str = AGAIN) -> Iterator[None]:
    """Damage that a library finds in a file becomes a sentence."""
    try:
        yield
    except BROKEN as error:
        raise BadImageSet(f"'{archive}' cannot be read ({reason(error)}). {step}") from error


def reason(error: Exception) -> str:
    """What a library says, in one line, escaped."""
    return ascii(" ".join(str(error).split()))[1:-1][:300] or type(error).__name__


def checked(raw: str | bytes, archive: object, step: str = AGAIN) -> str:
    """The name with slashes, in NFC, without ``.`` and empty parts; empty for the archive's own root.

    Raises
    ------
    BadImageSet : where it is absolute, points upwards, or is not plain text in UTF-8
    """
    try:
        name = raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError:
        raise refusal(archive, raw, "a name that is not UTF-8", step) from None
    if _is_plain(name):
        return name
    if fault := _fault(name):
        raise refusal(archive, name, fault, step)
    name = "/".join(part for part in name.split("/") if part not in {"", "."})
    return unicodedata.normalize("NFC", name)


def _is_plain(name: str) -> bool:
    """Whether nothing needs a second look: true of most names, and 50,000 of them are to be listed in no time."""
    return (
        name.isascii()
        and name.isprintable()
        and "\\" not in name
        and ":" not in name
        and "//" not in name
        and "./" not in name
        and name[:1] != "/"
        and name[-1:] not in "./"  # nor is it empty
        and len(name) <= LONGEST
    )


def _fault(name: str) -> str:
    if re.search(r"[\ud800-\udfff]", name):
        return "a name that is not UTF-8"
    if re.search(r"[\x00-\x1f\x7f-\x9f]", name):
        return "a name with a control character"
    if "\\" in name:
        return "a name with a backslash, which is a path on some systems and not on others"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "an absolute path"
    if ".." in name.split("/"):
        return "a path that leads upwards"
    return f"a name of more than {LONGEST} bytes" if len(name.encode()) > LONGEST else ""


def hidden(name: str) -> bool:
    """Whether a checked name is hidden, or of the kind that macOS leaves behind (``__MACOSX``, ``._x``)."""
    return name.startswith((".", "__MACOSX/")) or "/." in name or "/__MACOSX/" in name


def is_picture(name: str) -> bool:
    """Whether the name ends as a picture's does."""
    return name.lower().endswith(PICTURES)


def refuse_size(archive: object, name: str, size: int) -> None:
    """A member that cannot be a picture for its size refuses the source."""
    if size > LARGEST:
        fault = f"of {size:,} bytes; no picture has more than {LARGEST:,}"
        raise refusal(archive, name, fault, "Give a folder or archive without it to --from.")


def most_inflated(packed: int) -> int:
    """Bytes that so many compressed ones of pictures never exceed."""
    return 100 * packed + (128 << 20)


def listed(archive: object, members: Iterable[Member]) -> tuple[Member, ...]:
    """All of them, when there are not too many and no name comes twice."""
    found = tuple(islice(members, MOST + 1))
    if len(found) > MOST:
        raise refusal(archive, found[-1].name, f"and more than {MOST:,} files in all", "Give a part of it to --from.")
    if len({member.name for member in found}) < len(found):
        twice = Counter(member.name for member in found).most_common(1)[0][0]
        raise refusal(archive, twice, "a name that comes twice", "Give a folder or archive with one of them to --from.")
    return found
