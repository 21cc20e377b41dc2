"""What must never happen to a person's notes: lost, hidden, overwritten, or a command that waits for ever."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from agent_studio import clock
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.memory import issues, rotation
from agent_studio.memory.book import Memory, open_memory
from agent_studio.memory.rotation import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

LIMITS = Limits(60, 7, 60, 1_500)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    (tmp_path / ".claude").mkdir()
    return open_memory(open_context(Project(tmp_path.resolve()), Choice(Environment.DEVELOPMENT, "--env"), {}))


def _write(memory: Memory, name: str, text: str) -> Path:
    place = memory.folder.path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, newline="")
    return place


def _titles(memory: Memory, *, archived: bool = False) -> list[str]:
    return [note.title for note in memory.every(archived=archived)]


def _day(days: int = 0) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(clock.now().timestamp() - days * 86_400))


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [
    "## x{}y", "status: a{}b", "- **Status**: a{}b", "## resolved{}b", "{}", "| Status |{}b", "## [x]{}# y",
])  # fmt: skip
def test_a_line_with_many_spaces_holds_nothing_up(memory: Memory, line: str) -> None:
    text = f"# T\n\n## A\n\n{line.format(' ' * 20_000)}\n\nwords\n"
    for name in ("issues.md", "learnings.md"):
        _write(memory, name, text)
    _write(memory, "gotchas.md", f"{line.format(' ' * 20_000)}\n\nwords\n")
    began = time.process_time()
    list(memory.every())
    memory.search("words")
    assert issues.parse(text)
    assert time.process_time() - began < 1.5
