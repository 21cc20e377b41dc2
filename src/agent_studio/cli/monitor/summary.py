"""`monitor` itself: the summary, once or live, the trends of a week, alerts alone."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_studio.cli import records_from
from agent_studio.cli.output import Problem, Result, working
from agent_studio.errors import AgentStudioError, ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.dashboard.view import Engine
    from agent_studio.environment.context import Context

HOURS = 24
_HOURS_MAX = 366 * 24
_ROWS = 12
"""Limits, hooks and agents at most, each, unless all are asked for."""


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show one of the four."""
    hours = _hours(args)
    if args.live:
        return _live(args, session, hours)
    with records_from.chosen(args, session):
        return _once(args, session, hours)


def _once(args: argparse.Namespace, session: Session, hours: float) -> Result:
    from agent_studio.dashboard import burnin  # noqa: PLC0415 - as in `look`
    from agent_studio.release.rollouts import rollout  # noqa: PLC0415 - as in `look`

    if args.trends:
        return _trends(session.context)
    if args.alerts:
        return _alerts(session)
    with working(_reading(session.context)):
        _halt_broken(session)
        data = look(session.context, hours, is_trial=_is_trial(session))
        data["burnin"] = burnin.line(session.context, session.variables)
        data["rollouts"] = rollout.standing(session.context)
    rows = None if args.all else _ROWS
    return _telling(session, Result(data, lambda screen: draw(screen, "overview", data, rows), 0, _problems(data)))


def _reading(context: Context) -> str:
    return "reading the journals" if context.shared is None else "asking the fleet"


def _is_trial(session: Session) -> bool:
    """Tell whether limits are only supposed, by `--set`: that is nothing to wake anybody for."""
    return any(one.strip().startswith("monitoring.") for one in session.overrides)


def _halt_broken(session: Session) -> None:
    """Halt gradual rollouts that break a limit, so that the look after it shows that; by this machine's records."""
    if session.context.shared is None and not _is_trial(session):
        from agent_studio.release.rollouts import rollout  # noqa: PLC0415 - as in `look`

        rollout.check(session.context)


def _telling(session: Session, result: Result) -> Result:
    """Return a result that also has alerts sent: after it is drawn, because a destination may be slow."""
    if _is_trial(session):
        return result
    if session.common.json:
        _tell(session)
        return result

    def render(screen: Screen) -> None:
        result.render(screen)
        _tell(session)

    return result._replace(render=render)


def _tell(session: Session) -> None:
    from agent_studio.monitor import notify  # noqa: PLC0415 - as in `look`

    with working("sending alerts"):
        notify.deliver(session.context, session.variables)


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


def look(
    context: Context, hours: float, engine: Engine | None = None, *, is_trial: bool = False
) -> dict[str, Any]:  # fmt: skip
    """Return `view.overview`; alerts are judged on the way when the stretch is the one they are judged on.

    A trial, of limits that are only supposed, leaves them alone.
    """
    from agent_studio.dashboard import view  # noqa: PLC0415 - only what the chosen form needs
    from agent_studio.monitor import alerts, rules  # noqa: PLC0415

    summary, verdicts = view.judged(context, view.last(hours), engine)
    is_due = hours == HOURS or not rules.is_watched(context)  # nothing is watched: every alert ends
    known = alerts.evaluate(context, verdicts) if is_due and not is_trial else alerts.current(context)
    return view.overview_of(context, summary, verdicts, known)


def _problems(data: dict[str, Any]) -> list[Problem]:
    if not data["damagedLines"]:
        return []
    many = "1 line" if data["damagedLines"] == 1 else f"{data['damagedLines']} lines"
    return [Problem("damaged-lines", f"{many} of the journals could not be read as records, and are not counted")]


def draw(screen: Screen, name: str, data: dict[str, Any], rows: int | None = None) -> None:
    """Draw one of the screens."""
    from agent_studio.dashboard import sheets, terminal  # noqa: PLC0415 - Rich, and only for people

    screens = {
        "overview": terminal.overview, "trends": sheets.trends, "alerts": sheets.alerts,
        "comparison": sheets.comparison,
    }  # fmt: skip
    console = screen.console()
    console.print(screens[name](data, terminal.Look(console.width, screen.unicode, rows, limits=rows)))


def _trends(context: Context) -> Result:
    from agent_studio.dashboard import view  # noqa: PLC0415 - as above

    with working("reading a week"):
        data = view.trends(context)
    return Result(data, lambda screen: draw(screen, "trends", data))


def _alerts(session: Session) -> Result:
    _halt_broken(session)
    data = look(session.context, HOURS, is_trial=_is_trial(session))
    names = ("from", "environment", "window", "state", "alerts", "limits", "newest", "ageSeconds")
    kept = {name: data[name] for name in names}
    code = ExitCode.FAILED if any(one["open"] for one in data["alerts"]) else ExitCode.DONE
    return _telling(session, Result(kept, lambda screen: draw(screen, "alerts", kept), code))


def _live(args: argparse.Namespace, session: Session, hours: float) -> Result:
    if session.common.json:
        raise UsageError("--live is for people, --json for programs", hint="leave one of them out")

    def render(screen: Screen) -> None:
        with records_from.chosen(args, session):
            _watch(screen, session, hours)

    return Result({}, render)


def _watch(screen: Screen, session: Session, hours: float) -> None:
    from threading import Thread  # noqa: PLC0415 - only for people who stay

    from agent_studio.dashboard import burnin, watch  # noqa: PLC0415 - Rich, and only for people
    from agent_studio.monitor import notify  # noqa: PLC0415 - as in `look`
    from agent_studio.release.rollouts import rollout  # noqa: PLC0415 - as in `look`

    if not screen.is_terminal:
        raise UsageError("--live needs a terminal", hint="leave --live out")
    context, telling, rollouts = session.context, Thread(), rollout.Regularly()
    standing = burnin.Standing(partial(burnin.line, context, session.variables))

    def read(wanted: float, engine: Engine | None) -> dict[str, Any]:
        nonlocal telling
        if context.shared is None:
            rollouts.check(context)
        shown = look(context, wanted, engine)
        found = {**shown, "burnin": standing(), "rollouts": rollout.standing(context)}
        if not telling.is_alive():  # a slow destination must not hold up the screen, nor its end
            telling = Thread(target=partial(_quietly, notify.deliver, context, session.variables), daemon=True)
            telling.start()
        return found

    reader = watch.Reader(read, partial(watch.journal_marks, context))
    refresh_ms = context.config["monitoring.dashboardRefreshMs"]
    watch.run(screen.console(), reader, hours=hours, refresh_ms=refresh_ms, unicode=screen.unicode)


def _quietly(deliver: Callable[..., object], *arguments: object) -> None:
    """Deliver; what fails is tried again by whoever delivers next, and `alerts list` tells of it."""
    with suppress(AgentStudioError):
        deliver(*arguments)
