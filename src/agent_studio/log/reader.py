"""Reading our own log across the files put aside, oldest entry first, and going on with what is added."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.log import FILE, LEVELS, put_aside
from agent_studio.storage.descriptors import read_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder

Entry = dict[str, Any]


class Wanted(NamedTuple):
    """Which entries are meant."""

    level: str = "debug"
    """The least serious one; an entry of a level that is not known is always meant."""
    since: str = ""
    """The earliest time, as `clock.timestamp` writes it."""

    def takes(self, entry: Entry) -> bool:
        """Tell whether an entry is meant."""
        if str(entry.get("timestamp", "")) < self.since:
            return False
        level = entry.get("level")
        return level not in LEVELS or LEVELS.index(level) >= LEVELS.index(self.level)


class _File(NamedTuple):
    identity: tuple[int, int]
    data: bytes
    """Whole lines only."""
    end: int
    """Where the last whole line ends."""


class Log:
    """One environment's log; remembers how far it was read."""

    def __init__(self, folder: Folder, wanted: Wanted) -> None:
        self._folder = folder
        self._wanted = wanted
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self.damaged_lines = 0
        """Lines read so far that are no entries."""

    def last(self, count: int | None = None) -> list[Entry]:
        """Return the last entries, or all; what comes after them is `more`'s."""
        found: list[Entry] = []
        for file in self._newest_first():
            if self._identity is None:
                self._identity, self._offset = file.identity, file.end
            if count is not None and len(found) >= count:
                break
            for line in reversed(file.data.split(b"\n")):
                if count is not None and len(found) >= count:
                    break
                found += self._entries(line)
        return found[::-1]

    def more(self) -> list[Entry]:
        """Return what was added since; a file that was put aside meanwhile is read to its end first."""
        found: list[Entry] = []
        names = self._files_to_go_on_in()
        offset = self._offset
        for name in names:
            file = self._read(name, offset)
            if file is None or (offset and file.identity != self._identity):
                break  # put aside at this moment: the next look finds it under its new name
            for line in file.data.split(b"\n"):
                found += self._entries(line)
            self._identity, self._offset, offset = file.identity, file.end, 0
        return found

    def _newest_first(self) -> Iterator[_File]:
        live = self._read(FILE)
        if live is not None:
            yield live
        for name in reversed(self._aside()):
            file = self._read(name)
            if file is not None and (live is None or file.identity != live.identity):  # put aside since
                yield file

    def _files_to_go_on_in(self) -> list[str]:
        """Return what may hold news, oldest first, and set where to go on in the first."""
        if self._is_mine(FILE):
            return [FILE]
        names = [*self._aside(), FILE]  # looked at after it: what was just put aside is among them
        if self._identity is None:
            return names
        for at, name in enumerate(names):
            if self._is_mine(name):
                return names[at:]
        self._offset = 0  # what was read is gone, and what it had left aside was read as well
        return [FILE]

    def _is_mine(self, name: str) -> bool:
        """Tell whether this is the file that was read last, and has not been emptied since."""
        status = self._folder.status(name)
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            return False
        return status.st_size >= self._offset

    def _aside(self) -> list[str]:
        try:
            return [name for _, name in put_aside(self._folder)]
        except FileNotFoundError:
            return []

    def _read(self, name: str, offset: int = 0) -> _File | None:
        try:
            descriptor = self._folder.open(name)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(descriptor)
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = b"".join(read_chunks(descriptor))
        finally:
            os.close(descriptor)
        whole = data[: data.rfind(b"\n") + 1]
        return _File((status.st_dev, status.st_ino), whole, offset + len(whole))

    def _entries(self, line: bytes) -> list[Entry]:
        """Return the entry on a line if it is meant; count a line that holds none."""
        if not line.strip():
            return []
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            self.damaged_lines += 1
            return []
        return [entry] if self._wanted.takes(entry) else []
