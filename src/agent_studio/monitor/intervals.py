"""How far a figure of a few runs can be trusted: one-sided 95 % bounds of a rate, a count and a quantile.

Both bounds are one-sided: the truth is below `low` in one case of twenty, and above `high` in one of twenty.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIDENCE = 0.95
EACH_SIDE = 0.975
"""Confidence of each bound where both together are to hold in 95 % of cases."""
_Z = 1.6448536269514722
"""The standard normal's 95 % quantile."""
_STEPS = 60
"""Halvings of a search: enough for every digit of a float."""
_TERM_LEAST = 1e-17
_CLOSED_FORM = 100_000
"""Counts from which the closed form is exact to four digits, and the series would take long."""
_SPREAD_LEAST = 1e-4
"""Variance of a rate whose limit is 0 or 1."""
_ROUNDING = 1e-12


class Interval(NamedTuple):
    """Bounds of what a sample tells about the truth."""

    low: float
    high: float


def normal_quantile(probability: float) -> float:
    """Return the standard normal's quantile."""
    from statistics import NormalDist  # noqa: PLC0415 - 5 ms that most figures need not pay

    return _Z if probability == CONFIDENCE else NormalDist().inv_cdf(probability)


def rate(hits: int, count: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's bounds of a rate, 0 to 1.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212.
    """
    if count <= 0:
        return Interval(0.0, 1.0)
    z, share = normal_quantile(confidence), hits / count
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    middle, scale = share + z * z / (2 * count), 1 + z * z / count
    low = 0.0 if hits == 0 else (middle - spread) / scale
    high = 1.0 if hits == count else (middle + spread) / scale
    return Interval(max(low, 0.0), min(high, 1.0))


def exact_rate_low(hits: int, count: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact lower bound of a rate: of any lower rate so many hits are rarer than 1 - confidence.

    C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934) 404-413.
    """
    if hits <= 0:
        return 0.0
    return _root(lambda share: at_least(hits, count, share) - (1 - confidence), 0.0, 1.0)


def at_least(hits: int, count: int, share: float) -> float:
    """Return how probable `hits` or more of `count` are when each has the probability `share`."""
    if hits <= 0:
        return 1.0
    if share <= 0 or hits > count:
        return 0.0
    if share >= 1:
        return 1.0
    below = hits <= count * share  # the shorter tail is summed, from its largest term outwards
    start, step = (hits - 1, -1) if below else (hits, 1)
    term = math.exp(
        math.lgamma(count + 1) - math.lgamma(start + 1) - math.lgamma(count - start + 1)
        + start * math.log(share) + (count - start) * math.log1p(-share)
    )  # fmt: skip
    odds, total = share / (1 - share), 0.0
    while 0 <= start <= count and term > _TERM_LEAST * total:
        total += term
        term *= (count - start) / (start + 1) * odds if step > 0 else start / ((count - start + 1) * odds)
        start += step
    return min(1 - total if below else total, 1.0)


def count(events: int, confidence: float = CONFIDENCE) -> Interval:
    """Return exact bounds of the mean of a Poisson count.

    F. Garwood, Fiducial limits for the Poisson distribution, Biometrika 28 (1936) 437-442.
    """
    low = 0.0 if events <= 0 else _gamma_quantile(events, 1 - confidence)
    return Interval(low, _gamma_quantile(max(events, 0) + 1, confidence))


def _gamma_quantile(shape: int, probability: float) -> float:
    """Return the quantile of a gamma distribution of scale 1."""
    z = normal_quantile(probability)
    near = shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3
    if shape >= _CLOSED_FORM:
        return near  # E. B. Wilson and M. M. Hilferty, The distribution of chi-square, PNAS 17 (1931) 684-688
    spread = 10 * math.sqrt(shape) + 10
    return _root(lambda mean: _gamma(shape, mean) - probability, max(near - spread, 0.0), near + spread)


def _gamma(shape: int, mean: float) -> float:
    """Return how probable `shape` or more Poisson events are: the regularised lower incomplete gamma function.

    The series of DLMF 8.11.4, https://dlmf.nist.gov/8.11.E4 (read 2026-11).
    """
    if mean <= 0:
        return 0.0
    term = total = 1.0
    index = shape
    while term > _TERM_LEAST * total:
        index += 1
        term *= mean / index
        total += term
    return total * math.exp(shape * math.log(mean) - mean - math.lgamma(shape + 1))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


class Ranks(NamedTuple):
    """Which values of a sorted sample bound a quantile, counted from 0; None: too few values for that bound."""

    low: int | None
    high: int | None


def quantile_ranks(size: int, share: float, confidence: float = CONFIDENCE) -> Ranks:
    """Return the ranks between which a quantile lies, whatever the values' distribution.

    H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed. (2003), section 7.1: how many values lie below the
    quantile is binomial.
    """
    miss = 1 - confidence
    low = _least(size, lambda rank: at_least(rank, size, share) <= confidence + _ROUNDING) - 1
    high = _least(size, lambda rank: at_least(rank, size, share) <= miss)
    return Ranks(low - 1 if low >= 1 else None, high - 1 if high <= size else None)


def _least(size: int, holds: Callable[[int], bool]) -> int:
    """Return the least rank, from 1, for which something holds from there on; `size` + 1 when for none."""
    low, high = 1, size + 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def size_for_quantile(share: float, confidence: float = CONFIDENCE) -> int:
    """Return how many values it takes at least to bound a quantile from above."""
    return math.ceil(math.log(1 - confidence) / math.log(share))


def size_for_rate(limit: float, confidence: float = CONFIDENCE) -> int:
    """Return how many runs without a failure it takes to bound a rate by a limit (Wilson's upper bound)."""
    if limit <= 0 or limit >= 1:
        return 1
    return math.ceil(normal_quantile(confidence) ** 2 * (1 / limit - 1))


def size_to_tell(share: float, limit: float, confidence: float = CONFIDENCE) -> int:
    """Return how many runs of a `share` it takes to tell it from a lower `limit` (the normal approximation)."""
    if share <= limit:
        return 0
    return math.ceil(normal_quantile(confidence) ** 2 * max(limit * (1 - limit), _SPREAD_LEAST) / (share - limit) ** 2)
