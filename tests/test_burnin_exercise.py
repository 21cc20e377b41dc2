"""Replays: real hook commands of the candidate, timed; sessions that a command starts; all of it labelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.burnin_world import HOOKS, BurninWorld, hook_of

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.release.burnin import beginning
from agent_studio.release.content.candidate import candidate

if TYPE_CHECKING:
    from tests.conftest import Studio

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the hooks of these tests are for a POSIX shell")
GIVEN = "given.jsonl"


def wire(studio: Studio, **hooks: dict[str, Any]) -> None:
    """Write settings with one hook an event: matcher and hook fields."""
    value = {
        event: [{"matcher": hook.pop("matcher", ""), "hooks": [{"type": "command", **hook}]}]
        for event, hook in hooks.items()
    }
    studio.write(".claude/settings.json", json.dumps({"hooks": value}))


def records(studio: Studio) -> list[dict[str, Any]]:
    text = (studio.path / ".claude/staging" / HOOKS).read_text()
    return [json.loads(line) for line in text.splitlines()]


def payloads(studio: Studio) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (studio.path / GIVEN).read_text().splitlines()]


NOTE = f'cat >> "$CLAUDE_PROJECT_DIR/{GIVEN}"; echo >> "$CLAUDE_PROJECT_DIR/{GIVEN}"'


def test_hooks_run_for_real_and_are_recorded_as_synthetic(staged: Studio) -> None:
    wire(
        staged,
        PreToolUse={"command": NOTE, "matcher": "Edit|Write"},
        Stop={"command": "exit 2"},
        SessionStart={"command": "echo first >&2; echo a module is missing >&2; sleep 30 & exit 7"},
        UserPromptSubmit={"command": "sleep 30", "timeout": 0.2},
    )
    assert staged.run("burnin", "start").code == 0
    began = time.monotonic()
    dry = staged.json("burnin", "exercise", "--runs", "2", "--dry-run")
    assert (dry["runs"], len(dry["hooks"])) == (8, 4)
    assert not (staged.path / GIVEN).exists()
    done = staged.run("burnin", "exercise", "--runs", "2", "--json")
    found = done.data
    assert done.code == 1
    tried = {one["hook"].partition(":")[0]: one for one in found["hooks"]}
    assert tried["SessionStart"]["failures"] == 2
    assert tried["SessionStart"]["message"] == "exit code 7: a module is missing"
    assert tried["UserPromptSubmit"]["message"] == "it took longer than 0.2 s"
    assert "failed in 2 of 2 runs: exit code 7: a module is missing" in done.err + done.out
    assert time.monotonic() - began < 20
    assert (found["runs"], found["failures"], found["blocked"]) == (8, 4, 2)
    kept = records(staged)
    statuses = {one["event"]: one["status"] for one in kept}
    assert statuses == {
        "PreToolUse": "success", "Stop": "blocked", "SessionStart": "failure", "UserPromptSubmit": "timeout",
    }  # fmt: skip
    sha256 = candidate(Project(staged.path)).sha256
    assert all(one["metadata"]["synthetic"] and one["release"] == sha256 for one in kept)
    assert all(one["environment"] == "staging" and one["executionTimeMs"] > 0 for one in kept)
    assert len({one["eventId"] for one in kept}) == 8
    given = payloads(staged)[0]
    assert given["hook_event_name"] == "PreToolUse"
    assert given["tool_name"] == "Edit"
    assert given["tool_input"]["file_path"].endswith("example.txt")
    assert not (staged.path / ".agent-studio/staging/exercise/example.txt").exists()
    status = staged.json("burnin", "status")
    assert status["observedHours"] == 0
    assert "8 were replayed" in next(one["message"] for one in status["requirements"] if one["name"] == "hook-failures")


def test_recorded_payloads_are_replayed_where_they_fit(staged: Studio) -> None:
    wire(staged, PostToolUse={"command": NOTE, "matcher": "Bash"})
    lines = [
        {"ts": 1, "pid": 1, "kind": "hook", "env": env, "payload": payload}
        for env, payload in (
            ("staging", {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "make one"}}),
            ("staging", {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "make two"}}),
            ("staging", {"hook_event_name": "PostToolUse", "tool_name": "Edit", "tool_input": {}}),
            ("staging", {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {}}),
            ("production", {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "no"}}),
        )
    ]
    inbox = staged.path / ".claude/staging/metrics/events.jsonl"
    inbox.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"ts": 1, "torn')
    assert staged.run("burnin", "exercise", "--runs", "3").code == 0
    given = payloads(staged)
    assert [one["tool_input"]["command"] for one in given] == ["make one", "make two", "make one"]
    assert all(one["session_id"].startswith("exercise-") for one in given)


def test_a_hook_sees_staging_and_no_secret(staged: Studio) -> None:
    wire(staged, Stop={"command": f'env > "$CLAUDE_PROJECT_DIR/{GIVEN}"; pwd >> "$CLAUDE_PROJECT_DIR/{GIVEN}"'})
    done = staged.run("burnin", "exercise", "--runs", "1", variables={"OTHER_API_KEY": "k", "HARMLESS": "h"})
    assert done.code == 0, done.err
    text = (staged.path / GIVEN).read_text()
    assert "AGENT_STUDIO_ENV=staging" in text
    assert "HARMLESS=h" in text
    assert "OTHER_API_KEY" not in text
    assert str(staged.path) in text


def test_wrapped_hooks_run_bare_and_nothing_reaches_the_inbox(staged: Studio) -> None:
    wire(staged, Stop={"command": NOTE})
    assert staged.run("hooks", "wrap", "--yes").code == 0
    inbox = staged.path / ".claude/staging/metrics/events.jsonl"
    before = inbox.read_bytes() if inbox.exists() else b""
    assert staged.run("burnin", "exercise", "--runs", "2").code == 0
    assert len(payloads(staged)) == 2
    assert (inbox.read_bytes() if inbox.exists() else b"") == before


def test_a_candidate_without_hooks_is_told_what_else_to_do(staged: Studio) -> None:
    done = staged.run("burnin", "exercise")
    assert done.code == 2
    assert "burnin exercise --" in done.err


def test_runs_on_definitions_that_change_meanwhile_count_for_nothing(staged: Studio) -> None:
    wire(staged, Stop={"command": 'echo x >> "$CLAUDE_PROJECT_DIR/.claude/agents/code-reviewer.md"'})
    assert staged.run("burnin", "start").code == 0
    done = staged.run("burnin", "exercise", "--runs", "2")
    assert done.code == 3
    assert "count for no candidate" in done.err
    assert staged.run("burnin", "start").code == 0
    found = staged.json("burnin", "status")
    assert next(one["value"] for one in found["requirements"] if one["name"] == "hook-failures") is None


def test_sessions_that_a_command_starts_are_synthetic(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"""#!{sys.executable}
import json, os
from agent_studio import clock
assert os.environ["AGENT_STUDIO_ENV"] == "staging"
start = {{"timestamp": clock.timestamp(clock.now()), "sessionId": f"s{{os.getpid()}}", "event": "start",
          "source": "startup", "environment": "staging", "release": None}}
with open(".claude/staging/sessions/session-log.jsonl", "a") as log:
    log.write(json.dumps(start) + "\\n")
"""
    script = staged.write("work.py", text)
    script.chmod(0o755)
    assert staged.run("burnin", "start").code == 0
    done = staged.process("burnin", "exercise", "--runs", "2", "--set", "isolation.backend=advisory", "--json", "--",
                          "./work.py")  # fmt: skip
    assert done.code == 0, done.err + done.out
    assert done.data["runs"] == 2
    world = BurninWorld(staged, monkeypatch)
    world.session("later")
    world.passes(minutes=1)
    found = world.burnin("status", code=3)
    assert (found["sessions"], found["syntheticSessions"]) == (1, 2)
    failing = staged.process("burnin", "exercise", "--runs", "1", "--set", "isolation.backend=advisory", "--", "false")
    assert failing.code == 1
    assert "1 of 1 runs" in failing.err


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_replay_that_was_killed_labels_no_session_after_it(
    staged: Studio, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:  # fmt: skip
    assert staged.run("burnin", "start").code == 0
    running = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "burnin", "exercise", "--", "sleep", "60"],
        cwd=staged.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    journal = staged.path / ".agent-studio/staging" / beginning.JOURNAL
    until = time.monotonic() + 30
    while '"begin"' not in journal.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert "has not ended" in staged.run("burnin", "status").out
    world = BurninWorld(staged, monkeypatch)
    world.session("meanwhile", datetime.now(UTC))
    os.killpg(running.pid, how)
    running.wait()
    world.passes(minutes=1)
    world.session("after the kill")
    world.lines(HOOKS, [(world.now, hook_of("after the kill"))])
    world.passes(minutes=1)
    for _ in range(2):
        found = world.burnin("status", code=3)
        assert (found["sessions"], found["syntheticSessions"]) == (1, 1)
        assert "has not ended" not in world.run("status").out
        assert world.run("start").code == 0  # which notes the end
    assert '"end"' in journal.read_text()


def test_the_longer_of_two_replays_goes_on_when_the_other_has_ended(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert staged.run("burnin", "start").code == 0
    world = BurninWorld(staged, monkeypatch)
    context = open_context(world.project, Choice(Environment.STAGING, "--env"), {})
    with beginning.replaying(context, "longer"):
        world.passes(minutes=1)
        with beginning.replaying(context, "shorter"):
            world.passes(minutes=1)
        world.passes(minutes=1)
        world.session("of the longer")
        world.passes(minutes=1)
        assert world.burnin("status", code=3)["syntheticSessions"] == 1
    world.passes(minutes=1)
    world.session("real")
    world.passes(minutes=1)
    found = world.burnin("status", code=3)
    assert (found["sessions"], found["syntheticSessions"]) == (1, 1)


def test_a_replay_that_left_no_mark_of_its_end_is_said_and_ended_by_a_start(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert staged.run("burnin", "start").code == 0
    world = BurninWorld(staged, monkeypatch)
    context = open_context(world.project, Choice(Environment.STAGING, "--env"), {})
    beginning._note(context, {"step": "begin", "exercise": "lost"})
    world.passes(minutes=1)
    assert "has not ended" in world.run("status").out
    world.start()
    world.passes(minutes=1)
    world.session("real")
    world.passes(minutes=1)
    assert world.burnin("status", code=3)["sessions"] == 1
