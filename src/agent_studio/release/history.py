"""The history of a production: what was promoted, returned to and found healthy, each line bound to all before it.

`.agent-studio/releases/history.jsonl` is a chained journal (`storage.chain`). Nothing in it is ever rewritten; what is
live now follows from its lines alone.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import STATE
from agent_studio.errors import IntegrityError
from agent_studio.storage import chain
from agent_studio.storage.descriptors import locked, read_chunks, write_all
from agent_studio.storage.folder import Folder, disk_faults
from agent_studio.storage.journal import ends_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import Project

FOLDER = f"{STATE}/releases"
FILE = "history.jsonl"
PROMOTE, ROLLBACK, ADOPT, HEALTH, KEPT = "promote", "rollback", "adopt", "health", "kept"
"""Steps: three that make a release live, what is found of one afterwards, and bytes that a switch found in its way."""
_SWITCHES = frozenset({PROMOTE, ROLLBACK, ADOPT})


class Release(NamedTuple):
    """What was live, or is."""

    release: str
    """The hash of its manifest."""
    candidate: str
    """The hash that was signed; another where feature flags were carried over."""
    id: str
    """Of the switch that made it live."""
    step: str
    time: str
    healthy: bool | None
    """Whether it proved itself in production; None while that is not known."""
    record: Mapping[str, Any]
    """All that was noted."""


class History(NamedTuple):
    """The lines of a history, read once."""

    records: list[dict[str, Any]]
    head: chain.Head

    @property
    def releases(self) -> list[Release]:
        """Every release that went live, oldest first."""
        health = {one["id"]: bool(one["healthy"]) for one in self.records if one["step"] == HEALTH}
        return [
            Release(one["release"], one["candidate"], one["id"], one["step"], one["time"], health.get(one["id"]), one)
            for one in self.records
            if one["step"] in _SWITCHES
        ]

    @property
    def current(self) -> Release | None:
        """What is live, or None before the first release."""
        return next(reversed(self.releases), None)

    @property
    def last_healthy(self) -> Release | None:
        """The newest release before the current one's bytes that was live and healthy: where a rollback goes."""
        current = self.current
        return next(
            (one for one in reversed(self.releases) if one.healthy and current and one.release != current.release), None
        )

    def of(self, switch_id: str) -> Release | None:
        """Return the release that a switch made live."""
        return next((one for one in self.releases if one.id == switch_id), None)


def read(project: Project) -> History:
    """Return the history, empty before the first release; raise `IntegrityError` for a line that does not follow.

    A torn last line, of a writer that was killed, was never acknowledged and is passed over.
    """
    folder = Folder(project.path, FOLDER)
    try:
        descriptor = folder.open(FILE)
    except FileNotFoundError:
        return History([], chain.Head())
    try:
        with disk_faults(folder.path / FILE):
            whole, _, _ = b"".join(read_chunks(descriptor)).rpartition(b"\n")
    finally:
        os.close(descriptor)
    return _checked(folder, whole.split(b"\n") if whole else [])


def _checked(folder: Folder, lines: list[bytes]) -> History:
    records, head = [], chain.Head()
    for number, line in enumerate(lines, start=1):
        follows = chain.after(head, line)
        if follows is None:
            raise IntegrityError(
                f"{folder.path / FILE}:{number} does not follow from the line before it: one was changed, or is gone",
                hint="restore the file from a copy; agent-studio release verify says when it is whole",
            )
        head = follows
        records.append(json.loads(line))
    return History(records, head)


def append(project: Project, record: Mapping[str, Any]) -> None:
    """Add a line durably; one whose `step` and `id` are there already is not added again."""
    folder = Folder(project.path, FOLDER)
    folder.make()
    descriptor = folder.open(FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        with disk_faults(folder.path / FILE), locked(descriptor):
            held = read(project)
            if any((one["step"], one["id"]) == (record["step"], record["id"]) for one in held.records):
                return
            if not ends_whole(descriptor):
                _cut_torn(descriptor)
            line, _ = chain.seal(held.head, {"time": clock.timestamp(clock.now()), **record})
            write_all(descriptor, line)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder.sync()


def _cut_torn(descriptor: int) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    whole = b"".join(read_chunks(descriptor)).rfind(b"\n") + 1
    os.ftruncate(descriptor, whole)
