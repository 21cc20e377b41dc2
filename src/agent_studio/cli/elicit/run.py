"""`elicit run`: methods look at a text, each in a context of its own, and what passes the gate is offered."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from agent_studio.cli.aliases import alias
from agent_studio.cli.elicit import inputs, shown
from agent_studio.cli.output import Problem, Result, working
from agent_studio.cost.money import usd_of
from agent_studio.errors import AgentStudioError, ExitCode, UsageError
from agent_studio.reasoning import depth, endings
from agent_studio.reasoning.asking import Asker
from agent_studio.reasoning.elicitation import draft, limits, store
from agent_studio.reasoning.elicitation.methods import chosen, on_offer
from agent_studio.reasoning.elicitation.places import refuse_place
from agent_studio.reasoning.elicitation.running import Running, Task
from agent_studio.reasoning.elicitation.select import select

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from decimal import Decimal

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.elicitation.methods import Method
    from agent_studio.reasoning.models.model import Model

_CHOSEN_BY_ITSELF = 3
_GOAL_MAX = 4_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--method", action="append", default=[], metavar="M", help="a method; may be repeated (default: those that fit)"
    )
    parser.add_argument("--file", metavar="FILE", help="the text (default: standard input)")
    parser.add_argument("--section", default="", metavar="HEADING", help="only the section under this heading")
    parser.add_argument(
        "--goal", default="", metavar="TEXT", help="what is wanted of the text; methods are chosen by it"
    )
    parser.add_argument("--model", metavar="NAME", help="who answers (default: models.default)")
    usd = parser.add_argument("--budget-usd", metavar="USD", help="for this run at most, below the session's limit")
    alias(parser, usd, "--limit-usd")
    parser.add_argument("--allow-unpriced", action="store_true", help="ask a model without a known price all the same")
    parser.add_argument("--no-judge", action="store_true", help="offer what passes the checks without a judge")
    parser.add_argument("--session", default="", metavar="NAME", help="the session that it counts for")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run the methods; exit code 1 when none fits, or when all of them failed."""
    context = session.context
    name = limits.session_of(args.session, session.variables)
    limits.require_on(context, name)
    given = inputs.read(args.file, session)
    if given.file:
        refuse_place(context, given.file)  # before anybody is paid for what could not be applied
    text = draft.read(given.data, given.name, args.section)
    if len(args.goal) > _GOAL_MAX:
        raise UsageError(f"--goal has {len(args.goal):,} characters; at most {_GOAL_MAX:,} are taken")
    methods = _methods(args.method, args.goal or text.part, context)
    if not methods:
        return _none(context)
    depth.refuse_nested(session.variables)
    opened = _open(context, args.model)
    task = Task(store.new_id(), text, methods, args.goal, judged=not args.no_judge)
    began = {
        "id": task.id, "session": name, "methods": [one.id for one in methods], "model": opened.name, "goal": args.goal,
        "file": given.file, "name": given.name, "section": args.section, "sha256": draft.digest(given.data),
        "judged": task.judged,
    }  # fmt: skip
    budget = _budget(args.budget_usd)
    with working(f"{len(methods)} methods at work"), store.alone(context, name):
        spent = store.spent_usd(context, name)
        asker = Asker(
            context, limit_usd=limits.budget_usd(context, spent, budget), purpose="elicit", session=name,
            allow_unpriced=args.allow_unpriced,
        )  # fmt: skip
        asker.already(spent)
        asker.require_ledger(opened)
        store.began(context, began, given.data, most=limits.runs_most(context))
        status = endings.run(_run(Running(context, task, asker, opened), opened))
    lost = [*asker.unrecorded, *getattr(opened, "unkept", ())]
    return _result(shown.View(context, store.load(context, task.id), text, given.name), status, lost)


def _result(view: shown.View, status: str, lost: Sequence[str]) -> Result:
    problems = [*shown.problems(view.run), *(Problem("unrecorded", why, is_note=True) for why in lost)]
    code = ExitCode.DONE if status == store.DONE else ExitCode.FAILED
    return Result(shown.data(view), lambda screen: shown.render(screen, view), code, problems)


async def _run(running: Running, model: Model) -> str:
    try:
        return await running.run()
    finally:
        with contextlib.suppress(AgentStudioError):
            await model.close()


def _open(context: Context, name: str | None) -> Model:
    from agent_studio.reasoning.models.choice import open_model  # noqa: PLC0415 - only where a model is asked

    return open_model(context, name)


def _methods(named: Sequence[str], text: str, context: Context) -> list[Method]:
    """Return the named methods, else those that fit; raise `UsageError` for more than one run may have."""
    most = limits.methods_most(context)
    if named:
        methods = chosen(context, (name for one in named for name in one.split(",") if name.strip()))
        if len(methods) > most:
            raise UsageError(
                f"{len(methods)} methods are more than the {most} that one run may have",
                hint="run them in two, or raise features.advancedElicitation.maxMethodsPerInvocation",
            )
        if not methods:
            raise UsageError("--method names none", hint="agent-studio elicit list")
        return methods
    most = min(most, _CHOSEN_BY_ITSELF)
    offered = on_offer(context).values()
    return [fit.method for fit in select(text, offered, least=limits.least_score(context), limit=most)]


def _none(context: Context) -> Result:
    least = limits.least_score(context)
    told = f"no method fits this text: none scores {least:g} or more"
    problem = Problem("none-fits", told, "name one: agent-studio elicit run --method M; agent-studio elicit list")
    return Result({"id": None, "methods": [], "findings": []}, lambda _: None, ExitCode.FAILED, [problem])


def _budget(written: str | None) -> Decimal | None:
    value = usd_of(written)
    if written is not None and value is None:
        raise UsageError(f"--budget-usd {written} is no amount", hint="write US dollars, such as 0.50")
    return value
