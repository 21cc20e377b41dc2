"""`eval schema`: the JSON Schema of task files, for editors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent_studio.cli.output import Result
from agent_studio.evals.tasks.schema import json_schema

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Take no options."""
    del parser


def run(args: argparse.Namespace, session: Session) -> Result:
    """Print it."""
    del args, session
    schema = json_schema()
    return Result({"schema": schema}, lambda screen: screen.block(json.dumps(schema, indent=1)))
