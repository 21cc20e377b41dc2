"""A chained journal that one process adds to for a while: opened once, then one write and one `fsync` for many records.

The caller holds a lock that keeps other writers away, and may note elsewhere how far the journal has come.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent_studio.errors import IntegrityError, StorageError
from agent_studio.storage import chain, chained
from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent_studio.storage.folder import Folder


class ChainFile:
    """An open journal."""

    def __init__(self, folder: Folder, name: str, descriptor: int, held: chained.Held) -> None:
        self._folder, self._name, self._descriptor = folder, name, descriptor
        self.records = held.records
        """What was there when it was opened."""
        self.head = held.head

    def append(
        self, records: Sequence[Mapping[str, Any]], note: Callable[[Sequence[chain.Head]], None] = lambda _: None
    ) -> None:
        """Add records durably, all of them or none; raise `StorageError` where the disk refuses.

        `note` is told where the journal may end from now on: before it grows, and once it has.
        """
        lines, heads = [], [self.head]
        for record in records:
            line, head = chain.seal(heads[-1], record)
            lines.append(line)
            heads.append(head)
        note(heads)
        self._write(b"".join(lines))
        self.head = heads[-1]
        note(heads[-1:])

    def _write(self, data: bytes) -> None:
        with disk_faults(self._folder.path / self._name):
            end = os.lseek(self._descriptor, 0, os.SEEK_END)
            try:
                written = os.write(self._descriptor, data)
                os.fsync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, end)
                raise
            if written != len(data):
                os.ftruncate(self._descriptor, end)
                raise StorageError(f"{self._folder.path / self._name}: the disk is full", hint="free space, and go on")


def read(folder: Folder, name: str) -> chained.Held:
    """Return all records; raise `IntegrityError` for a line that does not follow, or is no record."""
    try:
        return chained.read(folder, name)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(
            f"{folder.path / name} has a line that is no record ({error})", hint="restore the file from a copy of it"
        ) from None


@contextmanager
def opened(folder: Folder, name: str) -> Iterator[ChainFile]:
    """Open a journal, made where it is missing; raise `IntegrityError` for a line that does not follow.

    What a killed writer left after the last whole line is cut off.
    """
    held = read(folder, name)
    is_new = folder.status(name) is None
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    try:
        with disk_faults(folder.path / name):
            whole = b"".join(read_chunks(descriptor)).rpartition(b"\n")
            os.ftruncate(descriptor, len(whole[0]) + len(whole[1]))
        if is_new:
            folder.sync()
        yield ChainFile(folder, name, descriptor, held)
    finally:
        os.close(descriptor)
