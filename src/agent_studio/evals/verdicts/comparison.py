"""Two sides beside each other: verdict, pass rates, figures, tags, tasks, and what the agents did differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.evals.runs.header import AGAINST, CANDIDATE
from agent_studio.evals.verdicts import betting, bootstrap
from agent_studio.evals.verdicts.betting import Pairs

if TYPE_CHECKING:
    from agent_studio.evals.runs.header import Header, Pinned

Attempts = Mapping[str, Mapping[str, Any]]
"""Records of finished attempts by name."""
_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "costUsd": lambda one: one["usd"],
    "durationMs": lambda one: one["durationMs"],
    "tokens": lambda one: one["facts"]["tokens"] or None,
    "turns": lambda one: one["facts"]["turns"],
}
_LISTED = 12


class Pair(NamedTuple):
    """Two attempts of one task."""

    task: str
    candidate: Mapping[str, Any]
    against: Mapping[str, Any]

    @property
    def difference(self) -> int:
        """1 when only the candidate passed, -1 when only the other side did."""
        return int(self.candidate["passed"]) - int(self.against["passed"])


def pairs(attempts: Attempts, tasks: Sequence[Pinned]) -> list[Pair]:
    """Return the pairs of which both sides are decided, in the order of their numbers."""
    found = []
    for task in tasks:
        for number in range(1, task.repeats + 1):
            own, other = (attempts.get(f"{task.id}.{number}.{side}") for side in (CANDIDATE, AGAINST))
            if own and other and own["passed"] is not None and other["passed"] is not None:
                found.append(Pair(task.id, own, other))
    return found


def counted(found: Sequence[Pair]) -> Pairs:
    """Return how pairs came out."""
    by_difference = Counter(one.difference for one in found)
    return Pairs(by_difference[1], by_difference[-1], by_difference[0])


def data(header: Header, attempts: Attempts, margin: float) -> dict[str, Any]:
    """Return what `eval compare --json` says of a run with two sides."""
    found = pairs(attempts, header.tasks)
    counts = counted(found)
    interval = betting.interval(counts) if found else None
    verdict = betting.verdict(counts, margin) if found else betting.INSUFFICIENT
    rates = {side: _rate([getattr(one, side) for one in found]) for side in (CANDIDATE, AGAINST)}
    return {
        "run": header.id, "candidate": header.candidate, "against": header.against, "verdict": verdict,
        "margin": margin, "tasks": [_task(task, attempts, found) for task in header.tasks],
        "passRate": {
            **{side: rate["rate"] for side, rate in rates.items()}, "difference": counts.difference,
            "low": interval.low if interval else None, "high": interval.high if interval else None,
            "intervals": {side: rate["interval"] for side, rate in rates.items()},
        },
        **{name: _figure(found, read) for name, read in _FIGURES.items()},
        "pairs": {**counts._asdict(), "mcnemar": round(betting.mcnemar(counts), 6)},
        "tags": [_tag(tag, found, header) for tag in sorted({tag for task in header.tasks for tag in task.tags})],
        "flaky": [task.id for task in header.tasks if _is_flaky(attempts, task)],
        "behaviour": behaviour(found), "needed": betting.needed(counts, margin),
        "attempts": {"made": len(attempts), "wanted": sum(task.repeats for task in header.tasks) * len(header.sides),
                     "void": sum(bool(one.get("void")) for one in attempts.values()),
                     "undecided": sum(one["passed"] is None and not one.get("void") for one in attempts.values())},
        "backend": header.backend, "model": header.model, "isolation": header.isolation, "pin": header.pin,
    }  # fmt: skip


def _rate(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    passed = sum(bool(one["passed"]) for one in records)
    interval = betting.wilson(passed, len(records))
    return {
        "rate": passed / len(records) if records else None, "interval": None if interval is None else list(interval)
    }  # fmt: skip


def _of(attempts: Attempts, task: Pinned, side: str) -> list[Mapping[str, Any]]:
    names = (f"{task.id}.{number}.{side}" for number in range(1, task.repeats + 1))
    return [attempts[name] for name in names if name in attempts and attempts[name]["passed"] is not None]


def _task(task: Pinned, attempts: Attempts, found: Sequence[Pair]) -> dict[str, Any]:
    own, other = _of(attempts, task, CANDIDATE), _of(attempts, task, AGAINST)
    return {
        "id": task.id, "tags": list(task.tags), "attempts": sum(one.task == task.id for one in found),
        "passed": {CANDIDATE: sum(one["passed"] for one in own), AGAINST: sum(one["passed"] for one in other)},
        "made": {CANDIDATE: len(own), AGAINST: len(other)}, "flaky": _is_flaky(attempts, task),
        "failed": {CANDIDATE: failures(own), AGAINST: failures(other)},
    }  # fmt: skip


def failures(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why attempts failed, the most frequent first."""
    told: Counter[str] = Counter()
    for one in records:
        if one["passed"] is False:
            failed = [f"{check['name']}: {check['detail']}" for check in one["checks"] if check["passed"] is False]
            told.update(failed or [f"{one['facts']['ended']}: {one['facts']['reason']}"])
    return [f"{text[:300]} ({count}x)" if count > 1 else text[:300] for text, count in told.most_common(5)]


def _is_flaky(attempts: Attempts, task: Pinned) -> bool:
    """Tell whether the same definitions sometimes did the task and sometimes did not."""
    return any(len({one["passed"] for one in _of(attempts, task, side)}) > 1 for side in (CANDIDATE, AGAINST))


def _figure(found: Sequence[Pair], read: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    values: dict[str, list[tuple[float, float]]] = {}
    for one in found:
        own, other = read(one.candidate), read(one.against)
        if own is not None and other is not None:
            values.setdefault(one.task, []).append((float(own), float(other)))
    return bootstrap.compared(values)._asdict()


def _tag(tag: str, found: Sequence[Pair], header: Header) -> dict[str, Any]:
    own = {task.id for task in header.tasks if tag in task.tags}
    counts = counted([one for one in found if one.task in own])
    interval = betting.interval(counts) if counts.total else None
    return {
        "tag": tag, "tasks": len(own), "pairs": counts.total, "won": counts.won, "lost": counts.lost,
        "difference": counts.difference, "low": interval and interval.low, "high": interval and interval.high,
    }  # fmt: skip


def behaviour(found: Sequence[Pair]) -> list[dict[str, Any]]:
    """Return what the agents of both sides did, a mean of times an attempt, the largest difference first."""
    sums = {side: _done([getattr(one, side) for one in found]) for side in (CANDIDATE, AGAINST)}
    rows: list[dict[str, Any]] = [
        {"kind": kind, "name": name, **{side: round(sums[side][kind, name] / len(found), 3) for side in sums}}
        for kind, name in sums[CANDIDATE].keys() | sums[AGAINST].keys()
    ]
    rows.sort(key=lambda row: (-abs(row[CANDIDATE] - row[AGAINST]), row["kind"], row["name"]))
    return rows[: _LISTED * 2]


def _done(records: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for one in records:
        told = one["facts"]
        found.update(("tool", str(name)) for name, _, refused, _ in told["tools"] if not refused)
        found.update(("refused", f"{name} ({refused})") for name, _, refused, _ in told["tools"] if refused)
        found.update(("agent", name) for name in told["agents"])
        found.update(("skill", name) for name in told["skills"])
        found.update(("file", path) for path in one["changed"])
        found.update([("ended", told["ended"])])
    return found
