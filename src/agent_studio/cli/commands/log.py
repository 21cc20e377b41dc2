"""Show what commands and the daemon did in an environment, and follow it: .agent-studio/ENV/log.jsonl.

Debug entries are written where monitoring.verboseLogging is on, as it is in staging. --follow goes on with what comes,
until interrupted; with --json it writes one entry a line.

  agent-studio log --env staging
  agent-studio log --env staging --level warning --since 2d
  agent-studio log --env production --follow
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from agent_studio.cli.moments import moment
from agent_studio.cli.output import Problem, Result, announce
from agent_studio.environment.roots import STATE
from agent_studio.errors import UsageError
from agent_studio.log import FILE, LEVELS
from agent_studio.log.reader import Log, Wanted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.log.reader import Entry

_LINES = 20
_INTERVAL_S = 0.25
_HEAD = ("timestamp", "level", "event", "environment", "exception")
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_PLAIN = "\x1b[0m"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `log`."""
    parser.add_argument("--follow", action="store_true", help="go on with what comes, until interrupted")
    parser.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="only entries at least as serious")
    parser.add_argument("--since", metavar="TIME", help="only entries from then on: 2026-01-31, 90m, 24h, 7d")
    parser.add_argument(
        "--lines", type=int, metavar="N", help=f"only the last N (default: {_LINES}, or all with --since)"
    )


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show the last entries, and go on with --follow."""
    if args.lines is not None and args.lines < 0:
        raise UsageError(f"--lines {args.lines} is negative", hint="give how many of the last entries to show")
    wanted = Wanted(args.level, moment("--since", args.since) if args.since is not None else "")
    count = args.lines if args.lines is not None else None if args.since is not None else _LINES
    root = session.context.root
    log = Log(root.state, wanted)
    entries = log.last(count)
    if args.follow:
        _follow(log, entries, as_json=bool(session.common.json))
        return Result({}, lambda _: None)
    place = f"{STATE}/{root.environment}/{FILE}"
    data = {"file": place, "entries": entries, "damagedLines": log.damaged_lines}
    return Result(data, lambda screen: _render(screen, entries, place), problems=_damage(log, place))


def _follow(log: Log, entries: list[Entry], *, as_json: bool) -> None:
    """Write entries as they come until nobody reads them any more."""
    while True:
        for entry in entries:
            text = json.dumps(entry, separators=(",", ":")) if as_json else "\n".join(_lines(entry, coloured=False))
            if not announce(text):
                return
        time.sleep(_INTERVAL_S)
        entries = log.more()


def _render(screen: Screen, entries: list[Entry], place: str) -> None:
    coloured = screen.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for entry in entries:
        for line in _lines(entry, coloured=coloured):
            screen.block(line)
    if not entries:
        screen.line(f"no entries in {place}")


def _lines(entry: Entry, *, coloured: bool) -> Iterator[str]:
    """Yield an entry on a line and an exception below it; nothing in it acts on a terminal."""
    level = _shown(entry.get("level"))
    colour = _COLOURS.get(level, "") if coloured else ""
    fields = " ".join(f"{_shown(name)}={_shown(value)}" for name, value in entry.items() if name not in _HEAD)
    start = f"{_shown(entry.get('timestamp'))} {colour}{level:<7}{_PLAIN if colour else ''}"
    yield f"{start} {_shown(entry.get('event'))}  {fields}".rstrip()
    yield from _exception(entry.get("exception"))


def _exception(told: Any) -> Iterator[str]:
    for raised in told if isinstance(told, list) else [told] if told is not None else []:
        if not isinstance(raised, dict):
            yield f"    {_shown(raised)}"
            continue
        yield f"    {_shown(raised.get('exc_type'))}: {_shown(raised.get('exc_value'))}"
        frames = raised.get("frames")
        for frame in frames if isinstance(frames, list) else []:
            if isinstance(frame, dict):
                yield f"      {_shown(frame.get('filename'))}:{frame.get('lineno')} in {_shown(frame.get('name'))}"


def _shown(value: Any) -> str:
    """Return a plain word as it is, and all else as JSON that can be printed."""
    if isinstance(value, str) and value.isprintable() and value and not any(mark in value for mark in ' "='):
        return value
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isprintable() else json.dumps(value, separators=(",", ":"))


def _damage(log: Log, place: str) -> list[Problem]:
    if not log.damaged_lines:
        return []
    lines = "line is" if log.damaged_lines == 1 else "lines are"
    return [Problem("damaged-lines", f"{log.damaged_lines} {lines} no entry", f"look at {place}")]
