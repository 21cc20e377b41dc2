"""Pictures of the terminal dashboard for the documentation: a real terminal (tmux), on a project made for it.

scripts/captures.py writes docs/assets/terminal/NAME.txt, what stood on the screen, and NAME.svg, how it looked.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text
from scripts import demo

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "docs" / "assets" / "terminal"
_SOCKET = "agent-studio-captures"
_SECONDS = 60
_FONTS = re.compile(r"\s*@font-face \{\{.*?\}\}\n", re.DOTALL)
"""Rich names a font on another host; the reader's own will do."""


class Shot(NamedTuple):
    """One picture."""

    name: str
    arguments: str
    columns: int
    lines: int
    ready: str
    """What is on the screen when it is complete."""
    keys: str = ""


SHOTS = (
    Shot("summary", "monitor --env staging", 80, 42, "sessions"),
    Shot("summary-wide", "monitor --env production", 120, 46, "sessions"),
    Shot("live", "monitor --env production --live", 80, 24, "q quit"),
    Shot("live-by-p95", "monitor --env production --live", 120, 36, "s sort (p95)", "s"),
    Shot("trends", "monitor --env production --trends", 120, 14, "so far"),
    Shot("alerts", "monitor --env production --alerts", 80, 20, "alerts ack"),
    Shot("compare", "monitor compare staging production", 100, 42, "tokens today"),
)


def tmux(*arguments: str) -> str:
    """Run one command of a tmux of our own."""
    done = subprocess.run(["tmux", "-L", _SOCKET, *arguments], capture_output=True, text=True, check=False)
    return done.stdout


def take(shot: Shot, project: Path) -> str:
    """Return what is on the screen, with its colours."""
    studio = f"{shlex.quote(sys.executable)} -m agent_studio {shot.arguments}"
    command = shlex.quote(f"clear; {studio}; printf '\\033[?25l'; sleep {_SECONDS}")  # the cursor is no part of it
    place = ("-x", str(shot.columns), "-y", str(shot.lines), "-c", str(project))
    shell = f"env -u NO_COLOR TERM=tmux-256color sh -c {command}"
    tmux("-f", "/dev/null", "new-session", "-d", *place, shell)
    try:
        if shot.keys:
            _wait("q quit", shot)
            tmux("send-keys", shot.keys)
        _wait(shot.ready, shot)
        return tmux("capture-pane", "-p", "-e").rstrip("\n")
    finally:
        tmux("kill-server")
        time.sleep(0.5)  # its socket is still there for a moment


def _wait(text: str, shot: Shot) -> None:
    for _ in range(_SECONDS * 5):
        if text in tmux("capture-pane", "-p"):
            time.sleep(0.3)
            return
        time.sleep(0.2)
    sys.exit(f"{shot.name}: {text!r} never came:\n{tmux('capture-pane', '-p')}")


def draw(shot: Shot, screen: str) -> None:
    """Write a screen as text and as a picture."""
    text = Text.from_ansi(screen)
    lines = [line.rstrip() for line in text.plain.splitlines()]
    (TARGET / f"{shot.name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    console = Console(record=True, width=shot.columns, file=io.StringIO(), force_terminal=True)
    console.print(text, no_wrap=True, overflow="crop", crop=True)
    svg = console.export_svg(
        title=f"agent-studio {shot.arguments}", code_format=_FONTS.sub("\n", CONSOLE_SVG_FORMAT), unique_id=shot.name
    )
    (TARGET / f"{shot.name}.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    """Take all pictures, or those that are named."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        project = demo.make(Path(folder))
        for shot in SHOTS:
            if shot.name in (sys.argv[1:] or [shot.name]):
                draw(shot, take(shot, project))
                print(shot.name)


if __name__ == "__main__":
    main()
