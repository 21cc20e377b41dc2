"""The burn-in as dashboards show it: a line in the terminal, a page in the browser. Nothing is written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.context import Context

_FRESH_S = 30.0


class Standing:
    """The line for a screen that is drawn again and again: it takes all records since the start, so not every time."""

    def __init__(self, look: Callable[[], dict[str, Any] | None]) -> None:
        self._look = look
        self._until_s = 0.0
        self._known: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any] | None:
        """Return it, half a minute old at most, or ten times as old as it takes."""
        if time.monotonic() >= self._until_s:
            began_s = time.monotonic()
            self._known = self._look()
            ended_s = time.monotonic()
            self._until_s = ended_s + max(_FRESH_S, 10 * (ended_s - began_s))
        return self._known


def burnin(context: Context, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return `{environment, burnin: `burnin status --json`}`, whatever environment is asked about: there is but one."""
    from agent_studio.release.burnin import progress as kept  # noqa: PLC0415 - store and journals come with it
    from agent_studio.release.production.sides import open_sides  # noqa: PLC0415 - the same

    found = kept.status(open_sides(context.project, variables).reading(context.shared))
    return {"environment": str(Environment.STAGING), "burnin": kept.data_of(found)}


def line(context: Context, variables: Mapping[str, str]) -> dict[str, Any] | None:
    """Return `{verdict, observedHours, hours, message}` of staging's burn-in; None elsewhere and before a start.

    What cannot be read is INSUFFICIENT, with the fault as its message: a dashboard goes on without.
    """
    from agent_studio.monitor.retention import BURNIN  # noqa: PLC0415 - only in staging

    if context.environment is not Environment.STAGING or context.root.state.status(BURNIN) is None:
        return None
    try:
        found = burnin(context, variables)["burnin"]
    except AgentStudioError as error:
        return {"verdict": "INSUFFICIENT", "observedHours": None, "hours": None, "message": error.message}
    return {
        "verdict": found["verdict"], "observedHours": found["observedHours"], "hours": found["policy"]["hours"],
        "message": found["message"],
    }  # fmt: skip
