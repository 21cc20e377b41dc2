"""What of memory an agent is given when a session starts, in so many tokens and no more.

First what is grave and open, then what fits the branch and folder at work, then the newest of each kind. Only the ends
of long files are looked at: there is no time to read all of them.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.memory import notes, scanning
from agent_studio.memory.book import Memory
from agent_studio.memory.fence import Note as Line
from agent_studio.memory.fence import fenced
from agent_studio.memory.notes import DECISION, ISSUE, KINDS
from agent_studio.memory.sidecar import open_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.memory.notes import Kind, Note

BYTES_A_TOKEN = 3
"""English has about four, other scripts about three: the budget is rather not reached than passed."""
_TAIL_BYTES = 1 << 16
_SEARCHED_BYTES = 4 << 20
"""Files larger than this together are not searched at the start of a session."""
_FITTING = 6
_NEWEST = 8
_GRAVE = ("CRITICAL", "HIGH")
_BRANCH = re.compile(r"ref: refs/heads/(.+)")
_PLAIN_BRANCHES = frozenset(("main", "master", "develop", "trunk"))
_SIDECAR_SHARE = 3
"""One part in so many is the sidecar's, of an agent that has one."""


def recalled(context: Context, *, folder: str = "", agent: str = "", lead: str = "") -> str:
    """Return the memory to start a session with, as fenced notes; empty where there is nothing.

    `folder` is where the session works, `agent` whose it is when it is an agent's. A `lead` that stands
    before the notes counts as a part of them.
    """
    budget = int(context.config["memory.context.maxTokens"]) * BYTES_A_TOKEN - len(lead.encode())
    own = _sidecar(context, agent, budget // _SIDECAR_SHARE) if agent else ""
    budget -= len(own.encode()) + 2
    memory = Memory(context.root)
    shown = fenced("of this project's memory", map(line_of, _chosen(memory, _at_work(context, folder))), budget)
    told = "\n\n".join(filter(None, (shown, own)))
    return f"{lead}{told}" if told else ""


def line_of(note: Note) -> Line:
    """Return a note as a line for models."""
    state = note.severity.lower() if note.is_open else "over"
    label = ", ".join(filter(None, (note.id, note.label, note.kind, state, note.date)))
    return Line(label, note.said)


def _sidecar(context: Context, agent: str, budget: int) -> str:
    with suppress(AgentStudioError):  # no agent's name, or the feature is off
        return open_sidecar(context, agent).digest(budget)
    return ""


def _chosen(memory: Memory, words: str) -> Iterator[Note]:
    seen: set[str] = set()
    for note in _in_order(memory, words):
        if note.id not in seen and note.is_open:
            seen.add(note.id)
            yield note


def _in_order(memory: Memory, words: str) -> Iterator[Note]:
    tails = {kind.name: _tail(memory, kind) for kind in KINDS.values()}
    issues = [note for note in tails[ISSUE.name] if note.is_open]
    yield from (note for grave in _GRAVE for note in issues if note.severity == grave)
    if words and _size(memory) <= _SEARCHED_BYTES:
        yield from (hit.note for hit in memory.search(words, _FITTING, only_open=True, sessions=False))
    yield from reversed(tails[DECISION.name][-_NEWEST:])
    others = [tails[name][-_NEWEST:] for name in tails if name != DECISION.name]
    yield from _dealt([list(reversed(tail)) for tail in others])


def _dealt(tails: list[list[Note]]) -> Iterator[Note]:
    """Yield the newest of each kind, then the second newest of each."""
    for at in range(_NEWEST):
        yield from (tail[at] for tail in tails if at < len(tail))


def _tail(memory: Memory, kind: Kind) -> list[Note]:
    """Return the notes at the end of a file, where new ones are written."""
    try:
        descriptor = memory.folder.open(kind.file)
    except FileNotFoundError:
        return []
    try:
        start = max(0, os.fstat(descriptor).st_size - _TAIL_BYTES)
        os.lseek(descriptor, start, os.SEEK_SET)
        data = os.read(descriptor, _TAIL_BYTES)
    finally:
        os.close(descriptor)
    if start:
        data = data[max(data.find(b"\n## ") + 1, 0) :]
    found = [
        notes.read(data[span.start : span.end], kind.name, place=kind.file, groups=span.groups)
        for span in scanning.spans(data, is_whole=not start)
    ]
    return [note for note in found if kind is not ISSUE or notes.is_issue(note)]


def _size(memory: Memory) -> int:
    return sum(_bytes(source.folder.status(source.file)) for source in memory.sources())


def _bytes(status: os.stat_result | None) -> int:
    return status.st_size if status else 0


def _at_work(context: Context, folder: str) -> str:
    """Return words that tell what is worked on: the branch, and the folder below the project."""
    said: list[str] = []
    with suppress(AgentStudioError, FileNotFoundError, NotADirectoryError):
        branch = _BRANCH.match(context.project.folder.read(".git/HEAD").decode("utf-8", "replace"))
        if branch and branch[1].strip() not in _PLAIN_BRANCHES:
            said.append(branch[1])
    base = str(context.project.path)
    if folder.startswith(base + os.sep):
        said.append(folder[len(base) + 1 :])
    return " ".join(re.split(r"[^\w]+|_", " ".join(_short(said))))


def _short(texts: Iterable[str]) -> Iterator[str]:
    return (text[:200] for text in texts)
