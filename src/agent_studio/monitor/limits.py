"""The verdict on a rate, on the 95th percentile of a duration, and on a number of errors, each beside its limit.

Nothing here reads anything: figures in, verdict out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent_studio.monitor import intervals
from agent_studio.monitor.summary import percentile
from agent_studio.monitor.verdict import BREACH, OK, UNKNOWN, Verdict, worse

if TYPE_CHECKING:
    from collections.abc import Sequence

P95 = 0.95
_CERTAIN = 0.99
_CLEAR = 0.9
"""Share of a limit at which an alert may end: a figure that hovers at its limit must not come and go."""
_FAINT = 0.5
"""An alert may end too when the lower bound is below this share of the limit: little is left of the evidence."""
_LEAST_RUNS = 4
"""Of a single failure in fewer runs nothing follows: of so few the bound is too sure of itself."""
_MANY_TIMES = 2
"""A breach is one severity worse when even its lower bound is over so many times the limit."""
_ENOUGH = 1_000
"""Runs of which the rank of a p95 is known to one per cent."""
BURST_CONFIDENCE = 0.999
"""For the last hour, which is looked at 24 times as often as the day."""


def rate(rule: str, label: str, hits: int, count: int, limit: float, severity: str) -> Verdict:
    """Judge a failure rate; `limit` is 0 to 1."""
    low, high = intervals.rate(hits, count)
    value = hits / count if count else None
    least = intervals.size_for_rate(limit)
    state, needed = OK, 0
    alone = hits == 1 and limit > 0  # where none may fail, one is proof
    if low > limit and (not alone or count >= _LEAST_RUNS):
        state = BREACH
    elif count < least:
        state, needed = UNKNOWN, max(least, math.ceil(hits / limit) if limit else 0) - count
    elif hits > limit * count:
        state, needed = UNKNOWN, max(math.ceil(hits / limit) - count, 1)
    sure = not alone and intervals.rate(hits, count, _CERTAIN).low > limit
    clear = value is None or value <= _CLEAR * limit or low < _FAINT * limit
    message = f"{hits} of {count:,} runs failed ({_share(hits, count)}), limit {100 * limit:.3g} %"
    return Verdict(
        rule, label, state, _raised(severity, low, limit) if hits > 1 else severity, value,
        low if count else None, high if count else None, limit, "ratio", count, needed, message + _more(needed),
        clear, sure,
    )  # fmt: skip


def rate_burst(rule: str, label: str, hits: int, count: int, limit: float, severity: str) -> Verdict:
    """Judge the last hour's failures: what a day's rate hides."""
    low = intervals.exact_rate_low(hits, count, BURST_CONFIDENCE)
    state = BREACH if low > limit else OK
    message = f"{hits} of {count:,} runs failed in the last hour ({_share(hits, count)}), limit {100 * limit:.3g} %"
    clear = low < _FAINT * limit
    return Verdict(
        rule, label, state, severity, hits / count if count else None, low, None, limit, "ratio", count, 0, message,
        clear,
    )  # fmt: skip


def p95_within(rule: str, label: str, value: float | None, count: int, limit: float, severity: str) -> Verdict:
    """Judge a p95 that is not over its limit: of that, no breach can follow."""
    needed = max(intervals.size_for_quantile(P95) - count, 0)
    shown = "not timed" if value is None else f"p95 {value:.4g} ms of {count:,} runs"
    return Verdict(
        rule, label, UNKNOWN if needed else OK, severity, value, None, None, limit, "ms", count, needed,
        f"{shown}, limit {limit:g} ms" + _more(needed), value is None or value <= _CLEAR * limit,
    )  # fmt: skip


def p95_alone(rule: str, label: str, value: float, count: int, limit: float, severity: str) -> Verdict:
    """Judge a p95 over its limit of which only the value is known: of many runs it is near enough to the truth."""
    needed = max(_ENOUGH - count, 0)
    return Verdict(
        rule, label, UNKNOWN if needed else BREACH, severity, value, None, None, limit, "ms", count, needed,
        f"p95 {value:.4g} ms of {count:,} runs, limit {limit:g} ms" + _more(needed), clear=False,
    )  # fmt: skip


def p95(rule: str, label: str, times: Sequence[float], limit: float, severity: str) -> Verdict:
    """Judge a p95 by the sorted durations that it is of."""
    size = len(times)
    value, low, high = percentile(times, P95), *bounds(times)
    if value is None or value <= limit:
        return p95_within(rule, label, value, size, limit, severity)._replace(low=low, high=high)
    over = sum(one > limit for one in times)
    is_broken = low is not None and low > limit
    needed = 0 if is_broken else max(intervals.size_to_tell(over / size, 1 - P95) - size, 1)
    sure = intervals.quantile_ranks(size, P95, _CERTAIN).low
    message = f"p95 {value:.4g} ms of {size:,} runs, {over:,} of them over the limit of {limit:g} ms"
    return Verdict(
        rule, label, BREACH if is_broken else UNKNOWN, _raised(severity, low or 0, limit), value, low, high, limit,
        "ms", size, needed, message + _more(needed), clear=False, certain=sure is not None and times[sure] > limit,
    )  # fmt: skip


def bounds(times: Sequence[float]) -> tuple[float | None, float | None]:
    """Return what the p95 of sorted durations lies between; None where there are too few for a bound."""
    ranks = intervals.quantile_ranks(len(times), P95)
    return (None if ranks.low is None else times[ranks.low], None if ranks.high is None else times[ranks.high])


def errors(rule: str, label: str, found: int, limit: float, severity: str, when: str) -> Verdict:
    """Judge the errors of one hour; `when` names it in the message."""
    low, high = intervals.count(found)
    state = BREACH if low > limit else UNKNOWN if found > limit else OK
    message = f"{found:,} errors {when}, limit {limit:g}"
    if state == UNKNOWN:
        message += ": over it, but such an hour comes by chance"
    return Verdict(
        rule, label, state, _raised(severity, low, limit), found, low, high, limit,
        "errors", found, 0, message, found <= _CLEAR * limit, intervals.count(found, _CERTAIN).low > limit,
    )  # fmt: skip


def _raised(severity: str, low: float, limit: float) -> str:
    return worse(severity) if low > _MANY_TIMES * limit > 0 else severity


def _share(hits: int, count: int) -> str:
    return f"{100 * hits / count:.3g} %" if count else "-"


def _more(needed: int) -> str:
    return f"; {needed:,} more {'run' if needed == 1 else 'runs'} for a verdict" if needed else ""
