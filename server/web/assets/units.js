// Drop rate and sensitivity of every droppable unit, as bars by layer and as a table.
import { h, svg, data, show } from "./view.js";
import { fixed, number } from "./format.js";
import { ticks } from "./curve.js";

const HEIGHT = 150;
const LEFT = 52;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
const LEAST_GROUP = 8; // pixels of a layer that has bars
const KINDS = [["ATTENTION", "Attention"], ["MLP", "MLP"]];

export class UnitBars {
  constructor({ field, title, format }) {
    Object.assign(this, { field, title, format, units: [], line: null });
    this.note = h("span", { class: "readout" });
    this.drawing = svg("svg", { role: "img", height: HEIGHT, class: "bars" });
    this.element = h("figure", { class: "card chart", "data-bars": field },
      h("figcaption", {}, h("h3", {}, title), this.note), this.drawing);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  // `line` is drawn across all bars: [value, name].
  update(units, top, line = null) {
    const known = units.filter((unit) => unit[this.field] !== undefined);
    Object.assign(this, { units: known, top, line });
    this.element.hidden = known.length === 0;
    this.draw();
  }

  draw() {
    const width = Math.max(200, this.drawing.clientWidth);
    const layers = 1 + Math.max(0, ...this.units.map((unit) => unit.layer));
    const group = (width - LEFT - RIGHT) / layers;
    this.x = (layer) => LEFT + group * layer;
    this.y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / this.top);
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.drawing.setAttribute("aria-label", `${this.title}, ${this.units.length} units; the table below has the values`);
    if (this.units.length > 0) show(this.drawing, ...this.grid(width, layers, group), ...this.bars(group), ...this.across(width));
  }

  grid(width, layers, group) {
    const rows = ticks(0, this.top, 3).map((value) => svg("g", { class: "axis" },
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) }),
      svg("text", { x: LEFT - 7, y: this.y(value) + 4, class: "left" }, this.format(value))));
    const every = Math.max(1, Math.ceil(26 / group));
    const names = [];
    for (let layer = 0; layer < layers; layer += every) {
      names.push(svg("text", { class: "axis", x: this.x(layer) + group / 2, y: HEIGHT - 6 }, String(layer)));
    }
    return [...rows, ...names];
  }

  // Too many layers for bars that can be told apart: a line through each kind's values.
  lines(group) {
    return KINDS.map(([kind]) => {
      const path = this.units.filter((unit) => unit.kind === kind)
        .map((unit, i) => `${i ? "L" : "M"}${this.x(unit.layer) + group / 2} ${this.y(Number(unit[this.field]))}`).join("");
      return svg("path", { class: `line ${kind.toLowerCase()}-line`, d: path });
    });
  }

  bars(group) {
    if (group < LEAST_GROUP) return this.lines(group);
    const gap = 2;
    const bar = Math.min(22, (group * 0.8 - gap) / 2);
    return this.units.map((unit) => {
      const second = unit.kind === "MLP";
      const value = Number(unit[this.field]);
      const x = this.x(unit.layer) + group / 2 + (second ? gap / 2 : -gap / 2 - bar);
      const height = Math.max(1, this.y(0) - this.y(value));
      return svg("rect", { class: second ? "mlp" : "attention", x, y: this.y(0) - height, width: bar, height, rx: Math.min(2, bar / 3) },
        svg("title", {}, `layer ${unit.layer}, ${second ? "MLP" : "attention"}: ${this.format(value)}`));
    });
  }

  across(width) {
    if (!this.line) {
      show(this.note);
      return [];
    }
    const [value, name] = this.line;
    show(this.note, `- - ${name} ${this.format(value)}`);
    return [svg("line", { class: "target", x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) })];
  }
}

export function legend() {
  return h("p", { class: "legend" }, KINDS.map(([kind, name]) => h("span", { class: `key ${kind.toLowerCase()}` }, name)), h("span", { class: "quiet" }, "by layer"));
}

function unitCells(unit) {
  const field = (name) => `${name}-${unit.layer}-${unit.kind}`;
  return [
    h("td", {}, data(field("drop_rate"), unit.drop_rate, fixed(unit.drop_rate, 3))),
    h("td", {}, unit.sensitivity === undefined ? "–" : data(field("sensitivity"), unit.sensitivity, number(unit.sensitivity))),
  ];
}

export function unitTable(units) {
  const layers = new Map(units.map((unit) => [unit.layer, []]));
  for (const unit of units) layers.get(unit.layer).push(unit);
  return h("details", { class: "card" }, h("summary", {}, "Drop rates and sensitivities as a table"),
    h("table", { class: "plain" },
      h("thead", {},
        h("tr", {}, h("th", { scope: "col", rowspan: 2 }, "Layer"), KINDS.map(([, name]) => h("th", { scope: "colgroup", colspan: 2 }, name))),
        h("tr", {}, KINDS.map(() => [h("th", { scope: "col" }, "drop rate"), h("th", { scope: "col" }, "sensitivity")]))),
      h("tbody", {}, [...layers].map(([layer, both]) => h("tr", {}, h("th", { scope: "row" }, String(layer)), both.map(unitCells))))));
}
