"""Which entries of a `settings.json` are exactly what we write there.

A release leaves out those alone. What only looks like ours, as any hook with the recorder's name in a comment does, is
somebody else's: it has to be seen, signed, and gone after a promotion.
"""

from __future__ import annotations

import re
import shlex
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.capture.recorder import build, decision
from agent_studio.capture.wiring import entries, events, json_text
from agent_studio.capture.wiring.entries import Form
from agent_studio.capture.wiring.install import status_line_command
from agent_studio.capture.wiring.settings import SHARED, Marks, Settings, cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import Project

_LOCAL_URL = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?")
_VERSIONS = (events.OLDEST, max(events.EXEC_FORM_SINCE, events.ON_FAILURE_SINCE))
_NAME_AFTER = "--hook"


class Exact(Marks):
    """Knows the forms that are written for one project, or, without one, those that name no project."""

    def __init__(self, project: Project | None) -> None:
        self._project = project

    def is_ours(self, hook: object) -> bool:
        """Tell whether a hook is one that we write, to the last character."""
        return isinstance(hook, dict) and super().is_ours(hook) and (_is_posted(hook) or hook in self._written)

    def bare(self, hook: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the hook that we put under the clock, if wrapping it again gives exactly this one."""
        plain = super().bare(hook)
        return plain if plain is not None and entries.timed(_name(hook), plain) == hook else None

    def is_status_line(self, value: object) -> bool:
        """Tell whether a status line is the one of this installation."""
        return bool(value == {"type": "command", "command": status_line_command()})

    def trusts(self, before: str | None, settings: Settings) -> bool:
        """Tell whether what was kept of a file is what it is without us: whoever edits the one can edit the other."""
        text = "{}" if before is None else before
        kept = Settings(SHARED, text, json_text.parse(text))
        return bool(_value(cleaned(kept, marks=self)) == _value(cleaned(settings, marks=self)))

    @cached_property
    def _written(self) -> list[dict[str, Any]]:
        """Every command hook that we may have written."""
        nothing = build.Installed("native", Path(), (), "")
        installed = None if self._project is None else build.installed(self._project)
        decide = () if self._project is None else decision.command(self._project)
        found = [entries.recording(Form(nothing, shared=True), events.NINE[0])]
        if installed is not None:
            found += [entries.recording(Form(installed, version), events.NINE[0]) for version in _VERSIONS]
        asking = build.Installed("native", Path(), (), "", decide=decide)
        for shared, version, closed, event in product(
            (True, False) if decide else (True,), _VERSIONS, (False, True), events.SETS["all"]
        ):
            found.append(entries.deciding(Form(asking, version, shared, decision_closed=closed), event))
        return found


def _is_posted(hook: Mapping[str, Any]) -> bool:
    """Tell whether a hook of type http goes to a daemon of ours on this machine, with the environment's name alone."""
    url = str(hook.get("url", "")).removesuffix(entries.PATH_OF_HOOKS)
    if hook.get("type") != "http" or not _LOCAL_URL.fullmatch(url):
        return False
    return hook == entries.posting(url)


def _name(hook: Mapping[str, Any]) -> str:
    """Return the name under which a wrapped hook is timed, or an empty text."""
    arguments = hook.get("args")
    try:
        words = shlex.split(str(arguments[1] if isinstance(arguments, list) else hook["command"]))
        return words[words.index(_NAME_AFTER) + 1]
    except (ValueError, LookupError):
        return ""


def _value(text: str) -> Any:
    """Return the value of settings without what is empty, as taking entries out may leave it."""
    value = json_text.parse(text)
    hooks = {event: groups for event, groups in (value.pop("hooks", None) or {}).items() if groups}
    return {**value, "hooks": hooks}
