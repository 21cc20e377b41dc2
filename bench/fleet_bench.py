"""Ingest, questions and bytes of a fleet's engine, for so many records of 90 days; what `docs/fleet-sizing.md` shows.

python -m bench.fleet_bench --engine postgresql --rows 10000000 --write
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import fleet_fill, fleet_load, fleet_sizing, measure
from tests.conftest import Studio
from tests.fleet_machines import VARIABLES, Machine
from tests.fleet_stream import NatsServer

from agent_studio.fleet.address import address
from agent_studio.fleet.engines.opening import opened
from agent_studio.fleet.source import KEY, Source
from agent_studio.fleet.tables import SCHEMA
from agent_studio.monitor import lake, metrics, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fleet_servers import PostgreSQLServer

    from agent_studio.environment.context import Context
    from agent_studio.fleet.address import Address

DAYS, ROUNDS = 90, 3
_FILL_ROWS = 5_000_000
"""At most so many of a table by one statement."""
_FILLING = {
    "fsync": "off", "wal_level": "minimal", "max_wal_senders": "0", "autovacuum": "off", "maintenance_work_mem": "1GB",
}  # fmt: skip
_MEASURED = {"fsync": "on", "wal_level": "replica", "autovacuum": "on", "maintenance_work_mem": "64MB"}
QUESTIONS: dict[str, tuple[str, int]] = {
    "summary, 24 h": ("", 1), "hooks, 24 h": ("hooks", 1), "errors by shape, 24 h": ("errors_grouped", 1),
    "sessions, 24 h": ("sessions", 1), "spend by model, 24 h": ("spend_by_model", 1),
    "trends, 7 days": ("trends_by_day", 7), "trends, 30 days": ("trends_by_day", 30),
}  # fmt: skip
"""By what the dashboard shows: the named query, empty for the whole summary, and the days that it looks back."""


class Scale(NamedTuple):
    """How much is measured."""

    rows: int
    inserted: int
    shipped: int
    seed: int


def run(engine: str, scale: Scale, folder: Path) -> dict[str, Any]:
    """Measure one engine; return its figures, with the load of the machine before and after."""
    began, load = datetime.now(UTC), os.getloadavg()[0]
    if engine == "postgresql":
        with fleet_load.postgresql() as server:
            found = _measured(_address(folder, server.database()), scale, folder, server)
    else:
        found = _measured(_address(folder, f"chdb://{folder}/chdb"), scale, folder, None)
    return {
        "engine": engine, "date": began.strftime("%Y-%m-%d %H:%M UTC"), "machine": measure.machine(),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)], "cores": os.cpu_count(), **found,
    }  # fmt: skip


def _address(folder: Path, text: str) -> Address:
    place = folder / "reader"
    place.mkdir()
    machine = Machine(Studio(place), project=fleet_fill.PROJECT, engine=text)
    return address(machine.context.config, KEY, VARIABLES)


def _measured(where: Address, scale: Scale, folder: Path, server: PostgreSQLServer | None) -> dict[str, Any]:
    context = Machine(Studio(_made(folder / "asker")), project=fleet_fill.PROJECT).context
    found: dict[str, Any] = {"rows": scale.rows}
    with opened(where, fleet_fill.PROJECT) as engine:
        engine.init(DAYS)
        found["version"] = engine.store().engine
        empty = _bytes(engine)
        sent = fleet_load.by_engine(engine, scale.inserted, scale.seed, server)
        found["inserted"] = sent.figures()
        found["inserted_bytes"] = (_bytes(engine) - empty) / sent.rows
        if server is not None:
            found |= _commands(folder, where, scale, server)
        _require(engine, [found[way]["rows"] for way in ("inserted", "shipped", "streamed") if way in found])
        found["fill_s"] = _fill(engine, scale, server)
        filled = [fleet_fill.many(table, scale.rows) for table in fleet_fill.SHARES]
        _require(engine, filled)
        found["bytes"] = (_bytes(engine) - empty) / sum(filled)
    shared = Source(where, fleet_fill.PROJECT)
    try:
        found["questions"] = questions(context._replace(shared=shared))
    finally:
        shared.close()
    with opened(where, fleet_fill.PROJECT) as engine:
        found["inserted_when_full"] = fleet_load.by_engine(engine, scale.inserted, scale.seed + 1, server).figures()
    if server is None:
        found |= _commands_in_process(folder, where, scale)
    with opened(where, fleet_fill.PROJECT) as engine:
        more = ("inserted_when_full", *(() if server is not None else ("shipped",)))
        _require(engine, [*filled, *(found[way]["rows"] for way in more)])
    return found


def _require(engine: Any, rows: Sequence[int]) -> None:
    """Raise `RuntimeError` unless every record is there that was sent."""
    held = _count(engine)
    if held != sum(rows):
        raise RuntimeError(f"{held:,} records are in the engine, not {sum(rows):,}: a figure of lost records is none")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _commands(folder: Path, where: Address, scale: Scale, server: PostgreSQLServer) -> dict[str, Any]:
    """Ship from journals, straight and by a stream."""
    engine = server.address(where.path.strip("/"))
    straight = fleet_load.by_command(folder / "straight", engine, scale.shipped, scale.seed, server)
    nats = NatsServer()
    try:
        streamed = fleet_load.by_stream(folder / "streamed", engine, scale.shipped, scale.seed + 1, server, nats)
    finally:
        nats.remove()
    return {"shipped": straight.figures(), "streamed": streamed.figures()}


def _commands_in_process(folder: Path, where: Address, scale: Scale) -> dict[str, Any]:
    engine = f"chdb://{where.path}"
    return {"shipped": fleet_load.by_command(folder / "straight", engine, scale.shipped, scale.seed, None).figures()}


def _fill(engine: Any, scale: Scale, server: PostgreSQLServer | None) -> float:
    """Have the engine make the rows of 90 days by itself; return the seconds that it took."""
    began, now_ms = time.perf_counter(), int(time.time() * 1000)
    since_ms = now_ms - DAYS * fleet_fill.DAY_MS
    for table in fleet_fill.SHARES:  # what was sent to measure that is not of the even days
        told(engine, f"TRUNCATE TABLE {SCHEMA}.{table}")
    if server is not None:
        engine.__exit__(None, None, None)
        fleet_load.restart(server, **_FILLING)
        told(engine, "SET statement_timeout = 0")  # an index of so many rows takes minutes; gone with this session
        _days(engine, since_ms, now_ms)
        indexes = _indexes_dropped(engine)
    for table in fleet_fill.SHARES:
        total = fleet_fill.many(table, scale.rows)
        for first in range(0, total, _FILL_ROWS):
            count = min(_FILL_ROWS, total - first)
            told(engine, fleet_fill.filling(engine.dialect, table, first, count, total, since_ms, DAYS))
            print(f"{time.perf_counter() - began:7.0f} s: {table} {first + count:,}", file=sys.stderr, flush=True)
        _require_spread(engine, table, since_ms, now_ms)
    if server is not None:
        for statement in indexes:
            told(engine, statement)
        told(engine, "VACUUM (ANALYZE, FREEZE)")
        engine.__exit__(None, None, None)
        fleet_load.restart(server, **_MEASURED)
        told(engine, "SELECT 1")
    return time.perf_counter() - began


def _require_spread(engine: Any, table: str, since_ms: int, now_ms: int) -> None:
    """Raise `RuntimeError` unless the rows are of the whole stretch, and of nothing else."""
    ((first, last),) = engine.fetch(f"SELECT min(at_ms), max(at_ms) FROM {SCHEMA}.{table}", {}).rows
    if not (since_ms == first and now_ms - fleet_fill.DAY_MS < last < now_ms):
        raise RuntimeError(f"{table} is of {first} to {last}, not of {since_ms} to {now_ms}")


def told(engine: Any, statement: str) -> None:
    """Run a statement that returns nothing."""
    with engine.connection() as db:
        (db.execute if engine.dialect == "postgresql" else db.command)(statement)


def _days(engine: Any, since_ms: int, now_ms: int) -> None:
    with engine.connection() as db:
        for table in fleet_fill.SHARES:
            for day in range(since_ms // fleet_fill.DAY_MS, now_ms // fleet_fill.DAY_MS + 1):
                db.execute(f"SELECT {SCHEMA}.ensure_day(%s, %s)", (table, day))


def _indexes_dropped(engine: Any) -> list[str]:
    """Drop what would be filled row by row; return what makes it again."""
    made = []
    keys = engine.fetch(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'p' AND conparentid = 0 AND conrelid::regclass::text = ANY(%(tables)s)",
        {"tables": [f"{SCHEMA}.{table}" for table in fleet_fill.SHARES]},
    ).rows  # fmt: skip
    for table, name, definition in keys:
        told(engine, f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        made.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    others = engine.fetch(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "JOIN pg_class ON oid = indexrelid WHERE relkind = 'I' AND indrelid::regclass::text = ANY(%(tables)s)",
        {"tables": [f"{SCHEMA}.{table}" for table in fleet_fill.SHARES]},
    ).rows  # fmt: skip
    for name, definition in others:
        told(engine, f"DROP INDEX {name}")
        made.append(definition)
    return made


def _bytes(engine: Any) -> int:
    """Return what tables and indexes hold on the disk."""
    found: int = engine.store().bytes
    return found


def _count(engine: Any) -> int:
    counts = [engine.fetch(f"SELECT count(*) FROM {SCHEMA}.{table}", {}).rows for table in fleet_fill.SHARES]
    return sum(int(count) for ((count,),) in counts)


def questions(context: Context, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Return by question the seconds of the first run, and the median of those after it."""
    found = {}
    for name, (query, days) in QUESTIONS.items():
        times = [_timed(lambda: _asked(context, query, days)) for _ in range(rounds + 1)]  # noqa: B023 - run at once
        found[name] = {"first_s": times[0], "then_s": statistics.median(times[1:])}
        print(f"        {name}: {times[0]:.3f} s, then {found[name]['then_s']:.3f} s", file=sys.stderr, flush=True)
    return found


def _asked(context: Context, query: str, days: int) -> object:
    window = metrics.last_hours(24 * days)
    if not query:
        return metrics.summary(context, window, engine="sql")
    return metrics.rows(context, query, window)


def _timed(asked: Callable[[], object]) -> float:
    began = time.perf_counter()
    asked()
    return time.perf_counter() - began


def lake_run(rows: int, seed: int, folder: Path) -> dict[str, Any]:
    """Ask the same of one machine's journals, which hold what a project has of so many rows, through columns."""
    load = os.getloadavg()[0]
    machine = Machine(Studio(_made(folder / "own")))
    own = round(rows / 2 * (1 - fleet_fill.SHARES["usage"]))
    place = machine.path / ".claude/staging"
    held = fleet_fill.journals(place, own, DAYS, seed, int(time.time() * 1000))
    context = machine.context
    for kind, (kept, live) in segments.JOURNALS.items():
        stem = live.removesuffix(".jsonl")
        for sealed in sorted((place / kept).glob(f"{stem}.*-*.jsonl")):
            target = machine.state / f"lake/{kind}/{sealed.name[len(stem) + 1 : -6]}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            lake.copy(sealed, kind, target)
    return {
        "engine": "duckdb", "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "machine": measure.machine(),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)], "cores": os.cpu_count(), "rows": rows, "held": held,
        "version": f"DuckDB {version('duckdb')}", "questions": questions(context),
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; with `--write` into the page as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("postgresql", "clickhouse", "duckdb"), required=True)
    parser.add_argument("--rows", type=int, default=1_000_000, help="records of 90 days that are there when asked")
    parser.add_argument("--quick", action="store_true", help="20,000 rows, to see that it runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep the figures, and write the page's tables anew")
    args = parser.parse_args(argv)
    scale = Scale(args.rows, 200_000, 100_000, args.seed)
    if args.quick:
        scale = Scale(20_000, 2_000, 1_000, args.seed)
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(os.path.realpath(name))
        found = lake_run(scale.rows, args.seed, folder) if args.engine == "duckdb" else run(args.engine, scale, folder)
    print(json.dumps(found, indent=1))
    if args.write:
        fleet_sizing.keep(found)
        fleet_sizing.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
