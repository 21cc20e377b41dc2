"""Starts a command inside an environment, in the foreground, and waits for it.

How far the command is kept apart from other environments is its backend. Without one, isolation is `advisory`: the
command is told where it belongs, and nothing but its own good behaviour keeps it there.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.isolation.backends import ADVISORY, Prepared, Supervisor, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path
    from types import FrameType

    from agent_studio.isolation.backends import Backend, Copied
    from agent_studio.isolation.policy import Policy

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit codes of a command that cannot be started, as shells use them."""
_SIGNALLED = 128
_FORWARDED = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
_OF_TERMINAL = ("SIGINT", "SIGQUIT")
"""A terminal sends them to the command itself, which decides what they mean."""


@dataclass(frozen=True)
class Launch:
    """A command and all that it is started with."""

    argv: Sequence[str]
    variables: Mapping[str, str]
    """All that it inherits."""
    cwd: Path
    environment: str
    backend: Backend | None = None
    """None: advisory."""
    policy: Policy | None = None
    withheld: Sequence[str] = ()
    """Names of variables that it does not inherit."""
    scratch: Path | None = None
    """An empty folder for temporary files."""
    tell: Callable[[Prepared], None] = lambda _: None
    """Told what the backend does, before the command begins."""
    copy: Copied | None = None
    """What takes the project's place."""


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    launch: Launch
    code: int
    """As a shell would report it: 128 + n for a signal, 126 or 127 when it could not be started."""
    started_at: datetime
    duration_ms: int
    fault: str = ""
    """Why it could not be started."""
    prepared: Prepared | None = None
    """What the backend did."""
    details: Mapping[str, Any] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Return what a program wants to know about the run."""
        return {
            "environment": self.launch.environment,
            "isolation": self.launch.backend.NAME if self.launch.backend else ADVISORY,
            "hidden": [str(path) for path in self.prepared.hidden] if self.prepared else [],
            "readonly": [str(path) for path in self.prepared.readonly] if self.prepared else [],
            "gaps": list(self.prepared.gaps) if self.prepared else [],
            "limits": list(self.prepared.limits) if self.prepared else [],
            "withheld": list(self.launch.withheld),
            "started": not self.fault,
            "startedAt": clock.timestamp(self.started_at),
            "durationMs": self.duration_ms,
            "exitCode": self.code,
            **self.details,
        }


def start(launch: Launch) -> Finished:
    """Run the command to its end with our terminal, input and output; signals sent to us go on to it."""
    started_at, began = clock.now(), time.monotonic()
    code, fault, prepared = _run(launch)
    return Finished(launch, code, started_at, round((time.monotonic() - began) * 1000), fault, prepared)


def _run(launch: Launch) -> tuple[int, str, Prepared | None]:
    program, code, fault = _found(launch)
    if fault:
        return code, fault, None
    with _handing_on() as handed, ExitStack() as stack:
        prepared = None
        try:
            prepared = stack.enter_context(_prepared(launch, program))
            launch.tell(prepared)
            process = _spawned(launch, program, prepared)
        except (OSError, ValueError) as error:
            return *_not_started(launch, error), prepared
        handed.to(process, prepared.supervisor)
        code = _ended(process)
        fault = prepared.supervisor.ended(process)
    if fault:
        return NOT_EXECUTABLE, fault, prepared
    return (code if code >= 0 else _SIGNALLED - code), "", prepared


def _spawned(launch: Launch, program: str, prepared: Prepared) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        prepared.argv, executable=str(prepared.argv[0]) if launch.backend else program, cwd=launch.cwd,
        env={**launch.variables, **dict(prepared.variables)}, pass_fds=prepared.descriptors,
    )  # fmt: skip
    try:
        prepared.supervisor.started(process)
    except OSError:
        process.wait()
        raise
    return process


def _prepared(launch: Launch, program: str) -> AbstractContextManager[Prepared]:
    if launch.backend is None or launch.policy is None:
        argv = [program, *launch.argv[1:]] if os.name == "nt" else list(launch.argv)
        return nullcontext(Prepared(argv, Supervisor()))
    place = os.path.abspath(launch.cwd / program)  # noqa: PTH100 - links are kept: a program may act by its name
    return launch.backend.prepared(launch.policy, Wanted(place, launch.argv, launch.cwd, launch.scratch, launch.copy))


def _not_started(launch: Launch, error: OSError | ValueError) -> tuple[int, str]:
    reason = getattr(error, "strerror", None) or str(error)
    if getattr(error, "errno", None) == errno.ENOEXEC:
        reason += " (a script needs a first line such as #!/bin/sh)"
    missing = isinstance(error, FileNotFoundError)
    return NOT_FOUND if missing else NOT_EXECUTABLE, f"cannot start {launch.argv[0]!r}: {reason}"


def _found(launch: Launch) -> tuple[str, int, str]:
    """Return the path of the program, or the exit code and the reason why there is none."""
    name = launch.argv[0]
    has_folder = os.path.dirname(name)  # noqa: PTH120 - "./x" has a folder, Path("./x").parent does not say so
    found = shutil.which(launch.cwd / name if has_folder else name, path=launch.variables.get("PATH"))
    if found:
        return str(found), 0, ""
    places = [launch.cwd / name] if has_folder else [
        launch.cwd / folder / name for folder in launch.variables.get("PATH", os.defpath).split(os.pathsep)
    ]  # fmt: skip
    with suppress(OSError, ValueError):
        if any(place.exists() for place in places):
            return "", NOT_EXECUTABLE, f"cannot start {name!r}: it is not executable"
    return "", NOT_FOUND, f"cannot start {name!r}: it is not there"


class _Handed:
    """Hands signals on to a process; what comes before it is there waits for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor = Supervisor()
        self._early: list[int] = []

    def to(self, process: subprocess.Popen[bytes], supervisor: Supervisor) -> None:
        self._process, self._supervisor = process, supervisor
        for number in self._early:
            self._send(number)

    def take(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the form of a handler
        if number in _numbers(_OF_TERMINAL) and _is_in_foreground():
            return  # the terminal has sent it to the command as well
        if self._process is None:
            self._early.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        if self._process is not None:
            with suppress(OSError, ValueError):
                self._supervisor.send(self._process, number)


@contextmanager
def _handing_on() -> Iterator[_Handed]:
    """Take signals for a while. A handler, unlike SIG_IGN, is not inherited, so the command has the usual ones."""
    handed = _Handed()
    before = {}
    for number in _numbers((*_FORWARDED, *_OF_TERMINAL)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup: then the command ignores it as well
            before[number] = signal.signal(number, handed.take) or signal.SIG_DFL
    try:
        yield handed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process in a way that a signal always interrupts.

    A signal that comes just before a system call blocks does not wake it: its handler would run when the process has
    ended. So a thread waits, and this one reads a pipe that every signal writes to.
    """
    if sys.platform == "win32":
        return process.wait()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)

    def wait() -> None:
        process.wait()
        with suppress(BlockingIOError):  # full: there is enough to read
            os.write(write_end, b"\0")

    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    waiter = Thread(target=wait, daemon=True)
    try:
        waiter.start()
        while process.returncode is None:
            os.read(read_end, 1 << 12)
        waiter.join()
    finally:
        signal.set_wakeup_fd(before)
        if not waiter.is_alive():
            os.close(read_end)
            os.close(write_end)
    return process.wait()


def _numbers(names: Sequence[str]) -> list[int]:
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _is_in_foreground() -> bool:
    """Tell whether we are what the terminal's keys reach."""
    if sys.platform == "win32":
        return True
    try:
        descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)
