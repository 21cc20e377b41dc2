"""`cost verify`: is the ledger what was written, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, working
from agent_studio.cost import verify
from agent_studio.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="a ledger elsewhere, in our format or the original's")
    parser.add_argument("--no-checkpoint", action="store_true", help="do not note where the ledger ends now")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Verify, note a checkpoint when all is well, and report; exit 8 when anything is not as it was written."""
    raise NotImplementedError


def verified(context: Context) -> tuple[dict[str, Any], ExitCode]:
    """Return the verdict as JSON has it, and the exit code it asks for."""
    raise NotImplementedError


__all__ = ["Problem", "configure", "run", "verified", "verify", "working"]
