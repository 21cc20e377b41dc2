"""A restore puts exactly what was backed up in the place of what is there, or leaves all as it is; nothing is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from tests.backup_world import World
from tests.test_switch import POSIX, _points

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import EnvironmentRoot, Project
from agent_studio.errors import AgentStudioError, BusyError, IntegrityError, StorageError, UsageError
from agent_studio.release.backups import backup, places, pruning, restore, restore_differences, verifying
from agent_studio.release.production import sessions
from agent_studio.storage import flush, journal

if TYPE_CHECKING:
    from tests.backup_world import Tree
    from tests.conftest import Finished, Studio


EVERY = 5
"""Of the points of a kill; `bench/release_kills.py` takes every one."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("at_once", [True, False], ids=["synced at once", "file by file"])
def test_data_become_what_they_were_and_the_way_back_is_kept(
    world: World,
    at_once: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not at_once:
        monkeypatch.setattr(flush, "is_available", lambda: False)
    (world.data / "context/artifacts").mkdir()
    before, made = world.tree(), world.create()
    world.change()
    (world.data / "context/artifacts").rmdir()
    (world.data / "agents/other").mkdir()
    changed = world.tree()
    done = world.restore(made.id)
    assert world.tree() == before
    assert (world.backups / "restore.json").exists() is False
    assert not (world.backups / "restoring").exists()
    world.restore(done.before)
    assert world.tree() == changed
    steps = [(one["step"], one.get("backup")) for one in places.steps(world.root)]
    assert ("restored", made.id) in steps


def test_the_inbox_and_the_clients_own_memory_stay_as_they_are(world: World) -> None:
    world.write("agents/reader/MEMORY.md", b"as it was")
    world.write("agents/gone/MEMORY.md", b"comes back")
    made = world.create()
    shutil.rmtree(world.data / "agents/gone")
    inbox = world.write("metrics/events.jsonl", b'{"ts":1}\n')
    sealed = world.write("metrics/events.20260101T000000.000Z-0123456789ab.jsonl", b'{"ts":0}\n')
    newer = world.write("agents/reader/MEMORY.md", b"the client's")
    unknown = world.write("agents/new/MEMORY.md", b"the client's as well")
    world.write("agents/reader/hot.jsonl", b"changed")
    world.restore(made.id)
    kept = inbox, sealed, newer, unknown, world.data / "agents/gone/MEMORY.md"
    assert [place.read_bytes() for place in kept] == [
        b'{"ts":1}\n', b'{"ts":0}\n', b"the client's", b"the client's as well", b"comes back",
    ]  # fmt: skip


def test_with_an_archive_all_that_is_there_moves_aside_whole(world: World) -> None:
    before, made = world.tree(), world.create()
    world.change()
    world.write("metrics/events.jsonl", b'{"ts":1}\n')
    changed = world.tree()
    world.restore(made.id, archive="archive/then")
    assert world.tree() == before
    aside = world.project.path / ".agent-studio/staging/archive/then"
    assert {place.relative_to(aside).as_posix() for place in aside.rglob("*") if place.is_file()} == {
        name for name, found in changed.items() if found is not None
    }


@POSIX
@pytest.mark.parametrize("archive", ["", "archive/then"])
def test_what_others_write_while_it_goes_on_is_in_the_data_a_backup_or_kept_aside(world: World, archive: str) -> None:
    metrics, written = world.root.folder("metrics"), list[int]()
    made = world.create()
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            with suppress(FileNotFoundError, AgentStudioError):  # the folder itself is gone for a moment
                journal.append(metrics, "hooks.jsonl", [{"number": number}])
                written.append(number)
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        done = [world.restore(made.id, archive=archive and f"{archive}-{turn}") for turn in range(4)]
    finally:
        stop.set()
        thread.join()
    assert len(written) > 20
    lines = (world.data / "metrics/hooks.jsonl").read_bytes()
    for place in (world.project.path / ".agent-studio/staging/archive").rglob("hooks.jsonl"):
        lines += place.read_bytes()
    for one in backup.listed(world.root):
        held = [item for item in backup.load(world.root, str(one["id"])).data.files if item.path == "hooks.jsonl"]
        lines += b"".join(places.Pieces(world.root).read(name) for item in held for name in item.pieces)
    found = {json.loads(line).get("number") for line in lines.splitlines()}
    assert set(written) <= found
    told = [note for one in done for note in one.notes]
    assert any("metrics/hooks.jsonl" in note for note in told)


def test_it_is_refused_while_somebody_works_with_the_data(world: World) -> None:
    made = world.create()
    world.change()
    changed = world.tree()
    with sessions.session(world.project, "claude", "staging"), pytest.raises(BusyError, match="claude"):
        world.restore(made.id)
    assert world.tree() == changed
    with sessions.session(world.project, "claude", "development"):  # another environment's data
        world.restore(made.id)


def test_it_is_refused_while_the_daemon_runs(staged: Studio) -> None:
    import subprocess
    import sys
    import time

    made = staged.json("backup", "create", "--env", "staging")["backup"]
    command = [sys.executable, "-m", "agent_studio", "serve", "--env", "staging", "--port", "0"]
    serving = subprocess.Popen(command, cwd=staged.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while not (staged.path / ".agent-studio/staging/serve.json").exists() and time.monotonic() < until:
            time.sleep(0.05)
        refused = staged.run("backup", "restore", made, "--yes", "--env", "staging")
        assert (refused.code, f"process {serving.pid}" in refused.err) == (5, True), refused.err
    finally:
        serving.terminate()
        serving.wait(20)
    assert staged.run("backup", "restore", made, "--yes", "--env", "staging").code == 0


def test_what_is_no_plain_file_is_never_overwritten_or_removed(world: World) -> None:
    made = world.create()
    link = world.data / "memory/learnings.md"
    link.unlink()
    link.symlink_to("/etc/hostname")
    with pytest.raises(StorageError, match="it is a link"):
        world.restore(made.id)
    link.unlink()
    other = world.data / "memory/other.md"
    other.symlink_to("/etc/hostname")
    world.restore(made.id)
    assert other.is_symlink()
    assert link.read_bytes().startswith(b"# Learnt")


def test_a_disk_without_room_is_found_before_anything_is_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world.create()
    world.change()
    changed, pieces = world.tree(), world.objects()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 10))
    with pytest.raises(StorageError, match="10 are free"):
        world.restore(made.id)
    assert (world.tree(), world.objects()) == (changed, pieces)


def _ends(world: World) -> tuple[str, Tree, Tree]:
    """Make a backup and other data; return its id, the data to restore and the data that is there."""
    wanted, made = world.tree(), world.create()
    world.change()
    return made.id, wanted, world.tree()


@POSIX
@pytest.mark.parametrize("archive", ["", "archive/then"])
def test_killed_at_any_change_of_a_file_it_recovers_to_exactly_old_or_new(tmp_path: Path, archive: str) -> None:
    first = World(tmp_path / "base")
    own, wanted, there = _ends(first)
    shutil.copytree(tmp_path / "base", tmp_path / "count", symlinks=True)
    points = _points(0, partial(_opened(tmp_path / "count").restore, own, archive=archive))
    assert points > 40
    ends = []
    for point in range(1 + points % EVERY, points + 1, EVERY):
        place = tmp_path / "killed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(tmp_path / "base", place, symlinks=True)
        world = _opened(place)
        assert _points(point, partial(world.restore, own, archive=archive)) == point
        decided = (world.backups / "restore.json").exists()
        if decided:
            with pytest.raises(places.RestoreInterruptedError):
                world.create()
            with (
                pytest.raises(places.RestoreInterruptedError),
                sessions.session(world.project, "claude", "staging"),
            ):
                pass
        assert bool(world.recover()) == decided
        live = world.tree()
        assert live == (wanted if decided else live), point
        assert live in (wanted, there), point
        ends.append(live == wanted)
        for one in backup.listed(world.root):
            assert verifying.verify(world.root, str(one["id"])).passed, point
        world.restore(own)  # the next try succeeds and leaves nothing behind
        assert world.tree() == wanted
        pruning.prune(world.root, lambda _: None, keep=50)
        assert _debris(world) == []
    assert ends == sorted(ends)  # once decided, never back
    assert {True, False} == set(ends)


def _opened(place: Path) -> World:
    world = World.__new__(World)
    world.project = Project(Path(os.path.realpath(place / "project")))
    world.root = world.context.root
    return world


def _debris(world: World) -> list[str]:
    names = (place.name for place in (world.project.path / ".agent-studio").rglob("*"))
    return [name for name in names if name.endswith(".tmp") or name in {"trial", "restoring"}]


@POSIX
def test_killed_in_recovery_it_recovers_and_keeps_what_was_written_since(tmp_path: Path) -> None:
    base = World(tmp_path / "base")
    own, wanted, _ = _ends(base)
    points = _points(0, partial(_interrupted, base, own))
    assert points == 0  # it died before it was done
    shutil.copytree(tmp_path / "base", tmp_path / "count", symlinks=True)
    points = _points(0, _opened(tmp_path / "count").recover)
    assert points > 30
    for point in range(1 + points % EVERY, points + 1, EVERY):
        place = tmp_path / "killed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(tmp_path / "base", place, symlinks=True)
        world = _opened(place)
        world.write("memory/since.md", b"written since")
        assert _points(point, world.recover) == point
        world.recover()
        assert world.tree() == wanted, point
        kept = [one for made in backup.listed(world.root) for one in _paths(world, str(made["id"]))]
        assert "memory/since.md" in kept, point


def _paths(world: World, own: str) -> list[str]:
    return [f"{one.kind}/{one.path}" for one in backup.load(world.root, own).data.files]


def _interrupted(world: World, own: str) -> None:
    """Restore and die in the middle of it."""
    with mock.patch.object(restore_differences, "apply", side_effect=lambda *_: os._exit(9)):
        world.restore(own)


def test_a_damaged_journal_of_a_restore_is_told(world: World) -> None:
    (world.project.path / ".agent-studio/staging/backups").mkdir(parents=True, exist_ok=True)
    (world.backups / "restore.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"restore\.json is damaged"):
        world.recover()


def test_production_is_restored_with_yes_only_and_never_from_stagings_backup(staged: Studio) -> None:
    assert staged.run("init", "--env", "production", "--no-hooks").code == 0
    of_staging = staged.json("backup", "create", "--env", "staging")["backup"]
    own = staged.json("backup", "create", "--env", "production")["backup"]
    notes = staged.write(".claude/memory/learnings.md", "# Learnt in production\n")
    refused = staged.run("backup", "restore", of_staging, "--yes", "--env", "production")
    assert (refused.code, "it is staging's" in refused.err) == (2, True)
    assert staged.run("backup", "restore", own, "--env", "production").code == 2
    planned = staged.json("backup", "restore", own, "--dry-run", "--env", "production")
    assert (planned["written"], planned["dryRun"]) == (["memory/learnings.md"], True)
    assert notes.read_text() == "# Learnt in production\n"
    done = staged.run("backup", "restore", own, "--yes", "--env", "production")
    assert done.code == 0
    assert "the way back: agent-studio backup restore" in done.out
    assert notes.read_text() != "# Learnt in production\n"


def test_data_that_production_shares_is_restored_as_productions(staged: Studio) -> None:
    assert staged.run("init", "--env", "production", "--no-hooks").code == 0
    assert staged.run("init", "--env", "development", "--no-hooks").code == 0
    own = staged.json("backup", "create", "--env", "development")["backup"]
    notes = staged.write(".claude/memory/learnings.md", "# Learnt in production\n")
    refused = staged.run("backup", "restore", own, "--env", "development")
    assert (refused.code, "of development and production is one" in refused.err) == (2, True)
    planned = staged.run("backup", "restore", own, "--dry-run", "--env", "development")
    assert "in the data of development and production, 1 files would be written" in planned.out
    assert staged.json("backup", "restore", own, "--dry-run", "--env", "development")["sharedBy"] == ["production"]
    project = Project(staged.path.resolve())
    with (
        places.alone(project_root(project, Environment.PRODUCTION), "a test"),
        sessions.session(project, "x", "staging"),
    ):
        assert staged.run("backup", "restore", own, "--yes", "--env", "development").code == 5
    with sessions.session(project, "claude", "production"):
        assert staged.run("backup", "restore", own, "--yes", "--env", "development").code == 5
    assert notes.read_text() == "# Learnt in production\n"
    done = staged.run("backup", "restore", own, "--yes", "--env", "development")
    assert "Data of development and production is that of" in done.out


def project_root(project: Project, environment: Environment) -> EnvironmentRoot:
    return EnvironmentRoot(project, environment, "", {})


def test_while_a_restore_is_interrupted_nobody_uses_data_that_is_shared(staged: Studio) -> None:
    assert staged.run("init", "--env", "production", "--no-hooks").code == 0
    own = staged.json("backup", "create", "--env", "development")["backup"]
    staged.write(".claude/memory/learnings.md", "# Learnt in production\n")
    context = open_context(Project(staged.path.resolve()), Choice(Environment.DEVELOPMENT, "--env"), {})

    def die() -> None:
        with mock.patch.object(restore_differences, "apply", side_effect=lambda *_: os._exit(9)):
            restore.restore(context, own, lambda _: None)

    _points(0, die)
    for environment in ("development", "production"):
        for verb in (("backup", "create"), ("run", "--", "true"), ("ingest",), ("init", "--no-hooks")):
            refused = staged.run(*verb[:1], "--env", environment, *verb[1:])
            assert (refused.code, "agent-studio recover" in refused.err) == (6, True), (environment, verb, refused)
    assert staged.run("ingest", "--env", "staging").code == 0
    assert staged.run("recover").code == 0
    assert staged.run("backup", "create", "--env", "production").code == 0


def test_recover_ends_a_restore_that_was_interrupted(staged: Studio) -> None:
    made = staged.json("backup", "create", "--env", "staging")["backup"]
    notes = staged.path / ".claude/staging/memory/learnings.md"
    before = notes.read_bytes()
    notes.write_text("changed")
    world = World.__new__(World)
    world.project = Project(staged.path.resolve())
    _points(0, partial(_interrupted, world, made))
    for verb in (("backup", "create"), ("run", "--", "true"), ("rollback", "--level", "1", "--reason", "x", "--yes")):
        refused = staged.run(*verb[:1], "--env", "staging", *verb[1:])
        assert (refused.code, "agent-studio recover" in refused.err) == (6, True), (verb, refused)
    done = staged.json("recover")
    assert done["restored"] == [{"environment": "staging", "backup": made}]
    assert notes.read_bytes() == before
    assert staged.run("recover").out.strip().endswith("Nothing was interrupted")


def test_a_ledger_that_a_restore_put_back_is_no_fault_and_a_cut_one_is(staged: Studio) -> None:
    def use() -> None:
        words = ("cost", "record", "--model", "claude-sonnet-4-5", "--input-tokens", "1", "--output-tokens", "1")
        assert staged.run(*words, "--env", "staging").code == 0

    def verified() -> Finished:
        return staged.run("cost", "verify", "--env", "staging")

    def calm() -> None:
        assert verified().code == 0
        assert staged.run("alerts", "list", "--env", "staging").code == 0
        assert "by somebody else" not in staged.run("cost", "report", "--env", "staging").err

    use()
    made = staged.json("backup", "create", "--env", "staging")["backup"]
    use()
    calm()
    done = staged.run("backup", "restore", made, "--yes", "--env", "staging")
    assert (done.code, "ends at record 1 now" in done.err) == (0, True)
    kept = re.search(r"ended at record 2: it is in (.*/archive/ledger-.*)/metrics", verified().err)
    assert kept is not None
    assert len(Path(kept[1], "metrics/llm-usage.log").read_bytes().splitlines()) == 2
    calm()
    use()
    use()
    calm()
    back = staged.json("backup", "list", "--env", "staging")["backups"][-1]["backup"]
    staged.run("backup", "restore", back, "--yes", "--env", "staging")
    calm()  # the other branch of it is left behind as well
    place = staged.path / ".claude/staging/metrics/llm-usage.log"
    place.write_bytes(b"".join(place.read_bytes().splitlines(keepends=True)[:-1]))
    assert verified().code == 8  # all that is missing was put aside once, and came back
    assert "records 2 to 2 of the ledger are gone" in staged.run("alerts", "list", "--env", "staging").out
    assert "by somebody else" in staged.run("cost", "report", "--env", "staging").err


def test_what_is_asked_for_has_to_be_there(world: World) -> None:
    with pytest.raises(UsageError, match="has no backup"):
        world.restore("20260101T000000.000Z-00000000")
    with pytest.raises(AgentStudioError):
        world.restore("../../x")
    assert json.loads((world.data / "context/evolution-state.json").read_text()) == {}
