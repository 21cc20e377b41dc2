"""How often artifacts are used and when last: kept in the index, and by the table should the index be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.knowledge import table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot

Used = tuple[str, str, int, str]
"""Name, domain (or "" for any), how often, and when last (RFC 3339)."""


def keep(db: sqlite3.Connection, used: Iterable[Used]) -> bool:
    """Take in counts that were made elsewhere; one that is known to be higher stays. Return whether any changed."""
    before = db.total_changes
    db.executemany(
        "INSERT INTO usage VALUES (?, ?, ?, ?) ON CONFLICT (name, domain) DO UPDATE SET "
        "count = max(count, excluded.count), last_used = max(last_used, excluded.last_used) WHERE (count, last_used) "
        "IS NOT (max(count, excluded.count), max(last_used, excluded.last_used))",
        used,
    )
    if db.total_changes == before:
        return False
    db.execute(
        "UPDATE artifact SET usage_count = u.count, last_used = u.last FROM (SELECT a.id AS id, sum(count) AS count, "
        "max(u.last_used) AS last FROM usage u JOIN artifact a ON a.name = u.name AND u.domain IN (a.domain, '') "
        "GROUP BY a.id) u WHERE u.id = artifact.id"
    )
    return True


def of(db: sqlite3.Connection, name: str, domain: str) -> tuple[int, str]:
    """Return the count of one artifact and when it was last used."""
    counted: tuple[int, str] = db.execute(
        "SELECT coalesce(sum(count), 0), coalesce(max(last_used), '') FROM usage WHERE name = ? AND domain IN (?, '')",
        (name, domain),
    ).fetchone()
    return counted


def all_of(db: sqlite3.Connection) -> list[Used]:
    """Return all counts."""
    return db.execute("SELECT name, domain, count, last_used FROM usage ORDER BY name, domain").fetchall()


def of_table(root: EnvironmentRoot) -> list[Used]:
    """Return the counts that the table keeps; none where there is no table that can be read."""
    try:
        rows = table.load(root)
    except (FileNotFoundError, AgentStudioError):
        return []
    used: dict[tuple[str, str], tuple[int, str]] = {}
    for row in rows:
        count = int(row["usage_count"]) if row["usage_count"].isdecimal() else 0
        if count or row["last_used"]:
            known = used.get((row["name"], row["domain"]), (0, ""))
            used[row["name"], row["domain"]] = max(known, (count, row["last_used"]))
    return [(*key, *value) for key, value in used.items()]
