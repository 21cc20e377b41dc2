"""Rows that the engine took for wrong, kept aside with the reason: `fleet/refused.jsonl` in the state folder."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.fleet.cursor import FOLDER
from agent_studio.fleet.tables import TABLES
from agent_studio.redaction import redact
from agent_studio.storage.descriptors import write_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.fleet.batch import Row
    from agent_studio.storage.folder import Folder

FILE = f"{FOLDER}/refused.jsonl"
BEFORE = f"{FOLDER}/refused.1.jsonl"
LIMIT_BYTES = 1 << 20
"""Of one file; the one before is kept beside it."""
_ROW_MAX = 16 << 10


class Refused(NamedTuple):
    """A row that was refused."""

    table: str
    row: Row
    reason: str


def keep(state: Folder, rows: Sequence[Refused]) -> None:
    """Append rows to the file of refused ones, which is bounded."""
    if not rows:
        return
    state.make(FOLDER)
    status = state.status(FILE)
    if status is not None and status.st_size >= LIMIT_BYTES:
        state.move(FILE, state, BEFORE)
    data = "".join(_line(one) for one in rows).encode("utf-8", "replace")
    descriptor = state.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        write_all(descriptor, data[:LIMIT_BYTES])
    finally:
        os.close(descriptor)


def _line(one: Refused) -> str:
    columns = TABLES.get(one.table)
    row = list(one.row) if columns is None else dict(zip(columns, one.row, strict=False))
    text = json.dumps(row, ensure_ascii=True, default=str)
    told = row if len(text) <= _ROW_MAX else text[:_ROW_MAX]
    record = {"at": clock.timestamp(clock.now()), "table": one.table, "reason": redact(one.reason), "row": told}
    return json.dumps(record, ensure_ascii=True, default=str) + "\n"
