"""The handlers in force, by event, in the order in which they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.guards.handler import EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.guards.handler import Handler

__all__ = ["EVENTS", "HANDLERS"]

HANDLERS: Mapping[str, tuple[Handler, ...]] = {}
