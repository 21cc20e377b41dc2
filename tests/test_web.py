"""The dashboard's server: what it sends, to whom, and what it lets anybody do."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import pytest

import agent_studio.dashboard
from agent_studio import clock
from agent_studio.capture.otlp.gate import LOOPBACK, OPEN_PATHS, Gate
from agent_studio.dashboard import shell
from agent_studio.dashboard.live import Revision
from agent_studio.dashboard.questions import VIEWS
from agent_studio.dashboard.web import Dashboard, address
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Studio

    from agent_studio.environment.context import Context

ASSETS = Path(agent_studio.dashboard.__file__).parent / "assets"
OWN = {"host": "127.0.0.1:4392"}
TOKEN = "the-token-of-a-test"
WITH_TOKEN = {**OWN, "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Page:
    """A dashboard of a project, asked as a browser asks, without a socket between."""

    def __init__(self, studio: Studio, environment: str = "staging") -> None:
        from starlette.applications import Starlette

        self.context = context_of(studio, environment)
        self.said: list[str] = []
        self.leaves = False
        self.dashboard = Dashboard(self.context, {}, lambda: TOKEN, is_stopping=lambda: False, say=self.said.append)
        self.app = Gate(Starlette(routes=self.dashboard.routes()), LOOPBACK, None, self.dashboard.public())

    def get(self, path: str, headers: dict[str, str] | None = None, **query: str) -> Answer:
        return self.ask("GET", path, headers or OWN, query=query)

    def view(self, name: str, **query: str) -> dict[str, Any]:
        found = self.ask("GET", f"/api/{name}", OWN, query=query)
        assert found.status == 200, found.body
        return found.json

    def post(self, path: str, wanted: Any, headers: dict[str, str] | None = None) -> Answer:
        body = wanted if isinstance(wanted, bytes) else json.dumps(wanted).encode()
        return self.ask("POST", path, WITH_TOKEN if headers is None else headers, body)

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b"", query: dict[str, str] | None = None
    ) -> Answer:
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": urlencode(query or {}).encode(), "scheme": "http", "server": ("127.0.0.1", 4392),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        sent: list[Any] = []
        incoming = [{"type": "http.request", "body": body, "more_body": self.leaves}]

        async def receive() -> Any:
            return incoming.pop() if incoming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await asyncio.sleep(0)
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, b"".join(one.get("body", b"") for one in sent[1:]))


def context_of(studio: Studio, environment: str = "staging") -> Context:
    return open_context(Project(studio.path), Choice(Environment(environment), "--env"), {})


def hook(studio: Studio, at: datetime | None = None, environment: str = "staging", **fields: Any) -> None:
    """Write down that a hook ran."""
    folder = ".claude/staging/metrics" if environment == "staging" else ".claude/metrics"
    record = {
        "timestamp": clock.timestamp(at or datetime.now(UTC) - timedelta(seconds=5)), "hook": "format.sh",
        "event": "PostToolUse", "tool": "Edit", "executionTimeMs": 4.5, "status": "success", "sessionId": "s-1",
        "agent": None, "metadata": {}, "environment": environment, "release": None, **fields,
    }  # fmt: skip
    record["eventId"] = hashlib.sha256(json.dumps(record).encode()).hexdigest()[:32]
    place = studio.path / folder / "hooks.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as journal:
        journal.write(json.dumps(record) + "\n")


def line_of(place: Path) -> None:
    """Append a line that is a record of nothing."""
    with place.open("a") as journal:
        journal.write("{}\n")


def failing(studio: Studio) -> None:
    """Write down what is over a limit beyond doubt, and let an alert fire."""
    from agent_studio.monitor import alerts, metrics, rules

    start = datetime.now(UTC) - timedelta(minutes=5)
    for number in range(120):
        hook(studio, start + timedelta(seconds=number), status="failure")
    context = context_of(studio)
    summary = metrics.summary(context, metrics.last_hours(24))
    alerts.evaluate(context, rules.verdicts(context, summary))


@pytest.fixture
def page(staged: Studio) -> Page:
    """The dashboard of a fresh staging environment."""
    return Page(staged)


# --- What is sent ---------------------------------------------------------------------------------------------------


class Inline(HTMLParser):
    """Notes what a strict policy would refuse, and what would come from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.found += [f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name == "style"]
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"} and data.strip():
            self.found.append(f"inline {self._inside}")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as the parser calls it
        self._inside = ""


def test_every_page_and_file_is_sent_under_the_strict_policy(page: Page) -> None:
    paths = [route.path for route in shell.routes()]
    assert {"/", "/dashboard", "/dashboard/alerts", "/assets/app.js", "/assets/vendor/uPlot.min.js"} <= set(paths)
    for path in paths:
        answer = page.get(path)
        assert answer.status == 200
        assert answer.headers.items() >= shell.HEADERS.items(), path
        assert not [name for name in answer.headers if name.startswith("access-control")]
    policy = shell.HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_the_page_holds_no_inline_code_and_asks_nothing_of_other_sites() -> None:
    parser = Inline()
    parser.feed((ASSETS / "index.html").read_text())
    assert parser.found == []
    assert [link for link in parser.links if not link.startswith(("/", "#"))] == []
    for place in ASSETS.rglob("*.*"):
        if "vendor" not in place.parts:
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", place.read_text()), place


def test_every_script_that_is_imported_is_there_and_none_turns_text_into_markup() -> None:
    sinks = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc|javascript:"
    )
    for place in ASSETS.rglob("*.js"):
        if "vendor" in place.parts:
            continue
        text = place.read_text()
        assert not sinks.search(text), place
        for imported in re.findall(r'from "(\.[^"]+)"', text):
            assert (place.parent / imported).resolve().is_file(), f"{place} imports {imported}"


def test_what_comes_from_others_is_what_is_written_down() -> None:
    listed = (Path(__file__).parent.parent / "THIRD_PARTY.md").read_text()
    for place in (ASSETS / "vendor").iterdir():
        assert hashlib.sha256(place.read_bytes()).hexdigest() in listed, place.name


def test_a_file_that_is_known_already_is_not_sent_again(page: Page) -> None:
    first = page.get("/assets/app.js")
    again = page.get("/assets/app.js", {**OWN, "if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert page.get("/assets/app.css", {**OWN, "if-none-match": first.headers["etag"]}).status == 200


def test_nothing_beside_the_listed_files_is_sent(page: Page) -> None:
    for path in ("/assets/../web.py", "/assets/%2e%2e/web.py", "/assets/index.html", "/assets/vendor/uPlot.LICENSE"):
        assert page.get(path).status == 404


# --- To whom --------------------------------------------------------------------------------------------------------


def test_a_page_that_rebinds_its_name_and_pages_of_other_sites_are_refused(page: Page) -> None:
    for path in ("/dashboard", "/api/overview", "/events", "/assets/app.js"):
        assert page.get(path, {"host": "attacker.example"}).status == 421
        assert page.get(path, {**OWN, "origin": "http://attacker.example"}).status == 403
    failing_post = page.post("/api/alerts/acknowledge", {"id": "x"}, {**WITH_TOKEN, "origin": "null"})
    assert failing_post.status == 403


def test_other_sites_may_link_to_a_page_and_load_nothing(page: Page) -> None:
    link = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    image, frame = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, {**link, "sec-fetch-dest": "iframe"}
    for site in ("cross-site", "same-site"):
        for path in ("/dashboard", "/api/overview", "/events", "/assets/app.js", "/nowhere"):
            for kind in (image, frame, {}):
                assert page.get(path, {**OWN, "sec-fetch-site": site, **kind}).status == 403, (path, kind)
        assert page.get("/dashboard/errors", {**OWN, "sec-fetch-site": site, **link}).status == 200
        assert page.get("/api/overview", {**OWN, "sec-fetch-site": site, **link}).status == 403
        posted = page.post("/api/alerts/acknowledge", {"id": "x"}, {**WITH_TOKEN, "sec-fetch-site": site, **link})
        assert posted.status == 403
    for site in ("same-origin", "none"):
        assert page.get("/api/about", {**OWN, "sec-fetch-site": site, **image}).status == 200


def test_no_answer_is_a_page_or_a_script_by_mistake(page: Page) -> None:
    refused = {
        404: page.get("/nowhere"),
        405: page.ask("DELETE", "/dashboard", OWN),
        421: page.get("/dashboard", {"host": "attacker.example"}),
        403: page.get("/dashboard", {**OWN, "origin": "http://attacker.example"}),
    }
    for status, answer in refused.items():
        assert answer.status == status
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_token_acts_on_its_own_environment_alone(staged: Studio) -> None:
    page = Page(staged)
    before = staged.snapshot(".agent-studio/production")
    wanted = {"rule": "hookFailureRate", "label": "", "hours": 4, "why": "known"}
    refused = page.post("/api/alerts/silence", {**wanted, "env": "production"})
    assert refused.status == 403
    assert "monitor web --env production" in refused.json["problem"]["hint"]
    assert staged.snapshot(".agent-studio/production") == before
    assert page.post("/api/alerts/silence", {**wanted, "env": "staging"}).status == 200


def test_a_token_of_any_characters_can_stand_in_an_address() -> None:
    assert address("http://127.0.0.1:1", "a+/=%&#").endswith("/dashboard#token=a%2B%2F%3D%25%26%23")


def test_doing_takes_the_token_and_reading_does_not(page: Page) -> None:
    without = {name: value for name, value in WITH_TOKEN.items() if name != "authorization"}
    for action in ("acknowledge", "silence"):
        for headers in (without, {**without, "authorization": "Bearer wrong"}, {**without, "authorization": TOKEN}):
            refused = page.post(f"/api/alerts/{action}", {"id": "x"}, headers)
            assert refused.status == 401
            assert "monitor web" in refused.json["problem"]["hint"]
    assert page.get("/api/alerts").status == 200
    assert page.get("/api/alerts/acknowledge").status in {404, 405}


def test_where_a_token_is_asked_for_only_what_holds_no_data_goes_without(staged: Studio) -> None:
    from starlette.applications import Starlette

    page = Page(staged)
    public = Dashboard.public()
    page.app = Gate(Starlette(routes=[]), None, TOKEN, public | OPEN_PATHS)
    assert page.get("/dashboard/alerts").status == 404, "let through to an app that has no routes"
    for path in ("/hooks", "/events", "/v1/logs", *(f"/api/{name}" for name in VIEWS)):
        assert page.get(path).status == 401, path


# --- What it answers ------------------------------------------------------------------------------------------------


def test_every_view_answers_before_anything_was_recorded(page: Page) -> None:
    for name in VIEWS:
        assert page.view(name, of="nothing"), name
    assert page.said == []


def test_the_overview_has_every_environment_and_says_which_cannot_be_read(staged: Studio) -> None:
    hook(staged)
    hook(staged, environment="production")
    hook(staged, environment="production")
    page = Page(staged)
    calls = {one["environment"]: one["totals"]["calls"] for one in page.view("overview")["environments"]}
    assert calls == {"development": 0, "staging": 1, "production": 2}
    metrics = staged.path / ".claude/metrics"
    metrics.rename(staged.path / "elsewhere")
    metrics.symlink_to(staged.path / "elsewhere")
    broken = {one["environment"]: one for one in Page(staged).view("overview")["environments"]}
    assert broken["staging"]["totals"]["calls"] == 1
    assert "metrics" in broken["production"]["problem"]["message"]


def test_a_question_that_cannot_be_answered_is_told_what_would_be_right(page: Page) -> None:
    named = page.get("/api/hooks", env="stagign")
    assert (named.status, named.json["problem"]["hint"]) == (400, 'did you mean "staging"?')
    for name in VIEWS:
        assert page.get(f"/api/{name}", env="nope").status == 400, name
    assert page.get("/api/hooks", hours="5").status == 400
    assert page.get("/api/hooks", hours="24; DROP TABLE hooks").status == 400
    assert page.get("/api/hook", of="x" * 2_000).status == 400
    assert page.get("/events", env="nowhere").status == 400
    assert page.get("/api/nothing").status == 404


def test_names_from_records_are_values_and_never_part_of_a_query(staged: Studio) -> None:
    name = "'; DROP TABLE hooks; --"
    hook(staged, hook=name)
    hook(staged)
    found = Page(staged).view("hook", of=name)
    assert found["hook"]["calls"] == 1
    assert found["hook"]["hook"] == name


def test_the_same_question_is_worked_out_once_until_something_is_recorded(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_studio.dashboard import live, view

    asked: list[int] = []
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    original: Callable[..., dict[str, Any]] = view.overview

    def counted(*words: Any) -> dict[str, Any]:
        asked.append(1)
        return original(*words)

    monkeypatch.setattr(view, "overview", counted)
    page = Page(staged)
    hook(staged)
    page.dashboard.warm()
    for thread in threading.enumerate():
        if thread.name == "first page":
            thread.join(20)
    first = page.get("/api/overview").body
    assert page.get("/api/overview").body == first
    assert len(asked) == len(Environment)
    hook(staged)
    assert page.view("overview")["environments"][1]["totals"]["calls"] == 2


def test_answers_that_are_too_old_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_studio.dashboard import answers

    monkeypatch.setattr(answers, "FRESH_SECONDS", 0.05)
    kept = answers.Answers()
    kept.get("old", lambda: {"text": "x" * 1_000})
    time.sleep(0.06)
    kept.get("new", dict)
    assert list(kept._kept) == ["new"]


def test_a_bug_of_ours_is_told_without_its_innards(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_studio.dashboard import view

    def broken(*_: Any) -> dict[str, Any]:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(view, "overview", broken)
    found = page.get("/api/overview")
    assert found.status == 500
    assert b"secret of the house" not in found.body
    assert any("secret of the house" in line for line in page.said)


def test_the_knowledge_base_is_searched_and_a_missing_one_is_said(staged: Studio) -> None:
    page = Page(staged)
    found = page.view("knowledge", of="review for correctness")
    assert [hit["name"] for hit in found["hits"]] == ["code-reviewer"]
    (hit,) = found["hits"]
    assert "".join(text for text, _ in hit["snippet"]) == "Reviews pull requests for correctness and style."
    assert "correctness" in [text for text, is_match in hit["snippet"] if is_match]
    assert {"name", "points", "said"} <= set(hit["why"][0])
    assert found["domains"]["agent"] == 1
    assert page.view("knowledge", of="shipp")["didYouMean"] == "ship"
    assert page.view("knowledge", of="review", only="skill")["hits"] == []
    assert page.view("knowledge", env="production")["artifacts"] is None


def test_an_artifact_is_shown_with_its_text_and_no_credential(staged: Studio) -> None:
    secret = "ghp_" + "a1B2" * 9
    staged.write(".claude/agents/leaky.md", f"---\nname: leaky\ntools: Read\n---\n# One\n\n{secret}\n\n## Two\n")
    staged.write(".claude/commands/leaky.md", "---\ndescription: Another\n---\nGo.\n")
    page = Page(staged)
    found = page.view("artifact", of=".claude/agents/leaky.md")
    assert (found["artifact"]["name"], found["artifact"]["tools"]) == ("leaky", "Read")
    assert [(one["level"], one["title"]) for one in found["headings"]] == [(1, "One"), (2, "Two")]
    assert [one["path"] for one in found["namesakes"]] == [".claude/commands/leaky.md"]
    assert "# One" in found["text"]
    assert secret not in json.dumps(found)
    assert page.view("artifact", of="no such")["artifact"] is None
    outside = staged.path.parent / "outside.md"
    outside.write_text("not yours")
    place = staged.path / ".claude/agents/leaky.md"
    place.unlink()
    place.symlink_to(outside)
    assert "not yours" not in json.dumps(page.view("artifact", of=".claude/agents/leaky.md"))


@pytest.mark.parametrize("only", ["a b", "<x>", "k" * 41, "1"])
def test_a_kind_that_can_be_none_is_refused(page: Page, only: str) -> None:
    assert page.get("/api/knowledge", of="x", only=only).status == 400


def test_what_is_recorded_sealed_or_acknowledged_is_news_and_what_only_waits_is_not(staged: Studio) -> None:
    revision = Revision(context_of(staged).root)
    metrics = staged.path / ".claude/staging/metrics"

    def now() -> str:
        revision.forget()
        return revision()

    seen = [now()]
    (metrics / "events.jsonl").write_text("{}\n")
    assert now() == seen[0]
    for change in (
        lambda: hook(staged),
        lambda: (metrics / "hooks.jsonl").rename(metrics / "hooks.2026-01-31.1.jsonl"),
        lambda: failing(staged),
        lambda: line_of(staged.path / ".claude/staging/sessions/session-log.jsonl"),
    ):
        change()
        assert now() not in seen
        seen.append(now())


def test_pages_are_told_by_streams_only_up_to_a_number(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_studio.dashboard import live

    monkeypatch.setattr(live, "STREAMS", 0)
    refused = page.get("/events")
    assert (refused.status, refused.headers["retry-after"]) == (503, "60")


# --- What it does ---------------------------------------------------------------------------------------------------


def test_an_alert_is_acknowledged_with_a_note(staged: Studio) -> None:
    failing(staged)
    page = Page(staged)
    (alert,) = [one for one in page.view("alerts")["alerts"] if one["rule"] == "hookFailureRate"]
    assert (alert["state"], alert["acknowledged"]) == ("firing", None)
    done = page.post("/api/alerts/acknowledge", {"id": alert["id"], "note": "the script is being mended"})
    assert done.status == 200
    (after,) = [one for one in page.view("alerts")["alerts"] if one["id"] == alert["id"]]
    assert after["acknowledged"]["note"] == "the script is being mended"
    assert after["acknowledged"]["who"].endswith("dashboard")


def test_a_silence_fits_only_the_one_it_was_asked_for(staged: Studio) -> None:
    from agent_studio.monitor import alerts

    page = Page(staged)
    wanted = {"rule": "hookFailureRate", "label": "any[thing]*", "hours": 4, "why": "known"}
    assert page.post("/api/alerts/silence", wanted).status == 200
    (made,) = alerts.silences(page.context)
    now = clock.timestamp(clock.now())
    assert made.covers("hookFailureRate", "any[thing]*", now)
    assert not made.covers("hookFailureRate", "any[thing] else", now)
    assert not made.covers("hookFailureRate", "anyt", now)


def test_what_is_asked_wrongly_changes_nothing(staged: Studio) -> None:
    failing(staged)
    page = Page(staged)
    before = staged.snapshot(".agent-studio/staging")
    wrong: list[tuple[str, Any, int]] = [
        ("acknowledge", {"id": ""}, 400),
        ("acknowledge", {"id": "no such alert"}, 400),
        ("acknowledge", {"id": ["a"]}, 400),
        ("acknowledge", [], 400),
        ("acknowledge", b"{", 400),
        ("acknowledge", b"[" * 5_000, 400),
        ("acknowledge", {"id": "x", "note": "n" * 20_000}, 413),
        ("silence", {"rule": "hookFailureRate", "hours": 0, "why": "x"}, 400),
        ("silence", {"rule": "hookFailureRate", "hours": True, "why": "x"}, 400),
        ("silence", {"rule": "hookFailureRate", "hours": 1e9, "why": "x"}, 400),
        ("silence", {"rule": "hookFailureRate", "hours": 1}, 400),
        ("silence", {"rule": "x", "hours": 1, "why": "x", "env": "elsewhere"}, 400),
    ]
    for action, body, status in wrong:
        assert page.post(f"/api/alerts/{action}", body).status == status, body
    plain = {**WITH_TOKEN, "content-type": "text/plain"}
    assert page.post("/api/alerts/acknowledge", {"id": "x"}, plain).status == 415
    assert staged.snapshot(".agent-studio/staging") == before
    assert page.said == []


def test_a_sender_who_leaves_before_the_end_changes_nothing(page: Page) -> None:
    page.leaves = True
    gone = page.post("/api/alerts/acknowledge", {"id": "x"})
    assert (gone.status, page.said) == (408, [])


# --- As a process ---------------------------------------------------------------------------------------------------


class Served:
    """A dashboard as a process of its own."""

    def __init__(self, studio: Studio, *words: str, variables: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "agent_studio", *(words or ("monitor", "web", "--port", "0"))]
        self.process = subprocess.Popen(
            [*command, "--env", "staging"],
            cwd=studio.path,
            env={**os.environ, **(variables or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        found = re.search(r"http://([\d.]+):(\d+)", self.line)
        assert found, self.line + self.stop()[1]
        self.place = (found[1], int(found[2]))

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.place, timeout=20)

    def stop(self) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


@pytest.fixture
def served(staged: Studio) -> Iterator[Served]:
    one = Served(staged)
    yield one
    if one.process.poll() is None:
        one.process.kill()
        one.process.communicate(timeout=20)


def test_an_open_page_is_told_of_a_new_record_and_does_not_keep_the_server_from_ending(
    staged: Studio, served: Served
) -> None:
    connection = served.connect()
    connection.request("GET", "/events", headers={"Accept": "text/event-stream"})
    stream = connection.getresponse()
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    first = [stream.readline() for _ in range(3)][1]
    hook(staged)
    second = [stream.readline() for _ in range(3)][1]
    assert first.startswith(b"data: ")
    assert first != second
    began = time.monotonic()
    assert served.stop() == (0, "")
    assert time.monotonic() - began < 3
    connection.close()


def test_the_address_holds_a_token_that_only_its_owner_can_read(staged: Studio, served: Served) -> None:
    token = staged.path / ".agent-studio/staging/serve.token"
    assert served.line.strip().endswith(f"/dashboard#token={token.read_text().strip()}")
    assert token.stat().st_mode & 0o777 == 0o600


def test_where_the_daemon_runs_its_own_address_is_named(staged: Studio) -> None:
    daemon = Served(staged, "serve", "--port", "0", "--ingest-interval", "0")
    try:
        named = staged.process("monitor", "web", "--env", "staging")
        assert named.code == 0
        assert f":{daemon.place[1]}/dashboard#token=" in named.out
        connection = daemon.connect()
        connection.request("GET", "/api/overview")
        assert json.loads(connection.getresponse().read())["environments"][1]["environment"] == "staging"
        connection.close()
    finally:
        assert daemon.stop()[0] == 0


def test_a_daemon_with_a_token_of_its_own_is_not_named_with_another(staged: Studio, tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_text("gi+ven/=\n")
    daemon = Served(staged, "serve", "--port", "0", "--ingest-interval", "0", "--token-file", str(file))
    try:
        named = staged.process("monitor", "web", "--env", "staging")
        assert named.code == 0
        assert named.out.strip().endswith(f":{daemon.place[1]}/dashboard")
        assert "#token=TOKEN" in named.err
        assert "--token-file" in named.err
        where = (staged.path / ".agent-studio/staging/serve.json").read_text()
        assert json.loads(where)["tokenGiven"] is True
        assert "gi+ven" not in where + named.out + named.err
    finally:
        assert daemon.stop()[0] == 0


def test_a_port_that_is_taken_is_said(staged: Studio, served: Served) -> None:
    other = staged.process("monitor", "web", "--env", "staging", "--port", str(served.place[1]))
    assert other.code == 5
    assert "taken by another program" in other.err
