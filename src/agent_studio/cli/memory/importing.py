"""`memory import`: take over what the original Agent Studio kept as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result, working
from agent_studio.memory import importing
from agent_studio.memory.book import open_memory

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(_: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(_: argparse.Namespace, session: Session) -> Result:
    """Take over patterns, gotchas, discoveries and decisions; what is refused is named, and the rest taken over."""
    with working("taking over memory"):
        done = importing.take_over(open_memory(session.context))
    data = {"files": done.files, "added": done.added, "known": done.known, "refused": list(done.refused)}
    said = f"{done.files} files: {done.added} notes added, {done.known} were there"
    problems = [Problem("refused", one, is_note=True) for one in done.refused]
    return Result(data, lambda screen: screen.mark("ok", said), problems=problems)
