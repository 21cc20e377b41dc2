"""Findings about budgets, prices of one's own, and the end of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cost import budgets, ledger, pricing
from agent_studio.environment.findings import Finding, Severity
from agent_studio.environment.sharing import sharing
from agent_studio.errors import AgentStudioError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context


def faults(context: Context) -> Iterator[ConfigurationError]:
    """Yield what is wrong with the configuration of budgets and prices."""
    for look in (budgets.budgets, pricing.table):
        try:
            look(context)
        except ConfigurationError as error:
            yield error


def checks(context: Context) -> Iterator[Finding]:
    """Yield findings."""
    for error in faults(context):
        yield Finding("cost", Severity.ERROR, error.message, error.hint)
    try:
        head = ledger.head(next(iter(sharing(context).values())))
    except AgentStudioError as error:
        yield Finding("ledger", Severity.ERROR, error.message, error.hint)
    else:
        yield Finding("ledger", Severity.OK, f"{head.seq:,} records of usage")
