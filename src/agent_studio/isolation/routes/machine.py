"""Routes that would have code started outside, or reach processes there; none changes anything.

What starts code is only opened for writing, without a byte written.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.isolation.routes.attempt import Attempt


def _opened(paths: Iterator[str]) -> bytes:
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
        except OSError as refused:
            fault = refused
        else:
            return path.encode()
    raise fault


def _nameless(folder: str) -> bytes:
    os.close(os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600))
    return folder.encode()


def kernel_helpers(attempt: Attempt) -> bytes:  # noqa: ARG001 - the form of a route
    """Open what names a program that the kernel starts outside of everything."""
    names = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/sys/kernel/uevent_helper")
    return _opened(iter(names))


def release_agent(attempt: Attempt) -> bytes:  # noqa: ARG001 - the same
    """Open what names a program that is started when a control group ends."""
    groups = [entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir()]
    return _opened(f"{group}/release_agent" for group in groups)


def system_folders(attempt: Attempt) -> bytes:  # noqa: ARG001 - the same
    """Write into folders from which others start programs."""
    for folder in ("/etc", "/etc/cron.d", "/usr/local/bin", "/usr/bin"):
        try:
            return _nameless(folder)
        except OSError as refused:
            fault = refused
    raise fault


def kernel_memory(attempt: Attempt) -> bytes:  # noqa: ARG001 - the same
    """Open the memory of the machine, its log, or its keys."""
    return _opened(iter(("/dev/mem", "/dev/kmsg", "/proc/sysrq-trigger", "/proc/kcore")))


def signalled(attempt: Attempt) -> bytes:
    """Send a signal to a process outside."""
    os.kill(attempt.outside["pid"], signal.SIGUSR1)
    return b"sent"


ROUTES: dict[str, Callable[[Attempt], bytes]] = {
    "helpers of the kernel": kernel_helpers, "release_agent": release_agent, "system folders": system_folders,
    "memory of the machine": kernel_memory, "signal to a process": signalled,
}  # fmt: skip
