"""Print the status line of Claude Code: environment, session cost, model, context, budget left, open alerts.

The client's object is read from stdin. --command prints what the client's settings should run instead: the same
line by a program that starts in a tenth of the time and never fails.

  agent-studio statusline --command
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio import clock, statusline
from agent_studio.cli.output import Result
from agent_studio.environment.detect import VARIABLE

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `statusline`."""
    parser.add_argument("--command", action="store_true", dest="show", help="print the command line for the settings")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Print the line, or the command that prints it."""
    if args.show:
        from agent_studio.capture.wiring.install import status_line_command  # noqa: PLC0415 - the line needs none of it

        command = status_line_command()
        data = {"command": command, "settings": {"statusLine": {"type": "command", "command": command}}}
        return Result(data, lambda screen: screen.line(command))
    variables = {**session.variables, VARIABLE: str(session.choice.environment)}
    text = statusline.line(statusline.read_input(), variables, clock.now().timestamp())
    return Result({"line": text}, lambda screen: screen.block(text))
