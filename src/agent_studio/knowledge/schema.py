"""The tables that search reads, and what is written into them for one artifact.

`artifact` holds a row for each file, `passage` its text, `heads` and `bodies` the words of both (FTS5, without a copy of
the text), `word` every stem with the number of artifacts that have it. bm25 divides by the length of a whole row, so
the few words of a name and the thousands of a body stand in two tables. Texts are expected redacted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_studio.knowledge.answers import Entry

if TYPE_CHECKING:
    import sqlite3

    from agent_studio.knowledge.artifacts import Artifact

VERSION = 1
"""Of these tables and of how words are cut; an index of another version is built anew."""

_TOKENS = "tokenize = 'porter unicode61'"
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
    f"CREATE VIRTUAL TABLE heads USING fts5(name, description, tags, use_cases, content='', {_TOKENS})",
    f"CREATE VIRTUAL TABLE bodies USING fts5(headings, body, content='', {_TOKENS})",
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def create(db: sqlite3.Connection) -> None:
    """Create the tables in an empty database."""
    for statement in _TABLES:
        db.execute(statement)


def insert(
    db: sqlite3.Connection, rowid: int, artifact: Artifact, *, usage_count: int = 0, last_used: str = ""
) -> None:
    """Add one artifact under an id that is free."""
    row = Entry(
        rowid, artifact.name, artifact.path, artifact.description, artifact.domain, artifact.complexity,
        artifact.use_cases, artifact.tools, artifact.deprecated, artifact.alias, artifact.tags, artifact.source,
        artifact.sha256, artifact.size_bytes, artifact.mtime_ns, artifact.hidden, usage_count, last_used,
    )  # fmt: skip
    db.execute(f"INSERT INTO artifact VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - question marks
    db.execute("INSERT INTO passage VALUES (?, ?, ?)", (rowid, artifact.headings, artifact.body))
    db.execute("INSERT INTO heads (rowid, name, description, tags, use_cases) VALUES (?, ?, ?, ?, ?)", _head(row))
    db.execute("INSERT INTO bodies (rowid, headings, body) VALUES (?, ?, ?)", (rowid, artifact.headings, artifact.body))


def delete(db: sqlite3.Connection, rowid: int) -> None:
    """Take one artifact out; an id that is not there is no fault."""
    row = db.execute("SELECT * FROM artifact WHERE id = ?", (rowid,)).fetchone()
    if row is None:
        return
    passage = db.execute("SELECT id, headings, body FROM passage WHERE id = ?", (rowid,)).fetchone()
    # without a copy of the text, FTS5 has to be told what it was given
    db.execute("INSERT INTO heads (heads, rowid, name, description, tags, use_cases) VALUES ('delete', ?, ?, ?, ?, ?)",
               _head(Entry(*row)))  # fmt: skip
    db.execute("INSERT INTO bodies (bodies, rowid, headings, body) VALUES ('delete', ?, ?, ?)", passage)
    db.execute("DELETE FROM artifact WHERE id = ?", (rowid,))
    db.execute("DELETE FROM passage WHERE id = ?", (rowid,))


def finish(db: sqlite3.Connection) -> None:
    """Bring what is counted over all artifacts up to date; called once after a batch of changes."""


def entry(row: tuple[object, ...]) -> Entry:
    """Return a row of `SELECT * FROM artifact`."""
    made = Entry(*row)  # type: ignore[arg-type] - the table has its columns in this order
    return made._replace(deprecated=bool(made.deprecated), hidden=bool(made.hidden))


def _head(row: Entry) -> tuple[int, str, str, str, str]:
    """Return the words of the metadata; `fooBar` is found as one word and as two."""
    name = f"{row.name} {_HUMP.sub(' ', row.name)}" if _HUMP.search(row.name) else row.name
    if row.alias:
        name = f"{name} {row.alias}"
    return row.id, name, row.description, row.tags.replace(";", " "), row.use_cases.replace(";", " ")
