"""Who may read an environment's data: its owner alone."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_studio.storage.folder import Folder

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_to_others(folder: Folder) -> list[str]:
    """Return what other users have any right to, below a folder and the folder itself (""); links have none."""
    status = folder.status("")
    if status is None or os.name == "nt":  # Windows keeps rights in access lists
        return []
    entries = [("", status), *((name, inner) for name, inner in folder.tree())]
    return [name for name, inner in entries if inner.st_mode & _OTHERS and not stat.S_ISLNK(inner.st_mode)]


def make_private(folder: Folder) -> None:
    """Take every right to a folder and what is in it from group and others."""
    for name in open_to_others(folder):
        folder.make_private(name)
