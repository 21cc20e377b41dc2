"""Show and change feature flags: whether each is on, why, and who changed it; gradual rollouts and their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio import log
from agent_studio.cli.aliases import alias
from agent_studio.cli.output import Problem, Result
from agent_studio.environment import flags
from agent_studio.environment.detect import Environment
from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBCOMMAND", required=True)
    verbs.add_parser("list", help="every flag with its value and why", description="List every flag and why it is so.")

    explain = verbs.add_parser(
        "explain", help="why a flag is on or off", description="Say why a flag is on or off, for everyone or one unit."
    )
    explain.add_argument("name", metavar="NAME", help="a flag")
    explain.add_argument("--unit", metavar="ID", help="a session id, which decides under a partial rollout")

    change = verbs.add_parser(
        "set",
        help="switch a flag or change its rollout",
        description="Write a flag to the environment's own configuration file.",
    )
    change.add_argument("name", metavar="NAME", help="a flag")
    switch = change.add_mutually_exclusive_group()
    switch.add_argument("--on", dest="enabled", action="store_true", default=None, help="switch it on")
    switch.add_argument("--off", dest="enabled", action="store_false", default=None, help="switch it off")
    change.add_argument("--rollout", metavar="PERCENT", type=float, help="share of units that get it, 0 to 100")
    _add_change_options(change)

    kill = verbs.add_parser(
        "kill",
        help="switch a flag off at once, over all configuration",
        description="Switch a flag off at once, whatever the configuration says, until the kill is lifted.",
    )
    kill.add_argument("name", metavar="NAME", help="a flag")
    kill.add_argument("--lift", action="store_true", help="undo a kill")
    _add_change_options(kill)

    _add_rollout(verbs.add_parser(
        "rollout",
        help="gradual rollouts of production, what the limits say, the next stage, the halt",
        description="Show production's gradual rollouts, bring one to its next stage, or halt it.",
    ))  # fmt: skip

    past = verbs.add_parser("history", help="who changed what, when and why", description="List every change.")
    past.add_argument("name", metavar="NAME", nargs="?", help="only this flag")


def _add_rollout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a flag (default: all that are in a rollout)")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--advance", action="store_true", help="go on to 50, then 100 %%, if no limit stands against it")
    act.add_argument("--halt", action="store_true", help="switch the flag off for everyone at once")
    parser.add_argument("--despite", metavar="TEXT", help="advance although limits lack evidence; why, kept with it")
    reason = parser.add_argument("--reason", metavar="TEXT", help="why; kept with the change (needed to halt)")
    alias(parser, reason, "--why")
    parser.add_argument("--by", metavar="WHO", help="who (default: git's user, else the system's)")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")


def _add_change_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; kept with the change")
    parser.add_argument("--by", metavar="WHO", help="who (default: git's user, else the system's)")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Carry out one subcommand."""
    if args.subverb == "rollout":
        from agent_studio.cli.flags import rollout  # noqa: PLC0415 - releases and journals come with it

        return rollout.run(args, session)
    actions = {"list": _list, "explain": _explain, "set": _set, "kill": _kill, "history": _history}
    return actions[args.subverb](args, _meant(args, session))


def _meant(args: argparse.Namespace, session: Session) -> Context:
    """Return what a sub-verb acts on: of production what is live, wherever the command was given."""
    if session.choice.environment is not Environment.PRODUCTION:
        return session.context
    from agent_studio.release.production import sides  # noqa: PLC0415 - only for production

    place = sides.production_project(session.project, session.variables, session.overrides)
    if place == session.project:
        return session.context
    if args.subverb == "set":
        raise UsageError(
            f"production is {place.path}, and its configuration is part of what is promoted: no flag is set from here",
            hint=f"set it in staging and promote, or off at once: agent-studio flags kill {args.name} --reason TEXT "
            f"--env production, or set it there: --project {place.path}",
        )
    return sides.production_context(session.project, session.variables, session.overrides)


def _list(args: argparse.Namespace, context: Context) -> Result:
    past = flags.history(context.root)
    rows = [_described(context, past, name) for name in context.config.flags]

    def render(screen: Screen) -> None:
        screen.table(
            ("flag", "value", "rollout", "why"),
            [(row["name"], _word(row["value"]), f"{_share(row):g} %", _why(past, row["name"], row)) for row in rows],
        )

    return Result({"flags": rows, "damagedLines": past.damaged_lines}, render, problems=_damage(past))


def _share(row: dict[str, Any]) -> float:
    stage = row["stage"]
    return float(row["rolloutPercentage"] if stage is None else min(stage, row["rolloutPercentage"]))


def _why(past: flags.History, name: str, row: dict[str, Any]) -> str:
    """Return what fits a table; `explain` has the rest."""
    return f"killed: {past.kills[name].why}" if name in past.kills else str(row["detail"])


def _described(context: Context, past: flags.History, name: str, unit: str | None = None) -> dict[str, Any]:
    decided = flags.evaluate(context.config, past, name, unit)
    gradual = past.rollouts.get(name)
    return {
        "name": name,
        "value": decided.value,
        "reason": str(decided.reason),
        "detail": decided.detail,
        "enabled": context.config[f"features.{name}.enabled"],
        "rolloutPercentage": context.config[f"features.{name}.rolloutPercentage"],
        "killed": name in past.kills,
        "stage": gradual.percent if gradual else None,
        **({"unit": unit, "bucket": decided.bucket} if unit else {}),
    }


def _explain(args: argparse.Namespace, context: Context) -> Result:
    past = flags.history(context.root)
    found = _described(context, past, args.name, args.unit)

    def render(screen: Screen) -> None:
        whom = f" for {args.unit}" if args.unit else ""
        screen.mark("ok" if found["value"] else "none", f"{args.name} is {_word(found['value'])}{whom}")
        screen.line(f"  {found['detail']}")
        if found["killed"]:
            screen.line(f"  to undo: {flags.lift_command(context.environment, args.name)}")

    return Result(found, render, problems=_damage(past))


def _set(args: argparse.Namespace, context: Context) -> Result:
    if args.enabled is None and args.rollout is None:
        raise UsageError("nothing to set", hint="give --on, --off or --rollout PERCENT")
    who = args.by if args.by is not None else flags.default_who(context.project)
    change = flags.set_flag(
        context, args.name, enabled=args.enabled, rollout=args.rollout, who=who, why=args.reason, dry_run=args.dry_run
    )
    if change.records and _is_released(context):
        change.notes.append(
            "the file is part of the live release: this is drift until it is promoted or adopted (flags kill is none)"
        )
    return _changed(args, context, change)


def _is_released(context: Context) -> bool:
    """Tell whether an environment's configuration is what a promotion from elsewhere has written."""
    if context.environment is not Environment.PRODUCTION:
        return False
    from agent_studio.release.production import whose  # noqa: PLC0415 - only for production

    return whose.is_production(context.project)


def _kill(args: argparse.Namespace, context: Context) -> Result:
    who = args.by if args.by is not None else flags.default_who(context.project)
    act = flags.lift if args.lift else flags.kill
    return _changed(args, context, act(context, args.name, who=who, why=args.reason, dry_run=args.dry_run))


def _changed(args: argparse.Namespace, context: Context, change: flags.Change) -> Result:
    for record in () if args.dry_run else change.records:
        told = {name: record[name] for name in ("flag", "action", "key", "before", "after")}
        log.info(context, "flag.changed", **told)
    data = {
        "flag": args.name,
        "changed": bool(change.records) and not args.dry_run,
        "dryRun": args.dry_run,
        "changes": change.records,
        "notes": change.notes,
    }

    def render(screen: Screen) -> None:
        for record in change.records:
            mark, would = ("none", "would be ") if args.dry_run else ("ok", "")
            screen.mark(mark, f"{would}{_sentence(record)}")
            screen.line(f"  by {record['who']}: {record['why']}")
        for note in change.notes:
            screen.mark("note", note)
        if not change.records or args.dry_run:
            screen.line("nothing changed")

    return Result(data, render)


def _sentence(record: dict[str, Any]) -> str:
    place = f"in {record['environment']}"
    if record["action"] == "set":
        return f"set {place}: {record['key']} {_word(record['before'])} -> {_word(record['after'])}"
    if record["action"] == "kill":
        return f"killed {place}: {record['flag']} is off for everyone until the kill is lifted"
    if record["action"] == flags.ROLLOUT:
        return f"{place}: {record['flag']} is live for {_stage(record['after'])}"
    return f"lifted {place}: the configuration decides on {record['flag']} again ({_word(record['after'])})"


def _history(args: argparse.Namespace, context: Context) -> Result:
    past = flags.history(context.root, args.name)
    if args.name and not past.records:
        flags.require_known(context.config, args.name)

    def render(screen: Screen) -> None:
        for record in past.records:
            when = str(record.get("timestamp"))[:19].replace("T", " ")
            screen.line(f"{when}  {record['flag']}  {_action(record)}")
            screen.line(f"    by {record.get('who')}: {record.get('why')}")
        if not past.records:
            screen.line(f"no changes of {args.name or 'flags'} in {context.environment}")

    return Result({"records": past.records, "damagedLines": past.damaged_lines}, render, problems=_damage(past))


def _stage(percent: float | None) -> str:
    """Return how far a rollout is, in words."""
    return "as many sessions as its configuration says" if percent in {None, 100} else f"{percent:g} % of sessions"


def _action(record: dict[str, Any]) -> str:
    if record["action"] == flags.ROLLOUT:
        before, after = (
            "none" if one is None else f"{one:g} %" for one in (record.get("before"), record["after"])
        )  # fmt: skip
        return f"gradual rollout {before} -> {after}"
    if record["action"] != "set":
        return str(record["action"])
    name = str(record.get("key")).rpartition(".")[2]
    return f"{name} {_word(record.get('before'))} -> {_word(record.get('after'))}"


def _damage(past: flags.History) -> list[Problem]:
    if not past.damaged_lines:
        return []
    count = past.damaged_lines
    return [
        Problem(
            "damaged-lines",
            f"{count} damaged {'line' if count == 1 else 'lines'} in the flag journal",
            "what such a line may have killed stays off: see agent-studio flags list",
        )
    ]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "-" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)
