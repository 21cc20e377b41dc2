"""Engines keep what they are given: once, whole, under our mark; and say what is wrong when they do not."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from tests import fleet_servers
from tests.fleet_rows import DAY_MS, batch, row

from agent_studio.environment.config import load
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import ConfigurationError
from agent_studio.fleet.address import PASSWORD, Address, address
from agent_studio.fleet.engines import FleetError, RefusedError, SchemaError, UnreachableError
from agent_studio.fleet.engines.opening import opened
from agent_studio.fleet.engines.postgresql import PostgreSQL
from agent_studio.fleet.tables import SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Studio

    from agent_studio.fleet.engines import Engine

RETENTION_DAYS = 90
FINAL = {"postgresql": "", "clickhouse": " FINAL"}


def now_ms() -> int:
    return int(time.time() * 1000)


def place(text: str, password: str | None = fleet_servers.PASSWORD) -> Address:
    """The address that a configuration would hold."""
    config = load(Project(Path(__file__).parent / "nowhere"), Environment.DEVELOPMENT, {}, (f"fleet.engine={text}",))
    return address(config, "fleet.engine", {PASSWORD: password} if password else {})


@pytest.fixture
def postgresql() -> Iterator[PostgreSQL]:
    with opened(place(fleet_servers.postgresql_server().database()), "bookshop") as engine:
        assert isinstance(engine, PostgreSQL)
        engine.init(RETENTION_DAYS)
        yield engine


@pytest.fixture(params=["postgresql", "clickhouse"])
def empty(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine without tables of ours."""
    is_server = request.param == "postgresql"
    text = fleet_servers.postgresql_server().database() if is_server else fleet_servers.chdb_address()
    with opened(place(text), "bookshop") as engine:
        yield engine


@pytest.fixture
def engine(empty: Engine) -> Engine:
    empty.init(RETENTION_DAYS)
    return empty


def held(engine: Engine, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """What a reader of a table finds, in order."""
    listed = ", ".join(TABLES[table]) if columns == "*" else columns
    statement = f"SELECT {listed} FROM agent_studio.{table}{FINAL[engine.dialect]} ORDER BY id, at_ms"
    return list(engine.fetch(statement, {}).rows)


def ids(engine: Engine, table: str = "hooks") -> list[int]:
    return [value.int for (value,) in held(engine, table, "id")]


def test_a_schema_is_made_once_and_asked_for_before_it_is_there(empty: Engine) -> None:
    with pytest.raises(SchemaError, match="no tables of ours") as raised:
        empty.require()
    assert "fleet init" in raised.value.hint
    planned = empty.init(RETENTION_DAYS, dry_run=True)
    with pytest.raises(SchemaError):
        empty.require()
    assert empty.init(RETENTION_DAYS) == planned
    assert "create the table usage" in planned
    empty.require()
    assert empty.init(RETENTION_DAYS) == []
    assert empty.store().version == SCHEMA_VERSION


def test_what_is_kept_is_read_back_as_it_was(engine: Engine) -> None:
    at = now_ms()
    text = "naïve 日本 🙂 'quote' \"double\" \\ back\ttab\nline"
    rows = [
        row("hooks", 1, at, hook="", duration_ms=0.1, status="success", synthetic=True),
        row("hooks", 2, at - 1, hook=text, event=text, tool="", duration_ms=math.pi, session_id="s", release="r"),
        row("hooks", 3, at - DAY_MS, hook="h", duration_ms=None),
    ]
    usage = [row("usage", 4, at, response="r", seq=1, input_tokens=2**63 - 1, output_tokens=-1, pico_usd=None)]
    errors = [row("errors", 5, at, error_type="t", severity="LOW", source="s", message="x" * 100_000)]
    engine.insert(batch(hooks=rows, usage=usage, errors=errors))
    for table, given in (("hooks", rows), ("usage", usage), ("errors", errors)):
        place_of_id = list(TABLES[table]).index("id")
        expected = [(*one[:place_of_id], UUID(one[place_of_id]), *one[place_of_id + 1 :]) for one in given]
        assert held(engine, table) == expected


def test_rows_that_arrive_again_are_kept_once_whatever_they_come_with(engine: Engine) -> None:
    at = now_ms()
    rows = [row("hooks", number, at - number * 3_600_000) for number in range(60)]
    counts = [
        engine.insert(batch(hooks=rows[:40])),
        engine.insert(batch(hooks=rows[20:])),
        engine.insert(batch(hooks=rows)),
    ]
    assert ids(engine) == list(range(60))
    assert counts == ([40, 20, 0] if engine.dialect == "postgresql" else [-1, -1, -1])
    engine.insert(batch(hooks=[rows[0], rows[0]]))
    assert ids(engine) == list(range(60))


def test_a_row_that_is_there_is_not_changed_by_another_of_its_id(engine: Engine) -> None:
    at = now_ms()
    engine.insert(batch(hooks=[row("hooks", 1, at, status="failure")]))
    engine.insert(batch(hooks=[row("hooks", 1, at, status="success")]))
    assert held(engine, "hooks", "status") == [("failure",)]


def test_rows_of_one_id_and_two_machines_are_two(engine: Engine) -> None:
    at = now_ms()
    engine.insert(batch(hooks=[row("hooks", 1, at)]))
    engine.insert(batch(machine="ci-2", hooks=[row("hooks", 1, at, machine="ci-2")]))
    assert len(held(engine, "hooks")) == 2


def test_a_row_that_is_none_is_refused_and_nothing_of_its_table_is_kept(engine: Engine) -> None:
    at = now_ms()
    wrong: list[dict[str, Any]] = [
        {"hook": None}, {"duration_ms": "soon"}, {"duration_ms": [1]}, {"at_ms": 2**70}, {"at_ms": "today"},
        {"id": "no number"}, {"hook": "\ud800"}, {"synthetic": {}}, {"synthetic": None},
    ]  # fmt: skip
    for values in wrong:
        poisoned = row("hooks", 2, **{"at_ms": at, **values})
        with pytest.raises(RefusedError):
            engine.insert(batch(hooks=[row("hooks", 1, at), poisoned, row("hooks", 3, at)]))
        assert ids(engine) == []
    engine.insert(batch(hooks=[row("hooks", 1, at)]))
    assert ids(engine) == [1]


def test_a_batch_of_several_tables_is_whole_or_repeated_without_harm(engine: Engine) -> None:
    at = now_ms()
    good, bad = [row("hooks", 1, at)], [row("errors", 2, at, severity=None)]
    with pytest.raises(RefusedError):
        engine.insert(batch(hooks=good, errors=bad))
    assert ids(engine) == ([] if engine.dialect == "postgresql" else [1])
    engine.insert(batch(hooks=good, errors=[row("errors", 2, at)]))
    assert ids(engine) == [1]
    assert ids(engine, "errors") == [2]


def test_wrong_times_are_kept_and_make_no_partitions_without_end(engine: Engine) -> None:
    at = now_ms()
    wrong = [0, 1, -5, at + 400 * DAY_MS, at + 50_000 * DAY_MS, 2**63 - 1, at - 4_000 * DAY_MS]
    engine.insert(batch(hooks=[row("hooks", number, when) for number, when in enumerate(wrong)]))
    assert [when for (when,) in held(engine, "hooks", "at_ms")] == wrong
    if isinstance(engine, PostgreSQL):
        with engine.connection() as db:
            parts = db.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'agent_studio.hooks'::regclass")
            assert parts.fetchone() == (3,)  # today, tomorrow, the rest


def test_old_days_go_by_partition_and_the_rest_stays(engine: Engine) -> None:
    at = now_ms()
    today = at // DAY_MS * DAY_MS
    kept = [row("hooks", 1, at), row("hooks", 2, today - 2 * DAY_MS), row("hooks", 3, at + 30 * DAY_MS)]
    old = [row("hooks", 4, today - 2 * DAY_MS - 1), row("hooks", 5, today - 9 * DAY_MS), row("hooks", 6, 0)]
    engine.insert(batch(hooks=kept + old, damage=[row("damage", 7, 0, kind="hooks")]))
    assert engine.prune(today - 2 * DAY_MS) == 2
    assert ids(engine) == [1, 2, 3]
    assert ids(engine, "damage") == []
    assert engine.prune(today - 2 * DAY_MS) == 0
    engine.insert(batch(hooks=old))
    assert ids(engine) == [1, 2, 3, 4, 5, 6]


def test_a_store_says_what_is_there(engine: Engine) -> None:
    at = now_ms()
    engine.insert(batch(hooks=[row("hooks", 1, at), row("hooks", 2, at - 3 * DAY_MS)], damage=[row("damage", 3, 0)]))
    other = row("hooks", 4, at - 5 * DAY_MS, project="library")
    engine.insert(batch(project="library", hooks=[other]))
    found = engine.store()
    assert found.rows == {**dict.fromkeys(TABLES, 0), "hooks": 3, "damage": 1}
    assert (found.oldest_ms, found.newest_ms) == (at - 3 * DAY_MS, at)
    assert found.engine.partition(" ")[0] in {"PostgreSQL", "ClickHouse"}
    assert found.bytes > 0


def test_a_schema_of_version_0_is_migrated_and_a_newer_one_refused(empty: Engine) -> None:
    script = _mark_script(empty)
    script("0")
    with pytest.raises(SchemaError, match="version 0"):
        empty.require()
    assert empty.init(RETENTION_DAYS)[-1] == f"set version {SCHEMA_VERSION}"
    empty.require()
    empty.insert(batch(hooks=[row("hooks", 1, now_ms())]))
    script(str(SCHEMA_VERSION + 1))
    for refused in (empty.require, lambda: empty.init(RETENTION_DAYS)):
        with pytest.raises(SchemaError, match="version 2") as raised:
            refused()
        assert "upgrade" in raised.value.hint
    assert ids(empty) == [1]


def _mark_script(engine: Engine) -> Callable[[str], None]:
    """What sets the schema's version, past the product."""

    def run(version: str) -> None:
        with engine.connection() as db:
            if engine.dialect == "postgresql":
                if version == "0":
                    db.execute("CREATE SCHEMA agent_studio; CREATE TABLE agent_studio.meta (version integer, "
                               "made_by text, retention_days integer)")  # fmt: skip
                    db.execute("INSERT INTO agent_studio.meta VALUES (0, 'agent-studio', 90)")
                db.execute(f"UPDATE agent_studio.meta SET version = {version}")
            else:
                db.command("CREATE DATABASE IF NOT EXISTS agent_studio")
                db.command("CREATE TABLE IF NOT EXISTS agent_studio.meta (version UInt32, made_by String, "
                           "at DateTime64(3) DEFAULT now64(3)) ENGINE = MergeTree ORDER BY version")  # fmt: skip
                db.command(f"INSERT INTO agent_studio.meta (version, made_by) VALUES ({version}, 'agent-studio')")

    return run


@pytest.mark.parametrize("table", ["meta", "hooks"])
def test_a_schema_that_is_not_ours_is_left_alone(empty: Engine, table: str) -> None:
    with empty.connection() as db:
        if empty.dialect == "postgresql":
            db.execute(f"CREATE SCHEMA agent_studio; CREATE TABLE agent_studio.{table} (version integer, made_by text)")
        else:
            db.command("CREATE DATABASE agent_studio")
            db.command(f"CREATE TABLE agent_studio.{table} (version Int64, made_by String) ENGINE = Memory")
            db.command(f"INSERT INTO agent_studio.{table} VALUES (1, 'somebody')")
    for refused in (empty.require, lambda: empty.init(RETENTION_DAYS)):
        with pytest.raises(SchemaError, match="not ours"):
            refused()


def test_two_that_make_the_schema_at_once_make_it_once() -> None:
    where = place(fleet_servers.postgresql_server().database())
    done: list[list[str]] = []

    def make() -> None:
        with opened(where, "") as engine:
            done.append(engine.init(RETENTION_DAYS))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bool, done)) == [False, False, False, True]


def test_rows_that_came_too_early_go_to_their_day_once_it_has_a_partition(postgresql: PostgreSQL) -> None:
    at = now_ms()
    early = [row("hooks", 1, at - 20 * DAY_MS)]
    postgresql.init(10)
    postgresql.insert(batch(hooks=early))
    assert _partition_of(postgresql, 1) == "hooks_rest"
    assert postgresql.init(30) == ["keep records for 30 days"]
    with opened(postgresql.address, "") as other:
        other.insert(batch(hooks=[*early, row("hooks", 2, at - 20 * DAY_MS)]))
    assert _partition_of(postgresql, 1) == _partition_of(postgresql, 2) != "hooks_rest"
    assert ids(postgresql) == [1, 2]


def _partition_of(engine: PostgreSQL, number: int) -> str:
    statement = "SELECT tableoid::regclass::text FROM agent_studio.hooks WHERE id = %(id)s"
    ((name,),) = engine.fetch(statement, {"id": UUID(int=number)}).rows
    return str(name).removeprefix("agent_studio.")


def test_a_day_that_somebody_holds_locked_keeps_nobody_from_writing(postgresql: PostgreSQL) -> None:
    at = now_ms()
    server = fleet_servers.postgresql_server()
    with server.connect(postgresql.address.path.strip("/")) as reader:
        reader.execute("SELECT count(*) FROM agent_studio.hooks")  # a transaction left open: it locks every partition
        assert postgresql.insert(batch(hooks=[row("hooks", 1, at - 5 * DAY_MS)])) == 1
    assert _partition_of(postgresql, 1) == "hooks_rest"
    postgresql.insert(batch(hooks=[row("hooks", 2, at - 5 * DAY_MS)]))
    assert _partition_of(postgresql, 1) == _partition_of(postgresql, 2) != "hooks_rest"


def test_a_fault_says_whether_to_come_again(postgresql: PostgreSQL) -> None:
    kinds = {
        "53100": UnreachableError, "53300": UnreachableError, "57P01": UnreachableError, "40P01": UnreachableError,
        "57014": UnreachableError, "25006": UnreachableError, "22003": RefusedError, "23514": RefusedError,
        "42P01": SchemaError, "42703": SchemaError, "42501": FleetError, "XX000": FleetError,
    }  # fmt: skip
    for state, kind in kinds.items():
        with pytest.raises(FleetError) as raised:
            postgresql.fetch(f"DO $$ BEGIN RAISE EXCEPTION 'it is so' USING ERRCODE = '{state}'; END $$", {})
        assert (state, type(raised.value)) == (state, kind)
        assert "it is so" in raised.value.message


def test_a_text_with_a_nul_is_refused(postgresql: PostgreSQL) -> None:
    with pytest.raises(RefusedError, match="NUL"):
        postgresql.insert(batch(hooks=[row("hooks", 1, now_ms(), hook="a\0b")]))


def test_an_engine_that_was_killed_is_unreachable_and_then_goes_on() -> None:
    server = fleet_servers.postgresql_server()
    with opened(place(server.database()), "bookshop") as engine:
        engine.init(RETENTION_DAYS)
        engine.insert(batch(hooks=[row("hooks", 1, now_ms())]))
        server.stop(signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(UnreachableError):
                engine.insert(batch(hooks=[row("hooks", 2, now_ms())]))
        server.start()
        assert engine.insert(batch(hooks=[row("hooks", 2, now_ms())])) == 1
        assert ids(engine) == [1, 2]


def test_nobody_there_a_wrong_password_and_no_database_are_told_apart() -> None:
    server = fleet_servers.postgresql_server()
    text = server.database()
    asked: list[tuple[Address, type[FleetError], str]] = [
        (place(f"postgresql://127.0.0.1:{fleet_servers.free_port()}/x"), UnreachableError, ""),
        (place(text, "guessed"), FleetError, PASSWORD), (place(text, None), FleetError, PASSWORD),
        (place(server.address("nowhere")), FleetError, "createdb"),
        (place(f"clickhouse://127.0.0.1:{fleet_servers.free_port()}"), UnreachableError, ""),
    ]  # fmt: skip
    for where, kind, hint in asked:
        with pytest.raises(FleetError) as raised, opened(where, ""):
            pass
        assert type(raised.value) is kind, raised.value
        assert hint in raised.value.hint


def test_an_engine_elsewhere_has_to_prove_who_it_is() -> None:
    server, authority = fleet_servers.tls_server()
    elsewhere = server.address("postgres").replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(FleetError) as raised, opened(place(elsewhere), ""):
        pass
    assert (type(raised.value), "fleet.tls.ca" in raised.value.hint) == (FleetError, True)
    with opened(place(elsewhere)._replace(ca=str(authority)), "") as engine:
        assert _is_encrypted(engine)
    stranger = server.address("postgres") + "?sslmode=verify-full"
    with pytest.raises(FleetError, match=r"127\.0\.0\.1"), opened(place(stranger)._replace(ca=str(authority)), ""):
        pass
    with opened(place(f"{elsewhere}?sslmode=disable"), "") as engine:
        assert not _is_encrypted(engine)


def _is_encrypted(engine: Engine) -> bool:
    ((found,),) = engine.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", {}).rows
    return bool(found)


def test_an_option_that_is_none_is_named() -> None:
    for text in (
        "postgresql://127.0.0.1/x?sslmod=disable",
        "clickhouse://127.0.0.1?cluser=x",
        "clickhouse://h?secure=1",
    ):
        with pytest.raises(ConfigurationError), opened(place(text), ""):
            pass


def test_an_engine_without_its_library_says_what_to_install() -> None:
    for scheme, module in (("postgresql", "psycopg"), ("clickhouse", "clickhouse_connect")):
        code = (
            f"import sys; sys.modules[{module!r}] = None\n"
            "from agent_studio.fleet.address import Address\n"
            "from agent_studio.fleet.engines import FleetError\n"
            "from agent_studio.fleet.engines.opening import opened\n"
            f"where = Address({scheme!r}, (('', None),), '/x', None, None, {{}}, None, None, None)\n"
            "try:\n  with opened(where, ''): pass\n"
            "except FleetError as error: print(error.hint)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"pip install 'agent-studio[{scheme}]'"


def test_the_statements_that_are_printed_make_the_schema(bare: Studio) -> None:
    server = fleet_servers.postgresql_server()
    text = server.database()
    script = bare.json("fleet", "init", "--sql", "--set", f"fleet.engine={text}")["sql"]
    with closing(server.connect(text.rpartition("/")[2], autocommit=True)) as db:
        db.execute(script)
    with opened(place(text), "") as engine:
        engine.require()
        assert engine.init(RETENTION_DAYS) == []


def test_the_statements_for_a_cluster_are_such_as_the_engine_parses(bare: Studio) -> None:
    script = bare.json("fleet", "init", "--sql", "--set", "fleet.engine=clickhouse://h/?cluster=main")["sql"]
    assert script.count("ON CLUSTER `main`") == len(TABLES) + 2
    assert script.count("ReplicatedReplacingMergeTree(") == len(TABLES)
    with opened(place(fleet_servers.chdb_address()), "") as engine:
        for statement in filter(str.strip, script.split(";\n")):
            engine.fetch(f"EXPLAIN AST {statement}", {})


def test_init_says_what_it_does_and_does_it_once(bare: Studio) -> None:
    given = ("--set", f"fleet.engine={fleet_servers.postgresql_server().database()}")
    variables = {PASSWORD: fleet_servers.PASSWORD}
    planned = bare.json("fleet", "init", "--dry-run", *given, variables=variables)
    assert planned["dryRun"]
    assert planned["steps"][0] == "create the schema agent_studio"
    done = bare.json("fleet", "init", "--yes", *given, variables=variables)
    assert done == {**planned, "dryRun": False}
    again = bare.run("fleet", "init", *given, variables=variables)
    assert again.code == 0
    assert "nothing to do" in again.out
    unset = bare.run("fleet", "init")
    assert unset.code == 2
    assert "fleet.engine" in unset.err
