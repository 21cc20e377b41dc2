"""Keys of a person at a terminal, one at a time, without waiting for Enter."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL_S = 0.05


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Give what waits for the next key at most some seconds and returns it, or nothing; Ctrl-C stays what it is.

    Without a terminal to read from there are no keys, and it only waits.
    """
    if not sys.stdin.isatty():
        yield _only_wait
    elif sys.platform == "win32":
        yield _windows_key
    else:
        with _unbuffered(sys.stdin.fileno()):
            yield _posix_key


def _only_wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _posix_key(seconds: float) -> str:
    import select  # noqa: PLC0415 - only a live dashboard has keys

    descriptor = sys.stdin.fileno()
    if not select.select([descriptor], [], [], seconds)[0]:
        return ""
    read = os.read(descriptor, 16)
    return read.decode("utf-8", "replace") if read else _only_wait(seconds)


@contextmanager
def _unbuffered(descriptor: int) -> Iterator[None]:
    import termios  # noqa: PLC0415 - not on Windows
    import tty  # noqa: PLC0415 - the same

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _windows_key(seconds: float) -> str:
    import msvcrt  # noqa: PLC0415 - only on Windows

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if msvcrt.kbhit():  # type: ignore[attr-defined,unused-ignore]
            return str(msvcrt.getwch())  # type: ignore[attr-defined,unused-ignore]
        time.sleep(_POLL_S)
    return ""
