// The keyboard. A key does something only where no field and no dialog has it; `Esc` always takes one step back.

import { byId } from "./text.js";

/** Listen to keys for all of the page. */
export function listen({ grid, place, filters, panel, open, figures, askToCancel }) {
  const move = (by) => () => {
    if (place.state.view !== "executions") return;
    grid.move(by());
    grid.root.focus({ preventScroll: true });
    if (place.state.open) open(grid.chosen); // the panel follows the choice
  };
  const keys = {
    j: move(() => 1),
    ArrowDown: move(() => 1),
    k: move(() => -1),
    ArrowUp: move(() => -1),
    PageDown: move(() => grid.page),
    PageUp: move(() => -grid.page),
    Home: move(() => -Infinity),
    End: move(() => Infinity),
    Enter: () => grid.chosen && place.state.view === "executions" && open(grid.chosen),
    "/": () => {
      place.change({ view: "executions" });
      requestAnimationFrame(() => requestAnimationFrame(() => filters.text.select()));
    },
    c: () => panel.root.querySelector("[data-name=cancel]") && askToCancel(panel.data.execution),
    l: () => filters.toggleLive(),
    o: () => figures.oldestId && open(figures.oldestId),
    w: () => place.change({ view: "workers" }),
    e: () => place.change({ view: "executions" }),
    t: () => byId("theme").click(),
    "?": () => byId("keys").showModal(),
  };
  byId("show-keys").addEventListener("click", keys["?"]);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target, key } = event;
    const isField = target.matches("input:not([type=checkbox]), textarea, select");
    if (key === "Escape") {
      if (isField) target.blur();
      else if (place.state.open) open(null);
      else if (place.state.view !== "executions") place.change({ view: "executions" });
      return;
    }
    if (isField && !(key === "ArrowDown" && target === filters.text)) return;
    if (key === "Enter" && target.matches("button, a, summary, input")) return;
    if (target.closest(".panel, .workers") && /^(Arrow|Page|Home|End)/.test(key)) return; // they scroll there
    const act = Object.hasOwn(keys, key) ? keys[key] : null;
    if (!act) return;
    event.preventDefault();
    act();
  });
}
