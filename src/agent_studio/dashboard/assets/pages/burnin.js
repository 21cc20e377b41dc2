// The burn-in: what was observed of the candidate in staging, and what is still missing.

import { h } from "../dom.js";
import { count, moment, plural, rate } from "../format.js";
import { badge, figures, lead, section, table, time } from "../parts.js";

const STATES = { PASS: "OK", FAIL: "BREACH", INSUFFICIENT: "UNKNOWN" };
const UNITS = { "observed-hours": "h", "errors-per-hour": "/h" };
const WITHOUT = ["clock", "production-targets"]; // how many are broken says less than the sentence

export default {
  title: () => "Burn-in",
  draw({ burnin }) {
    return [
      lead("Burn-in", burnin.message, { state: STATES[burnin.verdict] }),
      figures(
        ["Verdict", badge(STATES[burnin.verdict], burnin.verdict)],
        ["Observed", `${burnin.observedHours.toFixed(1)} h`, `of ${burnin.policy.hours} h`],
        ["Sessions", count(burnin.sessions), `${count(burnin.syntheticSessions)} replayed`],
        ["Candidate", h("code", {}, burnin.candidate.slice(0, 12))],
        burnin.since && ["Counts from", time(burnin.since), burnin.sinceWhy],
      ),
      section("Requirements", null, table("Requirements", [
        { title: "Requirement", of: (row) => row.name, by: (row) => row.name },
        { title: "Verdict", of: (row) => badge(STATES[row.verdict], row.verdict), by: (row) => row.verdict },
        { title: "Seen", of: (row) => amount(row, row.value), number: true },
        { title: "Limit", of: (row) => amount(row, row.limit), number: true },
        { title: "Still needed", of: needed, number: true },
        { title: "In words", of: (row) => row.message, optional: true },
      ], burnin.requirements)),
      notes(burnin),
    ];
  },
};

function amount(row, value) {
  if (value === null || WITHOUT.includes(row.name)) return "–";
  return row.name in UNITS ? `${value.toFixed(1)} ${UNITS[row.name]}` : rate(value);
}

function needed(row) {
  if (row.verdict !== "INSUFFICIENT") return "–";
  if (row.needed === null) return "cannot be shown";
  if (row.name === "production-targets") return "a first run";
  return row.name in UNITS ? `${row.needed.toFixed(1)} h` : plural(row.needed, "run");
}

function notes(burnin) {
  const worst = burnin.errors.reduce((most, one) => (most && most.count >= one.count ? most : one), null);
  const said = [
    worst && `Most errors in one hour: ${count(worst.count)}, from ${moment(worst.hour)}.`,
    burnin.leftOut > 0 && `${count(burnin.leftOut)} records are left out: their sessions were not seen to start on this candidate.`,
    burnin.damagedLines > 0 && `${count(burnin.damagedLines)} damaged lines are not counted.`,
  ].filter(Boolean);
  return said.length > 0 && h("p", { class: "note" }, said.join(" "));
}
