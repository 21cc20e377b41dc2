"""What models used and cost, from the ledger's book, which knows what was amended."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from agent_studio.environment.sharing import sharing
from agent_studio.monitor import shared
from agent_studio.monitor.lines import UNKNOWN
from agent_studio.monitor.summary import HOUR_MS, SpendHour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent_studio.cost.table import Table
    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import Window

_Row = TypeVar("_Row")
_PICO = 1_000_000_000_000
_QUARTER_MS = 900_000


def by_hour(context: Context, window: Window) -> list[SpendHour]:
    """Return what an environment spent, in order of hour, then model."""
    totals: dict[tuple[int, str], SpendHour] = {}
    for at_ms, model, *figures in rows(context, window, ("model",)):
        key = (at_ms - at_ms % HOUR_MS, model or UNKNOWN)
        totals[key] = _more(totals.get(key, SpendHour(*key, 0, None, 0)), figures)
    return [totals[key] for key in sorted(totals)]


def rows(context: Context, window: Window, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return sums by a quarter of an hour (its start, ms since 1970) and columns of `cost.table.NAMES`, as text.

    Then follow, as `Table.sums` has them: responses, counts, whole and rest of the cost, tokens without a price.
    """
    own = {"environment": str(context.environment)}

    def read(table: Table) -> list[tuple[Any, ...]]:
        texts = table.texts()
        sums = table.sums(("quarter", *columns), since_ms=window.since_ms, until_ms=window.until_ms, where=own)
        return [
            (quarter * _QUARTER_MS, *(texts[number] for number in rest[: len(columns)]), *rest[len(columns) :])
            for quarter, *rest in sums
        ]

    if context.shared is not None:
        with opened(context, ("environment", *columns), window.since_ms, window.until_ms) as table:
            return read(table)
    return _asked(context, read)


def moments(context: Context, since_ms: int) -> list[tuple[int, str]]:
    """Return when models responded from a moment on, ms since 1970, each with its session."""
    if context.shared is not None:
        return shared.moments(context, since_ms)

    def read(table: Table) -> list[tuple[int, str]]:
        texts = table.texts()
        own = next((number for number, text in texts.items() if text == str(context.environment)), None)
        query = "SELECT at_ms, session FROM usage WHERE at_ms >= ? AND environment = ?"
        found = table.db.execute(query, (since_ms, own))
        return [(at_ms, texts.get(session) or "") for at_ms, session in found]

    return _asked(context, read)


@contextmanager
def opened(
    context: Context, columns: Sequence[str] = (), since_ms: int = 0, until_ms: int | None = None, *,
    every: bool = False, first: bool = False,
) -> Iterator[Table]:  # fmt: skip
    """Open a table of what machines share: of the stretch and the columns that are asked for alone.

    It is of the one environment, unless `every` is wanted. With `first` it tells when the first response of all was.
    """
    from agent_studio.cost import gathered  # noqa: PLC0415 - only for it

    sums = shared.usage_sums(context, columns, since_ms, until_ms, every=every)
    begun_ms = shared.first_usage_ms(context) if first else None
    with gathered.opened(columns, sums, begun_ms) as table:
        yield table


def _asked(context: Context, question: Callable[[Table], list[_Row]]) -> list[_Row]:
    folder = context.root.folder("metrics")
    names = folder.names() if folder.has_folder() else []
    if not any(name.startswith("llm-usage.") for name in names):
        return []
    from agent_studio.cost import book  # noqa: PLC0415 - it needs a parser that takes 30 ms to load

    return book.ask(next(iter(sharing(context).values())), lambda held: question(held.table))


def _more(held: SpendHour, figures: Sequence[Any]) -> SpendHour:
    _, given, said, _, short, long, _, whole, rest, unpriced = figures
    pico = held.pico_usd if whole is None else (held.pico_usd or 0) + whole * _PICO + rest
    return held._replace(
        tokens=held.tokens + given + said + short + long, pico_usd=pico, unpriced=held.unpriced + unpriced
    )
