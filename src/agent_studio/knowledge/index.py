"""The file of the search index, `.agent-studio/<env>/knowledge.sqlite3`: derived, so it can be lost.

A whole build is written aside and poured into the file in one transaction; so is every change, under a rollback journal
(a write-ahead log needs a writable folder even to be read, and shared memory that network folders lack). A file that is
in use is never replaced: its reader would take the journal of the next one for its own. One writer at a time holds
`knowledge.lock`. A kill leaves the old index, the new one, or one that is built anew.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from agent_studio.errors import BusyError, StorageError
from agent_studio.knowledge import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_studio.storage.folder import Folder

FILE = "knowledge.sqlite3"
LOCK = "knowledge.lock"
_JOURNAL = f"{FILE}-journal"
_VERSION = 4
VERSION = _VERSION * 1_000 + schema.VERSION
"""`PRAGMA user_version`; an index of another is built anew."""
_WAIT_S = 5.0
"""How long a question waits for the moment in which a change is written."""
_POUR_S = 30.0
_TABLES = (
    """CREATE TABLE file (
        path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL
        ) WITHOUT ROWID""",
    "CREATE INDEX file_by_time ON file (mtime_ns)",
    "CREATE TABLE folder (path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, top INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX folder_at_top ON folder (path) WHERE top",
    "CREATE TABLE skipped (path TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE usage (
        name TEXT NOT NULL, domain TEXT NOT NULL, count INTEGER NOT NULL, last_used TEXT NOT NULL,
        PRIMARY KEY (name, domain)) WITHOUT ROWID""",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
_Result = TypeVar("_Result")


def in_memory() -> sqlite3.Connection:
    """Return an empty index that no file holds."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    _teach(db)
    _create(db)
    return db


def opened(folder: Folder) -> sqlite3.Connection | None:
    """Open the index that is there; None when there is none of this version that can be read.

    Raises `BusyError` when another program keeps it locked.
    """
    if folder.status(FILE) is None:
        return None
    place = folder.resolve(FILE)
    writable = os.access(place, os.W_OK) and os.access(folder.path, os.W_OK)
    try:
        return _connect(place.as_uri() + ("?mode=rw" if writable else "?mode=ro"))
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise BusyError(f"{place} is locked", hint="wait until its user is done") from error
        return None


def _connect(address: str) -> sqlite3.Connection | None:
    db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_WAIT_S)
    _teach(db)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            return db
    except BaseException:
        db.close()
        raise
    db.close()
    return None


def build(folder: Folder, fill: Callable[[sqlite3.Connection], _Result]) -> _Result:
    """Build an index aside and put it in the place of the one that is there; the caller holds the lock.

    Raises `StorageError`; then what was there stays as it was.
    """
    from agent_studio.storage import temporaries  # noqa: PLC0415 - a search that changes nothing writes nothing

    folder.sweep(of=[FILE])
    temporary = temporaries.name_for(FILE)
    os.close(folder.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    place = folder.path / temporary
    try:
        with disk_faults(folder), closing(sqlite3.connect(place, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA cache_size = -65536")
            db.execute("BEGIN")
            _create(db)
            result = fill(db)
            db.execute("COMMIT")
        with disk_faults(folder):
            poured = _poured(folder, place)
        if poured:
            folder.remove(temporary)
        else:
            _put_in_place(folder, temporary)
    except BaseException:
        with suppress(OSError):
            folder.remove(temporary)
        raise
    return result


def _poured(folder: Folder, source: Path) -> bool:
    """Make an index the content of the one that is there, in one transaction; False where that one is none.

    Raises `StorageError` when it is read without a break.
    """
    if folder.status(FILE) is None:
        return False
    until = time.monotonic() + _POUR_S

    def told(_status: int, remaining: int, total: int) -> None:
        if remaining and time.monotonic() > until:
            hint = "close what reads it, then run the command again"
            raise StorageError(f"{folder.path / FILE} is in use ({remaining} of {total} pages wait)", hint=hint)

    with (
        closing(sqlite3.connect(source, isolation_level=None)) as new,
        closing(sqlite3.connect(folder.resolve(FILE), isolation_level=None, timeout=_WAIT_S)) as old,
    ):
        try:
            old.execute("PRAGMA synchronous = NORMAL")
            old.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            new.backup(old, progress=told)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                return False
            raise
    return True


def _put_in_place(folder: Folder, temporary: str) -> None:
    """Give a new index its name; a journal that is left goes after the file that it could be rolled back into."""
    descriptor = folder.open(temporary, os.O_RDWR)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if folder.status(_JOURNAL) is not None:
        with suppress(FileNotFoundError):
            folder.remove(FILE)
        with suppress(FileNotFoundError):
            folder.remove(_JOURNAL)
    folder.move(temporary, folder, FILE)


@contextmanager
def changing(db: sqlite3.Connection) -> Iterator[None]:
    """Make all that is changed inside one transaction; readers are kept out for its last moment only."""
    db.execute("PRAGMA cache_spill = OFF")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error says that the index is not what it should be, not that the disk or a lock is in the way."""
    return not isinstance(error, sqlite3.OperationalError) or "no such" in str(error)


@contextmanager
def disk_faults(folder: Folder) -> Iterator[None]:
    """Turn what SQLite says of the disk into one clear `StorageError`; a damage is passed on."""
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise
        hint = "free space or mend the permissions; the file can be removed, it is built anew"
        raise StorageError(f"cannot use {folder.path / FILE}: {error}", hint=hint) from error


def _teach(db: sqlite3.Connection) -> None:
    """Give questions a function of SQL that folds the case of every letter."""
    db.create_function("casefolded", 1, str.casefold, deterministic=True)


def _create(db: sqlite3.Connection) -> None:
    for statement in _TABLES:
        db.execute(statement)
    schema.create(db)
    db.execute(f"PRAGMA user_version = {VERSION}")
