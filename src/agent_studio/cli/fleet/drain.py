"""`fleet drain`: what machines have published to the stream, into the engine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agent_studio.cli.fleet.stopping import stopping
from agent_studio.cli.output import Result, warn
from agent_studio.fleet.address import address
from agent_studio.fleet.drain import Drained, Drainer
from agent_studio.fleet.engines.opening import opened
from agent_studio.fleet.jetstream import Stream
from agent_studio.fleet.ship import EngineSink

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="do not wait for a stream that cannot be reached: exit code 5")
    how.add_argument("--follow", action="store_true", help="stay, and move what comes from now on")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Drain until the stream is empty, or until told to stop."""
    context = session.context
    source = address(context.config, "fleet.ingest", session.variables)
    target = address(context.config, "fleet.engine", session.variables)
    limit_bytes = int(context.config["fleet.streamMegabytes"]) << 20
    with stopping() as stop:
        drainer = Drainer(
            context, partial(Stream, source, limit_bytes), lambda: EngineSink(opened(target, "")), stop, warn
        )
        done = drainer.run(follow=args.follow, patient=not args.once)
    data = {
        "source": source.shown, "destination": target.shown, "messages": done.messages, "rows": done.rows,
        "refused": done.refused, "poisoned": done.poisoned, "stopped": done.is_stopped,
    }  # fmt: skip
    return Result(data, lambda screen: _render(screen, done, target.shown))


def _render(screen: Screen, done: Drained, where: str) -> None:
    screen.mark("ok", f"{done.messages:,} messages with {sum(done.rows.values()):,} rows are at {where}")
    if done.refused:
        screen.mark("bad", f"{done.refused:,} rows were refused: fleet/refused.jsonl in the state folder says why")
    if done.poisoned:
        screen.mark("bad", f"{done.poisoned:,} messages were no batches of the machines they came from: put aside")
