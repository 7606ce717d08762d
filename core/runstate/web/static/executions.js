// What this page knows of executions: all live ones (the newest 10,000), and those that have ended lately. It is a fold: a snapshot, then
// every event after it. An event that a snapshot already holds is told by its `seq` and left out.

import { ms } from "./text.js";

export const LIVE = ["pending", "starting", "running", "completing"];
export const ENDED = ["completed", "failed", "timeout", "dead", "cancelled"];
export const STATES = [...LIVE, ...ENDED];
const IS_LIVE = new Set(LIVE);
const KEPT_ENDED = 5_000;
const KEPT_VERDICTS = 1_000;

/** How far the server's clock is ahead of this one's, in milliseconds. Ages are by the server's. */
export const skew = { ms: 0 };
export const now = () => Date.now() + skew.ms;

export class Executions {
  constructor() {
    this.clear();
  }

  clear() {
    this.byId = new Map();
    this.live = 0;
    this.byState = new Map(STATES.map((state) => [state, 0]));
    this.agents = new Map();
    this.judged = 0; // how many verdicts there were in all
    this.verdicts = []; // milliseconds from the last sign of life to DEAD, the oldest first
    this.version = 0; // grows when a row came, went or changed its state
    this.touched = 0; // grows with every other change
  }

  /** Take a record as the server describes it. */
  take(record) {
    const known = this.byId.get(record.execution_id);
    if (known && known.seq >= record.seq && !known.partial) return known;
    if (known) this.leave(known);
    const row = known ?? { id: record.execution_id, partial: false, warned: null, text: null };
    Object.assign(row, {
      agent: record.agent,
      thread: record.thread_id,
      user: record.user_id,
      state: record.state,
      isLive: IS_LIVE.has(record.state),
      phase: record.phase,
      detail: record.phase_detail,
      seq: record.seq,
      created: ms(record.created_at_ns),
      updated: ms(record.updated_at_ns),
      timeout: record.timeout === null ? null : record.timeout * 1000,
      silence: record.heartbeat_timeout === null ? null : record.heartbeat_timeout * 1000,
      cause: record.cause,
      error: record.error,
      evidence: record.evidence,
      partial: false,
      text: null,
    });
    this.enter(row);
    if (row.state === "dead") this.judge(row.evidence?.last_beat_age, null);
    return row;
  }

  /** Take an event of the journal. Results stay out: they may be large, and are read with the one execution that is looked at. */
  event(event) {
    const { kind, execution_id: id, seq } = event;
    let row = this.byId.get(id);
    const isNew = !row;
    if (row && seq <= row.seq) return null;
    if (kind === "created") {
      return this.take({ ...event, state: "pending", phase: null, phase_detail: null, created_at_ns: event.at_ns,
        updated_at_ns: event.at_ns, cause: null, error: null, evidence: null });
    }
    if (row && kind !== "transition") this.touched += 1; // it stays in its state, and so is counted as before
    else if (row) this.leave(row);
    else { // one of more than there is room for: known from here on
      row = { id, agent: event.agent, thread: event.thread_id, user: event.user_id, state: "running", isLive: true, phase: null, detail: null,
        created: null, updated: null, timeout: null, silence: null, cause: null, error: null, evidence: null, warned: null, partial: true };
    }
    const before = row.updated;
    row.seq = seq;
    row.text = null;
    if (kind === "warned") row.warned = event.cause;
    else {
      row.updated = ms(event.at_ns);
      row.warned = null;
    }
    if (kind === "phase") {
      row.phase = event.phase;
      row.detail = event.detail;
    } else if (kind === "transition") {
      row.state = event.target;
      row.isLive = IS_LIVE.has(event.target);
      row.cause = event.cause;
      row.error = event.error;
      row.evidence = event.evidence;
      if (row.state === "dead") this.judge(event.evidence?.last_beat_age, before === null ? null : row.updated - before);
    }
    if (kind === "transition" || isNew) this.enter(row);
    return row;
  }

  enter(row) {
    this.byId.set(row.id, row);
    this.byState.set(row.state, this.byState.get(row.state) + 1);
    this.agents.set(row.agent, (this.agents.get(row.agent) ?? 0) + 1);
    if (row.isLive) this.live += 1;
    this.version += 1;
    if (this.byId.size - this.live > KEPT_ENDED * 1.2) this.trim();
  }

  leave(row) {
    this.byState.set(row.state, this.byState.get(row.state) - 1);
    const left = this.agents.get(row.agent) - 1;
    if (left) this.agents.set(row.agent, left);
    else this.agents.delete(row.agent);
    if (row.isLive) this.live -= 1;
  }

  /** Forget those that ended longest ago. */
  trim() {
    const ended = [...this.byId.values()].filter((row) => !row.isLive).sort((one, other) => one.updated - other.updated);
    for (const row of ended.slice(0, ended.length - KEPT_ENDED)) {
      this.leave(row);
      this.byId.delete(row.id);
    }
  }

  judge(seconds, otherwise) {
    const lasted = seconds === null || seconds === undefined ? otherwise : seconds * 1000;
    if (lasted === null) return;
    this.judged += 1;
    this.verdicts.push(lasted);
    if (this.verdicts.length > KEPT_VERDICTS) this.verdicts.shift();
  }

  /** The live one that was created first. */
  oldest() {
    let oldest = null;
    for (const row of this.byId.values()) if (row.isLive && row.created !== null && (!oldest || row.created < oldest.created)) oldest = row;
    return oldest;
  }

  /** The rows that pass a filter, in order. */
  select(said, sort) {
    const rows = [];
    const filter = { ...said, thread: said.thread.toLowerCase(), user: said.user.toLowerCase(), text: said.text.toLowerCase() };
    for (const row of this.byId.values()) if (passes(row, filter)) rows.push(row);
    return rows.sort(comparison(sort));
  }
}

function passes(row, { states, agent, thread, user, live, text }) {
  if (live && !row.isLive) return false;
  if (states.size && !states.has(row.state)) return false;
  if (agent && row.agent !== agent) return false;
  if (thread && !row.thread.toLowerCase().includes(thread)) return false;
  if (user && !row.user.toLowerCase().includes(user)) return false;
  if (!text) return true;
  row.text ??= [row.id, row.state, row.agent, row.thread, row.user, row.phase, row.detail, row.cause, row.error].join("\n").toLowerCase();
  return row.text.includes(text);
}

const KEYS = {
  state: (row) => STATES.indexOf(row.state),
  phase: (row) => `${row.phase ?? ""} ${row.detail ?? ""}`,
  age: (row) => (row.created === null ? -1 : row.isLive ? now() - row.created : row.updated - row.created),
  sign: (row) => -(row.updated ?? 0),
  agent: (row) => row.agent,
  thread: (row) => row.thread,
  user: (row) => row.user,
  why: (row) => row.cause ?? (row.warned ? "~" : ""),
  id: (row) => row.id,
};

function comparison({ key, down }) {
  const value = KEYS[key];
  const sign = down ? -1 : 1;
  return (one, other) => {
    const a = value(one);
    const b = value(other);
    if (a < b) return -sign;
    if (a > b) return sign;
    return one.id < other.id ? 1 : one.id > other.id ? -1 : 0; // the newest first
  };
}
