"""Removes old backups: what is to be kept is decided first, noted in the journal, then the rest goes.

A process that dies on the way leaves manifests that the journal calls removed and pieces that nobody names; the next
run takes them away.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.release import backup, backup_store, backup_verify
from agent_studio.release.backup_store import Pieces, alone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

KEEP = 10


class Pruned(NamedTuple):
    """What went, or would."""

    gone: list[str]
    kept: dict[str, str]
    """Backups that stay though they are old enough to go, and why."""
    left: int
    pieces: int
    """Pieces that were removed."""


def prune(
    root: EnvironmentRoot, agree: Callable[[Pruned], None], *, keep: int = KEEP, older_than_days: int = 0,
    named: Collection[str] = (), dry_run: bool = False,
) -> Pruned:  # fmt: skip
    """Remove all but the newest backups; `agree` is shown what would go, and raises to stop.

    Backups that are `named`, as the release history does, and the newest that verifies stay however old they are.
    Raises `IntegrityError` for a damaged journal or manifest of what stays; nothing goes then.
    """
    with alone(root, "old backups are removed") as folder:
        found = _choose(root, keep, older_than_days, named)
        if dry_run:
            return found
        agree(found)
        staying = [str(one["id"]) for one in backup.listed(root) if one["id"] not in found.gone]
        pieces = {piece for own in staying for one in backup.load(root, own).data.files for piece in one.pieces}
        for own in found.gone:
            backup_store.note(root, backup_store.PRUNED, own, {})
        _remove_manifests(folder, staying)
        return found._replace(pieces=Pieces(root).collect(pieces))


def _choose(root: EnvironmentRoot, keep: int, older_than_days: int, named: Collection[str]) -> Pruned:
    lines = backup.listed(root)
    before = clock.now() - timedelta(days=older_than_days)
    old = [one for one in lines[: max(len(lines) - keep, 0)] if _is_before(one, before, older_than_days)]
    if not old:
        return Pruned([], {}, len(lines), 0)
    sound = backup_verify.newest_of(root)
    kept: dict[str, str] = {}
    for one in old:
        own = str(one["id"])
        if own in named:
            kept[own] = "the release history names it"
        elif own == sound:
            kept[own] = "it is the newest that verifies"
    gone = [str(one["id"]) for one in old if one["id"] not in kept]
    return Pruned(gone, kept, len(lines) - len(gone), 0)


def _is_before(one: dict[str, Any], before: datetime, older_than_days: int) -> bool:
    return not older_than_days or datetime.fromisoformat(str(one["time"])) < before


def _remove_manifests(folder: Folder, staying: Collection[str]) -> None:
    """Remove manifests that the journal does not name, or calls removed."""
    for name in folder.names():
        own = name.removesuffix(".json")
        if own != name and own not in staying and name != backup_store.JOURNAL:
            with suppress(FileNotFoundError):
                folder.remove(name)
    folder.sync()
