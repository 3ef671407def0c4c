"""Labels of ImageNet's validation pictures that lie elsewhere than the pictures: the devkit, or a list.

What lists say depends on whose order of the classes they count in. Class ids are those of the wnids in alphabetical
order; the devkit's ILSVRC2012_ID are not, and its own table tells what they are. A list of bare numbers tells nothing.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from pyarrow.fs import FileType
from scipy.io import loadmat

from engine import classes
from engine.files import Folder
from engine.image_sets import BadImageSet
from engine.prepare import sources
from engine.prepare.names import told

VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})(?!\d)")
TRUTH, TABLE = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
LARGEST = 64 << 20
AGAIN = "Give a list that can be read to --labels."
WOULD_DO = (
    "Give ILSVRC2012_devkit_t12.tar.gz, or a list with one wnid a line in the order of the pictures, or with the name "
    "of a picture and its wnid a line (LOC_val_solution.csv), to --labels"
)


def read(path: str) -> dict[int, int]:
    """Class id of each validation picture by its number, from the devkit or a list.

    Parameters
    ----------
    path : path or URI of the devkit, packed or not, or of a text file

    Raises
    ------
    BadImageSet : where it is neither, or does not tell which classes it means
    """
    if path.endswith((".tar.gz", ".tgz", ".tar", ".zip")) or _kind(path) == FileType.Directory:
        return _of_devkit(path)
    found: dict[int, int] = {}
    rows = [re.split(r"[,\s]+", line) for line in lines(path)]
    if not any(VALIDATION.search(row[0]) for row in rows):
        return _in_order(path, rows)
    for place, row in enumerate(rows, 1):
        match = VALIDATION.search(row[0])
        if match is None and place == 1:
            continue  # names of the columns
        label = _class_id(row[1:]) if match else None
        if match is None or label is None or found.setdefault(int(match[1]), label) != label:
            raise BadImageSet(
                f"'{path}', line {place}: {' '.join(row)[:60]!r} is no name of a validation picture with one wnid or "
                f"one class id from 0 to 999. {WOULD_DO}."
            )
    return found


def lines(path: str) -> list[str]:
    """Lines of a text file that are not empty, without spaces around them."""
    place = Folder.of(path)
    if _kind(path) != FileType.File:
        raise BadImageSet(f"No file '{path}'. Give the list itself to --labels.")
    with told(path, AGAIN), place.filesystem.open_input_file(place.path) as file:
        content = file.read(LARGEST + 1)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadImageSet(f"'{path}' is no list: {error}. Give a text file to --labels.") from error
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found or len(content) > LARGEST:
        raise BadImageSet(f"'{path}' has {len(content):,} bytes: it is no list. Give a text file to --labels.")
    return found


def _kind(path: str) -> FileType:
    with told(path, AGAIN):
        place = Folder.of(path)
        return place.filesystem.get_file_info(place.path).type


def _class_id(words: Sequence[str]) -> int | None:
    """The one class that the words mean; a wnid may stand among coordinates, as in LOC_val_solution.csv."""
    meant = {classes.ids().get(word) for word in words if word.startswith("n")}
    if not meant and len(words) == 1 and re.fullmatch("[0-9]{1,3}", words[0]):
        return int(words[0])
    return meant.pop() if len(meant) == 1 else None


def _in_order(path: str, rows: Sequence[Sequence[str]]) -> dict[int, int]:
    words = [row[0] for row in rows if len(row) == 1]
    found = {number: classes.ids()[word] for number, word in enumerate(words, 1) if word in classes.ids()}
    if len(found) == len(rows):
        return found
    if len(words) == len(rows) and all(word.isdecimal() for word in words):
        raise BadImageSet(
            f"'{path}' holds {len(rows):,} bare numbers, and several orders of the classes are in use. {WOULD_DO}."
        )
    odd = next(number for number, row in enumerate(rows, 1) if len(row) != 1 or row[0] not in classes.ids())
    raise BadImageSet(f"'{path}', line {odd}: {' '.join(rows[odd - 1])[:60]!r} is no wnid of ImageNet's. {WOULD_DO}.")


def _of_devkit(path: str) -> dict[int, int]:
    source = sources.find(path)
    files = {member.name.rpartition("/")[2]: member for member in source.members() if member.size <= LARGEST}
    if not {TRUTH, TABLE} <= files.keys():
        raise BadImageSet(f"'{path}' does not hold {TRUTH} and {TABLE}. {WOULD_DO}.")
    truth, table = source.read([files[TRUTH], files[TABLE]])
    ids = _ilsvrc_ids(path, table)
    numbers = truth.split()
    if not all(re.fullmatch(rb"[0-9]{1,4}", number) and int(number) in ids for number in numbers):
        raise BadImageSet(f"{TRUTH} in '{path}' has numbers that {TABLE} does not know. Get the devkit again.")
    return {place: ids[int(number)] for place, number in enumerate(numbers, 1)}


def _ilsvrc_ids(path: str, table: bytes) -> dict[int, int]:
    """Class id of each ILSVRC2012_ID that stands for one of the 1,000 classes."""
    try:
        synsets = loadmat(io.BytesIO(table), squeeze_me=True)["synsets"]  # type: ignore[arg-type]
        rows = [(int(each["ILSVRC2012_ID"]), str(each["WNID"])) for each in synsets]
    except Exception as error:  # the reader of such files raises what the damage happens to cause
        raise BadImageSet(f"{TABLE} in '{path}' cannot be read ({error}). Get the devkit again.") from error
    found = {number: classes.ids()[wnid] for number, wnid in rows if wnid in classes.ids()}
    if sorted(found.values()) != list(range(len(classes.wnids()))):
        raise BadImageSet(f"{TABLE} in '{path}' names {len(found)} of ImageNet's 1,000 classes. Get the devkit again.")
    return found
