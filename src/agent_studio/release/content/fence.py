"""When definitions last changed: what happened later happened with the bytes that are there now."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.release.content.tree import Tree
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import Project

_TICK = timedelta(milliseconds=10)
"""How far behind the clock a file system may note a change: it reads the kernel's last tick."""
_EPOCH = datetime.fromtimestamp(0, UTC)


def changed_at(project: Project) -> datetime:
    """Return when a definition of the working checkout last changed, rounded up; 1970 when there is none.

    The folder `.claude` itself is left out, for data and local settings come and go in it: a file or folder directly
    in it that is removed leaves no mark. Raises `StorageError` for a folder that cannot be read.
    """
    return _newest(Tree(project.definitions.resolve(), project.path).everything())


def written_at(project: Project) -> datetime:
    """Return when a definition that is there now was last written or moved to where it is, as `changed_at` does.

    What is no definition, and names that came and went in a folder, move nothing: nor does a definition that was added
    and removed again.
    """
    return _newest(Tree(project.definitions.resolve(), project.path).everything(folders=False))


def _newest(places: Iterable[str]) -> datetime:
    newest_ns = 0
    for place in places:
        try:
            with disk_faults(place):
                status = os.lstat(place)
        except FileNotFoundError:
            return clock.now() + _TICK  # it went while we looked
        newest_ns = max(newest_ns, status.st_ctime_ns, status.st_mtime_ns)
    return _EPOCH + timedelta(microseconds=newest_ns // 1_000 + 1) + _TICK if newest_ns else _EPOCH
