"""What each backend is claimed to keep: every route but those named here, each with the reason.

`doctor isolation`, the smoke check and the attack program hold the backends to this table; a route that reaches and is
not named here is a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.isolation.probe import BLOCKED, GUARDED_PLACE, IMPOSSIBLE, REACHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.isolation.probe import Route

PASS, FAIL, INSUFFICIENT = "PASS", "FAIL", "INSUFFICIENT"
_METADATA = (
    "Landlock knows no right to what the file system says of a file: whoever owns it can still ask and change that"
)
_NAMES = "Landlock gives the right to list a folder with all that is below it, and the project has to be listed"
_GUARDED = "Landlock cannot keep a file without its whole folder; the report of a run names such files as gaps"
_REPLACED = "what hides a single file goes away with it: a file that is put in its place from outside can be seen"
_SOCKETS = "Landlock does not decide about connecting to a socket that a file stands for"

NOT_CLAIMED: Mapping[str, Mapping[str, str]] = {
    "bubblewrap": {"hidden file replaced while it runs": _REPLACED},
    "landlock": {
        "list": _NAMES,
        **dict.fromkeys(("size (stat)", "chmod", "utime", "chown", "setxattr", "C: fchmodat2"), _METADATA),
        "socket in a hidden folder": _SOCKETS,
        GUARDED_PLACE: _GUARDED,
        "hook of git": _GUARDED,
        "folder that git is to use": _GUARDED,
    },
    "sandbox-runtime": {},
}
"""By backend: the routes that may reach, and why. A backend that is not here claims nothing."""

NOT_CLAIMED_PLACES: Mapping[str, Mapping[str, str]] = {"landlock": {"hooks of git": _GUARDED}}
"""The same by target."""


def is_claimed(backend: str, route: Route) -> bool:
    """Tell whether a backend is claimed to block a route to its target."""
    reasons = NOT_CLAIMED_PLACES.get(backend, {})
    return backend in NOT_CLAIMED and route.name not in NOT_CLAIMED[backend] and route.target not in reasons


def broken(backend: str, routes: Iterable[Route]) -> list[Route]:
    """Return the routes that reach although they are claimed to be blocked."""
    return [route for route in routes if route.verdict == REACHES and is_claimed(backend, route)]


def verdict(backend: str, routes: Iterable[Route]) -> str:
    """Return PASS, FAIL, or INSUFFICIENT where nothing is claimed, nothing was blocked, or a route was not tried."""
    tried = list(routes)
    if broken(backend, tried):
        return FAIL
    claimed = [route.verdict for route in tried if is_claimed(backend, route)]
    proven = BLOCKED in claimed and set(claimed) <= {BLOCKED, IMPOSSIBLE}
    return PASS if proven else INSUFFICIENT
