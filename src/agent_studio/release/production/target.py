"""Where production's definitions are: a target of its own, or the checkout that is worked in.

A target is another checkout, whose `.claude/` is switched and which holds production's data and configuration; or a
folder of definitions alone, such as `~/.claude` or a plugin's, and then those stay with the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import Project
from agent_studio.errors import ConfigurationError
from agent_studio.release.content.tree import Tree

if TYPE_CHECKING:
    from agent_studio.environment.config import Config

KEY = "release.target"
IN_PLACE, SEPARATE = "none", "target"
_PLUGIN = ".claude-plugin/plugin.json"


class AbsentTargetError(ConfigurationError):
    """Production is in a folder that this machine does not have."""


class Target(NamedTuple):
    """What promotion changes."""

    tree: Tree
    separation: str
    """`target`, or `none` where one tree is both."""
    absent: str = ""
    """Why it cannot be looked at, for who only looks: the folder is not on this machine."""


def target(project: Project, config: Config, *, looking: bool = False) -> Target:
    """Return the production of a project; raise `ConfigurationError` for a target that is ours, or not as it should be.

    One that is not there is an `AbsentTargetError`, or is said in what is returned to who is only `looking`.
    """
    written = config[KEY]
    if written is None:
        return Target(Tree(project.definitions.resolve(), project.path), IN_PLACE)
    place = Path(os.path.expanduser(str(written)))  # noqa: PTH111 - text of a configuration, `~` alone is replaced
    place = Path(os.path.realpath(place if place.is_absolute() else project.path / place))
    if not place.exists() and looking:
        return Target(Tree(Project(place).definitions, place), SEPARATE, f"the target {place} is not on this machine")
    if not place.is_dir():
        raise AbsentTargetError(
            f"{KEY} is {str(written)!r}, but {place} is no folder",
            hint="make it: agent-studio init --env production --target DIR, or name another",
        )
    if place.name == _PLUGIN.partition("/")[0] and (place.parent / _PLUGIN).is_file():
        raise ConfigurationError(
            f"{KEY} is {str(written)!r}, where a plugin's manifest is: its definitions are beside it",
            hint=f"write {KEY}: {place.parent}",
        )
    inner = Project(place).definitions
    if not is_alone(place) and not inner.is_dir() and (place / ".git").exists():
        raise ConfigurationError(
            f"{KEY} is {str(written)!r}, a repository without {DEFINITIONS}/: its own folders are no definitions",
            hint=f"agent-studio init --env production --target {place}, or restore {inner}",
        )
    alone = is_alone(place) or not inner.is_dir()
    found = Tree(place, None) if alone else Tree(inner.resolve(), place)
    own = project.definitions.resolve()
    if found.definitions == own or own in found.definitions.parents or found.definitions in own.parents:
        raise ConfigurationError(
            f"{KEY} is {str(written)!r}, which is the checkout that is worked in",
            hint="name another checkout or folder, or leave the key out for production in place",
        )
    return Target(found, SEPARATE)


def is_alone(place: Path) -> bool:
    """Tell whether a folder is one of definitions by what it is: a user's or project's `.claude`, or a plugin."""
    return place.name == DEFINITIONS or place.joinpath(*_PLUGIN.split("/")).is_file()
