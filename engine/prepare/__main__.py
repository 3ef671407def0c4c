"""Prepare an image set: ``python -m engine.prepare imagenet-r --from ~/Downloads/imagenet-r.tar --data DATA``.

::

    python -m engine.prepare --list                                     the sets whose layout is known
    python -m engine.prepare imagenet-r --from PATH --data DATA         one of them, from any layout it is found in
    python -m engine.prepare pets --from PATH --data DATA --role clean  pictures of one's own, a folder per class
    python -m engine.prepare imagenet-r --from PATH --plan              look, judge, and write nothing

PATH is a folder, a tar (gzipped or not), a zip, a folder of WebDataset tars, or Parquet of the Hugging Face hub; on a
disk or in an object store. Pictures keep their bytes. Exit status: 0, or 2 where the source is not what it should be.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence

from engine import image_sets
from engine.files import BadStore, Folder
from engine.image_sets import ROLES, BadImageSet
from engine.prepare import judging, known, layouts, own, sources, writing
from engine.prepare.annotations import join
from engine.prepare.layouts import Arranged
from engine.prepare.sources import Source


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare one set; the exit status."""
    asked = _parser().parse_args(arguments)
    gc.disable()  # hundreds of thousands of records, none of them in a circle
    try:
        return _list() if asked.list else _prepare(asked)
    except (BadImageSet, BadStore) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The finished shards are kept; the same command goes on from there.", file=sys.stderr)
        return 130
    finally:
        gc.enable()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine.prepare",
        description="Turn an image set, in whatever form it is there, into the engine's.",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", help="a known set (see --list), or what a set of your own is to be called")
    parser.add_argument("--from", dest="source", metavar="PATH", help="the pictures: folder, archive, Parquet, or URI")
    parser.add_argument("--data", default="images", metavar="DATA", help="folder or URI of the prepared sets (images)")
    parser.add_argument("--labels", metavar="PATH", help="ImageNet's devkit or a list of labels, for a flat folder")
    parser.add_argument(
        "--annotations",
        metavar="PATH",
        action="append",
        default=[],
        help="of ImageNet-X, NINCO or ReaL; may be repeated",
    )
    parser.add_argument("--allow-count", type=int, metavar="N", help="accept so many readable images, and say so")
    parser.add_argument("--role", choices=ROLES, help="what a set of your own is for")
    parser.add_argument("--clean", metavar="NAME", help="the clean set that a set of your own is compared with")
    parser.add_argument("--plan", action="store_true", help="say what was found, and stop")
    parser.add_argument("--list", action="store_true", help="list the known sets and where to get them, and stop")
    return parser


def _list() -> int:
    print(known.table())
    return 0


def _prepare(asked: argparse.Namespace) -> int:
    if not asked.name or not asked.source:
        raise BadImageSet("Name a set and give its pictures to --from. The known sets: python -m engine.prepare --list")
    data = Folder.of(asked.data)
    if not asked.plan:
        writing.warm_up()
    source = sources.find(asked.source)
    with writing.workers(0 if asked.plan else len(source.members())) as processes:
        arranged = join(_arranged(asked, data, source), asked.annotations)
        for note in arranged.notes:
            print(f"note: {note}", file=sys.stderr)
        size = sum(entry.member.size for entry in arranged.entries) / 1e6
        print(f"{len(arranged.entries):,} images ({size:,.1f} MB) of {_labels(arranged)}: {asked.source}")
        if asked.plan:
            judging.count(arranged, asked.allow_count)
            return 0
        found = writing.write(data, arranged, source, allow_count=asked.allow_count, processes=processes).image_set
    if found.note:
        print(f"note: {found.note}", file=sys.stderr)
    print(f"{found.n_images:,} images of {_labels(arranged)}: {data / asked.name}")
    return 0


def _labels(arranged: Arranged) -> str:
    return f"{len(arranged.image_set.class_names):,} labels" if arranged.image_set.class_names else "no label"


def _arranged(asked: argparse.Namespace, data: Folder, source: Source) -> Arranged:
    if asked.name in known.KNOWN:
        if asked.role or asked.clean:
            raise BadImageSet(
                f"'{asked.name}' is a known set and has its role: leave out --role and --clean, or change the name."
            )
        return layouts.arrange(known.KNOWN[asked.name], source, asked.labels)
    if not asked.role:
        raise BadImageSet(
            f"No known set is called '{asked.name}' (see --list). To prepare pictures of your own under that name, say "
            f"what they are for: --role {'|'.join(ROLES)}."
        )
    if asked.role != "clean" and not asked.clean:
        raise BadImageSet(f"A set of role {asked.role} is compared with a clean set: give its name to --clean.")
    clean = image_sets.read(data, asked.clean).image_set if asked.clean else None
    return own.arrange(asked.name, asked.role, clean, source)


if __name__ == "__main__":
    sys.exit(main())
