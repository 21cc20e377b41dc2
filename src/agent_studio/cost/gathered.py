"""A table of sums that somebody else gathered: it answers what the ledger's own does, as far as its columns go."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from agent_studio.cost.table import COUNTS, NAMES, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SUMMED = ("responses", *COUNTS, "usd", "pico", "unpriced")
_TABLES = f"""
CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE usage (at_ms INTEGER, {", ".join(f"{name} INTEGER" for name in (*NAMES, *_SUMMED))});
CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""


class Gathered(Table):
    """Sums of responses, each within a quarter of an hour and of the time of its first one."""

    own_sums = ", ".join(f"SUM({name})" for name in _SUMMED)

    def roll_up(self) -> None:
        """Do nothing: it is all sums already."""


@contextmanager
def opened(columns: Sequence[str], rows: Iterable[Sequence[Any]], first_ms: int | None = None) -> Iterator[Gathered]:
    """Open a table in memory.

    A row holds the time of its first response (ms since 1970), the values of the `columns`, and what a row of
    `Table.sums` holds behind its columns. `first_ms` is when the first of all responses was, whatever rows there are.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_TABLES)
        found = Gathered(connection)
        names = ", ".join(("at_ms", *columns, *_SUMMED))
        insert = f"INSERT INTO usage ({names}) VALUES ({', '.join('?' * (1 + len(columns) + len(_SUMMED)))})"
        last = 1 + len(columns)
        connection.execute("BEGIN")
        connection.executemany(
            insert, ((row[0], *(found.name(one) for one in row[1:last]), *row[last:]) for row in rows)
        )
        if first_ms is not None:
            connection.execute("INSERT INTO usage (at_ms, responses, unpriced) VALUES (?, 0, 0)", (first_ms,))
        connection.execute("COMMIT")
        yield found
