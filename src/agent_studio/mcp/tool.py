"""What a tool of the server is. Modules that offer tools know nothing of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.context import Context


class Said(NamedTuple):
    """What a tool answers: a text for the model, and the same as data."""

    text: str
    data: dict[str, Any]


class Tool(NamedTuple):
    """Something an agent can ask for."""

    name: str
    title: str
    description: str
    """What the model is told; it decides by this when to call."""
    arguments: Mapping[str, Any]
    """JSON Schema of each argument by its name."""
    required: tuple[str, ...]
    answer: Mapping[str, Any]
    """JSON Schema of each field of the data."""
    run: Callable[[Context, Mapping[str, Any]], Said]
    """Arguments fit the schema. Raises `AgentStudioError` with what the model should do instead."""
    reads_only: bool = True


def quoted(text: str, boundary: str, about: str) -> str:
    """Return a text of somebody else's between marks that it cannot contain: to a model it is data."""
    return f"<{boundary} {about}>\n{text}\n</{boundary}>"


def one_line(text: str, limit: int) -> str:
    """Return a text on one line, cut at a word."""
    joined = " ".join(text.split())
    if len(joined) <= limit:
        return joined
    cut = joined[: limit - 1]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[limit // 2 :] else cut}…"
