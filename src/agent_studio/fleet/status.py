"""How far each journal was shipped, what is known to be lost or refused, and what the engine holds."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import AgentStudioError
from agent_studio.fleet import cursor as cursors
from agent_studio.fleet import homes, ledger
from agent_studio.fleet.address import address
from agent_studio.fleet.identity import identity
from agent_studio.fleet.journals import lines, look
from agent_studio.fleet.ship import destination
from agent_studio.monitor.blocks import DamagedFileError
from agent_studio.monitor.lines import record_of
from agent_studio.monitor.segments import JOURNALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.fleet.address import Address
    from agent_studio.fleet.cursor import Cursor
    from agent_studio.fleet.engines import Store
    from agent_studio.fleet.homes import Home
    from agent_studio.fleet.jetstream import Held
    from agent_studio.fleet.journals import Piece

_RECORD_BYTES = 300
"""Of a record, where none was shipped yet that would tell."""
_HEAD_LINES = 100
_LATE_S = 3_600
_CLOCKS: Mapping[str, str] = {
    "postgresql": "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    "clickhouse": "SELECT toUnixTimestamp64Milli(now64(3))",
}
"""By dialect: what asks for the engine's time, ms since 1970."""


class Journal(NamedTuple):
    """How far one journal, or the ledger, was shipped."""

    kind: str
    records: int
    """Acknowledged so far."""
    bytes: int
    lag_bytes: int
    lag_records: int
    """Estimated by the size of those before; of the ledger exact."""
    oldest_ms: int | None
    """Time of the oldest record that waits."""
    acknowledged: str | None
    refused: int
    lost_files: int
    lost_bytes: int


class Shared(NamedTuple):
    """What the engine, or the stream before it, says."""

    where: Address
    store: Store | None
    stream: Held | None
    skew_ms: int | None
    """How much this machine's clock is ahead of the engine's."""
    fault: str
    """Why there is no answer; empty when there is one."""
    hint: str


def journals(context: Context) -> list[Journal]:
    """Return how far each journal of an environment was shipped; nothing is changed, and no engine asked."""
    home = homes.current(context, draw=False)
    found = [_journal(context, home, kind) for kind in JOURNALS]
    held = _cursor(home, homes.LEDGER)
    left = ledger.left(home.root, held)
    return [*found, _told(homes.LEDGER, held, 0, left.responses, left.oldest_ms)]


def shared(context: Context, variables: Mapping[str, str]) -> list[Shared]:
    """Return what the engine says, and the stream; those that are not set are left out."""
    found = []
    for key in ("fleet.ingest", "fleet.engine"):
        if context.config[key]:
            where = address(context.config, key, variables)
            try:
                found.append(_stream(context, where) if where.scheme == "nats" else _engine(context, where))
            except AgentStudioError as error:
                found.append(Shared(where, None, None, None, error.message, error.hint))
    return found


def checks(context: Context, variables: Mapping[str, str]) -> Iterator[Finding]:
    """Yield findings about the fleet, none where none is set: unreachable, behind, refused or lost records."""
    if not (context.config["fleet.engine"] or context.config["fleet.ingest"]):
        return
    ship = f"agent-studio fleet ship --env {context.environment}"
    try:
        destination(context, variables)
        homes.refuse_another_name(context, homes.current(context, draw=False))
        found = [_problem(one, ship) for one in journals(context)]
        found += [
            Finding("fleet", Severity.WARNING, one.fault, one.hint or "agent-studio fleet status")
            for one in shared(context, variables) if one.fault
        ]  # fmt: skip
    except AgentStudioError as error:
        yield Finding("fleet", Severity.ERROR, error.message, error.hint)
        return
    problems = [one for one in found if one is not None]
    yield from problems
    if not problems:
        yield Finding("fleet", Severity.OK, f"records are shipped to {destination(context, variables).shown}")


def age_s(journal: Journal) -> float | None:
    """Return for how long the oldest record of a journal has waited, in seconds."""
    if journal.oldest_ms is None:
        return None
    return max(clock.now().timestamp() - journal.oldest_ms / 1000, 0.0)


def _problem(one: Journal, ship: str) -> Finding | None:
    said, age = [], age_s(one)
    if one.lost_files:
        said.append(f"{one.lost_files} files are gone with {one.lost_bytes:,} bytes that were not shipped")
    if one.refused:
        said.append(f"{one.refused:,} rows were refused, see fleet/refused.jsonl in the state folder")
    if age is not None and age > _LATE_S:
        said.append(f"{one.lag_records:,} records wait, the oldest for {age / 3600:.0f} h")
    if not said:
        return None
    return Finding("fleet", Severity.WARNING, f"{one.kind}: {'; '.join(said)}", ship)


def _journal(context: Context, home: Home, kind: str) -> Journal:
    cursor = _cursor(home, kind)
    found = look(home.root, home.state, kind, cursor.entries, int(context.config["fleet.retentionDays"]))
    waiting = [piece for piece in found.pieces if piece.left and piece.entry.head]
    lag = sum(piece.left for piece in waiting)
    each = cursor.bytes / cursor.records if cursor.records else _RECORD_BYTES
    oldest = next((at_ms for piece in waiting if (at_ms := _first_ms(piece)) is not None), None)
    lost = [one.size - one.offset for one in found.lost]
    cursor.lost_files += len(lost)
    cursor.lost_bytes += sum(lost)
    return _told(kind, cursor, lag, round(lag / each), oldest)


def _told(kind: str, cursor: Cursor, lag_bytes: int, lag_records: int, oldest_ms: int | None) -> Journal:
    return Journal(
        kind, cursor.records, cursor.bytes, lag_bytes, lag_records, oldest_ms, cursor.acknowledged, cursor.refused,
        cursor.lost_files, cursor.lost_bytes,
    )  # fmt: skip


def _cursor(home: Home, kind: str) -> Cursor:
    found = cursors.load(home.state, kind)
    return found if found.origin == home.origin else cursors.Cursor()


def _first_ms(piece: Piece) -> int | None:
    """Return the time of the first record that waits in a file."""
    with suppress(DamagedFileError, FileNotFoundError):
        for number, line in enumerate(lines(piece)):
            found = record_of(line.data)
            if found is not None:
                return found[1]
            if number == _HEAD_LINES:
                return None
    return None


def _engine(context: Context, where: Address) -> Shared:
    from agent_studio.fleet.engines.opening import opened  # noqa: PLC0415 - only the engine that is meant

    with opened(where, identity(context, "").project) as engine:
        before = clock.now().timestamp() * 1000
        theirs = next(iter(engine.fetch(_CLOCKS[engine.dialect], {}).rows))[0]
        ours = (before + clock.now().timestamp() * 1000) / 2
        return Shared(where, engine.store(), None, round(ours - int(theirs)), "", "")


def _stream(context: Context, where: Address) -> Shared:
    from agent_studio.fleet.jetstream import Stream  # noqa: PLC0415 - asyncio comes with it

    with Stream(where, int(context.config["fleet.streamMegabytes"]) << 20) as stream:
        return Shared(where, None, stream.held(), None, "", "")


def data(found: list[Journal], answers: list[Shared]) -> dict[str, Any]:
    """Return what `fleet status --json` says."""
    return {
        "journals": [
            {
                "journal": one.kind, "records": one.records, "bytes": one.bytes, "lagBytes": one.lag_bytes,
                "lagRecords": one.lag_records, "oldestUnshipped": one.oldest_ms and clock.of_ms(one.oldest_ms),
                "acknowledged": one.acknowledged, "refused": one.refused, "lostFiles": one.lost_files,
                "lostBytes": one.lost_bytes,
            }
            for one in found
        ],
        "destinations": [_answer(one) for one in answers],
    }  # fmt: skip


def _answer(one: Shared) -> dict[str, Any]:
    told: dict[str, Any] = {"address": one.where.shown, "tls": one.where.tls, "fault": one.fault or None}
    if one.store is not None:
        told |= {
            "engine": one.store.engine, "version": one.store.version, "rows": dict(one.store.rows),
            "bytes": one.store.bytes, "oldest": one.store.oldest_ms and clock.of_ms(one.store.oldest_ms),
            "newest": one.store.newest_ms and clock.of_ms(one.store.newest_ms), "clockSkewMs": one.skew_ms,
        }  # fmt: skip
    if one.stream is not None:
        told |= {"stream": one.stream._asdict()}
    return told
