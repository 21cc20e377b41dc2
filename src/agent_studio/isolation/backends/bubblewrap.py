"""bubblewrap: a mount, user and process namespace of the command's own, without capabilities.

Never without a user namespace: there root could unmount what hides. Hidden folders are empty and read-only, a folder
that is read-only and holds hidden ones is put together anew of what may be seen, so what appears in it later is not
seen. The folders above are made mount points, so they cannot be renamed away; those mounts lie below others, where no
path leads through them, so that files can be moved as before.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agent_studio.isolation import held, placeholders
from agent_studio.isolation.backends import Availability, NotIsolatedError, Prepared, Supervisor, landlock, terminal
from agent_studio.isolation.policy import Access
from agent_studio.isolation.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.isolation.backends import Copied, Wanted
    from agent_studio.isolation.policy import Policy

NAME = "bubblewrap"
STRENGTH = 3
IS_AUTOMATIC = True
BINDS = True
_PROGRAM = "bwrap"
_NAMESPACES = (
    "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--die-with-parent",
    "--cap-drop", "ALL",
)  # fmt: skip
_SYSTEM = ("--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--ro-bind", "/sys", "/sys")
_OF_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "acpi", "scsi", "fs", "mtrr")
"""Of `/proc`: what is the machine's, and root's to write even in a user namespace."""
_BINDS_BY_HANDLE = {"--bind": "--bind-fd", "--ro-bind": "--ro-bind-fd"}
_TRIAL_SECONDS = 10
_PAUSE_SECONDS = 0.01
_HEAD_BYTES = 256
_MOST_WORDS = 8_900
"""It refuses more than 9,000."""
_ENV = "/usr/bin/env"
_HANDED_ON = ("INT", "QUIT", "HUP", "TERM", "USR1", "USR2")
_RESET = (
    "import json, os, signal, sys\n"
    "for number in json.loads(sys.argv[1]): signal.signal(number, signal.SIG_DFL)\n"
    "os.execv(sys.argv[2], sys.argv[2:])"
)
_OWN = (Path("/dev"), Path("/proc"), Path("/sys"))


def available(policy: Policy | None = None) -> Availability:
    """Tell whether it works here: a command is really confined once a process."""
    if policy is not None and hasattr(os, "getuid"):
        owner = policy.project.stat().st_uid
        if os.getuid() == 0 and owner:
            return Availability(
                False, f"the project belongs to user {owner}: root in a user namespace has no rights to it", STRENGTH
            )
    if policy is not None and _is_own(policy.project):
        return Availability(False, f"the project lies in {policy.project.parents[-2]}, which is mounted anew", STRENGTH)
    reason = _fault()
    return Availability(not reason, reason or "namespaces of its own", STRENGTH)


@cache
def _fault() -> str:
    found = shutil.which(_PROGRAM)
    if found is None:
        return "bwrap is not installed"
    with _outside([found, *_NAMESPACES, *_system(), "--tmpfs", "/run", "--remount-ro", "/run", "--",
                   _ENV, "--default-signal=INT", "true"]) as (argv, descriptors):  # fmt: skip
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_SECONDS, check=False,
                pass_fds=descriptors,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bwrap cannot be run: {error}"
    if done.returncode == 0:
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"{said[-1] if said else f'bwrap ended with {done.returncode}'}{_refused_by()}"


def _system() -> list[str]:
    """Return the mounts of the system's own folders."""
    kernel = [f"/proc/{name}" for name in _OF_KERNEL if Path("/proc", name).exists()]
    return [*_SYSTEM, *(word for place in kernel for word in ("--ro-bind", place, place))]


@contextmanager
def _outside(argv: list[str]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Yield what starts bwrap, deaf to what the terminal sends to all, for it would end at once; and descriptors."""
    if landlock.can_scope():
        with landlock.scoped(argv, [getattr(signal, f"SIG{name}") for name in _HANDED_ON]) as started:
            yield started
    else:
        yield [_ENV, f"--ignore-signal={','.join(_HANDED_ON)}", *argv], ()


def _refused_by() -> str:
    """Return what in this system keeps user namespaces from ordinary users, where it says so."""
    for name, value, said in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor refuses user namespaces"),
        ("kernel/unprivileged_userns_clone", "0", "user namespaces are switched off"),
        ("user/max_user_namespaces", "0", "user namespaces are switched off"),
    ):
        try:
            if Path("/proc/sys", name).read_text("ascii").strip() == value:
                return f" ({said}: {name.replace('/', '.')} is {value})"
        except OSError:
            continue
    return ""


@contextmanager
def prepared(policy: Policy, wanted: Wanted) -> Iterator[Prepared]:
    """Yield bwrap's command line, given to it through a descriptor: it has thousands of words."""
    _check(Path(wanted.program))
    with ExitStack() as stack:

        def file(data: bytes) -> int:
            descriptor = os.memfd_create("agent-studio", 0)
            stack.callback(os.close, descriptor)
            with os.fdopen(descriptor, "wb", closefd=False) as writer:
                writer.write(data)
            os.lseek(descriptor, 0, os.SEEK_SET)
            return descriptor

        follower = stack.enter_context(_Follower())
        made, gaps = stack.enter_context(placeholders.made(policy.absent))
        policy = policy._replace(readonly=tuple(sorted({*policy.readonly, *made})))
        held_words, handles = stack.enter_context(_held(mounts(policy, wanted.copy), policy.rules()))
        words = [*_NAMESPACES, *_system(), *held_words, "--chdir", str(wanted.cwd)]
        descriptors = [follower.write_end, *handles]
        filter_ = terminal.program()
        if filter_:
            descriptors.append(file(filter_))
            words += ["--seccomp", str(descriptors[-1])]
        words += ["--json-status-fd", str(follower.write_end)]
        if len(words) > _MOST_WORDS:
            raise NotIsolatedError(
                f"bubblewrap takes {_MOST_WORDS} words, and this run needs {len(words)}: nothing was started",
                hint="put the data folders (paths.*) where few other files are",
            )
        descriptors.append(file(b"".join(os.fsencode(word) + b"\0" for word in words)))
        argv = [
            str(shutil.which(_PROGRAM)), "--args", str(descriptors[-1]), "--",
            *_listening(wanted.program), *wanted.argv[1:],
        ]  # fmt: skip
        argv, more = stack.enter_context(_outside(argv))
        if not landlock.can_scope():
            gaps.append("abstract sockets can be connected to")
        yield Prepared(argv, follower, (*descriptors, *more), (), policy.hidden, policy.readonly, gaps)


@contextmanager
def _held(words: list[str], rules: Mapping[Path, Access]) -> Iterator[tuple[list[str], list[int]]]:
    """Yield options in which bwrap binds what has a rule by a handle, and the handles: a name may change its meaning.

    Raises `NotIsolatedError` when one already has.
    """
    handles: list[int] = []
    result = list(words)
    by_handle = _takes_handles()
    try:
        for place, (option, source, target) in enumerate(zip(words, words[1:], words[2:], strict=False)):
            if option in _BINDS_BY_HANDLE and source == target and Path(source) in rules:
                handles.append(held.opened(Path(source)))
                if by_handle:
                    result[place : place + 2] = [_BINDS_BY_HANDLE[option], str(handles[-1])]
        yield result, handles if by_handle else []
    except OSError as error:
        raise NotIsolatedError(f"{error.filename} has gone while the run was prepared", hint="start again") from error
    finally:
        for handle in handles:
            os.close(handle)


@cache
def _takes_handles() -> bool:
    done = subprocess.run([str(shutil.which(_PROGRAM)), "--help"], capture_output=True, check=False)
    return b"--ro-bind-fd" in done.stdout + done.stderr


def _check(program: Path) -> None:
    """Raise what the kernel would say of a script that names no interpreter, or none that is there."""
    try:
        with program.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except PermissionError:  # one may execute what one may not read
        return
    if head.startswith(b"#!"):
        interpreter = head[2:].splitlines()[0].split()
        if not interpreter or not Path(os.fsdecode(interpreter[0])).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(program))
    elif b"\0" not in head:
        raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC), str(program))


class _Follower(Supervisor):
    """Reads what bwrap tells of itself: its first process inside, and the command's exit code."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._told = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._read_end)
        self._close()

    def started(self, process: subprocess.Popen[bytes]) -> None:
        del process
        self._close()

    def send(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Send it to the command itself: bwrap would end, and take the command with it."""
        deadline = time.monotonic() + _TRIAL_SECONDS
        while process.returncode is None and time.monotonic() < deadline:
            inside = self._number("child-pid")
            command = _child_of(inside) if inside else None
            if command:
                os.kill(command, number)
                return
            time.sleep(_PAUSE_SECONDS)

    def ended(self, process: subprocess.Popen[bytes]) -> str:
        if process.returncode <= 0 or self._number("exit-code") is not None:
            return ""
        return "cannot start the command: bubblewrap failed"

    def _number(self, name: str) -> int | None:
        with suppress(BlockingIOError):
            while chunk := os.read(self._read_end, 1 << 12):
                self._told += chunk
        found = re.search(rb'"%s"\s*:\s*([0-9]+)' % name.encode(), self._told)
        return int(found[1]) if found else None

    def _close(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1


def _child_of(parent: int) -> int | None:
    """Return the first child of a process."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()[0])
    return None


def _listening(program: str) -> list[str]:
    """Return what gives the command its own way with signals back, but for those that we were told to ignore."""
    taken = [name for name in _HANDED_ON if signal.getsignal(getattr(signal, f"SIG{name}")) is not signal.SIG_IGN]
    if "=" not in program:
        return [_ENV, f"--default-signal={','.join(taken)}", program] if taken else [program]
    numbers = [int(getattr(signal, f"SIG{name}")) for name in taken]
    return [sys.executable, "-I", "-S", "-c", _RESET, json.dumps(numbers), program]


def mounts(policy: Policy, copy: Copied | None = None) -> list[str]:
    """Return the options that make a policy's mounts, in the order in which they have to be made."""
    rules = {path: access for path, access in policy.rules().items() if not _is_own(path)}
    words = _pins([*rules, policy.project])
    if copy is not None:
        words += ["--bind", str(copy.path), str(policy.project)]
        words += [word for path in copy.shown for word in ("--ro-bind", str(path), str(path))]
    tree = Tree(rules, policy.closed)
    closed: list[str] = []
    for path in sorted(set(tree.rules) - ({policy.project} if copy else set())):
        _mount(tree, path, words, closed, whole=path == policy.project)
    return [*words, *(word for path in reversed(closed) for word in ("--remount-ro", path))]


def _is_own(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _OWN)


def _pins(paths: list[Path]) -> list[str]:
    """Return binds of every folder above the paths onto itself, the deepest first, so that each covers the last."""
    folders = {parent for path in paths for parent in path.parents if parent != Path("/")}
    ordered = sorted(folders, key=lambda folder: (-len(folder.parts), folder))
    return [word for folder in ordered for word in ("--bind", str(folder), str(folder))]


def _mount(tree: Tree, path: Path, words: list[str], closed: list[str], *, whole: bool) -> None:
    access, around = tree.rules[path], tree.access(path.parent)
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return
    if access is Access.HIDDEN:
        if not is_folder:
            words += ["--ro-bind", os.devnull, str(path)]
        elif around is not Access.HIDDEN or not tree.below(path):
            words += ["--tmpfs", str(path)]
            closed.append(str(path))
    elif access is Access.WRITE:
        if around is not Access.WRITE:
            words += ["--bind", str(path), str(path)]
    elif is_folder and not whole and tree.is_parted(path, Access.READ):
        _assemble(tree, path, words, closed)
    else:
        words += ["--ro-bind", str(path), str(path)]


def _assemble(tree: Tree, folder: Path, words: list[str], closed: list[str]) -> None:
    """Make a read-only folder of what may be seen in it; what has a rule of its own is mounted later."""
    words += ["--tmpfs", str(folder)]
    closed.append(str(folder))
    for entry in tree.entries(folder):
        if entry.rule is not None:
            continue
        if entry.is_link:
            words += ["--symlink", str(entry.path.readlink()), str(entry.path)]
        elif tree.is_parted(entry.path, Access.READ):
            _assemble(tree, entry.path, words, closed)
        else:
            words += ["--ro-bind", str(entry.path), str(entry.path)]
