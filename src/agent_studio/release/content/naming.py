"""How the files of a release are named: so that every system can hold them, and takes no two for one."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from agent_studio.errors import UnsafePathError, UsageError
from agent_studio.isolation.routes.attempt import PLANTED
from agent_studio.release.content import manifest
from agent_studio.release.content.manifest import folders_above
from agent_studio.storage import names
from agent_studio.storage.names import collision_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from agent_studio.release.content.manifest import Difference
    from agent_studio.release.content.tree import Tree
    from agent_studio.storage.folder import Folder

_LEFT_BEHIND = frozenset({".git", "__pycache__", ".DS_Store"})
_PLANTED = re.compile(re.escape(PLANTED) + r"[0-9a-f]{16}(-.*)?", re.DOTALL)
"""A canary, and what a route that reached it made beside it."""


def is_left_behind(name: str) -> bool:
    """Tell whether a name is one that tools leave in a folder, or probes plant there; no definition is read from it."""
    return name in _LEFT_BEHIND or (name.startswith(PLANTED) and _PLANTED.fullmatch(name) is not None)


def manifest_path(path: str, definitions: Path) -> str:
    """Return a path as a manifest has it, in Unicode form C; raise `UsageError` for a name that some system refuses."""
    checked = [_checked(name) for name in path.split("/")]
    reason = next((reason for _, reason in checked if reason), "")
    if len(checked) > names.MAX_DEPTH:
        reason = f"is more than {names.MAX_DEPTH} folders deep"
    if reason:
        raise UsageError(
            f"the name of definition {path!r} in {definitions} cannot be in a release: it {reason}", hint="rename it"
        )
    return "/".join(name for name, _ in checked)


@lru_cache(maxsize=8_192)
def _checked(name: str) -> tuple[str, str]:
    """Return a name in Unicode form C, and what is wrong with it."""
    normal = unicodedata.normalize("NFC", name)
    reason = names.fault(normal)
    if not reason and name not in {normal, unicodedata.normalize("NFD", name)}:
        reason = "is in neither Unicode form C nor D"
    return normal, reason


def spelled(folder: str, path: str) -> str:
    """Return a path of a manifest as what is there spells it, be that in Unicode form D."""
    place = folder
    for name in path.split("/"):
        other = unicodedata.normalize("NFD", name)
        is_other = other != name and not os.path.lexists(f"{place}/{name}") and os.path.lexists(f"{place}/{other}")
        place = f"{place}/{other if is_other else name}"
    return place[len(folder) + 1 :]


def refuse_alike(paths: Iterable[str]) -> None:
    """Raise `UsageError` when two paths, or folders on the way to them, differ only in case or Unicode form."""
    known: dict[str, str] = {}
    for path in paths:
        _note(path, known)


def _note(path: str, known: dict[str, str]) -> None:
    new: dict[str, str] = {}
    for whole in (path, *folders_above(path)):
        other = known.get(key := collision_key(whole))
        if other == whole:
            break  # and so are the folders above it
        if other is not None:
            raise UsageError(
                f"{whole} and {other} differ only in case or Unicode form",
                hint="many file systems take the two for one: rename one of them",
            )
        new[key] = whole
    known.update(new)


class Names:
    """The names of a manifest's files, as they are found."""

    def __init__(self, definitions: Path, *, refuses: bool) -> None:
        """Take whether a name that cannot be in a manifest raises `UsageError`."""
        self._definitions, self._refuses = definitions, refuses
        self._paths: set[str] = set()
        self._known: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        """What was not taken, by path, and why."""

    def take(self, path: str) -> str | None:
        """Return a path as the manifest has it, None where no manifest has it."""
        try:
            return self._taken(path)
        except UsageError as error:
            if self._refuses:
                raise
            self.refused[path] = error.message
            return None

    def _taken(self, path: str) -> str:
        shown = manifest_path(path, self._definitions)
        if shown in self._paths:
            raise UsageError(f"two definitions are named {path!r} up to Unicode form", hint="rename one of them")
        _note(shown, self._known)
        self._paths.add(shown)
        return shown


def refuse_beside(tree: Tree, changes: Sequence[Difference]) -> None:
    """Raise `UnsafePathError` when a new name would differ only so from one that stays in production beside it."""
    going = {change.path for change in changes if change.new is None}
    seen: dict[tuple[bool, str], dict[str, list[str]]] = {}
    for change in changes:
        if change.new is None or change.old is not None:
            continue
        folder, path = tree.place(change.path)
        for whole in (path, *folders_above(path)):
            above, _, name = whole.rpartition("/")
            at = change.path == manifest.OF_PROJECT, above
            if at not in seen:
                seen[at] = _by_key(folder, above)
            alike = seen[at].get(collision_key(name), [])
            if name in alike:
                break  # it is there, and makes no new name
            for other in alike:
                if at[0] or not _goes(folder, f"{above}/{other}".lstrip("/"), going):
                    raise UnsafePathError(
                        f"{folder.path / whole} would differ from {other!r} there only in case or Unicode form",
                        hint="many file systems take the two for one: rename or remove the one that is there",
                    )


def _by_key(folder: Folder, relative: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        there = folder.names(relative)
    except (FileNotFoundError, UnsafePathError):  # it is made anew, or replaced
        return found
    for name in there:
        found.setdefault(collision_key(name), []).append(name)
    return found


def _goes(folder: Folder, relative: str, going: Collection[str]) -> bool:
    """Tell whether nothing is left of a file or folder once some files are removed."""
    status = folder.status(relative)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return unicodedata.normalize("NFC", relative) in going
    parents = {above for path in going for above in folders_above(path)}
    inner = [(unicodedata.normalize("NFC", f"{relative}/{name}"), one) for name, one in folder.at(relative).tree()]
    return bool(inner) and all(path in (parents if stat.S_ISDIR(one.st_mode) else going) for path, one in inner)
