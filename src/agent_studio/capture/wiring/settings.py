"""The client's settings files of a project: read strictly, changed in place, restored byte for byte.

What a file was before us, and the hash of what we made of it, are kept in `.agent-studio/wiring/`. While the file is
as we left it, undoing puts the old bytes back; once somebody has edited it, only what is ours is taken out.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_studio.capture.wiring import entries, json_text
from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STATE
from agent_studio.errors import ConfigurationError
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agent_studio.environment.roots import Project

LOCAL, SHARED = "settings.local.json", "settings.json"
FILES = (SHARED, LOCAL)
STATUS_LINE = "statusLine"
_KEPT = f"{STATE}/wiring"
_STATUS_PROGRAM = "agent_studio/statusline.py"


@dataclass(frozen=True)
class Settings:
    """One settings file as it is."""

    name: str
    text: str | None
    """None when there is no such file."""
    value: dict[str, Any] = field(default_factory=dict)

    @property
    def hooks(self) -> dict[str, list[dict[str, Any]]]:
        """What is hooked, by event; checked when the file was read."""
        found: dict[str, list[dict[str, Any]]] = self.value.get("hooks") or {}
        return found

    def each(self) -> Iterator[tuple[str, int, int, dict[str, Any], dict[str, Any]]]:
        """Yield every hook with its event, its group's and its own position, and its group."""
        for event, groups in self.hooks.items():
            for number, group in enumerate(groups):
                for position, hook in enumerate(group["hooks"]):
                    yield event, number, position, group, hook

    def ours(self) -> dict[str, list[dict[str, Any]]]:
        """Return our entries by event."""
        found: dict[str, list[dict[str, Any]]] = {}
        for event, _, _, _, hook in self.each():
            if entries.is_ours(hook):
                found.setdefault(event, []).append(hook)
        return found


@dataclass(frozen=True)
class Change:
    """What is, or would be, done to one file."""

    name: str
    path: Path
    before: str | None
    after: str | None
    """None: the file is removed."""

    @property
    def changed(self) -> bool:
        """Whether a byte differs."""
        return self.before != self.after

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        old, new = (text.splitlines(keepends=True) if text else [] for text in (self.before, self.after))
        lines = difflib.unified_diff(old, new, f"a/{self.name}", f"b/{self.name}")
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def read(project: Project, name: str) -> Settings:
    """Return a settings file; a missing one has no text.

    Raises `ConfigurationError` naming file, line and column when the client could not read it either.
    """
    shown = project.shown(name)
    try:
        data = project.folder.read(shown)
    except FileNotFoundError:
        return Settings(name, None)
    try:
        text = data.decode("utf-8")
        value = json_text.parse(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{shown}:{error.lineno}:{error.colno} is not JSON: {error.msg}",
            hint="mend it (no comments, no comma before a closing bracket): the client ignores all of this file",
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{shown} cannot be used: {error}", hint="mend it, then run the command again"
        ) from None
    fault = _fault(value)
    if fault:
        raise ConfigurationError(f"{shown}: {fault}", hint="mend it: the client would ignore all of this file")
    return Settings(name, text, value)


def _fault(value: object) -> str:
    if not isinstance(value, dict):
        return "the file must hold an object"
    hooks = value.get("hooks", {})
    if not isinstance(hooks, dict):
        return "hooks must be an object"
    for event, groups in hooks.items():
        if not isinstance(groups, list):
            return f"hooks.{event} must be a list"
        for number, group in enumerate(groups):
            inner = group.get("hooks") if isinstance(group, dict) else None
            if not isinstance(inner, list) or not all(isinstance(hook, dict) for hook in inner):
                return f"hooks.{event}[{number}] must be an object with a list of hooks"
    return ""


def changed(project: Project, settings: Settings, text: str | None) -> Change:
    """Return a change of a file that was read."""
    return Change(project.shown(settings.name), project.definition(settings.name), settings.text, text)


def apply(project: Project, settings: Settings, change: Change) -> None:
    """Write a change, having kept what the file was before any of ours; nothing is written when nothing changes."""
    if not change.changed or change.after is None:
        return
    project.folder.sweep(DEFINITIONS, of=FILES)
    keep(project, settings.name, undone(project, settings), change.after)
    project.folder.replace(change.name, change.after.encode())


def keep(project: Project, name: str, before: str | None, after: str) -> None:
    """Keep what a file is without us, for as long as it is exactly `after`."""
    kept = Folder(project.path, _KEPT)
    kept.make()
    kept.sweep()
    state = {
        "before": None if before is None else base64.b64encode(before.encode()).decode(),
        "afterSha256": _sha256(after),
    }
    kept.replace(name, json.dumps(state).encode() + b"\n")


def undo(project: Project, settings: Settings) -> Change:
    """Restore a file and forget what was kept of it; return what was done."""
    change = changed(project, settings, undone(project, settings))
    if change.after is None and settings.text is not None:
        project.folder.remove(change.name)
    elif change.changed and change.after is not None:
        project.folder.replace(change.name, change.after.encode())
    with suppress(FileNotFoundError):
        Folder(project.path, _KEPT).remove(settings.name)
    return change


class Marks:
    """Tells what is ours in settings by marks in it, so that what users have edited a little is found as well."""

    def is_ours(self, hook: object) -> bool:
        """Tell whether a hook is one that we added."""
        return entries.is_ours(hook)

    def bare(self, hook: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the hook that is wrapped in another, or None."""
        return entries.bare(hook)

    def is_status_line(self, value: object) -> bool:
        """Tell whether the status line is the one that we added."""
        return is_our_status_line(value)

    def trusts(self, before: str | None, settings: Settings) -> bool:  # noqa: ARG002 - for those who look closer
        """Tell whether what was kept of a file may stand for what it is without us."""
        return True


_BY_MARKS = Marks()


def undone(project: Project, settings: Settings, marks: Marks = _BY_MARKS) -> str | None:
    """Return what a file is without us: the bytes kept while it is as we left it, otherwise what is not ours in it."""
    if settings.text is None:
        return None
    try:
        state = json.loads(Folder(project.path, _KEPT).read(settings.name))
        if state["afterSha256"] == _sha256(settings.text):
            before = None if state["before"] is None else base64.b64decode(state["before"]).decode()
            if marks.trusts(before, settings):
                return before
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return cleaned(settings, marks=marks)


def without_us(data: bytes, marks: Marks, project: Project | None = None) -> bytes | None:
    """Return the bytes of a `settings.json` as they would be without us, None where it would not be there.

    With its project, a file that is as we left it becomes what it was before. What the client could not read either
    stays as it is.
    """
    found = parsed(data)
    if found is None:
        return data
    bare = cleaned(found, marks=marks) if project is None else undone(project, found, marks)
    return None if bare is None else bare.encode()


def parsed(data: bytes) -> Settings | None:
    """Return the bytes of a `settings.json` as settings, None for what the client could not read."""
    try:
        text = data.decode("utf-8")
        value = json_text.parse(text)
    except (ValueError, RecursionError):
        return None
    return None if _fault(value) else Settings(SHARED, text, value)


def cleaned(settings: Settings, *, unwrap: bool = True, marks: Marks = _BY_MARKS) -> str:
    """Return the text with our entries taken out and, unless told otherwise, wrapped commands as they were."""
    text = settings.text or ""
    for event, number, position, group, hook in reversed(list(settings.each())):
        path = ("hooks", event, number)
        if marks.is_ours(hook):
            alone = all(marks.is_ours(other) for other in group["hooks"])
            if not alone:
                text = json_text.removed(text, (*path, "hooks", position))
            elif position == 0:
                text = json_text.removed(text, path)
        elif unwrap:
            text = exchanged(text, (*path, "hooks", position), hook, marks.bare(hook) or hook)
    ours = dict.fromkeys(event for event, _, _, _, hook in settings.each() if marks.is_ours(hook))
    emptied = [event for event in ours if not json_text.parse(text)["hooks"][event]]
    for event in emptied:
        text = json_text.removed(text, ("hooks", event))
    if emptied and not json_text.parse(text)["hooks"]:
        text = json_text.removed(text, ("hooks",))
    if unwrap and marks.is_status_line(settings.value.get(STATUS_LINE)):
        text = json_text.removed(text, (STATUS_LINE,))
    return text


def exchanged(text: str, path: tuple[str | int, ...], hook: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return the text with what a hook runs exchanged."""
    for name in ("args", "command"):
        if name in wanted and hook[name] != wanted[name]:
            text = json_text.replaced(text, (*path, name), wanted[name])
    return text


def is_our_status_line(value: object) -> bool:
    """Tell whether the status line is the one that we added."""
    line = value.get("command") if isinstance(value, dict) else None
    return isinstance(line, str) and _STATUS_PROGRAM in line.replace("\\", "/")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
