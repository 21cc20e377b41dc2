"""From a line of the inbox to an event, and from what others wrote to what may be recorded.

A recorder's line is read in two parts, what stands before the payload and the payload, so that no payload can pass
itself off as part of the line.
"""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from agent_studio.redaction import redact, redact_head

NS = 1_000_000_000
NS_A_MS = 1_000_000
NAME_MAX, MESSAGE_MAX = 200, 500
_LATEST_S = 253_402_300_799  # the end of the year 9999
_TEXT = rb'"((?:[^"\\]|\\.)*)"'
_HEAD = re.compile(
    rb'\{"ts":(\d{1,20}),"pid":\d{1,10},"kind":"(\w{1,16})"(?:,"env":' + _TEXT + rb')?(?:,"reason":' + _TEXT
    + rb')?(?:,"bytes":(\d{1,18}))?,"payload":'
)  # fmt: skip
_KINDS = {b"hook": "hook", b"exec": "exec", b"http": "http", b"otlp": "otlp"}
_KEPT_FIELD = re.compile(
    r'"(session_id|transcript_path|hook_event_name|tool_name|agent_id|agent_type|agent_transcript_path|source|reason|'
    r'hook)"\s*:\s*("(?:[^"\\]|\\.)*")'
)
_KEPT_NUMBER = re.compile(r'"(exit|signal|duration_ms)"\s*:\s*(-?\d{1,12}(?:\.\d{1,6})?)')
_NOTIFIES = re.compile(r'"prompt"\s*:\s*"<task-notification>')


class DamagedLineError(ValueError):
    """A line that is no event."""


@dataclass(slots=True)
class Event:
    """One line of the inbox."""

    offset: int
    """Where its line starts in the segment."""
    at_ns: int
    kind: str
    environment: str | None
    """What the line says; None when it says nothing."""
    payload: Any
    bytes: int | None = None
    """Length of a payload that was not kept whole."""
    id: str = ""
    """What makes the event unique: the segment and the offset."""
    near: Near | None = None
    """What it is about, when it is one of the client's."""


class Near(NamedTuple):
    """What a hook event was about."""

    at_ns: int
    session: str
    tool: str | None
    agent: str | None
    tool_use_id: str | None


def parse(line: bytes, offset: int) -> Event:
    """Return a line's event; raise `DamagedLineError` when it is none."""
    match = _HEAD.match(line)
    if match is None:
        return _unusual(line, offset)
    end = line.rstrip()
    if not end.endswith(b"}"):
        raise DamagedLineError
    stamp, kind, environment, _, size = match.groups()
    payload = decode(end[match.end() : -1])
    named = None if environment is None else str(decode(b'"%s"' % environment))
    if kind not in _KINDS:
        raise DamagedLineError
    return Event(offset, int(stamp), _KINDS[kind], named, payload, None if size is None else int(size))


def _unusual(line: bytes, offset: int) -> Event:
    """Read a line that no recorder of ours wrote but that says the same."""
    whole = decode(line)
    if not isinstance(whole, dict) or whole.get("kind") not in _KINDS.values() or "payload" not in whole:
        raise DamagedLineError
    environment, size = whole.get("env"), whole.get("bytes")
    named = environment if isinstance(environment, str) else None
    at_ns = whole["ts"] if isinstance(whole.get("ts"), int) else 0
    return Event(offset, at_ns, whole["kind"], named, whole["payload"], size if isinstance(size, int) else None)


def _no_constant(name: str) -> None:
    """Read NaN and the infinities, which are no JSON, as null."""


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def decode(data: bytes) -> Any:
    """Return JSON; raise `DamagedLineError` for what is none. What is no UTF-8 is replaced."""
    try:
        return _DECODER.decode(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise DamagedLineError from None


def from_head(head: str) -> dict[str, Any]:
    """Return the fields that the first bytes of a payload name, for an event whose payload was cut."""
    fields: dict[str, Any] = {}
    for name, value in _KEPT_FIELD.findall(head):
        try:
            fields.setdefault(name, json.loads(value))
        except ValueError:
            continue
    for name, value in _KEPT_NUMBER.findall(head):
        fields.setdefault(name, float(value) if "." in value else int(value))
    if _NOTIFIES.search(head):
        fields["prompt"] = "<task-notification>"
    return fields


def at(payload: Any, *path: str) -> Any:
    """Return what nested objects hold under a path, or None where one is missing or no object."""
    for name in path:
        if not isinstance(payload, dict):
            return None
        payload = payload.get(name)
    return payload


def text(value: Any, limit: int = NAME_MAX) -> str | None:
    """Return a text fit to be recorded: without secrets, at most `limit` characters; None for what is no text."""
    if not isinstance(value, str):
        return None
    if len(value) <= NAME_MAX:
        return _clean(value)[:limit]
    return redact_head(_carried(value), limit)


def name(value: Any) -> str:
    """Return a name fit to be recorded, empty for what is none."""
    return text(value) or ""


def clean(value: str) -> str:
    """Return a text without secrets and without what UTF-8 cannot carry."""
    return redact(_carried(value))


def _carried(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


@lru_cache(maxsize=16_384)
def _clean(value: str) -> str:
    return clean(value)


def scrubbed(value: Any) -> Any:
    """Return anything that came as JSON fit to be kept as it is but for secrets."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): scrubbed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [scrubbed(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def number(value: Any) -> float | None:
    """Return a duration or amount that can be one, else None; digits in a text count."""
    if isinstance(value, str):
        try:
            value = float(value[:40])
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return round(float(value), 3) if 0 <= value < 1e15 and math.isfinite(value) else None  # noqa: PLR2004
    except OverflowError:
        return None


def stamp(at_ns: int) -> str:
    """Return ns since 1970 as RFC 3339 UTC with milliseconds, times that no calendar has at its ends."""
    seconds, rest = divmod(max(at_ns, 0), NS)
    return f"{_second(min(seconds, _LATEST_S))}.{rest // NS_A_MS:03d}Z"


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def instant(written: Any) -> int | None:
    """Return an RFC 3339 time in ns since 1970, or None when it is none."""
    if not isinstance(written, str):
        return None
    try:
        moment = datetime.fromisoformat(written[:40])
    except ValueError:
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    whole = (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1_000
    return whole if whole > 0 else None


def elapsed_ms(start_ns: int | None, end_ns: int | None) -> float | None:
    """Return the time between two moments, never below 0; None when one is not known."""
    if start_ns is None or end_ns is None:
        return None
    return round(max(end_ns - start_ns, 0) / NS_A_MS, 3)
