"""Every record says with which candidate or release its session ran, or says nothing."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.release_world import World

from agent_studio.environment.roots import Project
from agent_studio.release import attribution
from agent_studio.release.content.candidate import candidate
from agent_studio.release.production import history

if TYPE_CHECKING:
    from tests.conftest import Studio

TRANSCRIPT = {
    "type": "assistant", "uuid": "u1", "requestId": "r1", "sessionId": "one",
    "message": {"id": "m1", "model": "claude-sonnet-5-5", "stop_reason": "end_turn",
                "usage": {"input_tokens": 10, "output_tokens": 5}},
}  # fmt: skip


class Inbox:
    """Events of sessions in staging, as the recorder appends them."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.place = studio.path / ".claude/staging/metrics/events.jsonl"
        self.project = Project(Path(os.path.realpath(studio.path)))

    @property
    def sha256(self) -> str:
        return candidate(self.project).sha256

    def write(self, kind: str, payload: dict[str, Any]) -> None:
        line = {"ts": time.time_ns(), "pid": 7, "kind": kind, "env": "staging", "payload": payload}
        with self.place.open("a") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def hook(self, name: str, session: str = "one", **more: Any) -> None:
        self.write("hook", {"session_id": session, "hook_event_name": name, **more})

    def exec(self, session: str | None = "one", code: int = 0) -> None:
        payload: dict[str, Any] = {"hook": "PostToolUse:fmt", "exit": code, "signal": None, "duration_ms": 3.5}
        self.write("exec", payload | ({"session_id": session} if session else {}))

    def start(self, session: str = "one", source: str = "startup") -> None:
        time.sleep(0.05)
        self.hook("SessionStart", session, source=source)

    def ingest(self) -> None:
        done = self.studio.run("ingest", "--env", "staging")
        assert done.code == 0, done.err

    def released(self, file: str) -> list[str | None]:
        return [json.loads(line)["release"] for line in self.lines(file)]

    def lines(self, file: str) -> list[str]:
        place = self.studio.path / ".claude/staging" / file
        return place.read_text().splitlines() if place.exists() else []


@pytest.fixture
def inbox(staged: Studio) -> Inbox:
    return Inbox(staged)


def test_every_record_of_a_session_has_the_candidate_that_it_began_with(inbox: Inbox, tmp_path: Path) -> None:
    transcript = tmp_path / "one.jsonl"
    transcript.write_text(json.dumps({**TRANSCRIPT, "timestamp": "2100-01-01T00:00:00.000Z"}) + "\n")
    inbox.start()
    inbox.hook("UserPromptSubmit", prompt="go", transcript_path=str(transcript))
    inbox.hook("PreToolUse", tool_name="Task", tool_use_id="t1", tool_input={"subagent_type": "code-reviewer"})
    inbox.hook("PostToolUse", tool_name="Task", tool_use_id="t1", tool_response={"agentId": "a1"})
    inbox.exec(code=1)
    inbox.hook("SessionEnd", reason="exit")
    inbox.ingest()
    for file in ("sessions/session-log.jsonl", "metrics/hooks.jsonl", "metrics/errors.jsonl", "metrics/agents.jsonl",
                 "metrics/llm-usage.log"):  # fmt: skip
        found = inbox.released(file)
        assert found, file
        assert set(found) == {inbox.sha256}, file


def test_an_edit_after_the_start_leaves_it_unknown_what_the_session_ran_with(inbox: Inbox) -> None:
    inbox.start()
    inbox.studio.write(".claude/agents/code-reviewer.md", "edited\n")
    inbox.ingest()
    assert inbox.released("sessions/session-log.jsonl") == [None]


def test_what_was_known_at_the_start_stays_when_definitions_change_later(inbox: Inbox) -> None:
    before = inbox.sha256
    inbox.start()
    inbox.ingest()
    inbox.studio.write(".claude/agents/code-reviewer.md", "edited\n")
    inbox.exec()
    inbox.ingest()
    assert inbox.sha256 != before
    assert inbox.released("metrics/hooks.jsonl") == [before]


def test_a_session_that_goes_on_after_an_edit_has_both_candidates_each_in_its_time(inbox: Inbox) -> None:
    first = inbox.sha256
    inbox.start()
    inbox.exec()
    inbox.ingest()
    inbox.studio.write(".claude/agents/code-reviewer.md", "edited\n")
    inbox.start(source="resume")
    inbox.exec()
    inbox.ingest()
    assert inbox.released("metrics/hooks.jsonl") == [first, inbox.sha256]


def test_what_a_transcript_tells_of_the_time_before_an_edit_is_not_of_the_candidate_after_it(
    inbox: Inbox, tmp_path: Path
) -> None:
    transcript = tmp_path / "one.jsonl"
    inbox.start()
    told = datetime.now(UTC).isoformat(timespec="milliseconds")
    transcript.write_text(json.dumps({**TRANSCRIPT, "timestamp": told}) + "\n")
    time.sleep(0.05)
    inbox.studio.write(".claude/agents/code-reviewer.md", "edited\n")
    inbox.start(source="resume")
    inbox.hook("Stop", transcript_path=str(transcript))
    inbox.ingest()
    assert inbox.released("sessions/session-log.jsonl") == [None, inbox.sha256, inbox.sha256]
    assert inbox.released("metrics/llm-usage.log") == [None]


def test_a_start_that_comes_late_says_nothing_of_what_was_recorded_before_it(inbox: Inbox) -> None:
    inbox.exec()
    inbox.start()
    inbox.exec()
    inbox.ingest()
    assert inbox.released("metrics/hooks.jsonl") == [None, inbox.sha256]


def test_without_a_start_nothing_is_said_and_compaction_is_none(inbox: Inbox) -> None:
    inbox.hook("UserPromptSubmit", prompt="go")
    inbox.start(source="compact")
    inbox.exec()
    inbox.exec(session=None)
    inbox.ingest()
    assert inbox.released("sessions/session-log.jsonl") == [None, None]
    assert inbox.released("metrics/hooks.jsonl") == [None, None]


def test_compaction_goes_on_with_what_the_session_began_with(inbox: Inbox) -> None:
    before = inbox.sha256
    inbox.start()
    inbox.ingest()
    inbox.studio.write(".claude/agents/code-reviewer.md", "edited\n")
    inbox.start(source="compact")
    inbox.ingest()
    assert inbox.released("sessions/session-log.jsonl") == [before, before]


def test_definitions_are_read_once_a_run_and_not_without_a_new_session(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Project] = []

    def counted(project: Project) -> Any:
        read.append(project)
        return candidate(project)

    monkeypatch.setattr(attribution, "candidate", counted)
    for session in ("one", "two", "three"):
        inbox.start(session)
    inbox.ingest()
    assert len(read) == 1
    inbox.exec("one")
    inbox.ingest()
    assert len(read) == 1


def test_definitions_that_cannot_be_hashed_leave_it_unknown_and_stop_nothing(inbox: Inbox) -> None:
    if os.name == "nt":
        pytest.skip("such a name cannot be")
    (inbox.studio.path / ".claude/agents/a\nb.md").write_text("x\n")
    inbox.start()
    inbox.ingest()
    assert inbox.released("sessions/session-log.jsonl") == [None]


def test_a_start_in_the_future_is_no_start_that_anything_is_known_of(staged: Studio) -> None:
    found = attribution.Attribution(Project(Path(os.path.realpath(staged.path))))
    time.sleep(0.05)
    assert found.release("staging", datetime.now(UTC))
    assert found.release("staging", datetime.now(UTC) + timedelta(hours=1)) is None


def test_a_session_in_production_ran_with_the_release_that_was_live(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    before = datetime.now(UTC)
    releases = [world.promoted(f"edit {number}\n") for number in range(2)]
    live = Project(world.live.resolve())
    times = [datetime.fromisoformat(one.time) for one in history.read(world.project).releases]
    for project in (world.project, live):
        found = attribution.Attribution(project)
        assert found.release("production", before) is None
        assert [found.release("production", one + timedelta(milliseconds=2)) for one in times] == releases


def test_while_production_is_switched_nobody_can_know() -> None:
    switched = history.Release(
        "b" * 64, "b" * 64, "20260131T093000.000Z-0123abcd", "promote", "2026-01-31T09:31:00.000Z", None, {}
    )
    first = switched._replace(release="a" * 64, id="20260130T093000.000Z-0123abcd", time="2026-01-30T09:30:01.000Z")
    at = {
        minute: attribution.live_at([first, switched], datetime(2026, 1, 31, 9, minute, 30, tzinfo=UTC))
        for minute in (29, 30, 31)
    }
    assert at == {29: "a" * 64, 30: None, 31: "b" * 64}
