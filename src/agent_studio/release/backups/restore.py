"""Puts a backup in the place of an environment's data, all of it or none, whatever happens on the way.

1. The backup is verified, and what is there now is backed up. A ledger that goes back is kept in the archive besides,
   where those who miss its records look for them.
2. The files that differ are written into a folder beside the backups and synced; a fault here changes nothing.
3. The journal names both backups. Once it is durable the restore will happen.
4. What the backup does not have goes, its files take their places by renaming, all is synced, the journal goes.

A process that dies before 3 is done has changed nothing; after that, `recover` looks again at what differs and goes on,
as often as it takes. The recorder's inbox stays, and so does a `MEMORY.md` that is there: it is the client's.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.capture.otlp import daemon
from agent_studio.cost import checkpoints
from agent_studio.environment.roots import EnvironmentRoot, Project
from agent_studio.environment.schema import KINDS
from agent_studio.environment.sharing import mingled, sharing
from agent_studio.errors import AgentStudioError, BusyError, IntegrityError, StorageError
from agent_studio.release.backups import backup, places, restore_differences, verifying
from agent_studio.release.backups.line_checks import is_ledger
from agent_studio.release.backups.places import JOURNAL, Pieces, alone, folder_of
from agent_studio.release.backups.restore_late import Late
from agent_studio.release.production import history, sessions
from agent_studio.storage import flush
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive
from agent_studio.storage.sealed import ARCHIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.detect import Environment
    from agent_studio.release.backups.backup import Backup
    from agent_studio.release.backups.restore_differences import Differences

SCHEMA = "agent-studio/restore/1"
_STAGED = "restoring"
_LEAVING_S, _PAUSE_S = 1.0, 0.05
"""How long a daemon that was told to stop may still hold its lock."""


class Plan(NamedTuple):
    """What a restore would do."""

    backup: Backup
    differences: Differences


class Restored(NamedTuple):
    """What was done."""

    backup: Backup
    before: str
    """The backup of what was there before."""
    differences: Differences
    notes: list[str]

    @property
    def written(self) -> int:
        """How many files it has written."""
        return len(self.differences.write)

    @property
    def removed(self) -> int:
        """How many files it has removed."""
        return len(self.differences.remove)


class _Journal(NamedTuple):
    """A restore that has been decided on."""

    id: str
    backup: str
    before: str
    archive: str
    """Where the data goes that is there, below the environment's state; empty to leave what does not differ."""
    root: str
    kinds: dict[str, str]
    shared: list[str]
    """The environments whose data it is, too."""


def plan(root: EnvironmentRoot, own: str) -> Plan:
    """Return what a restore would do; raise `IntegrityError` for a backup that does not verify.

    The caller holds `places.alone`.
    """
    found = verifying.look(root, own)
    if not found.passed:
        raise IntegrityError(
            f"backup {own} does not verify: {found.faults[0]}", hint="use another: agent-studio backup list"
        )
    made = backup.load(root, own)
    if made.environment != root.environment:
        raise IntegrityError(
            f"backup {own} is {made.environment}'s, not {root.environment}'s", hint="use one of its own"
        )
    return Plan(made, restore_differences.find(root, made))


def restore(
    context: Context, own: str, agree: Callable[[Plan], None], *, archive: str = "", wait: bool = False,
    before: str = "",
) -> Restored:  # fmt: skip
    """Restore a backup of the same environment; `agree` is shown what would happen, and raises to stop.

    What is there is backed up first, unless `before` names a backup of it; with `archive`, a folder below the state, it
    also moves there whole. It is the data of every environment that `shared_by` names. Raises `IntegrityError` for a
    backup that does not verify, `BusyError` while somebody works with the data, `StorageError` for a disk without room;
    nothing is changed then.
    """
    root = context.root
    others = shared_by(context)
    with alone(root, "a restore", others=others.values()), unused(context, wait=wait):
        found = plan(root, own)
        _refuse_full(root, found)
        agree(found)
        made = before or backup.make(root, f"before restore of {own}", {}, whole_ledger=False, by=backup.RESTORE).id
        _stage(root, found, all_of_them=bool(archive))
        if not archive:
            _keep_ledger(root, made, found.backup)
        journal = _Journal(history.new_id(), own, made, archive, root.root, dict(root.kinds), list(others))
        folder_of(root).replace(JOURNAL, _written(journal))
        late = _finish(root, journal, made)
        notes = [*_notes(root, found.backup), *_told(root, journal, late, made)]
        return Restored(found.backup, made, found.differences, notes)


def shared_by(context: Context) -> dict[str, EnvironmentRoot]:
    """Return the roots of the other environments that keep data in the place of the chosen one's, by name."""
    return {name: root for name, root in mingled(context).items() if name != str(context.environment)}


def _notes(root: EnvironmentRoot, made: Backup) -> list[str]:
    """Say so where a checkpoint knows of usage that the restored ledger does not have: verifying it will, too."""
    later = [one for one in checkpoints.read(root).found if one.seq > made.data.ledger.seq]
    return [
        f"the ledger ends at record {made.data.ledger.seq} now; the checkpoint of {one.time} ended at {one.seq}, and "
        f"cost verify says so"
        for one in later[-1:]
    ]


def _tidy(root: EnvironmentRoot) -> None:
    """Remove what a restore that was over left when it was killed, unless one is at work."""
    if _staged(root).has_folder():
        with suppress(BusyError), alone(root, "a restore", recovering=True) as folder:
            if folder.status(JOURNAL) is None:
                shutil.rmtree(_staged(root).path, ignore_errors=True)


def recover(project: Project, environment: Environment) -> str:
    """Bring an interrupted restore to its end and return the id of its backup; empty when none was interrupted.

    What was written since is backed up first. Raises `BusyError` while it goes on elsewhere.
    """
    root = EnvironmentRoot(project, environment, "", {})
    if folder_of(root).status(JOURNAL) is None:
        _tidy(root)
        return ""
    with alone(root, "a restore", recovering=True) as folder:
        try:
            journal = _Journal(**json.loads(folder.read(JOURNAL)))
        except FileNotFoundError:  # done meanwhile
            return ""
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"{folder.path / JOURNAL} is damaged: {error}", hint="remove it, and restore a backup again"
            ) from None
        others = (EnvironmentRoot(project, type(environment)(name), "", {}) for name in journal.shared)
        with ExitStack() as stack:
            for one in others:
                stack.enter_context(alone(one, "a restore", recovering=True))
            root = EnvironmentRoot(project, environment, journal.root, journal.kinds)
            reason = f"before the restore of {journal.backup} went on"
            now = backup.make(root, reason, {}, whole_ledger=False, by=backup.RESTORE)
            shutil.rmtree(_staged(root).path, ignore_errors=True)
            if not journal.archive:
                _keep_ledger(root, now.id, backup.load(root, journal.backup))
            _finish(root, journal, now.id)
        return journal.backup


@contextmanager
def unused(context: Context, *, wait: bool = False) -> Iterator[None]:
    """Keep sessions and ingestion of an environment from starting; raise `BusyError` naming who works with its data."""
    from agent_studio.capture.ingest.run import LOCK  # noqa: PLC0415 - half of the command's start

    together, owner = mingled(context), next(iter(sharing(context).values()))
    with ExitStack() as stack:
        for root in together.values():
            root.state.make()
            stack.enter_context(_without_daemon(root))
        stack.enter_context(sessions.quiet(context.project, wait=wait, of=together))
        stack.enter_context(exclusive(owner.state, LOCK, doing="ingest"))
        yield


@contextmanager
def _without_daemon(root: EnvironmentRoot) -> Iterator[None]:
    """Hold the daemon's own lock: it does not answer while it is busy, and none may start meanwhile."""
    with ExitStack() as stack:
        until = time.monotonic() + _LEAVING_S
        while True:
            try:
                stack.enter_context(exclusive(root.state, daemon.LOCK, doing=f"serve of {root.environment}"))
                break
            except BusyError:
                if time.monotonic() > until:
                    raise _served(root) from None
            time.sleep(_PAUSE_S)
        yield


def _served(root: EnvironmentRoot) -> BusyError:
    found = daemon.read(root)
    process = "another process" if found is None else f"process {found.pid}"
    return BusyError(
        f"serve works with the data of {root.environment} ({process})",
        hint="end it" if found is None else f"end it: kill {found.pid}",
    )


def _refuse_full(root: EnvironmentRoot, found: Plan) -> None:
    """Raise `StorageError` where there is no room, or where a name cannot move from here to there in one step."""
    needed = found.backup.size_bytes + places.SPARE_BYTES
    place = folder_of(root).path
    free = shutil.disk_usage(place).free
    if free < needed:
        raise StorageError(
            f"{needed:,} bytes are needed to restore {found.backup.id}, and {free:,} are free at {place}",
            hint="free space on the disk, then run the command again",
        )
    for kind in KINDS:
        nearest = root.folder(kind).path
        while not nearest.exists():
            nearest = nearest.parent
        if nearest.stat().st_dev != place.stat().st_dev:
            raise StorageError(f"{nearest} is on another disk than {place}", hint="keep both on one disk")


def _keep_ledger(root: EnvironmentRoot, before: str, made: Backup) -> None:
    """Keep the ledger that goes, as the backup `before` has it, unless the one that comes is the same."""
    going = backup.load(root, before)
    files = [one for one in going.data.files if is_ledger(one.kind, one.path)]
    if not files or going.data.ledger == made.data.ledger:
        return
    place = f"{ARCHIVE}/ledger-{clock.file_stamp(clock.now())}"
    staged = _staged(root)
    try:
        _refuse_faults(going, verifying.build(Pieces(root), files, staged.at("ledger")))
        root.state.make(ARCHIVE)
        staged.move("ledger", root.state, place)
        _sync(root, [root.state.at(place)])
    except BaseException:
        shutil.rmtree(staged.path, ignore_errors=True)
        raise


def _stage(root: EnvironmentRoot, found: Plan, *, all_of_them: bool) -> None:
    """Write what is to take a place, durably."""
    staged = _staged(root)
    shutil.rmtree(staged.path, ignore_errors=True)
    try:
        files = found.backup.data.files if all_of_them else found.differences.write
        _refuse_faults(found.backup, verifying.build(Pieces(root), files, staged))
        _sync(root, [staged])
    except BaseException:
        shutil.rmtree(staged.path, ignore_errors=True)
        raise


def _refuse_faults(made: Backup, faults: list[str]) -> None:
    if faults:
        raise IntegrityError(f"backup {made.id} changed since it was verified: {faults[0]}")


def _finish(root: EnvironmentRoot, journal: _Journal, before: str) -> Late:
    """Make the data what the backup says; whatever was done of it before is not done again.

    `before` is the backup of what goes; empty where none could be made.
    """
    made = backup.load(root, journal.backup)
    keep = root.state.at(f"{ARCHIVE}/late-{journal.id}")
    late = Late(root, backup.load(root, before).data.files if before else (), keep)
    if journal.archive:
        _put_aside(root, journal.archive)
    staged = _staged(root)
    staged.make()
    for kind in KINDS:
        place = root.kinds[kind]
        if staged.has_folder(kind) and root.project.folder.status(place) is None:
            Project(root.project.path).folder.make(place.rpartition("/")[0])
            staged.move(kind, root.project.folder, place)
        root.folder(kind).make()
    restore_differences.apply(root, made, staged, late.watch)
    aside = [root.state.at(journal.archive)] if journal.archive else []
    _sync(root, [*aside, staged, *(root.folder(kind) for kind in KINDS)])
    late.settle()
    places.note(
        root, places.RESTORED, journal.id,
        {"backup": journal.backup, "before": journal.before, "archive": journal.archive, "late": late.kept,
         "ledger": made.data.ledger._asdict()},
    )  # fmt: skip
    if made.data.ledger.seq:
        with suppress(AgentStudioError):  # from now on this is what the ledger has to reach
            checkpoints.write(root, made.data.ledger, anew=True)
    folder = folder_of(root)
    with suppress(FileNotFoundError):
        folder.remove(JOURNAL)
    folder.sync()
    shutil.rmtree(staged.path, ignore_errors=True)
    return late


def _told(root: EnvironmentRoot, journal: _Journal, late: Late, before: str) -> list[str]:
    """Say where to find what was written after the backup of what went."""
    told = list(late.faults)
    if late.kept:
        told.append(f"written after backup {before} was made, and kept in {late.place.path}: {', '.join(late.kept)}")
    if journal.archive and (grown := late.grown(aside := root.state.at(journal.archive))):
        told.append(f"written to after backup {before} was made, and whole in {aside.path}: {', '.join(grown)}")
    return told


def _put_aside(root: EnvironmentRoot, archive: str) -> None:
    """Move the data that is there aside; a kind that was moved already is what the restore has put there."""
    target = root.state.at(archive)
    target.make()
    for kind in KINDS:
        if root.folder(kind).has_folder() and not target.has_folder(kind):
            root.project.folder.move(root.kinds[kind], target, kind)


def _staged(root: EnvironmentRoot) -> Folder:
    return folder_of(root).at(_STAGED)


def _sync(root: EnvironmentRoot, folders: list[Folder]) -> None:
    """Make all that was written durable: by one call where the system has it, else folder by folder."""
    if flush.is_available():
        flush.flush([root.project.path, *(folder.path for folder in folders)])
        return
    project = root.project.path
    around = {up for folder in folders for up in folder.path.relative_to(project).parents}
    for up in sorted(around):
        Folder(project, "" if up == Path() else up.as_posix()).sync()
    for folder in folders:
        restore_differences.sync(folder)


def _written(journal: _Journal) -> bytes:
    return json.dumps({**journal._asdict()}).encode() + b"\n"
