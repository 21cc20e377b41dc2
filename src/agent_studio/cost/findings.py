"""Findings about budgets, prices of one's own, and the end of the ledger."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_studio.cost import budgets, ledger, pricing, segments
from agent_studio.environment.findings import Finding, Severity
from agent_studio.environment.sharing import sharing
from agent_studio.errors import AgentStudioError, ConfigurationError
from agent_studio.records import LlmUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot

_OTHERS = 0o077


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
        yield from _open_to_others(next(iter(sharing(context).values())))


def _open_to_others(root: EnvironmentRoot) -> Iterator[Finding]:
    """Yield the ledger's files that others than their owner may read or write."""
    folder = root.folder(LlmUsage.kind)
    for segment in segments.segments(root):
        status = folder.status(segment.name)
        if os.name == "posix" and status is not None and status.st_mode & _OTHERS:
            yield Finding(
                "ledger", Severity.WARNING, f"others may use {folder.path / segment.name}",
                f"chmod 600 {folder.path / segment.name}",
            )  # fmt: skip
