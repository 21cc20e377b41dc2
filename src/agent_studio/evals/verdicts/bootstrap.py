"""Intervals of means and of their difference, by drawing tasks and attempts again and again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DRAWS = 1_000
_SEED = 11


class Means(NamedTuple):
    """Two means and the 95 % interval of their difference."""

    candidate: float | None
    against: float | None
    low: float | None
    high: float | None


def compared(values: Mapping[str, Sequence[tuple[float, float]]]) -> Means:
    """Return the means of a figure over pairs by task, and the interval of their difference.

    Tasks are drawn, then pairs within each: attempts of one task are alike. With fewer than two pairs there is none.
    """
    pairs = [pair for of_task in values.values() for pair in of_task]
    if not pairs:
        return Means(None, None, None, None)
    own, other = (sum(pair[side] for pair in pairs) / len(pairs) for side in (0, 1))
    if len(pairs) < 2:  # noqa: PLR2004 - one says nothing of how they vary
        return Means(own, other, None, None)
    drawn, tasks = random.Random(_SEED), [list(of_task) for of_task in values.values() if of_task]  # noqa: S311
    differences = sorted(_drawn(drawn, tasks) for _ in range(_DRAWS))
    return Means(own, other, differences[int(0.025 * _DRAWS)], differences[int(0.975 * _DRAWS)])


def _drawn(drawn: random.Random, tasks: Sequence[Sequence[tuple[float, float]]]) -> float:
    total, count = 0.0, 0
    for _ in tasks:
        of_task = drawn.choice(tasks)
        for _ in of_task:
            own, other = drawn.choice(of_task)
            total += own - other
            count += 1
    return total / count
