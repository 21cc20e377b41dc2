"""What was recorded arrives in the engine, each record once, whatever happens to journals, shippers and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import Studio
from tests.fleet_servers import postgresql_server
from tests.fleet_world import VARIABLES, Database, Machine

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
    done = studio.run("fleet", "init", "--json", variables=VARIABLES)
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
