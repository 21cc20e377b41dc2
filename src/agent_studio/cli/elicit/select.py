"""`elicit select`: which methods fit a request or a text, and none where none does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.elicit import inputs
from agent_studio.cli.output import Problem, Result, harmless
from agent_studio.errors import ExitCode, UsageError
from agent_studio.reasoning.elicitation import draft, limits
from agent_studio.reasoning.elicitation.methods import on_offer
from agent_studio.reasoning.elicitation.select import is_read, select

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.reasoning.elicitation.select import Fit

LIMIT_MAX = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="a request or question (default: standard input)")
    parser.add_argument("--file", metavar="FILE", help="a text that methods are wanted for")
    parser.add_argument("--limit", type=int, default=3, metavar="N", help="methods at most (default: 3)")
    parser.add_argument("--session", default="", metavar="NAME", help="the session, where the feature is rolled out")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Score every method on offer; exit code 1 when none fits."""
    if not 1 <= args.limit <= LIMIT_MAX:
        raise UsageError(f"--limit {args.limit} is not from 1 to {LIMIT_MAX}")
    context = session.context
    limits.require_on(context, limits.session_of(args.session, session.variables))
    text = _text(args, session)
    least = limits.least_score(context)
    found = select(text, on_offer(context).values(), least=least, limit=args.limit)
    problems = [] if is_read(text) else [_unread()]
    code = ExitCode.DONE if found else ExitCode.FAILED
    return Result({**data(found), "minConfidence": least}, lambda screen: _render(screen, found, least), code, problems)


def data(found: list[Fit]) -> dict[str, Any]:
    """Return methods that fit for programs."""
    return {
        "methods": [
            {"id": one.method.id, "score": one.score, "purpose": one.method.purpose, "because": list(one.because)}
            for one in found
        ]
    }


def _text(args: argparse.Namespace, session: Session) -> str:
    if args.text and args.file:
        raise UsageError("a text and --file are two texts", hint="give one of them")
    if args.text:
        text = " ".join(args.text)
    else:
        given = inputs.read(args.file, session)
        text = draft.decoded(given.data, given.name)
    if not text.strip():
        raise UsageError("the text is empty", hint='agent-studio elicit select "What could go wrong?"')
    return text


def _unread() -> Problem:
    return Problem(
        "unread", "the text has no words in Latin letters, and the cues of our methods are English",
        "name a method: agent-studio elicit list", is_note=True,
    )  # fmt: skip


def _render(screen: Screen, found: list[Fit], least: float) -> None:
    if not found:
        screen.line(f"No method fits (none scores {least:g} or more). All of them: agent-studio elicit list")
        return
    rows = [(f"{one.score:.2f}", one.method.id, harmless(one.method.purpose)) for one in found]
    screen.columns(("score", "method", "what it does"), rows, numbers=("score",))
