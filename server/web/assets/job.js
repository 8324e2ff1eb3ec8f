// One job: its numbers, curves, units, events and settings.
import { h, data, show } from "./view.js";
import { badge } from "./jobs.js";
import { Curve } from "./curve.js";
import { UnitBars, legend, unitTable } from "./units.js";
import { scaled, bytes, clock, count, duration, fixed, flops, number, percent, scientific, secondsOf, secondsSince } from "./format.js";

function tile(label, value, note) {
  return h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, value), note ? h("dd", { class: "quiet" }, note) : null);
}

function timeNote(job) {
  if (job.end_time) return `took ${duration((Date.parse(job.end_time) - Date.parse(job.create_time)) / 1000)}`;
  if (job.progress?.eta) return `${duration(secondsOf(job.progress.eta))} left`;
  return job.start_time ? `for ${duration(secondsSince(job.start_time))}` : "";
}

function validation({ evaluation, best_evaluation: best }) {
  if (!evaluation || !Number(evaluation.supervised_tokens)) return null;
  const loss = Number(evaluation.loss);
  const note = !best || best.step === evaluation.step ? `perplexity ${number(Math.exp(loss), 4)}` : `best ${fixed(Number(best.loss), 4)} at step ${count(best.step)}`;
  return tile("Validation loss", data("validation_loss", loss, fixed(loss, 4)), note);
}

function tiles(job) {
  const { progress, plan } = job;
  if (!progress || !Number(progress.total_steps)) return [];
  const steps = tile("Step", [data("step", progress.step, count(progress.step)), h("small", {}, ` / ${count(progress.total_steps)}`)], timeNote(job));
  if (!Number(progress.step)) return [steps];
  const [done, saved] = [progress.backward_flops_done, progress.backward_flops_saved];
  const [sent, dense] = [Number(progress.gradient_bytes_sent), Number(progress.gradient_bytes_dense)];
  return [
    steps,
    tile("Loss", data("loss", progress.loss, fixed(progress.loss, 4)), "newest step"),
    validation(progress),
    tile("Tokens per second", data("tokens_per_second", progress.tokens_per_second, count(progress.tokens_per_second)), `${scaled(Number(progress.tokens), "")} tokens`),
    tile("Learning rate", data("learning_rate", progress.learning_rate, scientific(progress.learning_rate)), `grad norm ${number(progress.grad_norm, 3)}`),
    tile("Drop rate", data("realised_drop_rate", progress.realised_drop_rate, percent(progress.realised_drop_rate)), plan ? `target ${percent(plan.target_drop_rate)}` : ""),
    tile("Backward saved", data("backward_flops_saved", saved, flops(saved)), `of ${flops(done + saved)}`),
    tile("Gradients not sent", data("gradient_bytes_avoided", dense - sent, dense > 0 ? percent((dense - sent) / dense) : "–"), dense > 0 ? `${bytes(dense - sent)} a rank` : "one rank sends none"),
  ].filter(Boolean);
}

function head(job) {
  const { step, total_steps: total } = job.progress ?? {};
  const restarts = job.restarts ? ` · ${job.restarts} restarts charged` : "";
  return [
    h("div", { class: "heading" }, h("h1", {}, job.job_id), badge(job.state)),
    h("p", { class: "quiet" }, `${job.spec.model} · created ${clock(job.create_time)}${job.attempt ? ` · attempt ${job.attempt}` : ""}${restarts}${job.workers.length ? ` · on ${[...new Set(job.workers)].join(", ")}` : ""}`),
    job.state_message ? h("p", { class: `message ${job.state.toLowerCase()}` }, job.state_message) : null,
    Number(total) ? h("progress", { class: "wide", max: total, value: step, "aria-label": "steps done" }) : null,
  ].filter(Boolean);
}

function planFacts(plan) {
  const facts = [
    ["Rates chosen by", plan.allocation], ["Masks", `${plan.masks}, ${plan.rows} rows`], ["Estimator", plan.estimator],
    ["Schedule", `${plan.schedule}, ${plan.stage_count} ${plan.stage_count === 1 ? "plan" : "plans"}`], ["Plan in force", `no. ${plan.version}, from step ${count(plan.first_step)}`],
    ["Planned drop rate", data("planned_drop_rate", plan.planned_drop_rate, percent(plan.planned_drop_rate))],
    ["Speed limit", `${number(plan.speed_limit, 3)} × as fast as with nothing dropped`],
    plan.probe_step === undefined ? null : ["Measured", `before step ${count(plan.probe_step)}, in ${number(plan.probe_seconds, 2)} s`],
  ];
  return h("dl", { class: "facts card" }, facts.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function eventList(events) {
  return h("ol", { class: "events card", reversed: true, tabindex: 0, "aria-label": "events, newest first" }, [...events].reverse().map((event) => h("li", { class: event.type.toLowerCase() },
    h("time", { datetime: event.time }, clock(event.time)), badge(event.state), h("span", {}, event.message))));
}

// The names of the job file, each with its value.
function flatten(value, name = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return [[name, Array.isArray(value) ? value.join(", ") : String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, name ? `${name}.${key}` : key));
}

function settings(spec) {
  return h("details", { class: "card" }, h("summary", {}, "Settings"),
    h("table", { class: "plain settings" }, h("tbody", {}, flatten(spec).filter(([, value]) => value !== "")
      .map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))))));
}

function artifacts(job) {
  if (job.artifacts.length === 0) return null;
  return h("section", { "aria-label": "result" }, h("h2", {}, "Result"),
    h("div", { class: "card" },
      h("ul", { class: "files" }, job.artifacts.map((file) => h("li", {}, h("span", {}, file.name), h("span", { class: "quiet" }, bytes(Number(file.size_bytes)))))),
      h("p", { class: "quiet" }, "Fetch it with ", h("code", {}, `dropbp download ${job.job_id} --to DIR`))));
}

export class JobView {
  constructor(id) {
    this.id = id;
    this.known = { attempt: 0, steps: -1, evaluated: 0, event: -1 };
    this.curves = [
      new Curve({ field: "loss", title: "Loss", second: "validation", format: (x, axis) => (axis ? number(x, 3) : fixed(x, 4)), smoothed: true }),
      new Curve({ field: "tokens_per_second", title: "Tokens per second", format: count, smoothed: true, fromZero: true }),
      new Curve({ field: "learning_rate", title: "Learning rate", format: (x) => scientific(x) }),
    ];
    this.rates = new UnitBars({ field: "drop_rate", title: "Drop rate by unit", format: (x) => number(x, 3) });
    this.sensitivities = new UnitBars({ field: "sensitivity", title: "Sensitivity by unit", format: (x) => number(x, 2) });
    this.parts = Object.fromEntries(["head", "units", "more", "events"].map((name) => [name, h("div", { class: "part" })]));
    this.tiles = h("dl", { class: "tiles" });
    this.charts = h("section", { "aria-label": "curves", class: "charts three", hidden: true }, this.curves.map((curve) => curve.element));
    this.bars = h("section", { "aria-label": "units", class: "part", hidden: true }, h("div", { class: "heading" }, h("h2", {}, "Units"), legend()),
      h("div", { class: "charts two" }, this.rates.element, this.sensitivities.element), this.parts.units);
    this.element = h("div", { class: "view job" }, h("nav", { "aria-label": "back" }, h("a", { href: "#/" }, "← All jobs")),
      this.parts.head, this.tiles, this.charts, this.bars, this.parts.events, this.parts.more);
  }

  async refresh(get) {
    const job = await get(`/api/v1/jobs/${this.id}`);
    await Promise.all([this.refreshCurves(get, job), this.refreshEvents(get, job)]);
    this.showJob(job);
  }

  async refreshCurves(get, job) {
    const step = Number(job.progress?.step ?? 0);
    const evaluated = Number(job.progress?.evaluation?.step ?? 0);
    const known = job.attempt === this.known.attempt && step === this.known.steps && evaluated === this.known.evaluated;
    if (step === 0 || known) return;
    const history = await get(`/api/v1/jobs/${this.id}/steps`);
    Object.assign(this.known, { attempt: history.attempt, steps: Number(history.known_steps), evaluated });
    this.charts.hidden = false;
    for (const curve of this.curves) {
      const held = curve.second ? history.evaluation_step.map((x, i) => [Number(x), Number(history.validation_loss[i])]) : [];
      curve.update(history.step.map((x, i) => [Number(x), Number(history[curve.field][i])]), Number(job.progress.total_steps), held);
    }
  }

  async refreshEvents(get, job) {
    if (job.last_event === this.known.event) return;
    const history = await get(`/api/v1/jobs/${this.id}/events`);
    this.known.event = job.last_event;
    show(this.parts.events, h("h2", {}, "Events"), eventList(history.events));
  }

  showJob(job) {
    show(this.parts.head, ...head(job));
    show(this.tiles, ...tiles(job));
    if (job.plan) {
      this.bars.hidden = false;
      const { units } = job.plan;
      const top = Math.max(...units.map((unit) => Number(unit.sensitivity ?? 0)));
      this.rates.update(units, 1, [job.plan.target_drop_rate, "target"]);
      this.sensitivities.update(units, top > 0 ? top * 1.06 : 1);
      show(this.parts.units, unitTable(units), planFacts(job.plan));
    }
    show(this.parts.more, ...[artifacts(job), settings(job.spec)].filter(Boolean));
  }

  showMissing(message) {
    show(this.parts.head, h("h1", {}, "No such job"), h("p", { class: "message failed" }, message));
  }
}
