"""Whether one environment differs from another by more than chance: advice beside the limits, never a verdict.

Runs of one session resemble each other, which every test here leaves out: p is smaller than it should be. A shift of
durations therefore has to be both rare by chance and large enough to matter.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.monitor import intervals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORSE, BETTER, NONE, UNKNOWN = "WORSE", "BETTER", "NONE", "UNKNOWN"
_LEAST = 8
"""Runs on each side from which the normal approximation of U holds."""
_RARE = 0.01
_MATTERS = 0.06
"""How far from one half the chance of being slower has to be: what Vargha and Delaney call small."""


class Shift(NamedTuple):
    """How the first environment lies to the second."""

    method: str
    verdict: str
    """WORSE, BETTER, NONE (no shift to be seen) or UNKNOWN (too little to tell)."""
    effect: float | None
    """Durations: the chance that a run of the first is slower than one of the second. Rates: the difference. Counts:
    the ratio."""
    low: float | None = None
    high: float | None = None
    """Bounds of the effect, one-sided 95 % each; None where the method has none, or beyond all numbers."""
    p: float | None = None


def of_durations(ours: Mapping[float, int], theirs: Mapping[float, int]) -> Shift:
    """Compare durations, given as how many runs took how long, by Mann and Whitney's U.

    U, because durations are skewed, have no common distribution, and are many: it needs only their order, ties
    included, and its result is the same whenever it is asked for, which no resampling promises.

    H. B. Mann and D. R. Whitney, On a test of whether one of two random variables is stochastically larger than the
    other, Ann. Math. Stat. 18 (1947) 50-60; the variance with ties as in E. L. Lehmann, Nonparametrics (1975), section
    1.2; the effect A. Vargha and H. D. Delaney, J. Educ. Behav. Stat. 25 (2000) 101-132.
    """
    count, other = sum(ours.values()), sum(theirs.values())
    if min(count, other) < _LEAST:
        return Shift("mann-whitney", UNKNOWN, None)
    wins, below, ties = 0.0, 0, 0
    for value in sorted(ours.keys() | theirs.keys()):
        mine, its = ours.get(value, 0), theirs.get(value, 0)
        wins += mine * (below + its / 2)
        below += its
        ties += (mine + its) ** 3 - (mine + its)
    pairs, both = count * other, count + other
    spread = math.sqrt(pairs / 12 * (both + 1 - ties / (both * (both - 1))))
    distance = max(abs(wins - pairs / 2) - 0.5, 0.0)
    p = math.erfc(distance / spread / math.sqrt(2)) if spread else 1.0
    return judged(Shift("mann-whitney", NONE, wins / pairs, p=p), p)


def judged(found: Shift, p: float) -> Shift:
    """Return a shift of durations as a p tells that allows for how many were looked at."""
    if found.effect is None or p >= _RARE or abs(found.effect - 0.5) < _MATTERS:
        return found._replace(verdict=UNKNOWN if found.effect is None else NONE, p=p if found.p is not None else None)
    return found._replace(verdict=WORSE if found.effect > 0.5 else BETTER, p=p)  # noqa: PLR2004 - one half


def of_rates(
    hits: int, count: int, their_hits: int, their_count: int, confidence: float = intervals.CONFIDENCE
) -> Shift:  # fmt: skip
    """Compare two rates by the bounds of their difference.

    R. G. Newcombe, Interval estimation for the difference between independent proportions, Stat. Med. 17 (1998)
    873-890, method 10.
    """
    if not count or not their_count:
        return Shift("newcombe", UNKNOWN, None)
    ours, theirs = hits / count, their_hits / their_count
    mine, its = intervals.rate(hits, count, confidence), intervals.rate(their_hits, their_count, confidence)
    effect = ours - theirs
    low = effect - math.hypot(ours - mine.low, its.high - theirs)
    high = effect + math.hypot(mine.high - ours, theirs - its.low)
    return Shift("newcombe", _sign(low, high, 0.0), effect, low, high)


def of_counts(ours: int, theirs: int) -> Shift:
    """Compare two counts of the same length of time by the bounds of their ratio.

    J. Przyborowski and H. Wilenski, Homogeneity of results in testing samples from Poisson series, Biometrika 31 (1940)
    313-323: given both together, the share of the first is binomial; its bounds are Wilson's.
    """
    if not ours + theirs:
        return Shift("poisson-ratio", NONE, None)
    share = intervals.rate(ours, ours + theirs)
    low, high = _odds(share.low) or 0.0, _odds(share.high)
    return Shift("poisson-ratio", _sign(low, high, 1.0), _odds(ours / (ours + theirs)), low, high)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values that allow for how many were looked at.

    S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6 (1979) 65-70.
    """
    adjusted = [0.0] * len(values)
    least = 0.0
    for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(values[at] * (len(values) - rank), 1.0))
        adjusted[at] = least
    return adjusted


def _odds(share: float) -> float | None:
    return None if share >= 1 else share / (1 - share)


def _sign(low: float, high: float | None, same: float) -> str:
    if low > same:
        return WORSE
    return BETTER if high is not None and high < same else NONE
