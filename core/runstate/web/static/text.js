// Elements and texts. Whatever comes from the journal reaches the page by `textContent` or as an attribute that is plain text: there is
// no way in this program for data to become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element; properties that are functions listen, `text` is its text, all else are attributes (null leaves one out). */
export function make(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

/** The same for a drawing. */
export function draw(name, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Have an element hold these children and no others; null leaves one out. */
export function hold(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

/** One of the page's symbols. */
export function icon(name) {
  return draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `#i-${name}` }));
}

export const byId = (id) => document.getElementById(id);

/** Write a text only where it differs: an unchanged text costs no layout, and no reader is told of it again. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const counts = new Intl.NumberFormat("en");
export const count = (number) => counts.format(number);

/** Nanoseconds since the epoch, as the wire has them, in milliseconds. */
export const ms = (ns) => (ns === null || ns === undefined ? null : ns / 1e6);

const two = (number) => String(number).padStart(2, "0");

/** How long something took or lasts, in two units at most. */
export function span(milliseconds) {
  if (milliseconds === null || !Number.isFinite(milliseconds)) return "–";
  const all = Math.max(0, milliseconds);
  if (all < 1) return `${Math.round(all * 1000)} µs`;
  if (all < 999.5) return `${Math.round(all)} ms`;
  const seconds = all / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d ${two(Math.floor((whole % 86400) / 3600))}h`;
}

/** An age that is read again and again: whole seconds, so that it does not flicker. */
export function age(milliseconds) {
  if (milliseconds === null || !Number.isFinite(milliseconds)) return "–";
  return milliseconds < 60_000 ? `${Math.max(0, Math.floor(milliseconds / 1000))} s` : span(Math.floor(milliseconds / 1000) * 1000);
}

/** A time of day to the millisecond; with its date, if that is not today's. */
export function clock(milliseconds, fine = true) {
  if (milliseconds === null) return "–";
  const at = new Date(milliseconds);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return fine ? `${day}${time}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}` : `${day}${time}`;
}

/** A share in per cent; never rounded up to 100 %. */
export function share(part, whole) {
  if (!whole) return "–";
  const rounded = Math.floor((part / whole) * 1000) / 10;
  return `${Number.isInteger(rounded) && part === Math.round(part) && rounded !== 100 ? rounded.toFixed(1) : rounded} %`;
}

/** `tool_execution` as people write it. */
export const words = (name) => (name ? name.replaceAll("_", " ") : "");

/** The end of an id: version 7 puts the time in front, so the beginnings of ids look alike. */
export const shortId = (id) => (id.length > 10 ? `…${id.slice(-8)}` : id);

/** The first line of a text that may have many. */
export const firstLine = (text) => text.split("\n", 1)[0];
