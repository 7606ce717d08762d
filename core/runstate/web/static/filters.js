// The filters. They work on what the page knows; whoever filters by something that older executions may have (a state, an agent, a thread, a user, an
// id) has the server asked for those as well.

import { ENDED, LIVE, STATES } from "./executions.js";
import { byId, count, icon, make, put } from "./text.js";
import { ask, Refusal } from "./wire.js";

const OLDER = 1_000;
const AN_ID = /^[0-9a-f]{32}$/;

export class Filters {
  constructor(place) {
    this.place = place;
    this.onFound = () => {};
    this.timer = 0;
    this.asked = null;
    this.text = byId("filter-text");
    this.live = byId("filter-live");
    this.agent = byId("filter-agent");
    this.thread = byId("filter-thread");
    this.user = byId("filter-user");
    this.states = new Map(STATES.map((state) => [state, this.chip(state)]));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const field of [this.text, this.thread, this.user]) field.addEventListener("input", () => this.read());
    for (const field of [this.live, this.agent]) field.addEventListener("change", () => this.read());
    byId("filter-clear").addEventListener("click", () => this.clear());
    this.agents = "";
    this.write();
  }

  chip(state) {
    const box = make("input", { type: "checkbox", value: state, change: () => this.read() });
    const number = LIVE.includes(state) ? make("span", { class: "count" }) : null; // of the ended not all are known
    byId("filter-states").append(make("label", { class: `chip is-${state}`, title: state }, box, icon(state), make("span", { text: state }), ...(number ? [number] : [])));
    return { box, number };
  }

  /** Take what the fields say. */
  read() {
    const said = (field) => field.value.trim();
    const states = new Set(STATES.filter((state) => this.states.get(state).box.checked));
    const filter = { states, agent: this.agent.value, thread: said(this.thread), user: said(this.user), live: this.live.checked, text: said(this.text) };
    this.place.change({ filter });
  }

  /** Have the fields say what is filtered by. */
  write() {
    const { states, agent, thread, user, live, text } = this.place.state.filter;
    for (const [state, { box }] of this.states) box.checked = states.has(state);
    if (agent && ![...this.agent.options].some((option) => option.value === agent)) this.addAgents([agent]);
    this.agent.value = agent;
    for (const [field, value] of [[this.thread, thread], [this.user, user], [this.text, text]]) {
      if (field.value.trim() !== value) field.value = value;
    }
    this.live.checked = live;
  }

  clear() {
    this.place.change({ filter: { states: new Set(), agent: "", thread: "", user: "", live: false, text: "" } });
    this.write();
  }

  toggleLive() {
    this.live.checked = !this.live.checked;
    this.read();
  }

  /** Show how many there are of each state, and which agents. */
  show(executions, { filter }) {
    for (const state of LIVE) put(this.states.get(state).number, count(executions.byState.get(state)));
    this.addAgents(executions.agents.keys());
    this.write();
    if (filter !== this.asked) { // somebody types, chooses, or has followed a link
      this.asked = filter;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.askForOlder(), 300);
    }
    const { states, agent, thread, user, live, text } = filter;
    byId("filter-clear").hidden = !(states.size || agent || thread || user || live || text);
  }

  addAgents(names) {
    const all = [...new Set([...names, this.place.state.filter.agent])].filter(Boolean).sort();
    const key = all.join("\n");
    if (key === this.agents || document.activeElement === this.agent) return;
    this.agents = key;
    this.agent.replaceChildren(make("option", { value: "", text: "Every agent" }), ...all.map((name) => make("option", { value: name, text: name })));
    this.agent.value = this.place.state.filter.agent;
  }

  /** Ask the server for what the page does not know, if the filters are such that there may be some. */
  async askForOlder() {
    const { states, agent, thread, user, live, text } = this.place.state.filter;
    const ended = [...states].filter((state) => ENDED.includes(state));
    const asked = { agent, thread_id: thread, user_id: user, limit: OLDER };
    try {
      const id = text.toLowerCase();
      if (AN_ID.test(id)) this.onFound([(await ask(`api/executions/${id}`)).execution]);
      if (live || !(agent || thread || user || ended.length)) return;
      for (const state of ended.length ? ended : [null]) {
        this.onFound((await ask("api/executions", { ...asked, state })).executions);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error; // not there, or not now: what is known is shown, and the banner tells of a broken link
    }
  }
}
