"""What model responses used and cost: reports, the ledger, prices and budgets.

The ledger holds every response that Claude Code made in this environment, each once, priced by its date. `import` fills
it from the client's transcripts, which the client deletes after 30 days; `ingest` and `serve` do so as sessions run.

  agent-studio cost import --env production
  agent-studio cost report --by day,model
  agent-studio cost report --source transcripts --days 7
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "report": "sums by day, model, session, agent and more",
    "import": "fill the ledger from the client's transcripts",
    "record": "add the calls of a program that asks models itself, from the command line or as JSON lines on stdin",
    "verify": "check the ledger's chain, its checkpoints and their signatures",
    "budget": "how much of each budget is used, and when it will be gone; check: exit 1 when one is over",
    "prices": "what a model costs; update: a newer table; override: a price of your own",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    from agent_studio.cli.cost import budget, importing, prices, report, verify  # noqa: PLC0415 - each brings its own
    from agent_studio.cli.cost import record as recording  # noqa: PLC0415

    parts = {
        "report": report,
        "import": importing,
        "record": recording,
        "verify": verify,
        "budget": budget,
        "prices": prices,
    }
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBVERB", required=True)
    for name, does in _SUBVERBS.items():
        made: Any = verbs.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        parts[name].configure(made)
        made.set_defaults(part=parts[name])


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    if getattr(args, "part", None) is None:
        raise UsageError("name a sub-verb", hint=f"one of {', '.join(_SUBVERBS)}")
    result: Result = args.part.run(args, session)
    return result
