// The table of executions. Only the rows that can be seen are in the document: a pool of row elements is laid over a space that is as high as
// all rows together, and each element shows whichever row is at its place. A cell is written only where its text differs.
//
// Rows come and go while somebody reads. Who has scrolled away from the top, or has chosen a row, keeps that row where it is.

import { now } from "./executions.js";
import { age, clock, firstLine, icon, make, put, shortId, span, words } from "./text.js";

export const ROW = 30; // pixels; style.css has the same
const BEYOND = 6; // rows kept above and below what can be seen

const COLUMNS = [
  { key: "state", name: "State" },
  { key: "phase", name: "Phase" },
  { key: "age", name: "Age", title: "Since its creation; of one that has ended, how long it took", number: true, down: true },
  { key: "sign", name: "Last sign", title: "Since its newest move or phase. Beats in between stay in its owner’s memory", number: true, down: true },
  { key: "agent", name: "Agent" },
  { key: "thread", name: "Thread" },
  { key: "user", name: "User" },
  { key: "why", name: "Why", title: "Cause and evidence of its end; of a live one, the verdict that threatens", down: true },
  { key: "id", name: "Execution", title: "Its id, which grows with the time of its creation", down: true },
];

const SHORT = { tool_execution: "tool", llm_interaction: "llm" };

export class Grid {
  constructor(root, { open, sort, more }) {
    this.root = root;
    this.open = open;
    this.rows = [];
    this.known = -1; // where the chosen row was seen last
    this.pool = [];
    this.chosen = null;
    this.sort = { key: "id", down: true };
    this.painting = false;
    this.heads = COLUMNS.map((column) => this.head(column, sort));
    this.space = make("div", { class: "space", role: "rowgroup" });
    root.append(make("div", { class: "row head", role: "row", "aria-rowindex": 1 }, ...this.heads), this.space);
    root.setAttribute("aria-colcount", COLUMNS.length);
    root.addEventListener("scroll", () => this.paint(), { passive: true });
    root.addEventListener("click", (event) => {
      const place = event.target.closest?.(".row[data-place]")?.dataset.place;
      if (place !== undefined && this.rows[place]) {
        this.choose(this.rows[place].id);
        this.open(this.rows[place].id);
      }
    });
    let height = 0;
    new ResizeObserver(() => {
      const place = this.placeOf(this.chosen);
      const wasVisible = place >= 0 && place * ROW >= root.scrollTop && (place + 2) * ROW <= root.scrollTop + height;
      height = root.clientHeight;
      if (wasVisible) this.reveal();
      this.paint();
    }).observe(root);
    this.more = more;
  }

  head(column, sort) {
    const button = make("button", { type: "button", tabindex: -1, title: column.title ?? null, text: column.name });
    button.addEventListener("click", () => {
      const down = this.sort.key === column.key ? !this.sort.down : Boolean(column.down);
      sort({ key: column.key, down });
    });
    return make("div", { role: "columnheader", class: column.number ? "cell number" : "cell", "data-key": column.key }, button);
  }

  /** Show rows in an order. */
  show(rows, sort) {
    const anchor = this.anchor();
    this.rows = rows;
    this.sort = sort;
    for (const head of this.heads) {
      const isKey = head.dataset.key === sort.key;
      head.setAttribute("aria-sort", isKey ? (sort.down ? "descending" : "ascending") : "none");
    }
    this.space.style.height = `${rows.length * ROW}px`;
    this.root.setAttribute("aria-rowcount", rows.length + 1);
    if (anchor) {
      const place = this.placeOf(anchor.id);
      if (place >= 0) this.root.scrollTop = place * ROW - anchor.offset;
    }
    this.paint();
  }

  /** The row that has to stay where it is: the chosen one if it can be seen, else the first, unless the table stands at its top. */
  anchor() {
    const top = this.root.scrollTop;
    const chosen = this.placeOf(this.chosen);
    if (chosen >= 0 && this.isVisible(chosen) && (top > 0 || this.root.contains(document.activeElement))) {
      return { id: this.chosen, offset: chosen * ROW - top };
    }
    const first = Math.ceil(top / ROW);
    return top > 0 && this.rows[first] ? { id: this.rows[first].id, offset: first * ROW - top } : null;
  }

  /** Where a row is; -1 if it is not shown. */
  placeOf(id) {
    if (id === null) return -1;
    if (this.rows[this.known]?.id !== id) this.known = this.rows.findIndex((row) => row.id === id);
    return this.known;
  }

  isVisible(place) {
    const top = this.root.scrollTop;
    return place * ROW >= top && (place + 2) * ROW <= top + this.root.clientHeight;
  }

  /** Have what can be seen painted with the next frame. */
  paint() {
    if (this.painting) return;
    this.painting = true;
    requestAnimationFrame(() => {
      this.painting = false;
      this.paintNow();
    });
  }

  paintNow() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW) - BEYOND);
    const wanted = Math.ceil(this.root.clientHeight / ROW) + 2 * BEYOND;
    while (this.pool.length < wanted) this.pool.push(this.element(this.pool.length));
    while (this.pool.length > wanted) this.pool.pop().element.remove();
    const at = now();
    for (let place = first; place < first + wanted; place += 1) this.fill(this.pool[place % wanted], place, at);
    const chosen = this.placeOf(this.chosen);
    const slot = chosen < 0 ? undefined : this.pool[chosen % wanted];
    if (slot && slot.place === chosen) this.root.setAttribute("aria-activedescendant", slot.element.id);
    else this.root.removeAttribute("aria-activedescendant");
  }

  element(number) {
    const state = make("span", { class: "state" });
    const glyph = icon("pending");
    const stateText = make("span");
    state.append(glyph, stateText);
    const cells = COLUMNS.map((column) => make("div", { role: "gridcell", class: column.number ? "cell number" : "cell", "data-key": column.key }));
    cells[0].append(state);
    const texts = cells.map((cell, place) => {
      if (place === 0) return stateText;
      const text = make("bdi", {});
      cell.append(text);
      return text;
    });
    const element = make("div", { role: "row", class: "row", id: `row-${number}` }, ...cells);
    this.space.append(element);
    return { element, cells, texts, glyph, state, place: -1, shown: "", titles: [] };
  }

  fill(slot, place, at) {
    const row = this.rows[place];
    if (slot.place !== place) {
      slot.place = place;
      slot.element.style.transform = `translateY(${place * ROW}px)`;
      slot.element.setAttribute("aria-rowindex", place + 2);
      slot.element.dataset.place = place;
    }
    if (slot.element.hidden !== !row) slot.element.hidden = !row;
    if (!row) return;
    if (slot.shown !== row.state) {
      slot.shown = row.state;
      slot.state.className = `state is-${row.state}`;
      slot.glyph.firstChild.setAttribute("href", `#i-${row.state}`);
    }
    slot.element.classList.toggle("ended", !row.isLive);
    slot.element.classList.toggle("happy", row.state === "completed");
    const isChosen = row.id === this.chosen;
    if (slot.element.getAttribute("aria-selected") !== String(isChosen)) slot.element.setAttribute("aria-selected", isChosen);
    const texts = cellTexts(row, at);
    for (let cell = 0; cell < texts.length; cell += 1) {
      put(slot.texts[cell], texts[cell]);
      const title = cell === 0 ? "" : titleOf(COLUMNS[cell].key, row, texts[cell]);
      if (slot.titles[cell] !== title) {
        slot.titles[cell] = title;
        slot.cells[cell].title = title;
      }
    }
    const lasts = row.isLive && row.created !== null ? at - row.created : 0;
    slot.cells[2].classList.toggle("near", row.timeout !== null && lasts > 0.8 * row.timeout);
    slot.cells[7].classList.toggle("warned", row.isLive && row.warned !== null);
  }

  /** Choose a row, and have it seen. */
  choose(id) {
    this.chosen = id;
    this.reveal();
    this.paint();
  }

  reveal() {
    const place = this.placeOf(this.chosen);
    if (place < 0 || this.isVisible(place)) return;
    const height = this.root.clientHeight - ROW;
    const isAbove = place * ROW < this.root.scrollTop;
    this.root.scrollTop = isAbove ? place * ROW : place * ROW - height + ROW;
  }

  /** Choose another row: so many further on, or `Infinity` for the last. */
  move(by) {
    if (!this.rows.length) return;
    const chosen = this.placeOf(this.chosen);
    const from = chosen >= 0 ? chosen : by > 0 ? Math.floor(this.root.scrollTop / ROW) - 1 : 0;
    const place = Math.min(this.rows.length - 1, Math.max(0, from + by));
    this.choose(this.rows[place].id);
  }

  /** How many rows a page has. */
  get page() {
    return Math.max(1, Math.floor(this.root.clientHeight / ROW) - 2);
  }
}

function cellTexts(row, at) {
  const lasted = row.created === null ? null : row.isLive ? at - row.created : row.updated - row.created;
  return [
    row.state,
    doing(row) || (row.isLive ? "–" : ""),
    row.isLive ? age(lasted) : span(lasted),
    row.updated === null ? "–" : age(at - row.updated),
    row.agent,
    row.thread,
    row.user,
    why(row),
    shortId(row.id),
  ];
}

/** The phase, in one line; short where a detail follows, which tells more. */
function doing({ phase, detail }) {
  if (!phase) return "";
  return detail ? `${SHORT[phase] ?? words(phase)} · ${detail}` : words(phase);
}

/** Why it ended, in one line; or what threatens it. */
function why(row) {
  if (row.isLive) return row.warned ? `warned: ${words(row.warned)}` : "";
  const facts = [words(row.cause)];
  if (row.error && row.state === "failed") facts.unshift(firstLine(row.error)); // which says more than its cause
  else if (row.error) facts.push(firstLine(row.error));
  else if (row.evidence?.reason) facts.push(firstLine(row.evidence.reason));
  if (row.state === "dead" && row.evidence?.last_beat_age != null) facts.push(`silent for ${span(row.evidence.last_beat_age * 1000)}`);
  return facts.filter(Boolean).join(" · ");
}

function titleOf(key, row, text) {
  if (key === "age") {
    const limit = row.timeout === null ? "no time limit" : `time limit ${span(row.timeout)}`;
    return row.created === null ? limit : `created ${clock(row.created)}, ${limit}`;
  }
  if (key === "sign") return row.updated === null ? "" : `at ${clock(row.updated)}`;
  if (key === "id") return row.id;
  if (key === "phase" && row.phase) return [words(row.phase), row.detail].filter(Boolean).join(" · ");
  if (key === "why" && row.error) return row.error.slice(0, 2_000);
  return text;
}
