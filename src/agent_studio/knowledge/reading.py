"""The text of an artifact, read where the index says it is and nowhere else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agent_studio.errors import StorageError, UnsafePathError
from agent_studio.knowledge import freshness, places

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.answers import Entry

MAX_BYTES = 4 << 20
FAULTS = (StorageError, UnsafePathError)
"""What reading a text may raise."""


def text(project: Project, entry: Entry) -> str:
    """Return an artifact's whole text, its line ends made alike, bytes that are no UTF-8 replaced.

    Raises `StorageError` when it is gone or cannot be read, `UnsafePathError` when it has become a way out.
    """
    place = freshness.located(project, entry.path)
    real = os.path.realpath(place)
    is_users = not place.startswith(f"{project.path}{os.sep}")
    if not places.is_within(real, places.roots(project, user=is_users)):
        raise UnsafePathError(f"{entry.path} leads out of {project.path}", hint="agent-studio kb build forgets it")
    try:
        descriptor = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StorageError(f"{entry.path} is not a file", hint="agent-studio kb build forgets it")
            data = file.read(MAX_BYTES)
    except OSError as error:
        raise StorageError(
            f"{entry.path} cannot be read: {error.strerror}", hint="search again: the index will have noticed"
        ) from error
    return data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
