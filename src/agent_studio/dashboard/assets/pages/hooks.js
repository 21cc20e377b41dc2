// All hooks: how often, how long, how often they failed; by event and tool; which went silent.

import { h } from "../dom.js";
import { count, duration, moment, plural, rate, span } from "../format.js";
import { badge, lead, section, table, time } from "../parts.js";

export default {
  title: () => "Hooks",
  draw(data, shown, app) {
    const calls = data.hooks.reduce((sum, one) => sum + one.calls, 0);
    return [
      lead("Hooks", `${plural(data.hooks.length, "hook")}, ${plural(calls, "run")}. Blocked is a decision, not a failure.`),
      section("By hook", null, table("Hooks", [
        { title: "Hook", of: (one) => app.link("hook", one.hook), by: (one) => one.hook },
        { title: "State", of: (one) => badge(one.state), by: (one) => one.state, optional: true },
        ...measures(),
        { title: "Last run", number: true, of: (one) => time(one.last), by: (one) => one.last, optional: true },
      ], data.hooks, { none: "No hook ran in this time." })),
      silent(data.silent ?? []),
      section("By event and tool", null, table("Hooks by event and tool", [
        { title: "Event", of: (one) => one.event ?? "–", by: (one) => one.event },
        { title: "Tool", of: (one) => one.tool ?? "–", by: (one) => one.tool },
        ...measures(),
      ], data.events)),
      section("Slowest runs", null, table("Slowest runs", [
        { title: "Hook", of: (one) => app.link("hook", one.hook) },
        { title: "Event", of: (one) => [one.event, one.tool].filter(Boolean).join(" "), optional: true },
        { title: "When", of: (one) => time(one.time, moment(one.time)) },
        { title: "Outcome", of: (one) => badge(one.status), optional: true },
        { title: "Took", number: true, of: (one) => duration(one.durationMs), by: (one) => one.durationMs },
        { title: "Session", of: (one) => one.sessionId && app.link("session", one.sessionId, one.sessionId.slice(0, 8)) },
      ], data.slowest.slice(0, 10), { none: "No run was timed in this time." })),
    ];
  },
};

function measures() {
  return [
    { title: "Runs", number: true, of: (one) => count(one.calls), by: (one) => one.calls },
    { title: "Failed", number: true, of: (one) => rate(one.failureRate), by: (one) => one.failureRate },
    { title: "Blocked", number: true, of: (one) => count(one.blocked), by: (one) => one.blocked, optional: true },
    { title: "p50", number: true, of: (one) => duration(one.p50Ms), by: (one) => one.p50Ms, optional: true },
    { title: "p95", number: true, of: (one) => duration(one.p95Ms), by: (one) => one.p95Ms },
    { title: "p99", number: true, of: (one) => duration(one.p99Ms), by: (one) => one.p99Ms, optional: true },
  ];
}

function silent(rows) {
  if (!rows.length) return null;
  return section("Silent", "longer than is usual for them", h("ul", { class: "rows" }, rows.slice(0, 10).map((one) => h("li", {},
    h("div", { class: "row" }, h("span", {}, one.name), h("span", { class: "quiet" }, one.kind),
      h("span", { class: "end" }, `silent for ${span(one.silentMs / 1_000)}, usually ${span((one.usualGapMs ?? 0) / 1_000)}`))))));
}
