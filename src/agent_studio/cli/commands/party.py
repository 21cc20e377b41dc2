"""Ask several agents one question, each alone, and see what they agree on, what they do not, and what it cost.

Every seat of a team answers by a call of its own, blind at first; the tally is exact, a change of mind needs a new
argument, and a transcript proves how many calls there were. Without a consensus nothing is forced: a person decides.

  agent-studio party run "Which queue do we use?" --options "Postgres|Redis|Kafka" --team architecture-decision
  agent-studio party run "@security-auditor What could go wrong here?" --file bookshop/orders.py
  agent-studio party verify last
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "run": ("run", "ask a question; exit code 0 whatever they agree on, 130 when interrupted"),
    "verify": ("verify", "say how many separate calls by how many models, and whether the transcript is whole"),
    "resume": ("resume", "go on with an interrupted party; calls that were answered are not made again"),
    "cancel": ("cancel", "end a party with what there is so far"),
    "show": ("show", "show what a party came to, also as Markdown"),
    "list": ("listing", "list parties"),
    "decide": ("decide", "record what was decided in decisions.md"),
    "teams": ("teams", "list teams and who sits in them"),
    "check": ("check", "check a team: its file, its agents, its models"),
    "bench": ("bench", "compare a single answer, self-consistency, a blind vote and a party on your questions"),
}
"""Sub-verbs, the module of `cli/party/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "party", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    return subverbs.run(args, session)
