"""An environment's data, read whole while others write.

JSON Lines are taken up to the last whole line of the size that was seen first. What was renamed, replaced or changed
while it was read is read again, a few times; what never holds still is named.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.schema import KINDS
from agent_studio.errors import BusyError, IntegrityError, UnsafePathError
from agent_studio.release.backups.line_checks import Lines, has_lines, is_ledger, is_object, order
from agent_studio.release.backups.places import PIECE_BYTES
from agent_studio.storage import chain, names
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.temporaries import is_temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

_INBOX = re.compile(r"events(\..*)?\.jsonl")
_PASSING = re.compile(r"\.(smoke|canary)-")
"""What a smoke test puts down for a moment."""
_CLIENTS = "MEMORY.md"
_ATTEMPTS, _PAUSE_S = 8, 0.02
_BLOCK_BYTES = 64 << 10


class Item(NamedTuple):
    """One file."""

    kind: str
    path: str
    """Below the folder of its kind."""
    mode: int
    """Its rights."""
    size: int
    sha256: str
    pieces: list[str]


class Data(NamedTuple):
    """What was read."""

    files: list[Item]
    folders: list[tuple[str, str]]
    """Kind and path of folders in which nothing is."""
    left_out: list[str]
    """What is no plain file, and why it is left out."""
    damaged_lines: int
    ledger: chain.Head
    ledger_fault: str
    """Where the ledger is no chain; empty when it is one."""


class Listed(NamedTuple):
    """What lies in the folder of a kind."""

    files: dict[str, os.stat_result]
    empty: list[str]
    """Folders in which nothing is, not even what is left out."""
    left_out: dict[str, str]
    """What is no plain file of ours, and why."""


class _MovedError(Exception):
    """A file did not hold still."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


def is_inbox(kind: str, path: str) -> bool:
    """Tell whether a file is the recorder's inbox, or a sealed part of it: those are in no backup."""
    return kind == "metrics" and _INBOX.fullmatch(path) is not None


def is_clients(kind: str, path: str) -> bool:
    """Tell whether a file belongs to the client, which may be writing it: a restore leaves the one that is there."""
    return kind == "agents" and path.rpartition("/")[2] == _CLIENTS


def listed(root: EnvironmentRoot, kind: str) -> Listed:
    """Return what lies in the folder of a kind, the inbox and passing things aside."""
    folder, found = root.folder(kind), Listed({}, [], {})
    filled: set[str] = set()
    with suppress(FileNotFoundError):
        for path, status in folder.tree():
            parent, _, name = path.rpartition("/")
            filled.add(parent)
            if stat.S_ISDIR(status.st_mode):
                found.empty.append(path)
            elif is_temporary(name) or _PASSING.match(path) or is_inbox(kind, path):
                continue
            elif why := _unfit(path, status):
                found.left_out[path] = why
            else:
                found.files[path] = status
    empty = [path for path in found.empty if path not in filled and not _PASSING.match(path)]
    return found._replace(empty=empty)


def _unfit(path: str, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "it is a link" if stat.S_ISLNK(status.st_mode) else "it is no file"
    if status.st_nlink > 1:
        return "its bytes have a second name"
    try:
        names.split(path)
    except UnsafePathError as error:
        return error.message
    return ""


def read(root: EnvironmentRoot, put: Callable[[bytes], str], *, whole_ledger: bool = True) -> Data:
    """Read all data of an environment; `put` keeps a piece and returns its name.

    Raises `BusyError` for a file that did not hold still, and `IntegrityError` for a ledger that is no chain, unless
    `whole_ledger` is False; then that is noted.
    """
    data = Data([], [], [], 0, chain.Head(), "")
    for kind in KINDS:
        found = _read_patiently(root, kind, put, whole_ledger=whole_ledger)
        data.files.extend(found.files)
        data.folders.extend(found.folders)
        data.left_out.extend(found.left_out)
        data = data._replace(damaged_lines=data.damaged_lines + found.damaged_lines)
        if kind == "metrics":
            data = data._replace(ledger=found.ledger, ledger_fault=found.ledger_fault)
    return data


def _read_patiently(root: EnvironmentRoot, kind: str, put: Callable[[bytes], str], *, whole_ledger: bool) -> Data:
    place, broken = "", ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S * 2**attempt)
        try:
            found = _read_kind(root, kind, put)
        except _MovedError as moved:
            place = moved.place
            continue
        if not found.ledger_fault:
            return found
        if broken == found.ledger_fault:  # no rotation while it was read: it is so
            if not whole_ledger:
                return found
            raise IntegrityError(
                f"the ledger is no chain at {root.folder(kind).path / broken}, so no backup of it would verify",
                hint=f"agent-studio cost verify --env {root.environment}",
            )
        place = broken = found.ledger_fault
    raise BusyError(
        f"{root.folder(kind).path / place} changed each time it was read",
        hint="end what writes to it, and run the command again",
    )


def _read_kind(root: EnvironmentRoot, kind: str, put: Callable[[bytes], str]) -> Data:
    folder, before, lines = root.folder(kind), listed(root, kind), Lines()
    files = [
        _read_file(folder, kind, path, put, lines)
        for path in sorted(before.files, key=lambda path: (order(path) or 0, path))
    ]
    after = listed(root, kind).files
    known = {status.st_ino for status in before.files.values()}
    for path in before.files:
        if path not in after:
            raise _MovedError(path)
    for path, status in after.items():
        if path not in before.files and status.st_ino in known:  # one that was read got another name
            raise _MovedError(path)
    left_out = [f"{folder.path / path}: {why}" for path, why in before.left_out.items()]
    empty = [(kind, path) for path in before.empty]
    return Data(files, empty, left_out, lines.damaged, lines.head, lines.broken)


def _read_file(folder: Folder, kind: str, path: str, put: Callable[[bytes], str], lines: Lines) -> Item:
    try:
        descriptor = folder.open(path)
    except FileNotFoundError:
        raise _MovedError(path) from None
    grows, whole, pieces = has_lines(path), hashlib.sha256(), list[str]()
    try:
        with disk_faults(folder.path / path):
            before = os.fstat(descriptor)
            size = _whole_lines(descriptor, before.st_size) if grows else before.st_size

            def taken() -> Iterator[bytes]:
                for piece in _pieces(descriptor, size, path):
                    whole.update(piece)
                    pieces.append(put(piece))
                    yield piece

            if grows:
                lines.follow(path, taken(), ledger=is_ledger(kind, path))
            else:
                for _ in taken():
                    pass
            after, named = os.fstat(descriptor), folder.status(path)
    finally:
        os.close(descriptor)
    if grows:
        moved = named is None or not os.path.samestat(named, after) or after.st_size < size
    else:  # one that was replaced meanwhile was read whole as it was before
        moved = (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns)
    if moved:
        raise _MovedError(path)
    return Item(kind, path, stat.S_IMODE(before.st_mode), size, whole.hexdigest(), pieces)


def _pieces(descriptor: int, size: int, path: str) -> Iterator[bytes]:
    """Yield a file's first bytes, in pieces of one length."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = size
    while left:
        parts, wanted = list[bytes](), min(left, PIECE_BYTES)
        while wanted:
            part = os.read(descriptor, wanted)
            if not part:
                raise _MovedError(path)
            parts.append(part)
            wanted -= len(part)
        piece = b"".join(parts)
        left -= len(piece)
        yield piece


def _whole_lines(descriptor: int, size: int) -> int:
    """Return how many of the first bytes are whole lines; a last one that only lacks its break is whole."""
    at, tail = size, b""
    while at and b"\n" not in tail:
        step = min(at, max(_BLOCK_BYTES, len(tail)))  # twice as much each time
        at -= step
        os.lseek(descriptor, at, os.SEEK_SET)
        tail = os.read(descriptor, step) + tail
    torn = tail.rpartition(b"\n")[2]
    return size if not torn or is_object(torn) else size - len(torn)


def hash_of(folder: Folder, path: str) -> str:
    """Return the SHA-256 of a file; raise `FileNotFoundError` when there is none."""
    descriptor, whole = folder.open(path), hashlib.sha256()
    try:
        with disk_faults(folder.path / path):
            while chunk := os.read(descriptor, PIECE_BYTES):
                whole.update(chunk)
    finally:
        os.close(descriptor)
    return whole.hexdigest()
