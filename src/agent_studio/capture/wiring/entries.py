"""Our hook entries in the client's settings: what they run, and how they are told from everybody else's."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_studio.capture.wiring import events
from agent_studio.environment.detect import VARIABLE
from agent_studio.environment.roots import STATE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from agent_studio.capture.recorder.build import Installed
    from agent_studio.capture.wiring.events import Version

HEADER = "X-Agent-Studio-Env"
PATH_OF_HOOKS = "/hooks"
CLOSED = "--closed"
"""What a decision command is told that is to stop what it cannot decide on."""
_BIN = f"{STATE}/bin"
_SHELL = "/bin/sh"
"""What the client runs commands with."""
_MARK = "agent-studio"
_WRAPPED_AT = 3
_TIMEOUT_S = 10
"""Far more than an append takes; SessionEnd has 1.5 s unless an entry says otherwise."""


@dataclass(frozen=True)
class Form:
    """How entries are written."""

    installed: Installed
    version: Version = events.OLDEST
    """Of the client; the oldest form is one that every version takes."""
    shared: bool = False
    """For a file that others have too: paths from the project, and nothing happens where the recorder is missing."""
    http_url: str = ""
    """The daemon's address, when events go there and not to the recorder."""
    decision_events: Collection[str] = field(default_factory=frozenset)
    """Events on which something of ours may answer."""
    decision_closed: bool = False
    """Whether an event that can be stopped is, when nobody can decide on it."""
    plugin: bool = False
    """For a plugin, which records only where nobody else does; as `shared` otherwise."""


def groups(form: Form, names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the groups to add for each event."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        hooks = [recording(form, name)]
        if name in form.decision_events:
            hooks.append(deciding(form, name))
        found[name] = [{"hooks": hooks}]
    return found


def recording(form: Form, event: str) -> dict[str, Any]:
    """Return the entry that records an event."""
    if form.http_url and event not in events.NOT_OVER_HTTP:
        return posting(form.http_url)
    return {"type": "command", **command(form), "timeout": _TIMEOUT_S}


def posting(url: str) -> dict[str, Any]:
    """Return the entry that posts an event to the daemon at an address."""
    return {
        "type": "http",
        "url": url.rstrip("/") + PATH_OF_HOOKS,
        "headers": {HEADER: f"${VARIABLE}"},
        "allowedEnvVars": [VARIABLE],
        "timeout": _TIMEOUT_S,
    }


def deciding(form: Form, event: str) -> dict[str, Any]:
    """Return the entry of the one command that answers; it is timed like any other hook."""
    closed = form.decision_closed and event in events.CLOSED
    line = " ".join((*map(quoted, form.installed.decide), *([CLOSED] if closed else ())))
    if form.shared:
        program = f'"$CLAUDE_PROJECT_DIR/{_BIN}/decide"'
        line = f"if [ -x {program} ]; then exec {program}{f' {CLOSED}' if closed else ''}; fi"
    plain: dict[str, Any] = {"type": "command", "command": line, "timeout": _TIMEOUT_S}
    if closed and form.version >= events.ON_FAILURE_SINCE:
        plain["onFailure"] = "block"
    return timed(f"{event}:decide", plain)


def command(form: Form) -> dict[str, Any]:
    """Return the fields that start the recorder: without a shell where the client can, quoted where it cannot."""
    if form.shared or form.plugin:
        return {"command": _guarded(" plugin" if form.plugin else "", "exit 0")}
    program, *arguments = form.installed.command
    if form.version >= events.EXEC_FORM_SINCE:
        return {"command": program, "args": arguments}
    return {"command": " ".join(map(quoted, form.installed.command))}


def timed(name: str, hook: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command hook that runs under the recorder, and bare where the recorder is missing.

    The original stands in it once and whole: `bare` takes it out again. The same command always gets the same text,
    whatever file it stands in: the client runs what is spelled alike only once.
    """
    if "args" in hook:
        guard = _guarded(f' exec --hook {shlex.quote(name)} -- "$@"', 'exec "$@"')
        return {**hook, "command": _SHELL, "args": ["-c", guard, _MARK, hook["command"], *hook["args"]]}
    guard = _guarded(f' exec --hook {shlex.quote(name)} --shell "$1"', f'exec {_SHELL} -c "$1"')
    return {**hook, "command": f"set -- {shlex.quote(hook['command'])} ; {guard}"}


def bare(hook: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the hook that `timed` wrapped, or None when it did not."""
    line, arguments = hook.get("command"), hook.get("args")
    if isinstance(arguments, list):
        if line != _SHELL or arguments[:1] != ["-c"] or arguments[2:3] != [_MARK] or len(arguments) <= _WRAPPED_AT:
            return None
        return {**hook, "command": arguments[_WRAPPED_AT], "args": arguments[_WRAPPED_AT + 1 :]}
    if not (isinstance(line, str) and line.startswith("set -- ") and f"/{_BIN}/recorder" in line):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return {**hook, "command": words[2]} if words[3:4] == [";"] else None


def _guarded(run: str, otherwise: str) -> str:
    """Return a shell line that starts this checkout's recorder with `run`, or does something else without one."""
    place = f'"$CLAUDE_PROJECT_DIR/{_BIN}'
    return (
        f'if [ -x {place}/recorder" ]; then exec {place}/recorder"{run}; '
        f'elif [ -f {place}/recorder.py" ]; then exec python3 -I -S {place}/recorder.py"{run}; fi; {otherwise}'
    )


def is_deciding(hook: Mapping[str, Any]) -> bool:
    """Tell whether an entry of ours answers an event; the others record it."""
    return bare(hook) is not None


def is_ours(hook: object) -> bool:
    """Tell whether a hook of the settings is one that we added; a wrapped one of the project is not."""
    if not isinstance(hook, dict):
        return False
    if hook.get("type") == "http":
        headers = hook.get("headers")
        return isinstance(headers, dict) and HEADER in headers
    inner, arguments = bare(hook), hook.get("args")
    plain = hook if inner is None else inner
    words = [plain.get("command"), *(arguments if isinstance(arguments, list) and inner is None else ())]
    marks = (f"/{_BIN}/recorder",) if inner is None else (f"/{_BIN}/decide", "agent_studio.guards.cold")
    lines = [word.replace("\\", "/") for word in words if isinstance(word, str)]
    return any(mark in line for mark in marks for line in lines)


def cut_out(hooks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `hooks` of settings without our entries, without what they leave empty, and with nothing wrapped."""
    left: dict[str, Any] = {}
    for event, listed in hooks.items():
        kept = []
        for group in listed:
            inner = [bare(hook) or hook for hook in group["hooks"] if not is_ours(hook)]
            if inner or not group["hooks"]:
                kept.append({**group, "hooks": inner})
        if kept or not listed:
            left[event] = kept
    return left


def quoted(word: str) -> str:
    """Return a word as the shell that the client uses takes it."""
    if os.name == "nt":
        return f'"{word}"' if any(character in word for character in " &()[]{}^=;!'+,`~") else word
    return shlex.quote(word)
