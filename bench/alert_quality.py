"""How quiet alerts are, and how soon they come: simulated runs of one agent, watched by several rules.

An agent runs four times an hour, at random; each run fails with a given probability; every five minutes the last 24
hours are looked at. A false alarm is every alert that begins while the true rate is within the limit. Ours are the
product's own verdicts and steps. bench/alert_quality.py writes bench/ALERTS.md; --quick runs a few weeks and writes
nothing.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections import deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import measure

from agent_studio.monitor import limits
from agent_studio.monitor.alert import CLEARING, DROPPED, ESCALATED, FIRING, RELAPSED, RESOLVED, Alert, step
from agent_studio.monitor.verdict import BREACH, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LIMIT = 0.03
RUNS_PER_HOUR = 4
LOOK_MINUTES = 5
DAY, WEEK = 24 * 60, 7 * 24 * 60
FALSE_ALARMS_MOST, HOURS_MOST = 0.3, 2.0
_HEALTHY = 0.1
"""Share of the limit at which a full window was healthy before it broke."""
_PATIENCE_HOURS = 72
_REMARK = """
An empty window is an agent that begins, or begins again after a day. A full one holds a day of runs at a tenth of the
limit; there nothing this quiet sees 15 % within two hours of four runs each: only one or two of eight runs fail then,
and two of eight fail by chance more often than 0.3 times a week at half the limit. More runs an hour show it sooner.
"""


class Seen(NamedTuple):
    """What a rule sees at one look."""

    at: int
    """Minutes since the start."""
    hits: int
    count: int  # type: ignore[assignment] # a tuple counts too, and nobody asks it to
    hits_in_hour: int
    count_in_hour: int


def raw_rate() -> Callable[[Seen], bool]:
    """Fire when the rate is over the limit, end when it is not."""
    return _edges(lambda seen: seen.count > 0 and seen.hits / seen.count > LIMIT)


def raw_rate_of_twenty() -> Callable[[Seen], bool]:
    """Do the same from twenty runs on."""
    return _edges(lambda seen: seen.count >= 20 and seen.hits / seen.count > LIMIT)


def lower_bound() -> Callable[[Seen], bool]:
    """Fire when the lower bound is over the limit, end when it is not."""
    return _edges(lambda seen: _day(seen.hits, seen.count).state == BREACH)


def ours() -> Callable[[Seen], bool]:
    """Do what the product does: the day's verdict, the last hour's where the day says nothing, and their steps."""
    day, hour = _Watched(), _Watched()

    def look(seen: Seen) -> bool:
        verdict = _day(seen.hits, seen.count)
        burst = None
        if seen.hits_in_hour:
            burst = _hour(seen.hits_in_hour, seen.count_in_hour)._replace(alerting=verdict.state != BREACH)
        return day.look(verdict, seen.at) + hour.look(burst, seen.at) > 0

    return look


RULES: dict[str, Callable[[], Callable[[Seen], bool]]] = {
    "raw rate over the limit": raw_rate,
    "raw rate, 20 runs or more": raw_rate_of_twenty,
    "lower bound over the limit": lower_bound,
    "**ours**: lower bound, burst, hold and clear": ours,
}


def _edges(holds: Callable[[Seen], bool]) -> Callable[[Seen], bool]:
    before = False

    def look(seen: Seen) -> bool:
        nonlocal before
        was, before = before, holds(seen)
        return before and not was

    return look


@cache
def _day(hits: int, count: int) -> Verdict:
    return limits.rate("agentFailureRate", "", hits, count, LIMIT, "HIGH")


@cache
def _hour(hits: int, count: int) -> Verdict:
    return limits.rate_burst("agentFailureBurst", "", hits, count, LIMIT, "HIGH")


class _Watched:
    """One alert, moved on by the product's own steps."""

    def __init__(self) -> None:
        self._held: Alert | None = None

    def look(self, verdict: Verdict | None, at: int) -> bool:
        """Move on; return whether it begins to fire."""
        happens = step(self._held, verdict, lambda since: (at - int(since)) * 60_000)
        if happens in {DROPPED, RESOLVED}:
            self._held = None
        elif happens in {CLEARING, RELAPSED, ESCALATED} and self._held is not None:
            self._held = self._held._replace(clearing=str(at) if happens == CLEARING else None)
        elif happens is not None and verdict is not None:
            self._held = Alert(
                "", "", "", happens, "CRITICAL", None, None, None, None, "", 0, "", since=str(at), updated=str(at)
            )
        return happens == FIRING


def looks(draw: random.Random, rate_at: Callable[[float], float], start: int, end: int) -> Iterator[Seen]:
    """Yield what is seen at each look, of runs that come at random."""
    day: deque[tuple[float, bool]] = deque()
    hour: deque[tuple[float, bool]] = deque()
    in_day = in_hour = 0
    come = start + draw.expovariate(RUNS_PER_HOUR / 60)
    for at in range(start, end, LOOK_MINUTES):
        while come <= at:
            run = (come, draw.random() < rate_at(come))
            day.append(run)
            hour.append(run)
            in_day, in_hour = in_day + run[1], in_hour + run[1]
            come += draw.expovariate(RUNS_PER_HOUR / 60)
        while day and day[0][0] <= at - DAY:
            in_day -= day.popleft()[1]
        while hour and hour[0][0] <= at - 60:
            in_hour -= hour.popleft()[1]
        yield Seen(at, in_day, len(day), in_hour, len(hour))


def alarms_a_week(rule: Callable[[], Callable[[Seen], bool]], times_limit: float, weeks: int, seed: int) -> float:
    """Return how many alerts begin in a week that starts with an empty window, on average."""
    draw = random.Random(seed)
    begun = 0
    for _ in range(weeks):
        look = rule()
        begun += sum(look(seen) for seen in looks(draw, lambda _: times_limit * LIMIT, 0, WEEK))
    return begun / weeks


def hours_to_see(
    rule: Callable[[], Callable[[Seen], bool]], times_limit: float, trials: int, seed: int, *, is_warm: bool
) -> float:
    """Return the median of the hours until an alert, from an empty window or from a full and healthy one."""
    draw = random.Random(seed)

    def rate_at(at: float) -> float:
        return (times_limit if at >= 0 else _HEALTHY) * LIMIT

    hours = []
    for _ in range(trials):
        look = rule()
        seen = looks(draw, rate_at, -DAY if is_warm else 0, _PATIENCE_HOURS * 60)
        begun = (one.at / 60 for one in seen if look(one) and one.at >= 0)
        hours.append(next(begun, float(_PATIENCE_HOURS)))
    return statistics.median(hours)


class Quality(NamedTuple):
    """One row of the table."""

    rule: str
    at_half: float
    """False alarms a week at half the limit."""
    at_limit: float
    five_empty: float
    """Median hours to see five times the limit, from an empty window."""
    five_warm: float
    twice_empty: float


def quality(name: str, trials: int, seed: int) -> Quality:
    """Measure one rule."""
    rule = RULES[name]
    return Quality(
        name, alarms_a_week(rule, 0.5, trials, seed), alarms_a_week(rule, 1.0, trials, seed + 1),
        hours_to_see(rule, 5, trials, seed + 2, is_warm=False), hours_to_see(rule, 5, trials, seed + 3, is_warm=True),
        hours_to_see(rule, 2, trials, seed + 4, is_warm=False),
    )  # fmt: skip


def report(rows: Sequence[Quality], trials: int, seed: int) -> str:
    """Return the table and what it means."""
    headings = (
        "rule", "alarms a week at half the limit", "at the limit", "hours to see 5x, empty window", "5x, full window",
        "2x, empty window",
    )  # fmt: skip
    cells = [
        (
            one.rule, f"{one.at_half:.2f}", f"{one.at_limit:.2f}", f"{one.five_empty:.1f}", f"{one.five_warm:.1f}",
            f"{one.twice_empty:.1f}",
        )
        for one in rows
    ]  # fmt: skip
    own = rows[-1]
    held = "held" if own.at_half <= FALSE_ALARMS_MOST and own.five_empty <= HOURS_MOST else "MISSED"
    return (
        measure.heading("Alert quality", seed)
        + f"Limit {100 * LIMIT:g} %, {RUNS_PER_HOUR} runs an hour at random, every {LOOK_MINUTES} minutes a look at "
        + f"the last 24 hours; {trials} weeks or trials a figure.\n\n"
        + measure.table(headings, cells)
        + f"\nWanted: at most {FALSE_ALARMS_MOST} false alarms a week at half the limit, and five times the limit seen "
        + f"within {HOURS_MOST:g} hours (median, empty window): {held}.\n"
        + _REMARK
    )


def main() -> int:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few weeks: shows that it runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the report (default: bench/ALERTS.md, none with --quick)")
    args = parser.parse_args()
    trials = 20 if args.quick else 400
    text = report([quality(name, trials, args.seed) for name in RULES], trials, args.seed)
    print(text)
    out = args.out or (None if args.quick else measure.REPOSITORY / "bench/ALERTS.md")
    if out:
        out.write_text(text, encoding="utf-8")
    return 1 if "MISSED" in text and not args.quick else 0


if __name__ == "__main__":
    sys.exit(main())
