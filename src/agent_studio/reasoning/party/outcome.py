"""What a party came to, worked out from its transcript alone: for reports, for programs, and for who verifies it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.reasoning.party import consensus, rounds
from agent_studio.reasoning.party.consensus import ABSTAIN, NONE, OPPOSE, SUPPORT, VOICES_LEAST
from agent_studio.reasoning.party.records import DISSENT

if TYPE_CHECKING:
    from agent_studio.reasoning.party.consensus import Tally
    from agent_studio.reasoning.party.positions import Position
    from agent_studio.reasoning.party.records import Session, Turn
    from agent_studio.reasoning.party.rounds import Flip, Standing

RECOMMEND, ESCALATE = "recommend", "escalate"
BROKEN_OFF = frozenset(("cancelled", "interrupted"))
_HALF = Fraction(1, 2)


class Outcome(NamedTuple):
    """A session and what follows from it."""

    session: Session
    standing: Standing
    tally: Tally
    blind: Tally
    reason: str
    """Why it ended; empty while it has not."""
    unrecorded: tuple[str, ...] = ()
    """Why calls of this process are not in the ledger."""

    @property
    def counted(self) -> list[Turn]:
        """Calls of which a position came, each with a request and a nonce of its own."""
        return self.session.answered

    @property
    def voices(self) -> int:
        """Seats that spoke by a call of their own."""
        return len({turn.seat for turn in self.counted})

    @property
    def models(self) -> list[str]:
        """The models that answered, as they name themselves: that binds nobody."""
        return sorted({turn.model for turn in self.counted})

    @property
    def distinct_models(self) -> int:
        """How many models were called and answered, by the names by which they were called."""
        return len({turn.asked for turn in self.counted})

    @property
    def is_simulated(self) -> bool:
        """Whether all there is was said by one voice."""
        return self.voices == 1

    @property
    def state(self) -> str:
        """The consensus; one voice has none."""
        return NONE if self.voices < VOICES_LEAST else self.tally.state

    @property
    def decision(self) -> str:
        """`recommend`, or `escalate`: to a person."""
        is_ended = bool(self.reason) and self.reason not in BROKEN_OFF
        return RECOMMEND if self.state != NONE and is_ended and self.has_majority else ESCALATE

    @property
    def has_majority(self) -> bool:
        """Whether more than half of the seats that voted are for it, however sure and heavy they are."""
        return self.tally.unweighted > _HALF

    @property
    def dissent(self) -> list[Turn]:
        """What seats hold that do not support what most do, and the case made against it on request."""
        option = self.tally.option
        away = [
            turn for seat, turn in sorted(self.standing.turns.items())
            if option is None or not self.standing.ballots[seat].supports(option)
        ]  # fmt: skip
        return [*away, *(turn for turn in self.counted if turn.phase == DISSENT)]


def of(session: Session) -> Outcome:
    """Return what a session has come to so far."""
    standing, blind = rounds.after(session, len(session.turns) + 1), rounds.blind(session)
    reason = str(session.closed["reason"]) if session.closed else ""
    if not reason and not (plan := rounds.plan(session)).asks:
        reason = plan.reason
    return Outcome(session, standing, standing.tally(session), blind.tally(session), reason)


def data(found: Outcome) -> dict[str, Any]:
    """Return it for programs; ratios are 0 to 1, `...Exact` the same as a fraction."""
    session, tally = found.session, found.tally
    costs = [turn.cost_usd for turn in session.turns if turn.is_settled and not turn.is_abandoned]
    return {
        "id": session.id, "question": session.question, "options": list(session.options),
        "state": found.state, "share": float(tally.share), "shareExact": str(tally.share),
        "option": None if tally.option is None else rounds.named(session, tally.option),
        "unweightedShare": float(tally.unweighted), "blindShare": float(found.blind.share),
        "margin": float(tally.margin), "quorum": tally.has_quorum, "contested": tally.contested,
        "shares": {rounds.named(session, name): float(share) for name, share in tally.shares.items()},
        "rejected": {rounds.named(session, name): float(share) for name, share in tally.rejected.items()},
        "flips": [_flip(session, flip) for flip in found.standing.flips],
        "seats": [_seat(found, chair.number) for chair in session.seats],
        "dissent": [_dissent(found, turn) for turn in found.dissent],
        "rounds": max((turn.round for turn in found.counted), default=0),
        "separateCalls": len(found.counted), "failedCalls": sum(bool(turn.fault) for turn in session.turns),
        "unanswered": len(session.unanswered), "distinctModels": found.distinct_models, "models": found.models,
        "simulated": found.is_simulated,
        "costUsd": None if None in costs else float(session.cost_usd), "unpricedCalls": costs.count(None),
        "decision": found.decision, "reason": found.reason, "team": session.opened["team"]["name"],
    }  # fmt: skip


def needed(found: Outcome) -> str:
    """Return in words why a state is what it is."""
    tally, seats = found.tally, len(found.session.seats)
    if found.is_simulated:
        return "SIMULATED: one voice spoke, so there is nothing to agree on"
    if not tally.has_quorum:
        least = consensus.needed(seats)
        return f"no quorum: {tally.present} of {seats} seats answered and {tally.votes} voted, {least} needed"
    if tally.contested:
        return contested(tally)
    if tally.option is None:
        return "nothing has more support than the rest"
    heads = f"{tally.unweighted * tally.votes} of {seats} seats"
    minority = (
        "" if found.has_majority or found.state == NONE else "; no majority of those who voted, so a person decides"
    )
    return f"{percent(tally.share)} of the weight, {heads}{minority}"


def contested(tally: Tally) -> str:
    """Return in words why two claims that have enough support each are no consensus."""
    if tally.is_unjudged:
        return "contested: two claims have the same seats behind them, and whether one denies the other cannot be told"
    return "contested: two options have enough support each, from different seats, or deny each other"


def calls(found: Outcome) -> str:
    """Return in words how many separate calls there were, by how many models."""
    count, models = len(found.counted), found.distinct_models
    return f"{count} separate call{'s' * (count != 1)} by {models} model{'s' * (models != 1)}"


def percent(share: Fraction) -> str:
    """Return a share as people read it."""
    return f"{float(100 * share):.1f}".removesuffix(".0") + " %"


def held_by(found: Outcome, turn: Turn) -> tuple[str, str]:
    """Return the stance of a position that counts, or is on record, and what it is a stance to."""
    position = turn.position
    own = position.stances if position else {}
    is_standing = found.standing.turns.get(turn.seat) is turn
    stances = dict(found.standing.ballots[turn.seat].stances) if is_standing else own
    return holds(found.session, turn, stances, found.tally.option)


def holds(session: Session, turn: Turn, stances: dict[str, str], leading: str | None) -> tuple[str, str]:
    """Return what a seat's votes come to: what it supports (what most do, or its own first), else what it opposes."""
    position = turn.position
    own = next(iter(position.stances), "") if position and not position.votes else ""
    for stance in (SUPPORT, OPPOSE):
        names = sorted(name for name, one in stances.items() if one == stance)
        if names:
            return stance, rounds.named(session, next((one for one in (leading, own) if one in names), names[0]) or "")
    return ABSTAIN, (position.option or position.claim) if position else ""


def _flip(session: Session, flip: Flip) -> dict[str, Any]:
    return {
        "seat": flip.seat, "agent": session.chair(flip.seat).agent, "round": flip.round,
        "from": _stances(session, flip.before), "to": _stances(session, flip.after), "kind": flip.kind,
        "counted": flip.counts, "reason": flip.reason,
    }  # fmt: skip


def _stances(session: Session, stances: dict[str, str]) -> str:
    return ", ".join(f"{stance} {rounds.named(session, name)}" for name, stance in sorted(stances.items())) or "abstain"


def _seat(found: Outcome, seat: int) -> dict[str, Any]:
    """Return what a seat holds in the end; without a position its stance is null, and `fault` says why."""
    session, chair = found.session, found.session.chair(seat)
    turn, ballot = found.standing.turns.get(seat), found.standing.ballots.get(seat)
    last = next((one for one in reversed(session.turns) if one.seat == seat and not one.is_abandoned), None)
    held = turn.position if turn else None
    stances = dict(ballot.stances) if ballot else {}
    stance, option = holds(session, turn, stances, found.tally.option) if turn else (None, None)
    is_silent = held is None and last is not None
    return {
        "seat": seat, "agent": chair.agent, "role": chair.role, "weight": str(chair.weight),
        "model": turn.model if turn else last.model if last else chair.model,
        "persona": chair.source, "agentSha256": chair.sha256, "stance": stance,
        "confidence": ballot.confidence if ballot else None,
        "option": option,
        "stances": {rounds.named(session, one): stance for one, stance in stances.items()},
        "fault": (last.fault or "no answer") if is_silent and last else None,
        "message": last.message if is_silent and last else "",
        **_said(held),
    }  # fmt: skip


def _said(held: Position | None) -> dict[str, Any]:
    if held is None:
        return {}
    return {
        "rationale": held.rationale, "evidence": [one._asdict() for one in held.evidence], "risks": list(held.risks),
        "wouldChangeMyMind": held.would_change,
    }  # fmt: skip


def _dissent(found: Outcome, turn: Turn) -> dict[str, Any]:
    held, chair = turn.position, found.session.chair(turn.seat)
    stance, option = held_by(found, turn)
    return {
        "seat": turn.seat, "agent": chair.agent, "requested": turn.phase == DISSENT,
        "stance": stance, "option": option, **_said(held),
    }  # fmt: skip
