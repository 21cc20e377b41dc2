"""Records of an environment as `ingest` writes them, for tests of what reads them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock

if TYPE_CHECKING:
    from tests.conftest import Studio


class Records:
    """Gathers records and writes them in order of time."""

    def __init__(self, studio: Studio, environment: str) -> None:
        root = ".claude/staging" if environment == "staging" else ".claude"
        self.studio, self.environment, self.root = studio, environment, root
        self.lines: dict[str, list[tuple[str, str]]] = {}

    def hook(
        self, hook: str, *, ms: float | None = 5.0, minutes_ago: float = 1, status: str = "success", **more: Any
    ) -> None:
        fields = {"hook": hook, "event": "PreToolUse", "tool": "Bash", "executionTimeMs": ms, "status": status}
        self.add("metrics/hooks.jsonl", minutes_ago, **fields, sessionId="s1", agent=None, **more)

    def agent(self, agent: str, *, minutes_ago: float = 1, status: str = "completed", tokens: int = 100) -> None:
        fields = {"agent": agent, "agentId": f"a{len(self.lines.get('metrics/agents.jsonl', []))}", "taskId": None}
        self.add("metrics/agents.jsonl", minutes_ago, **fields, sessionId="s1", durationMs=60_000, tokensUsed=tokens,
                 status=status, errorMessage=None)  # fmt: skip

    def error(self, *, severity: str = "HIGH", minutes_ago: float = 1, message: str = "it broke") -> None:
        self.add("metrics/errors.jsonl", minutes_ago, errorType="SystemError", severity=severity, source="api",
                 message=message, tool=None, sessionId="s1")  # fmt: skip

    def session(self, event: str, *, minutes_ago: float = 1, session: str = "s1") -> None:
        self.add("sessions/session-log.jsonl", minutes_ago, sessionId=session, event=event)

    def add(self, file: str, minutes_ago: float, **fields: Any) -> None:
        at = clock.timestamp(clock.now() - timedelta(minutes=minutes_ago))
        rows = self.lines.setdefault(file, [])
        record = {
            "timestamp": at, **fields, "metadata": {}, "eventId": f"{file[-12:-6]}{len(rows):026}",
            "environment": self.environment, "release": None,
        }  # fmt: skip
        rows.append((at, json.dumps(record) + "\n"))

    def write(self, *more: tuple[str, str]) -> None:
        """Append what was gathered, and further lines as they are, each with its file."""
        for file, rows in self.lines.items():
            place = self.studio.path / self.root / file
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("a", encoding="utf-8") as journal:
                journal.writelines(line for _, line in sorted(rows))
        for file, text in more:
            place = self.studio.path / self.root / file
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("a", encoding="utf-8") as journal:
                journal.write(text)
        self.lines.clear()
