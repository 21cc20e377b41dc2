"""Landlock: an allow-list that the kernel keeps for a command and all that it starts, without any privilege.

What is not to be reached cannot be named, so everything beside it is: a folder that holds something hidden or read-only
gives no right of its own, and what is created in it later is refused. Names and sizes of hidden files can still be
seen, and their owner can change their mode. Interface: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import json
import os
import signal
import stat
import struct
import sys
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from agent_studio.errors import StorageError
from agent_studio.isolation import held
from agent_studio.isolation.backends import Availability, Prepared, Supervisor, terminal
from agent_studio.isolation.policy import Access
from agent_studio.isolation.tree import Tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from agent_studio.isolation.backends import Wanted
    from agent_studio.isolation.policy import Policy

NAME = "landlock"
STRENGTH = 2
IS_AUTOMATIC = True
BINDS = False
_LEAST = 3
"""The first version that can refuse truncation: before it, what is read-only could be emptied."""
_CREATE, _ADD, _VERSION, _BENEATH = 444, 445, 1, 1
"""System calls have these numbers on every architecture."""
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_SINCE = ((1, (1 << 13) - 1), (2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
"""Rights to files by the version that has them first."""
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract sockets and signals stay inside."""
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")
_SYSTEM = {Path("/proc"): Access.READ, Path("/sys"): Access.READ, Path("/dev"): Access.HIDDEN} | {
    Path("/dev", name): Access.WRITE for name in _DEVICES
}
_SET_CHILD_SUBREAPER = 36
_LAUNCHER = Path(__file__).with_name("landlock_start.py")
_TEMPORARY = ("TMPDIR", "TMP", "TEMP", "CLAUDE_CODE_TMPDIR")


class Grant(NamedTuple):
    """One path and the rights below it."""

    path: Path
    rights: int


def available(policy: Policy | None = None) -> Availability:  # noqa: ARG001 - as every backend
    """Tell whether the kernel offers it, in a version that keeps what is read-only."""
    version = abi()
    if version < 1:
        return Availability(False, "this kernel does not offer Landlock", STRENGTH)
    if version < _LEAST:
        return Availability(
            False, f"Landlock version {version} cannot refuse truncation, version {_LEAST} (Linux 6.2) can", STRENGTH
        )
    return Availability(True, f"an allow-list, version {version}", STRENGTH)


@cache
def abi() -> int:
    """Return the kernel's version of Landlock, 0 when it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE, None, 0, _VERSION)[0])


@contextmanager
def prepared(policy: Policy, wanted: Wanted) -> Iterator[Prepared]:
    """Yield a launcher that takes the rights from itself and then becomes the command."""
    granted, gaps, tree = grants(policy, abi())
    with ExitStack() as stack:
        ruleset = _ruleset(_handled(abi()))
        stack.callback(os.close, ruleset)
        for grant in granted:
            _add(ruleset, grant)
        follower = stack.enter_context(_Follower())
        told = {
            "ruleset": ruleset, "status": follower.write_end, "filter": terminal.program().hex(),
            "program": wanted.program, "argv": list(wanted.argv), "ignored": [], "capable": False,
        }  # fmt: skip
        spec = stack.enter_context(_file(told))
        hidden, kept = ([path for path in paths if path in tree.rules] for paths in (policy.hidden, policy.readonly))
        closed = tree.has_stricter(policy.project, tree.access(policy.project))
        limits = [f"nothing can be created, renamed or removed directly in {policy.project}"] if closed else []
        yield Prepared(
            _start(spec), follower, (ruleset, follower.write_end, spec), _temporary(wanted, tree), hidden, kept, gaps,
            limits,
        )  # fmt: skip


@contextmanager
def scoped(argv: Sequence[str], ignored: Sequence[int]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Yield what starts another program with abstract sockets and signals kept inside, and no other rule.

    `ignored` are signals that it does not hear. Also yields the descriptors to pass on.
    """
    with ExitStack() as stack:
        ruleset = _ruleset(0)
        stack.callback(os.close, ruleset)
        told = {
            "ruleset": ruleset, "status": 2, "filter": "", "program": argv[0], "argv": list(argv),
            "ignored": list(ignored), "capable": True,
        }  # fmt: skip
        spec = stack.enter_context(_file(told))
        yield _start(spec), (ruleset, spec)


def can_scope() -> bool:
    """Tell whether the kernel keeps abstract sockets and signals inside."""
    return abi() >= _SCOPES_SINCE


def _start(spec: int) -> list[str]:
    return [sys.executable, "-I", "-S", "-B", str(_LAUNCHER), str(spec)]


@contextmanager
def _file(told: dict[str, object]) -> Iterator[int]:
    """Yield a descriptor from which the launcher reads what it has to do."""
    descriptor = os.memfd_create("agent-studio", 0)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as writer:
            writer.write(json.dumps({**told, "parent": os.getpid()}).encode("ascii"))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


class _Follower(Supervisor):
    """Learns from the launcher whether it became the command, and ends what the command leaves behind."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        self._adopt(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adopt(0)
        os.close(self._read_end)
        self._close()

    def started(self, process: subprocess.Popen[bytes]) -> None:
        del process
        self._close()
        told = b""
        while chunk := os.read(self._read_end, 1 << 10):
            told += chunk
        if told:
            step, number = told.decode("ascii").split()
            message = os.strerror(int(number)) if step == "execute" else f"Landlock: {os.strerror(int(number))}"
            raise OSError(int(number), message)

    def ended(self, process: subprocess.Popen[bytes]) -> str:
        """Kill what still runs: a process without a parent is ours, as we have asked for it."""
        del process
        while left := _children():
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with suppress(OSError):
                    os.waitpid(pid, 0)
        return ""

    @staticmethod
    def _adopt(on: int) -> None:
        import ctypes  # noqa: PLC0415 - only where a command is started

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(on), 0, 0, 0)

    def _close(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1


def _children() -> list[int]:
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += map(int, (thread / "children").read_text("ascii").split())
    return found


def grants(policy: Policy, version: int) -> tuple[list[Grant], tuple[str, ...], Tree]:
    """Return the allow-list of a policy, what it does not keep, and the rules that it follows."""
    rules = {path: access for path, access in policy.rules().items() if path not in policy.doors}
    gaps = [f"{path} can be connected to" for path in sorted(policy.doors)]  # a right that it does not know
    strict = Tree({path: access for path, access in rules.items() if path not in policy.guarded})
    for path in sorted(policy.guarded):
        parent = path.parent
        if strict.access(parent) is Access.WRITE and not strict.has_stricter(parent, Access.WRITE):
            del rules[path]  # else nothing could be created beside it
            gaps.append(f"{path} can be changed")
    if version < _SCOPES_SINCE:
        gaps.append(f"signals and abstract sockets reach other processes (Landlock version {version})")
    system = {path: access for path, access in _SYSTEM.items() if not path.is_symlink()}
    tree = Tree(rules | system, policy.closed)
    handled = _handled(version)
    if _is_inside():  # nothing beside the hidden can be found out here, and the rules around us hold anyway
        return [Grant(Path("/"), _rights(Path("/"), Access.WRITE) & handled)], tuple(gaps), tree
    found: list[Grant] = []
    _grant(tree, Path("/"), Access.WRITE, policy.project, handled, found)
    return found, tuple(gaps), tree


def _is_inside() -> bool:
    """Tell whether another run's allow-list holds for us: nobody else is kept from listing the root."""
    try:
        os.scandir("/").close()
    except PermissionError:
        return True
    return False


def _grant(tree: Tree, path: Path, access: Access, project: Path, handled: int, found: list[Grant]) -> None:
    """Add the rights to a path and, where they end in it, to what is beside the place."""
    if not tree.is_parted(path, access):
        if rights := _rights(path, access) & handled:
            found.append(Grant(path, rights))
        for inner in tree.below(path):
            if tree.rules[inner] > tree.access(inner.parent):
                _grant(tree, inner, tree.rules[inner], project, handled, found)
        return
    has_hidden = tree.has_stricter(path, Access.READ)
    if access is not Access.HIDDEN and (path.is_relative_to(project) or not has_hidden):
        found.append(Grant(path, _READ_DIR))
    for entry in tree.entries(path):
        if not entry.is_link:
            inner_access = access if entry.rule is None else tree.rules[entry.rule]
            _grant(tree, entry.path, inner_access, project, handled, found)


def _rights(path: Path, access: Access) -> int:
    if access is Access.HIDDEN:
        return 0
    rights = _EXECUTE | _READ_FILE | _READ_DIR
    if access is Access.WRITE:
        rights = ~(_MAKE_BLOCK | _MAKE_CHAR)
    try:
        return rights if stat.S_ISDIR(path.lstat().st_mode) else rights & _OF_FILES
    except OSError:
        return 0


def _handled(version: int) -> int:
    return sum(rights for since, rights in _SINCE if since <= version)


def _ruleset(handled: int) -> int:
    # `struct landlock_ruleset_attr`: rights to files, to the network, scopes; an older kernel knows fewer of them
    attributes = struct.pack("=Q", handled)
    if can_scope():
        attributes += struct.pack("=QQ", 0, _SCOPES)
    descriptor, fault = _call(_CREATE, attributes, len(attributes), 0)
    if descriptor < 0:
        raise StorageError(
            f"Landlock refused a set of rules: {os.strerror(fault)}", hint="run with --isolation advisory"
        )
    return descriptor


def _add(ruleset: int, grant: Grant) -> None:
    """Add one rule; what has gone away meanwhile needs none, and neither does a device that nobody may open.

    Raises `NotIsolatedError` when a link leads elsewhere by now.
    """
    with suppress(OSError):
        descriptor = held.opened(grant.path)
        try:
            attributes = struct.pack("=Qi", grant.rights, descriptor)
            done, fault = _call(_ADD, ruleset, _BENEATH, attributes, 0)
            if done < 0:
                raise StorageError(f"Landlock refused a rule for {grant.path}: {os.strerror(fault)}", hint="")
        finally:
            os.close(descriptor)


def _call(number: int, *arguments: int | bytes | None) -> tuple[int, int]:
    """Make a system call; return its result and the error number."""
    import ctypes  # noqa: PLC0415 - only where a command is started

    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    converted = [ctypes.c_long(given) if isinstance(given, int) else given for given in arguments]
    return int(library.syscall(ctypes.c_long(number), *converted)), ctypes.get_errno()


def _temporary(wanted: Wanted, tree: Tree) -> tuple[tuple[str, str], ...]:
    """Return variables that name another folder for temporary files, where none can be created in the usual one."""
    usual = Path(os.path.realpath(os.environ.get("TMPDIR") or "/tmp"))  # noqa: S108 - the usual one
    if tree.access(usual) is Access.WRITE and not tree.has_stricter(usual, Access.WRITE):
        return ()
    return tuple((name, str(wanted.scratch)) for name in _TEMPORARY) if wanted.scratch else ()
