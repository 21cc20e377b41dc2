"""`agent-studio ingest` as it is called."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agent_studio.storage import locks
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

STAGING = ("--env", "staging")


@pytest.fixture
def studio(bare: Studio) -> Studio:
    bare.write(".claude/config.staging.yaml", "environment: staging\n")
    for kind in ("metrics", "sessions"):
        (bare.path / ".claude" / "staging" / kind).mkdir(parents=True)
    return bare


def _inbox(studio: Studio) -> Path:
    return studio.path / ".claude" / "staging" / "metrics" / "events.jsonl"


def _event(name: str, number: int = 1, **more: object) -> bytes:
    payload = {"session_id": "s1", "hook_event_name": name, **more}
    fields = {"ts": time.time_ns() + number, "pid": 1, "kind": "hook", "payload": payload}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def test_it_says_what_was_recorded(studio: Studio) -> None:
    _inbox(studio).write_bytes(_event("SessionStart") + _event("UserPromptSubmit", prompt="x"))
    done = studio.run("ingest", *STAGING)
    assert (done.code, done.err) == (0, "")
    assert "2 events, 2 records" in done.out
    assert "session-log.jsonl               2" in done.out


def test_what_was_ingested_waits_no_longer_though_the_inbox_is_kept(studio: Studio) -> None:
    start, prompt = _event("SessionStart"), _event("UserPromptSubmit", prompt="x")
    _inbox(studio).write_bytes(start)
    assert studio.json("monitor", *STAGING)["waitingBytes"] == len(start)
    assert studio.run("ingest", *STAGING).code == 0
    assert _inbox(studio).stat().st_size == len(start)
    assert studio.json("monitor", *STAGING)["waitingBytes"] == 0
    assert "not yet ingested" not in studio.run("monitor", *STAGING).out
    with _inbox(studio).open("ab") as inbox:
        inbox.write(prompt)
    assert studio.json("monitor", *STAGING)["waitingBytes"] == len(prompt)


def test_its_json_has_every_figure(studio: Studio) -> None:
    _inbox(studio).write_bytes(_event("SessionStart") + b"damaged\n" + _event("FromTheFuture"))
    done = studio.run("ingest", *STAGING, "--json")
    assert done.envelope["schema"] == "agent-studio/ingest/1"
    assert done.data["events"] == 3
    assert done.data["records"] == {
        "hooks.jsonl": 0, "agents.jsonl": 0, "errors.jsonl": 0, "session-log.jsonl": 1, "llm-usage.log": 0
    }  # fmt: skip
    assert (done.data["damaged"], done.data["unknown"], done.data["transcriptsMissing"]) == (1, 1, 0)
    assert [problem["code"] for problem in done.envelope["problems"]] == ["damaged", "unknown"]


def test_while_another_ingests_it_ends_with_5(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_studio.cli.commands.ingest.WAIT_S", 0.1)
    state = Folder(studio.path, ".agent-studio/staging")
    state.make()
    with locks.exclusive(state, "ingest.lock", doing="test"):
        done = studio.run("ingest", *STAGING)
    assert done.code == 5
    assert "another process is ingesting" in done.err


def test_without_data_folders_it_names_the_command_that_makes_them(bare: Studio) -> None:
    bare.write(".claude/config.staging.yaml", "environment: staging\n")
    done = bare.run("ingest", *STAGING)
    assert done.code == 1
    assert "agent-studio init --env staging" in done.err
    assert not (bare.path / ".agent-studio").exists()


@pytest.mark.parametrize(
    "arguments", [("--interval", "5"), ("--follow", "--interval", "0"), ("--follow", "--interval", "x")]
)
def test_a_senseless_interval_is_refused(studio: Studio, arguments: tuple[str, ...]) -> None:
    assert studio.run("ingest", *STAGING, *arguments).code == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_follows_until_it_is_told_to_end(studio: Studio, number: signal.Signals, code: int) -> None:
    _inbox(studio).write_bytes(_event("SessionStart"))
    following = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "ingest", *STAGING, "--follow", "--interval", "0.1"],
        cwd=studio.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    try:
        assert following.stderr is not None
        assert "1 events: 1 to session-log.jsonl" in following.stderr.readline()
        with _inbox(studio).open("ab") as file:
            file.write(_event("Stop"))
        assert "1 to session-log.jsonl" in following.stderr.readline()
    finally:
        following.send_signal(number)
        out, _ = following.communicate(timeout=20)
    assert following.returncode == code
    assert ("2 events, 2 records" in out) == (code == 0)


def test_what_it_writes_is_read_by_nobody_else(studio: Studio) -> None:
    _inbox(studio).write_bytes(_event("SessionStart") + b"damaged\n")
    studio.run("ingest", *STAGING)
    written = [*(studio.path / ".agent-studio").rglob("*"), *(studio.path / ".claude" / "staging").rglob("*.jsonl")]
    assert {place.name for place in written if place.is_file() and place != _inbox(studio)} >= {
        "session-log.jsonl", "damaged-events.jsonl", "ingest.sqlite3"
    }  # fmt: skip
    assert not [
        place for place in written if place.is_file() and place != _inbox(studio) and place.stat().st_mode & 0o077
    ]
