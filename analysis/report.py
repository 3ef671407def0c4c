"""RESULTS/report: one page that opens anywhere, and the same for other readers and for machines.

``index.html`` holds one copy of the chart library and asks no network for anything; its own security policy forbids it
to. Beside it lie the report as Markdown, findings and tables as CSV, Parquet and LaTeX, figures as SVG, PNG and PDF,
entries for a bibliography, and a manifest of what was read and written. Equal results make equal bytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import vl_convert

from analysis import cards, exports, findings, latex, markdown, otherwise, points, prose, sections
from analysis.charts import FIGURES
from analysis.compare import Comparison, compare
from analysis.fits import TooLittle
from analysis.ledger import Ledger, ask
from analysis.manifest import NAME, VEGA_LITE, bibtex, manifest
from analysis.marks import MODELS
from analysis.questions import QUESTIONS
from analysis.results import NotMeasured, Results, image_counts
from analysis.tables import TABLES, heading

log = logging.getLogger(__name__)
SNIPPET = "window.vegaEmbed = vegaEmbed;"
COMPARED = ("compared-findings", "compared-measurements")


def write(
    results: Results, out: Path, *, before: Results | None = None, say: Callable[[str], object] = log.info
) -> Path:
    """Write the whole report into a folder, and return the path of its page.

    Where there are results from `before`, the report also says what changed against them.
    """
    for folder in (out / "tables", out / "figures"):
        folder.mkdir(parents=True, exist_ok=True)
    say(f"Asking {len(QUESTIONS)} questions of {len(results.models)} models ...")
    ledger = otherwise.added(ask(results))
    everything = (*ledger.findings, *ledger.otherwise)
    exports.table(findings.table(everything), latex.of_findings(everything), out, "findings")
    compared = _compare(results, before, ledger, out / "tables")
    tables = _tables(results, out / "tables")
    say("Drawing the figures ...")
    specs = _figures(results, out / "figures")
    _put(out / "index.html", _page(results, ledger, specs, tables, compared))
    _put(out / "report.md", _markdown(results, ledger, specs, tables, compared))
    _put(out / "report.tex", _document(out))
    _put(out / "cite.bib", bibtex())
    _put(out / NAME, manifest(results, out, before))
    return out / "index.html"


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(path)


def _document(out: Path) -> str:
    written = [out / "findings.parquet", *sorted((out / "tables").glob("*.parquet"))]
    paths = [path.relative_to(out).with_suffix("").as_posix() for path in written]
    return latex.document([(name, pq.read_metadata(path).num_rows) for name, path in zip(paths, written, strict=True)])


def _compare(results: Results, before: Results | None, ledger: Ledger, folder: Path) -> Comparison | None:
    for name in COMPARED:
        exports.clear(folder, name, exports.TABLES)
    if before is None:
        return None
    made = compare(results, before, (ledger, ask(before)))
    first, second = COMPARED
    exports.table(made.findings, latex.of_changes(made.findings), folder, first)
    tex = latex.plain_frame(made.measurements, caption="Measurements of two studies", label=f"tab:{second}")
    exports.table(made.measurements, tex, folder, second)
    return made


def _tables(results: Results, folder: Path) -> dict[str, pd.DataFrame]:
    made = {}
    facts = {*results.models.columns, "model"}
    for table in TABLES:
        exports.clear(folder, table.name, exports.TABLES)
        try:
            frame = made[table.name] = table.make(results)
        except NotMeasured as reason:
            log.info("table %s left out: %s", table.name, reason)
            continue
        heads = [heading(str(column)) for column in frame.columns]
        tex = latex.of_frame(frame, heads, facts, caption=table.title, label=f"tab:{table.name}")
        exports.table(frame, tex, folder, table.name)
    exports.clear(folder, "standings", exports.TABLES)
    if made:
        frame = cards.standings(results)
        exports.table(frame, latex.plain_frame(frame, caption="Standings", label="tab:standings"), folder, "standings")
    return made


def _figures(results: Results, folder: Path) -> dict[str, str]:
    """Draw every figure; the Vega-Lite specifications as JSON, by name, without the facts of the models that all share.

    What cannot be drawn is left out.
    """
    specs = {}
    facts = points.facts(results)
    for figure in FIGURES:
        exports.clear(folder, figure.name, exports.FIGURES)
        try:
            spec = figure.draw(results).to_dict()
        except (NotMeasured, TooLittle) as reason:
            log.info("figure %s left out: %s", figure.name, reason)
            continue
        specs[figure.name] = _json(spec)
        exports.figure(_json({**spec, "datasets": {**spec["datasets"], MODELS: facts}}), folder, figure.name)
    return specs


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _markdown(
    results: Results,
    ledger: Ledger,
    names: Collection[str],
    tables: dict[str, pd.DataFrame],
    compared: Comparison | None,
) -> str:
    drawn = [(each.name, each.title, each.reading) for each in FIGURES if each.name in names]
    made = [(each.name, each.title) for each in TABLES if each.name in tables]
    changes = [] if compared is None else [prose.changes(compared), *map(prose.changed, compared.told.itertuples())]
    return markdown.page(prose.summary(results, image_counts(results)), ledger, drawn, made, changes)


def _page(
    results: Results,
    ledger: Ledger,
    specs: dict[str, str],
    tables: dict[str, pd.DataFrame],
    compared: Comparison | None,
) -> str:
    counts = image_counts(results)
    body = [
        sections.header(results, counts, compared),
        sections.claims(ledger),
        sections.changes(compared) if compared else "",
        sections.figures(results, ledger, specs),
        sections.model_cards(results),
        sections.all_tables(results, tables),
        sections.methods(_own("methods.html")),
        sections.provenance(results, counts),
    ]
    holders = [_holder(spec, "data-chart", f"chart-{name}") for name, spec in specs.items()]
    shared = {"points": points.facts(results), "cards": cards.cards(results)}
    holders += [_holder(_json(value), "data-shared", name) for name, value in shared.items()]
    parts = {
        "css": _own("report.css"),
        "body": "\n".join(body),
        "specs": "\n".join(holders),
        "vega": vl_convert.javascript_bundle(SNIPPET, vl_version=VEGA_LITE).replace("</script", "<\\/script"),
        "js": _own("report.js") + "\n" + _own("cards.js"),
    }
    pieces = _own("report.html").split("%%")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _holder(content: str, attribute: str, name: str) -> str:
    # In a script element only "</script" and "<!--" mean something to HTML; no "<" at all is simpler still.
    return f'<script type="application/json" {attribute}="{name}">{content.replace("<", chr(92) + "u003c")}</script>'


def _own(name: str) -> str:
    return files("analysis").joinpath(name).read_text(encoding="utf-8").rstrip("\n")
