"""Where everything of a project lies. `EnvironmentRoot` is the one door to an environment's data.

No other module joins a path below `.claude/`: isolation is this module and `storage.folder` to prove.
"""

from __future__ import annotations

import itertools
import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import DEFINITIONS, Environment
from agent_studio.environment.schema import KINDS
from agent_studio.errors import ConfigurationError, UnsafePathError
from agent_studio.storage import names
from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.folder import Folder, disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

STATE = ".agent-studio"
STAGING_ROOT = f"{DEFINITIONS}/staging"
SHARED_ROOT = DEFINITIONS
DEFINITION_FOLDERS = (
    "agents", "commands", "hooks", "methods", "output-styles", "plugins", "rules", "skills", "teams", "workflows",
)  # fmt: skip

LOGS: Mapping[str, tuple[str, ...]] = {
    "metrics": ("hooks.jsonl", "agents.jsonl", "errors.jsonl", "llm-usage.log"),
    "sessions": ("session-log.jsonl",),
}
MEMORY_FILES = ("learnings.md", "decisions.md", "issues.md")
INDEX_FILE = "knowledge-base-index.csv"
EVOLUTION_FILE = "evolution-state.json"

_ORIGINAL_FILES: Mapping[tuple[str, str], str] = {
    ("metrics", "llm-usage.log"): "context/metrics/cost-log.jsonl",
    ("knowledge", INDEX_FILE): f"context/artifacts/{INDEX_FILE}",
    **{("memory", name): f"context/memory/{name}" for name in MEMORY_FILES},
}
"""Where the original Agent Studio keeps what we call by another name, below `.claude/`."""
ORIGINAL_METRICS = ("context/metrics/hook-metrics.jsonl", "context/metrics/error-metrics.jsonl")
"""What it keeps there and nothing of ours reads: its records name no environment, and its times are those of tools."""
ORIGINAL_MEMORY = "context/memory"


class Project(NamedTuple):
    """A folder that holds `.claude/`."""

    path: Path
    """Absolute and free of links."""

    @property
    def definitions(self) -> Path:
        """The `.claude` folder: agents, skills and the like, read only by us."""
        return self.path / DEFINITIONS

    def definition(self, name: str) -> Path:
        """Return the path of something in `.claude/`, for reading definitions and for messages."""
        return self.definitions / name

    @property
    def folder(self) -> Folder:
        """The project's root as a door; what is written through it belongs to the repository."""
        return Folder(self.path, shared=True)

    @staticmethod
    def shown(name: str) -> str:
        """Return how a file of `.claude/` is named in messages."""
        return f"{DEFINITIONS}/{name}"

    def read_definition(self, name: str) -> bytes:
        """Return the bytes of a file in `.claude/`; links are followed, anything but a file is refused."""
        place = self.definitions.joinpath(*names.split(name))
        with disk_faults(place):
            descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(f"{self.shown(name)} is not a file", hint="move it away")
            with disk_faults(place):
                return b"".join(read_chunks(descriptor))
        finally:
            os.close(descriptor)

    def state(self, environment: Environment) -> Folder:
        """Return the door to what is derived or kept per environment, `.agent-studio/<environment>/`."""
        return Folder(self.path, f"{STATE}/{environment}")


class EnvironmentRoot:
    """The data folders of one environment; every path handed in is checked before it is used."""

    def __init__(self, project: Project, environment: Environment, root: str, kinds: Mapping[str, str]) -> None:
        self.project = project
        self.environment = environment
        self.root = root
        self.kinds = kinds

    @property
    def path(self) -> Path:
        """The data root, for messages."""
        return self.project.path.joinpath(*self.root.split("/"))

    @property
    def state(self) -> Folder:
        """What is derived from the data or kept about it, outside the data root."""
        return self.project.state(self.environment)

    def folder(self, kind: str) -> Folder:
        """Return the door to one kind of data: knowledge, metrics, memory, agents, sessions or context."""
        return Folder(self.project.path, self.kinds[kind])

    def original(self, kind: str, name: str, *, beside: bool = False) -> tuple[Folder, str] | None:
        """Return folder and name of a file as the original keeps it, or None; only while we lack ours, or `beside` it.

        A root of its own has no such past: what lies in `.claude/` is not this environment's.
        """
        place = self.original_name(kind, name)
        if place is None or self.root != SHARED_ROOT or (not beside and self.folder(kind).status(name)):
            return None
        parent, _, last = f"{SHARED_ROOT}/{place}".rpartition("/")
        folder = Folder(self.project.path, parent)
        return (folder, last) if folder.status(last) else None

    def original_memory(self) -> Folder | None:
        """Return where the original keeps its memory, or None: it has none, or this environment a root of its own."""
        folder = Folder(self.project.path, f"{SHARED_ROOT}/{ORIGINAL_MEMORY}")
        return folder if self.root == SHARED_ROOT and folder.has_folder() else None

    @staticmethod
    def original_name(kind: str, name: str) -> str | None:
        """Return the original's path of a file, below `.claude/`."""
        return _ORIGINAL_FILES.get((kind, name))

    def reads(self, kind: str, name: str) -> tuple[Folder, str]:
        """Return folder and name a file is read from: ours, or the original's when only that is there."""
        return self.original(kind, name) or (self.folder(kind), name)


def environment_root(project: Project, environment: Environment, values: Mapping[str, object]) -> EnvironmentRoot:
    """Return an environment's root as its configuration places it.

    `values` holds `paths.<kind>` and `environments.development.root`, project-relative or None.
    Raises `ConfigurationError` for a folder outside the project or among what is not this environment's.
    """
    root = _root(environment, values.get("environments.development.root"))
    kinds = {}
    for kind in KINDS:
        key, written = f"paths.{kind}", values.get(f"paths.{kind}")
        kinds[kind] = f"{root}/{_default_folder(kind, root)}" if written is None else _written(key, written)
        _check_place(key, kinds[kind], environment, root)
    own = EnvironmentRoot(project, environment, root, kinds)
    _refuse_shared(own, own, itertools.combinations(kinds.items(), 2))
    return own


def _root(environment: Environment, development_root: object) -> str:
    if environment is Environment.STAGING:
        return STAGING_ROOT
    if environment is Environment.PRODUCTION or development_root is None:
        return SHARED_ROOT
    key = "environments.development.root"
    root = _written(key, development_root)
    _check_place(key, root, environment, root)
    if overlap(root, STATE):
        raise _misplaced(key, root, "where the state of all environments is kept", f"use {DEFINITIONS}/development")
    return root


def _default_folder(kind: str, root: str) -> str:
    """Sidecars lie in `agents/`, except beside the definitions, where `agents/` holds those."""
    return "agent-memory" if kind == "agents" and root == SHARED_ROOT else kind


def _written(key: str, value: object) -> str:
    """Return a folder as written, one `/` at its end dropped, if it is a plain path inside the project."""
    place = str(value).removesuffix("/")
    try:
        if not names.split(place):
            raise _misplaced(key, str(value), "which names no folder", f"name one, such as {DEFINITIONS}/metrics")
    except UnsafePathError as error:
        raise ConfigurationError(f"{key}: {error.message}", hint="name a folder inside the project") from error
    return place


@lru_cache(maxsize=256)
def _check_place(key: str, place: str, environment: Environment, root: str) -> None:
    staging, shared = environment is Environment.STAGING, root == SHARED_ROOT
    definitions = [f"{DEFINITIONS}/{name}" for name in DEFINITION_FOLDERS]
    rules = (
        (_passes(place, ".git"), "which is the history of a repository"),
        (any(overlap(place, folder) for folder in definitions), "which holds definitions, not data"),
        (_within(place, STATE) and not _within(place, f"{STATE}/{environment}"), f"which is not {environment}'s"),
        (not staging and overlap(place, STAGING_ROOT), "which is staging's"),
        (
            not shared and _within(place, DEFINITIONS) and not _within(place, root),
            f"which is not {environment}'s: its data below {DEFINITIONS}/ is in {root}/",
        ),
    )
    for broken, reason in rules:
        if broken:
            raise _misplaced(key, place, reason, f"use a folder in {root}/ or outside {DEFINITIONS}/")


def _misplaced(key: str, place: str, reason: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{key} is {place!r}, {reason}", hint=hint)


def refuse_overlap(own: EnvironmentRoot, others: Iterable[EnvironmentRoot]) -> None:
    """Raise `ConfigurationError` when two environments would share a data folder.

    Two that share their root, as development and production do by default, may share a folder of the same kind.
    """
    for other in others:
        if own.environment != other.environment:
            pairs = itertools.product(own.kinds.items(), other.kinds.items())
            shared = own.root == other.root
            _refuse_shared(own, other, (pair for pair in pairs if not (shared and pair[0] == pair[1])))


def _refuse_shared(
    own: EnvironmentRoot, other: EnvironmentRoot, pairs: Iterable[tuple[tuple[str, str], tuple[str, str]]]
) -> None:
    for (kind, place), (other_kind, other_place) in pairs:
        if overlap(place, other_place):
            raise ConfigurationError(
                f"paths.{kind} of {own.environment} ({place}) overlaps "
                f"paths.{other_kind} of {other.environment} ({other_place})",
                hint="give each kind of data of each environment a folder of its own",
            )


def overlap(one: str, other: str) -> bool:
    """Tell whether one project-relative folder is, holds or lies in the other, as any file system compares."""
    return _within(one, other) or _within(other, one)


def _within(place: str, folder: str) -> bool:
    parts, outer = _compared(place), _compared(folder)
    return parts[: len(outer)] == outer


def _passes(place: str, name: str) -> bool:
    return names.collision_key(name) in _compared(place)


@lru_cache(maxsize=256)
def _compared(place: str) -> tuple[str, ...]:
    return tuple(names.collision_key(part) for part in place.split("/") if part)
