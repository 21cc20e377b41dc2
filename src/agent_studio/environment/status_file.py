"""What the status line is told of an environment, by budgets and by alerts, each its own part: `status.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.storage.locks import in_turn

if TYPE_CHECKING:
    from agent_studio.environment.roots import EnvironmentRoot

_FILE, _LOCK = "status.json", "status.lock"
_NOTHING: dict[str, Any] = {"budgetLeftUsd": None, "openAlerts": 0}


def tell(root: EnvironmentRoot, **told: Any) -> None:
    """Write some of `budgetLeftUsd` and `openAlerts`, the rest stays; with nothing to say no file is made."""
    folder = root.state
    if told.items() <= _NOTHING.items() and not folder.has_file(_FILE):
        return
    folder.make()
    with in_turn(folder, _LOCK):
        try:
            held = json.loads(folder.read(_FILE))
        except (FileNotFoundError, ValueError):
            held = None
        status = {**_NOTHING, **(held if isinstance(held, dict) else {}), **told}
        status["updatedAt"] = clock.timestamp(clock.now())
        folder.replace(_FILE, json.dumps(status).encode() + b"\n")
