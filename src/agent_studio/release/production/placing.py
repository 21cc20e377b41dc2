"""Makes a folder production: a git worktree of this checkout, a checkout that is there, or definitions alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.capture.wiring import json_text, settings
from agent_studio.environment import templates
from agent_studio.environment.config import BASE_FILE, load
from agent_studio.environment.detect import DEFINITIONS, VARIABLE, Environment
from agent_studio.environment.edit import set_value
from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.release.content import git, manifest
from agent_studio.release.content.store import Store
from agent_studio.release.content.tree import Tree
from agent_studio.release.production import history, whose
from agent_studio.release.production.target import KEY, is_alone, target

if TYPE_CHECKING:
    from collections.abc import Iterator


class Placed(NamedTuple):
    """What was made."""

    production: Project
    """The project that holds production's data and configuration."""
    notes: list[str]
    """What was done, in words."""
    owner: Project
    """The project that promotes to it."""
    is_new: bool
    """Whether nothing of anybody's was there before."""


def place(project: Project, written: str) -> Placed:
    """Make a folder production of a project, and note it in both.

    Raises `UsageError` for a folder that cannot be, `GitError` when git refuses; then nothing was configured.
    """
    chosen = Path(os.path.realpath(project.path / Path(written).expanduser()))
    _refuse(project, chosen)
    if is_alone(chosen):
        return _place_alone(project, chosen)
    notes = []
    whose.refuse_strange(Project(chosen), history.read(project))
    is_new = not chosen.exists()
    if is_new:
        git.run(project.path, "worktree", "add", "--detach", str(chosen), "HEAD")
        notes.append(f"made a git worktree of this checkout: {chosen}")
    made = Project(chosen)
    if made.folder.make(DEFINITIONS):
        notes.append(f"created {made.definitions}")
    notes.extend(_set_target(project, chosen))
    notes.extend(_set_environment(made))
    _note(project, Tree(made.definitions.resolve(), chosen))
    return Placed(made, notes, project, is_new)


def _note(project: Project, tree: Tree) -> None:
    """Note whose production a target is, and in a history that knew another where it is now."""
    past = history.read(project)
    told = whose.seen_from(project, tree)
    if past.target is not None and past.target != told:
        history.append(project, {"step": history.TARGET, "id": history.new_id(), "target": told})
        past = history.read(project)
    if tree.around is not None:
        whose.note(Project(tree.around), project, past.head)


def note_baseline(placed: Placed) -> None:
    """Note what a new production holds once it is set up: before the first release, that is nobody's edit."""
    if not placed.is_new or placed.production == placed.owner:
        return
    store, made = Store(placed.owner), placed.production
    with store.bulk():
        content = Tree(made.definitions.resolve(), made.path).read(store.put)
        baseline = store.put(manifest.render(content.entries))
    whose.note(made, placed.owner, history.read(placed.owner).head, baseline)


def _place_alone(project: Project, chosen: Path) -> Placed:
    notes = []
    if not chosen.exists():
        Project(chosen.parent).folder.make(chosen.name)
        notes.append(f"created {chosen}")
    notes.extend(_set_target(project, chosen))
    notes.append(
        f"{chosen} holds definitions alone: production's data and configuration stay in {project.path}. The first "
        "promotion replaces all agents, skills, commands, hooks, settings.json and CLAUDE.md there by the candidate's"
    )
    _note(project, Tree(chosen, None))
    return Placed(project, notes, project, is_new=False)


def _refuse(project: Project, chosen: Path) -> None:
    own = project.path
    if chosen == own or chosen in own.parents or own in chosen.parents:
        raise UsageError(
            f"{chosen} is, holds or lies in the checkout that is worked in", hint="name a folder beside it"
        )
    if chosen.exists() and not chosen.is_dir():
        raise UsageError(f"{chosen} is a file", hint="name a folder")
    is_known = is_alone(chosen) or Project(chosen).definitions.is_dir()
    if chosen.is_dir() and any(chosen.iterdir()) and not is_known:
        raise UsageError(
            f"{chosen} is there and has no {DEFINITIONS}/",
            hint=f"name a checkout of this project, a folder to be made, ~/{DEFINITIONS} or a plugin's folder",
        )


def _set_target(project: Project, chosen: Path) -> Iterator[str]:
    name = project.shown(BASE_FILE)
    own = Path(os.path.realpath(Path.home())) / chosen.name  # `~/.claude` is everybody's own
    relative = f"~/{chosen.name}" if is_alone(chosen) and chosen == own else os.path.relpath(chosen, project.path)
    written = relative.replace(os.sep, "/")
    try:
        old = project.folder.read(name).decode()
    except FileNotFoundError:
        old = templates.BASE
    project.folder.replace(name, set_value(old, KEY, written, file=name).encode())
    target(project, load(project, Environment.PRODUCTION, {}))
    yield f"{KEY} is {written} in {name}"


def _set_environment(made: Project) -> Iterator[str]:
    """Let the client and its hooks know there that they are in production."""
    found = settings.read(made, settings.LOCAL)
    env = dict(found.value.get("env") or {})
    if env.get(VARIABLE) == Environment.PRODUCTION:
        return
    env[VARIABLE] = str(Environment.PRODUCTION)
    text = "{}\n" if found.text is None else found.text
    edit = json_text.replaced(text, ("env",), env) if "env" in found.value else json_text.with_member(text, "env", env)
    made.folder.replace(made.shown(settings.LOCAL), edit.encode())
    yield f"{VARIABLE} is {Environment.PRODUCTION} in {made.definition(settings.LOCAL)}"
