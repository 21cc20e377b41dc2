"""From when on a burn-in counts: its own start, and whatever begins it anew.

`.agent-studio/staging/burnin.json` is `{schema, since, candidate, who}`; retention keeps all records from `since` on.
`burnin.jsonl` beside it is a chained journal of starts and of replays, these with two lines each. While a replay runs,
its process holds a locked file in `replays/` and writes the time into it, so that one that was killed has an end too.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import IntegrityError, StorageError
from agent_studio.monitor.retention import BURNIN
from agent_studio.release.content import fence
from agent_studio.release.production import history
from agent_studio.storage import chained
from agent_studio.storage.descriptors import locked, try_lock, unlock
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.release.production.history import History
    from agent_studio.storage.folder import Folder

SCHEMA = "agent-studio/burnin/1"
JOURNAL = "burnin.jsonl"
_START, _BEGIN, _END = "start", "begin", "end"
_ANEW = {
    history.RESTART: "staging was rolled back",
    history.NUCLEAR: "staging was rolled back",
    history.ROLLBACK: "production was rolled back",
}
_WRITTEN = "a definition was written"
_REPLAYS = "replays"
_BEAT_S = 1.0
_LAST_BEAT = timedelta(seconds=2 * _BEAT_S)
"""How long after the time in its file a replay may still have run."""
FOREVER_MS = 1 << 62
"""The end of a replay that still runs."""
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
    return started_in(context.root.state)


def started_in(state: Folder) -> Started | None:
    """Return the same, given where staging's state is kept."""
    try:
        value = json.loads(state.read(BURNIN))
        refuse_newer(value, SCHEMA, state.path / BURNIN)
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


def check(context: Context) -> None:
    """Raise what `started` raises, and `IntegrityError` for a damaged journal."""
    started(context)
    _lines(context)


def set_damaged_aside(context: Context) -> str:
    """Give a damaged journal another name, so that a burn-in can be started; return that, empty for a sound one."""
    try:
        _lines(context)
    except IntegrityError:
        state = context.root.state
        aside = f"{JOURNAL}.damaged-{clock.file_stamp(clock.now())}"
        with suppress(FileNotFoundError):  # a journal that is gone is damaged, too
            state.move(JOURNAL, state, aside)
        with suppress(FileNotFoundError):
            state.move(f"{JOURNAL}.head", state, f"{aside}.head")
        return str(state.path / aside)
    return ""


def start(context: Context, candidate: str, who: str) -> Started:
    """Note that a burn-in starts now."""
    value = {"schema": SCHEMA, "since": clock.timestamp(clock.now()), "candidate": candidate, "who": who}
    _note(context, {"step": _START, "candidate": candidate, "who": who})
    context.root.state.replace(BURNIN, json.dumps(value).encode() + b"\n")
    return Started(datetime.fromisoformat(value["since"]), candidate, who)


def since(context: Context, begun: Started) -> Since:
    """Return the latest of the start, the last writing of a definition and the last rollback."""
    found = [
        Since(begun.since, "the burn-in was started"),
        Since(fence.written_at(context.project), _WRITTEN),
        *_rollbacks(history.read(context.project)),
    ]
    return max(found, key=lambda one: one.at)


def _rollbacks(past: History) -> list[Since]:
    return [
        Since(datetime.fromisoformat(one["time"]), _ANEW[one["step"]]) for one in past.records if one["step"] in _ANEW
    ]


def starts(context: Context, candidate: str, found: Since) -> int:
    """Return how often a burn-in began on a candidate, with the writing of a definition that nobody has noted yet.

    Raises `IntegrityError` for a damaged journal.
    """
    times = [datetime.fromisoformat(line["time"]) for line in _lines(context) if _is_start(line, candidate)]
    return len(times) + _is_unnoted(times, found)


def note_written(context: Context, candidate: str, found: Since) -> None:
    """Note that the burn-in begins anew because a definition was written, as its bytes are the same; once each."""
    times = [datetime.fromisoformat(line["time"]) for line in _lines(context) if _is_start(line, candidate)]
    if _is_unnoted(times, found):
        _note(context, {"step": _START, "candidate": candidate, "who": "", "why": found.why})


def _is_start(line: dict[str, Any], candidate: str) -> bool:
    return bool(line["step"] == _START and line["candidate"] == candidate)


def _is_unnoted(times: list[datetime], found: Since) -> bool:
    return found.why == _WRITTEN and all(one < found.at for one in times)


@contextmanager
def replaying(context: Context, name: str) -> Iterator[None]:
    """Be a replay: sessions that start meanwhile are synthetic."""
    folder = context.root.state.at(_REPLAYS)
    folder.make()
    folder.replace(name, _beat())
    descriptor = folder.open(name, os.O_RDWR)
    over = threading.Event()
    try:
        with locked(descriptor):  # before it is noted: nobody looks at a file that no line names
            end_killed(context)
            _note(context, {"step": _BEGIN, "exercise": name})
            beating = threading.Thread(target=_beat_on, args=(descriptor, over), daemon=True)
            beating.start()
            try:
                yield
            finally:
                over.set()
                beating.join()
                _note(context, {"step": _END, "exercise": name})
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            folder.remove(name)


def _beat() -> bytes:
    return clock.timestamp(clock.now()).encode()


def _beat_on(descriptor: int, over: threading.Event) -> None:
    while not over.wait(_BEAT_S):
        with suppress(OSError):  # a full disk: the replay goes on
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, _beat())


def end_killed(context: Context) -> None:
    """Note the end of replays whose process is gone."""
    folder = context.root.state.at(_REPLAYS)
    for name in _unended(_lines(context)):
        if not _runs(folder, name):
            ended = _last_heard(folder, name) or clock.now()
            _note(context, {"step": _END, "exercise": name, "ended": clock.timestamp(ended)})
            with suppress(FileNotFoundError):
                folder.remove(name)


def exercises(context: Context) -> list[tuple[int, int]]:
    """Return from when to when there were replays, ms since 1970; `FOREVER_MS` for one that runs, or left no mark.

    Raises `IntegrityError` for a damaged journal.
    """
    lines = _lines(context)
    ends = {one["exercise"]: _ms(one.get("ended", one["time"])) + 1 for one in lines if one["step"] == _END}
    folder = context.root.state.at(_REPLAYS)
    for name in _unended(lines):
        ended = None if _runs(folder, name) else _last_heard(folder, name)
        ends[name] = FOREVER_MS if ended is None else _ms(clock.timestamp(ended))
    return [(_ms(one["time"]), ends[one["exercise"]]) for one in lines if one["step"] == _BEGIN]


def _unended(lines: list[dict[str, Any]]) -> list[str]:
    ended = {one["exercise"] for one in lines if one["step"] == _END}
    return [one["exercise"] for one in lines if one["step"] == _BEGIN and one["exercise"] not in ended]


def _runs(folder: Folder, name: str) -> bool:
    """Tell whether the process of a replay is there: it holds the lock of its file."""
    try:
        descriptor = folder.open(name, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        is_free = try_lock(descriptor)
        if is_free:
            unlock(descriptor)
    except OSError:
        return False  # no locks here: what was written last is what is known
    finally:
        os.close(descriptor)
    return not is_free


def _last_heard(folder: Folder, name: str) -> datetime | None:
    """Return when a replay may have run at the latest, None where there is no telling."""
    try:
        return datetime.fromisoformat(folder.read(name).decode()) + _LAST_BEAT
    except (FileNotFoundError, ValueError):
        return None


def _ms(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _lines(context: Context) -> list[dict[str, Any]]:
    state = context.root.state
    return chained.read(state, JOURNAL).records if state.has_folder() else []


def _note(context: Context, line: dict[str, Any]) -> None:
    chained.append(context.root.state, JOURNAL, {**line, "time": clock.timestamp(clock.now())})
