"""Removes old backups: what is to be kept is decided first, noted in the journal, then the rest goes.

A process that dies on the way leaves manifests that the journal calls removed and pieces that nobody names; the next
run takes them away.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.errors import IntegrityError, UsageError
from agent_studio.release.backups import backup, places, verifying
from agent_studio.release.backups.places import Pieces, alone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
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
    named: Collection[str] = (), only: Collection[str] = (), dry_run: bool = False,
) -> Pruned:  # fmt: skip
    """Remove all but the newest backups, or `only` some; `agree` is shown what would go, and raises to stop.

    Backups that are `named`, as the release history does, and the newest that verifies stay however old they are.
    Raises `IntegrityError` for a damaged journal or manifest of what stays, `UsageError` for one of `only` that is not
    listed; nothing goes then.
    """
    with alone(root, "old backups are removed") as folder:
        found = _choose(root, keep, older_than_days, named, only)
        staying = [str(one["id"]) for one in backup.listed(root) if one["id"] not in found.gone]
        pieces = {piece for own in staying for piece in _pieces(root, own)}
        if dry_run or not (staying or found.gone):  # a journal that names none says nothing of what may go
            return found
        agree(found)
        for own in found.gone:
            places.note(root, places.PRUNED, own, {})
        _remove_manifests(folder, staying)
        return found._replace(pieces=Pieces(root).collect(pieces))


def _pieces(root: EnvironmentRoot, own: str) -> Iterator[str]:
    """Yield the pieces of a backup that stays; raise `IntegrityError` where nobody can tell them."""
    try:
        made = backup.load(root, own)
    except IntegrityError as error:
        raise IntegrityError(
            f"{error.message}, so nobody can tell which pieces it needs",
            hint=f"remove that one: agent-studio backup prune {own} --env {root.environment}",
        ) from None
    for one in made.data.files:
        yield from one.pieces


def _choose(
    root: EnvironmentRoot, keep: int, older_than_days: int, named: Collection[str], only: Collection[str]
) -> Pruned:
    lines = backup.listed(root)
    if unknown := set(only) - {str(one["id"]) for one in lines}:
        raise UsageError(f"{root.environment} has no backup {min(unknown)!r}", hint="agent-studio backup list")
    before = clock.now() - timedelta(days=older_than_days)
    old = [one for one in lines[: max(len(lines) - keep, 0)] if _is_before(one, before, older_than_days)]
    if only:
        old = [one for one in lines if one["id"] in only]
    if not old:
        return Pruned([], {}, len(lines), 0)
    sound = verifying.newest_of(root)
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
        if own != name and own not in staying and name != places.JOURNAL:
            with suppress(FileNotFoundError):
                folder.remove(name)
    folder.sync()
