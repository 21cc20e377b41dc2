"""`memory add`: write a note down, unless it is there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from agent_studio.cli.output import Result, working
from agent_studio.errors import UsageError
from agent_studio.memory.book import open_memory
from agent_studio.memory.notes import KINDS
from agent_studio.memory.writing import SEVERITIES, TEXT_MAX_BYTES

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("kind", choices=list(KINDS), help="which file it goes to")
    parser.add_argument("text", help="what was learned, decided or found; - reads it from stdin")
    parser.add_argument("--title", default="", help="its heading (default: the first sentence)")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="a word to find it by; may be repeated"
    )
    parser.add_argument("--source", default="", metavar="WHERE", help="a file, a session, an address")
    parser.add_argument("--severity", default="", choices=list(SEVERITIES), help="of an issue (default: medium)")
    parser.add_argument("--status", default="", help="of a decision or issue (default: Accepted, Open)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Add the note; exit code 1 when it is there already."""
    text = text_of(args.text)
    with working("reading memory"):
        made = open_memory(session.context).add(
            args.kind, text, title=args.title, severity=args.severity, status=args.status, tags=args.tag,
            source=args.source,
        )  # fmt: skip
    return Result(made.told(), lambda screen: screen.mark("ok", f"{made.id} in memory/{made.place}: {made.title}"))


def text_of(given: str) -> str:
    """Return a text from the command line, or from stdin for `-`."""
    if given != "-":
        return given
    text = sys.stdin.read(2 * TEXT_MAX_BYTES)
    if not text.strip():
        raise UsageError("stdin says nothing", hint='echo "..." | agent-studio memory add learning -')
    return text
