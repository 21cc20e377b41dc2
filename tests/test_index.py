from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_crash import unprivileged

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.knowledge import freshness, index
from agent_studio.knowledge.base import knowledge, knowledge_anew
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

STATE = ".agent-studio/development"


def write(project: Path, relative: str, description: str) -> Path:
    place = project / relative
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"---\ndescription: {description}\n---\n\nText.\n")
    return place


def opened(project: Path) -> Context:
    return open_context(Project(project.resolve()), Choice(Environment.DEVELOPMENT, "test"), {})


def found(context: Context) -> dict[str, str]:
    """Return path and description of all that a question asked now would be answered from."""
    with knowledge(context) as base:
        assert base.notes == []
        return {entry.path: entry.description for entry in base.list()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three artifacts and a place for its index."""
    write(tmp_path, ".claude/agents/reader.md", "Reads diffs")
    write(tmp_path, ".claude/agents/writer.md", "Writes notes")
    write(tmp_path, ".claude/skills/baking/SKILL.md", "Bakes bread")
    (tmp_path / STATE).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def context(project: Path) -> Context:
    return opened(project)


@pytest.fixture
def place(context: Context) -> Path:
    """The file of an index that was built."""
    assert len(found(context)) == 3
    return context.root.state.path / index.FILE


@pytest.mark.usefixtures("place")
def test_an_edit_in_place_is_found_even_where_size_and_time_stay(project: Path, context: Context) -> None:
    file = project / ".claude/agents/reader.md"
    before = file.stat()
    with file.open("r+b") as open_file:
        open_file.write(file.read_bytes().replace(b"diffs", b"books"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert found(context)[".claude/agents/reader.md"] == "Reads books"


def test_an_edit_right_after_the_index_was_built_is_found(project: Path, context: Context) -> None:
    for number in range(20):
        write(project, ".claude/agents/reader.md", f"Reads {number:02d}")
        assert found(context)[".claude/agents/reader.md"] == f"Reads {number:02d}"


@pytest.mark.usefixtures("place")
def test_what_comes_goes_and_moves_is_found(project: Path, context: Context) -> None:
    write(project, ".claude/commands/deep/er/ship.md", "Ships it")
    (project / ".claude/agents/writer.md").rename(project / ".claude/agents/author.md")
    shutil.rmtree(project / ".claude/skills")
    assert found(context) == {
        ".claude/agents/reader.md": "Reads diffs",
        ".claude/agents/author.md": "Writes notes",
        ".claude/commands/deep/er/ship.md": "Ships it",
    }


@pytest.mark.usefixtures("place")
def test_a_plugin_that_is_added_is_found(project: Path, context: Context) -> None:
    write(project, "plugins/oven/skills/toasting/SKILL.md", "Toasts bread")
    assert len(found(context)) == 3
    (project / "plugins/oven/.claude-plugin").mkdir()
    (project / "plugins/oven/.claude-plugin/plugin.json").write_text('{"name": "oven"}')
    (project / "plugins/other").mkdir()
    with knowledge(context) as base:
        assert [entry.source for entry in base.get("oven:toasting")] == ["plugin:oven"]


@pytest.mark.usefixtures("place")
def test_a_hook_that_the_settings_come_to_name_is_told_from_its_parts(project: Path, context: Context) -> None:
    for name in ("guard.sh", "guard.py"):
        write(project, f".claude/hooks/{name}", "")
    assert {".claude/hooks/guard.sh", ".claude/hooks/guard.py"} < found(context).keys()
    settings = project / ".claude/settings.json"
    settings.write_text('{"hooks": {"Stop": [{"hooks": [{"command": "python3 .claude/hooks/guard.py"}]}]}}')
    assert [path for path in found(context) if "hooks/" in path] == [".claude/hooks/guard.py"]
    settings.write_text(settings.read_text().replace("guard.py", "guard.sh"))
    assert [path for path in found(context) if "hooks/" in path] == [".claude/hooks/guard.sh"]


def test_a_project_without_artifacts_has_an_index_without_rows(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / STATE).mkdir(parents=True)
    context = opened(tmp_path)
    assert found(context) == {}
    with knowledge(context) as base:
        assert base.stats()["artifacts"] == 0
        assert base.get("nothing") == []
    write(tmp_path, ".claude/rules/first.md", "The first")
    assert list(found(context).values()) == ["The first"]


@pytest.mark.usefixtures("place")
def test_only_what_has_changed_is_read_again(project: Path, context: Context) -> None:
    write(project, ".claude/agents/reader.md", "Reads books")
    os.utime(project / ".claude/agents/writer.md", ns=(1, 1))
    (project / ".claude/skills/baking/SKILL.md").unlink()
    write(project, ".claude/rules/new.md", "New")
    with knowledge(context, fresh=False) as base:
        taken = base.refresh()
    assert taken.changed == [".claude/agents/reader.md"]
    assert taken.added == [".claude/rules/new.md"]
    assert taken.removed == [".claude/skills/baking/SKILL.md"]
    with knowledge(context, fresh=False) as base:
        again = base.refresh()
    assert (again.added, again.changed, again.removed) == ([], [], [])


@pytest.mark.usefixtures("place")
def test_a_refresh_of_some_paths_takes_in_those(project: Path, context: Context) -> None:
    write(project, ".claude/agents/reader.md", "Reads books")
    write(project, ".claude/agents/writer.md", "Writes books")
    with knowledge(context, fresh=False) as base:
        taken = base.refresh([".claude/agents/reader.md", "src/main.py"])
        assert taken.changed == [".claude/agents/reader.md"]
        write(project, ".claude/agents/new.md", "New")
        assert base.refresh([".claude/agents/new.md"]).added == [".claude/agents/new.md"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:0], id="zero bytes"),
        pytest.param(lambda data: b"nonsense" * len(data), id="nonsense"),
        pytest.param(lambda data: data[:4_096], id="cut after a page"),
        pytest.param(lambda data: data[: len(data) // 2 + 7], id="cut short"),
        pytest.param(lambda data: data[:4_096] + bytes(len(data) - 4_096), id="pages zeroed"),
        pytest.param(lambda data: data[:60] + b"\x00\x00\x00\x07" + data[64:], id="another version"),
        pytest.param(lambda data: data[:100] + bytes(3_996) + data[4_096:], id="no tables"),
    ],
)
def test_a_damaged_index_is_built_anew(context: Context, place: Path, damage: object) -> None:
    place.write_bytes(damage(place.read_bytes()))  # type: ignore[operator]
    assert len(found(context)) == 3
    assert place.stat().st_mode & 0o777 == 0o600
    with knowledge(context, fresh=False) as base:
        assert base.is_kept
        assert len(base.list()) == 3


def test_a_damage_that_only_a_question_meets_is_mended(context: Context, place: Path) -> None:
    with closing(sqlite3.connect(place)) as db:
        db.execute("DROP TABLE artifact")
    assert len(found(context)) == 3


def test_a_journal_that_belongs_to_another_index_is_not_rolled_back(context: Context, place: Path) -> None:
    sound = place.read_bytes()
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9999) "
                   "SELECT i, hex(randomblob(90)) FROM n")  # fmt: skip
        journal = place.with_name(f"{index.FILE}-journal").read_bytes()
        assert journal
    place.write_bytes(b"nonsense" * 512)
    place.with_name(f"{index.FILE}-journal").write_bytes(journal)
    assert len(found(context)) == 3
    assert not place.with_name(f"{index.FILE}-journal").exists()
    place.write_bytes(sound)
    assert len(found(context)) == 3


def test_the_index_is_nobody_elses_to_read(place: Path) -> None:
    assert place.stat().st_mode & 0o777 == 0o600


def test_a_credential_enters_neither_index_nor_table(project: Path, context: Context) -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    place = write(project, ".claude/agents/leaky.md", f"Uses {token}")
    place.write_text(f"{place.read_text()}\n# {token}\n\nBody {token}\n")
    write(project, f".claude/agents/{token}.md", "In its name")
    with knowledge_anew(context) as base:
        base.export()
        assert base.taken is not None
        assert {(hit.path, hit.kind) for hit in base.taken.secrets} == {(".claude/agents/leaky.md", "github-token")}
        assert [reason for _, reason in base.taken.skipped] == ["its path holds a credential"]
        assert "[REDACTED:github-token]" in base.get("leaky")[0].description
    for file in (project / STATE / index.FILE, project / ".claude/knowledge/knowledge-base-index.csv"):
        assert token.encode() not in file.read_bytes()


def test_counts_of_use_outlive_the_index(project: Path, context: Context, place: Path) -> None:
    with knowledge(context) as base:
        base.set_usage([("reader", "agent", 7, "2026-01-01T00:00:00.000Z"), ("gone", "", 1, "")])
        base.set_usage([("reader", "agent", 7, "2026-01-01T00:00:00.000Z")])
        base.set_usage([("writer", "", 2, "2026-01-02T00:00:00.000Z")])
    write(project, ".claude/agents/reader.md", "Reads books")
    place.unlink()
    with knowledge(context) as base:
        used = {entry.name: (entry.usage_count, entry.last_used) for entry in base.list(sort="usage")}
    assert used["reader"] == (7, "2026-01-01T00:00:00.000Z")
    assert used["writer"] == (2, "2026-01-02T00:00:00.000Z")
    assert used["baking"] == (0, "")
    assert list(used) == ["reader", "writer", "baking"]


@pytest.mark.usefixtures("place")
def test_while_another_process_writes_the_old_answers_are_given_and_said_to_be_old(
    project: Path, context: Context
) -> None:
    write(project, ".claude/agents/reader.md", "Reads books")
    with exclusive(context.root.state, index.LOCK, doing="test"), knowledge(context) as base:
        assert base.get("reader")[0].description == "Reads diffs"
        assert [note.code for note in base.notes] == ["old-index"]
        assert "another process" in base.notes[0].message
    assert found(context)[".claude/agents/reader.md"] == "Reads books"


def test_a_first_index_that_another_process_builds_is_waited_for(context: Context) -> None:
    def build() -> None:
        with exclusive(context.root.state, index.LOCK, doing="test"):
            time.sleep(0.3)

    builder = threading.Thread(target=build)
    builder.start()
    time.sleep(0.1)
    assert len(found(context)) == 3
    builder.join()


def test_a_project_that_is_not_initialised_is_answered_from_memory_and_left_alone(project: Path) -> None:
    shutil.rmtree(project / ".agent-studio")
    context = opened(project)
    before = sorted(project.rglob("*"))
    with knowledge(context) as base:
        assert len(base.list()) == 3
        assert not base.is_kept
        assert [(note.code, note.hint) for note in base.notes] == [("not-kept", "agent-studio init --env development")]
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("is_built", [True, False])
def test_a_project_that_cannot_be_written_is_answered(is_built: bool) -> None:  # noqa: FBT001 - a case
    prefix = unprivileged()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        project = Path(folder, "project")
        write(project, ".claude/agents/reader.md", "Reads diffs")
        (project / STATE).mkdir(parents=True)
        if is_built:
            found(opened(project))
            write(project, ".claude/agents/reader.md", "Reads other books")
        everything = [project, *project.rglob("*")]
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)
        line = [
            *prefix,
            sys.executable,
            "-m",
            "agent_studio",
            "kb",
            "get",
            "reader",
            "--json",
            "--project",
            str(project),
        ]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
        assert sorted([project, *project.rglob("*")]) == sorted(everything)
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("Reads diffs" in done.stdout) == is_built or not is_built
    assert ("old-index" if is_built else "not-kept") in done.stdout


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "rename", "touch", "ask"]), st.integers(0, 5), st.text("ab", max_size=4)
    ),
    max_size=12,
)  # fmt: skip


@given(OPERATIONS)
def test_whatever_happens_to_the_tree_the_index_is_as_if_built_anew(operations: list[tuple[str, int, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / ".claude").mkdir()
        (project / STATE).mkdir(parents=True)
        context = opened(project)
        for kind, number, text in operations:
            place = project / f".claude/{('agents', 'rules/deep')[number % 2]}/file-{number}.md"
            if kind == "ask":
                found(context)
            elif kind == "write":
                write(project, str(place.relative_to(project)), text)
            elif place.exists() and kind == "delete":
                place.unlink()
            elif place.exists() and kind == "rename":
                place.rename(place.with_name(f"file-{number + 2}.md"))
            elif place.exists() and kind == "touch":
                os.utime(place)
        kept = found(context)
        with knowledge_anew(context) as base:
            assert kept == {entry.path: entry.description for entry in base.list()}


@pytest.mark.usefixtures("place")
def test_a_reader_sees_the_old_index_or_the_new_one_never_a_part(project: Path, context: Context) -> None:
    seen: set[int] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with knowledge(context, fresh=False) as base:
                assert base.is_kept
                seen.add(len(base.list()))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(6):
        for extra in range(40):
            write(project, f".claude/rules/{extra}.md", f"Rule {number}")
        with knowledge_anew(context):
            pass
        shutil.rmtree(project / ".claude/rules")
        with knowledge(context, fresh=False) as base:
            base.refresh()
    done.set()
    for reader in readers:
        reader.join()
    assert seen <= {3, 43}


def test_a_tree_that_changes_while_it_is_read_ends_up_as_it_is(project: Path, context: Context) -> None:
    done = threading.Event()
    chance = random.Random(1)

    def disturb() -> None:
        while not done.is_set():
            name = f".claude/rules/{chance.randrange(30)}"
            if chance.random() < 0.5:
                write(project, f"{name}/{chance.randrange(3)}.md", str(chance.random()))
            else:
                shutil.rmtree(project / name, ignore_errors=True)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        for _ in range(15):
            with knowledge_anew(context) as base:
                assert len(base.list()) >= 3
            with knowledge(context) as base:
                assert len(base.list()) >= 3
    finally:
        done.set()
        disturber.join()
    now = {str(path.relative_to(project)) for path in (project / ".claude").rglob("*.md")}
    assert set(found(context)) == now


@pytest.fixture
def large(project: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """An index of a tree that is too large for a search to ask all of."""
    monkeypatch.setattr(freshness, "ASKED", 60)
    monkeypatch.setattr(freshness, "_SHARE", 30)
    monkeypatch.setattr(freshness, "_LATEST", 3)
    for number in range(200):
        place = write(project, f".claude/rules/group-{number % 20}/rule-{number}.md", f"Rule {number}")
        os.utime(place, (1_000 + number, 1_000 + number))
    for place in project.rglob("*"):
        if place.stat().st_mtime > 10_000:
            os.utime(place, (900, 900))  # what has just been written is asked about always
    context = opened(project)
    found(context)
    return context


def test_of_a_large_tree_a_look_asks_a_share_and_every_file_has_its_turn(project: Path, large: Context) -> None:
    write(project, ".claude/rules/group-7/rule-7.md", "Changed")
    os.utime(project / ".claude/rules/group-7/rule-7.md", (500, 500))
    with knowledge(large, fresh=False) as base:
        looks = [freshness.look(base.db, large.project, moment) for moment in range(40)]
    assert all(0 < look.share < 0.5 for look in looks)
    assert {path for look in looks for path in look.files} == {".claude/rules/group-7/rule-7.md"}


def test_a_large_tree_is_not_walked_by_a_search_which_says_so(project: Path, large: Context) -> None:
    write(project, ".claude/new-top.md", "Not an artifact, but its folder changes")
    with knowledge(large) as base:
        assert [(note.code, note.hint) for note in base.notes] == [("old-index", "agent-studio kb build")]
    with knowledge_anew(large) as base:
        assert base.notes == []


def test_whenever_a_build_is_killed_the_next_question_is_answered(project: Path, context: Context) -> None:
    for number in range(150):
        write(project, f".claude/rules/rule-{number}.md", f"Rule {number}")
    expected = len(found(context))
    command = [sys.executable, "-m", "agent_studio", "kb", "build", "--project", str(project)]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole_s = time.monotonic() - started
    chance = random.Random(2)
    for _ in range(12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 1.0) * whole_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(found(context)) == expected
    with knowledge_anew(context):
        assert [name for name in (project / STATE).iterdir() if name.suffix == ".tmp"] == []
