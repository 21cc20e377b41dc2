"""A party is opened: what was wished is checked and fixed before any call; an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment import flags
from agent_studio.environment.flag_journal import history
from agent_studio.errors import ConfigurationError, UsageError, did_you_mean
from agent_studio.reasoning.elicitation.limits import session_of
from agent_studio.reasoning.party import materials, records, seats, team
from agent_studio.reasoning.party.words import normal, one_line
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.materials import Material
    from agent_studio.reasoning.party.records import Session
    from agent_studio.reasoning.party.seats import Bound
    from agent_studio.reasoning.party.store import Place, Transcript
    from agent_studio.reasoning.party.team import Seat, Team

OPTIONS_MAX, OPTION_MAX = 20, 200
_SHOWN_MAX = 40
FLAG = "partyMode"
_OVERHEAD = 1_500
"""Tokens of rules, task and schema."""
_POSITIONS_A_SEAT = 1_200
"""Tokens kept free for what each seat may be shown of another."""


@dataclass(frozen=True)
class Wish:
    """What somebody wants a party to do."""

    question: str
    options: tuple[str, ...] = ()
    team: str | None = None
    agent: str = ""
    """The one agent that is asked, alone."""
    model: str | None = None
    files: tuple[str, ...] = ()
    budget_usd: Decimal | None = None
    turn_limit: int | None = None
    dissent: bool = False
    by_confidence: bool = True
    allow_unpriced: bool = False
    timeout_s: float = 120.0
    working: Path = field(default_factory=Path.cwd)


class Opened(NamedTuple):
    """A party that is about to be held."""

    transcript: Transcript
    session: Session
    bound: tuple[Bound, ...]
    files: tuple[Material, ...]
    notes: tuple[str, ...]
    """What deserves to be said of its files and its size."""

    @property
    def place(self) -> Place:
        """Where it is kept."""
        return self.transcript.place


def options_of(text: str | None) -> tuple[str, ...]:
    """Return the options of `A|B|C`; raise `UsageError` for fewer than two, or two that are the same words."""
    if text is None:
        return ()
    found = tuple(redact(" ".join(one.split())) for one in text.split("|"))
    hint = '--options "A|B|C": from two to twenty, each another'
    if not all(found) or not all(one.isprintable() for one in found):
        raise UsageError("an option is empty or holds what cannot be shown", hint=hint)
    if not 1 < len(found) <= OPTIONS_MAX:
        raise UsageError(f"--options has {len(found)}", hint=hint)
    if long := next((one for one in found if len(one) > OPTION_MAX), ""):
        raise UsageError(
            f"an option has {len(long):,} characters, more than {OPTION_MAX}", hint="name it in a few words"
        )
    same = {normal(one) for one in found}
    if len(same) < len(found) or "" in same:
        raise UsageError("two options are the same words", hint=hint)
    return found


def refuse_off(context: Context) -> None:
    """Raise `ConfigurationError` with the reason where party mode is off for this session."""
    decided = flags.evaluate(context.config, history(context.root), FLAG, session_of("", os.environ))
    if not decided.value:
        hint = f"see: agent-studio flags explain {FLAG} --env {context.environment}"
        raise ConfigurationError(f"party mode is off in {context.environment}: {decided.detail}", hint=hint)


def seated(context: Context, wish: Wish) -> Team:
    """Return the team that is asked: a whole one, or one agent alone."""
    if not wish.agent:
        return team.load(context, wish.team)
    known = [] if wish.team is None else list(team.load(context, wish.team).seats)
    own = next((seat for seat in known if seat.agent == wish.agent), None)
    if own is None and wish.agent not in (names := seats.agents(context.project)):
        raise UsageError(f"no agent is named {wish.agent!r}", hint=did_you_mean(wish.agent, names))
    alone = own or team.Seat(1, wish.agent, "", 1, (), "")
    return team.Team(f"@{wish.agent}", team.PROJECT, f"@{wish.agent}", "", (_numbered(alone),))


class Prepared(NamedTuple):
    """A party that can be held: everything is checked, nothing is written."""

    line: dict[str, Any]
    bound: tuple[Bound, ...]
    files: tuple[Material, ...]


def prepare(context: Context, wish: Wish, models: Mapping[int, str], asked: Team, bound: Sequence[Bound]) -> Prepared:
    """Check and fix everything; `models` names each seat's model. Raises `UsageError` and `ConfigurationError`."""
    question = materials.question_of(wish.question)
    most = int(context.config[f"features.{FLAG}.turnLimit"])
    turn_limit = most if wish.turn_limit is None else wish.turn_limit
    if not 1 <= turn_limit <= most:
        raise UsageError(f"--turn-limit is {turn_limit}", hint=f"from 1 to {most} (features.{FLAG}.turnLimit)")
    fitted, notes = _files(context, wish, question, bound)
    line = {
        "kind": records.OPEN, "environment": str(context.environment), "question": question,
        "options": list(wish.options),
        "team": {"name": asked.name, "source": asked.source, "file": asked.file, "sha256": asked.sha256},
        "seats": [_seat(one, models[one.seat.number]) for one in bound],
        "seed": _seed(question, wish.options, bound), "turnLimit": turn_limit, "dissent": wish.dissent,
        "byConfidence": wish.by_confidence, "costLimitUsd": str(limit_usd(context, wish)),
        "allowUnpriced": wish.allow_unpriced, "timeoutS": wish.timeout_s, "notes": list(notes),
    }  # fmt: skip
    return Prepared(line, tuple(bound), tuple(fitted))


def begin(transcript: Transcript, prepared: Prepared) -> Opened:
    """Write the first line of a new party."""
    place = transcript.place
    line = {**prepared.line, "id": place.id, "filesSha256": place.keep_files(prepared.files)}
    session = records.opened(transcript.append([line])[0], place.shown)
    return Opened(transcript, session, prepared.bound, prepared.files, tuple(line["notes"]))


def unended(transcript: Transcript) -> Session:
    """Return an interrupted session.

    Raises `UsageError` for one that has ended or is of another environment, `IntegrityError` for one that was changed.
    """
    place = transcript.place
    session = records.fold(transcript.records, place.shown)
    held_in, here = session.opened.get("environment"), str(place.root.environment)
    if held_in != here:
        raise UsageError(
            f"{place.id} is held in {one_line(held_in, _SHOWN_MAX) or 'no environment'}, and this is {here}",
            hint="add --env with its environment",
        )
    transcript.refuse_unknown()
    if session.closed is not None:
        raise UsageError(
            f"{place.id} has ended: {session.closed['reason']}",
            hint=f"see it: {session.command('show')}; or ask anew: agent-studio party run",
        )
    return session


def again(context: Context, transcript: Transcript, session: Session) -> Opened:
    """Open an interrupted session; raise `ConfigurationError` where an agent's file is another one now."""
    place = transcript.place
    bound = [_rebound(context, chair) for chair in session.seats]
    files = place.files(str(session.opened["filesSha256"]))
    unanswered = [one.call for one in session.turns if not one.is_settled and not one.is_abandoned]
    if session.turns and not session.halted:
        for line in transcript.append([{"kind": records.RESUME, "unanswered": unanswered}]):
            records.apply(session, line, place.shown)
    return Opened(transcript, session, tuple(bound), tuple(files), tuple(session.opened["notes"]))


def limit_usd(context: Context, wish: Wish) -> Decimal:
    """Return what the session may cost; raise `UsageError` for more than the configuration allows."""
    most = Decimal(str(context.config[f"features.{FLAG}.costLimit"]))
    if wish.budget_usd is not None and wish.budget_usd > most:
        raise UsageError(f"--budget-usd is {wish.budget_usd}", hint=f"{most} at most (features.{FLAG}.costLimit)")
    return most if wish.budget_usd is None else wish.budget_usd


def _files(context: Context, wish: Wish, question: str, bound: Sequence[Bound]) -> tuple[list[Material], list[str]]:
    limit = int(context.config[f"features.{FLAG}.contextLimit"])
    personas = max(materials.tokens(one.persona) for one in bound)
    taken = _OVERHEAD + materials.tokens(question) + personas + _POSITIONS_A_SEAT * len(bound)
    if taken > limit:
        raise UsageError(
            f"question and persona take about {taken:,} tokens, and a context has {limit:,} at most",
            hint="shorten them, or raise features.partyMode.contextLimit",
        )
    loaded = materials.load(wish.files, context.project.path, wish.working)
    fitted = materials.fitted(loaded, room=limit - taken, limit=limit)
    notes, size = list(fitted.notes), taken + sum(materials.tokens(one.text) for one in fitted.files)
    warn = int(context.config[f"features.{FLAG}.contextWarning"])
    if size > warn:
        notes.append(
            f"each call is shown about {size:,} tokens, more than {warn:,} (features.partyMode.contextWarning)"
        )
    return list(fitted.files), notes


def _seat(one: Bound, model: str) -> dict[str, Any]:
    return {
        "seat": one.seat.number, "agent": one.seat.agent, "role": one.seat.role, "weight": str(one.seat.weight),
        "model": model, "source": one.source, "file": one.file, "sha256": one.sha256, "method": one.seat.method,
    }  # fmt: skip


def _seed(question: str, options: Sequence[str], bound: Sequence[Bound]) -> str:
    """Return what orders are drawn from: the same for the same question and agents, so that it can be replayed."""
    asked = json.dumps([question, list(options), [one.sha256 for one in bound]])
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def _rebound(context: Context, chair: records.Chair) -> Bound:
    seat = team.Seat(chair.number, chair.agent, chair.role, chair.number, (), chair.model, chair.weight, chair.method)
    bound = seats.bind(context.project, team.Team("", "", chair.file or chair.agent, "", (seat,)))[0]
    if bound.sha256 != chair.sha256:
        raise ConfigurationError(
            f"{bound.file or bound.seat.agent} is not what it was when the session began",
            hint="put the agent's file back to go on, or ask anew",
        )
    return bound


def _numbered(seat: Seat) -> Seat:
    return replace(seat, number=1)
