"""The price table that is in force in an environment: ours or an updated one, under its configuration's overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cost.prices.table import PriceTable, load

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

UPDATED = "prices.jsonl"
"""A newer table than the package's own, in the environment's state folder."""


def table(context: Context) -> PriceTable:
    """Return the prices of an environment; raise `ConfigurationError` when an override is wrong."""
    return load(_updated(context), context.config["cost.prices"] or ())


def listed(context: Context) -> PriceTable:
    """Return the list prices of an environment, without its overrides."""
    return load(_updated(context))


def _updated(context: Context) -> bytes | None:
    try:
        return context.root.state.read(UPDATED)
    except FileNotFoundError:
        return None
