"""Files that a user names for what a command has found: never over definitions, data, or what is none of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STATE
from agent_studio.errors import AgentStudioError, StorageError, UnsafePathError, UsageError
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.cli.dispatch import Session

_GUARDED = {
    DEFINITIONS: "is among definitions and data", STATE: "is among what agent-studio keeps",
    ".git": "is among what git keeps",
}  # fmt: skip
_NOTES = frozenset(("claude.md", "claude.local.md", "agents.md", ".mcp.json"))
"""Names that clients read wherever they lie, in small letters."""
JUNIT = b"<?xml version='1.0' encoding='utf-8'?>\n<testsuite "
GATE, CHECKLIST, PLAN, EVALS = b"### Gate: ", b"# Checklist: ", b"# Deployment and rollback plan", b"### Evals: "
PARTY = b"# Party p-"
"""How our documents begin, but for those in JSON; only one of the same kind is replaced."""


def definitions_of(session: Session) -> list[Path]:
    """Return the folders of definitions of the project and of its production, as far as those are known."""
    from agent_studio.release.production.sides import open_sides  # noqa: PLC0415 - only where a file is written

    own = session.project.definitions
    try:
        return [own, open_sides(session.project, session.variables, looking=True).target.tree.definitions]
    except AgentStudioError:
        return [own]


def write(name: str, data: bytes, definitions: Iterable[Path] = ()) -> Path:
    """Write a document into a file that a user named, in one step, and return where it is.

    `definitions` are folders of definitions that are known. Raises `UsageError` where nothing of ours is to be, and
    `StorageError` where nothing can be.
    """
    place = refuse(name, data, definitions)
    try:
        Folder(place.parent, shared=True).replace(place.name, data)
    except UnsafePathError as error:
        raise UsageError(f"{name} cannot be written: {error.message}", hint="name another file") from None
    except OSError as error:
        raise StorageError(f"cannot write {name}: {error.strerror}", hint="name a file in a folder") from None
    except StorageError as error:
        raise StorageError(f"cannot write {name}: {error.message}", hint=error.hint) from None
    return place


def refuse(name: str, data: bytes, definitions: Iterable[Path] = ()) -> Path:
    """Return where a document like `data` would be written; raise what `write` raises as far as it can be known."""
    place = refuse_guarded(name, definitions)
    if place.is_symlink():
        raise UsageError(f"{name} is a symbolic link", hint="name the file itself")
    if not place.parent.is_dir():
        raise StorageError(f"cannot write {name}: {place.parent} is no folder", hint="name a file in a folder")
    try:
        if place.exists() and not _replaces(place, data):
            raise UsageError(f"{name} is there, and is no document of this kind", hint="name another file")
    except OSError as error:
        raise StorageError(f"cannot write {name}: {error.strerror}", hint="name another file") from None
    return place


def refuse_guarded(name: str, definitions: Iterable[Path] = ()) -> Path:
    """Return where a name leads, but for a link at its end; raise `UsageError` for definitions, data and the like."""
    if not name.strip():
        raise UsageError("an empty name is no file's", hint="name the file to write")
    given = Path(os.path.abspath(Path(name).expanduser()))  # noqa: PTH100 - links stay
    place = Path(os.path.realpath(given.parent)) / given.name
    if not given.name or given.is_dir():
        raise StorageError(f"cannot write {name}: it is a folder", hint="name a file")
    for seen in (given, place, Path(os.path.realpath(given))):
        for part in map(str.casefold, seen.parts[:-1] if seen.name.casefold() != DEFINITIONS else seen.parts):
            if part in _GUARDED:
                raise UsageError(f"{name} {_GUARDED[part]}, in {part}/", hint="name a file outside")
        if seen.name.casefold() in _NOTES or any(_is_within(seen, one) for one in definitions):
            raise UsageError(f"{name} is among definitions: it would change them", hint="name a file outside")
    return place


def _is_within(place: Path, folder: Path) -> bool:
    return place.is_relative_to(Path(os.path.realpath(folder)))


def _replaces(place: Path, data: bytes) -> bool:
    """Tell whether what is there is empty, or a document of the same kind as the new one."""
    if not place.is_file():
        return False
    old = place.read_bytes()
    if not old:
        return True
    mark = next((one for one in (JUNIT, GATE, CHECKLIST, PLAN, EVALS, PARTY) if data.startswith(one)), None)
    if mark is not None:
        return old.startswith(mark)
    before, after = _keys(old), _keys(data)
    return bool(before and after) and (before <= after or after <= before)


def _keys(data: bytes) -> frozenset[str]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(value) if isinstance(value, dict) else frozenset()
