// The dashboard: one page that follows the journal. Data flows one way: wire → executions (a fold) → a view of it (filter, order) → elements.
//
// Events are folded as they come in, which costs microseconds; the page is written at most once a frame, and only where it differs. Which rows
// are shown and in which order is worked out anew at most every 200 ms, because rows that change places faster than that cannot be read.
// A page in the background folds on, and paints when it is seen again.

import { Executions, now } from "./executions.js";
import { Figures } from "./figures.js";
import { Filters } from "./filters.js";
import { showWorkers } from "./fleet.js";
import { Grid } from "./grid.js";
import { listen } from "./keys.js";
import { Link } from "./link.js";
import { Panel } from "./panel.js";
import { Place } from "./place.js";
import { byId, count, make, put } from "./text.js";
import { ask, Follower, Refusal, tell } from "./wire.js";

const MOST = 10_000; // live executions that the server lists at once
const RECENT = 500; // of each kind that has ended, read at the beginning
const REORDER = 200;
const STATISTICS = 5_000;

const executions = new Executions();
const place = new Place();
const link = new Link({ again: () => follower.hurry(), signedIn: () => refresh() });
const figures = new Figures(open);
const panel = new Panel({ close: () => open(null), cancel: askToCancel, go: open });
const grid = new Grid(byId("grid"), { open, sort: (sort) => place.change({ sort }) });
const filters = new Filters(place);
const follower = new Follower({ snapshot, event: take, link: (...said) => link.show(...said) });

let isWhole = true;
let isKnown = false;
let view = { version: -1, touched: -1, place: null, at: 0 };
let saidAt = 0;
let frame = 0;
let later = 0;

// -- what comes in ----------------------------------------------------------------------------------------------------

/** Read the present state; return the position from which events go on. */
async function snapshot() {
  const live = await ask("api/executions", { live: true, limit: MOST });
  const [ended, dead, statistics] = await Promise.all([
    ask("api/executions", { live: false, limit: RECENT }),
    ask("api/executions", { state: "dead", limit: RECENT }),
    ask("api/statistics"),
  ]);
  executions.clear();
  isWhole = live.executions.length < MOST || Object.values(statistics.live).reduce((sum, number) => sum + number, 0) <= MOST;
  const all = [...live.executions, ...ended.executions, ...dead.executions];
  for (const record of all.sort((one, other) => one.updated_at_ns - other.updated_at_ns)) executions.take(record);
  isKnown = true;
  view = { ...view, version: -1 }; // versions begin anew with what was read, and it may look like what was shown before
  schedule();
  void panel.read();
  filters.asked = null; // what was found before is gone
  return live.position; // the first answer's: what happened between it and the others comes again, and is left out by its seq
}

function take(event) {
  executions.event(event);
  panel.event(event);
  schedule();
}

/** What the server is asked for again and again, as long as somebody looks. */
async function poll() {
  if (document.hidden || link.isBroken) return;
  try {
    const asked = Date.now();
    const statistics = await ask("api/statistics");
    figures.take(statistics, asked, Date.now());
    showWorkers((await ask("api/workers", { departed: 20 })).workers);
    schedule();
  } catch (error) {
    if (!(error instanceof Refusal) && error.name !== "TimeoutError") throw error;
    link.doubt(error); // the stream, which comes again by itself, tells what is wrong
  }
}

function refresh() {
  follower.hurry();
  void poll();
}

// -- what is shown ----------------------------------------------------------------------------------------------------

function schedule() {
  if (frame || document.hidden) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    paint();
  });
}

function paint() {
  const at = performance.now();
  const isOther = view.place !== place.state;
  const isStale = view.version !== executions.version || (view.touched !== executions.touched && restsOnDetails(place.state));
  if (isOther || (isStale && at - view.at >= REORDER)) {
    const { filter, sort, open: id } = place.state;
    const rows = executions.select(filter, sort);
    view = { version: executions.version, touched: executions.touched, place: place.state, at };
    showView();
    grid.show(rows, sort);
    filters.show(executions, place.state);
    const said = `${count(rows.length)} of ${count(executions.byId.size)}`;
    put(byId("shown"), isWhole ? said : `${said}; the newest ${count(MOST)} live ones are listed`);
    showEmpty(rows.length);
    if (isOther && id && id !== grid.chosen) grid.choose(id);
    void panel.open(id);
  } else if (isStale && !later) {
    later = setTimeout(() => {
      later = 0;
      schedule();
    }, REORDER);
  }
  if (isKnown && at - saidAt >= REORDER) {
    saidAt = at;
    figures.show(executions, isWhole);
  }
  grid.paint();
  panel.paint();
}

/** Whether which rows are shown, or in which order, may change though none of them changes its state. */
function restsOnDetails({ filter, sort }) {
  return filter.text !== "" || ["phase", "sign", "why"].includes(sort.key);
}

function showView() {
  const isWorkers = place.state.view === "workers";
  byId("workers").hidden = !isWorkers;
  byId("executions").hidden = isWorkers;
  for (const [id, isCurrent] of [["show-workers", isWorkers], ["show-executions", !isWorkers]]) {
    if (isCurrent) byId(id).setAttribute("aria-current", "page");
    else byId(id).removeAttribute("aria-current");
  }
}

function showEmpty(shown) {
  const empty = byId("empty");
  empty.hidden = shown > 0 || !isKnown;
  if (empty.hidden) return;
  const kind = executions.byId.size ? "filtered" : "none";
  if (empty.dataset.kind === kind) return;
  empty.dataset.kind = kind;
  if (kind === "filtered") {
    empty.replaceChildren(
      make("h2", { text: "Nothing matches these filters" }),
      make("p", { text: "All live executions are searched, and those that ended lately. An older one is found by its whole id, its thread or its user." }),
      make("p", {}, make("button", { type: "button", text: "Clear filters", click: () => filters.clear() })),
    );
    return;
  }
  const code = 'with runstate.open("runs.db") as tracker:\n    with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1") as run:\n        run.complete("LH 400")';
  empty.replaceChildren(
    make("h2", { text: "No executions yet" }),
    make("p", { text: "An execution appears here the moment that an agent begins. Track one with the journal that this server shows:" }),
    make("pre", { class: "block", text: code }),
  );
}

// -- what is done -----------------------------------------------------------------------------------------------------

function open(id) {
  place.change({ open: id, view: "executions" });
  if (id === null) byId("grid").focus({ preventScroll: true });
}

let toCancel = null;

function askToCancel(record) {
  toCancel = record.execution_id;
  put(byId("cancel-what"), `${record.agent}, thread ${record.thread_id}, user ${record.user_id}`);
  byId("cancel-reason").value = "";
  byId("cancel-error").hidden = true;
  byId("cancel").showModal();
  byId("cancel-reason").focus();
}

async function cancel() {
  const button = byId("cancel-yes");
  button.disabled = true;
  try {
    const reason = byId("cancel-reason").value.trim();
    await tell(`api/executions/${encodeURIComponent(toCancel)}/cancel`, { reason: reason || null });
    byId("cancel").close();
    await panel.read();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    put(byId("cancel-error"), error.message);
    byId("cancel-error").hidden = false;
  } finally {
    button.disabled = false;
  }
}

byId("cancel-yes").addEventListener("click", () => void cancel());
byId("cancel-no").addEventListener("click", () => byId("cancel").close());
byId("show-executions").addEventListener("click", () => place.change({ view: "executions" }));
byId("show-workers").addEventListener("click", () => place.change({ view: "workers" }));
place.onChange = schedule;
filters.onFound = (records) => {
  for (const record of records) executions.take(record);
  schedule();
};
listen({ grid, place, filters, panel, open, figures, askToCancel });
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
  schedule();
});
setInterval(() => {
  panel.tick();
  schedule();
}, 1_000);
setInterval(() => void poll(), STATISTICS);
void poll();
void follower.run();

/** For tests and the curious: what the page knows, and by which clock. */
globalThis.runstate = { executions, grid, now, follower };
