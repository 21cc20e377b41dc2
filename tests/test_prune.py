"""Cleaning up takes only what nothing needs, says so first, and is whole again whenever it was killed."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.backup_world import World as DataWorld
from tests.release_world import World
from tests.test_switch import NEW, OLD, POSIX, Pair, _points

from agent_studio import clock
from agent_studio.errors import BusyError, IntegrityError, UsageError
from agent_studio.release import evidence, prune
from agent_studio.release.backups import backup, pruning, repairing, verifying
from agent_studio.release.content import candidates, manifest
from agent_studio.release.content.store import Store
from agent_studio.release.production import history, switch
from agent_studio.storage import contents

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

needs_tools = pytest.mark.skipif(
    None in map(shutil.which, ("ssh-keygen", "git")), reason="ssh-keygen or git is missing"
)


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let it be some days later."""
    moment = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr(clock, "now", lambda: moment)


def _live(pair: Pair, files: dict[str, tuple[bytes, bool]], step: str, *, healthy: bool | None) -> str:
    """Make files live and note whether they proved themselves; return the release."""
    own = pair.to(files, step)
    release = pair.store.put(manifest.render(pair.entries(files)))
    if healthy is not None:
        told = {"passed": 1, "failed": 0, "faults": []}
        history.append(
            pair.project, {"step": history.HEALTH, "id": own, "release": release, "healthy": healthy, "smoke": told}
        )
    return release


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    made.write(OLD)
    return made


def _several(pair: Pair) -> list[str]:
    """Four releases: healthy, failed, never proven, healthy and live."""
    first = _live(pair, OLD, history.PROMOTE, healthy=True)
    failed = _live(pair, {**OLD, "agents/a.md": (b"failed", False)}, history.PROMOTE, healthy=False)
    adopted = _live(pair, {**OLD, "agents/a.md": (b"adopted", False)}, history.ADOPT, healthy=None)
    return [first, failed, adopted, _live(pair, NEW, history.PROMOTE, healthy=True)]


def test_what_is_live_was_healthy_is_recent_or_witnessed_stays(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    first, failed, adopted, live = _several(pair)
    orphan = pair.store.put(b"nobody names this")
    kept = pair.store.put(b"an edit that was in the way")
    edit = {"path": "agents/a.md", "sha256": kept}
    history.append(pair.project, {"step": history.KEPT, "id": "x:agents/a.md", "files": [edit]})
    assert prune.prune(pair.project, lambda _: None, keep=1).objects == 0  # all was written in the last hour
    assert history.read(pair.project).pruned == {failed, adopted}
    later(monkeypatch, 1)
    assert prune.prune(pair.project, lambda _: None, keep=1).objects == 5  # two manifests, two files, the orphan
    store = pair.store
    assert [store.has(one) for one in (first, failed, adopted, live, orphan, kept)] == [
        True, False, False, True, False, True,
    ]  # fmt: skip
    for one in (first, live):
        for entry in store.manifest(one).values():
            store.read(entry.sha256)
    _live(pair, {**OLD, "agents/a.md": (b"failed", False)}, history.PROMOTE, healthy=False)  # live once more
    assert history.read(pair.project).pruned == {adopted}


def test_the_last_few_stay_whatever_became_of_them(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    _, failed, adopted, _ = _several(pair)
    later(monkeypatch, 1)
    assert prune.prune(pair.project, lambda _: None, keep=4).releases == []
    assert prune.prune(pair.project, lambda _: None, keep=2, dry_run=True).releases == [failed]
    assert prune.prune(pair.project, lambda _: None, keep=2).releases == [failed]
    assert pair.store.has(adopted)


def test_it_keeps_out_of_the_way_of_a_promotion(pair: Pair) -> None:
    with switch.alone(pair.project, "a promotion"), pytest.raises(BusyError):
        prune.prune(pair.project, lambda _: None)


def test_a_damaged_history_or_manifest_stops_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = _several(pair)
    later(monkeypatch, 1)
    names = set(pair.store.names())
    place = pair.project.path / f".agent-studio/{contents.FOLDER}/{first[:2]}/{first[2:]}"
    whole = place.read_bytes()
    place.write_bytes(whole[:-5])
    with pytest.raises(IntegrityError):
        prune.prune(pair.project, lambda _: None, keep=1)
    place.write_bytes(whole)
    lines = pair.project.path / ".agent-studio/releases/history.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"adopt"', b'"adapt"'))
    with pytest.raises(IntegrityError):
        prune.prune(pair.project, lambda _: None, keep=1)
    assert set(pair.store.names()) == names


@POSIX
def test_killed_at_any_change_of_a_file_nothing_that_is_needed_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "_NEW_S", -1)
    first = Pair(tmp_path / "base")
    first.write(OLD)
    healthy, _, _, live = _several(first)
    first.store.put(b"nobody names this")

    def copied(name: str) -> Pair:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        shutil.copytree(tmp_path / "base", tmp_path / name)
        pair = Pair.__new__(Pair)
        pair.project = first.project._replace(path=(tmp_path / name / "work").resolve())
        pair.store = Store(pair.project)
        return pair

    points = _points(0, partial(prune.prune, copied("count").project, lambda _: None, keep=1))
    assert points > 5
    for point in range(1, points + 1):
        pair = copied("killed")
        assert _points(point, partial(prune.prune, pair.project, lambda _: None, keep=1)) == point
        for _ in range(2):
            past = history.read(pair.project)
            for name in {one.release for one in past.releases} - past.pruned:
                for entry in pair.store.manifest(name).values():
                    pair.store.read(entry.sha256)
            prune.prune(pair.project, lambda _: None, keep=1)
        assert {one for one in (healthy, live) if pair.store.has(one)} == {healthy, live}
        assert len(set(pair.store.names())) == len(set(first.store.names())) - 5


@needs_tools
def test_the_command_forgets_old_candidates_and_what_verify_says_stays_green(
    bare: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(bare, tmp_path)
    world.promoted("first")
    world.edit("tried and left")
    left = candidates.create(world.project).candidate
    world.edit("tried and tested")
    tested = candidates.create(world.project).candidate
    evidence.record(world.staging, "smoke", tested, evidence.FAIL, {"reason": "a test"})
    world.edit("what is worked at")
    own = candidates.create(world.project).candidate
    assert world.data("release", "prune", "--dry-run")["candidates"] == []
    later(monkeypatch, 31)
    world.must("release", "prune", code=2)  # nobody is there to agree
    planned = world.data("release", "prune", "--dry-run")
    assert planned["candidates"] == [left]
    done = world.data("release", "prune", "--yes")
    assert (done["candidates"], done["objects"]) == ([left], planned["objects"])
    assert done["objects"] > 0
    assert set(candidates.made(world.project)) >= {tested, own}
    assert left not in candidates.made(world.project)
    world.must("release", "verify")
    assert world.data("release", "prune", "--yes")["objects"] == 0
    world.must("release", "prune", "--keep", "0", code=2)
    world.must("candidate", "show", tested[:12])


@needs_tools
def test_what_a_new_production_holds_is_no_drift_once_old_bytes_went(
    bare: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(bare, tmp_path)
    world.edit("# Another\n")
    later(monkeypatch, 1)
    world.must("release", "prune", "--yes")
    assert {one["name"]: one["verdict"] for one in world.data("gate")["requirements"]}["drift"] == "PASS"


def test_old_backups_go_with_their_pieces_and_what_is_named_or_sound_stays(tmp_path: Path) -> None:
    world = DataWorld(tmp_path)
    made = []
    for number in range(5):
        world.write("memory/learnings.md", f"version {number}".encode())
        made.append(world.create().id)
    pieces = len(world.objects())
    planned = pruning.prune(world.root, lambda _: None, keep=2, named=made[:1], dry_run=True)
    assert (planned.gone, len(world.objects())) == (made[1:3], pieces)
    done = pruning.prune(world.root, lambda _: None, keep=2, named=made[:1])
    assert (done.gone, done.pieces, done.left) == (made[1:3], 2, 3)
    assert len(world.objects()) == pieces - 2
    assert [one["id"] for one in backup.listed(world.root)] == [made[0], *made[3:]]
    for own in (made[0], *made[3:]):
        assert verifying.verify(world.root, own).passed
    with pytest.raises(UsageError):
        backup.load(world.root, made[1])


def test_the_newest_backup_that_verifies_is_never_removed(tmp_path: Path) -> None:
    world = DataWorld(tmp_path)
    sound = world.create().id
    world.write("memory/learnings.md", b"only in the second")
    broken = world.create()
    one = next(one for one in broken.data.files if one.path == "learnings.md")
    (world.backups / f"objects/{one.pieces[0][:2]}/{one.pieces[0][2:]}").unlink()
    done = pruning.prune(world.root, lambda _: None, keep=1)
    assert (done.gone, done.kept) == ([], {sound: "it is the newest that verifies"})
    assert verifying.newest(world.context) == sound


@POSIX
def test_backups_are_removed_on_a_disk_that_takes_no_more_data(tmp_path: Path) -> None:
    import resource

    world = DataWorld(tmp_path)
    world.write("memory/big.md", b"big" * 1_000_000)
    first, second = world.create().id, world.create().id
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))  # as full as it has to be for a trial
    try:
        assert pruning.prune(world.root, lambda _: None, keep=1).gone == [first]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert verifying.verify(world.root, second).passed


def test_a_damaged_manifest_that_stays_is_named_and_goes_by_its_name(tmp_path: Path) -> None:
    world = DataWorld(tmp_path)
    sound = [world.create().id for _ in range(2)]
    damaged, newest = world.create().id, world.create().id
    (world.backups / f"{damaged}.json").write_text("{}")
    with pytest.raises(IntegrityError, match="nobody can tell which pieces it needs") as told:
        pruning.prune(world.root, lambda _: None, keep=3)
    assert f"backup prune {damaged} --env staging" in told.value.hint
    assert pruning.prune(world.root, lambda _: None, only=[damaged]).gone == [damaged]
    with pytest.raises(UsageError, match="has no backup"):
        pruning.prune(world.root, lambda _: None, only=[damaged])
    kept = pruning.prune(world.root, lambda _: None, only=[newest])
    assert kept.kept == {newest: "it is the newest that verifies"}
    for own in (*sound, newest):
        assert verifying.verify(world.root, own).passed


@pytest.mark.parametrize("damage", ["a changed byte", "gone with its head", "gone", "cut off"])
def test_a_damaged_journal_is_begun_anew_with_every_backup_that_is_whole(tmp_path: Path, damage: str) -> None:
    world = DataWorld(tmp_path)
    first = world.create("sound")
    world.write("memory/learnings.md", b"only in the second")
    broken = world.create()
    one = next(one for one in broken.data.files if one.path == "learnings.md")
    (world.backups / f"objects/{one.pieces[0][:2]}/{one.pieces[0][2:]}").unlink()
    world.write("memory/learnings.md", b"third")
    third = world.create()
    place = world.backups / "backups.jsonl"
    written = place.read_bytes()
    if damage == "a changed byte":
        place.write_bytes(written.replace(b"sound", b"found"))
    elif damage == "cut off":
        place.write_bytes(b"".join(written.splitlines(keepends=True)[:-1]))
    else:
        place.unlink()
    if damage == "gone with its head":
        (world.backups / "backups.jsonl.head").unlink()
        assert pruning.prune(world.root, lambda _: None, keep=1).pieces == 0
        assert len(list(world.backups.glob("2*.json"))) == 3
    else:
        with pytest.raises(IntegrityError) as told:
            world.create()
        assert told.value.hint == "agent-studio backup verify --repair --env staging"
    (found,) = repairing.findings(world.root)
    assert (found.severity, found.fix) == ("error", "agent-studio backup verify --repair --env staging")
    done = repairing.repair(world.root)
    assert done is not None
    assert (done.kept, list(done.left_out)) == ([first.id, third.id], [broken.id])
    assert done.aside.startswith(f"{place}.damaged-") is not damage.startswith("gone")
    assert [(line["id"], line["reason"], line["by"]) for line in backup.listed(world.root)] == [
        (first.id, "sound", "user"), (third.id, "a test", "user"),
    ]  # fmt: skip
    assert backup.load(world.root, third.id) == third
    assert list(repairing.findings(world.root)) == []
    assert repairing.repair(world.root) is None
    world.create()


@needs_tools
def test_the_command_repairs_and_level_3_waits_for_it(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    sound = world.data("backup", "create", "--env", "staging")["backup"]
    place = world.staging.root.state.at("backups").path / "backups.jsonl"
    place.write_bytes(place.read_bytes().replace(b"user", b"uses"))
    refused = world.must("rollback", "--level", "3", "--reason", "x", "--yes", code=8)
    assert "backup verify --repair --env staging" in refused.err
    assert "backups: " in world.must("doctor", "--env", "staging", code=1).out
    done = world.must("backup", "verify", "--repair", "--env", "staging")
    assert "the new one names 1 backups" in done.err
    assert world.data("rollback", "--level", "3", "--reason", "x", "--yes")["restored"] == sound


@needs_tools
def test_backups_that_the_history_names_stay_from_whichever_checkout(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    world.promoted("first")
    world.promoted("second")
    named = {str(one["backup"]) for one in history.read(world.project).records if one.get("backup")}
    there = ("--env", "production", "--project", str(world.live))
    made = world.data("backup", "create", *there)
    current = history.read(world.project).current
    assert current is not None
    assert made["release"] == current.release
    world.data("backup", "create", *there)
    kept = world.data("backup", "prune", "--keep", "1", "--yes", *there)
    assert kept["removed"] == [made["backup"]]
    assert named <= {str(one["backup"]) for one in world.data("backup", "list", *there)["backups"]}
    owner = world.live / ".agent-studio/production-of"
    owner.write_text(json.dumps({**json.loads(owner.read_text()), "project": str(tmp_path / "gone")}))
    assert "which is not there" in world.must("backup", "prune", "--keep", "1", "--yes", *there, code=8).err


def test_backups_go_by_their_age_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = DataWorld(tmp_path)
    old = world.create().id
    later(monkeypatch, 10)
    newer = [world.create().id for _ in range(3)]
    assert pruning.prune(world.root, lambda _: None, keep=1, older_than_days=11).gone == []
    assert pruning.prune(world.root, lambda _: None, keep=1, older_than_days=9).gone == [old]
    assert [one["id"] for one in backup.listed(world.root)] == newer


@POSIX
def test_a_removal_of_backups_that_was_killed_leaves_only_whole_ones(tmp_path: Path) -> None:
    base = DataWorld(tmp_path / "base")
    for number in range(4):
        base.write("memory/learnings.md", f"version {number}".encode())
        base.create()
    pieces = len(base.objects())

    def copied(name: str) -> DataWorld:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        shutil.copytree(tmp_path / "base", tmp_path / name)
        world = DataWorld.__new__(DataWorld)
        world.project = base.project._replace(path=(tmp_path / name / "project").resolve())
        world.root = world.context.root
        return world

    points = _points(0, partial(pruning.prune, copied("count").root, lambda _: None, keep=1))
    assert points > 6
    for point in range(1 + points % 3, points + 1, 3):
        world = copied("killed")
        assert _points(point, partial(pruning.prune, world.root, lambda _: None, keep=1)) == point
        for one in backup.listed(world.root):
            assert verifying.verify(world.root, str(one["id"])).passed, point
        pruning.prune(world.root, lambda _: None, keep=1)
        assert len(backup.listed(world.root)) == 1
        assert len(world.objects()) == pieces - 3
        assert len([place for place in world.backups.iterdir() if place.suffix == ".json"]) == 1
