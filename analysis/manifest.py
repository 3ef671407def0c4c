"""What a report was made of, for a machine and for a bibliography: with it, the same bytes can be made again.

No time, no host and no path stands in it, so that equal results make equal bytes wherever they lie.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import altair as alt
import vl_convert

from analysis.fits import SEED
from analysis.resampling import DRAWS
from analysis.results import Results
from studies.measurements import Folder, digest

LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy", "statsmodels", "altair", "vl-convert-python")
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
NAME = "manifest.json"
PAPER = """@inproceedings{tu2023closer,
  title     = {A Closer Look at the Robustness of Contrastive Language-Image Pre-Training ({CLIP})},
  author    = {Tu, Weijie and Deng, Weijian and Gedeon, Tom},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {36},
  pages     = {13678--13691},
  year      = {2023},
  eprint    = {2402.07410},
  archiveprefix = {arXiv}
}
"""


def bibtex() -> str:
    """Entries of this software, at its version and commit, and of the paper whose study it runs again."""
    own = version("closerlook")
    lines = (
        "@software{closerlook,",
        "  title   = {closerlook: how far can an image classifier be trusted?},",
        "  author  = {{The closerlook authors}},",
        f"  version = {{{own}}},",
        f"  note    = {{Commit {commit() or 'unknown'}}}",
        "}",
        "",
    )
    return "\n".join(lines) + "\n" + PAPER


def manifest(results: Results, out: Path, before: Results | None = None) -> str:
    """JSON: versions, commit, seeds, the digest of every file that was read, and of every file below `out`."""
    written = sorted(path for path in out.rglob("*") if path.is_file() and path.name != NAME)
    said = {
        "software": {"closerlook": version("closerlook"), "commit": commit(), "python": platform.python_version()},
        "libraries": {name: version(name) for name in LIBRARIES},
        "charts": {"vega": vl_convert.get_vega_version(), "vega-lite": VEGA_LITE},
        "bootstrap": {"seed": SEED, "draws": DRAWS},
        "results": _read(results),
        "compared_with": None if before is None else _read(before),
        "written": {path.relative_to(out).as_posix(): sha256(path.read_bytes()) for path in written},
    }
    return json.dumps(said, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def commit() -> str:
    """Commit of the code that runs: CLOSERLOOK_COMMIT where it is set, else what git says; empty where nobody knows."""
    if "CLOSERLOOK_COMMIT" in os.environ:
        return os.environ["CLOSERLOOK_COMMIT"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@dataclass(frozen=True, slots=True)
class Made:
    """A file of results: digest of its content, number of rows, and what it says that it was made from."""

    digest: str
    rows: int
    made_from: dict[str, object]


def made(folder: Folder, file: str) -> Made:
    """What a file of results is."""
    with folder.filesystem.open_input_file(f"{folder.path}/{file}") as stream:
        mark = digest(stream.read())
    return Made(mark, folder.rows(file), dict(sorted(folder.identity(file).items())))


def _read(results: Results) -> dict[str, object]:
    """Digest and rows of every file; what the measurements were made from, for they say so in a few words."""
    files: dict[str, object] = {}
    for name in ("", "images", "measurements"):
        folder = results.folder / name if name else results.folder
        for file in folder.files():
            said = asdict(made(folder, file))
            files[f"{name}/{file}".lstrip("/")] = said if name == "measurements" else {**said, "made_from": None}
    return files


def sha256(content: bytes) -> str:
    """The whole SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
