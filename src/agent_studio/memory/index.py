"""The search index over files of notes: derived, brought up to date before every question, and never the truth.

A file that grew is read from where it had ended, if what was there is still there; any other that changed is read
anew. A note is found by its words and read from its file again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import BusyError, StorageError
from agent_studio.memory import words
from agent_studio.storage.descriptors import read_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent_studio.errors import AgentStudioError
    from agent_studio.storage.folder import Folder

VERSION = 2
_WAIT_S = 30.0
_RACY_NS = 2_000_000_000
"""A file written so lately may change again without its time changing."""
_TRIES = 3
_CANDIDATES = 12
_TERMS_MAX = 48
_TABLES = (
    """CREATE TABLE source (
        name TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
        settled INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE note (
        number INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, start INTEGER NOT NULL,
        size INTEGER NOT NULL, print TEXT NOT NULL, label TEXT NOT NULL, kind TEXT NOT NULL, is_open INTEGER NOT NULL,
        groups TEXT NOT NULL)""",
    "CREATE INDEX note_by_source ON note (source, start)",
    "CREATE INDEX note_by_print ON note (print)",
    "CREATE INDEX note_by_id ON note (id)",
    "CREATE INDEX note_by_label ON note (label)",
    "CREATE VIRTUAL TABLE said USING fts5(words, tokenize = 'porter unicode61 remove_diacritics 2')",
)


class Piece(NamedTuple):
    """One note in a file's bytes."""

    id: str
    start: int
    size: int
    text: str
    """What is searched, and compared with new notes."""
    extra: str = ""
    """What is searched besides: tags, a kind."""
    label: str = ""
    """What people call it."""
    is_anchor: bool = False
    """Whether what follows can be read without what stands before it."""
    kind: str = ""
    is_open: bool = True
    groups: tuple[str, ...] = ()
    """The headings above it."""
    other_id: str = ""
    """The id that it has where another of its file has its own."""


class Source(NamedTuple):
    """A file of notes."""

    name: str
    """What the index calls it."""
    folder: Folder
    file: str
    pieces: Callable[[bytes, bool], Iterable[Piece]]
    """Reads notes from bytes that are the whole file, or its end from an anchor on; places count from their start."""
    by_line: bool = False
    """Whether a note is a line, so that whatever ends with a line break is settled."""


class Found(NamedTuple):
    """A note that a question found."""

    source: str
    id: str
    start: int
    size: int
    score: float
    """The higher the better; only comparable within one answer."""
    groups: tuple[str, ...] = ()
    """The headings above it."""


class Index:
    """An open index that knows its files."""

    def __init__(self, db: sqlite3.Connection, sources: Sequence[Source]) -> None:
        self._db = db
        self._sources = {source.name: source for source in sources}

    def refresh(self) -> None:
        """Bring the index up to what the files hold now."""
        known = {row[0]: row[1:] for row in self._db.execute("SELECT * FROM source")}
        stale = [source for source in self._sources.values() if self._differs(source, known.get(source.name))]
        gone = known.keys() - self._sources.keys()
        if not stale and not gone:
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for name in gone:
                self._drop(name, 0)
                self._db.execute("DELETE FROM source WHERE name = ?", (name,))
            for source in stale:
                self._read(source)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    @staticmethod
    def _differs(source: Source, known: tuple[int, int, int, int, str] | None) -> bool:
        status = source.folder.status(source.file)
        if status is None:
            return known is not None
        return known is None or known[:3] != (status.st_size, status.st_mtime_ns, status.st_ino)

    def _read(self, source: Source) -> None:
        try:
            descriptor = source.folder.open(source.file)
        except FileNotFoundError:
            self._drop(source.name, 0)
            self._db.execute("DELETE FROM source WHERE name = ?", (source.name,))
            return
        try:
            status = os.fstat(descriptor)
            settled = self._settled(source.name, descriptor)
            os.lseek(descriptor, settled, os.SEEK_SET)
            data = b"".join(read_chunks(descriptor))
        finally:
            os.close(descriptor)
        self._drop(source.name, settled)
        last = 0
        for piece in source.pieces(data, settled == 0):
            self._add(source.name, piece, settled)
            last = piece.start if piece.is_anchor else last
        settled += data.rfind(b"\n") + 1 if source.by_line else last
        is_racy = time.time_ns() - status.st_mtime_ns < _RACY_NS
        self._db.execute(
            "INSERT OR REPLACE INTO source VALUES (?, ?, ?, ?, ?, ?)",
            (source.name, status.st_size, 0 if is_racy else status.st_mtime_ns, status.st_ino, settled,
             self._digest(source, settled)),
        )  # fmt: skip

    def _settled(self, name: str, descriptor: int) -> int:
        """Return how much of a file is as it was when it was last read."""
        row = self._db.execute("SELECT settled, digest FROM source WHERE name = ?", (name,)).fetchone()
        if row is None:
            return 0
        return int(row[0]) if _digest(descriptor, row[0]) == row[1] else 0

    @staticmethod
    def _digest(source: Source, size: int) -> str:
        descriptor = source.folder.open(source.file)
        try:
            return _digest(descriptor, size)
        finally:
            os.close(descriptor)

    def _add(self, name: str, piece: Piece, before: int) -> None:
        taken = "SELECT 1 FROM note WHERE id = ? AND source = ?"
        id_ = piece.id
        if piece.other_id and self._db.execute(taken, (id_, name)).fetchone():
            id_ = piece.other_id
        row = self._db.execute(
            "INSERT INTO note (source, id, start, size, print, label, kind, is_open, groups)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (name, id_, before + piece.start, piece.size, words.fingerprint(piece.text), piece.label, piece.kind,
             piece.is_open, "\n".join(piece.groups)),
        )  # fmt: skip
        text = " ".join(words.words(f"{piece.text}\n{piece.extra}"))
        self._db.execute("INSERT INTO said (rowid, words) VALUES (?, ?)", (row.lastrowid, text))

    def _drop(self, name: str, start: int) -> None:
        """Forget the notes of a file from a place on."""
        which = "SELECT number FROM note WHERE source = ? AND start >= ?"
        self._db.execute(f"DELETE FROM said WHERE rowid IN ({which})", (name, start))  # noqa: S608 - fixed text
        self._db.execute("DELETE FROM note WHERE source = ? AND start >= ?", (name, start))

    def search(
        self, question: str, limit: int, *, kind: str = "", but: str = "", only_open: bool = False
    ) -> list[Found]:
        """Return the notes that share words with a question, best first: of a kind, of all `but` one, or open ones."""
        asked = _asked(words.telling(question))
        if not asked:
            return []
        rows = self._db.execute(
            "SELECT source, id, start, size, -bm25(said), groups FROM said JOIN note ON number = said.rowid"
            " WHERE said MATCH ? AND (? = '' OR kind = ?) AND (? = '' OR kind <> ?) AND is_open >= ?"
            " ORDER BY bm25(said), number DESC LIMIT ?", (asked, kind, kind, but, but, only_open, limit),
        )  # fmt: skip
        return [_found(row) for row in rows]

    def alike(self, text: str) -> Iterator[Found]:
        """Yield the notes that may say what a text says: those of the same form first."""
        same = f"SELECT {_PLACE} FROM note WHERE print = ? LIMIT ?"  # noqa: S608 - fixed text
        for row in self._db.execute(same, (words.fingerprint(text), _CANDIDATES)).fetchall():
            yield _found(row)
        yield from self.search(text, _CANDIDATES)

    def find(self, id_: str) -> Found | None:
        """Return where a note with an id is."""
        row = self._db.execute(f"SELECT {_PLACE} FROM note WHERE id = ?", (id_,)).fetchone()  # noqa: S608 - fixed text
        return _found(row) if row else None

    def labelled(self, label: str) -> list[Found]:
        """Return where the notes are that people call by a name."""
        rows = self._db.execute(f"SELECT {_PLACE} FROM note WHERE label = ?", (label,))  # noqa: S608 - fixed text
        return [_found(row) for row in rows]

    def labels(self, beginning: str) -> list[str]:
        """Return the names of notes that begin with some letters."""
        upper = beginning + "\U0010ffff"
        rows = self._db.execute("SELECT label FROM note WHERE label >= ? AND label < ?", (beginning, upper))
        return [row[0] for row in rows]

    def line_of(self, found: Found) -> int:
        """Return the line of its file on which a note begins, counted from 1."""
        source = self._sources[found.source]
        descriptor, left, lines = source.folder.open(source.file), found.start, 1
        try:
            for chunk in read_chunks(descriptor):
                lines += chunk[:left].count(b"\n")
                left -= len(chunk)
                if left <= 0:
                    break
        finally:
            os.close(descriptor)
        return lines

    def read(self, found: Found) -> bytes:
        """Return the bytes of a note; empty where its file is gone."""
        source = self._sources[found.source]
        try:
            descriptor = source.folder.open(source.file)
        except FileNotFoundError:
            return b""
        try:
            os.lseek(descriptor, found.start, os.SEEK_SET)
            return os.read(descriptor, found.size)
        finally:
            os.close(descriptor)


_PLACE = "source, id, start, size, 0.0, groups"


def _found(row: tuple[str, str, int, int, float, str]) -> Found:
    source, id_, start, size, score, groups = row
    return Found(source, id_, start, size, score, tuple(groups.split("\n")) if groups else ())


def _digest(descriptor: int, size: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    digest, left = hashlib.sha256(), size
    for chunk in read_chunks(descriptor):
        digest.update(chunk[:left])
        left -= len(chunk)
        if left <= 0:
            break
    return digest.hexdigest() if left <= 0 else ""


def _asked(terms: Iterable[str]) -> str:
    """Return the words as a question to the index: any of them may be there."""
    distinct = dict.fromkeys(term.replace('"', "") for term in terms)
    return " OR ".join(f'"{term}"' for term in list(distinct)[:_TERMS_MAX] if term)


@contextmanager
def opened(folder: Folder, name: str, sources: Sequence[Source]) -> Iterator[Index]:
    """Yield the index of some files, up to date; one that is damaged or of another version is made anew.

    Raises `BusyError` when others write to it for too long, and `StorageError` when the disk is full. Where nothing can
    be written it lives in memory.
    """
    db = _fresh(folder, name, sources)
    place = str(folder.path / name)
    try:
        yield Index(db, sources)
    except sqlite3.OperationalError as error:
        raise _fault(error, place) from error
    except sqlite3.DatabaseError as error:
        _remove(folder, name)
        raise StorageError(
            f"{place} was damaged, and is removed", hint="run the command again: it is derived"
        ) from error
    finally:
        db.close()


def _remove(folder: Folder, name: str) -> None:
    for gone in (f"{name}-journal", name):  # a new file must not take the old one's journal for its own
        with suppress(FileNotFoundError):
            folder.remove(gone)


def _fresh(folder: Folder, name: str, sources: Sequence[Source]) -> sqlite3.Connection:
    """Return the index's file, opened and brought up to date; a damaged one is removed, and made again."""
    folder.make()
    for _ in range(_TRIES):
        db = _connected(folder, name)
        try:
            if _is_ready(db):
                Index(db, sources).refresh()
                return db
        except sqlite3.OperationalError as error:
            db.close()
            raise _fault(error, str(folder.path / name)) from error
        except sqlite3.DatabaseError:
            pass
        except BaseException:
            db.close()
            raise
        db.close()
        _remove(folder, name)
    raise StorageError(f"{folder.path / name} is damaged again and again", hint="look at the disk, then remove it")


def _fault(error: sqlite3.OperationalError, place: str) -> AgentStudioError:
    if "locked" in str(error):
        return BusyError(f"{place} is locked", hint="wait until its user is done")
    return StorageError(f"cannot use {place}: {error}", hint="free space or mend the permissions, then run it again")


def _connected(folder: Folder, name: str) -> sqlite3.Connection:
    """Open the file, created where it is missing; a database in memory where it cannot be written."""
    if not os.access(folder.path, os.W_OK):
        return sqlite3.connect(":memory:", isolation_level=None)
    if folder.status(name) is None:
        os.close(folder.open(name, os.O_RDWR | os.O_CREAT))
    place = folder.resolve(name)
    if not os.access(place, os.W_OK):
        return sqlite3.connect(":memory:", isolation_level=None)
    try:
        return sqlite3.connect(place, isolation_level=None, timeout=_WAIT_S)
    except sqlite3.OperationalError as error:  # a folder in its place
        raise _fault(error, str(place)) from error


def _is_ready(db: sqlite3.Connection) -> bool:
    """Create the tables in an empty file; tell whether they are of this version."""
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA journal_mode = PERSIST")
    db.execute("PRAGMA trusted_schema = OFF")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.execute("BEGIN IMMEDIATE")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            for table in _TABLES:
                db.execute(table)
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
        version = db.execute("PRAGMA user_version").fetchone()[0]
    return bool(version == VERSION)
