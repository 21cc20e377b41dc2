"""The project's own hook commands, put under the recorder's clock and taken out again.

A wrapped line holds the original whole, so that it can be restored from the text alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio.capture.wiring import entries
from agent_studio.capture.wiring.settings import exchanged
from agent_studio.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

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
    """What people call it; another command of the same name in the same event gets a suffix."""
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


def hooks(files: Iterable[Settings]) -> list[Hook]:
    """Return the hook commands of some files that are not ours, in order."""
    found: list[Hook] = []
    taken: dict[tuple[str, str], str] = {}
    for settings in files:
        for event, number, position, group, hook in settings.each():
            if entries.is_ours(hook):
                continue
            plain = entries.bare(hook) or hook
            command, path = _shown(plain), ("hooks", event, number, "hooks", position)
            label = label_of(command)
            if taken.setdefault((event, label), command) != command:
                label = f"{label}#{hashlib.sha256(command.encode('utf-8', 'replace')).hexdigest()[:4]}"
            matcher = str(group.get("matcher") or "")
            found.append(Hook(settings.name, event, matcher, label, command, path, hook, plain, _refusal(plain)))
    return found


def wrapped(settings: Settings, found: Iterable[Hook]) -> str:
    """Return the text of a file with those of the hooks that stand in it, and can be, under the clock."""
    text = settings.text or ""
    for hook in found:
        if hook.file == settings.name and not hook.wrapped and not hook.refusal:
            text = exchanged(text, hook.path, hook.now, entries.timed(hook.name, hook.bare))
    return text


def unwrapped(settings: Settings, found: Iterable[Hook]) -> str:
    """Return the text of a file with those of the hooks that stand in it as their author wrote them."""
    text = settings.text or ""
    for hook in found:
        if hook.file == settings.name and hook.wrapped:
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


def named(found: Sequence[Hook], names: Collection[str]) -> list[Hook]:
    """Return the hooks of these names, or all; raise `UsageError` for a name of none, or of one that is refused."""
    for name in names:
        own = [hook for hook in found if name in {hook.name, hook.label}]
        if not own:
            known = sorted({hook.name for hook in found})
            hint = did_you_mean(name, known) if known else "the project has none"
            raise UsageError(f"no hook is named {name!r}", hint=hint)
        if refused := next((hook for hook in own if hook.refusal), None):
            raise UsageError(
                f"{refused.name} in {refused.file} cannot be wrapped: {refused.refusal}", hint="leave it out"
            )
    return [hook for hook in found if not names or hook.name in names or hook.label in names]


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


def label_of(command: str) -> str:
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
