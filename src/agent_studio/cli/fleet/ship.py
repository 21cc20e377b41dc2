"""`fleet ship`: what was recorded on this machine, to the shared engine or the stream before it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from agent_studio.cli.fleet.stopping import stopping
from agent_studio.cli.output import Result, warn
from agent_studio.environment.context import open_context
from agent_studio.errors import UsageError
from agent_studio.fleet import homes
from agent_studio.fleet.ship import Following, Shipped, Shipper, alone, destination, would_ship
from agent_studio.fleet.tables import TABLES

if TYPE_CHECKING:
    import argparse
    import threading

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context

_ROUNDS_MOST = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="do not wait for what cannot be reached: exit code 5")
    how.add_argument("--follow", action="store_true", help="stay, and ship what is recorded from now on")
    parser.add_argument("--again", action="store_true", help="send what was sent, too: what the engine lost comes back")
    how.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Ship until nothing is left, or until told to stop."""
    context = session.context
    if args.again and args.dry_run:
        raise UsageError("--dry-run changes nothing", hint="leave --again or --dry-run out")
    if args.dry_run:
        done = would_ship(context)
        return Result(_data(done) | _samples(done), lambda screen: _would(screen, done))
    where = destination(context, session.variables).shown
    with alone(context), stopping() as stop:
        if args.again:
            homes.begin_again(context)
        done = _follow(session, stop) if args.follow else _ship(context, session, stop, patient=not args.once)
    return Result(_data(done) | {"destination": where}, lambda screen: _render(screen, done, where))


def _ship(context: Context, session: Session, stop: threading.Event, *, patient: bool) -> Shipped:
    done = Shipped()
    with Shipper(context, session.variables, stop, warn, patient=patient) as shipper:
        for _ in range(_ROUNDS_MOST):
            if not shipper.round(done) or stop.is_set():
                break
        if not stop.is_set():
            shipper.ask()
    return done


def _follow(session: Session, stop: threading.Event) -> Shipped:
    def opened() -> Context:
        return open_context(session.project, session.choice, session.variables, session.overrides)

    following = Following(opened, session.variables, stop, warn)
    following.run(guard=lambda _: nullcontext())
    return following.done


def _data(done: Shipped) -> dict[str, Any]:
    return {
        "rows": done.rows, "total": done.total, "bytes": done.bytes, "refused": done.refused,
        "lostFiles": done.lost_files, "lostBytes": done.lost_bytes, "replaced": done.replaced,
        "stopped": done.is_stopped,
    }  # fmt: skip


def _samples(done: Shipped) -> dict[str, Any]:
    return {"samples": {table: dict(zip(TABLES[table], row, strict=True)) for table, row in done.samples.items()}}


def _would(screen: Screen, done: Shipped) -> None:
    if not done.total:
        screen.mark("ok", "Nothing is left to ship")
        return
    screen.table(("table", "rows"), [(table, f"{count:,}") for table, count in done.rows.items()])
    for table, row in done.samples.items():
        screen.line(f"\n{table}, as a row would be sent:")
        for name, value in zip(TABLES[table], row, strict=True):
            screen.line(f"  {name}: {'-' if value is None else value}")


def _render(screen: Screen, done: Shipped, where: str) -> None:
    if done.rows:
        screen.table(("table", "rows"), [(table, f"{count:,}") for table, count in done.rows.items()])
    text = f"{done.total:,} rows are at {where}" if done.total else f"Nothing was left to ship to {where}"
    screen.mark("ok", f"{text}; stopped before the end" if done.is_stopped else text)
    if done.refused:
        screen.mark("bad", f"{done.refused:,} rows were refused: fleet/refused.jsonl in the state folder says why")
    if done.lost_files:
        screen.mark("bad", f"{done.lost_files} files are gone of which {done.lost_bytes:,} bytes were not shipped")
    for name in done.replaced:
        screen.mark("note", f"{name} was cut or replaced, and was shipped anew")
