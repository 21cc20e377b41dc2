"""Takes our entries, wrapped commands and status line from one `settings.json` over into the next."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent_studio.capture.wiring import json_text, wrap
from agent_studio.capture.wiring.exact import Exact
from agent_studio.capture.wiring.settings import (
    SHARED,
    STATUS_LINE,
    Settings,
    keep,
    parsed,
    without_us,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import Project


def with_ours(data: bytes | None, live: bytes, project: Project | None) -> bytes | None:
    """Return `data`, None for no file, with what is ours in `live`.

    Without a project that could keep what the file is without us, `data` itself where it could not be restored.
    """
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        old, new = parsed(live), parsed(b"{}\n" if data is None else data)
        if old is not None and new is not None:
            exact = Exact(project)
            dressed = _dressed(old, new, exact)
            if dressed == new.text:
                return data
            if project is not None or without_us(dressed.encode(), exact) == data:
                return dressed.encode()
    return data


def note(project: Project, data: bytes | None, dressed: bytes) -> None:
    """Keep what a dressed file is without us."""
    keep(project, SHARED, None if data is None else data.decode(), dressed.decode())


def _dressed(old: Settings, new: Settings, exact: Exact) -> str:
    timed = {hook.name for hook in wrap.hooks([old]) if hook.wrapped}
    text = wrap.wrapped(new, [hook for hook in wrap.hooks([new]) if hook.name in timed])
    for event, group in _own_groups(old, exact):
        text = json_text.added(text, ("hooks", event), group)
    line = old.value.get(STATUS_LINE)
    if exact.is_status_line(line) and STATUS_LINE not in new.value:
        text = json_text.with_member(text, STATUS_LINE, line)
    return text


def _own_groups(settings: Settings, exact: Exact) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield event and group of our entries, without what others put into the same group."""
    for event, groups in settings.hooks.items():
        for group in groups:
            ours = [hook for hook in group["hooks"] if exact.is_ours(hook)]
            if ours:
                yield event, {**group, "hooks": ours}
