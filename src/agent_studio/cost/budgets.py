"""Budgets as a project writes them, `cost.budgets[]`, checked."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent_studio.cost.money import PICO, usd_text
from agent_studio.cost.periods import zone
from agent_studio.environment.sharing import sharing
from agent_studio.errors import ConfigurationError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.cost.periods import Zone
    from agent_studio.environment.context import Context

KEY = "cost.budgets"
TOKENS_KEY = "monitoring.thresholds.tokenBudgetPerDay"
PERIODS = ("session", "day", "week", "month", "total")
ACTIONS = ("report", "warn", "block")
_DEFAULT_LEVELS = (80, 100)
_NAMES = ("project", "agent", "model", "environment")
_KEYS = ("name", "per", "usd", "tokens", *_NAMES, "warnAt", "action", "timezone", "onFailure")
_USD_MAX, _TOKENS_MAX, _LEVEL_MAX = 10**9, 10**15, 1_000
_SIMILAR = 0.6
_CENT = PICO // 100


@dataclass(frozen=True)
class Budget:
    """One limit: an entry that names USD and tokens makes two."""

    name: str
    per: str
    unit: str
    """usd or tokens; tokens are input, output and cache writes."""
    limit: int
    """Pico-USD, or tokens."""
    zone: Zone
    only: tuple[tuple[str, str], ...] = ()
    """Columns and what they must be: a name, or the start of one and `*`."""
    each: tuple[str, ...] = ()
    """Columns of which every value has this budget for itself."""
    levels: tuple[int, ...] = _DEFAULT_LEVELS
    """Per cent of the limit at which a crossing is noticed, ascending."""
    action: str = "report"
    closed: bool = False
    """Whether a guard that cannot decide denies."""
    described: str = ""
    """Its limit, period and scope in words: what tells it from others of its name."""

    def shown(self, amount: int) -> str:
        """Return an amount in the budget's unit, for people."""
        if self.unit == "tokens":
            return f"{amount:,} tokens"
        fine = abs(amount) < PICO and amount % _CENT
        return f"${amount / PICO:,.{4 if fine else 2}f}"

    def written(self, amount: int) -> float | int:
        """Return an amount in the budget's unit, for programs."""
        return float(usd_text(amount)) if self.unit == "usd" else amount


def budgets(context: Context) -> list[Budget]:
    """Return the budgets of an environment; raise `ConfigurationError` that names the entry which is wrong."""
    entries = list(context.config[KEY] or ())
    for number, entry in enumerate(entries):
        if wrong := faults(entry):
            raise ConfigurationError(f"{KEY}[{number}]: {wrong[0]}", hint="docs/budgets.md shows every key")
    found = [one for entry in entries for one in _of(entry, str(context.environment))]
    kept = sharing(context)
    for number, entry in enumerate(entries):
        if (entry.get("environment") or "*") not in {"*", *kept}:
            raise ConfigurationError(
                f"{KEY}[{number}]: {entry['environment']} does not share this environment's ledger",
                hint=f"one of {', '.join(kept)}, or put the budget into that environment's file",
            )
    tokens = context.config[TOKENS_KEY]
    if tokens is not None and not math.isinf(tokens):
        only = (("environment", str(context.environment)),)
        found.append(Budget("tokenBudgetPerDay", "day", "tokens", int(tokens), zone(None), only))
    return found


def faults(entry: Any) -> list[str]:
    """Return what is wrong with an entry, in words; empty when it can be used."""
    if not hasattr(entry, "keys"):
        return ["write a mapping with `per` and `usd` or `tokens`"]
    found = [f"unknown key {name!r}; {did_you_mean(str(name), _KEYS)}" for name in entry if name not in _KEYS]
    found += _choice("per", entry.get("per"), PERIODS)
    found += _choice("action", entry.get("action", "report"), ACTIONS)
    found += _choice("onFailure", entry.get("onFailure", "open"), ("open", "closed"))
    if entry.get("usd") is None and entry.get("tokens") is None:
        found.append("no limit: give `usd`, `tokens` or both")
    found += _amount("usd", entry.get("usd"), _USD_MAX) + _amount("tokens", entry.get("tokens"), _TOKENS_MAX)
    for name in ("name", *_NAMES, "timezone"):
        value = entry.get(name)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            found.append(f"`{name}` is {value!r}: write a name")
    levels = entry.get("warnAt")
    if levels is not None and not (isinstance(levels, list | tuple) and levels and all(map(_is_level, levels))):
        found.append(f"`warnAt` is {levels!r}: write per cent, such as [50, 80, 100]")
    if isinstance(entry.get("timezone"), str):
        try:
            zone(entry["timezone"])
        except UsageError as error:
            found.append(f"`timezone`: {error.message}; {error.hint}")
    if entry.get("onFailure") == "closed" and entry.get("action") != "block":
        found.append("`onFailure: closed` is for budgets that block: `action: block`")
    return found


def _choice(name: str, value: Any, valid: tuple[str, ...]) -> list[str]:
    if value in valid:
        return []
    near = difflib.get_close_matches(str(value), valid, n=1, cutoff=_SIMILAR)
    meant = f'did you mean "{near[0]}"?' if near else f"one of {', '.join(valid)}"
    return [f"`{name}` is missing: {meant}" if value is None else f"`{name}` is {value!r}; {meant}"]


def _amount(name: str, value: Any, most: int) -> list[str]:
    if value is None:
        return []
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        amount = Decimal(str(value))
        if 0 < amount <= most and (name == "usd" or amount == int(amount)):
            return []
    return [f"`{name}` is {value!r}: write a {'number' if name == 'usd' else 'whole number'} over 0, to {most:,}"]


def _is_level(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 1 <= value <= _LEVEL_MAX


def _of(entry: Any, environment: str) -> Iterator[Budget]:
    named = {name: str(entry[name]) for name in _NAMES if entry.get(name) is not None}
    only = {"environment": environment, **{name: value for name, value in named.items() if value != "*"}}
    each = tuple(name for name, value in named.items() if value == "*")
    if "environment" in each:
        del only["environment"]
    for unit in ("usd", "tokens"):
        if entry.get(unit) is None:
            continue
        limit, described = round(Decimal(str(entry[unit])) * (PICO if unit == "usd" else 1)), _described(entry, unit)
        yield Budget(
            str(entry.get("name") or described), entry["per"], unit, limit, zone(entry.get("timezone")),
            tuple(only.items()), each, tuple(sorted(int(level) for level in entry.get("warnAt") or _DEFAULT_LEVELS)),
            entry.get("action", "report"), entry.get("onFailure") == "closed", described,
        )  # fmt: skip


def _described(entry: Any, unit: str) -> str:
    amount = f"${entry['usd']:g}" if unit == "usd" else f"{entry['tokens']:,} tokens"
    scope = "".join(f", {name} {entry[name]}" for name in _NAMES if entry.get(name) is not None)
    return f"{amount} {'in all' if entry['per'] == 'total' else 'per ' + entry['per']}{scope}"
