"""A project's memory: the Markdown files of an environment, read as notes, added to and changed under one lock.

The files are the truth, and people may edit them at any time; the index is derived.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.errors import AgentStudioError, UsageError, did_you_mean
from agent_studio.memory import gates, index, issues, notes, scanning, writing
from agent_studio.memory.gates import Kept
from agent_studio.memory.index import Source
from agent_studio.memory.notes import DECISION, ISSUE, KINDS, SESSION, Note
from agent_studio.redaction import redact
from agent_studio.storage.descriptors import read_chunks, write_all
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.locks import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.memory.index import Found, Index

INDEX, LOCK, ARCHIVE, SESSIONS = "memory.sqlite3", ".memory.lock", "archive", "sessions"
_LIMIT = 10
_NUMBER = re.compile(r"ADR-(\d+)")
_OVER = {ISSUE.name: "Resolved", DECISION.name: "Superseded"}
_MARKDOWN = ".md"


class FileError(AgentStudioError):
    """A memory file is no text that can be added to."""

    code = "memory-file"


class Hit(NamedTuple):
    """A note that fits a question."""

    note: Note
    score: float
    """The higher the better; only comparable within one answer."""


class Memory:
    """The memory of one environment."""

    def __init__(self, root: EnvironmentRoot) -> None:
        self.root = root
        self.folder = root.folder("memory")

    def add(
        self, kind: str, text: str, *, title: str = "", severity: str = "", status: str = "", tags: Iterable[str] = (),
        source: str = "",
    ) -> Note:  # fmt: skip
        """Write a note at the end of its file and return it.

        Raises `KnownError` with the id of what says the same already, and `RefusedError` for what is no note.
        """
        chosen = known_kind(kind)
        draft = writing.draft(chosen, text, title=title, severity=severity, status=status, tags=tags, source=source)
        with self.changing():
            with self.searching() as found:
                label = _next_label(found) if chosen is DECISION else ""
                note_id, day = f"n-{os.urandom(6).hex()}", clock.timestamp(clock.now())[:10]
                written = redact(writing.written(draft, note_id, day, label))
                made = notes.read(written.encode(), chosen.name, place=chosen.file)
                gates.refuse_known(_compared(made.said, label), self._alike(found, _compared(made.said, label)))
            if [one.id for one in notes_of(b"# T\n\n" + written.encode(), chosen.name, chosen.file)] != [note_id]:
                raise gates.RefusedError("this note could not be read back", hint="say it in plain sentences")
            self._refuse_unended(chosen.file)
            self.append(chosen.file, chosen.title, written)
        return made

    def _refuse_unended(self, name: str) -> None:
        """Refuse to write where a person left something open that would hide what is written."""
        with suppress(FileNotFoundError):
            data = self.folder.read(name)
            start, mark = scanning.unended(data)
            if start >= 0:
                raise FileError(
                    f"memory/{name}: line {data.count(bytes([10]), 0, start) + 1} begins a block of code or a comment "
                    "that never ends, and would hide what is added",
                    hint=f"end it with a line {mark.decode().strip()}, or remove it",
                )

    def get(self, name: str) -> Note:
        """Return the note with an id, or with the name that people call it by; raise `UsageError` for none, or two."""
        with self.searching() as found:
            place = self.find(found, name)
            return self._note(found, place)._replace(line=found.line_of(place))

    def find(self, opened: Index, name: str) -> Found:
        """Return where a note is, by its id or label."""
        if not name.strip() or name.encode("utf-8", "replace").decode() != name:
            raise UsageError(
                f"{ascii(name)[:80]} is no id of a note", hint="agent-studio memory search finds them, list shows them"
            )
        one = opened.find(name)
        if one is not None:
            return one
        labelled = {one.id: one for one in opened.labelled(name)}
        if len(labelled) == 1:
            return next(iter(labelled.values()))
        if labelled:
            raise UsageError(
                f"{len(labelled)} notes are called {name}", hint=f"name one by its id: {', '.join(labelled)}"
            )
        raise UsageError(
            f"there is no note {name[:80]!r}", hint="agent-studio memory search finds them, list shows them"
        )

    def every(self, kind: str = "", *, archived: bool = False) -> Iterator[Note]:
        """Yield the notes of a kind, or of all but sessions, as their files have them; or what is in the archive."""
        wanted = known_kind(kind).name if kind else ""
        for source in self.sources():
            of = kind_of(source.name)
            if source.name.startswith(f"{ARCHIVE}/") is archived and (of == wanted if wanted else of != SESSION.name):
                yield from notes_of(_bytes(source), of, source.name)

    def search(
        self, question: str, limit: int = _LIMIT, *, kind: str = "", only_open: bool = False, sessions: bool = True
    ) -> list[Hit]:
        """Return the notes that fit a question, archived ones too, best first; what no longer holds comes last."""
        wanted = known_kind(kind).name if kind else ""
        hits: dict[str, Hit] = {}
        with self.searching() as opened:
            but = "" if sessions or wanted else SESSION.name
            for found in opened.search(question, 4 * limit + 16, kind=wanted, but=but, only_open=only_open):
                if found.id not in hits:
                    hits[found.id] = Hit(self._note(opened, found), round(found.score, 4))
        return sorted(hits.values(), key=lambda hit: (not hit.note.is_open, -hit.score))[:limit]

    def resolve(self, name: str, status: str = "", *, date: bool = True) -> Note:
        """Say in its own place that a note no longer holds, and return it; nothing else in its file changes."""
        with self.changing():
            with self.searching() as opened:
                found = self.find(opened, name)
                note = self._note(opened, found)
            if found.source not in self._own():
                raise UsageError(
                    f"{note.id} is in {self.where(found.source)}, which is only read", hint="edit it by hand"
                )
            said = writing.line(status, 80, "a status") or _OVER.get(note.kind, "Obsolete")
            told = f"{said} ({clock.timestamp(clock.now())[:10]})" if date else said
            data = self.folder.read(found.source)
            start, end = found.start, found.start + found.size
            changed = writing.with_status(data[start:end], told, note.id, note.kind)
            after = notes.read(changed, note.kind, place=found.source, groups=note.groups)
            if after.is_open and issues.is_settled(said) and note.kind == ISSUE.name:
                raise UsageError(
                    f"memory/{found.source}: another line of {note.id} says that it is open, so nothing was changed",
                    hint="change the status there by hand; of two that differ the worse counts",
                )
            self.folder.replace(found.source, data[:start] + changed + data[end:])
        return after

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock under which the files are written."""
        self.folder.make()
        with in_turn(self.folder, LOCK):
            yield

    @contextmanager
    def searching(self) -> Iterator[Index]:
        """Open the index, up to date."""
        with index.opened(self.root.state, INDEX, self.sources()) as opened:
            yield opened

    def sources(self) -> list[Source]:
        """Return the files of notes that are there; the original's are read beside ours."""
        found = [Source(name, self.folder, name, notes.pieces_of(kind_of(name))) for name in sorted(self._own())]
        for kind in KINDS.values():
            old = self.root.original("memory", kind.file, beside=True)
            if old is not None:
                found.append(Source(f"original/{kind.file}", *old, notes.pieces_of(kind.name)))
        return found

    def where(self, name: str) -> str:
        """Return how people find a file of notes: the original's by its path from the project's root."""
        other = next((one for one in self.sources() if one.name == name and one.file != name), None)
        if other is None:
            return f"memory/{name}"
        return (other.folder.path / other.file).relative_to(self.root.project.path).as_posix()

    def _own(self) -> set[str]:
        """Return our files that are there."""
        own: set[str] = set()
        for folder in ("", ARCHIVE, SESSIONS):
            try:
                names = self.folder.names(folder)
            except FileNotFoundError:
                continue
            own |= {f"{folder}/{name}" if folder else name for name in names if name.endswith(_MARKDOWN)}
        return {name for name in own if kind_of(name)}

    def _note(self, opened: Index, found: Found) -> Note:
        data = opened.read(found)
        read = notes.read(data, kind_of(found.source), place=found.source, groups=found.groups)
        return read._replace(id=found.id)

    def _alike(self, opened: Index, said: str) -> Iterator[Kept]:
        for found in opened.alike(said):
            if kind_of(found.source) != SESSION.name:
                note = self._note(opened, found)
                if note.is_open:
                    yield Kept(note.id, _compared(note.said, note.label))

    def append(self, name: str, title: str, text: str) -> None:
        """Write at the end of a file by one write, in the line ends that it has; the lock is held."""
        self.folder.create(name, f"# {title}\n".encode())
        descriptor = self.folder.open(name, os.O_RDWR | os.O_APPEND)
        try:
            head = os.read(descriptor, 1 << 16)
            _refuse_binary(head, str(self.folder.path / name))
            end = os.lseek(descriptor, -1, os.SEEK_END) if head else 0
            gap = "\n" if not head or os.read(descriptor, 1) == b"\n" else "\n\n"
            data = (gap + text).encode()
            if b"\r\n" in head:
                data = data.replace(b"\n", b"\r\n")
            with disk_faults(self.folder.path / name):
                try:
                    write_all(descriptor, data)
                except OSError:
                    os.ftruncate(descriptor, end + 1 if head else 0)
                    raise
        finally:
            os.close(descriptor)


def open_memory(context: Context) -> Memory:
    """Open an environment's memory; nothing is written before something is added."""
    return Memory(context.root)


def known_kind(name: str) -> notes.Kind:
    """Return a kind by its name; raise `UsageError` naming the nearest."""
    chosen = {**KINDS, SESSION.name: SESSION}.get(name)
    if chosen is None:
        raise UsageError(f"{name[:40]!r} is no kind of note", hint=did_you_mean(name[:40], [*KINDS, SESSION.name]))
    return chosen


def notes_of(data: bytes, kind: str, place: str) -> Iterator[Note]:
    """Yield the notes of a file, each id once."""
    seen: set[str] = set()
    line, at = 1, 0
    for span in scanning.spans(data):
        line += data.count(b"\n", at, span.start)
        at = span.start
        note = notes.read(data[span.start : span.end], kind, place=place, groups=span.groups, line=line)
        if note.id in seen and note.has_id:  # copied by hand with the id of another
            note = note._replace(id=notes.derived_id(note.text))
        if note.id not in seen and (kind != ISSUE.name or notes.is_issue(note)):
            seen.add(note.id)
            yield note


def kind_of(source: str) -> str:
    """Return the kind of note that a file holds, empty for a file that is none of memory's."""
    folder, _, name = source.rpartition("/")
    if folder == SESSIONS:
        return SESSION.name
    stem = name.removesuffix(_MARKDOWN)
    for kind in KINDS.values():
        own = kind.file.removesuffix(_MARKDOWN)
        if stem == own or (folder == ARCHIVE and re.fullmatch(rf"{own}-\d{{4}}-\d{{2}}-\d{{2}}", stem)):
            return kind.name
    return ""


def _next_label(opened: Index) -> str:
    numbers = [int(match[1]) for label in opened.labels("ADR-") if (match := _NUMBER.fullmatch(label))]
    return f"ADR-{max(numbers, default=0) + 1:03d}"


def _compared(said: str, label: str) -> str:
    return said.removeprefix(f"{label}: ") if label else said


def _bytes(source: Source) -> bytes:
    try:
        descriptor = source.folder.open(source.file)
    except FileNotFoundError:
        return b""
    try:
        return b"".join(read_chunks(descriptor))
    finally:
        os.close(descriptor)


def _refuse_binary(head: bytes, place: str) -> None:
    if b"\0" in head:
        raise FileError(f"{place} is not UTF-8 text", hint="save it as UTF-8, or move it away")
