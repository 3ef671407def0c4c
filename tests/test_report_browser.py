"""The report in a browser: charts drawn, nothing on the console, nothing asked of a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

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


def visit(path: Path, folder: Path) -> Visit:
    """Open a page in a fresh profile, and wait until it has come to rest."""
    net_log = folder / "net.json"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={net_log}", "--dump-dom"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
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
