"""Our count beside the client's own: what it says a session used and cost, when it ends."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.cost.money import PICO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.cost.table import Table

_FIELDS = {
    "inputTokens": "input", "outputTokens": "output", "cacheReadInputTokens": "cache_read",
    "cacheCreationInputTokens": "cache_write", "webSearchRequests": "web_searches",
}  # fmt: skip
_CENT_MILLIONTH = Decimal("0.00000001")
"""The client adds in binary floating point: its sums are that near."""
_LISTED = 100


class Difference(NamedTuple):
    """A figure in which we and the client do not agree."""

    session: str
    model: str
    field: str
    ours: str
    client: str


@dataclass
class Reconciliation:
    """How many sessions the client closed with a count of its own, and where ours is another."""

    sessions: int = 0
    agreed: int = 0
    differences: list[Difference] = field(default_factory=list)


def run(told: Table) -> Reconciliation:
    """Compare every session that the client has closed.

    The client's count of a forked session has in it what it was forked from, so that its copies count here as well.
    """
    found = Reconciliation()
    for session, closing in told.db.execute(
        "SELECT session, closing FROM file WHERE closing IS NOT NULL AND is_main"
    ).fetchall():
        said = json.loads(closing)
        usage = _closing(said)
        if usage is None:
            continue
        found.sessions += 1
        ours = _ours(told, session)
        different = [*_compared(session, ours, usage), *_total(session, ours, said.get("totalCostUSD"))]
        found.agreed += not different
        found.differences += different[: max(_LISTED - len(found.differences), 0)]
    return found


def _closing(said: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    usage = said.get("modelUsage")
    if not isinstance(usage, dict):
        return None
    return {_plain(str(model)): counts for model, counts in usage.items() if isinstance(counts, dict)}


def _plain(model: str) -> str:
    return model.removesuffix("[1m]")


def _ours(told: Table, session: str) -> dict[str, dict[str, int | None]]:
    """Sum what a session's files tell of, by model; agents of the sessions it was forked from are part of it."""
    files = "SELECT id FROM file WHERE session = ?1"
    origins = (
        "SELECT DISTINCT name.text FROM copy JOIN usage ON usage.id = copy.id JOIN name ON name.id = usage.session "
        f"WHERE copy.file IN ({files})"
    )
    rows = told.db.execute(
        "SELECT name.text, input, output, cache_read, cache_write5m + cache_write1h, web_searches, pico_usd FROM usage "
        f"JOIN name ON name.id = usage.model WHERE origin IN ({files}) "
        f"OR usage.id IN (SELECT id FROM copy WHERE file IN ({files})) "
        f"OR origin IN (SELECT id FROM file WHERE session IN ({origins}) AND NOT is_main)",
        (session,),
    )
    sums: dict[str, dict[str, int | None]] = defaultdict(lambda: dict.fromkeys((*_FIELDS.values(), "pico"), 0))
    for model, *counts in rows:
        known = sums[_plain(model)]
        for name, count in zip((*_FIELDS.values(), "pico"), counts, strict=True):
            before = known[name]
            known[name] = None if before is None or count is None else before + count
    return sums


def _compared(
    session: str, ours: dict[str, dict[str, int | None]], client: dict[str, dict[str, Any]]
) -> Iterator[Difference]:
    for model in sorted({*ours, *client}):
        own, other = ours.get(model, {}), client.get(model, {})
        for written, name in _FIELDS.items():
            mine, theirs = own.get(name) or 0, other.get(written) or 0
            if mine != theirs:
                yield Difference(session, model, written, str(mine), str(theirs))
        pico = own.get("pico", 0)
        if pico is None:
            yield Difference(session, model, "costUSD", "no price", str(other.get("costUSD")))
        elif not _near(Decimal(pico) / PICO, other.get("costUSD", 0)):
            yield Difference(session, model, "costUSD", f"{Decimal(pico) / PICO:f}", str(other.get("costUSD")))


def _total(session: str, ours: dict[str, dict[str, int | None]], client: Any) -> Iterator[Difference]:
    """Yield the client's total when it is not ours; what has no price is told by its model."""
    picos = [counts["pico"] for counts in ours.values()]
    if client is None or None in picos:
        return
    total = Decimal(sum(pico or 0 for pico in picos)) / PICO
    if not _near(total, client):
        yield Difference(session, "all", "totalCostUSD", f"{total:f}", str(client))


def _near(ours: Decimal, client: Any) -> bool:
    try:
        return abs(ours - Decimal(str(client))) <= _CENT_MILLIONTH
    except InvalidOperation:
        return False
