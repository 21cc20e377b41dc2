"""The peer to compare with: ccusage, installed by exact version and integrity."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client.claude import CACHE, ClientMissingError
from bench.transcripts.truth import LONG, RATES

if TYPE_CHECKING:
    from bench.transcripts.calls import Call

VERSION = "20.0.24"
_NAME = f"ccusage-{VERSION}"
_LOCK = Path(__file__).with_name(_NAME)
_CALLER = dict(os.environ)
"""For npm alone, as it was when we were loaded: tests hide the home folder, and with it npm's cache and registry."""
_SECONDS = 300
_UNKNOWN = ("claude-opus-5-5", "claude-haiku-5-5")
"""Models that are newer than its table."""
LEFT_OUT = "new models at $0; no batch, no region, no searches; a long context only above its limit"


def install() -> Path:
    """Return the native program, without its launcher in Node; raise `ClientMissingError` where it cannot be had."""
    place = CACHE / _NAME
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    with (CACHE / f"{_NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _program(place):
            npm = shutil.which("npm")
            if npm is None:
                raise ClientMissingError("there is no npm on PATH to install ccusage with")
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(_LOCK, place)
            command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(
                command, cwd=place, env=_CALLER, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            if done.returncode:
                raise ClientMissingError(f"npm could not install ccusage: {done.stderr.strip()[:300]}")
    program = _program(place)
    if program is None:
        raise ClientMissingError("ccusage has no native program for this machine")
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
