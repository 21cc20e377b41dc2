"""Crossings of budgets, each noticed once, and what the status line shows of them.

The journal is the latch: a crossing that it holds is never noticed again, whatever is amended afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.cost.money import PICO, usd_text
from agent_studio.environment import status_file
from agent_studio.storage import journal
from agent_studio.storage.locks import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_studio.cost.spending import Status
    from agent_studio.environment.roots import EnvironmentRoot

FILE = "budget-notices.jsonl"
_LOCK = "budget-notices.lock"
_CENTS = PICO // 100


def new_notices(
    root: EnvironmentRoot, statuses: Iterable[Status], *, session: str | None = None
) -> list[dict[str, Any]]:
    """Write and return the crossings that were not noticed before, or that one `session` was not told of.

    A notice is `{timestamp, budget, per, key, period, level, unit, used, limit, action, toldTo}`.
    """
    crossed = [(one, level) for one in statuses for level in one.crossed]
    if not crossed:
        return []
    folder = root.state
    folder.make()
    with in_turn(folder, _LOCK):
        known = {_latch(line) for line in journal.read(folder, FILE).records}
        made = [{**_notice(one, level), "toldTo": session} for one, level in crossed]
        fresh = [notice for notice in made if _latch(notice) not in known]
        if fresh:
            journal.append(folder, FILE, fresh)
    return fresh


def _notice(status: Status, level: int) -> dict[str, Any]:
    budget = status.budget
    return {
        "timestamp": clock.timestamp(clock.now()), "budget": budget.name, "per": budget.per, "key": status.key,
        "period": status.period, "level": level, "unit": budget.unit, "used": budget.written(status.used),
        "limit": budget.written(budget.limit), "action": budget.action,
    }  # fmt: skip


def _latch(notice: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        str(notice.get(name)) for name in ("budget", "per", "unit", "limit", "key", "period", "level", "toldTo")
    )


def show_left(root: EnvironmentRoot, statuses: Sequence[Status]) -> None:
    """Tell the status line what is left of the tightest budget in USD that is for the whole environment."""
    left = [
        one.remaining for one in statuses
        if one.budget.unit == "usd" and not one.key and {name for name, _ in one.budget.only} <= {"environment"}
    ]  # fmt: skip
    status_file.tell(root, budgetLeftUsd=usd_text(min(left) // _CENTS * _CENTS) if left else None)
