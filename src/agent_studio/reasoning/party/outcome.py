"""What a party came to, worked out from its transcript alone: for reports, for programs, and for who verifies it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.reasoning.party import consensus, rounds
from agent_studio.reasoning.party.consensus import NONE, VOICES_LEAST
from agent_studio.reasoning.party.records import DISSENT

if TYPE_CHECKING:
    from fractions import Fraction

    from agent_studio.reasoning.party.consensus import Tally
    from agent_studio.reasoning.party.positions import Position
    from agent_studio.reasoning.party.records import Session, Turn
    from agent_studio.reasoning.party.rounds import Flip, Standing

RECOMMEND, ESCALATE = "recommend", "escalate"
BROKEN_OFF = frozenset(("cancelled", "interrupted"))


class Outcome(NamedTuple):
    """A session and what follows from it."""

    session: Session
    standing: Standing
    tally: Tally
    blind: Tally
    reason: str
    """Why it ended; empty while it has not."""

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
        """The models that answered, as they name themselves."""
        return sorted({turn.model for turn in self.counted})

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
        return RECOMMEND if self.state != NONE and self.reason and self.reason not in BROKEN_OFF else ESCALATE

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
        "dissent": [_dissent(session, turn) for turn in found.dissent],
        "rounds": max((turn.round for turn in found.counted), default=0),
        "separateCalls": len(found.counted), "failedCalls": sum(bool(turn.fault) for turn in session.turns),
        "unanswered": len(session.unanswered), "distinctModels": len(found.models), "models": found.models,
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
        return "contested: two options have enough support each, from different seats"
    if tally.option is None:
        return "nothing has more support than the rest"
    return f"{percent(tally.share)} of the weight, {percent(tally.unweighted)} of the seats"


def calls(found: Outcome) -> str:
    """Return in words how many separate calls there were, by how many models."""
    count, models = len(found.counted), len(found.models)
    return f"{count} separate call{'s' * (count != 1)} by {models} model{'s' * (models != 1)}"


def percent(share: Fraction) -> str:
    """Return a share as people read it."""
    return f"{float(100 * share):.1f}".removesuffix(".0") + " %"


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
    name = next((name for name, stance in sorted(stances.items()) if stance == held.stance), "") if held else ""
    return {
        "seat": seat, "agent": chair.agent, "role": chair.role, "weight": str(chair.weight),
        "model": turn.model if turn else last.model if last else chair.model,
        "persona": chair.source, "agentSha256": chair.sha256, "stance": held.stance if held else None,
        "confidence": ballot.confidence if ballot else None,
        "option": (held.option or held.claim or rounds.named(session, name)) if held else None,
        "stances": {rounds.named(session, one): stance for one, stance in stances.items()},
        "fault": None if held or last is None else last.fault or "no answer",
        "message": "" if held or last is None else last.message,
        **_said(held),
    }  # fmt: skip


def _said(held: Position | None) -> dict[str, Any]:
    if held is None:
        return {}
    return {
        "rationale": held.rationale, "evidence": [one._asdict() for one in held.evidence], "risks": list(held.risks),
        "wouldChangeMyMind": held.would_change,
    }  # fmt: skip


def _dissent(session: Session, turn: Turn) -> dict[str, Any]:
    held = turn.position
    chair = session.chair(turn.seat)
    return {
        "seat": turn.seat, "agent": chair.agent, "requested": turn.phase == DISSENT,
        "stance": held.stance if held else None, "option": (held.option or held.claim) if held else None, **_said(held),
    }  # fmt: skip
