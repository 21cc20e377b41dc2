"""What was recorded arrives in the engine, each record once, whatever happens to journals, shippers and servers."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import threading
import time
import tracemalloc
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.conftest import Studio, until
from tests.fleet_machines import EVERYTHING, VARIABLES, Database, Machine, StallingProxy
from tests.fleet_servers import PASSWORD, chdb_address, free_port, postgresql_server

from agent_studio.fleet import ship
from agent_studio.fleet.ship import Shipped, Shipper

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    (tmp_path / "shop").mkdir()
    return Studio(tmp_path / "shop")


@pytest.fixture
def database(studio: Studio) -> Database:
    found = Database(postgresql_server())
    studio.write(".claude/config.yaml", f"fleet:\n  engine: {found.address}\n")
    done = studio.run("fleet", "init", "--yes", "--json", variables=VARIABLES)
    assert done.code == 0, done.out
    return found


@pytest.fixture
def machine(studio: Studio, database: Database) -> Machine:
    return Machine(studio, engine=database.address, project="shop")


def test_every_kind_of_record_arrives_once(machine: Machine, database: Database) -> None:
    machine.everything()
    first, again = machine.ship(), machine.ship()
    assert first["rows"] == {"hooks": 1, "agents": 1, "errors": 1, "sessions": 1, "usage": 1}
    assert again["total"] == 0
    assert database.counts() == {"hooks": 1, "agents": 1, "errors": 1, "sessions": 1, "usage": 1, "damage": 0}


def test_clickhouse_takes_what_the_command_ships_once(studio: Studio) -> None:
    machine = Machine(studio, engine=chdb_address(), project="shop")
    assert studio.run("fleet", "init", "--yes", "--env", "staging").code == 0
    machine.everything()
    machine.record(40)
    assert machine.ship()["total"] == 45
    shutil.rmtree(machine.state / "fleet")
    machine.configure(batchRecords=10)
    machine.ship()  # again, in other batches
    told = studio.json("monitor", "--from", "fleet", "--env", "staging", "--hours", "1")
    assert sum(hook["calls"] for hook in told["hooks"]) == 41
    assert studio.json("cost", "report", "--from", "fleet", "--env", "staging")["totals"]["responses"] == 1


def names(first: int, last: int) -> list[str]:
    return sorted(f"hook-{number}" for number in range(first, last + 1))


def test_what_is_shipped_names_its_origin_and_says_nothing_personal(machine: Machine, database: Database) -> None:
    machine.everything()
    machine.ship()
    (hook,), (error,), (used,) = (database.table(name) for name in ("hooks", "errors", "usage"))
    assert (hook["project"], hook["environment"], hook["machine"]) == ("shop", "staging", machine.status()["machine"])
    assert error["message"] == "broke # times at #"
    assert (used["folder"], used["pico_usd"], used["input_tokens"]) == (None, 250_000_000_000, 10)
    everything = repr([database.table(name) for name in EVERYTHING])
    assert "somebody" not in everything
    assert machine.path.parent.name not in everything


def test_a_dry_run_shows_rows_as_they_would_be_sent_and_leaves_no_trace(machine: Machine, database: Database) -> None:
    machine.everything()
    found = machine.ship("--dry-run")
    assert found["rows"] == {"hooks": 1, "agents": 1, "errors": 1, "sessions": 1, "usage": 1}
    assert found["samples"]["errors"]["message"] == "broke # times at #"
    assert not machine.metrics.joinpath("fleet-origin").exists()
    assert not machine.state.joinpath("fleet").exists()
    assert sum(database.counts().values()) == 0


def test_the_cursor_survives_sealing_gzip_archive_and_many_small_batches(machine: Machine, database: Database) -> None:
    machine.configure(batchRecords=7)
    machine.record(20)
    machine.ship()
    machine.record(5)
    sealed = machine.seal()
    machine.record(10)
    assert machine.ship()["rows"] == {"hooks": 15}
    machine.record(3)
    sealed.with_name(sealed.name + ".gz").write_bytes(gzip.compress(sealed.read_bytes()))
    sealed.unlink()
    second = machine.seal(number=2)
    machine.record(4)
    archive = machine.state / "archive"
    archive.mkdir()
    (archive / f"{second.name}.gz").write_bytes(gzip.compress(second.read_bytes()))
    second.unlink()
    assert machine.ship()["rows"] == {"hooks": 7}
    sealed.with_name(sealed.name + ".gz").rename(archive / f"{sealed.name}.gz")
    assert machine.ship()["total"] == 0
    assert database.hooks() == names(1, 42)
    found = machine.journal()
    assert (found["records"], found["lagBytes"], found["lostFiles"]) == (42, 0, 0)


def test_a_torn_line_waits_until_it_is_whole(machine: Machine, database: Database) -> None:
    machine.record(3)
    journal = machine.metrics / "hooks.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-40])
    assert machine.ship()["rows"] == {"hooks": 2}
    journal.write_bytes(whole)
    assert machine.ship()["rows"] == {"hooks": 1}
    journal.write_bytes(whole + b'{"timestamp":"')
    machine.ship()
    machine.seal()
    assert machine.ship()["rows"] == {"damage": 1}  # it will never be whole
    assert database.hooks() == names(1, 3)


def test_damage_is_of_the_time_of_its_neighbour_and_waits_for_one(machine: Machine, database: Database) -> None:
    journal = machine.metrics / "hooks.jsonl"
    journal.write_bytes(b"nonsense\n\n[]\n")
    assert machine.ship()["total"] == 0
    machine.record(1)
    with journal.open("ab") as file:
        file.write(b"{}\n")
    assert machine.ship()["rows"] == {"damage": 3, "hooks": 1}
    (hook,) = database.table("hooks")
    assert {one["at_ms"] for one in database.table("damage")} == {hook["at_ms"]}
    shutil.rmtree(machine.state / "fleet")
    machine.ship()
    assert database.counts()["damage"] == 3


def test_a_lost_or_damaged_cursor_only_costs_time(machine: Machine, database: Database) -> None:
    machine.everything()
    machine.record(30)
    machine.ship()
    before = database.counts()
    shutil.rmtree(machine.state / "fleet")
    assert machine.ship()["total"] == 35
    for cursor in (machine.state / "fleet").glob("cursor-*.json"):
        cursor.write_bytes(b'{"entries": {"": [1')
    assert machine.ship()["total"] == 35
    assert database.counts() == before


def test_what_the_engine_lost_is_sent_again_when_told_so(machine: Machine, database: Database) -> None:
    machine.everything()
    machine.record(3)
    machine.seal()
    machine.record(2)
    machine.ship()
    before = database.counts()
    with database.server.connect(database.name) as db:
        db.execute("TRUNCATE agent_studio.hooks, agent_studio.usage")
    assert machine.ship()["total"] == 0
    machine.ship("--again", "--dry-run", code=2)
    assert machine.ship("--again")["total"] == sum(before.values())
    assert database.counts() == before
    assert machine.ship()["total"] == 0


def test_a_journal_that_was_cut_or_replaced_is_told_and_shipped_anew(machine: Machine, database: Database) -> None:
    machine.record(10)
    machine.ship()
    journal = machine.metrics / "hooks.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]))
    cut = machine.ship()
    assert (cut["replaced"], cut["rows"]) == (["hooks.jsonl"], {"hooks": 4})
    journal.write_bytes(b"".join(lines[5:]))
    replaced = machine.ship()
    assert (replaced["replaced"], replaced["lostFiles"]) == (["hooks.jsonl"], 0)
    machine.record(2)
    machine.ship()
    assert database.hooks() == names(1, 12)


def test_what_is_gone_before_it_was_shipped_is_counted_and_told(machine: Machine, database: Database) -> None:
    machine.record(5)
    machine.ship()
    machine.record(5)
    size = len((machine.metrics / "hooks.jsonl").read_bytes())
    machine.configure(engine=f"postgresql://postgres@127.0.0.1:{free_port()}/none")
    assert machine.ship("--once", code=5)["problems"][0]["code"] == "fleet-unreachable"
    machine.seal().unlink()
    assert machine.journal(code=1)["lostFiles"] == 1
    machine.configure(engine=database.address)
    machine.record(1)
    found = machine.ship()
    assert (found["lostFiles"], found["rows"]) == (1, {"hooks": 1})
    assert 0 < found["lostBytes"] < size
    doctor = machine.studio.run("doctor", "--env", "staging", "--json", variables=VARIABLES).data["findings"]
    assert [one["message"] for one in doctor if one["code"] == "fleet"] == [
        f"hooks: 1 files are gone with {found['lostBytes']:,} bytes that were not shipped"
    ]
    assert machine.ship()["lostFiles"] == 0
    assert machine.journal()["lostFiles"] == 1


def test_what_a_reset_put_aside_is_shipped_and_keeps_its_ids(machine: Machine, database: Database) -> None:
    machine.everything()
    machine.record(10)
    machine.ship()
    origin = (machine.metrics / "fleet-origin").read_text()
    machine.record(10)
    machine.spend("m2")
    done = machine.studio.run("init", "--env", "staging", "--reset", "--yes", "--json")
    assert done.code == 0, done.out
    machine.record(3)
    assert machine.ship()["rows"] == {"hooks": 13, "usage": 1}
    assert (machine.metrics / "fleet-origin").read_text() != origin
    assert machine.ship()["total"] == 0
    assert database.count("hooks") == 24
    assert {one["machine"] for one in database.table("hooks")} == {origin[:8], machine.status()["machine"]}


def test_a_restored_or_copied_folder_repeats_nothing_and_a_new_machine_collides_with_none(
    machine: Machine, database: Database, tmp_path: Path
) -> None:
    machine.record(10)
    machine.ship()
    copy = tmp_path / "elsewhere"
    shutil.copytree(machine.path, copy)
    shutil.rmtree(copy / ".agent-studio")
    restored = Studio(copy).run("fleet", "ship", "--env", "staging", "--json", variables=VARIABLES)
    assert restored.data["total"] == 10
    assert database.count() == 10
    (copy / ".claude/staging/metrics/fleet-origin").unlink()  # re-imaged: the same lines from another machine
    Studio(copy).run("fleet", "ship", "--env", "staging", "--json", variables=VARIABLES)
    assert database.count() == 20
    assert len({one["id"] for one in database.table("hooks")}) == 20


def test_a_machine_that_is_given_another_name_is_told_so_and_doubles_nothing(
    machine: Machine, database: Database
) -> None:
    machine.everything()
    machine.ship()
    first = machine.status()["machine"]
    machine.configure(machine="laptop")
    shutil.rmtree(machine.state / "fleet")
    told = machine.ship(code=2)["problems"][0]
    assert (told["code"], "--reset" in told["hint"]) == ("configuration", True)
    assert f"shipped as '{first}'" in told["message"]
    assert f"shipped as '{first}'" in machine.studio.run("doctor", "--env", "staging", variables=VARIABLES).out
    assert machine.status()["machine"] == first
    machine.ship("--dry-run", code=2)
    machine.configure(machine=None)
    assert machine.ship()["total"] == 5
    assert database.count() == 1
    machine.record(3)
    machine.configure(machine="laptop")
    done = machine.studio.run("init", "--env", "staging", "--reset", "--yes", "--json")
    assert done.code == 0, done.out
    machine.record(1)
    machine.ship()
    found = sorted((one["machine"], one["hook"]) for one in database.table("hooks"))
    assert found == sorted([(first, "lint"), *((first, one) for one in names(1, 3)), ("laptop", "hook-4")])


def test_a_copied_folder_under_another_name_is_told_so(machine: Machine, database: Database, tmp_path: Path) -> None:
    machine.configure(machine="ann")
    machine.record(5)
    machine.ship()
    shutil.copytree(machine.path, tmp_path / "elsewhere")
    copy = Studio(tmp_path / "elsewhere")
    of_ben = ("fleet", "ship", "--env", "staging", "--json", "--set", "fleet.machine=ben")
    shutil.rmtree(copy.path / ".agent-studio")
    done = copy.run(*of_ben, variables=VARIABLES)
    assert done.code == 2
    assert "shipped as 'ann'" in done.envelope["problems"][0]["message"]
    machine.configure(machine=None)
    shutil.rmtree(machine.state / "fleet")
    assert machine.ship()["rows"] == {"hooks": 5}
    assert database.rows("SELECT machine, count(*) FROM agent_studio.hooks GROUP BY 1") == [("ann", 5)]


def test_a_name_under_which_nothing_was_taken_binds_nobody(machine: Machine, database: Database) -> None:
    machine.record(3)
    machine.configure(engine=f"postgresql://postgres@127.0.0.1:{free_port()}/none")
    machine.ship("--once", code=5)
    machine.configure(engine=database.address)
    with database.server.connect(database.name) as db:
        db.execute("ALTER TABLE agent_studio.hooks ADD CHECK (machine = 'laptop')")
    machine.ship(code=1)
    machine.configure(machine="laptop")
    assert machine.ship()["rows"] == {"hooks": 3}
    machine.configure(machine="desktop")
    machine.ship(code=2)


def test_a_poisoned_record_is_put_aside_and_the_rest_arrives(machine: Machine, database: Database) -> None:
    machine.record(20)
    with database.server.connect(database.name) as db:
        db.execute("ALTER TABLE agent_studio.hooks ADD CHECK (hook NOT IN ('hook-7', 'hook-13'))")
    assert machine.ship()["refused"] == 2
    assert database.hooks() == sorted({*names(1, 20)} - {"hook-7", "hook-13"})
    aside = [json.loads(line) for line in (machine.state / "fleet/refused.jsonl").read_text().splitlines()]
    assert sorted(one["row"]["hook"] for one in aside) == ["hook-13", "hook-7"]
    assert "hooks_hook_check" in aside[0]["reason"]
    assert machine.journal()["refused"] == 2
    assert machine.ship()["total"] == 0


def test_an_engine_that_refuses_everything_loses_nothing(machine: Machine, database: Database) -> None:
    machine.record(40)
    with database.server.connect(database.name) as db:
        db.execute("ALTER TABLE agent_studio.hooks ADD CONSTRAINT never CHECK (hook = '')")
    assert "every row is refused" in machine.ship(code=1)["problems"][0]["message"]
    assert not (machine.state / "fleet/refused.jsonl").exists()
    with database.server.connect(database.name) as db:
        db.execute("ALTER TABLE agent_studio.hooks DROP CONSTRAINT never")
    machine.ship()
    assert database.hooks() == names(1, 40)


def test_a_full_disk_of_the_engine_is_waited_for(machine: Machine, database: Database) -> None:
    """The engine's own error class of a full disk, raised while it inserts."""
    machine.record(4)
    with database.server.connect(database.name) as db:
        db.execute(
            "CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        trigger = "CREATE TRIGGER disk_full BEFORE INSERT ON agent_studio.hooks"
        db.execute(f"{trigger} FOR EACH ROW EXECUTE FUNCTION disk_full()")
    found = machine.ship("--once", code=5)["problems"][0]
    assert (found["code"], "no space left" in found["message"]) == ("fleet-unreachable", True)
    shipper = machine.start("fleet", "ship")
    time.sleep(1.5)
    assert shipper.poll() is None
    with database.server.connect(database.name) as db:
        db.execute("DROP TRIGGER disk_full ON agent_studio.hooks")
    shipper.communicate(timeout=30)
    assert shipper.returncode == 0
    assert database.hooks() == names(1, 4)


def test_records_of_any_time_are_kept_and_status_tells_the_skew(machine: Machine, database: Database) -> None:
    machine.record(1, minutes_ago=60 * 24 * 800)
    machine.record(1, minutes_ago=-60 * 24 * 900)
    machine.record(1)
    machine.ship()
    assert database.hooks() == names(1, 3)
    (told,) = machine.status()["destinations"]
    assert abs(told["clockSkewMs"]) < 2_000
    assert (told["address"], told["fault"], told["tls"]) == (database.address, None, "local, not needed")


def test_a_newer_schema_is_left_alone(machine: Machine, database: Database) -> None:
    machine.record(1)
    with database.server.connect(database.name) as db:
        db.execute("UPDATE agent_studio.meta SET version = 99")
    assert machine.ship(code=2)["problems"][0]["code"] == "fleet-schema"
    assert database.count() == 0


def test_an_engine_that_takes_nothing_is_told_even_when_nothing_waits(machine: Machine, database: Database) -> None:
    def fault(engine: str, code: int, *options: str) -> str:
        machine.configure(engine=engine)
        return str(machine.ship(*options, code=code)["problems"][0]["code"])

    def of_onlooker(*statements: str) -> None:
        with database.server.connect(database.name) as db:
            for statement in statements:
                db.execute(statement)

    assert machine.ship()["total"] == 0
    for options in ((), ("--once",)):
        nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/none"
        assert fault(nowhere, 5, *options) == "fleet-unreachable"
    assert fault(database.address.replace("postgres@", "nobody@"), 1) == "fleet"
    quoted = PASSWORD.replace("'", "''")
    of_onlooker(
        f"CREATE ROLE onlooker LOGIN PASSWORD '{quoted}'", "GRANT USAGE ON SCHEMA agent_studio TO onlooker",
        "GRANT SELECT ON ALL TABLES IN SCHEMA agent_studio TO onlooker",
    )  # fmt: skip
    assert fault(database.address.replace("postgres@", "onlooker@"), 1) == "fleet"
    of_onlooker("DROP OWNED BY onlooker", "DROP ROLE onlooker", "UPDATE agent_studio.meta SET version = 99")
    assert fault(database.address, 2) == "fleet-schema"
    assert fault(database.server.database(), 2) == "fleet-schema"


def test_a_second_shipper_of_the_same_journals_is_told_so(machine: Machine) -> None:
    machine.configure(intervalSeconds=0.2)
    first = machine.start("fleet", "ship", "--follow")
    try:
        until((machine.metrics / "fleet-origin").exists)
        assert machine.ship(code=5)["problems"][0]["code"] == "busy"
        machine.record(5)
        until(lambda: machine.journal()["records"] == 5)
    finally:
        first.send_signal(signal.SIGTERM)
        out, _ = first.communicate(timeout=30)
    assert json.loads(out)["data"]["total"] == 5
    assert first.returncode == 0


def test_status_says_what_waits_and_for_how_long(machine: Machine) -> None:
    machine.record(10, minutes_ago=300)
    machine.spend("m1")
    found = machine.journal()
    assert (found["records"], found["acknowledged"]) == (0, None)
    assert 5 < found["lagRecords"] < 20
    assert found["oldestUnshipped"] is not None
    assert machine.journal("usage")["lagRecords"] == 1
    shown = machine.studio.run("fleet", "status", "--env", "staging", variables=VARIABLES)
    assert "5.0 h" in shown.out
    doctor = machine.studio.run("doctor", "--env", "staging", variables=VARIABLES)
    assert "records wait, the oldest for 5 h" in doctor.out


def test_a_response_that_grew_or_became_another_is_shipped_again(machine: Machine, database: Database) -> None:
    first = machine.spend("", 10, request="r1")
    machine.spend("m2", 20)
    machine.ship()
    machine.spend("m1", 15, amends=first, request="r1")
    machine.spend("m2", 30, amends=first + 1)
    assert machine.ship()["rows"] == {"usage": 3}
    newest = {one["response"]: one for one in sorted(database.table("usage"), key=lambda one: one["seq"])}
    counted = sorted((one["input_tokens"], one["source"]) for one in newest.values())
    assert counted == [(0, "replaced"), (15, "otel"), (30, "otel")]
    assert sum(one["pico_usd"] for one in newest.values()) == 500_000_000_000
    assert machine.ship()["total"] == 0


def test_shipping_a_large_journal_takes_little_memory(machine: Machine, database: Database) -> None:
    machine.record(500)
    machine.configure(batchRecords=500)
    lines = (machine.metrics / "hooks.jsonl").read_text()
    with Shipper(machine.context, VARIABLES, threading.Event(), print, patient=False) as shipper:
        shipper.round(Shipped())  # what is imported once is there
        with (machine.metrics / "hooks.2026-02-01.1.jsonl").open("w") as file:
            for number in range(1, 13):
                file.write(lines.replace('"eventId": "00', f'"eventId": "{number:02}'))
            size = file.tell()
        tracemalloc.start()
        try:
            shipper.round(Shipped())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert database.count() == 6_500
    assert peak < size


def test_an_engine_that_stalls_is_given_up_and_asked_again(
    machine: Machine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "ANSWER_TIMEOUT_S", 1.0)
    machine.record(5)
    with StallingProxy(database.server.port) as proxy:
        machine.configure(engine=database.address.replace(str(database.server.port), str(proxy.port)))
        machine.ship()
        machine.record(5)
        proxy.stalls_after = proxy.passed + 2_500  # in the middle of what follows
        machine.configure(batchRecords=1)
        fault = machine.ship("--once", code=5)["problems"][0]
        assert fault["code"] == "fleet-unreachable"
        proxy.stalls_after = None
        machine.ship()
    assert database.hooks() == names(1, 10)


def test_serve_ships_what_is_recorded_and_outlives_an_engine_that_is_not_there(
    machine: Machine, database: Database
) -> None:
    machine.configure(engine=f"postgresql://postgres@127.0.0.1:{free_port()}/none", intervalSeconds=0.2)
    machine.record(5)
    daemon = machine.start("serve", "--port", "0", "--ingest-interval", "0")
    try:
        until((machine.state / "serve.json").exists)
        log = machine.state / "log.jsonl"
        until(lambda: log.exists() and "what is recorded waits in the journals" in log.read_text())
        url = json.loads((machine.state / "serve.json").read_text())["url"]
        with urllib.request.urlopen(f"{url}/readyz") as answer:
            assert answer.status == 200
        machine.configure(engine=database.address)
        until(lambda: database.count() == 5)
        machine.record(5)
        until(lambda: database.count() == 10)
        by_hand = ("fleet", "ship", "--env", "staging")
        until(lambda: machine.studio.run(*by_hand, variables=VARIABLES).code == 0)  # between two looks of the daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=30)
    assert daemon.returncode == 0


def test_four_shippers_killed_and_an_engine_killed_under_load_end_with_every_record_once(
    tmp_path: Path, database: Database
) -> None:
    machines = []
    for number in range(1, 5):
        (tmp_path / f"m{number}").mkdir()
        one = Machine(Studio(tmp_path / f"m{number}"), project="shop", machine=f"m{number}", batchRecords=40,
                      engine=database.address)  # fmt: skip
        one.record(600)
        one.seal()
        one.record(600)
        machines.append(one)
    shippers = [one.start("fleet", "ship") for one in machines]
    for wanted, victim in ((300, 0), (1_500, 2)):
        until(lambda at=wanted: database.count() >= at)  # type: ignore[misc]
        database.server.restart(signal.SIGKILL)
        shippers[victim].kill()
        shippers[victim].communicate()
        shippers[victim] = machines[victim].start("fleet", "ship")
    for shipper in shippers:
        _, err = shipper.communicate(timeout=120)
        assert shipper.returncode == 0, err
    found = database.rows("SELECT machine, count(*), count(DISTINCT id) FROM agent_studio.hooks GROUP BY 1 ORDER BY 1")
    assert found == [(f"m{number}", 1_200, 1_200) for number in range(1, 5)]
    assert database.hooks() == sorted(names(1, 1_200) * 4)
