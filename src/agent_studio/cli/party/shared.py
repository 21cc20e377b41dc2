"""What the sub-verbs of `party` share: progress on stderr, and a party as people read it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result, warn
from agent_studio.errors import ExitCode
from agent_studio.reasoning.party import outcome, rounds, store, verify

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.reasoning.party.opening import Opened
    from agent_studio.reasoning.party.outcome import Outcome
    from agent_studio.reasoning.party.store import Place

_STDERR = 2
_STATES = {"strong": "ok", "weak": "note", "none": "none"}


def add_id(parser: argparse.ArgumentParser) -> None:
    """Add the positional id."""
    parser.add_argument("party", metavar="ID", help="its id, the end of its id, or `last`")


def place_of(session: Session, name: str) -> Place:
    """Return where a party is kept."""
    return store.find(session.context, name)


def read(place: Place) -> Outcome:
    """Return what a party has come to; raise `IntegrityError` where its transcript is damaged or forged."""
    return outcome.of(verify.trusted(place).session)


def telling(opened: Opened) -> Callable[[str], None]:
    """Say on a terminal which party is held, and return what hears of its progress."""
    if not os.isatty(_STDERR):  # nobody waits
        return lambda _: None
    warn(f"party {opened.place.id}: {len(opened.bound)} seats")
    return lambda text: warn(f"party {opened.place.id}: {text}")


def result(found: Outcome, notes: tuple[str, ...] = (), code: int = ExitCode.DONE) -> Result:
    """Return a party as the result of a command."""
    problems = [Problem("note", note, is_note=True) for note in notes]
    problems += [Problem(one.code, one.message, one.hint, is_note=True) for one in _problems(found)]
    return Result(outcome.data(found), lambda screen: render(screen, found), code, problems)


def render(screen: Screen, found: Outcome) -> None:
    """Write a party for people."""
    data, session = outcome.data(found), found.session
    screen.line(f"Party {session.id}: {data['team']}, {len(session.seats)} seats")
    for line in screen.folded(session.question.replace("\n", " ")):
        screen.line(f"  {line}")
    screen.line()
    label = "SIMULATED, one voice" if found.is_simulated else f"consensus {found.state}"
    option = f": {data['option']}" if data["option"] else ""
    screen.told(_STATES[found.state], f"{label}{option} ({outcome.needed(found)})")
    screen.line(f"  {_decision(found)}")
    rows = [_row(one) for one in data["seats"]]
    screen.table(("seat", "agent", "model", "stance", "sure", "holds"), rows, numbers={"seat"})
    _arguments(screen, found)
    for flip in data["flips"]:
        kept = "counted" if flip["counted"] else "not counted: it brings no new argument"
        screen.told("note", f"{flip['agent']} turned from {flip['from']} to {flip['to']} ({kept})")
    for name, share in found.tally.rejected.items():
        screen.told("note", f"rejected by {outcome.percent(share)}: {rounds.named(session, name)}")
    cost = "unknown" if data["costUsd"] is None else f"${data['costUsd']:.4f}"
    models = ", ".join(data["models"]) or "none"
    screen.line(f"\n{outcome.calls(found)} ({models}), cost {cost}")
    if data["distinctModels"] == 1 and not found.is_simulated:
        screen.told("note", "one model holds every seat: that it agrees with itself says little")
    if data["distinctModels"] < len(data["models"]):
        screen.told("note", "answers name more models than were asked: how they call themselves binds nobody")
    screen.line(f"  proof: {session.command('verify')}")


def _arguments(screen: Screen, found: Outcome) -> None:
    """Write the reasons: those that carry the outcome in short, dissent in full."""
    session, dissent = found.session, {turn.call for turn in found.dissent}
    for title, turns in (
        ("For it", [turn for _, turn in sorted(found.standing.turns.items()) if turn.call not in dissent]),
        ("Against it, or beside it", found.dissent),
    ):
        told = [turn for turn in turns if turn.position is not None]
        if told:
            screen.line(f"\n{title}")
        for turn in told:
            held = turn.position
            if held is None:
                continue
            screen.told("note", f"{session.chair(turn.seat).agent}: {held.rationale or 'gives no reason'}")
            for quote in held.evidence:
                seen = "verified" if quote.verified else "NOT found in the file"
                screen.line(f"    {quote.path}:{quote.line or '?'} {seen}")
            for name, texts in (("risk", held.risks), ("would change its mind", (held.would_change,))):
                for text in filter(None, texts):
                    for line in screen.folded(f"{name}: {text}", 4):
                        screen.line(f"    {line}")


def _row(seat: dict[str, object]) -> tuple[object, ...]:
    persona = "" if seat["persona"] == "project" else " (built-in)"
    holds = seat["option"] or (f"no answer: {seat['fault']}" if seat["fault"] else "abstains")
    return seat["seat"], f"{seat['agent']}{persona}", seat["model"], seat["stance"], seat["confidence"], holds


def _decision(found: Outcome) -> str:
    if found.decision == outcome.RECOMMEND:
        return "recommended; a person decides"
    why = f" ({found.reason})" if found.reason else " (it has not ended)"
    return f"to be decided by a person{why}"


def _problems(found: Outcome) -> Iterator[Problem]:
    session = found.session
    yield from (Problem("unrecorded", why) for why in found.unrecorded)
    for turn in session.turns:
        if turn.fault and not (turn.fault == "malformed" and session.last(turn.seat, turn.round) is not turn):
            yield Problem(turn.fault, f"{session.chair(turn.seat).name}: {turn.message or turn.fault}")
    owed = [turn for turn in session.unanswered if turn.is_abandoned]
    if owed:
        yield Problem("billed-twice", f"{len(owed)} calls were under way when it was interrupted and were made again: "
                      "they may be billed twice")  # fmt: skip
