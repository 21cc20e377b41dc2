"""What a transcript holds, read into what happened; a line that cannot have come from us is `IntegrityError`.

open       the question, the seats, the limits: fixed from then on
dispatch   a call that is about to be made: seat, round, nonce, hash of the request
reply      its answer, by the same nonce, with its receipt; or `failure`, and why
resume     an interrupted session goes on; calls without an answer are made again
halt       no more calls, and why
close      how it ended, how many lines there are, and the head of the chain before it
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from agent_studio.errors import IntegrityError
from agent_studio.reasoning.party.positions import Position, PositionError
from agent_studio.reasoning.party.words import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OPEN, DISPATCH, REPLY, FAILURE, RESUME, HALT, CLOSE = "open", "dispatch", "reply", "failure", "resume", "halt", "close"
BLIND, VOTE, REVEAL, DISSENT = "blind", "vote", "reveal", "dissent"
"""Phases of a round."""
MALFORMED = "malformed"
_SHOWN_MAX = 40
_OPENING = {
    "id": str, "timestamp": str, "question": str, "options": list, "team": dict, "turnLimit": int, "seed": str,
    "filesSha256": str, "notes": list,
}  # fmt: skip


@dataclass(frozen=True)
class Chair:
    """A seat as the session opened it."""

    number: int
    agent: str
    role: str
    weight: Fraction
    model: str
    source: str
    file: str
    sha256: str
    method: str = ""

    @property
    def name(self) -> str:
        """How it is called in reports."""
        return f"{self.agent} (seat {self.number})"


@dataclass
class Turn:
    """One call of one seat."""

    call: int
    seat: int
    round: int
    phase: str
    attempt: int
    nonce: str
    request_sha256: str
    peers: tuple[int, ...]
    """Calls whose positions were shown with it."""
    position: Position | None = None
    fault: str = ""
    """Why there is no position: a kind of failure; empty while there is no answer at all."""
    message: str = ""
    model: str = ""
    provider: str = ""
    request_id: str = ""
    asked: str = ""
    """The model that was called; `model` is how the answer names it."""
    worst_usd: Decimal = Decimal(0)
    """What the call may cost at most; 0 where no price is known."""
    cost_usd: Decimal | None = None
    cost_source: str = ""
    tokens: int = 0
    duration_ms: float = 0.0
    is_abandoned: bool = False
    """It was under way when the session was interrupted, and was made again."""

    @property
    def is_settled(self) -> bool:
        """Whether something came of it."""
        return self.position is not None or bool(self.fault)


@dataclass
class Session:
    """Everything that a transcript says happened."""

    opened: Mapping[str, Any]
    seats: tuple[Chair, ...]
    turns: list[Turn] = field(default_factory=list)
    halted: str = ""
    closed: Mapping[str, Any] | None = None
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    """As they were read."""

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.opened["id"])

    def command(self, verb: str) -> str:
        """Return the command line of a sub-verb on it, in the environment that it is held in."""
        return f"agent-studio party {verb} {self.id} --env {one_line(self.opened.get('environment'), _SHOWN_MAX)}"

    @property
    def question(self) -> str:
        """What was asked."""
        return str(self.opened["question"])

    @property
    def options(self) -> tuple[str, ...]:
        """What may be chosen; empty for an open question."""
        return tuple(self.opened["options"])

    @property
    def seed(self) -> str:
        """What orders of positions are drawn from."""
        return str(self.opened["seed"])

    @property
    def turn_limit(self) -> int:
        """Rounds at most."""
        return int(self.opened["turnLimit"])

    @property
    def cost_usd(self) -> Decimal:
        """What is known to be spent."""
        return sum((turn.cost_usd for turn in self.turns if turn.cost_usd is not None), Decimal(0))

    @property
    def worst_usd(self) -> Decimal:
        """What may have been spent: a call whose cost nobody knows, answered or not, at its worst."""
        return sum((turn.worst_usd if turn.cost_usd is None else turn.cost_usd for turn in self.turns), Decimal(0))

    @property
    def answered(self) -> list[Turn]:
        """Calls whose answer is a position."""
        return [turn for turn in self.turns if turn.position is not None]

    @property
    def unanswered(self) -> list[Turn]:
        """Calls that were sent and of which nothing came back: they may have been billed."""
        return [turn for turn in self.turns if not turn.is_settled]

    def chair(self, seat: int) -> Chair:
        """Return a seat by its number."""
        return self.seats[seat - 1]

    def last(self, seat: int, round_: int) -> Turn | None:
        """Return the newest call of a seat in a round that was not abandoned."""
        found = [one for one in self.turns if (one.seat, one.round) == (seat, round_) and not one.is_abandoned]
        return found[-1] if found else None


def fold(records: Sequence[Mapping[str, Any]], name: str) -> Session:
    """Return what the lines of a transcript say; `name` is how it is called in messages."""
    if not records or records[0].get("kind") != OPEN:
        raise IntegrityError(f"{name} does not begin with the opening of a session", hint="restore it from a copy")
    session = opened(records[0], name)
    for number, record in enumerate(records[1:], start=2):
        apply(session, record, f"{name}:{number}")
    return session


def opened(record: Mapping[str, Any], name: str) -> Session:
    """Return the session that a first line opens."""
    with _ours(f"{name}:1"):
        return _opened(record)


def apply(session: Session, record: Mapping[str, Any], place: str) -> None:
    """Take one more line into a session."""
    with _ours(place):
        _HANDLERS[record["kind"]](session, record)
        session.lines.append(record)


@contextmanager
def _ours(place: str) -> Iterator[None]:
    try:
        yield
    except _ForgedError as error:
        raise IntegrityError(f"{place} {error}", hint="restore it from a copy") from None
    except (KeyError, TypeError, ValueError, ArithmeticError, IndexError, AttributeError, PositionError) as error:
        raise IntegrityError(
            f"{place} is no line of ours ({type(error).__name__}: {error})", hint="restore it from a copy"
        ) from None


class _ForgedError(Exception):
    """A line contradicts those before it."""


def _opened(record: Mapping[str, Any]) -> Session:
    seats = tuple(
        Chair(
            number=int(one["seat"]), agent=str(one["agent"]), role=str(one["role"]), weight=Fraction(one["weight"]),
            model=str(one["model"]), source=str(one["source"]), file=str(one["file"]), sha256=str(one["sha256"]),
            method=str(one["method"]),
        )
        for one in record["seats"]
    )  # fmt: skip
    if [one.number for one in seats] != list(range(1, len(seats) + 1)) or not seats:
        raise _ForgedError("numbers its seats wrongly")
    if any(one.weight <= 0 for one in seats):
        raise _ForgedError("has a seat without weight")
    _shaped(record, _OPENING)
    if not all(isinstance(one, str) for one in record["options"]) or record["turnLimit"] < 1:
        raise _ForgedError("has other options or another limit than a session can have")
    int(record["seed"], 16)
    str(record["team"]["name"])
    return Session(record, seats, lines=[record])


def _dispatch(session: Session, record: Mapping[str, Any]) -> None:
    _refuse_after_end(session)
    _shaped(record, {"agent": str, "peersSha256": str, "model": str})
    # the first parties did not say what a call may cost
    turn = Turn(
        int(record["call"]), int(record["seat"]), int(record["round"]), str(record["phase"]), int(record["attempt"]),
        str(record["nonce"]), str(record["requestSha256"]), tuple(map(int, record["peers"])),
        model=record["model"], asked=record["model"], worst_usd=_usd(record.get("worstUsd", 0)),
    )  # fmt: skip
    if turn.call != len(session.turns) + 1:
        raise _ForgedError(f"is call {turn.call}, and should be call {len(session.turns) + 1}")
    if not 1 <= turn.seat <= len(session.seats):
        raise _ForgedError(f"speaks of seat {turn.seat}, which the session does not have")
    if any(one.nonce == turn.nonce or one.request_sha256 == turn.request_sha256 for one in session.turns):
        raise _ForgedError("repeats a call: each has a nonce and a request of its own")
    if turn.phase == BLIND and (turn.peers or turn.round != 1):
        raise _ForgedError("shows positions of others in a blind round")
    before = {one.call for one in session.answered if one.round < turn.round}
    if not before.issuperset(turn.peers):
        raise _ForgedError("shows positions that nobody had given")
    session.turns.append(turn)


def _answered(session: Session, record: Mapping[str, Any]) -> Turn:
    _refuse_after_end(session, but_halted=True)
    call = int(record["call"])
    if not 1 <= call <= len(session.turns):
        raise _ForgedError(f"answers call {call}, which was never made")
    turn = session.turns[call - 1]
    if (record["nonce"], record["requestSha256"], record["seat"]) != (turn.nonce, turn.request_sha256, turn.seat):
        raise _ForgedError(f"answers call {call} with another nonce, request or seat: it does not belong to it")
    if turn.is_settled or turn.is_abandoned:
        raise _ForgedError(f"answers call {call} a second time")
    cost = record["costUsd"]
    turn.cost_usd = None if cost is None else _usd(cost)
    turn.cost_source, turn.tokens = str(record["costSource"]), int(record["tokens"])
    return turn


def _reply(session: Session, record: Mapping[str, Any]) -> None:
    turn = _answered(session, record)
    turn.model, turn.provider = str(record["model"]), str(record["provider"])
    turn.request_id, turn.duration_ms = str(record["requestId"]), float(record["durationMs"])
    if record["position"] is None:
        turn.fault, turn.message = MALFORMED, str(record["fault"])
    else:
        turn.position = Position.of(record["position"])


def _failure(session: Session, record: Mapping[str, Any]) -> None:
    turn = _answered(session, record)
    turn.fault, turn.message = str(record["failure"]) or "failed", str(record["message"])


def _resume(session: Session, record: Mapping[str, Any]) -> None:
    _refuse_after_end(session)
    unanswered = [one.call for one in session.turns if not one.is_settled and not one.is_abandoned]
    if list(record["unanswered"]) != unanswered:
        raise _ForgedError("names other calls without an answer than there are")
    for call in unanswered:
        session.turns[call - 1].is_abandoned = True


def _halt(session: Session, record: Mapping[str, Any]) -> None:
    _refuse_after_end(session)
    session.halted = str(record["reason"])


def _close(session: Session, record: Mapping[str, Any]) -> None:
    _refuse_after_end(session, but_halted=True)
    _shaped(
        record,
        {"reason": str, "outcome": dict} | ({"lines": int, "head": str, "seal": str} if "_seq" in record else {}),
    )
    session.closed = record


def _usd(value: Any) -> Decimal:
    amount = Decimal(value)
    if not amount.is_finite() or amount < 0:
        raise _ForgedError(f"has the amount {value!r}")
    return amount


def _shaped(record: Mapping[str, Any], shape: Mapping[str, type]) -> None:
    for name, kind in shape.items():
        if not isinstance(record[name], kind):
            raise _ForgedError(f"has a {name} that is none")


def _refuse_after_end(session: Session, *, but_halted: bool = False) -> None:
    if session.closed is not None or (session.halted and not but_halted):
        raise _ForgedError("stands after the end of its session")


_HANDLERS = {
    DISPATCH: _dispatch, REPLY: _reply, FAILURE: _failure, RESUME: _resume, HALT: _halt, CLOSE: _close,
}  # fmt: skip
