"""How often a verdict is wrong when people look after every pair, and how many pairs it takes to be right.

Prints one line a setting: `python bench/evals_simulated.py [DRAWS]`. Tasks differ in difficulty; a setting has the pass
rates of each task on both sides, and the order within a round is shuffled as a run shuffles it.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from agent_studio.evals.verdicts import betting
from agent_studio.evals.verdicts.betting import Pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

_EVEN = tuple((rate, rate) for rate in (0.1, 0.3, 0.5, 0.5, 0.7, 0.7, 0.8, 0.9, 0.9, 1.0))
_MIXED = tuple((own, 1.1 - own) for own in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
SETTINGS: dict[str, tuple[tuple[float, float], ...]] = {
    "equal, half of the attempts pass": ((0.5, 0.5),) * 10,
    "equal, tasks of every difficulty": _EVEN,
    "equal, nearly all pass": ((0.95, 0.95),) * 10,
    "equal on average, better at some tasks and worse at others": _MIXED,
    "better by 10 points": tuple((min(own + 0.1, 1.0), other) for own, other in ((0.6, 0.6),) * 10),
    "better by 30 points": ((0.9, 0.6),) * 10,
    "worse by 10 points": ((0.6, 0.7),) * 10,
    "worse by 30 points": ((0.6, 0.9),) * 10,
}
MARGIN = 0.1
AGAIN = ((((0.45, 0.7),) * 4, 0.25), (((0.6, 0.7),) * 10, 0.1))
"""Candidates as much worse as the margin: to let them through is wrong."""
RUNS = 100
_VERDICTS = {"better": betting.BETTER, "worse": betting.WORSE, "no_difference": betting.NO_DIFFERENCE}


class Found(NamedTuple):
    """What became of many runs of one setting."""

    setting: str
    better: float
    """Share of runs that said so at any look."""
    worse: float
    no_difference: float
    pairs: float
    """Mean number of pairs until the first verdict, of those runs that reached one."""


class Again(NamedTuple):
    """How often the gate let a candidate through that is as much worse as it must not be."""

    together: float
    """All runs judged as one."""
    alone: float
    """Each run for itself: any of them."""


def simulated(setting: str, rates: Sequence[tuple[float, float]], draws: int, most: int, seed: int = 1) -> Found:
    """Play runs of a setting, looking after every pair and believing the first verdict."""
    drawn = random.Random(seed)
    ends: list[tuple[str, int]] = [_run(drawn, rates, most) for _ in range(draws)]
    shares = {name: sum(end == verdict for end, _ in ends) / draws for name, verdict in _VERDICTS.items()}
    settled = [count for end, count in ends if end != betting.INSUFFICIENT]
    pairs = sum(settled) / len(settled) if settled else float("nan")
    return Found(setting, **shares, pairs=pairs)


def _run(drawn: random.Random, rates: Sequence[tuple[float, float]], most: int) -> tuple[str, int]:
    won = lost = same = 0
    while True:
        order = list(rates)
        drawn.shuffle(order)
        for own, other in order:
            passed, against = drawn.random() < own, drawn.random() < other
            won, lost, same = won + (passed > against), lost + (passed < against), same + (passed == against)
            verdict = betting.verdict(Pairs(won, lost, same), MARGIN)
            if verdict != betting.INSUFFICIENT:
                return verdict, won + lost + same
            if won + lost + same >= most:
                return verdict, most


def begun_again(rates: Sequence[tuple[float, float]], draws: int, runs: int, rounds: int, margin: float) -> Again:
    """Begin run after run of so many rounds until the gate passes; return how often it did, judged in both ways.

    Together, as the gate judges them, and each run for itself, as it must not.
    """
    drawn = random.Random(1)
    together = alone = 0
    for _ in range(draws):
        all_, passed = Pairs(0, 0, 0), set[str]()
        for _again in range(runs):
            own = _rounds(drawn, rates, rounds)
            all_ = Pairs(*(one + other for one, other in zip(all_, own, strict=True)))
            passed |= {name for name, pairs in (("together", all_), ("alone", own))
                       if betting.is_no_worse(pairs, margin) == "PASS"}  # fmt: skip
        together, alone = together + ("together" in passed), alone + ("alone" in passed)
    return Again(together / draws, alone / draws)


def _rounds(drawn: random.Random, rates: Sequence[tuple[float, float]], rounds: int) -> Pairs:
    won = lost = 0
    for own, other in list(rates) * rounds:
        passed, against = drawn.random() < own, drawn.random() < other
        won, lost = won + (passed > against), lost + (passed < against)
    return Pairs(won, lost, len(rates) * rounds - won - lost)


def false_verdicts(draws: int, most: int) -> list[str]:
    """Return the settings without a difference in which either wrong verdict is more frequent than 5 %."""
    wrong = []
    for name, rates in SETTINGS.items():
        if name.startswith("equal"):
            found = simulated(name, rates, draws, most)
            if max(found.better, found.worse) > betting.ALPHA:
                wrong.append(f"{name}: BETTER in {found.better:.1%}, WORSE in {found.worse:.1%} of {draws} runs")
    return wrong


def main() -> int:
    """Print a table."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    print(f"{draws} runs a setting, looked at after every pair, at most 500 pairs, margin {MARGIN:.0%}")
    print(f"{'setting':<60} {'BETTER':>7} {'WORSE':>7} {'NO DIFF':>8} {'pairs':>7}")
    for name, rates in SETTINGS.items():
        one = simulated(name, rates, draws, 500)
        print(f"{name:<60} {one.better:>7.1%} {one.worse:>7.1%} {one.no_difference:>8.1%} {one.pairs:>7.0f}")
    for rates, margin in AGAIN:
        again = begun_again(rates, draws, RUNS, 12, margin)
        print(
            f"{rates[0][0] - rates[0][1]:+.0%} at a margin of {margin:.0%}, begun anew {RUNS} times: PASS in "
            f"{again.together:.1%} judged together, in {again.alone:.1%} had each run spoken for itself"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
