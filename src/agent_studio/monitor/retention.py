"""How long records are kept at hand: closed days become columns, then gzip, then they move to the archive.

Nothing is deleted. What a step could not do is told and tried again the next time; what a burn-in needs stays.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.environment.config import inspect
from agent_studio.environment.findings import Finding, Severity
from agent_studio.environment.sharing import sharing
from agent_studio.errors import AgentStudioError, BusyError, StorageError
from agent_studio.monitor.blocks import DamagedFileError, Index
from agent_studio.monitor.columns import Columns
from agent_studio.monitor.packing import archive, compress, last_written_s
from agent_studio.monitor.segments import JOURNALS, folder_of, segments
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.segments import Segment
    from agent_studio.storage.folder import Folder

COMPRESS_AFTER = timedelta(days=2)
"""How long a closed file stays as it is, for those who are still reading it."""
BURNIN = "burnin.json"
"""`{"since": "2026-01-31T09:30:00.000Z"}` in an environment's state folder: keep what was written from then on."""
_LOCK = "tidy.lock"
_DEFAULT_KEY, _KEYS = "monitoring.retention.metricsDays", {"errors": "monitoring.retention.errorsDays"}
_OVERDUE, _LONG_OVERDUE = timedelta(days=1), timedelta(days=7)
_EVERY_S = 3_600


class Kept(NamedTuple):
    """A file that stays as it is though something was due."""

    name: str
    reason: str
    is_fault: bool
    """Whether somebody should mend something; else it is meant to stay."""


class Tidied(NamedTuple):
    """What was done, by the names of files."""

    converted: list[str]
    """Columns made from them."""
    gzipped: list[str]
    archived: list[str]
    kept: list[Kept]

    @property
    def faults(self) -> list[Kept]:
        """What could not be done."""
        return [one for one in self.kept if one.is_fault]

    @classmethod
    def nothing(cls) -> Tidied:
        """Return what is told when nothing was due."""
        return cls([], [], [], [])

    def plus(self, later: Tidied) -> Tidied:
        """Return all that was done, and what is kept now."""
        return Tidied(
            self.converted + later.converted, self.gzipped + later.gzipped, self.archived + later.archived,
            later.kept or self.kept,
        )  # fmt: skip


class _Closed(NamedTuple):
    """A closed file and how old it is."""

    segment: Segment
    written: datetime
    """When it was last written to, as the file itself says: a copy may have a time of its own."""
    newest: datetime
    """Of which time its newest record is."""


class _Journal(NamedTuple):
    """One journal, and how long its files are kept."""

    kind: str
    root: EnvironmentRoot
    owner: EnvironmentRoot
    """The environment that keeps what is made of its files."""
    keep: timedelta
    since: datetime | None
    """From when on a burn-in needs everything."""

    @property
    def folder(self) -> Folder:
        """Where its files are."""
        return folder_of(self.root, self.kind)

    def closed(self, moment: datetime, *, is_read_only: bool = False) -> list[_Closed]:
        """Return its closed files, oldest first, as they are at a moment."""
        index = Index(self.owner.state, self.folder, self.kind)
        found = [self._closed(index, one, moment) for one in segments(self.root, self.kind) if not one.is_live]
        if not is_read_only:
            index.keep()
        return found

    def _closed(self, index: Index, segment: Segment, moment: datetime) -> _Closed:
        """Look how old a file is; what its name says was as right as the clock when it was begun."""
        written_ms = int(last_written_s(self.folder, segment) * 1000)
        try:
            told = index.newest_ms(segment)
        except DamagedFileError:
            told = []
        times = [one for one in told if one <= moment.timestamp() * 1000]
        if not times or len(times) < len(told):
            times.append(written_ms)  # nobody can tell how new a record is that claims to be from the future
        return _Closed(segment, _moment(written_ms), _moment(max(times)))

    def is_expired(self, one: _Closed, moment: datetime) -> bool:
        """Tell whether a file need not be at hand any longer."""
        return one.newest < moment - self.keep

    def is_needed(self, one: _Closed) -> bool:
        """Tell whether a burn-in needs it: for what was written since it began, though it be of days before."""
        return self.since is not None and max(one.newest, one.written) >= self.since

    @property
    def columns(self) -> Columns:
        """What is made of its files."""
        return Columns(self.owner, self.kind)

    def is_waiting(self, one: _Closed, moment: datetime) -> bool:
        """Tell whether something should have been done with a file."""
        if self.is_expired(one, moment) and not self.is_needed(one):
            return True
        return _is_to_compress(one, moment) or (one.written < moment and not self.columns.is_made(one.segment))


def tidy(context: Context, now: datetime | None = None) -> Tidied:
    """Do what is due for the files of closed days; what fails is in `kept`, and nothing is half-done.

    Running it again changes nothing more; while another process tidies nothing is done.
    """
    done, moment = Tidied.nothing(), now or clock.now()
    for kind in JOURNALS:
        try:
            journal = _journal(context, kind)
            if journal is not None:
                journal.owner.state.make()
                with exclusive(journal.owner.state, _LOCK, doing="tidying"):
                    _tidy(journal, moment, done)
        except BusyError:
            continue
        except AgentStudioError as error:
            done.kept.append(Kept(kind, error.message, is_fault=True))
    return done


class Tidying:
    """Tidies again and again, for those who ingest all the time: once an hour, and when something was sealed."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def after(self, context: Context, *, was_sealed: bool) -> Tidied:
        """Tidy when it is time, after a round of ingest."""
        if not was_sealed and time.monotonic() < self._next_s:
            return Tidied.nothing()
        self._next_s = time.monotonic() + _EVERY_S
        return tidy(context)


def checks(context: Context) -> Iterator[Finding]:
    """Yield findings: files for which something is due for a day, as if nothing ran; for a week, that is a warning."""
    closed: list[tuple[_Journal, _Closed]] = []
    for kind in JOURNALS:
        try:
            journal = _journal(context, kind)
            if journal is not None:
                closed += [(journal, one) for one in journal.closed(clock.now(), is_read_only=True)]
        except AgentStudioError as error:
            yield Finding("retention", Severity.ERROR, error.message, error.hint)
    late, very_late = (
        [one.segment.name for journal, one in closed if journal.is_waiting(one, clock.now() - overdue)]
        for overdue in (_OVERDUE, _LONG_OVERDUE)
    )
    if late:
        severity = Severity.WARNING if very_late else Severity.INFO
        message = f"{len(late)} files of closed days wait to be tidied, {(very_late or late)[0]} first"
        yield Finding("retention", severity, message, f"agent-studio ingest --env {context.environment}")
    elif closed:
        yield Finding("retention", Severity.OK, f"{len(closed)} files of closed days are at hand")


def _journal(context: Context, kind: str) -> _Journal | None:
    """Return a journal, or None when there is no folder for it yet."""
    if not folder_of(context.root, kind).has_folder():
        return None
    roots = sharing(context, JOURNALS[kind][0])
    owner = next(iter(roots.values()))
    return _Journal(kind, context.root, owner, _keep(context, kind, roots), _burn_in(roots))


def _keep(context: Context, kind: str, roots: Mapping[str, EnvironmentRoot]) -> timedelta:
    """Return how long a journal's files are kept: as long as any environment that writes to it wants."""
    key, days = _KEYS.get(kind, _DEFAULT_KEY), []
    for root in roots.values():
        own = root.environment is context.environment
        config = context.config if own else inspect(context.project, root.environment, {})[0]
        days.append(int(config[key]))
    return timedelta(days=max(days))


def _burn_in(roots: Mapping[str, EnvironmentRoot]) -> datetime | None:
    """Return the moment from which on a burn-in needs the records; raise `StorageError` when that cannot be told."""
    found = []
    for root in roots.values():
        try:
            since = datetime.fromisoformat(json.loads(root.state.read(BURNIN))["since"])
        except FileNotFoundError:
            continue
        except (ValueError, LookupError, TypeError, RecursionError):
            since = None
        if since is None or since.tzinfo is None:
            raise StorageError(
                f"{root.state.path / BURNIN} does not say since when a burn-in runs: nothing is tidied",
                hint='it holds {"since": "2026-01-31T09:30:00.000Z"}',
            )
        found.append(since)
    return min(found, default=None)


def _tidy(journal: _Journal, moment: datetime, done: Tidied) -> None:
    folder, columns = journal.folder, journal.columns
    folder.sweep()
    columns.check(moment)
    for one in journal.closed(moment):
        segment = one.segment
        if journal.is_expired(one, moment):
            if not journal.is_needed(one):
                _do(done, done.archived, segment, partial(archive, journal.owner, folder))
                continue
            done.kept.append(Kept(segment.name, f"a burn-in since {journal.since} needs it", is_fault=False))
        if not columns.is_made(segment):
            _do(done, done.converted, segment, partial(columns.make, folder))
        if _is_to_compress(one, moment):
            _do(done, done.gzipped, segment, partial(compress, folder))
    columns.keep_only(segments(journal.root, journal.kind))


def _do(done: Tidied, names: list[str], segment: Segment, step: Callable[[Segment], object]) -> None:
    try:
        step(segment)
    except AgentStudioError as error:
        done.kept.append(Kept(segment.name, error.message, is_fault=True))
    except FileNotFoundError:
        done.kept.append(Kept(segment.name, "it was taken away meanwhile", is_fault=True))
    else:
        names.append(segment.name)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _is_to_compress(one: _Closed, moment: datetime) -> bool:
    return not one.segment.is_gzip and one.written < moment - COMPRESS_AFTER
