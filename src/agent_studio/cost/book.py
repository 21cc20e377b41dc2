"""The ledger as a table, and the one way to write into it what may have been told before.

The ledger is the truth; the table follows it line by line. Whoever records responses that more than one source tells
of holds the table's lock meanwhile, so that each is written once. A crash between the two leaves a ledger that is
ahead of its table, which catches up.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from agent_studio import clock
from agent_studio.cost import archives, ledger, segments, table
from agent_studio.cost.counting import MOST, Tokens, usage_id
from agent_studio.cost.money import pico_of, usd_text
from agent_studio.cost.responses import instant_ms
from agent_studio.cost.table import COUNTS, MARKS, NAMES
from agent_studio.records import LlmUsage, event_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agent_studio.cost.prices.table import PriceTable
    from agent_studio.cost.table import Table
    from agent_studio.environment.roots import EnvironmentRoot

Answer = TypeVar("Answer")
FILE = "ledger.sqlite3"
_TABLES = """
CREATE INDEX usage_seq ON usage (origin);
CREATE INDEX usage_request ON usage (request);
CREATE INDEX usage_at ON usage (at_ms);
CREATE INDEX usage_session ON usage (session);
CREATE TABLE replaced (id BLOB, at_ms INTEGER, environment INTEGER, by INTEGER);
"""
_POSITION, _READ, _MOVED, _BEGUN = "position", "read", "moved", "begun"
_BATCH = 20_000
_AMENDED = f"INSERT OR REPLACE INTO usage VALUES ({MARKS})"
_LARGEST = {
    **{name: f"MAX(usage.{name}, excluded.{name})" for name in COUNTS if name != "cache_write5m"},
    "cache_write5m": "MAX(usage.cache_write5m + usage.cache_write1h, excluded.cache_write5m + excluded.cache_write1h) "
    "- MAX(usage.cache_write1h, excluded.cache_write1h)",
}
"""What `Tokens.grown` does."""
_KEPT = ("session", "agent", "skill", "project", "price", "tier", "speed", "region", "task")
_TOLD_AGAIN = (
    f"INSERT INTO usage VALUES ({MARKS}) ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = {largest}" for name, largest in _LARGEST.items())
    + ", "
    + ", ".join(f"{name} = COALESCE(excluded.{name}, usage.{name})" for name in _KEPT)
    + ", at_ms = MIN(usage.at_ms, excluded.at_ms), origin = excluded.origin, pico_usd = CASE WHEN "
    + " AND ".join(f"excluded.{name} = {largest}" for name, largest in _LARGEST.items())
    + " THEN excluded.pico_usd WHEN "
    + " AND ".join(f"usage.{name} = {largest}" for name, largest in _LARGEST.items())
    + " THEN usage.pico_usd END"
)
"""A response told of twice without an amendment: of each figure the largest, with the cost of just these, if known."""
_WEAKEST = "otel"
"""What telemetry tells is known better by a transcript: its agent, its skill, its splits."""


class _Line(msgspec.Struct):
    """What a line of the ledger says; a torn note has none of it."""

    timestamp: str = ""
    sessionId: str = ""  # noqa: N815 - as it is written
    requestId: str | None = None  # noqa: N815
    messageId: str | None = None  # noqa: N815
    provider: str = ""
    model: str = ""
    agent: str | None = None
    skill: str | None = None
    project: str | None = None
    taskId: str | None = None  # noqa: N815
    inputTokens: int = -1  # noqa: N815
    outputTokens: int = -1  # noqa: N815
    cacheReadTokens: int = 0  # noqa: N815
    cacheWrite5mTokens: int = 0  # noqa: N815
    cacheWrite1hTokens: int = 0  # noqa: N815
    webSearches: int = 0  # noqa: N815
    serviceTier: str | None = None  # noqa: N815
    speed: str | None = None
    region: str | None = None
    costUsd: str | None = None  # noqa: N815
    priceSource: str | None = None  # noqa: N815
    source: str = ""
    amends: int | None = None
    eventId: str = ""  # noqa: N815
    environment: str | None = None
    type: str = ""


class Known(NamedTuple):
    """What the ledger holds about a response."""

    seq: int
    source: str
    tokens: Tokens
    pico_usd: int | None


@dataclass(frozen=True)
class Told:
    """A response on its way into the ledger."""

    record: LlmUsage
    environment: str
    release: str | None = None
    """What its session ran with."""

    @property
    def id(self) -> str:
        """What identifies the response, whoever tells of it."""
        return usage_id(self.record.message_id, self.record.request_id)

    @property
    def tokens(self) -> Tokens:
        """Its tokens."""
        return _tokens(self.record)


class Book:
    """The table of one ledger; environments that share a ledger share its book."""

    def __init__(self, found: Table, root: EnvironmentRoot) -> None:
        self.table = found
        self._root = root
        self.damaged = 0
        """Lines of the ledger that could not be understood."""

    def catch_up(self) -> None:
        """Take in what was appended to the ledger since."""
        noted = self.table.note(_POSITION)
        position = segments.START if noted is None else segments.Position(*msgspec.json.decode(noted))
        try:
            self._follow(position)
        except segments.MovedError:
            aside = archives.holding(self._root.project, position.seq, position.hash, self.table.note(_READ) or "")
            self.table.put_note(_MOVED, "" if aside else "yes")
            self.table.put_note(_BEGUN, str(int(self.table.note(_BEGUN) or 0) + 1))
            self.table.db.execute("DELETE FROM usage")
            self.table.db.execute("DELETE FROM replaced")
            self._at(segments.START, 0)
            self._follow(segments.START)
        self.damaged = int(self.table.note("damaged") or 0)

    @property
    def moved(self) -> bool:
        """Whether somebody else cut or rewrote the ledger, and no import has taken in again what it lacks."""
        return bool(self.table.note(_MOVED))

    def mended(self) -> None:
        """Say that what the ledger lacks has been taken in again where that was possible."""
        self.table.put_note(_MOVED, "")
        self.table.commit()

    def _follow(self, position: segments.Position) -> None:
        decoder = msgspec.json.Decoder(_Line)
        damaged = int(self.table.note("damaged") or 0) if position != segments.START else 0
        batch = 0
        last = position
        for data, last in segments.read(self._root, position):
            try:
                line = decoder.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                damaged += 1
            else:
                if line.type != "torn" and not self._learn(line, last.seq):
                    damaged += 1
            batch += 1
            if batch % _BATCH == 0:
                self._at(last, damaged)
        if batch or self.table.note(_POSITION) is None:
            self._at(last, damaged)

    def _at(self, position: segments.Position, damaged: int) -> None:
        self.table.put_note(_POSITION, msgspec.json.encode(list(position)).decode())
        self.table.put_note(_READ, clock.timestamp(clock.now()))
        self.table.put_note("damaged", str(damaged))
        self.table.changed()
        self.table.commit()

    def _learn(self, line: _Line, seq: int) -> bool:
        """Take in one line; return whether it was one of usage."""
        at_ms = instant_ms(line.timestamp)
        said = Tokens(
            line.inputTokens, line.outputTokens, line.cacheReadTokens, line.cacheWrite5mTokens,
            line.cacheWrite1hTokens, line.webSearches,
        )  # fmt: skip
        pico_usd = None if line.costUsd is None else pico_of(line.costUsd)
        if at_ms is None or min(said) < 0 or max(said) > MOST or (pico_usd is None and line.costUsd is not None):
            return False
        has_id = line.messageId or line.requestId
        identity = bytes.fromhex(
            usage_id(line.messageId or "", line.requestId or "") if has_id else event_id("line", line.eventId, seq)
        )
        if line.amends is not None:
            self._replaced(line.amends, identity, seq)
        name = self.table.name
        self.table.db.execute(
            _TOLD_AGAIN if line.amends is None else _AMENDED,
            (
                identity, at_ms, name(line.sessionId or None), name(line.model), name(line.agent), name(line.skill),
                name(line.project or None), name(line.environment), name(line.provider), name(line.source), *said,
                pico_usd, name(line.priceSource), line.serviceTier, line.speed, line.region, line.messageId or "",
                line.requestId or "", line.taskId, seq,
            ),
        )  # fmt: skip
        return True

    def _replaced(self, seq: int, identity: bytes, by: int) -> None:
        """Take back what a line said that another one, by its number, says of another response."""
        which = "FROM usage WHERE origin = ? AND id <> ?"
        self.table.db.execute(f"INSERT INTO replaced SELECT id, at_ms, environment, ? {which}", (by, seq, identity))
        self.table.db.execute(f"DELETE {which}", (seq, identity))

    def known(self, identity: str) -> Known | None:
        """Return what the ledger holds about a response, by its `usage_id`."""
        return self._known("usage.id = ?", bytes.fromhex(identity))

    def known_request(self, request_id: str) -> Known | None:
        """Return what the ledger holds about a request, whatever told of it."""
        return self._known("request = ?", request_id) if request_id else None

    def _known(self, where: str, value: Any) -> Known | None:
        row = self.table.db.execute(
            "SELECT origin, text, input, output, cache_read, cache_write5m, cache_write1h, web_searches, pico_usd "
            f"FROM usage LEFT JOIN name ON name.id = source WHERE {where} LIMIT 1",
            (value,),
        ).fetchone()
        return None if row is None else Known(row[0], row[1] or "", Tokens(*row[2:8]), row[8])

    def record(
        self, told: Sequence[Told], roots: Mapping[str, EnvironmentRoot], prices: PriceTable, *, sync: bool = True
    ) -> tuple[int, int]:
        """Price and write the responses that the ledger does not hold as they are.

        What has grown, and what had no price and has one now, is written again and amends the line before. `roots`
        are the environments that the responses may belong to, all of this ledger. Returns how many lines were
        written, and how many of them amend one before.
        """
        self.catch_up()
        merged = _merged(told)
        fresh = [changed for one in merged.values() if (changed := self._changed(one, prices)) is not None]
        written = 0
        for environment, root in roots.items():
            entries = [(one.record, unique, one.release) for one, unique in fresh if one.environment == environment]
            if entries:
                written += len(ledger.append_lines(root, _lines(entries, environment), sync=sync))
        if written:
            self.catch_up()
        return written, sum(one.record.amends is not None for one, _ in fresh)

    @property
    def identity(self) -> str:
        """What tells this ledger from one that was put in its place, or cut: its first line, and how often that was."""
        row = self.table.db.execute("SELECT hex(id) FROM usage ORDER BY origin LIMIT 1").fetchone()
        return f"{'' if row is None else row[0]}:{self.table.note(_BEGUN) or 0}"

    def unpriced(self) -> list[tuple[LlmUsage, str]]:
        """Return what the ledger holds without a price, with its environment."""
        texts = self.table.texts()
        rows = self.table.db.execute(
            f"SELECT at_ms, {', '.join(NAMES)}, {', '.join(COUNTS)}, tier, speed, region, request, message, task "
            "FROM usage WHERE pico_usd IS NULL"
        ).fetchall()
        return [_record(row, texts) for row in rows]

    def _changed(self, told: Told, prices: PriceTable) -> tuple[Told, str] | None:
        """Return what has to be written about a response, with its event id, or None."""
        known = self.known(told.id)
        if known is None:
            known = self.known_request(told.record.request_id)
            if known is not None and _WEAKEST not in {known.source, told.record.source}:
                known = None  # one request, two messages: two responses
        grown = told.tokens if known is None else known.tokens.grown(told.tokens)
        if known is not None and told.record.source == _WEAKEST:
            return None
        better = known is not None and known.source == _WEAKEST
        if known is not None and grown == known.tokens and known.pico_usd is not None and not better:
            return None
        record = priced(_with(told.record, grown), prices)
        if known is None:
            return replace(told, record=record), told.id
        if grown == known.tokens and record.cost_usd is None and not better:
            return None
        unique = event_id("usage", told.id, "amends", *grown, record.cost_usd)
        return replace(told, record=replace(record, amends=known.seq)), unique


def _lines(entries: Iterable[tuple[LlmUsage, str, str | None]], environment: str) -> Iterator[dict[str, Any]]:
    return (
        record.to_line(event_id=unique, environment=environment, release=release) for record, unique, release in entries
    )


def _merged(told: Iterable[Told]) -> dict[str, Told]:
    """Return each response once, with the largest of its figures; telemetry only of requests nobody else tells of."""
    merged: dict[str, Told] = {}
    for one in told:
        held = merged.get(one.id)
        merged[one.id] = (
            one if held is None else replace(held, record=_with(held.record, held.tokens.grown(one.tokens)))
        )
    better = {one.record.request_id for one in merged.values() if one.record.source != _WEAKEST}
    return {
        name: one
        for name, one in merged.items()
        if one.record.source != _WEAKEST or one.record.request_id not in better
    }


def _record(row: Sequence[Any], texts: Mapping[int | None, str | None]) -> tuple[LlmUsage, str]:
    at_ms, *rest = row
    session, model, agent, skill, project, environment, provider, source = (texts[one] for one in rest[: len(NAMES)])
    counts, about = rest[len(NAMES) : len(NAMES) + len(COUNTS)], rest[len(NAMES) + len(COUNTS) :]
    given, said, read, short, long, searches = counts
    tier, speed, region, request, message, task = about
    record = LlmUsage(
        timestamp=clock.of_ms(at_ms), session_id=session or "", request_id=request or "", message_id=message or "",
        provider=provider or "", model=model or "", agent=agent, skill=skill, project=project or "", task_id=task,
        input_tokens=given, output_tokens=said, cache_read_tokens=read, cache_write5m_tokens=short,
        cache_write1h_tokens=long, web_searches=searches, service_tier=tier, speed=speed, region=region, cost_usd=None,
        price_source=None, source=source or "",
    )  # fmt: skip
    return record, environment or ""


def priced(record: LlmUsage, prices: PriceTable) -> LlmUsage:
    """Return a record with its cost by the prices of its time; one whose source has said it keeps it."""
    if record.price_source is not None:
        return record
    at_ms = instant_ms(record.timestamp) or 0
    cost = prices.cost(
        record.model, at_ms * 1_000_000, _tokens(record), provider=record.provider, service_tier=record.service_tier,
        speed=record.speed, region=record.region,
    )  # fmt: skip
    return record if cost is None else replace(record, cost_usd=usd_text(cost.pico_usd), price_source=cost.source)


def _tokens(record: LlmUsage) -> Tokens:
    return Tokens(
        record.input_tokens, record.output_tokens, record.cache_read_tokens, record.cache_write5m_tokens,
        record.cache_write1h_tokens, record.web_searches,
    )  # fmt: skip


def _with(record: LlmUsage, said: Tokens) -> LlmUsage:
    return replace(
        record,
        input_tokens=said.input,
        output_tokens=said.output,
        cache_read_tokens=said.cache_read,
        cache_write5m_tokens=said.cache_write5m,
        cache_write1h_tokens=said.cache_write1h,
        web_searches=said.web_searches,
    )


@contextmanager
def opened(root: EnvironmentRoot, *, wait_s: float = table.WAIT_S) -> Iterator[Book]:
    """Open the book of a ledger, alone, and bring it up to date; `root` is its owner (`environment.context`)."""

    def follow(found: Table) -> None:
        Book(found, root).catch_up()

    with table.opened(root.state, FILE, more=_TABLES, wait_s=wait_s, begin=follow) as found:
        book = Book(found, root)
        book.damaged = int(found.note("damaged") or 0)
        yield book


def ask(root: EnvironmentRoot, question: Callable[[Book], Answer]) -> Answer:
    """Return what a question finds in the book of a ledger; a book that proves to be damaged is made anew for it."""
    try:
        with opened(root) as book:
            return question(book)
    except table.DamagedTableError:
        with opened(root) as book:
            return question(book)
