"""Routes to the content of a file that is hidden, and to its name and size."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.isolation.routes import calls
from agent_studio.isolation.routes.attempt import PLANTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.isolation.routes.attempt import Attempt

_BYTES = 1 << 13
_STANDARD = 2
"""The last descriptor that every process inherits."""


def _content(path: str | int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY) if isinstance(path, str) else path
    try:
        return os.read(descriptor, _BYTES)
    finally:
        os.close(descriptor)


def _first(paths: Iterator[str]) -> bytes:
    """Return what the first path gives that gives anything; raise what the last one failed with."""
    fault: OSError = FileNotFoundError(2, "nothing to try")
    for path in paths:
        try:
            if got := _content(path):
                return got
        except OSError as refused:
            fault = refused
    raise fault


def read(attempt: Attempt) -> bytes:
    """Open it by its name."""
    return _content(attempt.file)


def list_names(attempt: Attempt) -> bytes:
    """List its folder."""
    return "\n".join(name for name in os.listdir(attempt.folder) if name.startswith(PLANTED)).encode()


def walk(attempt: Attempt) -> bytes:
    """Read what the folder lists, of what was planted there."""
    return _first(
        entry.path for entry in os.scandir(attempt.folder) if entry.name.startswith(PLANTED) and entry.is_file()
    )


def size(attempt: Attempt) -> bytes:
    """Ask for its size."""
    return f"size {os.stat(attempt.file).st_size}".encode()


def upward(attempt: Attempt) -> bytes:
    """Go up from the scratch folder and down again, with `..` in the path."""
    return _content(os.path.join(attempt.scratch, os.path.relpath(attempt.file, attempt.scratch)))


def folder_handle(attempt: Attempt) -> bytes:
    """Enter one folder after the other by handle."""
    handle = os.open("/", os.O_PATH | os.O_DIRECTORY)
    for part in Path(attempt.folder).parts[1:]:
        inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        os.close(handle)
        handle = inner
    return _content(os.open(os.path.basename(attempt.file), os.O_RDONLY, dir_fd=handle))


def path_handle(attempt: Attempt) -> bytes:
    """Get a handle that opens nothing (O_PATH), and open what it stands for through /proc."""
    return _content(f"/proc/self/fd/{os.open(attempt.file, os.O_PATH)}")


def through_proc(attempt: Attempt) -> bytes:
    """Go through the process's own root and working folder in /proc."""
    os.chdir("/")
    return _first(iter((f"/proc/self/root{attempt.file}", f"/proc/thread-self/cwd{attempt.file}")))


def other_process(attempt: Attempt) -> bytes:
    """Go through root, working folder and open files of processes outside in /proc."""
    pid = attempt.outside["pid"]
    return _first(
        path
        for process in dict.fromkeys((pid, os.getppid(), 1))
        for path in (
            f"/proc/{process}/root{attempt.file}",
            f"/proc/{process}/cwd/{os.path.basename(attempt.file)}",
            f"/proc/{process}/fd/{attempt.outside['descriptor']}",
        )
    )


def memory(attempt: Attempt) -> bytes:
    """Read the memory of a process outside that holds the content."""
    return calls.read_memory(attempt.outside["pid"], attempt.outside["address"], attempt.outside["size"])


def memory_file(attempt: Attempt) -> bytes:
    """Read the same through /proc/PID/mem."""
    with open(f"/proc/{attempt.outside['pid']}/mem", "rb", buffering=0) as file:
        file.seek(attempt.outside["address"])
        return file.read(attempt.outside["size"])


def variables(attempt: Attempt) -> bytes:
    """Read the variables of a process outside."""
    return _content(f"/proc/{attempt.outside['pid']}/environ")


def stolen_descriptor(attempt: Attempt) -> bytes:
    """Take a descriptor out of a process outside (pidfd_getfd)."""
    handle = calls.call(calls.PIDFD_OPEN, attempt.outside["pid"], 0)
    return _content(os.dup(calls.call(calls.PIDFD_GETFD, handle, attempt.outside["descriptor"], 0)))


def inherited(attempt: Attempt) -> bytes:
    """Use every descriptor that was inherited: read files, look into folders."""
    name = os.path.basename(attempt.file)
    for number in range(256):
        try:
            if stat.S_ISDIR(os.fstat(number).st_mode):
                return _content(os.open(name, os.O_RDONLY, dir_fd=number))
            if number > _STANDARD and stat.S_ISREG(os.fstat(number).st_mode) and (got := os.pread(number, _BYTES, 0)):
                return got
        except OSError:
            continue
    raise FileNotFoundError(2, "no descriptor leads there")


def symlink(attempt: Attempt) -> bytes:
    """Make a symbolic link to it, and one to its folder, where writing is allowed."""
    os.symlink(attempt.file, f"{attempt.scratch}/link")
    os.symlink(attempt.folder, f"{attempt.scratch}/folder")
    return _first(iter((f"{attempt.scratch}/link", f"{attempt.scratch}/folder/{os.path.basename(attempt.file)}")))


def hard_link(attempt: Attempt) -> bytes:
    """Make a hard link to it where writing is allowed."""
    os.link(attempt.file, f"{attempt.scratch}/hard")
    return _content(f"{attempt.scratch}/hard")


def link_of_handle(attempt: Attempt) -> bytes:
    """Make a hard link of a handle that opens nothing."""
    handle = os.open(attempt.file, os.O_PATH)
    new = os.fsencode(f"{attempt.scratch}/linked")
    source = f"/proc/self/fd/{handle}".encode()
    calls.checked(calls.libc().linkat(calls.AT_FDCWD, source, calls.AT_FDCWD, new, calls.AT_SYMLINK_FOLLOW))
    return _content(f"{attempt.scratch}/linked")


def mapped(attempt: Attempt) -> bytes:
    """Map it into memory."""
    import mmap  # noqa: PLC0415 - most probes need not pay for it

    with open(attempt.file, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view[:_BYTES]


def attached(attempt: Attempt) -> bytes:
    """Attach it as a SQLite database."""
    import sqlite3  # noqa: PLC0415 - most probes need not pay for it

    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("ATTACH ? AS other", (attempt.given["database"],))
        return str(connection.execute("SELECT word FROM other.words").fetchone()[0]).encode()
    except sqlite3.Error as fault:
        raise OSError(13, str(fault)) from None
    finally:
        connection.close()


def subprocess_reads(attempt: Attempt) -> bytes:
    """Let another program read it."""
    done = subprocess.run(["cat", attempt.file], capture_output=True, check=False)
    if done.returncode:
        raise OSError(13, done.stderr.decode(errors="replace")[-80:])
    return done.stdout


def handle(attempt: Attempt) -> bytes:
    """Open it by a handle of the file system, past all names (open_by_handle_at)."""
    return _content(calls.open_by_handle(attempt.file, attempt.scratch))


def unmounted(attempt: Attempt) -> bytes:
    """Unmount whatever covers it, as far as that goes."""
    calls.own_mounts(attempt.outside["mounts"])
    for place in (attempt.file, attempt.folder, *map(str, Path(attempt.folder).parents)):
        if place != "/":
            try:
                calls.umount(place)
            except OSError:
                continue
    return _content(attempt.file)


def bound(attempt: Attempt) -> bytes:
    """Bind its folder to a place of our own."""
    calls.own_mounts(attempt.outside["mounts"])
    calls.mount(attempt.folder, attempt.scratch, flags=calls.MS_BIND)
    return _content(f"{attempt.scratch}/{os.path.basename(attempt.file)}")


def bound_root(attempt: Attempt) -> bytes:
    """Bind the root without what is mounted on it to a place of our own."""
    calls.own_mounts(attempt.outside["mounts"])
    calls.mount("/", attempt.scratch, flags=calls.MS_BIND)
    return _content(attempt.scratch + attempt.file)


def own_namespace(attempt: Attempt) -> bytes:
    """Become root of a user namespace of our own, and unmount and bind there."""
    calls.unshare(calls.CLONE_NEWUSER | calls.CLONE_NEWNS)
    for route in (read, unmounted, bound, bound_root):
        try:
            return route(attempt)
        except OSError as refused:
            fault = refused
    raise fault


def other_root(attempt: Attempt) -> bytes:
    """Leave by a root of our own: change to a folder, keep a handle outside, go up from there."""
    outside = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.chroot(attempt.scratch)
    os.fchdir(outside)
    for _ in range(64):
        os.chdir("..")
    return _content(attempt.file.lstrip("/"))


def _device(attempt: Attempt) -> int:
    return os.makedev(*attempt.given["disk"]["device"])


def disk(attempt: Attempt) -> bytes:
    """Read the blocks of the disk, past the file system."""
    wanted = _device(attempt)
    for entry in os.scandir("/dev"):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISBLK(status.st_mode) and status.st_rdev == wanted:
            return _blocks(entry.path, attempt)
    raise FileNotFoundError(2, "no device")


def new_device(attempt: Attempt) -> bytes:
    """Make a node of the disk of our own and read its blocks."""
    os.mknod(f"{attempt.scratch}/disk", stat.S_IFBLK | 0o600, _device(attempt))
    return _blocks(f"{attempt.scratch}/disk", attempt)


def _blocks(path: str, attempt: Attempt) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, attempt.given["disk"]["size"], attempt.given["disk"]["offset"])
    finally:
        os.close(descriptor)


def other_case(attempt: Attempt) -> bytes:
    """Write its path with one part in capitals or in small letters."""
    parts = Path(attempt.file).parts
    return _first(
        str(Path(*parts[:number], other, *parts[number + 1 :]))
        for number, part in enumerate(parts)
        for other in {part.upper(), part.lower()} - {part}
    )


def traced(attempt: Attempt) -> bytes:
    """Attach to a process outside as a debugger."""
    number, attach, detach = attempt.outside["pid"], 16, 17
    libc = calls.libc()
    calls.checked(libc.ptrace(attach, number, None, None))
    os.waitpid(number, getattr(os, "__WALL", 0x40000000))
    try:
        return calls.read_memory(number, attempt.outside["address"], attempt.outside["size"])
    finally:
        libc.ptrace(ctypes.c_long(detach), number, None, None)


def _asked(address: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(address)
        return connection.recv(_BYTES)


def contents(attempt: Attempt) -> bytes:
    """Say whether a protected file shows any content; never which."""
    if not _content(attempt.given["place"]):
        raise FileNotFoundError(2, "it is empty")
    return b"shown"


def abstract_socket(attempt: Attempt) -> bytes:
    """Ask a process outside by an abstract socket, which no file stands for."""
    return _asked(attempt.outside["abstract"])


def hidden_socket(attempt: Attempt) -> bytes:
    """Ask a process outside by a socket that lies in a hidden folder."""
    folder = os.open(attempt.folder, os.O_PATH | os.O_DIRECTORY)  # the way by its handle: the path may be too long
    return _asked(f"/proc/self/fd/{folder}/{attempt.outside['socket']}")


ROUTES: dict[str, Callable[[Attempt], bytes]] = {
    "read": read, "list": list_names, "read what is listed": walk, "size (stat)": size, "path with ..": upward,
    "folder handles": folder_handle, "O_PATH and /proc/self/fd": path_handle, "/proc/self/root, cwd": through_proc,
    "/proc/PID/root, cwd, fd": other_process, "memory of a process": memory, "/proc/PID/mem": memory_file,
    "/proc/PID/environ": variables, "pidfd_getfd": stolen_descriptor, "ptrace": traced,
    "inherited descriptors": inherited,
    "symbolic link": symlink, "hard link": hard_link, "hard link of a handle": link_of_handle, "mmap": mapped,
    "SQLite ATTACH": attached, "subprocess": subprocess_reads, "open_by_handle_at": handle, "umount": unmounted,
    "bind mount": bound, "bind of the root": bound_root, "own user namespace": own_namespace, "chroot": other_root,
    "raw disk": disk, "mknod of the disk": new_device, "other case": other_case, "abstract socket": abstract_socket,
    "socket in a hidden folder": hidden_socket,
    "read a hidden place": contents,
}  # fmt: skip
APART = (
    "umount", "bind mount", "bind of the root", "own user namespace", "chroot", "ptrace", "inherited descriptors",
    "/proc/self/root, cwd",
)  # fmt: skip
"""Those that change the process."""
