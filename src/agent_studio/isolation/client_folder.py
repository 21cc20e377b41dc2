"""The client's own folder: what it needs there, and what it would obey later, is there before a run begins.

What is missing cannot be made read-only, and a kernel that knows only allow-lists lets nothing be created beside what
is read-only. So empty definitions are made once, and for a client the folders that it writes to.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.roots import Project
from agent_studio.isolation import places
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDERS = ("agents", "skills", "commands", "hooks", "rules", "output-styles")
_FILES: Mapping[str, bytes] = {"settings.json": b"{}\n", "CLAUDE.md": b"\n"}
_STATE = ".claude.json"
_WRITTEN = (
    "backups", "cache", "debug", "downloads", "file-history", "ide", "paste-cache", "plans", "plugins", "projects",
    "session-env", "sessions", "shell-snapshots", "statsig", "tasks", "teams", "telemetry", "todos", "usage-data",
)  # fmt: skip
"""Folders that the client has been seen to write to."""


def prepare(variables: Mapping[str, str], *, is_client: bool) -> tuple[str, ...]:
    """Make what is missing of the folders that are there, or of the client's when it is to run; return the paths made.

    Raises `StorageError` when the disk refuses.
    """
    made: list[str] = []
    for home in places.homes(variables)[:1]:
        named = places.client_folder(variables, home)
        if is_client:  # an older client ends when it can neither read nor make it
            beside = named if variables.get("CLAUDE_CONFIG_DIR") else home
            made += _created(Path(os.path.realpath(beside)), _STATE, b"{}\n")
        for folder in {named, Project(home).definitions}:
            if folder.is_dir() or (is_client and folder == named):
                made += _fill(Path(os.path.realpath(folder)), is_client=is_client)
    return tuple(sorted(made))


def _fill(place: Path, *, is_client: bool) -> list[str]:
    folder = Folder(place.parent, place.name)
    folder.make()
    made = [name for name in (*_FOLDERS, *(_WRITTEN if is_client else ())) if not _is_there(place, name)]
    for name in made:
        folder.make(name)
    found = [str(place / name) for name in made]
    for name, data in _FILES.items():
        found += _created(place, name, data)
    return found


def _created(place: Path, name: str, data: bytes) -> list[str]:
    folder = Folder(place.parent, place.name)
    folder.make()
    return [] if _is_there(place, name) or not folder.create(name, data) else [str(place / name)]


def _is_there(place: Path, name: str) -> bool:
    return os.path.lexists(place / name)
