"use strict";
const shared = Object.fromEntries([...document.querySelectorAll("script[data-shared]")].map((holder) => [holder.dataset.shared, JSON.parse(holder.textContent)]));

// A click on an entry of a legend, for those who have no mouse.
const reachable = (place) => place.querySelectorAll(".role-legend-symbol path").forEach((symbol) => {
  symbol.setAttribute("tabindex", "0");
  symbol.setAttribute("role", "button");
  const entry = symbol.closest(".role-legend-entry");
  const name = [...entry.querySelectorAll(".role-legend-label text")][[...entry.querySelectorAll(".role-legend-symbol path")].indexOf(symbol)];
  symbol.setAttribute("aria-label", "Show alone: " + (name ? name.textContent : ""));
});
document.addEventListener("keydown", (event) => {
  const symbol = event.target;
  if (!(symbol instanceof SVGElement) || (event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  const box = symbol.getBoundingClientRect();
  const at = { bubbles: true, cancelable: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, shiftKey: event.shiftKey, view: window };
  ["pointerdown", "mousedown", "pointerup", "mouseup", "click"].forEach((kind) => symbol.dispatchEvent(new PointerEvent(kind, at)));
});

document.querySelectorAll("script[data-chart]").forEach((holder) => {
  const place = document.getElementById(holder.dataset.chart);
  const options = { renderer: "svg", mode: "vega-lite", tooltip: { theme: "light" }, actions: { export: true, source: false, compiled: false, editor: false } };
  const spec = JSON.parse(holder.textContent);
  spec.datasets.models = shared.points;
  vegaEmbed(place, spec, options)
    .then(() => { place.setAttribute("data-drawn", ""); reachable(place); })
    .catch((error) => { place.textContent = "This chart could not be drawn: " + error.message; console.error(error); });
});

document.querySelectorAll("table.sortable").forEach((table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...body.rows].sort((one, two) => {
        const [a, b] = [key(one), key(two)];
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b, "en") : a - b;
        return up ? order : -order;
      });
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
});

document.querySelectorAll("input.filter").forEach((box) => {
  const rows = [...box.closest("details").querySelector("table").tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, place) => { row.hidden = !words.every((word) => texts[place].includes(word)); });
    box.nextElementSibling.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  });
});

const unfold = () => {
  const aim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (aim instanceof HTMLDetailsElement) { aim.open = true; aim.scrollIntoView(); }
};
window.addEventListener("hashchange", unfold);
unfold();

let closed = [];
window.addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.closest(".vega-embed")); closed.forEach((each) => { each.open = true; }); });
window.addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
