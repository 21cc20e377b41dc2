"""What model responses used and cost: reports, the ledger, prices and budgets.

The ledger holds every response that Claude Code made in this environment, each once, priced by its date. `import` fills
it from the client's transcripts, which the client deletes after 30 days; `ingest` and `serve` do so as sessions run.

  agent-studio cost import --env production
  agent-studio cost report --by day,model
  agent-studio cost report --source transcripts --days 7
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "report": ("report", "sums by day, model, session, agent and more"),
    "import": ("importing", "fill the ledger from the client's transcripts"),
    "record": (
        "record",
        "add the calls of a program that asks models itself, from the command line or as JSON lines on stdin",
    ),
    "verify": ("verify", "check the ledger's chain, its checkpoints and their signatures"),
    "budget": ("budget", "how much of each budget is used, and when it will be gone; check: exit 1 when one is over"),
    "prices": ("prices", "what a model costs; update: a newer table; override: a price of your own"),
}
"""Sub-verbs, the module of `cli/cost/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs, each with the options of its own module."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBVERB", required=True)
    for name, (module, does) in _SUBVERBS.items():
        verb: Parser = verbs.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        verb.later(partial(_configure, module))


def _configure(module: str, verb: Parser) -> None:
    part = import_module(f"agent_studio.cli.cost.{module}")
    part.configure(verb)
    verb.set_defaults(part=part)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    if getattr(args, "part", None) is None:
        raise UsageError("name a sub-verb", hint=f"one of {', '.join(_SUBVERBS)}")
    result: Result = args.part.run(args, session)
    return result
