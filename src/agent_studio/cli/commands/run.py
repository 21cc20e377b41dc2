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
from agent_studio.capture.wiring import plugin
from agent_studio.cli.commands.serve import TOKEN_VARIABLE
from agent_studio.cli.output import Result, warn
from agent_studio.environment.detect import Environment
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, ExitCode, UsageError
from agent_studio.isolation import overlay, variables
from agent_studio.isolation.launch import Launch, choose_backend, start
from agent_studio.isolation.reports import ReportFile
from agent_studio.redaction import redact
from agent_studio.release import sessions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context

_SETTINGS = ("settings.json", "settings.local.json")
"""Files whose `env` the client lets win over variables, weakest first."""


@dataclass
class _Plan:
    """What is put together for one run."""

    context: Context
    argv: list[str]
    variables: dict[str, str]
    withheld: tuple[str, ...] = ()
    telemetry: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the client; empty for any other command."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `run`; what follows `--` is the command."""
    parser.usage = f"{parser.prog} [OPTIONS] -- CMD [ARG ...]"
    parser.add_argument("--report", metavar="FILE", help="write how it went to a JSON file")
    parser.add_argument("--require-isolation", action="store_true", help="start nothing without kernel isolation")
    parser.add_argument("--no-telemetry", action="store_true", help="do not send telemetry to the daemon")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="NAME", help="let a variable pass that looks like a secret"
    )


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run the command and pass on its exit code."""
    if session.common.json:
        raise UsageError(
            "--json would mix with what the command writes", hint="write the report to a file: --report FILE"
        )
    if not args.command or not args.command[0]:
        raise UsageError("no command to run", hint="agent-studio run --env staging -- claude")
    token = session.variables.pop(TOKEN_VARIABLE, None)  # goes to the command as a header, where it goes at all
    context = session.context
    _require_root(context)
    file = ReportFile(args.report) if args.report is not None else None
    required = args.require_isolation or bool(context.config["isolation.require"])
    backend = choose_backend(required=required)
    plan = _plan(args, session, token)
    code = _run(plan, backend, file)
    return Result({"exitCode": code}, lambda _: None, code)


def _require_root(context: Context) -> None:
    if all(context.root.folder(kind).has_folder() for kind in KINDS):
        return
    raise UsageError(
        f"{context.environment} is not initialised: {context.root.path} lacks data folders",
        hint=f"agent-studio init --env {context.environment}",
    )


def _plan(args: argparse.Namespace, session: Session, token: str | None) -> _Plan:
    context, config = session.context, session.context.config
    client = overlay.is_client(args.command[0])
    declared = {str(environment): set(config[f"secrets.{environment}"] or ()) for environment in Environment}
    own = declared.pop(str(context.environment))
    filtered = variables.without_secrets(
        session.variables,
        allowed=own | set(args.keep),
        foreign=set().union(*declared.values()),
        passed=variables.CLIENT_CREDENTIALS if client else (),
    )
    plan = _Plan(context, list(args.command), filtered.kept, filtered.withheld)
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
    warn(f"running {redact(plan.argv[0])} in {plan.context.environment} (isolation: advisory)")
    if plan.withheld:
        many = "variables that look" if len(plan.withheld) > 1 else "variable that looks"
        warn(
            f"withheld {len(plan.withheld)} {many} like secrets: {', '.join(map(_shown, plan.withheld))}",
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
    if not wiring.is_wired(project) and not _has_plugin(plan.argv):
        own["hooks"] = wiring.overlay(project, installed)
    plan.argv, plan.settings = parted.argv, overlay.merged(own, parted.settings)


def _has_plugin(argv: list[str]) -> bool:
    """Tell whether the client is given our plugin, which records by itself."""
    given = [
        word.partition("=")[2] or after
        for word, after in zip(argv, [*argv[1:], ""], strict=True)
        if word.partition("=")[0] == "--plugin-dir"
    ]
    return any(plugin.is_ours(Path.cwd() / folder) for folder in given)


def _run(plan: _Plan, backend: str, file: ReportFile | None) -> int:
    with ExitStack() as stack:
        argv = plan.argv
        told = redact(plan.argv[0])
        stack.enter_context(sessions.session(plan.context.project, told, str(plan.context.environment)))
        if plan.settings:
            place = stack.enter_context(overlay.placed(plan.context.root.state, plan.settings))
            argv = [argv[0], overlay.OPTION, str(place), *argv[1:]]
        launch = Launch(argv, plan.variables, Path.cwd(), str(plan.context.environment), backend, plan.withheld)
        finished = start(launch)
    if finished.fault:
        warn(f"error: {finished.fault}")
    if file is not None:
        details = {
            "command": redact(shlex.join(plan.argv)),
            "telemetry": plan.telemetry,
            "hooksAdded": sorted(plan.settings.get("hooks", {})),
        }
        try:
            file.write(replace(finished, details=details).report())
        except AgentStudioError as error:  # the command's exit code is what its caller waits for
            warn(f"error: {error.message}", error.hint)
            return finished.code or ExitCode.FAILED
    return finished.code


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)
