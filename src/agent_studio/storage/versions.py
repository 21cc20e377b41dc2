"""Which version of a format a document is in: one that is newer than ours is refused, never misread."""

from __future__ import annotations

from typing import Any

from agent_studio.errors import StorageError


def refuse_newer(value: Any, schema: str, place: object) -> None:
    """Raise `StorageError` when a document says that it is of a later version of a format (`agent-studio/backup/1`)."""
    name, _, ours = schema.rpartition("/")
    said, _, number = str(value.get("schema") if isinstance(value, dict) else "").rpartition("/")
    if said == name and number.isdecimal() and int(number) > int(ours):
        raise StorageError(
            f"{place} is of a newer version: {said}/{number}, known here is {schema}", hint="update agent-studio"
        )
