// The strip of figures: what lives, what has lived longest, and how the last hour went. Counts of live executions come from the rows, which the
// stream keeps up to date, as long as there is room for all of them; everything else is what the server has counted.

import { BarChart, ShareChart } from "./charts.js";
import { ENDED, LIVE, now, skew } from "./executions.js";
import { age, byId, clock, count, icon, make, ms, put, share, shortId, span, words } from "./text.js";

const COMPLETION = 0.95;
const RELIABILITY = 0.99;
const BOUNDS = [10, 100, 1_000, 5_000, 10_000, 30_000, 60_000, Infinity];

export class Figures {
  constructor(open) {
    this.oldestId = null;
    this.oldest = byId("oldest");
    this.oldest.addEventListener("click", () => this.oldestId && open(this.oldestId));
    this.ended = new BarChart(byId("ended-chart"), byId("ended-note"), "Ends by the minute");
    this.completion = new ShareChart(byId("completion-chart"), byId("completion-note"), "Completion by the minute", COMPLETION);
    this.reliability = new ShareChart(byId("reliability-chart"), byId("reliability-note"), "Reliability by the minute", RELIABILITY);
    this.verdict = new BarChart(byId("verdict-chart"), byId("verdict-note"), "Time to verdict");
    this.statistics = null;
    this.saidLive = null;
    this.judged = -1;
  }

  /** Take what the server has counted, and by its clock set ours. */
  take(statistics, asked, answered) {
    this.statistics = statistics;
    skew.ms = ms(statistics.at_ns) - (asked + answered) / 2;
    const { lately, spans } = statistics;
    const minutes = spans.map((one) => ({ ...one, label: clock(ms(one.from_ns), false) }));
    const whole = total(lately.ended);
    put(byId("ended-count"), count(whole));
    this.ended.bars(
      minutes.map(({ ended, label }) => ({
        parts: ENDED.map((state) => [`is-${state}`, ended[state]]),
        label: `${label}: ${counted(ENDED, (state) => ended[state]) || "nothing ended"}`,
      })),
      counted(ENDED, (state) => lately.ended[state]) || "nothing ended",
      whole ? signs(ENDED, (state) => lately.ended[state]) : null,
    );
    for (const [chart, id, part, among] of [[this.completion, "completion", completed, uncancelled], [this.reliability, "reliability", survived, total]]) {
      put(byId(id), share(part(lately.ended), among(lately.ended)));
      chart.minutes(
        minutes.map(({ ended, label }) => ({ part: part(ended), whole: among(ended), label })),
        among(lately.ended) ? `${count(part(lately.ended))} of ${count(among(lately.ended))}, aim ${share(chart.target, 1)}` : "nothing ended",
      );
    }
  }

  /** Show what the rows say. */
  show(executions, isWhole) {
    const of = (state) => (isWhole ? executions.byState.get(state) : (this.statistics?.live[state] ?? 0));
    put(byId("live-count"), count(LIVE.reduce((sum, state) => sum + of(state), 0)));
    const said = counted(LIVE, of);
    if (said !== this.saidLive) byId("live-states").replaceChildren(...(said ? signs(LIVE, of) : ["nothing is live"]));
    this.saidLive = said;
    const known = executions.oldest();
    const told = this.statistics?.oldest_live;
    const ended = told && executions.byId.get(told.execution_id)?.isLive === false;
    const oldest = isWhole || !told || ended ? known : { id: told.execution_id, created: ms(told.created_at_ns), agent: told.agent,
      state: told.state, phase: told.phase };
    this.oldestId = oldest?.id ?? null;
    this.oldest.disabled = !oldest;
    put(this.oldest, oldest ? age(now() - oldest.created) : "–");
    put(byId("oldest-note"), oldest ? [oldest.agent, oldest.phase ? words(oldest.phase) : oldest.state, shortId(oldest.id)].join(" · ") : "nothing is live");
    this.verdicts(executions);
    this.oldest.setAttribute("aria-label", oldest ? `Oldest live execution, ${age(now() - oldest.created)}: open` : "Nothing is live");
  }

  /** Show how long verdicts took. */
  verdicts({ judged, verdicts: lasted }) {
    if (judged === this.judged) return;
    this.judged = judged;
    const sorted = [...lasted].sort((one, other) => one - other);
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    put(byId("verdict"), sorted.length ? span(at(0.5)) : "–");
    let from = 0;
    const bars = BOUNDS.map((bound) => {
      const number = sorted.filter((one) => one >= from && one < bound).length;
      const name = bound === Infinity ? `over ${span(from)}` : `${span(from).replace("0 µs", "0")} to ${span(bound)}`;
      from = bound;
      return { parts: [["is-dead", number]], label: `${name}: ${number}` };
    });
    this.verdict.bars(bars, sorted.length ? `median; p99 ${span(at(0.99))}, of ${count(sorted.length)}` : "no deaths known");
  }
}

const total = (ended) => ENDED.reduce((sum, state) => sum + ended[state], 0);
const uncancelled = (ended) => total(ended) - ended.cancelled;
const completed = (ended) => ended.completed;
const survived = (ended) => total(ended) - ended.dead;

/** Each state's sign and number; its name is there for who points at it, or hears the page. */
function signs(states, of) {
  return states.filter(of).map((state) =>
    make("span", { class: `sign is-${state}`, title: `${count(of(state))} ${state}` }, icon(state), make("span", { text: count(of(state)) }), make("span", { class: "hidden", text: ` ${state}` })),
  );
}

function counted(states, of) {
  return states.filter(of).map((state) => `${count(of(state))} ${state}`).join(" · ");
}
