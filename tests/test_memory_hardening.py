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


# --- rotation ---------------------------------------------------------------------------------------------------------


def test_a_note_that_is_a_part_of_an_archived_one_is_moved_and_not_lost(memory: Memory) -> None:
    place = _write(memory, "learnings.md", "# Learnings\n\n- 2025-01-01 Cache is slow on Mondays\n")
    rotation.rotate(memory, LIMITS, always=True)
    place.write_text(place.read_text() + "- 2025-01-01 Cache is slow\n")
    rotation.rotate(memory, LIMITS, always=True)
    assert _titles(memory) == []
    assert _titles(memory, archived=True) == ["2025-01-01 Cache is slow on Mondays", "2025-01-01 Cache is slow"]


def test_notes_stay_apart_in_an_archive_under_their_own_ids(memory: Memory) -> None:
    place = _write(memory, "gotchas.md", "# G\n\n## Gamma heading note\n\n- Date: 2025-01-01\n\n```\nnever ends\n")
    (gamma,) = memory.every()
    rotation.rotate(memory, LIMITS, always=True)
    place.write_text("# G\n\n- 2025-02-01 Item about birds\n- 2025-02-02 Item about bees\n")
    items = list(memory.every())
    rotation.rotate(memory, LIMITS, always=True)
    place.write_text("# G\n\n## Delta\n\n- Date: 2025-03-01\n\n### Old part\n\n```\ncode\n```\n")
    rotation.rotate(memory, LIMITS, always=True)
    archived = list(memory.every(archived=True))
    assert [note.id for note in archived[1:3]] == [one.id for one in items]
    assert [note.title for note in archived] == [
        gamma.title, *(one.title for one in items), "Delta", "Old part"
    ]  # fmt: skip
    assert archived[-1].groups == ("Delta",)


def test_what_was_settled_by_its_group_is_settled_in_the_archive(memory: Memory) -> None:
    text = "# I\n\n## Resolved\n\n### Shop down (2025-02-01)\n\n- **Severity**: critical\n\n## Open\n"
    _write(memory, "issues.md", text)
    assert rotation.rotate(memory, LIMITS, always=True)[0].moved
    (note,) = memory.every(archived=True)
    assert (note.severity, note.is_open) == ("CRITICAL", False)


# --- settling ---------------------------------------------------------------------------------------------------------

SENTENCES = [
    ("gotchas.md", "## HTTP quirks\n\n- Status: 404 means the row is locked by the nightly job, ask Anna\n", 1),
    ("issues.md", "## A\n\n- Severity: low\n  - status: page shows red since the outage, see runbook 7\n", 1),
    ("patterns.md", "## Retry\n\nwords\n\nStatus: closed connections are retried thrice\n", 1),
    ("issues.md", "## A\n\n| Status | Open |\n| Severity | high |\n\ntext\n", 0),
    ("learnings.md", "## How ids look\n\n```\n<!-- id: n-example -->\n```\n", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "added"), SENTENCES, ids=range(len(SENTENCES)))
def test_settling_overwrites_no_sentence_and_settles(memory: Memory, name: str, text: str, added: int) -> None:
    place = _write(memory, name, text)
    (note,) = memory.every()
    assert (note.is_open, note.has_id) == (True, False)
    memory.resolve(note.id)
    after = place.read_text()
    assert all(line in after for line in text.splitlines() if "| Open" not in line)
    assert after.count("Resolved" if name == "issues.md" else "Obsolete") == 1
    assert len(re.findall("^- [*][*]Status", after, re.MULTILINE)) == added
    assert [(one.id, one.is_open) for one in memory.every()] == [(note.id, False)]


def test_a_sentence_of_an_added_note_is_no_status(memory: Memory) -> None:
    made = memory.add("pattern", "Retry pattern\n\nStatus: closed connections are retried thrice")
    assert made.is_open
    assert memory.search("connections retried thrice", only_open=True)[0].note.id == made.id


def test_an_issue_that_another_line_holds_open_is_not_called_settled(bare: Studio) -> None:
    text = "## A\n\nStatus: Open\n\ntext\n\n**Status**: broken again\n**Severity**: low\n"
    place = bare.write(".claude/memory/issues.md", text)
    (note,) = bare.json("memory", "list")["notes"]
    done = bare.run("memory", "resolve", note["id"])
    assert (done.code, "another line" in done.err) == (2, True)
    assert place.read_text() == text


def test_what_stands_in_code_within_a_line_begins_no_comment(memory: Memory) -> None:
    _write(memory, "learnings.md", "# T\n\n## A\nuse `<!--` to begin\n\n## B\nend it by `-->`\n\n## C\nx\n")
    assert _titles(memory) == ["A", "B", "C"]
