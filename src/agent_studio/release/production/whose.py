"""Whose production a target is, and how far that project's history had come: no other history speaks for it.

`.agent-studio/production-of` in the target's project. Another checkout that promotes there, or the same one whose
history was cut off, does not have the line that it names.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import STATE, Project
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, UsageError
from agent_studio.release.content.tree import Tree
from agent_studio.storage.chain import Head
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from agent_studio.release.production.history import History

FILE = "production-of"


class DriftError(AgentStudioError):
    """Production is not what its history says."""

    code = "drift"
    exit_code = ExitCode.BUSY


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


def is_production(project: Project) -> bool:
    """Tell whether a project is a target that was noted to be another's production."""
    return Folder(project.path, STATE).has_file(FILE)


def owner(project: Project) -> Project | None:
    """Return the project whose production this one is, None for one of its own or where that one is gone."""
    held = read(project)
    return held.project if held is not None and held.project.path.is_dir() else None


def refuse_production(project: Project) -> None:
    """Raise `UsageError` in a target: its releases are made and kept where it is promoted from."""
    if held := owner(project):
        raise UsageError(
            f"this is the production of {held.path}, and that is where its releases are made and kept",
            hint=f"give the same command there: --project {held.path}",
        )


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


def seen_from(project: Project, tree: Tree) -> dict[str, str | None]:
    """Return where a target is as a history notes it: from the project, so that both can move together."""
    around = None if tree.around is None else os.path.relpath(tree.around, project.path)
    return {"definitions": os.path.relpath(tree.definitions, project.path), "around": around}


def of_history(project: Project, past: History) -> Tree | None:
    """Return the target that a history last had, None before there is one."""
    told = past.target
    if told is None:
        return None
    around = None if told["around"] is None else Path(os.path.realpath(project.path / told["around"]))
    return Tree(Path(os.path.realpath(project.path / told["definitions"])), around)


def refuse_moved(project: Project, tree: Tree, past: History) -> None:
    """Raise `DriftError` where production is no longer the folder that the history speaks of."""
    known, found = past.target, seen_from(project, tree)
    if known is not None and known != found:
        raise DriftError(
            f"the releases so far are in {known['definitions']}, and production is {found['definitions']} now",
            hint="if it was moved on purpose: agent-studio init --env production --target "
            f"{tree.around or tree.definitions}",
        )


def refuse_other(production: Project, project: Project, past: History) -> None:
    """Refuse a target that is another project's, or that was last changed by a history other than this one.

    Raises `UsageError` for the first, `IntegrityError` for the second.
    """
    held = read(production)
    if held is None:
        return
    if not held.head.seq and held.project != project and held.project.path.is_dir():
        raise UsageError(
            f"{production.path} is the production of {held.project.path}",
            hint=f"take it over: agent-studio init --env production --target {production.path}",
        )
    refuse_strange(production, past)


def refuse_strange(production: Project, past: History) -> None:
    """Raise `IntegrityError` where a target was last changed by a history other than this one."""
    held = read(production)
    number = held.head.seq if held else 0
    if held and number and (number > past.head.seq or past.records[number - 1]["_hash"] != held.head.hash):
        place = Folder(production.path, STATE).path / FILE
        raise IntegrityError(
            f"{production.path} was last changed by a promotion from {held.project.path} that is not in this "
            "project's history: another checkout promotes there, or the history was cut off",
            hint=f"promote from there, or restore .agent-studio/releases/; to begin anew: rm {place}",
        )
