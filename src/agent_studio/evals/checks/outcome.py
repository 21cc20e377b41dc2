"""What a check finds, and what it looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.evals.attempts.facts import Facts
    from agent_studio.evals.attempts.room import Room

PENDING = "pending"
"""What a judge has yet to say."""


class Scene(NamedTuple):
    """A finished attempt, or an untouched start, as checks see it."""

    room: Room
    facts: Facts
    before: Mapping[str, str]
    """State of every file at the start, by path."""
    after: Mapping[str, str]
    usd: float | None = None
    duration_ms: int = 0

    @property
    def changed(self) -> list[str]:
        """Paths that are new, gone or different."""
        paths = self.before.keys() | self.after.keys()
        return sorted(path for path in paths if self.before.get(path) != self.after.get(path))


class Outcome(NamedTuple):
    """What became of one check."""

    name: str
    kind: str
    passed: bool | None
    """None: not decided yet, or not to be decided with what is known."""
    detail: str = ""

    def told(self) -> dict[str, Any]:
        """Return it as records keep it."""
        return {"name": self.name, "kind": self.kind, "passed": self.passed, "detail": self.detail[:1_000]}
