"""How well `elicit select` finds methods that fit, and says that none does, on labels written before it was tuned.

The labels are split in two halves by the hash of each text. Cues were tuned on one; figures that count are those of the
other, which `--tuned` replaces by the first and shows case by case.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from agent_studio.environment.schema import BY_NAME
from agent_studio.reasoning.elicitation.methods import built_in
from agent_studio.reasoning.elicitation.select import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CASES = Path(__file__).with_name("elicit_cases.jsonl")
SHOWN = 3
LEAST = 0.80
"""What both figures must reach."""


class Case(NamedTuple):
    """One request and the methods that fit it; none fits where there are none."""

    text: str
    fits: frozenset[str]

    @property
    def is_held_out(self) -> bool:
        """Whether it is in the half that nothing was tuned on."""
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


def cases(*, held_out: bool) -> list[Case]:
    """Return one half of the labels."""
    lines = CASES.read_text(encoding="utf-8").splitlines()
    read = (Case(one["text"], frozenset(one["fits"])) for one in map(json.loads, lines))
    return [case for case in read if case.is_held_out == held_out]


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


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures of the half that counts; exit code 1 where one is too low."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuned", action="store_true", help="show the half that cues were tuned on, with its faults")
    args = parser.parse_args(argv)
    least = float(BY_NAME["features.advancedElicitation.minConfidence"].default)
    found = measure(cases(held_out=not args.tuned), least)
    half = "tuned on" if args.tuned else "untouched"
    print(f"{half} half, least score {least}:")
    print(f"  hit@3             {found.hit_at_3:.3f} ({found.hits} of {found.requests})")
    print(f"  hit@1             {found.firsts / found.requests:.3f} ({found.firsts} of {found.requests})")
    print(f"  none-fits recall  {found.none_fits_recall:.3f} ({found.silent} of {found.none_fits})")
    if args.tuned:
        print(*found.faults, sep="\n")
    return 0 if min(found.hit_at_3, found.none_fits_recall) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
