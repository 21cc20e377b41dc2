// Evolution: the artifact that is on its way, what came before it and why not, and what the project seems to need.

import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { badge, empty, figures, lead, section, table, time } from "../parts.js";

const STATES = { PASS: "OK", FAIL: "BREACH", INSUFFICIENT: "UNKNOWN" };
const OUTCOMES = { enabled: "OK", stopped: "BREACH", aborted: "UNKNOWN" };

export default {
  title: () => "Evolution",
  draw(data) {
    const { current } = data;
    return [
      lead("Evolution", current ? `${current.kind} ${current.name}: ${current.need}` : "Nothing is under way."),
      data.note && h("p", { class: "note" }, `${data.note}.`),
      figures(
        ["Phase", data.phase, current && `${data.phases.indexOf(data.phase) + 1} of ${data.phases.length}`],
        ["So far", count(data.pastCount), data.imported > 0 && `${count(data.imported)} more of the original's`],
        ["Suggestions", count(data.suggestionCount)],
        current && ["Since", time(current.started), current.who],
      ),
      h("p", {}, "Next: ", h("code", {}, data.next)),
      current && section("Gates", "as they were last asked", gates(current)),
      current && current.research.length > 0 && section("Research", plural(current.research.length, "source"), table("Research", [
        { title: "Source", of: (row) => row.source, by: (row) => row.source },
        { title: "Kind", of: (row) => row.kind, by: (row) => row.kind },
        { title: "Says", of: (row) => row.says ?? "–", optional: true },
      ], current.research)),
      section("Suggestions", null, table("Suggestions", [
        { title: "What", of: (row) => row.text, by: (row) => row.text },
        { title: "From", of: (row) => row.kind, by: (row) => row.kind },
        { title: "Seen", of: (row) => count(row.count), by: (row) => row.count, number: true },
        { title: "Last", of: (row) => time(row.last), by: (row) => row.last },
        { title: "Id", of: (row) => h("code", {}, row.id), optional: true },
      ], data.suggestions, { none: "Nothing is suggested. Look for it: agent-studio evolve suggest" })),
      section("History", null, table("History", [
        { title: "Artifact", of: (row) => `${row.kind} ${row.name}`, by: (row) => row.name },
        { title: "Outcome", of: (row) => badge(OUTCOMES[row.outcome], row.outcome), by: (row) => row.outcome },
        { title: "In", of: (row) => row.phase, by: (row) => row.phase },
        { title: "When", of: (row) => time(row.ended), by: (row) => row.ended },
        { title: "Why", of: (row) => row.reason, optional: true },
      ], data.past, { none: "Nothing was evolved yet." })),
    ];
  },
};

function gates(current) {
  if (!current.gates.length) return empty("Not asked yet: agent-studio evolve advance");
  return table("Gates", [
    { title: "Gate", of: (row) => row.name, by: (row) => row.name },
    { title: "Verdict", of: (row) => badge(STATES[row.verdict], row.verdict), by: (row) => row.verdict },
    { title: "In words", of: (row) => row.reason },
  ], current.gates);
}
