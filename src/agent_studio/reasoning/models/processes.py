"""A program that is asked once: its own process group, bounded output, and nothing of it left when it is not wanted."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncio import StreamReader
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PART = 1 << 16
_ERRORS_KEPT = 4_096
_PR_SET_PDEATHSIG = 1
"""Of `prctl(2)`: the signal that a process gets when its parent dies."""


class Said(NamedTuple):
    """What a program said."""

    code: int
    out: bytes
    err: bytes
    """Its end."""
    is_oversized: bool


async def ask(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], given: bytes, *, bytes_max: int
) -> Said:
    """Run a program in a folder with what it reads; raise `OSError` when it cannot be started.

    It and all that it started are killed when the task is cancelled and when it says too much. On Linux it is killed
    when this process is, too.
    """
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=dict(variables), start_new_session=True, preexec_fn=_dying_with(os.getpid()),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = _Kept(bytes_max, process), _Kept(None, process)
        await asyncio.gather(_write(process, given), out.read(process.stdout), err.read(process.stderr))
        code = await process.wait()
    finally:
        kill(process)
        await process.wait()
    return Said(code, b"".join(out.parts), b"".join(err.parts), out.is_oversized)


def _dying_with(parent: int) -> Callable[[], None] | None:
    """Return what a child does before its program starts so that it does not outlive us; None where it cannot."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: a child between fork and exec had better not

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # we died before
            os._exit(1)

    return bind


def kill(process: Process) -> None:
    """End a process and its group."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # the group outlives its leader
        elif process.returncode is None:
            process.kill()


class _Kept:
    """The start of a stream up to a size, or its end."""

    def __init__(self, bytes_max: int | None, process: Process) -> None:
        self.parts: list[bytes] = []
        self.is_oversized = False
        self._max, self._process, self._size = bytes_max, process, 0

    async def read(self, stream: StreamReader | None) -> None:
        while stream and (part := await stream.read(_PART)):
            self._size += len(part)
            if self._max is None:
                self.parts = [b"".join([*self.parts, part])[-_ERRORS_KEPT:]]
            elif self._size > self._max:
                self.is_oversized = True
                kill(self._process)
            else:
                self.parts.append(part)


async def _write(process: Process, given: bytes) -> None:
    if process.stdin is None:
        return
    with suppress(ConnectionError):
        process.stdin.write(given)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
