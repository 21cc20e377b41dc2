"""`elicit reject`: keep on record that findings are not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result
from agent_studio.errors import ExitCode, UsageError
from agent_studio.reasoning.elicitation import applying, store

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session

_REASON_MAX = 2_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("id", metavar="ID", help="a run")
    parser.add_argument(
        "--finding", type=int, action="append", default=[], metavar="N",
        help="a finding; may be repeated (default: all that are undecided)",
    )  # fmt: skip
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Record the rejection; no text is touched."""
    if len(args.reason) > _REASON_MAX:
        raise UsageError(f"--reason has {len(args.reason):,} characters; at most {_REASON_MAX:,} are kept")
    _, numbers = applying.reject(session.context, args.id, args.finding, args.reason)
    data = {"id": args.id, "rejected": numbers, "reason": args.reason}
    if not numbers:
        problem = Problem("nothing", "there is nothing to reject", store.command(session.context, "show", args.id))
        return Result(data, lambda _: None, ExitCode.FAILED, [problem])
    told = ", ".join(map(str, numbers))
    return Result(data, lambda screen: screen.mark("ok", f"rejected: finding {told}; the text is as it was"))
