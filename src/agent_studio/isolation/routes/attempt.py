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



def tried(route: Callable[[Attempt], bytes | None], attempt: Attempt) -> dict[str, Any]:
    """Try a route in a child process, so that what it does to itself ends with it; return `got` (hex) or `error`."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.close(read_end)
        code = 1
        try:
            signal.alarm(_LIMIT_S)
            os.write(write_end, json.dumps(_outcome(route, attempt)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(said) if said else {"error": f"ended by {os.waitstatus_to_exitcode(status)}"}
    return found


def _outcome(route: Callable[[Attempt], bytes | None], attempt: Attempt) -> dict[str, Any]:
    try:
        got = route(attempt)
    except OSError as fault:
        return {"error": errno.errorcode.get(fault.errno or 0, "") or str(fault)}
    except Exception as fault:  # noqa: BLE001 - whatever stops a route stops it alone
        return {"error": f"{type(fault).__name__}: {fault}"[:200]}
    return {"got": None if got is None else got[:_SHOWN_BYTES].hex()}
