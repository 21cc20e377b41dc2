"""`party show`: what a party came to, on the terminal or as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import files
from agent_studio.cli.output import Result
from agent_studio.cli.party import shared
from agent_studio.reasoning.party import outcome, report, verify

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the id and the form."""
    parser.add_argument(
        "party", metavar="ID", nargs="?", default="last", help="its id, or the end of its id (default: the newest)"
    )
    parser.add_argument("--markdown", action="store_true", help="as Markdown")
    parser.add_argument("--out", metavar="FILE", help="write the Markdown into a file")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show a party."""
    looked = verify.trusted(shared.place_of(session, args.party))
    found = outcome.of(looked.session)
    notes = () if looked.is_vouched else (verify.NOT_VOUCHED,)
    if not args.markdown and not args.out:
        return shared.result(found, notes)
    text = report.markdown(found)
    data = {**outcome.data(found), "markdown": text}
    if args.out:
        place = files.write(args.out, text.encode(), files.definitions_of(session))
        return Result({**data, "file": str(place)}, lambda screen: screen.mark("ok", f"Written to {args.out}"))
    return Result(data, lambda screen: screen.block(text))
