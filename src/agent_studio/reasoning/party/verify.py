"""What a transcript proves, looked at from nothing but its files: how many separate calls, by which models.

It shows that nobody without the environment's key and the note outside it has changed, cut or reordered the lines since
they were written, and that each position belongs to a call of its own. It cannot show that a provider ran the model it
names: for that there is its receipt. Whoever owns the files and the key can write another transcript from the start.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError, ConfigurationError, IntegrityError
from agent_studio.reasoning.party import outcome, records, seats, store, team
from agent_studio.reasoning.party.rounds import Ask
from agent_studio.reasoning.party.session import peers_sha256
from agent_studio.storage.chain import Head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.outcome import Outcome
    from agent_studio.reasoning.party.records import Session
    from agent_studio.reasoning.party.store import Place

PASS, FAIL, INSUFFICIENT = "PASS", "FAIL", "INSUFFICIENT"


class Verified(NamedTuple):
    """What was found."""

    verdict: str
    """INSUFFICIENT for a session that has not ended, and where nothing here vouches for its end."""
    faults: tuple[str, ...]
    lines: int
    head: str
    found: Outcome | None
    receipts: int
    """Calls with an id of the provider's."""
    changed_agents: tuple[str, ...]
    """Agents whose file is another one now than the one that spoke."""
    is_sealed: bool | None
    """Whether the seal is that of the environment's key; None where it has no key."""


def verify(context: Context, place: Place) -> Verified:
    """Look at everything; what is wrong is in `faults`, never raised."""
    try:
        held = place.read()
        session = records.fold(held.records, place.shown)
        place.files(str(session.opened["filesSha256"]))
        faults = [*_dispatches(session), *_ending(place, session, held.records)]
    except IntegrityError as error:
        return Verified(FAIL, (error.message,), 0, "", None, 0, (), None)
    is_sealed = _is_sealed(place, session, held.records)
    is_vouched = bool(is_sealed) or store.noted(place.root, place.id) is not None
    verdict = FAIL if faults else PASS if session.closed and is_vouched else INSUFFICIENT
    receipts = sum(bool(turn.request_id) for turn in session.answered)
    return Verified(
        verdict, tuple(faults), held.head.seq, held.head.hash, outcome.of(session), receipts,
        tuple(_changed(context, session)), is_sealed,
    )  # fmt: skip


def data(party: str, found: Verified) -> dict[str, Any]:
    """Return it for programs."""
    known = outcome.data(found.found) if found.found else {}
    kept = (
        "state", "option", "share", "separateCalls", "failedCalls", "unanswered", "distinctModels", "models",
        "simulated", "costUsd", "decision", "reason",
    )  # fmt: skip
    return {
        "id": party, "verdict": found.verdict, "faults": list(found.faults), "lines": found.lines, "head": found.head,
        "receipts": found.receipts, "sealed": found.is_sealed, "changedAgents": list(found.changed_agents),
        **{name: known.get(name) for name in kept},
    }  # fmt: skip


def _dispatches(session: Session) -> Iterator[str]:
    """Yield calls of which the transcript says that they showed other positions than they can have shown."""
    for record in _of_kind(session, records.DISPATCH):
        ask = Ask(record["seat"], record["round"], record["phase"], record["attempt"], tuple(record["peers"]))
        if record["agent"] != session.chair(ask.seat).agent:
            yield f"call {record['call']} names {record['agent']}, and seat {ask.seat} is another agent's"
        if record["peersSha256"] != peers_sha256(session, ask):
            yield f"call {record['call']} was shown other positions than those given before it"


def _of_kind(session: Session, kind: str) -> Sequence[Mapping[str, Any]]:
    return [one for one in session.lines if one["kind"] == kind]


def _ending(place: Place, session: Session, lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    noted = store.noted(place.root, place.id)
    if session.closed is None:
        if noted is not None:
            yield f"it was closed with {noted.seq} lines, and now has {len(lines)}: its end is gone"
        return
    before = Head(len(lines) - 1, str(lines[-2]["_hash"]))
    if (session.closed["lines"], session.closed["head"]) != (before.seq, before.hash):
        yield "its last line counts other lines than there are"
    if noted is not None and noted != Head(len(lines), str(lines[-1]["_hash"])):
        yield f"it was closed as another one: {noted.seq} lines ending in {noted.hash[:12]}"
    if _is_sealed(place, session, lines) is False:
        yield "its seal is not by this environment's key"
    if dict(session.closed["outcome"]) != outcome.data(outcome.of(_open_again(session))):
        yield "its outcome does not follow from its calls"


def _open_again(session: Session) -> Session:
    """Return the session as it was before its last line."""
    return records.fold(session.lines[:-1], session.id)


def _is_sealed(place: Place, session: Session, lines: Sequence[Mapping[str, Any]]) -> bool | None:
    secret = store.key(place.root)
    if secret is None or session.closed is None:
        return None
    expected = store.seal(secret, place.id, Head(len(lines) - 1, str(lines[-2]["_hash"])))
    return hmac.compare_digest(str(session.closed["seal"]), expected)


def _changed(context: Context, session: Session) -> Iterator[str]:
    for chair in session.seats:
        seat = team.Seat(chair.number, chair.agent, "", 1, (), "")
        try:
            bound = seats.bind(context.project, team.Team("", "", chair.agent, "", (seat,)))[0]
        except (ConfigurationError, AgentStudioError):
            yield chair.agent
        else:
            if bound.sha256 != chair.sha256:
                yield chair.agent
