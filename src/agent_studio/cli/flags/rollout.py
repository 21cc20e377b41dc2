"""`flags rollout`: gradual rollouts of production, what the limits say of each, the next stage, and the halt.

Exit code: 0; to advance 1 where a limit is broken, which halts the rollout, and 3 where evidence is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio import log
from agent_studio.cli.output import Problem, Result, working
from agent_studio.environment import flag_rollout, flags
from agent_studio.environment.detect import Environment
from agent_studio.errors import ExitCode, UsageError, did_you_mean
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.production.sides import production_context
from agent_studio.release.rollouts import rollout

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.release.rollouts.rollout import Status

_MARKS = {PASS: "ok", FAIL: "bad"}
_WAIT_S = 5.0


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show rollouts, advance one, or halt it."""
    _refuse_wrong(args, session)
    session.acts_on(Environment.PRODUCTION)
    context = production_context(session.project, session.variables, session.overrides)
    if args.advance:
        return _advance(args, context)
    if args.halt:
        return _halt(args, context)
    return _list(args, context)


def _refuse_wrong(args: argparse.Namespace, session: Session) -> None:
    choice = session.choice
    if choice.environment is not Environment.PRODUCTION and choice.source != "default":
        raise UsageError(
            f"gradual rollouts are production's, and {choice.source} says {choice.environment}",
            hint="--env production; elsewhere: agent-studio flags set NAME --rollout PERCENT",
        )
    if (args.advance or args.halt) and not args.name:
        raise UsageError("which flag?", hint="agent-studio flags rollout --env production lists those in a rollout")
    if args.despite is not None and not (args.advance and args.despite.strip()):
        raise UsageError("--despite says why to advance without evidence", hint='--advance --despite "..."')
    if args.halt and not (args.reason or "").strip():
        raise UsageError("a halt has a reason", hint='--reason "..."')


def _list(args: argparse.Namespace, context: Context) -> Result:
    with working("reading the journals"):
        found = rollout.look(context)
        halted = rollout.halt_broken(context, found)
        found = rollout.look(context) if halted else found
    shown = [one for one in found if args.name in {None, one.rollout.flag}]
    if args.name and not shown:
        flags.require_known(context.config, args.name)
    problems = [Problem("rollout-halted", f"{one.rollout.flag} was halted: {one.reason}") for one in halted]

    def render(screen: Screen) -> None:
        for one in shown:
            _render(screen, context, one)
        if not shown:
            screen.line(_none(args.name) if args.name else "no flag is in a gradual rollout")

    data = {"environment": str(context.environment), "rollouts": [_data(one) for one in shown]}
    return Result(data, render, problems=problems)


def _none(flag: str) -> str:
    return f"{flag} is in no gradual rollout"


def _advance(args: argparse.Namespace, context: Context) -> Result:
    if not args.dry_run and context.root.folder("metrics").has_folder():
        from agent_studio.capture.ingest.run import ingest  # noqa: PLC0415 - only who advances needs the newest

        with working("ingesting"):
            ingest(context, wait_s=_WAIT_S)
    with working("reading the journals"):
        one = _named(context, args.name)
    if one.state == rollout.HALTED:
        kill = flags.history(context.root).kills[args.name]
        raise flags.FlagKilledError(f"{args.name} was {kill}", hint=_lift(context, args.name))
    if one.state == rollout.OFF:
        raise UsageError(f"{args.name} is off in production's configuration", hint="a rollout is of a flag that is on")
    if one.verdict == FAIL:
        return _refused(args, context, one, ExitCode.FAILED)
    if one.verdict == INSUFFICIENT and args.despite is None:
        return _refused(args, context, one, ExitCode.INSUFFICIENT)
    why = args.reason or ("the limits hold" if one.verdict == PASS else args.despite)
    change = rollout.advance(
        context, one, who=_who(args, context), why=why, despite=args.despite or "", dry_run=args.dry_run
    )
    return _changed(args, context, one, change)


def _refused(args: argparse.Namespace, context: Context, one: Status, code: ExitCode) -> Result:
    halted = [] if args.dry_run else rollout.halt_broken(context, [one])
    hint = "agent-studio flags rollout --env production" if code == ExitCode.FAILED else 'or: --despite "..."'
    wrong = [limit for limit in one.limits if limit.verdict != PASS]
    problems = [
        Problem(limit.verdict.lower(), f"{limit.name}: {limit.reason}", "" if number else hint)
        for number, limit in enumerate(wrong)
    ]
    left = f"halted at {one.rollout.percent:g} %" if halted else f"left at {one.rollout.percent:g} % of sessions"

    def render(screen: Screen) -> None:
        _limits(screen, one)
        screen.line(f"\n{one.verdict}: {args.name} was {left}")

    data = {**_data(one), "changed": bool(halted), "dryRun": args.dry_run, "changes": [], "notes": []}
    return Result(data, render, code, problems)


def _halt(args: argparse.Namespace, context: Context) -> Result:
    one = _named(context, args.name)
    who = _who(args, context)
    change = flag_rollout.halt(context.root, one.rollout, who=who, why=args.reason, dry_run=args.dry_run)
    return _changed(args, context, one, change)


def _named(context: Context, flag: str) -> Status:
    found = {one.rollout.flag: one for one in rollout.look(context)}
    if flag not in found:
        flags.require_known(context.config, flag)
        raise UsageError(_none(flag), hint=did_you_mean(flag, found) if found else "agent-studio promote --gradual")
    return found[flag]


def _changed(args: argparse.Namespace, context: Context, one: Status, change: flags.Change) -> Result:
    for record in () if args.dry_run else change.records:
        log.info(context, "flag.changed", **{name: record[name] for name in ("flag", "action", "before", "after")})

    def render(screen: Screen) -> None:
        for record in change.records:
            _limits(screen, one)
            screen.mark("none" if args.dry_run else "ok", _sentence(record, one))
            screen.line(f"  by {record['who']}: {record['why']}")
        for note in change.notes:
            screen.mark("note", note)
        if not change.records or args.dry_run:
            screen.line("nothing changed")

    changed = bool(change.records) and not args.dry_run
    data = {
        **_data(one), "changed": changed, "dryRun": args.dry_run, "changes": change.records, "notes": change.notes,
    }  # fmt: skip
    return Result(data, render)


def _sentence(record: dict[str, Any], one: Status) -> str:
    if record["action"] == "kill":
        return f"{record['flag']} is halted at {one.rollout.percent:g} %: it is off for everyone"
    if record["after"] == flag_rollout.STAGES[-1]:
        return f"{record['flag']} is live for all sessions that its configuration says; the rollout has ended"
    return f"{record['flag']} is live for {record['after']:g} % of sessions"


def _data(one: Status) -> dict[str, Any]:
    held, sample = one.rollout, one.sample
    return {
        "flag": held.flag, "percent": held.percent, "next": flag_rollout.next_stage(held.percent), "state": one.state,
        "since": held.since, "release": held.release or None, "who": held.who, "why": held.why,
        "sessions": {"on": sample.sessions_on, "off": sample.sessions_off}, "verdict": one.verdict,
        "limits": [dict(limit._asdict()) for limit in one.limits], "damagedLines": sample.damaged,
    }  # fmt: skip


def _render(screen: Screen, context: Context, one: Status) -> None:
    held, sample = one.rollout, one.sample
    stage = f"{held.percent:g} % of sessions since {held.since[:19].replace('T', ' ')}"
    begun = f"sessions begun since: {sample.sessions_on:,} with it, {sample.sessions_off:,} without"
    if one.state == rollout.RUNNING:
        screen.line(f"{held.flag}: live for {stage}, release {held.release[:12] or '-'}")
    else:
        screen.line(f"{held.flag}: {one.state} at {stage}; it is off for everyone")
    screen.line(f"  {begun}")
    if one.state == rollout.HALTED:
        screen.line(f"  to go on at {held.percent:g} %: {flags.lift_command(context.environment, held.flag)}")
    elif one.state == rollout.RUNNING:
        _limits(screen, one)
        following = f"{flag_rollout.next_stage(held.percent)} %"
        screen.line(f"  {one.verdict}; to {following}: agent-studio flags rollout {held.flag} --advance")


def _limits(screen: Screen, one: Status) -> None:
    for limit in one.limits:
        screen.mark(_MARKS.get(limit.verdict, "none"), f"{limit.name}: {limit.reason}")


def _lift(context: Context, flag: str) -> str:
    return f"lift it first: {flags.lift_command(context.environment, flag)}"


def _who(args: argparse.Namespace, context: Context) -> str:
    return str(args.by) if args.by is not None else flags.default_who(context.project)
