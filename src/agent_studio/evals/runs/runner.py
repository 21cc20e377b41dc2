"""Makes the attempts of a run: in their order, some at a time, within the limit, and never one twice."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent_studio.cost.money import usd_of
from agent_studio.errors import AgentStudioError
from agent_studio.evals.attempts import attempt, facts, places, start, stream
from agent_studio.evals.attempts.backends import CLAUDE
from agent_studio.evals.attempts.facts import Usage
from agent_studio.evals.runs import header as headers
from agent_studio.evals.runs import log
from agent_studio.evals.runs.budget import Budget
from agent_studio.release import eval_runs

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent_studio.evals.attempts.backends import Backend
    from agent_studio.evals.attempts.room import Rooms
    from agent_studio.evals.runs.header import Header, Slot
    from agent_studio.evals.runs.spending import Spending
    from agent_studio.evals.tasks.task import Task
    from agent_studio.storage.folder import Folder

_TRIES = 3
_PAUSE_S = 5.0
_LOOK_S = 0.2


class BackendError(AgentStudioError):
    """Attempts cannot be made at all: what they are made with is missing, or lets nobody in."""

    code = "backend"


@dataclass
class Work:
    """What a runner works with."""

    header: Header
    folder: Folder
    """Of the run's records."""
    rooms: Rooms
    place: Path
    """Where rooms and starts are."""
    tasks: Mapping[str, Task]
    snapshots: Mapping[str, Path]
    backend: Backend
    spending: Spending
    parallel: int
    cancelled: threading.Event
    tell: Callable[[int, int, Mapping[str, Any] | None], None] = lambda _, __, ___: None
    """Told how many attempts are done, of how many, and the newest."""
    keep: bool = False
    """Whether rooms stay, to be looked at."""
    counts: dict[str, int] = field(default_factory=dict)


def run(work: Work) -> Budget:
    """Make every attempt that is not made yet, as far as the limit reaches; return the money.

    A resumed run first settles what the interrupted one used. Raises `BackendError` where attempts cannot be made;
    `KeyboardInterrupt` leaves nothing running and what is finished kept.
    """
    with log.opened(work.folder) as log_:
        _settle(work, log_, log.read(work.folder))
        held = log.read(work.folder)
        budget = Budget(Decimal(work.header.limit_usd), held.spent)
        left = [unit for unit in headers.units(work.header) if any(slot.name not in held.attempts for slot in unit)]
        total = sum(len(unit) for unit in headers.units(work.header))
        work.counts = {"done": len(held.attempts), "total": total}
        work.tell(len(held.attempts), total, None)
        try:
            _all(work, log_, budget, left, set(held.attempts))
        except BaseException:
            work.cancelled.set()
            raise
    return budget


def _settle(work: Work, log_: log.Log, held: log.State) -> None:
    """Put what an interrupted run used into journal and ledger; what cannot be known counts at its worst."""
    for name, worst in held.open.items():
        used = list(stream.usage(places.transcripts(work.place, name)))
        usd = work.spending.of_usage(used) if used else None
        log_.add(log.ABANDONED, {
            "attempt": name, "try": f"{name}~{secrets.token_hex(4)}", "usage": [list(one) for one in used],
            "usd": worst if usd is None else f"{usd:f}", "known": usd is not None,
        })  # fmt: skip
    for line in log.read(work.folder).unsettled:
        used = [Usage(*one) for one in line["usage"]]
        reported = line.get("facts", {}).get("reportedUsd")
        work.spending.keep(str(line["attempt"]), used, reported)
        log_.add(log.SETTLED, {"attempt": line["attempt"], "try": line["try"]})


def _all(work: Work, log_: log.Log, budget: Budget, left: list[tuple[Slot, ...]], done: set[str]) -> None:
    queue = iter(left)
    with ThreadPoolExecutor(work.parallel, thread_name_prefix="eval") as pool:
        running: set[Future[None]] = set()
        try:
            while True:
                running |= set(_submitted(work, log_, budget, queue, done, pool, work.parallel - len(running)))
                if not running:
                    return
                finished, running = wait(running, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                for one in finished:
                    one.result()
        except BaseException:
            work.cancelled.set()
            raise


def _submitted(
    work: Work, log_: log.Log, budget: Budget, queue: Iterator[tuple[Slot, ...]], done: set[str],
    pool: ThreadPoolExecutor, most: int,
) -> Iterator[Future[None]]:  # fmt: skip
    """Start pairs as long as there is a place and money for them: a pair is paid for whole, or not begun."""
    for _ in range(most):
        unit = next(queue, None)
        if unit is None:
            return
        slots = [slot for slot in unit if slot.name not in done]
        worst = [worst_usd(work.tasks[slot.task], work.backend) for slot in slots]
        if not budget.reserve(sum(worst, Decimal(0))):
            for _unused in queue:
                pass
            return
        yield pool.submit(_unit, work, log_, budget, list(zip(slots, worst, strict=True)))


def worst_usd(task: Task, backend: Backend) -> Decimal:
    """Return what an attempt can cost: a client stops after the call that passes its limit, which comes on top."""
    usd = Decimal(str(task.limits.usd))
    return usd * 2 if backend.name == CLAUDE else usd


def _unit(work: Work, log_: log.Log, budget: Budget, slots: Sequence[tuple[Slot, Decimal]]) -> None:
    for slot, worst in slots:
        if work.cancelled.is_set():
            budget.settle(slot.name, worst, Decimal(0))
            continue
        _slot(work, log_, budget, slot, worst)


def _slot(work: Work, log_: log.Log, budget: Budget, slot: Slot, worst: Decimal) -> None:
    for number in range(1, _TRIES + 1):
        made = _once(work, log_, slot, worst)
        usd = usd_of(made.record["usd"])
        again = made.facts.ended == facts.THROTTLED and number < _TRIES
        ended = made.facts.ended
        kind = log.VOID if again or ended in {facts.CANCELLED, facts.MISSING} else eval_runs.ATTEMPT
        record = {**made.record, "try": f"{slot.name}~{secrets.token_hex(4)}"}
        log_.add(kind, record)
        work.spending.keep(slot.name, made.facts.usage, made.facts.reported_usd)
        log_.add(log.SETTLED, {"attempt": slot.name, "try": record["try"]})
        budget.settle(slot.name, worst, usd)
        if not work.keep:
            start.removed(work.place / slot.name)
        if ended == facts.MISSING:
            work.cancelled.set()
            raise BackendError(
                f"attempts cannot be made with {work.backend.name}: {made.facts.reason}",
                hint="set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN, or mend the command; then go on with --resume",
            )
        if kind == eval_runs.ATTEMPT:
            work.counts["done"] += 1
            work.tell(work.counts["done"], work.counts["total"], record)
        if not again or not budget.reserve(worst):
            return
        _paused(work.cancelled, _PAUSE_S * number)


def _once(work: Work, log_: log.Log, slot: Slot, worst: Decimal) -> attempt.Made:
    task = work.tasks[slot.task]
    definitions = work.header.sides[slot.side]
    wanted = attempt.Wanted(
        slot.name, task, slot.side, slot.number, None if definitions == headers.NONE else definitions,
        work.snapshots.get(slot.task), work.header.model,
    )  # fmt: skip
    log_.add(log.BEGIN, {"attempt": slot.name, "worstUsd": f"{worst:f}"})
    most = Decimal(str(task.limits.usd))

    def too_dear(used: Sequence[Usage]) -> bool:
        usd = work.spending.of_usage(used)
        return usd is not None and usd > most

    return attempt.make(wanted, work.rooms, work.backend, work.spending.price, too_dear)


def _paused(cancelled: threading.Event, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not cancelled.wait(_LOOK_S) and time.monotonic() < until:
        pass
