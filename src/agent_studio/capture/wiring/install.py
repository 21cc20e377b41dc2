"""Adds our entries to the client's settings and takes them out again."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agent_studio
from agent_studio.capture.wiring import entries, events, json_text, wrap
from agent_studio.capture.wiring.entries import Form
from agent_studio.capture.wiring.settings import (
    FILES,
    LOCAL,
    SHARED,
    STATUS_LINE,
    Settings,
    apply,
    changed,
    cleaned,
    read,
    undo,
    undone,
)
from agent_studio.environment.detect import PROJECT_VARIABLE
from agent_studio.environment.roots import STATE
from agent_studio.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agent_studio.capture.recorder.build import Installed
    from agent_studio.capture.wiring.events import Version
    from agent_studio.capture.wiring.settings import Change
    from agent_studio.environment.roots import Project


@dataclass(frozen=True)
class Options:
    """What a user may ask of an installation."""

    shared: bool = False
    version: Version = events.OLDEST
    """Of the client; the oldest when it is not known."""
    events: str = "nine"
    http_url: str = ""
    status_line: bool = False
    wrap: bool = False
    decision_events: Collection[str] = field(default_factory=frozenset)
    decision_closed: bool = False

    @property
    def file(self) -> str:
        """The settings file that is changed."""
        return SHARED if self.shared else LOCAL

    def form(self, installed: Installed) -> Form:
        """Return how entries are written."""
        return Form(installed, self.version, self.shared, self.http_url, self.decision_events, self.decision_closed)


def install_hooks(
    project: Project, installed: Installed, options: Options | None = None, *, dry_run: bool = False
) -> list[Change]:
    """Add our entries to one settings file, and wrap the hooks of both when asked; return what changed in each.

    What is there stays; a second time changes nothing. Raises `ConfigurationError` for settings that the client could
    not read, `UsageError` for what its version does not take or no other machine could run; then nothing is written.
    """
    options = options or Options()
    names = _names(installed, options)
    found = [read(project, name) for name in FILES]
    edited = []
    for settings in found:
        name, text = settings.name, settings.text
        if name == options.file:
            text = _with_entries(settings, entries.groups(options.form(installed), names))
            text = _with_status_line(text) if options.status_line else text
        elif settings.ours():  # in one file only: two spellings of one command would record everything twice
            text = cleaned(settings, unwrap=False)
        edited.append(Settings(name, text, {} if text is None else json_text.parse(text)))
    plans: list[tuple[Settings, Change]] = []
    hooks = wrap.hooks(edited) if options.wrap else []
    for settings, new in zip(found, edited, strict=True):
        text = None if new.text is None else wrap.wrapped(new, hooks)
        plans.append((settings, changed(project, settings, text)))
    if not dry_run:
        for settings, change in plans:
            apply(project, settings, change)
    return [change for settings, change in plans if change.changed or settings.name == options.file]


def _names(installed: Installed, options: Options) -> tuple[str, ...]:
    """Return the events to record; raise `UsageError` for what cannot be written as asked."""
    if options.http_url and options.version < events.HTTP_SINCE:
        raise UsageError(
            f"Claude Code {events.shown(options.version)} is not known to take hooks of type http",
            hint="use --transport command, or name the client's version: --client-version 2.1.330",
        )
    if options.shared and options.decision_events and len(installed.decide) > 1:  # the cold command, of this machine
        raise UsageError(
            f"{SHARED} cannot ask for decisions: their client could not be compiled here",
            hint="install a C compiler, or leave out --shared",
        )
    return events.chosen(options.events, options.version)


def keep_wired(project: Project, installed: Installed) -> list[Change]:
    """Wire a project that is not, and lead entries of another checkout here; entries that are right stay as they are.

    A copy of a project would go on recording into the one it was copied from. Raises `ConfigurationError`.
    """
    check_settings(project)
    shared, local = (read(project, name) for name in FILES)
    if shared.ours() or (local.ours() and not elsewhere(project, local)):
        return [changed(project, local, local.text)]
    ours = local.ours()
    groups = entries.groups(_form_of(ours, installed), tuple(ours) or events.NINE)
    change = changed(project, local, _with_entries(local, groups))
    apply(project, local, change)
    return [change]


def _form_of(ours: Mapping[str, list[dict[str, Any]]], installed: Installed) -> Form:
    """Return how to write with this recorder what is there: what was asked goes on to be asked."""
    asking = {event: hook for event, hooks in ours.items() for hook in hooks if entries.is_deciding(hook)}
    is_new = any("args" in hook or "onFailure" in hook for hooks in ours.values() for hook in hooks)
    version = max(events.EXEC_FORM_SINCE, events.ON_FAILURE_SINCE) if is_new else events.OLDEST
    closed = any(entries.CLOSED in hook["command"] for hook in asking.values())
    return Form(installed, version, decision_events=asking.keys(), decision_closed=closed)


def check_settings(project: Project) -> None:
    """Raise `ConfigurationError` when a settings file of the project could not be read by the client either."""
    for name in FILES:
        read(project, name)


def elsewhere(project: Project, settings: Settings) -> list[str]:
    """Return the events whose entries of ours start a recorder that is not this project's."""
    own = (str(project.path / STATE), f"${PROJECT_VARIABLE}")
    return [
        event
        for event, hooks in settings.ours().items()
        for hook in hooks
        if hook.get("type") != "http" and not any(place in word for place in own for word in _words(hook))
    ]


def _words(entry: Mapping[str, Any]) -> list[str]:
    """Return the words of an entry of ours, a shell line taken apart so that quotes do not hide a path."""
    hook = entries.bare(entry) or entry
    line = str(hook["command"])
    try:
        words = [line, *shlex.split(line)]
    except ValueError:
        words = [line]
    return [*words, *map(str, hook.get("args") or ())]


def uninstall_hooks(project: Project, *, dry_run: bool = False) -> list[Change]:
    """Take out all that is ours, wrapped commands included; return what changed in each file."""
    found = [read(project, name) for name in FILES]
    if dry_run:
        return [changed(project, settings, undone(project, settings)) for settings in found]
    return [undo(project, settings) for settings in found]


def wrap_hooks(
    project: Project, names: Collection[str] = (), files: Collection[str] = FILES,
    *, undo_it: bool = False, dry_run: bool = False,
) -> list[Change]:  # fmt: skip
    """Put the project's hook commands, or the named ones, under the clock, or take them out again."""
    found = [read(project, name) for name in FILES]
    hooks = wrap.named(wrap.hooks(found), names)
    act = wrap.unwrapped if undo_it else wrap.wrapped
    wanted = [settings for settings in found if settings.text is not None and settings.name in files]
    plans = [(settings, changed(project, settings, act(settings, hooks))) for settings in wanted]
    if not dry_run:
        for settings, change in plans:
            apply(project, settings, change)
    return [change for _, change in plans]


def is_wired(project: Project) -> bool:
    """Tell whether a settings file of the project holds our entries; one that cannot be read does not."""
    with suppress(ConfigurationError):
        return any(read(project, name).ours() for name in FILES)
    return False


def overlay(installed: Installed, decision_events: Collection[str] = (), *, closed: bool = False) -> dict[str, Any]:
    """Return the `hooks` of a settings overlay that records, and asks, without touching the project's files."""
    form = Form(
        installed, events.detect() or events.OLDEST, decision_events=decision_events, decision_closed=closed
    )  # fmt: skip
    return entries.groups(form, events.NINE)


def status_line_command() -> str:
    """Return the command line of the status line, with the interpreter's real path: a shim costs ten times as much."""
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    program = Path(agent_studio.__file__).with_name("statusline.py")
    return " ".join(map(entries.quoted, (python, "-I", "-S", str(program))))


def _with_entries(settings: Settings, wanted: dict[str, list[dict[str, Any]]]) -> str:
    text = "{}\n" if settings.text is None else settings.text
    plain = {event: [hook for group in groups for hook in group["hooks"]] for event, groups in wanted.items()}
    if settings.ours() == plain:
        return text
    text = cleaned(settings, unwrap=False) if settings.ours() else text
    for event, groups in wanted.items():
        for group in groups:
            text = json_text.added(text, ("hooks", event), group)
    return text


def _with_status_line(text: str) -> str:
    """Add our status line where there is none; another one is the user's."""
    if STATUS_LINE in json_text.parse(text):
        return text
    return json_text.with_member(text, STATUS_LINE, {"type": "command", "command": status_line_command()})
