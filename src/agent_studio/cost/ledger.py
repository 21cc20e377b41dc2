"""The chained ledger of model usage, `llm-usage.log`: appending to it, and reading what a crash may have left.

A writer that was killed in the middle of a line leaves a torn tail. The next one puts a note of its length and hash
in its place, inside the chain, so that nothing goes without a trace and every line still continues the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent_studio.errors import IntegrityError, StorageError
from agent_studio.records import LlmUsage
from agent_studio.storage import chain
from agent_studio.storage.descriptors import locked, write_all
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.environment.roots import EnvironmentRoot

FILE = LlmUsage.file
_BLOCK_BYTES = 64 << 10
_LINE_MAX_BYTES = 16 << 20


def append(
    root: EnvironmentRoot, records: Iterable[tuple[LlmUsage, str]], *, release: str | None = None, sync: bool = False
) -> list[int]:
    """Append usage records with their `eventId`s by one write; return the numbers they got in the chain.

    The cost of an append does not grow with the file. `sync` waits until the disk has it. Raises `StorageError`, then
    nothing stays appended, and `IntegrityError` when the ledger's last line is not one of a chain.
    """
    lines = [
        record.to_line(event_id=event_id, environment=root.environment, release=release) for record, event_id in records
    ]
    return append_lines(root, lines, sync=sync) if lines else []


def append_lines(root: EnvironmentRoot, lines: Iterable[Mapping[str, Any]], *, sync: bool = False) -> list[int]:
    """Append bodies as they will be written, as `append` does."""
    with _opened(root) as descriptor:
        head, end, torn = _end(descriptor, root)
        parts: list[bytes] = []
        if torn:
            note = {"type": "torn", "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            sealed, head = chain.seal(head, note)
            parts.append(sealed)
        numbers = []
        for line in lines:
            sealed, head = chain.seal(head, line)
            parts.append(sealed)
            numbers.append(head.seq)
        _write(descriptor, b"".join(parts), end, torn)
        if sync:
            os.fsync(descriptor)
    return numbers


@contextmanager
def _opened(root: EnvironmentRoot) -> Iterator[int]:
    folder = root.folder(LlmUsage.kind)
    place = folder.path / FILE
    try:
        descriptor = folder.open(FILE, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        raise StorageError(f"{folder.path} is missing", hint=f"agent-studio init --env {root.environment}") from None
    try:
        with disk_faults(place), locked(descriptor):
            yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes, end: int, torn: bytes) -> None:
    """Write behind the last whole line, in the place of a torn one, or leave all as it was."""
    try:
        os.lseek(descriptor, end, os.SEEK_SET)
        write_all(descriptor, data)
        os.ftruncate(descriptor, end + len(data))
    except BaseException:
        os.lseek(descriptor, end, os.SEEK_SET)
        write_all(descriptor, torn)
        os.ftruncate(descriptor, end + len(torn))
        raise


def _end(descriptor: int, root: EnvironmentRoot) -> tuple[chain.Head, int, bytes]:
    """Return the head of the chain, where its last whole line ends, and what a killed writer left behind that."""
    size = position = os.fstat(descriptor).st_size
    tail = b""
    while position and len(tail) <= _LINE_MAX_BYTES:
        step = min(position, _BLOCK_BYTES)
        position -= step
        os.lseek(descriptor, position, os.SEEK_SET)
        tail = os.read(descriptor, step) + tail
        whole, ended, torn = tail.rpartition(b"\n")
        if not ended:
            continue
        _, found, last = whole.rpartition(b"\n")
        if found or not position:
            return _head(last, root), size - len(torn), torn
    if position:
        raise _broken(root)
    return chain.Head(), 0, tail


def _head(line: bytes, root: EnvironmentRoot) -> chain.Head:
    _, mark, own = line.rpartition(b',"_seq":')
    try:
        fields = json.loads(b'{"_seq":' + own)
        head = chain.Head(int(fields["_seq"]), str(fields["_hash"]))
    except (ValueError, KeyError, TypeError):
        raise _broken(root) from None
    if not mark or head.seq < 1 or len(head.hash) != len(chain.GENESIS):
        raise _broken(root)
    return head


def _broken(root: EnvironmentRoot) -> IntegrityError:
    return IntegrityError(
        f"{root.folder(LlmUsage.kind).path / FILE} does not end in a line of its chain: nothing can be appended",
        hint="move the file away to start a new one, and keep it to find out what changed it",
    )
