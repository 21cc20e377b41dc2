"""The files of a ledger, and reading on in them from where one was.

A ledger is `llm-usage.log` and, oldest first, the files it was renamed to when they had grown large:
`llm-usage.<number of their first record>.log`. The number of its first record stays a file's own whatever its name is,
so a reader finds its place again.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.records import LlmUsage
from agent_studio.storage import chain
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import EnvironmentRoot

FILE = LlmUsage.file
_RENAMED = re.compile(r"llm-usage\.([1-9][0-9]{0,17})\.log")
_CHUNK_BYTES = 4 << 20
_BLOCK_BYTES = 64 << 10
_TAIL_BYTES = 4 << 10
_LINE_MAX_BYTES = 16 << 20
_MARK = b',"_seq":'
_DIGITS_MAX = 18
_HASH_AT = slice(-66, -2)
"""Where the hash stands in a line without its break: `..."_hash":"<64 digits>"}`."""


class Segment(NamedTuple):
    """One file of a ledger."""

    name: str
    first_seq: int
    """Number of its first record; 0 when its first line is none of a chain."""
    size: int


class Position(NamedTuple):
    """The end of a line that was read."""

    first_seq: int
    """Number of the first record of the file it is in."""
    offset: int
    seq: int
    hash: str
    """The line's hash; of a line that is none of a chain, what stands in that place."""


START = Position(0, 0, 0, chain.GENESIS)


class MovedError(Exception):
    """The ledger does not go on where it was read last: it was cut, replaced or written anew."""


class End(NamedTuple):
    """How a file of a chain ends."""

    last: bytes
    """Its last whole line without the break; empty when there is none."""
    offset: int
    """Where that line ends."""
    torn: bytes
    """What a killed writer left behind it."""


def name_of(first_seq: int) -> str:
    """Return the name of a file that has grown large, by the number of its first record."""
    return f"llm-usage.{first_seq}.log"


def is_one(name: str) -> bool:
    """Say whether a file of this name is one of a ledger."""
    return name == FILE or _RENAMED.fullmatch(name) is not None


def renamed(root: EnvironmentRoot) -> list[tuple[int, str]]:
    """Return first number and name of the files that have grown large, oldest first."""
    folder = root.folder(LlmUsage.kind)
    found = [(_RENAMED.fullmatch(name), name) for name in (folder.names() if folder.has_folder() else ())]
    return sorted((int(match[1]), name) for match, name in found if match)


def segments(root: EnvironmentRoot) -> list[Segment]:
    """Return the files of a ledger, oldest first, the current one last; an empty one is not listed."""
    folder = root.folder(LlmUsage.kind)
    listed = []
    for first_seq, name in renamed(root):
        status = folder.status(name)
        if status is not None:
            listed.append(Segment(name, first_seq, status.st_size))
    try:
        descriptor = folder.open(FILE)
    except FileNotFoundError:
        return listed
    try:
        with disk_faults(folder.path / FILE):
            size = os.fstat(descriptor).st_size
            current = Segment(FILE, first_number(descriptor), size)
    finally:
        os.close(descriptor)
    return [*listed, current] if size else listed


def first_number(descriptor: int) -> int:
    """Return the number of a file's first record, 0 when its first line is none of a chain or is not ended."""
    data = b""
    while b"\n" not in data and len(data) <= _LINE_MAX_BYTES:
        os.lseek(descriptor, len(data), os.SEEK_SET)
        more = os.read(descriptor, _BLOCK_BYTES)
        if not more:
            return 0
        data += more
    found = chain.read_link(data.partition(b"\n")[0])
    return found.seq if found else 0


def end(descriptor: int) -> End | None:
    """Return how an open file ends, or None when its last line is longer than any of ours."""
    size = position = os.fstat(descriptor).st_size
    tail = b""
    while position and len(tail) <= _LINE_MAX_BYTES:
        step = min(position, max(_TAIL_BYTES, len(tail)))  # twice as much each time
        position -= step
        os.lseek(descriptor, position, os.SEEK_SET)
        tail = os.read(descriptor, step) + tail
        whole, ended, torn = tail.rpartition(b"\n")
        if not ended:
            continue
        _, found, last = whole.rpartition(b"\n")
        if found or not position:
            return End(last, size - len(torn), torn)
    return None if position else End(b"", 0, tail)


def read(root: EnvironmentRoot, position: Position = START) -> Iterator[tuple[bytes, Position]]:
    """Yield every whole line after a position, without its break, and where it ends; a torn last line waits.

    Raises `MovedError` when the position is none any more.
    """
    found = segments(root)
    if position != START:
        found = found[_place(root, found, position) :]
    folder = root.folder(LlmUsage.kind)
    last = position
    for segment in found:
        descriptor = folder.open(segment.name)
        try:
            if segment.name == FILE and first_number(descriptor) != segment.first_seq:
                yield from read(root, last)  # it was renamed since it was listed
                return
            if last == START or segment.first_seq != last.first_seq:
                last = Position(segment.first_seq, 0, last.seq, last.hash)
            os.lseek(descriptor, last.offset, os.SEEK_SET)
            with disk_faults(folder.path / segment.name):
                for line in _lines(descriptor, last):
                    last = line[1]
                    yield line
        finally:
            os.close(descriptor)


def _lines(descriptor: int, position: Position) -> Iterator[tuple[bytes, Position]]:
    first, offset, seq, _ = position
    rest: list[bytes] = []
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        *whole, last = chunk.split(b"\n")
        for piece in whole:
            line = b"".join((*rest, piece)) if rest else piece
            rest.clear()
            offset += len(line) + 1
            tail = line.rpartition(_MARK)[2]
            number = tail.partition(b",")[0]
            seq = int(number) if number.isdigit() and len(number) <= _DIGITS_MAX else seq
            yield line, Position(first, offset, seq, line[_HASH_AT].decode("latin-1"))
        rest.append(last)


def _place(root: EnvironmentRoot, found: list[Segment], position: Position) -> int:
    """Return which file a position is in."""
    index = next((at for at, one in enumerate(found) if one.first_seq == position.first_seq), None)
    if index is None:
        raise MovedError
    folder = root.folder(LlmUsage.kind)
    descriptor = folder.open(found[index].name)
    try:
        with disk_faults(folder.path / found[index].name):
            start = max(position.offset - 67, 0)
            os.lseek(descriptor, start, os.SEEK_SET)
            last = os.read(descriptor, position.offset - start)
    finally:
        os.close(descriptor)
    if last[-1:] != b"\n" or last[:-1][_HASH_AT].decode("latin-1") != position.hash:
        raise MovedError
    return index
