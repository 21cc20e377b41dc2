"""The price table that is in force in an environment: ours or an updated one, under its configuration's overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cost.prices.table import load

if TYPE_CHECKING:
    from agent_studio.cost.prices.table import PriceTable
    from agent_studio.environment.context import Context

UPDATED = "prices.jsonl"
"""A newer table than the package's own, in the environment's state folder."""


def table(context: Context) -> PriceTable:
    """Return the prices of an environment; raise `ConfigurationError` when an override is wrong."""
    try:
        updated = context.root.state.read(UPDATED)
    except FileNotFoundError:
        updated = None
    return load(updated, context.config["cost.prices"] or ())
