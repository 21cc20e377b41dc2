"""Reports: sums over any of the dimensions people ask for, nested in the order in which they are named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.cost import periods
from agent_studio.cost.money import PICO, usd_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent_studio.cost.periods import Zone
    from agent_studio.cost.table import Table


class Dimension(NamedTuple):
    """Something to report by."""

    plural: str
    key: str
    """What the value is called in JSON."""
    is_time: bool


DIMENSIONS: dict[str, Dimension] = {
    "hour": Dimension("hours", "hour", is_time=True),
    "day": Dimension("days", "date", is_time=True),
    "week": Dimension("weeks", "week", is_time=True),
    "month": Dimension("months", "month", is_time=True),
    "block": Dimension("blocks", "start", is_time=True),
    "session": Dimension("sessions", "session", is_time=False),
    "model": Dimension("models", "model", is_time=False),
    "agent": Dimension("agents", "agent", is_time=False),
    "skill": Dimension("skills", "skill", is_time=False),
    "project": Dimension("projects", "project", is_time=False),
    "environment": Dimension("environments", "environment", is_time=False),
}


class Sum:
    """What a group of responses used and cost."""

    def __init__(self) -> None:
        self.responses = self.input = self.output = 0
        self.cache_read = self.cache_write5m = self.cache_write1h = self.web_searches = 0
        self.pico_usd = 0
        self.unpriced = 0
        """Tokens of all kinds for which no price is known."""
        self.is_priced = False
        """Whether anything in it has a price."""
        self.groups: dict[str | None, Sum] = {}
        """The next dimension's groups."""

    @property
    def tokens(self) -> int:
        """Tokens of all kinds."""
        return self.input + self.output + self.cache_read + self.cache_write5m + self.cache_write1h

    def add(self, row: Sequence[Any]) -> None:
        """Add a row of `Table.sums`, without its columns."""
        responses, given, said, read, short, long, searches, whole, rest, unpriced = row
        self.responses += responses
        self.input += given
        self.output += said
        self.cache_read += read
        self.cache_write5m += short
        self.cache_write1h += long
        self.web_searches += searches
        if whole is not None:
            self.pico_usd += whole * PICO + rest
            self.is_priced = True
        self.unpriced += unpriced

    def within(self, key: str | None) -> Sum:
        """Return the group of a key in the next dimension; a new one is empty."""
        found = self.groups.get(key)
        if found is None:
            found = self.groups[key] = Sum()
        return found

    def gather(self) -> None:
        """Add up what is in the groups, from the innermost out."""
        for group in self.groups.values():
            group.gather()
            whole, rest = divmod(group.pico_usd, PICO) if group.is_priced else (None, 0)
            self.add((
                group.responses, group.input, group.output, group.cache_read, group.cache_write5m, group.cache_write1h,
                group.web_searches, whole, rest, group.unpriced,
            ))  # fmt: skip


class Report(NamedTuple):
    """Sums by one or more dimensions."""

    by: tuple[str, ...]
    zone: Zone
    total: Sum

    def data(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            **_groups(self.total, self.by),
            "totals": _figures(self.total),
            "unpricedTokens": self.total.unpriced,
            "timezone": self.zone.name,
        }

    def rows(self) -> Iterable[tuple[tuple[str | None, ...], Sum]]:
        """Yield the innermost groups with their keys, in order."""
        yield from _walk(self.total, self.by, ())


def report(
    found: Table, by: Sequence[str], where: Zone, *, since_ms: int | None = None, until_ms: int | None = None,
    only: Mapping[str, Any] | None = None,
) -> Report:  # fmt: skip
    """Sum a table by dimensions; `only` holds columns that must have a value."""
    labels = {name: _label(name, where, found) for name in by if DIMENSIONS[name].is_time}
    rows = found.sums(by, since_ms=since_ms, until_ms=until_ms, where=only, periods=labels)
    texts = found.texts() if len(labels) < len(by) else {}
    total = Sum()
    for row in rows:
        figures = row[len(by) :]
        if not figures[0]:
            continue
        group = total
        for name, key in zip(by, row[: len(by)], strict=True):
            group = group.within(key if name in labels else texts[key])
        group.add(figures)
    total.gather()
    return Report(tuple(by), where, total)


def _label(kind: str, where: Zone, found: Table) -> Callable[[int], str]:
    """Return what tells the period of a kind that a quarter of an hour is in."""
    if kind != "block":
        return periods.labels(kind, where).__getitem__
    starts = _blocks(found)
    return lambda quarter: _stamp(starts[quarter])


def _blocks(found: Table) -> dict[int, int]:
    """Return the start of each block: they follow from all usage, whatever part of it a report is of."""
    return periods.blocks([row[0] for row in found.sums(["quarter"])])


def _stamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ordered(total: Sum, name: str) -> list[tuple[str | None, Sum]]:
    """Return groups of a time in its order, others with the dearest first."""
    if DIMENSIONS[name].is_time:
        return sorted(total.groups.items(), key=lambda item: item[0] or "")
    return sorted(total.groups.items(), key=lambda item: (-item[1].pico_usd, -item[1].tokens, item[0] or ""))


def _groups(total: Sum, by: Sequence[str]) -> dict[str, Any]:
    if not by:
        return {}
    kind = DIMENSIONS[by[0]]
    listed = [{kind.key: key, **_figures(group), **_groups(group, by[1:])} for key, group in _ordered(total, by[0])]
    return {kind.plural: listed}


def _figures(total: Sum) -> dict[str, Any]:
    return {
        "responses": total.responses,
        "input_tokens": total.input,
        "output_tokens": total.output,
        "cache_write_tokens": total.cache_write5m + total.cache_write1h,
        "cache_write_1h_tokens": total.cache_write1h,
        "cache_read_tokens": total.cache_read,
        "total_tokens": total.tokens,
        "web_searches": total.web_searches,
        "usd": usd(total),
        "unpriced_tokens": total.unpriced,
    }


def usd(total: Sum) -> float | None:
    """Return what a group cost, as the JSON number nearest to it; None when nothing in it has a price."""
    return float(usd_text(total.pico_usd)) if total.is_priced else None


def _walk(total: Sum, by: Sequence[str], keys: tuple[str | None, ...]) -> Iterable[tuple[tuple[str | None, ...], Sum]]:
    if not by:
        yield keys, total
        return
    for key, group in _ordered(total, by[0]):
        yield from _walk(group, by[1:], (*keys, key))


class Block(NamedTuple):
    """The 5-hour block that is running."""

    start_ms: int
    total: Sum
    elapsed_ms: int
    """From its first response until now."""
    remaining_ms: int
    """Until it ends."""


def data_of_block(block: Block) -> dict[str, Any]:
    """Return the running block with its rate and where it leads, as JSON has it."""
    minutes = max(block.elapsed_ms / 60_000, 1)
    left = block.remaining_ms / 60_000
    tokens_rate = block.total.tokens / minutes
    pico_rate = block.total.pico_usd / minutes
    return {
        "start": _stamp(block.start_ms),
        "end": _stamp(block.start_ms + periods.BLOCK_MS),
        "remainingMinutes": round(left),
        "tokensPerMinute": round(tokens_rate, 1),
        "usdPerHour": round(pico_rate * 60 / PICO, 6),
        "projectedTokens": round(block.total.tokens + tokens_rate * left),
        "projectedUsd": round((block.total.pico_usd + pico_rate * left) / PICO, 6),
    }


def running_block(found: Table, now_ms: int, only: Mapping[str, Any] | None = None) -> Block | None:
    """Return the block that is running now, or None."""
    start_ms = max(_blocks(found).values(), default=None)
    if start_ms is None or not start_ms <= now_ms < start_ms + periods.BLOCK_MS:
        return None
    total = Sum()
    for figures in found.sums([], since_ms=start_ms, until_ms=now_ms + 1, where=only):
        if figures[0]:
            total.add(figures)
    (first_ms,) = found.db.execute("SELECT MIN(at_ms) FROM usage WHERE at_ms >= ?", (start_ms,)).fetchone()
    return Block(start_ms, total, now_ms - first_ms, start_ms + periods.BLOCK_MS - now_ms)
