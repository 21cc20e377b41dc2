// All sessions, the latest first.

import { count, moment, plural, short, usd } from "../format.js";
import { badge, lead, section, table, time } from "../parts.js";

export default {
  title: () => "Sessions",
  draw(data, shown, app) {
    return [
      lead("Sessions", `${plural(data.sessions.length, "session")} in this time.`),
      section("Latest first", null, table("Sessions", [
        { title: "Session", of: (one) => app.link("session", one.sessionId, one.sessionId.slice(0, 8)), by: (one) => one.sessionId },
        { title: "State", of: (one) => (one.open ? badge("OK", "open") : ""), optional: true },
        { title: "Began", of: (one) => time(one.first, moment(one.first)), by: (one) => one.first },
        { title: "Last heard of", of: (one) => time(one.last), by: (one) => one.last, optional: true },
        { title: "Model", of: (one) => one.model ?? "–", by: (one) => one.model, optional: true },
        ...["prompts", "calls", "runs", "failures", "errors"].map((name) => ({
          title: { calls: "Hook runs", runs: "Agents" }[name] ?? name[0].toUpperCase() + name.slice(1),
          number: true, of: (one) => count(one[name]), by: (one) => one[name], optional: name !== "prompts" && name !== "errors",
        })),
        { title: "Tokens", number: true, of: (one) => short(one.tokens), by: (one) => one.tokens },
        { title: "Cost", number: true, of: (one) => usd(one.costUsd), by: (one) => one.costUsd },
      ], data.sessions, { none: "No session was heard of in this time." })),
    ];
  },
};
