// The workers that share the journal, and how their leases stand.

import { age, byId, clock, count, draw, make, ms, put, shortId, span, words } from "./text.js";
import { now } from "./executions.js";

const HEADS = ["Worker", "State", "Host", "Process", "Live", "Lease", "Here since", "Why it is gone"];

/** Show the workers. */
export function showWorkers(workers) {
  const alive = workers.filter((worker) => worker.state === "alive");
  put(byId("worker-count"), workers.length ? String(alive.length) : "");
  const root = byId("workers");
  if (!workers.length) {
    root.replaceChildren(empty());
    return;
  }
  const live = alive.reduce((sum, worker) => sum + worker.live, 0);
  const gone = workers.length - alive.length;
  const late = alive.filter((worker) => worker.expired && worker.gone === null).length;
  const unfenced = alive.filter((worker) => worker.gone !== null).length;
  const summary = [`${alive.length - unfenced} alive with ${count(live)} live executions`, late ? `${late} with a lease that has run out` : null, unfenced ? `${unfenced} gone and not fenced yet` : null, gone ? `${gone} gone lately` : null];
  root.replaceChildren(
    make("p", { class: "note", text: summary.filter(Boolean).join(" · ") }),
    make(
      "table",
      {},
      make("caption", { class: "hidden", text: "Workers and their leases" }),
      make("thead", {}, make("tr", {}, ...HEADS.map((text) => make("th", { scope: "col", text })))),
      make("tbody", {}, ...workers.map(line)),
    ),
  );
}

function empty() {
  return make("div", { class: "empty" }, make("h2", { text: "No workers to show" }), make("p", { text: "A process joins when it opens this journal for writing. A journal in memory has none, and only operators see them." }));
}

function line(worker) {
  const { state, fence } = worker;
  const [mood, said] = state !== "alive" ? [state, state] : worker.gone !== null ? ["fenced", "gone"] : worker.expired ? ["late", "lease run out"] : [state, state];
  const cells = [
    make("code", { text: shortId(worker.incarnation), title: worker.incarnation }),
    make("span", { class: `state worker-${mood}`, text: said }),
    make("bdi", { text: worker.host ?? "–" }),
    worker.pid === null ? "–" : String(worker.pid),
    count(worker.live),
    lease(worker),
    worker.started_at_ns === null ? "–" : make("span", { text: age(now() - ms(worker.started_at_ns)), title: clock(ms(worker.started_at_ns)) }),
    fence ? make("bdi", { text: [words(fence.cause), fence.reason, `${age(now() - ms(fence.at_ns))} ago`].filter(Boolean).join(" · ") }) : worker.left_at_ns === null ? worker.gone ?? "" : `left in good order, ${age(now() - ms(worker.left_at_ns))} ago`,
  ];
  return make("tr", { class: state === "alive" ? null : "ended" }, ...cells.map((cell) => make("td", {}, cell)));
}

function lease({ lease: lasts, renewed_age: aged, state }) {
  if (lasts === null) return "–";
  if (state !== "alive" || aged === null) return span(lasts * 1000);
  const part = Math.min(1, aged / lasts);
  const bar = draw("svg", { class: "lease", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("rect", { class: "all", width: 100, height: 6 }), draw("rect", { class: part < 0.8 ? "left" : "left low", width: 100 * (1 - part), height: 6 }));
  return make("span", { class: "lease-cell" }, bar, `renewed ${span(aged * 1000)} ago, of ${span(lasts * 1000)}`);
}
