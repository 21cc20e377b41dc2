"""Changing a JSON text in one place so that every other byte of it stays as its author wrote it.

The text is never dumped anew: the standard parser says where values end, and what is added follows the indentation
and the line breaks that are there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Step = str | int
"""A key of an object or a position in an array."""

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")
_INDENT = "  "


@dataclass(frozen=True)
class Entry:
    """A member of an object or an item of an array."""

    step: Step
    start: int
    """Where it starts: at its key, or at its value in an array."""
    value: int
    end: int


def parse(text: str) -> Any:
    """Return the value; raise `ValueError` (or `json.JSONDecodeError`) when malformed or a key stands twice."""
    return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def added(text: str, path: Sequence[Step], value: Any) -> str:
    """Return the text with an item appended to the array at `path`; what is missing on the way is made."""
    at, used = _start(text), 0
    while used < len(path):
        entry = next((entry for entry in _entries(text, at) if entry.step == path[used]), None)
        if entry is None:
            break
        at, used = entry.value, used + 1
    missing = path[used:]
    if not missing:
        return _inserted(text, at, None, value)
    inner: Any = [value]
    for step in reversed(missing[1:]):
        inner = {step: inner}
    return _inserted(text, at, str(missing[0]), inner)


def with_member(text: str, key: str, value: Any) -> str:
    """Return the text of an object with one member added at its end."""
    return _inserted(text, _start(text), key, value)


def replaced(text: str, path: Sequence[Step], value: Any) -> str:
    """Return the text with the value at `path` exchanged."""
    entry = _find(text, path)
    return text[: entry.value] + json.dumps(value, ensure_ascii=False) + text[entry.end :]


def removed(text: str, path: Sequence[Step]) -> str:
    """Return the text without what stands at `path`, its comma, and its line."""
    holder = _find(text, path[:-1]).value if len(path) > 1 else _start(text)
    entries = list(_entries(text, holder))
    index = next(number for number, entry in enumerate(entries) if entry.step == path[-1])
    if len(entries) == 1:
        closing = _skip(text, entries[0].end)
        return text[: holder + 1] + text[closing:]
    if index:  # from the end of the one before it, so that its comma goes
        return text[: entries[index - 1].end] + text[entries[index].end :]
    return text[: entries[0].start] + text[entries[1].start :]


def _find(text: str, path: Sequence[Step]) -> Entry:
    at = _start(text)
    entry = Entry("", at, at, len(text))
    for step in path:
        entry = next(entry for entry in _entries(text, entry.value) if entry.step == step)
    return entry


def _inserted(text: str, at: int, key: str | None, value: Any) -> str:
    """Insert as the last entry of the object or array that starts at `at`."""
    entries = list(_entries(text, at))
    newline = "\r\n" if "\r\n" in text else "\n"
    unit = _unit(text)
    before = _indent(text, at)
    label = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
    if entries and "\n" not in text[at : entries[0].start]:  # on one line
        return text[: entries[-1].end] + ", " + label + json.dumps(value, ensure_ascii=False) + text[entries[-1].end :]
    child = _indent(text, entries[0].start) if entries else before + unit
    written = json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", newline + child)
    if entries:
        return text[: entries[-1].end] + f",{newline}{child}{label}{written}" + text[entries[-1].end :]
    closing = _skip(text, at + 1)
    return text[: at + 1] + f"{newline}{child}{label}{written}{newline}{before}" + text[closing:]


def _unit(text: str) -> str:
    """Return one step of indentation: that of the first indented line."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else _INDENT


def _indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _start(text: str) -> int:
    return _skip(text, 1 if text.startswith("\ufeff") else 0)


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _entries(text: str, at: int) -> Iterator[Entry]:
    """Yield what the object or array that starts at `at` holds, in order; the text is known to be well-formed."""
    is_object = text[at] == "{"
    at = _skip(text, at + 1)
    number = 0
    while text[at] not in "}]":
        start = at
        key: Step = number
        if is_object:
            key, at = scanstring(text, at + 1)
            at = _skip(text, _skip(text, at) + 1)
        value = at
        _, end = _DECODER.raw_decode(text, at)
        yield Entry(key, start, value, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
        number += 1
