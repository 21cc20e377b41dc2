"""Turn recorded events into typed records: hooks, agents, errors, sessions and what model responses used.

Reads the environment's inbox and the transcripts that its events name, from where the last run ended. Every event is
recorded once, whatever crashes in between; running it again adds nothing. Journals of closed days are closed, and files
that are older than they have to be kept move to the archive. --follow goes on until it is interrupted.
Exit code: 0 done, 5 another process is ingesting.

  agent-studio ingest --env staging
  agent-studio ingest --env production --follow
"""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from agent_studio.capture.ingest.report import Report
from agent_studio.cli.output import Problem, Result, warn, working
from agent_studio.errors import AgentStudioError, BusyError, UsageError
from agent_studio.monitor.retention import Tidied, Tidying, tidy
from agent_studio.release.attribution import ingest

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.release.rollouts.rollout import Regularly

WAIT_S = 5.0
"""How long to wait while another process ingests."""
_INTERVAL_S = 2.0
_LONGEST_S = 86_400
_SETTLE_S = 3.0
_SHOWN = ("hooks.jsonl", "agents.jsonl", "errors.jsonl", "session-log.jsonl", "llm-usage.log")
_KEPT = {
    "damaged": ("could not be read", "kept in .agent-studio/{environment}/damaged-events.jsonl"),
    "unknown": ("are of a name that is not known", "kept in .agent-studio/{environment}/unknown-events.jsonl"),
    "cut": ("were kept only in part: the inbox was over capture.inboxLimitMb", "run ingest more often"),
    "unrouted": ("belong to another environment", "moved to .agent-studio/unrouted.jsonl"),
    "index_faults": ("times the search index could not follow what was edited or used", "it is tried again"),
    "altered": ("inbox files were cut or rewritten by someone else", "only ingest may take events away"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of following."""
    parser.add_argument("--follow", action="store_true", help="go on with what comes, until interrupted")
    parser.add_argument(
        "--interval", type=float, metavar="SECONDS", help=f"how long to wait between rounds (default: {_INTERVAL_S:g})"
    )


def run(args: argparse.Namespace, session: Session) -> Result:
    """Ingest once, or again and again, and report what was recorded."""
    if args.interval is not None and not args.follow:
        raise UsageError("--interval is for --follow", hint="add --follow, or drop --interval")
    interval = _INTERVAL_S if args.interval is None else args.interval
    if not 0 < interval <= _LONGEST_S:
        raise UsageError(f"--interval {interval:g} is no time to wait", hint=f"seconds, up to {_LONGEST_S}")
    from agent_studio.release.rollouts import rollout  # noqa: PLC0415 - a third of the start otherwise

    if args.follow:
        report, tidied = _follow(session, interval)
    else:
        with working("ingesting"):
            report = ingest(session.context, wait_s=WAIT_S)
        if report.busy:
            raise BusyError(
                f"another process is ingesting the events of {session.context.environment}",
                hint="wait until it is done; what it takes need not be taken again",
            )
        with working("tidying"):
            tidied = tidy(session.context)
    problems = [*_problems(report, str(session.context.environment)), *_unfinished(tidied)]
    problems += [Problem("rollout", text) for text in _halts(session.context, rollout.Regularly())]
    return Result(_data(report, tidied), lambda screen: _render(screen, report, tidied), problems=problems)


def _follow(session: Session, interval: float) -> tuple[Report, Tidied]:
    from agent_studio.capture.otlp.process import handled  # noqa: PLC0415 - only to follow
    from agent_studio.release.rollouts import rollout  # noqa: PLC0415 - as in `run`

    total, tidying, tidied, rollouts = Report(), Tidying(), Tidied.nothing(), rollout.Regularly()
    context, stopped = session.context, threading.Event()
    with handled(lambda *_: stopped.set(), signal.SIGTERM):
        while not stopped.is_set():
            context = session.anew().sound_context or context  # prices and limits may change meanwhile
            report = ingest(context, settle_s=_SETTLE_S)
            _add(total, report)
            if report.written or report.damaged:
                warn(_news(report))
            for text in _halts(context, rollouts):
                warn(text)
            tidied = tidied.plus(tidying.after(context, was_sealed=bool(report.sealed)))
            stopped.wait(interval)
    return total, tidied


def _halts(context: Context, rollouts: Regularly) -> list[str]:
    """Halt gradual rollouts that break a limit and return what is to be said of it; what was ingested stays so."""
    try:
        return [f"{one.rollout.flag} was halted: {one.reason}" for one in rollouts.check(context)]
    except AgentStudioError as error:
        return [f"gradual rollouts could not be looked at: {error.message}"]


def _add(total: Report, report: Report) -> None:
    for name, value in vars(report).items():
        if isinstance(value, dict):
            held = getattr(total, name)
            for key, count in value.items():
                held[key] = held.get(key, 0) + count
        elif isinstance(value, list):
            getattr(total, name).extend(value)
        elif not isinstance(value, bool):
            setattr(total, name, round(getattr(total, name) + value, 3))


def _news(report: Report) -> str:
    parts = [f"{count} to {name}" for name, count in sorted(report.records.items())]
    if report.damaged:
        parts.append(f"{report.damaged} damaged")
    return f"{report.events} events: {', '.join(parts)}"


def _data(report: Report, tidied: Tidied) -> dict[str, object]:
    camel = {
        "transcripts_missing": "transcriptsMissing", "segments_removed": "segmentsRemoved",
        "budget_notices": "budgetNotices", "index_faults": "indexFaults",
    }  # fmt: skip
    data = {camel.get(name, name): value for name, value in asdict(report).items() if name != "busy"}
    return {
        **data,
        "records": {name: report.records.get(name, 0) for name in (*_SHOWN, *report.records)},
        "tidied": {**tidied._asdict(), "kept": [{"name": one.name, "reason": one.reason} for one in tidied.kept]},
    }


def _problems(report: Report, environment: str) -> list[Problem]:
    crossed = [
        Problem("budget", f"{one['budget']}: {one['level']} % reached", "agent-studio cost budget")
        for one in report.budget_notices
    ]
    return crossed + [
        Problem(name, f"{getattr(report, name)} {what}", hint.format(environment=environment))
        for name, (what, hint) in _KEPT.items()
        if getattr(report, name)
    ]


def _unfinished(tidied: Tidied) -> list[Problem]:
    return [Problem("retention", f"{one.name}: {one.reason}", "it is tried again") for one in tidied.faults]


def _render(screen: Screen, report: Report, tidied: Tidied) -> None:
    screen.mark("ok", f"{report.events} events, {report.written} records in {report.seconds:.1f} s")
    for name in (*_SHOWN, *sorted(set(report.records) - set(_SHOWN))):
        screen.line(f"  {name:<24} {report.records.get(name, 0):>8}")
    if report.transcripts_missing:
        screen.line(f"  transcripts not found: {report.transcripts_missing}")
    for what, names in (("closed", report.sealed), ("archived", tidied.archived)):
        if names:
            screen.line(f"  {what}: {', '.join(names)}")
    for one in tidied.kept:
        if not one.is_fault:
            screen.line(f"  kept {one.name}: {one.reason}")
