"""What is wired, what is therefore seen and what is not, and whether it works at this moment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_studio.capture.recorder import build, routes
from agent_studio.capture.wiring import entries, events, plugged, probe, wrap
from agent_studio.capture.wiring.install import elsewhere
from agent_studio.capture.wiring.settings import FILES, Settings, read
from agent_studio.environment.detect import VARIABLE
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.capture.recorder.build import Installed
    from agent_studio.capture.wiring.events import Version
    from agent_studio.capture.wiring.plugged import Plugged
    from agent_studio.capture.wiring.probe import Probe
    from agent_studio.capture.wiring.wrap import Hook
    from agent_studio.environment.roots import Project

_INSTALL = "agent-studio hooks install"
_UPDATE = "claude plugin update agent-studio"
_FROM_TRANSCRIPT = {
    "PostToolUseFailure": "failed tools are read from the transcript",
    "PermissionDenied": "denied tools are read from the transcript",
    "StopFailure": "API errors are read from the transcript",
    "SubagentStart": "an agent's start is read from its transcript",
}


@dataclass
class Status:
    """How the project is wired."""

    recorder: Installed | None
    version: Version | None
    events: dict[str, list[str]] = field(default_factory=dict)
    """Our events by settings file."""
    plugin: Plugged | None = None
    """Our plugin, where the client has it; it records where no settings file does."""
    http: list[str] = field(default_factory=list)
    """Events that are posted to the daemon, and lost while it is down."""
    hooks: list[Hook] = field(default_factory=list)
    """The project's own hook commands."""
    probes: list[Probe] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What decides where events go."""
    faults: list[str] = field(default_factory=list)
    """Why nothing, or not everything, is recorded."""

    @property
    def wired(self) -> bool:
        """Whether any event is recorded."""
        return bool(self.seen)

    @property
    def seen(self) -> set[str]:
        """The events that are recorded."""
        found = {event for events in self.events.values() for event in events}
        return found or set(self.plugin.hooks if self.plugin else ())

    @property
    def works(self) -> bool:
        """Whether all that was tried does what it should."""
        return self.wired and not self.faults and all(probe.works for probe in self.probes)

    @property
    def not_seen(self) -> list[str]:
        """What no event carries, and where it is read from instead."""
        return ["tokens are read from the transcript"] + [
            said for event, said in _FROM_TRANSCRIPT.items() if event not in self.seen
        ]  # fmt: skip


def look(project: Project) -> Status:
    """Return how the project is wired, having tried it."""
    status = Status(build.installed(project), events.detect())
    commands: dict[str, dict[str, object]] = {}
    found = list(_readable(project, status))
    status.hooks = wrap.hooks(found)
    for settings in found:
        ours = settings.ours()
        status.events[settings.name] = sorted(ours)
        posted = {event: hook for event, hooks in ours.items() for hook in hooks if hook.get("type") == "http"}
        status.http += posted
        status.probes += [probe.answering(url) for url in sorted({str(hook.get("url")) for hook in posted.values()})]
        commands |= {
            event: hook
            for event, hooks in ours.items()
            for hook in hooks
            if hook.get("type") != "http" and not entries.is_deciding(hook)  # whether a guard answers, `doctor` tries
        }
        if others := elsewhere(project, settings):
            status.faults.append(_elsewhere(project, settings, others))
            for event in others:  # trying those would record there
                commands.pop(event, None)
        if said := chosen_by(settings):
            status.notes.append(f"{project.shown(settings.name)} sets {VARIABLE}={said}, which wins over the shell's")
        if settings.value.get("disableAllHooks") is True:
            status.faults.append(f"{project.shown(settings.name)} says disableAllHooks: no hook runs at all")
    commands |= _plugged(project, status)
    twice = [event for event in commands if sum(event in found for found in status.events.values()) > 1]
    if twice:
        status.faults.append(f"both settings files record {', '.join(twice)}: {_INSTALL} leaves one")
    status.faults += _route_faults(project)
    if status.recorder is None:
        status.faults.append(f"the recorder is not in place: {_INSTALL}")
        return status
    status.probes += probe.recording(project, _distinct(commands))
    if os.name != "nt":
        status.probes += [probe.blocking(project), probe.bare(project)]
    return status


def _plugged(project: Project, status: Status) -> dict[str, dict[str, object]]:
    """Note what is known of our plugin; return what it records by, where no settings file does."""
    status.plugin = plugged.find(project)
    if status.plugin is None:
        return {}
    if other := status.plugin.other_version:
        status.notes.append(f"{other}: {_UPDATE}")
    return {} if any(status.events.values()) else status.plugin.hooks


def findings(project: Project) -> Iterator[Finding]:
    """Yield what there is to say about the wiring without trying it."""
    seen: set[str] = set()
    strays: list[str] = []
    for name in FILES:
        try:
            settings = read(project, name)
        except ConfigurationError as error:
            yield Finding("hooks", Severity.WARNING, error.message, error.hint)
            return
        seen |= set(settings.ours())
        if found := elsewhere(project, settings):
            strays += found
            yield Finding("hooks-elsewhere", Severity.WARNING, _elsewhere(project, settings, found), _INSTALL)
        if said := chosen_by(settings):
            message = f"{project.shown(name)} sets {VARIABLE}={said}, which wins over the shell's"
            fix = "start the client with agent-studio run --env NAME, or take it out of the file's env"
            yield Finding("hooks-environment", Severity.INFO, message, fix)
        if settings.value.get("disableAllHooks") is True:
            message = f"{project.shown(name)} says disableAllHooks: no hook runs at all"
            yield Finding("hooks-disabled", Severity.WARNING, message, "take it out of the file")
    for said in _strays(project):
        strays.append(said)
        yield Finding("hooks-elsewhere", Severity.WARNING, said, _INSTALL)
    if not strays:
        yield from _recorded(project, seen)


def _recorded(project: Project, seen: set[str]) -> Iterator[Finding]:
    """Yield who records: the settings, where events are wired there, or else the plugin."""
    found_plugin = plugged.find(project)
    if found_plugin and (other := found_plugin.other_version):
        yield Finding("plugin", Severity.INFO, other, _UPDATE)
    if seen:
        yield Finding("hooks", Severity.OK, f"Claude Code records {len(seen)} kinds of events")
    elif found_plugin and found_plugin.hooks:
        message = f"Claude Code records {len(found_plugin.hooks)} kinds of events by its plugin {found_plugin.name}"
        yield Finding("hooks", Severity.OK, message)
    else:
        yield Finding("hooks", Severity.INFO, "Claude Code is not wired: no session is recorded", _INSTALL)


def chosen_by(settings: Settings) -> str | None:
    """Return the environment that a settings file chooses for the client, or None."""
    variables = settings.value.get("env")
    said = variables.get(VARIABLE) if isinstance(variables, dict) else None
    return str(said) if said is not None else None


def _elsewhere(project: Project, settings: Settings, found: list[str]) -> str:
    return f"{project.shown(settings.name)} records {len(found)} events into another checkout"


def _readable(project: Project, status: Status) -> Iterator[Settings]:
    for name in FILES:
        try:
            yield read(project, name)
        except ConfigurationError as error:
            status.faults.append(error.message)


def _strays(project: Project) -> Iterator[str]:
    """Yield which routes lead out of the project: those of a copy still lead into its original."""
    for environment, inbox in routes.read(project).items():
        if not inbox.is_relative_to(project.path):
            yield f"the recorder here writes events of {environment} into another checkout: {inbox}"


def _distinct(commands: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return one event for each different command: the nine entries are the same."""
    found: dict[str, dict[str, object]] = {}
    for event, hook in commands.items():
        if not any(other.get("command") == hook.get("command") and other.get("args") == hook.get("args")
                   for other in found.values()):  # fmt: skip
            found[event] = hook
    return found


def _route_faults(project: Project) -> Iterator[str]:
    found = routes.read(project)
    if not found:
        yield f"no environment has a route: {_INSTALL}"
    elif not any(inbox.parent.is_dir() for inbox in found.values()):
        yield "no environment has data folders, so nothing can be recorded: agent-studio init --env NAME"
    yield from _strays(project)
    for environment, inbox in found.items():
        if inbox.parent.is_dir() and not os.access(inbox if inbox.exists() else inbox.parent, os.W_OK):
            yield f"the inbox of {environment} cannot be written to: {inbox}"
