// What was spent, on which models, and how far budgets are used.

import { bars } from "../charts.js";
import { h } from "../dom.js";
import { amount, count, moment, price, short, usd } from "../format.js";
import { badge, empty, figures, lead, meter, section, table } from "../parts.js";

const COLOURS = ["--series-1", "--series-5", "--series-2", "--series-6", "--series-3"];

export default {
  title: () => "Costs",
  draw(data) {
    const { tokens, costUsd, unpricedTokens } = data.totals;
    return [
      lead("Costs", "Tokens are input, output and cache writes. A model without a price costs nothing here; its tokens are counted."),
      figures(["Cost", usd(costUsd)], ["Tokens", short(tokens)], unpricedTokens && ["Without a price", short(unpricedTokens), "tokens"]),
      section("By hour", null, byHour(data)),
      section("By model", null, table("Spend by model", [
        { title: "Model", of: (one) => one.model, by: (one) => one.model },
        { title: "Tokens", number: true, of: (one) => count(one.tokens), by: (one) => one.tokens },
        { title: "Without a price", number: true, of: (one) => count(one.unpricedTokens), by: (one) => one.unpricedTokens, optional: true },
        { title: "Cost", number: true, of: (one) => usd(one.costUsd), by: (one) => one.costUsd },
      ], data.models, { none: "Nothing was spent in this time." })),
      section("Budgets", null, budgets(data.budgets)),
    ];
  },
};

/** The dearest models have colours of their own; the rest share the last one. */
function byHour({ spend, models, timeline }) {
  if (!spend.length) return empty("Nothing was spent in this time.");
  const named = models.slice(0, models.length > COLOURS.length ? COLOURS.length - 1 : COLOURS.length).map((one) => one.model);
  const names = [...named, ...(models.length > named.length ? ["others"] : [])];
  const hours = timeline.map((one) => one.hour);
  const at = new Map(hours.map((hour, i) => [hour, i]));
  const values = new Map(names.map((name) => [name, hours.map(() => 0)]));
  for (const one of spend) {
    const row = values.get(named.includes(one.model) ? one.model : "others");
    if (at.has(one.hour)) row[at.get(one.hour)] += one.costUsd ?? 0;
  }
  return bars("Cost by hour", hours, names.map((name, i) => ({ name, values: values.get(name), colour: COLOURS[i] })), { show: usd, tick: price });
}

function budgets(rows) {
  if (!rows.length) return empty("No budgets are set. Write some to cost.budgets in the configuration.");
  return h("ul", { class: "rows" }, rows.map((one) => {
    const share = one.share ?? (one.used ? 100 : 0); // of nothing, anything is all
    const state = share >= 100 ? "BREACH" : one.level ? "UNKNOWN" : "OK";
    const words = { BREACH: "used up", UNKNOWN: `over ${one.level} %`, OK: "within" }[state];
    return h("li", {}, h("div", { class: "row" }, h("strong", {}, one.name), h("span", { class: "quiet" }, `per ${one.per}${one.key ? `, ${one.key}` : ""}`), badge(state, words),
      h("span", { class: "end" }, `${amount(Number(one.used), one.unit)} of ${amount(Number(one.limit), one.unit)}${one.forecast ? `, reached ${moment(one.forecast.earliest)} at the earliest` : ""}`)),
    meter(Number(one.used), Number(one.limit), state));
  }));
}
