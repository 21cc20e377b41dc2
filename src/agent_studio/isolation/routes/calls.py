"""System calls that Python does not offer, as functions that raise `OSError`."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID = 0x10000000, 0x00020000, 0x20000000
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x400, 0x1000
RENAME_EXCHANGE = 2
PIDFD_OPEN, PIDFD_GETFD, RENAMEAT2 = 434, 438, {"x86_64": 316, "aarch64": 276}
"""Numbers of system calls; those above 403 are the same on every machine."""
_HANDLE_BYTES = 128


def libc() -> ctypes.CDLL:
    """Return the C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """Return the result of a call, or raise what it failed with."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(number: int, *arguments: object) -> int:
    """Make a system call by its number."""
    return checked(libc().syscall(ctypes.c_long(number), *arguments))


def unshare(flags: int) -> None:
    """Leave namespaces; in a new user namespace become its root."""
    user, group = os.getuid(), os.getgid()
    checked(libc().unshare(flags))
    if flags & CLONE_NEWUSER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> None:
    """Mount."""
    checked(libc().mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), None))


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """Unmount."""
    checked(libc().umount2(target.encode(), flags))


def own_mounts(outside: str) -> None:
    """Make mounts of one's own, so that what is tried here stays here; `outside` names those that must not change."""
    try:
        unshare(CLONE_NEWNS)
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
    except OSError:
        if os.readlink("/proc/self/ns/mnt") == outside:
            raise


def exchange(one: str, other: str) -> None:
    """Let two names change places in one step."""
    number = RENAMEAT2[os.uname().machine]
    call(number, AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)


def open_by_handle(path: str, mount_folder: str) -> int:
    """Open a file by its handle, past every name on the way; needs CAP_DAC_READ_SEARCH."""
    handle = (ctypes.c_uint * (2 + _HANDLE_BYTES // 4))(_HANDLE_BYTES, 0)
    number = ctypes.c_int()
    checked(libc().name_to_handle_at(AT_FDCWD, os.fsencode(path), handle, ctypes.byref(number), 0))
    folder = os.open(mount_folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return checked(libc().open_by_handle_at(folder, handle, os.O_RDONLY))
    finally:
        os.close(folder)


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Read the memory of another process."""

    class Vector(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))

    buffer = ctypes.create_string_buffer(size)
    own, other = Vector(ctypes.addressof(buffer), size), Vector(address, size)
    got = libc().process_vm_readv(pid, ctypes.byref(own), 1, ctypes.byref(other), 1, 0)
    return buffer.raw[: checked(got)]
