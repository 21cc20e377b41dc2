"""What a line of a journal says, by the lake's own rules: a record has a time, from 1970 on, and an environment.

Three things the lake's engine takes otherwise, since to see them would cost every line: where a field is there twice,
the last one counts here and the first one there; a bare `nan`, which is no JSON, is damage here and no figure there;
what is nested deeper than Python parses, some thousand levels, is damage here.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

MARK = b"\xef\xbb\xbf"
"""What some editors put at the start of a file: no part of its first line."""
UNKNOWN = "unknown"
"""What a record without a name is counted under."""
LARGEST = 1e15
"""A figure beyond it is none."""
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # it is there, and not in the stubs
"""Parses the value at a place in a text and says where it ends."""
_BLANK = " \t\r\n\v\f"
"""What may stand around a record."""
_LONGEST_DIGITS = 4_300
"""Python makes no integer of more."""
_MINUTE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)
_REST = re.compile(r":([0-5]\d)\.(\d{3})Z", re.ASCII)


def record_of(line: bytes) -> tuple[dict[str, Any], int] | None:
    """Return a line's record and its time, ms since 1970, or None when it is damaged."""
    try:
        record = _parsed(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("environment") is None:
        return None
    at_ms = instant_ms(record.get("timestamp"))
    if at_ms is None or ((b"\\ud" in line or b"\\uD" in line) and not _is_text(record)):
        return None
    return record, at_ms


def _parsed(text: str) -> Any:
    """Return what a text is in JSON, at half the cost of `json.loads` where nothing stands around it."""
    try:
        value, end = _scan(text, 0)
    except (StopIteration, ValueError, RecursionError):
        value, end = None, -1
    if end == len(text):
        return value
    return json.loads(text.strip(_BLANK), parse_int=_whole)


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_DIGITS else float(digits)


def _is_text(record: Any) -> bool:
    """Tell whether all of a record can be written as UTF-8: half a surrogate pair cannot."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def instant_ms(text: Any) -> int | None:
    """Return what a record's timestamp says, ms since 1970, or None for anything not written as records have it."""
    if not isinstance(text, str):
        return None
    minute, rest = _minute_ms(text[:16]), _REST.fullmatch(text, 16)
    return None if minute is None or rest is None else minute + 1000 * int(rest[1]) + int(rest[2])


@lru_cache(maxsize=8_192)
def _minute_ms(text: str) -> int | None:
    if not _MINUTE.fullmatch(text):
        return None
    try:
        at_ms = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None
    return at_ms if at_ms >= 0 else None


def number_of(value: Any) -> float | None:
    """Return a figure, or None when it is none."""
    if type(value) is float and -LARGEST <= value <= LARGEST:
        return value
    if value is None:
        return None
    if isinstance(value, str) and not value.isascii():
        return None  # other digits and spaces are none to the engine
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -LARGEST <= number <= LARGEST else None


def name_of(value: Any) -> str:
    """Return a name; what is not text as JSON writes it, `unknown` for none and for an empty one."""
    if isinstance(value, str):
        return value or UNKNOWN
    return UNKNOWN if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
