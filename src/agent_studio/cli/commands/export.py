"""Send an environment's records to a collector: hooks, agents, errors, sessions and model usage.

  agent-studio export otlp --env staging --endpoint http://127.0.0.1:4318
  agent-studio export otlp --env production --endpoint https://otel.example.org --header 'Authorization=Bearer ...'

otlp sends OTLP/HTTP in protobuf. A second run sends only what is new. Needs: pip install 'agent-studio[otlp]'
"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.capture.export.exporter import SIGNALS, Options, Report, export
from agent_studio.capture.export.post import CollectorError, checked
from agent_studio.cli.moments import moment
from agent_studio.cli.output import Problem, Result, Screen, warn, working
from agent_studio.errors import BusyError, ExitCode, UsageError, did_you_mean
from agent_studio.release.attribution import ingest

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session

_FOLLOW_S = 2.0
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ITEMS = {"traces": "spans", "logs": "log records", "metrics": "data points"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs of `export`."""
    verbs = parser.add_subparsers(dest="subverb", metavar="FORMAT", required=True)
    does = "OTLP over HTTP in protobuf, to any OpenTelemetry collector"
    otlp = verbs.add_parser("otlp", help=does, description=f"Send what is new as {does}.")
    otlp.add_argument("--endpoint", required=True, metavar="URL", help="the collector, without /v1/traces and the like")
    since = otlp.add_mutually_exclusive_group()
    since.add_argument("--since", metavar="TIME", help="only records from then on: 2026-01-31, 90m, 24h, 7d")
    since.add_argument("--hours", type=float, metavar="N", help="only records of the last hours")
    otlp.add_argument("--signals", default=",".join(SIGNALS), metavar="LIST", help="some of traces,logs,metrics")
    otlp.add_argument(
        "--header", action="append", default=[], metavar="NAME=VALUE", help="send a header too; may be repeated"
    )
    otlp.add_argument("--again", action="store_true", help="send what was sent before too")
    otlp.add_argument("--follow", action="store_true", help="go on until interrupted, looking every 2 s")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Ingest what waits, then send what is new."""
    options = Options(
        checked(args.endpoint),
        _signals(args.signals),
        _since(args.since, args.hours),
        _headers(args.header),
        args.again,
    )
    if args.follow and session.common.json:
        raise UsageError("--follow never ends, so it has no one JSON object", hint="leave out --json or --follow")
    context = session.context
    while True:
        try:
            with working("sending"):
                ingest(context)
                report = export(context.root, options)
        except (CollectorError, BusyError) as error:
            if not args.follow:
                raise
            warn(f"error: {error.message}", error.hint)
        else:
            if not args.follow:
                return _result(report, options, str(session.choice.environment))
            if any(sent.items for sent in report.signals.values()):
                warn(_summary(report))
        options = Options(options.endpoint, options.signals, options.since, options.headers)  # again only once
        time.sleep(_FOLLOW_S)
        context = session.anew().sound_context or context


def _result(report: Report, options: Options, environment: str) -> Result:
    signals = {
        signal: {"sent": sent.items, "requests": sent.requests, "rejected": sent.rejected}
        for signal, sent in report.signals.items()
    }
    data: dict[str, Any] = {
        "endpoint": options.endpoint,
        "signals": signals,
        "retries": report.retries,
        "damagedLines": report.damaged,
        "older": report.older,
    }
    problems = [
        Problem("rejected", f"the collector rejected {sent.rejected} {_ITEMS[signal]}: {_plain(sent.reason)}")
        for signal, sent in report.signals.items()
        if sent.rejected
    ]
    code = ExitCode.FAILED if problems else ExitCode.DONE
    if report.damaged:
        problems.append(Problem("damaged-lines", f"{report.damaged} damaged lines were passed over"))
    return Result(data, lambda screen: _render(screen, report, options, environment), code, problems)


def _render(screen: Screen, report: Report, options: Options, environment: str) -> None:
    screen.line(f"{_summary(report)} of {environment} to {options.endpoint}")
    if report.retries:
        screen.line(f"  {report.retries} requests were repeated")
    if report.older:
        screen.line(f"  {report.older} records are older than asked for")


def _summary(report: Report) -> str:
    counts = [f"{sent.items} {_ITEMS[signal]}" for signal, sent in report.signals.items() if sent.items]
    return f"sent {', '.join(counts)}" if counts else "nothing new"


def _signals(text: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in SIGNALS:
            raise UsageError(f"--signals: unknown signal {name!r}", hint=did_you_mean(name, SIGNALS))
    if not names:
        raise UsageError("--signals names none", hint=f"some of {','.join(SIGNALS)}")
    return tuple(names)


def _since(text: str | None, hours: float | None) -> str | None:
    if hours is not None:
        if not 0 < hours <= 24 * 3_650:
            raise UsageError(f"--hours {hours:g} is no span of time", hint="such as --hours 24")
        return clock.timestamp(clock.now() - timedelta(hours=hours))
    if text is None:
        return None
    return moment("--since", text)


def _headers(given: list[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not _HEADER_NAME.fullmatch(name.strip()) or not _is_plain(value.strip()):
            raise UsageError("--header is not NAME=VALUE", hint="such as --header 'Authorization=Bearer ...'")
        headers[name.strip()] = value.strip()
    return headers


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _plain(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:200] or "it did not say why"
