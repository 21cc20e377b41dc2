"""The tables that search reads, and what is written into them for one artifact.

`artifact` holds a row for each file, `passage` its text; which artifacts a word stands in is kept by `postings`, which
words there are to be misspelt by `spelling`. Texts are expected redacted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.knowledge import postings, spelling, synonyms
from agent_studio.knowledge.answers import Entry
from agent_studio.knowledge.strengths import strengths
from agent_studio.knowledge.words import apart, stem, words

if TYPE_CHECKING:
    import sqlite3

    from agent_studio.knowledge.artifacts import Artifact

VERSION = 9
"""Of these tables and of how words are cut and weighed; an index of another version is built anew."""

_TABLES = (
    """CREATE TABLE artifact (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
        domain TEXT NOT NULL, complexity TEXT NOT NULL, use_cases TEXT NOT NULL, tools TEXT NOT NULL,
        deprecated INTEGER NOT NULL, alias TEXT NOT NULL, tags TEXT NOT NULL, source TEXT NOT NULL,
        sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, hidden INTEGER NOT NULL,
        usage_count INTEGER NOT NULL DEFAULT 0, last_used TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX artifact_by_name ON artifact (name COLLATE NOCASE)",
    "CREATE INDEX artifact_by_content ON artifact (sha256)",
    "CREATE TABLE passage (id INTEGER PRIMARY KEY, headings TEXT NOT NULL, body TEXT NOT NULL)",
    "CREATE TABLE pending (id INTEGER PRIMARY KEY)",
    *postings.TABLES,
    *spelling.TABLES,
    *synonyms.TABLES,
)
_DEPRECATED, _HIDDEN = Entry._fields.index("deprecated"), Entry._fields.index("hidden")
_AT_ONCE = 1 << postings.BLOCK_BITS
"""Artifacts whose words are put into the index in one go."""


def create(db: sqlite3.Connection) -> None:
    """Create the tables in an empty database."""
    for statement in _TABLES:
        db.execute(statement)
    synonyms.fill(db)


def insert(
    db: sqlite3.Connection, rowid: int, artifact: Artifact, *, usage_count: int = 0, last_used: str = ""
) -> None:
    """Add one artifact under an id that is free; it is found once `finish` has been called."""
    row = Entry(
        rowid, artifact.name, artifact.path, artifact.description, artifact.domain, artifact.complexity,
        artifact.use_cases, artifact.tools, artifact.deprecated, artifact.alias, artifact.tags, artifact.source,
        artifact.sha256, artifact.size_bytes, artifact.mtime_ns, artifact.hidden, usage_count, last_used,
    )  # fmt: skip
    db.execute(f"INSERT INTO artifact VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - question marks
    db.execute("INSERT INTO passage VALUES (?, ?, ?)", (rowid, artifact.headings, artifact.body))
    db.execute("INSERT INTO pending VALUES (?)", (rowid,))
    db.executemany("INSERT OR IGNORE INTO named VALUES (?, ?)", _named(row))


def delete(db: sqlite3.Connection, rowid: int) -> None:
    """Take one artifact out; an id that is not there is no fault."""
    if not db.execute("DELETE FROM pending WHERE id = ?", (rowid,)).rowcount:
        for row, headings, body in _texts(db, rowid, rowid):
            postings.remove(db, rowid, strengths(row, headings, body))
            spelling.count(db, [(row, body)], -1)
    found = db.execute("SELECT * FROM artifact WHERE id = ?", (rowid,)).fetchone()
    if found:
        db.executemany("DELETE FROM named WHERE stems = ? AND id = ?", _named(entry(found)))
    db.execute("DELETE FROM artifact WHERE id = ?", (rowid,))
    db.execute("DELETE FROM passage WHERE id = ?", (rowid,))


def finish(db: sqlite3.Connection) -> None:
    """Make the artifacts inserted since the last call findable; called once after a batch of changes."""
    ids = [row[0] for row in db.execute("SELECT id FROM pending ORDER BY id")]
    for at in range(0, len(ids), _AT_ONCE):
        batch = set(ids[at : at + _AT_ONCE])
        texts = [found for found in _texts(db, min(batch), max(batch)) if found[0].id in batch]
        postings.add(db, {row.id: strengths(row, headings, body) for row, headings, body in texts})
        spelling.count(db, [(row, body) for row, _, body in texts], 1)
    db.execute("DELETE FROM pending")


def entry(row: tuple[Any, ...]) -> Entry:
    """Return a row of `SELECT * FROM artifact`."""
    return Entry._make(row)._replace(deprecated=bool(row[_DEPRECATED]), hidden=bool(row[_HIDDEN]))


def _named(row: Entry) -> list[tuple[str, int]]:
    """Return what a question has to say, without spaces and endings, to have named an artifact."""
    said = [cut(name) for name in (row.name, row.alias) for cut in (words, apart)]
    return [("".join(map(stem, one)), row.id) for one in said if one]


def _texts(db: sqlite3.Connection, first: int, last: int) -> list[tuple[Entry, str, list[str]]]:
    rows = db.execute(
        "SELECT artifact.*, headings, body FROM artifact JOIN passage USING (id) WHERE id BETWEEN ? AND ?",
        (first, last),
    )
    return [(entry(row[:-2]), row[-2], words(row[-1])) for row in rows]
