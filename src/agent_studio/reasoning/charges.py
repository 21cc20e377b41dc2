"""What a finished call is taken to have cost, and its record; what a provider claims is believed only if it can be."""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.cost.counting import MOST
from agent_studio.cost.money import MOST_PICO_USD, PICO
from agent_studio.reasoning.models.model import FREE, PRICED, REPORTED, RESERVED, UNKNOWN, Usage

if TYPE_CHECKING:
    from agent_studio.cost.calls import Ledger
    from agent_studio.reasoning.models.model import Model, ModelError, Reply
    from agent_studio.records import LlmUsage

_NOTHING = Decimal(0)
_PLACES = Decimal(1) / PICO
_MOST = Decimal(MOST_PICO_USD // PICO)


class Charge(NamedTuple):
    """A cost, where it is from, and the record of the call; None where nothing is known of what was used."""

    cost_usd: Decimal | None
    source: str
    record: LlmUsage | None = None


def of_reply(ledger: Ledger, model: Model, reply: Reply, worst_usd: Decimal) -> Charge:
    """Return what an answer cost.

    A free model costs nothing. A reported cost is taken as it is; without one the usage is priced, by the dearer of the
    model that was asked and the one that says it answered. A cost or usage that cannot be, and usage of a kind without
    a price, is taken for the worst case.
    """
    call = _Call(ledger, model, reply.request_id, reply.usage if _can_be(reply.usage) else Usage())
    names = [name for name in (reply.model, model.model) if name.strip()]
    if model.is_free:
        return Charge(_NOTHING, FREE, call.record(names[0], _NOTHING))
    if reply.cost_source == REPORTED:
        cost = _reported(reply.cost_usd)
        return (
            call.reserved(names[0], worst_usd) if cost is None else Charge(cost, REPORTED, call.record(names[0], cost))
        )
    used = call.used
    if not used.output or not (used.input or used.cache_read or used.cache_write):
        return call.reserved(names[0], worst_usd)
    return call.priced(names, worst_usd)


def of_failure(ledger: Ledger, model: Model, error: ModelError, worst_usd: Decimal) -> Charge:
    """Return what a failed call cost: what it says it used, nothing if it was refused, else the worst case."""
    if model.is_free:
        return Charge(_NOTHING, FREE)
    is_known = error.usage is not None and _can_be(error.usage)
    call = _Call(ledger, model, "", error.usage if error.usage is not None and is_known else Usage())
    cost = _reported(error.cost_usd)
    if cost is not None:
        return Charge(cost, REPORTED, call.record(model.model, cost))
    if any(call.used):
        return call.priced([model.model], worst_usd)
    return Charge(worst_usd, RESERVED) if error.is_owed else Charge(_NOTHING, FREE)


class _Call(NamedTuple):
    ledger: Ledger
    model: Model
    request_id: str
    used: Usage

    def record(self, name: str, cost_usd: Decimal | None) -> LlmUsage:
        used = self.used
        return self.ledger.prepared(
            model=name, provider=self.model.provider, request_id=self.request_id,
            message_id=f"own:{uuid.uuid4().hex}",  # not every server's receipts are told apart
            input_tokens=used.input,
            output_tokens=used.output, cache_read_tokens=used.cache_read, cache_write5m_tokens=used.cache_write,
            cost_usd=cost_usd,
        )  # fmt: skip

    def priced(self, names: list[str], worst_usd: Decimal) -> Charge:
        records = [self.record(name, None) for name in dict.fromkeys(names)]
        costs = [(Decimal(record.cost_usd), record) for record in records if record.cost_usd is not None]
        if not costs:
            return self.reserved(names[0], worst_usd)
        cost, dearest = max(costs, key=lambda one: one[0])
        return Charge(cost, PRICED, dearest)

    def reserved(self, name: str, worst_usd: Decimal) -> Charge:
        """Return the worst case; where there is none, for want of a price, nothing is known."""
        if not worst_usd:
            return Charge(None, UNKNOWN, self.record(name, None))
        return Charge(worst_usd, RESERVED, replace(self.record(name, worst_usd), price_source=RESERVED))


def _can_be(used: Usage) -> bool:
    return all(type(count) is int and 0 <= count <= MOST for count in used)


def _reported(cost_usd: Decimal | None) -> Decimal | None:
    """Return a cost as the ledger can hold it, at most all that it can hold; None for what is no cost."""
    if cost_usd is None or cost_usd.is_nan() or cost_usd < 0:
        return None
    return min(cost_usd, _MOST).quantize(_PLACES, rounding="ROUND_HALF_EVEN")
