"""Observe a candidate in staging until its figures show that it keeps its limits.

A burn-in is of exactly one candidate, takes hours that were really observed, and ends in PASS, FAIL or INSUFFICIENT,
which says how much more is needed. A verdict stays right however often one looks.

  agent-studio burnin start
  agent-studio burnin status
  agent-studio burnin report
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs
from agent_studio.release.production import whose
from agent_studio.release.production.sides import refuse_development

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "start": ("start", "say what it takes at the least, and count from now on"),
    "status": ("status", "show what was observed, and what is still missing; exit code 1 for FAIL, 3 for INSUFFICIENT"),
    "report": ("report", "keep where it stands as evidence; exit code 1 for FAIL, 3 for INSUFFICIENT"),
    "exercise": ("exercise", "replay the candidate's hooks, or sessions that a command starts, as synthetic samples"),
}
"""Sub-verbs, the module of `cli/burnin/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "burnin", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    refuse_development(session.choice)
    whose.refuse_production(session.project)
    return subverbs.run(args, session)
