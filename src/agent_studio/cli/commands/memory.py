"""What the project has learned, in Markdown that people may edit, and what each agent keeps for itself.

agent-studio memory add learning "The test database needs eight seconds to start"
agent-studio memory search "database start"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "add": ("add", "write a note down; exit code 1 when it is there already"),
    "list": ("list", "list notes, by kind, by tag, or those that still hold"),
    "search": ("search", "rank the notes that fit a question, archived ones too; exit code 1 when none does"),
    "show": ("show", "show one note whole"),
    "resolve": ("resolve", "say in its place that a note no longer holds"),
    "rotate": ("rotate", "move what is old from files that have grown long to dated archives"),
    "import": ("importing", "take over what the original Agent Studio kept as lists; the files stay"),
    "sidecar": ("sidecar", "what one agent keeps for itself"),
}
"""Sub-verbs, the module of `cli/memory/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "memory", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    return subverbs.run(args, session)
