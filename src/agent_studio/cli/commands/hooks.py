"""Wire the project to Claude Code, time its own hooks, and prove that recording works.

agent-studio hooks install            record the nine oldest events, in .claude/settings.local.json
agent-studio hooks wrap               put the project's own hooks under the clock
agent-studio hooks status             what is seen, what is not, tried at this moment
agent-studio hooks uninstall --yes    put the settings back, byte for byte
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.capture.otlp import daemon
from agent_studio.capture.recorder.setup import planned, set_up
from agent_studio.capture.wiring import bench, events, plugin, status, wrap
from agent_studio.capture.wiring.install import (
    Options,
    check_settings,
    install_hooks,
    uninstall_hooks,
    wrap_hooks,
)
from agent_studio.capture.wiring.settings import FILES, read
from agent_studio.cli.output import Problem, Result, Screen, agrees, ask, echo, working
from agent_studio.environment.detect import VARIABLE
from agent_studio.errors import ExitCode, UsageError
from agent_studio.guards.handlers import asked, fails_closed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.capture.recorder.build import Installed
    from agent_studio.capture.wiring.events import Version
    from agent_studio.capture.wiring.settings import Change
    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project

_SHOWN = 5
"""Hooks named in a question."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs of `hooks`."""
    verbs = parser.add_subparsers(dest="subverb", required=True, metavar="SUBCOMMAND")
    _configure_install(_verb(verbs, "install", "add our entries to the client's settings"))
    uninstall = _verb(verbs, "uninstall", "take out all that is ours, wrapped commands included")
    _add_switching(uninstall)
    for name, does in (
        ("wrap", "put the project's own hook commands under the clock"),
        ("unwrap", "take the clock off the project's own hook commands again"),
    ):
        verb = _verb(verbs, name, does)
        verb.add_argument("names", nargs="*", metavar="NAME", help="EVENT:LABEL or LABEL (default: all)")
        verb.add_argument("--file", choices=FILES, action="append", help="only in this file (default: both)")
        _add_switching(verb)
    _verb(verbs, "status", "what is seen and what is not, and whether it works, tried at this moment")
    measure = _verb(verbs, "bench", "measure what our hooks cost on this machine")
    measure.add_argument("--rounds", type=int, default=100, help="rounds of each comparison (default: 100)")


def _verb(verbs: Any, name: str, does: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = verbs.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
    return made


def _configure_install(install: argparse.ArgumentParser) -> None:
    install.add_argument(
        "--shared", action="store_true", help="settings.json, for everybody who has the repository, instead of .local"
    )
    install.add_argument("--plugin", metavar="DIR", help="write a plugin folder and leave the settings alone")
    install.add_argument("--events", choices=list(events.SETS), default="nine", help="what to record (default: nine)")
    install.add_argument("--client-version", metavar="X.Y.Z", help="version of Claude Code (default: asks claude)")
    install.add_argument(
        "--transport", choices=("command", "http"), default="command",
        help="http: post to the daemon; what happens while it is down is lost (default: command)",
    )  # fmt: skip
    install.add_argument("--statusline", action="store_true", help="add our status line where there is none")
    wrapping = install.add_mutually_exclusive_group()
    wrapping.add_argument("--wrap", action="store_true", help="also put the project's own hooks under the clock")
    wrapping.add_argument("--no-wrap", action="store_true", help="do not ask about it")
    install.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")


def _add_switching(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--yes", action="store_true", help="do not ask")
    verb.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    verbs = {
        "install": _install, "uninstall": _uninstall, "wrap": _wrap, "unwrap": _wrap,
        "status": _status, "bench": _bench,
    }  # fmt: skip
    return verbs[args.subverb](args, session)


def _install(args: argparse.Namespace, session: Session) -> Result:
    version = _version(args.client_version)
    context, project = session.context, session.project
    http = _url(context) if args.transport == "http" else ""
    options = Options(
        args.shared, version, args.events, http_url=http, status_line=args.statusline, wrap=args.wrap,
        decision_events=asked(context), decision_closed=fails_closed(context),
    )  # fmt: skip
    if args.plugin is not None and (args.shared or args.wrap or args.statusline or http):
        raise UsageError("--plugin changes no settings", hint="leave out --shared, --wrap, --statusline, --transport")
    names = events.chosen(args.events, version)  # refused before anything is built
    check_settings(project)
    installed = planned(project) if args.dry_run else set_up(context)
    if args.plugin is not None:
        return _install_plugin(args, installed, names)
    changes = install_hooks(project, installed, options, dry_run=args.dry_run)
    if not (args.wrap or args.no_wrap or args.dry_run) and (left := _unwrapped(project)):
        shown = ", ".join(left[:_SHOWN]) + (" ..." if len(left) > _SHOWN else "")
        if agrees(f"time the project's own hooks too ({shown})?"):
            changes += wrap_hooks(project)
    data = {**_data(changes), "recorder": str(installed.kind), "clientVersion": events.shown(version)}
    problems = _problems(context, args)
    return Result(data, lambda screen: _render(screen, changes, args, "Wired"), ExitCode.DONE, problems)


def _url(context: Context) -> str:
    """Return where the environment's daemon is, or will be by default."""
    found = daemon.running(context.root)
    return found.url if found else f"http://127.0.0.1:{daemon.PORTS[context.environment]}"


def _install_plugin(args: argparse.Namespace, installed: Installed, names: tuple[str, ...]) -> Result:
    folder = Path(args.plugin)
    files = plugin.write(folder, names, dry_run=args.dry_run)
    done = "Would write" if args.dry_run else "Wrote"

    def render(screen: Screen) -> None:
        screen.mark("note" if args.dry_run else "ok", f"{done} the plugin: {folder}")
        screen.line(f"\nUse it: claude --plugin-dir {folder}")

    return Result({"files": [str(place) for place in files], "recorder": str(installed.kind)}, render)


def _version(named: str | None) -> Version:
    if named is not None:
        return events.parse(named)
    return events.detect() or events.OLDEST


def _unwrapped(project: Project) -> list[str]:
    found = wrap.hooks(read(project, name) for name in FILES)
    return [hook.name for hook in found if not hook.wrapped and not hook.refusal]


def _problems(context: Context, args: argparse.Namespace) -> list[Problem]:
    project, environment = context.project, context.environment
    problems = [
        Problem("environment", f"{project.shown(name)} sets {VARIABLE}={said}, which wins over the shell's",
                "agent-studio run --env NAME -- claude wins over it")
        for name in FILES
        if (said := status.chosen_by(read(project, name)))
    ]  # fmt: skip
    if not context.root.folder("metrics").has_folder():
        problems.append(
            Problem("not-initialised", f"{environment} has no data folders: its events go to unrouted.jsonl",
                    f"agent-studio init --env {environment}")
        )  # fmt: skip
    problems += [
        Problem("hooks-disabled", f"{project.shown(name)} says disableAllHooks: no hook will run", "take it out")
        for name in FILES
        if read(project, name).value.get("disableAllHooks") is True
    ]
    if args.transport == "http":
        problems.append(
            Problem(
                "http",
                f"posted to {environment}'s daemon: what happens while it is down, or elsewhere, is lost",
                f"keep it up: agent-studio serve --env {environment}",
            )
        )
    if not args.wrap and (left := _unwrapped(project)):
        problems.append(
            Problem("not-timed", f"{len(left)} hooks of the project are not timed", "agent-studio hooks wrap")
        )
    return problems


def _uninstall(args: argparse.Namespace, session: Session) -> Result:
    project = session.project
    changes = uninstall_hooks(project, dry_run=True)
    if not args.dry_run and any(change.changed for change in changes):
        _show(changes, args)
        ask(f"take our hooks out of the settings of {project.path}?", yes=args.yes)
        changes = uninstall_hooks(project)
    return Result(_data(changes), lambda screen: _render(screen, changes, args, "Restored"))


def _show(changes: Sequence[Change], args: argparse.Namespace) -> None:
    """Show what is about to be done before it is asked for."""
    if not args.yes:
        echo("".join(change.diff for change in changes))


def _wrap(args: argparse.Namespace, session: Session) -> Result:
    project, undo = session.project, args.subverb == "unwrap"
    files = tuple(args.file or FILES)
    changes = wrap_hooks(project, args.names, files, undo_it=undo, dry_run=True)
    if not args.dry_run and any(change.changed for change in changes):
        _show(changes, args)
        ask(f"rewrite hook commands in the settings of {project.path}?", yes=args.yes)
        if not undo:
            set_up(session.context)
        changes = wrap_hooks(project, args.names, files, undo_it=undo)
    found = [hook for hook in wrap.hooks(read(project, name) for name in FILES) if hook.file in files]
    data = {**_data(changes), "hooks": [_hook(hook) for hook in found]}
    refused = [
        Problem("not-wrapped", f"{hook.name} in {hook.file} is left alone: {hook.refusal}")
        for hook in found
        if hook.refusal and not undo
    ]
    return Result(data, lambda screen: _render(screen, changes, args, "Rewrote"), ExitCode.DONE, refused)


def _hook(hook: wrap.Hook) -> dict[str, Any]:
    return {
        "name": hook.name, "file": hook.file, "event": hook.event, "matcher": hook.matcher, "command": hook.command,
        "wrapped": hook.wrapped, "refusal": hook.refusal or None,
    }  # fmt: skip


def _data(changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "changes": [
            {"file": change.name, "changed": change.changed, "removed": change.after is None, "diff": change.diff}
            for change in changes
        ]
    }


def _render(screen: Screen, changes: Sequence[Change], args: argparse.Namespace, done: str) -> None:
    changed = [change for change in changes if change.changed]
    for change in changed:
        for line in change.diff.split("\n"):
            screen.line(line)
    names = ", ".join(dict.fromkeys(change.name for change in changed))
    if not changed:
        screen.mark("ok", "Nothing to change: it is as it should be")
    elif args.dry_run:
        screen.mark("note", f"Would change {names}; nothing was changed")
    else:
        screen.mark("ok", f"{done}: {names}")
    if changed and done == "Wired" and not args.dry_run:
        screen.line("\nNext: use Claude Code as always, then: agent-studio ingest")
        screen.line("Does it work? agent-studio hooks status")


def _status(args: argparse.Namespace, session: Session) -> Result:
    with working("Trying the hooks"):
        found = status.look(session.project)
    data = {
        "wired": found.wired,
        "works": found.works,
        "recorder": found.recorder.kind if found.recorder else None,
        "clientVersion": events.shown(found.version) if found.version else None,
        "events": found.events,
        "plugin": found.plugin
        and {"name": found.plugin.name, "version": found.plugin.version, "events": sorted(found.plugin.hooks)},
        "http": found.http,
        "notSeen": found.not_seen,
        "hooks": [_hook(hook) for hook in found.hooks],
        "probes": [{"name": one.name, "works": one.works, "message": one.message} for one in found.probes],
        "notes": found.notes,
        "faults": found.faults,
    }
    return Result(data, lambda screen: _render_status(screen, found), ExitCode.DONE if found.works else ExitCode.FAILED)


def _render_status(screen: Screen, found: status.Status) -> None:
    _render_recording(screen, found)
    if found.http:
        screen.told("note", f"posted to the daemon, lost while it is down: {', '.join(found.http)}")
    for note in found.notes:
        screen.told("note", note)
    for fault in found.faults:
        screen.told("bad", fault)
    for one in found.probes:
        screen.told("ok" if one.works else "bad", f"{one.name}: {one.message}")
    for said in found.not_seen:
        screen.told("note", said)
    if found.hooks:
        screen.line("\nThe project's own hooks:")
        rows = [(hook.name, hook.file, "yes" if hook.wrapped else "no", hook.command) for hook in found.hooks]
        screen.columns(("hook", "file", "timed", "command"), rows, has_paths=True)
        for hook in found.hooks:
            if hook.refusal:
                screen.told("note", f"{hook.name} is not timed: {hook.refusal}")
        if any(not hook.wrapped and not hook.refusal for hook in found.hooks):
            screen.line("Time them too: agent-studio hooks wrap")


def _render_recording(screen: Screen, found: status.Status) -> None:
    by_settings = {name: listed for name, listed in found.events.items() if listed}
    for name, listed in by_settings.items():
        screen.told("ok", f".claude/{name} records {', '.join(listed)}")
    if found.plugin and by_settings:
        screen.told("note", f"the plugin {found.plugin.name} leaves recording to the settings")
    elif found.plugin:
        screen.told("ok", f"the plugin {found.plugin.name} records {', '.join(sorted(found.plugin.hooks))}")
    if not found.wired:
        screen.told("bad", "Nothing is recorded: agent-studio hooks install")


def _bench(args: argparse.Namespace, session: Session) -> Result:
    if not 1 <= args.rounds <= 10_000:  # noqa: PLR2004 - said in the message
        raise UsageError(f"--rounds is {args.rounds}", hint="from 1 to 10,000")
    installed = set_up(session.context)
    with working("Measuring"):
        figures = bench.measure(installed, args.rounds)
    held = all(figure.held for figure in figures)
    data = {
        "recorder": installed.kind,
        "rounds": args.rounds,
        "figures": [
            {"name": one.name, "value": round(one.value, 3), "unit": one.unit, "held": one.held,
             "limit": None if one.limit == float("inf") else one.limit}
            for one in figures
        ],
    }  # fmt: skip
    return Result(data, lambda screen: _render_bench(screen, figures), ExitCode.DONE if held else ExitCode.FAILED)


def _render_bench(screen: Screen, figures: Sequence[bench.Figure]) -> None:
    for one in figures:
        limit = "no limit" if one.limit == float("inf") else f"limit {one.limit:g} {one.unit}"
        screen.mark("ok" if one.held else "bad", f"{one.name}: {one.told} ({limit})")
