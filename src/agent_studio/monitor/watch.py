"""Looking at an environment, once or every minute: figures, verdicts, alerts, and telling of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock, log
from agent_studio.errors import AgentStudioError
from agent_studio.monitor import alerts, metrics, notify, rules
from agent_studio.monitor.summary import DAY_MS, HOUR_MS, Window
from agent_studio.monitor.times import times

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from agent_studio.environment.context import Context
    from agent_studio.monitor.alerts import Alert
    from agent_studio.monitor.notify import Outcome
    from agent_studio.monitor.summary import Summary
    from agent_studio.monitor.verdict import Verdict

INTERVAL_S = 60.0
"""How often who stays awake looks."""
_GRACE_S = 1.0


class Look(NamedTuple):
    """What one look found."""

    summary: Summary | None
    """Of the last 24 hours; None where nothing is watched."""
    verdicts: list[Verdict]
    alerts: list[Alert]


def look(context: Context, now: datetime | None = None) -> Look:
    """Compare the last 24 hours with every limit, and move the alerts on; where nothing is watched all of them end."""
    moment = now or clock.now()
    if not rules.is_watched(context):
        known = alerts.current(context, moment)
        return Look(None, [], alerts.evaluate(context, [], moment) if known else [])
    until_ms = int(moment.timestamp() * 1000)
    summary = metrics.summary(context, Window(until_ms - DAY_MS, until_ms))
    recent = metrics.summary(context, Window(until_ms - HOUR_MS, until_ms))
    verdicts = rules.verdicts(context, summary, recent, durations=times)
    return Look(summary, verdicts, alerts.evaluate(context, verdicts, moment))


def watch(context: Context, variables: Mapping[str, str] | None = None) -> list[Outcome]:
    """Look and tell: for what runs beside agents, never on their path."""
    look(context)
    return notify.deliver(context, variables)


class Watcher:
    """Looks and tells every minute in a thread of its own: a receiver that is slow holds up nothing else."""

    def __init__(
        self,
        context: Callable[[], Context],
        variables: Mapping[str, str],
        say: Callable[[str], None],
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """`context` gives the environment as its files are now; `say` is told of each problem once."""
        self._context, self._variables, self._say, self._interval_s = context, variables, say, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._problem = ""

    def start(self) -> None:
        """Begin, with a first look at once."""
        self._thread.start()

    def finish(self) -> None:
        """End; what is being sent is not waited for, and sent again by whoever looks next."""
        self._stop.set()
        self._thread.join(_GRACE_S)

    def _run(self) -> None:
        while True:
            problem = self._look()
            if problem not in {"", self._problem}:
                self._say(problem)
            self._problem = problem
            if self._stop.wait(self._interval_s):
                return

    def _look(self) -> str:
        """Look and tell; return what went wrong."""
        context = None
        try:
            context = self._context()
            failed = [one for one in watch(context, self._variables) if one.outcome != notify.SENT]
        except AgentStudioError as error:
            return f"alerts: {error.message}"
        except Exception as error:  # noqa: BLE001 - the daemon outlives a bug in a look
            problem = f"alerts: {type(error).__name__}: {error}"
            if context is not None and problem != self._problem:
                log.exception(context, "alerts.crashed", error)
            return problem
        return "; ".join(f"alerts to {one.channel}: {one.outcome}: {one.detail}" for one in failed)
