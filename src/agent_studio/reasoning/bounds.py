"""The most that one call can cost: every byte that is sent taken for a token, and the answer as long as it may be."""

from __future__ import annotations

import json
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from agent_studio.cost.counting import Tokens
from agent_studio.cost.money import PICO

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
    found = [_dearest(prices, name, model.provider, asked, request.max_output_tokens, at_ns) for name in names]
    known = [pico for pico in found if pico is not None]
    return Decimal(max(known)) / PICO if known else None


def _dearest(prices: PriceTable, name: str, provider: str, asked: int, said: int, at_ns: int) -> int | None:
    """Return the cost in pico-USD were the input of the dearest kind: new, written to a cache or read from one."""
    kinds = (Tokens(asked, said), Tokens(0, said, asked), Tokens(0, said, 0, asked), Tokens(0, said, 0, 0, asked))
    if prices.cost(name, at_ns, kinds[0], provider=provider) is None:
        return None
    costs = [prices.cost(name, at_ns, kind, provider=provider) for kind in kinds]
    return max(cost.pico_usd for cost in costs if cost is not None)


def _meant(prices: PriceTable, provider: str, patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        if "*" in pattern:
            yield from (name for owner, name in prices.models if owner == provider and fnmatchcase(name, pattern))
        else:
            yield pattern
