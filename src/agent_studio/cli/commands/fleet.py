"""Many machines, one engine: set it up, let machines and readers in.

Records of this machine's journals go to one shared engine, PostgreSQL or ClickHouse, named by `fleet.engine`. A
password comes from AGENT_STUDIO_FLEET_PASSWORD alone.

  agent-studio fleet init --dry-run
  agent-studio fleet grant machine ci-17 --of bookshop
  agent-studio fleet revoke ci-17 --drop-since 2h --dry-run
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "init": ("init", "create or migrate the engine's tables; needs the right to create them"),
    "ship": ("ship", "send what was recorded here and is not there yet"),
    "drain": ("drain", "move what the stream holds into the engine"),
    "status": ("status", "say how far each journal was shipped, and what the engine holds"),
    "prune": ("prune", "remove from the engine what is older than fleet.retentionDays"),
    "grant": ("grant", "let a machine write its own records, a reader read one project, a drain write for all"),
    "revoke": ("revoke", "let nobody in by a name any more; also remove what it wrote since it was stolen"),
    "access": ("access", "who may write and read what"),
}
"""Sub-verbs, the module of `cli/fleet/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "fleet", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    return subverbs.run(args, session)
