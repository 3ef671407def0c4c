"""What NINCO's annotators found in samples of other out sets (Bitterwolf et al. 2023, arXiv:2306.00826).

Some 400 images of each set were looked at: ``i`` shows a class of ImageNet, ``o`` does not, ``u``, ``q`` and ``b`` are
unclear or bad. Five images of Places stand there twice, one of them with both decisions: that one is unclear here.
"""

from __future__ import annotations

from engine.prepare.columns import Text, add, refuse_few
from engine.prepare.entries import Arranged

FILES = {
    "inaturalist": "OOD_iNaturalist_MOS.csv",
    "places": "OOD_Places_MOS.csv",
    "textures": "textures.csv",
    "imagenet-o": "imagenet_o.csv",
    "openimage-o": "openimage_o.csv",
}
"""The annotations of each set."""
PARTS = {"inaturalist": 1, "places": 2, "textures": 1, "imagenet-o": 2, "openimage-o": 1}
"""So many last parts of a location name an image of the set; Places has ``b_badlands/00000792.jpg`` there, and
``b_badlands_00000792.jpg`` in its archive, so the parts are joined."""
DECISIONS = {"i": True, "o": False, "u": None, "q": None, "b": None}
PUBLISHER = "j-cb/NINCO, folder data/cleaning_annotations/annotations_subsampled_datasets"


def join(arranged: Arranged, text: Text) -> Arranged:
    """The set with the column ``contains_known``: whether a class of ImageNet is shown; null where nobody could say."""
    said = decisions(text, PARTS[arranged.image_set.name])
    values, found = {}, set()
    for place, entry in enumerate(arranged.entries):
        for name in (_last(entry.image_id, 1), _last(entry.image_id, 2)):
            if name in said:
                values[place] = {"contains_known": said[name]}
                found.add(name)
    refuse_few(arranged, text, len(found), len(said))
    count = {kind: sum(said[name] is kind for name in found) for kind in (True, False)}
    note = (
        f"NINCO's annotators looked at {len(said):,} images of this set, {len(found):,} of which are here: "
        f"{count[True]:,} show a class of ImageNet, {count[False]:,} do not."
    )
    return add(arranged, {"contains_known": None}, values, note)


def decisions(text: Text, parts: int) -> dict[str, bool | None]:
    """For each image that was looked at, whether it shows a class of ImageNet; None where nobody could say."""
    said: dict[str, bool | None] = {}
    for line, row in text.rows(("index", "image_location", "decision")):
        if row["decision"] not in DECISIONS:
            raise text.bad(line, f"the decision is {row['decision']!r}; it must be one of {', '.join(DECISIONS)}")
        name, shows = _last(row["image_location"], parts), DECISIONS[row["decision"]]
        said[name] = shows if said.get(name, shows) is shows else None
    return said


def _last(path: str, parts: int) -> str:
    return "_".join(path.split("/")[-parts:])
