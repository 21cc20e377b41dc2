"""What is wrong now, who looks after it, and whether the channels work.

`list` compares the last 24 hours with the limits first, and sends what is to be sent. Exit code 1 when an alert fires
that nobody has acknowledged and nothing silences.

  agent-studio alerts list --env staging
  agent-studio alerts ack 3f9a --note "rolled back" --env staging
  agent-studio alerts silence 'hookExecutionTimeMs:*' --for 2h --reason "slow disk" --env staging
  agent-studio alerts test --env staging
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.cli.aliases import alias
from agent_studio.cli.output import Problem, Result
from agent_studio.environment.flag_journal import default_who
from agent_studio.errors import ExitCode, UsageError, did_you_mean
from agent_studio.monitor import alerts, notify
from agent_studio.monitor.destinations import destinations
from agent_studio.monitor.rules import is_watched

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.monitor.alerts import Alert
    from agent_studio.monitor.notify import Outcome

_SPAN = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=30)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBCOMMAND", required=True)
    listed = verbs.add_parser("list", help="what fires, is pending, or was resolved in the last day")
    listed.add_argument("--no-evaluate", action="store_true", help="only what is known; look at nothing, send nothing")
    ack = verbs.add_parser("ack", help="say that somebody looks after an alert")
    ack.add_argument("id", metavar="ID", help="an alert's id, or how it starts")
    ack.add_argument("--note", metavar="TEXT", default="", help="what is done about it")
    ack.add_argument("--by", metavar="WHO", help="who (default: git's user, else the system's)")
    quiet = verbs.add_parser("silence", help="tell nobody of some alerts, for a while")
    quiet.add_argument("pattern", metavar="PATTERN", nargs="?", help="RULE or RULE:LABEL, * for anything")
    length = quiet.add_mutually_exclusive_group()
    length.add_argument("--for", dest="span", metavar="SPAN", help="how long: 30m, 2h, 7d (30 days at most)")
    length.add_argument("--lift", action="store_true", help="end the silence of this pattern")
    reason = quiet.add_argument("--reason", metavar="TEXT", default="", help="why; kept with it")
    alias(quiet, reason, "--why")
    quiet.add_argument("--by", metavar="WHO", help="who (default: git's user, else the system's)")
    test = verbs.add_parser("test", help="send a test through every channel, or through one")
    test.add_argument("--channel", metavar="NAME", help="this one alone")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    actions = {"list": _list, "ack": _ack, "silence": _silence, "test": _test}
    return actions[args.subverb](args, session.context)


def _list(args: argparse.Namespace, context: Context) -> Result:
    sent: list[Outcome] = []
    if args.no_evaluate:
        found = alerts.current(context)
    else:
        from agent_studio.monitor.watch import look  # noqa: PLC0415 - figures are read only when asked for
        from agent_studio.release.rollouts import rollout  # noqa: PLC0415 - as above

        rollout.check(context)
        found = look(context).alerts
        sent = notify.deliver(context)
    quiet = alerts.silences(context)
    waiting = notify.waiting(context)
    data = {
        "watched": is_watched(context), "alerts": [dict(one._asdict()) for one in found],
        "open": sum(one.is_open for one in found), "silences": [dict(one._asdict()) for one in quiet],
        "notifications": [dict(one._asdict()) for one in sent], "waiting": waiting,
    }  # fmt: skip
    code = ExitCode.FAILED if data["open"] else ExitCode.DONE
    return Result(data, lambda screen: _render(screen, data, found), code, list(_problems(context, sent, waiting)))


def _problems(context: Context, sent: Sequence[Outcome], waiting: dict[str, int]) -> Iterator[Problem]:
    for one in sent:
        if one.outcome != notify.SENT:
            yield Problem(f"notification-{one.outcome}", f"{one.channel}: {one.outcome}: {one.detail}")
    for name, count in waiting.items():
        hint = f"agent-studio alerts test --env {context.environment}"
        yield Problem("notification-waiting", f"{name}: {count} to be sent", hint)


def _render(screen: Screen, data: dict[str, Any], found: Sequence[Alert]) -> None:
    if not data["watched"]:
        screen.mark("none", "nothing is watched here: development has no limits, or monitoring.enabled is false")
    elif not found:
        screen.mark("ok", "no alerts")
    if found:
        rows = [(one.id, _state(one), one.severity, f"{one.rule} {one.label}".rstrip(), _since(one)) for one in found]
        screen.table(("id", "state", "severity", "limit", "since"), rows)
    for one in found:
        screen.line(f"{one.id}  {one.message}")
        if one.acknowledged:
            note = f": {one.acknowledged['note']}" if one.acknowledged["note"] else ""
            screen.line(f"              {one.acknowledged['who']}{note}")
    for quiet in data["silences"]:
        screen.mark(
            "note", f"silenced until {quiet['until'][:16]}: {quiet['pattern']} ({quiet['who']}: {quiet['why']})"
        )


def _state(one: Alert) -> str:
    if one.state == "firing" and one.silenced:
        return "silenced"
    return "acknowledged" if one.state == "firing" and one.acknowledged else one.state


def _since(one: Alert) -> str:
    return one.since[:16].replace("T", " ")


def _ack(args: argparse.Namespace, context: Context) -> Result:
    one = alerts.acknowledge(context, args.id, _who(args, context), args.note)

    def render(screen: Screen) -> None:
        screen.mark("ok", f"acknowledged {one.id}: {one.rule} {one.label}".rstrip())

    return Result({"alert": dict(one._asdict())}, render)


def _silence(args: argparse.Namespace, context: Context) -> Result:
    if not args.pattern:
        raise UsageError("nothing to silence", hint="name a rule, or RULE:LABEL; agent-studio alerts list shows both")
    if not args.lift and not args.span:
        raise UsageError("a silence ends", hint="say how long: --for 2h; or end one: --lift")
    if not args.lift and not args.reason.strip():
        raise UsageError("a silence has a reason", hint='--reason "..."')
    now = clock.now()
    if args.lift and args.pattern not in (known := [one.pattern for one in alerts.silences(context, now)]):
        raise UsageError(f"{args.pattern!r} is not silenced", hint=did_you_mean(args.pattern, known) if known else "")
    until = now if args.lift else now + _span(args.span)
    made = alerts.silence(context, args.pattern, until, _who(args, context), args.reason)

    def render(screen: Screen) -> None:
        said = "no longer silenced" if args.lift else f"silenced until {made.until[:16].replace('T', ' ')} UTC"
        screen.mark("ok", f"{made.pattern} is {said}")

    return Result({"silence": dict(made._asdict()), "lifted": args.lift}, render)


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text.strip())
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(0) < length <= _LONGEST:
        raise UsageError(f"--for {text!r} is no length of time up to 30 days", hint="such as 30m, 2h or 7d")
    return length


def _who(args: argparse.Namespace, context: Context) -> str:
    return str(args.by) if args.by is not None else default_who(context.project)


def _test(args: argparse.Namespace, context: Context) -> Result:
    wanted = destinations(context)
    if args.channel is not None:
        known = [one.name for one in wanted]
        wanted = [one for one in wanted if one.name == args.channel]
        if not wanted:
            hint = did_you_mean(args.channel, known) if known else "write monitoring.notify: docs/alerts.md"
            raise UsageError(f"there is no channel {args.channel!r}", hint=hint)
    found = [notify.send_test(context, one) for one in wanted]
    failed = [one for one in found if one.outcome != notify.SENT]
    code = ExitCode.FAILED if failed else ExitCode.DONE if found else ExitCode.INSUFFICIENT
    problems = [Problem("notification-failed", f"{one.channel}: {one.detail}") for one in failed]
    if not found:
        problems = [Problem("no-channel", "alerts are sent nowhere", "write monitoring.notify: docs/alerts.md")]

    def render(screen: Screen) -> None:
        for one in found:
            screen.mark("bad" if one in failed else "ok", f"{one.channel}: {one.detail or one.outcome}")

    return Result({"channels": [dict(one._asdict()) for one in found]}, render, code, problems)
