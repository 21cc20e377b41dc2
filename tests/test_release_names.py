"""Names in production that a release cannot be put beside, and those that others spell in their own way."""

from __future__ import annotations

import os
import shutil
import tempfile
import unicodedata
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.release_world import NEEDS_KEYS, World
from tests.test_promote import interrupt
from tests.test_switch import OLD, Files, Pair, _points

from agent_studio.errors import AgentStudioError, IntegrityError, StorageError, UnsafePathError, UsageError
from agent_studio.release.production import history, switch

if TYPE_CHECKING:
    from tests.conftest import Studio

POSIX = pytest.mark.skipif(os.name == "nt", reason="names, modes and users")
V1, V2 = (b"one", False), (b"two", False)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    made.write(OLD)
    (made.tree.definitions / "probe").touch()
    if (made.tree.definitions / "PROBE").exists():
        pytest.skip("this file system takes such names for one")
    (made.tree.definitions / "probe").unlink()
    return made


def everything(pair: Pair) -> dict[str, bytes]:
    root = pair.tree.definitions.parent
    return {str(place.relative_to(root)): place.read_bytes() for place in root.rglob("*") if place.is_file()}


@POSIX
@pytest.mark.parametrize(
    ("stays", "comes"),
    [
        ("claude.md", "@project/CLAUDE.md"), (".claude/Config.yaml", "config.yaml"),
        (".claude/Rules/a.md", "rules/b.md"), (".claude/skills/A/__pycache__/x", "skills/a/b.md"),
        (".claude/skills/A/.DS_Store", "skills/a/SKILL.md"),
    ],
)  # fmt: skip
def test_a_name_that_differs_only_in_case_from_one_that_stays_is_refused_before_anything_changes(
    pair: Pair, stays: str, comes: str
) -> None:
    place = pair.tree.definitions.parent / stays
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"mine")
    without = {path: content for path, content in OLD.items() if not path.startswith("skills/a/")}
    if "skills/A" in stays:  # the folder stays for it alone
        pair.write({"skills/A/SKILL.md": V1})
        shutil.rmtree(pair.tree.definitions / "skills/a")
    before = everything(pair)
    with pytest.raises(UnsafePathError, match="only in case"):
        pair.to({**without, comes: V2})
    assert everything(pair) == before
    assert switch.pending(pair.project) is None
    place.unlink()
    with_room = place.parent
    while not any(with_room.iterdir()):
        with_room.rmdir()
        with_room = with_room.parent
    pair.to({**without, comes: V2})
    assert pair.live() == pair.entries({**without, comes: V2})


CASES: Files = {"agents/Helper.md": V1, "skills/Foo/SKILL.md": V1, "skills/Foo/more/a.md": V1, "agents/b.md": V1}
OTHER: Files = {"agents/helper.md": V1, "skills/foo/SKILL.md": V2, "skills/foo/more/a.md": V1, "agents/b.md": V2}


@POSIX
def test_names_that_change_in_case_alone_are_switched_and_come_back_killed_anywhere(tmp_path: Path) -> None:
    first = Pair(tmp_path / "count")
    first.write(CASES)
    first.entries(OTHER)
    points = _points(0, partial(first.to, OTHER))
    assert first.live() == first.entries(OTHER)
    first.to(CASES, history.ROLLBACK)
    assert first.live() == first.entries(CASES)
    assert not (first.tree.definitions / "skills/foo").exists()
    for point in range(1, points + 1, 2):
        pair = Pair(tmp_path / f"killed-{point}")
        pair.write(CASES)
        old, new = pair.live(), pair.entries(OTHER)
        assert _points(point, partial(pair.to, OTHER)) == point
        interrupted = switch.pending(pair.project) is not None
        pair.recover()
        live = pair.live()
        assert live == (new if interrupted or live == new else old), point


@POSIX
def test_a_release_with_two_names_for_one_is_refused_whoever_made_it(pair: Pair) -> None:
    before = everything(pair)
    with pytest.raises(UsageError, match="only in case"):
        pair.to({**OLD, "agents/Reader.md": V2})
    assert everything(pair) == before


def form_d(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@POSIX
def test_a_name_in_unicode_form_d_is_kept_and_its_file_changes_like_any_other(tmp_path: Path) -> None:
    old: Files = {"agents/é.md": V1, "skills/café/SKILL.md": V1, "skills/café/ñ.md": V1, "agents/ü.md": V1}
    new: Files = {"agents/é.md": V2, "skills/café/SKILL.md": V2, "skills/café/ñ.md": V1, "skills/café/à.md": V1}
    pair = Pair(tmp_path)
    pair.write({form_d(path): content for path, content in old.items()})
    if not (pair.tree.definitions / form_d("agents/é.md")).exists() or (pair.tree.definitions / "agents/é.md").exists():
        pytest.skip("this file system takes both forms for one")
    assert pair.live() == pair.entries(old)
    pair.to(new)
    assert pair.live() == pair.entries(new)
    place = pair.tree.definitions
    assert sorted(os.listdir(place / "agents")) == [form_d("é.md")]  # noqa: PTH208
    assert (place / form_d("skills/café") / "à.md").read_bytes() == b"one"
    assert not (place / "skills/café").exists()
    pair.to(old, history.ROLLBACK)
    assert pair.live() == pair.entries(old)
    assert pair.debris() == []


@POSIX
@pytest.mark.parametrize("what", ["removal", "removal of a folder's last file", "replaced by a file", "new"])
def test_what_cannot_be_written_is_found_before_the_switch_is_decided_on(what: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        pair = Pair(folder)
        pair.write(OLD)
        shut = {"new": "agents", "removal": "agents"}.get(what, "skills/turns")
        new = {
            path: content for path, content in OLD.items() if path not in {"agents/gone.md", "skills/turns/SKILL.md"}
        }
        new |= {"new": {**OLD, "agents/new.md": V1}, "replaced by a file": {"skills/turns": V1}}.get(what, {})
        if what.startswith("removal of"):
            new["agents/gone.md"] = OLD["agents/gone.md"]
        (pair.tree.definitions / shut).chmod(0o555)
        before = everything(pair)
        assert as_nobody(folder, partial(pair.to, new)) == StorageError.__name__
        assert everything(pair) == before
        assert switch.pending(pair.project) is None
        (pair.tree.definitions / shut).chmod(0o755)
        assert as_nobody(folder, partial(pair.to, new)) == ""
        assert pair.live() == pair.entries(new)


def as_nobody(folder: Path, act: object) -> str:
    """Act in a child that is not root; return the name of the fault it ends with, or an empty text."""
    assert callable(act)
    nobody = 65_534
    if os.geteuid() == 0:
        for place in (folder, *folder.rglob("*")):
            os.chown(place, nobody, nobody)
    read_end, write_end = os.pipe()
    if not os.fork():
        fault = "the child failed"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(nobody)
                os.setuid(nobody)
            act()
            fault = ""
        except AgentStudioError as error:
            fault = type(error).__name__
        finally:
            os.write(write_end, fault.encode())
            os._exit(0)
    os.close(write_end)
    os.wait()
    with os.fdopen(read_end, "rb") as pipe:
        return pipe.read().decode()


@POSIX
def test_what_stops_a_switch_that_is_decided_on_asks_for_recovery(pair: Pair) -> None:
    new = {**OLD, "agents/reader.md": V2, "agents/new.md": V1}
    write = switch._written
    with pytest.MonkeyPatch.context() as patch:

        def then_in_the_way(journal: switch.Journal) -> bytes:
            (pair.tree.definitions / "agents/new.md").mkdir()
            (pair.tree.definitions / "agents/new.md/full").touch()
            return write(journal)

        patch.setattr(switch, "_written", then_in_the_way)
        with pytest.raises(switch.RecoveryNeededError, match=r"new\.md") as stopped:
            pair.to(new)
    assert stopped.value.hint.endswith("agent-studio recover")
    with pytest.raises(switch.RecoveryNeededError):
        pair.recover()
    shutil.rmtree(pair.tree.definitions / "agents/new.md")
    pair.recover()
    assert pair.live() == pair.entries(new)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"changes": [["a", [], 1]]}', b"\xff", "bit"], ids=str)
def test_a_damaged_journal_is_damage_for_everyone_and_is_never_carried_out(pair: Pair, damage: bytes | str) -> None:
    new = {**OLD, "agents/reader.md": V2}
    before = everything(pair)
    pair.entries(new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switch, "_finish", lambda *_: None)
        pair.to(new)
    place = pair.project.path / ".agent-studio/releases/journal.json"
    whole = place.read_bytes()
    place.write_bytes(whole.replace(b"agents/reader.md", b"agents/headen.md") if damage == "bit" else bytes(damage))  # type: ignore[arg-type]
    for act in (partial(switch.refuse_pending, pair.project), partial(switch.pending, pair.project), pair.recover):
        with pytest.raises(IntegrityError) as found:
            act()
        assert str(place) in found.value.hint
    assert {path: data for path, data in everything(pair).items() if not path.endswith(".tmp")} == before
    place.unlink()
    pair.to(new)
    assert pair.live() == pair.entries(new)


@POSIX
@NEEDS_KEYS
def test_names_in_the_way_damage_and_other_spellings_through_the_commands(bare: Studio, tmp_path: Path) -> None:
    bare.write(f".claude/agents/{form_d('é')}.md", "v1")
    world = World(bare, tmp_path)
    world.promoted("one")
    agents = world.live / ".claude/agents"
    assert (agents / form_d("é.md")).exists()  # production is a worktree
    world.must("release", "verify")
    (world.live / "claude.md").write_text("notes")
    bare.write("CLAUDE.md", "memory")
    bare.write(f".claude/agents/{form_d('é')}.md", "v2")
    world.edit("two")
    world.ready()
    refused = world.must("promote", "--yes", code=2)
    assert "claude.md" in refused.err
    assert world.reads() == "one"
    world.must("recover")
    (world.live / "claude.md").unlink()
    world.must("promote", "--yes")
    assert (agents / form_d("é.md")).read_text() == "v2"
    world.edit("three")
    world.ready()
    interrupt(world)
    journal = world.project.path / ".agent-studio/releases/journal.json"
    journal.write_bytes(journal.read_bytes()[:-9])
    start = ("run", "--env", "production", "--project", str(world.live), "--", "true")
    back = ("rollback", "--level", "2", "--reason", "x", "--yes")
    for arguments in (("promote", "--yes"), ("recover",), ("release", "verify"), back, start):
        done = world.must(*arguments, code=8)
        assert f"move {journal} away" in done.err
    journal.rename(tmp_path / "journal.json")
    (world.live / ".claude/agents/code-reviewer.md").write_text("half of it")
    world.must("release", "verify", code=5)
    world.must("promote", "--yes", "--discard")
    world.must("release", "verify")
    assert world.reads() == "three"
