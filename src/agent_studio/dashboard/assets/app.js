// The frame: which page of which environment is shown, and when it is drawn again.

import { ask, follow, hasToken, takeToken } from "./api.js";
import { h, put } from "./dom.js";
import { age, lead, problem } from "./parts.js";
import agents from "./pages/agents.js";
import alerts from "./pages/alerts.js";
import artifact from "./pages/artifact.js";
import burnin from "./pages/burnin.js";
import costs from "./pages/costs.js";
import evals from "./pages/evals.js";
import errors from "./pages/errors.js";
import evolution from "./pages/evolution.js";
import hook from "./pages/hook.js";
import hooks from "./pages/hooks.js";
import knowledge from "./pages/knowledge.js";
import overview from "./pages/overview.js";
import party from "./pages/party.js";
import session from "./pages/session.js";
import sessions from "./pages/sessions.js";

const PAGES = {
  overview, hooks, hook, agents, errors, costs, sessions, session, alerts, knowledge, artifact, burnin, evals, evolution, party,
};
const LISTED = ["overview", "hooks", "agents", "errors", "costs", "sessions", "alerts", "burnin", "evals", "evolution", "party", "knowledge"];
const SPANS = { 1: "1 h", 6: "6 h", 24: "24 h", 168: "7 d", 720: "30 d" };
const AGAIN_MS = 30_000; // stretches of time move on even when nothing is written
const element = (id) => document.getElementById(id);

let about = null;
let shown = { page: "overview", env: "", hours: "24", of: "", only: "" };
let drawn = "";
let loading = new AbortController();
let following = new AbortController();
let due = false;

/** What pages may ask of the frame. */
const app = {
  /** Return the address of a page; what is not named stays as it is, but what a page was about. */
  to(page, changes = {}) {
    const { env, hours, of, only } = { ...shown, of: "", only: "", ...changes };
    const query = new URLSearchParams({ ...(env && env !== about.environment ? { env } : {}), ...(hours === "24" ? {} : { hours }), ...(of ? { of } : {}), ...(only ? { only } : {}) });
    return `/dashboard${page === "overview" ? "" : `/${page}`}${query.size ? `?${query}` : ""}`;
  },
  link(page, of, text = of) {
    return h("a", { href: app.to(page, { of }) }, text);
  },
  go(address, { replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](null, "", address);
    show({ arrived: !replace });
  },
  again: () => load(),
  get environment() { return shown.env; },
  /** The token is one environment's: the server's own. */
  get mayAct() { return hasToken() && shown.env === about.environment; },
};

async function start() {
  takeToken();
  addEventListener("hashchange", () => takeToken() && location.reload());
  try {
    about = await ask("about", {});
  } catch (error) {
    put(element("main"), lead("The dashboard cannot be shown"), problem(error));
    return;
  }
  element("project").textContent = about.project;
  document.addEventListener("click", clicked);
  addEventListener("popstate", () => show());
  document.addEventListener("visibilitychange", seen);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawn = ""; load(); });
  document.addEventListener("focusout", () => setTimeout(() => due && load()));
  setInterval(again, AGAIN_MS);
  await show();
}

/** What was told a while ago is older now, even where nothing is new; a question that is under way goes on. */
function again() {
  if (document.hidden) return;
  age(document);
  if (element("main").getAttribute("aria-busy") !== "true") load();
}

/** A page that nobody sees asks nothing; a browser has only a handful of connections to a server. */
function seen() {
  if (document.hidden) {
    following.abort();
  } else {
    listen();
    load();
  }
}

/** Links to our own pages change the page in place. */
function clicked(event) {
  const link = event.target.closest("a[href^='/dashboard']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  app.go(link.getAttribute("href"));
}

function show({ arrived = false } = {}) {
  const query = new URLSearchParams(location.search);
  const [, , page = "overview", named = ""] = location.pathname.split("/");
  const before = shown;
  shown = {
    page: page in PAGES ? page : "overview",
    env: about.environments.includes(query.get("env")) ? query.get("env") : about.environment,
    hours: query.get("hours") in SPANS ? query.get("hours") : "24",
    of: query.get("of") ?? named,
    only: query.get("only") ?? "",
  };
  frame();
  if (before.page !== shown.page || before.of !== shown.of || before.only !== shown.only) drawn = "";
  if (before.env !== shown.env || following.signal.aborted || !before.env) listen();
  return load({ arrived });
}

/** Draw the page's frame: environments, stretches of time, pages. */
function frame() {
  document.title = `${PAGES[shown.page].title(shown)} – ${shown.env} – ${about.project}`;
  put(element("choices"),
    segments("Environment", about.environments.map((env) => [env, app.to(shown.page, { env, of: shown.of, only: shown.only }), env === shown.env])),
    segments("Time shown", about.hours.map((hours) => [SPANS[hours], app.to(shown.page, { hours: String(hours), of: shown.of, only: shown.only }), String(hours) === shown.hours])));
  const current = PAGES[shown.page].under ?? shown.page;
  put(element("pages"), h("ul", {}, LISTED.map((name) =>
    h("li", {}, h("a", { href: app.to(name), "aria-current": name === current ? "page" : null }, PAGES[name].title({}))))));
  element("pages").querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
}

function segments(label, choices) {
  return h("div", { class: "segments", role: "group", "aria-label": label }, choices.map(([text, href, isCurrent]) =>
    h("a", { href, "aria-current": isCurrent ? "true" : null }, text)));
}

async function load({ arrived = false } = {}) {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const page = PAGES[shown.page];
  const { env, hours, of, only } = shown;
  element("main").setAttribute("aria-busy", "true");
  try {
    const data = await ask(page.view ?? shown.page, { env, hours, ...(of ? { of } : {}), ...(only ? { only } : {}) }, signal);
    draw(page, data, arrived);
  } catch (error) {
    if (signal.aborted) return;
    drawn = "";
    put(element("main"), lead(page.title(shown)), problem(error));
  }
  element("main").setAttribute("aria-busy", "false");
}

/** Draw a page, unless nothing changed or somebody is writing on it. */
function draw(page, data, arrived) {
  const text = JSON.stringify([shown, page.same ? page.same(data) : data]);
  const main = element("main");
  due = !arrived && main.contains(document.activeElement) && document.activeElement.matches("input:not([type=search]), select");
  if (due || text === drawn) return;
  drawn = text;
  const kept = keep(main);
  put(main, page.draw(data, shown, app));
  kept.restore();
  if (arrived) {
    scrollTo(0, 0);
    main.querySelector("h1")?.focus();
  }
}

/** Remember what is focused and what is open, by names that outlive the elements. */
function keep(main) {
  const nameOf = (one) => one.id || one.dataset.key || one.getAttribute("href");
  const active = main.contains(document.activeElement) ? document.activeElement : null;
  const focused = active && nameOf(active);
  const row = active?.closest("li[data-key]")?.dataset.key;
  const open = new Set([...main.querySelectorAll("details[open]")].map(nameOf));
  return {
    restore() {
      for (const one of main.querySelectorAll("details")) if (open.has(nameOf(one))) one.open = true;
      if (!active || active === main) return;
      const all = [...main.querySelectorAll("a, button, input, select, summary, [tabindex]")];
      const found = (name) => name && all.find((one) => nameOf(one) === name);
      // What was done may have taken its button away: then its row, or where the page begins.
      (found(focused) ?? found(row) ?? main.querySelector("h1"))?.focus({ preventScroll: true });
    },
  };
}

/** Follow the environment that is shown; the first revision is what was loaded anyway. */
function listen() {
  following.abort();
  following = new AbortController();
  const live = element("live");
  let isFirst = true;
  follow(shown.env, () => {
    if (!isFirst) {
      live.classList.remove("pulse");
      void live.offsetWidth;
      live.classList.add("pulse");
      load();
    }
    isFirst = false;
  }, (state) => {
    isFirst &&= state === "live";
    live.dataset.state = state;
    live.textContent = state === "live" ? "Live" : "Not live";
  }, following.signal);
}

start();
