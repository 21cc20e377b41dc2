"""Becomes a command after taking rights from itself: Landlock, no new privileges, fewer capabilities, a filter.

Its first half stays behind, out of the command's reach, and ends all that the command has started when the command ends
or the run does, however that comes about. It may also become bubblewrap, deaf to some signals and with a set of rules
that keeps sockets and signals inside; bubblewrap ends its own.

Run by file name, without site packages, in a process of its own; it knows nothing but what its descriptor says.
"""

import ctypes
import json
import os
import signal
import sys

_SET_PDEATHSIG, _SET_SECCOMP, _CAPBSET_READ, _CAPBSET_DROP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = (
    1, 22, 23, 24, 36, 38,
)  # fmt: skip
_FILTER = 2
_RESTRICT_SELF = 446
_KEPT = (0, 1, 3, 4, 6, 7)
"""What root keeps: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID."""
_CAPABILITIES = 64
_ERRORS = 2
"""Where faults are told when nobody reads them apart."""


_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT)
_OF_TERMINAL = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_ORPHANED = signal.SIGALRM
"""Told by the kernel when the run is gone."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def main() -> None:
    """Confine this process and execute the command; what fails is told as `step errno`."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        spec = json.load(file)
    status = spec["status"]
    if status > _ERRORS:
        os.set_inheritable(status, False)
    step = "confine"
    try:
        if not spec["capable"]:
            _leave_guardian(spec)
        _confine(spec)
        os.close(spec["ruleset"])
        for number in spec["ignored"]:
            signal.signal(number, signal.SIG_IGN)
        for name in ("SIGPIPE", "SIGXFSZ"):  # which Python ignores, and a command would inherit that
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        step = "execute"
        os.execve(spec["program"], spec["argv"], os.environ)  # noqa: S606 - the command, as its user wrote it
    except OSError as error:
        os.write(status, f"{step} {error.errno or 0}\n".encode())
    os._exit(126)


def _leave_guardian(spec: dict) -> None:  # type: ignore[type-arg]
    """Fork: this process goes on as the child, and its parent stays to watch over it."""
    library = ctypes.CDLL(None, use_errno=True)
    _prctl(library, _SET_CHILD_SUBREAPER, 1)
    _prctl(library, _SET_PDEATHSIG, int(_ORPHANED))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(_ORPHANED, signal.SIG_DFL)
    heard = {signal.SIGCHLD, _ORPHANED, *_FORWARDED}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*heard, *_OF_TERMINAL})
    run, guardian = spec["parent"], os.getpid()
    command = os.fork()
    if command:
        for descriptor in (spec["ruleset"], spec["status"]):
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(_ERRORS + 1):
            os.dup2(nothing, descriptor)
        os._exit(_guarded(command, run, heard))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    spec["parent"] = guardian


def _guarded(command: int, run: int, heard: set[signal.Signals]) -> int:
    """Wait for the command and end what it leaves behind; return the exit code as a shell would say it."""
    code = None
    while code is None and os.getppid() == run:
        told = signal.sigwaitinfo(heard)
        if told.si_signo == signal.SIGCHLD:
            code = _reaped(command)
        elif told.si_signo != _ORPHANED and told.si_pid == run:
            os.kill(command, told.si_signo)
    while left := _children():
        for pid in left:
            os.kill(pid, signal.SIGKILL)  # not reaped yet, so still there and still ours
        for pid in left:
            os.waitpid(pid, 0)
    return 126 if code is None else code


def _reaped(command: int) -> int | None:
    """Reap all that has ended, adopted processes as well; return the command's exit code when it is among them."""
    code = None
    while found := _ended():
        if found[0] == command:
            code = found[1] if found[1] >= 0 else 128 - found[1]
    return code


def _ended() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # noqa: PTH123 - without pathlib
        return list(map(int, file.read().split()))


def _confine(spec: dict) -> None:  # type: ignore[type-arg]
    library = ctypes.CDLL(None, use_errno=True)
    _prctl(library, _SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != spec["parent"]:
        os._exit(126)  # nobody waits for it any more
    _prctl(library, _SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0 and not spec["capable"]:
        for number in set(range(_CAPABILITIES)) - set(_KEPT):
            if library.prctl(_CAPBSET_READ, number, 0, 0, 0) == 1:
                _prctl(library, _CAPBSET_DROP, number)
    steps = bytes.fromhex(spec["filter"])
    if steps:
        program = _Program(len(steps) // 8, steps)
        if library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")
    if library.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_long(spec["ruleset"]), ctypes.c_long(0)):
        raise OSError(ctypes.get_errno(), "landlock")


def _prctl(library: ctypes.CDLL, option: int, value: int) -> None:
    if library.prctl(ctypes.c_int(option), ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    main()
