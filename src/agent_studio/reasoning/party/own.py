"""What is one seat's own: its persona, the digest of its memory, its method. No call names another's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_studio.environment import flags
from agent_studio.environment.flag_journal import history
from agent_studio.errors import ConfigurationError, did_you_mean
from agent_studio.memory.sidecar import open_sidecar
from agent_studio.reasoning.elicitation import methods
from agent_studio.reasoning.elicitation.limits import session_of
from agent_studio.reasoning.party.prompts import Private

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.seats import Bound

NOTES_BYTES = 4_000
_FLAG = "sidecarMemory"


def of(context: Context, bound: Bound) -> Private:
    """Return what a seat is given that no other seat is."""
    return Private(bound.persona, notes(context, bound.seat.agent), method(context, bound.seat.method))


def notes(context: Context, agent: str) -> str:
    """Return the digest of an agent's own memory; nothing where sidecar memory is off for this session."""
    if not flags.evaluate(context.config, history(context.root), _FLAG, session_of("", os.environ)).value:
        return ""
    return open_sidecar(context, agent).digest(NOTES_BYTES)


def method(context: Context, name: str) -> str:
    """Return how a method works; raise `ConfigurationError` for one that nobody knows."""
    if not name:
        return ""
    known = methods.load(context)
    if name not in known:
        raise ConfigurationError(f"no method is named {name!r}", hint=did_you_mean(name, known))
    return known[name].prompt
