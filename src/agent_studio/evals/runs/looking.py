"""Looks at the untouched starts of tasks: what their checks say before anything is done.

Nothing is copied for checks that only read starting files; for those that run a program one copy does until it changes.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.evals.attempts import start
from agent_studio.evals.checks import running
from agent_studio.evals.runs.header import NONE
from agent_studio.release.content.manifest import PROJECT_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent_studio.evals.attempts.room import Room, Rooms
    from agent_studio.evals.tasks.task import Task

_NAME, _BARE = "untouched", "bare"


def look(
    tasks: Sequence[Task], rooms: Rooms, snapshots: Mapping[str, Path], definitions: str, *, once: bool = False
) -> list[running.Untouched]:
    """Run the checks of tasks on their untouched starts; `once` where no attempts follow."""
    copies = _Copies(rooms, definitions, once=once)
    found = []
    try:
        for task in sorted(tasks, key=lambda one: (str(snapshots.get(one.id)), one.start.share, running.runs(one))):
            snapshot = snapshots.get(task.id)
            if snapshot is not None and _reads_only(task):
                found.append(running.untouched(task, rooms.bare(_BARE, snapshot), {}))
            else:
                room, before = copies.of(task, snapshot)
                found.append(running.untouched(task, room, before))
    finally:
        copies.remove()
    order = [task.id for task in tasks]
    return sorted(found, key=lambda one: order.index(one.task))


def _reads_only(task: Task) -> bool:
    """Tell whether checks look at nothing but starting files: no program, nothing shared, no definitions."""
    text = json.dumps([check.value for check in task.checks], default=str).casefold()
    named = any(name.casefold() in text for name in (DEFINITIONS, PROJECT_FILE))
    return not (running.runs(task) or task.start.share or named)


class _Copies:
    """The one copy that there is at a time."""

    def __init__(self, rooms: Rooms, definitions: str, *, once: bool) -> None:
        self._rooms, self._once = rooms, once
        self._definitions = None if definitions == NONE else definitions
        self._room: Room | None = None
        self._before: dict[str, str] = {}
        self._of: tuple[Path | None, Sequence[str]] | None = None
        self._stamps: dict[str, tuple[int, ...]] = {}
        self._ran = False

    def of(self, task: Task, snapshot: Path | None) -> tuple[Room, Mapping[str, str]]:
        """Return an untouched copy of a task's start, and every file of it as it is."""
        begins = (snapshot, task.start.share)
        is_fit = self._room is not None and begins == self._of
        if is_fit and self._ran and self._room is not None:
            is_fit = _stamps(self._room.path) == self._stamps
        if not is_fit or self._room is None:
            self.remove()
            self._room = self._rooms.make(_NAME, task, snapshot, self._definitions, once=self._once)
            self._before, self._of = start.states(self._room.copy), begins
            self._stamps = _stamps(self._room.path)
        self._ran = running.runs(task)
        return self._room, self._before

    def remove(self) -> None:
        """Remove it."""
        if self._room is not None:
            self._room.remove()
            self._room = None


def _stamps(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what changes with a file, or with what is in a folder, of all that a program could write to."""
    found: dict[str, tuple[int, ...]] = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            one = os.lstat(os.path.join(place, name))  # noqa: PTH118 - of thousands
            found[f"{place}/{name}"] = (one.st_mode, one.st_size, one.st_mtime_ns, one.st_ctime_ns)
    return found
