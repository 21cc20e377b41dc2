"""Shipping under trial: engine, shippers and a stream's leader killed under load, a disk that fills; totals exact.

Real servers and the real commands, each a process of its own. Scaled twins are in `tests/test_fleet_ship.py` and
`tests/test_fleet_jetstream.py`.

  python -m bench.fleet_trial --events 100000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

import nats
from bench.projects import Trial
from tests.conftest import Studio
from tests.fleet_machines import VARIABLES, Database, Machine
from tests.fleet_servers import PostgreSQLServer, postgresql_binaries
from tests.fleet_stream import cluster

from agent_studio import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.fleet_stream import NatsServer

EVENTS = 100_000
MACHINES = 4
_PATIENCE_S = 600
_EMPTY_BYTES, _HALF_A_ROW_BYTES, _ENOUGH_MB = 9 << 20, 120, 4_096


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials of shipping and print what they showed; exit code 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=EVENTS, help=f"records of all machines (default: {EVENTS:,})")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    failed = False
    for trial in trials(args.events, args.seed):
        print(f"{trial.name}: {trial.verdict}", *trial.figures, *trial.faults, sep="\n  ", flush=True)
        failed |= bool(trial.faults)
    return int(failed)


def trials(events: int, seed: int, *, wanted: bool = True) -> Iterator[Trial]:
    """Yield the trials of shipping."""
    for name, run in (
        ("fleet: engine and shippers killed under load, every record once", _killed),
        ("fleet: a full disk of the engine is waited for, every record once", _full),
        ("fleet: the leader of three stream servers killed under load, every record once", _leader_killed),
    ):
        trial = Trial(name)
        binaries = postgresql_binaries()
        if not wanted or binaries is None:
            trial.not_run = "left out" if binaries else "no PostgreSQL server here: bash scripts/setup.sh engines"
            yield trial
            continue
        with tempfile.TemporaryDirectory(prefix="fleet-trial-") as folder:
            server = PostgreSQLServer(binaries)
            try:
                run(trial, Path(folder), server, events, random.Random(seed))
            except (AssertionError, subprocess.SubprocessError, OSError) as error:
                trial.faults.append(f"{type(error).__name__}: {error}")
            finally:
                server.remove()
        yield trial


def _killed(trial: Trial, folder: Path, server: PostgreSQLServer, events: int, chance: random.Random) -> None:
    database = _database(folder, server)
    machines = _machines(folder, events, engine=database.address)
    began = time.monotonic()
    shippers = [one.start("fleet", "ship") for one in machines]
    engine_kills = shipper_kills = 0
    while any(one.poll() is None for one in shippers):
        _within(began)
        time.sleep(chance.uniform(0.5, 2.5))
        victim = chance.randrange(MACHINES)
        if chance.random() < 0.5 and shippers[victim].poll() is None:
            shippers[victim].kill()
            shippers[victim].communicate()
            shippers[victim] = machines[victim].start("fleet", "ship")
            shipper_kills += 1
        elif engine_kills < 12:
            server.restart(signal.SIGKILL)
            engine_kills += 1
    trial.figures.append(f"{engine_kills} kills of the engine, {shipper_kills} of shippers")
    _judge(trial, database, shippers, events, began)


def _full(trial: Trial, folder: Path, server: PostgreSQLServer, events: int, chance: random.Random) -> None:
    del chance
    place = server.folder / "small"
    place.mkdir()
    size = _EMPTY_BYTES + events * _HALF_A_ROW_BYTES
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        trial.not_run = "it takes root to mount a small disk"
        return
    try:
        shutil.chown(place, "nobody")
        with server.connect("postgres", autocommit=True) as owner:
            owner.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
            owner.execute("CREATE DATABASE small TABLESPACE small")
        database = _database(folder, server, "small")
        machines = _machines(folder, events, engine=database.address)
        began = time.monotonic()
        shippers = [one.start("fleet", "ship") for one in machines]
        while not _is_full(place) and any(one.poll() is None for one in shippers):
            _within(began)
            time.sleep(0.2)
        time.sleep(3)
        waiting = sum(one.poll() is None for one in shippers)  # on a full disk not even counting is sure to work
        if not waiting:
            trial.faults.append("the disk did not fill; ask for more --events")
        trial.figures.append(f"the disk was full, {waiting} of {len(shippers)} shippers waited")
        subprocess.run(["mount", "-o", f"remount,size={_ENOUGH_MB}m", str(place)], check=True)
        _judge(trial, database, shippers, events, began)
    finally:
        server.stop(signal.SIGQUIT)
        subprocess.run(["umount", str(place)], check=False)


def _leader_killed(trial: Trial, folder: Path, server: PostgreSQLServer, events: int, chance: random.Random) -> None:
    database, servers = _database(folder, server), cluster()
    try:
        began = time.monotonic()
        address = "nats://" + ",".join(f"127.0.0.1:{one.port}" for one in servers)
        machines = _machines(folder, events, engine=database.address, ingest=address)
        _until(lambda: _leader(servers) is not None or machines[0].ship() is not None)
        shippers = [one.start("fleet", "ship") for one in machines]
        drains = [machines[0].start("fleet", "drain", "--follow") for _ in range(2)]
        kills = 0
        while any(one.poll() is None for one in shippers) and kills < 5:
            _within(began)
            time.sleep(chance.uniform(1, 3))
            kills += _kill_leader(servers, chance)
        while database.count() < events and all(one.poll() is None for one in drains):
            _within(began)
            time.sleep(0.5)
            if kills < 2:
                kills += _kill_leader(servers, chance)
        trial.figures.append(f"{kills} kills of the leader, {_replicas(servers)} replicas, 2 drains")
        _judge(trial, database, shippers, events, began)
        poisoned = 0
        for one in drains:
            one.send_signal(signal.SIGTERM)
            out, _ = one.communicate(timeout=60)
            poisoned += json.loads(out)["data"]["poisoned"]
        if poisoned:
            trial.faults.append(f"{poisoned} messages were taken for poisoned")
    finally:
        for each in servers:
            each.remove()


def _kill_leader(servers: list[NatsServer], chance: random.Random) -> int:
    """Kill the server that leads the stream, and start it again a little later; return how many were killed."""
    leader = _leader(servers)
    if leader is None:
        return 0
    leader.kill()
    time.sleep(chance.uniform(0.5, 2))
    leader.start()
    return 1


def _leader(servers: list[NatsServer]) -> NatsServer | None:
    found = _info(servers)
    name = found.cluster.leader if found is not None and found.cluster is not None else None
    return next((one for one in servers if f"s{one.number}" == name), None)


def _replicas(servers: list[NatsServer]) -> int:
    found = _info(servers)
    return 0 if found is None else int(found.config.num_replicas or 1)


def _info(servers: list[NatsServer]) -> Any:
    async def asked() -> Any:
        client = await nats.connect(
            [f"nats://127.0.0.1:{one.port}" for one in servers if one.process is not None], connect_timeout=2,
            allow_reconnect=False, max_reconnect_attempts=1, error_cb=_quiet,
        )  # fmt: skip
        try:
            return await client.jetstream().stream_info("AGENT_STUDIO")
        finally:
            await client.close()

    with suppress(nats.errors.Error, OSError, TimeoutError):
        return asyncio.run(asked())
    return None


async def _quiet(_: Exception) -> None:
    """Say nothing: servers are killed here."""


def _database(folder: Path, server: PostgreSQLServer, name: str | None = None) -> Database:
    database = Database(server, name)
    central = Studio(folder / "central")
    central.write(".claude/config.yaml", f"fleet:\n  engine: {database.address}\n")
    done = central.process("fleet", "init", "--yes", variables=VARIABLES)
    assert done.code == 0, done.err
    return database


def _machines(folder: Path, events: int, **settings: Any) -> list[Machine]:
    """Return machines that have recorded so many hooks together, in two sealed files and the live one each."""
    machines = []
    for number in range(1, MACHINES + 1):
        place = folder / f"m{number}"
        place.mkdir()
        one = Machine(Studio(place), project="shop", machine=f"m{number}", batchRecords=1_000, **settings)
        share = events // MACHINES + (number <= events % MACHINES)
        _write(one.metrics / "hooks.2026-11-20.1.jsonl", 0, share // 3)
        _write(one.metrics / "hooks.2026-11-21.1.jsonl", share // 3, share // 2)
        _write(one.metrics / "hooks.jsonl", share // 2, share)
        machines.append(one)
    return machines


def _write(place: Path, first: int, last: int) -> None:
    now_ms = int(clock.now().timestamp() * 1000)
    with place.open("w", encoding="utf-8") as file:
        for number in range(first, last):
            at = clock.of_ms(now_ms - (last - number) * 50)
            file.write(
                f'{{"timestamp":"{at}","hook":"hook-{number % 40}","event":"PreToolUse","tool":"Bash",'
                f'"executionTimeMs":{number % 97 / 10},"status":"success","sessionId":"s{number // 500}","agent":null,'
                f'"metadata":{{}},"eventId":"{number:032x}","environment":"staging","release":null}}\n'
            )


def _judge(trial: Trial, database: Database, shippers: list[subprocess.Popen[str]], events: int, began: float) -> None:
    for one in shippers:
        out, err = one.communicate(timeout=_PATIENCE_S)
        if one.returncode:
            trial.faults.append(f"a shipper ended with {one.returncode}: {out} {err}")
    _until(lambda: database.count() >= events, 60)
    took_s = time.monotonic() - began
    counted = database.rows(
        "SELECT machine, count(*), count(DISTINCT id) FROM agent_studio.hooks GROUP BY 1 ORDER BY 1"
    )
    total, distinct = sum(row[1] for row in counted), sum(row[2] for row in counted)
    trial.figures.append(f"{total:,} of {events:,} records in the engine, {distinct:,} ids, {took_s:.0f} s")
    wanted = [events // MACHINES + (number <= events % MACHINES) for number in range(1, MACHINES + 1)]
    if [(row[1], row[2]) for row in counted] != [(one, one) for one in wanted]:
        trial.faults.append(f"by machine there are {counted}, recorded were {wanted}")


def _is_full(place: Path) -> bool:
    found = os.statvfs(place)
    return found.f_bavail * found.f_bsize < 1 << 20


def _until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not is_so() and time.monotonic() < ends:
        time.sleep(0.2)


def _within(began: float) -> None:
    assert time.monotonic() < began + _PATIENCE_S, f"not done after {_PATIENCE_S} s"


if __name__ == "__main__":
    sys.exit(main())
