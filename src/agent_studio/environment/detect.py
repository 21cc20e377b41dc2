"""Which environment and which project a command acts on; both fail closed."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "AGENT_STUDIO_ENV"
PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
DEFINITIONS = ".claude"


class Environment(StrEnum):
    """The three environments of a project."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class Choice(NamedTuple):
    """The chosen environment and what chose it."""

    environment: Environment
    source: str
    """`--env`, `AGENT_STUDIO_ENV`, or `default`."""


def choose_environment(option: str | None, variables: Mapping[str, str]) -> Choice:
    """Choose from `--env` and `AGENT_STUDIO_ENV`; raise `UsageError` when unknown, empty or in disagreement.

    `NODE_ENV` is never read.
    """
    variable = variables.get(VARIABLE)
    from_option = None if option is None else _parse(option, "--env")
    from_variable = None if variable is None else _parse(variable, VARIABLE)
    if from_option and from_variable and from_option != from_variable:
        raise UsageError(
            f"--env says {from_option} but {VARIABLE} says {from_variable}",
            hint=f"drop one of them, or make both say {from_option} or {from_variable}",
        )
    if from_option:
        return Choice(from_option, "--env")
    if from_variable:
        return Choice(from_variable, VARIABLE)
    return Choice(Environment.DEVELOPMENT, "default")


def _parse(text: str, source: str) -> Environment:
    name = text.strip().lower()
    if not name:
        raise UsageError(
            f"{source} is set but empty",
            hint=f"unset it, or set it to one of: {', '.join(Environment)}",
        )
    try:
        return Environment(name)
    except ValueError:
        short = [environment for environment in Environment if environment.startswith(name)]
        raise UsageError(
            f"{source} names an unknown environment: {text!r}",
            hint=did_you_mean(short[0] if len(short) == 1 else name, Environment),
        ) from None


class ProjectChoice(NamedTuple):
    """The chosen project folder and what chose it."""

    path: Path
    source: str
    """`--project`, `CLAUDE_PROJECT_DIR`, or `working folder`."""


def choose_project(option: str | None, variables: Mapping[str, str], working: Path) -> ProjectChoice:
    """Return the folder that holds `.claude/`: named, or the nearest upward; raise `UsageError` when none does.

    The home folder's `.claude` is the client's own and is only taken when named by `--project`.
    """
    if option is not None:
        return ProjectChoice(_named_project(option, "--project", working), "--project")
    home = _home()
    if (variable := variables.get(PROJECT_VARIABLE)) is not None:
        path = _named_project(variable, PROJECT_VARIABLE, working)
        if path == home:
            raise UsageError(
                f"{PROJECT_VARIABLE} names the home folder, whose {DEFINITIONS} is the client's own",
                hint=f"go to a project, or insist: --project {path}",
            )
        return ProjectChoice(path, PROJECT_VARIABLE)
    here = Path(os.path.realpath(working))
    for folder in (here, *here.parents):
        if folder != home and _holds_definitions(folder):
            return ProjectChoice(folder, "working folder")
    raise UsageError(
        f"no {DEFINITIONS}/ folder in {here} or any folder above it",
        hint=f"go to a project that has one, name it with --project DIR, or create it: mkdir {DEFINITIONS}",
    )


def _home() -> Path | None:
    try:
        return Path(os.path.realpath(Path.home()))
    except RuntimeError:  # a user without an entry and without HOME, as in some containers
        return None


def _holds_definitions(folder: Path) -> bool:
    return os.path.isdir(folder / DEFINITIONS)  # noqa: PTH112 - Path.is_dir raises where nothing may be looked at


def _named_project(value: str, source: str, working: Path) -> Path:
    if not value.strip():
        raise UsageError(f"{source} is set but empty", hint=f"unset it, or name the folder that holds {DEFINITIONS}/")
    if "\x00" in value:
        raise UsageError(f"{source} names a path with a NUL character", hint="name an existing folder")
    path = Path(os.path.realpath(working / value))
    if not os.path.isdir(path):  # noqa: PTH112 - as above
        raise UsageError(f"{source} names {value!r}, which is not a folder", hint="name an existing folder")
    if _holds_definitions(path):
        return path
    if path.name == DEFINITIONS:
        raise UsageError(
            f"{source} names the {DEFINITIONS} folder itself",
            hint=f"name the folder that holds it: {path.parent}",
        )
    raise UsageError(
        f"{source} names {path}, which has no {DEFINITIONS}/ folder", hint=f"create it: mkdir {path / DEFINITIONS}"
    )
