"""A full disk, a read-only folder and a missing permission: one clear fault, nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
_START = """
import difflib, fcntl, os, pathlib, resource, sys
from agent_studio.errors import StorageError
from agent_studio.storage import journal
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive
base, operation, handles = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True"
folder = Folder(base, "data", handles=handles)
big = b"x" * 200_000
def lock():
    with exclusive(folder, "lock", doing="x"):
        pass
operations = {
    "create": lambda: folder.create("new", big),
    "repair": lambda: folder.create("empty", big),
    "create_many": lambda: folder.create_many("", [("small", b"s"), ("new", big)]),
    "replace": lambda: folder.replace("old", big),
    "append": lambda: journal.append(folder, "journal", [{"text": "x" * 200_000}]),
    "append_new": lambda: journal.append(folder, "fresh", [{"text": "x" * 200_000}]),
    "make": lambda: folder.make("a/b"),
    "remove": lambda: folder.remove("old"),
    "remove_tree": lambda: folder.remove_tree("tree"),
    "move": lambda: folder.move("old", folder, "moved"),
    "read": lambda: folder.read("old"),
    "read_journal": lambda: journal.read(folder, "journal"),
    "names": lambda: folder.names(),
    "status": lambda: folder.status("old"),
    "sweep": lambda: folder.sweep(),
    "lock": lock,
}
def count():
    return len(os.listdir("/proc/self/fd"))
def attempt():
    before = count()
    try:
        operations[operation]()
    except StorageError as error:
        assert error.hint and str(folder.path) in error.message, error.message
        assert count() == before, "descriptor leaked"
        print("StorageError")
    else:
        print("done")
"""


def outcome(place: Path, operation: str, handles: bool, setting: str) -> str:  # noqa: FBT001
    script = f"{_START}\n{setting}\nattempt()\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, place, operation, str(handles)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "data" / "tree").mkdir(parents=True)
    for name, content in {"old": b"old\n", "journal": b'{"n":0}\n', "empty": b"", "tree/file": b"f"}.items():
        (made / "data" / name).write_bytes(content)
    yield made
    (made / "data").chmod(0o755)
    shutil.rmtree(made)


def contents(place: Path) -> dict[str, bytes | None]:
    return {
        str(found.relative_to(place)): found.read_bytes() if found.is_file() else None
        for found in sorted(place.rglob("*"))
    }


@pytest.mark.slow
@pytest.mark.parametrize("handles", [True, False])
@pytest.mark.parametrize("operation", ["create", "repair", "create_many", "replace", "append", "append_new"])
def test_a_full_disk_leaves_nothing_half_written(place: Path, operation: str, *, handles: bool) -> None:
    before = contents(place)
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    assert outcome(place, operation, handles, limit) == "StorageError"
    after = contents(place)
    if operation == "create_many":
        assert after.pop("data/small") == b"s"
    if operation == "append_new":
        assert after.pop("data/fresh") == b""
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize("handles", [True, False])
@pytest.mark.parametrize(
    "operation", ["create", "repair", "create_many", "replace", "append_new", "make", "remove", "move", "lock"]
)
def test_a_read_only_folder_is_one_clear_fault(place: Path, operation: str, *, handles: bool) -> None:
    (place / "data").chmod(0o555)
    before = contents(place)
    assert outcome(place, operation, handles, _as_nobody()) == "StorageError"
    assert contents(place) == before


@pytest.mark.slow
@pytest.mark.parametrize("handles", [True, False])
@pytest.mark.parametrize(
    "operation", ["create", "make", "append", "read", "read_journal", "names", "status", "remove_tree", "sweep", "lock"]
)
def test_a_folder_without_permission_is_one_clear_fault(place: Path, operation: str, *, handles: bool) -> None:
    (place / "data").chmod(0o000 if os.getuid() else 0o700)
    assert outcome(place, operation, handles, _as_nobody()) == "StorageError"


@pytest.mark.parametrize("handles", [True, False])
def test_a_file_that_may_only_be_read_can_be_and_is_kept_by_create(place: Path, *, handles: bool) -> None:
    (place / "data" / "new").write_bytes(b"theirs")
    (place / "data").chmod(0o555)
    assert outcome(place, "create", handles, _as_nobody()) == "done"
    assert (place / "data" / "new").read_bytes() == b"theirs"


@pytest.mark.parametrize("handles", [True, False])
def test_no_descriptors_left_is_a_storage_fault(place: Path, *, handles: bool) -> None:
    setting = (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (os.open('/', os.O_RDONLY) + 1, 4096))\n"
        "count = lambda: 0  # listing needs a descriptor\n"
    )
    assert outcome(place, "read", handles, setting) == "StorageError"


def _as_nobody() -> str:
    """Return what makes a child unprivileged: root may do everything and would prove nothing."""
    return "" if os.getuid() else f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"
