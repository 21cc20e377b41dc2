"""A project's own prices, in its configuration: a model's rates, or a factor on the list's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from agent_studio.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIELDS = {
    "inputUsd": "input", "outputUsd": "output", "cacheReadUsd": "cacheRead", "cacheWrite5mUsd": "cacheWrite5m",
    "cacheWrite1hUsd": "cacheWrite1h", "webSearchUsd": "webSearch",
}  # fmt: skip
"""USD per million tokens, or per 1,000 web searches, and the rate of the table that each stands for."""
_OTHERS = ("model", "provider", "from", "factor")
_USD_MAX = 1_000_000
_FACTOR_MAX = 100
_PICO_PER_TOKEN = 1_000_000
_PICO_PER_SEARCH = 1_000_000_000


@dataclass(frozen=True)
class Override:
    """One entry of `cost.prices`, checked."""

    model: str
    provider: str
    since: str | None
    rates: dict[str, int] | None
    """None for a factor."""
    factor: Decimal

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Override:
        """Return a checked entry as an override."""
        rates = {
            rate: round(Decimal(str(entry[field])) * (_PICO_PER_SEARCH if rate == "webSearch" else _PICO_PER_TOKEN))
            for field, rate in FIELDS.items()
            if entry.get(field) is not None
        }
        since = None if entry.get("from") is None else str(entry["from"])
        return cls(
            str(entry["model"]).strip().lower(), str(entry.get("provider") or "anthropic"), since, rates or None,
            Decimal(str(1 if entry.get("factor") is None else entry["factor"])),
        )  # fmt: skip

    def fits(self, spelled: Iterable[str]) -> bool:
        """Return whether a model, in any of its spellings, is meant."""
        if self.model.endswith("*"):
            return any(name.startswith(self.model[:-1]) for name in spelled)
        return self.model in spelled

    def of_rate(self, rate: int) -> int:
        """Return a rate under the factor, to the nearest pico-USD."""
        return int((rate * self.factor).to_integral_value(ROUND_HALF_UP))


def faults(entry: Any) -> list[str]:
    """Return what is wrong with an entry, in words; empty when it can be used."""
    if not hasattr(entry, "keys"):
        return ["write a mapping with `model` and its prices"]
    found = [
        f"unknown key {name!r}; {did_you_mean(str(name), (*_OTHERS, *FIELDS))}"
        for name in entry
        if name not in {*_OTHERS, *FIELDS}
    ]
    if not isinstance(entry.get("model"), str) or not entry["model"].strip():
        found.append("`model` is missing: a model's name, or the start of one and *")
    if not isinstance(entry.get("provider", ""), str):
        found.append("`provider` is no text")
    given = [name for name in FIELDS if entry.get(name) is not None]
    found += [fault for name in given if (fault := _fault(name, entry[name], _USD_MAX))]
    if entry.get("factor") is not None:
        found += [fault] if (fault := _fault("factor", entry["factor"], _FACTOR_MAX)) else []
        if given:
            found.append("`factor` is on the list's prices: leave out either it or the prices")
    elif not given:
        found.append(f"no price: give {', '.join(FIELDS)} or a factor")
    if entry.get("from") is not None:
        try:
            date.fromisoformat(str(entry["from"]))
        except ValueError:
            found.append(f"`from` is {entry['from']!r}: write a day, such as 2026-01-31")
    return found


def _fault(name: str, value: Any, most: int) -> str | None:
    try:
        amount = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
        if 0 <= amount <= most:
            return None
    except InvalidOperation:
        pass
    return f"`{name}` is {value!r}: write a number from 0 to {most:,}"
