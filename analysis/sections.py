"""The sections of the report's page, in their order; how each of their parts is written is in `analysis.page`."""

from __future__ import annotations

import json
from collections.abc import Collection
from html import escape
from importlib.metadata import version

import pandas as pd
import vl_convert

from analysis import display, page, prose
from analysis.acceptance import DIFFERS
from analysis.charts import FIGURES, WITHOUT, Figure
from analysis.compare import Comparison
from analysis.fits import SEED
from analysis.ledger import Ledger, claim
from analysis.manifest import LIBRARIES, VEGA_LITE, made
from analysis.markup import element
from analysis.questions import QUESTIONS
from analysis.results import ImageCount, Results
from analysis.tables import TABLES

HOLLOW = " A hollow point is a model whose measured accuracy differs from the published one."
MOST = 40
"""So many changes are on the page; all of them are in the tables beside it."""
CHANGES = (
    "Change is now minus before. A measurement is averaged over models: over the same models in both studies where "
    "they share any, and then the interval is that of the differences within models; else over different models. "
    "Intervals are over lineages, and p is adjusted by Holm over every measurement. A finding is computed again in "
    "both studies without each lineage, and its change has the jackknife of that difference; where the studies share "
    "no lineage, their variances add (Welch). Its p is adjusted by Holm over every finding of both. Where a verdict "
    "changed and the estimate did so by no more than chance, the change of the verdict says little."
)


def header(results: Results, counts: tuple[ImageCount, ...], compared: Comparison | None) -> str:
    """The title, what was studied, and where things are."""
    links = ("claims", *(("changes",) if compared else ()), "figures", "models", "tables", "methods", "provenance")
    nav = element("nav", "".join(element("a", name.capitalize(), href=f"#{name}") for name in links))
    kicker = element("p", "closerlook", class_="kicker")
    title = element("h1", "How far can these image classifiers be trusted?")
    lead = element("p", escape(prose.summary(results, counts)), class_="lead")
    return element("header", kicker + title + lead + nav)


def claims(ledger: Ledger) -> str:
    """Every question with its verdict."""
    intro = (
        "Each claim was written down as an expectation before anyone looked. A claim is supported where every part of "
        "it, the mean of its tests, points the expected way, with a p value below 0.05 that is adjusted by Holm over "
        "all claims, and no test alone speaks against it; contradicted where a part points the other way so clearly; "
        "undecided otherwise. A test is decided only where its claim is, by Holm within the claim. 95 % intervals are "
        "in square brackets, differences of shares in points of percent. A claim opens on a click, and shows every "
        "test with its interval, and what other methods make of the same models; below each stands what would change "
        "the verdict."
    )
    entries = "".join(page.ledger_entry(question, ledger) for question in QUESTIONS)
    head = element("h2", "The claims", id="claims")
    return element("section", head + element("p", escape(intro), class_="note") + page.tally(ledger) + entries)


def figures(results: Results, ledger: Ledger, names: Collection[str]) -> str:
    """A place for each chart of these names, with how to read it."""
    hint = (
        "Every point is a model. Point at one to see which; click an entry of the legend, or reach it with the Tab key "
        "and press Enter, to see it alone (with shift: several), click elsewhere in the figure to see all again. "
        "Whiskers are 95 % intervals over images, bands 95 % over lineages. What a point says stands in the tables too."
    )
    hollow = HOLLOW if results.distinct["acceptance"].str.startswith(DIFFERS).any() else ""
    shown = [_figure(figure, ledger, hollow) for figure in FIGURES if figure.name in names]
    left = [figure.title for figure in FIGURES if figure.name not in names]
    alone = [f"{claim(each)} ({WITHOUT[each.__name__]})" for each in QUESTIONS if each.__name__ in WITHOUT]
    said = [f"Not drawn, for want of measurements: {'; '.join(left)}."] if left else []
    said += [f"No figure shows: {'; '.join(alone)}."] if alone else []
    note = "".join(element("p", escape(each), class_="note") for each in said)
    head = element("h2", "Figures", id="figures") + element("p", escape(hint), class_="reading screen")
    return element("section", head + "".join(shown) + note)


def _figure(figure: Figure, ledger: Ledger, hollow: str) -> str:
    questions = [question for question in QUESTIONS if question.__name__ in figure.questions]
    return page.figure(figure.name, figure.title, figure.reading + hollow * figure.of_points, questions, ledger)


def all_tables(results: Results, made: dict[str, pd.DataFrame]) -> str:
    """The tables that were made, each folded but the first."""
    facts = {*results.models.columns, "model"}
    parts = [element("h2", "Tables", id="tables")]
    parts.append(
        element(
            "p",
            "Shares in percent. A click on a heading sorts; words in the box leave only rows that have all of them. "
            "Acceptance: whether measured top-1 is that which was published; where not, measured minus published, a "
            "fraction. The same tables lie beside this page as CSV, Parquet and LaTeX.",
            class_="note",
        )
    )
    for table in TABLES:
        if table.name in made:
            rows = element("span", display.count(len(made[table.name]), "model"), class_="rows")
            inside = element("summary", f"{escape(table.title)} {rows}")
            inside += page.search(f"Filter: {table.title}")
            inside += element("div", page.sortable(made[table.name], facts), class_="scroll tall")
            unfolded = {"open": ""} if table is TABLES[0] else {}
            parts.append(element("details", inside, class_="table", id=f"table-{table.name}", **unfolded))
    return element("section", "".join(parts))


def model_cards(results: Results) -> str:
    """A place for the card of a model, drawn when a reader asks for one."""
    words = (
        "Everything that is known of one model. Choose one here, or click its name in a table. The grey ticks are all "
        "models, the blue mark is this one with its 95 % interval over images, and right is better, or more. A rank "
        "is followed by the ranks that the intervals allow: from how many models lie wholly above and below."
    )
    names = "".join(element("option", "", value=str(name)) for name in results.models.index)
    label = element("label", "Model", for_="choose")
    box = '<input id="choose" list="model-names" autocomplete="off" spellcheck="false">'
    chosen = element("div", label + box + element("datalist", names, id="model-names"), class_="choose")
    head = element("h2", "Models", id="models") + element("p", escape(words), class_="note screen")
    return element("section", head + chosen + element("article", "", id="card", aria_live="polite"))


def changes(compared: Comparison) -> str:
    """What changed against another study."""
    head = element("h2", "What changed", id="changes")
    parts = [
        head,
        element("p", escape(prose.changes(compared))),
        element("p", escape(CHANGES), class_="note"),
    ]
    told = "".join(element("li", escape(prose.changed(row))) for row in compared.told.head(MOST).itertuples())
    parts += [element("ul", told, class_="plain")] if told else []
    changed = compared.changed.head(MOST)
    if not changed.empty:
        numbers = ("Measurement", "Before", "Now", "Change", "95 % interval", "p (Holm)", "n", "Lineages")
        parts.append(page.plain(numbers, map(page.changed, changed.itertuples())))
    return element("section", "".join(parts))


def methods(text: str) -> str:
    """How it was done."""
    return element("section", text)


def provenance(results: Results, counts: tuple[ImageCount, ...]) -> str:
    """What it was made of: image sets, studies, versions."""
    sets = [
        (each.image_set.name, each.image_set.role, f"{each.images:,}", f"{each.unreadable:,}", each.image_set.digest,
         each.image_set.note)
        for each in counts
    ]  # fmt: skip
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    vega = f"Vega {vl_convert.get_vega_version()} and Vega-Lite {VEGA_LITE}"
    words = f"Analysed with {used}; drawn with {vega}. Seed of every bootstrap: {SEED}."
    parts = [
        element("h2", "Provenance", id="provenance"),
        page.plain(("Image set", "Role", "Images", "Unreadable", "Digest", "Note"), sets),
        page.plain(("Study", "Measurements", "Digest", "Made from"), _studies(results)),
        element("p", escape(words), class_="note"),
    ]
    return element("section", "".join(parts))


def _studies(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    folder = results.folder / "measurements"
    for file in folder.files():
        found = made(folder, file)
        said = {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.made_from.items()}
        facts = "; ".join(f"{key} {said[key]}" for key, value in found.made_from.items() if value)
        rows.append((file.removesuffix(".parquet"), f"{found.rows:,}", found.digest, facts))
    return rows
