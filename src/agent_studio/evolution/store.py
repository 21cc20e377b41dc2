"""Where evolutions are kept: a chained journal that is the truth, and beside it the state file that it comes to.

`context/evolution.jsonl` and `context/evolution-state.json`. A record is there or is not, so whenever a process dies
the state is the old or the new one; the file is written anew from the journal where it is missing, damaged or behind.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import EVOLUTION_FILE
from agent_studio.errors import ConfigurationError, IntegrityError
from agent_studio.evolution import imported, shown
from agent_studio.evolution.state import JOURNAL, VERSION, State, fold
from agent_studio.redaction.structure import redacted
from agent_studio.storage import chained, locks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.storage.chain import Head

_LOCK = "evolution.lock"
_WAIT_S = 20.0
_REPAIR = "agent-studio evolve status --repair"
_KEPT_AS = "evolution-state.{}.json"


class Held(NamedTuple):
    """What is kept, as it was read."""

    state: State
    head: Head
    file: str
    """The state file: current, behind, missing, damaged, original (to be taken over), other (not of this journal) or
    version (of one that is not known here)."""
    original: imported.Original | None = None
    """What is to be taken over with the next change."""
    raw: bytes = b""
    """The state file's bytes."""


def read(context: Context) -> Held:
    """Return the state; nothing is written. Raises `IntegrityError` where the journal is damaged."""
    folder = context.root.folder("context")
    try:
        held = chained.read(folder, JOURNAL)
    except IntegrityError as error:
        error.hint = f"restore it from a backup, or go on from what {EVOLUTION_FILE} says: {_REPAIR}"
        raise
    try:
        raw = folder.read(EVOLUTION_FILE)
    except FileNotFoundError:
        return Held(fold(held.records), held.head, "missing")
    return _compared(fold(held.records), held.head, raw)


def _compared(state: State, head: Head, raw: bytes) -> Held:
    """Return what journal and state file say together."""
    value = parsed(raw)
    if value is None or not imported.shape(value):
        return Held(state, head, "damaged", None, raw)
    if "currentPhase" in value and value.get("version", 1) not in (1, VERSION):
        return Held(state, head, "version", None, raw)
    told = value.get("journal")
    if isinstance(told, dict):
        is_current = told == shown.journal(head) and value == shown.file(state, head)
        return Held(state, head, "current" if is_current else "behind", None, raw)
    original = imported.read(value, clock.timestamp(clock.now()))
    if original.is_empty:
        return Held(state, head, "behind" if head.seq else "current", None, raw)
    if head.seq:
        return Held(state, head, "other", None, raw)
    return Held(fold([_import(original)]), head, "original", original, raw)


def parsed(raw: bytes) -> dict[str, Any] | None:
    """Return the object that a state file holds, None where it is damaged."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _import(original: imported.Original) -> dict[str, Any]:
    return {
        "event": "imported", "timestamp": clock.timestamp(clock.now()), "kept": original.kept,
        "suggestions": original.suggestions, "evolution": original.evolution,
    }  # fmt: skip


class Change:
    """The state while nobody else changes it."""

    def __init__(self, context: Context, held: Held) -> None:
        self._context, self._held = context, held
        self._folder = context.root.folder("context")
        self.state, self.head = held.state, held.head
        self.kept = ""
        """The name that the file before ours has now."""

    def add(self, event: str, **fields: Any) -> None:
        """Append what happened, durably; from here on it is so."""
        self._take_over()
        self._append({"event": event, "timestamp": clock.timestamp(clock.now()), **fields})

    def _append(self, record: dict[str, Any]) -> None:
        clean: dict[str, Any] = redacted(json.loads(json.dumps(record)))
        chained.append(self._folder, JOURNAL, clean)
        held = chained.read(self._folder, JOURNAL)
        self.state, self.head = fold(held.records), held.head

    def _take_over(self) -> None:
        """Keep a file that is none of this journal's under another name, and take over what the original had."""
        if self._held.file in {"original", "other", "damaged"} and self._held.raw and not self.kept:
            self.kept = _KEPT_AS.format(clock.file_stamp(clock.now()))
            self._folder.create(self.kept, self._held.raw)
        if self._held.original is not None:
            original, self._held = self._held.original, self._held._replace(original=None)
            self._append(_import(original))

    def write(self) -> None:
        """Write the state file from the state, unless it says that already."""
        if self._held.file != "current" or self.head != self._held.head:
            self._take_over()
            self._folder.replace(EVOLUTION_FILE, shown.text(self.state, self.head))


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """Keep other writers out, and clear what killed ones left half-written."""
    folder = context.root.folder("context")
    context.root.state.make()
    folder.make()
    with locks.exclusive(context.root.state, _LOCK, doing="evolve", wait_s=_WAIT_S):
        folder.sweep(of=[EVOLUTION_FILE, f"{JOURNAL}.head"])
        yield


@contextmanager
def changing(context: Context) -> Iterator[Change]:
    """Hold the state for a change; what was added stays, whatever happens after. Raises `BusyError`.

    Raises `ConfigurationError` for a state file of a later version: who wrote it knows more than is known here.
    """
    with _alone(context):
        held = read(context)
        refuse_version(context, held)
        change = Change(context, held)
        try:
            yield change
        finally:
            if change.head != held.head:
                change.write()


def refuse_version(context: Context, held: Held) -> None:
    """Raise `ConfigurationError` for a state file of a version that is not known here."""
    if held.file == "version":
        version = (parsed(held.raw) or {}).get("version")
        place = context.root.folder("context").path / EVOLUTION_FILE
        raise ConfigurationError(
            f"{place} is of version {version!r}, and this agent-studio knows {VERSION}",
            hint=f"install a newer agent-studio, or set the file aside: {_REPAIR}",
        )


def repair(context: Context) -> str:
    """Write the state file anew from the journal, or begin a new journal from it where that is damaged.

    Return what was done, empty where all was well. What is replaced is kept beside. Raises `BusyError`.
    """
    with _alone(context):
        try:
            held = read(context)
        except IntegrityError:
            return _begin_anew(context)
        if held.file in {"current", "original"}:
            return ""
        if held.file == "version":
            held = held._replace(file="other")
        change = Change(context, held)
        change.write()
        return _told(held.file, change.kept)


def _told(file: str, kept: str) -> str:
    was = {
        "missing": "was missing", "behind": "was behind its history", "damaged": "was damaged",
        "other": "was none of this history's",
    }[file]  # fmt: skip
    return f"{EVOLUTION_FILE} {was} and is written anew from {JOURNAL}" + (f"; it is kept as {kept}" if kept else "")


def _begin_anew(context: Context) -> str:
    """Set a damaged journal aside and go on from the state file."""
    folder = context.root.folder("context")
    stamp = clock.file_stamp(clock.now())
    try:
        raw = folder.read(EVOLUTION_FILE)
    except FileNotFoundError:
        raw = b""
    value = parsed(raw) or {}
    for name in (JOURNAL, f"{JOURNAL}.head"):
        if folder.status(name):
            folder.move(name, folder, f"{name}.{stamp}")
    original = imported.read(value, clock.timestamp(clock.now())) if imported.shape(value) else None
    change = Change(context, _compared(State(), chained.read(folder, JOURNAL).head, raw)._replace(original=original))
    change.write()
    from_file = f"goes on from what {EVOLUTION_FILE} said" if original else "begins anew: the state file says nothing"
    return f"{JOURNAL} was damaged, is kept as {JOURNAL}.{stamp}, and {from_file}"


def problem(held: Held) -> str:
    """Return what is the matter with the state file; empty where all is well."""
    if held.file == "missing" and not held.head.seq:
        return ""  # nothing was evolved yet
    return {
        "missing": f"{EVOLUTION_FILE} is missing; this is what its history, {JOURNAL}, says",
        "damaged": f"{EVOLUTION_FILE} is damaged; this is what its history, {JOURNAL}, says",
        "behind": f"{EVOLUTION_FILE} is behind its history, {JOURNAL}, which says this",
        "other": f"{EVOLUTION_FILE} is none of this history's; this is what {JOURNAL} says",
        "version": f"{EVOLUTION_FILE} is of a version that is not known here; this is what {JOURNAL} says",
        "original": f"{EVOLUTION_FILE} is the original's; the first change takes it over and keeps the file beside",
    }.get(held.file, "")
