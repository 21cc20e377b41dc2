"""A staged project with a clock of its own, journals written as `ingest` writes them, and the burn-in's commands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.roots import Project
from agent_studio.release.content.candidate import candidate

if TYPE_CHECKING:
    import pytest
    from tests.conftest import Finished, Studio

HOOKS, AGENTS, ERRORS, SESSIONS = (
    "metrics/hooks.jsonl", "metrics/agents.jsonl", "metrics/errors.jsonl", "sessions/session-log.jsonl",
)  # fmt: skip


class BurninWorld:
    """A project in staging, at a moment that the test chooses."""

    def __init__(self, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
        self.studio = studio
        self.project = Project(studio.path)
        self.now = datetime.now(UTC) + timedelta(seconds=2)  # later than what has just been written
        monkeypatch.setattr(clock, "now", lambda: self.now)
        self._number = 0

    @property
    def candidate(self) -> str:
        return candidate(self.project).sha256

    def passes(self, *, hours: float = 0, minutes: float = 0) -> datetime:
        self.now += timedelta(hours=hours, minutes=minutes)
        return self.now

    def start(self, *arguments: str) -> None:
        done = self.studio.run("burnin", "start", *arguments)
        assert done.code == 0, done.err

    def burnin(self, verb: str, *arguments: str, code: int) -> dict[str, Any]:
        done = self.run(verb, *arguments, "--json")
        assert done.code == code, (done.code, done.out, done.err)
        return done.data

    def json(self, verb: str, *arguments: str) -> dict[str, Any]:
        """Return what a sub-verb says, whatever its verdict."""
        return self.run(verb, *arguments, "--json").data

    def run(self, verb: str, *arguments: str) -> Finished:
        return self.studio.run("burnin", verb, *arguments)

    def verdicts(self, *, code: int) -> dict[str, str]:
        found = self.burnin("status", code=code)
        return {one["name"]: one["verdict"] for one in found["requirements"]}

    def add(self, file: str, at: datetime | None = None, **fields: Any) -> None:
        """Append one record."""
        self.lines(file, [(at or self.now, fields)])

    def lines(self, file: str, rows: list[tuple[datetime, dict[str, Any]]]) -> None:
        """Append records in one go."""
        place = self.studio.path / ".claude/staging" / file
        with place.open("a", encoding="utf-8") as journal:
            for at, fields in rows:
                self._number += 1
                record = {
                    "timestamp": clock.timestamp(at), "metadata": {}, "eventId": f"{self._number:032x}",
                    "environment": "staging", "release": None, **fields,
                }  # fmt: skip
                journal.write(json.dumps(record) + "\n")

    def session(self, name: str = "s1", at: datetime | None = None, **fields: Any) -> None:
        """Have a session start."""
        self.add(SESSIONS, at, sessionId=name, event="start", **{"source": "startup", **fields})

    def work(
        self,
        hours: float,
        *,
        every_minutes: float = 6,
        session: str = "s1",
        agents: int = 3,
        **hook: Any,
    ) -> None:
        """Have a session work for some hours: a hook call every so many minutes, an agent's run every few of them."""
        begun, calls, runs = self.now, [], []
        for number in range(int(hours * 60 / every_minutes) + 1):
            at = begun + timedelta(minutes=number * every_minutes)
            calls.append((at, hook_of(session, **hook)))
            if agents and number % agents == 0:
                runs.append((at, agent_of(session)))
        self.now = begun + timedelta(hours=hours)
        self.lines(HOOKS, calls)
        self.lines(AGENTS, runs)


def hook_of(session: str | None, ms: float = 5.0, status: str = "success", **fields: Any) -> dict[str, Any]:
    return {"hook": "guard", "event": "PreToolUse", "tool": "Bash", "executionTimeMs": ms, "status": status,
            "sessionId": session, "agent": None, **fields}  # fmt: skip


def agent_of(session: str | None, status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"agent": "planner", "agentId": "a1", "sessionId": session, "taskId": None, "durationMs": 900,
            "tokensUsed": 10, "status": status, "errorMessage": None, **fields}  # fmt: skip


def error_of(session: str | None, severity: str = "HIGH", message: str = "it broke", **fields: Any) -> dict[str, Any]:
    return {"errorType": "SystemError", "severity": severity, "source": "tool", "message": message, "tool": "Bash",
            "sessionId": session, **fields}  # fmt: skip
