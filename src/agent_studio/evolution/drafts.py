"""The draft of an artifact: what lies under `context/artifacts/` until it is enabled, and the hash that locks it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.errors import AgentStudioError, StorageError, UsageError
from agent_studio.evolution import phases
from agent_studio.storage.folder import Folder
from agent_studio.storage.temporaries import is_temporary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.context import Context
    from agent_studio.evolution.state import Evolution

FILES_MAX = 200
BYTES_MAX = 8 << 20
_WITHOUT = frozenset((".git", "__pycache__", "node_modules", ".DS_Store"))


class Part(NamedTuple):
    """One file of a draft."""

    path: str
    """From the draft's folder."""
    data: bytes
    executable: bool


class Draft(NamedTuple):
    """All files of a draft, by path."""

    parts: tuple[Part, ...]

    @property
    def sha256(self) -> str:
        """The hash of paths, rights and bytes."""
        lines = (
            f"{'100755' if one.executable else '100644'} {hashlib.sha256(one.data).hexdigest()} {one.path}\n"
            for one in self.parts
        )
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def home(one: Evolution) -> str:
    """Return where a draft lies, below the folder of kind `context`."""
    return f"artifacts/evolution/{one.id}"


def main_file(one: Evolution) -> str:
    """Return the name of the file that says what the artifact is."""
    return phases.SKILL_FILE if one.kind == "skill" else f"{one.name}.md"


def shown_place(context: Context, one: Evolution) -> str:
    """Return where to write the draft, from the project's root."""
    return f"{context.root.kinds['context']}/{home(one)}/{main_file(one)}"


def read(context: Context, one: Evolution) -> Draft | None:
    """Return the draft, None while its main file is not there; raise what `read_folder` raises."""
    folder = context.root.folder("context").at(home(one))
    if not folder.has_folder():
        return None
    draft = read_folder(folder)
    return draft if main_file(one) in {part.path for part in draft.parts} else None


def settle(context: Context, one: Evolution) -> None:
    """Take what others may do with the draft's files: whoever drafts writes them with the rights of any file."""
    folder = context.root.folder("context").at(home(one))
    if os.name == "nt" or not folder.has_folder():
        return
    folder.make_private()
    folder.sweep()
    loose = []
    for name, status in folder.tree():
        if stat.S_ISDIR(status.st_mode):
            folder.make_private(name)
            folder.sweep(name)
        elif stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            loose.append(Part(name, folder.read(name), bool(status.st_mode & stat.S_IXUSR)))
    write(folder, loose)


def read_folder(folder: Folder) -> Draft:
    """Return the files of a folder; raise `UsageError` for what cannot be a draft, such as a link or too much of it."""
    parts = list[Part]()
    size = 0
    for name, status in folder.files():
        if _WITHOUT & set(name.split("/")) or is_temporary(name.rpartition("/")[2]):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{folder.path / name} is no regular file", hint="put a copy of what it leads to there")
        size += status.st_size
        if len(parts) >= FILES_MAX or size > BYTES_MAX:
            raise UsageError(
                f"{folder.path} holds more than {FILES_MAX} files or {BYTES_MAX >> 20} MiB",
                hint="an artifact is instructions, not an archive",
            )
        parts.append(Part(name, folder.read(name), bool(status.st_mode & stat.S_IXUSR)))
    return Draft(tuple(sorted(parts)))


def take(context: Context, one: Evolution, given: str) -> Draft:
    """Put what a user names in the place of the draft; raise `UsageError` for what can be none."""
    place = Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 - links are refused, not followed
    if not given.strip() or not os.path.lexists(place):
        raise UsageError(f"{given!r} is not there", hint="name the file that was drafted")
    draft = _outside(place, one)
    folder = context.root.folder("context")
    beside = f"{home(one)}.given"
    if folder.status(beside):
        folder.remove_tree(beside)
    folder.make(beside)
    try:
        write(folder.at(beside), draft.parts)
    except AgentStudioError:
        folder.remove_tree(beside)
        raise
    _exchange(folder, one, beside)
    return draft


def _exchange(folder: Folder, one: Evolution, beside: str) -> None:
    """Put a draft that was written whole in the place of the one that is there, which is kept as `N.before`."""
    if folder.has_folder(home(one)):
        before = f"{home(one)}.before"
        if any(True for _ in folder.files(home(one))):
            if folder.status(before):
                folder.remove_tree(before)
            folder.move(home(one), folder, before)
        else:
            folder.remove_tree(home(one))
    folder.move(beside, folder, home(one))


def _outside(place: Path, one: Evolution) -> Draft:
    """Return what lies at a place that a user names."""
    try:
        draft = _whole(place, one) if place.is_dir() else _single(place, one)
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}", hint="name a regular file") from None
    if main_file(one) not in {part.path for part in draft.parts}:
        raise UsageError(f"there is no {main_file(one)} in {place}", hint="a skill's folder has one")
    return draft


def _whole(place: Path, one: Evolution) -> Draft:
    if one.kind != "skill":
        raise UsageError(f"{place} is a folder", hint=f"name the file of the {one.kind}")
    draft = read_folder(Folder(place))
    if any(DEFINITIONS in part.path.split("/")[:-1] for part in draft.parts):
        raise UsageError(f"{place} holds a project's {DEFINITIONS} folder", hint="name the folder of the skill alone")
    return draft


def _single(place: Path, one: Evolution) -> Draft:
    data = Folder(place.parent).read(place.name)
    if len(data) > BYTES_MAX:
        raise UsageError(f"{place} has more than {BYTES_MAX >> 20} MiB", hint="name the file that was drafted")
    return Draft((Part(main_file(one), data, executable=False),))


def write(folder: Folder, parts: Iterable[Part]) -> None:
    """Write files into a folder that is there, each whole."""
    for part in parts:
        parent = part.path.rpartition("/")[0]
        if parent:
            folder.make(parent)
        try:
            prepared = folder.prepare(part.path, part.data, executable=part.executable)
            folder.move(prepared, folder, part.path)
        except OSError as error:
            raise StorageError(f"cannot write {folder.path / part.path}: {error.strerror}") from None
