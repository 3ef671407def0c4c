"use strict";
document.querySelectorAll("script[data-chart]").forEach((holder) => {
  const place = document.getElementById(holder.dataset.chart);
  const options = { renderer: "svg", mode: "vega-lite", tooltip: { theme: "light" }, actions: { export: true, source: false, compiled: false, editor: false } };
  vegaEmbed(place, JSON.parse(holder.textContent), options)
    .then(() => place.setAttribute("data-drawn", ""))
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

const unfold = () => { const aim = document.getElementById(decodeURIComponent(location.hash.slice(1))); if (aim instanceof HTMLDetailsElement) { aim.open = true; aim.scrollIntoView(); } };
window.addEventListener("hashchange", unfold);
unfold();

let closed = [];
window.addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.closest(".vega-embed")); closed.forEach((each) => { each.open = true; }); });
window.addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
