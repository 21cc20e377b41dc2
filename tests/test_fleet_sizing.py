"""The sizing page shows what was measured, its model follows its formulas, and the benchmark's rows are rows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from bench import fleet_bench, fleet_fill, fleet_load, fleet_sizing
from tests import fleet_servers
from tests.conftest import REPOSITORY, Studio
from tests.fleet_machines import VARIABLES, Machine

from agent_studio.fleet.address import address
from agent_studio.fleet.engines.clickhouse import ClickHouse
from agent_studio.fleet.engines.opening import opened
from agent_studio.fleet.engines.postgresql import PostgreSQL
from agent_studio.fleet.source import KEY, Source
from agent_studio.fleet.tables import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

ROWS, DAYS = 2_000, 2
ENGINE = fleet_sizing.Engine(cpu_s=10, bytes=100, base_s=0.5, read_s=1, cores=3)


def test_the_page_shows_the_figures_that_are_kept() -> None:
    text = fleet_sizing.PAGE.read_text(encoding="utf-8")
    assert fleet_sizing.page(text, fleet_sizing.kept()) == text
    assert text.count("\n| --- |") >= 7


def test_the_model_is_its_formulas() -> None:
    plan = fleet_sizing.Plan()
    found = fleet_sizing.need(ENGINE, 100_000_000, plan)
    assert found.answer_s == pytest.approx(0.5 + 5)
    keep, read = 100e6 / 86_400 * 4 * 10e-6 / 0.5, 20_000 / 86_400 * 4 * 5.5 * 3 / 0.5
    assert found.cores == pytest.approx(2 * keep + read)
    assert found.disk_bytes == pytest.approx(100e6 * 90 * 100 / 0.7 * 2)
    assert found.machines == 2
    month = found.cores * 0.04 * 730 + found.disk_bytes / 1e9 * 0.1
    assert found.cost_month == pytest.approx(month)
    assert found.cost_million == pytest.approx(month / 3_000)


def test_more_events_need_no_less_and_cost_no_more_each() -> None:
    needs = [fleet_sizing.need(ENGINE, events, fleet_sizing.Plan(questions_day=0)) for events in fleet_sizing.LOADS]
    for less, more in pairwise(needs):
        assert (less.cores, less.disk_bytes, less.machines) <= (more.cores, more.disk_bytes, more.machines)
        assert less.cost_million >= more.cost_million * 0.999


def test_the_model_is_printed_for_other_prices() -> None:
    line = [sys.executable, "-m", "bench.fleet_sizing", "--core-hour", "0", "--gigabyte-month", "0"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    rows = done.stdout.strip().splitlines()[2:]
    assert len(rows) == 2 * len(fleet_sizing.LOADS)
    assert all(row.endswith("| 0 | 0.00 |") for row in rows)


def test_journals_are_records_of_their_days(tmp_path: Path) -> None:
    machine = Machine(Studio(tmp_path))
    place = machine.path / ".claude/staging"
    written = fleet_fill.journals(place, 500, 2, 1, int(time.time() * 1000))
    lines = [line for file in place.rglob("*.jsonl") for line in file.read_text(encoding="utf-8").splitlines()]
    assert written == len(lines)
    assert 498 <= written <= 502
    assert all(json.loads(line)["environment"] == "staging" for line in lines)
    assert len(list((place / "metrics").glob("hooks.*-*.jsonl"))) in {2, 3}


@pytest.mark.parametrize("name", ["postgresql", "clickhouse"])
def test_an_engine_is_filled_and_asked(tmp_path: Path, name: str) -> None:
    is_server = name == "postgresql"
    place = fleet_servers.postgresql_server().database() if is_server else fleet_servers.chdb_address()
    context = Machine(Studio(tmp_path), project=fleet_fill.PROJECT, engine=place).context
    where = address(context.config, KEY, VARIABLES)
    with opened(where, fleet_fill.PROJECT) as engine:
        assert isinstance(engine, PostgreSQL | ClickHouse)
        engine.init(90)
        now_ms = int(time.time() * 1000)
        for table, share in fleet_fill.SHARES.items():
            total = round(ROWS * share)
            since_ms = now_ms - DAYS * fleet_fill.DAY_MS
            statement = fleet_fill.filling(name, table, 0, total, total, since_ms, DAYS)
            fleet_bench.told(engine, statement)
            ((count, first, last),) = engine.fetch(
                f"SELECT count(*), min(at_ms), max(at_ms) FROM {SCHEMA}.{table}", {}
            ).rows
            assert (count, first) == (total, since_ms)
            assert since_ms < last < now_ms
            whole = 70_000_000  # the last ten of so many
            fleet_bench.told(engine, fleet_fill.filling(name, table, whole - 10, 10, whole, since_ms, DAYS))
            ((count, last),) = engine.fetch(f"SELECT count(*), max(at_ms) FROM {SCHEMA}.{table}", {}).rows
            assert (count, now_ms - 10 < last < now_ms) == (total + 10, True)
        sent = fleet_load.by_engine(engine, 500, 1, None)
        assert sent.rows == 500
    shared = Source(where, fleet_fill.PROJECT)
    found = fleet_bench.questions(context._replace(shared=shared), rounds=1)
    shared.close()
    assert list(found) == list(fleet_bench.QUESTIONS)
