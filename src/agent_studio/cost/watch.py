"""The budgets of an environment against its ledger, and what has to be said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.cost import book, notices, places, pricing, transcripts
from agent_studio.cost.budgets import budgets
from agent_studio.cost.spending import DAY_MS, statuses
from agent_studio.cost.table import COUNTS
from agent_studio.environment.sharing import sharing

if TYPE_CHECKING:
    from agent_studio.cost.book import Book
    from agent_studio.cost.budgets import Budget
    from agent_studio.cost.spending import Status
    from agent_studio.environment.context import Context

_RUNNING = "running"
_GUARD_WAIT_S = 0.1
"""Less than a decision may take: what is busy then cannot be looked at, and the budget says what that means."""
_NAMED = ("session", "model", "agent", "skill", "project")
_SAME = ("at_ms", *COUNTS, "pico_usd", "tier", "speed", "region", "message", "request")
_LATE_MS = 600_000
"""A response may grow for as long after the next has begun."""


class Standing(NamedTuple):
    """Where the budgets stand."""

    statuses: list[Status]
    fresh: list[dict[str, Any]]
    """Crossings that were not noticed before."""
    damaged: int
    """Lines of the ledger that are no usage."""
    moved: bool
    """Whether somebody else cut or rewrote the ledger."""


def standing(context: Context, wanted: list[Budget] | None = None) -> Standing:
    """Return where all budgets of an environment stand, notice new crossings, and tell the status line what is left.

    It is told of all of them or not at all: not when only some are `wanted`. Raises `ConfigurationError` for a budget
    that is wrong, `StorageError` when the ledger cannot be read.
    """
    looked_at = budgets(context) if wanted is None else wanted
    owner = next(iter(sharing(context).values()))
    found, damaged, moved = book.ask(
        owner, lambda held: (statuses(held.table, looked_at, now_ms()), held.damaged, held.moved)
    )
    if wanted is None:
        notices.show_left(context.root, found)
    return Standing(found, notices.new_notices(context.root, found), damaged, moved)


def of_session(context: Context, wanted: list[Budget], session: str, transcript: str) -> list[Status]:
    """Return where budgets stand for a running session, with what its transcript tells that the ledger does not."""
    with book.opened(next(iter(sharing(context).values())), wait_s=_GUARD_WAIT_S) as held:
        _add_running(context, held, session, transcript)
        return statuses(held.table, wanted, now_ms(), session=session, forecasts=False)


def now_ms() -> int:
    """Return the current time, ms since 1970."""
    return int(clock.now().timestamp() * 1000)


def _add_running(context: Context, held: Book, session: str, transcript: str) -> None:
    """Add rows of the running session to the table, until it is closed: they are not committed."""
    files = list(places.of_session(transcript))
    if not files:
        return
    (last,) = held.table.db.execute(
        "SELECT MAX(at_ms) FROM usage WHERE session = (SELECT id FROM name WHERE text = ?)", (session,)
    ).fetchone()
    with transcripts.opened(context.root.state, [_RUNNING], None, wait_s=_GUARD_WAIT_S) as told:
        old_ns = (now_ms() - DAY_MS) * 1_000_000
        transcripts.update(told, files, pricing.table(context), forget_before_ns=old_ns)
        texts = told.texts()
        marks = ",".join("?" * len(files))
        rows = told.db.execute(
            f"SELECT id, {', '.join((*_NAMED, *_SAME))} FROM usage WHERE at_ms >= ? AND origin IN "
            f"(SELECT id FROM file WHERE path IN ({marks}))",
            ((last or 0) - _LATE_MS, *(one.path for one in files)),
        ).fetchall()
    name, own = held.table.name, held.table.name(str(context.environment))
    columns = ("id", *_NAMED, *_SAME, "environment")
    held.table.db.executemany(
        f"INSERT OR REPLACE INTO usage ({', '.join(columns)}) VALUES ({','.join('?' * len(columns))})",
        [
            (row[0], *(name(texts[one]) for one in row[1 : 1 + len(_NAMED)]), *row[1 + len(_NAMED) :], own)
            for row in rows
        ],
    )
    held.table.changed()
