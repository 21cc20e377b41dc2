"""Print a completion script: eval "$(agent-studio completion bash)"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result
from agent_studio.environment.detect import Environment
from agent_studio.environment.schema import KEYS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.dispatch import Session

SHELLS = ("bash", "zsh", "tcsh", "fish", "powershell")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that will read the script")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Return the completion script of one shell."""
    import shtab  # noqa: PLC0415 - only this command needs it

    from agent_studio.cli.dispatch import whole_parser  # noqa: PLC0415 - it imports every command

    parser = whole_parser()
    _add_values(parser, {"FILE": shtab.FILE, "PATH": shtab.FILE, "DIR": shtab.DIRECTORY})
    script = shtab.complete(parser, shell=args.shell)
    return Result({"shell": args.shell, "script": script}, lambda screen: screen.block(script))


def _add_values(parser: argparse.ArgumentParser, places: Mapping[str, Any]) -> None:
    """Say of each argument what may stand there: an environment, a key, a file, a folder."""
    for action in parser._actions:  # noqa: SLF001 - argparse shows its arguments nowhere else
        if isinstance(action.metavar, str):
            action.metavar = action.metavar.replace('"', "")  # shtab puts it into zsh's quotes as it is
        if isinstance(action.choices, dict):
            for inner in action.choices.values():
                _add_values(inner, places)
        elif action.dest == "env":
            action.choices = [str(one) for one in Environment]
        elif action.metavar == "KEY":
            action.choices = sorted(key.name for key in KEYS)
        elif isinstance(action.metavar, str) and action.metavar in places:
            setattr(action, "complete", places[action.metavar])  # noqa: B010 - shtab's own attribute
