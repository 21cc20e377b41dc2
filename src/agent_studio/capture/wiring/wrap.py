"""The project's own hook commands, put under the recorder's clock and taken out again.

A wrapped line holds the original whole, so that it can be restored from the text alone.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio.capture.wiring import entries
from agent_studio.capture.wiring.settings import exchanged
from agent_studio.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from agent_studio.capture.wiring.entries import Form
    from agent_studio.capture.wiring.settings import Settings

_SCRIPT = re.compile(r"\.(?:[cm]?[jt]s|py|sh|bash|rb|pl|php|lua|ps1|exe)$", re.IGNORECASE)
_INTERPRETERS = frozenset(("node", "python", "python3", "bash", "sh", "zsh", "env", "npx", "bun", "deno", "uv", "run"))


@dataclass(frozen=True)
class Hook:
    """One hook command of the project."""

    file: str
    event: str
    matcher: str
    label: str
    """Unique within its event and file."""
    command: str
    """As its author wrote it, for people."""
    path: tuple[str | int, ...]
    """Where it stands in the settings."""
    now: dict[str, Any]
    """As it stands there."""
    bare: dict[str, Any]
    """As its author wrote it."""
    refusal: str = ""
    """Why it cannot be wrapped."""

    @property
    def wrapped(self) -> bool:
        """Whether it runs under the clock."""
        return self.now is not self.bare

    @property
    def name(self) -> str:
        """What its runs are recorded as."""
        return f"{self.event}:{self.label}"


def hooks(settings: Settings) -> list[Hook]:
    """Return the hook commands of a file that are not ours, in order."""
    found: list[Hook] = []
    taken: dict[tuple[str, str], int] = {}
    for event, number, position, group, hook in settings.each():
        if entries.is_ours(hook):
            continue
        plain = entries.bare(hook) or hook
        command = _shown(plain)
        label = _label(command)
        times = taken[event, label] = taken.get((event, label), 0) + 1
        path = ("hooks", event, number, "hooks", position)
        unique = label if times == 1 else f"{label}#{times}"
        matcher = str(group.get("matcher") or "")
        found.append(Hook(settings.name, event, matcher, unique, command, path, hook, plain, _refusal(plain)))
    return found


def wrapped(settings: Settings, form: Form, names: Collection[str] = ()) -> str:
    """Return the text with the named hooks, or all that can be, under the clock.

    Raises `UsageError` for a named one that cannot be wrapped.
    """
    text = settings.text or ""
    for hook in _named(hooks(settings), names):
        if hook.refusal and names:
            raise UsageError(f"{hook.name} in {hook.file} cannot be wrapped: {hook.refusal}", hint="leave it out")
        if not hook.wrapped and not hook.refusal:
            text = exchanged(text, hook.path, hook.now, entries.timed(form, hook.name, hook.bare))
    return text


def unwrapped(settings: Settings, names: Collection[str] = ()) -> str:
    """Return the text with the named hooks, or all, as their author wrote them."""
    text = settings.text or ""
    for hook in _named(hooks(settings), names):
        if hook.wrapped:
            text = exchanged(text, hook.path, hook.now, hook.bare)
    return text


def without_us(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of a settings file as it would be without us: entries cut out, commands unwrapped."""
    left = dict(settings)
    if isinstance(left.get("hooks"), dict):
        left["hooks"] = entries.cut_out(left["hooks"])
        if not left["hooks"] and settings["hooks"]:
            del left["hooks"]
    return left


def refuse_unknown(name: str, known: Collection[str]) -> None:
    """Raise `UsageError` for a name that no hook has."""
    raise UsageError(f"no hook is named {name!r}", hint=did_you_mean(name, sorted(known)) if known else "there is none")


def _named(found: list[Hook], names: Collection[str]) -> Iterator[Hook]:
    return (hook for hook in found if not names or hook.name in names or hook.label in names)


def _refusal(hook: Mapping[str, Any]) -> str:
    if hook.get("type", "command") != "command":
        return f"it is of type {hook.get('type')}"
    if not isinstance(hook.get("command"), str) or not hook["command"].strip():
        return "it has no command"
    if "args" in hook and not isinstance(hook["args"], list):
        return "its args are no list"
    if "shell" in hook:
        return f"it asks for a shell of its own ({hook['shell']})"
    return "wrapped lines are for a POSIX shell" if os.name == "nt" else ""


def _shown(hook: Mapping[str, Any]) -> str:
    arguments = hook.get("args")
    words = [str(hook.get("command") or hook.get("url") or hook.get("type"))]
    return words[0] if not isinstance(arguments, list) else shlex.join([*words, *map(str, arguments)])


def _label(command: str) -> str:
    """Return what people call a hook: its script's name, else its program's."""
    try:
        words = shlex.split(command.replace("\n", " ; "))
    except ValueError:
        words = command.split()
    bases = [re.split(r"[/\\]", word)[-1] for word in words]
    script = next((base for base in bases if _SCRIPT.search(base)), None)
    plain = next(
        (base for base in bases if base and base not in _INTERPRETERS and not base.startswith("-") and "=" not in base),
        bases[0] if bases else "hook",
    )
    return re.sub(r"[^\w.@+-]+", "-", script or plain).strip("-")[:60] or "hook"
