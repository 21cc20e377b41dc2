"""What a run may reach: paths that are hidden, read-only and writable for one environment of one project.

The deepest path decides, and what no path names is as the user's own rights have it. All paths exist and are free of
links, so that a backend can name them to the kernel. Nothing here changes anything.
"""

from __future__ import annotations

import os
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.config import inspect
from agent_studio.environment.context import other_roots
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import (
    DEFINITION_FOLDERS,
    SHARED_ROOT,
    STAGING_ROOT,
    STATE,
    Project,
    environment_root,
)
from agent_studio.errors import AgentStudioError, ConfigurationError
from agent_studio.isolation import mounts, places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

COPY = "copy"
SOURCES = ("writable", "readonly", COPY)
KEPT_STATE = ("evidence", "burnin", "checkpoints", "backups", "copies")
KEPT_FILES = ("checkpoints.jsonl",)
"""Of the environment's own state: what others rely on, and a run must not rewrite."""
SHARED_STATE = ("bin", "routes")
"""Of the state of all environments: what the recorder needs."""
_PACKAGE = Path(__file__).resolve().parents[1]


class Access(IntEnum):
    """What may be done with a path and all below it, weakest first."""

    HIDDEN = 0
    READ = 1
    WRITE = 2


class Policy(NamedTuple):
    """Which paths a run may reach."""

    hidden: tuple[Path, ...]
    readonly: tuple[Path, ...]
    writable: tuple[Path, ...]
    """Exceptions inside the other two."""
    source: str
    """`writable`, `readonly` or `copy`: what happens to the project's own files."""
    project: Path
    separation: str
    """`kept`, or `none` when another environment has its data in the same folders."""
    projects: tuple[Path, ...]
    """Folders of the projects whose data and definitions are protected, this one first."""
    guarded: frozenset[Path] = frozenset()
    """Of `readonly`: what is worth keeping, but not at the price of its folder's use."""
    doors: frozenset[Path] = frozenset()
    """Of `hidden`: sockets, and folders of sockets."""
    warnings: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    """What may be reached where a backend allows domains only."""
    state: Path = Path()
    """The folder of the environment's own state."""

    def rules(self) -> dict[Path, Access]:
        """Return every path with its access; where a path is named twice, the stricter one."""
        found: dict[Path, Access] = {}
        for access, paths in (
            (Access.WRITE, self.writable),
            (Access.READ, self.readonly),
            (Access.HIDDEN, self.hidden),
        ):
            found.update(dict.fromkeys(paths, access))
        return found

    def access(self, path: Path) -> Access:
        """Return what may be done with a path, links resolved."""
        rules = self.rules()
        real = Path(os.path.realpath(path))
        return next((rules[place] for place in (real, *real.parents) if place in rules), Access.WRITE)


class _Draft:
    """Paths as they are collected."""

    def __init__(self) -> None:
        self.rules: dict[Path, Access] = {}
        self.guarded: set[Path] = set()
        self.projects: list[Path] = []
        self.warnings: list[str] = []

    def add(self, access: Access, path: Path, *, guarded: bool = False) -> None:
        """Add a path that is there, as the disk knows it; the stricter one of two that are the same wins."""
        real = Path(os.path.realpath(path))
        if real == Path("/") or not os.path.lexists(real):
            return
        if real not in self.rules or access < self.rules[real]:
            self.rules[real] = access
            (self.guarded.add if guarded else self.guarded.discard)(real)

    def add_system(self, path: Path) -> None:
        """Add a path of the system's, unless it lies in another one."""
        real = Path(os.path.realpath(path))
        if not any(parent in self.rules for parent in real.parents):
            self.add(Access.READ, real)

    def of(self, access: Access) -> tuple[Path, ...]:
        """Return the paths of one kind, without those that lie in another of the same kind; read-only ones all."""
        found = sorted(path for path, its in self.rules.items() if its is access)
        return tuple(path for path in found if access is Access.READ or self._around(path) is not access)

    def _around(self, path: Path) -> Access:
        return next((self.rules[parent] for parent in path.parents if parent in self.rules), Access.WRITE)


def policy(context: Context, variables: Mapping[str, str], table: bytes | None = None) -> Policy:
    """Work out the policy of one run; raise `ConfigurationError` when `isolation.source` is wrong.

    `table` is what the system says of its mounts.
    """
    source = source_of(context)
    draft = _Draft()
    shared = _project(draft, context, source)
    _target(draft, context)
    for outer in _enclosing(context.project.path, places.homes(variables)):
        _foreign_project(draft, Project(outer), other_roots_of(Project(outer), None), but=None, whole=False)
    _user(draft, variables)
    mounted = mounts.parse(mounts.read() if table is None else table)
    for path, other in mounts.aliases(list(draft.rules), mounted):
        draft.add(draft.rules[path], other)
        draft.warnings.append(f"{path} is mounted at {other} as well, and protected there")
    for system in places.SYSTEM:
        draft.add_system(Path(system))
    if not _PACKAGE.is_relative_to(context.project.path):
        draft.add(Access.READ, _PACKAGE, guarded=True)
    hidden = draft.of(Access.HIDDEN)
    doors = frozenset(Path(os.path.realpath(door)) for door in places.doors(variables)) & frozenset(hidden)
    return Policy(
        hidden, draft.of(Access.READ), draft.of(Access.WRITE), source, context.project.path,
        "none" if shared else "kept", tuple(draft.projects), frozenset(draft.guarded), doors, tuple(draft.warnings),
        tuple(context.config["isolation.domains"]), context.root.state.path,
    )  # fmt: skip


def make_kept(state: Folder) -> None:
    """Make what a run must not rewrite, where it is missing: what is not there, a run could write first."""
    for name in KEPT_STATE:
        state.make(name)
    for name in KEPT_FILES:
        state.create(name, b"")


def source_of(context: Context) -> str:
    """Return what happens to the project's own files; raise `ConfigurationError` for another word."""
    source = context.config["isolation.source"]
    if source not in SOURCES:
        raise ConfigurationError(f"isolation.source is {source!r}", hint=f"write one of: {', '.join(SOURCES)}")
    return str(source)


def _project(draft: _Draft, context: Context, source: str) -> list[Environment]:
    """Add what belongs to the project itself; return the environments that share our data folders."""
    project, own = context.project, context.root
    draft.projects.append(project.path)
    others = other_roots(project, context.environment)
    shared = [other.environment for other in others if set(other.kinds.values()) & set(own.kinds.values())]
    if source != "writable":
        draft.add(Access.READ, project.path)
    draft.add(Access.READ, project.definitions)
    draft.add(Access.READ, project.path / "CLAUDE.md")
    for linked in _links(project.definitions):
        draft.add(Access.READ, linked)
    for name in places.STARTED_IN_PROJECT:
        draft.add(Access.READ, project.path / name, guarded=True)
    _git(draft, project.path)
    for other in others:
        _hide_data(draft, other, but=own)
    for place in {own.root, *own.kinds.values()} - {other.root for other in others}:
        draft.add(Access.WRITE, project.path / place)
    _state(draft, project, context.environment)
    if shared:
        names = " and ".join(shared)
        draft.warnings.append(
            f"{context.environment} and {names} have their data in the same folders: nothing separates them"
        )
    return shared


def _hide_data(draft: _Draft, other: EnvironmentRoot, *, but: EnvironmentRoot | None) -> None:
    """Hide the data folders of an environment, and its root where it has one of its own."""
    kept = set(but.kinds.values()) | {but.root} if but else set()
    places_ = set(other.kinds.values())
    if other.root == STAGING_ROOT or other.environment is Environment.DEVELOPMENT:
        places_ |= {other.root}
    for place in places_ - kept:
        path = other.project.path / place
        if place != SHARED_ROOT:
            draft.add(Access.HIDDEN, path)
            if not path.exists() and not path.is_relative_to(other.project.definitions):
                draft.warnings.append(
                    f"{path} of {other.environment} is not there yet: what is written there is not hidden"
                )


def _state(draft: _Draft, project: Project, environment: Environment) -> None:
    state = project.path / STATE
    draft.add(Access.HIDDEN, state)
    for name in SHARED_STATE:
        draft.add(Access.READ, state / name)
    draft.add(Access.WRITE, state / environment)
    for name in (*KEPT_STATE, *KEPT_FILES):
        draft.add(Access.READ, state / environment / name)


def _git(draft: _Draft, project: Path) -> None:
    """Add hooks and configuration of the repository around a project, wherever it keeps them."""
    folder = next((folder for folder in (project, *project.parents) if os.path.lexists(folder / ".git")), None)
    if folder is None:
        return
    pointer = folder / ".git"
    inner = whole = pointer
    if pointer.is_file():  # a worktree or a submodule
        draft.add(Access.READ, pointer, guarded=True)
        inner = Path(os.path.realpath(folder / _first_line(pointer).removeprefix("gitdir:").strip()))
        whole = Path(os.path.realpath(inner / _first_line(inner / "commondir")))
    for place in (whole / "hooks", whole / "config", inner / "config.worktree"):
        draft.add(Access.READ, place, guarded=True)


def _first_line(file: Path) -> str:
    try:
        return file.read_text("utf-8", "surrogateescape").partition("\n")[0]
    except OSError:
        return ""


def target_of(context: Context) -> Path | None:
    """Return the folder that holds production's definitions when it is another than the project, as configured."""
    written = context.config["release.target"]
    if not written:
        return None
    target = Path(os.path.realpath(context.project.path / Path(str(written)).expanduser()))
    return None if target in {context.project.path, Path(os.path.realpath(context.project.definitions))} else target


def _target(draft: _Draft, context: Context) -> None:
    target = target_of(context)
    if target is None:
        return
    if not target.is_dir():
        draft.warnings.append(f"release.target {target} is not a folder: production's definitions are not protected")
        return
    inner = Project(target)
    draft.projects.append(target)
    if not inner.definitions.is_dir():  # a definitions folder itself
        draft.add(Access.READ, target)
        return
    of_home = target in context.project.path.parents or target in places.homes(os.environ)
    roots = other_roots_of(inner, None)
    own = next((root for root in roots if root.environment is context.environment is Environment.PRODUCTION), None)
    _foreign_project(draft, inner, [root for root in roots if root is not own], but=own, whole=not of_home)


def _links(definitions: Path) -> Iterator[Path]:
    """Yield what links among the definitions lead to: it is a definition wherever it lies."""
    with os.scandir(definitions) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_symlink())
    for name in DEFINITION_FOLDERS:
        for folder, folders, files in os.walk(definitions / name):
            inner = (Path(folder, name) for name in (*folders, *files))
            yield from (path for path in inner if path.is_symlink())


def other_roots_of(project: Project, own: Environment | None) -> list[EnvironmentRoot]:
    """Return the roots of another project, but for `own`; a damaged configuration counts as none."""
    found = []
    for environment in (environment for environment in Environment if environment is not own):
        try:
            found.append(environment_root(project, environment, inspect(project, environment, {})[0].values()))
        except AgentStudioError:
            found.append(environment_root(project, environment, {}))
    return found


def _foreign_project(
    draft: _Draft, project: Project, roots: Iterable[EnvironmentRoot], *, but: EnvironmentRoot | None, whole: bool
) -> None:
    """Protect a project that is not the run's: its definitions are read-only, its data and state hidden."""
    draft.add(Access.READ, project.path if whole else project.definitions)
    draft.add(Access.READ, project.definitions)
    for root in roots:
        _hide_data(draft, root, but=but)
    draft.add(Access.HIDDEN, project.path / STATE)


def _enclosing(path: Path, homes: Iterable[Path]) -> Iterator[Path]:
    """Yield the projects around a project; a home folder's `.claude` is the client's own."""
    for folder in path.parents:
        if folder not in homes and Project(folder).definitions.is_dir():
            yield folder


def _user(draft: _Draft, variables: Mapping[str, str]) -> None:
    """Add what is the user's: keys and doors hidden, what starts code later read-only, as is what the client obeys."""
    for home in places.homes(variables):
        for name in places.KEYS:
            draft.add(Access.HIDDEN, home / name)
        for name in places.STARTED_LATER:
            draft.add(Access.READ, home / name, guarded=True)
        for folder in {places.client_folder(variables, home), Project(home).definitions}:
            for name in places.CLIENT_DEFINITIONS:
                draft.add(Access.READ, folder / name)
    for door in places.doors(variables):
        draft.add(Access.HIDDEN, door)
