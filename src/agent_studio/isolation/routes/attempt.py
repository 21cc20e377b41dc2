"""One attempt: what a route is given to work with, and the trying of it in a process of its own."""

from __future__ import annotations

import errno
import json
import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLANTED = ".canary-"
"""How the name of everything begins that is planted to be reached."""
_LIMIT_S = 5
_SHOWN_BYTES = 1 << 16
_OPENED = 64
"""Descriptors that a route leaves open at most."""


class Attempt(NamedTuple):
    """What a route may use; paths are absolute."""

    file: str
    """A planted file: its content is what a reading route is after, and what a changing one spoils."""
    folder: str
    """The folder that it lies in."""
    inner: str
    """A planted folder beside it, with a file `inner` in it."""
    scratch: str
    """A folder that may be written to, of this attempt alone."""
    outside: Mapping[str, Any]
    """A process outside that holds the file: pid, descriptor, address, size, socket."""
    given: Mapping[str, Any]
    """What else a route needs, by name."""


def tried(route: Callable[[Attempt], bytes | None], attempt: Attempt, *, apart: bool) -> dict[str, Any]:
    """Try a route; return `got` (hex) or `error`.

    `apart` is for routes that change the process: they get one of their own, and what they do to it ends with it.
    """
    if apart:
        return _forked(route, attempt)
    before = os.dup(0)
    try:
        return _outcome(route, attempt)
    finally:
        os.closerange(before, before + _OPENED)


def _forked(route: Callable[[Attempt], bytes | None], attempt: Attempt) -> dict[str, Any]:
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write_end, json.dumps(_outcome(route, attempt)).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(said) if said else {"error": "it ended without a word"}
    return found


def _outcome(route: Callable[[Attempt], bytes | None], attempt: Attempt) -> dict[str, Any]:
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LIMIT_S)
    try:
        got = route(attempt)
    except OSError as fault:
        return {"error": errno.errorcode.get(fault.errno or 0, "") or str(fault)}
    except Exception as fault:  # noqa: BLE001 - whatever stops a route stops it alone
        return {"error": f"{type(fault).__name__}: {fault}"[:200]}
    finally:
        signal.alarm(0)
    return {"got": None if got is None else got[:_SHOWN_BYTES].hex()}


def _too_long(number: int, frame: object) -> None:
    del number, frame
    raise TimeoutError(errno.ETIMEDOUT, "it took too long")
