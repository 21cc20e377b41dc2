"""Find the right skill, agent, command or workflow, and keep what is there findable.

agent-studio kb search "review a database migration"
agent-studio kb get code-reviewer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "build": ("build", "read every artifact again and replace the index"),
    "search": ("search", "rank the artifacts that fit a query; exit code 1 when none does"),
    "get": ("get", "show an artifact, as much of it as is asked for; exit code 1 when there is none"),
    "list": ("list", "list what there is, filtered and sorted"),
    "stats": ("stats", "count what there is, and how old the index is"),
    "doctor": ("doctor", "find what is wrong with which artifact, and how it would look repaired"),
    "budget": ("budget", "show which descriptions the client hides from the model, and what to shorten"),
    "eval": ("eval", "measure how well search answers judged questions of your own"),
}
"""Sub-verbs, the module of `cli/kb/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "kb", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    return subverbs.run(args, session)
