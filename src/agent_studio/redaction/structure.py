"""JSON without secrets: it is taken apart, so that what is taken out of a text never breaks what is around it."""

from __future__ import annotations

import json
from typing import Any

from agent_studio.redaction import redact, spans
from agent_studio.redaction.formats import HEADER_NAMES


def redacted_json(value: Any, **options: Any) -> str:
    """Return a value as JSON of the same shape in which every secret is redacted; options are those of `json.dumps`."""
    text = json.dumps(value, **options)
    return json.dumps(redacted(json.loads(text)), **options) if spans(text) else text


def redacted(value: Any) -> Any:
    """Return what JSON holds with every text in it redacted, names included; a header is known by its name."""
    return _clean(value, "")


def _clean(value: Any, header: str) -> Any:
    if isinstance(value, str):
        return _text(value, header)
    if isinstance(value, list):
        return [_clean(one, header) for one in value]
    if not isinstance(value, dict):
        return value
    clean: dict[str, Any] = {}
    for name, inner in value.items():
        known = redact(name)
        while known in clean:  # two names that were secrets
            known += "'"
        clean[known] = _clean(inner, f"{name}: " if name.lower().endswith(HEADER_NAMES) else "")
    return clean


def _text(value: str, header: str) -> str:
    clean = redact(header + value) if header else ""
    return clean[len(header) :] if header and clean.startswith(header) else redact(value)
