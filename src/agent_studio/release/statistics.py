"""Is a limit kept? Verdicts that stay right however often one looks.

Each verdict is a bet against a hypothesis, by a mixture of likelihood ratios: while the hypothesis is true, the stake
exceeds `LEVEL` at any time with a probability of at most 1 / `LEVEL`. So a bad candidate passes in at most one case of
twenty, and a good one fails in at most one, even when a verdict is taken after every single run.

G. Shafer, Testing by betting, JRSS A 184 (2021) 407-431; J. Ville, Étude critique de la notion de collectif (1939).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LEVEL = 20.0
_BETTER = (1 / 12, 1 / 6, 1 / 3, 1 / 2, 2 / 3)
"""How far below the limit the bets for a candidate are placed, as shares of the limit."""
_WORSE = (1.5, 2.0, 3.0, 5.0, 10.0)
"""How far above it those against one are placed."""
_WORSE_OF_REST = (1 / 4, 1 / 2, 3 / 4)
"""Where they are placed for a limit that leaves no room for that: as shares of what there is above it."""
_MOST = 1 << 40


class Judged(NamedTuple):
    """What a sample says about a limit."""

    verdict: str
    """PASS, FAIL or INSUFFICIENT."""
    value: float | None
    """The share or rate that was seen; None before the first run."""
    needed: float
    """How many more runs without a hit, or hours without an event, make it PASS; 0 once it is."""


def observed_ms(moments: Iterable[int], gap_ms: float) -> int:
    """Return how long something was seen: the time between neighbours, where they are at most a gap apart."""
    return sum(later - earlier for earlier, later in pairwise(sorted(moments)) if later - earlier <= gap_ms)


def share(hits: int, count: int, limit: float) -> Judged:
    """Judge whether the true share of hits among runs, such as of failures, is below a limit from 0 to 1.

    A limit on a quantile is one on a share: p95 <= 20 ms says that at most 5 % of the calls take longer.
    """
    verdict, needed = share_verdict(hits, count, limit), 0.0
    if verdict != PASS:
        needed = math.inf if limit <= 0 else _needed(lambda more: _share(hits, count + more, limit, _BETTER), 1)
    return Judged(verdict, hits / count if count else None, needed)


def share_verdict(hits: int, count: int, limit: float) -> str:
    """Return the verdict of `share` alone."""
    if limit >= 1:
        return PASS
    if limit <= 0:
        return FAIL if hits else INSUFFICIENT
    return _verdict(_share(hits, count, limit, _BETTER), _share(hits, count, limit, _WORSE))


def rate(events: int, hours: float, limit: float) -> Judged:
    """Judge whether the true number of events an hour is below a limit."""
    verdict, needed = rate_verdict(events, hours, limit), 0.0
    if verdict != PASS:
        needed = math.inf if limit <= 0 else _needed(lambda more: _rate(events, hours + more, limit, _BETTER), 0.001)
    return Judged(verdict, events / hours if hours else None, needed)


def rate_verdict(events: int, hours: float, limit: float) -> str:
    """Return the verdict of `rate` alone."""
    if limit <= 0:
        return FAIL if events else INSUFFICIENT
    return _verdict(_rate(events, hours, limit, _BETTER), _rate(events, hours, limit, _WORSE))


def _share(hits: int, count: float, limit: float, factors: tuple[float, ...]) -> float:
    fit = [factor for factor in factors if limit * factor < 1]
    fit = fit or [1 + part * (1 - limit) / limit for part in _WORSE_OF_REST]
    return _mixture([
        hits * math.log(factor) + (count - hits) * math.log((1 - limit * factor) / (1 - limit)) for factor in fit
    ])  # fmt: skip


def _rate(events: int, hours: float, limit: float, factors: tuple[float, ...]) -> float:
    return _mixture([events * math.log(factor) - (factor - 1) * limit * hours for factor in factors])


def _verdict(for_it: float, against_it: float) -> str:
    if against_it >= math.log(LEVEL):
        return FAIL
    return PASS if for_it >= math.log(LEVEL) else INSUFFICIENT


def _needed(log_stake: Callable[[float], float], step: float) -> float:
    """Return the least further effort without a hit, in steps, at which the stake reaches the level."""
    low, high = 0, 1  # it does not at `low`, it does at `high`
    while log_stake(high * step) < math.log(LEVEL):
        low, high = high, 2 * high
        if high > _MOST:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if log_stake(middle * step) >= math.log(LEVEL) else (middle, high)
    return high * step


def _mixture(logs: list[float]) -> float:
    """Return the logarithm of the mean of stakes that are given by their logarithms."""
    most = max(logs)
    return most + math.log(sum(math.exp(one - most) for one in logs) / len(logs))
