"""Starts a command inside an environment, in the foreground, and waits for it.

How far the command is kept apart from other environments is its backend. `advisory` is the only one: the command is
told where it belongs, and nothing but its own good behaviour keeps it there.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.errors import AgentStudioError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import FrameType

ADVISORY = "advisory"
NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit codes of a command that cannot be started, as shells use them."""
_SIGNALLED = 128
_FORWARDED = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
_OF_TERMINAL = ("SIGINT", "SIGQUIT")
"""A terminal sends them to the command itself, which decides what they mean."""


class NotIsolatedError(AgentStudioError):
    """Isolation is required and this system offers none."""

    code = "not-isolated"
    exit_code = ExitCode.NOT_ISOLATED


@dataclass(frozen=True)
class Launch:
    """A command and all that it is started with."""

    argv: Sequence[str]
    variables: Mapping[str, str]
    """All that it inherits."""
    cwd: Path
    environment: str
    backend: str = ADVISORY
    withheld: Sequence[str] = ()
    """Names of variables that it does not inherit."""
    hidden: Sequence[str] = ()
    """Paths that the backend makes unreachable."""
    readonly: Sequence[str] = ()
    """Paths that the backend keeps from being changed."""


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
    details: Mapping[str, Any] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Return what a program wants to know about the run."""
        return {
            "environment": self.launch.environment,
            "isolation": self.launch.backend,
            "hidden": list(self.launch.hidden),
            "readonly": list(self.launch.readonly),
            "withheld": list(self.launch.withheld),
            "started": not self.fault,
            "startedAt": clock.timestamp(self.started_at),
            "durationMs": self.duration_ms,
            "exitCode": self.code,
            **self.details,
        }


def choose_backend(*, required: bool) -> str:
    """Return the strongest backend of this system; raise `NotIsolatedError` when `required` and it is advisory only."""
    if required:
        raise NotIsolatedError(
            "isolation is required, but only advisory isolation is available here: nothing was started",
            hint="run without --require-isolation and with isolation.require set to false, or on a system that has it",
        )
    return ADVISORY


def start(launch: Launch) -> Finished:
    """Run the command to its end with our terminal, input and output; signals sent to us go on to it."""
    started_at, began = clock.now(), time.monotonic()
    code, fault = _run(launch)
    return Finished(launch, code, started_at, round((time.monotonic() - began) * 1000), fault)


def _run(launch: Launch) -> tuple[int, str]:
    program, code, fault = _found(launch)
    if fault:
        return code, fault
    argv = [program, *launch.argv[1:]] if os.name == "nt" else list(launch.argv)
    with _handing_on() as handed:
        try:
            process = subprocess.Popen(argv, executable=program, cwd=launch.cwd, env=dict(launch.variables))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if getattr(error, "errno", None) == errno.ENOEXEC:
                reason += " (a script needs a first line such as #!/bin/sh)"
            missing = isinstance(error, FileNotFoundError)
            return NOT_FOUND if missing else NOT_EXECUTABLE, f"cannot start {launch.argv[0]!r}: {reason}"
        handed.to(process)
        code = _ended(process)
    return (code if code >= 0 else _SIGNALLED - code), ""


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
        self._early: list[int] = []

    def to(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
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
                self._process.send_signal(number)


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
