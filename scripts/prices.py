"""Compile the package's price table from a release of genai-prices.

The release is installed into a private environment and asked for its data; what models cost in the table of before is
kept for the time until today. `--data FILE` takes data that was dumped or downloaded before, `--check N` prices N
random calls with both and lists where they differ.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from agent_studio.cost.counting import Tokens
from agent_studio.cost.prices.compiler import compiled
from agent_studio.cost.prices.table import BUNDLED, PriceTable

VERSION = "0.2.3"
TABLE = Path(__file__).parent.parent / "src" / "agent_studio" / "cost" / "prices" / BUNDLED
_DUMP = """
import dataclasses, datetime, decimal, json, sys
from genai_prices import data, types
def plain(value):
    if isinstance(value, types.ModelPrice):
        return {k: plain(v) for k, v in value.__dict__.items() if v is not None and not k.startswith("_")}
    if dataclasses.is_dataclass(value):
        names = [f.name for f in dataclasses.fields(value) if not f.name.startswith("_")]
        return {n.rstrip("_"): plain(getattr(value, n)) for n in names if getattr(value, n) is not None}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else value
json.dump([plain(dataclasses.replace(p, extractors=None)) for p in data.providers], sys.stdout)
"""
_PRICE = """
import datetime, json, sys
from genai_prices import Usage, calc_price
for line in sys.stdin:
    provider, model, at, t = json.loads(line)
    usage = Usage(input_tokens=t[0] + t[2] + t[3] + t[4], output_tokens=t[1], cache_read_tokens=t[2],
                  cache_write_tokens=t[3] + t[4], cache_write_1h_tokens=t[4])
    try:
        when = datetime.datetime.fromisoformat(at)
        told = calc_price(usage, model, provider_id=provider, genai_request_timestamp=when)
        print(told.total_price)
    except Exception as error:
        print(type(error).__name__)
"""


def _python(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"genai-prices=={VERSION}"], check=True)
    return python


def _check(python: Path, table: PriceTable, count: int) -> int:
    """Price random calls with both; return how many differ."""
    chance = random.Random(4)
    calls = []
    for _ in range(count):
        provider, model = chance.choice(table.models)
        day = datetime(2026, chance.randint(1, 12), chance.randint(1, 28), chance.randint(0, 23), tzinfo=UTC)
        sizes = [chance.choice((0, chance.randint(0, 9_000), chance.randint(0, 400_000))) for _ in range(5)]
        calls.append((provider, model, day, Tokens(*sizes)))
    lines = "".join(json.dumps([p, m, at.isoformat(), list(t)]) + "\n" for p, m, at, t in calls)
    done = subprocess.run([python, "-c", _PRICE], input=lines, text=True, capture_output=True, check=True)
    verdicts: Counter[str] = Counter()
    for (provider, model, at, tokens), theirs in zip(calls, done.stdout.splitlines(), strict=True):
        ours = table.cost(model, int(at.timestamp()) * 10**9, tokens, provider=provider)
        verdict = _verdict(None if ours is None else ours.pico_usd, theirs)
        verdicts[verdict] += 1
        if verdict == "DIFFERENT":
            sys.stdout.write(f"{provider} {model} {at:%F %R} {tokens}: {ours} and {theirs}\n")
    sys.stdout.write("".join(f"{number:6}  {verdict}\n" for verdict, number in verdicts.most_common()))
    return verdicts["DIFFERENT"]


def _verdict(ours: int | None, theirs: str) -> str:
    if ours is None:
        return "no price here: a kind of token that was used has none"
    if theirs.endswith("Error"):
        return "no price there"
    off = abs(Decimal(ours) / 10**12 - Decimal(theirs))
    if not off:
        return "equal"
    return "equal but for a price finer than a pico-USD" if off < Decimal("0.000001") else "DIFFERENT"


def main() -> int:
    """Compile, and compare when asked to; return how many comparisons failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="data of genai-prices as JSON, instead of installing it")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--check", type=int, default=0, metavar="N", help="compare N random calls")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = _python(Path(folder)) if args.check or not args.data else None
        if args.data:
            data = args.data.read_bytes()
        else:
            data = subprocess.run([str(python), "-c", _DUMP], capture_output=True, check=True).stdout
        before = args.out.read_bytes() if args.out.exists() else None
        made = compiled(
            json.loads(data), source=f"genai-prices {VERSION}", previous=before, today=datetime.now(UTC).date()
        )
        args.out.write_bytes(made)
        return _check(python, PriceTable(made), args.check) if python and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
