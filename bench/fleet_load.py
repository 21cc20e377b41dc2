"""What it costs to send records to a fleet's engine: by the engine's own code, and from journals by the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import fleet_fill, measure
from tests.conftest import Studio
from tests.fleet_machines import VARIABLES, Machine
from tests.fleet_servers import PostgreSQLServer, postgresql_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

    from tests.fleet_stream import NatsServer

    from agent_studio.fleet.engines import Engine

BATCH_ROWS = 5_000
SETTINGS = {
    "fsync": "on", "shared_buffers": "2GB", "work_mem": "64MB", "maintenance_work_mem": "512MB", "max_wal_size": "8GB",
    "jit": "off", "max_parallel_workers_per_gather": "2", "autovacuum_naptime": "60s",
}  # fmt: skip
"""Of the PostgreSQL server that is measured; what it has committed is on the disk."""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Sent(NamedTuple):
    """Records sent once, and what it took."""

    rows: int
    wall_s: float
    sender_cpu_s: float
    server_cpu_s: float | None
    """None where the engine is in the sender's process."""
    wal_bytes: int | None = None
    stream_cpu_s: float | None = None
    drain_cpu_s: float | None = None

    def figures(self) -> dict[str, float | None]:
        """Return rates, and CPU seconds and bytes for a million records."""
        return {
            "rows": self.rows, "rows_s": self.rows / self.wall_s,
            **{name: None if value is None else value / self.rows * 1e6 for name, value in {
                "sender_cpu_s": self.sender_cpu_s, "server_cpu_s": self.server_cpu_s, "wal_bytes": self.wal_bytes,
                "stream_cpu_s": self.stream_cpu_s, "drain_cpu_s": self.drain_cpu_s,
            }.items()},
        }  # fmt: skip


@contextmanager
def postgresql() -> Iterator[PostgreSQLServer]:
    """Start a server as one would run it: it waits for the disk."""
    binaries = postgresql_binaries()
    if binaries is None:
        raise RuntimeError("no PostgreSQL server here: bash scripts/setup.sh engines")
    server = PostgreSQLServer(binaries)
    try:
        server.stop()
        server.settings |= SETTINGS
        server.start()
        yield server
    finally:
        server.remove()


def by_engine(engine: Engine, rows: int, seed: int, server: PostgreSQLServer | None) -> Sent:
    """Insert batches as shippers and drains do; making them is not counted."""
    now_ms = int(time.time() * 1000)
    found = list(fleet_fill.batches(rows, BATCH_ROWS, seed, now_ms))
    wal, served, began, cpu = _wal(engine), _cpu_s(server), time.perf_counter(), time.process_time()
    for batch in found:
        engine.insert(batch)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    after = _cpu_s(server)
    written = None if wal is None else (_wal(engine) or 0) - wal
    return Sent(
        sum(one.size for one in found), wall, cpu, None if after is None or served is None else after - served, written
    )


def by_command(folder: Path, engine: str, events: int, seed: int, server: PostgreSQLServer | None) -> Sent:
    """Ship journals of an hour by `fleet ship --once`, its start with it."""
    machine = Machine(_studio(folder), project=fleet_fill.PROJECT, machine="m1", engine=engine)
    rows = _journals(machine, events, seed)
    served = _cpu_s(server)
    cost = _finished(machine, "fleet", "ship", "--once")
    after = _cpu_s(server)
    return Sent(rows, cost.wall_s, cost.cpu_s, None if after is None or served is None else after - served)


def by_stream(folder: Path, engine: str, events: int, seed: int, server: PostgreSQLServer, nats: NatsServer) -> Sent:
    """Ship journals into a stream, and drain it into the engine, one after the other."""
    stream = f"nats://127.0.0.1:{nats.port}"
    machine = Machine(_studio(folder), project=fleet_fill.PROJECT, machine="m1", engine=engine, ingest=stream)
    rows = _journals(machine, events, seed)
    served, streamed = _cpu_s(server) or 0.0, _tree_cpu_s(nats.process)
    _finished(machine, "fleet", "drain")  # makes the stream
    shipped = _finished(machine, "fleet", "ship", "--once")
    drained = _finished(machine, "fleet", "drain")
    return Sent(
        rows, shipped.wall_s + drained.wall_s, shipped.cpu_s, (_cpu_s(server) or 0.0) - served,
        stream_cpu_s=_tree_cpu_s(nats.process) - streamed, drain_cpu_s=drained.cpu_s,
    )  # fmt: skip


def _studio(folder: Path) -> Studio:
    folder.mkdir()
    return Studio(folder)


def _journals(machine: Machine, events: int, seed: int) -> int:
    place = machine.path / ".claude/staging"
    return fleet_fill.journals(place, events, 1 / 24, seed, int(time.time() * 1000))


def _finished(machine: Machine, *arguments: str) -> measure.Cost:
    line = [sys.executable, "-m", "agent_studio", *arguments, "--env", "staging", "--json"]
    began = time.perf_counter()
    with (machine.path / "log").open("ab") as log:
        process = subprocess.Popen(
            line, cwd=machine.path, env={**os.environ, **VARIABLES}, stdout=log, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        raise RuntimeError(f"exit code {code}: {' '.join(arguments)}: {(machine.path / 'log').read_text()[-2000:]}")
    return measure.Cost(code, time.perf_counter() - began, used.ru_utime + used.ru_stime)


def _wal(engine: Any) -> int | None:
    if engine.dialect != "postgresql":
        return None
    ((found,),) = engine.fetch("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn", {}).rows
    return int(found)


def _cpu_s(server: PostgreSQLServer | None) -> float | None:
    return None if server is None else _tree_cpu_s(server.process)


def _tree_cpu_s(process: Popen[bytes] | None) -> float:
    """Return the CPU time of a process, of its children, and of those that ended."""
    if process is None:
        return 0.0
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return _used_s(process.pid, ended=True) + sum(_used_s(int(one), ended=False) for one in children)


def _used_s(pid: int, *, ended: bool) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if ended else 13])) * _TICK_S


def restart(server: PostgreSQLServer, **settings: str) -> None:
    """Restart a server with other settings."""
    server.settings |= settings
    server.restart(signal.SIGINT)
