"""From when on a burn-in counts: its own start, and whatever begins it anew.

`.agent-studio/staging/burnin.json` is `{schema, since, candidate, who}`; retention keeps all records from `since` on.
`burnin.jsonl` beside it is a chained journal of starts and of replays, these with two lines each, so that one that was
killed shows.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import StorageError
from agent_studio.monitor.retention import BURNIN
from agent_studio.release import fence, history
from agent_studio.storage import chained

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.release.history import History

SCHEMA = "agent-studio/burnin/1"
JOURNAL = "burnin.jsonl"
_START, _BEGIN, _END = "start", "begin", "end"
_ANEW = {
    history.RESTART: "staging was rolled back",
    history.NUCLEAR: "staging was rolled back",
    history.ROLLBACK: "production was rolled back",
}
_FOREVER_MS = 1 << 62
EVER = datetime.fromtimestamp(0, UTC)


class Started(NamedTuple):
    """What was noted at a start."""

    since: datetime
    candidate: str
    who: str


class Since(NamedTuple):
    """From when on records count."""

    at: datetime
    why: str
    """In words."""

    @property
    def at_ms(self) -> int:
        """Ms since 1970, rounded up."""
        return -int(-self.at.timestamp() * 1000 // 1)


def started(context: Context) -> Started | None:
    """Return what was noted when the burn-in was started, or None when it never was.

    Raises `StorageError` for a file that does not say so.
    """
    state = context.root.state
    try:
        value = json.loads(state.read(BURNIN))
        found = Started(datetime.fromisoformat(value["since"]), str(value["candidate"]), str(value["who"]))
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, RecursionError):
        found = None
    if found is None or found.since.tzinfo is None:
        raise StorageError(
            f"{state.path / BURNIN} does not say since when a burn-in runs",
            hint="agent-studio burnin start --restart begins anew",
        )
    return found


def start(context: Context, candidate: str, who: str) -> Started:
    """Note that a burn-in starts now."""
    value = {"schema": SCHEMA, "since": clock.timestamp(clock.now()), "candidate": candidate, "who": who}
    _note(context, {"step": _START, "candidate": candidate, "who": who})
    context.root.state.replace(BURNIN, json.dumps(value).encode() + b"\n")
    return Started(datetime.fromisoformat(value["since"]), candidate, who)


def since(context: Context, begun: Started) -> Since:
    """Return the latest of the start, the last change of a definition and the last rollback."""
    found = [
        Since(begun.since, "the burn-in was started"),
        Since(fence.changed_at(context.project), "a definition was written"),
        *_rollbacks(history.read(context.project)),
    ]
    return max(found, key=lambda one: one.at)


def _rollbacks(past: History) -> list[Since]:
    return [
        Since(datetime.fromisoformat(one["time"]), _ANEW[one["step"]]) for one in past.records if one["step"] in _ANEW
    ]


def starts(context: Context, candidate: str) -> int:
    """Return how often a burn-in was started on a candidate; raise `IntegrityError` for a damaged journal."""
    return sum(one["step"] == _START and one["candidate"] == candidate for one in _lines(context))


def exercise_begins(context: Context, name: str) -> None:
    """Note that a replay begins: sessions that start from now on are synthetic."""
    _note(context, {"step": _BEGIN, "exercise": name})


def exercise_ends(context: Context, name: str) -> None:
    """Note that a replay has ended."""
    _note(context, {"step": _END, "exercise": name})


def exercises(context: Context) -> list[tuple[int, int]]:
    """Return from when to when there were replays, ms since 1970; one that did not end lasts until the next begins.

    Raises `IntegrityError` for a damaged journal.
    """
    found: list[tuple[int, int]] = []
    begun: dict[str, int] = {}
    for line in _lines(context):
        at_ms = int(datetime.fromisoformat(line["time"]).timestamp() * 1000)
        if line["step"] == _BEGIN:
            found += [(begun_ms, at_ms) for begun_ms in begun.values()]
            begun = {line["exercise"]: at_ms}
        elif line["step"] == _END and line["exercise"] in begun:
            found.append((begun.pop(line["exercise"]), at_ms + 1))
    return [*found, *((begun_ms, _FOREVER_MS) for begun_ms in begun.values())]


def _lines(context: Context) -> list[dict[str, Any]]:
    state = context.root.state
    return chained.read(state, JOURNAL).records if state.has_folder() else []


def _note(context: Context, line: dict[str, Any]) -> None:
    chained.append(context.root.state, JOURNAL, {**line, "time": clock.timestamp(clock.now())})
