"""Let reasoning methods look at a text, see what they find, and take or leave the changes that they propose.

agent-studio elicit select "What could go wrong when we launch?"
agent-studio elicit run --method pre-mortem --file docs/plan.md
agent-studio elicit apply ID --finding 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "select": ("select", "say which methods fit a request or a text; exit code 1 when none does"),
    "run": ("run", "let one to five methods look at a text, each on its own, and offer what passes the checks"),
    "show": ("show", "show what a run found and proposes"),
    "apply": ("apply", "make the changes that a run offers"),
    "reject": ("reject", "keep on record that findings are not taken"),
    "list": ("listing", "list the methods, how much of what each found was taken, and the runs"),
}
"""Sub-verbs, the module of `cli/elicit/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "elicit", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    return subverbs.run(args, session)
