"""The inbox's files: which they are, from where they are read, when they are sealed and removed.

A segment is named after its first line, which never changes: the name is the same before and after it is sealed,
and known again when the state is lost. `events.<time of the first line>-<its hash>.jsonl` is also its file's name
once it is sealed.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.capture import inbox
from agent_studio.capture.recorder.routes import INBOX
from agent_studio.errors import StorageError
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder

SEAL_BYTES = 64 << 20
"""Size from which the inbox is sealed."""
_CHUNK_BYTES = 4 << 20
_BATCH_LINES = 10_000
_LINE_MAX_BYTES = 32 << 20
_LINE_KEPT_BYTES = 4_096
_NAMED_AFTER_BYTES = 4_096
_CHECKED_BYTES = 256
_SETTLED_S = 1.0
_SEALED = re.compile(r"^events\.\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{12}\.jsonl$")
_STAMP = re.compile(rb'"ts":(\d{16,19})')


class Line(NamedTuple):
    """One line of a segment."""

    offset: int
    data: bytes
    """The line without its end; only its start when it is longer than any line of ours."""
    length: int


@dataclass
class Segment:
    """A file of the inbox that is being read."""

    file: str
    """Its name in the metrics folder now."""
    name: str
    """Its name for good."""
    descriptor: int
    sealed: bool
    offset: int = 0
    """Up to where its lines have been taken."""
    generation: int = 0
    """How often it was found cut or rewritten by someone else; what is read after that is new."""
    sealed_at: float | None = None
    """When this process sealed it, on the monotonic clock."""

    @property
    def label(self) -> str:
        """What makes the offsets in it unique."""
        return f"{self.name}~{self.generation}" if self.generation else self.name

    @property
    def size(self) -> int:
        """Its bytes now."""
        return os.fstat(self.descriptor).st_size

    def check(self) -> str:
        """Return a hash of the bytes before the offset: what was read must still be there the next time."""
        return hashlib.sha256(_read(self.descriptor, max(self.offset - _CHECKED_BYTES, 0), self.offset)).hexdigest()


def found(folder: Folder) -> Iterator[Segment]:
    """Yield the inbox's files, sealed ones first, oldest first; a file without a whole line is not one yet.

    Each is open until the next one is asked for. An inbox that has grown to `SEAL_BYTES` is sealed first.
    """
    for file in sorted(name for name in folder.names() if _SEALED.match(name)):
        yield from _opened(folder, file, sealed=True)
    yield from _opened(folder, INBOX, sealed=False)


def _opened(folder: Folder, file: str, *, sealed: bool) -> Iterator[Segment]:
    with inbox.OPENING:
        try:
            descriptor = folder.open(file)
        except FileNotFoundError:
            return
    try:
        with disk_faults(folder.path / file):
            name = _name(descriptor)
            if name is None:
                return
            segment = Segment(file, name, descriptor, sealed)
            if not sealed and segment.size >= SEAL_BYTES:
                _seal(folder, segment)
            yield segment
    finally:
        with inbox.OPENING:
            os.close(descriptor)


def _name(descriptor: int) -> str | None:
    """Return the name of a segment, or None while its first line is not whole."""
    start = _read(descriptor, 0, 2 * _NAMED_AFTER_BYTES).lstrip(b"\r\n ")
    line, ended, _ = start.partition(b"\n")
    if not ended and len(start) < _NAMED_AFTER_BYTES:
        return None
    line = line[:_NAMED_AFTER_BYTES]
    written = _STAMP.search(line)
    moment = datetime.fromtimestamp(int(written[1]) // 1_000_000_000 if written else 0, UTC)
    return f"events.{clock.file_stamp(moment)}-{hashlib.sha256(line).hexdigest()[:12]}.jsonl"


def _seal(folder: Folder, segment: Segment) -> None:
    """Give the inbox its name for good; writers that come later begin a new one."""
    if folder.status(segment.name) is not None:
        return  # a copy of this very inbox: its lines are taken once, and it is sealed when the copy is gone
    with inbox.OPENING:  # closing any descriptor drops the locks of this process
        _move(folder, segment)


def _move(folder: Folder, segment: Segment) -> None:
    folder.move(INBOX, folder, segment.name)
    status = folder.status(segment.name)
    if status is None or not os.path.samestat(status, os.fstat(segment.descriptor)):
        raise StorageError(f"{folder.path / INBOX} was exchanged while it was sealed", hint="run the command again")
    segment.file, segment.sealed, segment.sealed_at = segment.name, True, time.monotonic()
    writable = folder.open(segment.name, os.O_RDWR)
    try:
        inbox.wait_for_writers(writable)
    finally:
        os.close(writable)


def remove(folder: Folder, segment: Segment) -> bool:
    """Remove a sealed segment that has been read to its end; return whether it could be.

    One that was sealed a moment ago stays until the next time: a writer that got no lock may not be done.
    """
    fresh = segment.sealed_at is not None and time.monotonic() - segment.sealed_at < _SETTLED_S
    if not segment.sealed or fresh or segment.size != segment.offset:
        return False
    folder.remove(segment.file)
    return True


def batches(segment: Segment) -> Iterator[list[Line]]:
    """Yield the whole lines behind the offset, some MiB at a time, moving the offset on.

    The last line of a sealed segment counts as whole: nobody will end it.
    """
    pending = b""
    dropped: Line | None = None
    position = segment.offset
    while True:
        chunk = _read(segment.descriptor, position, position + _CHUNK_BYTES)
        if not chunk and segment.sealed and (pending or dropped):
            chunk = b"\n"  # as if it had been ended
        if not chunk:
            return
        position += len(chunk)
        whole, ended, rest = (pending + chunk).rpartition(b"\n")
        if not ended:
            pending = rest
            if len(pending) > _LINE_MAX_BYTES:
                start = dropped or Line(segment.offset, pending[:_LINE_KEPT_BYTES], 0)
                dropped, pending = start._replace(length=start.length + len(pending)), b""
            continue
        pending = rest
        yield from _cut(segment, whole, dropped)
        dropped = None


def _cut(segment: Segment, whole: bytes, dropped: Line | None) -> Iterator[list[Line]]:
    """Yield the lines of a run of bytes; `dropped` is how its first line began, when that was too long to keep."""
    lines: list[Line] = []
    limit = segment.size
    for number, data in enumerate(whole.split(b"\n")):
        line = Line(segment.offset, data, len(data))
        if dropped and not number:
            line = dropped._replace(length=dropped.length + len(data))
        lines.append(line)
        segment.offset = min(segment.offset + line.length + 1, limit)
        if len(lines) == _BATCH_LINES:
            yield lines
            lines = []
    if lines:
        yield lines


def _read(descriptor: int, start: int, end: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    parts = []
    while start < end and (part := os.read(descriptor, end - start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def resume(segment: Segment, *, offset: int, generation: int, check: str) -> bool:
    """Go on where the last reading ended; return False when someone cut or rewrote the file meanwhile.

    Then what is behind the old offset, or behind the cut, is read as new: what was read once is not read again.
    """
    segment.offset, segment.generation = min(offset, segment.size), generation
    if segment.offset == offset and segment.check() == check:
        return True
    segment.generation += 1
    if segment.offset:
        behind = _read(segment.descriptor, segment.offset - 1, segment.offset + _LINE_MAX_BYTES)
        segment.offset += max(behind.find(b"\n"), 0)
    return False
