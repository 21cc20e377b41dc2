"""Routes that change a file that is protected, its name, its folder, or what the file system says of it.

Each gets a planted file and folder of its own; whether it changed anything is seen from outside.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.isolation.routes import calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.isolation.routes.attempt import Attempt

_MARK = b"spoiled"


def _write(path: str | int, flags: int = os.O_WRONLY) -> None:
    descriptor = os.open(path, flags) if isinstance(path, str) else path
    try:
        os.write(descriptor, _MARK)
    finally:
        os.close(descriptor)


def _own(attempt: Attempt) -> str:
    """Make a file of our own and return its path."""
    path = f"{attempt.scratch}/own"
    _write(path, os.O_WRONLY | os.O_CREAT)
    return path


def _name(attempt: Attempt) -> str:
    return os.path.basename(attempt.file)


def write(attempt: Attempt) -> None:
    """Overwrite its content."""
    _write(attempt.file)


def append(attempt: Attempt) -> None:
    """Append to it."""
    _write(attempt.file, os.O_WRONLY | os.O_APPEND)


def truncate(attempt: Attempt) -> None:
    """Truncate it by its name."""
    os.truncate(attempt.file, 0)


def truncate_opened(attempt: Attempt) -> None:
    """Truncate it on opening it for reading."""
    os.close(os.open(attempt.file, os.O_RDONLY | os.O_TRUNC))


def create(attempt: Attempt) -> None:
    """Create a file beside it."""
    _write(f"{attempt.file}-new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def nameless(attempt: Attempt) -> None:
    """Create a file without a name in its folder and give it one."""
    descriptor = os.open(attempt.folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
    source, new = f"/proc/self/fd/{descriptor}".encode(), os.fsencode(f"{attempt.file}-new")
    calls.checked(calls.libc().linkat(calls.AT_FDCWD, source, calls.AT_FDCWD, new, calls.AT_SYMLINK_FOLLOW))


def make_folder(attempt: Attempt) -> None:
    """Create a folder beside it."""
    os.mkdir(f"{attempt.file}-new")


def remove(attempt: Attempt) -> None:
    """Remove it."""
    os.unlink(attempt.file)


def remove_folder(attempt: Attempt) -> None:
    """Remove a folder with what is in it."""
    os.unlink(f"{attempt.inner}/inner")
    os.rmdir(attempt.inner)


def rename_out(attempt: Attempt) -> None:
    """Move it to where writing is allowed."""
    os.rename(attempt.file, f"{attempt.scratch}/moved")


def rename_in(attempt: Attempt) -> None:
    """Put a file of our own in its place."""
    os.rename(_own(attempt), attempt.file)


def rename_beside(attempt: Attempt) -> None:
    """Give it another name."""
    os.rename(attempt.file, f"{attempt.file}-new")


def rename_exchange(attempt: Attempt) -> None:
    """Let it change places with a file of our own."""
    calls.exchange(attempt.file, _own(attempt))


def rename_folder(attempt: Attempt) -> None:
    """Move a folder with all that is in it to where writing is allowed."""
    os.rename(attempt.inner, f"{attempt.scratch}/moved")


def hard_link_in(attempt: Attempt) -> None:
    """Link a file of our own into its folder."""
    os.link(_own(attempt), f"{attempt.file}-new")


def symlink_in(attempt: Attempt) -> None:
    """Make a symbolic link in its folder."""
    os.symlink(_own(attempt), f"{attempt.file}-new")


def through_hard_link(attempt: Attempt) -> None:
    """Make a hard link to it where writing is allowed, and write to that."""
    os.link(attempt.file, f"{attempt.scratch}/hard")
    _write(f"{attempt.scratch}/hard")


def through_symlink(attempt: Attempt) -> None:
    """Make a symbolic link to it where writing is allowed, and write to that."""
    os.symlink(attempt.file, f"{attempt.scratch}/link")
    _write(f"{attempt.scratch}/link")


def reopened(attempt: Attempt) -> None:
    """Open it for reading and once more, for writing, through /proc."""
    _write(f"/proc/self/fd/{os.open(attempt.file, os.O_RDONLY)}")


def through_proc(attempt: Attempt) -> None:
    """Write through /proc/self/root and through the root of a process outside."""
    for process in ("self", attempt.outside["pid"], os.getppid(), 1):
        try:
            return _write(f"/proc/{process}/root{attempt.file}")
        except OSError as refused:
            fault = refused
    raise fault


def folder_handle(attempt: Attempt) -> None:
    """Enter its folder by handle and write there."""
    handle = os.open(attempt.folder, os.O_PATH | os.O_DIRECTORY)
    _write(os.open(_name(attempt), os.O_WRONLY, dir_fd=handle))


def inherited(attempt: Attempt) -> None:
    """Write by every folder whose descriptor was inherited."""
    for number in range(256):
        try:
            return _write(os.open(_name(attempt), os.O_WRONLY, dir_fd=number))
        except OSError:
            continue
    raise FileNotFoundError(2, "no descriptor leads there")


def mapped(attempt: Attempt) -> None:
    """Map it into memory and write there."""
    import mmap  # noqa: PLC0415 - most probes need not pay for it

    with open(attempt.file, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        view[: len(_MARK)] = _MARK


def attached(attempt: Attempt) -> None:
    """Write by attaching it as a SQLite database."""
    import sqlite3  # noqa: PLC0415 - most probes need not pay for it

    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute("ATTACH ? AS other", (attempt.given["database"],))
        connection.execute("INSERT INTO other.words VALUES ('spoiled')")
    except sqlite3.Error as fault:
        raise OSError(13, str(fault)) from None
    finally:
        connection.close()


def subprocess_writes(attempt: Attempt) -> None:
    """Let a shell append to it."""
    done = subprocess.run(["sh", "-c", 'echo spoiled >> "$0"', attempt.file], capture_output=True, check=False)
    if done.returncode:
        raise OSError(13, done.stderr.decode(errors="replace")[-80:])


def copied(attempt: Attempt) -> None:
    """Let the kernel copy a file of our own over it."""
    source = os.open(_own(attempt), os.O_RDONLY)
    target = os.open(attempt.file, os.O_WRONLY)
    os.copy_file_range(source, target, len(_MARK))


def change_mode(attempt: Attempt) -> None:
    """Change who may read it."""
    os.chmod(attempt.file, 0o640)


def change_time(attempt: Attempt) -> None:
    """Change its time."""
    os.utime(attempt.file, (1, 1))


def change_owner(attempt: Attempt) -> None:
    """Give it to another group."""
    os.chown(attempt.file, -1, attempt.given["group"])


def set_attribute(attempt: Attempt) -> None:
    """Add an extended attribute."""
    os.setxattr(attempt.file, "user.spoiled", _MARK)


def remounted(attempt: Attempt) -> None:
    """Make what is mounted on the way writable again, and write."""
    calls.own_mounts(attempt.outside["mounts"])
    place = attempt.folder
    while True:
        try:
            calls.mount("none", place, flags=calls.MS_REMOUNT | calls.MS_BIND)
        except OSError as refused:
            fault = refused
        if place == "/":
            break
        place = os.path.dirname(place)
    try:
        _write(attempt.file)
    except OSError:
        raise fault from None


def unmounted(attempt: Attempt) -> None:
    """Unmount whatever covers it, and write."""
    calls.own_mounts(attempt.outside["mounts"])
    place = attempt.file
    while place != "/":
        with suppress(OSError):
            calls.umount(place)
        place = os.path.dirname(place)
    _write(attempt.file)


def own_namespace(attempt: Attempt) -> None:
    """Become root of a user namespace of our own, and remount, unmount and write there."""
    calls.unshare(calls.CLONE_NEWUSER | calls.CLONE_NEWNS)
    for route in (remounted, unmounted):
        try:
            return route(attempt)
        except OSError as refused:
            fault = refused
    raise fault


def handle(attempt: Attempt) -> None:
    """Open it by a handle of the file system, and once more for writing."""
    _write(f"/proc/self/fd/{calls.open_by_handle(attempt.file, attempt.scratch)}")


def places(attempt: Attempt) -> None:
    """Open a protected file for writing, or make a file without a name in a protected folder; neither is kept."""
    place = attempt.given["place"]
    os.close(os.open(place, os.O_WRONLY | (os.O_TMPFILE if os.path.isdir(place) else 0), 0o600))


ROUTES: dict[str, Callable[[Attempt], None]] = {
    "write": write, "append": append, "truncate": truncate, "open with O_TRUNC": truncate_opened, "create": create,
    "O_TMPFILE and link": nameless, "mkdir": make_folder, "unlink": remove, "remove a folder": remove_folder,
    "rename out": rename_out, "rename over": rename_in, "rename": rename_beside, "exchange names": rename_exchange,
    "rename a folder out": rename_folder, "hard link into the folder": hard_link_in,
    "symbolic link into the folder": symlink_in, "write by a hard link": through_hard_link,
    "write by a symbolic link": through_symlink, "open again through /proc/self/fd": reopened,
    "write through /proc/PID/root": through_proc, "write by folder handle": folder_handle,
    "write by inherited descriptors": inherited, "write by mmap": mapped, "SQLite ATTACH and INSERT": attached,
    "subprocess writes": subprocess_writes, "copy_file_range": copied, "chmod": change_mode, "utime": change_time,
    "chown": change_owner, "setxattr": set_attribute, "remount": remounted, "umount and write": unmounted,
    "own user namespace and write": own_namespace, "open_by_handle_at and write": handle,
    "write to a read-only place": places, "write to what starts code later": places,
}  # fmt: skip
APART = ("remount", "umount and write", "own user namespace and write", "write by inherited descriptors")
"""Those that change the process."""
