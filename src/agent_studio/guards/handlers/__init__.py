"""The handlers in force, by event, in the order in which they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.guards.handler import EVENTS, checked
from agent_studio.guards.handlers import budget, ledger, protect, remember, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context
    from agent_studio.guards.handler import Handler

__all__ = ["EVENTS", "HANDLERS", "asked", "fails_closed"]

HANDLERS: Mapping[str, tuple[Handler, ...]] = checked(
    {
        "SessionStart": (budget.HANDLER, remember.HANDLER),
        "UserPromptSubmit": (budget.HANDLER, suggest.HANDLER),
        "PreToolUse": (ledger.HANDLER, protect.HANDLER, budget.HANDLER),
    }
)


def asked(context: Context) -> frozenset[str]:
    """Return the events on which an environment's configuration wants something decided; others are not wired."""
    return frozenset().union(*(one.asked(context) for one in (budget, ledger, protect, remember, suggest)))


def fails_closed(context: Context) -> bool:
    """Tell whether the client is to stop what nobody could decide on."""
    return bool(protect.asked(context))
