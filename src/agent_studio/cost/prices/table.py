"""What a response costs, by the price list of its own day, in whole pico-USD."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.cost.money import MOST_PICO_USD
from agent_studio.cost.prices import names
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.cost.counting import Tokens
    from agent_studio.cost.prices.overrides import Override

FORMAT = 1
KINDS = ("input", "output", "cacheRead", "cacheWrite5m", "cacheWrite1h", "webSearch")
"""What has a rate of its own, in the order of `Tokens`."""
BUNDLED = "bundled.jsonl"
OVERRIDE = "override"
"""The source of a price that the project itself gives."""
_DAY_NS = 86_400_000_000_000
_MINUTE_NS = 60_000_000_000
_ANYWHERE = frozenset({"", "global", "not_available"})


class Cost(NamedTuple):
    """What a response costs, and which list says so."""

    pico_usd: int
    source: str


class Rates(NamedTuple):
    """Prices in force from a day on: pico-USD for each of `Tokens`, None where there is no price."""

    from_day: int
    """Days since 1970, UTC."""
    minutes: tuple[int, int] | None
    """Minutes of the day between which they hold; None for all of it."""
    base: tuple[int | None, ...]
    above: tuple[tuple[int, tuple[int | None, ...]], ...]
    """From which size of the whole input (exclusive) other prices hold, the largest first."""
    source: str


class PriceTable:
    """A list of prices under the overrides of a project."""

    def __init__(self, data: bytes, given: Sequence[Mapping[str, Any]] = ()) -> None:
        header, _, _ = data.partition(b"\n")
        try:
            said = json.loads(header)
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise ConfigurationError("this is no price table of ours", hint="agent-studio cost prices update")
        self.data = data
        self.source = str(said["source"])
        self.fingerprint = hashlib.sha256(data + json.dumps(list(given), sort_keys=True).encode()).hexdigest()[:16]
        """What tells whether another table would give other costs."""
        self._fallbacks: dict[str, list[str]] = said.get("fallbacks") or {}
        self._given = _overrides(given) if given else []
        self._providers: dict[str, list[dict[str, Any]]] = {}
        self._known: dict[tuple[str, ...], tuple[Rates, ...] | None] = {}

    def cost(
        self, model: str, at_ns: int, tokens: Tokens, *, provider: str = names.HOME, service_tier: str | None = None,
        speed: str | None = None, region: str | None = None,
    ) -> Cost | None:  # fmt: skip
        """Return what a response of a model cost at a moment (ns since 1970).

        None for a model without a price, for a tier, speed or region without one, and when a kind of token that was
        used has none: no other model's price is ever taken.
        """
        key = (model, provider, service_tier or "", speed or "", region or "")
        known = self._known.get(key, ())
        if known == ():
            known = self._known[key] = self._resolved(model, provider, service_tier, speed, region)
        if not known:
            return None
        rates = known[0] if len(known) == 1 else _in_force(known, at_ns)
        return None if rates is None or at_ns // _DAY_NS < rates.from_day else _cost(rates, tokens)

    def _resolved(
        self, model: str, provider: str, service_tier: str | None, speed: str | None, region: str | None
    ) -> tuple[Rates, ...] | None:
        kind = _kind(service_tier, speed)
        found = self.find(model, provider)
        percent = _percent(found, region)
        listed: list[Rates] = []
        if found is not None and kind is not None and percent is not None:
            entries = found.get(kind) or (found["prices"] if kind in {"prices", "priority", "flex"} else [])
            listed = [_rates(entry, self.source, percent) for entry in entries]
        spelled = {name.model for name in names.readings(model, provider)} | ({found["id"]} if found else set())
        meant = [one for one in self._given if one.provider == provider and one.fits(spelled)]
        rates = listed
        for override in meant:
            if override.rates is None:
                rates = _discounted_from(override, listed, rates)
        for override in meant:
            if override.rates is not None and kind in {"prices", "priority", "flex"}:
                rates = _replaced_from(override, override.rates, rates)
        return tuple(rates) or None

    def find(self, model: str, provider: str = names.HOME) -> dict[str, Any] | None:
        """Return the line of the table that a model's name means."""
        for name in names.readings(model, provider):
            for billed in (name.provider, *self._fallbacks.get(name.provider, ())):
                for line in self._lines(billed):
                    if names.matches(line["match"], name.model):
                        return line
        return None

    def _lines(self, provider: str) -> list[dict[str, Any]]:
        if provider not in self._providers:
            mark = b"\n" + json.dumps({"provider": provider}, separators=(",", ":")).encode()[:-1] + b","
            start, last = self.data.find(mark), self.data.rfind(mark)
            lines = self.data[start + 1 : self.data.find(b"\n", last + 1)].splitlines() if start >= 0 else []
            # A model's own name comes before the rules of others, which may be wider.
            self._providers[provider] = sorted(map(json.loads, lines), key=_width)
        return self._providers[provider]

    @property
    def models(self) -> list[tuple[str, str]]:
        """Every model of the table: who bills it, and its id."""
        lines = (json.loads(line) for line in self.data.splitlines()[1:])
        return [(line["provider"], line["id"]) for line in lines]

    def rates(
        self, model: str, *, provider: str = names.HOME, service_tier: str | None = None, speed: str | None = None,
        region: str | None = None,
    ) -> tuple[Rates, ...]:  # fmt: skip
        """Return all prices of a model, the oldest first; empty when there is none."""
        return self._resolved(model, provider, service_tier, speed, region) or ()


def _width(line: dict[str, Any]) -> int:
    exact = all(isinstance(rule, str) and rule[0] == "=" for rule in line["match"])
    return 0 if exact else 1


def _percent(found: dict[str, Any] | None, region: str | None) -> int | None:
    """Return what a region costs of the normal price, in percent; None for one without a price."""
    where = (region or "").strip().lower()
    if found is None or where in _ANYWHERE:
        return 100
    return int(found.get("usPercent", 100)) if where == "us" else None


def _kind(service_tier: str | None, speed: str | None) -> str | None:
    """Return which prices of a model a request has; None when none are known to hold."""
    tier, pace = (service_tier or "").strip().lower(), (speed or "").strip().lower()
    if pace == "fast":
        return None if tier == "batch" else "fast"
    return tier if tier in {"batch", "priority", "flex"} else "prices"


def _rates(entry: Mapping[str, Any], source: str, percent: int) -> Rates:
    minutes = None
    if "hours" in entry:
        first, last = (int(text[:2]) * 60 + int(text[3:]) for text in entry["hours"])
        minutes = (first, last)
    steps, current = [], entry
    for start in sorted(map(int, entry.get("above", ()))):
        current = {**current, **entry["above"][str(start)]}
        steps.append((start, _scaled(current, percent)))
    return Rates(_day(entry.get("from")), minutes, _scaled(entry, percent), tuple(reversed(steps)), source)


def _scaled(entry: Mapping[str, Any], percent: int) -> tuple[int | None, ...]:
    found: list[int | None] = []
    for kind in KINDS:
        rate = entry.get(kind)
        found.append(rate if rate is None or kind == "webSearch" else round(rate * percent / 100))
    return tuple(found)


def _day(text: str | None) -> int:
    return 0 if text is None else int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 86_400


def _overrides(given: Sequence[Mapping[str, Any]]) -> list[Override]:
    from agent_studio.cost.prices.overrides import Override  # noqa: PLC0415 - few projects have any

    return sorted((Override.of(entry) for entry in given), key=lambda one: one.since or "")


def _replaced_from(override: Override, rates: Mapping[str, int], known: list[Rates]) -> list[Rates]:
    """Return prices of which those from an override's day on are its own; what was before stays."""
    start = _day(override.since)
    base = tuple(rates.get(kind) for kind in KINDS)
    return [*(one for one in known if one.from_day < start), Rates(start, None, base, (), OVERRIDE)]


def _discounted_from(override: Override, listed: list[Rates], known: list[Rates]) -> list[Rates]:
    """Return prices of which those from an override's day on are the list's with its factor."""
    start = _day(override.since)
    before = [one for one in listed if one.from_day < start]
    running = [one._replace(from_day=start) for one in before if one.from_day == before[-1].from_day]
    valid = [one for one in listed if one.from_day >= start]
    return [*(one for one in known if one.from_day < start), *(_discounted(one, override) for one in running + valid)]


def _discounted(rates: Rates, override: Override) -> Rates:
    def of(listed: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(None if rate is None else override.of_rate(rate) for rate in listed)

    above = tuple((start, of(listed)) for start, listed in rates.above)
    return rates._replace(base=of(rates.base), above=above, source=f"{OVERRIDE} of {rates.source}")


def _in_force(known: tuple[Rates, ...], at_ns: int) -> Rates | None:
    day, minute = at_ns // _DAY_NS, at_ns % _DAY_NS // _MINUTE_NS
    for rates in reversed(known):
        if day >= rates.from_day and (rates.minutes is None or _within(minute, *rates.minutes)):
            return rates
    return None


def _within(minute: int, first: int, last: int) -> bool:
    return first <= minute < last if first <= last else minute >= first or minute < last


def _cost(rates: Rates, tokens: Tokens) -> Cost | None:
    listed = rates.base
    if rates.above:
        whole = tokens.input + tokens.cache_read + tokens.cache_write5m + tokens.cache_write1h
        listed = next((step for start, step in rates.above if whole > start), listed)
    if None in listed:
        if any(count and rate is None for count, rate in zip(tokens, listed, strict=True)):
            return None
        listed = tuple(rate or 0 for rate in listed)
    pico_usd = sum(map(mul, tokens, listed))
    return Cost(pico_usd, rates.source) if pico_usd <= MOST_PICO_USD else None


def load(updated: bytes | None, given: Sequence[Mapping[str, Any]] = ()) -> PriceTable:
    """Return the table in force: an updated one or the package's own, under overrides.

    Raises `ConfigurationError` for an override that is wrong, naming it.
    """
    if given:
        from agent_studio.cost.prices import overrides  # noqa: PLC0415 - few projects have any
    for number, entry in enumerate(given):
        faults = overrides.faults(entry)
        if faults:
            raise ConfigurationError(
                f"cost.prices[{number}]: {faults[0]}", hint="agent-studio cost prices override --help"
            )
    return PriceTable(bundled() if updated is None else updated, given)


def bundled() -> bytes:
    """Return the table that is part of the package."""
    return Path(__file__).with_name(BUNDLED).read_bytes()
