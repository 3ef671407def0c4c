"""The miniature from the command line.

::

    python -m engine.miniature --out miniature         make the small world and train the small zoo, where not there yet
    python -m engine.miniature --check --results R     does a study of it show anything?
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 when all is there and every criterion holds, 1 when not, 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="python -m engine.miniature", description="A small world and a small zoo.")
    parser.add_argument("--out", type=Path, help="folder to make the miniature in")
    parser.add_argument("--check", action="store_true", help="say whether results of the miniature show anything")
    parser.add_argument("--results", type=Path, help="folder of results, for --check")
    given = parser.parse_args(arguments)
    if given.check and given.results and not given.out:
        return _check(parser, given.results)
    if given.out and not given.check and not given.results:
        from engine.miniature import zoo

        return 0 if zoo.make(given.out.resolve()) else 1
    return parser.error("give either --out DIR, or --check --results R")


def _check(parser: argparse.ArgumentParser, results: Path) -> int:
    if not (results / "models.parquet").is_file() or not any((results / "measurements").glob("*.parquet")):
        parser.error(f"no measurements in '{results}'. Make them with: python -m studies all --results {results}")
    from engine.miniature.check import check

    return 0 if check(results) else 1


if __name__ == "__main__":
    sys.exit(main())
