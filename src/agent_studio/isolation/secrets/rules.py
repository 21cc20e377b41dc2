"""What a scan looks for in a text: the providers' formats, which block, and what is only to be looked at.

The second kind are passwords in URLs, authorization headers, and opaque values given to a name such as `token`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_studio.isolation.secrets.opaque import is_opaque
from agent_studio.redaction import Span, spans
from agent_studio.redaction.formats import DUMMY

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSIGNED = "assigned-secret"
BLOCK, WARN = "block", "warn"

_NAME = re.compile(r"token|secret|passw|pwd|credential|apikey|api_key|api-key|access_?key|private_?key|auth")
_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,24}[\"'\]]{0,2}\s{0,4}(?::=|=>|[:=])\s{0,4}[\"'`]?([A-Za-z0-9+/=_~-]{16,256})")
_DUMMY = re.compile(DUMMY)


def find(text: str) -> list[Span]:
    """Return what is found in a text, in order and apart from each other."""
    known = spans(text)
    taken = [(span.start, span.end) for span in known]
    more = [span for span in _assigned(text) if not any(start < span.end and span.start < end for start, end in taken)]
    return sorted((*known, *more)) if more else known


def severity(kind: str) -> str:
    """Return `block` or `warn`."""
    return BLOCK if kind != ASSIGNED and Span(0, 0, kind).blocks else WARN


def _assigned(text: str) -> Iterator[Span]:
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter whose small form is longer
        lowered = re.sub("[A-Z]", lambda match: match[0].lower(), text)
    at = 0
    for name in _NAME.finditer(lowered):
        match = _VALUE.match(text, name.end()) if name.start() >= at else None
        if match and is_opaque(match[1]) and not _DUMMY.search(match[1]):
            yield Span(*match.span(1), ASSIGNED)
            at = match.end()
