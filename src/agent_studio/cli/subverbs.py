"""The sub-verbs of a command, each in a module of its own that is imported only when it is meant."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result


def configure(parser: Parser, package: str, listed: Mapping[str, tuple[str, str]], *, required: bool = True) -> None:
    """Add the sub-verbs of `cli/<package>/`, each with the options of its own module."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBCOMMAND", required=required)
    for name, (module, does) in listed.items():
        verb: Parser = verbs.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        verb.later(partial(_configure, f"agent_studio.cli.{package}.{module}"))


def _configure(module: str, verb: Parser) -> None:
    part = import_module(module)
    part.configure(verb)
    verb.set_defaults(part=part)


def run(args: argparse.Namespace, session: Session, default: str = "") -> Result:
    """Do the chosen sub-verb, or else what the module named `default` does."""
    part = getattr(args, "part", None) or (import_module(f"agent_studio.cli.{default}") if default else None)
    if part is None:
        raise UsageError("name a sub-verb", hint="--help lists them")
    result: Result = part.run(args, session)
    return result
