// How the connection does, in words: on the right at the top, and across the page when there is something to know or to do.

import { byId, put } from "./text.js";
import { Refusal, tell } from "./wire.js";

const SIGNED_IN = "runstate-signed-in";
const THEME = "runstate-colours";
const NAMES = { connecting: "Connecting", live: "Live", away: "Journal away", lost: "Disconnected", refused: "Not allowed", locked: "Token needed" };
const TITLES = {
  away: "The journal cannot be read.",
  lost: "Disconnected.",
  refused: "You are not allowed to see this.",
  locked: "You are not signed in.",
};

export class Link {
  constructor({ again, signedIn }) {
    this.state = "connecting";
    this.takesTokens = null;
    this.again = again;
    this.signedIn = signedIn;
    byId("try-now").addEventListener("click", again);
    byId("sign-in").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.signIn();
    });
    byId("sign-in").addEventListener("cancel", (event) => event.preventDefault());
    byId("sign-out").addEventListener("click", () => void this.signOut());
    byId("sign-out").hidden = sessionStorage.getItem(SIGNED_IN) === null;
    byId("theme").addEventListener("click", () => this.nextTheme());
    this.setTheme(localStorage.getItem(THEME) ?? "system");
  }

  get isBroken() {
    return this.state !== "live" && this.state !== "connecting";
  }

  /** Say how the connection does; *wait* is in how many seconds it is tried again. */
  show(state, text, wait = null) {
    const isNews = state !== this.state;
    this.state = state;
    document.body.dataset.link = state;
    byId("link").dataset.link = state;
    put(byId("link-text"), NAMES[state]);
    const banner = byId("banner");
    if (state === "locked" && isNews) void this.findWayIn();
    const asksForToken = state === "locked" && this.takesTokens !== false;
    banner.hidden = state === "live" || state === "connecting" || asksForToken;
    if (!banner.hidden) {
      put(byId("banner-title"), TITLES[state]);
      const stale = state === "refused" || state === "locked" ? "" : "What is shown is the last that was known.";
      const next = wait === null ? "" : wait > 0 ? `Trying again in ${wait} s.` : "Trying again now.";
      put(byId("banner-text"), [sentence(text), stale, next].filter(Boolean).join(" "));
      byId("try-now").hidden = wait === null;
    }
    if (isNews && state === "live" && byId("sign-in").open) byId("sign-in").close();
  }

  /** A question was refused while the stream is still there. */
  doubt(error) {
    if (error.status === 401 || error.status === 403) this.again();
  }

  /** Ask for a token where the server takes one; where the host application decides, say so. */
  async findWayIn() {
    try {
      await tell("api/session", null, "DELETE"); // what cookie there may be was refused
      this.takesTokens = true;
      if (byId("sign-in").open) return;
      byId("sign-in").showModal();
      byId("token").focus();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.takesTokens = error.kind !== "no_sessions";
      this.again();
    }
  }

  async signIn() {
    const failed = byId("sign-in-error");
    failed.hidden = true;
    try {
      await tell("api/session", null, "POST", { authorization: `Bearer ${byId("token").value.trim()}` });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      put(failed, sentence(error.message));
      failed.hidden = false;
      byId("token").select();
      return;
    }
    byId("token").value = "";
    sessionStorage.setItem(SIGNED_IN, "yes");
    byId("sign-out").hidden = false;
    byId("sign-in").close();
    this.signedIn();
  }

  async signOut() {
    await tell("api/session", null, "DELETE");
    sessionStorage.removeItem(SIGNED_IN);
    location.reload();
  }

  nextTheme() {
    const order = ["system", "light", "dark"];
    const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
    localStorage.setItem(THEME, next);
    this.setTheme(next);
  }

  setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    put(byId("theme"), `Colours: ${theme}`);
  }
}

function sentence(text) {
  if (!text) return "";
  const whole = text[0].toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}
