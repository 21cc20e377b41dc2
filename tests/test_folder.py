"""No file operation leaves its folder, by handles and by paths, and none leaves half a file."""

# ruff: noqa: PTH208 - a listing of names is what is compared

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio.errors import AgentStudioError, StorageError, UnsafePathError
from agent_studio.storage.folder import Folder
from agent_studio.storage.walk import HandleWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANARY = b"canary: not yours\n"
DEAD_PID = 2**22 + 1
"""Over the largest pid Linux ever gives."""


@pytest.fixture(autouse=True)
def _no_descriptor_is_leaked() -> Iterator[None]:
    before = len(os.listdir("/dev/fd"))
    yield
    assert len(os.listdir("/dev/fd")) == before


@pytest.fixture(params=[True, False], ids=["handles", "paths"])
def door(tmp_path: Path, request: pytest.FixtureRequest) -> Folder:
    plant(tmp_path)
    return Folder(tmp_path / "base", "data", handles=request.param)


def plant(place: Path) -> None:
    """Make `base/data` with every kind of trap in it, and a canary in `outside` that the traps lead to."""
    outside, data = place / "outside", place / "base" / "data"
    (outside / "sub").mkdir(parents=True)
    (outside / "canary").write_bytes(CANARY)
    (outside / "sub" / "canary").write_bytes(CANARY)
    (data / "real").mkdir(parents=True)
    (data / "real" / "file").write_bytes(b"mine\n")
    (data / "file").write_bytes(b"mine\n")
    (data / "empty").touch()
    (data / "dirlink").symlink_to(outside)
    (data / "filelink").symlink_to(outside / "canary")
    (data / "dangling").symlink_to(outside / "new")
    (data / "real" / "up").symlink_to("../../../outside")
    os.link(outside / "canary", data / "hard")
    os.mkfifo(data / "pipe")


def outside_of(place: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(found): (found.read_bytes(), found.stat().st_mode, found.stat().st_mtime_ns)
        for found in sorted((place / "outside").rglob("*"))
        if found.is_file()
    }


def read_after_open(folder: Folder, path: str, flags: int) -> bytes:
    descriptor = folder.open(path, flags)
    try:
        return os.read(descriptor, 100) if not flags & os.O_WRONLY else b""
    finally:
        os.close(descriptor)


OPERATIONS: dict[str, Callable[[Folder, str], Any]] = {
    "read": lambda folder, path: folder.read(path),
    "open": lambda folder, path: read_after_open(folder, path, os.O_RDONLY),
    "append": lambda folder, path: read_after_open(folder, path, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
    "truncate": lambda folder, path: read_after_open(folder, path, os.O_WRONLY | os.O_TRUNC | os.O_CREAT),
    "resolve": lambda folder, path: folder.resolve(path).read_bytes(),
    "create": lambda folder, path: folder.create(path, b"new"),
    "create_many": lambda folder, path: folder.create_many("", [(path, b"new")]),
    "create_many_in": lambda folder, path: folder.create_many(path, [("canary", b"new")]),
    "replace": lambda folder, path: folder.replace(path, b"new"),
    "status": lambda folder, path: folder.status(path),
    "has_file": lambda folder, path: folder.has_file(path),
    "has_folder": lambda folder, path: folder.has_folder(path),
    "names": lambda folder, path: folder.names(path),
    "files": lambda folder, path: list(folder.files(path)),
    "make": lambda folder, path: folder.make(path),
    "remove": lambda folder, path: folder.remove(path),
    "remove_tree": lambda folder, path: folder.remove_tree(path),
    "sweep": lambda folder, path: folder.sweep(path),
    "move_from": lambda folder, path: folder.move(path, folder.at("real"), "moved"),
    "move_to": lambda folder, path: folder.move("file", folder, path),
    "at": lambda folder, path: folder.at(path).create("canary", b"new"),
}  # fmt: skip

PIECES = st.sampled_from(
    [
        "..", ".", "", "~", "~root", "real", "file", "up", "dirlink", "filelink", "dangling", "hard", "pipe", "empty",
        "canary", "sub", "outside", "FILE", "new", "a:b", "C:", "\\..\\", "x\x00", "dot.", "CON", "e\u0301", "é",
        "x" * 199, "x" * 300, "\ud800", "\udcff", ".git\u200c",
    ]
) | st.text("./\\~\x00:é\u0301xX ", max_size=6)  # fmt: skip
PATHS = st.lists(PIECES, min_size=1, max_size=4).map("/".join) | st.just("/etc/passwd")


@settings(max_examples=300)
@given(path=PATHS, operation=st.sampled_from(sorted(OPERATIONS)), handles=st.booleans())
def test_no_path_through_any_operation_reaches_what_is_outside(path: str, operation: str, *, handles: bool) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        plant(place)
        before, descriptors = outside_of(place), len(os.listdir("/dev/fd"))
        got = None
        with suppress(AgentStudioError, FileNotFoundError, IsADirectoryError):
            got = OPERATIONS[operation](Folder(place / "base", "data", handles=handles), path)
        assert outside_of(place) == before
        assert len(os.listdir("/dev/fd")) == descriptors
        assert got != CANARY
        if operation in {"names", "files"} and got:
            assert not {"canary", "sub"} & {entry if isinstance(entry, str) else entry[0] for entry in got}
        assert sorted(os.listdir(place)) == ["base", "outside"]
        assert os.listdir(place / "base") == ["data"]
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("trap", ["dirlink/canary", "real/up/canary", "filelink", "hard", "dangling", "pipe"])
@pytest.mark.parametrize("operation", ["read", "append", "truncate", "create", "replace", "has_file"])
def test_a_trap_is_refused_by_name(door: Folder, tmp_path: Path, trap: str, operation: str) -> None:
    before = outside_of(tmp_path)
    with pytest.raises(UnsafePathError) as refused:
        OPERATIONS[operation](door, trap)
    assert str(tmp_path / "base" / "data") in refused.value.message
    assert refused.value.hint
    assert outside_of(tmp_path) == before


@pytest.mark.parametrize("handles", [True, False])
def test_a_linked_folder_at_any_level_of_the_root_itself_is_refused(tmp_path: Path, *, handles: bool) -> None:
    plant(tmp_path)
    (tmp_path / "base" / ".claude").mkdir()
    (tmp_path / "base" / ".claude" / "staging").symlink_to(tmp_path / "outside")
    staging = Folder(tmp_path / "base", ".claude/staging", handles=handles)
    for operation in (staging.names, staging.make, staging.has_folder, lambda: staging.status("")):
        with pytest.raises(UnsafePathError, match="symbolic link"):
            operation()


def test_a_socket_and_a_device_are_refused(door: Folder) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{(fd := os.open(door.path, os.O_RDONLY))}/sock")
        os.close(fd)
    with pytest.raises(UnsafePathError, match="in the way"):
        door.read("sock")
    with pytest.raises(UnsafePathError):
        Folder(Path("/dev"), handles=door._handles).read("null")


def test_files_lists_links_and_never_enters_them(door: Folder) -> None:
    listed = dict(door.files())
    assert set(listed) == {"dangling", "dirlink", "empty", "file", "filelink", "hard", "pipe", "real/file", "real/up"}
    assert stat.S_ISLNK(listed["dirlink"].st_mode)
    assert stat.S_ISLNK(listed["real/up"].st_mode)


def test_status_tells_what_the_name_is_and_none_for_nothing(door: Folder) -> None:
    assert stat.S_ISLNK(door.status("filelink").st_mode)  # type: ignore[union-attr]
    assert stat.S_ISDIR(door.status("").st_mode)  # type: ignore[union-attr]
    assert door.status("nothing") is None
    assert door.status("nothing/below") is None


def test_a_folder_with_names_the_door_would_not_give_can_be_listed_and_removed(door: Folder, tmp_path: Path) -> None:
    odd = door.path / "real" / "trailing." / "a:b"
    odd.mkdir(parents=True)
    (odd / "CON~1").write_text("x")
    (odd / "out").symlink_to(tmp_path / "outside")
    assert "real/trailing./a:b/CON~1" in dict(door.files("real"))
    before = outside_of(tmp_path)
    door.remove_tree("real")
    assert not (door.path / "real").exists()
    assert outside_of(tmp_path) == before


def test_an_empty_path_never_removes_the_folder_itself(door: Folder) -> None:
    before = door.names()
    for operation in (door.remove_tree, door.remove):
        with pytest.raises(UnsafePathError):
            operation("")
    assert door.names() == before


def test_create_keeps_what_has_content_and_repairs_what_is_empty(door: Folder) -> None:
    assert not door.create("file", b"other")
    assert door.create("empty", b"whole")
    assert not door.create("empty", b"")
    assert door.create("new", b"")
    assert not door.create("new", b"")
    assert [door.read(name) for name in ("file", "empty", "new")] == [b"mine\n", b"whole", b""]


def test_files_and_folders_are_for_their_owner_only(door: Folder) -> None:
    door.make("a/b")
    door.create("a/b/c", b"x")
    door.replace("a/b/d", b"x")
    os.close(door.open("a/b/e", os.O_WRONLY | os.O_CREAT))
    modes = [stat.S_IMODE((door.path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c", "a/b/d", "a/b/e")]
    assert modes == [0o700, 0o700, 0o600, 0o600, 0o600]


def test_create_many_tells_which_were_new(door: Folder) -> None:
    assert door.create_many("", [("one", b"1"), ("file", b"2"), ("empty", b"3")]) == ["one", "empty"]
    with pytest.raises(UnsafePathError, match="differs from"):
        door.create_many("", [("two", b"1"), ("TWO", b"2")])


def test_what_fails_in_the_callers_own_files_is_not_reported_as_ours(door: Folder) -> None:
    def items() -> Iterator[tuple[str, bytes]]:
        yield "one", b"1"
        raise PermissionError("the caller's")

    with pytest.raises(PermissionError, match="the caller's"):
        door.create_many("", items())


@pytest.mark.parametrize("operation", ["create", "replace", "append", "make", "move_to"])
@pytest.mark.parametrize("name", ["FILE", "Real"])
def test_a_name_that_differs_only_in_case_is_refused(door: Folder, operation: str, name: str) -> None:
    before = door.names()
    if (operation, name) == ("move_to", "FILE"):
        door.move("file", door, "FILE")
        assert "FILE" in door.names()
        return
    with pytest.raises(UnsafePathError, match="differs from") as refused:
        OPERATIONS[operation](door, name)
    assert str(door.path / name) in refused.value.message
    assert door.names() == before


def test_eight_creators_at_once_give_one_winner_and_one_whole_file(door: Folder) -> None:
    if door._handles is False:
        door = Folder(door._base, "data", handles=True)  # paths cannot lock a folder: documented as weaker
    payloads = [bytes([65 + number]) * 70_000 for number in range(8)]
    for turn in range(20):
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda payload, name=f"f{turn}": door.create(name, payload), payloads))
        assert sum(won) == 1
        assert door.read(f"f{turn}") == payloads[won.index(True)]


def test_a_reader_sees_the_old_bytes_or_the_new_and_threads_may_replace_at_once(door: Folder) -> None:
    whole = {bytes([65 + number]) * 50_000 for number in range(4)}
    door.replace("shared", min(whole))
    stop = threading.Event()

    def write(payload: bytes) -> None:
        while not stop.is_set():
            door.replace("shared", payload)

    reader = Folder(door._base, "data", handles=True)
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, payload) for payload in whole]
        end = time.monotonic() + 0.2
        seen = set()
        while time.monotonic() < end:
            seen.add(reader.read("shared"))
        stop.set()
    assert seen <= whole
    assert [writer.exception() for writer in writers] == [None] * 4
    assert not [name for name in door.names() if name.endswith(".tmp")]


def test_replace_is_not_led_by_a_planted_temporary(door: Folder, tmp_path: Path) -> None:
    before = outside_of(tmp_path)
    os.link(tmp_path / "outside" / "canary", door.path / f".file.{os.getpid()}.tmp")
    door.replace("file", b"new")
    assert door.read("file") == b"new"
    assert outside_of(tmp_path) == before


def test_sweep_removes_only_what_dead_writers_left(door: Folder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        stale = {f".file.{DEAD_PID}-00000000.tmp", f".a.b.{DEAD_PID}-0a1b2c3d.tmp", f".x.{10**30}-00000000.tmp"}
        kept = {f".file.{living.pid}-00000000.tmp", f".file.{os.getpid()}-00000000.tmp", ".file.tmp", ".1.tmp",
                f"file.{DEAD_PID}-00000000.tmp", f".theirs.{DEAD_PID}.tmp"}  # fmt: skip
        for name in stale | kept:
            (door.path / name).write_bytes(b"half")
        (door.path / f".link.{DEAD_PID}-00000000.tmp").symlink_to(door.path / "file")
        (door.path / f".folder.{DEAD_PID}-00000000.tmp").mkdir()
        assert door.sweep(of=["nobody"]) == []
        assert set(door.sweep()) == stale
        assert kept <= set(door.names())
        living.communicate(b"\n")
    assert door.sweep() == [f".file.{living.pid}-00000000.tmp"]


def test_sweep_leaves_what_a_writer_in_another_container_holds(door: Folder) -> None:
    import fcntl

    with (door.path / f".file.{DEAD_PID}-00000000.tmp").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert door.sweep() == []
    assert door.sweep() == [f".file.{DEAD_PID}-00000000.tmp"]


def test_a_killed_writer_leaves_the_old_file_and_a_temporary_that_sweep_removes(door: Folder, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, pathlib\n"
        "from agent_studio.storage import temporaries\n"
        "from agent_studio.storage.folder import Folder\n"
        "def half(descriptor, data):\n"
        "    os.write(descriptor, data[:10])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "temporaries.write_all = half\n"
        "getattr(Folder(pathlib.Path(sys.argv[1]), 'data'), sys.argv[2])(sys.argv[3], b'n' * 100)\n"
    )
    for operation, name in (("replace", "file"), ("create", "new")):
        before = door.status(name) and door.read(name)
        done = subprocess.run([sys.executable, "-c", script, tmp_path / "base", operation, name], check=False)
        assert done.returncode == -9
        assert (door.status(name) and door.read(name)) == before
        assert len(door.sweep()) == 1


def test_move_takes_a_file_across_folders_and_a_missing_one_is_told(door: Folder) -> None:
    door.move("file", door.at("real"), "file")
    assert door.read("real/file") == b"mine\n"
    assert door.status("file") is None
    with pytest.raises(FileNotFoundError):
        door.move("file", door.at("real"), "other")


def test_resolve_gives_only_what_is_a_plain_file_or_folder(door: Folder) -> None:
    assert door.resolve("real/file") == door.path / "real" / "file"
    assert door.resolve("") == door.path
    for trap in ("hard", "filelink", "pipe", "dirlink/canary"):
        with pytest.raises(UnsafePathError):
            door.resolve(trap)
    with pytest.raises(FileNotFoundError):
        door.resolve("nothing")


def test_truncation_happens_only_after_the_check(door: Folder, tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError, match="hard link"):
        door.open("hard", os.O_WRONLY | os.O_TRUNC)
    assert (tmp_path / "outside" / "canary").read_bytes() == CANARY
    os.close(door.open("file", os.O_WRONLY | os.O_TRUNC))
    assert door.read("file") == b""


@pytest.mark.parametrize("handles", [True, False])
def test_a_base_that_is_a_file_is_a_storage_fault_and_a_missing_one_a_missing_file(
    tmp_path: Path, *, handles: bool
) -> None:
    (tmp_path / "base").write_text("")
    with pytest.raises(StorageError, match=r"cannot use .*base"):
        Folder(tmp_path / "base", handles=handles).names()
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "missing", handles=handles).names()
    with pytest.raises(StorageError):
        Folder(tmp_path / "base", handles=handles).make("x")


def test_folders_exchanged_after_they_were_entered_are_noticed_even_by_path(tmp_path: Path) -> None:
    plant(tmp_path)
    data = tmp_path / "base" / "data"
    folder = Folder(tmp_path / "base", "data", handles=False)
    with folder._entered(()) as walk:
        data.rename(tmp_path / "base" / "aside")
        data.symlink_to(tmp_path / "outside")
        for attempt in (
            lambda: walk.open("canary", os.O_RDONLY, 0o600),
            lambda: walk.remove("canary"),
            lambda: walk.mkdir("new", 0o700),
            walk.names,
        ):
            with pytest.raises(UnsafePathError, match="exchanged"):
                attempt()
    assert set(os.listdir(tmp_path / "outside")) == {"canary", "sub"}


def test_handles_are_the_way_on_this_system() -> None:
    with Folder(Path("/"))._entered(()) as walk:
        assert isinstance(walk, HandleWalk)
