"""`memory search`: the notes that fit a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.memory.list import state
from agent_studio.cli.output import Result, working
from agent_studio.errors import ExitCode, UsageError
from agent_studio.memory.book import open_memory
from agent_studio.memory.notes import KINDS, SESSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.memory.book import Hit

_LIMIT_MAX = 200


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("words", nargs="+", metavar="WORDS", help="a question, or words in any order")
    parser.add_argument("--kind", default="", choices=[*KINDS, SESSION.name], help="only of this kind")
    parser.add_argument("--open", action="store_true", dest="only_open", help="only what still holds")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="hits at most (default: 10)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Search; exit code 1 when nothing fits."""
    if not 1 <= args.limit <= _LIMIT_MAX:
        raise UsageError(f"--limit {args.limit} is not from 1 to {_LIMIT_MAX}")
    question = " ".join(args.words)
    with working("reading memory"):
        hits = open_memory(session.context).search(question, args.limit, kind=args.kind, only_open=args.only_open)
    data = {"query": question, "hits": [{**hit.note.told(), "score": hit.score} for hit in hits]}
    code = ExitCode.DONE if hits else ExitCode.FAILED
    return Result(data, lambda screen: _render(screen, question, hits), code)


def _render(screen: Screen, question: str, hits: Sequence[Hit]) -> None:
    if not hits:
        screen.line(f"Nothing fits {question!r}.")
        return
    rows = [(f"{hit.score:.1f}", hit.note.id, hit.note.kind, state(hit.note), hit.note.title) for hit in hits]
    screen.columns(("score", "id", "kind", "state", "title"), rows, numbers=("score",))
