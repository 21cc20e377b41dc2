"""What a session did, kept in `sessions/YYYY-MM.md` once it is over: a few lines from the journals, without a model.

A session in which nobody asked anything leaves nothing, and each end is told once, however often this runs.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.memory.book import SESSIONS, Memory
from agent_studio.redaction import redact
from agent_studio.storage.descriptors import read_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

STATE = "session-memory.json"
_FILES = (("metrics", "agents.jsonl"), ("metrics", "errors.jsonl"), ("sessions", "session-log.jsonl"))
_ERRORS, _MESSAGE_MAX, _AGENTS = 5, 160, 12
_OPEN_MAX = 2_000
"""Sessions held that have not ended; the oldest go first."""
_GRAVE = frozenset(("CRITICAL", "HIGH", "MEDIUM"))


def follow(root: EnvironmentRoot) -> int:
    """Read on in the journals and keep what sessions did that have ended since; return how many were kept."""
    if not root.folder("memory").has_folder():
        return 0
    known = _known(root)
    ended: list[tuple[dict[str, Any], dict[str, Any]]] = []
    changed = False
    for record in _fresh(root, known):
        changed = True
        ended += _take(known["sessions"], record, str(root.environment))
    kept = _keep(root, ended) if ended else 0
    if changed:
        while len(known["sessions"]) > _OPEN_MAX:
            del known["sessions"][next(iter(known["sessions"]))]
        root.state.make()
        root.state.replace(STATE, json.dumps(known).encode(), durable=False)
    return kept


def _known(root: EnvironmentRoot) -> dict[str, Any]:
    try:
        known = json.loads(root.state.read(STATE))
        if isinstance(known["files"], dict) and isinstance(known["sessions"], dict):
            return {"files": known["files"], "sessions": known["sessions"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return {"files": {}, "sessions": {}}


def _journals(root: EnvironmentRoot) -> Iterator[tuple[Folder, str]]:
    """Yield the journals, the days of each that are over first; agents and errors before the ends of their sessions."""
    for kind, name in _FILES:
        folder, stem = root.folder(kind), name.removesuffix(".jsonl")
        try:
            names = folder.names()
        except FileNotFoundError:
            continue
        yield from ((folder, one) for one in names if one.startswith(f"{stem}.2") and one.endswith(".jsonl"))
        if name in names:
            yield folder, name


def _fresh(root: EnvironmentRoot, known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records that were added. A file is known by its inode: a day that is over has its own name."""
    before, known["files"] = known["files"], {}
    for folder, name in _journals(root):
        try:
            descriptor = folder.open(name)
        except FileNotFoundError:
            continue
        try:
            status = os.fstat(descriptor)
            start = before.get(str(status.st_ino), 0)
            start = start if start <= status.st_size else 0
            os.lseek(descriptor, start, os.SEEK_SET)
            rest = b""
            for chunk in read_chunks(descriptor):
                *whole, rest = (rest + chunk).split(b"\n")
                start += sum(map(len, whole)) + len(whole)
                yield from filter(None, map(_parsed, whole))
            known["files"][str(status.st_ino)] = start
        finally:
            os.close(descriptor)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("sessionId"), str) else None


def _take(
    sessions: dict[str, Any], record: dict[str, Any], environment: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Add a record to its session; yield the end of one, with what it did."""
    if record.get("environment") != environment:
        return
    known = sessions.setdefault(
        record["sessionId"], {"prompts": 0, "agents": {}, "failed": 0, "errors": [], "model": ""}
    )
    if "errorType" in record:
        if record.get("severity") in _GRAVE and len(known["errors"]) < 4 * _ERRORS:
            known["errors"].append(" ".join(str(record.get("message") or "").split())[:_MESSAGE_MAX])
    elif "agentId" in record:
        name = str(record.get("agent") or "unnamed")
        if name in known["agents"] or len(known["agents"]) < _AGENTS:
            known["agents"][name] = known["agents"].get(name, 0) + 1
        known["failed"] += record.get("status") == "failed"
    elif record.get("event") == "prompt":
        known["prompts"] += 1
    elif record.get("event") == "start":
        known["model"] = str(record.get("model") or known["model"])
    elif record.get("event") == "end":
        yield record, sessions.pop(record["sessionId"])


def _keep(root: EnvironmentRoot, ended: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> int:
    """Write what is not there yet, the sessions of a month by one write."""
    memory, months = Memory(root), dict[str, list[str]]()
    with memory.changing():
        with memory.searching() as opened:
            for end, did in ended:
                note_id = f"session-{str(end.get('eventId') or end.get('timestamp'))[:32]}"
                if did["prompts"] and opened.find(note_id) is None:
                    day = str(end.get("timestamp") or clock.timestamp(clock.now()))
                    months.setdefault(_month(day), []).append(redact(_said(end, did, note_id, day)))
        memory.folder.make(SESSIONS)
        for month, said in months.items():
            memory.append(f"{SESSIONS}/{month}.md", f"Sessions of {month}", "\n".join(said))
    return sum(map(len, months.values()))


def _month(day: str) -> str:
    return day[:7] if len(day) > 7 and day[:4].isdigit() and day[5:7].isdigit() else "undated"  # noqa: PLR2004 - YYYY-MM


def _said(end: dict[str, Any], did: dict[str, Any], note_id: str, day: str) -> str:
    minutes = end.get("durationMs")
    length = f"{minutes / 60_000:.0f} min, " if isinstance(minutes, int | float) else ""
    agents = ", ".join(f"{name} {count}" for name, count in sorted(did["agents"].items()))
    failed = f" ({did['failed']} failed)" if did["failed"] else ""
    errors = Counter(message for message in did["errors"] if message)
    fields = (
        ("Date", day[:10]), ("Session", str(end["sessionId"])), ("Length", f"{length}{did['prompts']} prompts"),
        ("Model", did["model"]), ("Cost", f"{end['costUsd']} USD" if end.get("costUsd") else ""),
        ("Ended", str(end.get("reason") or "")), ("Agents", f"{agents}{failed}" if agents else ""),
    )  # fmt: skip
    lines = [f"- **{name}**: {_inert(value)}" for name, value in fields if value]
    lines += [f"- error, {count} x: {_inert(message)}" for message, count in errors.most_common(_ERRORS)]
    title = f"## Session of {day[:16].replace('T', ' ')}"
    return "\n".join((title, f"<!-- id: {note_id} -->", "", *lines, ""))


def _inert(text: str) -> str:
    return " ".join(text.split()).replace("<!--", "&lt;!--").replace("-->", "--&gt;")
