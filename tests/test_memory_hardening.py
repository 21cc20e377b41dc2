"""What must never happen to a person's notes: lost, hidden, overwritten, or a command that waits for ever."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from typing import TYPE_CHECKING

import pytest

from agent_studio import clock
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import StorageError
from agent_studio.memory import issues, rotation
from agent_studio.memory.book import Memory, open_memory
from agent_studio.memory.rotation import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
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


# --- adding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [
    ("learning", "How to use the fixture loader: run make fixtures first"),
    ("gotcha", "Some words", "--title", "Summary"),
    ("learning", "About 30 percent of the nightly orders arrive twice"), ("pattern", "Patterns"), ("gotcha", "Why:"),
    ("issue", "About a third of the orders are charged twice", "--severity", "critical"),
])  # fmt: skip
def test_what_is_added_is_listed_shown_and_settled_whatever_it_is_called(bare: Studio, words: tuple[str, ...]) -> None:
    bare.write(".claude/memory/gotchas.md", "# First\n\nwords\n\n# Second of the person\n\nmore\n")
    made = bare.json("memory", "add", *words)
    assert made["id"] in {note["id"] for note in bare.json("memory", "list")["notes"]}
    assert bare.run("memory", "show", made["id"]).code == 0
    assert bare.run("memory", "add", *words).code == 1
    assert bare.json("memory", "resolve", made["id"])["open"] is False


@pytest.mark.parametrize("text", [
    "# Learnings\n\n## A\n\nsee <!-- draft, ask Bob\n", "# Learnings\n\n## A\n\n```\nnever ends\n",
])  # fmt: skip
def test_nothing_is_added_behind_what_never_ends(bare: Studio, text: str) -> None:
    place = bare.write(".claude/memory/learnings.md", text)
    done = bare.run("memory", "add", "learning", "Stock levels are cached\n\n```bash\nmake stock\n```")
    assert (done.code, "line 5" in done.err) == (1, True)
    assert place.read_text() == text


def test_a_file_without_headings_keeps_its_notes_when_one_is_added(memory: Memory) -> None:
    _write(memory, "learnings.md", "The queue must be drained first.\n\nInvoices are numbered per country.\n")
    before = list(memory.every())
    made = memory.add("learning", "Something else that is new")
    assert [note.id for note in memory.every()] == [*(note.id for note in before), made.id]
    assert memory.search("queue drained")[0].note.id == before[0].id


def test_a_note_copied_with_its_id_is_a_note_of_its_own(memory: Memory) -> None:
    mark = "<!-- id: n-aaaaaaaaaaaa -->"
    _write(memory, "learnings.md", f"# L\n\n## First\n{mark}\n\nof the horse\n\n## Second\n{mark}\n\nof the zebra\n")
    first, second = memory.every()
    assert (first.title, second.title) == ("First", "Second")
    assert memory.search("zebra")[0].note.id == second.id != first.id
    assert memory.get(second.id).title == "Second"
    memory.resolve(second.id)
    assert [(one.id, one.is_open) for one in memory.every()] == [(first.id, True), (second.id, False)]


def test_a_decision_that_is_the_first_heading_keeps_its_number(memory: Memory) -> None:
    text = "# ADR-001: Use Postgres\n\n## Status\n\nAccepted\n\n## Context\n\nc\n"
    text += "\n# ADR-002: Use owls\n\n## Status\n\nRejected\n"
    _write(memory, "decisions.md", text)
    assert [(one.label, one.is_open) for one in memory.every()] == [("ADR-001", True), ("ADR-002", False)]
    assert memory.add("decision", "Use pigeons for everything that is urgent").label == "ADR-003"


# --- searching --------------------------------------------------------------------------------------------------------


def test_many_other_notes_hide_none_of_the_kind_and_state_that_is_asked_for(memory: Memory) -> None:
    _write(memory, "learnings.md", "# L\n\n" + "".join(f"- the database and cart of number {n}\n" for n in range(200)))
    _write(memory, "gotchas.md", "# G\n\n- what a database and a cart of payments does when nobody is looking at it\n")
    settled = "".join(f"## Cart {n}\n\n- Severity: low\n- Status: Fixed\n\n" for n in range(90))
    _write(memory, "issues.md", f"# I\n\n{settled}## The one open among them\n\n- Severity: critical\n\nthe cart\n")
    _write(memory, "sessions/2026-01.md", "# S\n\n" + "".join(f"## S {n}\n\nerror: payments\n\n" for n in range(120)))
    assert [hit.note.kind for hit in memory.search("database", kind="gotcha")] == ["gotcha"]
    assert [hit.note.title for hit in memory.search("cart", kind="issue", only_open=True)] == [
        "The one open among them"
    ]
    assert [hit.note.kind for hit in memory.search("payments", sessions=False)] == ["gotcha"]


def test_list_and_search_say_the_same_of_an_issue_that_its_group_settled(memory: Memory) -> None:
    _write(memory, "issues.md", "# I\n\n## Resolved\n\n### Shop down\n\n- **Severity**: critical\n\nall of it\n")
    (listed,) = memory.every()
    assert listed.is_open is memory.get(listed.id).is_open is memory.search("shop")[0].note.is_open is False
    assert memory.search("shop", only_open=True) == []


@pytest.mark.parametrize("words", [
    ("list", "--limit", "99999999999999999999"), ("show", "\udcff"), ("resolve", ""), ("show", ""), ("show", " "),
    ("sidecar", "pin", "--agent", "qa", "--as-operator", "\udcff"),
    ("sidecar", "add", "words that matter", "--agent", "qa", "--as-operator", "--expires", "²d"),
])  # fmt: skip
def test_a_wrong_word_is_a_usage_error_and_changes_nothing(bare: Studio, words: tuple[str, ...]) -> None:
    place = bare.write(".claude/memory/learnings.md", "# L\n\n- one fact\n")
    assert bare.run("memory", *words).code == 2
    assert place.read_text() == "# L\n\n- one fact\n"


def test_a_folder_in_the_place_of_the_index_is_told(bare: Studio) -> None:
    bare.write(".claude/memory/learnings.md", "# L\n\n- one fact\n")
    bare.write(".agent-studio/development/memory.sqlite3/x", "")
    done = bare.run("memory", "search", "fact")
    assert (done.code, "memory.sqlite3" in done.err) == (1, True)


# --- secrets ----------------------------------------------------------------------------------------------------------

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
HELD = [
    "the admin password is hunter2" + "Xy9!", "password: hunter2" + "Xy9!Long", "curl -u anna:Tr0ub4dor https://x.test",
    'token = "a8f5f167f44f' + '4964e6c998dee827110c"', "AWS secret wJalrXUtnFEMIaK7MDENG" + "bPxRfiCYAB8CDEF9GHQ",
    "PIN of the safe is 4711", f"use {TOKEN[:1]}\u200b{TOKEN[1:]} here", f"use {TOKEN[:9]}\u2060{TOKEN[9:]} here",
]  # fmt: skip
PLAIN = [
    "The password is kept in 1Password, ask Anna", "Tokens are refreshed every 30 minutes by the gateway",
    "password: see vault/checkout", "The signing token is HS256 and lives for 15m",
    "API key = DB_PASSWORD_2 of the vault",
    "The commit da39a3ee5e6b4b0d3255bfef95601890afd80709 broke it", "The PIN pad of the kiosk needs 2 s to wake",
]  # fmt: skip


@pytest.mark.parametrize("text", HELD)
def test_a_password_that_is_called_one_is_refused(bare: Studio, text: str) -> None:
    assert bare.run("memory", "add", "learning", text).code == 2
    assert bare.run("memory", "sidecar", "add", text, "--agent", "qa", "--as-operator").code == 2
    assert not [one for one in bare.path.rglob("*") if one.is_file() and text.encode() in one.read_bytes()]


@pytest.mark.parametrize("text", PLAIN)
def test_a_sentence_about_secrets_is_kept(memory: Memory, text: str) -> None:
    memory.add("learning", text)


def test_a_secret_cut_in_two_is_refused(bare: Studio) -> None:
    assert bare.run("memory", "add", "learning", TOKEN[12:], "--title", TOKEN[:12]).code == 2


@pytest.mark.parametrize(("first", "second"), [
    ("Run the migrations before the deploy of the shop", "Run the migrations after the deploy of the shop"),
    ("Increase the timeout of the payment client", "Decrease the timeout of the payment client"),
    ("We use Redis for the carts of the shop", "We use Memcached for the carts of the shop"),
    ("The Berlin cluster has the old kernel and disks", "The Hamburg cluster has the old kernel and disks"),
])  # fmt: skip
def test_two_notes_that_differ_in_what_they_tell_of_are_two(memory: Memory, first: str, second: str) -> None:
    memory.add("learning", first)
    memory.add("learning", second)


def test_a_rule_between_items_is_no_note(memory: Memory) -> None:
    _write(memory, "learnings.md", "# L\n\n- one\n\n* * *\n\n- two\n")
    assert _titles(memory) == ["one", "two"]


def test_an_empty_mark_of_the_client_makes_nobody_an_agent_at_work(bare: Studio) -> None:
    words = ("memory", "sidecar", "add", "--agent", "qa", "Something that is kept")
    assert bare.run(*words, variables={"CLAUDECODE": ""}).code == 2
    assert bare.run(*words, variables={"CLAUDECODE": "1"}).code == 0


# --- a full disk ------------------------------------------------------------------------------------------------------


def _on_a_full_disk(limit_bytes: int, act: Callable[[], object]) -> int:
    """Do it in a process whose files may grow to a size; return 7 where it says that the disk is at fault."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        code = 0
        try:
            act()
        except StorageError:
            code = 7
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_note_that_a_full_disk_cuts_short_is_refused_and_leaves_the_file_as_it_was(memory: Memory) -> None:
    place = _write(memory, "learnings.md", "# Learnings\n\n## One\n\nIt holds.\n")
    before = place.read_bytes()
    note = "## Two\n\nIt is long.\n" * 9
    assert _on_a_full_disk(len(before) + 20, lambda: memory.append("learnings.md", "Learnings", note)) == 7
    assert place.read_bytes() == before


def test_a_rotation_that_a_full_disk_stops_is_refused_and_loses_nothing(memory: Memory) -> None:
    notes = "".join(f"## Note {number}\n\n- **Date**: {_day(400)}\n\nWords.\n\n" for number in range(40))
    place = _write(memory, "learnings.md", f"# Learnings\n\n{notes}")
    before = place.read_bytes()
    limits = LIMITS._replace(lines=10)
    assert _on_a_full_disk(120, lambda: rotation.rotate(memory, limits)) == 7
    assert place.read_bytes() == before
    assert _titles(memory, archived=True) == []
    assert rotation.rotate(memory, limits)
    assert sorted(_titles(memory) + _titles(memory, archived=True)) == sorted(f"Note {number}" for number in range(40))
