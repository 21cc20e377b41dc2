// Parties: what was asked, and of one everything that was said, by whom, and what proves it.

import { h } from "../dom.js";
import { count, plural, rate, usd } from "../format.js";
import { badge, empty, figures, lead, section, table, time } from "../parts.js";

const STATES = { strong: "OK", weak: "UNKNOWN", none: "OFF" };
const VERDICTS = { PASS: "OK", FAIL: "BREACH", INSUFFICIENT: "UNKNOWN" };

export default {
  title: ({ of } = {}) => (of ? `Party ${of}` : "Parties"),
  draw({ parties, party, verified, id }, shown, app) {
    if (parties) return list(parties, app);
    const crumb = app.link("party", "", "Parties");
    if (!verified) return lead(`Party ${id}`, "There is none of this name here.", { crumb });
    if (!party) return [lead(`Party ${id}`, "Its transcript is damaged.", { crumb, state: "BREACH" }), faults(verified)];
    return [
      lead(party.question, party.why, { crumb, state: STATES[party.state] }),
      figures(
        ["Consensus", badge(STATES[party.state], party.simulated ? "SIMULATED" : party.state), party.option ?? ""],
        ["Share", rate(party.share), `${rate(party.unweightedShare)} of the seats, ${rate(party.blindShare)} blind`],
        ["Decision", party.decision, party.reason ? `ended: ${party.reason}` : "under way"],
        ["Separate calls", count(party.separateCalls), `by ${plural(party.distinctModels, "model")}`],
        ["Cost", usd(party.costUsd)],
        ["Transcript", badge(VERDICTS[verified.verdict], verified.verdict), verified.head.slice(0, 12)],
      ),
      faults(verified),
      section("Seats", party.team, table("Seats", [
        { title: "Agent", of: (row) => row.agent, by: (row) => row.agent },
        { title: "Persona", of: (row) => row.persona, optional: true },
        { title: "Model", of: (row) => row.model, optional: true },
        { title: "Stance", of: (row) => row.stance ?? `no answer: ${row.fault}`, by: (row) => row.stance },
        { title: "Holds", of: (row) => row.option ?? "–" },
        { title: "Sure", of: (row) => (row.confidence === null ? "–" : row.confidence.toFixed(2)), by: (row) => row.confidence, number: true },
      ], party.seats)),
      party.flips.length > 0 && section("Changes of mind", null, h("ul", { class: "rows tight" }, party.flips.map((flip) =>
        h("li", {}, `${flip.agent}, round ${flip.round}: ${flip.from} → ${flip.to} (${flip.counted ? "counted" : "not counted: no new argument"})`)))),
      section("Reasons", null, h("ul", { class: "rows" }, party.seats.filter((one) => one.stance && !party.dissent.some((other) => other.seat === one.seat && !other.requested)).map(said))),
      party.dissent.length > 0 && section("Dissent, in full", null, h("ul", { class: "rows" }, party.dissent.map(said))),
    ];
  },
};

function list(parties, app) {
  return [
    lead("Parties", "Several agents on one question, each by a call of its own."),
    parties.length ? table("Parties", [
      { title: "Question", of: (row) => app.link("party", row.id, row.question ?? row.id) },
      { title: "State", of: (row) => badge(row.problem ? "BREACH" : STATES[row.state], row.problem ? "damaged" : row.running ? "running" : row.simulated ? "SIMULATED" : row.state), by: (row) => row.state },
      { title: "Option", of: (row) => row.option ?? "–", by: (row) => row.option },
      { title: "Share", of: (row) => rate(row.share), by: (row) => row.share, number: true },
      { title: "Team", of: (row) => row.team ?? "–", by: (row) => row.team, optional: true },
      { title: "Begun", of: (row) => time(row.startedAt), by: (row) => row.startedAt, optional: true },
    ], parties) : empty("No party was held yet: agent-studio party run \"QUESTION\""),
  ];
}

function said(one) {
  return h("li", {},
    h("strong", {}, one.requested ? `${one.agent}, asked for the other case` : one.agent, one.option ? `: ${one.stance} ${one.option}` : ""),
    h("span", {}, one.rationale || "No reason is given."),
    (one.evidence ?? []).map((quote) => h("span", { class: "quiet" },
      h("code", {}, `${quote.path}:${quote.line ?? "?"}`), quote.verified ? " verified: " : " not found in the file: ", quote.quote)),
    (one.risks ?? []).map((risk) => h("span", { class: "quiet" }, `Risk: ${risk}`)),
    one.wouldChangeMyMind && h("span", { class: "quiet" }, `Would change its mind: ${one.wouldChangeMyMind}`),
  );
}

function faults({ faults: found, changedAgents }) {
  const told = [...found, ...changedAgents.map((agent) => `${agent} is defined otherwise now than when it spoke.`)];
  return told.length > 0 && h("p", { class: "note" }, told.join(" "));
}
