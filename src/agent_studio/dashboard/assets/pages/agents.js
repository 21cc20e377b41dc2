// All agents, and the latest runs as the tree they were: who started whom, and when.

import { h } from "../dom.js";
import { count, duration, moment, plural, rate, short } from "../format.js";
import { badge, empty, lead, outcome, section, table, time } from "../parts.js";

const SESSIONS = 8;

export default {
  title: () => "Agents",
  draw(data, shown, app) {
    const runs = data.agents.reduce((sum, one) => sum + one.runs, 0);
    return [
      lead("Agents", `${plural(data.agents.length, "agent")}, ${plural(runs, "run")}. What a person stopped is not in the rate.`),
      section("By agent", null, table("Agents", [
        { title: "Agent", of: (one) => one.agent, by: (one) => one.agent },
        { title: "State", of: (one) => badge(one.state), by: (one) => one.state, optional: true },
        { title: "Runs", number: true, of: (one) => count(one.runs), by: (one) => one.runs },
        { title: "Failed", number: true, of: (one) => rate(one.failureRate), by: (one) => one.failureRate },
        { title: "Cancelled", number: true, of: (one) => count(one.cancelled), by: (one) => one.cancelled, optional: true },
        { title: "Mean", number: true, of: (one) => duration(one.avgMs), by: (one) => one.avgMs, optional: true },
        { title: "p95", number: true, of: (one) => duration(one.p95Ms), by: (one) => one.p95Ms },
        { title: "Tokens", number: true, of: (one) => short(one.tokens), by: (one) => one.tokens },
        { title: "Last run", number: true, of: (one) => time(one.last), by: (one) => one.last, optional: true },
      ], data.agents, { none: "No agent ran in this time." })),
      section("Latest runs", data.runs.some((one) => one.parent) ? "by session, each under who started it" : "by session", trees(data.runs, app)),
    ];
  },
};

function trees(runs, app) {
  if (!runs.length) return empty("No agent ran in this time.");
  const sessions = [...Map.groupBy(runs, (one) => one.sessionId)].slice(0, SESSIONS);
  const heads = [["Agent"], [h("span", { class: "hidden" }, "When in its session"), "optional"], ["Began", "number"], ["Took", "number"], ["Tokens", "number"]];
  return h("div", { class: "scroll" }, h("table", { class: "tree" },
    h("caption", { class: "hidden" }, "Latest runs by session"),
    h("thead", {}, h("tr", {}, heads.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))),
    sessions.map(([sessionId, own]) => tree(sessionId, own, app))));
}

/** One session's runs in the order they began, children below their parents, each a bar on the session's own time. */
function tree(sessionId, runs, app) {
  const spans = runs.map((one) => {
    const until = new Date(one.time).getTime();
    return { ...one, until, from: until - (one.durationMs ?? 0) };
  });
  const from = Math.min(...spans.map((one) => one.from));
  const length = Math.max(1, Math.max(...spans.map((one) => one.until)) - from);
  const share = (ms) => `${(ms / length) * 100}%`;
  return h("tbody", {},
    h("tr", {}, h("th", { scope: "rowgroup", colspan: 5 }, h("span", { class: "quiet" }, "Session "), sessionId ? app.link("session", sessionId, sessionId.slice(0, 8)) : "not known",
      h("span", { class: "quiet" }, ` · ${plural(runs.length, "run")} in ${duration(length)}`))),
    nested(spans).map(([one, depth]) => h("tr", {},
      h("th", { scope: "row", class: depth ? "child" : null, "--depth": depth }, one.agent, " ", one.status === "completed" ? null : badge(one.status)),
      h("td", { class: "optional" }, h("div", { class: "bar", "data-state": one.status === "completed" ? null : outcome(one.status), "aria-hidden": "true" },
        h("i", { "--from": share(one.from - from), "--width": share(one.until - one.from) }))),
      h("td", { class: "number" }, time(new Date(one.from).toISOString(), moment(one.from))),
      h("td", { class: "number" }, duration(one.durationMs)),
      h("td", { class: "number" }, short(one.tokens)))));
}

function nested(runs) {
  const known = new Set(runs.map((one) => one.agentId));
  const under = Map.groupBy(runs.toSorted((a, b) => a.from - b.from), (one) => (known.has(one.parent) && one.parent !== one.agentId ? one.parent : null));
  const seen = new Set();
  const walk = (parent, depth) => (under.get(parent) ?? []).filter((one) => !seen.has(one)).flatMap((one) => {
    seen.add(one);
    return [[one, depth], ...(one.agentId === parent ? [] : walk(one.agentId, depth + 1))];
  });
  const rows = walk(null, 0);
  return [...rows, ...runs.filter((one) => !seen.has(one)).map((one) => [one, 0])]; // a ring of parents has no top
}
