"""The tables of the shared engine, as every engine has them.

A row is of one project, environment and machine. `id` is the same for the same record however often and by whichever
batch it arrives, so that an engine keeps it once. Nothing in a table is ever changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Form = Literal["id", "moment", "name", "text", "figure", "whole", "flag"]
"""id: a UUID. moment: ms since 1970, never null. name: text, never null. figure: a double. whole: 64 bits, signed.
flag: true or false, never null. text, figure and whole may be null."""

SCHEMA_VERSION = 1
SCHEMA = "agent_studio"
"""The schema (PostgreSQL) or database (ClickHouse) that `fleet init` makes."""
OWN: Mapping[str, Form] = {
    "project": "name", "environment": "name", "machine": "name", "id": "id", "at_ms": "moment", "release": "text",
}  # fmt: skip
"""The columns that every table has. `machine` is who is allowed to write the row."""
TABLES: Mapping[str, Mapping[str, Form]] = {
    "hooks": {
        **OWN, "hook": "name", "event": "text", "tool": "text", "duration_ms": "figure", "status": "name",
        "session_id": "text", "agent": "text", "synthetic": "flag",
    },
    "agents": {
        **OWN, "agent": "name", "agent_id": "text", "session_id": "text", "task_id": "text", "duration_ms": "figure",
        "tokens": "whole", "status": "name", "error_message": "text", "parent": "text", "synthetic": "flag",
    },
    "errors": {
        **OWN, "error_type": "name", "severity": "name", "source": "name", "message": "text", "tool": "text",
        "session_id": "text", "event_id": "text", "metadata": "text", "synthetic": "flag",
    },
    "sessions": {
        **OWN, "session_id": "name", "event": "name", "source": "text", "model": "text", "reason": "text",
        "duration_ms": "figure", "cost_usd": "figure", "synthetic": "flag",
    },
    "usage": {
        **OWN, "response": "name", "seq": "whole", "session_id": "text", "provider": "text", "model": "text",
        "agent": "text", "skill": "text", "folder": "text", "source": "text", "input_tokens": "whole",
        "output_tokens": "whole", "cache_read_tokens": "whole", "cache_write_5m_tokens": "whole",
        "cache_write_1h_tokens": "whole", "web_searches": "whole", "pico_usd": "whole",
    },
    "damage": {**OWN, "kind": "name"},
}  # fmt: skip
"""By table: its columns, in order.

usage: a response as the ledger of a machine has it from its line `seq` on; of rows with the same `response` the one
with the largest `seq` counts. `pico_usd` is null where no price is known. `folder` is the ledger's project.
damage: a line that is no record; `at_ms` is that of the record before it, 0 where there is none.
"""
