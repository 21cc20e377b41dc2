"""The most that one call can cost: every byte that is sent taken for a token, and the answer as long as it may be."""

from __future__ import annotations

import json
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from agent_studio.cost.counting import Tokens
from agent_studio.cost.money import PICO
from agent_studio.reasoning.models.model import Capped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.cost.prices.table import PriceTable
    from agent_studio.reasoning.models.model import Model, Request

OVERHEAD_TOKENS = 4_096
"""What a provider adds to a request: roles, the instructions for its tools, the wrapping of a schema."""


def input_tokens(request: Request, overhead: int = OVERHEAD_TOKENS) -> int:
    """Return more tokens than a request can have: a token of text is never less than a byte of it."""
    schema = "" if request.schema is None else json.dumps(request.schema)
    # The schema may be sent twice, indented or with its rules in words.
    return len(request.system.encode()) + len(request.prompt.encode()) + 3 * len(schema) + overhead


def worst_usd(prices: PriceTable, model: Model, request: Request, at_ns: int) -> Decimal | None:
    """Return the most that a call can cost, or None when there is no price for the model.

    Of the models that a name may stand for (`priced_as`, patterns of names) the dearest counts.
    """
    asked = input_tokens(request, getattr(model, "overhead_tokens", OVERHEAD_TOKENS))
    names = _meant(prices, model.provider, getattr(model, "priced_as", (model.model,)))
    kinds = _kinds(asked, request.max_output_tokens, hour=isinstance(model, Capped))
    found = [_dearest(prices, name, model.provider, kinds, at_ns) for name in names]
    known = [pico for pico in found if pico is not None]
    return Decimal(max(known)) / PICO if known else None


def _kinds(asked: int, said: int, *, hour: bool) -> list[Tokens]:
    """Return the input as new, as written to a cache, as read from one; only a client keeps caches for an hour."""
    kinds = [Tokens(asked, said), Tokens(0, said, asked), Tokens(0, said, 0, asked)]
    return [*kinds, Tokens(0, said, 0, 0, asked)] if hour else kinds


def _dearest(prices: PriceTable, name: str, provider: str, kinds: list[Tokens], at_ns: int) -> int | None:
    """Return the cost in pico-USD were all of the input of the dearest kind; None without a price for new input."""
    costs = [prices.cost(name, at_ns, kind, provider=provider) for kind in kinds]
    return None if costs[0] is None else max(cost.pico_usd for cost in costs if cost is not None)


def _meant(prices: PriceTable, provider: str, patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        if "*" in pattern:
            yield from (name for owner, name in prices.models if owner == provider and fnmatchcase(name, pattern))
        else:
            yield pattern
