"""`knowledge-base-index.csv`: one row an artifact, written so that no spreadsheet runs a cell as a formula."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from agent_studio.environment.roots import INDEX_FILE
from agent_studio.errors import IntegrityError
from agent_studio.redaction import find_secrets, redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.knowledge.artifacts import Artifact

COLUMNS = (
    "name", "path", "description", "domain", "complexity", "use_cases", "tools", "deprecated", "alias",
    "usage_count", "last_used",
)  # fmt: skip
TEST_DOMAIN = "test"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")


@dataclass(frozen=True)
class SecretInRow:
    """A credential that was kept out of the index."""

    path: str
    kind: str


Row = dict[str, str]


def rows_of(artifacts: Iterable[Artifact], previous: Iterable[Row] = ()) -> list[Row]:
    """Return the artifacts as rows; usage of a row that was there before (same path) is carried over."""
    used = {row["path"]: row for row in previous}
    rows = []
    for artifact in artifacts:
        before = used.get(artifact.path, {})
        fields = {name: str(value) for name, value in asdict(artifact).items()}
        fields["deprecated"] = "true" if artifact.deprecated else "false"
        fields["usage_count"] = before.get("usage_count", "0")
        fields["last_used"] = before.get("last_used", "")
        rows.append(fields)
    return rows


def without_secrets(rows: list[Row]) -> tuple[list[Row], list[SecretInRow]]:
    """Return the rows with every credential redacted, and where they were."""
    clean, found = [], []
    for row in rows:
        joined = "\n".join(row.values())
        if hits := find_secrets(joined):
            found += [SecretInRow(row["path"], hit.kind) for hit in hits]
            row = {name: redact(value) for name, value in row.items()}  # noqa: PLW2901 - the same row, cleaned
        clean.append(row)
    return clean, found


def encode(rows: Iterable[Row]) -> bytes:
    """Return rows as CSV; a cell that a spreadsheet would run gets a leading apostrophe, a CR becomes a space."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(
            [_guarded(row.get(column, "").replace("\r", " ")) for column in COLUMNS]
        )  # a bare CR ends a row
    return text.getvalue().encode("utf-8", "replace")


def decode(data: bytes, name: str = INDEX_FILE, environment: str = "staging") -> list[Row]:
    """Return what `encode` was given; raise `IntegrityError` for anything but an index."""
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig")), strict=True)
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
    """Return the rows of an environment's index, read from the original's place when only that is there.

    Raises FileNotFoundError when there is none, `IntegrityError` when it is damaged.
    """
    folder, name = root.reads("knowledge", INDEX_FILE)
    return decode(folder.read(name), str(folder.path / name), root.environment)


def _damaged(name: str, environment: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{name} is damaged: {reason}", hint=f"rebuild it: agent-studio kb build --env {environment}")


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell
