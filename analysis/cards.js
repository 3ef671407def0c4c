const cards = shared.cards;
const WIDTH = 220;
const percent = (value) => (100 * value).toFixed(1).replace("-", "\u2212");
const make = (tag, text, facts = {}) => {
  const made = document.createElement(tag);
  made.textContent = text;
  Object.entries(facts).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
};
const draw = (tag, facts) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(facts).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
};
const link = (name) => make("a", name, { href: "#model=" + encodeURIComponent(name) });

// Every model a grey tick, this one a dark mark with its interval; where lower is better the axis is turned.
const strip = (column, row, better) => {
  const all = Object.values(cards.models).map((each) => each.row[column]).filter(Boolean);
  const ends = all.flatMap((each) => [each[0], each[0]]).concat(row[1] ?? row[0], row[2] ?? row[0]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const at = (value) => {
    const share = (value - low) / (high - low || 1);
    return (6 + (better === "lower" ? 1 - share : share) * (WIDTH - 12)).toFixed(1);
  };
  const svg = draw("svg", { width: WIDTH, height: 18, viewBox: `0 0 ${WIDTH} 18`, "aria-hidden": "true" });
  all.forEach((each) => svg.append(draw("line", { x1: at(each[0]), x2: at(each[0]), y1: 4, y2: 14, stroke: "#b9b9be", "stroke-width": 1 })));
  if (row[1] !== null) svg.append(draw("line", { x1: at(row[1]), x2: at(row[2]), y1: 9, y2: 9, stroke: "#0072B2", "stroke-width": 2 }));
  svg.append(draw("circle", { cx: at(row[0]), cy: 9, r: 4, fill: "#0072B2", stroke: "#fff" }));
  return svg;
};

const measured = (model) => {
  const table = make("table", "");
  let topic = null;
  cards.measures.forEach((measure, column) => {
    const row = model.row[column];
    if (!row) return;
    if (measure.table !== topic) {
      topic = measure.table;
      const line = table.insertRow();
      line.append(make("th", topic, { colspan: 5, scope: "colgroup" }));
    }
    const line = table.insertRow();
    line.append(make("td", measure.name + (measure.better === "lower" ? " (lower is better)" : "")));
    line.append(make("td", percent(row[0]), { class: "num" }));
    line.append(make("td", row[1] === null ? "" : `[${percent(row[1])} to ${percent(row[2])}]`, { class: "num" }));
    line.insertCell().append(strip(column, row, measure.better));
    const range = row[4] === row[5] ? "" : ` (${row[4]} to ${row[5]})`;
    line.append(make("td", `${row[3]} of ${measure.of}${range}`));
  });
  return table;
};

const pair = (title, value) => {
  const both = make("div", "");
  both.append(make("dt", title), value);
  return both;
};

const facts = (name, model) => {
  const list = make("dl", "");
  cards.facts.forEach((fact, place) => {
    const text = model.facts[place];
    if (!text) return;
    const value = make("dd", "");
    value.append(Object.hasOwn(cards.models, text) ? link(text) : text);
    list.append(pair(fact, value));
  });
  const parent = cards.facts.indexOf("parent");
  const children = Object.keys(cards.models).filter((other) => cards.models[other].facts[parent] === name);
  if (children.length) {
    const value = make("dd", "");
    children.forEach((child, place) => value.append(place ? ", " : "", link(child)));
    list.append(pair("fine-tuned from it", value));
  }
  return list;
};

const card = (name) => {
  const place = document.getElementById("card");
  const model = Object.hasOwn(cards.models, name) ? cards.models[name] : null;
  place.replaceChildren();
  if (!model) {
    if (name) place.append(make("p", `No model '${name}' in this report; choose one of the list.`));
    return;
  }
  document.getElementById("choose").value = name;
  const scroll = make("div", "", { class: "scroll" });
  scroll.append(measured(model));
  place.append(make("h3", name), facts(name, model), scroll);
};
const asked = () => {
  if (!location.hash.startsWith("#model=")) return;
  card(decodeURIComponent(location.hash.slice(7)));
  document.getElementById("models").scrollIntoView();
};
document.getElementById("choose").addEventListener("change", (event) => { location.hash = "model=" + encodeURIComponent(event.target.value); });
window.addEventListener("hashchange", asked);
asked();
