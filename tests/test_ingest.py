"""From the inbox to records: each event once, whatever crashes, runs twice, is lost or makes no sense."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import REPOSITORY
from tests.killing import child

from agent_studio import clock
from agent_studio.capture import inbox
from agent_studio.capture.ingest import segments
from agent_studio.capture.ingest.run import ingest
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import StorageError
from agent_studio.storage import chain, journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from agent_studio.capture.ingest.report import Report

FIXTURES = REPOSITORY / "tests" / "fixtures" / "claude_code"
FILES = {
    "hooks.jsonl": "metrics",
    "agents.jsonl": "metrics",
    "errors.jsonl": "metrics",
    "llm-usage.log": "metrics",
    "session-log.jsonl": "sessions",
}
NOW_NS = 1_795_000_000_000_000_000
SECRETS = (
    "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6",
    "AKIAQ7R2T4W6Y3P5K7M2",
    "sk-ant-api03-Zx9Cv8Bn7Mq6Wer5Tyu4Iop3Asd2Fgh1",
)


class Desk:
    """A project with its data folders, staging's or those that development and production share."""

    def __init__(self, path: Path, environment: Environment = Environment.STAGING) -> None:
        self.project = path
        self.environment = environment
        self.root = path / ".claude" / ("staging" if environment is Environment.STAGING else "")
        for kind in ("metrics", "sessions"):
            (self.root / kind).mkdir(parents=True, exist_ok=True)
        (path / ".claude" / "config.staging.yaml").write_text("environment: staging\n")
        self._at = NOW_NS

    @property
    def inbox(self) -> Path:
        return self.root / "metrics" / "events.jsonl"

    @property
    def state(self) -> Path:
        return self.project / ".agent-studio" / self.environment

    @property
    def context(self) -> Context:
        return self.context_of(self.environment)

    def context_of(self, environment: Environment) -> Context:
        return open_context(Project(self.project), Choice(environment, "--env"), {})

    def ingest(self, **options: Any) -> Report:
        return ingest(self.context, **options)

    def write(self, *lines: bytes) -> None:
        with self.inbox.open("ab") as file:
            file.writelines(lines)

    def event(self, payload: Any, *, kind: str = "hook", **more: Any) -> bytes:
        self._at += 100_000_000
        return _line({"ts": self._at, "pid": 7, "kind": kind, **more, "payload": payload})

    def hook(self, name: str, session: str = "s1", **more: Any) -> bytes:
        return self.event({"session_id": session, "hook_event_name": name, **more})

    def exec(self, hook: str, code: int | None = 0, session: str | None = "s1", **more: Any) -> bytes:
        payload = {"hook": hook, "exit": code, "signal": None, "duration_ms": 12.5, "command": ["x"], **more}
        if session:
            payload["session_id"] = session
        return self.event(payload, kind="exec")

    def records(self, file: str) -> list[dict[str, Any]]:
        """Return the records of a journal, those of its days that are over included."""
        folder, (stem, end) = self.root / FILES[file], file.rsplit(".", 1)
        places = [*sorted(folder.glob(f"{stem}.2*.{end}")), folder / file]
        return [
            json.loads(line) for place in places if place.exists() for line in place.read_bytes().splitlines()
        ]  # fmt: skip

    def everything(self) -> dict[str, list[str]]:
        """Return what was recorded, without what depends on the moment it was."""
        own = {"_seq", "_hash", "_prevHash"}
        return {
            file: sorted(
                json.dumps({name: value for name, value in record.items() if name not in own}) for record in found
            )
            for file in FILES
            if (found := self.records(file))
        }

    def ids(self) -> list[str]:
        return [record["eventId"] for file in FILES for record in self.records(file)]

    def kept(self, file: str) -> list[dict[str, Any]]:
        place = self.state / file
        return [json.loads(line) for line in place.read_bytes().splitlines()] if place.exists() else []


@pytest.fixture(autouse=True)
def _an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be an hour after the first event."""
    monkeypatch.setattr(clock, "now", lambda: _moment(NOW_NS + 3_600 * 10**9))


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _replay(place: Path) -> ModuleType:
    """Load the benchmark's generator."""
    name = "replay_of_tests"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, place)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _busy(desk: Desk, events: int = 400, seed: int = 3, first: int | None = None) -> Any:
    """Fill the inbox from the generator and return what the records must add up to."""
    generator = _replay(REPOSITORY / "bench" / "replay.py").Generator(
        events, seed, desk.project, NOW_NS - 86_400 * 10**9
    )
    desk.write(*itertools.islice(generator.lines(), first))
    return generator.expected


def _mixed(desk: Desk) -> None:
    """Fill the inbox with real sessions and their transcripts, generated ones, and what makes no sense."""
    for scenario in ("2.1.330/tools", "2.1.330/agent", "2.0.76/agent_error_400"):
        shutil.copytree(FIXTURES / scenario / "transcripts", desk.project / "transcripts", dirs_exist_ok=True)
        recorded = (FIXTURES / scenario / "inbox.jsonl").read_bytes()
        desk.write(recorded.replace(b"/srv/transcripts", os.fsencode(desk.project / "transcripts")))
    _busy(desk, 100_000, first=400)
    desk.write(b"damaged\n", desk.hook("FromTheFuture"), desk.event({}, env="production"), b'{"torn')


def _killed_at(call: str, number: int, work: Callable[[], object]) -> Callable[[], None]:
    """Return what runs `work` and is killed when it makes a system call for the n-th time."""

    def run() -> None:
        real, made = getattr(os, call), 0

        def counted(*arguments: Any) -> Any:
            nonlocal made
            made += 1
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        setattr(os, call, counted)
        work()

    return run


@pytest.mark.parametrize("call", ["fsync", "write", "close"])
def test_killed_at_any_point_every_event_is_recorded_once(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_BATCH_LINES", 60)
    monkeypatch.setattr(segments, "SEAL_BYTES", 1_000)
    start = Desk(tmp_path / "start")
    _mixed(start)
    whole = _copy(start, tmp_path / "whole")
    whole.ingest()
    expected, number, step = whole.everything(), 1, {"fsync": 1, "write": 2, "close": 11}[call]
    while True:
        desk = _copy(start, tmp_path / f"{call}{number}")
        if child(_killed_at(call, number, desk.ingest)) == 0:
            break
        child(_killed_at(call, number // 2 + 1, partial(_in_small_steps, desk)))
        desk.ingest()
        assert desk.everything() == expected, f"killed at {call} {number}"
        assert chain.first_bad_line((desk.root / "metrics" / "llm-usage.log").read_bytes().splitlines()) is None
        assert len(desk.kept("damaged-events.jsonl")) == len(whole.kept("damaged-events.jsonl"))
        assert len(desk.kept("unknown-events.jsonl")) == 1
        shutil.rmtree(desk.project)
        number += step
    assert number > 10  # else nothing was killed


def _in_small_steps(desk: Desk) -> None:
    """Ingest with more commits than the run before had: what that one has left is found bit by bit."""
    segments._BATCH_LINES = 7
    desk.ingest()


def _copy(desk: Desk, target: Path) -> Desk:
    """Lay out the same project elsewhere, with the transcripts where they were."""
    shutil.copytree(desk.project / ".claude", target / ".claude")
    return Desk(target)


def test_killed_at_random_while_events_come_in_every_event_is_recorded_once(desk: Desk) -> None:
    dice = random.Random(5)
    writer = os.fork()
    if not writer:
        for number in range(3_000):
            desk.write(desk.hook("UserPromptSubmit", prompt=f"{number}"))
            time.sleep(0.0005)
        os._exit(0)
    deadline = time.monotonic() + 60
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        child = os.fork()
        if not child:
            desk.ingest()
            os._exit(0)
        time.sleep(dice.uniform(0.001, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    desk.ingest()
    # a write that was cut is passed over
    read = journal.read(desk.context.root.folder("sessions"), "session-log.jsonl")
    assert [record["metadata"]["length"] for record in read.records] == [len(str(number)) for number in range(3_000)]


def test_two_at_once_record_every_event_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEAL_BYTES", 20_000)
    payload = b'{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"x"}'

    def write() -> None:
        for _ in range(300):
            inbox.append(desk.context.root, "http", [payload])

    def read() -> None:
        for _ in range(12):
            desk.ingest(wait_s=20)

    children = []
    for work in (write, write, read, read):
        child = os.fork()
        if not child:
            code = 70
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    desk.ingest()
    assert len(desk.records("session-log.jsonl")) == 600
    assert len(set(desk.ids())) == 600


def test_while_another_ingests_the_report_says_busy(desk: Desk) -> None:
    desk.write(desk.hook("SessionStart"))
    ready, told = os.pipe()
    holder = os.fork()
    if not holder:
        from agent_studio.storage import locks

        folder = desk.context.root.state
        folder.make()
        with locks.exclusive(folder, "ingest.lock", doing="test"):
            os.write(told, b"x")
            signal.pause()
    os.read(ready, 1)
    try:
        report = desk.ingest(wait_s=0.1)
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
    assert (report.busy, report.events) == (True, 0)
    assert desk.ingest().events == 1


@pytest.mark.parametrize("when", ["before more", "after more"])
def test_without_its_state_nothing_is_recorded_twice(desk: Desk, when: str) -> None:
    _mixed(desk)
    desk.ingest()
    before = desk.everything()
    if when == "after more":
        desk.write(b"\n", desk.hook("Stop"))
    shutil.rmtree(desk.state)
    desk.ingest()
    after = desk.everything()
    assert {file: lines for file, lines in after.items() if file != "session-log.jsonl"} == {
        file: lines for file, lines in before.items() if file != "session-log.jsonl"
    }
    assert len(after["session-log.jsonl"]) - len(before["session-log.jsonl"]) == (when == "after more")


def test_a_damaged_state_is_put_aside_and_nothing_is_recorded_twice(desk: Desk) -> None:
    _mixed(desk)
    desk.ingest()
    before = desk.everything()
    for place in desk.state.glob("ingest.sqlite3*"):
        place.write_bytes(b"this is no database " * 500)
    desk.ingest()
    assert desk.everything() == before
    assert (desk.state / "ingest.sqlite3.damaged").exists()


def test_running_it_again_adds_nothing(desk: Desk) -> None:
    _mixed(desk)
    first = desk.ingest()
    before = desk.everything()
    second = desk.ingest()
    assert desk.everything() == before
    assert first.written > 100
    assert (second.events, second.written) == (0, 0)


def test_a_line_is_taken_once_it_is_whole(desk: Desk) -> None:
    line = desk.hook("SessionStart")
    desk.write(line, line[:40])
    assert desk.ingest().events == 1
    desk.write(line[40:])
    assert desk.ingest().events == 1


def test_a_full_inbox_is_sealed_and_removed_once_it_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEAL_BYTES", 500)
    monkeypatch.setattr(segments, "_SETTLED_S", 0)
    desk.write(*(desk.hook("Stop") for _ in range(20)))
    assert desk.ingest().segments_removed == 1
    assert not desk.inbox.exists()
    desk.write(desk.hook("Stop"))
    desk.ingest()
    assert len(desk.records("session-log.jsonl")) == 21


def test_a_segment_sealed_a_moment_ago_stays_for_a_writer_that_got_no_lock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEAL_BYTES", 500)
    desk.write(*(desk.hook("Stop") for _ in range(20)))
    assert desk.ingest().segments_removed == 0
    (sealed,) = (desk.root / "metrics").glob("events.2*.jsonl")
    with sealed.open("ab") as file:
        file.write(desk.hook("Stop"))
    assert (desk.ingest().segments_removed, len(desk.records("session-log.jsonl"))) == (1, 21)


def test_a_torn_line_at_the_end_of_a_sealed_segment_is_damaged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEAL_BYTES", 10)
    desk.write(desk.hook("Stop"), b'{"torn')
    report = desk.ingest()
    assert (report.events, report.damaged) == (2, 1)


@pytest.mark.parametrize("change", ["replaced", "emptied", "cut"])
def test_an_inbox_that_someone_else_changed_is_read_on_without_doubles(desk: Desk, change: str) -> None:
    lines = [desk.hook("Stop") for _ in range(10)]
    desk.write(*lines)
    desk.ingest()
    if change == "replaced":
        desk.inbox.unlink()
    elif change == "emptied":
        os.truncate(desk.inbox, 0)
    else:
        os.truncate(desk.inbox, len(lines[0]) * 4)
    desk.ingest()
    desk.write(*(desk.hook("Stop") for _ in range(12)))
    desk.ingest()
    assert len(desk.records("session-log.jsonl")) == 22
    assert len(set(desk.ids())) == 22


def test_with_a_full_disk_nothing_is_lost_and_the_next_run_goes_on(desk: Desk) -> None:
    _mixed(desk)
    whole = _copy(desk, desk.project / "whole")
    whole.ingest()
    for limit in (2_000, 30_000, 90_000):

        def starved(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with pytest.raises(StorageError):
                desk.ingest()

        assert child(starved) == 0
    desk.ingest()
    assert desk.everything() == whole.everything()


@pytest.mark.parametrize(
    ("code", "more", "status"),
    [
        (0, {}, "success"),
        (2, {}, "blocked"),
        (1, {}, "failure"),
        (127, {}, "failure"),
        (None, {"signal": 9}, "failure"),
        (None, {"signal": 15, "timedOut": True}, "timeout"),
        (143, {"timedOut": True}, "timeout"),
        (None, {}, "failure"),
    ],
)
def test_a_timed_hook_has_the_status_of_its_exit(
    desk: Desk, code: int | None, more: dict[str, Any], status: str
) -> None:
    desk.write(
        desk.hook("PostToolUse", tool_name="Edit", tool_use_id="t1"), desk.exec("PostToolUse:fmt.py", code, **more)
    )
    desk.ingest()
    (run,) = desk.records("hooks.jsonl")
    assert (run["hook"], run["event"], run["tool"], run["status"]) == ("fmt.py", "PostToolUse", "Edit", status)
    assert (run["executionTimeMs"], run["sessionId"]) == (12.5, "s1")
    errors = [(error["errorType"], error["severity"], error["source"]) for error in desk.records("errors.jsonl")]
    assert errors == ([("SystemError", "MEDIUM", "hook")] if status in {"failure", "timeout"} else [])


def test_a_blocking_hook_is_a_denied_tool_once_however_many_tell_of_it(desk: Desk) -> None:
    place = desk.project / "s1.jsonl"
    denied = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "is_error": True,
        "content": "PreToolUse:Write hook error: [/p/.agent-studio/bin/recorder exec]: no",
    }
    place.write_text(json.dumps({"type": "user", "uuid": "u", "message": {"content": [denied]}}) + "\n")
    desk.write(
        desk.hook("PreToolUse", tool_name="Write", tool_use_id="t1", transcript_path=str(place)),
        desk.exec("PreToolUse:a.cjs", 2),
        desk.exec("PreToolUse:b.cjs", 2),
        desk.hook("SessionEnd"),
    )
    desk.ingest()
    (error,) = desk.records("errors.jsonl")
    assert (error["errorType"], error["severity"], error["tool"]) == ("SecurityViolation", "HIGH", "Write")
    assert [run["status"] for run in desk.records("hooks.jsonl")] == ["blocked", "blocked"]


@pytest.mark.parametrize("readable", [True, False])
def test_a_block_of_an_unknown_call_is_matched_with_the_transcript(desk: Desk, *, readable: bool) -> None:
    place = desk.project / "s1.jsonl"
    denied = {
        "type": "tool_result",
        "tool_use_id": "t2",
        "is_error": True,
        "content": "PreToolUse:Write hook error: [/p/.agent-studio/bin/recorder exec]: no",
    }
    if readable:
        place.write_text(json.dumps({"type": "user", "uuid": "u", "message": {"content": [denied]}}) + "\n")
    base = {"session_id": "s1", "hook_event_name": "PreToolUse", "transcript_path": str(place)}
    at = NOW_NS + 7_000_000_000
    blocked = {
        "hook": "PreToolUse:a.cjs",
        "exit": 2,
        "signal": None,
        "duration_ms": 1,
        "command": [],
        "session_id": "s1",
    }
    desk.write(
        _line({"ts": at, "pid": 1, "kind": "hook", "payload": {**base, "tool_name": "Read", "tool_use_id": "t1"}}),
        _line({"ts": at + 5, "pid": 1, "kind": "hook", "payload": {**base, "tool_name": "Write", "tool_use_id": "t2"}}),
        _line({"ts": at + 9, "pid": 1, "kind": "exec", "payload": blocked}),
        _line({"ts": at + 99, "pid": 1, "kind": "hook", "payload": {**base, "hook_event_name": "SessionEnd"}}),
    )
    desk.ingest()
    assert [(error["errorType"], error["source"]) for error in desk.records("errors.jsonl")] == [
        ("SecurityViolation", "tool" if readable else "hook")
    ]
    assert desk.records("hooks.jsonl")[0]["tool"] is None


def test_a_hook_of_a_client_that_names_no_session_finds_it_by_time(desk: Desk) -> None:
    desk.write(
        desk.hook("PreToolUse", tool_name="Bash", agent_type="planner"), desk.exec("PreToolUse:x.py", session=None)
    )
    desk.ingest()
    (run,) = desk.records("hooks.jsonl")
    assert (run["sessionId"], run["tool"], run["agent"]) == ("s1", "Bash", "planner")


def test_events_seconds_apart_are_not_taken_for_one_another(desk: Desk) -> None:
    desk.write(desk.hook("PreToolUse", tool_name="Bash"), *(desk.hook("Stop", f"other{n}") for n in range(15)))
    desk.write(desk.exec("PreToolUse:x.py"))
    desk.ingest()
    assert desk.records("hooks.jsonl")[0]["tool"] is None


def test_an_asynchronous_agent_ends_with_its_stop_not_with_its_launch(desk: Desk) -> None:
    called: dict[str, Any] = {"tool_name": "Agent", "tool_use_id": "t1", "tool_input": {"subagent_type": "planner"}}
    desk.write(
        desk.hook("SessionStart"),
        desk.hook("PreToolUse", **called),
        desk.hook("PostToolUse", **called, tool_response={"status": "async_launched", "agentId": "a1"}),
        desk.hook("Stop"),
    )
    desk.ingest()
    assert desk.records("agents.jsonl") == []
    desk.write(desk.hook("SubagentStop", agent_id="a1", agent_type="planner"))
    desk.ingest()
    (run,) = desk.records("agents.jsonl")
    assert (run["agent"], run["taskId"], run["status"], run["durationMs"]) == ("planner", "t1", "completed", 300)


def test_an_agent_without_an_end_failed_when_its_session_ended(desk: Desk) -> None:
    called: dict[str, Any] = {"tool_name": "Agent", "tool_use_id": "t1", "tool_input": {"subagent_type": "planner"}}
    launched = desk.hook("PostToolUse", **called, tool_response={"status": "async_launched", "agentId": "a1"})
    desk.write(desk.hook("PreToolUse", **called), launched, desk.hook("SessionEnd"))
    desk.write(desk.hook("SubagentStop", agent_id="a1", agent_type="planner"))
    desk.ingest()
    assert [(run["agent"], run["status"]) for run in desk.records("agents.jsonl")] == [("planner", "failed")]


def test_an_agent_that_is_resumed_has_a_second_run(desk: Desk) -> None:
    for _ in range(2):
        desk.write(desk.hook("SubagentStart", agent_id="a1", agent_type="planner"))
        desk.write(desk.hook("SubagentStop", agent_id="a1", agent_type="planner"))
        desk.ingest()
    runs = desk.records("agents.jsonl")
    assert [(run["status"], run["durationMs"], run["metadata"]) for run in runs] == [
        ("completed", 100, {}),
        ("completed", 100, {"run": 2}),
    ]
    assert len({run["eventId"] for run in runs}) == 2


def test_the_oldest_clients_agents_are_told_by_their_call(desk: Desk) -> None:
    desk.write(
        desk.hook("PreToolUse", tool_name="Task", tool_input={"subagent_type": "planner"}), desk.hook("SubagentStop")
    )
    desk.ingest()
    assert [(run["agent"], run["durationMs"]) for run in desk.records("agents.jsonl")] == [("planner", 100)]


def test_no_text_of_a_prompt_is_recorded(desk: Desk) -> None:
    desk.write(desk.hook("UserPromptSubmit", prompt="my own words"))
    desk.ingest()
    assert desk.records("session-log.jsonl")[0]["metadata"] == {"length": 12}
    assert not any(
        b"my own words" in place.read_bytes() for place in desk.project.rglob("*.jsonl") if place != desk.inbox
    )


def test_failures_that_events_tell_of_are_classified(desk: Desk) -> None:
    desk.write(
        desk.hook("PostToolUseFailure", tool_name="Bash", tool_use_id="t1", error="Exit code 3\noops"),
        desk.hook("PostToolUseFailure", tool_name="Bash", tool_use_id="t1", error="Exit code 3\noops"),
        desk.hook("PostToolUseFailure", tool_name="Bash", tool_use_id="t2", error="stopped", is_interrupt=True),
        desk.hook("PostToolUseFailure", tool_name="mcp__db__query", tool_use_id="t3", error="connection reset"),
        desk.hook("PostToolUseFailure", tool_name="Skill", tool_use_id="t4", error="Unknown skill: x"),
        desk.hook("PostToolUseFailure", tool_name="Read", tool_use_id="t5", error="something else"),
        desk.hook("PermissionDenied", tool_name="Bash", tool_use_id="t6", reason="not in this project"),
        desk.hook("StopFailure", error="overloaded"),
        desk.hook("SessionEnd"),
    )
    desk.ingest()
    assert [(error["errorType"], error["severity"], error["source"]) for error in desk.records("errors.jsonl")] == [
        ("ValidationError", "LOW", "tool"),
        ("SystemError", "MEDIUM", "tool"),
        ("RoutingError", "MEDIUM", "tool"),
        ("UnknownError", "MEDIUM", "tool"),
        ("SecurityViolation", "HIGH", "tool"),
        ("SystemError", "HIGH", "api"),
    ]


@pytest.mark.parametrize("version", ["2.1.330", "2.0.76"])
def test_every_event_of_the_clients_is_known(desk: Desk, version: str) -> None:
    payloads = [json.loads(line) for line in (FIXTURES / version / "payloads.jsonl").read_text().splitlines()]
    desk.write(*(desk.event(payload) for payload in payloads))
    report = desk.ingest()
    assert (report.events, report.unknown, report.damaged) == (len(payloads), 0, 0)


def test_an_http_hook_is_taken_like_any_other(desk: Desk) -> None:
    inbox.append(desk.context.root, "http", [b'{"session_id":"s","hook_event_name":"SessionStart","source":"startup"}'])
    desk.ingest()
    assert [record["event"] for record in desk.records("session-log.jsonl")] == ["start"]


def test_what_is_damaged_unknown_or_cut_is_counted_and_kept(desk: Desk) -> None:
    secret = SECRETS[0]
    head = json.dumps({"session_id": "s9", "hook_event_name": "UserPromptSubmit", "prompt": f"{secret} {'y' * 2_000}"})[
        :1_024
    ]
    desk.write(
        b"no json " + secret.encode() + b"\n",
        b'{"ts":1,"pid":1,"kind":"hook","payload":{"a":}\n',
        b"\xff\0\n",
        b"[]\n",
        desk.event("what came was no JSON", bytes=21),
        desk.event(head, bytes=9_000),
        desk.hook("FromTheFuture", x=[secret]),
        desk.event({"no": "name"}),
        desk.event(None),
        desk.event([1]),
        desk.event({"x": 1}, kind="exec"),
    )
    report = desk.ingest()
    assert (report.damaged, report.unknown, report.cut) == (6, 4, 1)
    assert len(desk.kept("unknown-events.jsonl")) == 4
    kept = desk.kept("damaged-events.jsonl")
    assert [line["reason"] for line in kept].count("cut") == 1
    assert len(kept) == 7
    (prompt,) = desk.records("session-log.jsonl")
    assert (prompt["sessionId"], prompt["event"], prompt["metadata"]) == ("s9", "prompt", {"cut": True})
    assert not any(secret.encode() in place.read_bytes() for place in desk.state.glob("*.jsonl"))


def test_lines_that_are_empty_count_as_nothing(desk: Desk) -> None:
    desk.inbox.write_bytes(
        b"\n\n" + desk.hook("SessionStart") + b"\n" + b'{"torn\n' + b"\n" + desk.hook("Stop") + b"\n"
    )
    report = desk.ingest()
    assert (report.events, report.damaged) == (3, 1)
    assert [line["event"] for line in desk.records("session-log.jsonl")] == ["start", "stop"]


def test_a_payload_cannot_pass_itself_off_as_the_line(desk: Desk) -> None:
    desk.write(b'{"ts":1795000000000000000,"pid":1,"kind":"http","payload":1,"kind":"exec","payload":{"hook":"x"}}\n')
    report = desk.ingest()
    assert (report.damaged, report.written) == (1, 0)


@pytest.mark.parametrize("stamp", [0, 1, 10**19, 99_999_999_999_999_999_999])
def test_a_clock_that_is_wrong_stops_nothing(desk: Desk, stamp: int) -> None:
    start = {"session_id": "s", "hook_event_name": "SessionStart"}
    end = {"session_id": "s", "hook_event_name": "SessionEnd"}
    desk.write(
        _line({"ts": NOW_NS, "pid": 1, "kind": "hook", "payload": start}),
        _line({"ts": stamp, "pid": 1, "kind": "hook", "payload": end}),
        _line({"kind": "hook", "payload": start}),
    )
    assert desk.ingest().damaged == 0
    events = desk.records("session-log.jsonl")
    assert {event["event"] for event in events} >= {"start", "end"}
    assert all(event["durationMs"] is None or event["durationMs"] >= 0 for event in events)
    assert all(len(event["timestamp"]) == 24 for event in events)


def test_development_and_production_share_an_inbox_and_keep_their_records_apart(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Environment.PRODUCTION)
    desk.write(desk.event({"session_id": "d", "hook_event_name": "Stop"}, env="development"))
    desk.write(desk.event({"session_id": "p", "hook_event_name": "Stop"}, env="production"))
    desk.write(desk.event({"session_id": "x", "hook_event_name": "Stop"}, env="staging"))
    assert ingest(desk.context_of(Environment.DEVELOPMENT)).unrouted == 1
    assert ingest(desk.context_of(Environment.PRODUCTION)).events == 0
    records = desk.records("session-log.jsonl")
    assert [(record["sessionId"], record["environment"]) for record in records] == [
        ("d", "development"),
        ("p", "production"),
    ]
    (turned,) = (json.loads(line) for line in (tmp_path / ".agent-studio" / "unrouted.jsonl").read_text().splitlines())
    assert (turned["env"], turned["payload"]["session_id"]) == ("staging", "x")
    assert (tmp_path / ".agent-studio" / "production" / "ingest.sqlite3").exists()


def test_a_missing_data_root_names_the_command_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "config.staging.yaml").write_text("environment: staging\n")
    with pytest.raises(StorageError) as raised:
        ingest(open_context(Project(tmp_path), Choice(Environment.STAGING, "--env"), {}))
    assert raised.value.hint == "agent-studio init --env staging"


def _telemetry(desk: Desk, name: str, session: str = "s1", **attributes: Any) -> bytes:
    told = {"session.id": session, **attributes}
    payload = {"signal": "logs", "name": f"claude_code.{name}", "time_ns": NOW_NS, "attributes": told, "resource": {}}
    return desk.event(payload, kind="otlp", env="staging")


REQUEST: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "input_tokens": "4",
    "output_tokens": 60,
    "cache_read_tokens": 5,
    "cache_creation_tokens": 12_000,
    "cache_creation_5m_tokens": 11_000,
    "cache_creation_1h_tokens": 1_000,
}


def test_telemetry_counts_only_what_no_transcript_tells(desk: Desk) -> None:
    place = desk.project / "s1.jsonl"
    message = {"id": "m1", "model": "claude-opus-5-5", "stop_reason": "end_turn", "usage": {"input_tokens": 4}}
    place.write_text(json.dumps({"type": "assistant", "uuid": "u", "requestId": "r1", "message": message}) + "\n")
    desk.write(
        desk.hook("SessionStart", transcript_path=str(place)),
        _telemetry(desk, "api_request", request_id="r1", **REQUEST),
        _telemetry(desk, "api_request", request_id="r2", **REQUEST),
        _telemetry(desk, "api_error", error="529 overloaded"),
        _telemetry(desk, "tool_result", success="false", tool_name="Bash", error="Exit code 3"),
        _telemetry(desk, "tool_result", success="false", tool_name="Bash", tool_use_id="t1", error="Exit code 3"),
        _telemetry(desk, "hook_execution_complete", hook_event="Stop", hook_name="Stop", total_duration_ms="157"),
        desk.event({"signal": "metrics", "name": "x", "attributes": {}}, kind="otlp", env="staging"),
    )
    assert desk.ingest().telemetry == {"logs": 6, "metrics": 1}
    desk.write(desk.hook("SessionEnd"))
    desk.ingest()
    usage = [
        (record["requestId"], record["source"], record["cacheWrite1hTokens"])
        for record in desk.records("llm-usage.log")
    ]
    assert usage == [("r1", "transcript", 0), ("r2", "otel", 1_000)]
    assert [error["errorType"] for error in desk.records("errors.jsonl")] == ["ValidationError"]
    assert desk.records("hooks.jsonl") == []


def test_telemetry_of_a_session_nobody_else_tells_of_is_recorded_after_a_while(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: _moment(NOW_NS + 10**9))
    desk.write(
        _telemetry(desk, "api_request", request_id="r1", **REQUEST),
        _telemetry(desk, "api_error", error="x", status_code="401"),
        _telemetry(
            desk,
            "hook_execution_complete",
            hook_event="Stop",
            hook_name="Stop",
            num_cancelled="1",
            num_hooks="3",
            total_duration_ms="157",
        ),
    )
    assert desk.ingest().written == 0
    monkeypatch.setattr(clock, "now", lambda: _moment(NOW_NS + 700 * 10**9))
    assert desk.ingest().written == 3
    assert desk.ingest().written == 0
    (hooks,) = desk.records("hooks.jsonl")
    assert (hooks["status"], hooks["executionTimeMs"], hooks["metadata"]["batch"]) == ("failure", 157, True)
    assert [error["severity"] for error in desk.records("errors.jsonl")] == ["HIGH"]


def test_a_transcript_that_comes_after_telemetry_amends_it(desk: Desk) -> None:
    place = desk.project / "s1.jsonl"
    desk.write(_telemetry(desk, "api_request", request_id="r1", **REQUEST))
    desk.ingest()
    message = {"id": "m1", "model": "claude-opus-5-5", "stop_reason": "end_turn", "usage": {"output_tokens": 90}}
    place.write_text(json.dumps({"type": "assistant", "uuid": "u", "requestId": "r1", "message": message}) + "\n")
    desk.write(desk.hook("SessionStart", transcript_path=str(place)), desk.hook("SessionEnd"))
    desk.ingest()
    records = desk.records("llm-usage.log")
    assert [(record["source"], record["outputTokens"], record["amends"]) for record in records] in (
        [("otel", 60, None), ("transcript", 90, 1)],
        [("transcript", 90, None)],
    )


def test_real_telemetry_is_taken(desk: Desk) -> None:
    payloads = [json.loads(line) for line in (FIXTURES / "2.1.330" / "otlp.jsonl").read_text().splitlines()]
    desk.write(*(desk.event(payload, kind="otlp", env="staging") for payload in payloads))
    report = desk.ingest()
    assert (report.damaged, report.telemetry) == (0, {"logs": len(payloads)})
    assert {record["source"] for record in desk.records("llm-usage.log")} <= {"otel"}


def _moment(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)


def test_twenty_thousand_events_add_up_exactly(desk: Desk) -> None:
    expected = _busy(desk, 20_000, 11)
    report = desk.ingest()
    found = _replay(REPOSITORY / "bench" / "replay.py").totals(desk.root)
    assert report.events == expected.events
    assert (found.lines, found.tokens) == (expected.lines, expected.tokens)
    assert found.kinds - Counter({"hooks without a tool": 10**6}) == expected.kinds


def test_sessions_in_any_order_of_lines_are_each_complete(desk: Desk, tmp_path: Path) -> None:
    expected = _busy(desk, 300, 5)
    lines = desk.inbox.read_bytes().splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    mixed = Desk(tmp_path / "mixed")
    mixed.write(*lines)
    mixed.ingest()
    counted = Counter(record["event"] for record in mixed.records("session-log.jsonl"))
    assert {f"session-log.jsonl {event}": count for event, count in counted.items()} == {
        name: count for name, count in expected.kinds.items() if name.startswith("session")
    }
    assert len(mixed.records("hooks.jsonl")) == expected.lines["hooks.jsonl"]


def _json() -> st.SearchStrategy[Any]:
    texts = st.sampled_from(
        [
            *SECRETS,
            "PreToolUse",
            "PostToolUse",
            "SubagentStop",
            "SessionStart",
            "SessionEnd",
            "UserPromptSubmit",
            "Stop",
            "Agent",
            "Bash",
            "a1",
            "s1",
            "\ud800",
            "\0",
            "",
            "x" * 600,
            "<task-notification>",
            "StopFailure",
            "PostToolUseFailure",
            "/no/such.jsonl",
            "Exit code 1",
        ]
    ) | st.text(max_size=8)
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
    names = (
        st.sampled_from(
            [
                "session_id",
                "hook_event_name",
                "tool_name",
                "tool_use_id",
                "agent_id",
                "agent_type",
                "transcript_path",
                "prompt",
                "tool_input",
                "tool_response",
                "agentId",
                "subagent_type",
                "hook",
                "exit",
                "duration_ms",
                "signal",
                "error",
                "source",
                "reason",
                "signal",
                "name",
                "attributes",
                "time_ns",
                "session.id",
                "timedOut",
                "status",
            ]
        )
        | texts
    )
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=8), max_leaves=20
    )


@given(
    payloads=st.lists(
        st.tuples(st.sampled_from(["hook", "exec", "http", "otlp", "x"]), _json(), st.integers(0, 2**70)), max_size=12
    ),
    noise=st.lists(st.binary(max_size=80), max_size=4),
)
@settings(max_examples=40)
def test_whatever_is_in_an_inbox_records_are_valid_and_without_secrets(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[tuple[str, Any, int]], noise: list[bytes]
) -> None:
    desk = Desk(tmp_path_factory.mktemp("fuzz"))
    for kind, payload, stamp in payloads:
        known = {
            "session_id": f"s {SECRETS[1]}",
            "hook_event_name": "Stop",
            "signal": "logs",
            "hook": f"Stop:{SECRETS[0]}",
        }
        whole = {**known, **payload} if isinstance(payload, dict) else payload
        desk.write(_line({"ts": stamp, "pid": 1, "kind": kind, "payload": whole}))
    desk.write(*(data + b"\n" for data in noise))
    desk.ingest()
    _sound(desk)
    before = desk.everything()
    assert desk.ingest().events == 0
    assert desk.everything() == before


@given(lines=st.lists(st.one_of(_json(), st.binary(max_size=60)), max_size=14), data=st.data())
@settings(max_examples=40)
def test_whatever_is_in_a_transcript_records_are_valid_and_without_secrets(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any], data: st.DataObject
) -> None:
    desk = Desk(tmp_path_factory.mktemp("fuzz"))
    place = desk.project / "s1.jsonl"
    shapes = [
        {
            "type": "assistant",
            "uuid": SECRETS[0],
            "message": {"id": "m", "model": SECRETS[1], "usage": {"input_tokens": 3}},
        },
        {
            "type": "user",
            "uuid": "u",
            "message": {"content": [{"type": "tool_result", "is_error": True, "content": SECRETS[2]}]},
        },
        {
            "type": "attachment",
            "attachment": {"type": "hook_non_blocking_error", "command": f"sh {SECRETS[0]}", "exitCode": 1},
        },
        {"type": "system", "subtype": "stop_hook_summary", "hookInfos": [{"command": SECRETS[2], "durationMs": 1}]},
        {"type": "assistant", "isApiErrorMessage": True, "message": {"content": [{"text": SECRETS[1]}]}},
        {"type": "cost-state", "totalCostUSD": 1},
    ]
    with place.open("wb") as file:
        for line in lines:
            if isinstance(line, bytes):
                file.write(line + b"\n")
                continue
            shape: dict[str, Any] = dict(data.draw(st.sampled_from(shapes)))
            if isinstance(line, dict):
                shape |= line
            elif data.draw(st.booleans()):
                shape[data.draw(st.sampled_from(sorted(shape)))] = line
            file.write(json.dumps(shape).encode() + b"\n")
    desk.write(desk.hook("SessionStart", transcript_path=str(place)), desk.hook("SessionEnd"))
    desk.ingest()
    _sound(desk)


def _sound(desk: Desk) -> None:
    ids = desk.ids()
    assert len(ids) == len(set(ids))
    for place in [*desk.root.rglob("*"), *desk.state.glob("*.jsonl")]:
        if place.is_file() and place != desk.inbox:
            written = place.read_bytes()
            assert not any(secret.encode() in written for secret in SECRETS)
            for line in written.splitlines():
                json.loads(line, parse_constant=pytest.fail)


def test_the_state_is_one_file_only_its_owner_reads(desk: Desk) -> None:
    desk.write(desk.hook("SessionStart"))
    desk.ingest()
    for place in [*desk.state.iterdir(), *(desk.root / "sessions").iterdir()]:
        assert place.stat().st_mode & 0o077 == 0
    with sqlite3.connect(desk.state / "ingest.sqlite3") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_moment_that_no_store_can_hold_does_not_stop_ingest(desk: Desk) -> None:
    payload = {"session_id": "s1", "hook_event_name": "SessionStart", "source": "startup"}
    desk.write(_line({"ts": 10**19, "pid": 7, "kind": "hook", "payload": payload}), desk.hook("Stop"))
    desk.ingest()
    assert [record["event"] for record in desk.records("session-log.jsonl")] == ["start", "stop"]


def test_a_deep_payload_of_another_environment_does_not_stop_ingest(desk: Desk) -> None:
    deep = b'{"ts":1795000000000000001,"pid":7,"kind":"hook","env":"production","payload":' + b"[" * 800 + b"]" * 800
    desk.write(deep + b"}\n", desk.hook("Stop"))
    desk.ingest()
    assert [record["event"] for record in desk.records("session-log.jsonl")] == ["stop"]
    assert desk.ingest().events == 0


def test_a_timed_hook_alone_does_not_end_its_session(desk: Desk) -> None:
    desk.write(desk.exec("PreToolUse:guard.sh"))
    desk.ingest()
    assert desk.records("session-log.jsonl") == []


def test_a_session_resumed_in_another_environment_is_recorded_there(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Environment.DEVELOPMENT)
    desk.write(
        desk.event({"session_id": "s1", "hook_event_name": "SessionStart", "source": "startup"}, env="development"),
        desk.event({"session_id": "s1", "hook_event_name": "SessionEnd", "reason": "other"}, env="development"),
    )
    desk.ingest()
    desk.write(
        desk.event({"session_id": "s1", "hook_event_name": "SessionStart", "source": "resume"}, env="production"),
        desk.event({"session_id": "s1", "hook_event_name": "Stop"}, env="production"),
    )
    desk.ingest()
    found = [(record["event"], record["environment"]) for record in desk.records("session-log.jsonl")]
    assert found == [
        ("start", "development"), ("end", "development"), ("start", "production"), ("stop", "production")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "said",
    ["Exit code 1\nmerging this branch requires approval from an owner", 'Exit code 1\nUnknown command: "biuld"'],
)
def test_a_command_that_fails_is_a_low_error_whatever_it_said(desk: Desk, said: str) -> None:
    desk.write(
        desk.hook("PostToolUseFailure", tool_name="Bash", tool_use_id="t1", tool_input={"command": "x"}, error=said)
    )
    desk.ingest()
    assert [(one["errorType"], one["severity"]) for one in desk.records("errors.jsonl")] == [("ValidationError", "LOW")]


def test_a_daemon_that_was_not_reached_is_no_failing_hook_of_the_project(desk: Desk, tmp_path: Path) -> None:
    attachment = {
        "type": "hook_non_blocking_error", "hookName": "SessionStart:startup", "hookEvent": "SessionStart",
        "toolUseID": "u", "stdout": "", "exitCode": 0,
    }  # fmt: skip
    transcript = tmp_path / "s1.jsonl"
    said = ("connect ECONNREFUSED 127.0.0.1:4382", "connect ECONNREFUSED 127.0.0.1:9000")
    transcript.write_bytes(
        b"".join(
            _line({"type": "attachment", "uuid": text, "attachment": {**attachment, "stderr": text}}) for text in said
        )
    )
    desk.write(desk.hook("Stop", transcript_path=str(transcript)))
    desk.ingest()
    assert [(one["event"], one["tool"]) for one in desk.records("hooks.jsonl")] == [("SessionStart", None)]


def test_the_tokens_of_responses_that_take_turns_are_counted_once(desk: Desk, tmp_path: Path) -> None:
    def line(message: str) -> bytes:
        used = {"input_tokens": 1, "output_tokens": 2}
        return _line({
            "type": "assistant", "requestId": f"r-{message}", "timestamp": "2026-11-18T12:26:40.000Z",
            "message": {"id": message, "model": "m", "usage": used, "stop_reason": "end_turn", "content": []},
        })  # fmt: skip

    transcript = tmp_path / "agent-a1.jsonl"
    transcript.write_bytes(b"".join(line(message) for message in ("m1", "m2", "m1", "m3", "m2")))
    about = {"agent_id": "a1", "agent_type": "reader"}
    desk.write(
        desk.hook("SubagentStart", **about),
        desk.hook("SubagentStop", agent_transcript_path=str(transcript), **about),
        desk.hook("SessionEnd"),
    )
    desk.ingest()
    assert [record["tokensUsed"] for record in desk.records("agents.jsonl")] == [9]
