"""Ledgers that a reset or a rollback moved aside whole: what the present one has left behind may be kept in one."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

from agent_studio.cost import segments
from agent_studio.records import LlmUsage
from agent_studio.storage import chain
from agent_studio.storage.sealed import ARCHIVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder


def holding(roots: Iterable[EnvironmentRoot], seq: int, digest: str) -> str:
    """Return the folder whose ledger has this very record; empty for none. It is asked of what is missing only."""
    for root in roots:
        if not root.state.has_folder(ARCHIVE):
            continue
        for name in sorted(root.state.names(ARCHIVE), reverse=True):
            folder = root.state.at(f"{ARCHIVE}/{name}/{LlmUsage.kind}")
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
