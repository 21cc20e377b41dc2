"""Ours, the truth and ccusage on every trap and on generated transcripts; each difference has a reason, or it fails.

differential.py [--out FILE] writes the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started as a script: the checkout is not on the path

from bench import measure
from bench.npm import ProgramMissingError
from bench.transcripts import calls, ccusage, generate
from bench.transcripts.traps import TRAPS, Trap
from bench.transcripts.truth import by_day_and_model

ZONE = "Europe/Berlin"
_NAMES = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")
_MICRO = Decimal("0.000001")
Told = dict[tuple[str, str], tuple[tuple[int, ...], Decimal | None]]


@dataclass(frozen=True)
class Row:
    """What became of one trap."""

    name: str
    ours: str
    peer: str
    why: str
    faults: tuple[str, ...] = ()


def ours(folder: Path, project: Path) -> Told:
    """Return what `cost report` says of a configuration folder."""
    done = subprocess.run(
        [sys.executable, "-m", "agent_studio", "cost", "report", "--source", "transcripts", "--config-dir", str(folder),
         "--by", "day,model", "--timezone", ZONE, "--json", "--project", str(project)],
        capture_output=True, check=False, env=measure.clean_variables(),
    )  # fmt: skip
    data = json.loads(done.stdout)["data"]
    return {
        (day["date"], one["model"]): (
            tuple(one[name] for name in _NAMES), None if one["usd"] is None else Decimal(str(one["usd"])),
        )
        for day in data["days"] for one in day["models"]
    }  # fmt: skip


def rows(program: Path | None) -> list[Row]:
    """Compare on every trap, then on generated transcripts."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        (place / "project/.claude").mkdir(parents=True)
        for number, trap in enumerate(TRAPS):
            folder = place / f"trap-{number}"
            (folder / "projects/-p").mkdir(parents=True)
            trap.write(folder / "projects/-p")
            found.append(_compared(trap, folder, place / "project", program))
        for seed in range(3):
            listed = calls.calls(seed, 1_000)
            folder = place / f"generated-{seed}"
            generate.write(listed, folder, seed)
            found.append(_generated(seed, listed, folder, place / "project", program))
    return found


def _true(listed: tuple[calls.Call, ...] | list[calls.Call]) -> Told:
    return {key: (used.as_row(), used.usd) for key, used in by_day_and_model(listed, ZONE).items()}


def _compared(trap: Trap, folder: Path, project: Path, program: Path | None) -> Row:
    expected, told = _true(trap.true), ours(folder, project)
    verdict = "right" if told == expected else "WRONG"
    faults: tuple[str, ...] = () if told == expected else (f"{trap.name}: ours is {told}, the truth {expected}",)
    if program is None:
        return Row(trap.name, verdict, "not run", "", faults)
    theirs = ccusage.by_day_and_model(program, folder, ZONE)
    if _tokens(theirs) == _tokens(expected) and _agrees(theirs, expected):
        return Row(trap.name, verdict, "right", "", faults)
    said = {(model, tokens[0], tokens[1]): usd or Decimal() for (_, model), (tokens, usd) in theirs.items()}
    foreseen = {(model, given, out): Decimal(usd) for model, given, out, usd in trap.peer.says} if trap.peer else None
    if (
        foreseen is None
        or said.keys() != foreseen.keys()
        or any(abs(said[key] - foreseen[key]) >= _MICRO for key in said)
    ):
        faults += (f"{trap.name}: nobody explains why ccusage says {theirs}, not {expected}",)
    return Row(trap.name, verdict, "wrong", trap.peer.why if trap.peer else "", faults)


def _tokens(told: Told) -> dict[tuple[str, str], tuple[int, ...]]:
    return {key: tokens for key, (tokens, _) in told.items() if any(tokens)}


def _agrees(theirs: Told, expected: Told) -> bool:
    """Tell whether costs agree to a millionth of a dollar; a price that is not known agrees with none."""
    return all(
        usd is not None and key in theirs and abs((theirs[key][1] or Decimal()) - usd) < _MICRO
        for key, (_, usd) in expected.items()
    )


def _generated(seed: int, listed: list[calls.Call], folder: Path, project: Path, program: Path | None) -> Row:
    """Compare on many sessions; what the peer leaves out must explain its costs, day by day and model by model."""
    name = f"1,000 generated responses, seed {seed}"
    expected, told = _true(listed), ours(folder, project)
    verdict = "right" if told == expected else "WRONG"
    faults: tuple[str, ...] = () if told == expected else (f"{name}: ours is not the truth",)
    if program is None:
        return Row(name, verdict, "not run", "", faults)
    theirs = ccusage.by_day_and_model(program, folder, ZONE)
    foreseen = {
        key: (used.as_row(), used.usd) for key, used in by_day_and_model(listed, ZONE, ccusage.cost_usd).items()
    }
    if _tokens(theirs) != _tokens(expected):
        faults += (f"{name}: ccusage counts other tokens",)
    odd = [key for key, (_, usd) in foreseen.items() if abs((theirs[key][1] or Decimal()) - (usd or 0)) >= _MICRO]
    faults += tuple(
        f"{name}: nobody explains {key}: ccusage {theirs[key]}, foreseen {foreseen[key]}" for key in odd[:3]
    )
    wrong = sum(usd is None or abs((theirs[key][1] or Decimal()) - usd) >= _MICRO for key, (_, usd) in expected.items())
    return Row(name, verdict, f"tokens right, USD wrong in {wrong} of {len(expected)}", ccusage.LEFT_OUT, faults)


def table(found: list[Row]) -> str:
    """Return the comparison for people."""
    return measure.table(
        ("transcripts", "ours", "ccusage", "because it"), [(r.name, r.ours, r.peer, r.why) for r in found]
    )


def main() -> int:
    """Compare, print, write; exit code 1 when ours is wrong or a difference is not explained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    try:
        program: Path | None = ccusage.install()
    except ProgramMissingError as error:
        print(f"ccusage is not run: {error}", file=sys.stderr)
        program = None
    found = rows(program)
    text = measure.heading(f"Cost reports beside ccusage {ccusage.VERSION}", 0) + table(found)
    print(text)
    faults = [fault for row in found for fault in row.faults]
    print(*faults, sep="\n")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
