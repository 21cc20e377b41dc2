from __future__ import annotations

import csv
import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.errors import IntegrityError
from agent_studio.knowledge import table

if TYPE_CHECKING:
    from pathlib import Path

AWKWARD = st.text("=+-@\t\r\n '\",;\x00\ud800\udcff\ufeff\uff1dé日\u202ea1", max_size=12)
CELL = st.text(max_size=30) | AWKWARD
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(table.COLUMNS, CELL)), max_size=8)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@given(ROWS)
def test_a_table_comes_back_exactly_as_it_was_written(rows: list[table.Row]) -> None:
    assert table.decode(table.encode(rows)) == rows


@given(ROWS)
def test_no_cell_is_a_formula_not_even_after_blanks(rows: list[table.Row]) -> None:
    text = table.encode(rows).decode("utf-8", "surrogatepass")
    for cells in list(csv.reader(io.StringIO(text, newline="")))[1:]:
        assert not any(cell.startswith(FORMULA) or cell.lstrip().startswith(FORMULA) for cell in cells)


def test_a_description_longer_than_readers_expect_comes_back() -> None:
    row = dict.fromkeys(table.COLUMNS, "") | {"description": "long " * 60_000}
    assert table.decode(table.encode([row])) == [row]


def test_the_columns_are_those_of_the_original_in_its_order() -> None:
    header = b"name,path,description,domain,complexity,use_cases,tools,deprecated,alias,usage_count,last_used\n"
    assert table.encode([]) == header


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\xff\xfe\x00", b'name,path\n"open', b"name\n"])
def test_what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="is damaged"):
        table.decode(data)


def test_a_line_with_a_cell_too_few_is_named() -> None:
    with pytest.raises(IntegrityError, match="line 3 has 2 cells, not 11"):
        table.decode(table.encode([dict.fromkeys(table.COLUMNS, "x")]) + b"a,b\n")


def test_columns_that_others_added_are_kept_apart_from_ours() -> None:
    header, row = (",".join([*table.COLUMNS, "owner"]), ",".join(["x"] * 12))
    assert table.decode(f"\ufeff{header}\r\n{row}\r\n".encode())[0]["owner"] == "x"


READER = """
const fs = require('fs');
const lines = fs.readFileSync(process.argv[2], 'utf-8').trim().split('\\n');
for (const line of lines) {
  const cells = []; let current = '', quoted = false;
  for (let i = 0; i < line.length; i++) {
    if (line[i] === '"') { if (quoted && line[i + 1] === '"') { current += '"'; i++; } else quoted = !quoted; }
    else if (line[i] === ',' && !quoted) { cells.push(current); current = ''; }
    else current += line[i];
  }
  cells.push(current);
  console.log(JSON.stringify(cells));
}
"""
"""Reads line by line, as simple readers do."""


@pytest.mark.slow
def test_a_reader_that_goes_line_by_line_gets_every_cell(tmp_path: Path) -> None:
    import json

    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    values = ['says "hi", twice', "=1+1", "a,b", "plain", "''", "é日本", "", " blanks ", "x;y", "7", "2026-01-01"]
    rows = [dict(zip(table.COLUMNS, values, strict=True))] * 3
    (tmp_path / "read.js").write_text(READER)
    (tmp_path / "table.csv").write_bytes(table.encode(rows))
    done = subprocess.run(
        [node, tmp_path / "read.js", tmp_path / "table.csv"], capture_output=True, text=True, check=True
    )
    header, *read = map(json.loads, done.stdout.splitlines())
    assert header == list(table.COLUMNS)
    guarded = [f"'{value}" if value.startswith(("=", "'")) else value for value in values]
    assert read == [guarded] * 3
