"""Runs the checks of a task, on a finished attempt and on its untouched start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.evals.attempts.facts import Facts
from agent_studio.evals.checks import commands, files, happened
from agent_studio.evals.checks.outcome import PENDING, Outcome, Scene
from agent_studio.evals.tasks.task import JUDGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_studio.evals.attempts.room import Room
    from agent_studio.evals.checks.files import Found
    from agent_studio.evals.tasks.task import Check, Task

_KINDS: Mapping[str, Callable[[Mapping[str, Any], Scene], Found]] = {
    "command": commands.command, "file": files.file, "json": files.json_value, "diff": files.diff,
    "pytest": commands.pytest, "junit": commands.junit, "answer": happened.answer, "tool": happened.tool,
    "agent": happened.agent, "skill": happened.skill, "tools": happened.tools, "blocked": happened.blocked,
    "hook": happened.hook, "loaded": happened.loaded, "atMost": happened.at_most,
    JUDGE: lambda value, scene: (None, PENDING),  # noqa: ARG005 - both sides have to be there
}  # fmt: skip
_RUN = frozenset(("command", "pytest", "junit"))


def all_of(task: Task, scene: Scene) -> list[Outcome]:
    """Return what became of every check."""
    return [_one(check, scene) for check in task.checks]


def _one(check: Check, scene: Scene) -> Outcome:
    passed, detail = _KINDS[check.kind](check.value, scene)
    return Outcome(check.name, check.kind, passed, detail)


def passes(outcomes: Sequence[Mapping[str, Any]]) -> bool | None:
    """Return whether an attempt did its task: None while something is not decided and nothing failed."""
    verdicts = [one["passed"] for one in outcomes]
    return False if False in verdicts else None if None in verdicts else True


class Untouched(NamedTuple):
    """What the checks of a task say of its start."""

    task: str
    vacuous: tuple[str, ...]
    """Checks that pass already, and are neither limits nor declared with `keeps`."""
    broken: tuple[str, ...]
    """Checks declared with `keeps` that do not hold at the start."""
    can_fail: bool
    """Whether some check does not pass yet: if not, an agent that does nothing succeeds."""

    @property
    def is_sound(self) -> bool:
        """Whether the task can tell a good attempt from none."""
        return self.can_fail and not self.broken


def runs(task: Task) -> bool:
    """Tell whether a check of a task runs a program, which may change files."""
    return any(check.kind in _RUN for check in task.checks)


def untouched(task: Task, room: Room, before: Mapping[str, str]) -> Untouched:
    """Run the checks of a task where nothing was done; `before` is every file as it is."""
    scene = Scene(room, Facts(known=True), before, before, 0.0)
    outcomes = [(check, _one(check, scene)) for check in task.checks]
    vacuous = [check.name for check, found in outcomes if found.passed and not check.is_limit]
    broken = [check.name for check, found in outcomes if check.keeps and found.passed is False]
    can_fail = any(found.passed is not True for _, found in outcomes)
    return Untouched(task.id, tuple(vacuous), tuple(broken), can_fail)
