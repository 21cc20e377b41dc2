"""Records through a real stream: each arrives once, a full stream makes machines wait, and forgeries are put aside."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import nats
import pytest
from tests.conftest import Studio, until
from tests.fleet_machines import VARIABLES, Database, Machine
from tests.fleet_servers import certified, free_port, postgresql_server
from tests.fleet_stream import NatsServer

from agent_studio.fleet.batch import Batch, encoded
from agent_studio.fleet.jetstream import STREAM, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW = ("shop", "staging", "m1", "0" * 32, 1_774_864_800_000, None, "hooks")


@pytest.fixture
def stream() -> Iterator[NatsServer]:
    server = NatsServer()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """Have a connection that nobody closed told by the test that made it, not by whichever runs when it is found."""
    yield
    gc.collect()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    found = Database(postgresql_server())
    studio = Studio(tmp_path / "central")
    studio.write(".claude/config.yaml", f"fleet:\n  engine: {found.address}\n")
    assert studio.run("fleet", "init", "--yes", variables=VARIABLES).code == 0
    return found


def machine_of(path: Path, stream: NatsServer, database: Database, **settings: Any) -> Machine:
    path.mkdir(parents=True)
    where = {"ingest": f"nats://127.0.0.1:{stream.port}", "engine": database.address}
    return Machine(Studio(path), project="shop", **where, **settings)


@pytest.fixture
def machine(tmp_path: Path, stream: NatsServer, database: Database) -> Machine:
    return machine_of(tmp_path / "shop", stream, database)


def drain(machine: Machine, *options: str) -> dict[str, Any]:
    return machine.studio.json("fleet", "drain", "--env", "staging", *options, variables=VARIABLES)


def publish(stream: NatsServer, *messages: tuple[str, bytes]) -> None:
    async def main() -> None:
        client = await nats.connect(f"nats://127.0.0.1:{stream.port}")
        for subject, data in messages:
            await client.jetstream().publish(subject, data)
        await client.close()

    asyncio.run(main())


def test_records_go_through_the_stream_into_the_engine_once(machine: Machine, database: Database) -> None:
    machine.everything()
    machine.record(40)
    assert machine.ship()["total"] == 45
    shutil.rmtree(machine.state / "fleet")
    machine.configure(batchRecords=10)
    machine.ship()  # again, in other batches
    assert sum(database.counts().values()) == 0
    waiting = machine.status()["destinations"][0]["stream"]
    assert (waiting["messages"], waiting["replicas"]) == (10, 1)  # what was sent twice alike is there once
    done = drain(machine)
    assert (done["messages"], done["poisoned"], done["refused"]) == (10, 0, 0)
    assert database.counts() == {"hooks": 41, "agents": 1, "errors": 1, "sessions": 1, "usage": 1, "damage": 0}
    assert machine.status()["destinations"][0]["stream"]["messages"] == 0
    assert drain(machine)["messages"] == 0


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl that makes a certificate")
def test_a_stream_proves_who_it_is(tmp_path: Path, database: Database) -> None:
    certificate, key = certified(tmp_path, "127.0.0.1")
    server = NatsServer(tls=f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}')
    try:
        machine = machine_of(tmp_path / "shop", server, database)
        machine.configure(ingest=f"nats://127.0.0.1:{server.port}?tls=on")
        machine.record(3)
        (problem,) = machine.ship(code=1)["problems"]
        assert ("no trusted connection" in problem["message"], "fleet.tls.ca" in problem["hint"]) == (True, True)
        machine.configure(tls={"ca": str(certificate)})
        machine.ship()
        drain(machine)
        assert database.count() == 3
    finally:
        server.remove()


def test_a_batch_larger_than_a_message_may_be_is_sent_in_parts(machine: Machine, database: Database) -> None:
    chance = b"".join(bytes([number * 7 % 256, number * 13 % 251]) for number in range(4_000)).hex()
    machine.configure(texts="full")
    for number in range(8):
        machine.record(40, metadata={"detail": chance[number:] + str(number) * 9})
    machine.configure(batchRecords=100_000)
    machine.ship()
    drain(machine)
    assert database.count() == 320


def test_a_stopped_server_is_waited_for(machine: Machine, stream: NatsServer, database: Database) -> None:
    machine.record(3)
    machine.ship()
    stream.kill()
    machine.record(3)
    assert machine.ship("--once", code=5)["problems"][0]["code"] == "fleet-unreachable"
    shipper, drainer = machine.start("fleet", "ship"), machine.start("fleet", "drain", "--follow")
    time.sleep(1)
    stream.start()
    shipper.communicate(timeout=60)
    assert shipper.returncode == 0
    until(lambda: database.count() == 6)
    drainer.send_signal(signal.SIGTERM)
    out, _ = drainer.communicate(timeout=30)
    assert (drainer.returncode, json.loads(out)["data"]["messages"]) == (0, 2)


def test_a_full_stream_makes_machines_wait_and_loses_nothing(machine: Machine, database: Database) -> None:
    machine.configure(streamMegabytes=1, batchRecords=300, texts="full")
    for number in range(9):
        machine.record(300, session=f"s{number}")
    chance = random.Random(7)
    with (machine.metrics / "errors.jsonl").open("w") as file:
        for number in range(3_000):
            text = chance.randbytes(600).hex()
            record = {"timestamp": "2026-11-27T05:00:00.000Z", "environment": "staging", "eventId": f"e{number}",
                      "errorType": "SystemError", "severity": "LOW", "source": "x", "message": text}  # fmt: skip
            file.write(json.dumps(record) + "\n")
    fault = machine.ship("--once", code=5)["problems"][0]
    assert (fault["code"], "full" in fault["message"]) == ("fleet-unreachable", True)
    shipper, drainer = machine.start("fleet", "ship"), machine.start("fleet", "drain", "--follow")
    shipper.communicate(timeout=60)
    assert shipper.returncode == 0
    until(lambda: (database.count("hooks"), database.count("errors")) == (2_700, 3_000), 60)
    drainer.send_signal(signal.SIGTERM)
    drainer.communicate(timeout=30)


def test_what_is_no_batch_or_forged_is_put_aside_and_the_rest_goes_on(
    machine: Machine, stream: NatsServer, database: Database
) -> None:
    machine.record(2)
    machine.ship()
    good = Batch("shop", "m1", {"damage": [ROW]})
    other = Batch("shop", "m1", {"damage": [("shop", "staging", "m2", *ROW[3:])]})
    wrong = Batch("shop", "m1", {"damage": [(*ROW[:4], "yesterday", *ROW[5:])]})
    publish(
        stream, (subject_of("shop", "m1"), b"nonsense"), (subject_of("shop", "m2"), encoded(good)),
        (subject_of("shop", "m1"), encoded(other)), (subject_of("shop", "m1"), encoded(wrong)),
        (subject_of("shop", "m1"), encoded(good)), (f"{subject_of('shop', 'm1')}.more", encoded(good)),
    )  # fmt: skip
    done = drain(machine)
    assert (done["poisoned"], done["messages"]) == (5, 2)
    assert database.counts() == {"hooks": 2, "agents": 0, "errors": 0, "sessions": 0, "usage": 0, "damage": 1}
    reasons = [json.loads(line)["reason"] for line in (machine.state / "fleet/refused.jsonl").read_text().splitlines()]
    assert len(reasons) == 5
    assert "a batch of machine 'm1' of 'shop' on the subject agent-studio.shop.m2" in reasons


def test_a_machine_may_write_to_its_own_subject_only(tmp_path: Path, database: Database) -> None:
    """The server holds a credential to what it is given: a stolen one cannot speak for another machine."""
    users = """authorization { users: [
      { user: owner, password: "of the owner" },
      { user: m1, password: "of m1", permissions: {
          publish: ["agent-studio.shop.m1"], subscribe: ["_INBOX.>"] } }
    ] }"""
    server = NatsServer(users=users)
    try:
        machine = machine_of(tmp_path / "m1", server, database, machine="m1")
        machine.configure(ingest=f"nats://m1@127.0.0.1:{server.port}")
        machine.record(3)
        own = VARIABLES | {"AGENT_STUDIO_FLEET_INGEST_PASSWORD": "of m1"}
        early = machine.studio.run("fleet", "ship", "--env", "staging", "--once", "--json", variables=own)
        assert (early.code, "no stream yet" in early.out) == (5, True), early.out
        central = machine_of(tmp_path / "central2", server, database)
        central.configure(ingest=f"nats://owner@127.0.0.1:{server.port}")
        owner = VARIABLES | {"AGENT_STUDIO_FLEET_INGEST_PASSWORD": "of the owner"}
        assert central.studio.run("fleet", "drain", "--env", "staging", variables=owner).code == 0
        refused = machine.studio.run("fleet", "ship", "--env", "staging", "--once", "--json")
        assert (refused.code, refused.envelope["problems"][0]["code"]) == (1, "fleet")
        assert machine.studio.run("fleet", "ship", "--env", "staging", variables=own).code == 0
        assert machine.studio.run("fleet", "status", "--env", "staging", variables=own).code == 0
        machine.configure(machine="m2")
        machine.record(3)
        (machine.metrics / "fleet-origin").unlink()  # it would be kept from another name by itself
        forged = machine.studio.run("fleet", "ship", "--env", "staging", "--once", variables=own)
        assert (forged.code, "agent-studio.shop.m2" in forged.err) == (1, True), forged.err
        assert "m2" not in (machine.metrics / "fleet-origin").read_text()
        assert central.studio.run("fleet", "drain", "--env", "staging", variables=owner).code == 0
        assert {one["machine"] for one in database.table("hooks")} == {"m1"}
    finally:
        server.remove()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ingest", "postgresql://HOST/DB", "fleet.ingest: postgresql is no stream"),
        ("engine", "nats://HOST", "fleet.engine: nats is a stream"),
        ("ingest", "nats://m1:secret@HOST", "fleet.ingest holds a password"),
        ("ingest", "nats://HOST?sslmode=off", "unknown option 'sslmode'"),
    ],
)
def test_an_address_that_is_none_is_told(tmp_path: Path, key: str, value: str, said: str) -> None:
    (tmp_path / "shop").mkdir()
    machine = Machine(Studio(tmp_path / "shop"), **{key: value})
    machine.record(1)
    found = machine.ship(code=2)["problems"][0]
    assert (found["code"], said in found["message"]) == ("configuration", True), found
    assert "secret" not in json.dumps(found)


def test_the_stream_is_kept_where_it_is_already(machine: Machine, stream: NatsServer) -> None:
    async def made() -> int:
        client = await nats.connect(f"nats://127.0.0.1:{stream.port}")
        config = (await client.jetstream().stream_info(STREAM)).config
        await client.close()
        return int(config.max_bytes or 0)

    machine.configure(streamMegabytes=7)
    machine.record(1)
    machine.ship()
    machine.configure(streamMegabytes=9)
    machine.record(1)
    machine.ship()
    assert asyncio.run(made()) == 7 << 20
    assert free_port() != stream.port
