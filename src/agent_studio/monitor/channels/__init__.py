"""How a message about alerts gets to people: one module a channel, each with `send`.

`send` returns when the message is delivered, and raises `DeliveryError` when it is not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError
from agent_studio.monitor.verdict import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.destinations import Destination


class DeliveryError(AgentStudioError):
    """A message could not be delivered."""

    code = "delivery"

    def __init__(self, message: str, *, retry_after_s: float = 0, is_refused: bool = False) -> None:
        """`is_refused`: this message will never be taken, so others need not wait for it."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_refused = is_refused


class Batch(NamedTuple):
    """What is sent at once: one or more steps of alerts."""

    id: str
    """The same however often it is sent: a receiver can tell that it has it."""
    environment: str
    steps: list[dict[str, Any]]
    """Steps as the history has them, oldest first."""

    @property
    def title(self) -> str:
        """One line for people."""
        if len(self.steps) == 1:
            return _title(self.steps[0])
        worst = max(self.steps, key=lambda one: SEVERITIES.index(one["severity"]))
        return f"{len(self.steps)} alerts, first {_title(worst)}"

    @property
    def text(self) -> str:
        """A line for each step."""
        return "\n".join(line_of(one) for one in self.steps)


def _title(one: dict[str, Any]) -> str:
    about = f" {one['label']}" if one["label"] else ""
    return f"{str(one['step']).upper()} {one['severity']} {one['environment']}: {one['rule']}{about}"


def line_of(one: dict[str, Any]) -> str:
    """Return one step in words."""
    return f"{_title(one)}: {one['message']}"


_WORKS = {"log": "log", "webhook": "webhook", "desktop": "desktop", "apprise": "extra"}
REPEATS = frozenset(("log", "webhook"))
"""Channels whose receiver, or we, can tell that a message was delivered before: these are sent again after a crash."""


def send(root: EnvironmentRoot, where: Destination, batch: Batch, variables: Mapping[str, str]) -> None:
    """Deliver a message through a channel; raise `DeliveryError` when it cannot be."""
    module = import_module(f"{__name__}.{_WORKS[where.channel]}")
    try:
        module.send(root, where, batch, variables)
    except DeliveryError:
        raise
    except AgentStudioError as error:
        raise DeliveryError(error.message) from error
