// All jobs, newest first, and the workers.
import { h, data, show } from "./view.js";
import { ago, clock, count, duration, fixed, percent, secondsSince, stateName } from "./format.js";

const FILTERS = [
  ["All", []],
  ["Active", ["QUEUED", "PREPARING", "STARTING", "RUNNING", "RESTARTING", "PAUSING", "PAUSED", "CANCELLING"]],
  ["Succeeded", ["SUCCEEDED"]],
  ["Failed", ["FAILED"]],
  ["Cancelled", ["CANCELLED"]],
];

export function badge(state) {
  return h("span", { class: `badge ${state.toLowerCase()}`, "data-field": "state" }, stateName(state));
}

const NOTHING = null;

function cell(label, ...content) {
  const empty = content.every((part) => part === NOTHING);
  return h("td", { role: "cell", "data-label": label, class: empty ? "empty" : false }, empty ? "–" : content);
}

function progressOf(job) {
  const { step, total_steps: total } = job.progress ?? {};
  if (!Number(total)) return NOTHING;
  return [
    h("progress", { max: total, value: step, "aria-label": `progress of ${job.job_id}` }),
    h("span", { class: "steps" }, data("step", step, count(step)), ` / ${count(total)}`),
  ];
}

function figure(job, field, format) {
  if (!job.progress || !Number(job.progress.step)) return NOTHING;
  return data(field, job.progress[field], format(Number(job.progress[field])));
}

function row(job) {
  return h("tr", { role: "row", "data-job": job.job_id },
    h("th", { role: "rowheader", scope: "row" },
      h("a", { href: `#/jobs/${job.job_id}` }, job.job_id),
      h("span", { class: "quiet" }, job.spec.model)),
    cell("State", badge(job.state), job.state === "QUEUED" && job.queue_position ? h("span", { class: "quiet" }, ` no. ${job.queue_position}`) : NOTHING),
    cell("Steps", progressOf(job)),
    cell("Loss", figure(job, "loss", (x) => fixed(x, 4))),
    cell("Tokens/s", figure(job, "tokens_per_second", count)),
    cell("Dropped", figure(job, "realised_drop_rate", percent)),
    cell("Created", h("time", { datetime: job.create_time, title: clock(job.create_time) }, ago(job.create_time))),
    cell("Took", job.end_time ? duration((Date.parse(job.end_time) - Date.parse(job.create_time)) / 1000) : NOTHING));
}

function table(jobs) {
  const heads = ["Job", "State", "Steps", "Loss", "Tokens/s", "Dropped", "Created", "Took"];
  return h("table", { role: "table", class: "jobs" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((text) => h("th", { role: "columnheader", scope: "col" }, text)))),
    h("tbody", { role: "rowgroup" }, jobs.map(row)));
}

function slot(of) {
  const kind = of.kind === "CUDA" ? "GPU" : "CPU";
  const name = h("span", { class: "slot-name", title: of.device_name }, `${kind} ${of.index}`);
  if (!of.job_id) return h("li", { class: "slot free" }, name, h("span", { class: "quiet" }, "free"));
  return h("li", { class: "slot busy" }, name,
    h("span", {}, h("a", { href: `#/jobs/${of.job_id}` }, of.job_id), h("span", { class: "quiet rank" }, `rank ${of.rank}`)));
}

function workerBadge(of) {
  if (!of.connected) return h("span", { class: "badge failed" }, `Not connected for ${duration(secondsSince(of.last_seen_time))}`);
  return of.draining ? h("span", { class: "badge restarting" }, "Draining") : h("span", { class: "badge succeeded" }, "Connected");
}

function worker(of) {
  return h("article", { class: "card worker", "data-worker": of.worker_id },
    h("h3", {}, of.worker_id,
      workerBadge(of)),
    h("p", { class: "quiet" }, `${of.hostname} · ${of.version}`),
    h("ul", { class: "slots", "aria-label": `slots of ${of.worker_id}` }, of.slots.map(slot)),
    h("p", { class: "quiet" }, of.models.length ? `Models: ${of.models.join(", ")}` : "No models"));
}

function tile(field, label, value, text) {
  return h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, data(field, value, text)));
}

function summary(workers) {
  const slots = workers.flatMap((of) => of.slots);
  const busy = slots.filter((of) => of.job_id).length;
  const connected = workers.filter((of) => of.connected).length;
  return h("dl", { class: "tiles few" },
    tile("workers", "Workers connected", connected, `${connected} of ${workers.length}`),
    tile("slots_busy", "Slots in use", busy, `${busy} of ${slots.length}`));
}

export class JobsView {
  constructor() {
    this.element = h("div", { class: "view" });
    this.filter = "All";
    this.tokens = [""]; // of the pages up to the one that is shown
    this.onchange = () => {};
  }

  async refresh(get) {
    const query = new URLSearchParams({ page_size: 20 });
    for (const state of FILTERS.find(([name]) => name === this.filter)[1]) query.append("state", state);
    if (this.tokens.at(-1)) query.set("page_token", this.tokens.at(-1));
    const [list, cluster] = await Promise.all([get(`/api/v1/jobs?${query}`), get("/api/v1/workers")]);
    show(this.element, ...this.content(list, cluster.workers));
  }

  showMissing() {}

  go(filter, tokens) {
    this.filter = filter;
    this.tokens = tokens;
    this.onchange();
  }

  filters() {
    return h("div", { class: "filters", role: "group", "aria-label": "which jobs" },
      FILTERS.map(([name]) => h("button", {
        type: "button", "aria-pressed": String(name === this.filter), onclick: () => this.go(name, [""]),
      }, name)));
  }

  pages(next) {
    if (!next && this.tokens.length === 1) return null;
    return h("nav", { class: "pages", "aria-label": "pages of the list" },
      h("button", { type: "button", disabled: this.tokens.length === 1, onclick: () => this.go(this.filter, this.tokens.slice(0, -1)) }, "← Newer"),
      h("span", { class: "quiet" }, `page ${this.tokens.length}`),
      h("button", { type: "button", disabled: !next, onclick: () => this.go(this.filter, [...this.tokens, next]) }, "Older →"));
  }

  content(list, workers) {
    const nothing = this.filter === "All" ? "No job yet. Submit one with: dropbp submit -f job.yaml" : `No job is here: ${this.filter.toLowerCase()}.`;
    return [
      summary(workers),
      h("section", { "aria-labelledby": "jobs-title" },
        h("div", { class: "heading" }, h("h1", { id: "jobs-title" }, "Jobs"), this.filters()),
        h("div", { class: "card" }, list.jobs.length ? table(list.jobs) : h("p", { class: "note" }, nothing)),
        this.pages(list.next_page_token)),
      h("section", { "aria-labelledby": "workers-title" },
        h("h2", { id: "workers-title" }, "Workers"),
        workers.length ? h("div", { class: "workers" }, workers.map(worker))
          : h("p", { class: "card note" }, "No worker is connected. Start one with: dropbp-worker --models-dir DIR")),
    ];
  }
}

