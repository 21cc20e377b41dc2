"""A bookshop that has been at work for a week: records of staging and production, made from a seed.

scripts/demo.py FOLDER makes the project there; what it holds depends on nothing but the seed and the present moment.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
_STUDIO = (sys.executable, "-m", "agent_studio")
_DAYS = 7
_PROMPTS, _RUNS, _ERRORS, _BLOCKED = 0.1, 0.06, 0.05, 0.02
"""How often one of these comes with a hook's run."""


class Hook(NamedTuple):
    """A hook of the bookshop."""

    name: str
    event: str
    tool: str | None
    median_ms: float
    failure_rate: float
    weight: float


HOOKS = (
    Hook("guard-secrets.sh", "PreToolUse", "Bash", 3.1, 0.002, 9),
    Hook("format-on-save.py", "PostToolUse", "Edit", 14.0, 0.004, 6),
    Hook("decide", "PreToolUse", "Bash", 31.0, 0.0, 5),
    Hook("lint-changed.sh", "PostToolUse", "Write", 7.2, 0.03, 4),
    Hook("load-context.sh", "SessionStart", None, 5.5, 0.0, 1),
    Hook("prompt-audit.sh", "UserPromptSubmit", None, 1.9, 0.0, 2),
    Hook("price-check.py", "PostToolUse", "mcp__catalogue__price", 8.8, 0.16, 0.6),
)
AGENTS = (("code-reviewer", 0.01), ("test-writer", 0.02), ("isbn-checker", 0.3), ("release-notes", 0.0))
ERRORS = (
    ("ValidationError", "LOW", "Bash", "exit code 1: 2 tests failed"),
    ("ValidationError", "LOW", "Read", "the file bookshop/cart.py does not exist"),
    ("SystemError", "MEDIUM", "mcp__catalogue__price", "the server closed the connection after 30 s"),
    ("SystemError", "HIGH", "api", "529: overloaded"),
    ("SecurityViolation", "HIGH", "Bash", "denied: rm -rf build"),
)


class Maker:
    """Writes the records of one environment."""

    def __init__(self, project: Path, environment: str, seed: int, now: datetime) -> None:
        self.environment, self.now = environment, now
        self.root = project / ".claude" / ("staging" if environment == "staging" else "")
        self.random = random.Random(f"{seed} {environment}")
        self.lines: dict[str, list[tuple[str, str]]] = {}
        self.calls: list[dict[str, Any]] = []

    def write(self, scale: float) -> None:
        """Make a week; `scale` is how busy it is, 1 being some 60 hook runs an hour of work."""
        start = self.now.replace(minute=0, second=0, microsecond=0) - timedelta(days=_DAYS)
        for hour in range(_DAYS * 24 + 1):
            at = start + timedelta(hours=hour)
            busy = max(0.05, math.sin((at.hour - 6) / 24 * 2 * math.pi)) * scale
            self._hour(at, busy)
        for file, rows in self.lines.items():
            place = self.root / file
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("a", encoding="utf-8") as journal:
                journal.write("".join(line for _, line in sorted(rows)))

    def _hour(self, at: datetime, busy: float) -> None:
        session = f"{self.random.getrandbits(32):08x}"
        self._add("sessions/session-log.jsonl", at, sessionId=session, event="start", source="startup")
        for _ in range(round(60 * busy)):
            moment = at + timedelta(seconds=self.random.uniform(1, 3_599))
            if moment >= self.now:
                continue
            self._hook(moment, session)
            if self.random.random() < _PROMPTS:
                self._add("sessions/session-log.jsonl", moment, sessionId=session, event="prompt")
                self._call(moment, session)
            if self.random.random() < _RUNS:
                self._agent(moment, session)
            if self.random.random() < _ERRORS:
                kind, severity, source, message = self.random.choices(ERRORS, (8, 5, 2, 1, 1))[0]
                self._add("metrics/errors.jsonl", moment, errorType=kind, severity=severity, source=source,
                          message=message, tool=source, sessionId=session)  # fmt: skip
        end = at + timedelta(minutes=59, seconds=59)
        if end < self.now:
            self._add("sessions/session-log.jsonl", end, sessionId=session, event="end", reason="exit")

    def _hook(self, at: datetime, session: str) -> None:
        hook = self.random.choices(HOOKS, [one.weight for one in HOOKS])[0]
        took = self.random.lognormvariate(math.log(hook.median_ms), 0.45)
        failed = self.random.random() < hook.failure_rate
        blocked = not failed and hook.name == "guard-secrets.sh" and self.random.random() < _BLOCKED
        status = "failure" if failed else "blocked" if blocked else "success"
        self._add("metrics/hooks.jsonl", at, hook=hook.name, event=hook.event, tool=hook.tool,
                  executionTimeMs=round(took, 3), status=status, sessionId=session, agent=None)  # fmt: skip

    def _agent(self, at: datetime, session: str) -> None:
        agent, failure_rate = self.random.choices(AGENTS, (5, 4, 2, 1))[0]
        failed = self.random.random() < failure_rate
        self._add(
            "metrics/agents.jsonl", at, agent=agent, agentId=f"{self.random.getrandbits(28):07x}", sessionId=session,
            taskId=None, durationMs=round(self.random.lognormvariate(10.5, 0.6)),
            tokensUsed=self.random.randrange(2_000, 40_000), status="failed" if failed else "completed",
            errorMessage="no answer before the session ended" if failed else None,
        )  # fmt: skip

    def _call(self, at: datetime, session: str) -> None:
        model = self.random.choice(("claude-opus-5-5", "claude-opus-5-5", "claude-haiku-5-5"))
        self.calls.append({
            "timestamp": _written(at), "model": model, "sessionId": session,
            "inputTokens": self.random.randrange(20, 600), "outputTokens": self.random.randrange(100, 2_500),
            "cacheReadTokens": self.random.randrange(0, 60_000),
        })  # fmt: skip

    def _add(self, file: str, at: datetime, **fields: Any) -> None:
        stamp = _written(at)
        unique = hashlib.sha256(f"{self.environment} {file} {stamp} {self.random.random()}".encode()).hexdigest()[:32]
        record = {"timestamp": stamp, **fields, "metadata": {}, "eventId": unique, "environment": self.environment,
                  "release": None}  # fmt: skip
        self.lines.setdefault(file, []).append((stamp, json.dumps(record, separators=(",", ":")) + "\n"))


def make(folder: Path, *, seed: int = 7, scale: float = 1.0) -> Path:
    """Make the project and return its path."""
    leftovers = shutil.ignore_patterns(".agent-studio", "staging", "__pycache__", "metrics", "sessions")
    project = Path(shutil.copytree(REPOSITORY / "examples" / "bookshop", folder / "bookshop", ignore=leftovers))
    now = datetime.now(UTC)
    for environment in ("staging", "production"):
        run(project, "init", "--env", environment, "--no-hooks")
        maker = Maker(project, environment, seed, now)
        maker.write(scale if environment == "staging" else 2 * scale)
        run(project, "cost", "record", "--env", environment, "--stdin",
            text="".join(json.dumps(call) + "\n" for call in maker.calls))  # fmt: skip
    return project


def run(project: Path, *arguments: str, text: str = "") -> None:
    """Run one command of ours in the project."""
    done = subprocess.run([*_STUDIO, *arguments], cwd=project, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"agent-studio {' '.join(arguments)}: {done.stderr}")


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), scale=float((sys.argv[2:] or ["1"])[0])))
