"""Uses of artifacts from events, each counted once; and the index that follows what sessions edit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.knowledge import usage

if TYPE_CHECKING:
    from tests.conftest import Studio

STAGING = ("--env", "staging")
AT_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z"""


class Client:
    """What the client's recorder would have written."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._number = 0

    def event(self, name: str, **fields: Any) -> None:
        self._number += 1
        payload = {"session_id": "s-1", "hook_event_name": name, "cwd": str(self.studio.path), **fields}
        line = {"ts": AT_NS + self._number * 10**9, "pid": 1, "kind": "hook", "env": "staging", "payload": payload}
        with (self.studio.path / ".claude/staging/metrics/events.jsonl").open("a") as inbox:
            inbox.write(json.dumps(line, separators=(",", ":")) + "\n")

    def tool(self, name: str, **given: Any) -> None:
        number = f"toolu_{self._number}"
        for event in ("PreToolUse", "PostToolUse"):
            self.event(event, tool_name=name, tool_input=given, tool_use_id=number, tool_response={})

    def ingest(self) -> dict[str, Any]:
        return self.studio.json("ingest", *STAGING)


@pytest.fixture
def client(staged: Studio) -> Client:
    return Client(staged)


def _counts(studio: Studio) -> dict[str, tuple[int, str]]:
    listed = studio.json("kb", "list", *STAGING)["artifacts"]
    return {one["name"]: (one["usageCount"], one["lastUsed"]) for one in listed if one["usageCount"]}


def test_skills_agents_and_commands_count_when_they_are_used(client: Client) -> None:
    client.tool("Skill", skill="writing-migrations")
    client.tool("Skill", command="writing-migrations")
    client.tool("Agent", subagent_type="code-reviewer", prompt="look")
    client.tool("Task", subagent_type="code-reviewer", prompt="look")
    client.event("UserPromptSubmit", prompt="/ship now")
    client.tool("Skill", skill="no-such-skill")
    client.tool("Agent", subagent_type="general-purpose", prompt="look")
    client.event("UserPromptSubmit", prompt="/usr/bin/python fails; why?")
    client.event("UserPromptSubmit", prompt="please /ship")
    assert client.ingest()["indexFaults"] == 0
    assert _counts(client.studio) == {
        "writing-migrations": (2, "2026-01-01T00:00:04.000Z"),
        "code-reviewer": (2, "2026-01-01T00:00:08.000Z"),
        "ship": (1, "2026-01-01T00:00:09.000Z"),
    }


def test_a_call_that_was_refused_or_failed_is_no_use(client: Client) -> None:
    client.event("PreToolUse", tool_name="Skill", tool_input={"skill": "writing-migrations"}, tool_use_id="t")
    client.event("PostToolUseFailure", tool_name="Skill", tool_input={"skill": "writing-migrations"}, tool_use_id="t",
                 error="denied")  # fmt: skip
    client.ingest()
    assert _counts(client.studio) == {}


def test_two_events_of_one_use_count_once(client: Client) -> None:
    client.event("UserPromptExpansion", command_name="ship", command_args="", prompt="/ship", prompt_id="p-1")
    client.event("UserPromptSubmit", prompt="/ship", prompt_id="p-1")
    for _ in range(2):
        client.event("PostToolUse", tool_name="Skill", tool_input={"skill": "writing-migrations"}, tool_use_id="same")
    client.ingest()
    assert {name: count for name, (count, _) in _counts(client.studio).items()} == {"ship": 1, "writing-migrations": 1}


def test_ingesting_again_adds_nothing_and_more_uses_add_up(client: Client) -> None:
    client.tool("Skill", skill="writing-migrations")
    for _ in range(3):
        client.ingest()
        assert _counts(client.studio)["writing-migrations"][0] == 1
    client.tool("Skill", skill="writing-migrations")
    client.ingest()
    assert _counts(client.studio)["writing-migrations"][0] == 2


@pytest.mark.parametrize("lost", [usage.COUNTS, "ingest.sqlite3", "knowledge.sqlite3"])
def test_what_is_derived_may_be_lost(client: Client, lost: str) -> None:
    state = client.studio.path / ".agent-studio/staging"
    client.tool("Skill", skill="writing-migrations")
    client.ingest()
    (state / lost).unlink()
    for side in state.glob(f"{lost}-*"):
        side.unlink()
    client.tool("Skill", skill="writing-migrations")
    client.ingest()
    assert _counts(client.studio)["writing-migrations"][0] == 2


def test_damaged_lines_and_counts_cost_only_themselves(client: Client) -> None:
    state = client.studio.path / ".agent-studio/staging"
    client.tool("Skill", skill="writing-migrations")
    client.ingest()
    with (state / usage.JOURNAL).open("a") as journal:
        journal.write('{"how": 1}\nnonsense\n[]\n{"how":"skill","name":[],"timestamp":"x"}\n')
    (state / usage.COUNTS).write_text('{"offset": "many", "counts": []}')
    client.tool("Skill", skill="writing-migrations")
    client.ingest()
    assert _counts(client.studio)["writing-migrations"][0] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_ingest_counts_nothing_twice(client: Client) -> None:
    for _ in range(40):
        client.tool("Skill", skill="writing-migrations")
    child = os.fork()
    if child == 0:
        for _ in range(1_000):  # as long as it is let
            client.studio.run("ingest", *STAGING)
        os._exit(0)
    time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    client.ingest()
    assert _counts(client.studio)["writing-migrations"][0] == 40


def test_an_edited_artifact_is_found_by_its_new_words_after_ingest(client: Client) -> None:
    place = client.studio.path / ".claude/agents/code-reviewer.md"
    with place.open("r+") as file:  # in place: no folder changes
        text = file.read().replace("correctness and style", "zeppelins and kites")
        file.seek(0)
        file.write(text)
        file.truncate()
    client.tool("Edit", file_path=str(place), old_string="a", new_string="b")
    client.ingest()
    assert _indexed(client.studio, "code-reviewer") == "Reviews pull requests for zeppelins and kites."


def test_new_and_removed_artifacts_are_followed(client: Client) -> None:
    client.studio.write(".claude/skills/kites/SKILL.md", "---\nname: kites\ndescription: Flies kites.\n---\n")
    client.tool("Write", file_path=str(client.studio.path / ".claude/skills/kites/SKILL.md"), content="x")
    client.ingest()
    assert _indexed(client.studio, "kites") == "Flies kites."
    shutil.rmtree(client.studio.path / ".claude/skills/kites")
    client.tool("Bash", command="rm -r .claude/skills/kites")
    client.ingest()
    assert _indexed(client.studio, "kites") is None


def test_other_files_do_not_open_the_index(client: Client) -> None:
    place = client.studio.path / ".agent-studio/staging/knowledge.sqlite3"
    place.unlink(missing_ok=True)
    client.tool("Edit", file_path=str(client.studio.path / "shop.py"), old_string="a", new_string="b")
    client.tool("Bash", command="ls")
    client.ingest()
    assert not place.exists()


def test_an_index_that_cannot_follow_keeps_no_event_from_its_record(client: Client) -> None:
    """What could not be done is done by the next run."""
    state = client.studio.path / ".agent-studio/staging"
    client.ingest()
    kept = (state / "knowledge.sqlite3").read_bytes()
    (state / "knowledge.sqlite3").unlink()
    (state / "knowledge.sqlite3").mkdir()
    client.tool("Skill", skill="writing-migrations")
    client.event("PostToolUseFailure", tool_name="Bash", tool_input={}, tool_use_id="x", error="Exit code 3")
    found = client.ingest()
    assert (found["indexFaults"], found["records"]["errors.jsonl"]) == (1, 1)
    (state / "knowledge.sqlite3").rmdir()
    (state / "knowledge.sqlite3").write_bytes(kept)
    assert client.ingest()["indexFaults"] == 0
    assert _counts(client.studio)["writing-migrations"][0] == 1


def test_uses_of_one_environment_are_not_the_others(client: Client) -> None:
    client.studio.run("init", "--env", "production", "--no-hooks")
    client.tool("Skill", skill="writing-migrations")
    client.ingest()
    other = client.studio.json("kb", "list", "--env", "production")["artifacts"]
    assert {one["usageCount"] for one in other} == {0}


def test_the_journal_of_uses_holds_no_credential(client: Client) -> None:
    secret = "ghp_" + "a1B2" * 9
    client.tool("Skill", skill=secret)
    client.ingest()
    journal = (client.studio.path / ".agent-studio/staging" / usage.JOURNAL).read_text()
    assert "REDACTED" in journal
    assert secret not in journal


def _indexed(studio: Studio, name: str) -> str | None:
    """Return the description that the index has, without looking for changes."""
    import sqlite3
    from contextlib import closing

    place = studio.path / ".agent-studio/staging/knowledge.sqlite3"
    with closing(sqlite3.connect(place)) as db:
        row = db.execute("SELECT description FROM artifact WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])
