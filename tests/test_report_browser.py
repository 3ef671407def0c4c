"""The report in a browser: charts drawn, nothing on the console, nothing asked of a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from simulated import simulate
from test_report import HOSTILE, Text, hostile_results

from analysis.__main__ import main
from analysis.charts import FIGURES

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this computer; Debian's package is 'chromium'")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--no-first-run",
    "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--virtual-time-budget=20000",
    "--enable-logging=stderr", "--v=0", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
SORT = """
<script>
window.addEventListener("load", () => setTimeout(() => {
  const table = document.querySelector("#table-ood table");
  const head = table.querySelectorAll("th")[4];
  const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[4].dataset.value));
  head.querySelector("button").click();
  const up = values();
  head.querySelector("button").click();
  document.body.dataset.sorted = JSON.stringify([head.getAttribute("aria-sort"), up, values()]);
}, 3000));
</script>
"""
POINT = """
<script>
const send = (target, kinds) => {
  const box = target.getBoundingClientRect();
  const at = { bubbles: true, cancelable: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
  kinds.forEach((kind) => target.dispatchEvent(new PointerEvent(kind, { ...at, view: window })));
};
const later = (act) => new Promise((done) => setTimeout(() => done(act()), 1000));
window.addEventListener("load", async () => {
  await later(() => 0);
  const chart = document.querySelector("#chart-id-and-ood");
  const points = () => [...chart.querySelectorAll("path[aria-roledescription='point']")];
  const before = points().length;
  send(chart.querySelector(".role-legend-symbol path"), ["pointerdown", "mousedown", "pointerup", "mouseup", "click"]);
  const after = await later(() => points().length);
  send(points()[0], ["pointermove", "mousemove", "mouseover"]);
  const hover = await later(() => document.querySelector("#vg-tooltip-element").textContent);
  document.body.dataset.pointed = JSON.stringify([before, after, hover]);
});
</script>
"""
LEAD = """
<script>
const opened = () => [...document.querySelectorAll("details[open]")].map((each) => each.id).sort().reverse().join(" ");
window.addEventListener("load", () => setTimeout(() => {
  const before = opened();
  document.querySelector("ul.said a").click();
  setTimeout(() => { document.body.dataset.opened = `${before} / ${opened()}`; }, 1000);
}, 1000));
</script>
"""

KEYS = """
<script>
const enter = { key: "Enter", bubbles: true, cancelable: true };
const later = (act) => new Promise((done) => setTimeout(() => done(act()), 1000));
window.addEventListener("load", async () => {
  await later(() => 0);
  const chart = document.querySelector("#chart-id-and-ood");
  const points = () => chart.querySelectorAll("path[aria-roledescription='point']").length;
  const symbol = chart.querySelector(".role-legend-symbol path");
  symbol.focus();
  const before = [document.activeElement === symbol, symbol.getAttribute("aria-label"), points()];
  symbol.dispatchEvent(new KeyboardEvent("keydown", enter));
  const after = await later(points);
  const wanted = "table.sortable a, table.sortable button, #choose, input.filter";
  const stops = [...document.querySelectorAll(wanted)].map((each) => each.tabIndex);
  document.body.dataset.pressed = JSON.stringify([...before, after, stops.every((stop) => stop === 0), stops.length]);
});
</script>
"""
FILTER = """
<script>
window.addEventListener("load", () => setTimeout(() => {
  const box = document.querySelector("#table-ood input.filter");
  const rows = [...document.querySelectorAll("#table-ood tbody tr")];
  const shown = () => rows.filter((row) => !row.hidden).map((row) => row.cells[0].textContent);
  const before = shown().length;
  box.value = "SRC-large  VIT1";
  box.dispatchEvent(new Event("input"));
  document.body.dataset.filtered = JSON.stringify([before, shown(), box.nextElementSibling.textContent]);
}, 1000));
</script>
"""


@dataclass(frozen=True)
class Visit:
    """What a browser made of a page: the document after its scripts ran, its console, the URLs it asked for."""

    document: str
    console: list[str]
    urls: set[str]


def requests(net_log: Path) -> set[str]:
    """URLs that the page asked for; what the browser asks its maker on its own account has no origin."""
    events = [event.get("params", {}) for event in json.loads(net_log.read_text())["events"]]
    asked = (
        each["url"] for each in events if each.get("initiator", "not an origin") != "not an origin" and "url" in each
    )
    return {url for url in asked if not url.startswith(("file:", "data:", "blob:"))}


def visit(path: Path, folder: Path, place: str = "") -> Visit:
    """Open a page, perhaps at a place in it, in a fresh profile, and wait until it has come to rest."""
    net_log = folder / "net.json"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={net_log}", "--dump-dom"]
    done = subprocess.run([*command, path.as_uri() + place], capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(done.stdout, console, requests(net_log))


def with_script(path: Path, script: str) -> str:
    """A page with a script more, at its very end: the chart library has a ``</body>`` in one of its strings."""
    before, after = path.read_text().rsplit("</body>", 1)
    return f"{before}{script}</body>{after}"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = simulate(tmp_path_factory.mktemp("results"), lineages=3)
    assert main(["--results", str(folder)]) == 0
    return folder


def test_charts_are_drawn_without_an_error_or_a_request(results: Path, tmp_path: Path) -> None:
    seen = visit(results / "report" / "index.html", tmp_path)
    assert seen.console == []
    assert seen.urls == set()
    assert seen.document.count("data-drawn") >= len(FIGURES)
    for figure in FIGURES:
        place = seen.document.split(f'id="chart-{figure.name}"', 1)[1].split("</figure>", 1)[0]
        marks = re.findall(r'<path aria-label="[^"]*" role="graphics-symbol"', place)
        assert len(marks) >= 12, (figure.name, len(marks))


def test_the_check_itself_sees_requests_and_errors(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<script>console.error("planted"); fetch("http://127.0.0.1:9/x").catch(() => 0)</script>')
    seen = visit(page, tmp_path)
    assert any("planted" in line for line in seen.console)
    assert "http://127.0.0.1:9/x" in seen.urls


def test_the_page_may_not_ask_even_if_it_wanted_to(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "asks.html"
    script = '<script>fetch("http://127.0.0.1:9/x").catch(() => 0)</script>'
    page.write_text(with_script(results / "report" / "index.html", script))
    seen = visit(page, tmp_path)
    assert "http://127.0.0.1:9/x" not in seen.urls
    assert any("Content Security Policy" in line for line in seen.console)


def test_a_click_on_a_heading_sorts_the_table(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "sorts.html"
    page.write_text(with_script(results / "report" / "index.html", SORT))
    found = re.search(r'data-sorted="([^"]*)"', visit(page, tmp_path).document)
    assert found is not None
    direction, up, down = json.loads(found.group(1).replace("&quot;", '"'))
    assert direction == "descending"
    assert up == sorted(up)
    assert down == up[::-1] or down == sorted(up, reverse=True)
    assert len(set(up)) > 10


def test_a_click_on_the_legend_filters_and_a_hover_names_the_model(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "points.html"
    page.write_text(with_script(results / "report" / "index.html", POINT))
    found = re.search(r'data-pointed="([^"]*)"', visit(page, tmp_path).document)
    assert found is not None
    before, after, hover = json.loads(found.group(1).replace("&quot;", '"'))
    assert before == 48 * 2  # every model in both panels
    assert after == 6 * 2  # those of the first training source
    told = r"Modelvit\d[sl]\.SRC-large.*LineageSRC-large-\d.*Published accuracyok.*AUROC[\d.]+%"
    assert re.search(told, hover), hover


def test_a_claim_below_a_figure_leads_to_its_tests_and_the_models_are_open(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "leads.html"
    page.write_text(with_script(results / "report" / "index.html", LEAD))
    found = re.search(r'data-opened="([^"]*)"', visit(page, tmp_path).document)
    assert found is not None
    assert found.group(1) == "table-models / table-models question-accuracy_and_ood_detection"


def test_hostile_names_run_no_script(tmp_path: Path) -> None:
    results = hostile_results(tmp_path / "results")
    assert main(["--results", str(results)]) == 0
    seen = visit(results / "report" / "index.html", tmp_path)
    assert seen.console == []
    assert seen.urls == set()
    assert "alert(1)" in HOSTILE
    assert seen.document.count("data-drawn") >= len(FIGURES)
    assert not [tag for tag, _ in Text(seen.document).tags if tag in ("img", "iframe")]


def test_the_keyboard_reaches_legends_headings_and_boxes(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "pressed.html"
    page.write_text(with_script(results / "report" / "index.html", KEYS))
    found = re.search(r'data-pressed="([^"]*)"', visit(page, tmp_path).document)
    assert found is not None
    focused, label, before, after, reachable, many = json.loads(found.group(1).replace("&quot;", '"'))
    assert (focused, label) == (True, "Show alone: SRC-large")
    assert (before, after) == (48 * 2, 6 * 2)
    assert reachable
    assert many > 30


def test_words_in_the_box_leave_only_the_rows_that_have_them_all(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "filtered.html"
    page.write_text(with_script(results / "report" / "index.html", FILTER))
    found = re.search(r'data-filtered="([^"]*)"', visit(page, tmp_path).document)
    assert found is not None
    before, names, told = json.loads(found.group(1).replace("&quot;", '"'))
    assert before == 48
    assert sorted(names) == [
        "vit1l.SRC-large", "vit1s.SRC-large", "vit1s.SRC-large_ft_direct", "vit1s.SRC-large_ft_intermediate",
    ]  # fmt: skip
    assert told == "4 of 48"


def test_the_card_of_a_model_is_drawn_when_it_is_asked_for(results: Path, tmp_path: Path) -> None:
    name = "vit0s.SRC-large"
    seen = visit(results / "report" / "index.html", tmp_path, f"#model={name}")
    assert seen.console == []
    card = seen.document.split('id="card"', 1)[1].split("</article>", 1)[0]
    assert f"<h3>{name}</h3>" in card
    standings = pd.read_csv(results / "report" / "tables" / "standings.csv")
    own = standings[(standings["model"] == name) & (standings["table"] == "ood")]
    assert len(own) == 2
    for row in own.itertuples():
        ends = f"[{100 * row.low:.1f} to {100 * row.high:.1f}]"
        shown = (
            rf"{row.measure}</td><td class=\"num\">{100 * row.value:.1f}</td><td class=\"num\">{re.escape(ends)}</td>"
        )
        assert re.search(shown, card), row
        assert f"<td>{row.rank} of 48" in card
    assert f'href="#model={name}_ft_direct"' in card, "its children are named"


def test_a_model_that_is_not_there_is_said_in_a_sentence(results: Path, tmp_path: Path) -> None:
    seen = visit(results / "report" / "index.html", tmp_path, "#model=nobody%3Cb%3E")
    assert seen.console == []
    assert "<p>No model 'nobody&lt;b&gt;' in this report; choose one of the list.</p>" in seen.document
