"""What an agent did in one attempt, whichever client it was: the facts that checks and comparisons work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DONE, TIMEOUT, CRASHED, THROTTLED, MISSING, TURNS, BUDGET, CANCELLED = (
    "done", "timeout", "crashed", "throttled", "missing", "turns", "budget", "cancelled",
)  # fmt: skip
"""How attempts end. What follows `INFRASTRUCTURE` says nothing of the definitions."""
ENDS = (DONE, TIMEOUT, CRASHED, THROTTLED, MISSING, TURNS, BUDGET, CANCELLED)
INFRASTRUCTURE = frozenset((THROTTLED, MISSING, CANCELLED))


class ToolUse(NamedTuple):
    """One call of a tool."""

    name: str
    input: str
    """As JSON."""
    refused: str = ""
    """Who refused it: `hook`, `permission`; empty when it ran."""
    by: str = ""
    """The sub-agent that called; empty for the session itself."""


class HookRun(NamedTuple):
    """One run of the hooks of an event."""

    event: str
    name: str
    blocked: bool


class Usage(NamedTuple):
    """What one response used."""

    message_id: str
    request_id: str
    model: str
    at: str
    input: int
    output: int
    cache_read: int
    cache_write5m: int
    cache_write1h: int
    agent: str = ""


class Facts(NamedTuple):
    """What happened."""

    ended: str = DONE
    reason: str = ""
    """Why, where it is not `done`."""
    tools: tuple[ToolUse, ...] = ()
    agents: tuple[str, ...] = ()
    """Sub-agents that were started, in order."""
    skills: tuple[str, ...] = ()
    hooks: tuple[HookRun, ...] = ()
    loaded: Mapping[str, tuple[str, ...]] = {}
    """`agents`, `skills` and `tools` that the client knew of at its start."""
    usage: tuple[Usage, ...] = ()
    turns: int | None = None
    reported_usd: str | None = None
    """What the client says that it cost."""
    answer: str = ""
    """What was said last."""
    known: bool = True
    """Whether the client tells what it did; if not, a check of it cannot be decided."""

    @property
    def tokens(self) -> int:
        """All but cache reads."""
        return sum(one.input + one.output + one.cache_write5m + one.cache_write1h for one in self.usage)

    @property
    def refused(self) -> list[ToolUse]:
        """The calls that were blocked or refused."""
        return [one for one in self.tools if one.refused]

    def told(self) -> dict[str, Any]:
        """Return it as records keep it: names and counts, and inputs in short."""
        return {
            "ended": self.ended, "reason": self.reason, "turns": self.turns, "tokens": self.tokens,
            "tools": [list(one._replace(input=one.input[:200])) for one in self.tools],
            "agents": list(self.agents), "skills": list(self.skills),
            "hooks": [list(one) for one in dict.fromkeys(self.hooks)],
            "loaded": {name: list(names) for name, names in self.loaded.items() if name != "tools"},
            "answer": self.answer[:2_000], "reportedUsd": self.reported_usd, "known": self.known,
        }  # fmt: skip


def names(said: object) -> tuple[str, ...]:
    """Return names as an agent or a script tells them; raise `TypeError` for what is no list of texts."""
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise TypeError(f"{str(said)[:80]} is no list of names")
    return tuple(said)
