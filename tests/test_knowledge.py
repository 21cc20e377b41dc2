from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agent_studio.environment.roots import Project
from agent_studio.errors import IntegrityError
from agent_studio.knowledge import table
from agent_studio.knowledge.artifacts import scan
from agent_studio.knowledge.front_matter import split_front_matter
from agent_studio.knowledge.search import search

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(table.COLUMNS, CELL)), max_size=8)
PLAIN = st.text(st.sampled_from("abc def, #:'\"-[]ü*"), max_size=30).map(str.strip)


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


@given(PLAIN)
def test_a_description_that_strict_yaml_accepts_is_read_the_same(text: str) -> None:
    block = f"---\nname: x\ndescription: {text}\n---\nbody\n"
    try:
        strict = YAML(typ="safe", pure=True).load(block.split("---\n")[1])["description"]
    except Exception:  # noqa: BLE001 - strict YAML may refuse in many ways; then nothing is compared
        return
    if isinstance(strict, str):
        assert split_front_matter(block)[0]["description"] == strict


@given(st.text(max_size=200))
def test_the_front_matter_reader_never_raises(text: str) -> None:
    split_front_matter(f"---\n{text}\n---\n")
    split_front_matter(text)


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        ("name: a\r\ndescription: b\r\n", {"name": "a", "description": "b"}),
        ("description: >-\n  folded\n  text\nname: a\n", {"description": "folded text", "name": "a"}),
        ("description: |\n  two\n\n  lines\n", {"description": "two lines"}),
        ("tools: [Read, 'Grep']\n", {"tools": ["Read", "Grep"]}),
        ("tools:\n  - Read\n  - Grep\n", {"tools": ["Read", "Grep"]}),
        ("tools:\n- Read\n- Grep\nname: a\n", {"tools": ["Read", "Grep"], "name": "a"}),
        ("description: Use when: it fails\n", {"description": "Use when: it fails"}),
        ('description: "quoted" and more\n', {"description": "quoted"}),
        ("description: long\n  goes on\n", {"description": "long goes on"}),
        ("description: 'don't stop' # note\n", {"description": "don't stop"}),
        ("description: 'it''s' # note\n", {"description": "it's"}),
        ('description: "a # b" # "c"\n', {"description": "a # b"}),
        ('description: "say \\"hi\\""\n', {"description": 'say "hi"'}),
        ("description: '\n", {"description": "'"}),
        ("globs: *.py\n", {"globs": "*.py"}),
    ],
)
def test_front_matter_of_the_wild_is_understood(block: str, fields: dict[str, object]) -> None:
    assert split_front_matter(f"\ufeff---\n{block}---\nbody")[0] == fields


def test_links_are_followed_inside_the_definitions_once_and_named_otherwise(bare: Studio, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("---\nname: outside\n---\n")
    agents = bare.path / ".claude/agents"
    (agents / "out.md").symlink_to(outside)
    (agents / "again.md").symlink_to("code-reviewer.md")
    (agents / "cycle").symlink_to(".")
    found = scan(Project(bare.path))
    assert [artifact.path for artifact in found.artifacts if artifact.domain == "agent"] == [
        ".claude/agents/again.md", ".claude/agents/code-reviewer.md"
    ]  # fmt: skip
    assert dict(found.skipped) == {
        ".claude/agents/out.md": "a link that leads out of the definitions",
        ".claude/agents/cycle": "a link to what is already read",
    }


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
