"""Becomes a command after taking rights from itself: Landlock, no new privileges, fewer capabilities, a filter.

It may also become bubblewrap, deaf to some signals and with a set of rules that keeps sockets and signals inside.

Run by file name, without site packages, in a process of its own; it knows nothing but what its descriptor says.
"""

import ctypes
import json
import os
import signal
import sys

_SET_PDEATHSIG, _SET_SECCOMP, _CAPBSET_READ, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 22, 23, 24, 38
_FILTER = 2
_RESTRICT_SELF = 446
_KEPT = (0, 1, 3, 4, 6, 7)
"""What root keeps: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID."""
_CAPABILITIES = 64
_ERRORS = 2
"""Where faults are told when nobody reads them apart."""


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
