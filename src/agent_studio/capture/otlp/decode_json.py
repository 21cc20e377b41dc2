"""An OTLP request in JSON."""

from __future__ import annotations

import json
from typing import Any

from agent_studio.capture.otlp.records import Malformed, TooLarge

ELEMENTS = 3_000_000
"""Objects, lists and commas at most: 64 MiB of `{}` would become gigabytes of memory."""


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """Return the request; raise `Malformed` for what is not a JSON object, `TooLarge` for too many elements."""
    if body.count(b"{") + body.count(b"[") + body.count(b",") > ELEMENTS:
        raise TooLarge(f"the request has more than {ELEMENTS} elements")
    try:
        request = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Malformed(f"the body is not JSON: {reason}") from None
    if not isinstance(request, dict):
        raise Malformed("the body is not an object")
    return request


def refuse(name: str) -> Any:
    """Refuse `NaN` and the infinities, which Python's parser would take."""
    raise ValueError(f"{name} is not JSON")
