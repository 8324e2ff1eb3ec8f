// A curve over the steps of a job, drawn as SVG in real pixels. A reader moves along it with the
// pointer or the arrow keys.
import { h, svg, show } from "./view.js";
import { count } from "./format.js";

const HEIGHT = 190;
const LEFT = 52;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 24;

// Round values that span [low, high], about `wanted` of them.
export function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
  const values = [];
  for (let i = Math.ceil(low / step - 1e-9) + 0; i * step <= high + step * 1e-9; i += 1) values.push(i * step);
  return values;
}

function range(values, fromZero) {
  let low = fromZero ? 0 : Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high || !Number.isFinite(low)) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

// Running mean, so that the eye finds the course among the noise.
function smooth(points) {
  const share = 2 / (1 + Math.max(3, points.length / 20));
  let mean = NaN;
  return points.map(([x, y]) => {
    if (Number.isFinite(y)) mean = Number.isFinite(mean) ? mean + share * (y - mean) : y;
    return [x, mean];
  });
}

export class Curve {
  // `format` makes a value's text; `smoothed` adds a running mean; `fromZero`: the axis begins at 0;
  // `second` names another line of the same kind, which may have no points.
  constructor({ field, title, format, smoothed = false, fromZero = false, second = null }) {
    Object.assign(this, { field, title, format, smoothed, fromZero, second, points: [], others: [], last: 1, cursor: null });
    this.readout = h("output", { class: "readout" });
    this.drawing = svg("svg", { role: "img", tabindex: 0, height: HEIGHT, class: "curve" });
    this.element = h("figure", { class: "card chart", "data-curve": field },
      h("figcaption", {}, h("h3", {}, title), this.readout), this.drawing);
    this.drawing.onpointermove = (event) => this.point(event);
    this.drawing.onpointerleave = () => this.moveTo(null);
    this.drawing.onblur = () => this.moveTo(null);
    this.drawing.onkeydown = (event) => this.key(event);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  // `last` is the job's last step: the axis shows how much is still to come.
  update(points, last, others = []) {
    this.points = points;
    this.others = others;
    this.last = Math.max(1, last, points.at(-1)?.[0] ?? 1);
    this.draw();
  }

  draw() {
    const width = Math.max(200, this.drawing.clientWidth);
    const [low, high] = range([...this.points, ...this.others].map(([, y]) => y), this.fromZero);
    this.x = (step) => LEFT + ((width - LEFT - RIGHT) * step) / this.last;
    this.y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low));
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.drawing.setAttribute("aria-label", this.summary());
    const lines = this.points.length === 0 ? [svg("text", { x: width / 2, y: HEIGHT / 2, class: "axis empty" }, "no steps yet")]
      : [...this.grid(low, high, width), ...this.lines(), ...this.marker()];
    show(this.drawing, ...lines);
    this.tell();
  }

  summary() {
    if (this.points.length === 0) return `${this.title}: no steps yet`;
    const [first, newest] = [this.points[0], this.points.at(-1)];
    return `${this.title}: ${this.format(first[1])} at step ${first[0]}, ${this.format(newest[1])} at step ${newest[0]}${this.otherText("; ")}; arrow keys read single steps`;
  }

  // The newest point of the second line; empty if it has none.
  otherText(before) {
    const newest = this.others.at(-1);
    return newest ? `${before}${this.second} ${this.format(newest[1])} at step ${newest[0]}` : "";
  }

  grid(low, high, width) {
    const across = ticks(low, high, 4).map((value) => svg("g", { class: "axis" },
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) }),
      svg("text", { x: LEFT - 7, y: this.y(value) + 4, class: "left" }, this.format(value, true))));
    const down = ticks(0, this.last, 4).filter((step) => Number.isInteger(step)).map((step) => svg("g", { class: "axis" },
      svg("text", { x: Math.min(this.x(step), width - RIGHT - 4), y: HEIGHT - 7, class: step === 0 ? "first" : "" }, count(step))));
    return [...across, ...down];
  }

  path(points) {
    let open = false;
    return points.map(([x, y]) => {
      if (!Number.isFinite(y)) {
        open = false;
        return "";
      }
      const text = `${open ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`;
      open = true;
      return text;
    }).join("");
  }

  lines() {
    const newest = this.points.at(-1);
    const lost = this.points.filter(([, y]) => !Number.isFinite(y))
      .map(([x]) => svg("path", { class: "lost", d: `M${this.x(x) - 4} ${TOP}l8 8m0 -8l-8 8` }));
    return [
      svg("path", { class: this.smoothed ? "line faint" : "line", d: this.path(this.points) }),
      this.smoothed ? svg("path", { class: "line", d: this.path(smooth(this.points)) }) : null,
      Number.isFinite(newest[1]) ? svg("circle", { class: "dot", cx: this.x(newest[0]), cy: this.y(newest[1]), r: 3.5 }) : null,
      this.others.length > 0 ? svg("path", { class: "line second", d: this.path(this.others) }) : null,
      ...this.others.filter(([, y]) => Number.isFinite(y)).map(([x, y]) => svg("circle", { class: "dot second", cx: this.x(x), cy: this.y(y), r: 2.5 })),
      ...lost,
    ].filter(Boolean);
  }

  marker() {
    if (this.cursor === null) return [];
    const [step, value] = this.points[Math.min(this.cursor, this.points.length - 1)];
    const x = this.x(step);
    return [svg("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }),
      Number.isFinite(value) ? svg("circle", { class: "dot", cx: x, cy: this.y(value), r: 4.5 }) : null].filter(Boolean);
  }

  tell() {
    const at = this.cursor === null ? this.points.at(-1) : this.points[Math.min(this.cursor, this.points.length - 1)];
    const text = at ? `${this.format(at[1])} at step ${count(at[0])}${this.cursor === null ? this.otherText(" · ") : ""}` : "";
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  moveTo(cursor) {
    this.cursor = this.points.length === 0 ? null : cursor;
    this.draw();
  }

  point(event) {
    const box = this.drawing.getBoundingClientRect();
    const step = ((event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * this.last;
    let nearest = 0;
    this.points.forEach(([x], i) => {
      if (Math.abs(x - step) < Math.abs(this.points[nearest][0] - step)) nearest = i;
    });
    this.moveTo(nearest);
  }

  key(event) {
    const end = this.points.length - 1;
    const from = this.cursor ?? end;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 10, PageDown: from + 10, Home: 0, End: end }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.moveTo(Math.min(end, Math.max(0, to)));
  }
}
