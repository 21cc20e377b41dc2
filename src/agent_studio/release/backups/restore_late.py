"""What writers add to files while a restore takes them away: it is in no backup, so it is kept beside the archives.

Every file that goes is opened before it does, and looked at once all is done, under its lock: who gets
that later sees that the file has lost its name, and opens the one that has it.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.release.backups.line_checks import has_lines
from agent_studio.storage.descriptors import locked, write_all
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.release.backups.contents import Item
    from agent_studio.storage.folder import Folder

_OPEN = 200
"""How many files are open at once at most."""
_CHUNK_BYTES = 1 << 20


class Late:
    """Files on their way out, compared with what was backed up of them."""

    def __init__(self, root: EnvironmentRoot, backed_up: Iterable[Item], keep: Folder) -> None:
        self._root, self._keep = root, keep
        self._items = {(one.kind, one.path): one for one in backed_up}
        self._open: deque[tuple[str, str, int]] = deque()
        self.kept: list[str] = []
        """Files of which something is kept."""
        self.faults: list[str] = []

    @property
    def place(self) -> Folder:
        """Where it is kept."""
        return self._keep

    def watch(self, kind: str, path: str) -> None:
        """Note that a file is about to go."""
        if os.name == "nt":  # an open file cannot be replaced there
            return
        with suppress(FileNotFoundError):
            self._open.append((kind, path, self._root.folder(kind).open(path)))
        if len(self._open) > _OPEN:
            self._settle(*self._open.popleft())

    def settle(self) -> None:
        """Keep what no backup has of the files that went."""
        while self._open:
            self._settle(*self._open.popleft())

    def grown(self, aside: Folder) -> list[str]:
        """Return the files of a folder to which the data was moved that have more lines than were backed up."""
        found = [f"{kind}/{path}" for (kind, path), one in self._items.items() if _grew(aside, one)]
        return sorted(found)

    def _settle(self, kind: str, path: str, descriptor: int) -> None:
        name = f"{kind}/{path}"
        try:
            with disk_faults(self._root.folder(kind).path / path), locked(descriptor):
                start = _known(descriptor, self._items.get((kind, path)))
                if start is not None:
                    self._copy(name, descriptor, start)
                    self.kept.append(name)
        except AgentStudioError as error:
            self.faults.append(f"what was added to {name} meanwhile could not be kept: {error.message}")
        finally:
            os.close(descriptor)

    def _copy(self, name: str, descriptor: int, start: int) -> None:
        self._keep.make(name.rpartition("/")[0])
        target = self._keep.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.lseek(descriptor, start, os.SEEK_SET)
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                write_all(target, chunk)
            os.fsync(target)
        finally:
            os.close(target)


def _known(descriptor: int, item: Item | None) -> int | None:
    """Return from which byte on a file is in no backup, None where all of it is."""
    size = os.fstat(descriptor).st_size
    if item is None:
        return 0 if size else None
    if size < item.size or _hash(descriptor, item.size) != item.sha256:
        return 0
    if size == item.size:
        return None
    return item.size if has_lines(item.path) else 0


def _hash(descriptor: int, size: int) -> str:
    whole = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while size and (chunk := os.read(descriptor, min(size, _CHUNK_BYTES))):
        whole.update(chunk)
        size -= len(chunk)
    return whole.hexdigest()


def _grew(aside: Folder, one: Item) -> bool:
    status = aside.status(f"{one.kind}/{one.path}") if has_lines(one.path) else None
    return status is not None and status.st_size > one.size
