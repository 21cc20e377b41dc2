"""`--from`: whether figures are of this machine's journals, or of what many machines share."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session

JOURNALS, FLEET = "journals", "fleet"


def configure(parser: argparse.ArgumentParser, *, inner: bool = False) -> None:
    """Add the option; an `inner` one is of a sub-verb whose verb has it as well."""
    parser.add_argument(
        "--from", dest="records_from", choices=(JOURNALS, FLEET), default=argparse.SUPPRESS if inner else JOURNALS,
        help="this machine's records (default), or those of all machines, from fleet.engine",
    )  # fmt: skip


def is_fleet(args: argparse.Namespace) -> bool:
    """Tell whether what many machines share was asked for."""
    return bool(args.records_from == FLEET)


@contextmanager
def chosen(args: argparse.Namespace, session: Session) -> Iterator[None]:
    """Have the session's environment read from where `--from` says; raise `ConfigurationError` without an engine."""
    if not is_fleet(args):
        yield
        return
    from agent_studio.fleet import source  # noqa: PLC0415 - only for those who ask for it

    with source.opened(session.context, session.variables) as shared:
        session.reads(shared)
        yield
