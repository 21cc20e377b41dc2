"""Print a completion script: eval "$(agent-studio completion bash)"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session

SHELLS = ("bash", "zsh", "tcsh", "fish", "powershell")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that will read the script")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Return the completion script of one shell."""
    import shtab  # noqa: PLC0415 - only this command needs it

    from agent_studio.cli.dispatch import whole_parser  # noqa: PLC0415 - it imports every command

    script = shtab.complete(whole_parser(), shell=args.shell)
    return Result({"shell": args.shell, "script": script}, lambda screen: screen.block(script))
