"""The dashboard that stays: looks again when something was recorded, and costs next to nothing when not.

Keys: q ends, s sorts hooks by calls, p95, failures, w widens from an hour over a day to a week, any other looks again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Group
from rich.live import Live
from rich.text import Text

from agent_studio.dashboard import terminal, words
from agent_studio.dashboard.keyboard import keys
from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

    from agent_studio.dashboard.view import Engine
    from agent_studio.environment.context import Context

HOURS = (1, 24, 168)
"""The stretches of time that `w` goes through."""
_QUIT = ("q", "Q", "\x1b")
_FORMS = ((12, True, 8), (8, True, 5), (8, False, 5), (5, False, 3), (4, False, 2), (3, False, 1))
"""From a large screen to a small one: limits at most, blank lines, hooks and agents at least."""
_AGED_S = 60
"""Without anything new the figures are still made anew so often: old records leave the stretch of time."""
_SLOW_S = 3.0
"""When the plain reader takes longer, the SQL engine is tried, and the faster of the two stays."""


class Reader(NamedTuple):
    """What the loop looks at."""

    read: Callable[[float, Engine | None], dict[str, Any]]
    """Hours and engine to `view.overview`."""
    marks: Callable[[], object]
    """Something that is different once anything was recorded."""


def journal_marks(context: Context) -> object:
    """Return sizes and times of all journals of an environment; what machines share may always have changed."""
    if context.shared is not None:
        return time.monotonic()
    found = []
    for kind in ("metrics", "sessions"):
        folder = context.root.folder(kind)
        for name in folder.names() if folder.has_folder() else ():
            status = folder.status(name)
            found.append((name, status and (status.st_size, status.st_mtime_ns)))
    return found


def run(console: Console, reader: Reader, *, hours: float, refresh_ms: int, unicode: bool) -> None:
    """Show the dashboard until somebody ends it."""
    screen = _Screen(console, reader, hours, unicode=unicode)
    with keys() as pressed, Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
        live.update(Text("reading the journals", "dim"), refresh=True)
        try:
            while True:
                screen.look()
                live.update(screen.draw(), refresh=True)
                key = pressed(max(refresh_ms / 1000, screen.cost_s))  # never more than half of a processor
                if key[:1] in _QUIT and key:
                    return
                screen.press(key)
        except KeyboardInterrupt:
            return


class _Screen:
    """What is shown, and what was last seen of the files."""

    def __init__(self, console: Console, reader: Reader, hours: float, *, unicode: bool) -> None:
        self._console, self._reader, self._hours, self._unicode = console, reader, hours, unicode
        self._sort = 0
        self._seen: object = None
        self._data: dict[str, Any] = {}
        self._at_s = 0.0
        self._fault = ""
        self._engine: Engine | None = None
        self._taken_s: dict[Engine | None, float] = {}
        self.cost_s = 0.0

    def look(self) -> None:
        """Read what is there, unless it is what was there."""
        now_s, seen = time.monotonic(), self._reader.marks()
        if self._data and seen == self._seen and now_s - self._at_s < _AGED_S:
            self.cost_s = 0.0
            return
        try:
            self._data, self._seen, self._fault = self._reader.read(self._hours, self._engine), seen, ""
        except AgentStudioError as error:
            if not self._data:
                raise
            self._fault = error.message  # what is on the screen stays there, and ages
            return
        self._at_s = time.monotonic()
        self.cost_s = self._taken_s[self._engine] = self._at_s - now_s
        if self.cost_s > _SLOW_S and "sql" not in self._taken_s:
            self._engine = "sql"
        else:
            self._engine = min(self._taken_s, key=self._taken_s.__getitem__)

    def press(self, key: str) -> None:
        """Do what a key says."""
        if key == "s":
            self._sort = (self._sort + 1) % len(terminal.SORTS)
        elif key == "w":
            self._hours = next((hours for hours in HOURS if hours > self._hours), HOURS[0])
            self._seen, self._engine, self._taken_s = None, None, {}
        elif key:
            self._seen = None

    def draw(self) -> RenderableType:
        """Return what fits on the screen: the smaller it is, the fewer limits, blank lines, hooks and agents."""
        width, height = self._console.size
        room = height - 1
        look = terminal.Look(width, self._unicode, sort=terminal.SORTS[self._sort], more="")
        data = self._aged()
        for limits, is_airy, rows in _FORMS:
            look = look._replace(limits=limits, is_airy=is_airy, rows=rows)
            if len(terminal.overview(data, look).renderables) <= room:
                break
        most = max(len(data["hooks"]), len(data["agents"]))
        while (look.rows or 0) < most:
            wider = look._replace(rows=(look.rows or 0) + 1)
            if len(terminal.overview(data, wider).renderables) > room:
                break
            look = wider
        lines = terminal.overview(data, look).renderables[:room]
        return Group(*lines, *[Text()] * (room - len(lines)), self._keys(look))

    def _keys(self, look: terminal.Look) -> Text:
        by = {"calls": "calls", "p95Ms": "p95", "failureRate": "failures"}[look.sort]
        line = Text(no_wrap=True, overflow="crop")
        if self._fault:
            line.append(f"{words.plain(self._fault)}  ", "red")
        line.append(f"q quit  s sort ({by})  w window ({self._hours:g} h)  r look again", "dim")
        return line

    def _aged(self) -> dict[str, Any]:
        """Return the figures as old as they are by now."""
        age = self._data["ageSeconds"]
        return self._data if age is None else {**self._data, "ageSeconds": age + time.monotonic() - self._at_s}
