"""ImageNet's validation set in the layouts in which people keep it.

Folder per class, one flat folder or tar with the labels elsewhere, Hugging Face's archive (wnids in the file names) and
Parquet, WebDataset. Every source of labels that is there is asked, and all must agree. The id is the published name,
``ILSVRC2012_val_00000001.JPEG``, whatever the layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine import classes
from engine.image_sets import BadImageSet
from engine.prepare import labels
from engine.prepare.entries import Arranged, Entry, ordered, pictures
from engine.prepare.folders import compare, is_wnid, moved, shelve
from engine.prepare.known import KnownSet
from engine.prepare.labels import VALIDATION
from engine.prepare.sources import Member, Source

FIRST = {1: "n01751748", 2: "n09193705", 3: "n02105855", 4: "n04263257", 5: "n03125729"}
"""Published classes of the first pictures, by which labels that count in another order of the classes are noticed."""
LARGEST = 64 << 10


@dataclass(frozen=True, slots=True)
class Said:
    """What a source says of one picture.

    Attributes
    ----------
    name : its original name; empty where nothing tells it
    key : its path without what follows the first dot of the file name
    class_ids : of every class that it is said to show
    recorded : whether a label or a record says so, and not its path alone
    """

    name: str
    key: str
    member: Member
    class_ids: frozenset[int]
    recorded: bool


def arrange(known: KnownSet, source: Source, members: Sequence[Member], listed: str | None) -> Arranged:
    """ImageNet's validation set, with the labels of the list at `listed` where one is given."""
    found = pictures(known.name, members)
    beside = _beside(members)
    notes: tuple[str, ...] = ()
    if any(any(map(is_wnid, member.name.split("/")[:-1])) for member in found):
        shelf = shelve(known.name, found, is_wnid, classes.wnids()[0])
        compare(known.name, shelf.found, classes.wnids())
        notes = moved(shelf.place, known.folder)
    told = list(_told(source, found, beside))
    numbers = labels.read(listed) if listed is not None else {}
    notes += _without_names(known, told, listed)
    entries = ordered(known.name, (_entry(each, numbers, listed) for each in told))
    _refuse_order(entries)
    compare(known.name, {classes.wnids()[entry.label] for entry in entries if entry.label is not None}, classes.wnids())
    return Arranged(known.image_set(classes.folders(known.name)), entries, known.images, notes)


def _without_names(known: KnownSet, told: Sequence[Said], listed: str | None) -> tuple[str, ...]:
    """A note where no original name is told; `BadImageSet` where only some are, or no record tells the classes."""
    unnamed = [each for each in told if not each.name]
    if not unnamed:
        return ()
    plain = [each for each in unnamed if not each.recorded]
    if plain or len(unnamed) < len(told) or listed is not None:
        first = (plain or unnamed)[0].member.name
        raise BadImageSet(
            f"'{first}' is not named as a picture of '{known.name}' is, ILSVRC2012_val_00000001.JPEG. "
            "Give the folder or archive that holds only ImageNet's validation pictures to --from."
        )
    told_of = f"No original names are told, so the pictures' keys are their ids, such as '{unnamed[0].key}'"
    return (f"{told_of}, and results join only with those of the same files.",)


def _refuse_order(entries: Sequence[Entry]) -> None:
    for entry in entries:
        match = VALIDATION.match(entry.image_id)
        wnid = FIRST.get(int(match[1])) if match else None
        if wnid and entry.label != classes.ids()[wnid]:
            said = classes.wnids()[entry.label or 0]
            raise BadImageSet(
                f"'{entry.image_id}' is labelled {said}; as published it is {wnid}. The labels count in another order "
                f"of the classes than the wnids' own. {labels.WOULD_DO}."
            )


def _entry(each: Said, numbers: Mapping[int, int], listed: str | None) -> Entry:
    match = VALIDATION.search(each.name)
    found = set(each.class_ids)
    if match and listed is not None:
        if int(match[1]) not in numbers:
            raise BadImageSet(f"'{listed}' says nothing of '{each.name}'. {labels.WOULD_DO}.")
        found.add(numbers[int(match[1])])
    if len(found) == 1:
        return Entry(f"{match[0]}.JPEG" if match else each.key, each.member, found.pop())
    if not found:
        raise BadImageSet(
            f"Nothing tells the class of '{each.member.name}'. {labels.WOULD_DO}, or the folder that holds the class "
            "folders to --from."
        )
    wnids = " and ".join(classes.wnids()[number] for number in sorted(found))
    raise BadImageSet(
        f"'{each.member.name}' is labelled {wnids}: its folder, its name, its record or the list is wrong. "
        "Get the set again, or give the right list to --labels."
    )


def _told(source: Source, found: Sequence[Member], beside: Mapping[str, Sequence[Member]]) -> Iterator[Said]:
    """What the source says of each picture: in its path, in its record, and in the files beside it."""
    records = [record for member in found for record in beside.get(_key(member.name), ())]
    contents = dict(zip((record.name for record in records), source.read(records), strict=True))
    for member in found:
        *parts, file = member.name.split("/")
        class_ids = {classes.ids()[part] for part in (*parts, *re.findall(r"n\d{8}", file)) if part in classes.ids()}
        names, said = [file], [(member.name, member.label)] if member.label else []
        for record in beside.get(_key(member.name), ()):
            name, label = _record(record.name, contents[record.name])
            names.append(name)
            said += [] if label is None else [(record.name, str(label))]
        class_ids.update(_class_id(where, label) for where, label in said)
        name = next((name for name in names if VALIDATION.search(name)), "")
        yield Said(name, _key(member.name), member, frozenset(class_ids), bool(said))


def _key(path: str) -> str:
    """What the files of one sample have in common in WebDataset: the path up to the first dot of the file name."""
    folder, slash, file = path.rpartition("/")
    return folder + slash + file.split(".")[0]


def _beside(members: Sequence[Member]) -> dict[str, list[Member]]:
    """The label and record of each sample of a WebDataset, by its key."""
    found: dict[str, list[Member]] = {}
    for member in members:
        if member.name.endswith((".cls", ".json")):
            found.setdefault(_key(member.name), []).append(member)
            if member.size > LARGEST:
                raise BadImageSet(f"'{member.name}' has {member.size:,} bytes: it is no label. Get the set again.")
    return found


def _record(name: str, content: bytes) -> tuple[str, object]:
    """Original name and label, as far as a file beside a picture tells them."""
    if name.endswith(".cls"):
        return "", content.decode("utf-8", "replace").strip()
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadImageSet(f"'{name}' is no JSON ({error}). Get the set again.") from error
    facts = found if isinstance(found, dict) else {}
    return str(facts.get("filename", "")), facts.get("label")


def _class_id(where: str, text: str) -> int:
    """Class id that a label means: a number from 0 to 999, a wnid, or a name on the Hugging Face hub."""
    number = int(text) if re.fullmatch("[0-9]{1,3}", text) else classes.ids().get(text)
    if number is None:
        number = classes.hub_names().get(text)
    if number is not None:
        return number
    raise BadImageSet(
        f"'{where}' has the label {text[:40]!r}; it must be a number from 0 to 999, a wnid or a name of ImageNet's. "
        "Give another layout of ImageNet's validation set to --from."
    )
