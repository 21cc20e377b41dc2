"""Who sends records: the project, this machine, and the origin that its records' ids are made of."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot

ORIGIN = "fleet-origin"
"""File beside the journals, so that it goes where they go: into a backup, an archive, a copy."""
_FORM = re.compile(rb"[0-9a-f]{32}\n")
_MACHINE_DIGITS = 8


class Identity(NamedTuple):
    """Who sends records."""

    project: str
    machine: str
    origin: str
    """32 hex digits, drawn once for each folder of journals: two machines never give a record the same id."""


def identity(context: Context, origin: str) -> Identity:
    """Return who an environment's records are sent as."""
    project = context.config["fleet.project"] or context.project.path.name
    return Identity(_plain(project), _plain(context.config["fleet.machine"] or origin[:_MACHINE_DIGITS]), origin)


def origin_of(root: EnvironmentRoot) -> str | None:
    """Return the origin of a root's journals, or None while none was drawn; raise `StorageError` for a damaged one."""
    folder = root.folder("metrics")
    try:
        data = folder.read(ORIGIN)
    except FileNotFoundError:
        return None
    if not _FORM.fullmatch(data):
        raise StorageError(
            f"{folder.path / ORIGIN} is damaged", hint="restore it from a backup, or remove it: all is shipped anew"
        )
    return data.decode().strip()


def draw_origin(root: EnvironmentRoot) -> str:
    """Return the origin of a root's journals, drawn when there is none yet."""
    folder = root.folder("metrics")
    if not folder.has_folder():
        raise ConfigurationError(
            f"{root.environment} has no journals to ship: {folder.path} is missing",
            hint=f"agent-studio init --env {root.environment}",
        )
    folder.create(ORIGIN, f"{secrets.token_hex(16)}\n".encode())
    found = origin_of(root)
    if found is None:
        raise StorageError(f"{folder.path / ORIGIN} was removed meanwhile", hint="run the command again")
    return found


def _plain(name: str) -> str:
    return "".join(character if character.isprintable() else "_" for character in name)
