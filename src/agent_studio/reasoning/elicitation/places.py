"""Which files of a project findings may change: none that steers a session, or holds secrets, data or history."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STAGING_ROOT, STATE, overlap
from agent_studio.environment.schema import KINDS
from agent_studio.errors import UnsafePathError, UsageError
from agent_studio.redaction import redact
from agent_studio.storage import names

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

_DATA = (STATE, STAGING_ROOT, *(f"{DEFINITIONS}/{kind}" for kind in KINDS if kind != "agents"),
         f"{DEFINITIONS}/agent-memory")  # fmt: skip
_STEERING = (
    (".git", "history"), (".mcp.json", "which programs the client starts"), (".claude.json", "the client's settings"),
    (".env", "settings and secrets"), (".env.*", "settings and secrets"), ("hooks.json", "hooks"),
)  # fmt: skip
"""Names that say so wherever they stand, as files or folders."""
_DEFINED = (
    ("settings*.json", "the client's settings"), ("config*.yaml", "our configuration"),
    ("config*.yml", "our configuration"), ("hooks", "hooks"), ("allowed_signers", "who may sign"),
)  # fmt: skip
"""Names that say so within a `.claude` folder."""
_OTHERWISE = "name another, or pipe its text in: nothing but the text is printed then"


def refuse_place(context: Context, name: str) -> None:
    """Raise `UsageError` for a file of the project that is not changed, whatever a finding says."""
    try:
        names.split(name)
    except UnsafePathError as error:
        raise UsageError(f"{name!r} could not be changed: {error.message}", hint=_OTHERWISE) from None
    if redact(name) != name:
        raise UsageError("the file's name looks like a credential: it could not be kept", hint=_OTHERWISE)
    for place in (*_DATA, *context.root.kinds.values()):
        if place != DEFINITIONS and overlap(name, place):
            raise UsageError(f"{name} is in {place}/, which is not changed", hint=_OTHERWISE)
    parts = [names.collision_key(part) for part in name.split("/")]
    within = [inner for outer, inner in pairwise(parts) if outer == DEFINITIONS]
    for said, known in ((parts, _STEERING), (within, _DEFINED)):
        for pattern, what in known:
            if any(fnmatchcase(part, pattern) for part in said):
                raise UsageError(f"{name} holds {what}, and is not changed", hint=_OTHERWISE)
