"""What is done before production or staging is touched: a backup of data, and a note of where the ledger ended."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from agent_studio.cost import ledger
from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from types import ModuleType

    from agent_studio.environment.context import Context
    from agent_studio.release.sides import Sides


def backup(sides: Sides, reason: str) -> tuple[str, list[str]]:
    """Back production's data up; return the backup's id, empty when none could be made, and what there is to say.

    Raises `StorageError` when the disk has no room for it.
    """
    try:
        context = sides.live()
    except AgentStudioError as error:
        return "", [f"no backup was made of production's data: {error.message}"]
    return of(context, reason)


def of(context: Context, reason: str) -> tuple[str, list[str]]:
    """Back an environment's data up, as `backup` does."""
    module = backups()
    if module is None:
        return "", ["no backup was made: this version has none"]
    made = module.create(context, reason)
    return str(made.id), []


def newest(context: Context) -> str:
    """Return the id of an environment's newest backup that verifies, or empty when there is none."""
    module = backups()
    return "" if module is None else str(module.newest(context) or "")


def backups() -> ModuleType | None:
    """Return the part that makes backups, None where it is not there."""
    try:
        return importlib.import_module("agent_studio.release.backup")
    except ModuleNotFoundError as error:
        if error.name != "agent_studio.release.backup":
            raise
        return None


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
