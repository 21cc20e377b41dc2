"""Ledgers that a reset, a rollback or a restore put aside: what the present one has left behind may be kept in one.

The folder's name says when. Whoever saw a record later than that misses it all the same.
"""

from __future__ import annotations

import mmap
import os
import re
from typing import TYPE_CHECKING

from agent_studio.cost import segments
from agent_studio.environment.detect import Environment
from agent_studio.records import LlmUsage
from agent_studio.storage import chain
from agent_studio.storage.sealed import ARCHIVE

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project
    from agent_studio.storage.folder import Folder


_STAMP = re.compile(r"\d{8}T\d{6}\.\d{3}Z")
"""In a folder's name, as `clock.file_stamp` writes it."""


def holding(project: Project, seq: int, digest: str, seen: str = "") -> str:
    """Return the folder whose ledger has this very record; empty for none. It is asked of what is missing only.

    `seen` is when it was in the ledger yet, RFC 3339; what was put aside before is passed over.
    """
    least = seen.replace("-", "").replace(":", "")
    for state in map(project.state, Environment):
        if not state.has_folder(ARCHIVE):
            continue
        for name in sorted(state.names(ARCHIVE), reverse=True):
            stamp = _STAMP.search(name)
            if stamp is None or stamp[0] < least:
                continue
            folder = state.at(f"{ARCHIVE}/{name}/{LlmUsage.kind}")
            if folder.has_folder() and _has(folder, seq, digest):
                return str(folder.path)
    return ""


def _has(folder: Folder, seq: int, digest: str) -> bool:
    mark = f'"_hash":"{digest}"}}\n'.encode()
    for name in filter(segments.is_one, folder.names()):
        with os.fdopen(folder.open(name), "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                continue
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:  # it may hold years
                found = data.find(mark)
                line = data[data.rfind(b"\n", 0, found) + 1 : found + len(mark) - 1] if found >= 0 else b""
        link = chain.read_link(line)
        if link is not None and link.sound and (link.seq, link.hash) == (seq, digest):
            return True
    return False
