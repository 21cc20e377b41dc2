"""Parties as a page shows them: which were held, and one with everything that was said. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

_LISTED = 100


def party(context: Context, name: str) -> dict[str, Any]:
    """Return `{parties[]}`, newest first, or `{id, party, verified}` of the one that is named.

    `party` is null where its transcript is damaged, `verified` as well where there is no such party.
    """
    from agent_studio.reasoning.party import outcome, store, summary, verify  # noqa: PLC0415 - only this page

    environment = {"environment": str(context.environment)}
    if not name:
        return {**environment, "parties": summary.parties(context, _LISTED)}
    try:
        place = store.find(context, name)
    except UsageError:  # an address that leads nowhere
        return {**environment, "id": name, "party": None, "verified": None}
    found = verify.verify(context, place)
    if found.found is None:
        return {**environment, "party": None, "id": place.id, "verified": verify.data(place.id, found)}
    told = outcome.data(found.found)
    return {
        **environment, "id": place.id, "party": {**told, "why": outcome.needed(found.found)},
        "verified": verify.data(place.id, found),
    }  # fmt: skip
