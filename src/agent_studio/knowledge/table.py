"""`knowledge-base-index.csv`: one row an artifact, written so that no spreadsheet runs a cell as a formula.

Every text comes back as it was written: line ends in quotes, lone surrogates as their three bytes, a leading apostrophe
before what starts like a formula or like that apostrophe.
"""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING

from agent_studio.environment.roots import INDEX_FILE
from agent_studio.errors import AgentStudioError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.knowledge.answers import Entry

COLUMNS = (
    "name", "path", "description", "domain", "complexity", "use_cases", "tools", "deprecated", "alias",
    "usage_count", "last_used",
)  # fmt: skip
TEST_DOMAIN = "test"
_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""As OWASP lists them for CSV injection, the full-width forms among them."""
_GUARD = "'"
_QUOTED = frozenset('",\r\n')

Row = dict[str, str]


def rows_of(entries: Iterable[Entry]) -> list[Row]:
    """Return artifacts as rows."""
    return [_row(entry) for entry in entries]


def _row(entry: Entry) -> Row:
    row = {column: str(getattr(entry, column)) for column in COLUMNS}
    row["deprecated"] = "true" if entry.deprecated else "false"
    return row


def encode(rows: Iterable[Row]) -> bytes:
    """Return rows as CSV, the columns in the order of `COLUMNS`."""
    lines = [",".join(COLUMNS)]
    lines += [",".join(_cell(row.get(column, "")) for column in COLUMNS) for row in rows]
    return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")


def decode(data: bytes, name: str = INDEX_FILE, environment: str = "staging") -> list[Row]:
    """Return what `encode` was given; raise `IntegrityError` for anything but an index."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a description may have 130 kB
    try:
        text = data.decode("utf-8", "surrogatepass").removeprefix("\ufeff")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        if not set(COLUMNS) <= set(header):
            raise _damaged(name, environment, "its first line does not name the columns")
        rows = []
        for cells in reader:
            if len(cells) != len(header):
                raise _damaged(name, environment, f"line {reader.line_num} has {len(cells)} cells, not {len(header)}")
            rows.append({column: _unguarded(cell) for column, cell in zip(header, cells, strict=True)})
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(name, environment, str(error)) from error
    return rows


def load(root: EnvironmentRoot) -> list[Row]:
    """Return the rows of an environment's table, read from the original's place when only that is there.

    Raises FileNotFoundError when there is none, `IntegrityError` when it is damaged.
    """
    folder, name = root.reads("knowledge", INDEX_FILE)
    return decode(folder.read(name), str(folder.path / name), root.environment)


def save(root: EnvironmentRoot, rows: Iterable[Row]) -> int:
    """Write an environment's table, so that readers see the old one or the new; return its size in bytes."""
    data = encode(rows)
    root.folder("knowledge").make()
    root.folder("knowledge").replace(INDEX_FILE, data)
    return len(data)


def generated_rows(root: EnvironmentRoot) -> list[Row]:
    """Return the rows of generated test artifacts; none where there is no table that can be read."""
    try:
        return [row for row in load(root) if row["domain"] == TEST_DOMAIN]
    except (FileNotFoundError, AgentStudioError):
        return []


def _damaged(name: str, environment: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{name} is damaged: {reason}", hint=f"rebuild it: agent-studio kb build --env {environment}")


def _cell(text: str) -> str:
    """Return a cell; the writer of the standard library leaves a carriage return without quotes."""
    text = f"{_GUARD}{text}" if _is_guarded(text) else text
    return '"' + text.replace('"', '""') + '"' if _QUOTED.intersection(text) else text


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith(_GUARD) and _is_guarded(cell[1:]) else cell


def _is_guarded(text: str) -> bool:
    """Tell whether a spreadsheet might run a text, some of which pass over blanks, or whether it looks guarded."""
    return text.startswith((_GUARD, *_FORMULA_STARTS)) or text.lstrip().startswith(_FORMULA_STARTS)
