"""Create an environment: only what is missing, in steps that a kill at any point leaves repairable.

Everything that could refuse is looked at before the first byte is written. Files with content are never touched,
so a second run loses nothing; `reset` moves the data aside before it starts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.capture.recorder.setup import set_up
from agent_studio.capture.wiring.install import check_settings, keep_wired
from agent_studio.environment import templates
from agent_studio.environment.config import BASE_FILE, MissingStagingFileError, file_name, inspect
from agent_studio.environment.context import Context, open_context, other_roots, placed_root
from agent_studio.environment.detect import DEFINITIONS, Choice, Environment
from agent_studio.environment.disabled import enable, refuse_disabled
from agent_studio.environment.roots import (
    INDEX_FILE,
    LOGS,
    SHARED_ROOT,
    STATE,
    EnvironmentRoot,
    Project,
)
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, IntegrityError, StorageError, UsageError
from agent_studio.isolation.policy import make_written
from agent_studio.knowledge import table
from agent_studio.knowledge.base import knowledge_anew
from agent_studio.memory.sidecar import OWNER
from agent_studio.memory.sidecars.store import ARCHIVE, HOT, LOCK
from agent_studio.staging import activity, seed
from agent_studio.staging.rights import make_private
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from agent_studio.capture.recorder.build import Installed
    from agent_studio.capture.wiring.settings import Change
    from agent_studio.knowledge.refresh import SecretFound
    from agent_studio.storage.folder import Folder

_LOCK = "init.lock"
_IGNORED_WIRED = (f"{DEFINITIONS}/settings.local.json",)
"""Names the recorder by this machine's path."""


@dataclass(frozen=True)
class Item:
    """One thing that should be there."""

    path: Path
    created: bool
    """False: it was there and was kept."""
    size_bytes: int = 0
    was_there: bool = False
    """Of what was created: the file was there, and was added to."""


@dataclass
class Report:
    """What an initialisation did, step by step, as far as it came."""

    environment: Environment
    root: Path
    folders: list[Item] = field(default_factory=list)
    index: Item | None = None
    files: list[Item] = field(default_factory=list)
    project_files: list[Item] = field(default_factory=list)
    test_artifacts: int = 0
    """Generated files created by this run."""
    activity: list[Item] = field(default_factory=list)
    rows: int = 0
    """Rows of the seeded index."""
    secrets: list[SecretFound] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Artifacts that could not be read, and why."""
    recorder: Installed | None = None
    wiring: list[Change] = field(default_factory=list)
    """What was done to the client's settings."""
    archived: Path | None = None
    failure: AgentStudioError | None = None
    """The step that failed; nothing after it was tried."""

    @property
    def items(self) -> list[Item]:
        """Everything looked at, in order."""
        index_item = [self.index] if self.index else []
        return [*self.project_files, *self.folders, *index_item, *self.files]


@dataclass(frozen=True)
class Options:
    """What a user may ask for beside the plain initialisation."""

    reset: bool = False
    activity_days: int = 0
    seed: int = 1
    hooks: bool = False
    """Wire the recorder into the client's settings."""


def initialise(
    project: Project, choice: Choice, variables: Mapping[str, str], overrides: Iterable[str], options: Options
) -> Report:
    """Create what is missing of an environment and report it.

    Raises before anything is changed: `ConfigurationError`, `UnsafePathError`, `StorageError`, `UsageError`, and
    `BusyError` when another initialisation runs. A later failure is in the report.
    """
    overrides = list(overrides)
    root = preflight(project, choice, variables, overrides, options)
    state = root.state
    state.make()
    with exclusive(state, _LOCK, doing=f"init of {choice.environment}"):
        make_written(state)  # before the first run: it leaves no trace then
        report = Report(choice.environment, root.path)
        try:
            if options.reset:
                report.archived = archive(root)
                enable(project)
            _write_project_files(root, options, report)
            context = open_context(project, choice, variables, overrides)
            _fill(context, options, report)
            report.recorder = set_up(context)
            if options.hooks:
                report.wiring = keep_wired(project, report.recorder)
        except AgentStudioError as error:
            report.failure = error
    return report


def preflight(
    project: Project, choice: Choice, variables: Mapping[str, str], overrides: Iterable[str], options: Options
) -> EnvironmentRoot:
    """Return the root to be made; raise for everything that would stop the work half-way."""
    environment = choice.environment
    if options.reset and environment is not Environment.STAGING:
        raise UsageError(f"--reset is for staging only, not {environment}", hint="add --env staging")
    if options.activity_days and environment is Environment.PRODUCTION:
        raise UsageError("generated activity is never written to production", hint="use --env staging")
    if not options.reset:
        refuse_disabled(project, environment)
    config, problems = inspect(project, environment, variables, overrides)
    for problem in problems:
        if not isinstance(problem, MissingStagingFileError):
            raise problem
    root = placed_root(project, config)
    for name in (".gitignore", project.shown(BASE_FILE), project.shown(file_name(environment))):
        project.folder.has_file(name)
    if options.hooks:
        check_settings(project)
    root.state.has_folder()
    for kind in KINDS:
        root.folder(kind).has_folder()
        _check_writable(root.folder(kind).path)
    for kind, name, _ in seed.files(config):
        root.folder(kind).has_file(name)
    _check_writable(root.state.path)
    return root


def _check_writable(place: Path) -> None:
    """Raise `StorageError` when the nearest folder that is there cannot be written to."""
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise StorageError(f"{place} is read-only", hint=f"give yourself the right to write there: chmod u+w {place}")


def archive(root: EnvironmentRoot) -> Path | None:
    """Move an environment's data aside, into its state folder; return where, or None when there was none."""
    stamp = clock.file_stamp(clock.now())
    present = [kind for kind in KINDS if root.folder(kind).has_folder()]
    if not present:
        return None
    target = root.state.at(f"archive/{stamp}")
    target.make()
    for kind in present:
        root.project.folder.move(root.kinds[kind], target, kind)
    return target.path


def _write_project_files(root: EnvironmentRoot, options: Options, report: Report) -> None:
    project, environment = root.project, root.environment
    project.folder.sweep(of=[".gitignore"])
    project.folder.sweep(DEFINITIONS, of=[BASE_FILE, *map(file_name, Environment)])
    wanted = [(BASE_FILE, templates.BASE)]
    if environment is Environment.STAGING:
        wanted.append((file_name(environment), templates.STAGING))
    for name, text in wanted:
        created = project.folder.create(project.shown(name), text.encode())
        report.project_files.append(Item(project.definition(name), created, len(text)))
    report.project_files.append(_ignore(project, (*_data_places(root), *(_IGNORED_WIRED if options.hooks else ()))))


def _data_places(root: EnvironmentRoot) -> Iterator[str]:
    """Yield what holds data of any environment, as `.gitignore` names it: commands write before an `init` of theirs.

    Of the environments that share a root that is journals, what agents keep for themselves and the derived index;
    what people write there (memory, context, the client's own files) is theirs to share.
    """
    roots = [root, *other_roots(root.project, root.environment)]
    apart = [
        f"{place}/" for place in dict.fromkeys((STATE, *sorted(one.root for one in roots))) if place != SHARED_ROOT
    ]
    yield from apart
    places = {place: kind for one in roots for kind, place in one.kinds.items() if not place.startswith(tuple(apart))}
    for place, kind in places.items():
        anchored = place if "/" in place else f"/{place}"  # else it would be meant at any depth
        if kind == "agents":
            yield from (f"{anchored}/*/{name}" for name in (HOT, f"{ARCHIVE}/", OWNER, LOCK))
        elif kind == "knowledge":
            yield f"{anchored}/{INDEX_FILE}"
        elif kind in LOGS:
            yield f"{anchored}/"


def _ignore(project: Project, wanted: Iterable[str]) -> Item:
    """Add our folders to `.gitignore`, keeping every byte that is there."""
    place = project.path / ".gitignore"
    try:
        before = project.folder.read(".gitignore")
    except FileNotFoundError:
        before = b""
    present = {line.strip().strip("/") for line in before.decode("utf-8", "replace").splitlines()}
    missing = [line for line in wanted if line.strip("/") not in present]
    if missing:
        newline = b"\r\n" if b"\r\n" in before else b"\n"
        gap = newline if before and not before.endswith(b"\n") else b""
        added = gap + b"".join(line.encode() + newline for line in missing)
        project.folder.replace(".gitignore", before + added)
    return Item(place, bool(missing), was_there=bool(before))


def _fill(context: Context, options: Options, report: Report) -> None:
    root, config = context.root, context.config
    for kind in KINDS:
        created = root.folder(kind).make()
        root.folder(kind).sweep()
        if context.environment is Environment.STAGING:
            make_private(root.folder(kind))
        report.folders.append(Item(root.folder(kind).path, created))
    real_rows = _seed_index(context, report)
    for kind, name, content in seed.files(config):
        folder, stored = root.reads(kind, name)
        created = folder.path == root.folder(kind).path and folder.create(stored, content)
        report.files.append(Item(folder.path / stored, created, len(content) if created else 0))
    if numbers := seed.artifact_numbers(config, real_rows):
        root.folder("context").make(seed.ARTIFACTS_FOLDER)
        root.folder("context").sweep(seed.ARTIFACTS_FOLDER)
        made = root.folder("context").create_many(seed.ARTIFACTS_FOLDER, seed.artifact_files(numbers))
        report.test_artifacts = len(made)
    if options.activity_days:
        _seed_activity(root, options, report)


def _seed_index(context: Context, report: Report) -> int:
    """Build the index from the project's artifacts unless a sound one is there; return its rows of real ones."""
    root = context.root
    folder, name = root.reads("knowledge", INDEX_FILE)
    try:
        rows = table.load(root)
    except FileNotFoundError:
        rows = []
    except IntegrityError:
        rows = []
        _keep_damaged(root, folder, name)
    created = not rows
    if created:
        with knowledge_anew(context) as base:
            rows = seed.table_rows(base, context.config)
            if base.taken:
                report.secrets, report.skipped = base.taken.secrets, base.taken.skipped
        folder, name = root.folder("knowledge"), INDEX_FILE
        folder.replace(name, table.encode(rows))
    status = folder.status(name)
    report.rows = len(rows)
    report.index = Item(folder.path / name, created, status.st_size if status else 0)
    return sum(row["domain"] != table.TEST_DOMAIN for row in rows)


def _keep_damaged(root: EnvironmentRoot, folder: Folder, name: str) -> None:
    """Move a file that cannot be read aside: it is rebuilt, but not one byte is thrown away."""
    target = root.state.at("damaged")
    target.make()
    folder.move(name, target, f"{clock.file_stamp(clock.now())}-{name}")


def _seed_activity(root: EnvironmentRoot, options: Options, report: Report) -> None:
    """Write generated activity into logs that are still empty."""
    end = clock.now().replace(minute=0, second=0, microsecond=0)
    logs = activity.generate(end, days=options.activity_days, seed=options.seed).logs(root.environment)
    for (kind, name), content in logs.items():
        created = root.folder(kind).create(name, content)
        report.activity.append(Item(root.folder(kind).path / name, created, len(content) if created else 0))
