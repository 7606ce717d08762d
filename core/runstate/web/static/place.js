// What one looks at (filters, order, view, the open execution), kept in the address's fragment: it survives a reload, and can be sent to somebody.
// The fragment never leaves the browser.

import { STATES } from "./executions.js";

const KEYS = new Set(["state", "phase", "age", "sign", "agent", "thread", "user", "why", "id"]);

export class Place {
  constructor() {
    this.onChange = () => {};
    this.read();
    addEventListener("hashchange", () => {
      this.read();
      this.onChange();
    });
  }

  read() {
    const said = new URLSearchParams(location.hash.slice(1));
    const order = said.get("sort") ?? "-id";
    const key = order.replace(/^-/, "");
    this.state = {
      view: said.get("view") === "workers" ? "workers" : "executions",
      open: said.get("open") || null,
      sort: KEYS.has(key) ? { key, down: order.startsWith("-") } : { key: "id", down: true },
      filter: {
        states: new Set((said.get("state") ?? "").split(",").filter((state) => STATES.includes(state))),
        agent: said.get("agent") ?? "",
        thread: said.get("thread") ?? "",
        user: said.get("user") ?? "",
        live: said.get("live") === "true",
        text: said.get("text") ?? "",
      },
    };
  }

  /** Look at something else. */
  change(changes) {
    this.state = { ...this.state, ...changes };
    const { view, open, sort, filter } = this.state;
    const said = new URLSearchParams();
    const say = (name, value) => value && said.set(name, value);
    say("view", view === "executions" ? "" : view);
    say("open", open);
    const order = `${sort.down ? "-" : ""}${sort.key}`;
    say("sort", order === "-id" ? "" : order);
    say("state", [...filter.states].join(","));
    for (const name of ["agent", "thread", "user", "text"]) say(name, filter[name]);
    say("live", filter.live ? "true" : "");
    history.replaceState(null, "", `${location.pathname}${location.search}${said.size ? `#${said}` : ""}`);
    this.onChange();
  }
}
