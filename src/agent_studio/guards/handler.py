"""What a decision handler is given and what it may say.

Named tuples, here and in `decide`: importing dataclasses would cost a cold process a fifth of its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.context import Context


class Call(NamedTuple):
    """One event to be decided on."""

    event: str
    """The client's `hook_event_name`."""
    payload: Mapping[str, Any]
    """All that the client sent; every field but the event may be missing."""
    context: Callable[[], Context]
    """Opens the environment; only for handlers that need it."""


class Outcome(NamedTuple):
    """What a handler says; empty says nothing."""

    deny: str = ""
    """Why the event may not go on; the agent reads it."""
    ask: str = ""
    """Why the user has to decide; only before a tool."""
    context: str = ""
    """What the agent should know besides."""


class Handler(NamedTuple):
    """One check or source of context."""

    name: str
    run: Callable[[Call], Outcome | None]
    on_failure: Literal["open", "closed"] = "open"
    """What happens to the event when it raises or overruns: it goes on, or is denied."""
    limit_ms: int = 200
    """Time it may take."""


class Event(NamedTuple):
    """What the client lets a hook do at an event."""

    can_deny: bool
    """Exit code 2 stops it."""
    takes_context: bool
    """`additionalContext` reaches the model."""


EVENTS: Mapping[str, Event] = {
    "PreToolUse": Event(can_deny=True, takes_context=True),
    "PostToolUse": Event(can_deny=True, takes_context=True),
    "UserPromptSubmit": Event(can_deny=True, takes_context=True),
    "SessionStart": Event(can_deny=False, takes_context=True),
    "SessionEnd": Event(can_deny=False, takes_context=False),
    "Stop": Event(can_deny=True, takes_context=False),
    "SubagentStop": Event(can_deny=True, takes_context=False),
    "PreCompact": Event(can_deny=True, takes_context=False),
    "Notification": Event(can_deny=False, takes_context=False),
}
"""The events that every version of the client knows."""


def checked(handlers: Mapping[str, tuple[Handler, ...]]) -> Mapping[str, tuple[Handler, ...]]:
    """Return the handlers by event; raise `ValueError` for one that would fail closed where nothing can be denied."""
    for name, listed in handlers.items():
        for handler in listed:
            if name not in EVENTS or (handler.on_failure == "closed" and not EVENTS[name].can_deny):
                raise ValueError(
                    f"{handler.name} cannot be asked at {name} and fail closed: nothing can be denied there"
                )
    return handlers
