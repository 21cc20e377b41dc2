from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.errors import IntegrityError
from agent_studio.knowledge import table
from agent_studio.knowledge.search import search

if TYPE_CHECKING:
    from tests.conftest import Studio

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(table.COLUMNS, CELL)), max_size=8)


@given(ROWS)
def test_an_index_comes_back_as_it_was_written(rows: list[table.Row]) -> None:
    rows = [{name: value.replace("\r", "") for name, value in row.items()} for row in rows]
    assert table.decode(table.encode(rows)) == rows


@given(ROWS)
def test_no_cell_of_an_index_is_a_formula(rows: list[table.Row]) -> None:
    import csv
    import io

    text = table.encode(rows).decode()
    for cells in list(csv.reader(io.StringIO(text, newline="")))[1:]:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\xff\xfe\x00", b'name,path\n"open'])
def test_what_is_not_an_index_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="is damaged"):
        table.decode(data)


def test_building_again_keeps_usage_and_sees_what_changed(staged: Studio) -> None:
    place = staged.path / ".claude/staging/knowledge/knowledge-base-index.csv"
    rows = table.decode(place.read_bytes())
    rows[0] |= {"usage_count": "7", "last_used": "2026-01-01T00:00:00.000Z"}
    place.write_bytes(table.encode(rows))
    (staged.path / ".claude/commands/ship.md").unlink()
    staged.write(".claude/agents/new.md", "---\nname: new\ndescription: brand new\n---\n")
    data = staged.json("kb", "build", "--env", "staging", "--set", "testData.artifactsCount=20")
    again = table.decode(place.read_bytes())
    assert data["artifacts"] == 4
    assert again[0]["usage_count"] == "7"
    assert "new" in {row["name"] for row in again}
    assert "ship" not in {row["name"] for row in again}


def test_search_ranks_by_words_in_any_order_and_leaves_test_rows_out(staged: Studio) -> None:
    done = staged.run("kb", "search", "migrations database", "--env", "staging", "--json")
    assert done.code == 0
    assert done.data["hits"][0]["name"] == "writing-migrations"
    assert done.data["didYouMean"] is None
    nothing = staged.run("kb", "search", "--query", "test-artifact-000001", "--env", "staging", "--json")
    assert nothing.code == 1
    assert nothing.data["hits"] == []
    asked = staged.run("kb", "search", "test-artifact-000001", "--include-test", "--env", "staging", "--json")
    assert asked.data["hits"][0]["name"] == "test-artifact-000001"
    near = staged.json("kb", "search", "hotfixx", "--env", "staging")
    assert near["didYouMean"] == "hotfix"


def test_an_exact_name_comes_first() -> None:
    base = dict.fromkeys(table.COLUMNS, "")
    rows = [
        {**base, "name": "code", "path": "a", "description": "review code review code", "domain": "agent"},
        {**base, "name": "code-review", "path": "b", "description": "", "domain": "skill"},
    ]
    assert [hit.row["path"] for hit in search(rows, "Code Review")] == ["b", "a"]


def test_the_originals_index_is_read_when_ours_is_missing(bare: Studio) -> None:
    row = dict.fromkeys(table.COLUMNS, "") | {"name": "old-one", "path": ".claude/x.md", "domain": "skill"}
    bare.write(".claude/context/artifacts/knowledge-base-index.csv", table.encode([row]))
    assert bare.json("kb", "search", "old-one", "--env", "production")["hits"][0]["name"] == "old-one"
    assert bare.run("kb", "search", "old-one", "--env", "development").code == 0


def test_searching_before_init_names_the_command_that_mends_it(bare: Studio) -> None:
    done = bare.run("kb", "search", "x", "--env", "production")
    assert done.code == 2
    assert "agent-studio init --env production" in done.err
