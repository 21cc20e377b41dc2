// One hook: how its durations are spread, and how they went.

import { histogram, lines, bars } from "../charts.js";
import { h } from "../dom.js";
import { count, duration, exact, range, rate } from "../format.js";
import { badge, empty, figures, lead, section } from "../parts.js";

export default {
  title: ({ of }) => of || "Hook",
  under: "hooks",
  draw(data, shown, app) {
    const head = lead(h("span", { class: "mono" }, shown.of), null, { crumb: app.link("hooks", "", "Hooks") });
    const { hook } = data;
    if (!hook) return [head, empty("It did not run in this time.")];
    return [
      head,
      figures(
        ["Runs", count(hook.calls)],
        ["Failed", rate(hook.failureRate), hook.failures ? `${count(hook.failures)} runs` : null],
        ["Blocked", count(hook.blocked)],
        ["p50", duration(hook.p50Ms)],
        ["p95", duration(hook.p95Ms), data.limitMs ? `limit ${exact(data.limitMs)}` : null],
        ["p99", duration(hook.p99Ms)],
        ["State", badge(hook.state)],
      ),
      section("How long it takes", hook.timed === hook.calls ? null : `${count(hook.timed)} of ${count(hook.calls)} runs were timed`, spread(data.histogram)),
      h("div", { class: "columns" },
        section("Over time", null, history(data)),
        section("Runs", null, runs(data.history))),
    ];
  },
};

function spread(rows) {
  if (!rows.length) return empty("No run was timed in this time.");
  return histogram("Runs by duration", rows.map((one) => range(one.fromMs, one.toMs)), rows.map((one) => one.calls));
}

function history({ history: rows, limitMs }) {
  if (!rows.length) return empty("Nothing in this time.");
  const of = (name) => rows.map((one) => one[name]);
  return lines("Duration over time", of("time"), [
    { name: "p50", values: of("p50Ms"), colour: "--series-4" },
    { name: "p95", values: of("p95Ms"), colour: "--series-1" },
    { name: "p99", values: of("p99Ms"), colour: "--series-2" },
  ], { show: duration, tick: exact, limit: limitMs });
}

function runs(rows) {
  if (!rows.length) return empty("Nothing in this time.");
  const step = rows.length > 1 ? (new Date(rows[1].time) - new Date(rows[0].time)) / 1_000 : 3_600;
  return bars("Runs over time", rows.map((one) => one.time), [
    { name: "failed", values: rows.map((one) => one.failures), colour: "--series-3" },
    { name: "blocked", values: rows.map((one) => one.blocked), colour: "--series-2" },
    { name: "the rest", values: rows.map((one) => one.calls - one.failures - one.blocked), colour: "--series-1" },
  ], { step });
}
