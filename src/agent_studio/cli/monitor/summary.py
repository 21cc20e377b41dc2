"""`monitor` itself: the summary, once or live, the trends of a week, alerts alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, working
from agent_studio.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.dashboard.view import Engine
    from agent_studio.environment.context import Context

HOURS = 24
_HOURS_MAX = 366 * 24
_ROWS = 12


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show one of the four."""
    hours = _hours(args)
    if args.live:
        return _live(session, hours)
    if args.trends:
        return _trends(session.context)
    if args.alerts:
        return _alerts(session.context)
    with working("reading the journals"):
        data = look(session.context, hours)
    rows = None if args.all else _ROWS
    return Result(data, lambda screen: draw(screen, "overview", data, rows), problems=list(_problems(data)))


def _hours(args: argparse.Namespace) -> float:
    if args.hours is not None and (args.trends or args.alerts):
        raise UsageError(
            f"--hours does not go with {'--trends' if args.trends else '--alerts'}",
            hint="--trends shows 7 days; alerts are judged on 24 hours",
        )
    return checked_hours(args.hours)


def checked_hours(given: float | None) -> float:
    """Return how many hours to look back; raise `UsageError` for what is no stretch of time."""
    hours = HOURS if given is None else given
    if not (math.isfinite(hours) and 0 < hours <= _HOURS_MAX):
        raise UsageError(f"--hours is {hours:g}", hint=f"give more than 0, to {_HOURS_MAX} (a year)")
    return float(hours)


def look(context: Context, hours: float, engine: Engine | None = None) -> dict[str, Any]:
    """Return `view.overview`; alerts are judged on the way when the stretch is the one they are judged on."""
    from agent_studio.dashboard import view  # noqa: PLC0415 - only what the chosen form needs
    from agent_studio.monitor import alerts, rules  # noqa: PLC0415

    summary, verdicts = view.judged(context, view.last(hours), engine)
    is_due = hours == HOURS and rules.is_watched(context)
    known = alerts.evaluate(context, verdicts) if is_due else alerts.current(context)
    return view.overview_of(context, summary, verdicts, known)


def _problems(data: dict[str, Any]) -> Iterator[Problem]:
    if data["damagedLines"]:
        yield Problem("damaged-lines", f"{data['damagedLines']} lines of the journals are no records, and not counted")


def draw(screen: Screen, name: str, data: dict[str, Any], rows: int | None = None) -> None:
    """Draw one of the screens."""
    from agent_studio.dashboard import sheets, terminal  # noqa: PLC0415 - Rich, and only for people

    screens = {
        "overview": terminal.overview, "trends": sheets.trends, "alerts": sheets.alerts,
        "comparison": sheets.comparison,
    }  # fmt: skip
    console = screen.console()
    console.print(screens[name](data, terminal.Look(console.width, screen.unicode, rows)))


def _trends(context: Context) -> Result:
    from agent_studio.dashboard import view  # noqa: PLC0415 - as above

    with working("reading a week"):
        data = view.trends(context)
    return Result(data, lambda screen: draw(screen, "trends", data))


def _alerts(context: Context) -> Result:
    data = look(context, HOURS)
    names = ("environment", "window", "state", "alerts", "limits", "newest", "ageSeconds")
    kept = {name: data[name] for name in names}
    firing = any(one["state"] == "firing" and not one["silenced"] for one in data["alerts"])
    code = ExitCode.FAILED if firing else ExitCode.DONE
    return Result(kept, lambda screen: draw(screen, "alerts", kept), code)


def _live(session: Session, hours: float) -> Result:
    context = session.context
    if session.common.json:
        raise UsageError("--live is for people, --json for programs", hint="leave one of them out")
    return Result({}, lambda screen: _watch(screen, context, hours))


def _watch(screen: Screen, context: Context, hours: float) -> None:
    from agent_studio.dashboard import watch  # noqa: PLC0415 - Rich, and only for people

    if not screen.is_terminal:
        raise UsageError("--live needs a terminal", hint="leave --live out")
    reader = watch.Reader(lambda wanted, engine: look(context, wanted, engine), lambda: watch.journal_marks(context))
    refresh_ms = context.config["monitoring.dashboardRefreshMs"]
    watch.run(screen.console(), reader, hours=hours, refresh_ms=refresh_ms, unicode=screen.unicode)
