"""Run a command inside an environment, in the foreground.

The command gets AGENT_STUDIO_ENV, telemetry variables that name the environment, and no variable that looks like a
secret unless secrets.<env> or --keep names it. Claude Code also gets a settings overlay: it is recorded without a
change to the project's files. The exit code is the command's; 126 or 127 when it cannot be started.

  agent-studio run --env staging -- claude
  agent-studio run --env staging --report run.json -- npm test
"""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.capture.otlp import daemon
from agent_studio.capture.recorder.setup import set_up
from agent_studio.capture.wiring import install as wiring
from agent_studio.cli import files
from agent_studio.cli.commands.serve import TOKEN_VARIABLE
from agent_studio.cli.output import Result, warn
from agent_studio.cli.run import changes
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, ExitCode, UsageError
from agent_studio.guards.handlers import asked, fails_closed
from agent_studio.isolation import aftermath, choice, client_folder, copies, overlay, variables
from agent_studio.isolation.backends import ADVISORY, INSIDE
from agent_studio.isolation.inherit import LISTED, MODE_KEY, inherited
from agent_studio.isolation.launch import Launch, start
from agent_studio.isolation.policy import COPY, make_written, policy
from agent_studio.isolation.reports import ReportFile
from agent_studio.redaction import redact
from agent_studio.release.production import sessions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context
    from agent_studio.isolation.backends import Prepared
    from agent_studio.isolation.choice import Choice
    from agent_studio.isolation.copies import Copy
    from agent_studio.isolation.launch import Finished
    from agent_studio.isolation.policy import Policy

_TOLD = 3
"""Gaps that are told on the screen."""
_SETTINGS = ("settings.json", "settings.local.json")
"""Files whose `env` the client lets win over variables, weakest first."""


@dataclass
class _Plan:
    """What is put together for one run."""

    context: Context
    policy: Policy
    choice: Choice
    argv: list[str]
    variables: dict[str, str]
    withheld: tuple[str, ...] = ()
    of_production: frozenset[str] = frozenset()
    """Names of withheld variables that have a value of production's."""
    outer: str = ""
    """The backend of the run that we are in."""
    telemetry: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the client; empty for any other command."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `run`; what follows `--` is the command."""
    parser.usage = f"{parser.prog} [OPTIONS] -- CMD [ARG ...]"
    parser.add_argument("--report", metavar="FILE", help="write how it went to a JSON file")
    parser.add_argument(
        "--isolation", metavar="NAME", choices=choice.NAMES, help=f"what keeps it apart: {', '.join(choice.NAMES)}"
    )
    parser.add_argument(
        "--apply", action="store_true", help="with isolation.source copy: apply what it changed, after asking"
    )
    parser.add_argument(
        "--changes", nargs="+", metavar=("ACTION", "ID"),
        help=f"instead of a command: {', '.join(changes.ACTIONS)} what a run changed in a copy",
    )  # fmt: skip
    parser.add_argument("id", nargs="?", metavar="ID", help="with --changes: the copy, where it is not named there")
    parser.add_argument("--yes", action="store_true", help="apply or discard without asking")
    parser.add_argument("--dry-run", action="store_true", help="with --changes: only say what would be done")
    parser.add_argument("--require-isolation", action="store_true", help="start nothing without kernel isolation")
    parser.add_argument("--no-telemetry", action="store_true", help="do not send telemetry to the daemon")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="NAME", help="let a variable pass that looks like a secret"
    )


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run the command and pass on its exit code."""
    if args.changes:
        if args.command:
            raise UsageError("--changes takes no command", hint="agent-studio run --changes list")
        words = [*args.changes, *filter(None, (args.id,))]
        return changes.run(words, session.context, yes=args.yes, dry_run=args.dry_run)
    if args.id:
        raise UsageError(f"unrecognized arguments: {args.id}", hint=f"agent-studio run -- {args.id}")
    if session.common.json:
        raise UsageError(
            "--json would mix with what the command writes", hint="write the report to a file: --report FILE"
        )
    if not args.command or not args.command[0]:
        raise UsageError("no command to run", hint="agent-studio run --env staging -- claude")
    token = session.variables.pop(TOKEN_VARIABLE, None)  # goes to the command as a header, where it goes at all
    context = session.context
    _require_root(context)
    file = _report_file(args.report) if args.report is not None else None
    required = args.require_isolation or bool(context.config["isolation.require"])
    name = args.isolation or str(context.config["isolation.backend"])
    is_client = overlay.is_client(args.command[0])
    with ExitStack() as stack:
        if name != ADVISORY:
            make_written(context.root.state)
            if is_client:
                _prepare_client(session.variables, stack)
        wanted = policy(context, session.variables, is_client=is_client)
        chosen = choice.choose(wanted, name, required=required)
        if chosen.backend is not None and (said := choice.check_links(wanted)):
            wanted = wanted._replace(warnings=(*wanted.warnings, said))
        plan = _plan(args, session, token, wanted, chosen)
        code = _run(plan, file, args)
    return Result({"exitCode": code}, lambda _: None, code)


def _prepare_client(given: Mapping[str, str], stack: ExitStack) -> None:
    """Make what the client's folder lacks; where that cannot be written to, a run cannot write there either."""
    try:
        made = stack.enter_context(client_folder.prepared(given))
    except AgentStudioError as error:
        warn(f"the client's own folder is as it was: {error.message}")
        return
    if made:
        names = ", ".join(map(str, made))
        warn(f"made what the client's folder lacks, to protect it, until the run ends: {names}")


def _report_file(name: str) -> ReportFile:
    """Return where a report goes; raise `StorageError` or `UsageError` where it cannot go, or may not."""
    file = ReportFile(name)
    if not file.is_device:
        files.refuse_guarded(name)
    return file


def _require_root(context: Context) -> None:
    if all(context.root.folder(kind).has_folder() for kind in KINDS):
        return
    raise UsageError(
        f"{context.environment} is not initialised: {context.root.path} lacks data folders",
        hint=f"agent-studio init --env {context.environment}",
    )


def _plan(args: argparse.Namespace, session: Session, token: str | None, wanted: Policy, chosen: Choice) -> _Plan:
    context = session.context
    client = overlay.is_client(args.command[0])
    filtered = inherited(context, session.variables, keep=args.keep, client=client)
    plan = _Plan(context, wanted, chosen, list(args.command), filtered.kept, filtered.withheld)
    plan.of_production = filtered.of_production
    plan.outer = session.variables.get(INSIDE, "")
    plan.variables[INSIDE] = chosen.name
    written = variables.joined_attributes(
        filtered.kept.get(variables.ATTRIBUTES), *_written_attributes(context, client)
    )
    of_environment = variables.of_environment(filtered.kept, str(context.environment), written)
    plan.variables |= of_environment
    _tell_start(plan)
    _add_telemetry(plan, token, wanted=not args.no_telemetry)
    if client:
        _add_overlay(plan, of_environment)
    return plan


def _written_attributes(context: Context, client: bool) -> list[str]:  # noqa: FBT001 - inside one module
    """Return the resource attributes in the project's own settings, which the overlay would hide."""
    found = []
    for name in _SETTINGS if client else ():
        try:
            settings = json.loads(context.project.read_definition(name))
            found.append(str(settings["env"][variables.ATTRIBUTES]))
        except (FileNotFoundError, AgentStudioError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return found


def _tell_start(plan: _Plan) -> None:
    warn(f"running {redact(plan.argv[0])} in {plan.context.environment} (isolation: {plan.choice.name})")
    if plan.outer:
        warn(f"this is inside another run (isolation: {plan.outer}), and reaches no further than that one")
    for name, reason in plan.choice.refused:
        warn(f"isolation by {name} is not available: {reason}")
    for text in plan.policy.warnings:
        warn(text)
    if plan.of_production:
        warn(f"withheld what has a value of production's: {', '.join(map(_shown, sorted(plan.of_production)))}")
    withheld = [name for name in plan.withheld if name not in plan.of_production]
    if withheld:
        many = "variables that look" if len(withheld) > 1 else "variable that looks"
        unlisted = " or are not listed" if plan.context.config[MODE_KEY] == LISTED else ""
        warn(
            f"withheld {len(withheld)} {many} like secrets{unlisted}: {', '.join(map(_shown, withheld))}",
            f"let one pass with --keep NAME, or for good with secrets.{plan.context.environment} in the configuration",
        )


def _add_telemetry(plan: _Plan, token: str | None, *, wanted: bool) -> None:
    environment = plan.context.environment
    if not wanted:
        warn("telemetry is not sent to the daemon (--no-telemetry)")
        return
    found = daemon.running(plan.context.root)
    if found is None:
        warn(
            f"telemetry goes nowhere: no daemon runs for {environment}",
            f"start one: agent-studio serve --env {environment}",
        )
        return
    collector = variables.Collector(found.url, token or _made_token(plan.context))
    own = variables.own_endpoint(plan.variables, collector)
    if own:
        warn(f"telemetry goes where {own} says, not to the daemon at {found.url}")
        return
    plan.variables |= variables.telemetry(plan.variables, collector)
    plan.telemetry = found.url
    warn(f"telemetry goes to {found.url}")


def _made_token(context: Context) -> str | None:
    """Return the token that the daemon made for itself, if it did."""
    try:
        return context.root.state.read(daemon.TOKEN).decode("ascii", "ignore").strip() or None
    except FileNotFoundError:
        return None


def _add_overlay(plan: _Plan, of_environment: Mapping[str, str]) -> None:
    """Put together the client's settings; recording is added where the project's files have none."""
    parted = overlay.split(plan.argv, Path.cwd())
    project = plan.context.project
    installed = set_up(plan.context)
    own: dict[str, Any] = {"env": dict(of_environment)}
    if not wiring.is_wired(project):  # where a plugin records elsewhere, it leaves a run to us
        own["hooks"] = wiring.overlay(installed, asked(plan.context), closed=fails_closed(plan.context))
    plan.argv, plan.settings = parted.argv, overlay.merged(own, parted.settings)


def _run(plan: _Plan, file: ReportFile | None, args: argparse.Namespace) -> int:
    state = plan.context.root.state
    overlay.sweep(state)
    copy = copies.make(state, plan.policy, redact(shlex.join(plan.argv))) if plan.policy.source == COPY else None
    if copy is not None and copy.left_out:
        warn(f"left out of the copy, as it is no file: {', '.join(map(_shown, copy.left_out[:_TOLD]))}")
    with ExitStack() as stack:
        argv = plan.argv
        told = redact(plan.argv[0])
        if not plan.outer:  # the outer run is the session, and keeps the folder of sessions from us
            stack.enter_context(sessions.session(plan.context.project, told, str(plan.context.environment)))
        if plan.settings:
            place = stack.enter_context(overlay.placed(state, plan.settings))
            argv = [argv[0], overlay.OPTION, str(place), *argv[1:]]
        launch = Launch(
            argv, plan.variables, Path.cwd(), str(plan.context.environment), plan.choice.backend, plan.policy,
            plan.withheld, stack.enter_context(overlay.temporary(state, plan.choice.backend)), _tell_limits,
            copy and copies.in_place(copy, plan.policy, Path.cwd()),
        )  # fmt: skip
        was = aftermath.before(plan.policy, plan.variables)
        finished = start(launch)
    if finished.fault:
        warn(f"error: {finished.fault}")
    for text, hint in aftermath.told(was, plan.policy, plan.variables):
        warn(text, hint)
    code = _written(plan, finished, file, copy)
    try:
        if copy is not None:
            changes.after_run(copy, plan.context, apply=args.apply, yes=args.yes)
    except AgentStudioError as error:  # what the run changed is kept
        warn(f"error: {error.message}", error.hint)
        return code or error.exit_code
    return code


def _tell_limits(prepared: Prepared) -> None:
    for text in prepared.limits:
        warn(text)
    gaps = prepared.gaps
    if gaps:
        more = f"; and {len(gaps) - _TOLD} more" if len(gaps) > _TOLD else ""
        warn(f"not kept apart: {'; '.join(gaps[:_TOLD])}{more}", "all of them: --report FILE")


def _written(plan: _Plan, finished: Finished, file: ReportFile | None, copy: Copy | None) -> int:
    """Write the report, if one is asked for; return the command's exit code, which is what its caller waits for."""
    if file is None:
        return finished.code
    details = {
        "source": plan.policy.source,
        "copy": copy and copy.id,
        "separation": plan.policy.separation,
        "refused": [{"backend": name, "reason": reason} for name, reason in plan.choice.refused],
        "command": redact(shlex.join(plan.argv)),
        "telemetry": plan.telemetry,
        "hooksAdded": sorted(plan.settings.get("hooks", {})),
    }
    try:
        file.write(replace(finished, details=details).report())
    except AgentStudioError as error:
        warn(f"error: {error.message}", error.hint)
        return finished.code or ExitCode.FAILED
    return finished.code


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)
