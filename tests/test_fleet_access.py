"""Who is let in can do one thing, whatever they try; and once shut out, nothing."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from tests import fleet_servers
from tests.conftest import until
from tests.fleet_rows import DAY_MS, batch, row
from tests.fleet_world import Journals

from agent_studio.errors import UsageError
from agent_studio.fleet import access
from agent_studio.fleet.address import PASSWORD, Address
from agent_studio.fleet.engines import FleetError
from agent_studio.fleet.engines.clickhouse import ClickHouse
from agent_studio.fleet.engines.clickhouse_access import granting, removed, revoking, user
from agent_studio.fleet.engines.opening import opened
from agent_studio.fleet.tables import TABLES
from agent_studio.monitor import sql
from agent_studio.monitor.summary import Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Studio

NOW_MS = int(time.time() * 1000)
KEY = "correct horse battery"
MACHINE, OTHER, READER, DRAIN = "acc-ci-1", "acc-ci-2", "acc-anna", "acc-drain"


class House(NamedTuple):
    """An engine with two machines of bookshop, a reader of it, and a drain."""

    server: fleet_servers.PostgreSQLServer
    database: str

    def where(self, name: str = "postgres", password: str = "") -> Address:
        given = password or (fleet_servers.PASSWORD if name == "postgres" else KEY)
        hosts = (("127.0.0.1", self.server.port),)
        return Address("postgresql", hosts, f"/{self.database}", name, given, {}, None, None, None)

    def raw(self, name: str) -> Any:
        """A connection of psycopg's own, as a thief would have it."""
        return self.server.connect(self.database, name, KEY, autocommit=True)

    def grant(self, who: str, name: str, project: str = "bookshop", machine: str | None = None) -> access.Done:
        with access.doors(self.where()) as doors:
            return doors.grant(access.wanted(who, name, project, machine), KEY, anew=False)

    def write(self, name: str, number: int, **values: Any) -> int:
        project, machine = values.get("project", "bookshop"), values.get("machine", name)
        with opened(self.where(name), project) as engine:
            made = row("hooks", number, **{"at_ms": NOW_MS, "machine": machine, **values})
            return engine.insert(batch(project=project, machine=machine, hooks=[made]))

    def held(self) -> list[tuple[str, str, int]]:
        with opened(self.where(), "") as engine:
            rows = engine.fetch("SELECT project, machine, id FROM agent_studio.hooks ORDER BY 1, 2, 3", {}).rows
            return [(project, machine, number.int) for project, machine, number in rows]


@pytest.fixture(scope="module")
def made() -> House:
    server = fleet_servers.postgresql_server()
    house = House(server, server.database().rpartition("/")[2])
    with opened(house.where(), "") as engine:
        engine.init(90)
    for name in (MACHINE, OTHER):
        house.grant("machine", name)
    for name in (READER, "acc-solo"):
        house.grant("reader", name)
    house.grant("drain", DRAIN)
    return house


@pytest.fixture
def house(made: House) -> Iterator[House]:
    yield made
    with made.server.connect(made.database, autocommit=True) as owner:
        for table in TABLES:
            owner.execute(f"TRUNCATE agent_studio.{table}")


def test_a_machine_writes_its_own_records_and_learns_how_many_were_new(house: House) -> None:
    assert [house.write(MACHINE, number) for number in (1, 2, 1)] == [1, 1, 0]
    assert house.held() == [("bookshop", MACHINE, 1), ("bookshop", MACHINE, 2)]
    with opened(house.where(MACHINE), "bookshop") as engine:
        engine.require()
        assert engine.store().version == 1
        assert engine.store().newest_ms is None
        with pytest.raises(FleetError):
            engine.init(9)


@pytest.mark.parametrize(
    "values", [{"machine": OTHER}, {"project": "library"}, {"machine": ""}, {"project": ""}], ids=str
)
def test_a_machine_writes_in_no_other_name(house: House, values: dict[str, str]) -> None:
    with pytest.raises(FleetError, match="row-level security") as raised:
        house.write(MACHINE, 1, **values)
    assert "fleet access" in raised.value.hint
    assert house.held() == []


ATTACKS = (
    "SELECT * FROM agent_studio.hooks", "SELECT count(*) FROM agent_studio.hooks", "TABLE agent_studio.hooks_rest",
    "SELECT id FROM agent_studio.hooks LIMIT 1", "COPY agent_studio.hooks TO STDOUT", "TABLE agent_studio.access",
    "UPDATE agent_studio.hooks SET status = 'x'", "DELETE FROM agent_studio.hooks", "TRUNCATE agent_studio.hooks",
    "DROP TABLE agent_studio.hooks", "DROP SCHEMA agent_studio CASCADE", "ALTER TABLE agent_studio.hooks ADD x text",
    "ALTER TABLE agent_studio.hooks DISABLE ROW LEVEL SECURITY", "CREATE POLICY p ON agent_studio.hooks USING (true)",
    "CREATE TABLE agent_studio.mine_too (x text)", "CREATE SCHEMA other", "CREATE TABLE public.x (x text)",
    "UPDATE agent_studio.meta SET version = 9", "DELETE FROM agent_studio.meta", "BEGIN; LOCK TABLE agent_studio.meta",
    "INSERT INTO agent_studio.access VALUES (current_user, 'read', 'bookshop', '')",
    "INSERT INTO agent_studio.mine VALUES ('library', 'x', 'write')", "DELETE FROM agent_studio.mine",
    "{insert} RETURNING id", "{insert} ON CONFLICT (project, machine, id, at_ms) DO UPDATE SET status = 'x'",
    "{insert} ON CONFLICT (project, machine, id, at_ms) DO NOTHING", "SET row_security = off; {other}",
    "INSERT INTO agent_studio.hooks (inserted_at) VALUES ('2000-01-01')",
    "INSERT INTO agent_studio.hooks_rest (project) VALUES ('library')", "BEGIN; LOCK TABLE agent_studio.hooks",
    "SET ROLE postgres", f'SET ROLE "{OTHER}"', "SET SESSION AUTHORIZATION postgres",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE ROLE thief", f'GRANT "{OTHER}" TO CURRENT_USER', f'ALTER ROLE "{OTHER}" PASSWORD \'x\'',
    "GRANT SELECT ON agent_studio.hooks TO CURRENT_USER", "SELECT pg_read_file('PG_VERSION')",
    "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT lo_import('/etc/passwd')", "ALTER SYSTEM SET fsync = off",
    "ALTER FUNCTION agent_studio.ensure_day(text, integer) SECURITY INVOKER",
    "SELECT agent_studio.ensure_day('hooks; DROP TABLE agent_studio.meta', {today})",
    "SELECT agent_studio.ensure_day('meta', {today})", "SELECT agent_studio.ensure_day(NULL, {today})",
)  # fmt: skip


def test_a_stolen_credential_of_a_machine_does_nothing_but_add(house: House) -> None:
    house.write(OTHER, 1)
    house.write(MACHINE, 2)
    today = NOW_MS // DAY_MS
    values = f"'staging', gen_random_uuid(), {NOW_MS}, 'h', 'success', false"
    into = "INSERT INTO agent_studio.hooks (project, machine, environment, id, at_ms, hook, status, synthetic) VALUES"
    parts = {
        "insert": f"{into} ('bookshop', '{MACHINE}', {values})", "other": f"{into} ('bookshop', '{OTHER}', {values})",
        "today": today,
    }  # fmt: skip
    refused = set()
    for attack in ATTACKS:
        with house.raw(MACHINE) as thief, pytest.raises(psycopg.Error) as raised:
            thief.execute(attack.format(**parts))
        refused.add((raised.value.sqlstate, attack.partition("(")[0] if raised.value.sqlstate != "42501" else ""))
    assert refused == {("42501", ""), ("22023", "SELECT agent_studio.ensure_day")}
    with house.raw(MACHINE) as thief, pytest.raises(psycopg.errors.InsufficientPrivilege):
        thief.execute(f"SELECT count(*) FROM agent_studio.hooks_{time.strftime('%Y%m%d', time.gmtime())}")
    assert house.held() == [("bookshop", MACHINE, 2), ("bookshop", OTHER, 1)]


def test_a_stolen_credential_makes_no_partitions_out_of_bounds(house: House) -> None:
    """Not even where everybody may create functions in `public`, as on servers older than 15."""
    today = NOW_MS // DAY_MS
    days = (0, today - 91, today + 3, today + 100_000, -(2**31), 2**31 - 1, today - 89, today + 2)
    with house.server.connect(house.database, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA loose; GRANT ALL ON SCHEMA loose TO PUBLIC")
        with house.raw(MACHINE) as thief:
            thief.execute("CREATE TEMPORARY TABLE meta (retention_days integer); INSERT INTO meta VALUES (1000000)")
            made = "CREATE FUNCTION loose.{} LANGUAGE sql AS $$ SELECT {} $$"
            for form in ("numeric", "double precision"):
                thief.execute(made.format(f"floor({form}) RETURNS {form}", f"{today + 100_000}::{form}"))
            thief.execute(made.format("to_char(timestamp, text) RETURNS text", "'_mine'::text"))
            thief.execute("SET search_path = pg_temp, loose, agent_studio, pg_catalog")
            asked = {
                day: thief.execute(f"SELECT agent_studio.ensure_day('hooks', {day})").fetchone()[0] for day in days
            }
        owner.execute("DROP SCHEMA loose CASCADE")
    assert [day for day, is_made in asked.items() if is_made] == [today - 89, today + 2]


def test_ids_of_others_cannot_be_used_up(house: House) -> None:
    assert house.write(OTHER, 7) == 1
    assert house.write(MACHINE, 7) == 1
    assert house.held() == [("bookshop", MACHINE, 7), ("bookshop", OTHER, 7)]


def test_a_reader_sees_one_project_and_changes_nothing(house: House) -> None:
    house.write(MACHINE, 1)
    house.write(DRAIN, 2, project="library", machine="elsewhere")
    with opened(house.where(READER), "bookshop") as engine:
        engine.require()
        assert list(engine.fetch("SELECT project FROM agent_studio.hooks", {}).rows) == [("bookshop",)]
        for where in ("project = 'library'", "true OR pg_sleep(0) IS NULL"):
            count = engine.fetch(f"SELECT count(*) FROM agent_studio.hooks WHERE {where}", {}).rows
            assert list(count) == [(0,) if "library" in where else (1,)]
        assert engine.store().rows["hooks"] == 1
        with pytest.raises(FleetError):
            engine.insert(batch(hooks=[row("hooks", 3, NOW_MS)]))
    attacks = (
        "DELETE FROM agent_studio.hooks", "TABLE agent_studio.hooks_rest", "TABLE agent_studio.access",
        "SET row_security = off; TABLE agent_studio.hooks", "SELECT agent_studio.ensure_day('hooks', 1)",
    )  # fmt: skip
    for attack in attacks:
        with house.raw(READER) as thief, pytest.raises(psycopg.Error):
            thief.execute(attack).fetchall()
    house.grant("reader", READER, "library")
    with opened(house.where(READER), "bookshop") as engine:
        assert len(list(engine.fetch("SELECT project FROM agent_studio.hooks", {}).rows)) == 2


def test_a_reader_sees_one_project_through_every_query_of_monitor(house: House, tmp_path: Path) -> None:
    moment: dict[str, Any] = {"at_ms": NOW_MS - 60_000, "session_id": "s-1"}
    own: dict[str, dict[str, Any]] = {
        "hooks": {"hook": "lint", "status": "failure", "duration_ms": 2.0, "event": "Stop"},
        "agents": {"agent": "reviewer", "status": "failed", "duration_ms": 1.0},
        "errors": {"error_type": "SystemError", "severity": "HIGH", "source": "api", "message": "m"},
        "sessions": {"event": "start"},
        "usage": {"response": "r", "seq": 1, "model": "m", "input_tokens": 5, "pico_usd": 10**12},
    }
    context = Journals(tmp_path / "shop").context()
    window = Window(NOW_MS - 3_600_000, NOW_MS)
    asked: dict[tuple[str, str], list[Any]] = {}
    for project in ("bookshop", "library"):
        rows = {
            table: [row(table, 1, **moment, **values, project=project, machine="m")] for table, values in own.items()
        }
        rows["damage"] = [row("damage", 2, moment["at_ms"], kind="hooks", project=project, machine="m")]
        with opened(house.where(DRAIN), project) as engine:
            engine.insert(batch(project=project, machine="m", **rows))
        with opened(house.where("acc-solo"), project) as reader, opened(house.where(), project) as owner:
            for name in sql.queries():
                more = {"hook": "lint"} if name.startswith(("hook_hist", "hook_history")) else {}
                more = {"session_id": "s-1"} if name == "session_timeline" else more
                asked[project, name] = [
                    sql.rows(context._replace(shared=one), name, window, NOW_MS, more) for one in (reader, owner)
                ]
    assert [name for name in sql.queries() if asked["bookshop", name][0] != asked["bookshop", name][1]] == []
    hidden = {name for name in sql.queries() if asked["library", name][0] != asked["library", name][1]}
    assert sql.queries().keys() - hidden == {"silence"}  # nobody was silent long enough to be told of
    assert not any(word in str(asked["library", name][0]) for name in hidden for word in ("lint", "reviewer", "s-1"))


def test_a_drain_writes_for_everyone_and_reads_nothing(house: House) -> None:
    house.write(DRAIN, 1, machine="one")
    house.write(DRAIN, 2, project="library", machine="two")
    assert house.held() == [("bookshop", "one", 1), ("library", "two", 2)]
    with house.raw(DRAIN) as thief, pytest.raises(psycopg.errors.InsufficientPrivilege):
        thief.execute("SELECT 1 FROM agent_studio.hooks")


def _is_nobody(doors: access.Doors, name: str) -> bool:
    """Shut somebody out once more: an open connection that has not ended yet keeps a user from being dropped."""
    try:
        doors.revoke(name, None, dry_run=False)
    except UsageError as refused:
        return "nobody" in refused.message
    return False


def test_who_is_shut_out_does_nothing_any_more_not_even_on_an_open_connection(house: House) -> None:
    house.grant("machine", "acc-gone")
    with opened(house.where("acc-gone"), "bookshop") as engine:
        engine.insert(batch(machine="acc-gone", hooks=[row("hooks", 1, NOW_MS, machine="acc-gone")]))
        with access.doors(house.where()) as doors:
            planned = doors.revoke("acc-gone", None, dry_run=True)
            assert engine.insert(batch(machine="acc-gone", hooks=[row("hooks", 2, NOW_MS, machine="acc-gone")])) == 1
            assert doors.revoke("acc-gone", None, dry_run=False).grants == planned.grants
            until(lambda: _is_nobody(doors, "acc-gone"))
        for _ in range(2):
            with pytest.raises(FleetError):
                engine.insert(batch(machine="acc-gone", hooks=[row("hooks", 3, NOW_MS, machine="acc-gone")]))
    assert [number for *_, number in house.held()] == [1, 2]
    with pytest.raises(FleetError, match="password authentication failed"), opened(house.where("acc-gone"), ""):
        pass
    assert house.grant("machine", "acc-gone").is_password_set
    assert house.write("acc-gone", 4) == 1


def test_who_was_shut_out_but_could_not_be_dropped_is_let_in_with_a_new_password(house: House) -> None:
    house.grant("machine", "acc-held")
    with house.raw("acc-held") as db:
        db.execute("SELECT lo_create(0)")  # something that keeps the role from being dropped
    with access.doors(house.where()) as doors:
        assert "stays, without a login" in doors.revoke("acc-held", None, dry_run=False).steps[-1]
        assert any(
            "LOGIN PASSWORD" in one for one in doors.plan(access.wanted("machine", "acc-held", "bookshop", None))
        )
    assert house.grant("machine", "acc-held").is_password_set
    assert house.write("acc-held", 1) == 1
    assert not house.grant("machine", "acc-held").is_password_set


def test_what_a_stolen_credential_wrote_is_removed_by_the_servers_own_clock(house: House) -> None:
    house.grant("machine", "acc-stolen")
    house.write("acc-stolen", 1)
    house.write(OTHER, 2)
    time.sleep(0.02)
    stolen_ms = int(time.time() * 1000)
    house.write("acc-stolen", 3, at_ms=NOW_MS - 30 * DAY_MS)
    house.write("acc-stolen", 4, at_ms=0)
    house.write(OTHER, 5)
    with access.doors(house.where()) as doors:
        assert doors.revoke("acc-stolen", stolen_ms, dry_run=True).rows["hooks"] == 2
        assert len(house.held()) == 5
        assert doors.revoke("acc-stolen", stolen_ms, dry_run=False).rows["hooks"] == 2
    assert [number for *_, number in house.held()] == [2, 5, 1]


def test_what_is_granted_is_granted_once_and_listed(house: House) -> None:
    done = house.grant("machine", "acc-twice", machine="m-7")
    assert done.is_password_set
    assert house.grant("machine", "acc-twice", machine="m-7") == done._replace(steps=[], is_password_set=False)
    house.grant("machine", "acc-twice", "library", "m-7")
    with access.doors(house.where()) as doors:
        found = [grant[:4] for grant in doors.grants("acc-twice")]
        assert found == [("acc-twice", "write", "bookshop", "m-7"), ("acc-twice", "write", "library", "m-7")]
        with pytest.raises(UsageError, match="another duty"):
            doors.grant(access.wanted("reader", "acc-twice", "bookshop", None), KEY, anew=False)
        with pytest.raises(UsageError, match="not ours"):
            doors.grant(access.wanted("reader", "postgres", "bookshop", None), KEY, anew=True)
        assert any("CREATE ROLE" in one for one in doors.plan(access.wanted("drain", "acc-new", "x", None)))
        assert doors.grants("acc-new") == []


@pytest.mark.parametrize(
    ("name", "project", "machine"),
    [("a b", "p", None), ("", "p", None), ("pg_x", "p", None), ('a";', "p", None), ("a", "p/q", None), ("a", "", None),
     ("a", "p", "m\n")],
)  # fmt: skip
def test_names_that_cannot_be_are_refused(name: str, project: str, machine: str | None) -> None:
    with pytest.raises(UsageError):
        access.wanted("machine", name, project, machine)


def test_names_with_quotes_stay_names(house: House) -> None:
    odd = 'it\'s "odd"; DROP TABLE agent_studio.hooks --'
    house.grant("machine", "acc-odd", odd, odd)
    assert house.write("acc-odd", 1, project=odd, machine=odd) == 1
    assert house.held() == [(odd, odd, 1)]


def test_the_command_tells_a_password_once_and_it_works(house: House, bare: Studio, tmp_path: Path) -> None:
    given = ("--set", f"fleet.engine={house.server.address(house.database)}")
    variables = {PASSWORD: fleet_servers.PASSWORD}
    shown = bare.run("fleet", "grant", "machine", "acc-cli", "--of", "bookshop", *given, variables=variables)
    assert shown.code == 0, shown.err
    password = shown.out.splitlines()[-1].strip()
    with opened(house.where("acc-cli", password), "bookshop") as engine:
        engine.require()
    again = bare.run("fleet", "grant", "machine", "acc-cli", "--of", "bookshop", *given, variables=variables)
    assert "nothing to do" in again.out
    file = tmp_path / "password"
    refused = bare.run("fleet", "grant", "reader", "acc-eve", "--json", *given, variables=variables)
    assert (refused.code, "--out" in refused.out) == (2, True)
    data = bare.json(
        "fleet", "grant", "reader", "acc-eve", "--of", "bookshop", "--out", str(file), *given, variables=variables
    )
    assert (data["may"], data["project"], data["passwordSet"]) == ("read", "bookshop", True)
    assert file.stat().st_mode & 0o777 == 0o600
    with opened(house.where("acc-eve", file.read_text().strip()), "bookshop") as engine:
        engine.require()
    listed = bare.json("fleet", "access", *given, variables=variables)["grants"]
    assert {"acc-cli", "acc-eve"} <= {grant["name"] for grant in listed}
    unasked = bare.run("fleet", "revoke", "acc-cli", *given, variables=variables)
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    house_before = house.held()
    planned = bare.json("fleet", "revoke", "acc-cli", "--drop-since", "1h", "--dry-run", *given, variables=variables)
    assert (planned["dryRun"], planned["grants"][0]["name"], house.held()) == (True, "acc-cli", house_before)
    done = bare.run("fleet", "revoke", "acc-cli", "--drop-since", "1h", "--yes", *given, variables=variables)
    assert "dropped the role acc-cli" in done.out
    with pytest.raises(FleetError), opened(house.where("acc-cli", password), ""):
        pass


def test_a_machine_that_sends_to_a_stream_gets_what_the_streams_server_takes(bare: Studio, tmp_path: Path) -> None:
    program = fleet_servers.nats_server()
    given = ("--set", "fleet.ingest=nats://stream", "--set", "fleet.engine=postgresql://h/fleet")
    shown = bare.run("fleet", "grant", "machine", "ci-17", "--of", "my shop", *given)
    assert shown.code == 0, shown.err
    block = shown.out[shown.out.index("  {") : shown.out.rindex("  }") + 3]
    place = tmp_path / "nats.conf"
    place.write_text(f"authorization {{\n  users: [\n{block}\n  ]\n}}\n")
    variables = {**os.environ, "CI_17_PASSWORD": shown.out.splitlines()[-1].strip()}
    done = subprocess.run([program, "-t", "-c", place], capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stderr
    assert "agent-studio.my=20=shop.ci-17" in block
    assert variables["CI_17_PASSWORD"] not in block


def test_chdb_says_that_it_has_no_users(bare: Studio) -> None:
    done = bare.run("fleet", "access", "--set", "fleet.engine=chdb:///nowhere")
    assert (done.code, "has no users" in done.err) == (2, True)


def in_process() -> Address:
    folder = fleet_servers.chdb_address().removeprefix("chdb://")
    return Address("chdb", (("", None),), folder, None, None, {}, None, None, None)


def test_statements_for_clickhouse_are_such_as_the_engine_parses() -> None:
    where = in_process()
    odd = "it's \\ `odd`"
    wanted = [
        access.wanted("machine", "ci-1", odd, None),
        access.wanted("reader", "anna", odd, None),
        access.wanted("drain", "d", "", None),
    ]
    with opened(where, "") as engine:
        for grant in wanted:
            named = grant._replace(name=user(grant))
            for cluster in ("", "main"):
                for statement in (*granting(grant, cluster, KEY), *revoking([named], cluster)):
                    assert KEY not in statement
                    engine.fetch(f"EXPLAIN AST {statement}", {})


def test_what_a_stolen_credential_wrote_is_removed_from_clickhouse() -> None:
    where = in_process()
    grant = access.Grant("bookshop/ci-1", "write", "bookshop", "ci-1")
    with ClickHouse(where, "") as engine:
        engine.init(90)
        engine.insert(batch(hooks=[row("hooks", 1, NOW_MS)]))
        time.sleep(0.02)
        stolen_ms = int(time.time() * 1000)
        time.sleep(0.005)
        engine.insert(
            batch(hooks=[row("hooks", 1, NOW_MS), row("hooks", 2, NOW_MS), row("hooks", 3, NOW_MS, machine="ci-2")])
        )
        with engine.connection() as db:
            for dry_run in (True, False):
                assert removed(db, [grant], stolen_ms, "", dry_run=dry_run)["hooks"] == 1
        rows = engine.fetch("SELECT id FROM agent_studio.hooks FINAL ORDER BY id", {}).rows
        assert [number for (number,) in rows] == [UUID(int=1), UUID(int=3)]


def test_the_constraint_of_clickhouse_holds_a_user_to_the_machine_of_its_name() -> None:
    where = in_process()
    with ClickHouse(where, "") as engine:
        engine.init(90)
        ((made,),) = engine.fetch("SELECT create_table_query FROM system.tables WHERE name = 'hooks'", {}).rows
        constraint = made.partition("CONSTRAINT own CHECK ")[2].partition(") ENGINE")[0]
        for name, is_let in (
            ("bookshop/ci-1", True),
            ("bookshop/ci-2", False),
            ("library/ci-1", False),
            ("drain", True),
        ):
            asked = constraint.replace("currentUser()", f"'{name}'")
            rows = engine.fetch(f"SELECT {asked} FROM (SELECT 'bookshop' AS project, 'ci-1' AS machine)", {}).rows
            assert bool(next(iter(rows))[0]) is is_let, name
