"""RESULTS/report: one page that opens anywhere, the findings and tables as CSV, the figures as SVG.

The page holds one copy of the chart library and asks no network for anything; its own security policy forbids it to.
Equal results make equal bytes.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert

from analysis import display, findings, page, prose
from analysis.acceptance import DIFFERS
from analysis.charts import FIGURES, Figure
from analysis.fits import SEED, TooLittle
from analysis.ledger import Ledger, ask
from analysis.questions import QUESTIONS
from analysis.results import ImageCount, NotMeasured, Results, image_counts
from analysis.tables import TABLES
from studies.measurements import digest

log = logging.getLogger(__name__)
LIBRARIES = ("numpy", "pandas", "scipy", "statsmodels", "altair", "vl-convert-python")
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
HOLLOW = " A hollow point is a model whose measured accuracy differs from the published one."
SNIPPET = "window.vegaEmbed = vegaEmbed;"


def write(results: Results, out: Path, *, say: Callable[[str], object] = log.info) -> Path:
    """Write the whole report into a folder, and return the path of its page."""
    out.mkdir(parents=True, exist_ok=True)
    say(f"Asking {len(QUESTIONS)} questions of {len(results.models)} models ...")
    ledger = ask(results)
    findings.table(ledger.findings).to_csv(out / "findings.csv", index=False, lineterminator="\n")
    tables = _tables(results, out / "tables")
    say("Drawing the figures ...")
    specs = _figures(results, out / "figures")
    target = out / "index.html"
    temporary = out / ".index.html.tmp"
    temporary.write_text(_page(results, ledger, specs, tables), encoding="utf-8", newline="\n")
    temporary.replace(target)
    return target


def _tables(results: Results, folder: Path) -> dict[str, pd.DataFrame]:
    folder.mkdir(exist_ok=True)
    made = {}
    for table in TABLES:
        path = folder / f"{table.name}.csv"
        path.unlink(missing_ok=True)
        try:
            made[table.name] = table.make(results)
        except NotMeasured as reason:
            log.info("table %s left out: %s", table.name, reason)
            continue
        made[table.name].to_csv(path, index=False, lineterminator="\n")
    return made


def _figures(results: Results, folder: Path) -> dict[str, str]:
    """Draw every figure as SVG; the Vega-Lite specifications as JSON, by name. What cannot be drawn is left out."""
    folder.mkdir(exist_ok=True)
    specs = {}
    for figure in FIGURES:
        path = folder / f"{figure.name}.svg"
        path.unlink(missing_ok=True)
        try:
            spec = figure.draw(results).to_json(indent=None, sort_keys=True)
        except (NotMeasured, TooLittle) as reason:
            log.info("figure %s left out: %s", figure.name, reason)
            continue
        path.write_text(_svg(spec), encoding="utf-8", newline="\n")
        specs[figure.name] = spec
    return specs


def _svg(spec: str) -> str:
    """A figure as SVG; its clips are numbered from 0, where the library counts on over the life of the process."""
    drawn = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    numbers = {found: str(place) for place, found in enumerate(re.findall(r'(?<=id="clip)\d+(?=")', drawn))}
    use = r'(?<=id="clip)\d+(?=")|(?<=url\(#clip)\d+(?=\))'
    return re.sub(use, lambda found: numbers.get(found.group(), found.group()), drawn)


def _page(results: Results, ledger: Ledger, specs: dict[str, str], tables: dict[str, pd.DataFrame]) -> str:
    counts = image_counts(results)
    body = [
        _header(results, counts),
        _ledger(ledger),
        _charts(results, ledger, specs),
        _all_tables(results, tables),
        _methods(),
        _provenance(results, counts),
    ]
    # In a script element only "</script" and "<!--" mean something to HTML; no "<" at all is simpler still.
    holders = "\n".join(
        f'<script type="application/json" data-chart="chart-{name}">{spec.replace("<", chr(92) + "u003c")}</script>'
        for name, spec in specs.items()
    )
    parts = {
        "css": _own("report.css"),
        "body": "\n".join(body),
        "specs": holders,
        "vega": vl_convert.javascript_bundle(SNIPPET, vl_version=VEGA_LITE).replace("</script", "<\\/script"),
        "js": _own("report.js"),
    }
    text = _own("report.html")
    pieces = text.split("%%")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _own(name: str) -> str:
    return files("analysis").joinpath(name).read_text(encoding="utf-8").rstrip("\n")


def _header(results: Results, counts: tuple[ImageCount, ...]) -> str:
    links = ("claims", "figures", "tables", "methods", "provenance")
    nav = page.element("nav", "".join(page.element("a", name.capitalize(), href=f"#{name}") for name in links))
    kicker = page.element("p", "closerlook", class_="kicker")
    title = page.element("h1", "How far can these image classifiers be trusted?")
    lead = page.element("p", escape(prose.summary(results, counts)), class_="lead")
    return page.element("header", kicker + title + lead + nav)


def _ledger(ledger: Ledger) -> str:
    intro = (
        "Each claim was written down as an expectation before anyone looked. A claim is supported where every part of "
        "it, the mean of its tests, points the expected way, with a p value below 0.05 that is adjusted by Holm over "
        "all claims, and no test alone speaks against it; contradicted where a part points the other way so clearly; "
        "undecided otherwise. A test is decided only where its claim is, by Holm within the claim. 95 % intervals are "
        "in square brackets, differences of shares in points of percent. A claim opens on a click, and shows every "
        "test with its interval, and what would change the verdict."
    )
    entries = "".join(page.ledger_entry(question, ledger) for question in QUESTIONS)
    head = page.element("h2", "The claims", id="claims")
    return page.element(
        "section", head + page.element("p", escape(intro), class_="note") + page.tally(ledger) + entries
    )


def _charts(results: Results, ledger: Ledger, specs: dict[str, str]) -> str:
    hint = (
        "Every point is a model. Point at one to see which; click an entry of the legend to see it alone (with shift: "
        "several), click elsewhere in the figure to see all again. Whiskers are 95 % intervals over images, bands 95 % "
        "over lineages."
    )
    hollow = HOLLOW if results.distinct["acceptance"].str.startswith(DIFFERS).any() else ""
    shown = [_figure(figure, ledger, hollow) for figure in FIGURES if figure.name in specs]
    left = [figure.title for figure in FIGURES if figure.name not in specs]
    note = (
        page.element("p", escape(f"Not drawn, for want of measurements: {'; '.join(left)}."), class_="note")
        if left
        else ""
    )
    head = page.element("h2", "Figures", id="figures") + page.element("p", escape(hint), class_="reading screen")
    return page.element("section", head + "".join(shown) + note)


def _figure(figure: Figure, ledger: Ledger, hollow: str) -> str:
    questions = [question for question in QUESTIONS if question.__name__ in figure.questions]
    return page.figure(figure.name, figure.title, figure.reading + hollow, questions, ledger)


def _all_tables(results: Results, made: dict[str, pd.DataFrame]) -> str:
    facts = {*results.models.columns, "model"}
    parts = [page.element("h2", "Tables", id="tables")]
    parts.append(
        page.element(
            "p",
            "Shares in percent. A click on a heading sorts. Acceptance: whether measured top-1 is that which was "
            "published; where not, measured minus published, a fraction. The same tables lie beside this page as CSV.",
            class_="note",
        )
    )
    for table in TABLES:
        if table.name in made:
            rows = page.element("span", display.count(len(made[table.name]), "model"), class_="rows")
            inside = page.element("summary", f"{escape(table.title)} {rows}")
            inside += page.element("div", page.sortable(made[table.name], facts), class_="scroll tall")
            unfolded = {"open": ""} if table is TABLES[0] else {}
            parts.append(page.element("details", inside, class_="table", id=f"table-{table.name}", **unfolded))
    return page.element("section", "".join(parts))


def _methods() -> str:
    return page.element("section", _own("methods.html"))


def _provenance(results: Results, counts: tuple[ImageCount, ...]) -> str:
    sets = [
        (each.image_set.name, each.image_set.role, f"{each.images:,}", f"{each.unreadable:,}", each.image_set.digest,
         each.image_set.note)
        for each in counts
    ]  # fmt: skip
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    vega = f"Vega {vl_convert.get_vega_version()} and Vega-Lite {VEGA_LITE}"
    words = f"Analysed with {used}; drawn with {vega}. Seed of every bootstrap: {SEED}."
    parts = [
        page.element("h2", "Provenance", id="provenance"),
        page.plain(("Image set", "Role", "Images", "Unreadable", "Digest", "Note"), sets),
        page.plain(("Study", "Measurements", "Digest", "Made from"), _studies(results)),
        page.element("p", escape(words), class_="note"),
    ]
    return page.element("section", "".join(parts))


def _studies(results: Results) -> list[tuple[str, ...]]:
    folder = results.folder / "measurements"
    rows: list[tuple[str, ...]] = []
    for file in folder.files():
        with folder.filesystem.open_input_file(f"{folder.path}/{file}") as stream:
            mark = digest(stream.read())
        made = sorted(folder.identity(file).items())
        facts = "; ".join(
            f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in made if value
        )
        rows.append((file.removesuffix(".parquet"), f"{folder.rows(file):,}", mark, facts))
    return rows
