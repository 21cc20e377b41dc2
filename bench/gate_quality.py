"""How often a gate lets a bad candidate through, and how many runs a good one needs: simulated, for several rules.

A candidate's agent fails with a true rate; after each of its runs somebody looks, and a rule that says yes once has
promoted it. Ours are the product's own verdicts. `bench/gate_quality.py` prints the table; `--write` puts it into
docs/burn-in.md and draws docs/assets/gate-quality.svg.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from agent_studio.monitor import intervals
from agent_studio.release.evidence import FAIL, PASS
from agent_studio.release.statistics import share_verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
LIMIT = 0.06
FACTORS = (1 / 6, 0.5, 1.0, 1.5, 2.5)
"""True rates of the candidates, as shares of the limit."""
DRAWS, MOST_RUNS, SEED = 4_000, 1_500, 8
PAGE, FIGURE = REPOSITORY / "docs" / "burn-in.md", REPOSITORY / "docs" / "assets" / "gate-quality.svg"
_MARKS = re.compile(r"(<!-- gate-quality -->\n).*?(<!-- /gate-quality -->)", re.DOTALL)
_NEVER = -1


class Rule(NamedTuple):
    """A way to decide after each run, as bounds of failures by the number of runs."""

    name: str
    passes: Sequence[int]
    """At most so many failures let a candidate through after so many runs; -1: not yet."""
    fails: Sequence[int]
    """So many and more end the trial with no."""


class Outcome(NamedTuple):
    """What a rule made of many candidates of one true rate."""

    rule: str
    true_rate: float
    promoted: float
    """Share of them."""
    median_runs: float | None
    """Until those that were promoted were; None when fewer than half were."""


def rules(most_runs: int = MOST_RUNS) -> list[Rule]:
    """Return the rules that are compared, ours last."""
    never = [most_runs + 1] * (most_runs + 1)
    found = [Rule(f"observed rate, {count} runs", _once(count, most_runs), never) for count in (10, 50, 100)]
    wilson = _bounds(most_runs, lambda hits, count: count > 0 and intervals.rate(hits, count).high <= LIMIT)
    ours = _bounds(most_runs, lambda hits, count: share_verdict(hits, count, LIMIT) == PASS)
    against = [1 + bound for bound in _bounds(most_runs, lambda hits, count: share_verdict(hits, count, LIMIT) != FAIL)]
    return [
        *found,
        Rule("Wilson bound, after each run", wilson, never),
        Rule("this gate, after each run", ours, against),
    ]


def _once(count: int, most_runs: int) -> list[int]:
    return [int(LIMIT * count) if number == count else _NEVER for number in range(most_runs + 1)]


def _bounds(most_runs: int, holds: Callable[[int, int], bool]) -> list[int]:
    """Return the most failures at which something holds, by the number of runs; it never falls with more runs."""
    found, hits = [], _NEVER
    for count in range(most_runs + 1):
        while hits < count and holds(hits + 1, count):
            hits += 1
        found.append(hits)
    return found


def simulate(
    draws: int = DRAWS, seed: int = SEED, factors: Sequence[float] = FACTORS, most_runs: int = MOST_RUNS
) -> list[Outcome]:
    """Draw candidates and return what each rule makes of them; all rules see the same runs."""
    dice = random.Random(seed)
    known = rules(most_runs)
    outcomes = []
    for factor in factors:
        ended: dict[str, list[int]] = {rule.name: [] for rule in known}
        for _ in range(draws):
            failures = _failures(dice, LIMIT * factor, most_runs)
            for rule in known:
                runs = _promoted_after(rule, failures)
                if runs is not None:
                    ended[rule.name].append(runs)
        for rule in known:
            runs_of = ended[rule.name]
            share = len(runs_of) / draws
            median = statistics.median(runs_of) if share >= 0.5 else None
            outcomes.append(Outcome(rule.name, LIMIT * factor, share, median))
    return outcomes


def _failures(dice: random.Random, rate: float, most_runs: int) -> list[int]:
    """Return how many runs had failed after each run, from 0 on."""
    found, hits = [0], 0
    for _ in range(most_runs):
        hits += dice.random() < rate
        found.append(hits)
    return found


def _promoted_after(rule: Rule, failures: Sequence[int]) -> int | None:
    for count, (hits, passes, fails) in enumerate(zip(failures, rule.passes, rule.fails, strict=True)):
        if hits <= passes:
            return count
        if hits >= fails:
            return None
    return None


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a table of Markdown, a row a rule."""
    rates = sorted({one.true_rate for one in outcomes})
    heads = [f"{100 * rate:.3g} %" for rate in rates]
    lines = [
        "| rule | " + " | ".join(heads) + f" | runs until yes at {heads[0]}, {heads[1]} |",
        "| --- " + "| --: " * len(heads) + "| --: |",
    ]
    for name in dict.fromkeys(one.rule for one in outcomes):
        own = {one.true_rate: one for one in outcomes if one.rule == name}
        cells = [f"{100 * own[rate].promoted:.1f} %" for rate in rates]
        runs = [own[rate].median_runs for rate in rates[:2]]
        told = ", ".join("-" if one is None else f"{one:.0f}" for one in runs)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {told} |")
    return "\n".join(lines) + "\n"


def drawing(outcomes: Sequence[Outcome]) -> str:
    """Return a figure: of each rule a bar for each bad candidate, as long as the share that is let through."""
    bad = [rate for rate in sorted({one.true_rate for one in outcomes}) if rate >= LIMIT]
    names = list(dict.fromkeys(one.rule for one in outcomes))
    left, scale, row, bar = 210, 4.2, 58, 14
    height = 56 + row * len(names)
    style = (
        "text{fill:#24292f}.b0{fill:#e3b341}.b1{fill:#db6d28}.b2{fill:#b62324}"
        "@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}"
    )
    box = f'viewBox="0 0 720 {height}" role="img" font-family="sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        "<title>Bad candidates that each rule lets through</title>",
        f"<style>{style}</style>",
    ]
    for number, rate in enumerate(bad):
        at = left + 130 * number
        parts.append(f'<rect class="b{number}" x="{at}" y="14" width="12" height="12"/>')
        parts.append(f'<text x="{at + 18}" y="25">truly {100 * rate:.3g} %</text>')
    for number, name in enumerate(names):
        top = 46 + row * number
        parts.append(f'<text x="{left - 12}" y="{top + 26}" text-anchor="end">{name}</text>')
        for which, rate in enumerate(bad):
            share = next(one.promoted for one in outcomes if (one.rule, one.true_rate) == (name, rate))
            y, width = top + which * bar, max(100 * share * scale, 1)
            parts.append(f'<rect class="b{which}" x="{left}" y="{y}" width="{width:.1f}" height="{bar - 3}"/>')
            parts.append(f'<text x="{left + width + 6:.1f}" y="{y + 10}" font-size="11">{100 * share:.1f} %</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    """Simulate, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table and the figure into docs")
    parser.add_argument("--draws", type=int, default=DRAWS)
    args = parser.parse_args()
    outcomes = simulate(args.draws)
    print(table(outcomes))
    if args.write:
        page = PAGE.read_text(encoding="utf-8")
        if not _MARKS.search(page):
            print(f"{PAGE} has no place for the table", file=sys.stderr)
            return 1
        PAGE.write_text(_MARKS.sub(lambda found: f"{found[1]}\n{table(outcomes)}\n{found[2]}", page), encoding="utf-8")
        FIGURE.write_text(drawing(outcomes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
