"""`party bench`: what a party is worth on questions whose answers are known, against cheaper ways."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.cli.aliases import alias
from agent_studio.cli.output import Result, working
from agent_studio.cli.party.run import budget, timeout_s
from agent_studio.errors import UsageError
from agent_studio.monitor.intervals import EACH_SIDE, rate
from agent_studio.reasoning import endings
from agent_studio.reasoning.party import holding, strategies
from agent_studio.reasoning.party.strategies import STRATEGIES

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.reasoning.party.strategies import Score

_BUDGET = "5"
_TIMEOUT_S = 120.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("questions", metavar="FILE", help='JSONL: {"id", "question", "options": [], "answer"} a line')
    parser.add_argument("--team", metavar="NAME", help="who is asked")
    parser.add_argument("--model", metavar="NAME", help="the model of every seat")
    parser.add_argument("--limit", type=int, metavar="N", help="ask the first N questions only")
    usd = parser.add_argument("--budget-usd", default=_BUDGET, metavar="USD", help=f"for all (default: {_BUDGET})")
    alias(parser, usd, "--limit-usd")
    parser.add_argument("--only", action="append", choices=STRATEGIES, help="compare only these; may be repeated")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, metavar="S", help="seconds for one answer")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Ask every question in every way, within the same number of calls, and show a table with intervals."""
    try:
        text = Path(args.questions).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise UsageError(f"{args.questions}: {reason}", hint="name a JSONL file of questions") from None
    questions = strategies.read(text, args.questions)
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit is {args.limit}", hint="from 1 up")
    asked, limit = questions[: args.limit], budget(args.budget_usd) or Decimal(0)
    with working("asking") as told:
        scores, seats = endings.run(
            holding.compared(
                session.context, asked, team=args.team, model=args.model, limit_usd=limit,
                wanted=tuple(args.only or STRATEGIES), timeout_s=timeout_s(args.timeout), tell=told,
            )
        )  # fmt: skip
    rows = [_row(score) for score in scores]
    data = {"questions": len(asked), "seats": seats, "callsAllowed": 2 * seats, "strategies": rows}
    return Result(data, lambda screen: _render(screen, data))


def _row(score: Score) -> dict[str, Any]:
    bounds = rate(score.right, score.questions, EACH_SIDE)
    return {
        "strategy": score.strategy, "right": score.right, "wrong": score.wrong, "none": score.none,
        "accuracy": score.right / score.questions, "low": bounds.low, "high": bounds.high,
        "callsPerQuestion": score.calls / score.questions,
        "costUsd": None if score.cost_usd is None else float(score.cost_usd),
        "states": {name: {"right": right, "answers": whole} for name, (right, whole) in sorted(score.by_state.items())},
    }  # fmt: skip


def _render(screen: Screen, data: dict[str, Any]) -> None:
    screen.line(
        f"{data['questions']} questions, {data['seats']} seats, {data['callsAllowed']} calls a question at most"
    )
    rows = [
        (
            one["strategy"], f"{one['accuracy']:.1%}", f"{one['low']:.1%} to {one['high']:.1%}", str(one["none"]),
            f"{one['callsPerQuestion']:.1f}", "unknown" if one["costUsd"] is None else f"${one['costUsd']:.4f}",
        )
        for one in data["strategies"]
    ]  # fmt: skip
    screen.columns(("way", "right", "95 % interval", "none", "calls", "cost"), rows, numbers={"right", "none", "calls"})
    for one in data["strategies"]:
        for name, held in one["states"].items():
            screen.line(f"  {one['strategy']} {name}: {held['right']} of {held['answers']} answers right")
    screen.told("note", "intervals that overlap show no difference; more questions make them narrower")
