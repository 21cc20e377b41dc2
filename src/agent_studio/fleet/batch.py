"""Rows on their way: what is sent at once, and how it is written as bytes."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import UsageError
from agent_studio.fleet.tables import SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.fleet.tables import Form

Row = tuple[Any, ...]
"""The values of a table's columns, in their order; an id as 32 hex digits."""


UNPACKED_MOST_BYTES = 64 << 20
"""Of a batch; what machines send has a tenth of it."""
_NULLABLE = frozenset(("text", "figure", "whole"))
_TYPES: Mapping[Form, tuple[type, ...]] = {
    "id": (str,), "moment": (int,), "name": (str,), "text": (str,), "figure": (float, int), "whole": (int,),
    "flag": (bool,),
}  # fmt: skip


class Batch(NamedTuple):
    """Rows of one project and machine, by table."""

    project: str
    machine: str
    rows: Mapping[str, Sequence[Row]]

    @property
    def size(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows.values()))

    @property
    def id(self) -> str:
        """What tells it from every batch that holds other rows: 64 hex digits."""
        digest = hashlib.sha256(f"{self.project}\0{self.machine}".encode())
        for table in sorted(self.rows):
            place = list(TABLES[table]).index("id")
            digest.update(f"\0{table}\0{''.join(row[place] for row in self.rows[table])}".encode())
        return digest.hexdigest()


def encoded(batch: Batch) -> bytes:
    """Return a batch as gzipped JSON: `{version, project, machine, rows{table: [[value, ...], ...]}}`."""
    whole = {"version": SCHEMA_VERSION, **batch._asdict()}
    return gzip.compress(json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode(), 6, mtime=0)


def decoded(data: bytes) -> Batch:
    """Return what `encoded` wrote; raise `UsageError` for anything else, whoever sent it.

    All of its rows are of its project and its machine.
    """
    try:
        whole = json.loads(_unpacked(data))
        version, project, machine, rows = (whole[name] for name in ("version", "project", "machine", "rows"))
        batch = Batch(str(project), str(machine), {name: [tuple(row) for row in found] for name, found in rows.items()})
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"this is no batch of records: {type(error).__name__}") from error
    if version != SCHEMA_VERSION:
        raise UsageError(f"a batch of version {version}; this is version {SCHEMA_VERSION}", hint="upgrade agent-studio")
    for name, found in batch.rows.items():
        columns = tuple(TABLES.get(name, {}).items())
        if not columns or not all(_is_row(row, columns) for row in found):
            raise UsageError(f"a batch with rows of {name!r} that are not as this version has them")
        own = list(TABLES[name]).index("project"), list(TABLES[name]).index("machine")
        if any((row[own[0]], row[own[1]]) != (batch.project, batch.machine) for row in found):
            raise UsageError("a batch with rows of another project or machine than its own")
    return batch


def _unpacked(data: bytes) -> bytes:
    """Return what is in a gzipped text of a bounded size: a small one may hold far more than any machine sends."""
    unpacker = zlib.decompressobj(wbits=31)
    text = unpacker.decompress(data, UNPACKED_MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("cut short, or too large")
    return text


def _is_row(row: Row, columns: Sequence[tuple[str, Form]]) -> bool:
    return len(row) == len(columns) and all(
        (value is None and form in _NULLABLE) or type(value) in _TYPES[form]
        for value, (_, form) in zip(row, columns, strict=True)
    )
