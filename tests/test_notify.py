"""Telling of alerts: nothing lost while a channel is down, nothing told twice, and only where it should go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import until

from agent_studio import clock
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import ConfigurationError
from agent_studio.monitor import alerts, notify
from agent_studio.monitor.channels import webhook
from agent_studio.monitor.destinations import destinations
from agent_studio.monitor.verdict import BREACH, OK, Verdict
from agent_studio.monitor.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Studio

STAGING = ("--env", "staging")
START = datetime(2026, 11, 20, 9, tzinfo=UTC)


class Receiver:
    """A real server for webhooks, as good or bad as it is told to be."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda one: self.say(one, 204)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, data))
                with suppress(OSError):
                    receiver.answer(self)

            def do_GET(self) -> None:
                receiver.requests.append(({}, b"{}"))
                receiver.say(self, 200)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/token-in-path"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @staticmethod
    def say(one: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
        one.send_response(code)
        for name, value in headers.items():
            one.send_header(name.replace("_", "-"), value)
        one.send_header("Content-Length", "0")
        one.end_headers()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(data) for _, data in self.requests]

    @property
    def steps(self) -> list[str]:
        return [f"{one['label']} {one['step']}" for body in self.bodies for one in body["alerts"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], datetime]:
    """Set the clock to so many seconds after the start."""

    def moved(seconds: float) -> datetime:
        moment = START + timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "now", lambda: moment)
        return moment

    moved(0)
    return moved


def _context(studio: Studio, *entries: str) -> Context:
    listed = "".join(f"    - {entry}\n" for entry in entries)
    studio.write(".claude/config.staging.yaml", f"environment: staging\nmonitoring:\n  notify:\n{listed}")
    return open_context(Project(studio.path), Choice(Environment.STAGING, "--env"), {})


def _hook(receiver: Receiver, more: str = "") -> str:
    return f"{{channel: webhook, url: '{receiver.url}', timeoutSeconds: 1{more}}}"


def _verdict(label: str = "guard", state: str = BREACH, **more: Any) -> Verdict:
    plain = Verdict(
        "hookFailureRate", label, state, "HIGH", 0.2, 0.12, 0.3, 0.1, "ratio", 100, 0, "20 of 100 runs failed",
        clear=state == OK,
    )  # fmt: skip
    return plain._replace(**more)


def _outcomes(found: list[notify.Outcome]) -> list[tuple[str, str]]:
    return [(one.channel, one.outcome) for one in found]


def test_a_step_is_posted_once_and_says_what_happened(
    staged: Studio, receiver: Receiver, at: Callable[[float], datetime]
) -> None:
    context = _context(staged, _hook(receiver))
    alerts.evaluate(context, [_verdict()])
    assert _outcomes(notify.deliver(context)) == [("webhook", "sent")]
    for seconds in (60, 120):
        alerts.evaluate(context, [_verdict()], at(seconds))
        assert notify.deliver(context) == []
    (body,) = receiver.bodies
    assert body["text"] == "FIRING HIGH staging: hookFailureRate guard: 20 of 100 runs failed"
    (one,) = body["alerts"]
    assert (one["value"], one["limit"], one["unit"], one["since"]) == (0.2, 0.1, "ratio", clock.timestamp(START))
    alerts.evaluate(context, [], at(180))
    notify.deliver(context)
    assert receiver.steps == ["guard firing", "guard resolved"]
    assert receiver.bodies[0]["alerts"][0]["alert"] == receiver.bodies[1]["alerts"][0]["alert"]
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 2


@pytest.mark.parametrize("secret", ["plain text", "whsec_" + base64.b64encode(b"\x00binary\xff").decode()])
def test_a_request_is_signed_as_the_standard_says(staged: Studio, receiver: Receiver, secret: str) -> None:
    context = _context(staged, _hook(receiver, ", secretVariable: OPS_SECRET"))
    alerts.evaluate(context, [_verdict()])
    assert _outcomes(notify.deliver(context, {})) == [("webhook", "failed")]
    assert receiver.requests == [], "never unsigned where a signature is expected"
    assert notify.send_test(context, destinations(context)[0], {"OPS_SECRET": secret}).outcome == "sent"
    headers, data = receiver.requests[0]
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + data
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """The vector of the reference libraries of Standard Webhooks."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = webhook.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_nothing_is_lost_while_the_receiver_is_down_and_all_comes_in_order(
    staged: Studio, receiver: Receiver, at: Callable[[float], datetime]
) -> None:
    context = _context(staged, _hook(receiver))
    receiver.answer = lambda one: receiver.say(one, 503)
    alerts.evaluate(context, [_verdict("a")])
    assert _outcomes(notify.deliver(context)) == [("webhook", "failed")]
    alerts.evaluate(context, [_verdict("a"), _verdict("b")], at(5))
    assert notify.deliver(context) == [], "not before the pause is over"
    alerts.evaluate(context, [_verdict("b")], at(20))
    assert _outcomes(notify.deliver(context)) == [("webhook", "failed")]
    assert notify.waiting(context) == {"webhook": 3}
    receiver.answer = lambda one: receiver.say(one, 200)
    at(600)
    assert _outcomes(notify.deliver(context)) == [("webhook", "sent")] * 2
    accepted = receiver.bodies[2:]
    assert [one["label"] + " " + one["step"] for body in accepted for one in body["alerts"]] == [
        "a firing", "b firing", "a resolved",
    ]  # fmt: skip
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert ids[0] == ids[1] == ids[2] != ids[3], "what is tried again is the same message"
    assert notify.waiting(context) == {}


def test_pauses_double_up_to_a_quarter_of_an_hour(
    staged: Studio, receiver: Receiver, at: Callable[[float], datetime]
) -> None:
    context = _context(staged, _hook(receiver))
    receiver.answer = lambda one: receiver.say(one, 500)
    alerts.evaluate(context, [_verdict()])
    tried = []
    for seconds in range(0, 7_200, 15):
        at(seconds)
        if notify.deliver(context):
            tried.append(seconds)
    pauses = [after - before for before, after in itertools.pairwise(tried)]
    assert pauses[:6] == [15, 30, 60, 120, 240, 480]
    assert set(pauses[6:]) == {900}


def test_the_receiver_may_ask_for_a_longer_pause(
    staged: Studio, receiver: Receiver, at: Callable[[float], datetime]
) -> None:
    context = _context(staged, _hook(receiver))
    receiver.answer = lambda one: receiver.say(one, 429, Retry_After="120")
    alerts.evaluate(context, [_verdict()])
    notify.deliver(context)
    at(119)
    assert notify.deliver(context) == []
    at(120)
    assert len(notify.deliver(context)) == 1


def test_what_is_refused_for_good_holds_nothing_up(
    staged: Studio, receiver: Receiver, at: Callable[[float], datetime]
) -> None:
    context = _context(staged, _hook(receiver))
    receiver.answer = lambda one: receiver.say(one, 422)
    alerts.evaluate(context, [_verdict("a")])
    assert _outcomes(notify.deliver(context)) == [("webhook", "refused")]
    receiver.answer = lambda one: receiver.say(one, 200)
    alerts.evaluate(context, [_verdict("a"), _verdict("b")], at(1))
    assert _outcomes(notify.deliver(context)) == [("webhook", "sent")]
    assert receiver.steps == ["a firing", "b firing"]


def test_after_a_week_it_is_given_up_and_said(
    staged: Studio, receiver: Receiver, at: Callable[[float], datetime]
) -> None:
    context = _context(staged, _hook(receiver))
    receiver.answer = lambda one: receiver.say(one, 500)
    alerts.evaluate(context, [_verdict()])
    notify.deliver(context)
    at(7 * 86_400 + 1)
    assert _outcomes(notify.deliver(context)) == [("webhook", "expired")]
    assert notify.deliver(context) == []


@pytest.mark.parametrize("kind", ["silent", "dripping", "closed", "no http", "dead port", "no such host"])
def test_a_bad_receiver_costs_no_more_than_its_time_limit(staged: Studio, receiver: Receiver, kind: str) -> None:
    over = threading.Event()

    def drip(one: BaseHTTPRequestHandler) -> None:
        one.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not over.wait(0.05):
            one.wfile.write(b"x")

    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
        "silent": lambda _: bool(over.wait(20)) and None,  # type: ignore[dict-item]
        "dripping": drip,
        "closed": lambda one: one.connection.shutdown(socket.SHUT_RDWR),
        "no http": lambda one: bool(one.wfile.write(b"220 mail ready\r\n")) and None,  # type: ignore[dict-item]
    }
    url = receiver.url
    if kind == "dead port":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    elif kind == "no such host":
        url = "http://receiver.invalid/"
    else:
        receiver.answer = answers[kind]
    context = _context(staged, f"{{channel: webhook, url: '{url}', timeoutSeconds: 0.5}}")
    alerts.evaluate(context, [_verdict()])
    began = time.monotonic()
    (one,) = notify.deliver(context)
    took = time.monotonic() - began
    over.set()
    assert one.outcome == "failed"
    assert took < 3
    assert "token-in-path" not in one.detail, "the rest of an address is often a secret"


def test_a_body_without_end_is_not_waited_for(staged: Studio, receiver: Receiver) -> None:
    def endless(one: BaseHTTPRequestHandler) -> None:
        one.send_response(200)
        one.send_header("Content-Length", str(1 << 40))
        one.end_headers()
        while True:
            one.wfile.write(b"x" * 65_536)

    receiver.answer = endless
    context = _context(staged, _hook(receiver))
    alerts.evaluate(context, [_verdict()])
    began = time.monotonic()
    assert _outcomes(notify.deliver(context)) == [("webhook", "sent")]
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(staged: Studio, receiver: Receiver, code: int) -> None:
    elsewhere = Receiver()
    try:
        receiver.answer = lambda one: receiver.say(one, code, Location=elsewhere.url)
        context = _context(staged, _hook(receiver))
        alerts.evaluate(context, [_verdict()])
        (one,) = notify.deliver(context)
        assert (one.outcome, "not followed" in one.detail) == ("failed", True)
        assert elsewhere.requests == []
    finally:
        elsewhere.close()


def test_one_channel_that_is_down_holds_up_no_other(staged: Studio, receiver: Receiver) -> None:
    receiver.answer = lambda one: receiver.say(one, 500)
    context = _context(staged, _hook(receiver), "{channel: log}")
    alerts.evaluate(context, [_verdict()])
    assert _outcomes(notify.deliver(context)) == [("webhook", "failed"), ("log", "sent")]
    line = (staged.path / ".agent-studio/staging/alerts.log").read_text()
    assert "FIRING HIGH staging: hookFailureRate guard: 20 of 100 runs failed (" in line


def test_mild_alerts_go_only_where_they_are_wanted(staged: Studio, receiver: Receiver) -> None:
    context = _context(staged, _hook(receiver, ", minSeverity: HIGH"), "{channel: log}")
    alerts.evaluate(context, [_verdict("mild", severity="MEDIUM"), _verdict("grave", severity="CRITICAL")])
    notify.deliver(context)
    assert receiver.steps == ["grave firing"]
    assert (staged.path / ".agent-studio/staging/alerts.log").read_text().count("\n") == 2


def test_a_storm_is_few_messages(staged: Studio, receiver: Receiver) -> None:
    context = _context(staged, _hook(receiver))
    alerts.evaluate(context, [_verdict(f"h{number:03}") for number in range(120)])
    assert [one.steps for one in notify.deliver(context)] == [50, 50, 20]
    assert len(receiver.steps) == len(set(receiver.steps)) == 120


def test_a_channel_that_is_new_is_not_told_what_is_old(staged: Studio, receiver: Receiver) -> None:
    context = _context(staged, "{channel: log}")
    alerts.evaluate(context, [_verdict("old")])
    context = _context(staged, "{channel: log}", _hook(receiver))
    alerts.evaluate(context, [_verdict("old"), _verdict("new")])
    notify.deliver(context)
    assert receiver.steps == ["new firing"]


def test_the_log_has_each_step_once_even_after_a_crash(staged: Studio) -> None:
    context = _context(staged, "{channel: log}")
    alerts.evaluate(context, [_verdict()])
    notify.deliver(context)
    place = staged.path / ".agent-studio/staging/notifications.jsonl"
    lines = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(lines[0])  # it died after the log was written and before that was noted
    assert _outcomes(notify.deliver(context)) == [("log", "sent")]
    assert (staged.path / ".agent-studio/staging/alerts.log").read_text().count("FIRING") == 1


@pytest.fixture
def desktop(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A notify-send that writes down what it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program, told = folder / "notify-send", tmp_path / "told"
    program.write_text(f'#!/bin/sh\nfor one in "$@"; do printf "%s\\n" "$one"; done >> "{told}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return SimpleNamespace(told=told, program=program)


@pytest.mark.skipif(os.name == "nt", reason="there is no notify-send")
def test_the_desktop_shows_texts_and_nothing_in_them_acts(staged: Studio, desktop: SimpleNamespace) -> None:
    context = _context(staged, "{channel: desktop}")
    alerts.evaluate(context, [_verdict("--icon=$(id)`id`")])
    assert _outcomes(notify.deliver(context)) == [("desktop", "sent")]
    assert desktop.told.read_text().splitlines() == [
        "--app-name=agent-studio", "--", "FIRING HIGH staging: hookFailureRate --icon=$(id)`id`",
        "FIRING HIGH staging: hookFailureRate --icon=$(id)`id`: 20 of 100 runs failed",
    ]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="there is no notify-send")
def test_what_nobody_can_tell_is_not_shown_twice(staged: Studio, desktop: SimpleNamespace) -> None:
    context = _context(staged, "{channel: desktop}")
    alerts.evaluate(context, [_verdict()])
    notify.deliver(context)
    place = staged.path / ".agent-studio/staging/notifications.jsonl"
    place.write_bytes(place.read_bytes().splitlines(keepends=True)[0])
    assert _outcomes(notify.deliver(context)) == [("desktop", "uncertain")]
    assert notify.deliver(context) == []
    assert desktop.told.read_text().count("--app-name") == 1


def test_a_channel_that_this_machine_lacks_says_so(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "apprise", None)
    context = _context(staged, "{channel: desktop}", "{channel: apprise, urlVariable: CHAT}")
    found = {one.name: notify.send_test(context, one, {"CHAT": "json://localhost"}) for one in destinations(context)}
    assert "notify-send" in found["desktop"].detail
    assert "agent-studio[apprise]" in found["apprise"].detail


def test_apprise_is_handed_title_and_text(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Apprise:
        def add(self, url: str) -> bool:
            told.append(url)
            return url.startswith("json:")

        def notify(self, title: str, body: str) -> bool:
            told.append((title, body))
            if len(told) > 2 and "guard" not in title:
                raise RuntimeError("a bug of the service")
            return True

    monkeypatch.setitem(sys.modules, "apprise", SimpleNamespace(Apprise=Apprise))
    context = _context(staged, "{channel: apprise, url: 'json://localhost'}", "{channel: apprise, name: b, url: 'x:'}")
    alerts.evaluate(context, [_verdict()])
    assert _outcomes(notify.deliver(context)) == [("apprise", "sent"), ("b", "failed")]
    assert told[1][0] == "FIRING HIGH staging: hookFailureRate guard"
    assert "a bug of the service" in notify.send_test(context, destinations(context)[0]).detail


def test_secrets_never_leave(staged: Studio, receiver: Receiver) -> None:
    secret = "ghp_" + "a1B2" * 9
    context = _context(staged, _hook(receiver), "{channel: log}")
    alerts.evaluate(context, [_verdict(secret, message=f"run of {secret} failed")])
    notify.deliver(context)
    assert secret.encode() not in receiver.requests[0][1]
    assert not any(secret.encode() in data for data in staged.snapshot(".agent-studio").values())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("7", "a list of mappings"),
        ("{url: x}", "`channel` is missing"),
        ("{channel: webhok, url: x}", 'did you mean "webhook"?'),
        ("{channel: webhook}", "give `url`"),
        ("{channel: webhook, url: a, urlVariable: B}", "give `url`"),
        ("{channel: webhook, url: 'ftp://x/'}", "no address such as"),
        ("{channel: webhook, url: 'http://'}", "no address such as"),
        ("{channel: webhook, url: 'http://a:b@x/'}", "holds a password"),
        ("{channel: webhook, url: 'http://x:99999/'}", "no address"),
        ("{channel: webhook, url: 'http://x/ y'}", "has characters"),
        ("{channel: webhook, url: 7}", "`url` is 7"),
        ("{channel: webhook, url: 'http://x/', secretVarible: A}", 'did you mean "secretVariable"?'),
        ("{channel: webhook, url: 'http://x/', timeoutSeconds: 0}", "`timeoutSeconds` is 0"),
        ("{channel: log, minSeverity: SEVERE}", "`minSeverity` is 'SEVERE'"),
        ("{channel: log, url: 'http://x/'}", "unknown key 'url' of a log"),
        ("{channel: log}", "already"),
    ],
)
def test_a_wrong_destination_is_one_clear_error(staged: Studio, entry: str, said: str) -> None:
    text = f"environment: staging\nmonitoring:\n  notify:\n    - {{channel: log}}\n    - {entry}\n"
    staged.write(".claude/config.staging.yaml", text)
    for command in (("alerts", "test"), ("alerts", "list"), ("config", "check")):
        done = staged.run(*command, *STAGING)
        assert (done.code, said in done.out + done.err) == (2, True), done
    if entry != "7":
        assert "monitoring.notify[1]" in staged.run("alerts", "test", *STAGING).err
    assert not (staged.path / ".agent-studio/staging/alerts.jsonl").exists()


def test_an_address_in_a_variable_is_checked_and_never_said(staged: Studio) -> None:
    (one,) = destinations(_context(staged, "{channel: webhook, urlVariable: OPS_URL}"))
    assert one.address({"OPS_URL": "https://x/secret"}) == "https://x/secret"
    for value in ("", "secret-but-no-url"):
        with pytest.raises(ConfigurationError) as error:
            one.address({"OPS_URL": value})
        assert "secret-but-no-url" not in str(error.value) + error.value.hint


def test_the_test_of_channels_is_a_verdict(staged: Studio, receiver: Receiver) -> None:
    _context(staged, _hook(receiver, ", name: ops"), "{channel: log}")
    assert staged.run("alerts", "test", *STAGING).code == 0
    assert receiver.bodies[0]["text"] == "TEST LOW staging: test: a test of agent-studio: nothing is wrong"
    receiver.answer = lambda one: receiver.say(one, 500)
    failed = staged.run("alerts", "test", "--json", *STAGING)
    assert (failed.code, [one["outcome"] for one in failed.data["channels"]]) == (1, ["failed", "sent"])
    assert staged.run("alerts", "test", "--channel", "log", *STAGING).code == 0
    staged.write(".claude/config.staging.yaml", "environment: staging\n")
    assert staged.run("alerts", "test", *STAGING).code == 3


def _failing(studio: Studio, hooks: int) -> None:
    start = datetime.now(UTC) - timedelta(minutes=10)
    lines = [
        json.dumps({
            "timestamp": clock.timestamp(start), "hook": f"guard-{hook}", "event": "Stop", "tool": None,
            "executionTimeMs": 1.0, "status": "failure", "sessionId": "s", "agent": None, "metadata": {},
            "eventId": f"{hook:016x}{number:016x}", "environment": "staging", "release": None,
        }) + "\n"
        for hook in range(hooks) for number in range(10)
    ]  # fmt: skip
    studio.write(".claude/staging/metrics/hooks.jsonl", "".join(lines))


def test_while_one_delivers_others_leave_it_to_it(staged: Studio, receiver: Receiver) -> None:
    context = _context(staged, _hook(receiver))
    found: list[list[notify.Outcome]] = []

    def asked_again(one: BaseHTTPRequestHandler) -> None:
        found.append(notify.deliver(context))
        receiver.say(one, 200)

    receiver.answer = asked_again
    alerts.evaluate(context, [_verdict()])
    assert _outcomes(notify.deliver(context)) == [("webhook", "sent")]
    assert found == [[]]
    assert len(receiver.requests) == 1


def test_four_processes_deliver_each_step_once(staged: Studio, receiver: Receiver) -> None:
    _context(staged, _hook(receiver))
    _failing(staged, hooks=3)
    command = [sys.executable, "-m", "agent_studio", "alerts", "list", *STAGING]
    running = [subprocess.Popen(command, cwd=staged.path, stdout=subprocess.DEVNULL) for _ in range(4)]
    for one in running:
        one.wait(timeout=60)
    staged.run("alerts", "list", *STAGING)
    assert sorted(receiver.steps) == [f"guard-{number} firing" for number in range(3)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
def test_a_kill_while_it_is_sent_loses_nothing_and_repeats_only_the_same_message(
    staged: Studio, receiver: Receiver
) -> None:
    _context(staged, f"{{channel: webhook, url: '{receiver.url}', timeoutSeconds: 20}}")
    _failing(staged, hooks=3)
    came, go_on = threading.Event(), threading.Event()

    def hold(one: BaseHTTPRequestHandler) -> None:
        came.set()
        go_on.wait(20)
        receiver.say(one, 200)

    receiver.answer = hold
    command = [sys.executable, "-m", "agent_studio", "alerts", "list", *STAGING]
    process = subprocess.Popen(command, cwd=staged.path, stdout=subprocess.DEVNULL)
    assert came.wait(20)
    process.kill()
    process.wait()
    go_on.set()
    receiver.answer = lambda one: receiver.say(one, 200)
    staged.run("alerts", "list", *STAGING)
    assert staged.run("alerts", "list", "--no-evaluate", "--json", *STAGING).data["waiting"] == {}
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert len(ids) == 2
    assert ids[0] == ids[1], "a receiver can tell that it has it"
    assert receiver.bodies[0] == receiver.bodies[1]


def test_a_watcher_looks_again_and_again_and_says_each_problem_once(staged: Studio, receiver: Receiver) -> None:
    context = _context(staged, _hook(receiver))
    said: list[str] = []
    faults = iter([ConfigurationError("wrong"), ConfigurationError("wrong"), ValueError("a bug")])

    def fresh() -> Context:
        for fault in faults:
            raise fault
        return context

    watcher = Watcher(fresh, {}, said.append, interval_s=0.05)
    watcher.start()
    until(lambda: len(said) == 2)
    _failing(staged, hooks=1)
    until(lambda: receiver.steps == ["guard-0 firing"])
    watcher.finish()
    assert said == ["alerts: wrong", "alerts: ValueError: a bug"]


def test_the_daemon_tells_of_an_alert_without_being_asked(staged: Studio, receiver: Receiver) -> None:
    _context(staged, _hook(receiver))
    _failing(staged, hooks=1)
    command = [sys.executable, "-m", "agent_studio", "serve", *STAGING, "--port", "0"]
    process = subprocess.Popen(command, cwd=staged.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: receiver.steps == ["guard-0 firing"])
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_doctor_says_where_alerts_go_and_where_they_do_not_arrive(
    staged: Studio, receiver: Receiver, at: Callable[[float], datetime]
) -> None:
    context = _context(staged, _hook(receiver))
    assert [one.message for one in notify.checks(context)] == ["alerts are sent to webhook"]
    receiver.answer = lambda one: receiver.say(one, 500)
    alerts.evaluate(context, [_verdict()])
    for seconds in (0, 1_000, 2_000):
        at(seconds)
        notify.deliver(context)
    (found,) = notify.checks(context)
    assert (str(found.severity), "3 attempts" in found.message) == ("warning", True)
    wrong = _context(staged, "{channel: webhook}")
    assert [str(one.severity) for one in notify.checks(wrong)] == ["error"]
