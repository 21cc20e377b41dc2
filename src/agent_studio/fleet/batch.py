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

Row = tuple[Any, ...]
"""The values of a table's columns, in their order; an id as 32 hex digits."""


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
    """Return what `encoded` wrote; raise `UsageError` for anything else, whoever sent it."""
    try:
        whole = json.loads(gzip.decompress(data))
        version, project, machine, rows = (whole[name] for name in ("version", "project", "machine", "rows"))
        batch = Batch(str(project), str(machine), {name: [tuple(row) for row in found] for name, found in rows.items()})
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"this is no batch of records: {type(error).__name__}") from error
    if version != SCHEMA_VERSION:
        raise UsageError(f"a batch of version {version}; this is version {SCHEMA_VERSION}", hint="upgrade agent-studio")
    for name, found in batch.rows.items():
        width = len(TABLES.get(name, ()))
        if not width or any(len(row) != width for row in found):
            raise UsageError(f"a batch with rows of {name!r} that are not as this version has them")
    return batch
