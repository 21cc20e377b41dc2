// Is it healthy, beside the other environments; what broke; what is slow; what it costs.

import { bars } from "../charts.js";
import { h } from "../dom.js";
import { amount, count, duration, plural, price, rate, short, span, usd } from "../format.js";
import { badge, dot, empty, lead, meter, problem, section, table, time } from "../parts.js";
import { bySeverity } from "./errors.js";
import { nameOf } from "./limits.js";

const WORST = 5;
const MOST = 8;
const SEVERITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW"];
const WATCHERS = ["silence", "ingest", "ledger"]; // there is no figure to compare, only a state

export default {
  title: () => "Overview",
  draw(data, shown, app) {
    const own = data.environments.find((one) => one.environment === shown.env);
    if (own.problem) return [lead(verdict(own)), problem(own.problem), sides(data.environments, shown, app)];
    return [
      lead(verdict(own), freshness(own), { state: own.state }),
      attention(own, app),
      sides(data.environments, shown, app),
      h("div", { class: "columns" },
        section("Errors", `${count(own.errors.total)} in all`, bySeverity(own, app)),
        section("Spend", spent(own.totals), spend(own))),
      h("div", { class: "columns" }, slowest(own, app), failing(own, app)),
    ];
  },
};

function verdict({ environment, state, limits, problem: fault }) {
  const name = environment[0].toUpperCase() + environment.slice(1);
  if (fault) return `${name} cannot be read`;
  const broken = limits.filter((one) => one.state === "BREACH").length;
  return { OK: `${name} is within its limits`, BREACH: `${name} is over ${plural(broken, "limit")}`, UNKNOWN: `${name}: too little data to tell`, OFF: `${name} has no limits` }[state];
}

/** How far the figures can be trusted, in one line. */
function freshness(own) {
  const lag = own.ageSeconds === null ? "No records yet" : `Newest record ${own.ageSeconds < 5 ? "just now" : `${span(own.ageSeconds)} ago`}`;
  return [
    lag,
    `${plural(own.totals.calls, "hook run")} and ${plural(own.totals.runs, "agent run")}`,
    own.damagedLines && `${plural(own.damagedLines, "damaged line")} left out`,
    own.futureRecords && `${plural(own.futureRecords, "record")} from the future left out`,
    own.from === "fleet" && "from the fleet, what waits on its machines is not known here",
    own.waitingBytes && `${short(Math.ceil(own.waitingBytes / 1_024))} KiB recorded and not yet ingested`,
    own.unrouted && `${plural(own.unrouted, "event")} of no environment`,
  ].filter(Boolean).join(" · ");
}

/** What is over its limit now, whether or not an alert has begun. */
function attention(own, app) {
  const since = new Map(own.alerts.filter((one) => one.state !== "resolved").map((one) => [`${one.rule}:${one.label}`, one.since]));
  const broken = own.limits.filter((one) => one.state === "BREACH").sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  if (!broken.length) return null;
  return section("Needs attention", app.link("alerts", "", "Alerts"), h("ul", { class: "rows card" }, broken.slice(0, MOST).map((one) =>
    h("li", {}, h("div", { class: "row" },
      badge(one.severity, one.severity.toLowerCase()), h("strong", {}, one.label || nameOf(one.rule)), h("span", {}, one.message),
      since.has(`${one.rule}:${one.label}`) && h("span", { class: "end" }, "since ", time(since.get(`${one.rule}:${one.label}`))))))),
  broken.length > MOST && h("p", { class: "quiet small" }, `and ${broken.length - MOST} more`));
}

/** Each measure of all hooks or agents together, one column an environment, its limit as a mark on the bar. */
function sides(environments, shown, app) {
  const rules = [...new Set(environments.flatMap((one) => (one.limits ?? []).filter((limit) => !limit.label && !WATCHERS.includes(limit.rule)).map((limit) => limit.rule)))];
  const plain = [
    ["Hook runs", (one) => count(one.totals.calls)],
    ["Blocked by a hook", (one) => count(one.totals.blocked)],
    ["Agent runs", (one) => count(one.totals.runs)],
    ["Sessions open", (one) => count(one.sessions.open)],
    ["Tokens", (one) => short(one.totals.tokens)],
    ["Cost", (one) => usd(one.totals.costUsd)],
    ["Silence, ingest, ledger", watched],
    ["Newest record", (one) => time(one.newest)],
  ];
  const cells = (of) => environments.map((one) => h("td", { class: one.environment === shown.env ? "own" : null }, one.problem ? "–" : of(one)));
  const heads = environments.map((one) => h("th", { scope: "col", class: one.environment === shown.env ? "own" : null },
    dot(one.problem ? "BREACH" : one.state, "small"), h("a", { href: app.to("overview", { env: one.environment }) }, one.environment)));
  return section("Environments side by side", null, h("div", { class: "card scroll" }, h("table", { class: "sides" },
    h("caption", { class: "hidden" }, "Measures and limits of each environment"),
    h("thead", {}, h("tr", {}, h("td"), heads)),
    h("tbody", {},
      rules.map((rule) => h("tr", {}, h("th", { scope: "row" }, nameOf(rule)), cells((one) => limited(one.limits.find((limit) => limit.rule === rule && !limit.label))))),
      plain.map(([name, of]) => h("tr", {}, h("th", { scope: "row" }, name), cells(of)))))));
}

/** What is watched without a figure: only what is not as it should be is named. */
function watched({ limits }) {
  const found = limits.filter((one) => WATCHERS.includes(one.rule) && !one.label);
  const wrong = found.filter((one) => one.state !== "OK");
  if (!wrong.length) return found.length ? "in order" : "–";
  return wrong.map((one) => h("span", { class: "toned", "data-state": one.state, title: one.message }, `${nameOf(one.rule)}: ${one.state === "BREACH" ? "broken" : "not known"} `));
}

function limited(found) {
  if (!found) return h("span", { class: "quiet" }, "–");
  if (found.limit === null) return amount(found.value, found.unit);
  const words = found.state === "UNKNOWN" && found.needed ? `needs ${plural(found.needed, "more run")}` : `limit ${amount(found.limit, found.unit)}`;
  const value = found.value ?? found.high; // of all hooks together only the worst one is known
  const figure = found.value === null && found.high !== null ? `≤ ${amount(found.high, found.unit)}` : amount(found.value, found.unit);
  return [
    h("div", { class: "value" }, h("span", { class: found.state === "OK" ? null : "toned", "data-state": found.state }, figure), h("span", { class: "quiet small optional" }, words)),
    value === null ? null : meter(Number(value), Number(found.limit), found.state),
  ];
}

function spent({ tokens, costUsd, unpricedTokens }) {
  return `${usd(costUsd)}, ${short(tokens)} tokens${unpricedTokens ? `, ${short(unpricedTokens)} without a price` : ""}`;
}

function spend(own) {
  if (!own.timeline.some((one) => one.tokens)) return empty("Nothing was spent in this time.");
  return bars("Spend by hour", own.timeline.map((one) => one.hour), [{ name: "cost", values: own.timeline.map((one) => one.costUsd), colour: "--series-5" }], { show: usd, tick: price });
}

function slowest(own, app) {
  const rows = own.hooks.filter((one) => one.p95Ms !== null).sort((a, b) => b.p95Ms - a.p95Ms).slice(0, WORST);
  return section("Slowest hooks", app.link("hooks", "", "All hooks"), table("Slowest hooks", [
    { title: "Hook", of: (one) => app.link("hook", one.hook) },
    { title: "p50", number: true, of: (one) => duration(one.p50Ms) },
    { title: "p95", number: true, of: (one) => h("span", { class: one.state === "BREACH" ? "toned" : null, "data-state": one.state }, duration(one.p95Ms)) },
    { title: "Runs", number: true, of: (one) => count(one.calls) },
  ], rows, { none: "No hook was timed in this time." }));
}

function failing(own, app) {
  const named = (rows, page, name, runs) => rows.map((one) => ({ page, name: one[name], runs: one[runs], failures: one.failures, failureRate: one.failureRate, state: one.state }));
  const rows = [...named(own.hooks, "hook", "hook", "calls"), ...named(own.agents, "agents", "agent", "runs")]
    .filter((one) => one.failures).sort((a, b) => b.failureRate - a.failureRate || b.failures - a.failures).slice(0, WORST);
  return section("Most failing", app.link("agents", "", "All agents"), table("Most failing", [
    { title: "Hook or agent", of: (one) => (one.page === "hook" ? app.link("hook", one.name) : app.link("agents", "", one.name)) },
    { title: "Failed", number: true, of: (one) => h("span", { class: one.state === "BREACH" ? "toned" : null, "data-state": one.state }, rate(one.failureRate)) },
    { title: "Runs", number: true, of: (one) => count(one.runs) },
  ], rows, { none: "Nothing failed in this time." }));
}
