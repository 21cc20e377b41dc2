// What broke: by hour, grouped by what is the same, down to each record.

import { bars } from "../charts.js";
import { h } from "../dom.js";
import { count, moment, plural } from "../format.js";
import { badge, empty, lead, record, section, time } from "../parts.js";

const SEVERITIES = { CRITICAL: "--series-3", HIGH: "--series-2", MEDIUM: "--series-1", LOW: "--series-4" };

const LATEST = 40;

export default {
  title: () => "Errors",
  draw(data, shown, app) {
    return [
      lead("Errors", `${plural(data.errors.total, "error")}; ${count(data.errors.counted)} of severity medium or above, which count towards the limit.`),
      section("By hour", null, bySeverity(data)),
      section("Grouped", "by type, severity, source and message; the worst first", groups(data, app)),
      section("Latest", "open one to see its record", data.latest.length ? h("ul", { class: "rows tight" }, data.latest.slice(0, LATEST).map((one) => entry(one, app, "latest"))) : empty("No errors in this time.")),
    ];
  },
};

/** Errors by hour, one colour a severity. */
export function bySeverity({ errors, window, timeline }) {
  if (!errors.total) return empty("No errors in this time.");
  const hours = timeline ? timeline.map((one) => one.hour) : allHours(window);
  const names = [...new Set([...Object.keys(SEVERITIES), ...errors.hours.map((one) => one.severity)])]
    .filter((name) => errors.hours.some((one) => one.severity === name)).reverse();
  const at = new Map(errors.hours.map((one) => [`${one.hour} ${one.severity}`, one.count]));
  return bars("Errors by hour", hours, names.map((name) => ({
    name: name.toLowerCase(), colour: SEVERITIES[name] ?? "--series-6", values: hours.map((hour) => at.get(`${hour} ${name}`) ?? 0),
  })));
}

function allHours({ from, to }) {
  const hour = 3_600_000;
  const first = Math.floor(new Date(from).getTime() / hour) * hour;
  const last = new Date(to).getTime();
  return Array.from({ length: Math.ceil((last - first) / hour) }, (_, at) => new Date(first + at * hour).toISOString());
}

function groups({ groups: rows, latest }, app) {
  if (!rows.length) return empty("No errors in this time.");
  return h("ul", { class: "rows" }, rows.map((one) => {
    const records = latest.filter((error) => isOf(error, one));
    return h("li", {}, h("div", { class: "row" },
      badge(one.severity, one.severity.toLowerCase()), h("strong", {}, one.errorType), h("span", { class: "quiet" }, one.source),
      h("span", { class: "end" }, `${count(one.count)} ×, last `, time(one.last))),
    h("p", {}, one.shape),
    records.length > 0 && h("details", { "data-key": `group ${one.errorType} ${one.severity} ${one.source} ${one.shape}` },
      h("summary", {}, plural(records.length, "latest record")), h("ul", { class: "rows tight" }, records.slice(0, 10).map((error) => entry(error, app, "group")))));
  }));
}

/** Whether a record is one of a group. */
function isOf(error, group) {
  return ["errorType", "severity", "source", "shape"].every((name) => error[name] === group[name]);
}

function entry(error, app, where) {
  const { time: at, sessionId, shape: _, ...rest } = error;
  return h("li", {}, h("details", { "data-key": `${where} ${error.eventId}` },
    h("summary", { class: "row" },
      badge(error.severity, error.severity.toLowerCase()), h("span", {}, error.errorType), h("span", { class: "text" }, error.message),
      h("span", { class: "end" }, time(at, moment(at)))),
    record({ time: at, ...rest }),
    sessionId && h("p", {}, "Session ", app.link("session", sessionId))));
}
