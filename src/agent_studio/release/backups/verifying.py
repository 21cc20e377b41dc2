"""Is a backup what was backed up? Every piece is read again, and all of it is restored on trial.

The trial goes into a folder of its own beside the backups; its bytes are compared with the manifest, its JSON Lines
are parsed, and its ledger has to be one chain.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import IntegrityError
from agent_studio.release.backups import backup, contents
from agent_studio.release.backups.line_checks import Lines, has_lines, is_ledger, order
from agent_studio.release.backups.places import Pieces, alone, folder_of
from agent_studio.storage.descriptors import read_chunks, write_all
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.walk import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.release.backups.backup import Backup
    from agent_studio.release.backups.contents import Item
    from agent_studio.storage.folder import Folder

_TRIAL = "trial"
_SMALL_BYTES = 8 << 20
_OTHERWISE = "its pieces do not make up the file that was backed up"
_LISTED = 20


class Verified(NamedTuple):
    """What verifying a backup found."""

    id: str
    files: int
    size_bytes: int
    faults: list[str]
    notes: list[str]
    """What was not as it should be with the data itself when it was backed up."""

    @property
    def passed(self) -> bool:
        """Whether it can be restored, byte for byte."""
        return not self.faults


def verify(root: EnvironmentRoot, own: str) -> Verified:
    """Verify a backup; raise `UsageError` for one that is not listed, `IntegrityError` for a damaged journal."""
    with alone(root, "a backup is verified"):
        return look(root, own)


def look(root: EnvironmentRoot, own: str) -> Verified:
    """Verify a backup as `verify` does; the caller holds `places.alone`."""
    try:
        made = backup.load(root, own)
    except IntegrityError as error:
        backup.listed(root)  # a journal that is damaged says nothing of any backup
        return Verified(own, 0, 0, [error.message], [])
    with _trial(root) as folder:
        faults = build(Pieces(root), made.data.files, folder)
        faults = faults or [*_differ(made.data.files, folder), *_contents(made, folder)]
    if len(faults) > _LISTED:
        faults = [*faults[:_LISTED], f"and {len(faults) - _LISTED} more"]
    return Verified(own, len(made.data.files), made.size_bytes, faults, made.notes)


def newest(context: Context, *, but: str = "", but_by: Collection[str] = ()) -> str:
    """Return the id of the newest backup that verifies and whose ledger is a chain, or empty when there is none."""
    with alone(context.root, "a backup is looked for"):
        return newest_of(context.root, but=but, but_by=but_by)


def newest_of(root: EnvironmentRoot, *, but: str = "", but_by: Collection[str] = ()) -> str:
    """Return what `newest` does, with nothing written: on a full disk, too; the caller holds `places.alone`.

    `but_by` names what may not have made it.
    """
    for one in reversed(backup.listed(root)):
        own = str(one["id"])
        if own != but and one["by"] not in but_by and _is_sound(root, own):
            return own
    return ""


def _is_sound(root: EnvironmentRoot, own: str) -> bool:
    try:
        made = backup.load(root, own)
    except IntegrityError:
        return False
    return not made.data.ledger_fault and not reread(Pieces(root), made)


def reread(pieces: Pieces, made: Backup) -> str:
    """Read every piece of a backup again and return what is wrong with the first file that is not as it was."""
    lines = Lines()
    for one in _in_order(made.data.files):
        whole = hashlib.sha256()

        def read(names: Iterable[str] = one.pieces, whole: Any = whole) -> Iterator[bytes]:
            for piece in map(pieces.read, names):
                whole.update(piece)
                yield piece

        try:
            if has_lines(one.path):
                lines.follow(one.path, read(), ledger=is_ledger(one.kind, one.path))
            else:
                deque(read(), maxlen=0)
        except IntegrityError as error:
            return f"{one.kind}/{one.path}: {error.message}"
        if whole.hexdigest() != one.sha256:
            return f"{one.kind}/{one.path}: {_OTHERWISE}"
    return next(_wrong_lines(made, lines), "")


def _in_order(files: Iterable[Item]) -> list[Item]:
    return sorted(files, key=lambda one: (order(one.path) or 0, one.kind, one.path))


def build(pieces: Pieces, files: Iterable[Item], folder: Folder) -> list[str]:
    """Write files of a backup anew, below a folder for each kind, and return what is wrong with any; durable is none.

    A file that is wrong is not written.
    """
    faults: list[str] = []
    grouped: dict[str, list[Item]] = {}
    for one in files:
        grouped.setdefault(f"{one.kind}/{one.path}".rpartition("/")[0], []).append(one)
    for parent, inner in grouped.items():
        folder.make(parent)
        small = [one for one in inner if one.size <= _SMALL_BYTES]
        folder.create_many(parent, _whole(pieces, small, faults))
        for one in inner:
            if one.size > _SMALL_BYTES:
                _stream(pieces, one, folder, faults)
            elif one.mode != FILE_MODE:
                _set_rights(folder, one)
    return faults


def _whole(pieces: Pieces, files: Iterable[Item], faults: list[str]) -> Iterator[tuple[str, bytes]]:
    for one in files:
        try:
            data = b"".join(map(pieces.read, one.pieces))
        except IntegrityError as error:
            faults.append(f"{one.kind}/{one.path}: {error.message}")
            continue
        if hashlib.sha256(data).hexdigest() != one.sha256:
            faults.append(f"{one.kind}/{one.path}: {_OTHERWISE}")
            continue
        yield one.path.rpartition("/")[2], data


def _stream(pieces: Pieces, one: Item, folder: Folder, faults: list[str]) -> None:
    """Write a file that is not to be held in memory."""
    path, whole = f"{one.kind}/{one.path}", hashlib.sha256()
    descriptor = folder.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with disk_faults(folder.path / path):
            for name in one.pieces:
                piece = pieces.read(name)
                whole.update(piece)
                write_all(descriptor, piece)
    except IntegrityError as error:
        faults.append(f"{path}: {error.message}")
    finally:
        os.close(descriptor)
    if whole.hexdigest() != one.sha256:
        folder.remove(path)
        faults.append(f"{path}: {_OTHERWISE}")
    else:
        _set_rights(folder, one)


def _set_rights(folder: Folder, one: Item) -> None:
    if not hasattr(os, "fchmod"):
        return
    with suppress(FileNotFoundError):  # it was wrong, so it was not written
        descriptor = folder.open(f"{one.kind}/{one.path}")
        try:
            os.fchmod(descriptor, one.mode)
        finally:
            os.close(descriptor)


def _differ(files: Iterable[Item], folder: Folder) -> Iterator[str]:
    for one in files:
        folder.make_private(f"{one.kind}/{one.path}")
        if contents.hash_of(folder, f"{one.kind}/{one.path}") != one.sha256:
            yield f"{one.kind}/{one.path}: restored on trial it has other bytes"


def _contents(made: Backup, folder: Folder) -> Iterator[str]:
    """Read the restored lines as their readers would."""
    lines = Lines()
    for one in _in_order(made.data.files):
        if has_lines(one.path):
            descriptor = folder.open(f"{one.kind}/{one.path}")
            try:
                lines.follow(one.path, read_chunks(descriptor), ledger=is_ledger(one.kind, one.path))
            finally:
                os.close(descriptor)
    yield from _wrong_lines(made, lines)


def _wrong_lines(made: Backup, lines: Lines) -> Iterator[str]:
    if lines.broken != made.data.ledger_fault or lines.head != made.data.ledger:
        yield f"the ledger is no chain, or another one: {lines.broken or f'it ends at record {lines.head.seq}'}"
    if lines.damaged != made.data.damaged_lines:
        yield f"{lines.damaged} lines of records do not parse, not {made.data.damaged_lines}"


@contextmanager
def _trial(root: EnvironmentRoot) -> Iterator[Folder]:
    """Give an empty folder; what a killed trial left goes first."""
    folder = folder_of(root)
    shutil.rmtree(folder.path / _TRIAL, ignore_errors=True)
    folder.make(_TRIAL)
    try:
        yield folder.at(_TRIAL)
    finally:
        shutil.rmtree(folder.path / _TRIAL, ignore_errors=True)
