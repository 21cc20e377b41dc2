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
_FORM = re.compile("([0-9a-f]{32})\n(?:(.+)\n)?")
_MACHINE_DIGITS = 8


class Origin(NamedTuple):
    """What is kept beside a folder of journals."""

    digits: str
    """32 hex digits, drawn once for each folder of journals: two machines never give a record the same id."""
    machine: str | None
    """The name that its records are shipped under, None before the first is sent: under two, each would count twice."""

    @property
    def written(self) -> bytes:
        """It as its file holds it."""
        return "".join(f"{line}\n" for line in self if line).encode()


class Identity(NamedTuple):
    """Who sends records."""

    project: str
    machine: str
    origin: str
    """The digits of the origin."""


def identity(context: Context, origin: str, shipped_as: str | None = None) -> Identity:
    """Return who an environment's records are sent as; `shipped_as` is the name that they began with."""
    project = context.config["fleet.project"] or context.project.path.name
    return Identity(_plain(project), shipped_as or named(context) or origin[:_MACHINE_DIGITS], origin)


def named(context: Context) -> str:
    """Return the name that the configuration gives this machine, nothing when it gives none."""
    return _plain(context.config["fleet.machine"] or "")


def origin_of(root: EnvironmentRoot) -> Origin | None:
    """Return the origin of a root's journals, or None while none was drawn; raise `StorageError` for a damaged one."""
    folder = root.folder("metrics")
    try:
        found = _FORM.fullmatch(folder.read(ORIGIN).decode(errors="replace"))
    except FileNotFoundError:
        return None
    if found is None:
        raise StorageError(
            f"{folder.path / ORIGIN} is damaged", hint="restore it from a backup, or remove it: all is shipped anew"
        )
    return Origin(found[1], found[2])


def draw_origin(root: EnvironmentRoot) -> Origin:
    """Return the origin of a root's journals, drawn when there is none yet."""
    folder = root.folder("metrics")
    if not folder.has_folder():
        raise ConfigurationError(
            f"{root.environment} has no journals to ship: {folder.path} is missing",
            hint=f"agent-studio init --env {root.environment}",
        )
    folder.create(ORIGIN, Origin(secrets.token_hex(16), None).written)
    found = origin_of(root)
    if found is None:
        raise StorageError(f"{folder.path / ORIGIN} was removed meanwhile", hint="run the command again")
    return found


def rename_origin(root: EnvironmentRoot, digits: str, machine: str | None) -> bool:
    """Note under which name a folder's records are shipped; return whether another was noted, or none.

    Journals that were put aside meanwhile, and are others by now, are left alone.
    """
    found = origin_of(root)
    if found is None or found.digits != digits or found.machine == machine:
        return False
    root.folder("metrics").replace(ORIGIN, Origin(digits, machine).written)
    return True


def _plain(name: str) -> str:
    return "".join(character if character.isprintable() else "_" for character in name)
