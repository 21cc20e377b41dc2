"""Puts records into the journals and the cursor into the state so that a crash at any point loses and doubles none.

1. The records of a batch are appended, one write a file; the ledger's book writes what responses used.
2. One transaction keeps the cursor, what is open, and how large each journal now is.
A crash between the two leaves journals larger than remembered. Their `eventId`s beyond are read at the next start,
and those records are not written again: by that run, or by the one that comes to them. A run whose clock was ahead, or
that waited less for a session's end, was further than the next.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent_studio.capture.recorder.routes import UNROUTED
from agent_studio.cost import book
from agent_studio.environment.roots import LOGS, STATE
from agent_studio.errors import StorageError
from agent_studio.records import LlmUsage
from agent_studio.storage import journal, sealed
from agent_studio.storage.folder import Folder, disk_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_studio.capture.ingest.report import Report
    from agent_studio.capture.ingest.state import State
    from agent_studio.cost.book import Told
    from agent_studio.cost.prices.table import PriceTable
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.records import Record

DAMAGED, UNKNOWN = "damaged-events.jsonl", "unknown-events.jsonl"
USES = "artifact-uses.jsonl"
_CHUNK_BYTES = 4 << 20
_ID = b'"eventId":"'
_ID_LENGTH = 32
_IDS_FIRST = frozenset((UNROUTED, UNKNOWN, DAMAGED))
"""Files whose lines hold what others wrote, behind our own id."""
_LEFT = "left"
_LEFT_MAX = 10_000


@dataclass
class _Output:
    """A file that is appended to."""

    folder: Folder
    name: str
    environment: str
    remembered: int = 0
    """Its size at the last commit."""
    beyond: set[str] = field(default_factory=set)
    """What a run that was cut short has already written to it."""
    lines: list[dict[str, Any]] = field(default_factory=list)


class Writer:
    """The journals of the environments that share an inbox; records are held back until `commit`."""

    def __init__(
        self, state: State, roots: Mapping[str, EnvironmentRoot], prices: Callable[[], PriceTable], report: Report,
        release_at: Callable[[str, str], str | None],
    ) -> None:  # fmt: skip
        """`roots` are the environments that share the inbox, its owner first; `prices` is asked when needed.

        `release_at` tells by session and timestamp what that session ran with.
        """
        self._state, self._roots, self._report, self._release_at = state, roots, report, release_at
        self._owner = next(iter(roots))
        self._prices = prices
        self._outputs: dict[tuple[str, str], _Output] = {}
        self._told: list[Told] = []
        self._sizes = state.outputs()
        self._learning = self._learn() if state.fresh else bool(state.note("learning"))
        self._left = dict.fromkeys(state.note(_LEFT) or ())
        """What runs that were cut short have written and no run has come to since, oldest first."""

    @property
    def held(self) -> int:
        """How many records are held back."""
        return sum(len(output.lines) for output in self._outputs.values()) + len(self._told)

    def add(self, record: Record, unique: str, environment: str) -> None:
        """Write a record whose id comes from its place in the inbox."""
        output = self._outputs.get((environment, record.file)) or self._output(environment, record.kind, record.file)
        if self._is_written(output, unique):
            return
        if self._learning and self._state.has_seen(unique):
            return
        output.lines.append(self._line(record, unique, environment))

    def once(self, record: Record, unique: str, environment: str) -> bool:
        """Write a record that more than one source may report; return whether it is the first to."""
        first = self._state.see(unique)
        if first:
            output = self._output(environment, record.kind, record.file)
            if not self._is_written(output, unique):
                output.lines.append(self._line(record, unique, environment))
        return first

    def _is_written(self, output: _Output, unique: str) -> bool:
        """Tell whether a run that was cut short has written a record; each is come to once."""
        if unique in output.beyond:
            output.beyond.discard(unique)
            return True
        if unique in self._left:
            del self._left[unique]
            return True
        return False

    def _line(self, record: Record, unique: str, environment: str) -> dict[str, Any]:
        return record.to_line(event_id=unique, environment=environment, release=self._release(record))

    def _release(self, record: Record) -> str | None:
        session_id: str | None = getattr(record, "session_id", None)
        return self._release_at(session_id, record.timestamp) if session_id else None

    def keep(self, name: str, line: dict[str, Any], environment: str | None) -> None:
        """Keep what is no record beside the state: `DAMAGED` or `UNKNOWN`."""
        root = self._roots[environment if environment is not None and environment in self._roots else self._owner]
        self._keep(name, line, root.state, root.environment)

    def use(self, line: dict[str, Any], environment: str) -> None:
        """Keep that an artifact was used, once, whoever tells of it."""
        if self._state.see(line["eventId"]):
            output = self._outputs.get((environment, USES)) or self._opened(
                environment, USES, self._roots[environment].state
            )
            if not self._is_written(output, line["eventId"]):
                output.lines.append(line)

    def turn_away(self, line: dict[str, Any]) -> None:
        """Put an event where those without a route are."""
        project = self._roots[self._owner].project
        self._keep(UNROUTED, line, Folder(project.path, STATE), self._owner)

    def _keep(self, name: str, line: dict[str, Any], folder: Folder, environment: str) -> None:
        journal.encode(line)  # what cannot be written must fail now, not with the whole batch
        output = self._outputs.get((environment, name)) or self._opened(environment, name, folder)
        if not self._is_written(output, line["eventId"]) and not (
            self._learning and self._state.has_seen(line["eventId"])
        ):
            output.lines.append(line)

    def usage(self, told: Told) -> None:
        """Write a response's usage, or what has come on top of it since it was written."""
        self._told.append(replace(told, release=self._release(told.record)))

    def commit(self, *, done: bool = False) -> None:
        """Write what is held back and keep the state; `done` when all has been come to that there is for this run."""
        for output in list(self._outputs.values()):
            self._flush(output)
        if self._told:
            written, _ = book.ask(
                self._roots[self._owner], lambda held: held.record(self._told, self._roots, self._prices())
            )
            self._count(LlmUsage.file, written)
            self._told.clear()
        for output in self._outputs.values():
            if done:
                self._left |= dict.fromkeys(sorted(output.beyond))
                output.beyond.clear()
            if not output.beyond:
                status = output.folder.status(output.name)
                output.remembered = 0 if status is None else status.st_size
            self._state.put_output(_place(output), output.remembered)
        self._state.put_note(_LEFT, list(self._left)[-_LEFT_MAX:])
        self._state.put_note("learning", self._learning and not done)
        self._learning = self._learning and not done
        self._state.commit()

    def _flush(self, output: _Output) -> None:
        if not output.lines:
            return
        try:
            journal.append(output.folder, output.name, output.lines)
            _sync(output)
        except FileNotFoundError:
            raise StorageError(
                f"{output.folder.path} is missing", hint=f"agent-studio init --env {output.environment}"
            ) from None
        if output.name not in {DAMAGED, UNKNOWN, UNROUTED, USES}:
            self._count(output.name, len(output.lines))
        output.lines = []

    def _count(self, name: str, number: int) -> None:
        if number:
            self._report.records[name] = self._report.records.get(name, 0) + number

    def _output(self, environment: str, kind: str, name: str) -> _Output:
        known = self._outputs.get((environment, name))
        return known or self._opened(environment, name, self._roots[environment].folder(kind))

    def _opened(self, environment: str, name: str, folder: Folder) -> _Output:
        output = _Output(folder, name, environment)
        output.remembered = self._sizes.get(_place(output), 0)
        for line in _lines(folder, name, output.remembered):
            found = _id_of(line, first=name in _IDS_FIRST)
            if found:
                output.beyond.add(found)
        self._outputs[environment, name] = output
        return output

    def _learn(self) -> bool:
        """Take from the journals what was counted before the state was lost; return whether that was anything."""
        anything = False
        for environment, root in self._roots.items():
            logs = [(kind, name) for kind, names in LOGS.items() for name in names if name != LlmUsage.file]
            places = [(root.folder(kind), name) for kind, name in logs]
            places += [
                *((root.state, name) for name in (DAMAGED, UNKNOWN, USES)),
                (Folder(root.project.path, STATE), UNROUTED),
            ]
            for folder, name in places:
                for line in self._all_lines(folder, name):
                    found = _id_of(line, first=name in _IDS_FIRST)
                    if found:
                        anything = True
                        self._state.see(found)
                status = folder.status(name)
                place = _place(_Output(folder, name, environment))
                self._sizes[place] = 0 if status is None else status.st_size
                self._state.put_output(place, self._sizes[place])
        self._state.put_note("learning", anything)
        return anything

    def _all_lines(self, folder: Folder, name: str) -> Iterator[bytes]:
        """Yield the lines of a file, and before them those of what it was called before its days were over."""
        folders = (folder, *(root.state.at(sealed.ARCHIVE) for root in self._roots.values()))
        for segment in sealed.found(name, *folders):
            yield from sealed.lines(segment, *folders)
        yield from _lines(folder, name, 0)


def _place(output: _Output) -> str:
    return str(output.folder.path / output.name)


def _sync(output: _Output) -> None:
    """Have the disk hold the records before the cursor moves behind them."""
    descriptor = output.folder.open(output.name, os.O_RDWR)
    try:
        with disk_faults(output.folder.path / output.name):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _id_of(line: bytes, *, first: bool) -> str | None:
    """Return the id of a written line; of what a line carries as text, every quote is escaped."""
    position = line.find(_ID) if first else line.rfind(_ID)
    found = line[position + len(_ID) : position + len(_ID) + _ID_LENGTH] if position >= 0 else b""
    try:
        return bytes.fromhex(found.decode()).hex() if len(found) == _ID_LENGTH else None
    except ValueError:
        return None


def _lines(folder: Folder, name: str, start: int) -> Iterator[bytes]:
    """Yield the lines of a file from an offset on; a missing one has none."""
    try:
        descriptor = folder.open(name)
    except FileNotFoundError:
        return
    rest = b""
    try:
        with disk_faults(folder.path / name):
            os.lseek(descriptor, start, os.SEEK_SET)
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
    finally:
        os.close(descriptor)
