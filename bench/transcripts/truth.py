"""What a list of calls used and cost, by rates written here by hand: it shares no code with Agent Studio."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.transcripts.calls import Call

RATES = {
    "claude-opus-5-5": ("4", "20", "0.2", "5", "8"),
    "claude-haiku-5-5": ("0.1", "0.5", "0.01", "0.125", "0.2"),
    "claude-sonnet-4-5-20250929": ("3", "15", "0.3", "3.75", "6"),
    "claude-haiku-4-5-20251001": ("1", "5", "0.1", "1.25", "2"),
    "claude-opus-4-6": ("5", "25", "0.5", "6.25", "10"),
    "claude-3-5-haiku-20241022": ("0.8", "4", "0.08", "1", "1.6"),
}
"""USD per million tokens: input, output, cache read, cache write for 5 minutes and for an hour."""
LONG = {"claude-haiku-5-5": (100_000, ("0.5", "2.5", "0.05", "0.625", "1"))}
LONG["claude-sonnet-4-5-20250929"] = (200_000, ("6", "22.5", "0.6", "7.5", "12"))
_SEARCH_USD = Decimal("0.01")
_US = Decimal("1.1")
_US_SINCE = ("claude-opus-4-6", "claude-opus-5-5", "claude-haiku-5-5")
_MILLION = 1_000_000


@dataclass
class Used:
    """Tokens and USD of a group; USD is None while nothing in it has a price."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    usd: Decimal | None = None

    def as_row(self) -> tuple[int, int, int, int]:
        """Return the tokens as reports list them."""
        return self.input, self.output, self.cache_write, self.cache_read


def cost_usd(call: Call) -> Decimal | None:
    """Return what a call costs, None without a price."""
    if call.model not in RATES:
        return None
    limit, long = LONG.get(call.model, (None, None))
    rates = [Decimal(rate) for rate in (long if limit and long and call.whole_input > limit else RATES[call.model])]
    counts = (call.input, call.output, call.cache_read, call.write_5m, call.write_1h)
    usd = sum((rate * count for rate, count in zip(rates, counts, strict=True)), Decimal()) / _MILLION
    if call.service_tier == "batch":
        usd /= 2
    if call.inference_geo == "us" and call.model in _US_SINCE:
        usd *= _US
    return usd + call.searches * _SEARCH_USD


def by_day_and_model(
    calls: Iterable[Call], zone: str, price: Callable[[Call], Decimal | None] = cost_usd
) -> dict[tuple[str, str], Used]:
    """Return what was used on each local day with each model."""
    where = ZoneInfo(zone)
    found: dict[tuple[str, str], Used] = defaultdict(Used)
    for call in calls:
        group = found[call.at.astimezone(where).date().isoformat(), call.model]
        group.input += call.input
        group.output += call.output
        group.cache_read += call.cache_read
        group.cache_write += call.write_5m + call.write_1h
        if (usd := price(call)) is not None:
            group.usd = (group.usd or Decimal()) + usd
    return dict(found)
