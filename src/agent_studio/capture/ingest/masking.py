"""Takes secrets out of `unrouted.jsonl`, into which the recorder writes payloads as they come.

In place and of the same length: whoever appends meanwhile is not disturbed, and sizes that are remembered stay right.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_studio.capture.recorder.routes import UNROUTED
from agent_studio.environment.roots import STATE
from agent_studio.redaction import spans
from agent_studio.storage.folder import Folder, disk_faults

if TYPE_CHECKING:
    from agent_studio.capture.ingest.state import State
    from agent_studio.environment.roots import Project

_NOTE = "unroutedMasked"
_PIECE_BYTES = 4 << 20
_OVERLAP_BYTES = 64 << 10
_LABEL = b"[REDACTED]"


def mask(project: Project, state: State) -> None:
    """Go on from where the last run ended; a line that is not whole yet is looked at again by the next."""
    folder = Folder(project.path, STATE)
    try:
        descriptor = folder.open(UNROUTED, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        with disk_faults(folder.path / UNROUTED):
            size = os.fstat(descriptor).st_size
            done = state.note(_NOTE) or 0
            at = done if done <= size else 0
            while at < size:
                at = _piece(descriptor, at, size)
            state.put_note(_NOTE, _last_line(descriptor, size))
    finally:
        os.close(descriptor)


def _piece(descriptor: int, at: int, size: int) -> int:
    """Mask what begins in one piece of the file; return where the next one begins."""
    os.lseek(descriptor, at, os.SEEK_SET)
    data = os.read(descriptor, _PIECE_BYTES)
    is_last = at + len(data) >= size
    limit = len(data) if is_last else data.rfind(b"\n", 0, -_OVERLAP_BYTES) + 1 or max(len(data) - _OVERLAP_BYTES, 1)
    for start, end, _ in spans(data.decode("latin-1")):  # a character a byte
        if start < limit:
            os.lseek(descriptor, at + start, os.SEEK_SET)
            os.write(descriptor, _LABEL.ljust(end - start, b"*")[: end - start])
    return at + limit if data else size


def _last_line(descriptor: int, size: int) -> int:
    """Return where the last line begins, as far as it is near the end."""
    start = max(0, size - _OVERLAP_BYTES)
    os.lseek(descriptor, start, os.SEEK_SET)
    return start + os.read(descriptor, size - start).rfind(b"\n") + 1
