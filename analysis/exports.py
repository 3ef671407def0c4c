"""Tables and figures as files, for whatever a reader writes in: CSV, Parquet and LaTeX; SVG, PNG and PDF.

Equal content makes equal bytes. What an earlier report left under a name is taken away first, so that nothing stale
stands beside the new page.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import vl_convert

from analysis import pdf
from analysis.manifest import VEGA_LITE

TABLES, FIGURES = (".csv", ".parquet", ".tex"), (".svg", ".png", ".pdf")
SHARPNESS = 2.0
"""Pixels of a PNG for each of the page."""


def clear(folder: Path, name: str, endings: tuple[str, ...]) -> None:
    """Take away what stands under a name."""
    for ending in endings:
        (folder / f"{name}{ending}").unlink(missing_ok=True)


def table(frame: pd.DataFrame, tex: str, folder: Path, name: str) -> None:
    """Write a table three times; `tex` is how LaTeX prints it."""
    frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{name}.parquet")
    (folder / f"{name}.tex").write_text(tex, encoding="ascii", newline="\n")


def figure(spec: str, folder: Path, name: str) -> None:
    """Write a figure three times, from its Vega-Lite specification as JSON."""
    drawn = svg(spec)
    (folder / f"{name}.svg").write_text(drawn, encoding="utf-8", newline="\n")
    (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(drawn, scale=SHARPNESS))
    (folder / f"{name}.pdf").write_bytes(pdf.canonical(vl_convert.svg_to_pdf(drawn)))


def svg(spec: str) -> str:
    """A figure as SVG; its clips are numbered from 0, where the library counts on over the life of the process."""
    drawn = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    numbers = {found: str(place) for place, found in enumerate(re.findall(r'(?<=id="clip)\d+(?=")', drawn))}
    use = r'(?<=id="clip)\d+(?=")|(?<=url\(#clip)\d+(?=\))'
    return re.sub(use, lambda found: numbers.get(found.group(), found.group()), drawn)
