"""Measurements to a report: ``python -m analysis --results R [--out DIR] [--compare R2]``.

Needs neither models nor a cluster.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import pyarrow as pa

from analysis import report
from analysis.results import load
from studies.measurements import IncompleteRecord


def main(arguments: list[str] | None = None) -> int:
    """Write the report and print its path. Exit status: 0, or 2 where there is nothing to report on."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=(__doc__ or "").split(":")[0] + ".")
    parser.add_argument("--results", required=True, metavar="R", help="folder or URI that the studies wrote")
    parser.add_argument("--out", metavar="DIR", help="folder for the report; R/report where not given")
    parser.add_argument("--compare", metavar="R2", help="results of another study: also say what changed since")
    parser.add_argument("--verbose", action="store_true", help="also say what was left out, and why")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO if chosen.verbose else logging.WARNING, format="%(message)s")
    if "://" in chosen.results and not chosen.out:
        sentence = f"{chosen.results} is no folder of this machine: say where the report shall be, as in --out report."
        print(sentence, file=sys.stderr)
        return 2
    place = chosen.results
    try:
        results = load(chosen.results)
        place = chosen.compare or place
        before = load(chosen.compare) if chosen.compare else None
        out = Path(chosen.out or Path(chosen.results) / "report").expanduser()
        path = report.write(results, out, before=before, say=lambda text: print(text, file=sys.stderr))
    except IncompleteRecord as reason:
        print(reason, file=sys.stderr)
        return 2
    except (OSError, pa.ArrowInvalid) as reason:
        print(f"The results in {place} cannot be read: {reason}", file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
