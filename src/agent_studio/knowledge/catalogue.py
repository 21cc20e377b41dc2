"""What the knowledge base holds, asked for by name, by filter, or in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError
from agent_studio.knowledge import index, schema

if TYPE_CHECKING:
    import sqlite3

    from agent_studio.knowledge.answers import Entry
    from agent_studio.storage.folder import Folder

SORTS = {
    "name": "name COLLATE NOCASE, path",
    "usage": "usage_count DESC, name COLLATE NOCASE, path",
    "last-used": "last_used DESC, name COLLATE NOCASE, path",
    "size": "size_bytes DESC, path",
    "path": "path",
}
"""Orders that a list may have; ties go by path."""

_HOLDS = "instr(';' || casefolded({}) || ';', ';' || casefolded(?) || ';')"
"""Whether a list joined by `;` has an item, whatever its case: SQLite's own `lower` knows ASCII alone."""


def get(db: sqlite3.Connection, name: str) -> list[Entry]:
    """Return the artifacts of a path, a name (a plugin's is `plugin:name`) or else an alias; several may share one.

    The exact spelling comes before others, then what is on offer before what is deprecated, then the path.
    """
    order = "ORDER BY name <> ?, deprecated, path"
    return (
        _rows(db, "path = ?", (name,))
        or _rows(db, f"name = ? COLLATE NOCASE {order}", (name, name))
        or (_rows(db, f"{_HOLDS.format('alias')} {order}", (name, name)) if name and ";" not in name else [])
    )


def entries(
    db: sqlite3.Connection, *, domain: str | None = None, tags: tuple[str, ...] = (), complexity: str | None = None,
    tools: tuple[str, ...] = (), deprecated: bool | None = None, source: str | None = None, sort: str = "name",
    limit: int | None = None,
) -> list[Entry]:  # fmt: skip
    """Return the artifacts that pass all filters; raise `UsageError` for an order that is none."""
    if sort not in SORTS:
        raise UsageError(f"cannot sort by {sort!r}", hint=f"one of {', '.join(SORTS)}")
    tests: list[tuple[str, object]] = [
        (f"{column} = ? COLLATE NOCASE", value)
        for column, value in (("domain", domain), ("complexity", complexity), ("source", source))
        if value is not None
    ]
    tests += [(_HOLDS.format(column), value)
              for column, values in (("tags", tags), ("tools", tools)) for value in values]  # fmt: skip
    if deprecated is not None:
        tests.append(("deprecated = ?", deprecated))
    where = " AND ".join(test for test, _ in tests) or "1"
    return _rows(db, f"{where} ORDER BY {SORTS[sort]} LIMIT ?", (*(value for _, value in tests), limit or -1))


def names(db: sqlite3.Connection) -> list[str]:
    """Return every name once."""
    return [name for (name,) in db.execute("SELECT DISTINCT name FROM artifact ORDER BY name")]


def skipped(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the files that are not in the index, and why."""
    return db.execute("SELECT path, reason FROM skipped ORDER BY path").fetchall()


def stats(db: sqlite3.Connection, folder: Folder) -> dict[str, Any]:
    """Return counts by domain, source and complexity, sizes, copies, usage, and age and size of the index."""
    total, size, deprecated, hidden, used, uses, copies = db.execute(
        "SELECT count(*), coalesce(sum(size_bytes), 0), coalesce(sum(deprecated), 0), coalesce(sum(hidden), 0), "
        "coalesce(sum(usage_count > 0), 0), coalesce(sum(usage_count), 0), count(*) - count(DISTINCT sha256) "
        "FROM artifact"
    ).fetchone()
    status = folder.status(index.FILE)
    changed = db.execute("SELECT value FROM meta WHERE name = 'changed'").fetchone()
    return {
        "artifacts": total,
        **{column: _counts(db, column) for column in ("domain", "source", "complexity")},
        "sameName": db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM artifact GROUP BY name, domain HAVING count(*) > 1)"
        ).fetchone()[0],
        "copies": copies,
        "deprecated": deprecated,
        "hidden": hidden,
        "skipped": db.execute("SELECT count(*) FROM skipped").fetchone()[0],
        "bytes": size,
        "usedArtifacts": used,
        "uses": uses,
        "indexBytes": status.st_size if status else 0,
        "indexChanged": changed[0] if changed else None,
    }


def _counts(db: sqlite3.Connection, column: str) -> dict[str, int]:
    query = f"SELECT {column}, count(*) FROM artifact GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 - our own names
    return dict(db.execute(query).fetchall())


def _rows(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[Entry]:
    query = f"SELECT * FROM artifact WHERE {where}"  # noqa: S608 - our own text, values are bound
    return [schema.entry(row) for row in db.execute(query, values)]
