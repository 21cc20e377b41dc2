"""The peer to compare with: ccusage, installed by exact version and integrity."""

from __future__ import annotations

import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import npm
from bench.transcripts.truth import LONG, RATES

if TYPE_CHECKING:
    from bench.transcripts.calls import Call

VERSION = "20.0.24"
_SECONDS = 300
_UNKNOWN = ("claude-opus-5-5", "claude-haiku-5-5")
"""Models that are newer than its table."""
LEFT_OUT = "new models at $0; no batch, no region, no searches; a long context only above its limit"


def install() -> Path:
    """Return the native program, without its launcher in Node; raise `ProgramMissingError` where it cannot be had."""
    program = npm.installed(Path(__file__).with_name(f"ccusage-{VERSION}"), _program)
    program.chmod(0o755)
    return program


def _program(place: Path) -> Path | None:
    return next(iter(sorted(place.glob("node_modules/@ccusage/*/bin/ccusage"))), None)


def command(program: Path, zone: str) -> list[str]:
    """Return the command line of a report by day and model, without the network."""
    return [str(program), "claude", "daily", "--json", "--offline", "--breakdown", "--timezone", zone]


def variables(folder: Path) -> dict[str, str]:
    """Return what the program gets to see: the configuration folder and a home that holds nothing."""
    return {"CLAUDE_CONFIG_DIR": str(folder), "HOME": str(folder / "nobody"), "PATH": os.defpath}


def cost_usd(call: Call) -> Decimal:
    """Return what ccusage makes of a call: the true rates with what it leaves out."""
    if call.model not in RATES or call.model in _UNKNOWN:
        return Decimal()
    limit, long = LONG.get(call.model, (0, RATES[call.model]))
    counts = (call.input, call.output, call.cache_read, call.write_5m, call.write_1h)
    usd = Decimal()
    for count, rate, above in zip(counts, RATES[call.model], long, strict=True):
        over = max(count - limit, 0) if limit else 0
        usd += (count - over) * Decimal(rate) + over * Decimal(above)
    return usd / 1_000_000


def by_day_and_model(
    program: Path, folder: Path, zone: str
) -> dict[tuple[str, str], tuple[tuple[int, ...], Decimal | None]]:
    """Return tokens (input, output, cache write, cache read) and USD, as ccusage reports them."""
    done = subprocess.run(
        command(program, zone), env=variables(folder), capture_output=True, timeout=_SECONDS, check=False
    )
    told: dict[str, Any] = json.loads(done.stdout or b"{}")
    return {
        (day["date"], one["modelName"]): (
            (one["inputTokens"], one["outputTokens"], one["cacheCreationTokens"], one["cacheReadTokens"]),
            Decimal(str(one["cost"])),
        )
        for day in told.get("daily", ())
        for one in day["modelBreakdowns"]
    }  # fmt: skip
