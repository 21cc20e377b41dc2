"""The verdict on what is spent: the tokens of a day, and every budget."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agent_studio.cost import book
from agent_studio.cost.budgets import budgets
from agent_studio.cost.spending import DAY_MS, span, statuses
from agent_studio.cost.watch import now_ms
from agent_studio.environment.sharing import sharing
from agent_studio.errors import AgentStudioError
from agent_studio.monitor import usage
from agent_studio.monitor.verdict import BREACH, OK, Verdict, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.cost.spending import Status
    from agent_studio.environment.context import Context

TOKENS, BUDGET = "tokenBudgetPerDay", "budget"
_LONGEST_SESSION_MS = 31 * DAY_MS
"""What machines share is read for so long at least; the rates that forecasts take are of a part of it."""
_NEARLY = 80
"""Per cent from which a warning is more than mild."""


def verdicts(context: Context) -> Iterator[Verdict]:
    """Yield the verdict on every budget: a breach once it is used up, a warning from its first level on.

    It is only looked at: crossings stay for `cost budget` and `ingest` to notice.
    """
    try:
        names, found = Counter(one.name for one in budgets(context)), standing(context)
    except AgentStudioError as error:
        yield unknown(BUDGET, "HIGH", f"budgets could not be looked at: {error.message}")
        return
    for one in found:
        yield _verdict(one, is_namesake=names[one.budget.name] > 1)


def standing(context: Context) -> list[Status]:
    """Return where every budget stands, by this machine's ledger or by what many machines share."""
    wanted, now = budgets(context), now_ms()
    if context.shared is None:
        owner = next(iter(sharing(context).values()))
        return book.ask(owner, lambda held: statuses(held.table, wanted, now))
    only = {name for one in wanted for name, _ in one.only}
    columns = only.union(*(one.each for one in wanted), {"session" for one in wanted if one.per == "session"})
    own = ("environment", str(context.environment))
    since_ms = min(
        [now - _LONGEST_SESSION_MS, *(span(one.per, one.zone, now)[0] for one in wanted if one.per != "session")]
    )
    with usage.opened(
        context, sorted(columns), since_ms, first=True, every=not all(own in one.only for one in wanted)
    ) as table:
        return statuses(table, wanted, now)


def _verdict(one: Status, *, is_namesake: bool) -> Verdict:
    """Judge one budget; each has an alert of its own, and so a label of its own."""
    budget, is_built_in = one.budget, one.budget.name == TOKENS
    name = f"{budget.name}, {budget.described}" if is_namesake else budget.name
    name = f"{name} ({one.key})" if one.key else name
    severity = "HIGH" if one.is_over else "MEDIUM" if one.share >= _NEARLY else "LOW"
    least = "at least " if one.unpriced and budget.unit == "usd" else ""
    used = float(budget.written(one.used))
    return Verdict(
        TOKENS if is_built_in else BUDGET, "" if is_built_in else name, BREACH if one.is_over else OK, severity,
        used, used, None if least else used, float(budget.written(budget.limit)), budget.unit, 1, 0,
        f"{least}{budget.shown(one.used)} of {budget.shown(budget.limit)} used ({one.percent})",
        clear=not one.crossed, warns=bool(one.crossed) and not one.is_over,
    )  # fmt: skip
