"""Two sides beside each other: verdict, pass rates, figures, tags, tasks, and what the agents did differently."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.evals.attempts import facts
from agent_studio.evals.runs.header import AGAINST, CANDIDATE
from agent_studio.evals.verdicts import betting, bootstrap
from agent_studio.evals.verdicts.betting import Pairs

if TYPE_CHECKING:
    from agent_studio.evals.runs.header import Header, Pinned
    from agent_studio.evals.runs.together import Together

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
    def is_decided(self) -> bool:
        """Whether it is known of both attempts whether they passed."""
        return self.candidate["passed"] is not None and self.against["passed"] is not None

    @property
    def is_idle(self) -> bool:
        """Whether both ended before an agent did anything: what could not work at all is no tie."""
        return is_idle(self.candidate) and is_idle(self.against)

    @property
    def worst(self) -> int:
        """1 when only the candidate passed, -1 when only the other side did; the least it can be if undecided."""
        return int(self.candidate["passed"] is True) - int(self.against["passed"] is not False)

    @property
    def best(self) -> int:
        """The same, the most it can be if undecided."""
        return int(self.candidate["passed"] is not False) - int(self.against["passed"] is True)


class Judged(NamedTuple):
    """What pairs say, whatever the undecided ones among them would have been."""

    verdict: str
    counts: Pairs
    """Pairs that are decided."""
    worst: Pairs
    best: Pairs
    entered: Sequence[Pair]
    """The pairs that count: as many of each task."""
    left_out: int
    """Pairs beyond what every task has."""
    why: str
    """Why nothing can be said, whatever the counts; empty otherwise."""

    @property
    def low(self) -> float | None:
        """The least difference that is not refuted."""
        return betting.interval(self.worst).low if self.entered else None

    @property
    def high(self) -> float | None:
        """The largest difference that is not refuted."""
        return betting.interval(self.best).high if self.entered else None


def judged(
    attempts: Attempts, tasks: Sequence[Pinned], margin: float,
    by: Callable[[Pairs, float], str] = betting.verdict,
) -> Judged:  # fmt: skip
    """Judge the pairs of some tasks, of each task as many: the mean over tasks is meant, not over attempts.

    An undecided pair is taken as the best and as the worst that it can be, and a verdict is one only if both agree.
    """
    found = pairs(attempts, tasks)
    entered = balanced(found, [task.id for task in tasks])
    counts = _counts(one.worst for one in entered if one.is_decided)
    worst, best = _counts(one.worst for one in entered), _counts(one.best for one in entered)
    verdicts = {by(worst, margin), by(best, margin)}
    why = _why(found, entered, len(verdicts))
    verdict = verdicts.pop() if len(verdicts) == 1 and not why else betting.INSUFFICIENT
    return Judged(verdict, counts, worst, best, entered, len(found) - len(entered), why)


def balanced(found: Sequence[Pair], tasks: Sequence[str]) -> list[Pair]:
    """Return the first pairs of each task in which an agent worked, as many as every task has; all if it never did."""
    found = [one for one in found if not one.is_idle] or found
    numbers = Counter(one.task for one in found)
    rounds = min((numbers[task] for task in tasks), default=0)
    seen: Counter[str] = Counter()
    entered = []
    for one in found:
        seen[one.task] += 1
        if seen[one.task] <= rounds:
            entered.append(one)
    return entered


def _why(found: Sequence[Pair], entered: Sequence[Pair], verdicts: int) -> str:
    if not entered:
        return "no task has a pair of attempts" if not found else "some tasks have no pair of attempts yet"
    undecided = sum(not one.is_decided for one in entered)
    if verdicts > 1:
        return f"in {undecided} of {len(entered)} pairs a check could not be decided, and it hangs on them"
    both = [one for pair in entered for one in (pair.candidate, pair.against)]
    if any(one["passed"] is not False for one in both):
        return ""
    ends = Counter(one["facts"]["ended"] for one in both)
    told = ", ".join(f"{count} {name}" for name, count in ends.most_common(3))
    return f"no attempt of either side passed at anything ({told}): that shows nothing"


def pairs(attempts: Attempts, tasks: Sequence[Pinned]) -> list[Pair]:
    """Return the pairs of which both sides were made and neither is void, in the order of their numbers."""
    found = []
    for task in tasks:
        for number in range(1, task.repeats + 1):
            own, other = (attempts.get(f"{task.id}.{number}.{side}") for side in (CANDIDATE, AGAINST))
            if own and other and not own.get("void") and not other.get("void"):
                found.append(Pair(task.id, own, other))
    return found


def is_idle(attempt: Mapping[str, Any]) -> bool:
    """Tell whether an attempt ended badly before an agent did anything that is known."""
    told = attempt["facts"]
    return not (told["ended"] == facts.DONE or told["tokens"] or told["turns"] or told["tools"])


def _counts(differences: Iterable[int]) -> Pairs:
    by_difference = Counter(differences)
    return Pairs(by_difference[1], by_difference[-1], by_difference[0])


def data(asked: Together, margin: float) -> dict[str, Any]:
    """Return what `eval compare --json` says of a run with two sides, and of those that it is judged with."""
    header, attempts = asked.header, asked.attempts
    found = pairs(attempts, header.tasks)
    all_ = judged(attempts, header.tasks, margin)
    counts = all_.counts
    rates = {
        side: _rate([getattr(one, side) for one in all_.entered if one.is_decided]) for side in (CANDIDATE, AGAINST)
    }
    return {
        "run": header.id, "runs": list(asked.runs), "candidate": header.candidate, "against": header.against,
        "verdict": all_.verdict, "reason": all_.why, "margin": margin,
        "tasks": [_task(task, attempts, found) for task in header.tasks],
        "passRate": {
            **{side: rate["rate"] for side, rate in rates.items()}, "difference": counts.difference,
            "low": all_.low, "high": all_.high,
            "intervals": {side: rate["interval"] for side, rate in rates.items()},
        },
        **{name: _figure(found, read) for name, read in _FIGURES.items()},
        "pairs": {
            **counts._asdict(), "undecided": len(all_.entered) - counts.total, "leftOut": all_.left_out,
            "mcnemar": round(betting.mcnemar(counts), 6),
        },
        "tags": [
            _tag(tag, attempts, header, margin) for tag in sorted({tag for task in header.tasks for tag in task.tags})
        ],
        "flaky": [task.id for task in header.tasks if _is_flaky(attempts, task)],
        "behaviour": behaviour(found), "needed": None if all_.why else betting.needed(counts, margin),
        "attempts": _tally(asked),
        "backend": header.backend, "model": header.model, "isolation": header.isolation, "pin": header.pin,
    }  # fmt: skip


def _tally(asked: Together) -> dict[str, int]:
    """Return how many attempts the run itself has, of how many."""
    own = asked.own.attempts.values()
    return {
        "made": len(own), "wanted": asked.wanted,
        "void": sum(bool(one.get("void")) for one in own),
        "undecided": sum(one["passed"] is None and not one.get("void") for one in own),
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
        if _is_number(own) and _is_number(other):
            values.setdefault(one.task, []).append((float(own), float(other)))
    return bootstrap.compared(values)._asdict()


def _is_number(value: object) -> bool:
    """Tell whether a figure is one: what runs of before kept is what an agent had reported."""
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _tag(tag: str, attempts: Attempts, header: Header, margin: float) -> dict[str, Any]:
    own = [task for task in header.tasks if tag in task.tags]
    found = judged(attempts, own, margin)
    counts = found.counts
    return {
        "tag": tag, "tasks": len(own), "pairs": counts.total, "won": counts.won, "lost": counts.lost,
        "difference": counts.difference, "low": found.low if counts.total else None,
        "high": found.high if counts.total else None,
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
