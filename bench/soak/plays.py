"""Sessions that real clients recorded, played again under names of their own, and what each must leave behind."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bench.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SAMPLES = REPOSITORY / "tests/fixtures/claude_code"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ID = re.compile(r"\b(msg|req|toolu)_([0-9a-f]{24})\b")
_AGENT = re.compile(r"\ba[0-9a-f]{16}\b")
_TIME = re.compile(r'"timestamp":\s?"([^"]+Z)"')
_EVENTS: Mapping[str, str] = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "Stop": "stop",
    "SessionEnd": "end",
}
TOKENS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


@dataclass(frozen=True)
class Known:
    """What a recorded session must leave, as whoever recorded it knows."""

    errors: Mapping[str, int] = field(default_factory=dict)
    hooks: Mapping[str, int] = field(default_factory=dict)
    """Those that were not timed, but which the transcript tells of."""
    agents: Mapping[str, int] = field(default_factory=dict)


RECORDED: Mapping[str, Known] = {
    "2.1.330/tools": Known(
        {"SystemError": 2, "ValidationError": 2, "SecurityViolation": 1}, {"failure": 1, "timeout": 1, "blocked": 1}
    ),
    "2.1.330/denied": Known({"SecurityViolation": 4}),
    "2.1.330/resume": Known(),
    "2.1.330/agent": Known(agents={"completed": 1}),
    "2.1.330/agent_foreground_error": Known({"SystemError": 2, "RoutingError": 1}, agents={"failed": 2}),
    "2.1.330/bad_calls": Known({"ValidationError": 5, "RoutingError": 1}),
}


@dataclass(frozen=True)
class Step:
    """One event to hand to the recorder, after some lines of transcripts."""

    payload: bytes
    lines: tuple[tuple[str, bytes], ...]
    """Of which file below the folder of transcripts, and the bytes."""


@dataclass(frozen=True)
class Play:
    """One session to be played."""

    name: str
    session: str
    steps: list[Step]
    rest: tuple[tuple[str, bytes], ...]
    usage: dict[str, dict[str, int]]
    """Tokens by message id."""
    events: dict[str, int]
    """What the session log must hold of it."""


def play(name: str, transcripts: Path, moment: datetime) -> Play:
    """Return a recorded session with ids of its own, happening from a moment on."""
    folder, own = SAMPLES / name, uuid.uuid4()
    inbox = [json.loads(line) for line in (folder / "inbox.jsonl").read_bytes().splitlines()]
    inbox = [entry for entry in inbox if entry["kind"] == "hook"]
    begun = datetime.fromtimestamp(inbox[0]["ts"] / 1e9, UTC)
    rename = _Renaming(own, moment - begun)
    lines = _transcripts(folder, rename, moment)
    steps, at = [], 0
    counts: dict[str, int] = {}
    for entry in inbox:
        happened = moment + (datetime.fromtimestamp(entry["ts"] / 1e9, UTC) - begun)
        before = at
        while at < len(lines) and lines[at][0] <= happened:
            at += 1
        text = rename(json.dumps(entry["payload"], separators=(",", ":"), ensure_ascii=False))
        text = text.replace("/srv/transcripts", str(transcripts))
        steps.append(Step(text.encode(), tuple(line[1:] for line in lines[before:at])))
        event = _EVENTS.get(entry["payload"]["hook_event_name"])
        if event:
            counts[event] = counts.get(event, 0) + 1
    served: dict[str, dict[str, int]] = json.loads(rename((folder / "served.json").read_text()))
    session = rename(inbox[0]["payload"]["session_id"])
    return Play(name, session, steps, tuple(line[1:] for line in lines[at:]), served, counts)


class _Renaming:
    """Gives every id in a text one of its own, the same for the same, and moves times."""

    def __init__(self, own: uuid.UUID, shift: timedelta) -> None:
        self._own, self._shift = own, shift

    def __call__(self, text: str) -> str:
        text = _UUID.sub(lambda match: str(uuid.uuid5(self._own, match[0])), text)
        text = _ID.sub(lambda match: f"{match[1]}_{uuid.uuid5(self._own, match[2]).hex[:24]}", text)
        text = _AGENT.sub(lambda match: "a" + uuid.uuid5(self._own, match[0]).hex[:16], text)
        return _TIME.sub(self._moved, text)

    def _moved(self, match: re.Match[str]) -> str:
        moment = datetime.fromisoformat(match[1]) + self._shift
        return f'"timestamp":"{moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}"'


def _transcripts(folder: Path, rename: _Renaming, moment: datetime) -> list[tuple[datetime, str, bytes]]:
    """Return every line with its time, in the order in which they were written."""
    found: list[tuple[datetime, str, bytes]] = []
    base = folder / "transcripts"
    for place in sorted(base.rglob("*.json*")):
        last = moment
        for text in place.read_text(encoding="utf-8").splitlines(keepends=True):
            moved = rename(text)
            told = _TIME.search(moved)
            last = datetime.fromisoformat(told[1]) if told else last
            found.append((last, rename(str(place.relative_to(base))), moved.encode()))
    return sorted(found, key=lambda line: line[0])


def tokens(usage: Mapping[str, int]) -> dict[str, int]:
    """Return tokens by the names of the ledger."""
    names = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWrite5mTokens", "cacheWrite1hTokens")
    return {name: int(usage[own]) for name, own in zip(names, TOKENS, strict=True)}


def known(name: str) -> dict[str, Any]:
    """Return what a recorded session must leave, for the ledger of the trial."""
    one = RECORDED[name]
    return {"errors": dict(one.errors), "hooks": dict(one.hooks), "agents": dict(one.agents)}
