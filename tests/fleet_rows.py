"""Rows of a fleet's tables, as tests need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.fleet.batch import Batch
from agent_studio.fleet.tables import TABLES

if TYPE_CHECKING:
    from agent_studio.fleet.batch import Row
    from agent_studio.fleet.tables import Form

DAY_MS = 86_400_000
PLAIN: dict[Form, Any] = {
    "id": "0" * 32, "moment": 0, "name": "", "text": None, "figure": None, "whole": None, "flag": False,
}  # fmt: skip


def row(table: str, number: int, at_ms: int, **values: Any) -> Row:
    """A row of bookshop's machine ci-1 in staging; its id is its number."""
    known = {"project": "bookshop", "environment": "staging", "machine": "ci-1", "id": f"{number:032x}", "at_ms": at_ms}
    filled = {column: PLAIN[form] for column, form in TABLES[table].items()} | known | values
    return tuple(filled[column] for column in TABLES[table])


def batch(*, project: str = "bookshop", machine: str = "ci-1", **rows: list[Row]) -> Batch:
    return Batch(project, machine, rows)
