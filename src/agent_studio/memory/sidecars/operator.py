"""A person's access to an agent's memory: apart from the agent's own, and written down before it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.flag_journal import default_who
from agent_studio.memory.sidecar import Sidecar, open_sidecar
from agent_studio.memory.sidecars.store import HOT
from agent_studio.storage import chained

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

JOURNAL = "sidecar-access.jsonl"
"""In the environment's state: `{timestamp, environment, who, agent, action, id}`, chained."""


def open_as_operator(context: Context, agent: str, action: str, entry_id: str = "") -> Sidecar:
    """Open an agent's memory for a person, and write down who does what to it; raises as `open_sidecar` does."""
    opened = open_sidecar(context, agent)
    record = {
        "timestamp": clock.timestamp(clock.now()), "environment": str(context.environment),
        "who": default_who(context.project),
        "agent": agent, "action": action, "id": entry_id or None,
    }  # fmt: skip
    chained.append(context.root.state, JOURNAL, record)
    return opened


def accesses(context: Context) -> list[dict[str, Any]]:
    """Return what is written down, oldest first; raise `IntegrityError` where it was changed."""
    return [
        {name: value for name, value in record.items() if not name.startswith("_")}
        for record in chained.read(context.root.state, JOURNAL).records
    ]


def agents(context: Context) -> list[str]:
    """Return the folders of agents that have a memory of their own."""
    folder = context.root.folder("agents")
    try:
        names = folder.names()
    except FileNotFoundError:
        return []
    return [name for name in names if folder.status(f"{name}/{HOT}") or folder.status(f"{name}/archive")]
