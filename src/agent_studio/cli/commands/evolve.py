"""Bring a new agent, skill, command or workflow in: six phases, each with gates that code decides.

Evaluate (does nothing do it already?), Validate (name and description), Research (three sources), Lock (the draft),
Verify (schema, placeholders, references, secrets), Enable (smoke, then it lies in the working checkout). It reaches
production as any other change does: as part of a candidate.

  agent-studio evolve start skill release-notes --need "turn merged pull requests into release notes"
  agent-studio evolve advance
  agent-studio evolve status
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs
from agent_studio.environment.detect import Environment
from agent_studio.errors import UsageError
from agent_studio.release.production import whose

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "start": ("start", "begin with what is needed; one at a time, three an hour"),
    "research": ("research", "record a source and what it says"),
    "advance": ("advance", "ask the gates of the phase, and go on when all pass; exit code 1 for FAIL, 3 INSUFFICIENT"),
    "status": ("status", "show the phase, what each gate says, and the next command"),
    "suggest": ("suggest", "look for what the project seems to need, or say it"),
    "accept": ("accept", "begin with a suggestion"),
    "dismiss": ("dismiss", "take a suggestion out of the queue, with a reason"),
    "abort": ("abort", "give the current one up, with a reason"),
    "list": ("list", "list what was evolved, what was not and why, and suggestions"),
    "show": ("show", "show one evolution, or one suggestion, with its evidence"),
}
"""Sub-verbs, the module of `cli/evolve/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "evolve", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    whose.refuse_production(session.project)
    if session.choice.environment is Environment.PRODUCTION or whose.is_production(session.project):
        raise UsageError(
            "nothing is evolved in production: it gets new artifacts as part of a candidate",
            hint="in the working checkout, in development (the default) or with --env staging",
        )
    return subverbs.run(args, session)
