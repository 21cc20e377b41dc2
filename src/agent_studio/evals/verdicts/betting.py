"""Is one side better? A verdict that stays right however often one looks.

Attempts come in pairs, one of each side, of the same task. The difference of a pair is 1, 0 or -1, and what is asked is
its mean over the tasks. A mixture of bets against "the mean is m" grows on average only if it is not m; that it ever
reaches 1/a has a chance of at most a (Ville's inequality), at whichever moment one looks. The means that no bet has
refuted are an interval that holds at all times at once: Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", 2023 (https://doi.org/10.1093/jrsssb/qkad009). A bet is fixed beforehand, so within a round over
tasks of different difficulty the stakes multiply to at most 1 on average whenever the mean over the tasks is m: it does
not have to be the same for each.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.monitor.intervals import EACH_SIDE, rate

if TYPE_CHECKING:
    from collections.abc import Callable

ALPHA = 0.05
"""Chance of a wrong verdict at most, in both directions together."""
_LEVEL = math.log(2 / ALPHA)
"""Each direction has half of it."""
_BETS = tuple((2 * step + 1) / 32 for step in range(16))
"""Stakes as shares of the most that cannot ruin; all alike in the mixture."""
_HALVINGS = 45
_MOST = 200_000

BETTER, WORSE, NO_DIFFERENCE, INSUFFICIENT = "BETTER", "WORSE", "NO_DIFFERENCE", "INSUFFICIENT"


class Pairs(NamedTuple):
    """Pairs of attempts by what came of them."""

    won: int
    """Only the candidate passed."""
    lost: int
    """Only the other side passed."""
    same: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.won + self.lost + self.same

    @property
    def difference(self) -> float | None:
        """The mean difference; None without a pair."""
        return (self.won - self.lost) / self.total if self.total else None


class Interval(NamedTuple):
    """The differences that are not refuted."""

    low: float
    high: float


def log_stake(pairs: Pairs, mean: float) -> float:
    """Return the logarithm of what bets that the difference is above a mean have become."""
    most = 1 / (1 + mean)  # a larger stake could be lost whole by one pair
    logs = []
    for share in _BETS:
        stake = share * most
        logs.append(
            pairs.won * _log(1 + stake * (1 - mean))
            + pairs.lost * _log(1 + stake * (-1 - mean))
            + pairs.same * _log(1 - stake * mean)
        )
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs) / len(logs))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


@cache
def interval(pairs: Pairs) -> Interval:
    """Return the interval of the difference, of 95 % at all times at once."""
    return Interval(_edge(pairs), -_edge(Pairs(pairs.lost, pairs.won, pairs.same)))


def _edge(pairs: Pairs) -> float:
    """Return the largest mean that is refuted from above it, as exactly as numbers are; -1 where none is."""
    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _is_refuted(pairs, middle):
            low = middle
        else:
            high = middle
    return low


def _is_refuted(pairs: Pairs, mean: float) -> bool:
    """Tell whether bets that the difference is larger have won enough against a mean."""
    return log_stake(pairs, mean) >= _LEVEL


def verdict(pairs: Pairs, margin: float) -> str:
    """Return what pairs say: NO_DIFFERENCE when no difference beyond the margin is left unrefuted."""
    mirrored = Pairs(pairs.lost, pairs.won, pairs.same)
    if pairs.won > pairs.lost and _is_refuted(pairs, 0.0):
        return BETTER
    if pairs.lost > pairs.won and _is_refuted(mirrored, 0.0):
        return WORSE
    within = _is_refuted(pairs, -margin) and _is_refuted(mirrored, -margin)
    return NO_DIFFERENCE if within else INSUFFICIENT


def is_no_worse(pairs: Pairs, margin: float) -> str:
    """Return PASS when a loss of more than the margin is refuted, FAIL when a loss is shown, else INSUFFICIENT."""
    if pairs.lost > pairs.won and _is_refuted(Pairs(pairs.lost, pairs.won, pairs.same), 0.0):
        return "FAIL"
    return "PASS" if _is_refuted(pairs, -margin) else INSUFFICIENT


def needed(pairs: Pairs, margin: float) -> int | None:
    """Return how many more pairs would settle it if they go on as they have; None where that cannot be said."""
    return _first(pairs, margin, verdict)


def needed_no_worse(pairs: Pairs, margin: float) -> int | None:
    """Return the same for whether it is no worse."""
    return _first(pairs, margin, is_no_worse)


def _first(pairs: Pairs, margin: float, judged: Callable[[Pairs, float], str]) -> int | None:
    if judged(pairs, margin) != INSUFFICIENT:
        return 0
    seen = pairs if pairs.total else Pairs(0, 0, 1)
    low, high = 0, 1
    while judged(_scaled(seen, pairs.total + high), margin) == INSUFFICIENT:
        low, high = high, 2 * high
        if high > _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if judged(_scaled(seen, pairs.total + middle), margin) == INSUFFICIENT:
            low = middle
        else:
            high = middle
    return high


def _scaled(pairs: Pairs, count: int) -> Pairs:
    won, lost = round(pairs.won * count / pairs.total), round(pairs.lost * count / pairs.total)
    return Pairs(won, lost, max(count - won - lost, 0))


def mcnemar(pairs: Pairs) -> float:
    """Return the two-sided p value of McNemar's exact test: for one look at the end, and shown beside the verdict."""
    discordant = pairs.won + pairs.lost
    tail = sum(math.comb(discordant, hits) for hits in range(min(pairs.won, pairs.lost) + 1))
    return min(1.0, tail / 2 ** (discordant - 1)) if discordant else 1.0


def wilson(passed: int, count: int) -> Interval | None:
    """Return the 95 % interval of one side's pass rate, for one look; None without attempts."""
    return Interval(*rate(passed, count, EACH_SIDE)) if count else None
