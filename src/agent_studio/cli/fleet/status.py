"""`fleet status`: how far each journal was shipped, and what the engine holds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.cli.output import Result
from agent_studio.errors import ExitCode
from agent_studio.fleet import homes, status
from agent_studio.fleet.ship import destination

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.fleet.status import Journal, Shared

_SKEW_MS = 5_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options of its own."""
    del parser


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look at the cursors, and ask the engine; exit code 1 when it does not answer."""
    del args
    context = session.context
    destination(context, session.variables)
    found, answers = status.journals(context), status.shared(context, session.variables)
    sender = homes.sender(context, homes.current(context, draw=False))
    is_named = context.config["fleet.machine"] or sender.origin != homes.UNDRAWN
    data = {
        "project": sender.project, "machine": sender.machine if is_named else None, **status.data(found, answers)
    }  # fmt: skip
    code = ExitCode.FAILED if any(one.fault for one in answers) else ExitCode.DONE
    return Result(data, lambda screen: _render(screen, data, found, answers), code)


def _render(screen: Screen, told: dict[str, Any], found: list[Journal], answers: list[Shared]) -> None:
    screen.line(f"{told['project']}, machine {told['machine'] or 'not named before it ships'}")
    rows = [
        (one.kind, f"{one.records:,}", f"{one.lag_records:,}", _age(status.age_s(one)), _ago(one.acknowledged),
         f"{one.refused:,}", f"{one.lost_files:,}")
        for one in found
    ]  # fmt: skip
    screen.table(("journal", "shipped", "waiting", "oldest", "acknowledged", "refused", "lost files"), rows)
    for answer in answers:
        _answer(screen, answer)


def _answer(screen: Screen, one: Shared) -> None:
    mark = "bad" if one.fault else "ok"
    screen.mark(mark, f"{one.where.shown} (TLS: {one.where.tls}){f': {one.fault}' if one.fault else ''}")
    if one.hint:
        screen.line(f"    {one.hint}")
    if one.store is not None:
        counts = ", ".join(f"{table} {count:,}" for table, count in one.store.rows.items()) or "nothing"
        screen.line(f"    {one.store.engine}, schema {one.store.version or 'none'}: {counts}")
    if one.skew_ms is not None and abs(one.skew_ms) > _SKEW_MS:
        ahead = "ahead of" if one.skew_ms > 0 else "behind"
        screen.mark("note", f"this machine's clock is {abs(one.skew_ms) / 1000:.0f} s {ahead} the engine's")
    if one.stream is not None:
        held = one.stream
        screen.line(
            f"    {held.messages:,} messages, {held.bytes:,} of {held.limit_bytes:,} bytes, {held.replicas} replicas"
        )


def _ago(moment: str | None) -> str:
    if moment is None:
        return "never"
    return f"{_age((clock.now() - datetime.fromisoformat(moment)).total_seconds())} ago"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 - two minutes
