"""Backups hold all of an environment's data as it was, though others write; what is not as it was is found."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backup_world import FILES, World

from agent_studio.cost import ledger
from agent_studio.errors import BusyError, IntegrityError, UsageError
from agent_studio.release.backups import backup, contents, places, verifying
from agent_studio.storage import journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Studio

POSIX = pytest.mark.skipif(os.name == "nt", reason="rights and links")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def names(made: backup.Backup) -> set[str]:
    return {f"{one.kind}/{one.path}" for one in made.data.files}


def test_a_backup_holds_data_of_every_kind_and_says_of_what(world: World) -> None:
    made = world.create("before the workshop")
    assert names(made) == {*FILES, "metrics/llm-usage.log"}
    assert backup.load(world.root, made.id) == made
    assert (made.reason, made.environment, made.data.ledger.seq) == ("before the workshop", "staging", 3)
    assert made.candidate
    found = verifying.verify(world.root, made.id)
    assert (found.faults, found.size_bytes) == ([], sum(len(data) for data in FILES.values()) + _ledger_size(world))


def _ledger_size(world: World) -> int:
    return (world.data / "metrics/llm-usage.log").stat().st_size


def test_the_inbox_temporaries_links_and_our_own_state_are_in_none(world: World) -> None:
    for name in ("events.jsonl", "events.20260101T000000.000Z-0123456789ab.jsonl", ".hooks.jsonl.1-00000000.tmp"):
        world.write(f"metrics/{name}", b'{"ts":1}\n')
    (world.data / "memory/link.md").symlink_to("/etc/hostname")
    os.link(world.data / "memory/learnings.md", world.project.path / "second")
    made = world.create()
    assert names(made) == {*FILES, "metrics/llm-usage.log"} - {"memory/learnings.md"}
    assert [note.rpartition("/")[2] for note in made.notes] == [
        "learnings.md: its bytes have a second name", "link.md: it is a link",
    ]  # fmt: skip


def test_a_second_backup_of_the_same_data_writes_no_piece_again(world: World) -> None:
    world.write("metrics/big.jsonl", b'{"x":1}\n' * 400_000)
    world.create()
    before = [(place, place.stat().st_mtime_ns) for place in world.objects()]
    assert len(before) > 10
    world.create()
    assert [(place, place.stat().st_mtime_ns) for place in world.objects()] == before
    with (world.data / "metrics/big.jsonl").open("ab") as file:
        file.write(b'{"x":2}\n')
    world.create()
    assert len(world.objects()) == len(before) + 1  # the last piece alone


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b'{"a":1}\n{"b":', b'{"a":1}\n'), (b'{"a":1}\n{"b":2}', b'{"a":1}\n{"b":2}'), (b'{"torn', b""), (b"", b""),
        (b"not json\n{}\n", b"not json\n{}\n"), (b"\n\n", b"\n\n"),
        (b'{"a":"' + b"x" * 3_000_000 + b'"}\n{"torn":"' + b"y" * 300_000, b'{"a":"' + b"x" * 3_000_000 + b'"}\n'),
    ],
)  # fmt: skip
def test_json_lines_are_taken_up_to_the_last_whole_one(world: World, written: bytes, kept: bytes) -> None:
    place = world.write("metrics/errors.jsonl", written)
    made = world.create()
    assert verifying.verify(world.root, made.id).passed
    place.write_bytes(b"gone")
    world.restore(made.id)
    assert place.read_bytes() == kept


def _while(act: Callable[[], object]) -> tuple[threading.Event, threading.Thread, list[BaseException]]:
    stop, faults = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not stop.is_set():
                act()
        except BaseException as fault:  # noqa: BLE001 - shown by the test
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    return stop, thread, faults


def test_a_backup_is_whole_while_writers_append_and_the_ledger_is_renamed(world: World) -> None:
    writer = ledger.Writer(world.root, file_limit_bytes=30_000)
    metrics = world.root.folder("metrics")

    def write() -> None:
        writer.append_lines([{"tokens": 1}])
        journal.append(metrics, "hooks.jsonl", [{"hook": "c", "said": "x" * 300}])
        time.sleep(0.001)  # a ledger that is renamed more often than it can be read has no backup

    def segments() -> int:
        return len([name for name in names(made[-1]) if "llm-usage." in name])

    stop, thread, faults = _while(write)
    made: list[backup.Backup] = []
    try:
        while len(made) < 5 or segments() <= 2:
            made.append(world.create())
            assert len(made) < 100, "the ledger was never renamed"
    finally:
        stop.set()
        thread.join()
        writer.close()
    assert faults == []
    for one in made:
        assert verifying.verify(world.root, one.id).faults == []
        assert one.data.ledger_fault == ""
    assert made[0].data.ledger.seq < made[-1].data.ledger.seq


def test_a_file_that_is_replaced_while_it_is_read_is_one_of_its_versions(world: World) -> None:
    memory = world.root.folder("memory")
    versions = [bytes([letter]) * 3_000_000 for letter in b"ab"]
    turns = iter(range(1 << 30))
    stop, thread, faults = _while(lambda: memory.replace("learnings.md", versions[next(turns) % 2], durable=False))
    try:
        made = world.create()
    finally:
        stop.set()
        thread.join()
    assert faults == []
    one = next(one for one in made.data.files if one.path == "learnings.md")
    data = b"".join(map(places.Pieces(world.root).read, one.pieces))
    assert data in {*versions, FILES["memory/learnings.md"]}


def test_a_file_that_never_holds_still_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_PAUSE_S", 0.0001)
    place, counts = world.data / "memory/learnings.md", iter(range(1, 1 << 30))

    def put(_: bytes) -> str:
        place.write_bytes(b"x" * next(counts))
        return "0" * 64

    with pytest.raises(BusyError, match=r"learnings\.md changed each time"):
        contents.read(world.root, put)


def test_a_file_that_goes_away_or_is_renamed_while_others_are_read_is_looked_for_again(world: World) -> None:
    """`learnings.md` is read after `deep/er/note.md`, `hooks.jsonl` before `later.jsonl`."""
    for before, after in (("memory/learnings.md", ""), ("metrics/hooks.jsonl", "metrics/hooks.2026-01-01.1.jsonl")):
        pieces = dict[str, bytes]()
        world.write("metrics/later.jsonl", b"{}\n")

        def put(piece: bytes, before: str = before, after: str = after, kept: dict[str, bytes] = pieces) -> str:
            place = world.data / before
            if piece in {b"{}\n", b"\x00\xff binary"} and place.exists():
                place.rename(world.data / after) if after else place.unlink()
            return kept.setdefault(piece.hex(), piece).hex()

        data = contents.read(world.root, put)
        found = {f"{one.kind}/{one.path}" for one in data.files}
        assert before not in found
        assert not after or after in found


def test_a_ledger_that_is_no_chain_stops_a_backup_and_not_the_way_back(world: World) -> None:
    place = world.data / "metrics/llm-usage.log"
    place.write_bytes(place.read_bytes().replace(b'"tokens":1', b'"tokens":7'))
    with pytest.raises(IntegrityError, match=r"llm-usage\.log, line 2"):
        world.create()
    made = backup.create(world.context, "a way back", whole_ledger=False)
    assert "the ledger was no chain already" in made.notes[0]
    assert verifying.verify(world.root, made.id).passed
    assert verifying.newest(world.context) == ""


DAMAGE: dict[str, Callable[[World, Path, Path], object]] = {
    "a flipped bit": lambda _, piece, __: piece.write_bytes(_flipped(piece.read_bytes())),
    "a piece cut short": lambda _, piece, __: piece.write_bytes(piece.read_bytes()[:-3]),
    "a piece of another": lambda _, piece, __: piece.write_bytes(places.Pieces.pack(b"other")),
    "a piece that unpacks to far more": lambda _, piece, __: piece.write_bytes(places.Pieces.pack(b"0" * (1 << 26))),
    "a piece that is missing": lambda _, piece, __: piece.unlink(),
    "a manifest cut short": lambda _, __, manifest: manifest.write_bytes(manifest.read_bytes()[:-50]),
    "a manifest edited": lambda _, __, manifest: manifest.write_bytes(manifest.read_bytes().replace(b"384", b"420")),
    "a manifest that is missing": lambda _, __, manifest: manifest.unlink(),
}


def _flipped(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_what_was_backed_up_is_found_and_never_restored(world: World, damage: str) -> None:
    made, before = world.create(), world.tree()
    (piece,) = next(one.pieces for one in made.data.files if one.path == "learnings.md")
    DAMAGE[damage](
        world, world.backups / f"objects/{piece[:2]}/{piece[2:]}", world.backups / f"{made.id}.json"
    )  # fmt: skip
    found = verifying.verify(world.root, made.id)
    assert not found.passed
    assert ("memory/learnings.md" if "piece" in damage or "bit" in damage else f"{made.id}.json") in found.faults[0]
    with pytest.raises(IntegrityError, match="does not verify"):
        world.restore(made.id)
    assert world.tree() == before
    assert verifying.newest(world.context) == ""
    again = world.create()  # what is damaged is written anew
    assert verifying.verify(world.root, again.id).passed
    assert verifying.newest(world.context) == again.id


def test_every_bit_of_a_piece_counts(world: World) -> None:
    made = world.create()
    (piece,) = next(one.pieces for one in made.data.files if one.path == "hooks.jsonl")
    place = world.backups / f"objects/{piece[:2]}/{piece[2:]}"
    whole = place.read_bytes()
    for bit in range(len(whole) * 8):
        place.write_bytes(bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(whole)))
        with pytest.raises(IntegrityError):
            places.Pieces(world.root).read(piece)


def test_a_changed_journal_says_nothing_of_any_backup(world: World) -> None:
    made = world.create()
    place = world.backups / "backups.jsonl"
    place.write_bytes(place.read_bytes().replace(b"a test", b"a jest"))
    with pytest.raises(IntegrityError, match=r"backups\.jsonl:1"):
        verifying.verify(world.root, made.id)


def test_a_manifest_that_the_journal_does_not_name_is_no_backup(world: World) -> None:
    made = world.create()
    forged = json.loads((world.backups / f"{made.id}.json").read_text()) | {"id": "forged"}
    (world.backups / "forged.json").write_text(json.dumps(forged))
    with pytest.raises(UsageError, match="has no backup 'forged'"):
        world.restore("forged")


@POSIX
def test_everything_is_its_owners_alone(world: World) -> None:
    world.create()
    for place in world.backups.rglob("*"):
        assert place.stat().st_mode & 0o077 == 0, place


def test_a_reason_is_kept_without_secrets(world: World) -> None:
    secret = "sk-ant-api03-" + "a" * 93 + "AA"
    made = world.create(f"with {secret}")
    assert secret not in made.reason
    assert all(secret.encode() not in place.read_bytes() for place in world.backups.rglob("*") if place.is_file())


_names = st.sampled_from(["memory/a.md", "memory/b/c.md", "metrics/x.jsonl", "agents/r/hot.jsonl", "context/big.bin"])
_bytes = st.one_of(st.binary(max_size=200), st.binary(max_size=3).map(lambda data: data * 700_000))


@given(
    first=st.dictionaries(_names, st.tuples(_bytes, st.sampled_from([0o600, 0o644, 0o755]))),
    second=st.dictionaries(_names, st.tuples(_bytes, st.sampled_from([0o600, 0o700]))),
)
@settings(max_examples=15)
def test_what_is_restored_is_what_was_backed_up(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, tuple[bytes, int]], second: dict[str, tuple[bytes, int]]
) -> None:
    world = World(tmp_path_factory.mktemp("given"), {}, usage=1)
    for name, (data, mode) in first.items():
        world.write(name, data + b"\n" if name.endswith("jsonl") else data, mode)
    before = world.tree()
    made = world.create()
    for name in first.keys() - second.keys():
        (world.data / name).unlink()
    for name, (data, mode) in second.items():
        world.write(name, data, mode)
    world.restore(made.id)
    assert world.tree() == before


def test_the_command_makes_lists_verifies_and_shows_what_it_made(staged: Studio) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        done = staged.run("backup", *arguments, "--env", "staging")
        assert done.code == code, (done.out, done.err)
        return done.out + done.err

    assert "staging has no backup" in run("list")
    assert "backup create" in run("verify", code=2)
    made = staged.json("backup", "create", "--reason", "a trial", "--env", "staging")
    assert made["verdict"] == "PASS"
    verified = staged.json("backup", "verify", "--env", "staging")
    assert {name: verified[name] for name in ("backup", "files", "bytes", "verdict")} == {
        name: made[name] for name in ("backup", "files", "bytes", "verdict")
    }
    assert made["backup"] in run("list")
    assert run("verify", "nonsense", code=2)
    piece = next((staged.path / ".agent-studio/staging/backups/objects").rglob("??????????*"))
    piece.write_bytes(b"")
    assert "is damaged" in run("verify", code=8)
    assert staged.run("backup", "list", "--env", "production").out.startswith("production has no backup")


def test_folders_that_the_configuration_has_moved_are_backed_up_where_they_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    config = world.project.path / ".claude/config.staging.yaml"
    made = world.create()
    config.write_text("environment: staging\npaths:\n  memory: elsewhere/notes\n")
    moved = world.project.path / "elsewhere/notes/learnings.md"
    moved.parent.mkdir(parents=True)
    moved.write_bytes(b"moved")
    again = world.create()
    assert "memory/learnings.md" in names(again)
    world.restore(made.id)
    assert moved.read_bytes() == FILES["memory/learnings.md"]
    world.restore(again.id)
    assert moved.read_bytes() == b"moved"


def test_only_one_works_with_the_backups_of_an_environment(world: World) -> None:
    with places.alone(world.root, "a test"), pytest.raises(BusyError):
        world.create()
