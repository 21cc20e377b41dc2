"""An open index that mends itself: built when it is missing or damaged, brought up to date when files have changed.

Where it cannot be written, or another process is at it, answers come from what is there, or from memory: see `notes`.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent_studio.errors import AgentStudioError, BusyError, StorageError
from agent_studio.knowledge import freshness, index
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.knowledge.counts import Used
    from agent_studio.knowledge.refresh import Progress, Refreshed

USER = "knowledge.user"
"""A file that is there where the user's own artifacts are wanted: it outlives the index."""
_WAIT_S = 0.25
"""How long a search waits for another process that brings the index up to date."""
_WAIT_FOR_BUILDING_S = 10.0
_POLL_S = 0.02
_Result = TypeVar("_Result")


class Note(NamedTuple):
    """Something to be told beside an answer."""

    code: str
    message: str
    hint: str = ""


class Store:
    """The index of one environment."""

    def __init__(self, context: Context, progress: Progress | None = None, *, writes: bool = True) -> None:
        self.context = context
        self._writes = writes
        self.folder = context.root.state
        self.notes: list[Note] = []
        self.is_kept = False
        """Whether the index is in its file."""
        self.taken: Refreshed | None = None
        """What was read when the index was built just now."""
        self._progress = progress
        self._db: sqlite3.Connection | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The open index."""
        if self._db is None:
            raise StorageError(f"{self.folder.path / index.FILE} is gone", hint="run the command again")
        return self._db

    def open(self, *, fresh: bool) -> None:
        """Open the index, building it when there is none that can be read; `fresh` takes in what has changed."""
        self._reopen()
        if self._db is None:
            self._build(user=self._with_user(), anew=False)
        elif fresh and self._writes:
            self.ask(self._refresh)

    def open_anew(self, *, user: bool) -> None:
        """Build the index whether there is one or not; `user` takes in the user's own artifacts, now and later."""
        self._reopen()
        self._build(user=user, anew=True)

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def ask(self, question: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Ask within one state of the index; one that turns out to be damaged is built anew, once."""
        try:
            return self._asked(question)
        except sqlite3.Error as error:
            if not self.is_kept or not index.is_damage(error):
                raise _unreadable(error) from error
        self._build(user=self._with_user(), anew=True)
        try:
            return self._asked(question)
        except sqlite3.Error as error:
            raise _unreadable(error) from error

    def change(self, change: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Do a change in one transaction, as the only writer; raise `BusyError` when another one goes on for long."""
        if not self.is_kept:
            with index.changing(self.db):
                return change(self.db)
        with self._alone(), index.disk_faults(self.folder):
            self._reopen()  # it may have been replaced: what is changed in a file without a name is lost
            with index.changing(self.db):
                return change(self.db)

    def take_in_all(self) -> Refreshed:
        """Take in what has changed in the whole project."""
        from agent_studio.knowledge import refresh  # noqa: PLC0415 - only when something may have changed

        return self.change(lambda db: refresh.whole(db, self.context.project, user=self._with_user()))

    def take_in_some(self, paths: list[str]) -> Refreshed:
        """Read files again that the index knows."""
        from agent_studio.knowledge import refresh  # noqa: PLC0415 - as above

        return self.change(lambda db: refresh.some(db, self.context.project, paths))

    def _reopen(self) -> None:
        self.close()
        self._db = index.opened(self.folder) if self.folder.has_folder() else None
        self.is_kept = self._db is not None

    def _refresh(self, db: sqlite3.Connection) -> None:
        change = freshness.look(db, self.context.project)
        if change:
            db.execute("ROLLBACK")
            self._take_in(change)

    def _take_in(self, change: freshness.Change) -> None:
        """Bring the index up to date, or say why it is not."""
        try:
            if change.folders and not freshness.is_large(self.db):
                self.take_in_all()
            elif change.files:
                self.take_in_some(change.files)
            if change.folders and freshness.is_large(self.db):
                message = f"files have come or gone in {len(change.folders)} folders of a tree too large to walk again"
                self.notes.append(Note("old-index", message, "agent-studio kb build"))
        except (BusyError, StorageError) as error:
            message = f"files may have changed since the index was built: {error.message}"
            self.notes.append(Note("old-index", message, error.hint))
            if self._db is None:
                self._reopen()

    def _build(self, *, user: bool, anew: bool) -> None:
        """Build the index, or wait for another process that does; in memory where it cannot be kept."""
        until = time.monotonic() + _WAIT_FOR_BUILDING_S
        if not self._writes:
            self._in_memory("nothing may be written", "", user=user)
            return
        if not self.folder.has_folder():
            environment = self.context.environment
            hint = f"agent-studio init --env {environment}"
            self._in_memory(f"{environment} is not initialised", hint, user=user)
            return
        while not self.is_kept or anew:
            try:
                self._rebuild(user=user)
            except BusyError as error:
                if time.monotonic() > until:
                    self._in_memory(error.message, error.hint, user=user)
                    return
                time.sleep(_POLL_S)
                if not anew:
                    self._reopen()
            except StorageError as error:
                self._in_memory(error.message, error.hint, user=user)
                return
            else:
                return

    def _rebuild(self, *, user: bool) -> None:
        with exclusive(self.folder, index.LOCK, doing="building the index"):
            self._remember(user=user)
            usage = self._usage()
            self.close()
            self.taken = index.build(self.folder, lambda db: self._fill(db, usage, user=user))
            self._reopen()

    def _with_user(self) -> bool:
        """Tell whether the user's own artifacts were asked for when the index was last built on request."""
        return self.folder.has_folder() and self.folder.status(USER) is not None

    def _remember(self, *, user: bool) -> None:
        if user:
            self.folder.create(USER, b"")
        elif self._with_user():
            self.folder.remove(USER)

    def _in_memory(self, reason: str, hint: str, *, user: bool) -> None:
        usage = self._usage()
        self.close()
        self._db, self.is_kept = index.in_memory(), False
        self.taken = self._fill(self._db, usage, user=user)
        self.notes.append(Note("not-kept", f"the index is not kept: {reason}", hint))

    def _fill(self, db: sqlite3.Connection, usage: list[Used], *, user: bool) -> Refreshed:
        from agent_studio.knowledge import counts, refresh  # noqa: PLC0415 - only to build

        counts.keep(db, usage)
        return refresh.whole(db, self.context.project, user=user, progress=self._progress)

    def _usage(self) -> list[Used]:
        """Return the counts that the index holds, else those of the table."""
        from agent_studio.knowledge import counts  # noqa: PLC0415 - only to build

        with suppress(sqlite3.Error):
            if self._db is not None:
                return counts.all_of(self._db)
        return counts.of_table(self.context.root)

    def _asked(self, question: Callable[[sqlite3.Connection], _Result]) -> _Result:
        self.db.execute("BEGIN")
        try:
            return question(self.db)
        finally:
            if self._db is not None and self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of writers, after a short wait for another one."""
        until = time.monotonic() + _WAIT_S
        while True:
            lock = exclusive(self.folder, index.LOCK, doing="bringing the index up to date")
            try:
                lock.__enter__()
            except BusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(_POLL_S)
            else:
                break
        try:
            yield
        finally:
            lock.__exit__(None, None, None)


def _unreadable(error: sqlite3.Error) -> AgentStudioError:
    if "locked" in str(error):
        return BusyError(f"cannot read the index: {error}", hint="wait until its user is done")
    return StorageError(f"cannot read the index: {error}", hint="rebuild it: agent-studio kb build")
