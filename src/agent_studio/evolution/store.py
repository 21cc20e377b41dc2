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
from agent_studio.storage.chain import Head, after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.storage.folder import Folder

_LOCK = "evolution.lock"
_WAIT_S = 20.0
_REPAIR = "agent-studio evolve status --repair"
_KEPT_AS = "evolution-state.{}.json"


_KEPT = frozenset(("original", "other", "damaged", "ahead", "changed"))
"""What a state file may be whose bytes are in no journal: it is kept beside."""


class Held(NamedTuple):
    """What is kept, as it was read."""

    state: State
    head: Head
    file: str
    """The state file: current, behind, missing, damaged, ahead (of a journal that ends before it) or original (both to
    be taken over), changed (by others), other (not of this journal) or version (of one that is not known here)."""
    original: imported.Original | None = None
    """What is to be taken over with the next change."""
    raw: bytes = b""
    """The state file's bytes."""


def read(context: Context) -> Held:
    """Return the state; nothing is written. Raises `IntegrityError` where the journal is damaged."""
    folder = context.root.folder("context")
    try:
        held = chained.read(folder, JOURNAL)
        state = fold(held.records)
    except IntegrityError as error:
        error.hint = f"restore it from a backup, or go on from its sound lines and {EVOLUTION_FILE}: {_REPAIR}"
        raise
    try:
        raw = folder.read(EVOLUTION_FILE)
    except FileNotFoundError:
        return Held(state, held.head, "missing")
    return _compared(state, held, raw)


def _compared(state: State, journal: chained.Held, raw: bytes) -> Held:
    """Return what journal and state file say together."""
    head = journal.head
    value = parsed(raw)
    if value is None or not imported.shape(value):
        return Held(state, head, "damaged", None, raw)
    if "currentPhase" in value and not _is_known(value.get("version", 1)):
        return Held(state, head, "version", None, raw)
    told = value.get("journal")
    original = imported.read(value, clock.timestamp(clock.now()))
    if isinstance(told, dict):
        seq = told.get("seq")
        if type(seq) is int and seq > head.seq:
            return Held(fold([_import(original)], state), head, "ahead", original, raw)
        return Held(state, head, _of_ours(value, seq, state, journal), None, raw)
    if original.is_empty:
        return Held(state, head, "behind" if head.seq else "current", None, raw)
    if head.seq:
        return Held(state, head, "other", None, raw)
    return Held(fold([_import(original)]), head, "original", original, raw)


def _is_known(version: object) -> bool:
    """Tell whether a version is ours or the original's, which writes it as a text in its other shape."""
    return version in (1, VERSION) or (isinstance(version, str) and version.startswith("1."))


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
        "suggestions": original.suggestions, "evolution": original.evolution, "past": original.past,
        "is_ours": original.is_ours,
    }  # fmt: skip


def _of_ours(value: Mapping[str, Any], seq: object, state: State, journal: chained.Held) -> str:
    """Say whether a file of ours is what the journal comes to, what it once came to, or was changed by others."""
    if seq == journal.head.seq:
        return "current" if value == shown.file(state, journal.head) else "changed"
    if type(seq) is not int or seq < 1:
        return "changed"
    head = Head(seq, journal.records[seq - 1]["_hash"])
    return "behind" if value == shown.file(fold(journal.records[:seq]), head) else "changed"


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
        if self._held.file in _KEPT and self._held.raw and not self.kept:
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
    """Write the state file anew from the journal, or go on from the sound lines of a damaged one and from the file.

    Return what was done, empty where all was well. What is replaced is kept beside. Raises `BusyError`.
    """
    with _alone(context):
        try:
            held = read(context)
        except IntegrityError:
            return _go_on(context)
        if held.file == "current":
            return ""
        if held.file == "version":
            held = held._replace(file="other")
        change = Change(context, held)
        change.write()
        return _told(held.file, change.kept)


def _told(file: str, kept: str) -> str:
    was = {
        "missing": "was missing", "behind": "was behind its history", "damaged": "was damaged",
        "other": "was none of this history's", "original": "was the original's, is taken over",
        "changed": "was changed by another program",
        "ahead": f"says more than {JOURNAL}, which goes on from it,",
    }[file]  # fmt: skip
    return f"{EVOLUTION_FILE} {was} and is written anew from {JOURNAL}" + (f"; it is kept as {kept}" if kept else "")


def _go_on(context: Context) -> str:
    """Keep a damaged journal beside, and go on from its sound lines and from what the state file has more.

    A process that dies on the way leaves a journal that is damaged as before, or one that the file is ahead of.
    """
    folder = context.root.folder("context")
    stamp = clock.file_stamp(clock.now())
    for name in (JOURNAL, f"{JOURNAL}.head"):
        if folder.status(name):
            folder.create(f"{name}.{stamp}", folder.read(name))
    records = _sound(folder)
    chained.renew(folder, JOURNAL, records)
    held = read(context)
    change = Change(context, held._replace(file="other") if held.file == "version" else held)
    change.write()
    more = f" and from what {EVOLUTION_FILE} said" if held.original else ""
    return f"{JOURNAL} was damaged, is kept as {JOURNAL}.{stamp}, and goes on from {len(records)} sound lines{more}"


def _sound(folder: Folder) -> list[dict[str, Any]]:
    """Return the records before the first line that is damaged, as they were written."""
    try:
        lines = folder.read(JOURNAL).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    found, head, state = list[dict[str, Any]](), Head(), State()
    for line in lines:
        follows = after(head, line)
        if follows is None:
            break
        record = json.loads(line)
        try:
            state = fold([record], state)
        except IntegrityError:
            break
        head = follows
        found.append({name: value for name, value in record.items() if name not in {"_seq", "_prevHash", "_hash"}})
    return found


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
        "changed": f"{EVOLUTION_FILE} was changed by another program; this is what {JOURNAL} says",
        "ahead": f"{EVOLUTION_FILE} says more than its history, {JOURNAL}, which ends before it; this is both together",
        "original": f"{EVOLUTION_FILE} is the original's; the first change takes it over and keeps the file beside",
    }.get(held.file, "")
