"""Whose production a target is, and how far that project's history had come: no other history speaks for it.

`.agent-studio/production-of` in the target's project. Another checkout that promotes there, or the same one whose
history was cut off, does not have the line that it names.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import STATE, Project
from agent_studio.errors import IntegrityError
from agent_studio.storage.chain import Head
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from agent_studio.release.history import History

FILE = "production-of"


class Owner(NamedTuple):
    """What a target says of itself."""

    project: Project
    """From which it is promoted to."""
    head: Head
    """The last line of that project's history when production was last changed."""
    baseline: str
    """The hash of the manifest of what was there before the first release; empty where nobody looked."""


def read(production: Project) -> Owner | None:
    """Return what a target says, None where it says nothing; raise `IntegrityError` when that is damaged."""
    folder = Folder(production.path, STATE)
    try:
        value = json.loads(folder.read(FILE).decode("utf-8", "surrogateescape"))
        place = Path(str(value["project"]))
        return Owner(Project(place), Head(int(value["seq"]), str(value["hash"])), str(value["baseline"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"{folder.path / FILE} is damaged",
            hint=f"if nothing but this project promotes there: rm {folder.path / FILE}",
        ) from None


def note(production: Project, owner: Project, head: Head, baseline: str | None = None) -> None:
    """Write into a target whose it is and how far the history is; a project that is its own production needs none."""
    if production == owner:
        return
    held = None
    with suppress(IntegrityError):
        held = read(production)
    if baseline is None:
        baseline = held.baseline if held else ""
    told = {"project": str(owner.path), "seq": head.seq, "hash": head.hash, "baseline": baseline}
    folder = Folder(production.path, STATE)
    folder.make()
    folder.sweep(of=[FILE])
    folder.replace(FILE, json.dumps(told).encode("utf-8", "surrogateescape") + b"\n")


def refuse_other(production: Project, past: History) -> None:
    """Raise `IntegrityError` where a target was last changed by a history that this one does not go on from."""
    owner = read(production)
    if owner is None or not owner.head.seq:
        return
    number = owner.head.seq
    if number > past.head.seq or past.records[number - 1]["_hash"] != owner.head.hash:
        place = Folder(production.path, STATE).path / FILE
        raise IntegrityError(
            f"{production.path} was last changed by a promotion from {owner.project.path} that is not in this "
            "project's history: another checkout promotes there, or the history was cut off",
            hint=f"promote from there, or restore .agent-studio/releases/; to begin anew: rm {place}",
        )
