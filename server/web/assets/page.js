// Which view is shown, and keeping it up to date: the view asks again every two seconds while
// somebody can see it.
import { show } from "./view.js";
import { JobsView } from "./jobs.js";
import { JobView } from "./job.js";

const EVERY_MS = 2000;
const AFTER_FAILURE_MS = 5000;

const main = document.getElementById("main");
const live = document.getElementById("live");
let current = null; // what is shown: { view, timer, stopped }

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", credentials: "omit" });
  const body = await answer.json();
  if (answer.ok) return body;
  throw Object.assign(new Error(body.message || answer.statusText), { code: answer.status });
}

function say(text, state) {
  if (live.textContent !== text) live.textContent = text;
  live.dataset.state = state;
  main.classList.toggle("stale", state === "lost");
}

async function refresh(shown) {
  clearTimeout(shown.timer);
  if (document.hidden || shown.busy) return;
  shown.busy = true;
  let wait = EVERY_MS;
  try {
    await shown.view.refresh(get);
    if (shown !== current) return;
    say("live", "live");
  } catch (error) {
    if (shown !== current) return;
    wait = AFTER_FAILURE_MS;
    if (error.code === 404) shown.view.showMissing(error.message);
    else say("the coordinator does not answer; trying again", "lost");
  } finally {
    shown.busy = false;
  }
  shown.timer = setTimeout(() => refresh(shown), wait);
}

function route() {
  const job = /^#\/jobs\/([a-z0-9-]{1,63})$/.exec(location.hash);
  if (current) clearTimeout(current.timer);
  const view = job ? new JobView(job[1]) : new JobsView();
  document.title = job ? `${job[1]} · DropBP` : "DropBP";
  show(main);
  main.append(view.element);
  const again = current !== null;
  current = { view, timer: 0, busy: false };
  view.onchange = () => refresh(current);
  if (again) main.focus();
  refresh(current);
}

window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => refresh(current));
route();
