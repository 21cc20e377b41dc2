// Alerts: what is over its limit, who looks after it, what was silenced.

import { act } from "../api.js";
import { h } from "../dom.js";
import { moment, plural } from "../format.js";
import { badge, empty, lead, problem, section, time } from "../parts.js";
import { nameOf } from "./limits.js";

export default {
  title: () => "Alerts",
  draw(data, shown, app) {
    const open = data.alerts.filter((one) => one.state !== "resolved");
    const rest = data.alerts.filter((one) => one.state === "resolved");
    return [
      lead("Alerts", open.length ? `${plural(open.length, "alert")} open.` : "No alert is open."),
      app.mayAct || !open.length ? null : h("p", { class: "note" }, "To acknowledge or silence, open the address that ", h("code", {}, `agent-studio monitor web --env ${shown.env}`), " prints: it holds the token, or says which to append."),
      section("Open", null, list(open, app, "Nothing is over its limit.")),
      rest.length > 0 && section("Resolved", null, list(rest, app)),
    ];
  },
};

function list(alerts, app, none = "") {
  if (!alerts.length) return empty(none);
  return h("ul", { class: "rows" }, alerts.map((one) => h("li", { tabindex: "-1", "data-key": `alert ${one.id}` },
    h("div", { class: "row" },
      badge(one.state === "resolved" ? "OK" : one.severity, one.state === "resolved" ? "resolved" : one.severity.toLowerCase()),
      h("strong", {}, nameOf(one.rule)), one.label && h("span", {}, one.label),
      h("span", { class: "end" }, "since ", time(one.since))),
    h("p", {}, one.message),
    one.state === "resolved" ? null : h("div", { class: "row" }, standing(one), one.acknowledged ? null : button("Acknowledge", one, app, acknowledging), one.silenced ? null : button("Silence", one, app, silencing)))));
}

function standing(one) {
  const words = [
    one.state === "pending" && "not yet sure",
    one.acknowledged && `acknowledged by ${one.acknowledged.who}${one.acknowledged.note ? `: ${one.acknowledged.note}` : ""}`,
    one.silenced && `silenced until ${moment(one.silenced.until)} by ${one.silenced.who}: ${one.silenced.why}`,
  ].filter(Boolean);
  return words.length ? h("span", { class: "quiet small" }, words.join(", ")) : null;
}

function button(text, alert, app, form) {
  return h("button", {
    class: "act", type: "button", disabled: !app.mayAct, "data-key": `${text} ${alert.id}`,
    title: app.mayAct ? null : "This needs the token.", click: () => dialog(text, alert, app, form),
  }, text);
}

/** Ask for what an action needs, do it, and say what went wrong where it did. */
function dialog(title, alert, app, { fields, name, wanted }) {
  const trouble = h("div");
  const form = h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, title), h("p", { class: "quiet small" }, alert.message), fields(), trouble,
    h("div", { class: "row" }, h("button", { class: "act", type: "button", click: () => box.close() }, "Cancel"), h("button", { class: "act main", type: "submit" }, title)));
  const box = h("dialog", { "aria-labelledby": "dialog-title", close: closed }, form);
  function closed() {
    box.remove();
    // News may have redrawn the button that would get the focus back.
    if (document.activeElement === document.body) document.querySelector(`li[data-key="${CSS.escape(`alert ${alert.id}`)}"]`)?.focus({ preventScroll: true });
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await act(name, { env: app.environment, ...wanted(alert, new FormData(form)) });
      box.close();
      app.again();
    } catch (error) {
      trouble.replaceChildren(problem(error));
    }
  });
  document.body.append(box);
  box.showModal();
}

const acknowledging = {
  name: "acknowledge",
  fields: () => h("label", {}, "Note, for others", h("input", { name: "note", maxlength: 500, autocomplete: "off" })),
  wanted: (alert, form) => ({ id: alert.id, note: form.get("note") }),
};

const silencing = {
  name: "silence",
  fields: () => [
    h("label", {}, "For how long", h("select", { name: "hours" }, [[1, "1 hour"], [4, "4 hours"], [24, "a day"], [168, "a week"]].map(([value, text]) => h("option", { value }, text)))),
    h("label", {}, "Why", h("input", { name: "why", required: true, maxlength: 500, autocomplete: "off" })),
  ],
  wanted: (alert, form) => ({ rule: alert.rule, label: alert.label, hours: Number(form.get("hours")), why: form.get("why") }),
};
