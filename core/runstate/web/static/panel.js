// One execution: what it is, how it ended and why, and all that its log says, in order. It is read as a whole when it is opened and when it has
// ended; in between the stream's events are added to it.

import { LIVE, now } from "./executions.js";
import { age, byId, clock, count, draw, hold, icon, make, ms, put, shortId, span, words } from "./text.js";
import { ask } from "./wire.js";

const IS_LIVE = new Set(LIVE);
const LATEST = 500; // entries of a long log that are shown at first
const SHOWN = 20_000; // characters of a result or an error that are shown at once

export class Panel {
  constructor({ close, cancel, go }) {
    this.root = byId("panel");
    this.close = close;
    this.go = go;
    this.cancel = cancel;
    this.id = null;
    this.data = null;
    this.entries = [];
    this.reading = 0;
    this.isStale = false;
    this.isLong = false; // whether all of a long log is shown
  }

  /** Show an execution; null shows none. */
  async open(id) {
    if (id === this.id) return;
    this.id = id;
    this.data = null;
    this.isStale = false;
    this.isLong = false;
    this.root.hidden = id === null;
    if (id === null) return;
    this.root.replaceChildren(make("p", { class: "note", text: "Reading …" }));
    await this.read();
  }

  /** Read all of it anew. */
  async read() {
    const id = this.id;
    if (id === null) return;
    this.reading += 1;
    const reading = this.reading;
    try {
      const path = `api/executions/${encodeURIComponent(id)}`;
      const [data, log] = await Promise.all([ask(path), ask(`${path}/timeline`)]);
      if (this.id !== id || reading !== this.reading) return;
      this.data = data;
      this.entries = log.entries;
      this.draw();
    } catch (error) {
      if (this.id !== id || reading !== this.reading || this.data) return; // what is shown stays; the banner tells of a broken link
      this.root.replaceChildren(
        this.head("", shortId(id)),
        make("p", { class: "error", role: "alert", text: error.kind === "unknown_execution" ? "There is no execution with this id, or it has been removed by retention." : error.message }),
      );
    }
  }

  /** Add an event of the stream. */
  event(event) {
    if (event.execution_id !== this.id || !this.data) return;
    const last = this.entries.at(-1)?.seq ?? 0;
    if (event.seq <= last) return;
    const isEnd = event.kind === "transition" && !IS_LIVE.has(event.target);
    if (event.seq !== last + 1 || isEnd) {
      void this.read();
      return;
    }
    this.entries.push(event);
    this.isStale = true;
    const record = this.data.execution;
    record.seq = event.seq;
    record.updated_at_ns = event.at_ns;
    if (event.kind === "transition") record.state = event.target;
    if (event.kind === "phase") Object.assign(record, { phase: event.phase, phase_detail: event.detail });
  }

  /** Draw what has been added since. */
  paint() {
    if (this.isStale && this.data) this.draw();
  }

  /** Say how old it is by now. */
  tick() {
    const record = this.data?.execution;
    if (record && this.ageText && IS_LIVE.has(record.state)) put(this.ageText, age(now() - ms(record.created_at_ns)));
  }

  draw() {
    this.isStale = false;
    const { execution: record, cancel_request: wish, rejected, owner } = this.data;
    const kept = [this.root.scrollTop, this.root.contains(document.activeElement) ? document.activeElement.dataset.name : null];
    const isLive = IS_LIVE.has(record.state);
    const lasted = ms(isLive ? now() * 1e6 : record.updated_at_ns) - ms(record.created_at_ns);
    this.ageText = make("span", { text: isLive ? age(lasted) : span(lasted) });
    hold(
      this.root,
      this.head(record.state, record.agent),
      isLive ? this.actions(wish) : null,
      section(null, facts([
        ["Execution", code(record.execution_id)],
        ["Thread", bdi(record.thread_id)],
        ["User", bdi(record.user_id)],
        ["Message", record.message_id ? bdi(record.message_id) : null],
        ["Attempt", record.retry_of ? this.attempt(record) : null],
        [isLive ? "Age" : "Took", this.ageText],
        ["Created", clock(ms(record.created_at_ns))],
        ["Limits", limits(record)],
        ["Phase", record.phase ? bdi([words(record.phase), record.phase_detail].filter(Boolean).join(" · ")) : null],
        ["Owner", owner ? bdi(workerName(owner)) : record.incarnation ? code(record.incarnation) : null],
      ])),
      wish ? section("Cancel requested", facts([["At", clock(ms(wish.at_ns))], ["By", wish.by ? code(wish.by) : null], ["Reason", wish.reason ? bdi(wish.reason) : "none given"]])) : null,
      isLive ? null : this.outcome(record),
      rejected ? this.rejected(rejected) : null,
      this.timeline(record, isLive),
      record.metadata === null ? null : section("Metadata", block(JSON.stringify(record.metadata, null, 2))),
    );
    this.root.scrollTop = kept[0];
    if (kept[1]) this.root.querySelector(`[data-name="${kept[1]}"]`)?.focus();
  }

  head(state, agent) {
    const close = make("button", { type: "button", class: "quiet square", "aria-label": "Close", title: "Close (Esc)", "data-name": "close", click: () => this.close() }, icon("close"));
    return make("header", { class: "panel-head" }, make("h2", { tabindex: -1 }, state ? mark(state) : null, bdi(agent)), close);
  }

  attempt(record) {
    const first = make("button", { type: "button", class: "plain reference", "data-name": "first", text: shortId(record.retry_of), title: `Open the first attempt, ${record.retry_of}`, click: () => this.go(record.retry_of) });
    return make("span", {}, `${record.attempt}, goes on with `, first);
  }

  showAll() {
    this.isLong = true;
    this.draw();
  }

  actions(wish) {
    if (wish) return make("p", { class: "note", text: "It has been asked to end; its owner carries that out." });
    return make("p", { class: "panel-actions" }, make("button", { type: "button", class: "danger-quiet", "data-name": "cancel", text: "Cancel…", title: "Cancel this execution (c)", click: () => this.cancel(this.data.execution) }));
  }

  outcome(record) {
    const evidence = record.evidence ?? {};
    return section(
      "Outcome",
      facts([
        ["Cause", words(record.cause)],
        ["Observed by", evidence.observer ? bdi(evidence.observer) : null],
        ["Reason", evidence.reason ? bdi(evidence.reason) : null],
        ["Silent for", evidence.last_beat_age == null ? null : span(evidence.last_beat_age * 1000)],
        ["Beats", evidence.beats ? String(evidence.beats) : null],
        ["Last phase", evidence.last_phase ? bdi([words(evidence.last_phase), evidence.last_phase_detail].filter(Boolean).join(" · ")) : null],
      ]),
      record.error ? titled("Error", block(record.error, "bad")) : null,
      evidence.stack ? titled("Blocking stack", block(evidence.stack)) : null,
      record.state === "completed" ? titled("Result", block(typeof record.result === "string" ? record.result : JSON.stringify(record.result, null, 2))) : null,
    );
  }

  rejected({ move, rejected_at_ns: at }) {
    return make(
      "section",
      { class: "callout" },
      make("h3", { text: "An end came too late" }),
      make("p", {}, "Its owner tried to record ", mark(move.target), ` at ${clock(ms(move.at_ns))}, after it had been held for dead. It was refused at ${clock(ms(at))} and changes nothing; this is what it would have said:`),
      facts([["Cause", words(move.cause)], ["From", code(move.incarnation)]]),
      move.error ? block(move.error, "bad") : null,
      move.result === null || move.result === undefined ? null : block(typeof move.result === "string" ? move.result : JSON.stringify(move.result, null, 2)),
    );
  }

  timeline(record, isLive) {
    const began = ms(record.created_at_ns);
    const until = isLive ? now() : ms(record.updated_at_ns);
    const left = this.isLong ? 0 : Math.max(0, this.entries.length - LATEST);
    const lines = this.entries.slice(left).map((entry, index) => {
      const place = left + index;
      const at = ms(entry.at_ns);
      const next = this.entries[place + 1];
      const lasts = next ? ms(next.at_ns) - at : isLive ? null : 0;
      return make(
        "li",
        { class: `entry ${entry.kind}` },
        make("time", { datetime: new Date(at).toISOString(), text: clock(at), title: `entry ${entry.seq}` }),
        make("span", { class: "offset", text: `+${span(at - began)}` }),
        make("div", { class: "what" }, ...described(entry), next && lasts !== null ? make("span", { class: "lasts", text: `for ${span(lasts)}` }) : null, detail(entry)),
      );
    });
    const rest = left ? make("button", { type: "button", "data-name": "rest", text: `Show the ${count(left)} earlier entries`, click: () => this.showAll() }) : null;
    return section("Timeline", strip(this.entries, began, Math.max(until, began + 1)), rest, make("ol", { class: "timeline", "aria-label": "Entries of its log" }, ...lines));
  }
}

/** Where its time went: one piece of the bar between each entry and the next. */
function strip(entries, began, until) {
  const drawing = draw("svg", { class: "strip", viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true" });
  entries.forEach((entry, place) => {
    const from = ((ms(entry.at_ns) - began) / (until - began)) * 1000;
    const to = place + 1 < entries.length ? ((ms(entries[place + 1].at_ns) - began) / (until - began)) * 1000 : 1000;
    const kind = entry.kind === "phase" ? `in-${entry.phase}` : entry.kind === "transition" ? `is-${entry.target}` : entry.kind;
    if (to - from < 0.01) return;
    const title = draw("title", { text: `${summary(entry)}: ${span(((to - from) / 1000) * (until - began))}` });
    drawing.append(draw("rect", { class: kind, x: from, width: Math.max(1, to - from - 1), y: 0, height: 14 }, title));
  });
  return drawing;
}

function summary(entry) {
  if (entry.kind === "created") return "pending";
  if (entry.kind === "phase") return [words(entry.phase), entry.detail].filter(Boolean).join(" · ");
  if (entry.kind === "warned") return `warned: ${words(entry.cause)}`;
  return entry.target;
}

function described(entry) {
  if (entry.kind === "created") return [mark("pending"), make("span", { class: "cause", text: "created" })];
  if (entry.kind === "transition") return [mark(entry.target), entry.cause ? make("span", { class: "cause", text: words(entry.cause) }) : null];
  if (entry.kind === "warned") return [make("span", { class: "state warned" }, icon("warned"), make("span", { text: "warned" })), make("span", { class: "cause", text: words(entry.cause) })];
  return [make("span", { class: "phase-name", text: words(entry.phase) }), entry.detail ? bdi(entry.detail, "phase-detail") : null];
}

function detail(entry) {
  if (entry.kind === "warned" && entry.detail) return block(entry.detail);
  if (entry.kind === "transition" && entry.error) return block(entry.error, "bad");
  return null;
}

function limits(record) {
  const parts = [];
  if (record.timeout !== null) parts.push(`${span(record.timeout * 1000)} in all`);
  if (record.heartbeat_timeout !== null) parts.push(`${span(record.heartbeat_timeout * 1000)} of silence`);
  return parts.join(", ") || "none";
}

/** A worker as people speak of it. */
export function workerName(worker) {
  return worker.host === null ? worker.incarnation : `${worker.host}, process ${worker.pid}`;
}

/** A state: its sign and its name. */
export function mark(state) {
  return make("span", { class: `state is-${state}` }, icon(state), make("span", { text: state }));
}

const bdi = (text, kind = null) => make("bdi", { text, class: kind });
const code = (text) => make("code", { text });
const titled = (title, element) => make("div", {}, make("h4", { text: title }), element);

function section(title, ...children) {
  return make("section", { class: "part" }, title ? make("h3", { text: title }) : null, ...children);
}

function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "facts" }, ...shown.map(([name, value]) => make("div", {}, make("dt", { text: name }), make("dd", {}, value))));
}

function block(text, kind = "") {
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}\n… ${text.length - SHOWN} characters more` : text;
  return make("pre", { class: `block ${kind}`, tabindex: 0, text: shown });
}
