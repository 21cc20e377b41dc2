"""`cost budget`: how much of each budget is used, and the gate that refuses when one is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.cost.ledger_state import ledger_problems
from agent_studio.cli.output import Problem, Result
from agent_studio.errors import ExitCode, UsageError, did_you_mean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.cost.budgets import Budget
    from agent_studio.cost.spending import Forecast, Status
    from agent_studio.cost.watch import Standing

_BAR = 10
_WIDE = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the gate and the options."""
    parser.add_argument(
        "action", nargs="?", choices=("check",), help="check: exit 1 when a budget is over, 3 without any"
    )
    parser.add_argument("--name", metavar="NAME", help="this budget alone")
    parser.add_argument("--warn-as-error", action="store_true", help="check: any level crossed is a failure")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look, notice new crossings, and report."""
    from agent_studio.cost import watch  # noqa: PLC0415 - only what the chosen sub-verb needs
    from agent_studio.cost.budgets import budgets  # noqa: PLC0415

    wanted = _wanted(budgets(session.context), args.name)
    found = watch.standing(session.context, None if args.name is None else wanted)
    failing = [one for one in found.statuses if one.is_over or (args.warn_as_error and one.crossed)]
    code = ExitCode.DONE
    if args.action == "check":
        code = ExitCode.INSUFFICIENT if not wanted else ExitCode.FAILED if failing else ExitCode.DONE
    data = {
        "budgets": [one.to_json() for one in found.statuses],
        "crossed": [one.budget.name for one in found.statuses if one.crossed],
        "notices": found.fresh,
    }
    return Result(data, lambda screen: _render(screen, found.statuses), code, list(_problems(found, wanted)))


def _wanted(listed: list[Budget], name: str | None) -> list[Budget]:
    wanted = [one for one in listed if name in {None, one.name}]
    if name is not None and not wanted:
        raise UsageError(f"there is no budget {name!r}", hint=did_you_mean(name, [one.name for one in listed]))
    return wanted


def _problems(found: Standing, wanted: list[Budget]) -> Iterator[Problem]:
    if not wanted:
        yield Problem("no-budget", "there is no budget to check", "write cost.budgets: docs/budgets.md")
    for one in found.statuses:
        if one.crossed:
            name = f"{one.budget.name} ({one.key})" if one.key else one.budget.name
            used = f"{one.budget.shown(one.used)} of {one.budget.shown(one.budget.limit)}"
            least = "at least " if one.unpriced else ""
            yield Problem("over" if one.is_over else "warn", f"{name}: {least}{used} used, {one.percent}")
    yield from ledger_problems(moved=found.moved, damaged=found.damaged)


def _render(screen: Screen, found: list[Status]) -> None:
    if not found:
        screen.mark("none", "no budgets: write cost.budgets to the configuration")
        return
    rows = []
    wide = screen.width >= _WIDE
    for one in found:
        share = min(one.share, 100) / 100
        bar = ("█" if screen.unicode else "#") * round(_BAR * share)
        least = ">= " if one.unpriced else ""
        row = (
            f"{one.budget.name} ({one.key})" if one.key else one.budget.name, f"{least}{one.budget.shown(one.used)}",
            one.budget.shown(one.budget.limit), one.percent, bar, _when(one, one.forecast),
        )  # fmt: skip
        rows.append(row if wide else (*row[:4], row[5]))
    headings = ("budget", "used", "of", "share", *([""] if wide else []), "gone")
    screen.table(headings, rows, numbers=("used", "of", "share"))


def _when(one: Status, forecast: Forecast | None) -> str:
    """Say when a budget will be gone, in its own time zone."""
    if one.is_over:
        return "it is"
    if forecast is None:
        return "not this period" if one.end_ms else ""
    form = "%H:%M" if one.budget.per in {"day", "session"} else "%Y-%m-%d"
    said = [one.budget.zone.local(at).strftime(form) for at in forecast if at is not None]
    if forecast.latest_ms is None:
        return f"{said[0]} or later"
    return said[0] if said[0] == said[-1] else f"{said[0]} to {said[-1]}"
