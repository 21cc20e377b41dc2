"""A party is held: models are opened for its seats, and calls are made under its limit."""

from __future__ import annotations

import os
import secrets
from decimal import Decimal
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.reasoning import endings
from agent_studio.reasoning.asking import Asker
from agent_studio.reasoning.depth import refuse_nested
from agent_studio.reasoning.models.choice import open_model
from agent_studio.reasoning.party import evidence, opening, own, seats, store, strategies
from agent_studio.reasoning.party.prompts import Private
from agent_studio.reasoning.party.rounds import CLIENT
from agent_studio.reasoning.party.session import Party
from agent_studio.reasoning.party.strategies import Table
from agent_studio.reasoning.party.team import load as load_team

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.asking import Answer
    from agent_studio.reasoning.models.model import Model, Request
    from agent_studio.reasoning.party.opening import Opened, Wish
    from agent_studio.reasoning.party.outcome import Outcome
    from agent_studio.reasoning.party.seats import Bound
    from agent_studio.reasoning.party.store import Place
    from agent_studio.reasoning.party.strategies import Question, Score


def run(context: Context, wish: Wish, tell: Callable[[Opened], Callable[[str], None]]) -> Outcome:
    """Hold a new party and return what it came to; `tell` is handed the party and returns who hears of progress."""
    refuse_nested(os.environ)
    opening.refuse_off(context)
    asked = opening.seated(context, wish)
    bound = seats.bind(context.project, asked)
    models = _opened(context, {one.seat.number: _chosen(context, wish.model, one) for one in bound})
    prepared = opening.prepare(context, wish, {seat: model.name for seat, model in models.items()}, asked, bound)
    _refuse_unrecorded(context, models)
    with store.new(context).held() as transcript:
        opened = opening.begin(transcript, prepared)
        return endings.run(_held(context, opened, models, tell(opened)))


def resume(context: Context, place: Place, tell: Callable[[Opened], Callable[[str], None]]) -> Outcome:
    """Go on with an interrupted party; raise `BusyError` where another process is at work on it."""
    refuse_nested(os.environ)
    opening.refuse_off(context)
    with place.held() as transcript:
        session = opening.unended(transcript)
        models = _opened(context, {chair.number: chair.model for chair in session.seats})
        _refuse_unrecorded(context, models)
        opened = opening.again(context, transcript, session)
        return endings.run(_held(context, opened, models, tell(opened)))


def cancel(place: Place) -> Outcome | None:
    """Close a party that no process is at work on; of a running one None, once it has been told to end."""
    if place.is_running():
        place.wish_cancelled()
        return None
    with place.held() as transcript:
        session = opening.unended(transcript)
        party = Party(session, transcript, _Nobody(), models={}, own={}, files=(), read=lambda _: None, timeout_s=0)
        party.halt("cancelled")
        return party.close()


class _Nobody:
    """Makes no calls."""

    async def ask(self, model: Model, request: Request) -> Answer:
        raise AssertionError(f"{model.name} is asked {request}")

    def worst_usd(self, model: Model, request: Request) -> Decimal | None:
        raise AssertionError(f"{model.name} is asked {request}")


async def _held(context: Context, opened: Opened, models: dict[int, Model], tell: Callable[[str], None]) -> Outcome:
    session, place = opened.session, opened.place
    asker = Asker(
        context, limit_usd=Decimal(session.opened["costLimitUsd"]), purpose="party", session=place.id,
        allow_unpriced=bool(session.opened["allowUnpriced"]),
    )  # fmt: skip
    asker.already(session.worst_usd)
    _go_on(opened, models)
    party = Party(
        session, opened.transcript, asker, models=models,
        own={one.seat.number: own.of(context, one) for one in opened.bound}, files=opened.files,
        read=evidence.reader(context.project, {one.name: one.text for one in opened.files}),
        timeout_s=float(session.opened["timeoutS"]), tell=tell,
    )  # fmt: skip
    try:
        found = await party.run()
        return found._replace(unrecorded=tuple(dict.fromkeys(asker.unrecorded)))
    finally:
        for model in {id(one): one for one in models.values()}.values():
            await model.close()


def _refuse_unrecorded(context: Context, models: Mapping[int, Model]) -> None:
    """Raise `UsageError` where there is no ledger for calls that cost something."""
    asker = Asker(context, limit_usd=None, purpose="party", session="")
    for model in models.values():
        asker.require_ledger(model)


def _opened(context: Context, names: dict[int, str | None]) -> dict[int, Model]:
    """Return the model of each seat; seats of one model share it."""
    models: dict[str | None, Model] = {}
    for name in names.values():
        if name not in models:
            models[name] = open_model(context, name)
    return {seat: models[name] for seat, name in names.items()}


def _go_on(opened: Opened, models: dict[int, Model]) -> None:
    """Let a scripted model go on where it was: its answers are taken in order."""
    for model in {id(one): one for one in models.values()}.values():
        forward = getattr(model, "resume", None)
        if forward is not None:
            turns = [one for one in opened.session.turns if one.is_settled and models[one.seat] is model]
            agents = [opened.session.chair(one.seat).agent for one in turns]
            forward({agent: agents.count(agent) for agent in agents})


def _chosen(context: Context, wished: str | None, one: Bound) -> str | None:
    """Return the model of a seat: what was wished for all, else its team's or its agent's, else the default."""
    if wished is not None:
        return wished
    stated = one.seat.model or one.model
    if ":" in stated:
        return stated
    if not stated or stated == "inherit":
        return None
    if stated in (context.config["models.aliases"] or {}):
        return stated
    is_client = str(context.config["models.default"] or "").partition(":")[0] == CLIENT
    return f"{CLIENT}:{stated}" if is_client else None


def unopened(context: Context, bound: Sequence[Bound]) -> Iterator[AgentStudioError]:
    """Yield why the model of a seat cannot be asked here."""
    for one in bound:
        try:
            open_model(context, _chosen(context, None, one))
        except AgentStudioError as fault:
            yield fault


async def compared(
    context: Context, questions: Sequence[Question], *, team: str | None, model: str | None, limit_usd: Decimal,
    wanted: Sequence[str], timeout_s: float, tell: Callable[[int, int], None],
) -> tuple[list[Score], int]:  # fmt: skip
    """Ask questions in several ways and return what each came to, and how many seats there are."""
    refuse_nested(os.environ)
    opening.refuse_off(context)
    bound = seats.bind(context.project, load_team(context, team))
    models = _opened(context, {one.seat.number: _chosen(context, model, one) for one in bound})
    _refuse_unrecorded(context, models)
    asker = Asker(context, limit_usd=limit_usd, purpose="party bench", session=f"bench-{secrets.token_hex(4)}")
    table = Table(
        tuple({"agent": one.seat.agent, "role": one.seat.role, "weight": str(one.seat.weight)} for one in bound),
        models, {one.seat.number: own.of(context, one) for one in bound}, Private("You answer questions."), timeout_s,
    )  # fmt: skip
    try:
        return await strategies.compared(questions, table, asker, wanted, tell), len(bound)
    finally:
        for opened in {id(one): one for one in models.values()}.values():
            await opened.close()
