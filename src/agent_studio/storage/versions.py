"""Which version of a format a document is in: one that is newer than ours is refused, never misread."""

from __future__ import annotations

from typing import Any

from agent_studio.errors import AgentStudioError, StorageError


def refuse_newer(value: Any, schema: str, place: object, *, fault: type[AgentStudioError] = StorageError) -> None:
    """Raise a fault when a document says that it is of a later version of a format (`agent-studio/backup/1`)."""
    name, _, ours = schema.rpartition("/")
    said, _, number = str(value.get("schema") if isinstance(value, dict) else "").rpartition("/")
    if said == name and number.isdecimal() and int(number) > int(ours):
        raise fault(
            f"{place} is of a newer version: {said}/{number}, known here is {schema}", hint="update agent-studio"
        )
