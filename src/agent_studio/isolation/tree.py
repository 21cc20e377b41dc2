"""The folders on the way to what is not allowed, and what is beside it: kernels know either mounts or allow-lists.

Names are not trusted to tell whether two paths are the same: a file system may take `Metrics` for `metrics`.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.isolation.policy import Access

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


class Entry(NamedTuple):
    """Something in a folder."""

    path: Path
    rule: Path | None
    """The rule's own path, when there is a rule for it."""
    is_link: bool


class Tree:
    """Rules, and questions about the folders between them."""

    def __init__(self, rules: Mapping[Path, Access], closed: Collection[Path] = ()) -> None:
        """Of the folders in `closed`, only that is given which is there."""
        self.rules = dict(rules)
        self._closed = frozenset(closed)
        self._identities: dict[tuple[int, int], Path] = {}
        for path in self.rules:
            with suppress(OSError):
                status = path.lstat()
                self._identities[status.st_dev, status.st_ino] = path
        self._below: dict[Path, list[Path]] = {}
        for path in sorted(self.rules):
            for parent in path.parents:
                self._below.setdefault(parent, []).append(path)

    def below(self, path: Path) -> list[Path]:
        """Return the rules' paths inside a folder, outer ones first."""
        return self._below.get(path, [])

    def access(self, path: Path) -> Access:
        """Return what may be done with a path that is free of links."""
        return next((self.rules[place] for place in (path, *path.parents) if place in self.rules), Access.WRITE)

    def has_stricter(self, path: Path, access: Access) -> bool:
        """Tell whether something inside a folder is allowed less than `access`."""
        return any(self.rules[inner] < access for inner in self.below(path))

    def is_parted(self, path: Path, access: Access) -> bool:
        """Tell whether a folder cannot be given whole with `access`."""
        return (path in self._closed and access is Access.READ) or self.has_stricter(path, access)

    def entries(self, folder: Path) -> Iterator[Entry]:
        """Yield what is in a folder; of one that cannot be listed, what leads to rules.

        What goes away meanwhile is left out.
        """
        try:
            with os.scandir(folder) as found:
                paths = sorted(Path(entry.path) for entry in found)
        except OSError:
            depth = len(folder.parts)
            paths = sorted({Path(*inner.parts[: depth + 1]) for inner in self.below(folder)})
        for path in paths:
            with suppress(OSError):
                status = path.lstat()
                rule = self._identities.get((status.st_dev, status.st_ino))
                on_the_way = rule if rule is not None and rule.parent == folder else None
                yield Entry(path, path if path in self.rules else on_the_way, stat.S_ISLNK(status.st_mode))
