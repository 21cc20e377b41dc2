"""What a run may reach: paths that are hidden, read-only and writable for one environment of one project.

The deepest path decides, and what no path names is as the user's own rights have it. All paths exist and are free of
links, so that a backend can name them to the kernel. Nothing here changes anything.
"""

from __future__ import annotations

import os
import sys
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
from agent_studio.errors import AgentStudioError, UnsafePathError
from agent_studio.isolation import mounts, places, repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

COPY = "copy"
WRITTEN_STATE, WRITTEN_FILE = ("run", "probe"), "log.jsonl"
"""Of the environment's own state: what is written inside of a run. Others rely on the rest: it is read-only."""
EVIDENCE = "evidence"
"""Of the rest: what is kept of proofs."""
SHARED_STATE = ("bin", "routes")
"""Of the state of all environments: what the recorder needs."""
_PACKAGE = Path(__file__).resolve().parents[1]
_PACKAGES = frozenset(("site-packages", "dist-packages"))


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
    closed: frozenset[Path] = frozenset()
    """Read-only folders of which only that may be seen which is there at the start: hidden data may come later."""
    absent: tuple[tuple[Path, bytes | None], ...] = ()
    """What must not be made, with what may stand there meanwhile without harm; None: an empty folder."""

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
        self.closed: set[Path] = set()
        self.projects: list[Path] = []
        self.warnings: list[str] = []

    def add(self, access: Access, path: Path, *, guarded: bool = False) -> None:
        """Add a path that is there, as the disk knows it; the stricter one of two that are the same wins."""
        if not os.path.lexists(path):  # as most of what is named
            return
        real = Path(os.path.realpath(path))
        if real == Path("/") or not os.path.lexists(real) or real.is_symlink():  # a link to itself leads nowhere
            return
        if real not in self.rules or access < self.rules[real]:
            self.rules[real] = access
            (self.guarded.add if guarded else self.guarded.discard)(real)

    def add_own(self, path: Path) -> None:
        """Add a path that may be written to; where a link leads is not this environment's.

        Raises `UnsafePathError`.
        """
        real = Path(os.path.realpath(path))
        if os.path.lexists(path) and real != path:
            raise UnsafePathError(
                f"{path} leads to {real}: nothing was started", hint="put a folder there instead of the link"
            )
        self.add(Access.WRITE, path)

    def close(self, folder: Path, inner: Path) -> None:
        """Let nothing appear in a folder, nor in those that lead to something inside it that is not there yet."""
        real = Path(os.path.realpath(folder))
        self.closed.update(
            place for place in (real, *inner.parents) if place.is_relative_to(real) and place.is_dir()
        )  # fmt: skip

    def add_system(self, path: Path) -> None:
        """Add a path of the system's, unless it lies in another one."""
        real = Path(os.path.realpath(path))
        if not any(parent in self.rules for parent in real.parents):
            self.add(Access.READ, real)

    def of(self, access: Access) -> tuple[Path, ...]:
        """Return the paths of one kind, without those that lie in another of the same kind; read-only ones all."""
        found = sorted(path for path, its in self.rules.items() if its is access)
        return tuple(path for path in found if access is Access.READ or self.around(path) is not access)

    def around(self, path: Path) -> Access:
        """Return what may be done with the folder that holds a path."""
        return next((self.rules[parent] for parent in path.parents if parent in self.rules), Access.WRITE)


def policy(
    context: Context, variables: Mapping[str, str], table: bytes | None = None, *, is_client: bool = False
) -> Policy:
    """Work out the policy of one run.

    `table` is what the system says of its mounts; the client may make files of its own in its folder, others may not.
    Raises `UnsafePathError` when a folder of the environment's leads elsewhere.
    """
    source = str(context.config["isolation.source"])
    draft = _Draft()
    git = repository.started(context.project.path)
    shared = _project(draft, context, source, git)
    _target(draft, context, variables)
    for outer in _enclosing(context.project.path, places.homes(variables)):
        _foreign_project(draft, Project(outer), other_roots_of(Project(outer), None), but=None, whole=False)
    _user(draft, variables, context.project.path, is_client=is_client)
    mounted = mounts.parse(mounts.read() if table is None else table)
    for path, other in mounts.aliases(list(draft.rules), mounted):
        draft.add(draft.rules[path], other)
        draft.warnings.append(f"{path} is mounted at {other} as well, and protected there")
    for system in places.SYSTEM:
        draft.add_system(Path(system))
    _program(draft, context.project.path, places.homes(variables))
    hidden = draft.of(Access.HIDDEN)
    doors = frozenset(Path(os.path.realpath(door)) for door in places.doors(variables)) & frozenset(hidden)
    return Policy(
        hidden, draft.of(Access.READ), draft.of(Access.WRITE), source, context.project.path,
        "none" if shared else "kept", tuple(draft.projects), frozenset(draft.guarded), doors, tuple(draft.warnings),
        tuple(context.config["isolation.domains"]), context.root.state.path, frozenset(draft.closed), git.absent,
    )  # fmt: skip


def make_written(state: Folder) -> None:
    """Make what is written inside of a run, and where its proof is kept, while nothing can be missed yet."""
    for name in (*WRITTEN_STATE, EVIDENCE):
        state.make(name)
    state.create(WRITTEN_FILE, b"")


def _project(draft: _Draft, context: Context, source: str, git: repository.Started) -> list[Environment]:
    """Add what belongs to the project itself; return the environments that share our data folders."""
    project, own = context.project, context.root
    draft.projects.append(project.path)
    others = other_roots(project, context.environment)
    shared = [other.environment for other in others if set(other.kinds.values()) & set(own.kinds.values())]
    if source != "writable":
        draft.add(Access.READ, project.path)
    _definitions(draft, project)
    draft.add(Access.READ, project.path / "CLAUDE.md")
    for linked in _links(project.definitions):
        draft.add(Access.READ, linked)
    for name in places.STARTED_IN_PROJECT:
        draft.add(Access.READ, project.path / name, guarded=True)
    for path in git.there:
        draft.add(Access.READ, path, guarded=True)
    for other in others:
        _hide_data(draft, other, but=own)
    _variables(draft, project.path, context.environment)
    for place in _own_places(own, others):
        draft.add_own(project.path / place)
    _state(draft, project, context.environment)
    if shared:
        names = " and ".join(shared)
        draft.warnings.append(
            f"{context.environment} and {names} have their data in the same folders: nothing separates them"
        )
    return shared


def _definitions(draft: _Draft, project: Project) -> None:
    draft.add(Access.READ, project.definitions)
    draft.close(project.definitions, project.definitions)


def _own_places(own: EnvironmentRoot, others: Iterable[EnvironmentRoot]) -> set[str]:
    """Return what an environment may write to; what lies in its own root needs no word of its own."""
    kinds = set(own.kinds.values())
    if own.root == SHARED_ROOT or own.root in {other.root for other in others}:
        return kinds
    return {own.root, *(kind for kind in kinds if not kind.startswith(f"{own.root}/"))}


def _variables(draft: _Draft, project: Path, environment: Environment) -> None:
    """Hide files with variables of other environments, but for those that git tracks: it would miss them."""
    found = list(places.environment_files(project, environment))
    tracked = repository.tracked(project, *(path.name for path in found)) if found else set()
    for path in found:
        if path.name in tracked:
            draft.warnings.append(f"{path.name} can be read: git tracks it")
        else:
            draft.add(Access.HIDDEN, path)


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
            draft.close(other.project.definitions, path)
            if not path.exists() and not path.is_relative_to(other.project.definitions):
                draft.warnings.append(
                    f"{path} of {other.environment} is not there yet: what is written there is not hidden"
                )


def _state(draft: _Draft, project: Project, environment: Environment) -> None:
    state = project.path / STATE
    draft.add(Access.HIDDEN, state)
    for name in SHARED_STATE:
        draft.add(Access.READ, state / name)
    draft.add(Access.READ, state / environment)
    for name in (*WRITTEN_STATE, WRITTEN_FILE):
        draft.add_own(state / environment / name)


def target_of(context: Context) -> Path | None:
    """Return the folder that holds production's definitions when it is another than the project, as configured."""
    written = context.config["release.target"]
    if not written:
        return None
    target = Path(os.path.realpath(context.project.path / Path(str(written)).expanduser()))
    return None if target in {context.project.path, Path(os.path.realpath(context.project.definitions))} else target


def _target(draft: _Draft, context: Context, variables: Mapping[str, str]) -> None:
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
    of_home = target in context.project.path.parents or target in places.homes(variables)
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
    _definitions(draft, project)
    for root in roots:
        _hide_data(draft, root, but=but)
    draft.add(Access.HIDDEN, project.path / STATE)


def _enclosing(path: Path, homes: Iterable[Path]) -> Iterator[Path]:
    """Yield the projects around a project; a home folder's `.claude` is the client's own."""
    for folder in path.parents:
        if folder not in homes and Project(folder).definitions.is_dir():
            yield folder


def _user(draft: _Draft, variables: Mapping[str, str], project: Path, *, is_client: bool) -> None:
    """Add what is the user's: keys and doors hidden, what starts code later read-only, as is what the client obeys."""
    for home in places.homes(variables):
        for path in places.keys(home):
            draft.add(Access.HIDDEN, path)
        for path in places.started_later(variables, home, project):
            draft.add(Access.READ, path, guarded=True)
        for folder in {places.client_folder(variables, home), Project(home).definitions}:
            for name in places.CLIENT_DEFINITIONS:
                draft.add(Access.READ, folder / name)
            if not is_client:
                _closed_to_new(draft, Path(os.path.realpath(folder)))
    for door in places.doors(variables):
        draft.add(Access.HIDDEN, door)


def _closed_to_new(draft: _Draft, folder: Path) -> None:
    """Let what is in a folder be used as before, and nothing new be made directly in it."""
    if folder in draft.rules or draft.around(folder) is not Access.WRITE or not folder.is_dir():
        return
    draft.add(Access.READ, folder)
    for path in folder.iterdir():
        if not path.is_symlink() and path not in draft.rules:
            draft.add(Access.WRITE, path)


def _program(draft: _Draft, project: Path, homes: Iterable[Path]) -> None:
    """Add ourselves, with the interpreter and all that it would import: the next command outside is one of ours."""
    package = _PACKAGE.parent if _PACKAGE.parent.name in _PACKAGES else _PACKAGE
    for written in (sys.prefix, sys.base_prefix, str(package)):
        place = Path(os.path.realpath(written))
        if place == _PACKAGE and place.is_relative_to(project):
            draft.warnings.append(f"agent-studio itself lies in the project ({place}): a run can change it")
        elif not project.is_relative_to(place) and not any(home.is_relative_to(place) for home in homes):
            draft.add_system(place)
