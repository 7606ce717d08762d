// Questions and the one stream of events. The stream is read with `fetch` and not with EventSource, which hides why it was refused: this page
// has to tell "not allowed" from "disconnected" from "the journal is away". What EventSource does is done here: it connects again by itself,
// with the id of the last event that it has read, so that no event is missed and none comes twice.

const ROOT = new URL("../", import.meta.url);
const SILENCE = 45_000; // the server says something every 15 s; what is silent for longer is a connection that nobody has closed
const PAUSES = [250, 500, 1_000, 2_000, 4_000, 8_000];

/** What the server has refused, or could not be asked (status 0). */
export class Refusal extends Error {
  constructor(status, kind, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, ROOT), { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "disconnected", "the server cannot be reached");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => null);
  const { kind = "refused", message = `the server answered ${response.status}` } = said?.error ?? {};
  throw new Refusal(response.status, kind, message, Number(response.headers.get("retry-after")) || null);
}

/** Ask for JSON. */
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== ""));
  const response = await send(query.size ? `${path}?${query}` : path, { signal: AbortSignal.timeout(60_000) });
  return response.json();
}

/** Have something done. */
export async function tell(path, body, method = "POST", headers = {}) {
  const type = body === null ? {} : { "content-type": "application/json" };
  const response = await send(path, { method, headers: { ...type, ...headers }, body: body === null ? null : JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
}

/** Read messages of an event stream from chunks of it, whole or in pieces. */
export class Messages {
  constructor(onMessage) {
    this.onMessage = onMessage;
    this.decoder = new TextDecoder();
    this.rest = "";
  }

  feed(chunk) {
    const text = this.rest + this.decoder.decode(chunk, { stream: true });
    let from = 0;
    for (let end = text.indexOf("\n\n", from); end >= 0; end = text.indexOf("\n\n", from)) {
      this.read(text.slice(from, end));
      from = end + 2;
    }
    this.rest = text.slice(from);
  }

  read(block) {
    const message = { event: "message", id: null, data: "" };
    for (const line of block.split("\n")) {
      const at = line.indexOf(": ");
      if (at > 0) message[line.slice(0, at)] = line.slice(at + 2);
    }
    if (message.data) this.onMessage(message);
  }
}

/**
 * Follow all events after a position for ever. `handlers.snapshot()` reads the present state and returns its position; it is called at the
 * beginning, and again if the journal no longer holds what comes next. `handlers.event(data)` gets each event. `handlers.link(state, text)`
 * hears how the connection does: connecting, live, away, lost, refused, locked.
 */
export class Follower {
  constructor(handlers) {
    this.handlers = handlers;
    this.position = null;
    this.tries = 0;
    this.wake = null;
    addEventListener("online", () => this.hurry());
  }

  /** Stop waiting, and try now. */
  hurry() {
    this.wake?.();
  }

  async run() {
    for (;;) {
      try {
        if (this.position === null) this.position = String(await this.handlers.snapshot());
        await this.stream();
      } catch (error) {
        await this.recover(error);
      }
    }
  }

  async stream() {
    const silent = new AbortController();
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
    };
    let closed = null;
    const messages = new Messages(({ event, id, data }) => {
      if (event === "closed") closed = JSON.parse(data);
      else if (event === "interrupted") this.handlers.link("away", "What happens meanwhile comes later.");
      else if (event === "resumed") this.handlers.link("live", "");
      else this.handlers.event(JSON.parse(data));
      if (id !== null) this.position = id;
    });
    heard();
    try {
      const path = `events?events=journal&after=${encodeURIComponent(this.position)}`;
      const response = await send(path, { headers: { accept: "text/event-stream" }, signal: silent.signal });
      this.tries = 0;
      this.handlers.link("live", "");
      const reader = response.body.getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        heard();
        messages.feed(value);
      }
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal(0, "disconnected", silent.signal.aborted ? "the server has fallen silent" : "the connection broke");
    } finally {
      clearTimeout(timer);
    }
    throw new Refusal(0, closed?.reason ?? "disconnected", closed?.message ?? "the server has closed the connection");
  }

  async recover(error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.kind === "lagged" || error.status === 410) {
      this.position = null; // look at the present state, and follow anew
      return this.pause(250);
    }
    if (error.kind === "renew" || error.kind === "slow") return this.pause(50); // nothing is wrong: the position goes on
    if (error.status === 401) return this.until("locked", error.message, 30_000);
    if (error.status === 403) return this.until("refused", error.message, 30_000);
    const pause = error.retryAfter ? error.retryAfter * 1_000 : PAUSES[Math.min(this.tries, PAUSES.length - 1)];
    this.tries += 1;
    const isAway = error.status >= 500 || error.kind === "unreadable";
    return this.until(isAway ? "away" : "lost", error.message, pause * (0.8 + 0.4 * Math.random()));
  }

  /** Say how the connection does, with the seconds until the next try, and wait for it. */
  async until(state, text, milliseconds) {
    const end = Date.now() + milliseconds;
    const say = () => this.handlers.link(state, text, Math.max(0, Math.ceil((end - Date.now()) / 1_000)));
    say();
    const ticking = setInterval(say, 1_000);
    await this.pause(milliseconds);
    clearInterval(ticking);
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
