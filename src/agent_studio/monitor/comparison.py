"""Two environments side by side: each metric with its bounds beside its limit, and what has shifted between them.

The verdict is on the first environment alone, against its own limits; what has shifted is advice. A gate takes the
verdict, its reasons and the metrics as they are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.monitor import intervals, limits, metrics, rules, shift
from agent_studio.monitor.summary import COUNTED, percentile
from agent_studio.monitor.times import times as times_of
from agent_studio.monitor.verdict import BREACH, OK, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.monitor.shift import Shift
    from agent_studio.monitor.summary import Summary, Window
    from agent_studio.monitor.verdict import Verdict

PASS, FAIL, INSUFFICIENT = "PASS", "FAIL", "INSUFFICIENT"
OFF = "OFF"
"""The state of a figure without a limit."""
_HOOK_P95, _HOOK_RATE, _AGENT_RATE, _ERRORS, _TOKENS = RULES = (
    "hookExecutionTimeMs", "hookFailureRate", "agentFailureRate", "errorRatePerHour", "tokenBudgetPerDay",
)  # fmt: skip
"""What is compared: the limits that an environment can have."""
_UNITS = {_HOOK_P95: "ms", _HOOK_RATE: "ratio", _AGENT_RATE: "ratio", _ERRORS: "errors", _TOKENS: "tokens"}


class Side(NamedTuple):
    """A metric in one environment."""

    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    state: str
    size: int
    """Of how many runs or errors the value is; `count` in JSON."""
    needed: int
    """How many more runs a verdict takes."""


class Metric(NamedTuple):
    """A metric in both."""

    rule: str
    label: str
    """The hook or agent; empty for all together."""
    unit: str
    a: Side | None
    b: Side | None
    shift: Shift | None
    """None for what no test is of."""


class Comparison(NamedTuple):
    """Two environments over the same stretch of time."""

    a: Look
    b: Look
    window: Window
    metrics: list[Metric]

    @property
    def verdict(self) -> str:
        """PASS, FAIL or INSUFFICIENT: whether the first keeps its limits."""
        states = [one.state for one in self.a.verdicts]
        if BREACH in states:
            return FAIL
        together = [one.state for one in self.a.verdicts if not one.label and one.rule in RULES]
        return PASS if together and set(together) == {OK} else INSUFFICIENT

    @property
    def reasons(self) -> list[str]:
        """Why the verdict is not PASS, in words; of a PASS, what is still open."""
        name = self.a.environment
        if not self.a.verdicts:
            return [f"{name} has no limits, so nothing can be said of it"]
        said = [one for one in self.a.verdicts if one.state == BREACH]
        said += [one for one in self.a.verdicts if one.state == UNKNOWN and not one.label]
        return [f"{name}: {one.rule} {one.label}".rstrip() + f" is {one.state}: {one.message}" for one in said]


class Look(NamedTuple):
    """What is known of one environment."""

    environment: str
    summary: Summary
    verdicts: list[Verdict]
    durations: Mapping[str, Sequence[float]]
    """Of each hook, sorted, ms; of all but decision hooks, which have a limit of their own, under an empty name."""


def compare(first: Context, second: Context, window: Window) -> Comparison:
    """Compare two environments over a stretch of time."""
    a, b = _look(first, window), _look(second, window)
    sides = [_sides(look) for look in (a, b)]
    keys = sorted(sides[0].keys() | sides[1].keys(), key=lambda key: (key[1] != "", RULES.index(key[0]), key[1]))
    found = [Metric(*key, _UNITS[key[0]], sides[0].get(key), sides[1].get(key), _shift(key, a, b)) for key in keys]
    return Comparison(a, b, window, _adjusted(found))


def _look(context: Context, window: Window) -> Look:
    summary = metrics.summary(context, window)
    times = dict(times_of(context, window))
    found = rules.verdicts(context, summary, durations=lambda *_: times)  # it takes all hooks together by itself
    times[""] = sorted(one for hook, held in times.items() if hook != rules.DECISION for one in held)
    return Look(str(context.environment), summary, found, times)


def _sides(look: Look) -> dict[tuple[str, str], Side]:
    """Return every metric of an environment, with its limit where it has one."""
    found = dict(_measured(look))
    for one in look.verdicts:
        key = (one.rule, one.label)
        if one.rule in RULES:
            held = found.get(key, Side(one.value, one.low, one.high, None, OFF, one.count, 0))
            found[key] = held._replace(limit=one.limit, state=one.state, needed=one.needed)
    return found


def _measured(look: Look) -> Iterator[tuple[tuple[str, str], Side]]:
    """Yield figures with their bounds, whether or not there is a limit."""
    for hook, times in look.durations.items():
        value = percentile(times, limits.P95)
        if value is not None:
            yield (_HOOK_P95, hook), _free(value, *limits.bounds(times), len(times))
    for rule, labels in (
        (_HOOK_RATE, [one.hook for one in look.summary.hooks]),
        (_AGENT_RATE, [one.agent for one in look.summary.agents]),
    ):
        for label in ("", *labels):
            count, hits = _rates(rule, label, look.summary)
            if count:
                yield (rule, label), _free(hits / count, *intervals.rate(hits, count), count)
    hours = Counter[int]()
    for error in look.summary.errors:
        hours[error.hour_ms] += error.count if error.severity in COUNTED else 0
    most = max(hours.values(), default=0)
    yield (_ERRORS, rules.WORST), _free(most, *intervals.count(most), look.summary.error_count)


def _free(value: float, low: float | None, high: float | None, count: int) -> Side:
    return Side(value, low, high, None, OFF, count, 0)


def _shift(key: tuple[str, str], a: Look, b: Look) -> Shift | None:
    rule, label = key
    if rule == _HOOK_P95:
        return shift.of_durations(*(Counter(look.durations.get(label, ())) for look in (a, b)))
    if rule == _ERRORS and label == rules.WORST:
        return shift.of_counts(a.summary.error_count, b.summary.error_count)
    if rule in {_HOOK_RATE, _AGENT_RATE}:
        (count, hits), (their_count, their_hits) = (_rates(rule, label, look.summary) for look in (a, b))
        return shift.of_rates(hits, count, their_hits, their_count)
    return None


def _rates(rule: str, label: str, summary: Summary) -> tuple[int, int]:
    if rule == _HOOK_RATE:
        return _totals([(one.calls, one.failures) for one in summary.hooks if label in {"", one.hook}])
    return _totals(
        [(one.runs - one.cancelled, one.failures) for one in summary.agents if label in {"", one.agent}]
    )  # fmt: skip


def _totals(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(count for count, _ in pairs), sum(failures for _, failures in pairs)


def _adjusted(found: list[Metric]) -> list[Metric]:
    """Allow for how many durations were compared: of a hundred hooks, one looks rare by chance."""
    tested = [one.shift for one in found if one.shift and one.shift.p is not None]
    values = iter(shift.holm([one.p for one in tested if one.p is not None]))
    return [
        one._replace(shift=shift.judged(one.shift, next(values))) if one.shift and one.shift.p is not None else one
        for one in found
    ]


def data_of(found: Comparison) -> dict[str, Any]:
    """Return a comparison for programs.

    `{verdict, reasons[], a{environment}, b{environment}, metrics[{rule, label, unit, a, b{value, low, high, limit,
    state, count, needed} (null: nothing of the kind ran), shift{method, verdict, effect, low, high, p} or null}]}`.
    """
    return {
        "verdict": found.verdict,
        "reasons": found.reasons,
        "a": {"environment": found.a.environment},
        "b": {"environment": found.b.environment},
        "metrics": [
            {**one._asdict(), "a": _written(one.a), "b": _written(one.b), "shift": one.shift and one.shift._asdict()}
            for one in found.metrics
        ],
    }


def _written(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    written = side._asdict()
    written["count"] = written.pop("size")
    return written
