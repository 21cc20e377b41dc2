"""Which type and severity a failure has, told from what the client says about it.

The first rule that fits decides. Texts are the client's own, versions 2.0.76 and 2.1.330.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """Type and severity of an error."""

    type: str
    severity: str


DENIED = Kind("SecurityViolation", "HIGH")
INVALID = Kind("ValidationError", "LOW")
MISROUTED = Kind("RoutingError", "MEDIUM")
SYSTEM = Kind("SystemError", "MEDIUM")
GRAVE = Kind("SystemError", "HIGH")
UNKNOWN = Kind("UnknownError", "MEDIUM")

AGENT_API_ERROR = "Agent terminated early due to an API error"
_LOOKED_AT = 4_000
_BY_USER = re.compile(r"^\s*(?:\[Request interrupted by user|The user doesn't want to )")
_DENIED = re.compile(
    r"^Permission to use .{1,200} has been denied|denied by your permission settings|requires approval\b"
    r"|requested permissions? to .{1,2000}you haven't granted it|^PreToolUse:\S{1,200} hook error:"
    r"|^Hook PreToolUse:\S{1,200} denied this tool|^(?:Blocked|Denied) by (?:a )?hook",
    re.DOTALL,
)
_EXIT = re.compile(r"\s*(?:Error: )?Exit code \d")
_MISROUTED = re.compile(
    r"No such tool available|Agent type '.{0,200}' not found|Unknown (?:skill|agent|tool|command)\b"
    r"|Skill '?.{0,200}'? (?:is )?not found|Unknown slash command",
)
_INVALID = re.compile(
    r"^(?:Error: )?(?:Exit code \d|File does not exist|InputValidationError)|^<tool_use_error>|^Search failed"
    r"|No such file or directory|ENOENT|EISDIR|String to replace not found|has not been read yet|Command timed out",
)
_AUTHENTICATION = re.compile(r"authenticat|invalid.{0,20}api.key|permission_error|credit balance|OAuth", re.IGNORECASE)
_STATUS = re.compile(r"\b([45]\d\d)\b")
_FORBIDDEN = frozenset({401, 402, 403})


def by_user(text: str) -> bool:
    """Tell whether a person stopped or refused something: that is no error."""
    return bool(_BY_USER.search(text[:_LOOKED_AT]))


def of_tool(text: str, tool: str | None, decision: Any = None) -> Kind:
    """Return the kind of a failed call of a tool; `decision` is what the client says about permission."""
    start = text[:_LOOKED_AT]
    if decision != "reject" and _EXIT.match(start):
        return INVALID  # whatever the command went on to say
    if decision == "reject" or _DENIED.search(start):
        return DENIED
    if _MISROUTED.search(start):
        return MISROUTED
    if (tool or "").startswith("mcp__") or start.startswith((AGENT_API_ERROR, "API Error")):
        return SYSTEM
    return INVALID if _INVALID.search(start) else UNKNOWN


def status_of(text: str, status: Any = None) -> int | None:
    """Return the HTTP status of an API error, from its field or from its text."""
    if isinstance(status, int) and not isinstance(status, bool):
        return status
    found = _STATUS.search(text[:_LOOKED_AT])
    return int(found[1]) if found else None


def of_api(text: str, name: Any, status: int | None, *, ended: bool, repeated: bool) -> Kind:
    """Return the kind of an API error: grave when the account is refused, when it repeats or ends the session."""
    refused = status in _FORBIDDEN or bool(_AUTHENTICATION.search(f"{name} {text[:_LOOKED_AT]}"))
    return GRAVE if refused or ended or repeated else SYSTEM
