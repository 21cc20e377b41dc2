"""The columns made of closed files, `lake/<kind>/<day>.<number>.parquet`, and whether they are still what was made.

They are derived: what is missing, or is no longer what was written and read back, is made anew from the lines.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.errors import StorageError
from agent_studio.monitor.packing import content, drop
from agent_studio.storage import temporaries
from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.sealed import LAKE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.segments import Segment
    from agent_studio.storage.folder import Folder

_SUMS = "sums.json"
_CHECK_EVERY = timedelta(days=1)


class Columns:
    """The columns of one journal, in its owner's state folder."""

    def __init__(self, owner: EnvironmentRoot, kind: str) -> None:
        self._owner, self._kind = owner, kind
        self._place = f"{LAKE}/{kind}"
        self._folder = owner.state.at(self._place)
        self._sums, self._checked = self._read()

    def is_made(self, segment: Segment) -> bool:
        """Tell whether a segment has columns that were whole when they were last looked at."""
        return _name(segment) in self._sums and self._folder.status(_name(segment)) is not None

    def make(self, folder: Folder, segment: Segment) -> None:
        """Make a segment's columns; raise `StorageError` when they do not hold a row for every line."""
        from agent_studio.monitor import lake  # noqa: PLC0415 - the engine behind it takes 100 ms to load

        self._owner.state.make(self._place)
        temporary = temporaries.name_for(_name(segment))
        place = self._owner.state.resolve(self._place) / temporary
        try:
            written = lake.copy(folder.resolve(segment.name), segment.kind, place)
            self._folder.make_private(temporary)
            read = lake.rows_in(place, segment.kind)
            lines = content(folder, segment.name, is_gzip=segment.is_gzip).lines
            if not written == read == lines:
                raise StorageError(
                    f"{folder.path / segment.name} has {lines} lines; {written} were written as columns and {read} "
                    "read again",
                    hint="its lines are read instead",
                )
            self._sums[_name(segment)] = _sum(self._folder, temporary, durable=True)
            self._folder.move(temporary, self._folder, _name(segment))
        finally:
            drop(self._folder, temporary)
        self._write()

    def check(self, moment: datetime) -> None:
        """Take columns that are no longer what was made for missing; all bytes are looked at once a day."""
        if not timedelta(0) <= moment - self._checked < _CHECK_EVERY:
            self._sums = {name: known for name, known in self._sums.items() if self._is_whole(name, known)}
            self._checked = moment
            if self._sums:
                self._write()

    def keep_only(self, segments: Iterable[Segment]) -> None:
        """Remove columns of files that are not at hand any more, and what a killed run left."""
        if not self._folder.has_folder():
            return
        self._folder.sweep()
        known = set(map(_name, segments))
        for name in self._folder.names():
            if name.endswith(".parquet") and name not in known:
                self._folder.remove(name)
        if self._sums.keys() - known:
            self._sums = {name: one for name, one in self._sums.items() if name in known}
            self._write()

    def _is_whole(self, name: str, known: str) -> bool:
        try:
            return _sum(self._folder, name) == known
        except FileNotFoundError:
            return False

    def _read(self) -> tuple[dict[str, str], datetime]:
        """Return the hash of each file by its name, and when they were last compared."""
        try:
            found: dict[str, Any] = json.loads(self._folder.read(_SUMS))
            return {str(name): str(one) for name, one in found["files"].items()}, _moment(found["checkedAt"])
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}, clock.now()

    def _write(self) -> None:
        data = {"checkedAt": clock.timestamp(self._checked), "files": self._sums}
        self._folder.replace(_SUMS, json.dumps(data, indent=1).encode() + b"\n")


def _name(segment: Segment) -> str:
    return segment.parquet.rpartition("/")[2]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _sum(folder: Folder, name: str, *, durable: bool = False) -> str:
    """Return the SHA-256 of a file's bytes; `durable` has the disk hold them first."""
    descriptor = folder.open(name, os.O_RDWR if durable else os.O_RDONLY)
    try:
        with disk_faults(folder.path / name):
            if durable:
                os.fsync(descriptor)
            digest = hashlib.sha256()
            for chunk in read_chunks(descriptor):
                digest.update(chunk)
            return digest.hexdigest()
    finally:
        os.close(descriptor)
