// Small charts of the last hour, drawn as SVG. Each minute is a step and not a point of a curve: between two minutes nothing was measured,
// and a minute in which nothing ended is a gap. A chart says in words what it shows, and its minutes can be read with the pointer and
// with the arrow keys.

import { draw, make, put } from "./text.js";

const WIDTH = 240;
const HEIGHT = 32;

class Chart {
  constructor(place, note, name) {
    this.note = note;
    this.name = name;
    this.at = null;
    this.usual = "";
    this.said = [];
    this.drawing = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.box = make("div", { class: "drawing", role: "img", tabindex: 0, "aria-label": name }, this.drawing);
    place.append(this.box);
    this.box.addEventListener("pointermove", (event) => {
      const { left, width } = this.box.getBoundingClientRect();
      this.read(Math.floor(((event.clientX - left) / width) * this.said.length));
    });
    this.box.addEventListener("pointerleave", () => this.read(null));
    this.box.addEventListener("blur", () => this.read(null));
    this.box.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || !this.said.length) return;
      event.preventDefault();
      event.stopPropagation();
      this.read(Math.min(this.said.length - 1, Math.max(0, (this.at ?? this.said.length) + by)));
    });
  }

  /** Say what stands at one place, or what all of it says. */
  read(at) {
    this.at = at !== null && at >= 0 && at < this.said.length ? at : null;
    this.say();
  }

  say() {
    if (this.at === null && this.signs) this.note.replaceChildren(...this.signs);
    else put(this.note, this.at === null ? this.usual : this.said[this.at]);
    this.box.setAttribute("aria-label", `${this.name}: ${this.at === null ? this.usual : this.said[this.at]}`);
    this.mark?.remove();
    this.mark = null;
    if (this.at !== null) {
      const width = WIDTH / this.said.length;
      this.mark = draw("rect", { class: "mark-at", x: this.at * width, width, y: 0, height: HEIGHT });
      this.drawing.prepend(this.mark);
    }
  }

  /** Show shapes, a sentence about all, and one about each place; and signs that may stand for the first. */
  show(shapes, usual, said, signs = null) {
    this.signs = signs;
    this.drawing.replaceChildren(...shapes);
    this.usual = usual;
    this.said = said;
    this.say();
  }
}

/** How a share went, by the minute. Minutes under the target are drawn in another colour, and stand below its line. */
export class ShareChart extends Chart {
  constructor(place, note, name, target) {
    super(place, note, name);
    this.target = target;
  }

  /** Draw minutes, each `{ part, whole, label }`. */
  minutes(minutes, usual) {
    const shares = minutes.map(({ part, whole }) => (whole ? part / whole : null));
    const lowest = Math.min(...shares.filter((value) => value !== null), this.target);
    const floor = Math.max(0, lowest - (1 - lowest) * 0.25 - 0.005);
    const y = (value) => 2 + (HEIGHT - 4) * (1 - (value - floor) / (1 - floor));
    const width = WIDTH / minutes.length;
    let good = "";
    let bad = "";
    shares.forEach((value, place) => {
      if (value === null) return;
      const step = `M${place * width} ${y(value)}h${width}`;
      if (value < this.target) bad += step;
      else good += step;
      if (place && shares[place - 1] !== null && shares[place - 1] !== value) good += `M${place * width} ${y(shares[place - 1])}V${y(value)}`;
    });
    const line = y(this.target);
    const shapes = [
      draw("path", { class: "target", d: `M0 ${line}H${WIDTH}` }),
      draw("path", { class: "line", d: good }),
      draw("path", { class: "line under", d: bad }),
    ];
    const said = minutes.map(({ part, whole, label }) => (whole ? `${label}: ${part} of ${whole}` : `${label}: nothing ended`));
    this.show(shapes, usual, said);
  }
}

/** Bars of several parts on each other. */
export class BarChart extends Chart {
  /** Draw bars, each `{ parts: [[class, number], …], label }`. */
  bars(bars, usual, signs = null) {
    const highest = Math.max(1, ...bars.map(({ parts }) => parts.reduce((sum, [, number]) => sum + number, 0)));
    const width = WIDTH / Math.max(1, bars.length);
    const shapes = [draw("path", { class: "base", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` })];
    bars.forEach(({ parts }, place) => {
      let top = HEIGHT - 1;
      for (const [kind, number] of parts) {
        if (!number) continue;
        const height = Math.max(1, ((HEIGHT - 2) * number) / highest);
        top -= height;
        shapes.push(draw("rect", { class: `bar ${kind}`, x: place * width + width * 0.1, width: width * 0.8, y: top, height }));
      }
    });
    this.show(shapes, usual, bars.map(({ label }) => label), signs);
  }
}
