"""What a finished call is taken to have cost, and its record; what a provider claims is believed only if it can be."""

from __future__ import annotations

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
    model that was asked and the one that says it answered. A cost or usage that cannot be is taken for the worst case.
    """
    names = dict.fromkeys(name for name in (reply.model, model.model) if name.strip()) or {model.name: None}
    used = reply.usage if _can_be(reply.usage) else Usage()
    if model.is_free:
        return Charge(_NOTHING, FREE, _record(ledger, model, next(iter(names)), reply.request_id, used, _NOTHING))
    cost, source = None, RESERVED
    if reply.cost_source == REPORTED:
        cost, source = _reported(reply.cost_usd), REPORTED
    elif used.output and (used.input or used.cache_read or used.cache_write):
        records = [_record(ledger, model, name, reply.request_id, used, None) for name in names]
        priced = [record for record in records if record.cost_usd is not None]
        if not priced:
            return Charge(None, UNKNOWN, records[0])
        dearest = max(priced, key=lambda record: Decimal(record.cost_usd or 0))
        return Charge(Decimal(dearest.cost_usd or 0), PRICED, dearest)
    if cost is None and not worst_usd:  # no price is known, so no worst case either
        return Charge(None, UNKNOWN, _record(ledger, model, next(iter(names)), reply.request_id, used, None))
    if cost is None:
        record = _record(ledger, model, next(iter(names)), reply.request_id, used, worst_usd)
        return Charge(worst_usd, RESERVED, replace(record, price_source=RESERVED))
    return Charge(cost, source, _record(ledger, model, next(iter(names)), reply.request_id, used, cost))


def of_failure(ledger: Ledger, model: Model, error: ModelError, worst_usd: Decimal) -> Charge:
    """Return what a failed call cost: what it says it used, nothing if it was refused, else the worst case."""
    if model.is_free:
        return Charge(_NOTHING, FREE)
    cost = _reported(error.cost_usd)
    used = error.usage if error.usage is not None and _can_be(error.usage) else None
    if cost is not None:
        return Charge(cost, REPORTED, _record(ledger, model, model.model, "", used or Usage(), cost))
    if used is not None and any(used):
        record = _record(ledger, model, model.model, "", used, None)
        if record.cost_usd is not None:
            return Charge(Decimal(record.cost_usd), PRICED, record)
        return Charge(None, UNKNOWN, record)
    return Charge(worst_usd, RESERVED) if error.is_owed else Charge(_NOTHING, FREE)


def _record(
    ledger: Ledger, model: Model, name: str, request_id: str, used: Usage, cost_usd: Decimal | None
) -> LlmUsage:
    return ledger.prepared(
        model=name or model.name, provider=model.provider, request_id=request_id, input_tokens=used.input,
        output_tokens=used.output, cache_read_tokens=used.cache_read, cache_write5m_tokens=used.cache_write,
        cost_usd=cost_usd,
    )  # fmt: skip


def _can_be(used: Usage) -> bool:
    return all(type(count) is int and 0 <= count <= MOST for count in used)


def _reported(cost_usd: Decimal | None) -> Decimal | None:
    """Return a cost as the ledger can hold it, at most all that it can hold; None for what is no cost."""
    if cost_usd is None or cost_usd.is_nan() or cost_usd < 0:
        return None
    return min(cost_usd, _MOST).quantize(_PLACES, rounding="ROUND_HALF_EVEN")
