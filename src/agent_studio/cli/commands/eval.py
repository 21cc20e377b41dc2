"""Try the same tasks with the candidate's definitions and with those that are live, and say which does better.

Tasks are files in `.claude/evals/`. Each attempt is made in a fresh copy of the project with exactly one set of
definitions, by the real client, kept apart as `run` keeps a command. A verdict stays right however often one looks.

  agent-studio eval new --starter
  agent-studio eval check
  agent-studio eval compare --against live
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs
from agent_studio.environment.detect import Environment
from agent_studio.release.production import whose
from agent_studio.release.production.sides import refuse_development

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "new": ("new", "write a task: blank, from a recorded session, or a starter suite made of the definitions"),
    "check": ("check", "look for tasks and checks that could not fail, without any agent; exit code 1 for such"),
    "run": ("run", "try tasks with one set of definitions; exit code 1 when an attempt fails, 3 when none decides"),
    "compare": ("compare", "try tasks with both sets of definitions; exit code 1 for WORSE, 3 for INSUFFICIENT"),
    "show": ("show", "show a run again, or one attempt of it"),
    "list": ("listing", "list tasks and runs"),
    "import": ("importing", "take results of Inspect or promptfoo as evidence, labelled"),
    "schema": ("schema", "print the JSON Schema of task files"),
}
"""Sub-verbs, the module of `cli/eval/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "eval", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    refuse_development(session.choice)
    whose.refuse_production(session.project)
    session.acts_on(Environment.STAGING)
    return subverbs.run(args, session)
