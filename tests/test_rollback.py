"""The ways back: staging anew, production at its last healthy release, a backup or none; nothing is lost on any."""

from __future__ import annotations

import re
import shutil

import pytest
from tests.release_world import FEW, World, git

from agent_studio.release import evidence
from agent_studio.release.backups import backup, verifying
from agent_studio.release.content.git import GitError
from agent_studio.release.content.git import run as run_git
from agent_studio.release.production import history, sessions
from agent_studio.release.production.sides import open_sides

pytestmark = [
    pytest.mark.skipif(None in map(shutil.which, ("ssh-keygen", "git")), reason="ssh-keygen or git is not here"),
]


def back(world: World, level: int, *arguments: str, code: int = 0) -> str:
    words = ("rollback", "--level", str(level), "--reason", "a trial", *arguments, *FEW)
    return world.must(*words, code=code).out


def test_level_1_makes_staging_anew_and_loses_nothing(world: World) -> None:
    notes = world.project.path / ".claude/staging/memory/learnings.md"
    notes.write_text("# Learnt\n")
    candidate = world.gather()
    before = world.studio.snapshot(".claude/agents")
    planned = back(world, 1, "--dry-run")
    for told in (
        "staging data: 6 of 6", "sessions: none runs in staging", "disk: ", "archive: move", "smoke: run",
        "release: production has no release and stays", "backup of staging: ", "nothing was changed (--dry-run)",
    ):  # fmt: skip
        assert told in planned
    assert backup.listed(world.staging.root) == []
    assert notes.read_text() == "# Learnt\n"
    back(world, 1, code=2)  # nobody is there to agree
    told = back(world, 1, "--yes")
    assert "smoke" in told
    assert notes.read_text() != "# Learnt\n"
    archived = list((world.project.path / ".agent-studio/staging/archive").rglob("learnings.md"))
    assert [place.read_text() for place in archived] == ["# Learnt\n"]
    assert world.studio.snapshot(".claude/agents") == before
    found = evidence.of(world.project, world.staging.environment, candidate).evidence
    assert found["burnin"].verdict == "INSUFFICIENT"  # it starts anew
    assert found["smoke"].verdict == "PASS"  # what else was found of the candidate still holds
    line = history.read(world.project).records[-1]
    assert (line["step"], line["level"], line["reason"]) == ("restart", 1, "a trial")
    made = backup.listed(world.staging.root)
    assert [(one["id"], one["reason"]) for one in made] == [(line["backup"], "before rollback level 1")]
    assert f"backup of staging: {line['backup']}" in told
    counts = re.search(r"evidence: (\d+) pieces are kept, (\d+) were there", told)
    assert counts is not None
    assert int(counts[1]) > int(counts[2]) >= 12
    assert f"in use; 6 of 6 data folders are there; a burn-in of {candidate[:12]} starts anew" in told


@pytest.mark.parametrize("level", [1, 3])
def test_levels_1_and_3_never_act_on_production(world: World, level: int) -> None:
    before = world.studio.snapshot()
    back(world, level, "--yes", "--env", "production", code=2)
    assert world.studio.snapshot() == before


def test_level_2_brings_the_last_healthy_release_back(world: World) -> None:
    world.must("rollback", "--level", "2", "--reason", "none", "--yes", code=1)  # there is none
    first = world.promoted("first")
    second = world.promoted("second")
    (world.live / ".claude/agents/code-reviewer.md").write_text("edited by hand")
    planned = back(world, 2, "--dry-run")
    assert f"Production is release {second} and would be {first}\n" in planned
    assert "backup of production" in planned
    assert "production smoke: " in planned
    told = world.data("rollback", "--level", "2", "--reason", "x", "--dry-run")
    assert (told["release"], told["wouldBe"]) == (second, first)
    assert {one["name"] for one in told["steps"] if one["verdict"] == "PASS"} >= {"disk", "release", "sessions"}
    assert world.reads() == "edited by hand"
    back(world, 2, "--yes", code=3)  # the project has no suite that could show that all is well
    assert world.reads() == "first"
    current = history.read(world.project).current
    assert current is not None
    assert (current.step, current.release, current.record["previous"], current.healthy) == (
        "rollback", first, second, True,
    )  # fmt: skip
    world.must("release", "verify")


def test_level_2_does_without_a_staging_that_cannot_be_opened(world: World) -> None:
    world.promoted("first")
    world.promoted("second")
    world.studio.write(".claude/config.staging.yaml", "environment: staging\nmonitoring: [\n")
    back(world, 2, "--yes", code=1)
    assert world.reads() == "first"


def test_level_2_does_without_room_and_beside_an_interrupted_restore_of_staging(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promoted("first")
    world.promoted("second")
    interrupted = world.project.path / ".agent-studio/staging/backups/restore.json"
    interrupted.parent.mkdir(exist_ok=True)
    interrupted.write_text("{}")
    told = back(world, 2, "--yes", code=1)
    assert world.reads() == "first"
    assert "a restore of staging was interrupted" in told
    assert "it was not made anew" in told
    interrupted.unlink()
    world.promoted("third")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 10))
        told = back(world, 2, "--yes", code=1)
    assert world.reads() == "first"
    assert "10 are free" in told
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 10))
        back(world, 1, "--yes", code=1)  # staging's own way back waits for room


def test_level_2_does_without_evidence_that_can_be_read(world: World) -> None:
    world.promoted("first")
    world.promoted("second")
    place = world.staging.root.state.at(evidence.FOLDER).path / evidence.JOURNAL
    place.write_bytes(place.read_bytes().replace(b"PASS", b"FAIL", 1))
    back(world, 2, "--yes", code=1)
    assert world.reads() == "first"


def test_level_2_by_git_reverts_the_last_commit_of_a_clean_checkout(world: World) -> None:
    world.edit("a mistake")
    world.studio.write(".claude/agents/new.md", "not committed")
    assert "not committed" in world.must("rollback", "--level", "2", "--git", "--reason", "x", "--yes", code=1).err
    assert backup.listed(world.staging.root) == []  # refused before anything is backed up
    (world.project.path / ".claude/agents/new.md").unlink()
    back(world, 2, "--git", "--yes", code=3)
    assert "a mistake" not in (world.project.path / ".claude/agents/code-reviewer.md").read_text()
    assert git(world.project.path, "log", "-1", "--format=%s").startswith('Revert "Edit"')


@pytest.mark.parametrize("chosen", ["the newest", "one that is named"])
def test_level_3_archives_staging_and_restores_a_backup(world: World, chosen: str) -> None:
    notes = world.project.path / ".claude/staging/memory/learnings.md"
    notes.write_text("# Sound\n")
    sound = world.data("backup", "create", "--env", "staging")["backup"]
    newer = ""
    if chosen == "one that is named":
        notes.write_text("# Newer\n")
        newer = world.data("backup", "create", "--env", "staging")["backup"]
    notes.write_text("# Broken\n")
    words = ("--backup", sound) if newer else ()
    planned = back(world, 3, *words, "--dry-run")
    assert re.search(
        f"restore: restore {sound} of 2\\S+ \\(no reason was given; \\d+ files\\), which verifies", planned
    )
    assert notes.read_text() == "# Broken\n"
    done = world.data("rollback", "--level", "3", "--reason", "a trial", *words, "--yes")
    assert (notes.read_text(), done["restored"]) == ("# Sound\n", sound)
    assert done["smoke"]["failed"] == 0
    archived = list((world.project.path / ".agent-studio/staging/archive").rglob("learnings.md"))
    assert [place.read_text() for place in archived] == ["# Broken\n"]
    line = history.read(world.project).records[-1]
    assert (line["step"], line["restored"], line["backup"]) == ("nuclear", sound, done["backup"])
    world.must("backup", "restore", done["backup"], "--yes", "--env", "staging")
    assert notes.read_text() == "# Broken\n"


def test_a_second_level_3_does_not_bring_back_what_the_first_has_put_away(world: World) -> None:
    notes = world.project.path / ".claude/staging/memory/learnings.md"
    notes.write_text("# Sound\n")
    sound = world.data("backup", "create", "--env", "staging")["backup"]
    notes.write_text("# Broken\n")
    for _ in range(2):
        assert world.data("rollback", "--level", "3", "--reason", "x", "--yes")["restored"] == sound
        assert notes.read_text() == "# Sound\n"
    notes.write_text("# Broken\n")
    broken = world.data("backup", "restore", sound, "--yes", "--env", "staging")["before"]
    back(world, 1, "--yes")
    assert world.data("rollback", "--level", "3", "--reason", "x", "--yes")["restored"] == sound
    assert {str(one["by"]) for one in backup.listed(world.staging.root)} == {"user", "rollback", "restore"}
    world.data("rollback", "--level", "3", "--reason", "x", "--backup", broken, "--yes")
    assert notes.read_text() == "# Broken\n"  # one that is named is taken


def test_level_3_finds_none_among_what_rollbacks_have_made_and_says_so(world: World) -> None:
    back(world, 1, "--yes")
    told = back(world, 3, "--yes", code=6)
    assert "other than those that a rollback or restore has made (--backup ID takes one)" in told


def test_level_3_passes_over_a_backup_that_does_not_verify_and_refuses_one_that_is_named(world: World) -> None:
    sound = world.data("backup", "create", "--env", "staging")["backup"]
    world.studio.write(".claude/staging/memory/learnings.md", "# Only in the second\n")
    broken = world.data("backup", "create", "--env", "staging")["backup"]
    one = next(one for one in backup.load(world.staging.root, broken).data.files if one.path == "learnings.md")
    world.studio.write(f".agent-studio/staging/backups/objects/{one.pieces[0][:2]}/{one.pieces[0][2:]}", b"x")
    before = world.studio.snapshot(".claude/staging")
    world.must("rollback", "--level", "3", "--reason", "x", "--backup", broken, "--yes", code=8)
    world.must("rollback", "--level", "3", "--reason", "x", "--backup", "nonsense", "--yes", code=2)
    assert world.studio.snapshot(".claude/staging") == before
    assert world.data("rollback", "--level", "3", "--reason", "x", "--yes")["restored"] == sound


def test_levels_1_and_3_wait_for_nobody_and_name_sessions_of_staging(world: World) -> None:
    before = world.studio.snapshot(".claude/staging")
    with sessions.session(world.project, "claude", "staging"):
        for level in (1, 3):
            refused = world.must("rollback", "--level", str(level), "--reason", "x", "--yes", code=5)
            assert "claude (process" in refused.err
    assert world.studio.snapshot(".claude/staging") == before
    with sessions.session(world.project, "claude", "development"):
        back(world, 1, "--yes")


def test_a_ledger_that_is_no_chain_keeps_nobody_from_going_back(world: World) -> None:
    place = world.project.path / ".claude/staging/metrics/llm-usage.log"
    place.write_text('{"tokens":1}\n')
    assert "the ledger is no chain" in world.must("backup", "create", "--env", "staging", code=8).err
    assert "the ledger was no chain already" in back(world, 1, "--yes")
    assert place.read_text() == ""


def test_a_promotion_backs_production_up_first_and_a_return_does_too(world: World) -> None:
    world.promoted("first")
    notes = world.live / ".claude/memory/learnings.md"
    notes.write_text("# Learnt in production\n")
    world.promoted("second")
    live = open_sides(world.project, {}).live().root
    current = history.read(world.project).current
    assert current is not None
    made = [str(one["id"]) for one in backup.listed(live)]
    assert current.record["backup"] == made[-1]
    assert len(made) == 2
    assert verifying.verify(live, made[-1]).passed
    assert backup.load(live, made[-1]).release == history.read(world.project).releases[0].release
    told = back(world, 2, "--yes", code=3)
    again = history.read(world.project).current
    assert again is not None
    assert f"backup of production: {again.record['backup']}" in told
    assert [str(one["id"]) for one in backup.listed(live)] == [*made, again.record["backup"]]
    assert notes.read_text() == "# Learnt in production\n"
    world.must("backup", "verify", made[-1], "--env", "production")  # from the checkout that decides
    world.must("backup", "verify", made[-1], "--env", "production", "--project", str(world.live))
    kept = world.data("backup", "prune", "--keep", "1", "--yes", "--env", "production")
    assert kept["removed"] == []
    assert {one["reason"] for one in kept["kept"]} == {"the release history names it"}


def test_level_3_without_a_backup_disables_staging_until_it_is_made_anew(world: World) -> None:
    notes = world.project.path / ".claude/staging/memory/learnings.md"
    notes.write_text("# Learnt\n")
    assert "staging disabled: there is no backup that verifies" in back(world, 3, "--dry-run")
    back(world, 3, "--yes", code=6)
    for verb in (("smoke",), ("status",), ("monitor",), ("init",), ("kb", "search", "x"), ("flags", "list")):
        done = world.must(*verb, "--env", "staging", code=6)
        assert "a trial" in done.err
        assert "--env development" in done.err
    world.must("promote", "--yes", code=6)
    world.must("status", "--env", "development")
    doctor = world.must("doctor", "--env", "development", code=1).out
    assert ("staging-disabled" in doctor, "burnin-damage" in doctor) == (True, False)
    world.must("init", "--env", "staging", "--reset", "--yes", "--no-hooks", *FEW)
    world.must("smoke", "--env", "staging")
    archived = list((world.project.path / ".agent-studio/staging/archive").rglob("learnings.md"))
    assert "# Learnt\n" in [place.read_text() for place in archived]


def test_a_rollback_says_why_and_takes_only_its_own_options(world: World) -> None:
    for words in (
        ("--level", "1"), ("--level", "1", "--reason", " "), ("--level", "1", "--reason", "x", "--git"),
        ("--level", "2", "--reason", "x", "--backup", "b"), ("--level", "4", "--reason", "x"),
        ("--level", "1", "--reason", "x", "--env", "development"),
    ):  # fmt: skip
        world.must("rollback", *words, "--yes", code=2)


def test_a_commit_that_no_plain_revert_undoes_is_refused_before_anything_is_done(world: World) -> None:
    path = world.project.path
    git(path, "commit", "-q", "--allow-empty", "-m", "Nothing")
    before = world.studio.snapshot(".agent-studio/staging")
    refused = ("rollback", "--level", "2", "--git", "--reason", "x", "--yes")
    assert "the last commit changes nothing" in world.must(*refused, code=1).err
    git(path, "switch", "-q", "-c", "side")
    world.edit("from the side")
    git(path, "switch", "-q", "-")
    git(path, "merge", "-q", "--no-ff", "-m", "Merge", "side")
    assert "the last commit is a merge" in world.must(*refused, code=1).err
    assert world.studio.snapshot(".agent-studio/staging") == before
    assert history.read(world.project).records == []


def test_git_is_quoted_with_why_it_refuses(world: World) -> None:
    with pytest.raises(GitError, match="failed: fatal: "):
        run_git(world.project.path, "revert", "--no-edit", "0" * 40)
    world.edit("a conflict")
    first = git(world.project.path, "rev-parse", "HEAD").strip()
    world.edit("another")
    with pytest.raises(GitError, match=r"failed: error: could not revert"):
        run_git(world.project.path, "revert", "--no-edit", first)
