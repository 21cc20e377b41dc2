"""Real sessions of two client versions: every record right, told from the inbox and the transcripts together."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.killing import child

from agent_studio import clock
from agent_studio.capture.ingest.run import ingest
from agent_studio.capture.ingest.state import State
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.storage import chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.capture.ingest.report import Report

FIXTURES = Path(__file__).resolve().parent / "fixtures" / "claude_code"
SCENARIOS = sorted(str(place.parent.relative_to(FIXTURES)) for place in FIXTURES.glob("*/*/inbox.jsonl"))
SOON_AFTER = datetime(2026, 11, 24, tzinfo=UTC)
LONG_AGO = 1_700_000_000
COUNTS = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cacheReadTokens",
    "cache_write_5m": "cacheWrite5mTokens",
    "cache_write_1h": "cacheWrite1hTokens",
}
USD_PER_MILLION = {
    "claude-opus-5-5": ("4", "20", "0.20", "5", "8"),
    "claude-haiku-5-5": ("0.10", "0.50", "0.01", "0.125", "0.20"),
    "claude-sonnet-4-5-20250929": ("3", "15", "0.30", "3.75", "6"),
    "claude-haiku-4-5-20251001": ("1", "5", "0.10", "1.25", "2"),
}
"""List prices: input, output, cache read, cache write for 5 minutes and for an hour."""
MODEL_USAGE = {
    "inputTokens": "inputTokens",
    "outputTokens": "outputTokens",
    "cacheReadInputTokens": "cacheReadTokens",
    "cacheCreationEphemeral5mInputTokens": "cacheWrite5mTokens",
    "cacheCreationEphemeral1hInputTokens": "cacheWrite1hTokens",
}


class Desk:
    """A project with a staging environment, and the transcripts a client has written."""

    def __init__(self, path: Path) -> None:
        self.project = path / "project"
        self.transcripts = path / "transcripts"
        self.transcripts.mkdir(parents=True)
        self.root = self.project / ".claude" / "staging"
        for kind in ("metrics", "sessions"):
            (self.root / kind).mkdir(parents=True)
        (self.project / ".claude" / "config.staging.yaml").write_text("environment: staging\n")

    @property
    def inbox(self) -> Path:
        return self.root / "metrics" / "events.jsonl"

    @property
    def context(self) -> Context:
        return open_context(Project(self.project), Choice(Environment.STAGING, "--env"), {})

    def ingest(self, **options: Any) -> Report:
        return ingest(self.context, **options)

    def ids(self, folder: str, stem: str) -> list[str]:
        """Return the ids of a journal's records, also of days that are over."""
        places = sorted((self.root / folder).glob(f"{stem}*.jsonl"))
        return [json.loads(line)["eventId"] for place in places for line in place.read_bytes().splitlines()]

    def replay(self, scenario: str) -> list[bytes]:
        """Lay out the transcripts of a recorded session and return the lines of its inbox."""
        shutil.copytree(FIXTURES / scenario / "transcripts", self.transcripts, dirs_exist_ok=True)
        for place in self.transcripts.rglob("*"):
            os.utime(place, (LONG_AGO, LONG_AGO))  # a checkout that is seconds old would look like a session at work
        recorded = (FIXTURES / scenario / "inbox.jsonl").read_bytes()
        return recorded.replace(b"/srv/transcripts", os.fsencode(self.transcripts)).splitlines(keepends=True)

    def whole(self, scenario: str) -> Report:
        self.inbox.write_bytes(b"".join(self.replay(scenario)))
        return self.ingest()

    def records(self, file: str) -> list[dict[str, Any]]:
        place = self.root / ("sessions" if file.startswith("session") else "metrics") / file
        return [json.loads(line) for line in place.read_bytes().splitlines()] if place.exists() else []

    @property
    def agents(self) -> list[tuple[Any, ...]]:
        return [(run["agent"], run["status"]) for run in self.records("agents.jsonl")]

    @property
    def errors(self) -> list[tuple[Any, ...]]:
        found = sorted(self.records("errors.jsonl"), key=lambda error: error["timestamp"])
        return [(error["errorType"], error["severity"], error["source"], error["tool"]) for error in found]

    @property
    def hooks(self) -> list[tuple[Any, ...]]:
        return [(run["hook"], run["event"], run["tool"], run["status"]) for run in self.records("hooks.jsonl")]

    @property
    def usage(self) -> list[dict[str, Any]]:
        return self.records("llm-usage.log")

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        files = ("hooks.jsonl", "agents.jsonl", "errors.jsonl", "session-log.jsonl", "llm-usage.log")
        return {file: self.records(file) for file in files}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk soon after the sessions were recorded: after a day, those without an end would count as lost."""
    monkeypatch.setattr(clock, "now", lambda: SOON_AFTER)
    return Desk(tmp_path)


DENIED, INVALID = ("SecurityViolation", "HIGH", "tool"), ("ValidationError", "LOW", "tool")
EXPECTED: dict[str, tuple[list[Any], list[Any]]] = {
    "2.1.330/tools": (
        [],
        [
            ("SystemError", "MEDIUM", "hook", "Read"),
            ("SystemError", "MEDIUM", "hook", "Edit"),
            (*INVALID, "Bash"),
            (*INVALID, "Read"),
            (*DENIED, "Write"),
        ],
    ),
    "2.1.330/tools_all_events": (
        [],
        [
            ("SystemError", "MEDIUM", "hook", "Read"),
            ("SystemError", "MEDIUM", "hook", "Edit"),
            (*INVALID, "Bash"),
            (*INVALID, "Read"),
            (*DENIED, "Write"),
        ],
    ),
    "2.1.330/agent": ([("demo-agent", "completed")], []),
    "2.1.330/agent_error_400": ([("demo-agent", "failed")], [("SystemError", "MEDIUM", "api", None)]),
    "2.1.330/agent_foreground_error": (
        [("no-such-agent", "failed"), ("demo-agent", "failed")],
        [
            ("SystemError", "MEDIUM", "api", None),
            ("RoutingError", "MEDIUM", "tool", "Agent"),
            ("SystemError", "HIGH", "api", None),
        ],
    ),
    "2.1.330/api_error_401": ([], [("SystemError", "HIGH", "api", None)]),
    "2.1.330/bad_calls": (
        [],
        [
            (*INVALID, "Bash"),
            (*INVALID, "Read"),
            ("RoutingError", "MEDIUM", "tool", "NoSuchTool"),
            (*INVALID, "Edit"),
            (*INVALID, "Grep"),
            (*INVALID, "Bash"),
        ],
    ),
    "2.1.330/denied": ([], [(*DENIED, "Bash"), (*DENIED, "Read"), (*DENIED, "Bash"), (*DENIED, "Write")]),
    "2.1.330/json_deny": (
        [],
        [(*DENIED, "Bash"), ("SystemError", "MEDIUM", "hook", "Read"), ("SystemError", "MEDIUM", "hook", "Write")],
    ),
    "2.1.330/stop_block": ([], [("SystemError", "MEDIUM", "hook", None)]),
    "2.1.330/interrupted_in_agent": ([("demo-agent", "cancelled")], []),
    "2.1.330/compact": ([], []),
    "2.1.330/fork": ([], []),
    "2.1.330/resume": ([], []),
    "2.1.330/killed_in_agent": ([], []),
    "2.0.76/tools": ([], [(*INVALID, "Bash"), (*INVALID, "Read"), (*DENIED, "Write")]),
    "2.0.76/agent": ([("demo-agent", "completed")], []),
    "2.0.76/agent_error_400": ([("demo-agent", "failed")], [("SystemError", "MEDIUM", "api", None)]),
    "2.0.76/agent_unknown": ([("no-such-agent", "failed")], [("RoutingError", "MEDIUM", "tool", "Task")]),
    "2.0.76/api_error_529": ([], [("SystemError", "HIGH", "api", None)]),
    "2.0.76/denied": ([], [(*DENIED, "Bash"), (*DENIED, "Read"), (*DENIED, "Bash"), (*DENIED, "Write")]),
    "2.0.76/json_deny": ([], [(*DENIED, "Bash")]),
    "2.0.76/resume": ([], []),
    "2.0.76/killed_in_agent": ([], []),
}


def test_every_recorded_session_has_an_expectation() -> None:
    assert sorted(EXPECTED) == SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_real_session_becomes_the_right_agents_and_errors(desk: Desk, scenario: str) -> None:
    agents, errors = EXPECTED[scenario]
    report = desk.whole(scenario)
    assert (desk.agents, desk.errors) == (agents, errors)
    assert report.damaged == report.unknown == report.unrouted == 0


def test_an_end_that_a_killed_run_had_taken_in_is_not_hidden_by_a_later_event(desk: Desk, tmp_path: Path) -> None:
    whole = Desk(tmp_path / "whole")
    whole.whole("2.1.330/tools")
    lines = desk.replay("2.1.330/tools")
    desk.inbox.write_bytes(b"".join(lines))
    reading = "agent_studio.capture.ingest.transcripts.Transcript.read"
    assert child(lambda: _killed_in(reading, desk.ingest))
    (*_, last) = map(json.loads, lines)
    late = {"hook": "late", "exit": 0, "signal": None, "duration_ms": 1, "session_id": last["payload"]["session_id"]}
    with desk.inbox.open("ab") as inbox:
        inbox.write(json.dumps({**last, "kind": "exec", "payload": late}).encode() + b"\n")
    desk.ingest()
    events = Counter(record["event"] for record in desk.records("session-log.jsonl"))
    assert events == Counter(record["event"] for record in whole.records("session-log.jsonl"))
    assert (desk.errors, len(desk.usage)) == (whole.errors, len(whole.usage))


def test_an_end_that_a_killed_run_has_written_too_early_is_not_written_again(desk: Desk) -> None:
    """The next run still waits for what the session cost; the one after that comes to the end."""
    first, *lines = desk.replay("2.0.76/tools")
    desk.inbox.write_bytes(b"".join([first, *lines]))
    assert child(lambda: _killed_in_commit(2, desk.ingest))
    written = desk.ids("sessions", "session-log")
    start = json.loads(first)
    start["payload"]["session_id"] = "another"
    with desk.inbox.open("ab") as inbox:
        inbox.write(json.dumps(start).encode() + b"\n")
    desk.ingest(settle_s=1e8)
    desk.ingest()
    found = desk.ids("sessions", "session-log")
    assert set(written) < set(found)
    assert len(found) == len(set(found)) == len(written) + 1


def test_an_error_that_a_killed_run_has_written_too_early_is_not_written_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock was ahead, so that the session could no longer end by the error; the next one's is right."""
    *lines, end = desk.replay("2.1.330/agent_foreground_error")
    desk.inbox.write_bytes(b"".join(lines))
    assert child(lambda: _killed_in_commit(2, desk.ingest))
    written = sorted(desk.ids("metrics", "errors"))
    at_ns = json.loads(end)["ts"]
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: datetime.fromtimestamp(at_ns / 1e9, UTC))
        desk.ingest()
    desk.ingest()
    assert sorted(desk.ids("metrics", "errors")) == written


def _killed_in_commit(number: int, work: Callable[[], object]) -> None:
    """Be killed when the records of a commit are written and the state is not: the first has what events tell."""
    commits, kept = count(1), State.commit

    def commit(held: State) -> None:
        if next(commits) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        kept(held)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(State, "commit", commit)
        work()


def _killed_in(name: str, work: Callable[[], object]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        work()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_session_taken_event_by_event_leaves_the_same_records(
    desk: Desk, tmp_path: Path, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transcripts grow as they did, and it is the time it was: what is told early must be told the same."""
    desk.whole(scenario)
    slow = Desk(tmp_path / "slow")
    lines = slow.replay(scenario)
    written = {place: place.read_bytes() for place in slow.transcripts.rglob("*.json*")}
    for number, line in enumerate(lines):
        at_ns = json.loads(line)["ts"]
        monkeypatch.setattr(clock, "now", lambda at_ns=at_ns: datetime.fromtimestamp(at_ns / 1e9, UTC))
        for place, data in written.items():
            place.unlink(missing_ok=True)
            if so_far := data if number == len(lines) - 1 else _until(place, data, at_ns):
                place.write_bytes(so_far)
        with slow.inbox.open("ab") as file:
            file.write(line)
        slow.ingest()
    for place in slow.transcripts.rglob("*.jsonl"):
        os.utime(place, ns=(at_ns, at_ns))
    monkeypatch.setattr(clock, "now", lambda: datetime.fromtimestamp(at_ns / 1e9 + 300, UTC))
    slow.ingest()
    assert {file: _comparable(records) for file, records in slow.everything().items()} == {
        file: _comparable(records) for file, records in desk.everything().items()
    }


def _until(place: Path, data: bytes, at_ns: int) -> bytes:
    """Return what of a transcript was written by then."""
    if place.suffix == ".json":
        return data.replace(b'"finished":true', b'"finished":false')
    kept = []
    for line in data.splitlines(keepends=True):
        written = json.loads(line).get("timestamp")
        if written and datetime.fromisoformat(written).timestamp() * 1e9 > at_ns:
            break
        kept.append(line)
    return b"".join(kept)


def _comparable(records: list[dict[str, Any]]) -> list[str]:
    """Leave out what depends on the folder and on the order of runs."""
    own = {"_seq", "_hash", "_prevHash", "project", "eventId", "costUsd"}
    return sorted(json.dumps({name: value for name, value in line.items() if name not in own}) for line in records)


def _cost_usd(record: dict[str, Any]) -> Decimal:
    """Return what a response costs by rates written here by hand."""
    kinds = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWrite5mTokens", "cacheWrite1hTokens")
    rates = USD_PER_MILLION[record["model"]]
    return sum((record[kind] * Decimal(rate) for kind, rate in zip(kinds, rates, strict=True)), Decimal()) / 1_000_000


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_usage_is_what_the_api_served_as_far_as_a_transcript_tells(desk: Desk, scenario: str) -> None:
    desk.whole(scenario)
    served = json.loads((FIXTURES / scenario / "served.json").read_text())
    told = {record["messageId"]: {name: record[field] for name, field in COUNTS.items()} for record in desk.usage}
    assert len(told) == len(desk.usage)
    assert told == {message: served[message] for message in told}
    assert {record["source"] for record in desk.usage} <= {"transcript"}
    assert [Decimal(record["costUsd"]) for record in desk.usage] == [_cost_usd(record) for record in desk.usage]
    assert chain.first_bad_line((desk.root / "metrics" / "llm-usage.log").read_bytes().splitlines()) is None


@pytest.mark.parametrize(
    "scenario", [name for name in SCENARIOS if name.startswith("2.1.330") and "killed" not in name]
)
def test_usage_equals_what_the_client_itself_has_counted_to_the_token(desk: Desk, scenario: str) -> None:
    desk.whole(scenario)
    if scenario.endswith("compact"):
        return  # the compaction's own requests are in no transcript
    assert _by_model(desk.usage) == _closing(desk.transcripts)


def test_a_session_with_an_agent_equals_the_clients_own_count(desk: Desk) -> None:
    shutil.copytree(FIXTURES / "2.1.330" / "session", desk.transcripts, dirs_exist_ok=True)
    main = next(desk.transcripts.glob("*.jsonl"))
    _hook(desk, "SessionStart", main, source="startup")
    _hook(desk, "SessionEnd", main, reason="other")
    desk.ingest()
    assert _by_model(desk.usage) == _closing(desk.transcripts)
    assert {record["agent"] for record in desk.usage} == {None, "demo-agent"}
    (run,) = desk.records("agents.jsonl")
    assert (run["agent"], run["status"], run["tokensUsed"]) == ("demo-agent", "completed", 5_264 + 474)


def _by_model(usage: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for record in usage:
        found.setdefault(record["model"], Counter()).update({field: record[field] for field in MODEL_USAGE.values()})
    return found


def _closing(transcripts: Path) -> dict[str, Counter[str]]:
    """Return the client's own closing count, over all sessions; a forked one counts what it was forked from."""
    lines = [line for place in transcripts.glob("*.jsonl") for line in _parsed(place)]
    states = {line["sessionId"]: line["modelUsage"] for line in lines if line.get("type") == "cost-state"}
    largest = max(states.values(), key=lambda usage: sum(model["inputTokens"] for model in usage.values()))
    return {
        model: Counter({field: counts.get(name, 0) for name, field in MODEL_USAGE.items()})
        for model, counts in largest.items()
    }


def _parsed(place: Path) -> Iterator[dict[str, Any]]:
    for line in place.read_text().splitlines():
        yield json.loads(line)


def _hook(desk: Desk, event: str, transcript: Path, **more: Any) -> None:
    payload = {"session_id": transcript.stem, "transcript_path": str(transcript), "hook_event_name": event, **more}
    with desk.inbox.open("a") as file:
        file.write(json.dumps({"ts": 1_795_000_000_000_000_000, "pid": 1, "kind": "hook", "payload": payload}) + "\n")


def test_hooks_that_nobody_timed_are_told_by_the_transcript(desk: Desk) -> None:
    desk.whole("2.1.330/tools")
    assert desk.hooks == [
        ("fail.sh", "PostToolUse", "Read", "failure"),
        ("slow.sh", "PreToolUse", "Edit", "timeout"),
        ("block.sh", "PreToolUse", "Write", "blocked"),
    ]
    assert [run["executionTimeMs"] for run in desk.records("hooks.jsonl")] == [5, 1020, None]


def test_a_hook_that_blocks_the_end_of_a_turn_is_blocked_and_then_passes(desk: Desk) -> None:
    desk.whole("2.1.330/stop_block")
    assert [run[3] for run in desk.hooks] == ["failure", "blocked", "success"]
    assert {run[1] for run in desk.hooks} == {"UserPromptSubmit", "Stop"}


def test_an_event_and_the_transcript_tell_of_a_failure_once(desk: Desk) -> None:
    desk.whole("2.1.330/tools_all_events")
    assert len(desk.errors) == len(EXPECTED["2.1.330/tools_all_events"][1])


@pytest.mark.parametrize(
    ("scenario", "costs"),
    [
        ("2.1.330/agent", ["0.02770401"]),
        ("2.0.76/agent", [None]),
        ("2.1.330/resume", ["0.0120656", "0.02552", "0.032768"]),
    ],
)
def test_the_end_of_a_session_says_what_the_client_says_it_cost(desk: Desk, scenario: str, costs: list[Any]) -> None:
    desk.whole(scenario)
    ends = [record for record in desk.records("session-log.jsonl") if record["event"] == "end"]
    assert [end["costUsd"] for end in ends] == costs
    assert all(end["durationMs"] > 0 and end["reason"] == "other" for end in ends)


def test_a_task_notification_is_not_a_prompt_of_the_user(desk: Desk) -> None:
    desk.whole("2.1.330/agent")
    prompts = [record for record in desk.records("session-log.jsonl") if record["event"] == "prompt"]
    assert [prompt["source"] for prompt in prompts] == [None, "task-notification"]
    assert [set(prompt["metadata"]) for prompt in prompts] == [{"length"}, {"length"}]


def test_the_clients_own_agents_are_no_agent_runs(desk: Desk) -> None:
    assert desk.whole("2.0.76/agent").warmups == 2
    assert desk.whole("2.1.330/compact").compactions == 2
    assert desk.agents == [("demo-agent", "completed")]


def test_an_agents_run_says_how_long_and_how_much(desk: Desk) -> None:
    desk.whole("2.1.330/agent")
    (run,) = desk.records("agents.jsonl")
    assert run["taskId"] == "toolu_000000000000000000010000"
    assert run["tokensUsed"] == 5 + 54 + 326 + 134 + 7 + 68 + 352 + 168
    assert 100 < run["durationMs"] < 1_000


def test_a_forked_session_does_not_count_what_it_copied(desk: Desk) -> None:
    lines = desk.replay("2.1.330/fork")
    for place in desk.transcripts.glob("*.jsonl"):
        text = place.read_text().replace('"content":"ok","is_error":false', '"content":"Exit code 4","is_error":true')
        place.write_text(text)
    desk.inbox.write_bytes(b"".join(lines))
    desk.ingest()
    copied = {
        line["uuid"]
        for place in desk.transcripts.glob("*.jsonl")
        for line in _parsed(place)
        if "toolUseResult" in line and "Exit code 4" in json.dumps(line)
    }
    assert copied
    assert len(desk.errors) == len(copied)


def test_a_session_of_which_nothing_was_heard_for_a_day_is_lost_and_its_agents_failed(desk: Desk) -> None:
    lines = desk.replay("2.1.330/killed_in_agent")
    desk.inbox.write_bytes(b"".join(lines))
    desk.ingest()
    assert desk.agents == []
    for place in desk.transcripts.rglob("*.jsonl"):
        os.utime(place, (LONG_AGO, LONG_AGO))
    fresh = Desk(desk.project.parent / "later")
    fresh.transcripts.rmdir()
    shutil.copytree(desk.transcripts, fresh.transcripts)
    old = (
        b"".join(lines)
        .replace(b'{"ts":1795', b'{"ts":1695')
        .replace(os.fsencode(desk.transcripts), os.fsencode(fresh.transcripts))
    )
    fresh.inbox.write_bytes(old)
    fresh.ingest()
    assert fresh.agents == [("demo-agent", "failed")]
    assert [record["reason"] for record in fresh.records("session-log.jsonl") if record["event"] == "end"] == ["lost"]
    before = fresh.everything()
    fresh.ingest()
    assert fresh.everything() == before


def _session(desk: Desk, *written: dict[str, Any] | bytes, ended: bool = True, name: str = "s1") -> Path:
    place = desk.transcripts / f"{name}.jsonl"
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in written]
    place.write_bytes(b"\n".join(lines) + b"\n" if lines else b"")
    _hook(desk, "SessionStart", place, source="startup")
    if ended:
        _hook(desk, "SessionEnd", place, reason="other")
    return place


def _said(message: str, request: str | None = "r1", stop: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    counts = {"input_tokens": 1, "output_tokens": 2, **usage}
    return {
        "type": "assistant",
        "uuid": f"{message}-{counts}",
        "requestId": request,
        "timestamp": "2026-01-31T09:30:00.000Z",
        "message": {"id": message, "model": "claude-opus-5-5", "stop_reason": stop, "usage": counts, "content": []},
    }


def test_of_repeated_lines_the_largest_figures_count(desk: Desk) -> None:
    _session(desk, _said("m1", output_tokens=5), _said("m1", output_tokens=9), _said("m1", output_tokens=7))
    desk.ingest()
    assert [(record["outputTokens"], record["amends"]) for record in desk.usage] == [(9, None)]


def test_late_growth_is_a_record_that_amends(desk: Desk) -> None:
    place = _session(desk, _said("m1", output_tokens=5), _said("m2", "r2"), ended=False)
    desk.ingest()
    assert [record["messageId"] for record in desk.usage] == ["m1"]
    with place.open("a") as file:
        file.write(json.dumps(_said("m1", output_tokens=50)) + "\n")
    _hook(desk, "SessionEnd", place, reason="other")
    desk.ingest()
    assert [(line["messageId"], line["outputTokens"], line["amends"]) for line in desk.usage] == [
        ("m1", 5, None),
        ("m2", 2, None),
        ("m1", 50, 1),
    ]


def test_a_response_without_a_request_id_counts(desk: Desk) -> None:
    _session(desk, _said("m1", None), _said("m1", None), _said("m2", None))
    desk.ingest()
    assert [(record["messageId"], record["requestId"]) for record in desk.usage] == [("m1", ""), ("m2", "")]


@pytest.mark.parametrize("figure", [-1, 10**12, 1.5, "7", True])
def test_figures_that_cannot_be_are_refused_and_counted(desk: Desk, figure: Any) -> None:
    _session(desk, _said("m1", input_tokens=figure), _said("m2", "r2"))
    assert desk.ingest().damaged == 1
    assert [record["messageId"] for record in desk.usage] == ["m2"]


def test_what_the_client_made_up_itself_is_no_usage(desk: Desk) -> None:
    made_up = _said("m1")
    made_up["message"]["model"] = "<synthetic>"
    _session(desk, made_up)
    desk.ingest()
    assert desk.usage == []


def test_lines_no_client_should_write_are_passed_over(desk: Desk) -> None:
    odd: list[dict[str, Any] | bytes] = [
        b"",
        b"not json",
        b"[1]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"type":"assistant","message":null}',
        b'{"type":"user","message":{"content":[null,1,{"type":"tool_result","is_error":true,"content":null}]}}',
        b'{"type":"attachment","attachment":{"type":null}}',
        b'{"type":"from the future","x":[[]]}',
        b'{"type":"system","subtype":"stop_hook_summary","hookInfos":[null,{}],"hookErrors":7}',
        b'{"type":"cost-state","totalCostUSD":"much"}',
        b'{"type":"assistant","message":{"usage":{},"id":null}}',
        b"\xef\xbb\xbf" + json.dumps(_said("m1")).encode() + b"\r",
        b"[" * 100_000,
    ]
    _session(desk, *odd)
    desk.ingest()
    assert [record["messageId"] for record in desk.usage] == ["m1"]
    assert [error[0] for error in desk.errors] == ["UnknownError"]


def test_a_line_of_twelve_megabytes_is_read(desk: Desk) -> None:
    huge = _said("m1")
    huge["message"]["content"] = [{"type": "text", "text": "x" * 12_000_000}]
    _session(desk, huge, _said("m2", "r2"))
    desk.ingest()
    assert [record["messageId"] for record in desk.usage] == ["m1", "m2"]


def test_a_line_is_read_once_it_is_whole(desk: Desk) -> None:
    place = _session(desk, ended=False)
    line = json.dumps(_said("m1")).encode() + b"\n"
    place.write_bytes(line[:50])
    desk.ingest()
    with place.open("ab") as file:
        file.write(line[50:])
    _hook(desk, "SessionEnd", place, reason="other")
    desk.ingest()
    assert [record["messageId"] for record in desk.usage] == ["m1"]


def test_a_transcript_that_is_no_file_or_not_there_is_counted(desk: Desk, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    for number, path in enumerate(
        [
            tmp_path / "pipe.jsonl",
            tmp_path / "folder.jsonl",
            tmp_path / "gone.jsonl",
            Path("/dev/zero"),
            Path("relative.jsonl"),
            tmp_path / "a\0b.jsonl",
        ]
    ):
        payload = {"session_id": f"s{number}", "transcript_path": str(path), "hook_event_name": "SessionEnd"}
        with desk.inbox.open("a") as file:
            file.write(
                json.dumps({"ts": 1_795_000_000_000_000_000 + number, "pid": 1, "kind": "hook", "payload": payload})
                + "\n"
            )
    report = desk.ingest()
    assert report.transcripts_missing == 6
    assert len(desk.records("session-log.jsonl")) == 6


def test_api_errors_are_grave_when_they_repeat_or_end_the_session(desk: Desk) -> None:
    def failed(number: int, status: int = 529) -> dict[str, Any]:
        text = [{"type": "text", "text": f"API Error: {status} overloaded"}]
        return {
            "type": "assistant",
            "uuid": f"u{number}",
            "isApiErrorMessage": True,
            "apiErrorStatus": status,
            "timestamp": "2026-01-31T09:30:00.000Z",
            "message": {"model": "<synthetic>", "content": text},
        }

    _session(
        desk, failed(1), _said("m1"), failed(2), failed(3), failed(4), _said("m2", "r2"), failed(5, 403), _said("m3")
    )
    desk.ingest()
    assert [error["severity"] for error in desk.records("errors.jsonl")] == [
        "MEDIUM",
        "MEDIUM",
        "MEDIUM",
        "HIGH",
        "HIGH",
    ]


def test_what_a_person_stopped_or_refused_is_no_error(desk: Desk) -> None:
    def refused(number: int, text: str) -> dict[str, Any]:
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "is_error": True, "content": text}
        return {
            "type": "user",
            "uuid": f"u{number}",
            "message": {"content": [result]},
            "toolDenialKind": "user-rejected",
            "permissionDecision": {"decision": "reject"},
        }

    _session(
        desk,
        refused(1, "The user doesn't want to proceed with this tool use. The tool use was rejected."),
        refused(2, "[Request interrupted by user for tool use]"),
    )
    desk.ingest()
    assert desk.errors == []


@pytest.mark.parametrize("scenario", ["2.1.330/agent_foreground_error", "2.0.76/agent_unknown"])
def test_an_agent_whose_failure_is_read_before_its_call_is_a_run(desk: Desk, scenario: str) -> None:
    for event in desk.replay(scenario):  # the transcript is whole: it is read while its events are still coming in
        with desk.inbox.open("ab") as inbox:
            inbox.write(event)
        desk.ingest()
    assert sorted(desk.agents) == sorted(EXPECTED[scenario][0])


@pytest.mark.parametrize("scenario", [scenario for scenario in SCENARIOS if EXPECTED[scenario][0]])
@pytest.mark.parametrize("with_starts", [False, True])
def test_an_agent_is_one_run_wherever_a_reading_falls_between_its_events(
    tmp_path: Path, scenario: str, monkeypatch: pytest.MonkeyPatch, *, with_starts: bool
) -> None:
    """Events come in while ingest is at the transcripts: those may tell of an end whose event is read later."""
    whole = Desk(tmp_path / "whole").replay(scenario)
    for split in range(len(_started(whole) if with_starts else whole)):
        desk = Desk(tmp_path / str(split))
        lines = desk.replay(scenario)
        lines = _started(lines) if with_starts else lines
        at_ns = json.loads(lines[-1])["ts"]
        monkeypatch.setattr(clock, "now", lambda at_ns=at_ns: datetime.fromtimestamp(at_ns / 1e9, UTC))
        for part in (lines[:split], lines[split:]):
            with desk.inbox.open("ab") as inbox:
                inbox.write(b"".join(part))
            desk.ingest()
        assert sorted(desk.agents) == sorted(EXPECTED[scenario][0]), f"read after event {split}"


def _started(lines: list[bytes]) -> list[bytes]:
    """Return events with a start of every agent that stops, before the first event that names the agent."""
    found, seen = [], set()
    stops = {event["payload"].get("agent_id") for event in map(json.loads, lines) if _is(event, "SubagentStop")}
    for line in lines:
        payload = json.loads(line)["payload"]
        agent = payload.get("agent_id")
        if agent and agent in stops and agent not in seen and not _is(json.loads(line), "SubagentStart"):
            start = {**payload, "hook_event_name": "SubagentStart"}
            found.append(json.dumps({**json.loads(line), "payload": start}).encode() + b"\n")
        seen.add(agent)
        found.append(line)
    return found


def _is(event: dict[str, Any], name: str) -> bool:
    return isinstance(event["payload"], dict) and event["payload"].get("hook_event_name") == name
