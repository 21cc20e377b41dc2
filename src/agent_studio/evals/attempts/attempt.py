"""One attempt from its fresh copy to its record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.evals.attempts import facts, start
from agent_studio.evals.attempts.backends import Trying
from agent_studio.evals.checks import files, running
from agent_studio.evals.checks.outcome import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal
    from pathlib import Path

    from agent_studio.evals.attempts.backends import Backend
    from agent_studio.evals.attempts.facts import Facts, Usage
    from agent_studio.evals.attempts.room import Rooms
    from agent_studio.evals.tasks.task import Task

_LISTED = 50


class Made(NamedTuple):
    """A finished attempt."""

    record: dict[str, Any]
    """As the journal keeps it."""
    facts: Facts


class Wanted(NamedTuple):
    """An attempt to make."""

    name: str
    """Of its room, and of itself in the journal."""
    task: Task
    side: str
    number: int
    definitions: str | None
    snapshot: Path | None
    model: str | None


def make(
    wanted: Wanted, rooms: Rooms, backend: Backend, price: Callable[[Facts], Decimal | None],
    too_dear: Callable[[Sequence[Usage]], bool],
) -> Made:  # fmt: skip
    """Make the attempt, and leave its room for whoever settles what it cost."""
    room = rooms.make(wanted.name, wanted.task, wanted.snapshot, wanted.definitions)
    before = start.states(room.copy)
    backend.prepare(room)
    started_at, began = clock.now(), time.monotonic()
    found = backend.attempt(Trying(room, wanted.task, wanted.number, wanted.side, wanted.model, too_dear))
    duration_ms = round((time.monotonic() - began) * 1000)
    usd = price(found)
    scene = Scene(room, found, before, start.states(room.copy), None if usd is None else float(usd), duration_ms)
    outcomes = [] if found.ended in facts.INFRASTRUCTURE else running.all_of(wanted.task, scene)
    told = [one.told() for one in outcomes]
    return Made(_record(wanted, scene, told, clock.timestamp(started_at), usd), found)


def _record(
    wanted: Wanted, scene: Scene, told: list[dict[str, Any]], started_at: str, usd: Decimal | None
) -> dict[str, Any]:
    found = scene.facts
    passed = running.passes(told) if told else None
    if found.ended not in {facts.DONE, *facts.INFRASTRUCTURE}:
        passed = False
    return {
        "attempt": wanted.name, "task": wanted.task.id, "side": wanted.side, "number": wanted.number,
        "passed": passed, "void": found.ended in facts.INFRASTRUCTURE, "checks": told, "startedAt": started_at,
        "durationMs": scene.duration_ms, "usd": None if usd is None else f"{usd:f}",
        "changed": scene.changed[:_LISTED], "changedFiles": len(scene.changed),
        "facts": found.told(), "usage": [list(one) for one in found.usage],
        "excerpts": _excerpts(wanted.task, scene),
    }  # fmt: skip


def _excerpts(task: Task, scene: Scene) -> dict[str, str]:
    """Return what a judge is shown of the work: its answer is in the facts, files by the check's patterns."""
    patterns = [one for check in task.checks if check.kind == "judge" for one in check.value.get("files", ())]
    paths = [path for path in scene.after if files.fits(path, patterns)]
    return {path: (files.text_of(scene, path) or "")[:4_000] for path in paths[:10]}
