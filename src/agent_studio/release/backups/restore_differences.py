"""What of an environment's data is not as a backup has it, and making it so."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.schema import KINDS
from agent_studio.errors import StorageError
from agent_studio.release.backups import contents, verifying
from agent_studio.release.backups.places import Pieces
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.temporaries import is_temporary

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.release.backups.backup import Backup
    from agent_studio.release.backups.contents import Item, Listed
    from agent_studio.storage.folder import Folder


class Differences(NamedTuple):
    """What has to be done to files."""

    write: list[Item]
    remove: list[tuple[str, str]]
    """Kind and path."""
    same: int


def find(root: EnvironmentRoot, made: Backup) -> Differences:
    """Return what differs; raise `StorageError` for something that is no plain file and stands where one has to go."""
    held = {kind: contents.listed(root, kind) for kind in KINDS}
    write = [one for one in made.data.files if not _is_there(root, one, held[one.kind])]
    for one in write:
        _refuse_unknown(root, one, held[one.kind])
    wanted = {(one.kind, one.path) for one in made.data.files}
    remove = [
        (kind, path)
        for kind in KINDS
        for path in held[kind].files
        if (kind, path) not in wanted and not contents.is_clients(kind, path)
    ]
    return Differences(write, remove, len(made.data.files) - len(write))


def _is_there(root: EnvironmentRoot, one: Item, held: Listed) -> bool:
    status = held.files.get(one.path)
    if status is None:
        return False
    if contents.is_clients(one.kind, one.path):
        return True
    if status.st_size != one.size or (os.name == "posix" and stat.S_IMODE(status.st_mode) != one.mode):
        return False
    with suppress(FileNotFoundError):
        return contents.hash_of(root.folder(one.kind), one.path) == one.sha256
    return False


def _refuse_unknown(root: EnvironmentRoot, one: Item, held: Listed) -> None:
    for path, why in held.left_out.items():
        if f"{one.path}/".startswith(f"{path}/") or path.startswith(f"{one.path}/"):
            raise StorageError(
                f"{root.folder(one.kind).path / path} stands where {one.path} has to go: {why}", hint="move it away"
            )


def apply(root: EnvironmentRoot, made: Backup, staged: Folder, watch: Callable[[str, str], None]) -> None:
    """Make data what a backup says, with the files that are prepared in `staged`; durable it is not yet.

    `watch` is told kind and path of a file before it goes.
    """
    found = find(root, made)
    for kind, path in found.remove:
        watch(kind, path)
        root.folder(kind).remove(path)
    for kind in KINDS:
        _remove_empty(root, kind, made)
    missing = [one for one in found.write if not _is_prepared(staged, one)]
    for one in missing:
        with suppress(FileNotFoundError):
            staged.remove(f"{one.kind}/{one.path}")
    faults = verifying.build(Pieces(root), missing, staged)
    if faults:
        raise StorageError(f"the restore of {made.id} cannot go on: {faults[0]}", hint="agent-studio recover")
    for one in found.write:
        folder = root.folder(one.kind)
        if parent := one.path.rpartition("/")[0]:
            folder.make(parent)
        watch(one.kind, one.path)
        staged.move(f"{one.kind}/{one.path}", folder, one.path)
    for kind, path in made.data.folders:
        root.folder(kind).make(path)


def _is_prepared(staged: Folder, one: Item) -> bool:
    """Tell whether a file was prepared whole: a power failure may have left less of it."""
    with suppress(FileNotFoundError):
        return contents.hash_of(staged, f"{one.kind}/{one.path}") == one.sha256
    return False


def _remove_empty(root: EnvironmentRoot, kind: str, made: Backup) -> None:
    """Remove folders in which nothing is and of which the backup knows nothing, and what killed writers left."""
    folder = root.folder(kind)
    if not folder.has_folder():
        return
    folder.sweep()
    kept = {path for of, path in made.data.folders if of == kind}
    inner = [path for path, status in folder.tree() if stat.S_ISDIR(status.st_mode)]
    for path in sorted(inner, key=lambda path: path.count("/"), reverse=True):
        if path not in kept:
            folder.remove_empty(path)


def sync(folder: Folder) -> None:
    """Make what is in a folder durable, file by file: for systems that cannot do it at once."""
    for path, status in folder.tree():
        if stat.S_ISDIR(status.st_mode):
            folder.at(path).sync()
        elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not is_temporary(path.rpartition("/")[2]):
            descriptor = folder.open(path, os.O_RDWR)
            try:
                with disk_faults(folder.path / path):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
    folder.sync()
