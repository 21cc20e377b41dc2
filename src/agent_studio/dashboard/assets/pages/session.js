// One session, from its first event to its last.

import { h } from "../dom.js";
import { clock, count, duration, moment, plural } from "../format.js";
import { empty, figures, lead, outcome, section, time } from "../parts.js";

const SHOWN = 500;

export default {
  title: ({ of }) => `Session ${(of ?? "").slice(0, 8)}`,
  under: "sessions",
  draw(data, shown, app) {
    const { events } = data;
    const head = lead(h("span", { class: "mono" }, data.sessionId), null, { crumb: app.link("sessions", "", "Sessions") });
    if (!events.length) return [head, empty("Nothing of it was recorded in this time.")];
    const of = (kind) => events.filter((one) => one.kind === kind).length;
    const lasted = new Date(events.at(-1).time) - new Date(events[0].time);
    return [
      head,
      figures(["Began", moment(events[0].time)], ["Lasted", duration(lasted)], ["Hook runs", count(of("hook"))], ["Agents", count(of("agent"))], ["Errors", count(of("error"))]),
      section("What happened", events.length > SHOWN ? `the last ${SHOWN} of ${plural(events.length, "event")}` : plural(events.length, "event"),
        h("ol", { class: "timeline" }, events.slice(-SHOWN).map((one) => event(one, app)))),
    ];
  },
};

function event({ time: at, kind, name, status, durationMs, detail }, app) {
  const state = status ? outcome(status) : null;
  return h("li", { "data-state": state === "OFF" ? null : state },
    time(at, clock(at)),
    h("span", { class: "quiet small kind" }, kind),
    h("span", { class: "name" }, kind === "hook" ? app.link("hook", name) : name ?? "–", " ", status && state !== "OK" && status !== name ? h("span", { class: "toned small", "data-state": state }, status.toLowerCase()) : null),
    h("span", { class: "detail" }, detail ? String(detail) : ""),
    h("span", { class: "quiet small number" }, durationMs === null || durationMs === undefined ? "" : duration(durationMs)));
}
