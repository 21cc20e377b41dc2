"""Suggests artifacts that fit a prompt: few, only when sure, each once in a session. Never blocks; off by default."""

from __future__ import annotations

import json
import math
import os
from contextlib import closing
from typing import TYPE_CHECKING

from agent_studio.guards.handler import Call, Handler, Outcome
from agent_studio.guards.handlers.prompts import asked_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.environment.context import Context
    from agent_studio.knowledge.answers import Entry, Hit
    from agent_studio.storage.folder import Folder

KEY = "knowledge.suggest"
TOLD = "suggestions.jsonl"
"""A line is `{session, fits, suggested[]}`: what was suggested, in which session."""
SURE = 0.45
"""`fits` of a hit from which it may be suggested: how much of the prompt an artifact speaks of."""
WEIGHT = 1.1
"""What these words weigh together, in words that no other artifact has: everyday ones fit often, and weigh little."""
NAMED_WEIGHT = 0.5
"""The same where the prompt has every word of a name that has several."""
NEAR = 0.7
"""Of the best score; what is behind is no second choice. All four are measured by `bench/suggestions.py`."""
AT_MOST = 3
_RANKED = 12
_LIMIT_MS = 150
_LINE_MAX = 140
_TAIL_BYTES, _FULL_BYTES = 1 << 16, 1 << 18
_READ = "read {path}"
_HOW = {
    "skill": "Skill tool: {name}",
    "agent": "Agent tool, subagent_type: {name}",
    "command": "the user types /{name}",
    "workflow": _READ,
}
"""What can be suggested, and how it is called."""
_LEAD = "Artifacts of this project that may fit, found by search; texts are their authors'. Use one only if it helps:"


def asked(context: Context) -> frozenset[str]:
    """Return the events that the configuration needs."""
    return frozenset({"UserPromptSubmit"} if context.config[KEY] else ())


def decide(call: Call) -> Outcome | None:
    """Return up to three artifacts as context for the agent, or nothing."""
    need = asked_for(call.payload.get("prompt"))
    if not need:
        return None
    context = call.context()
    if not context.config[KEY]:
        return None
    found = suggestions(context, need)
    session = str(call.payload.get("session_id", ""))
    folder = context.root.state
    known = _told(folder, session)
    fresh = _one_of_each([hit for hit in found if hit.entry.path not in known])[:AT_MOST]
    if not fresh:
        return None
    _tell(folder, session, fresh)
    return Outcome(context="\n".join([_LEAD, *(_line(hit.entry) for hit in fresh)]))


def suggestions(context: Context, need: str) -> list[Hit]:
    """Return what may be suggested for a need, best first; nothing where search is not sure.

    The index is taken as it is: there is no time to bring it up to date, or to build one.
    """
    from agent_studio.knowledge import index, questions, search  # noqa: PLC0415 - only a prompt that asks for something pays
    from agent_studio.knowledge.answers import Query  # noqa: PLC0415 - as above

    opened = index.opened(context.root.state)
    if opened is None:
        return []
    with closing(opened) as db:
        found = search.search(db, Query(need, limit=_RANKED, deprecated=False)).hits
        asked = questions.read(db, need)
        (artifacts,) = db.execute("SELECT count(*) FROM artifact").fetchone()
    weight = sum(term.rarity for term in asked.terms) / math.log(2 + artifacts)
    return [
        hit for hit in found
        if _how(hit.entry) and hit.fits >= SURE and hit.score >= NEAR * found[0].score
        and hit.fits * weight >= (NAMED_WEIGHT if _is_named(hit.entry, asked.stems) else WEIGHT)
    ]  # fmt: skip


def _one_of_each(hits: list[Hit]) -> list[Hit]:
    """Return the best of those that are used in the same way: the client takes one of them, whichever is meant."""
    found: dict[str, Hit] = {}
    for hit in hits:
        found.setdefault(_how(hit.entry), hit)
    return list(found.values())


def _is_named(entry: Entry, stems: Sequence[str]) -> bool:
    from agent_studio.knowledge.words import stem, words  # noqa: PLC0415 - as above

    own = {stem(word) for word in words(entry.name.rpartition(":")[2])}
    return len(own) > 1 and own.issubset(stems)


def _how(entry: Entry) -> str:
    """Return how an artifact is used; empty where it is not to be suggested.

    A file that the client does not find can be read; one that it withholds is its author's to withhold.
    """
    from agent_studio.knowledge.places import misplaced  # noqa: PLC0415 - as above

    if entry.hidden and entry.domain in _HOW:
        return _READ.format(path=entry.path) if misplaced(entry.path, entry.domain) else ""
    return _HOW.get(entry.domain, "").format(name=entry.name, path=entry.path)


def _line(entry: Entry) -> str:
    from agent_studio.redaction import redact  # noqa: PLC0415 - as above

    said = " ".join(entry.description.split())
    said = said if len(said) <= _LINE_MAX else f"{said[:_LINE_MAX].rpartition(' ')[0]}…"
    return redact(f"- {entry.domain} {entry.name}: {said} ({_how(entry)})").replace("<", "‹").replace(">", "›")


def _told(folder: Folder, session: str) -> set[str]:
    """Return the paths that a session was told of already."""
    try:
        descriptor = folder.open(TOLD)
    except FileNotFoundError:
        return set()
    try:
        size = os.fstat(descriptor).st_size
        os.lseek(descriptor, max(0, size - _TAIL_BYTES), os.SEEK_SET)
        lines = os.read(descriptor, _TAIL_BYTES).splitlines()
    finally:
        os.close(descriptor)
    found: set[str] = set()
    for line in lines:
        try:
            told = json.loads(line)
            if told["session"] == session:
                found.update(told["suggested"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _tell(folder: Folder, session: str, hits: list[Hit]) -> None:
    """Remember what is suggested, the newest lines of it."""
    told = {"session": session, "fits": round(hits[0].fits, 3), "suggested": [hit.entry.path for hit in hits]}
    descriptor = folder.open(TOLD, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, json.dumps(told).encode() + b"\n")
        is_full = os.fstat(descriptor).st_size > _FULL_BYTES
    finally:
        os.close(descriptor)
    if is_full:
        _, _, newest = folder.read(TOLD)[-_TAIL_BYTES:].partition(b"\n")
        folder.replace(TOLD, newest)


HANDLER = Handler("suggest", decide, limit_ms=_LIMIT_MS)
