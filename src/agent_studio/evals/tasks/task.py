"""A task: what an agent is told, where it begins, what it may use, and what has to hold when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMITING = frozenset(("diff", "tools", "blocked", "atMost"))
"""Kinds that hold as long as nothing is done: they bound how a task is done, and do not say that it was."""
_NEGATED = {"file": "exists", "tool": "used", "agent": "started", "skill": "used", "hook": "ran"}
JUDGE = "judge"


class Check(NamedTuple):
    """One thing that has to hold."""

    kind: str
    name: str
    value: Mapping[str, Any]
    """As written."""
    keeps: bool
    """Declared to hold from the start."""

    @property
    def is_limit(self) -> bool:
        """Whether it may hold before anything is done."""
        if self.keeps or self.kind in _LIMITING:
            return not (self.kind == "diff" and "changed" in self.value["diff"])
        if self.value.get(_NEGATED.get(self.kind, "")) is False:
            return True
        return self.kind in {"file", "answer"} and "lacks" in self._inner and "matches" not in self._inner

    @property
    def _inner(self) -> Mapping[str, Any]:
        inner = self.value[self.kind]
        return inner if isinstance(inner, dict) else self.value


class Limits(NamedTuple):
    """What one attempt may take."""

    seconds: float
    turns: int
    usd: float


class Start(NamedTuple):
    """The files that an attempt begins with."""

    folder: str | None
    """Below the project."""
    ref: str | None
    """Of git."""
    empty: bool
    files: Mapping[str, str]
    """Text by path, on top."""
    share: tuple[str, ...] = ()
    """Paths of the project that are there read-only, by a link: what is too large to copy."""


class Task(NamedTuple):
    """One task."""

    id: str
    file: str
    """File and line, for messages."""
    prompt: str
    description: str
    start: Start
    limits: Limits
    repeats: int
    tags: tuple[str, ...]
    checks: tuple[Check, ...]
    agent: str | None
    skill: str | None
    model: str | None
    permission_mode: str
    allowed_tools: tuple[str, ...]
    sha256: str
    """Of all that the file says, and of its prompt."""

    @property
    def is_judged(self) -> bool:
        """Whether a model has a say."""
        return any(check.kind == JUDGE for check in self.checks)
