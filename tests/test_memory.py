"""Project memory: Markdown that people may edit stays the truth, nothing is lost, and what is there is found."""

from __future__ import annotations

import json
import multiprocessing
import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio import clock
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import UnsafePathError, UsageError
from agent_studio.memory import issues, rotation, scanning, sessions, writing
from agent_studio.memory.book import FileError, Memory, notes_of, open_memory
from agent_studio.memory.gates import KnownError, RefusedError
from agent_studio.memory.notes import KINDS
from agent_studio.memory.rotation import Limits

if TYPE_CHECKING:
    from tests.conftest import Studio

    from agent_studio.environment.context import Context

FIXTURES = Path(__file__).parent / "fixtures/memory"
LIMITS = Limits(60, 7, 60, 1_500)
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def _context(path: Path, environment: Environment = Environment.DEVELOPMENT) -> Context:
    (path / ".claude").mkdir(parents=True, exist_ok=True)
    return open_context(Project(path.resolve()), Choice(environment, "--env"), {})


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return open_memory(_context(tmp_path))


def _write(memory: Memory, name: str, text: str | bytes) -> Path:
    place = memory.folder.path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    return place


def _read(memory: Memory, name: str) -> str:
    return (memory.folder.path / name).read_bytes().decode()


def _day(days: int) -> str:
    return clock.timestamp(clock.now() - timedelta(days=days))[:10]


# --- adding -----------------------------------------------------------------------------------------------------------


def test_a_note_is_written_as_a_person_would_write_it(memory: Memory) -> None:
    made = memory.add("issue", "The export times out. It builds the CSV in memory.", severity="high", tags=["export"])
    assert _read(memory, "issues.md") == (
        f"# Open issues\n\n## The export times out\n<!-- id: {made.id} -->\n\n- **Date**: {_day(0)}\n"
        "- **Status**: Open\n- **Severity**: High\n- **Tags**: export\n\n"
        "The export times out. It builds the CSV in memory.\n"
    )
    assert [(one.severity, one.is_open) for one in issues.parse(_read(memory, "issues.md"))] == [("HIGH", True)]
    assert memory.get(made.id).text == made.text


def test_each_kind_has_its_file(memory: Memory) -> None:
    for number, kind in enumerate(KINDS.values()):
        memory.add(kind.name, f"Something that only the {kind.name} number {number} says here")
        assert (memory.folder.path / kind.file).is_file()
    assert sorted(note.kind for note in memory.every()) == sorted(KINDS)


def test_decisions_are_numbered_on_from_those_of_a_person(memory: Memory) -> None:
    _write(memory, "decisions.md", "# Decisions\n\n## ADR-041: Use tabs\n\n### Status\n\nAccepted\n")
    assert memory.add("decision", "Use the outbox table for all domain events").label == "ADR-042"
    assert memory.get("ADR-041").title == "ADR-041: Use tabs"


def test_what_is_there_already_is_refused_with_its_id_whatever_its_kind(memory: Memory) -> None:
    _write(memory, "learnings.md", "# Learnings\n\n- The cache is cold for ten seconds after a deploy, so wait\n")
    known = next(memory.every()).id
    for text in (
        "The cache is cold for ten seconds after a deploy, so wait",
        "the cache is cold for ten seconds after a deploy so wait!",
        "The cache is cold for ten seconds after each deploy; so wait",
    ):
        with pytest.raises(KnownError) as caught:
            memory.add("gotcha", text)
        assert caught.value.known == known
    memory.add("gotcha", "The cache is cold for twenty seconds after a rollback of a deploy")


def test_an_issue_that_comes_back_may_be_filed_again(memory: Memory) -> None:
    first = memory.add("issue", "The login page flickers on reload in the old browser")
    memory.resolve(first.id)
    assert memory.add("issue", "The login page flickers on reload in the old browser").id != first.id


@pytest.mark.parametrize("text", ["", " \n ", "...", f"use {SECRET} to log in", "x" * 20_000])
def test_what_is_no_note_is_refused_and_nothing_is_written(memory: Memory, text: str) -> None:
    with pytest.raises(RefusedError):
        memory.add("learning", text)
    assert not memory.folder.path.exists()


def test_an_unknown_kind_names_the_nearest(memory: Memory) -> None:
    with pytest.raises(UsageError) as caught:
        memory.add("learnin", "something")
    assert caught.value.hint == 'did you mean "learning"?'


BODIES = st.lists(
    st.sampled_from((
        "plain words here", "# a heading", "## ADR-9: forged", "```", "~~~python", "    ```", "- item", "<!-- open",
        "-->", "<!-- id: n-000000000000 -->", "===", "---", "Status: Resolved", "``````", "- ```", "> # quoted",
        "\ttab", "👩‍👩‍👧", "שלום", "\u202e", "|a|b|", "* * *", "1. one",
    )), min_size=1, max_size=8,
).map("\n".join)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(BODIES, min_size=1, max_size=3))
def test_no_text_can_make_more_notes_than_one_or_end_another(bodies: list[str]) -> None:
    kind = KINDS["learning"]
    texts = [f"Note number {number} begins.\n{body}" for number, body in enumerate(bodies)]
    drafts = [writing.draft(kind, text) for text in texts]
    ids = [f"n-{number:012x}" for number in range(len(texts))]
    whole = "# Learnings\n" + "".join(
        f"\n{writing.written(one, note_id, '2026-01-01')}" for one, note_id in zip(drafts, ids, strict=True)
    )
    assert [note.id for note in notes_of(whole.encode(), kind.name, kind.file)] == ids


def _adds(path: Path, number: int, count: int) -> None:
    memory = open_memory(_context(path))
    for each in range(count):
        memory.add("learning", f"process {number} saw thing {each} happen")


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    workers = [fork.Process(target=_adds, args=(tmp_path, number, 10)) for number in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    titles = sorted(note.title for note in open_memory(_context(tmp_path)).every("learning"))
    assert titles == sorted(f"process {n} saw thing {each} happen" for n in range(5) for each in range(10))


def test_a_change_in_the_middle_loses_nothing_that_others_add_meanwhile(tmp_path: Path) -> None:
    memory = open_memory(_context(tmp_path))
    old = [memory.add("learning", f"an old thing of number {number} was seen").id for number in range(12)]
    fork = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    workers = [fork.Process(target=_adds, args=(tmp_path, number, 10)) for number in range(3)]
    for worker in workers:
        worker.start()
    for note_id in old:
        memory.resolve(note_id)
    for worker in workers:
        worker.join(60)
    notes = list(memory.every("learning"))
    assert len(notes) == 12 + 30
    assert {note.id for note in notes if not note.is_open} == set(old)


def test_line_ends_of_a_file_are_kept_and_a_torn_end_is_ended(memory: Memory) -> None:
    place = _write(memory, "learnings.md", b"\xef\xbb\xbf# Learnings\r\n\r\n## One fact\r\n\r\nwas to")
    memory.add("learning", "Another fact that is new here")
    data = place.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf# Learnings\r\n\r\n## One fact\r\n\r\nwas to\r\n\r\n## Another fact")
    assert data.count(b"\n") == data.count(b"\r\n")
    assert [note.title for note in memory.every()] == ["One fact", "Another fact that is new here"]


def test_a_file_that_is_no_text_is_left_alone(memory: Memory) -> None:
    place = _write(memory, "learnings.md", "# Learnings\n".encode("utf-16"))
    before = place.read_bytes()
    with pytest.raises(FileError, match="not UTF-8"):
        memory.add("learning", "Another fact that is new here")
    assert place.read_bytes() == before


def test_a_link_in_the_place_of_a_file_is_refused(memory: Memory, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.md"
    target.write_text("# Mine\n")
    memory.folder.path.mkdir(parents=True)
    (memory.folder.path / "learnings.md").symlink_to(target)
    with pytest.raises(UnsafePathError):
        memory.add("learning", "this must not go through the link")
    assert target.read_text() == "# Mine\n"


# --- what people write ------------------------------------------------------------------------------------------------

ODD: list[tuple[str, str, list[str]]] = [
    ("learnings.md", "", []),
    ("learnings.md", "one paragraph\nof two lines\n\nanother", ["one paragraph", "another"]),
    ("learnings.md", "- one\n- two\n  more of two\n", ["one", "two"]),
    ("learnings.md", "# T\n\nIntro.\n\n- one\n\n  still one\n\nprose\n* two\n", ["one", "two"]),
    ("learnings.md", "# T\n## A\ntext\n### Deeper\nmore\n## B\n", ["A", "Deeper", "B"]),
    ("learnings.md", "# T\n## Group\n### A\nx\n### B\ny\n", ["A", "B"]),
    ("learnings.md", "# T\n## A\n```\n## no heading\n```\n## B\n", ["A", "B"]),
    ("learnings.md", "# T\n## A\n```\nnever ends\n## B\n", ["A", "B"]),
    ("learnings.md", "# T\n<!--\n## hidden\n-->\n## A\n<!-- never ends\n## B\n", ["A", "B"]),
    ("learnings.md", "---\ntitle: x\ntags:\n- a\n---\n# T\n- fact\n", ["fact"]),
    ("learnings.md", "  ## Indented ##\r\nx\r\n##No space\r\n####### seven\r\n", ["Indented"]),
    ("learnings.md", "## Date 2026-01-01\n# Second title\ntext\n", ["Date 2026-01-01", "Second title"]),
    ("decisions.md", "# D\n## ADR-1: x\n### Context\na\n### Decision\nb\n## ADR-2: y\n### Status\nRejected\n",
     ["ADR-1: x", "ADR-2: y"]),
    ("issues.md", "# I\n## Open issues\n- [ ] HIGH: a thing\n- [x] a done one\n## Resolved\n### [X-1] z\nq\n",
     ["HIGH: a thing", "a done one", "[X-1] z"]),
    ("issues.md", "# Open issues\n\n## No open issue\n\nReplace this entry.\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "titles"), ODD, ids=range(len(ODD)))
def test_notes_are_found_in_whatever_form_they_are_written(
    memory: Memory, name: str, text: str, titles: list[str]
) -> None:
    place = _write(memory, name, text)
    assert [note.title for note in memory.every()] == titles
    for note in memory.every():
        assert memory.get(note.id).title == note.title
    assert place.read_bytes() == text.encode(), "reading writes nothing"


MARKDOWN = st.lists(
    st.sampled_from((
        "# T", "## A", "### B", "###### C", "- item", "  - inner", "1. one", "- [ ] task", "- [x] done", "```", "~~~",
        "<!--", "-->", "<!-- id: mine-1 -->", "", "text", "\ufeff", "---", "Status: Resolved", "### Context", "\r",
        "- **Date**: 2026-02-30", "| a | b |", "# ", "## Open issues", "\x00", "שלום 👩‍👩‍👧", "## A",
    )), max_size=25,
).map("\n".join)  # fmt: skip


@settings(max_examples=200)
@given(MARKDOWN)
def test_any_file_can_be_read_and_a_status_changes_only_its_own_note(text: str) -> None:
    data = text.encode()
    spans = list(scanning.spans(data))
    assert all(0 <= one.start < one.end <= len(data) for one in spans)
    assert all(one.end <= after.start for one, after in pairwise(spans))
    for span in spans[:3]:
        note = data[span.start : span.end]
        changed = writing.with_status(note, "Resolved (2026-01-01)", "n-0123456789ab", "issue")
        kept = [line for line in note.split(b"\n") if not re.search(rb"tatus|\[|<!-- id:", line) and line.strip()]
        assert all(line.strip().lstrip(b"-0123456789. ") in changed for line in kept)


def test_an_id_stays_through_edits_once_it_is_written(memory: Memory) -> None:
    made = memory.add("learning", "Wheels for arm are compiled from source in CI")
    place = memory.folder.path / "learnings.md"
    place.write_text(place.read_text().replace("Wheels for arm are compiled", "Wheels for aarch64 are built anew"))
    assert memory.get(made.id).title == "Wheels for aarch64 are built anew from source in CI"


def test_a_note_without_an_id_gets_one_when_it_is_first_changed(memory: Memory) -> None:
    before = (
        "# Issues\n\n## The clock is wrong\n\n- **Severity**: High\n- **Status**:   Open\n\n  odd   spacing\n\n\n## B\n"
    )
    place = _write(memory, "issues.md", before)
    derived = next(memory.every()).id
    memory.resolve(derived)
    assert place.read_text() == before.replace("Open", f"Resolved ({_day(0)})").replace(
        "## The clock is wrong\n", f"## The clock is wrong\n<!-- id: {derived} -->\n"
    )
    assert memory.get(derived).is_open is False


RESOLVED = [
    ("issues.md", "## A thing\nIt broke.\n",
     "## A thing\n<!-- id: {id} -->\n- **Status**: Resolved ({day})\n\nIt broke.\n"),
    ("issues.md", "# I\n- [ ] HIGH: a thing\n", "# I\n- [x] HIGH: a thing <!-- id: {id} -->\n"),
    ("issues.md", "## A\r\nStatus: Open\r\n", "## A\r\n<!-- id: {id} -->\r\nStatus: Resolved ({day})\r\n"),
    ("decisions.md", "## ADR-1: a\n### Status\n\nAccepted\n### Context\nc\n",
     "## ADR-1: a\n<!-- id: {id} -->\n### Status\n\nSuperseded ({day})\n### Context\nc\n"),
    ("learnings.md", "- a fact", "- [x] a fact <!-- id: {id} -->"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "before", "after"), RESOLVED, ids=range(len(RESOLVED)))
def test_resolving_changes_as_little_as_it_can(memory: Memory, name: str, before: str, after: str) -> None:
    place = _write(memory, name, before)
    (note,) = memory.every()
    resolved = memory.resolve(note.id)
    assert place.read_bytes().decode() == after.format(id=note.id, day=_day(0))
    assert resolved.is_open is False
    assert [one.is_open for one in memory.every()] == [False]


def test_two_notes_of_one_name_are_told_apart_by_their_ids(memory: Memory) -> None:
    _write(memory, "decisions.md", "# D\n\n## ADR-1: from a branch\nx\n\n## ADR-1: from another\ny\n")
    with pytest.raises(UsageError, match="2 notes are called ADR-1"):
        memory.get("ADR-1")


def test_the_files_of_the_original_are_read_beside_ours_and_left_alone(memory: Memory, tmp_path: Path) -> None:
    old = tmp_path / ".claude/context/memory/learnings.md"
    old.parent.mkdir(parents=True)
    old.write_text("# Learnings\n\n## The old router needs a warm start\n\nSince ever.\n")
    memory.add("learning", "The new router needs nothing at all to begin")
    (hit,) = memory.search("old router warm")[:1]
    assert hit.note.place == "original/learnings.md"
    with pytest.raises(UsageError, match=r"is in \.claude/context/memory/learnings\.md, which is only read"):
        memory.resolve(hit.note.id)
    with pytest.raises(KnownError):
        memory.add("learning", "The old router needs a warm start, since ever.")


# --- search -----------------------------------------------------------------------------------------------------------


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / name).read_text().splitlines()]


def test_questions_find_their_note_among_the_first_five(memory: Memory) -> None:
    ids = {memory.add(note["kind"], note["text"]).id: note["id"] for note in _lines("notes.jsonl")}
    questions = _lines("questions.jsonl")
    found = [set(one["notes"]) <= {ids[hit.note.id] for hit in memory.search(one["question"], 5)} for one in questions]
    assert len(questions) >= 60
    assert sum(found) / len(questions) >= 0.9


def test_search_follows_every_edit_at_once(memory: Memory) -> None:
    made = memory.add("learning", "The turbine needs grease every month")
    assert memory.search("turbine")[0].note.id == made.id
    place = memory.folder.path / "learnings.md"
    place.write_text(place.read_text().replace("turbine", "windmill"))
    assert memory.search("turbine") == []
    assert memory.search("windmill")[0].note.id == made.id
    place.unlink()
    assert memory.search("windmill") == []


def test_search_of_settled_notes_comes_last(memory: Memory) -> None:
    first = memory.add("issue", "The pump leaks pump oil near the pump house")
    memory.resolve(first.id)
    second = memory.add("issue", "One pump is loud when the other machines of the hall are started")
    assert [hit.note.id for hit in memory.search("pump")] == [second.id, first.id]
    assert [hit.note.id for hit in memory.search("pump", only_open=True)] == [second.id]


def test_a_large_memory_is_added_to_and_searched_without_reading_it_anew(memory: Memory) -> None:
    note = "## Note number {}\n\nThe {} of part {} was measured twice.\n\n"
    words = ("length", "weight", "colour", "age", "speed")
    whole = "# Learnings\n\n" + "".join(note.format(n, words[n % 5], n * 7) for n in range(20_000))
    _write(memory, "learnings.md", whole)
    assert memory.search("number 12345")[0].note.title == "Note number 12345"
    began = clock.now()
    made = memory.add("learning", "A zebra was seen in the measuring room")
    assert memory.search("zebra")[0].note.id == made.id
    assert (clock.now() - began).total_seconds() < 2


# --- rotation ---------------------------------------------------------------------------------------------------------


def _long(kind: str, notes: list[str]) -> str:
    return f"# {kind}\n\n" + "\n".join(notes) + "\n" * 1_500


def test_old_decisions_leave_a_file_that_is_too_long_and_are_still_found(memory: Memory) -> None:
    old = f"## ADR-001: Use owls\n\n- **Date**: {_day(61)}\n\n### Context\n\nOwls deliver.\n"
    new = f"## ADR-002: Use ravens\n\n- **Date**: {_day(59)}\n"
    undated = "## ADR-003: Use doves\n\nNobody knows when.\n"
    place = _write(memory, "decisions.md", _long("Decisions", [old, new, undated]))
    before = place.read_text()
    (planned,) = rotation.rotate(memory, LIMITS, dry_run=True)
    assert place.read_text() == before
    (done,) = rotation.rotate(memory, LIMITS)
    assert [note.label for note in done.moved] == [note.label for note in planned.moved] == ["ADR-001"]
    assert done.undated == 1
    assert place.read_text() == before.replace(f"{old}\n", "")
    assert old.strip() in _read(memory, f"archive/decisions-{_day(0)}.md")
    assert memory.search("owls")[0].note.place == f"archive/decisions-{_day(0)}.md"
    assert memory.add("decision", "Use pigeons for everything that is urgent").label == "ADR-004"


def test_settled_issues_leave_after_a_week_and_open_ones_never(memory: Memory) -> None:
    listed = [
        f"## Old and open\n\n- **Date**: {_day(400)}\n- **Status**: Open\n- **Severity**: Low\n",
        f"## Settled long ago\n\n- **Date**: {_day(400)}\n- **Status**: Resolved ({_day(8)})\n- **Severity**: Low\n",
        f"## Settled lately\n\n- **Date**: {_day(400)}\n- **Status**: Resolved ({_day(6)})\n- **Severity**: Low\n",
    ]
    _write(memory, "issues.md", _long("Issues", listed))
    (done,) = rotation.rotate(memory, LIMITS)
    assert [note.title for note in done.moved] == ["Settled long ago"]


def test_a_file_within_its_limit_stays_as_it_is(memory: Memory) -> None:
    _write(memory, "decisions.md", f"# D\n\n## ADR-001: Use owls\n\n- **Date**: {_day(900)}\n")
    assert rotation.rotate(memory, LIMITS) == []
    assert [note.label for note in rotation.rotate(memory, LIMITS, always=True)[0].moved] == ["ADR-001"]


def test_a_note_stays_where_another_below_it_stays(memory: Memory) -> None:
    text = (
        f"## Old one\n\n- **Date**: {_day(90)}\n\ntext\n\n### Newer part of it all\n\n- **Date**: {_day(1)}\n\nmore\n"
    )
    place = _write(memory, "decisions.md", _long("Decisions", [text]))
    before = place.read_text()
    rotation.rotate(memory, LIMITS)
    assert place.read_text() == before


def test_a_rotation_that_died_half_way_is_finished_without_a_second_copy(memory: Memory) -> None:
    old = f"## ADR-001: Use owls\n\n- **Date**: {_day(61)}\n"
    _write(memory, "decisions.md", _long("Decisions", [old]))
    _write(memory, f"archive/decisions-{_day(0)}.md", f"# Decisions: moved\n\n{old}")
    rotation.rotate(memory, LIMITS)
    assert _read(memory, f"archive/decisions-{_day(0)}.md").count("Use owls") == 1
    assert "owls" not in _read(memory, "decisions.md")
    assert len(memory.search("owls")) == 1


@given(st.lists(st.tuples(st.integers(-30, 200), st.booleans(), st.integers(1, 40)), max_size=12), st.booleans())
def test_rotation_loses_no_line(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, bool, int]],
    always: bool,  # noqa: FBT001
) -> None:
    memory = open_memory(_context(tmp_path_factory.mktemp("rotate")))
    for name, kind in (("issues.md", "Issue"), ("learnings.md", "Learning")):
        notes = [
            f"## {kind} {n}\n\n- **Date**: {_day(days)}\n- **Status**: {'Open' if is_open else 'Resolved'}\n"
            f"- **Severity**: Low\n{'line' * 3}\n" * 1 + f"more {n}\n" * size
            for n, (days, is_open, size) in enumerate(rows)
        ]  # fmt: skip
        _write(memory, name, f"# {kind}s\n\n" + "\n".join(notes))
    before = sorted(line for name in ("issues.md", "learnings.md") for line in _read(memory, name).split("\n") if line)
    rotation.rotate(memory, LIMITS._replace(lines=50), always=always)
    after = [
        line for place in memory.folder.path.rglob("*.md") for line in place.read_text().split("\n")
        if line and not re.match("# .*: moved on", line)
    ]  # fmt: skip
    assert sorted(after) == before


# --- sessions ---------------------------------------------------------------------------------------------------------


def _journal(memory: Memory, kind: str, name: str, records: list[dict[str, Any]]) -> None:
    place = memory.root.folder(kind).path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as file:
        for record in records:
            file.write(
                json.dumps({"environment": "development", "timestamp": "2026-03-04T10:20:30.000Z", **record}) + "\n"
            )


def _session(memory: Memory, name: str, *, prompts: int = 2) -> None:
    said = [{"sessionId": name, "event": "start", "model": "claude-x"}]
    said += [{"sessionId": name, "event": "prompt"} for _ in range(prompts)]
    end = {"sessionId": name, "event": "end", "reason": "other", "durationMs": 120_000, "costUsd": "0.42"}
    _journal(memory, "metrics", "agents.jsonl", [
        {"sessionId": name, "agent": "planner", "agentId": "a", "status": "completed"},
        {"sessionId": name, "agent": "planner", "agentId": "b", "status": "failed"},
    ])  # fmt: skip
    _journal(memory, "metrics", "errors.jsonl", [
        {"sessionId": name, "errorType": "SystemError", "severity": "HIGH", "message": "the API was overloaded"},
        {"sessionId": name, "errorType": "ValidationError", "severity": "LOW", "message": "exit code 1"},
    ])  # fmt: skip
    _journal(memory, "sessions", "session-log.jsonl", [*said, {**end, "eventId": f"e{name}"}])


def test_what_a_session_did_is_kept_once_it_is_over(memory: Memory) -> None:
    memory.folder.path.mkdir(parents=True)
    _session(memory, "one")
    assert sessions.follow(memory.root) == 1
    assert _read(memory, "sessions/2026-03.md") == (
        "# Sessions of 2026-03\n\n## Session of 2026-03-04 10:20\n<!-- id: session-eone -->\n\n"
        "- **Date**: 2026-03-04\n- **Session**: one\n- **Length**: 2 min, 2 prompts\n- **Model**: claude-x\n"
        "- **Cost**: 0.42 USD\n- **Ended**: other\n- **Agents**: planner 2 (1 failed)\n"
        "- error, 1 x: the API was overloaded\n"
    )
    assert [hit.note.kind for hit in memory.search("API overloaded")] == ["session"]
    assert list(memory.every()) == []
    assert len(list(memory.every("session"))) == 1


def test_a_session_is_told_once_however_often_it_is_looked_at(memory: Memory) -> None:
    memory.folder.path.mkdir(parents=True)
    _session(memory, "one")
    _session(memory, "empty", prompts=0)
    assert sessions.follow(memory.root) == 1
    assert sessions.follow(memory.root) == 0
    (memory.root.state.path / sessions.STATE).unlink()
    assert sessions.follow(memory.root) == 0
    log = memory.root.folder("sessions").path / "session-log.jsonl"
    log.write_bytes(log.read_bytes() + b'{"sessionId": "torn')
    assert sessions.follow(memory.root) == 0
    log.write_bytes(log.read_bytes()[:-20])
    assert sessions.follow(memory.root) == 0
    _session(memory, "two")
    assert sessions.follow(memory.root) == 1
    assert _read(memory, "sessions/2026-03.md").count("## Session") == 2


def test_a_session_over_midnight_is_told_whole(memory: Memory) -> None:
    memory.folder.path.mkdir(parents=True)
    log = memory.root.folder("sessions").path
    _journal(memory, "sessions", "session-log.jsonl", [{"sessionId": "n", "event": "prompt"}])
    assert sessions.follow(memory.root) == 0
    (log / "session-log.jsonl").rename(log / "session-log.2026-03-04.jsonl")
    _journal(memory, "sessions", "session-log.jsonl", [
        {"sessionId": "n", "event": "prompt"}, {"sessionId": "n", "event": "end", "eventId": "e1"},
    ])  # fmt: skip
    assert sessions.follow(memory.root) == 1
    assert "2 prompts" in _read(memory, "sessions/2026-03.md")


def test_ingest_keeps_what_a_session_did_unless_it_is_told_not_to(staged: Studio) -> None:
    def session(name: str, *more: str) -> list[Path]:
        events = [
            {"ts": 1_795_000_000_000_000_000 + at, "pid": 7, "kind": "hook",
             "payload": {"session_id": name, "hook_event_name": event, "prompt": "hello there"}}
            for at, event in enumerate(("SessionStart", "UserPromptSubmit", "SessionEnd"))
        ]  # fmt: skip
        place = staged.path / ".claude/staging/metrics/events.jsonl"
        place.write_text("".join(json.dumps(event) + "\n" for event in events))
        assert staged.run("ingest", "--env", "staging", *more).code == 0
        return list((staged.path / ".claude/staging/memory/sessions").glob("*.md"))

    assert session("quiet", "--set", "memory.sessions=false") == []
    (place,) = session("told")
    assert "- **Session**: told" in place.read_text()
    assert "hello there" not in place.read_text()


def test_sessions_have_no_limit_at_a_thousand(memory: Memory) -> None:
    memory.folder.path.mkdir(parents=True)
    records = [
        {"sessionId": f"s{number}", "event": event, "eventId": f"{number:032x}"[::-1]}
        for number in range(1_200) for event in ("prompt", "end")
    ]  # fmt: skip
    _journal(memory, "sessions", "session-log.jsonl", records)
    assert sessions.follow(memory.root) == 1_200
    assert len(list(memory.every("session"))) == 1_200


def test_another_environments_sessions_are_not_told(memory: Memory) -> None:
    memory.folder.path.mkdir(parents=True)
    _journal(memory, "sessions", "session-log.jsonl", [
        {"sessionId": "x", "event": event, "environment": "production"} for event in ("prompt", "end")
    ])  # fmt: skip
    assert sessions.follow(memory.root) == 0


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_adds_finds_shows_and_settles(bare: Studio) -> None:
    made = bare.json(
        "memory", "add", "issue", "The lift stops between floors", "--severity", "critical", "--tag", "lift"
    )
    assert (made["kind"], made["severity"], made["open"]) == ("issue", "CRITICAL", True)
    assert bare.json("memory", "search", "lift floors")["hits"][0]["id"] == made["id"]
    assert bare.run("memory", "search", "xylophone").code == 1
    assert bare.json("memory", "list", "--tag", "lift", "--open")["notes"][0]["id"] == made["id"]
    assert "The lift stops between floors" in bare.run("memory", "show", made["id"]).out
    assert bare.json("memory", "resolve", made["id"], "--as", "Won't fix")["open"] is False
    assert bare.json("memory", "list", "--open")["notes"] == []
    again = bare.run("memory", "add", "learning", "The stairs are steep, count them", "--json")
    assert again.code == 0
    known = bare.run("memory", "add", "learning", "the stairs are steep, count them!", "--json")
    assert (known.code, known.envelope["problems"][0]["code"]) == (1, "known")
    assert bare.run("memory", "add", "learning", "x", "--severity", "high").code == 2
    assert bare.run("memory", "show", "nothing").code == 2


def test_rotating_asks_and_without_an_answer_changes_nothing(bare: Studio) -> None:
    text = f"# D\n\n## ADR-001: Use owls\n\n- **Date**: {_day(90)}\n" + "\n" * 1_500
    place = bare.write(".claude/memory/decisions.md", text)
    assert bare.run("memory", "rotate").code == 2
    assert place.read_text() == text
    assert bare.json("memory", "rotate", "--dry-run")["files"][0]["moved"]
    assert place.read_text() == text
    done = bare.json("memory", "rotate", "--yes")["files"][0]
    assert done["archive"] == f"archive/decisions-{_day(0)}.md"
    assert "owls" not in place.read_text()


def test_an_agent_at_work_opens_its_own_sidecar_and_a_person_says_so(bare: Studio) -> None:
    add = ("memory", "sidecar", "add", "--agent", "planner", "Estimates are doubled for migrations")
    assert bare.run(*add).code == 2
    made = bare.json(*add, variables={"CLAUDECODE": "1"})["entry"]
    listed = bare.json("memory", "sidecar", "list", "--agent", "planner", variables={"CLAUDECODE": "1"})
    assert listed["entries"][0]["id"] == made["id"]
    shown = bare.json("memory", "sidecar", "show", made["id"], "--agent", "planner", "--as-operator")
    assert shown["entry"]["text"] == "Estimates are doubled for migrations"
    assert bare.run("memory", "sidecar", "accesses").code == 2
    accesses = bare.json("memory", "sidecar", "accesses", "--as-operator")["accesses"]
    assert [(one["agent"], one["action"], one["id"]) for one in accesses] == [("planner", "show", made["id"])]
    assert bare.json("memory", "sidecar", "agents", "--as-operator")["agents"] == ["planner"]


def test_every_call_on_a_sidecar_does_what_it_says(bare: Studio) -> None:
    def call(*words: str) -> dict[str, Any]:
        return bare.json("memory", "sidecar", words[0], *words[1:], "--agent", "qa", "--as-operator")

    one = call("add", "Flaky tests hide in the cart", "--kind", "pattern", "--tag", "ci", "--expires", "7d")["entry"]
    assert one["expires"] > clock.timestamp(clock.now())
    two = call("supersede", one["id"], "Flaky tests hide in the checkout")["entry"]
    assert two["supersedes"] == one["id"]
    assert call("show", one["id"])["entry"]["supersededBy"] == two["id"]
    assert call("pin", two["id"])["entry"]["pinned"] is True
    assert call("pin", two["id"], "--off")["entry"]["pinned"] is False
    assert call("search", "flaky checkout")["hits"][0]["id"] == two["id"]
    assert two["text"] in call("show")["digest"]
    assert call("archive", one["id"])["entry"]["id"] == one["id"]
    assert [entry["id"] for entry in call("list", "--archived")["entries"]] == [one["id"]]
    assert call("expire", two["id"])["entry"]["expires"] <= clock.timestamp(clock.now() + timedelta(seconds=1))
    assert bare.run("memory", "sidecar", "forget", two["id"], "--agent", "qa", "--as-operator").code == 2
    assert call("forget", two["id"], "--dry-run")["entry"]["id"] == two["id"]
    call("forget", two["id"], "--yes")
    assert call("list")["entries"] == []


def test_rendering_changes_only_its_block(bare: Studio) -> None:
    bare.run("memory", "sidecar", "add", "Ask before deleting data", "--agent", "qa", "--as-operator")
    place = bare.write(".claude/agent-memory/qa/MEMORY.md", "# Mine\r\n\r\nkept\r\n")
    render = ("memory", "sidecar", "render", "--agent", "qa", "--as-operator")
    assert bare.json(*render)["changed"] is True
    rendered = place.read_bytes()
    assert rendered.startswith(b"# Mine\r\n\r\nkept\r\n\r\n<!-- agent-studio: begin")
    assert rendered.count(b"\n") == rendered.count(b"\r\n")
    assert b"Ask before deleting data" in rendered
    assert bare.json(*render)["changed"] is False
    place.write_bytes(rendered + b"after\r\n")
    bare.run(*render, "--remove")
    assert place.read_bytes() == b"# Mine\r\n\r\nkept\r\nafter\r\n"
    place.write_bytes(b"<!-- agent-studio: begin -->\nno end\n")
    assert bare.run(*render).code == 1
    assert place.read_bytes() == b"<!-- agent-studio: begin -->\nno end\n"


def test_staging_renders_nothing_into_the_clients_folder(staged: Studio) -> None:
    words = ("--agent", "qa", "--as-operator", "--env", "staging")
    staged.run("memory", "sidecar", "add", "Ask before deleting data", *words)
    done = staged.run("memory", "sidecar", "render", *words)
    assert (done.code, "nothing of staging is rendered" in done.err) == (2, True)
    assert not (staged.path / ".claude/agent-memory/qa").exists()


def test_the_originals_sidecar_files_are_taken_over_once(bare: Studio) -> None:
    base = ".claude/staging/agents/session-1/qa"
    bare.write(
        f"{base}/discoveries.json", json.dumps([{"text": "Seeds differ by day", "file": "a.py"}, "Plain words too"])
    )
    bare.write(f"{base}/keyFiles.json", '["src/cart.ts"]')
    bare.write(f"{base}/notes.txt", "First remark here.\r\n\r\nSecond remark here.\r\n")
    bare.write(f"{base}/plan.json", '{"steps": ["measure first", "cut after"], "done": false}')
    bare.write(f"{base}/broken.json", '{"half')
    bare.write(".claude/staging/agents/session-1/other/notes.txt", "Not for qa.")
    call = ("memory", "sidecar", "import", "--agent", "qa", "--as-operator")
    done = bare.json(*call)
    assert (done["files"], done["added"], done["known"]) == (5, 8, 0)
    assert "broken.json" in done["refused"][0]
    texts = {e["text"] for e in bare.json("memory", "sidecar", "list", "--agent", "qa", "--as-operator")["entries"]}
    assert texts == {
        "a.py: Seeds differ by day", "Plain words too", "key file: src/cart.ts", "First remark here.",
        "Second remark here.", "plan.steps: measure first", "plan.steps: cut after", "plan.done: false",
    }  # fmt: skip
    assert bare.json(*call)["added"] == 0
