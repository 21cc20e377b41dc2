"""The ledger of model usage as rows: each response as it is known, again when that has changed.

The book (`cost.book`) has one row a response, with the line of the ledger that last changed it. What a line has put in
the place of another response is sent without figures, so that it counts for nothing any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.fleet.rows import usage_row
from agent_studio.monitor.lines import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.cost.book import Book
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.fleet.batch import Row
    from agent_studio.fleet.cursor import Cursor
    from agent_studio.fleet.identity import Identity

REPLACED = "replaced"
"""The `source` of a response that is another one by now."""
_NAMES = ("environment", "session_id", "provider", "model", "agent", "skill", "folder", "source")
_FIGURES = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "web_searches", "pico_usd",
)  # fmt: skip
_CHANGED = (
    "SELECT id, at_ms, origin, environment, session, provider, model, agent, skill, project, source, input, output, "
    "cache_read, cache_write5m, cache_write1h, web_searches, pico_usd "
    "FROM usage WHERE origin > ? ORDER BY origin LIMIT ?"
)
_TAKEN_BACK = "SELECT id, at_ms, by, environment FROM replaced WHERE by > ? AND by <= ? ORDER BY by"
_LAST = 1 << 62


class Told(NamedTuple):
    """Rows of the ledger, and up to which of its lines."""

    rows: list[Row]
    ledger: str
    seq: int
    is_anew: bool
    """Whether the ledger is not the one that the cursor is of."""


class Left(NamedTuple):
    """What waits of a ledger."""

    responses: int
    oldest_ms: int | None


def changed(root: EnvironmentRoot, cursor: Cursor, sender: Identity, texts: str, most: int) -> Told | None:
    """Return at most so many responses as they have changed since, None when nothing has."""
    if not _is_there(root):
        return None
    from agent_studio.cost import book  # noqa: PLC0415 - it needs a parser that takes 30 ms to load

    with book.opened(root) as held:
        known = _identity(root, held)
        is_anew = cursor.seq > 0 and cursor.ledger != known
        since = 0 if is_anew else cursor.seq
        found = held.table.db.execute(_CHANGED, (since, most)).fetchall()
        up_to = found[-1][2] if len(found) == most else _LAST
        gone = held.table.db.execute(_TAKEN_BACK, (since, up_to)).fetchall()
        names = held.table.texts()
    if not found and not gone:
        return None
    rows = [usage_row(sender, _response(row, names), texts) for row in found]
    rows += [usage_row(sender, _replaced(row, names), texts) for row in gone]
    seq = max(row[2] for row in (*found, *gone))
    return Told(rows, known, seq, is_anew)


def left(root: EnvironmentRoot, cursor: Cursor) -> Left:
    """Return how much of a ledger waits to be shipped."""
    if not _is_there(root):
        return Left(0, None)
    from agent_studio.cost import book  # noqa: PLC0415 - as above

    with book.opened(root) as held:
        since = cursor.seq if cursor.ledger == _identity(root, held) else 0
        return Left(*_counted(held, since))


def _identity(root: EnvironmentRoot, held: Book) -> str:
    """Return what tells a ledger from one that was put in its place, or cut: its first line, and how often that was."""
    from agent_studio.cost import segments  # noqa: PLC0415 - as above

    first = next((position.hash for _, position in segments.read(root)), "")
    return f"{first[:32]}:{held.table.note('begun') or 0}"


def _counted(held: Book, since: int) -> tuple[int, int | None]:
    row = held.table.db.execute("SELECT count(*), min(at_ms) FROM usage WHERE origin > ?", (since,)).fetchone()
    return int(row[0]), row[1]


def _is_there(root: EnvironmentRoot) -> bool:
    folder = root.folder("metrics")
    return folder.has_folder() and any(name.startswith("llm-usage.") for name in folder.names())


def _response(row: Sequence[Any], names: dict[int | None, str | None]) -> dict[str, Any]:
    identity, at_ms, seq, *rest = row
    told = {name: names.get(number) for name, number in zip(_NAMES, rest, strict=False)}
    figures = dict(zip(_FIGURES, rest[len(_NAMES) :], strict=True))
    return {
        "response": identity.hex(), "at_ms": at_ms, "seq": seq, **told, **figures,
        "environment": told["environment"] or UNKNOWN,
    }  # fmt: skip


def _replaced(row: Sequence[Any], names: dict[int | None, str | None]) -> dict[str, Any]:
    identity, at_ms, seq, environment = row
    return {
        "response": identity.hex(), "at_ms": at_ms, "seq": seq, "environment": names.get(environment) or UNKNOWN,
        "source": REPLACED, **dict.fromkeys(_FIGURES, 0),
    }  # fmt: skip
