"""Appending to the chained ledger of model usage, `llm-usage.log`.

What a record costs to make and to hash is paid before the lock is taken; under it a writer only looks at the end,
links and writes. A writer that was killed in the middle of a line leaves a torn tail: the next one puts a note of its
length and hash in its place, inside the chain, so that nothing goes without a trace and every line still continues the
one before. A file that has grown large is renamed, and the chain goes on in a new one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from agent_studio.cost import segments
from agent_studio.cost.segments import FILE
from agent_studio.errors import AgentStudioError, IntegrityError, StorageError
from agent_studio.records import LlmUsage
from agent_studio.storage import chain
from agent_studio.storage.descriptors import locked, write_all
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.chain import Body, Head

FILE_LIMIT_BYTES = 64 << 20
_OTHERS, _RIGHTS = 0o077, 0o777
_PATIENCE_S = 10.0
"""How long to wait for a writer that holds the lock; it takes microseconds unless it was stopped."""


def append(
    root: EnvironmentRoot, records: Iterable[tuple[LlmUsage, str]], *, release: str | None = None, sync: bool = False
) -> list[int]:
    """Append usage records with their `eventId`s by one write; return the numbers they got in the chain.

    The cost of an append does not grow with the file. `sync` waits until the disk has it. Raises `StorageError`, then
    nothing stays appended, `BusyError` when another process holds the lock for too long, and `IntegrityError` when the
    ledger's last line is not one of a chain.
    """
    with Writer(root) as writer:
        return writer.append(records, release=release, sync=sync)


def append_lines(root: EnvironmentRoot, lines: Iterable[Mapping[str, Any]], *, sync: bool = False) -> list[int]:
    """Append bodies as they will be written, as `append` does."""
    with Writer(root) as writer:
        return writer.append_lines(lines, sync=sync)


class Writer:
    """A ledger that stays open for many appends; threads may share it, and a forked process may go on with it."""

    def __init__(self, root: EnvironmentRoot, *, file_limit_bytes: int = FILE_LIMIT_BYTES) -> None:
        """Nothing is opened before the first append; the first one that finds the file over its limit renames it."""
        self._root = root
        self._folder = root.folder(LlmUsage.kind)
        self._place = self._folder.path / FILE
        self._path = str(self._place)
        self._limit_bytes = file_limit_bytes
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._descriptor: int | None = None
        self._opened_as: os.stat_result | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def append(
        self, records: Iterable[tuple[LlmUsage, str]], *, release: str | None = None, sync: bool = False
    ) -> list[int]:
        """Append records as the function `append` does."""
        name = self._root.environment
        return self.append_lines(
            (record.to_line(event_id=event_id, environment=name, release=release) for record, event_id in records),
            sync=sync,
        )

    def append_lines(self, lines: Iterable[Mapping[str, Any]], *, sync: bool = False) -> list[int]:
        """Append bodies as they will be written, as the function `append` does."""
        bodies = [chain.body(line) for line in lines]
        if not bodies:
            return []
        if self._pid != os.getpid():
            # A fork shares the open file and with it the lock, and may have caught a thread that held ours.
            self._pid, self._lock, self._descriptor = os.getpid(), threading.Lock(), None
        with self._lock:
            numbers, renamed = self._append(bodies, sync=sync)
        if renamed is not None:
            from agent_studio.cost import checkpoints  # noqa: PLC0415 - once in 64 MiB

            with suppress(AgentStudioError):  # an anchor more, not a condition of recording
                checkpoints.write(self._root, renamed)
        return numbers

    def _append(self, bodies: Sequence[Body], *, sync: bool) -> tuple[list[int], Head | None]:
        """Return the numbers given, and the end of the file that was put aside, if one was."""
        renamed = None
        while True:
            descriptor = self._opened()
            with disk_faults(self._place), locked(descriptor, _PATIENCE_S):
                if self._is_current():
                    head, end, torn = self._end(descriptor)
                    if end < self._limit_bytes or torn or not self._rename(descriptor):
                        data, numbers = _behind(head, bodies, torn)
                        _write(descriptor, data, end, torn)
                        if sync:
                            os.fsync(descriptor)
                        return numbers, renamed
                    renamed = head
            self.close()  # once unlocked: the number of a closed descriptor may be another thread's next one

    def _opened(self) -> int:
        if self._descriptor is None:
            try:
                self._descriptor = self._folder.open(FILE, os.O_RDWR | os.O_CREAT)
                self._opened_as = os.fstat(self._descriptor)
                _make_private(self._descriptor, self._opened_as)
            except FileNotFoundError:
                raise StorageError(
                    f"{self._folder.path} is missing", hint=f"agent-studio init --env {self._root.environment}"
                ) from None
        return self._descriptor

    def _is_current(self) -> bool:
        """Tell whether the open file still is the ledger: another writer may have renamed it while this one waited."""
        try:
            named = os.lstat(self._path)
        except FileNotFoundError:
            return False
        return self._opened_as is not None and os.path.samestat(named, self._opened_as)

    def _rename(self, descriptor: int) -> bool:
        """Put a file that has grown large aside; whoever waits for its lock will find it renamed."""
        first = segments.first_number(descriptor)
        if not first or self._folder.status(segments.name_of(first)) is not None:
            return False  # the ledger is not as we wrote it: verify says so, and nothing may be lost over it
        self._folder.move(FILE, self._folder, segments.name_of(first))
        return True

    def _end(self, descriptor: int) -> tuple[Head, int, bytes]:
        """Return the head of the chain, where the file's last whole line ends, and what is torn behind it."""
        found = segments.end(descriptor)
        if found is None:
            raise _broken(self._place)
        if found.offset:
            return _head(found.last, self._place), found.offset, found.torn
        return head(self._root), 0, found.torn


def head(root: EnvironmentRoot) -> Head:
    """Return where the chain ends, by its last whole line; raises `IntegrityError` when that is none of a chain."""
    folder = root.folder(LlmUsage.kind)
    for segment in reversed(segments.segments(root)):
        descriptor = folder.open(segment.name)
        try:
            with disk_faults(folder.path / segment.name):
                found = segments.end(descriptor)
        finally:
            os.close(descriptor)
        if found is None or found.offset:
            return _head(found.last if found else b"", folder.path / segment.name)
    return chain.Head()


def _head(line: bytes, place: Path) -> Head:
    found = chain.head_at(line)
    if found is None:
        raise _broken(place)
    return found


def _behind(head: Head, bodies: Sequence[Body], torn: bytes) -> tuple[bytes, list[int]]:
    """Return the bytes to write behind a head in the place of what is torn, and the numbers of the bodies in them."""
    parts, numbers = [], []
    whole = chain.after(head, torn) if torn else None
    if whole is not None:  # of this record only the line break is missing
        parts.append(torn + b"\n")
        head = whole
    elif torn:
        note = {"type": "torn", "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
        line, head = chain.seal(head, note)
        parts.append(line)
    for one in bodies:
        line, head = chain.link(head, one)
        parts.append(line)
        numbers.append(head.seq)
    return b"".join(parts), numbers


def _write(descriptor: int, data: bytes, end: int, torn: bytes) -> None:
    """Write behind the last whole line, in the place of a torn one, or leave all as it was."""
    try:
        os.lseek(descriptor, end, os.SEEK_SET)
        write_all(descriptor, data)
        if torn:
            os.ftruncate(descriptor, end + len(data))
    except BaseException:
        os.lseek(descriptor, end, os.SEEK_SET)
        write_all(descriptor, torn)
        os.ftruncate(descriptor, end + len(torn))
        raise


def _make_private(descriptor: int, status: os.stat_result) -> None:
    """Take from all but its owner what rights somebody gave them."""
    if hasattr(os, "fchmod") and status.st_mode & _OTHERS:
        with suppress(OSError):  # another owner's
            os.fchmod(descriptor, status.st_mode & ~_OTHERS & _RIGHTS)


def _broken(place: Path) -> IntegrityError:
    return IntegrityError(
        f"{place} does not end in a line of its chain: nothing can be appended",
        hint="agent-studio cost verify says what was done to it; move it away to start a new one, and keep it",
    )
