"""A newer price table, from what genai-prices publishes; history keeps the prices it had."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent_studio.cost.prices.compiler import compiled
from agent_studio.cost.prices.table import PriceTable
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import date

    from agent_studio.cost.prices.table import Rates

SIZE_MAX_BYTES = 64 << 20
_JUMP = 10


def updated(data: bytes, previous: PriceTable, *, source: str, today: date, any_change: bool = False) -> PriceTable:
    """Return the table that downloaded data makes on top of a previous one.

    Raises `ConfigurationError` for data that cannot be: too large, of another shape, without Claude models, or, unless
    `any_change`, with a price that is more than ten times up or down.
    """
    if len(data) > SIZE_MAX_BYTES:
        raise ConfigurationError(f"the price data has {len(data):,} bytes", hint=f"at most {SIZE_MAX_BYTES:,} are read")
    try:
        published = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigurationError(
            "the price data is no JSON", hint="agent-studio cost prices update fetches it"
        ) from None
    if not _has_claude(published):
        raise ConfigurationError("the price data has no Claude models: the table stays as it is")
    table = PriceTable(compiled(published, source=source, previous=previous.data, today=today))
    if not any_change:
        _refuse_jumps(previous, table)
    return table


def _has_claude(published: object) -> bool:
    providers = published if isinstance(published, list) else []
    return any(
        isinstance(provider, dict) and provider.get("id") == "anthropic" and provider.get("models")
        for provider in providers
    )


def _refuse_jumps(previous: PriceTable, table: PriceTable) -> None:
    for provider, model in previous.models:
        if provider != "anthropic":
            continue
        before, after = previous.rates(model), table.rates(model)
        if before and after and _jumps(before[-1], after[-1]):
            raise ConfigurationError(
                f"the price of {model} would change more than {_JUMP} times: the table stays as it is",
                hint="check it, then pass --any-change",
            )


def _jumps(before: Rates, after: Rates) -> bool:
    pairs = [(old, new) for old, new in zip(before.base, after.base, strict=True) if old and new is not None]
    return any(new > old * _JUMP or new * _JUMP < old for old, new in pairs)
