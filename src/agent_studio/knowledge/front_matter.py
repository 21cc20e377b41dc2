"""The block between `---` lines at the top of an artifact, read as strict YAML where that works, else repaired.

One file in ten of real collections is not strict YAML. Nothing raises, nothing is dropped in silence, and the time is
that of the text's length.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.yaml.mending import Repair, mended, without_controls
from agent_studio.knowledge.yaml.reader import mapping
from agent_studio.knowledge.yaml.scalars import FaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.knowledge.yaml.reader import Node

Value = str | list[str]
Fields = dict[str, Value]

_OPENING = re.compile(r"\ufeff?((?:[ \t]*\n)*)---[ \t]*\n")
_CLOSING = re.compile(r"^---[ \t]*$\n?", re.MULTILINE)
_INFORMAL_CLOSING = re.compile(r"^(?:\.\.\.[ \t]*|[ \t]+---[ \t]*|----+[ \t]*)$\n?", re.MULTILINE)
_STOP = re.compile(r"^(?:[ \t]*$|#)", re.MULTILINE)
_END = re.compile(r"^\.\.\.[ \t]*\n\s*\Z", re.MULTILINE)
_TELLING = ("name", "description")


class FrontMatter(NamedTuple):
    """What stands at the top of an artifact, and the text below it."""

    fields: Fields
    """By key; of a mapping inside, by `key.inner`. Null and nothing are an empty text."""
    body: str
    """With line feeds as line ends."""
    repairs: tuple[Repair, ...] = ()


def read(text: str) -> FrontMatter:
    """Return the front matter and the body of a text; no block gives no fields."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    opening = _OPENING.match(text)
    if opening is None:
        return FrontMatter({}, text.removeprefix("\ufeff"))
    first_line = opening[1].count("\n") + 2
    closing = _CLOSING.search(text, opening.end())
    if closing is None:
        return _unclosed(text, opening.end(), first_line)
    fields, repairs = _fields(text[opening.end() : closing.start()], first_line)
    if opening[1]:
        if not any(key in fields for key in _TELLING):
            return FrontMatter({}, text)
        repairs.insert(0, Repair(1, "not-first", "front matter must begin in the first line", "", first_line - 2))
    return FrontMatter(fields, text[closing.end() :], tuple(repairs))


def read_yaml(text: str) -> FrontMatter:
    """Return the fields of a file that is YAML as a whole, and all of it as the body."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    fields, repairs = _fields(text[start:], text.count("\n", 0, start) + 1)
    return FrontMatter(fields, text, tuple(repairs))


def _unclosed(text: str, start: int, first_line: int) -> FrontMatter:
    """Read up to another mark, or else the first blank line or heading, if that holds what front matter holds."""
    closing = _INFORMAL_CLOSING.search(text, start) or _STOP.search(text, start)
    end = closing.start() if closing else len(text)
    fields, repairs = _fields(text[start:end], first_line)
    if not any(key in fields for key in _TELLING):
        return FrontMatter({}, text)
    informal = closing is not None and closing.re is _INFORMAL_CLOSING
    line = first_line + text.count("\n", start, end) + (closing is None and not text.endswith("\n"))
    shown = "" if informal or closing is None else text[end:].partition("\n")[0]
    repaired = "---" if informal else f"---\n{shown}".rstrip()
    repairs.append(Repair(line, "unclosed", "front matter ends with a line of ---", repaired, int(closing is not None)))
    return FrontMatter(fields, text[closing.end() if informal and closing else end :], tuple(repairs))


def _fields(block: str, first_line: int) -> tuple[Fields, list[Repair]]:
    block = _END.sub("", block.replace("\x85", "\n"))
    try:
        return flat(mapping(block)), []
    except FaultError as fault:
        first = fault
    clean, repairs = without_controls(block, first_line)
    if repairs:
        try:
            return flat(mapping(clean)), repairs
        except FaultError as fault:
            first = fault
    found, more = mended(clean, first_line)
    repairs += more
    if not repairs:
        line = first_line + clean.count("\n", 0, first.at)
        repairs.append(Repair(line, first.code, first.message, "", 0))
    return flat(found), repairs


def flat(found: dict[str, Node]) -> Fields:
    """Return a mapping as fields; what stands in lists becomes one text each."""
    return {key: value for name, node in found.items() for key, value in _flattened(name, node)}


def _flattened(name: str, node: Node) -> Iterator[tuple[str, Value]]:
    if isinstance(node, str):
        yield name, node
    elif isinstance(node, list):
        yield name, [_in_words(item) for item in node]
    else:
        for inner, value in node.items():
            yield from _flattened(f"{name}.{inner}", value)


def _in_words(node: Node) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, list):
        return ", ".join(map(_in_words, node))
    return ", ".join(f"{key}: {_in_words(value)}" for key, value in node.items())
