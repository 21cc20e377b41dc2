"""How well `elicit select` finds methods that fit, and says that none does, on labelled requests.

Labels came in rounds, each committed before the cues were run on it. Of the first, one half (by the hash of each text)
was tuned on; but whoever wrote labels also wrote cues, and remembered them: the second round, in other words, showed
that. So cues were widened after each of rounds two to four, and after the fifth what asks for no method was told apart
better. The last round is untouched: nothing was changed after it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench.projects import Trial

from agent_studio.environment.schema import BY_NAME
from agent_studio.reasoning.elicitation.methods import built_in
from agent_studio.reasoning.elicitation.select import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CASES = Path(__file__).with_name("elicit_cases.jsonl")
LAST = 6
"""The round after which nothing was changed."""
AT_FIRST = {2: (0.04, 0.97), 3: (0.51, 0.83), 4: (0.61, 0.88), 5: (0.94, 1.00), 6: (0.88, 0.90)}
"""hit@3 and none-fits recall of each round when it was run for the first time."""
SHOWN = 3
LEAST = 0.80
"""What both figures must reach."""


class Case(NamedTuple):
    """One request and the methods that fit it; none fits where there are none."""

    round: int
    text: str
    fits: frozenset[str]

    @property
    def is_second_half(self) -> bool:
        """Whether it is in the half of its round that is not tuned on."""
        return bool(hashlib.sha256(self.text.encode()).digest()[0] % 2)


class Measured(NamedTuple):
    """What came of one half."""

    requests: int
    hits: int
    """Requests with a fitting method among the first three."""
    firsts: int
    """Requests whose first method fits."""
    none_fits: int
    silent: int
    """Requests that no method fits, and for which none was named."""
    faults: list[str]

    @property
    def hit_at_3(self) -> float:
        """Share of requests with a fitting method among the first three."""
        return self.hits / self.requests

    @property
    def none_fits_recall(self) -> float:
        """Share of the requests that no method fits for which none was named."""
        return self.silent / self.none_fits


def cases() -> list[Case]:
    """Return all labels."""
    lines = CASES.read_text(encoding="utf-8").splitlines()
    return [Case(one["round"], one["text"], frozenset(one["fits"])) for one in map(json.loads, lines)]


def untouched() -> dict[str, list[Case]]:
    """Return the labels that cues were not tuned on, by what they are called."""
    listed = cases()
    return {
        "second half of the first round": [one for one in listed if one.round == 1 and one.is_second_half],
        "last round": [one for one in listed if one.round == LAST],
    }


def measure(listed: Iterable[Case], least: float) -> Measured:
    """Select for each case and count."""
    requests = hits = firsts = none_fits = silent = 0
    faults = []
    for case in listed:
        found = select(case.text, built_in().values(), least=least, limit=SHOWN)
        names = [fit.method.id for fit in found]
        if not case.fits:
            none_fits, silent = none_fits + 1, silent + (not names)
            right = not names
        else:
            requests, hits = requests + 1, hits + bool(case.fits & set(names))
            firsts += names[:1] in [[one] for one in case.fits]
            right = bool(case.fits & set(names))
        if not right:
            said = ", ".join(f"{fit.method.id} {fit.score:.2f}" for fit in found) or "none"
            faults.append(f"{case.text!r}: {said}; labelled {', '.join(sorted(case.fits)) or 'none'}")
    return Measured(requests, hits, firsts, none_fits, silent, faults)


def trial() -> Trial:
    """Return what is wrong with the figures that count."""
    least = float(BY_NAME["features.advancedElicitation.minConfidence"].default)
    found = {name: measure(listed, least) for name, listed in untouched().items()}
    told = [
        f"{name}: hit@3 {one.hit_at_3:.2f}, none-fits recall {one.none_fits_recall:.2f}" for name, one in found.items()
    ]
    low = [one for one in found.values() if min(one.hit_at_3, one.none_fits_recall) < LEAST]
    return Trial("methods chosen for requests with labels", figures=told, faults=told if low else [])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; exit code 1 where one of those that count is too low."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuned", action="store_true", help="also show what is wrong in the rounds that were tuned on")
    args = parser.parse_args(argv)
    least = float(BY_NAME["features.advancedElicitation.minConfidence"].default)
    low = False
    for name, listed in untouched().items():
        found = measure(listed, least)
        low = low or min(found.hit_at_3, found.none_fits_recall) < LEAST
        print(f"{name}, least score {least}:")
        print(f"  hit@3             {found.hit_at_3:.3f} ({found.hits} of {found.requests})")
        print(f"  hit@1             {found.firsts / found.requests:.3f} ({found.firsts} of {found.requests})")
        print(f"  none-fits recall  {found.none_fits_recall:.3f} ({found.silent} of {found.none_fits})")
    print("each round when it was run for the first time:")
    for number, (hits, silent) in AT_FIRST.items():
        print(f"  round {number}: hit@3 {hits:.2f}, none-fits recall {silent:.2f}")
    if args.tuned:
        found = measure([one for one in cases() if one.round != LAST], least)
        print(*found.faults, sep="\n")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
