"""Compiling the data that genai-prices publishes into our table: one line of JSON a model.

Rates are whole pico-USD (10**-12) for a token or a web search, so that sums are exact. An entry holds from a date on
(`from`, UTC), maybe only within `hours` of the day; the last that holds is in force. `above` has the rates for requests
whose whole input (with what the cache read and wrote) is larger than a number of tokens: all of it costs them.
"""

from __future__ import annotations

import json
import re
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any

from agent_studio.cost.prices import extras
from agent_studio.cost.prices.table import FORMAT, KINDS
from agent_studio.errors import ConfigurationError

_PUBLISHED = (
    "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "web_searches_kcount",
)  # fmt: skip
_RATES = dict(zip(KINDS, _PUBLISHED, strict=True))
_UNITS = {"webSearch": 1_000}
_PICO = 10**12
_USD_MAX = 1_000_000
_RULES = {"equals": "=", "starts_with": "^", "ends_with": "$", "contains": "*", "regex": "~"}
_ALONE = {"requests_kcount"}
"""Prices for a request as such, which no count of tokens shows: such models are left out."""
_VARIANTS = {
    ("processing", "batch"): "batch", ("speed", "fast"): "fast", ("service_tier", "fast"): "fast",
    ("service_tier", "priority"): "priority", ("service_tier", "flex"): "flex",
}  # fmt: skip


def compiled(data: Any, *, source: str, previous: bytes | None, today: date) -> bytes:
    """Return the table that published data makes: a line that says what it is, then a line a model.

    With a `previous` table history stays as it was: models that the data lacks are kept as retired, and a price that
    changed without a date changes today. Raises `ConfigurationError` for data of another shape.
    """
    if not isinstance(data, list) or not all(isinstance(provider, dict) for provider in data):
        raise _unfit("it is no list of providers")
    models: dict[tuple[str, str], dict[str, Any]] = {}
    fallbacks: dict[str, Any] = {}
    for provider in data:
        name = provider.get("id")
        if not isinstance(name, str) or not isinstance(provider.get("models"), list):
            raise _unfit(f"provider {name!r} has no id or no models")
        if provider.get("fallback_model_providers"):
            fallbacks[name] = provider["fallback_model_providers"]
        for found in provider["models"]:
            model = _model(name, found)
            if model is not None:
                models[name, model["id"]] = model
    extras.add(models)
    for key, old in _models(previous).items():
        models[key] = _kept(old, models.get(key), today.isoformat())
    header = {"format": FORMAT, "source": source, "models": len(models), "fallbacks": fallbacks}
    lines = [header, *(models[key] for key in sorted(models))]
    return "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=True) + "\n" for line in lines).encode()


def _models(table: bytes | None) -> dict[tuple[str, str], dict[str, Any]]:
    lines = [json.loads(line) for line in (table or b"\n").splitlines()[1:] if line]
    return {(line["provider"], line["id"]): line for line in lines}


def _unfit(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"this is not the price data of genai-prices: {what}", hint="agent-studio cost prices update fetches it"
    )


def _model(provider: str, found: Any) -> dict[str, Any] | None:
    try:
        where = f"model {found['id']} of {provider}"
        entries = _entries(found["prices"], where)
        if not entries:
            return None
        model: dict[str, Any] = {"provider": provider, "id": str(found["id"]), "match": _rules(found["match"])}
        model["prices"] = entries
        for variant in found.get("price_variants") or []:
            when = variant.get("when") or {}
            name = _VARIANTS.get(next(iter(when.items()), ("", ""))) if len(when) == 1 else None
            if name:
                model.setdefault(name, []).extend(_entries([variant], where))
    except (KeyError, TypeError, AttributeError, ValueError, re.error) as error:
        raise _unfit(f"a model of {provider} lacks id, match or prices that can be read: {error}") from None
    return model


def _rules(match: Any) -> list[Any]:
    [(how, text)] = match.items()
    if how == "or":
        return [rule for part in text for rule in _rules(part)]
    if how == "and":
        return [[rule for part in text for rule in _rules(part)]]
    if how == "regex":
        re.compile(str(text))
        return [_RULES[how] + str(text)]
    return [_RULES[how] + str(text).lower()]


def _entries(prices: Any, where: str) -> list[dict[str, Any]]:
    listed = prices if isinstance(prices, list) else [{"prices": prices}]
    entries = []
    for one in listed:
        if _ALONE & set(one["prices"]):
            continue
        rates = _rates(one["prices"], where)
        if rates:
            entries.append({**_when(one.get("constraint") or {}), **rates})
    return entries


def _when(constraint: dict[str, Any]) -> dict[str, Any]:
    when: dict[str, Any] = {}
    if "start_date" in constraint:
        when["from"] = date.fromisoformat(str(constraint["start_date"])).isoformat()
    if "start_time" in constraint:
        times = (time.fromisoformat(str(constraint[name])) for name in ("start_time", "end_time"))
        when["hours"] = [f"{one:%H:%M}" for one in times]
    return when


def _rates(prices: dict[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    tiered: dict[int, dict[str, int]] = {}
    for name, key in _RATES.items():
        price = prices.get(key)
        if price is None:
            continue
        unit = _UNITS.get(name, 1_000_000)
        if isinstance(price, dict):
            for tier in price["tiers"]:
                tiered.setdefault(int(tier["start"]), {})[name] = _rate(tier["price"], unit, where)
            price = price["base"]
        found[name] = _rate(price, unit, where)
    if tiered:
        found["above"] = {str(start): tiered[start] for start in sorted(tiered)}
    return found


def _rate(price: Any, unit: int, where: str) -> int:
    """Return a price as pico-USD each; what a pico-USD cannot express is rounded."""
    amount: Decimal | None
    try:
        amount = Decimal(str(price))
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or not 0 <= amount <= _USD_MAX:
        raise _unfit(f"{where} costs {price!r}")
    return round(amount * _PICO / unit)


def _kept(old: dict[str, Any], new: dict[str, Any] | None, today: str) -> dict[str, Any]:
    """Return a model as it was until today, and as it is from today on."""
    if new is None:
        return {**old, "retired": old.get("retired", today)}
    merged = {name: value for name, value in new.items() if name != "retired"}
    for kind in ("prices", *dict.fromkeys(_VARIANTS.values())):
        if kind in old or kind in new:
            merged[kind] = _continued(old.get(kind, []), new.get(kind, []), today)
    return merged


def _continued(old: list[dict[str, Any]], new: list[dict[str, Any]], today: str) -> list[dict[str, Any]]:
    dates = {entry.get("from") for entry in old}
    tells_when = any("from" in entry and entry["from"] not in dates for entry in new)
    if not old or not new or tells_when:
        return new or old
    before, after = _in_force(old, today), _in_force(new, today)
    if [_undated(entry) for entry in before] == [_undated(entry) for entry in after]:
        return old
    past = [entry for entry in old if entry.get("from", "") < today]
    return past + [{**_undated(entry), "from": today} for entry in after]


def _in_force(entries: list[dict[str, Any]], today: str) -> list[dict[str, Any]]:
    """Return the entries of the newest date that has come."""
    newest = max((entry.get("from", "") for entry in entries if entry.get("from", "") <= today), default="")
    return [entry for entry in entries if entry.get("from", "") == newest]


def _undated(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "from"}
