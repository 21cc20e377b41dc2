"""`party run`: ask a question."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.cli.aliases import alias
from agent_studio.cli.party import decide, shared
from agent_studio.cost.money import usd_of
from agent_studio.errors import ExitCode, UsageError
from agent_studio.reasoning.party import holding, opening
from agent_studio.reasoning.party.materials import QUESTION_MAX

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from decimal import Decimal

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Result
    from agent_studio.reasoning.party.opening import Opened

_TIMEOUT_S, _TIMEOUT_MAX_S = 120.0, 3_600.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "question", nargs="*", metavar="QUESTION",
        help='what is asked; "@agent ..." asks one agent alone; "-" or nothing reads it from stdin',
    )  # fmt: skip
    parser.add_argument("--question-file", metavar="FILE", help="read the question from a file")
    parser.add_argument("--options", metavar='"A|B|C"', help="what may be chosen; without, seats state claims and vote")
    parser.add_argument("--team", metavar="NAME", help="who is asked (default: the project's team default, or general)")
    parser.add_argument("--model", metavar="NAME", help="the model of every seat (default: the team's, models.default)")
    parser.add_argument("--file", action="append", default=[], metavar="FILE", help="what it is about; may be repeated")
    budget = parser.add_argument(
        "--budget-usd", metavar="USD", help="what it may cost (default: features.partyMode.costLimit)"
    )
    alias(parser, budget, "--limit-usd")
    parser.add_argument("--allow-unpriced", action="store_true", help="ask models whose price nobody knows")
    parser.add_argument("--turn-limit", type=int, metavar="N", help="rounds at most (default: ...turnLimit)")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, metavar="S", help="seconds for one answer")
    parser.add_argument("--dissent", action="store_true", help="when all of one model agree, have the other case made")
    parser.add_argument("--ignore-confidence", action="store_true", help="count every vote alike, however sure")
    parser.add_argument("--decide", action="store_true", help="record what is recommended in decisions.md")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Hold a party; interrupted, show what there is."""
    wish = _wish(args)
    opened: list[Opened] = []

    def tell(party: Opened) -> Callable[[str], None]:
        opened.append(party)
        return shared.telling(party)

    code = ExitCode.DONE
    try:
        found = holding.run(session.context, wish, tell)
    except KeyboardInterrupt:
        if not opened:
            raise
        found, code = shared.read(opened[0].place), ExitCode.INTERRUPTED
    result = shared.result(found, opened[0].notes, code)
    return decide.added(session, found, result) if args.decide and not code else result


def _wish(args: argparse.Namespace) -> opening.Wish:
    question, agent = _question(args), ""
    if question.startswith("@"):
        agent, _, question = " ".join(question[1:].split(None, 1)).partition(" ")
        if not agent or not question.strip():
            raise UsageError("@ names an agent, and a question follows", hint='"@security-auditor Is this safe?"')
    return opening.Wish(
        question=question, options=opening.options_of(args.options), team=args.team, agent=agent, model=args.model,
        files=tuple(args.file), budget_usd=budget(args.budget_usd), turn_limit=args.turn_limit, dissent=args.dissent,
        by_confidence=not args.ignore_confidence, allow_unpriced=args.allow_unpriced, timeout_s=timeout_s(args.timeout),
        working=Path.cwd(),
    )  # fmt: skip


def _question(args: argparse.Namespace) -> str:
    given = " ".join(args.question)
    if args.question_file and given:
        raise UsageError("a question and --question-file are given", hint="give one of them")
    if args.question_file:
        try:
            with Path(args.question_file).open("rb") as file:
                return _decoded(file.read(8 * QUESTION_MAX), f"--question-file {args.question_file}")
        except OSError as error:
            raise UsageError(f"--question-file {args.question_file}: {error.strerror}", hint="name a file") from None
    if given not in {"", "-"}:
        return given
    if sys.stdin.isatty():
        raise UsageError("no question is asked", hint='agent-studio party run "Which queue do we use?"')
    stream = getattr(sys.stdin, "buffer", None)
    return _decoded(stream.read(8 * QUESTION_MAX), "stdin") if stream else sys.stdin.read(8 * QUESTION_MAX)


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end == len(data) == 8 * QUESTION_MAX:
            return data[: error.start].decode("utf-8-sig")
        raise UsageError(f"{name} is not UTF-8 (byte {error.start})", hint="write the question as UTF-8") from None


def timeout_s(seconds: float) -> float:
    """Return how long one answer may take; raise `UsageError` for what is no such time."""
    if not 0 < seconds <= _TIMEOUT_MAX_S:
        raise UsageError(f"--timeout is {seconds:g}", hint=f"above 0, up to {_TIMEOUT_MAX_S:g} seconds")
    return seconds


def budget(text: str | None) -> Decimal | None:
    """Return an amount in USD; raise `UsageError` for what is none."""
    amount = usd_of(text)
    if text is not None and amount is None:
        raise UsageError(f"--budget-usd is {text!r}", hint="an amount in USD from 0 up, such as 1.50")
    return amount
