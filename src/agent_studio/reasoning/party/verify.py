"""What a transcript proves, looked at from nothing but its files: how many separate calls, by which models.

It shows that nobody without the environment's key has changed, cut or reordered the lines since they were written, and
that each position belongs to a call of its own. It cannot show that a provider ran the model it names: for that there
is its receipt. Whoever owns the files and the key can write another transcript from the start.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError
from agent_studio.reasoning.party import outcome, records, seals, seats, team
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
NOT_VOUCHED = "nothing here vouches for it: it was held elsewhere, or the key is gone"


class NotVouchedError(AgentStudioError):
    """Nothing here says that a transcript is as it was written."""

    code = "not-vouched"
    exit_code = ExitCode.INSUFFICIENT


class Looked(NamedTuple):
    """A transcript and what is wrong with it."""

    session: Session
    head: Head
    faults: tuple[str, ...]
    is_vouched: bool
    """Whether the environment's key says that it ends as it was left."""
    is_sealed: bool | None
    """Whether the seal is that of the environment's key; None without a key, of another environment, before the end."""


class Verified(NamedTuple):
    """What was found."""

    verdict: str
    """INSUFFICIENT for a session that has not ended, and where no key here vouches for it."""
    faults: tuple[str, ...]
    lines: int
    head: str
    found: Outcome | None
    receipts: int
    """Calls with an id of the provider's."""
    changed_agents: tuple[str, ...]
    """Agents whose file is another one now than the one that spoke."""
    is_sealed: bool | None


def verify(context: Context, place: Place) -> Verified:
    """Look at everything; what is wrong is in `faults`, never raised."""
    try:
        looked = look(place)
    except IntegrityError as error:
        return Verified(FAIL, (error.message,), 0, "", None, 0, (), None)
    session = looked.session
    is_proved = bool(session.closed) and looked.is_vouched
    verdict = FAIL if looked.faults else PASS if is_proved else INSUFFICIENT
    receipts = sum(bool(turn.request_id) for turn in session.answered)
    return Verified(
        verdict, looked.faults, looked.head.seq, looked.head.hash, outcome.of(session), receipts,
        tuple(_changed(context, session)), looked.is_sealed,
    )  # fmt: skip


def look(place: Place) -> Looked:
    """Read a transcript and hold it against its seal and its note; raise `IntegrityError` for what cannot be read."""
    held, heads = place.looked()
    session = records.fold(held.records, place.shown)
    place.files(session.opened["filesSha256"])
    faults = [*_dispatches(session), *_ending(session, held.records)]
    is_sealed, secret = None, _key(place, session)
    if secret is not None:
        is_sealed = _is_sealed(place, session, held.records, secret)
        faults += _noted(session, held.head, heads, is_sealed=is_sealed)
    return Looked(session, held.head, tuple(faults), secret is not None and not faults, is_sealed)


def trusted(place: Place) -> Looked:
    """Return a transcript that nothing contradicts; raise `IntegrityError` for any other."""
    looked = look(place)
    if looked.faults:
        raise IntegrityError(
            f"{place.shown}: {looked.faults[0]}", hint=f"see: {looked.session.command('verify')}; restore it"
        )
    return looked


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


def _key(place: Place, session: Session) -> bytes | None:
    """Return the key that a transcript has its seal from; None where it was held in another environment."""
    is_own = session.opened.get("environment") == str(place.root.environment)
    return seals.key(place.root) if is_own else None


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


def _ending(session: Session, lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if session.closed is None:
        return
    before = Head(len(lines) - 1, str(lines[-2]["_hash"]))
    if (session.closed["lines"], session.closed["head"]) != (before.seq, before.hash):
        yield "its last line counts other lines than there are"
    found = outcome.of(records.fold(session.lines[:-1], session.id))  # as it was before its last line
    if (session.closed["reason"], session.closed["outcome"]) != (found.reason, outcome.data(found)):
        yield "its outcome does not follow from its calls"


def _noted(session: Session, head: Head, heads: Sequence[Head] | None, *, is_sealed: bool | None) -> Iterator[str]:
    """Yield where it ends otherwise than the environment says that it was left."""
    if is_sealed is False:
        yield "its seal is not by this environment's key"
    if heads is None:
        if session.closed is None:
            yield "the note of how far it had come is gone"
    elif head not in heads:
        left = heads[-1]
        yield f"it was left at line {left.seq} ({left.hash[:12]}), and ends in line {head.seq} ({head.hash[:12]})"


def _is_sealed(place: Place, session: Session, lines: Sequence[Mapping[str, Any]], secret: bytes) -> bool | None:
    if session.closed is None:
        return None
    expected = seals.seal(secret, place.id, Head(len(lines) - 1, str(lines[-2]["_hash"])))
    return hmac.compare_digest(session.closed["seal"].encode("utf-8", "replace"), expected.encode())


def _changed(context: Context, session: Session) -> Iterator[str]:
    for chair in session.seats:
        seat = team.Seat(chair.number, chair.agent, "", 1, (), "")
        try:
            bound = seats.bind(context.project, team.Team("", "", chair.agent, "", (seat,)))[0]
        except AgentStudioError:
            yield chair.agent
        else:
            if bound.sha256 != chair.sha256:
                yield chair.agent
