"""`fleet access`: who may do what with the shared engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result
from agent_studio.fleet import access
from agent_studio.fleet.address import address

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(args: argparse.Namespace, session: Session) -> Result:  # noqa: ARG001 - as every sub-verb has it
    """List who may do what."""
    where = address(session.context.config, "fleet.engine")
    with access.doors(where) as doors:
        found = doors.grants()
    data = {
        "engine": where.shown,
        "grants": [{name: value or None for name, value in grant._asdict().items()} for grant in found],
    }

    def render(screen: Screen) -> None:
        if not found:
            screen.mark("none", f"{where.shown}: nobody is let in but who owns it")
            return
        rows = [(one.name, one.may, one.project or "all", one.machine or None, one.since) for one in found]
        screen.table(("name", "may", "project", "machine", "since"), rows)

    return Result(data, render)
