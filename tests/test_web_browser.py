"""The dashboard in a real browser, used as a person uses it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from bench import browser as real
from bench.browser import settled
from tests.test_web import Served, failing, hook

from agent_studio import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page
    from tests.conftest import Studio

if sys.platform == "win32":
    pytest.skip("written for POSIX systems", allow_module_level=True)

PAGES = (
    "",
    "hooks",
    "hook?of=format.sh",
    "agents",
    "errors",
    "costs",
    "sessions",
    "session?of=s-1",
    "alerts",
    "burnin",
    "party",
    "evolution",
    "evals",
    "knowledge",
    "knowledge?of=review",
    "artifact?of=.claude/agents/code-reviewer.md",
)
PHONE = {"width": 390, "height": 844}
WAIT_MS = 10_000
CORPUS = (
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg/onload=window.hit=1>",
    '"><script>window.hit=1</script>',
    "' onmouseover='window.hit=1' x='",
    "javascript:window.hit=1",
    "</title></style></textarea><script>window.hit=1</script>",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<a href=javascript:window.hit=1>x</a>",
    "{{constructor.constructor('window.hit=1')()}}",
    "<style>@import'http://example.invalid/x'</style>",
    "\u202egnp.exe\u0000\u001b[31m\u2028<b>",
)


class Desk:
    """A project, its dashboard, and a window on it."""

    def __init__(self, studio: Studio, served: Served, browser: Browser) -> None:
        self.studio, self.served, self.browser = studio, served, browser
        self.url = f"http://127.0.0.1:{served.place[1]}"
        self.token = (studio.path / ".agent-studio/staging/serve.token").read_text().strip()
        self.complaints: list[str] = []
        self.asked: set[str] = set()

    def window(self, **options: Any) -> Page:
        """Open a window that notes what the browser complains of and whom it asks."""
        window = self.browser.new_context(**options).new_page()
        window.set_default_timeout(WAIT_MS)
        window.on("pageerror", lambda error: self.complaints.append(str(error)))
        window.on("console", self._console)
        window.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        window.on("request", lambda request: self.asked.add(request.url.split("/")[2]))
        return window

    def _console(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.complaints.append(said.text)

    def open(self, page: str = "", *, token: bool = False, **options: Any) -> Page:
        window = self.window(**options)
        window.goto(f"{self.url}/dashboard{'/' if page else ''}{page}{f'#token={self.token}' if token else ''}")
        settled(window)
        return window


def line(studio: Studio, file: str, **fields: Any) -> None:
    """Write one record of staging."""
    at = clock.timestamp(datetime.now(UTC) - timedelta(minutes=2))
    record = {"timestamp": at, "metadata": {}, "environment": "staging", "release": None, **fields}
    record["eventId"] = f"{abs(hash(json.dumps(record))):032x}"[:32]
    place = studio.path / ".claude/staging" / file
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as journal:
        journal.write(json.dumps(record) + "\n")


def busy(studio: Studio) -> None:
    """Write a little of everything."""
    now = datetime.now(UTC)
    for number in range(40):
        hook(studio, now - timedelta(minutes=30 - number / 2), executionTimeMs=3 + number % 7)
    line(studio, "sessions/session-log.jsonl", sessionId="s-1", event="start", source="startup", model=None)
    for agent, status in (("code-reviewer", "completed"), ("isbn-checker", "failed")):
        line(studio, "metrics/agents.jsonl", agent=agent, agentId=f"a-{agent}", sessionId="s-1", taskId=None,
             durationMs=4_000, tokensUsed=900, status=status, errorMessage=None)  # fmt: skip
    for severity in ("LOW", "HIGH"):
        line(studio, "metrics/errors.jsonl", errorType="SystemError", severity=severity, source="api",
             message="529: overloaded", tool=None, sessionId="s-1")  # fmt: skip
    spent = ("--model", "claude-haiku-5-5", "--input-tokens", "900", "--output-tokens", "80")
    done = studio.run("cost", "record", "--env", "staging", *spent)
    assert done.code == 0, done.err


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    place = real.program()
    if place is None:
        pytest.skip("no Chromium is installed")
    with real.browser(place) as started:
        yield started


@pytest.fixture
def desk(staged: Studio, browser: Browser) -> Iterator[Desk]:
    """A dashboard of a staging environment in which a little of everything happened."""
    busy(staged)
    served = Served(staged)
    desk = Desk(staged, served, browser)
    yield desk
    for context in browser.contexts:
        context.close()
    if served.process.poll() is None:
        code, said = served.stop()
        assert (code, said) == (0, "")


def test_every_page_is_drawn_without_a_complaint_and_nobody_else_is_asked(desk: Desk) -> None:
    window = desk.open()
    for page in PAGES:
        window.goto(f"{desk.url}/dashboard/{page}")
        settled(window)
        assert window.locator("h1").count() == 1, page
        assert window.get_by_role("alert").count() == 0, (page, window.inner_text("main"))
        assert window.get_by_role("navigation", name="Pages").get_by_role("link").count() == 12
    assert desk.complaints == []
    assert desk.asked == {desk.url.removeprefix("http://")}


def test_a_party_has_a_page_at_its_own_address_on_which_nothing_said_is_markup(desk: Desk) -> None:
    said = [{"option": "Alpha", "stance": "support", "confidence": 0.9, "rationale": text, "risks": [text]}
            for text in CORPUS[:5]]  # fmt: skip
    names = ("architect", "developer", "qa", "security-architect", "sceptic")
    replies = {name: [one] for name, one in zip(names, said, strict=True)}
    script = desk.studio.write("script.json", json.dumps({"replies": replies}))
    words = ("Which <b>one</b>?", "--options", "Alpha|Beta", "--model", f"scripted:{script}", "--env", "staging")
    done = desk.studio.process("party", "run", *words, "--json")  # a browser has the loop of this thread
    assert done.code == 0, done.out
    party = done.data["id"]
    window = desk.open(f"party/{party}")
    assert window.inner_text("h1") == "Which <b>one</b>?"
    assert all(text in window.inner_text("main") for text in CORPUS[:5])
    assert window.evaluate("window.hit") is None
    desk.open("party").get_by_role("link", name="Which <b>one</b>?").click()
    assert desk.complaints == []


def test_the_first_page_says_what_is_wrong_and_where_environments_stand(desk: Desk) -> None:
    failing(desk.studio)
    window = desk.open()
    assert re.match(r"Staging is over \d+ limits?", window.inner_text("h1"))
    attention = window.get_by_role("region", name="Needs attention")
    assert "format.sh" in attention.inner_text()
    sides = window.get_by_role("region", name="Environments side by side")
    heads = [head.lower() for head in sides.get_by_role("columnheader").all_inner_texts() if head]
    assert heads == ["development", "staging", "production"]


def test_a_new_record_appears_without_a_reload(desk: Desk) -> None:
    window = desk.open("hooks")
    window.get_by_text("Live", exact=True).wait_for()
    window.evaluate("window.isSameDocument = true")
    hook(desk.studio, hook="brand-new.sh")
    window.get_by_role("link", name="brand-new.sh").first.wait_for()
    assert window.evaluate("window.isSameDocument") is True
    assert desk.complaints == []


def test_an_alert_is_acknowledged_with_the_token_of_the_address(desk: Desk) -> None:
    failing(desk.studio)
    window = desk.open("alerts", token=True)
    assert "token" not in window.url, "the token does not stay in the address"
    mine = window.get_by_role("listitem").filter(has_text="format.sh").first
    mine.get_by_role("button", name="Acknowledge").click()
    window.get_by_label("Note, for others").fill("the script is being mended")
    window.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    window.get_by_text("the script is being mended").wait_for()
    history = (desk.studio.path / ".agent-studio/staging/alerts.jsonl").read_text()
    assert "the script is being mended" in history
    assert desk.complaints == []


def test_without_the_token_nothing_can_be_done_and_the_page_says_how(desk: Desk) -> None:
    failing(desk.studio)
    window = desk.open("alerts")
    assert window.get_by_role("button", name="Acknowledge").first.is_disabled()
    assert "agent-studio monitor web --env staging" in window.inner_text("main")
    window = desk.window()
    window.goto(f"{desk.url}/dashboard/alerts#token=wrong")
    settled(window)
    window.get_by_role("button", name="Silence").first.click()
    window.get_by_label("Why").fill("because")
    window.get_by_role("dialog").get_by_role("button", name="Silence").click()
    window.get_by_role("dialog").get_by_role("alert").wait_for()
    assert "needs the token" in window.get_by_role("dialog").inner_text()


def test_hostile_text_is_shown_as_it_is_and_does_nothing(desk: Desk) -> None:
    for text in CORPUS:
        plant(desk.studio, text)
    assert desk.studio.run("kb", "build", "--env", "staging").code == 0
    failing(desk.studio)
    window = desk.open()
    about = [(page, text) for page in ("hook", "session", "knowledge") for text in CORPUS]
    named = [(f"{page}?of={quote(text, safe='')}", text) for page, text in about]
    for page, text in [*((page, CORPUS[0]) for page in PAGES), *named, ("knowledge?of=hostile", CORPUS[0]),
                       ("artifact?of=hostile-0", CORPUS[0])]:  # fmt: skip
        window.goto(f"{desk.url}/dashboard/{page}")
        settled(window)
        window.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert window.evaluate(HARM) == [], page
        shown = ("hook", "session?", "errors", "agents", "alerts", "knowledge?of=hostile", "artifact?of=hostile")
        is_there = page.startswith(shown)
        if is_there and not page.endswith(("of=format.sh", "of=s-1")):
            assert text[:8] in window.inner_text("main"), page
    assert desk.complaints == []
    assert desk.asked == {desk.url.removeprefix("http://")}


HARM = """() => [
  ...(window.hit ? ["it ran"] : []),
  ...[...document.querySelectorAll("main :is(script, iframe, img, style, object, form)")].map((one) => one.tagName),
  ...[...document.querySelectorAll("main *")].flatMap((one) => [...one.attributes])
    .filter((own) => own.name.startsWith("on") || /^\\s*javascript:/i.test(own.value)).map((own) => own.name),
]"""
"""What a text from a record must never become."""


def plant(studio: Studio, text: str) -> None:
    """Write a text into every field of every kind of record, and into an artifact."""
    for number in range(12):
        hook(studio, hook=text, event=text, tool=text, sessionId=text, agent=text, status="failure",
             metadata={text: text, "number": number})  # fmt: skip
    line(studio, "metrics/agents.jsonl", agent=text, agentId=text, sessionId=text, taskId=text, durationMs=5,
         tokensUsed=5, status="failed", errorMessage=text)  # fmt: skip
    line(studio, "metrics/errors.jsonl", errorType=text, severity="HIGH", source=text, message=text, tool=text,
         sessionId=text, metadata={text: [text]})  # fmt: skip
    line(studio, "sessions/session-log.jsonl", sessionId=text, event="start", source=text, model=text)
    name = f"hostile-{CORPUS.index(text)}"
    studio.write(f".claude/agents/{name}.md", f"---\nname: {name}\ndescription: {json.dumps(text)}\n---\n\nhostile\n")


def test_it_can_be_used_with_the_keyboard_alone(desk: Desk) -> None:
    hook(desk.studio, hook="aaa.sh")
    window = desk.open()
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.textContent") == "Skip to the page"
    window.keyboard.press("Enter")
    assert window.evaluate("document.activeElement.id") == "main"
    link = window.get_by_role("navigation", name="Pages").get_by_role("link", name="Hooks")
    link.focus()
    window.keyboard.press("Enter")
    window.get_by_role("heading", name="Hooks", level=1).wait_for()
    window.wait_for_function("document.activeElement.tagName === 'H1'")
    sort = window.get_by_role("columnheader", name="Hook").first.get_by_role("button")
    sort.focus()
    window.keyboard.press("Enter")
    assert window.get_by_role("rowheader").first.inner_text() == "aaa.sh"
    window.keyboard.press("Enter")
    assert window.get_by_role("rowheader").first.inner_text() == "format.sh"
    assert window.get_by_role("columnheader", name="Hook").first.get_attribute("aria-sort") == "descending"


def test_going_back_and_an_address_that_was_kept_lead_to_the_same_page(desk: Desk) -> None:
    window = desk.open()
    window.get_by_role("link", name="format.sh").first.click()
    window.get_by_role("heading", name="format.sh", level=1).wait_for()
    window.get_by_role("group", name="Time shown").get_by_role("link", name="7 d").click()
    window.wait_for_url("**/dashboard/hook?hours=168&of=format.sh")
    kept = window.url
    window.go_back()
    window.go_back()
    window.get_by_role("region", name="Environments side by side").wait_for()
    other = desk.window()
    other.goto(kept)
    other.get_by_role("heading", name="format.sh", level=1).wait_for()
    assert other.title().startswith("format.sh – staging")


def test_what_is_open_stays_open_when_news_come(desk: Desk) -> None:
    window = desk.open("errors")
    window.get_by_text("Live", exact=True).wait_for()
    latest = window.get_by_role("region", name="Latest")
    latest.locator("summary").first.click()
    opened = latest.locator("details[open]").inner_text()
    assert "eventId" in opened
    line(desk.studio, "metrics/errors.jsonl", errorType="SystemError", severity="HIGH", source="api",
         message="news of today", tool=None, sessionId="s-1")  # fmt: skip
    latest.get_by_text("news of today").first.wait_for()
    assert latest.locator("details[open]").all_inner_texts() == [opened]


def test_searching_finds_while_typing(desk: Desk) -> None:
    window = desk.open("knowledge")
    window.get_by_role("searchbox").type("migrations", delay=20)
    window.get_by_text("writing-migrations").first.wait_for()
    assert window.evaluate("document.activeElement.id") == "search"
    window.wait_for_url("**/dashboard/knowledge?of=migrations")
    window.get_by_role("searchbox").fill("shipp")
    window.get_by_text("Searched “ship” for “shipp”.").wait_for()
    window.get_by_text("Ship the current branch").wait_for()


def test_a_hit_says_why_and_leads_to_its_text_and_back(desk: Desk) -> None:
    window = desk.open("knowledge?of=review+pull+requests")
    mine = window.get_by_role("listitem").filter(has_text="code-reviewer").first
    assert mine.locator("mark").count() > 0
    mine.get_by_text("Why").click()
    mine.get_by_role("rowheader").first.wait_for()
    mine.get_by_role("link", name="code-reviewer").click()
    window.get_by_label("Text of the artifact").get_by_text("Read the diff first.").wait_for()
    assert window.url.endswith("/dashboard/artifact?of=.claude%2Fagents%2Fcode-reviewer.md")
    window.go_back()
    window.get_by_role("searchbox").wait_for()
    assert window.get_by_role("searchbox").input_value() == "review pull requests"
    assert desk.complaints == []


def test_kinds_narrow_a_search_and_stay_while_typing(desk: Desk) -> None:
    window = desk.open("knowledge?of=ship")
    window.get_by_role("group", name="Kind of artifact").get_by_role("link", name="agent").click()
    window.get_by_text("Nothing fits “ship” among agents").wait_for()
    window.get_by_role("searchbox").fill("code reviewer")
    window.get_by_role("link", name="code-reviewer").wait_for()
    assert "only=agent" in window.url
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.textContent") == "all"
    assert desk.complaints == []


def test_the_most_used_come_first_where_nothing_is_asked(desk: Desk) -> None:
    event = {"session_id": "s-1", "hook_event_name": "PostToolUse", "tool_name": "Skill", "tool_use_id": "t-1",
             "tool_input": {"skill": "writing-migrations"}}  # fmt: skip
    inbox = desk.studio.path / ".claude/staging/metrics/events.jsonl"
    inbox.write_text(json.dumps({"ts": 1, "pid": 1, "kind": "hook", "env": "staging", "payload": event}) + "\n")
    assert desk.studio.run("ingest", "--env", "staging").code == 0
    window = desk.open("knowledge")
    used = window.get_by_role("region", name="Used most")
    used.get_by_role("link", name="writing-migrations").wait_for()
    assert "used 1 ×" in used.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read_in_both_schemes(desk: Desk, scheme: str) -> None:
    failing(desk.studio)
    window = desk.open(viewport=PHONE, color_scheme=scheme)
    for page in PAGES:
        window.goto(f"{desk.url}/dashboard/{page}")
        settled(window)
        assert window.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], page
        assert window.evaluate(CONTRAST) == [], page


@pytest.mark.parametrize("width", [360, 412])
def test_long_names_of_errors_fit_a_phone_and_environments_do_not_touch(desk: Desk, width: int) -> None:
    for severity in ("CRITICAL", "LOW"):
        line(desk.studio, "metrics/errors.jsonl", errorType="UnhandledPromiseRejectionWarning" * 2, severity=severity,
             source="PostToolUse/integration-with-a-long-name.sh", message="cannot read " + "property" * 30, tool=None,
             sessionId="s-1")  # fmt: skip
    window = desk.open("errors", viewport={"width": width, "height": 800})
    for is_open in ("false", "true"):
        window.evaluate(f"document.querySelectorAll('details').forEach((one) => {{ one.open = {is_open}; }})")
        assert window.evaluate("document.documentElement.scrollWidth") <= width, is_open
    window.goto(f"{desk.url}/dashboard")
    settled(window)
    assert window.evaluate(ROOM) == []


ROOM = """() => {
  const heads = [...document.querySelectorAll(".sides thead th")];
  const edge = (one) => {
    const all = document.createRange();
    all.selectNodeContents(one);
    return all.getBoundingClientRect();
  };
  return heads.slice(1).map((one, at) => edge(one).left - edge(heads[at]).right).filter((space) => space < 4);
}"""
"""Spaces between the headings of environments that are too small."""


CONTRAST = """() => {
  const channel = (one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((one) => one.checkVisibility() && !one.closest(":disabled"))
    .map((one) => {
      const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.textContent.trim().slice(0, 40)];
    })
    .filter(([ratio]) => ratio < 4.5);
}"""
"""Texts that stand out less from what is behind them than WCAG 2.2, 1.4.3, asks for, with their contrast."""


def test_a_server_that_is_gone_is_told_and_its_return_is_noticed(desk: Desk) -> None:
    window = desk.open()
    window.get_by_text("Live", exact=True).wait_for()
    assert desk.served.stop()[0] == 0
    window.get_by_text("Not live").wait_for()
    window.get_by_role("link", name="Errors").click()
    window.get_by_text("The server does not answer.").wait_for()
    again = Served(desk.studio, "monitor", "web", "--port", str(desk.served.place[1]))
    try:
        window.get_by_text("Live", exact=True).wait_for()
    finally:
        again.stop()


def test_a_server_that_is_frozen_is_not_live(desk: Desk) -> None:
    window = desk.window()
    window.clock.install()
    window.goto(f"{desk.url}/dashboard")
    window.get_by_text("Live", exact=True).wait_for()
    os.kill(desk.served.process.pid, signal.SIGSTOP)
    try:
        window.clock.fast_forward(25_000)
        assert window.get_by_text("Live", exact=True).count() == 1
        window.clock.fast_forward(20_000)
        window.get_by_text("Not live").wait_for()
    finally:
        os.kill(desk.served.process.pid, signal.SIGCONT)


def test_ages_go_on_where_nothing_is_new(desk: Desk) -> None:
    failing(desk.studio)
    window = desk.window()
    window.clock.install()
    window.goto(f"{desk.url}/dashboard/alerts")
    since = window.locator("time[data-ago]").first
    since.wait_for()
    assert "min" not in since.inner_text()
    window.clock.fast_forward(300_000)
    window.get_by_text(re.compile(r"since \d min ago")).first.wait_for()


def test_the_focus_stays_at_the_alert_that_was_acknowledged(desk: Desk) -> None:
    failing(desk.studio)
    window = desk.open("alerts", token=True)
    window.get_by_text("Live", exact=True).wait_for()
    window.get_by_role("button", name="Acknowledge").first.focus()
    window.keyboard.press("Enter")
    window.keyboard.type("seen")
    window.keyboard.press("Enter")
    window.get_by_text("dashboard: seen").wait_for()
    settled(window)
    assert window.evaluate("document.activeElement.dataset.key").startswith("alert ")


def test_a_token_in_base64_can_be_entered_also_in_an_open_page(staged: Studio, browser: Browser) -> None:
    token = "q/3+x4b2WkZ1o=="
    open_to_all = ("serve", "--host", "0.0.0.0", "--port", "0", "--ingest-interval", "0")
    served = Served(staged, *open_to_all, variables={"AGENT_STUDIO_SERVE_TOKEN": token})
    try:
        for written in (token, quote(token, safe="")):
            window = browser.new_context().new_page()
            window.goto(f"http://127.0.0.1:{served.place[1]}/dashboard")
            window.get_by_role("alert").wait_for()
            window.goto(f"http://127.0.0.1:{served.place[1]}/dashboard#token={written}")
            window.get_by_role("region", name="Environments side by side").wait_for()
            assert "#" not in window.url
    finally:
        assert served.stop()[0] == 0
        for context in browser.contexts:
            context.close()


def test_an_address_that_others_can_reach_shows_nothing_without_its_token(staged: Studio, browser: Browser) -> None:
    busy(staged)
    open_to_all = ("serve", "--host", "0.0.0.0", "--port", "0", "--ingest-interval", "0")
    served = Served(staged, *open_to_all, variables={"AGENT_STUDIO_SERVE_TOKEN": "for-this-test"})
    try:
        window = browser.new_page()
        window.goto(f"http://127.0.0.1:{served.place[1]}/dashboard")
        window.get_by_role("alert").wait_for()
        assert "only with its token" in window.inner_text("main")
        assert "format.sh" not in window.content()
        window = browser.new_page()
        window.goto(f"http://127.0.0.1:{served.place[1]}/dashboard#token=for-this-test")
        window.get_by_role("link", name="format.sh").first.wait_for()
        window.get_by_text("Live", exact=True).wait_for()
    finally:
        assert served.stop()[0] == 0
        for context in browser.contexts:
            context.close()


def test_the_trial_of_many_events_paints_within_a_second(browser: Browser, tmp_path: Path) -> None:
    trial = real.visit(browser, tmp_path / "many", events=20_000)
    assert (trial.faults, len(trial.figures)) == ([], 1)
