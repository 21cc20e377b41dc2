// One artifact: what it says of itself, how it is used, and its text.

import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { empty, figures, lead, record, section, time } from "../parts.js";
import { marks } from "./knowledge.js";

export default {
  title: ({ of }) => (of ? of.split("/").pop() : "Artifact"),
  under: "knowledge",
  draw(data, shown, app) {
    const { artifact: one } = data;
    const crumb = app.link("knowledge", "", "Knowledge");
    if (!one) return [lead(shown.of || "Artifact", null, { crumb }), empty("There is no such artifact.")];
    return [
      lead([one.name, " ", ...marks(one)], one.description, { crumb }),
      figures(["Kind", one.domain], ["Used", `${count(one.uses)} ×`], one.lastUsed ? ["Last", time(one.lastUsed)] : null, ["Size", `${count(one.sizeBytes)} B`]),
      record({ path: one.path, source: one.source, complexity: one.complexity, tools: listed(one.tools), tags: listed(one.tags), "use cases": one.useCases === one.tags ? "" : listed(one.useCases), alias: one.alias }),
      data.namesakes.length > 0 && section("Of the same name", null, h("ul", { class: "rows tight" }, data.namesakes.map((other) =>
        h("li", {}, h("div", { class: "row" }, app.link("artifact", other.path), h("span", { class: "quiet small" }, other.domain)))))),
      h("div", { class: "article" },
        data.headings.length > 0 && section("Headings", plural(data.headings.length, "heading"), h("ol", { class: "outline" }, data.headings.map(({ level, title }) => h("li", { "--depth": level - 1 }, title)))),
        section("Text", data.isCut ? "its beginning" : null, data.text === null ? empty(data.problem) : h("pre", { tabindex: "0", "aria-label": "Text of the artifact" }, data.text))),
    ];
  },
};

function listed(text) {
  return text.split(";").filter(Boolean).join(", ");
}
