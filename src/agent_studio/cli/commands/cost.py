"""What model responses used and cost: reports, the ledger, prices and budgets.

The ledger holds every response that Claude Code made in this environment, each once, priced by its date. `import` fills
it from the client's transcripts, which the client deletes after 30 days; `ingest` and `serve` do so as sessions run.

  agent-studio cost import --env production
  agent-studio cost report --by day,model
  agent-studio cost report --source transcripts --days 7
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs

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
    """Add the sub-verbs."""
    subverbs.configure(parser, "cost", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    return subverbs.run(args, session)
