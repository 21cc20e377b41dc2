"""What Anthropic bills and genai-prices 0.2.3 does not know, each with where it is from.

Read on 2026-11-24 from the notes and entries of genai-prices, which cite Anthropic's pricing page, and from the prices
of the same modes at OpenRouter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_USD = 1_000_000
"""One USD per million tokens, in pico-USD a token."""
_SEARCH = 10_000_000_000
"""10 USD per 1,000 web searches, for every model."""
_FAST = {
    name: {
        "input": 30 * _USD,
        "output": 150 * _USD,
        "cacheRead": 3 * _USD,
        "cacheWrite5m": 75 * _USD // 2,
        "cacheWrite1h": 60 * _USD,
        "webSearch": _SEARCH,
    }
    for name in ("claude-opus-4-6", "claude-opus-4-7")
}
"""Fast mode at six times the price (OpenRouter lists the same)."""
_US_PERCENT = 110
_US_ONLY = re.compile(r"claude-(?:opus|sonnet|haiku|fable|mythos)-(?:4-[6-9]|[5-9](?:-\d+)?)$")
"""Models that can be asked to think in the United States only, since Opus 4.6; tokens then cost a tenth more."""
_OLD = re.compile(r"claude-(?:v?1|2|instant)")
_TOKENS = ("input", "output", "cacheRead", "cacheWrite5m", "cacheWrite1h")


def add(models: MutableMapping[tuple[str, str], dict[str, Any]]) -> None:
    """Add to Anthropic's own models what the data lacks; what it has stays."""
    for (provider, name), model in models.items():
        if provider != "anthropic" or _OLD.match(name):
            continue
        for entry in model["prices"]:
            _complete(entry)
        if name in _FAST and "fast" not in model:
            model["fast"] = [dict(_FAST[name])]
        for entry in model.get("fast", ()):
            _complete(entry)
        # Batches have cost half since they exist (2024-10-08); the data has the day on which it took that in.
        model["batch"] = [_half(entry) for entry in model["prices"]]
        if _US_ONLY.fullmatch(name):
            model["usPercent"] = _US_PERCENT


def _complete(entry: dict[str, Any]) -> None:
    """Add the multiples that hold for every model: writes for 5 minutes 1.25, for an hour 2 times the input."""
    entry.setdefault("webSearch", _SEARCH)
    if "input" not in entry:
        return
    derived = []
    for name, quarters in (("cacheWrite5m", 5), ("cacheWrite1h", 8)):
        if name not in entry:
            derived.append(name)
            entry[name] = entry["input"] * quarters // 4
            for tier in entry.get("above", {}).values():
                if "input" in tier:
                    tier[name] = tier["input"] * quarters // 4
    if derived:
        entry["derived"] = derived


def _half(entry: dict[str, Any]) -> dict[str, Any]:
    half = {name: value // 2 if name in _TOKENS else value for name, value in entry.items()}
    if "above" in entry:
        half["above"] = {
            start: {name: rate // 2 for name, rate in tier.items()} for start, tier in entry["above"].items()
        }
    return half
