"""What is done before production or staging is touched: a backup of data, and a note of where the ledger ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cost import ledger
from agent_studio.errors import AgentStudioError
from agent_studio.release.backups import backup as making

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.release.production.sides import Sides


def backup(
    sides: Sides, reason: str, *, whole_ledger: bool = True, by: str = making.PROMOTION
) -> tuple[str, list[str]]:
    """Back production's data up; return the backup's id, empty when none could be made, and what there is to say.

    Raises `StorageError` when the disk has no room for it, and `IntegrityError` for a ledger that is no chain unless
    `whole_ledger` is False: the way back must not depend on it.
    """
    try:
        context = sides.live()
    except AgentStudioError as error:
        return "", [f"no backup was made of production's data: {error.message}"]
    return of(context, reason, home=sides.project, whole_ledger=whole_ledger, by=by)


def of(
    context: Context, reason: str, *, home: Project | None = None, whole_ledger: bool = True,
    by: str = making.ROLLBACK,
) -> tuple[str, list[str]]:  # fmt: skip
    """Back an environment's data up, as `backup` does; `home` keeps the history of releases."""
    made = making.create(context, reason, home=home, whole_ledger=whole_ledger, by=by)
    return made.id, [f"backup {made.id}: {note}" for note in made.notes]


def ledger_head(sides: Sides) -> dict[str, Any]:
    """Return where staging's and production's ledgers end, None for one that cannot be read."""
    heads: dict[str, Any] = {}
    for name in ("staging", "production"):
        try:
            head = ledger.head((sides.staging if name == "staging" else sides.live()).root)
            heads[name] = {"seq": head.seq, "hash": head.hash}
        except (AgentStudioError, FileNotFoundError):
            heads[name] = None
    return heads
