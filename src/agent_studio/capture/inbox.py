"""Appends to an environment's inbox what comes in another way than through the recorder, by the recorder's rules.

A line is `{"ts": ns, "pid": n, "kind": "...", "env": "...", "payload": ...}`, the payload last and byte for byte.
Writers wait a little for the file's lock; a line that a killed writer left without an end is ended first.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from agent_studio.capture.recorder import routes
from agent_studio.environment.roots import STATE
from agent_studio.errors import StorageError
from agent_studio.storage import journal
from agent_studio.storage.folder import Folder, disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot

KEPT_BYTES = 1_024
"""What is kept of a payload that is too long or no JSON."""
PAYLOAD_MAX_BYTES = 16 << 20
_REOPENED = 8
_LOCK_WAIT_S = 0.1
_PAUSE_S = 0.001
_SPACES = bytes.maketrans(b"\n\r", b"  ")
OPENING = Lock()
"""Held while this process has an inbox open: closing any descriptor of a file drops all its locks of a process."""


@dataclass(frozen=True)
class _Line:
    head: bytes
    payload: bytes
    whole: bool

    def encoded(self, *, whole: bool) -> bytes:
        """Return the line; not `whole`, only the payload's length and first bytes are kept."""
        if whole and self.whole:
            return b'%s,"payload":%s}\n' % (self.head, self.payload.translate(_SPACES))
        first = json.dumps(self.payload[:KEPT_BYTES].decode("utf-8", "replace"), ensure_ascii=False).encode()
        return b'%s,"bytes":%d,"payload":%s}\n' % (self.head, len(self.payload), first)


def append(root: EnvironmentRoot, kind: str, payloads: Iterable[bytes], *, ts: int | None = None) -> None:
    """Append each payload as one line that names the environment, all by one write; return when they are written.

    `ts` is in ns. An empty payload is `null`; one that is no JSON or over 16 MiB is kept as a string of its first
    1,024 bytes, as is one that would take the inbox over its limit. Raises `StorageError`, then nothing is written.
    """
    head = b'{"ts":%d,"pid":%d,"kind":%s,"env":"%s"' % (
        time.time_ns() if ts is None else ts, os.getpid(), json.dumps(kind).encode(), root.environment.encode(),
    )  # fmt: skip
    lines = [_line(head, payload) for payload in payloads]
    if not lines:
        return
    folder = root.folder("metrics")
    limit = _limit_bytes(root)
    with OPENING, disk_faults(folder.path / routes.INBOX):
        descriptor, locked = _open(root, folder)
        try:
            _write(descriptor, lines, limit, folder, locked=locked)
        finally:
            os.close(descriptor)


def _line(head: bytes, payload: bytes) -> _Line:
    if not payload.strip(b" \t\r\n"):
        return _Line(head, b"null", whole=True)
    return _Line(head, payload, whole=len(payload) <= PAYLOAD_MAX_BYTES and _is_json(payload))


def _is_json(payload: bytes) -> bool:
    try:
        json.loads(payload.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _write(descriptor: int, lines: list[_Line], limit: int | None, folder: Folder, *, locked: bool) -> None:
    size = os.fstat(descriptor).st_size
    torn = not locked or not journal.ends_whole(descriptor)  # unlocked: an empty line too many is read as nothing
    parts = [b"\n"] if torn else []
    total = len(parts)
    for line in lines:
        encoded = line.encoded(whole=True)
        if limit is not None and size + total + len(encoded) > limit:
            encoded = line.encoded(whole=False)
        parts.append(encoded)
        total += len(encoded)
    written = os.write(descriptor, b"".join(parts))
    if written < total:
        # Unlocked, another writer may be about to append: what stays is a torn line, which the next one ends.
        if locked and os.fstat(descriptor).st_size == size + written:
            os.ftruncate(descriptor, size)
        raise StorageError(
            f"{folder.path / routes.INBOX}: only part of what came in could be written",
            hint="free space on the disk, then send it again",
        )


def _open(root: EnvironmentRoot, folder: Folder) -> tuple[int, bool]:
    """Open the inbox under its name, also when it is sealed at this moment; return whether it could be locked."""
    for _ in range(_REOPENED):
        try:
            descriptor = folder.open(routes.INBOX, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        except FileNotFoundError:
            raise StorageError(
                f"{folder.path} is missing: there is no inbox to record to",
                hint=f"agent-studio init --env {root.environment}",
            ) from None
        try:
            locked = _lock(descriptor)
            named = folder.status(routes.INBOX)
            if named is not None and os.path.samestat(named, os.fstat(descriptor)):
                return descriptor, locked
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise StorageError(f"{folder.path / routes.INBOX} was moved away again and again", hint="run the command again")


def _lock(descriptor: int) -> bool:
    """Wait a little for the lock that the recorder takes; closing the file releases it."""
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        return False
    until = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= until:
                return False
        except OSError:
            return False
        else:
            return True
        time.sleep(_PAUSE_S)


def wait_for_writers(descriptor: int) -> None:
    """Return when no writer is in the middle of a line: its lock is taken, for 5 s at most, and let go again."""
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    for _ in range(50):
        if _lock(descriptor):
            fcntl.lockf(descriptor, fcntl.LOCK_UN)
            return


def _limit_bytes(root: EnvironmentRoot) -> int | None:
    """Return the size over which only the start of a payload is kept, as the recorder's routes have it."""
    try:
        table = Folder(root.project.path, STATE).read(routes.FILE)
    except FileNotFoundError:
        return None
    for line in table.split(b"\n"):
        name, _, rest = line.partition(b"\t")
        digits = rest.partition(b"\t")[2]
        if name == root.environment.encode():
            return int(digits) if digits.isdigit() else None
    return None
