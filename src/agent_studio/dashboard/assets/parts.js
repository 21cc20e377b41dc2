// The few parts that pages are made of.

import { h } from "./dom.js";
import { ago } from "./format.js";

const STATES = { OK: "within limits", BREACH: "over a limit", UNKNOWN: "too little data", OFF: "no limit" };
const NOTHING = ["0", "0 %", "–"];
const SEVERITIES = { CRITICAL: "BREACH", HIGH: "BREACH", MEDIUM: "UNKNOWN", LOW: "OFF" };
const OUTCOMES = {
  failure: "BREACH", failed: "BREACH", timeout: "BREACH", blocked: "UNKNOWN", cancelled: "UNKNOWN",
  success: "OK", completed: "OK", ...SEVERITIES,
};

/** The head of a page: its title, what it is about, and where it belongs. */
export function lead(title, about, { crumb = null, state = null } = {}) {
  return h("div", { class: "lead" },
    crumb && h("p", { class: "crumb" }, crumb),
    h("h1", { tabindex: "-1" }, state && dot(state), title),
    about && h("p", {}, about),
  );
}

export function section(title, aside, ...children) {
  return h("section", { "aria-label": title },
    h("header", {}, h("h2", {}, title), aside && h("span", { class: "quiet" }, aside)),
    ...children,
  );
}

export function badge(state, text = STATES[state] ?? state) {
  return h("span", { class: "badge", "data-state": state in STATES ? state : outcome(state) }, text);
}

/** A state as a dot, for the eye; words say it beside it. */
export function dot(state, size = null) {
  return h("span", { class: size ? `dot ${size}` : "dot", "data-state": state, role: "img", "aria-label": STATES[state] });
}

/** The state that an outcome or a severity is shown as. */
export function outcome(name) {
  return OUTCOMES[name] ?? "OFF";
}

export function empty(text) {
  return h("p", { class: "empty" }, text);
}

export function problem({ message, hint }) {
  return h("div", { class: "problem", role: "alert" }, h("p", {}, message), hint && h("p", {}, hint));
}

/** A moment; without a text of its own it says how long ago that is, and `age` keeps it right. */
export function time(value, text = null) {
  return value ? h("time", { datetime: value, title: value, "data-ago": text === null }, text ?? ago(value)) : "–";
}

/** Write anew how long ago things were. */
export function age(root) {
  for (const one of root.querySelectorAll("time[data-ago]")) one.textContent = ago(one.dateTime);
}

export function figures(...pairs) {
  return h("dl", { class: "figures" }, pairs.filter(Boolean).map(([name, value, aside]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value, aside && h("small", {}, ` ${aside}`)))));
}

/**
 * A table that sorts by any column whose value is known.
 *
 * A column is `{ title, of(row) -> what is shown, by(row) -> what is sorted by, number, optional }`; the first heads its row.
 */
export function table(caption, columns, rows, { key = caption, none = "Nothing in this time.", limit = 200 } = {}) {
  if (!rows.length) return empty(none);
  const body = h("tbody");
  const sorting = sorted.get(key) ?? null;
  const heads = columns.map((column) => head(column, () => order(column)));
  const order = (column) => {
    const known = sorted.get(key);
    const down = known?.title === column.title ? !known.down : Boolean(column.number);
    sorted.set(key, { title: column.title, down });
    show();
  };
  const show = () => {
    const { title, down } = sorted.get(key) ?? {};
    const column = columns.find((one) => one.title === title && one.by);
    const shown = column ? [...rows].sort((a, b) => compare(column.by(a), column.by(b)) * (down ? -1 : 1)) : rows;
    body.replaceChildren(...shown.slice(0, limit).map((row) => line(columns, row)));
    heads.forEach((cell, at) => {
      if (columns[at] === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  };
  if (sorting === null) sorted.delete(key);
  show();
  return h("div", { class: "scroll" },
    h("table", {}, h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, heads)), body),
    rows.length > limit && h("p", { class: "quiet small" }, `The first ${limit} of ${rows.length}.`),
  );
}

const sorted = new Map();

function head(column, order) {
  const inside = column.by ? h("button", { type: "button", click: order, "data-key": `sort ${column.title}` }, column.title) : column.title;
  return h("th", { scope: "col", class: classes(column) }, inside);
}

function line(columns, row) {
  return h("tr", {}, columns.map((column, at) => {
    const shown = column.of(row);
    return h(at ? "td" : "th", { scope: at ? null : "row", class: classes(column, NOTHING.includes(shown)) }, shown);
  }));
}

function classes(column, isNothing = false) {
  return [column.number && "number", column.optional && "optional", isNothing && "quiet"].filter(Boolean).join(" ") || null;
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  return a < b ? -1 : 1;
}

/** A thin bar that shows a value beside its limit. */
export function meter(value, limit, state) {
  const end = Math.max(value, limit) * 1.15 || 1;
  return h("div", { class: "meter", "data-state": state, "aria-hidden": "true" },
    h("i", { "--share": `${(value / end) * 100}%` }), h("b", { "--limit": `${(limit / end) * 100}%` }));
}

/** A list of a record's fields, as they are. */
export function record(fields) {
  return h("dl", { class: "record" }, Object.entries(fields)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => [h("dt", {}, name), h("dd", {}, typeof value === "object" ? JSON.stringify(value, null, 2) : String(value))]));
}
