"""What a command changed in a copy of the project, and its way back into the project.

A change is applied only where the original is as it was when the copy was made, and never to what a run may not write
in the project itself. Each file is replaced in one step.
"""

from __future__ import annotations

import difflib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STATE
from agent_studio.errors import AgentStudioError, UnsafePathError
from agent_studio.isolation import places
from agent_studio.isolation.copies import DEVICE, opened, state_of, walked
from agent_studio.storage import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agent_studio.isolation.copies import Copy
    from agent_studio.storage.folder import Folder

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
_KEPT = (DEFINITIONS, STATE, ".git", ".gitmodules", "CLAUDE.md", "CLAUDE.local.md", *places.STARTED_IN_PROJECT)
"""At any depth: a client, an editor or a shell that is started in that folder would obey it."""
_SHOWN_BYTES = 1 << 20
"""A larger file is said to differ, and not compared by lines."""


class Change(NamedTuple):
    """One file that is other than it was."""

    path: str
    """Relative to the project, with `/`."""
    kind: str
    """`added`, `changed` or `removed`."""
    before: str
    after: str
    """As `copies.state_of` gives them."""
    refusal: str = ""
    """Why it cannot be applied."""


class ConflictError(AgentStudioError):
    """The originals have changed since the copy was made."""

    code = "conflict"


def find(copy: Copy) -> list[Change]:
    """Return what is other in a copy than when it was made."""
    found = []
    now = {path for path in walked(copy.path) if not _is_within(path, copy.shown)}
    alike, folders = _alike(now), {folder for path in copy.files for folder in _folders(path)}
    for path in sorted(now | copy.files.keys()):
        before = copy.files.get(path, "")
        after = state_of(copy.path / path) if path in now else ""
        if before != after:
            kind = ADDED if not before else REMOVED if not after else CHANGED
            refusal = _refusal(path, before, after)
            if not refusal and after and path in folders:
                refusal = "a folder was in its place"
            elif not refusal and after and path in alike:
                refusal = "another name differs from it only in case or Unicode form"
            found.append(Change(path, kind, before, after, refusal))
    return found


def _alike(paths: Iterable[str]) -> set[str]:
    """Return the paths that hold a name which differs from another only in case or Unicode form."""
    spelled: dict[str, set[str]] = {}
    for path in paths:
        for place in (path, *_folders(path)):
            spelled.setdefault(names.collision_key(place), set()).add(place)
    several = {place for places in spelled.values() if len(places) > 1 for place in places}
    return {path for path in paths if not several.isdisjoint((path, *_folders(path)))}


def _folders(path: str) -> list[str]:
    """Return the folders that a path leads through, relative as it is."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def diff(copy: Copy, change: Change, project: Path) -> Iterator[str]:
    """Yield the lines of a unified diff of one file; the old side is the original, if it is still what it was."""
    yield f"{change.kind} {change.path}{f' (not to be applied: {change.refusal})' if change.refusal else ''}"
    original = project / change.path
    if change.before and state_of(original) != change.before:
        yield "  the original has changed since the copy was made"
        return
    old, new = (
        _lines(place, there) for place, there in ((original, change.before), (copy.path / change.path, change.after))
    )
    if old is None or new is None:
        yield "  not text, or large"
        return
    yield from difflib.unified_diff(old, new, f"a/{change.path}", f"b/{change.path}", lineterm="")
    if change.before[:3] != change.after[:3] and change.before and change.after:
        yield f"mode {change.before[:3]} -> {change.after[:3]}"


def conflicts(changes: list[Change], project: Path) -> list[str]:
    """Return the paths whose originals are neither what they were nor what they are to be."""
    return [one.path for one in changes if state_of(project / one.path) not in {one.before, one.after}]


def apply(copy: Copy, changes: list[Change], project: Folder) -> list[str]:
    """Bring changes into the project; return the paths that are now as in the copy.

    Raises `ConflictError`, before anything is changed, when an original has changed. What a fault of the disk kept from
    being applied can be applied later.
    """
    wanted = [change for change in changes if not change.refusal]
    conflicting = conflicts(wanted, project.path)
    if conflicting:
        raise ConflictError(
            f"changed since the copy was made, so nothing was applied: {', '.join(conflicting)}",
            hint=f"compare with the copy in {copy.path}, or put the originals back",
        )
    done = []
    for change in wanted:
        if state_of(project.path / change.path) != change.after:
            _bring(copy, change, project)
        done.append(change.path)
    return done


def _bring(copy: Copy, change: Change, project: Folder) -> None:
    if change.kind == REMOVED:
        project.remove(change.path)
        return
    parent = change.path.rpartition("/")[0]
    if parent:
        project.make(parent)
    with opened(copy.path / change.path) as file:
        data = file.read()
    project.replace(change.path, data)
    if change.before[:3] != change.after[:3] and (change.before or change.after[:3] == "755"):
        descriptor = project.open(change.path)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            readers = (mode & 0o444) >> 2
            os.fchmod(descriptor, mode | readers if change.after[:3] == "755" else mode & ~0o111)
        finally:
            os.close(descriptor)


def _refusal(path: str, before: str, after: str) -> str:
    """Return why a change stays in the copy."""
    if any(state.startswith("link ") for state in (before, after)):
        return "it is a link"
    if {before, after} & {"folder", DEVICE}:
        return "it is no file"
    if _is_within(path, _KEPT, anywhere=True):
        return "a run may not change it"
    try:
        names.split(path)
    except UnsafePathError as error:
        return error.message.rpartition(": ")[2]
    return ""


def _is_within(path: str, folders: tuple[str, ...], *, anywhere: bool = False) -> bool:
    key = [names.collision_key(part) for part in path.split("/")]
    outer = [[names.collision_key(part) for part in folder.split("/")] for folder in folders]
    starts = range(len(key) if anywhere else 1)
    return any(key[start : start + len(folder)] == folder for folder in outer for start in starts)


def _lines(place: Path, there: str) -> list[str] | None:
    if not there:
        return []
    try:
        with opened(place) as file:
            data = file.read(_SHOWN_BYTES + 1)
        return None if len(data) > _SHOWN_BYTES else data.decode("utf-8").splitlines()
    except (OSError, ValueError):
        return None
