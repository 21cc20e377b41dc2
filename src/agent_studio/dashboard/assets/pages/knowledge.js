// Search over the project's agents, skills, commands, workflows, hooks, rules and docs.

import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { badge, empty, lead, section, time } from "../parts.js";

const PAUSE_MS = 150;
let box = null;
let waiting = 0;

export default {
  title: () => "Knowledge",
  draw(data, shown, app) {
    box ??= h("input", { id: "search", type: "search", placeholder: "Name it, or say what has to be done", "aria-label": "Search the knowledge base", autocomplete: "off", spellcheck: "false", maxlength: 1000 });
    box.oninput = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => app.go(app.to("knowledge", { of: box.value.trim(), only: shown.only }), { replace: true }), PAUSE_MS);
    };
    if (document.activeElement !== box) box.value = shown.of;
    if (data.artifacts === null) return [lead("Knowledge"), empty(`There is no index yet. Build it: agent-studio kb build --env ${shown.env}`)];
    return [
      lead("Knowledge", `${plural(data.artifacts, "artifact")}: agents, skills, commands, workflows, hooks, rules and docs.`),
      h("search", {}, box, kinds(data, shown, app)),
      data.notes.map((note) => h("p", { class: "note" }, note)),
      h("div", { role: "status", class: data.hits.length ? "quiet small" : null }, said(data, shown, app)),
      data.hits.length > 0 && h("ol", { class: "rows" }, data.hits.map((hit) => row(hit, app))),
      data.used.length > 0 && section("Used most", null, h("ol", { class: "rows" }, data.used.map((one) => row(one, app)))),
    ];
  },
};

function kinds({ domains }, shown, app) {
  const all = [["", "all"], ...Object.keys(domains).map((name) => [name, name])];
  return h("div", { class: "segments kinds", role: "group", "aria-label": "Kind of artifact" }, all.map(([only, text]) =>
    h("a", { href: app.to("knowledge", { of: shown.of, only }), "aria-current": only === shown.only ? "true" : null, "data-key": `kind ${only}` },
      text, only && h("span", { class: "quiet" }, ` ${count(domains[only])}`))));
}

function said({ query, hits, didYouMean, repaired }, shown, app) {
  if (!query.trim()) return h("p", { class: "quiet" }, "Words in any order; spelling matters little.");
  const near = didYouMean && didYouMean !== query && ["Did you mean ", h("a", { href: app.to("knowledge", { of: didYouMean, only: shown.only }) }, didYouMean), "?"];
  const asIf = repaired.length > 0 && ` Searched ${repaired.map(([word, as]) => `“${as}” for “${word}”`).join(", ")}.`;
  if (hits.length) return h("p", {}, `${plural(hits.length, "hit")}.`, asIf);
  return h("p", {}, `Nothing fits “${query}”${shown.only ? ` among ${shown.only}s` : ""}. `, near);
}

/** One artifact in a list; only a hit has a score, a snippet and reasons. */
function row(one, app) {
  const isHit = one.score !== undefined;
  return h("li", {},
    h("div", { class: "row" },
      h("strong", {}, app.link("artifact", one.path, one.name)), h("span", { class: "quiet small" }, one.domain), ...marks(one),
      h("span", { class: "end" }, one.uses ? [`used ${count(one.uses)} ×, `, time(one.lastUsed)] : null, isHit && h("span", { title: `${Math.round(one.fits * 100)} % sure that it is about this` }, one.uses ? " · " : "", one.score.toFixed(1)))),
    h("p", {}, isHit ? one.snippet.map(([text, isMatch]) => (isMatch ? h("mark", {}, text) : text)) : one.description),
    h("code", { class: "quiet" }, one.path),
    isHit && one.why.length > 0 && h("details", { "data-key": `why ${one.path}` }, h("summary", {}, "Why"),
      h("table", {}, h("caption", { class: "hidden" }, `What the score of ${one.name} is made of`), h("tbody", {}, one.why.map((part) =>
        h("tr", {}, h("th", { scope: "row" }, part.name), h("td", { class: "number" }, part.points.toFixed(2)), h("td", {}, part.said)))))),
    isHit && one.copies.length > 0 && h("details", { "data-key": `copies ${one.path}` }, h("summary", {}, plural(one.copies.length, "identical copy", "identical copies")),
      h("ul", {}, one.copies.map((path) => h("li", {}, h("code", {}, path))))));
}

export function marks(one) {
  return [
    one.deprecated && badge("UNKNOWN", "deprecated"),
    one.hidden && badge("OFF", "not offered to the model"),
    one.source !== "project" && badge("OFF", one.source),
  ];
}
