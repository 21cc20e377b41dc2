// Search over the project's agents, skills, commands and workflows.

import { h } from "../dom.js";
import { count } from "../format.js";
import { empty, lead } from "../parts.js";

const PAUSE_MS = 150;
let box = null;
let waiting = 0;

export default {
  title: () => "Knowledge",
  draw(data, shown, app) {
    box ??= h("input", { id: "search", type: "search", placeholder: "Words in any order", "aria-label": "Search the knowledge base", autocomplete: "off", spellcheck: "false" });
    box.oninput = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => app.go(app.to("knowledge", { of: box.value.trim() }), { replace: true }), PAUSE_MS);
    };
    if (document.activeElement !== box) box.value = shown.of;
    if (data.artifacts === null) return [lead("Knowledge"), empty(`There is no index yet. Build it: agent-studio kb build --env ${shown.env}`)];
    return [
      lead("Knowledge", `${count(data.artifacts)} agents, skills, commands, workflows, hooks and rules.`),
      h("search", {}, box),
      h("div", { role: "status", class: data.hits.length ? "hidden" : null }, said(data, app)),
      data.hits.length > 0 && h("ul", { class: "rows" }, data.hits.map((hit) => h("li", {},
        h("div", { class: "row" }, h("strong", {}, hit.name), h("span", { class: "quiet small" }, hit.domain), h("code", { class: "end" }, hit.path)),
        h("p", {}, hit.description)))),
    ];
  },
};

function said({ query, hits, didYouMean }, app) {
  if (!query) return h("p", { class: "quiet" }, "Search by name, use or tool.");
  if (hits.length) return `${count(hits.length)} hits`;
  return h("p", {}, `Nothing fits “${query}”. `, didYouMean && ["Did you mean ", app.link("knowledge", didYouMean), "?"]);
}
