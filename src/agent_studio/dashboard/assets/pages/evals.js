// Evals: the same tasks with two sets of definitions, and which does better.

import { h } from "../dom.js";
import { count, duration, price, rate } from "../format.js";
import { badge, empty, figures, lead, section, table, time } from "../parts.js";

const STATES = { BETTER: "OK", NO_DIFFERENCE: "OK", WORSE: "BREACH", INSUFFICIENT: "UNKNOWN" };
const WORDS = { NO_DIFFERENCE: "NO DIFFERENCE SHOWN" };

export default {
  title: () => "Evals",
  draw({ runs, faults, comparison }, shown, app) {
    if (!comparison) {
      return [lead("Evals", "No comparison was made yet: agent-studio eval compare"), empty("Nothing to show."), listed(runs, app)];
    }
    return [
      lead("Evals", said(comparison), { state: STATES[comparison.verdict] }),
      figures(
        ["Verdict", badge(STATES[comparison.verdict], WORDS[comparison.verdict] ?? comparison.verdict)],
        ["Pass rate", share(comparison.passRate.candidate), `against ${share(comparison.passRate.against)}`],
        ["Difference", signed(comparison.passRate.difference), comparison.passRate.low === null ? "" : `${signed(comparison.passRate.low)} to ${signed(comparison.passRate.high)}`],
        ["Candidate", h("code", {}, comparison.candidate.slice(0, 12))],
        ["Against", h("code", {}, comparison.against.slice(0, 12))],
      ),
      section("Tasks", null, table("Tasks", [
        { title: "Task", of: (row) => row.id, by: (row) => row.id },
        { title: "Candidate", of: (row) => `${row.passed.candidate}/${row.made.candidate}`, by: (row) => row.passed.candidate, number: true },
        { title: "Against", of: (row) => `${row.passed.against}/${row.made.against}`, by: (row) => row.passed.against, number: true },
        { title: "Flaky", of: (row) => (row.flaky ? "yes" : "") },
        { title: "Why the candidate failed", of: (row) => row.failed.candidate.slice(0, 2).join("; "), optional: true },
      ], comparison.tasks)),
      section("An attempt", null, table("An attempt", [
        { title: "Figure", of: (row) => row.title },
        { title: "Candidate", of: (row) => row.shown(row.one.candidate), number: true },
        { title: "Against", of: (row) => row.shown(row.one.against), number: true },
        { title: "Difference, 95 %", of: (row) => (row.one.low === null ? "–" : `${row.shown(row.one.low)} to ${row.shown(row.one.high)}`), number: true },
      ], amounts(comparison))),
      section("What they did", null, table("What they did", [
        { title: "Kind", of: (row) => row.kind, by: (row) => row.kind },
        { title: "Name", of: (row) => row.name, by: (row) => row.name },
        { title: "Candidate", of: (row) => row.candidate.toFixed(2), by: (row) => row.candidate, number: true },
        { title: "Against", of: (row) => row.against.toFixed(2), by: (row) => row.against, number: true },
      ], comparison.behaviour)),
      listed(runs, app),
      faults.length > 0 && h("p", { class: "note" }, faults.join(" ")),
    ];
  },
};

function said({ verdict, reason, needed, runs }) {
  if (reason) return `${reason[0].toUpperCase()}${reason.slice(1)}.`;
  if (verdict !== "INSUFFICIENT" && runs.length > 1) return `The same tasks with two sets of definitions, ${runs.length} runs judged together.`;
  if (verdict !== "INSUFFICIENT") return "The same tasks with two sets of definitions.";
  return needed === null ? "No number of attempts would settle it, if they go on like this." : `About ${count(needed)} more pairs of attempts would settle it.`;
}

function amounts(one) {
  const known = (show) => (value) => (value === null ? "–" : show(value));
  return [
    { title: "Cost", one: one.costUsd, shown: known(price) },
    { title: "Time", one: one.durationMs, shown: known((ms) => (ms < 0 ? `-${duration(-ms)}` : duration(ms))) },
    { title: "Tokens", one: one.tokens, shown: known((value) => count(Math.round(value))) },
    { title: "Turns", one: one.turns, shown: known((value) => value.toFixed(1)) },
  ];
}

function listed(runs, app) {
  return section("Runs", null, table("Runs", [
    { title: "Run", of: (row) => (row.against === null ? row.run : app.link("evals", row.run)), by: (row) => row.run },
    { title: "Made", of: (row) => time(row.created), by: (row) => row.created },
    { title: "Candidate", of: (row) => h("code", {}, row.candidate.slice(0, 12)) },
    { title: "Against", of: (row) => (row.against === null ? "–" : h("code", {}, row.against.slice(0, 12))) },
    { title: "Attempts", of: (row) => `${row.attempts}/${row.wanted}`, number: true },
    { title: "Verdict", of: (row) => (row.verdict === null ? "–" : badge(STATES[row.verdict], row.verdict)), by: (row) => row.verdict ?? "" },
  ], [...runs].reverse(), { none: "None yet." }));
}

function share(value) {
  return value === null ? "–" : rate(value);
}

function signed(value) {
  return value === null ? "–" : `${value > 0 ? "+" : value < 0 ? "−" : ""}${rate(Math.abs(value))}`;
}
