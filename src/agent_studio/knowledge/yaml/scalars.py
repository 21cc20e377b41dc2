"""Texts of YAML: plain, quoted and block scalars (https://yaml.org/spec/1.2.2/#chapter-7-flow-style-productions)."""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = r"(?:[^ \t\n:]|:(?=[^ \t\n]))+"
_FLOW_WORD = r"(?:[^ \t\n:,\[\]{}]|:(?=[^ \t\n]))+"
_PLAIN = re.compile(f"{_WORD}(?: +(?!#){_WORD})*")
_FLOW_PLAIN = re.compile(f"{_FLOW_WORD}(?: +(?!#){_FLOW_WORD})*")
_PLAIN_START = re.compile(r"[^ \t\n\-?:,\[\]{}#&*!|>'\"%@`]|[-?:](?=[^ \t\n])")
_FLOW_START = re.compile(r"[^ \t\n\-?:,\[\]{}#&*!|>'\"%@`]|[-:](?=[^ \t\n])")
_BREAKS = re.compile(r" *\n(?: *\n)* *")
_QUOTED = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^']*(?:''[^']*)*)'"),
}
_FOLD = re.compile(r"[ \t]*\n[ \t\n]*")
_ESCAPE = re.compile(r"[ \t]*\n[ \t\n]*|\\(?:\n[ \t\n]*|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")
_ESCAPED = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_SEPARATOR = re.compile(r"\n(?:---|\.\.\.)(?=[ \t\n]|$)")
_HEADER = re.compile(r"[|>](?:([+-])([1-9])?|([1-9])([+-])?)?(?=[ \n]|$) *(?:#[^\n]*)?(?:\n|$)")
NULLS = frozenset(("null", "Null", "NULL", "~"))
_CODE_MAX = 0x10FFFF


class FaultError(Exception):
    """A strict reader would fail here."""

    def __init__(self, at: int, code: str, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.code = code
        self.message = message


class Text(NamedTuple):
    """One scalar that was read."""

    value: str
    end: int
    """Where the next token may begin."""
    line: int
    """Where the line of `end` starts, or -1 when it is the line the scalar began in."""


def plain(text: str, at: int, indent: int, *, flow: bool) -> Text:
    """Read a plain scalar; it goes on in lines that stand deeper than `indent`, in a flow collection in any."""
    if not (_FLOW_START if flow else _PLAIN_START).match(text, at):
        raise FaultError(at, *_start_fault(text[at]))
    pattern = _FLOW_PLAIN if flow else _PLAIN
    pieces, line = [], -1
    while True:
        piece = pattern.match(text, at)
        if piece is None:
            break
        pieces.append(piece.group())
        at = piece.end()
        gap = _BREAKS.match(text, at)
        if gap is None:
            at = _after_spaces(text, at)
            break
        column = gap.end() - gap.group().rfind("\n") - gap.start() - 1
        line, at = gap.end() - column, gap.end()
        ends = text.startswith("#", at) or (not flow and column <= indent)
        if ends or _SEPARATOR.match(text, line - 1) or pattern.match(text, at) is None:
            break
        pieces.append(_folded(gap.group()))
    value = "".join(pieces)
    return Text("" if value in NULLS else value, at, line)


def _after_spaces(text: str, at: int) -> int:
    while text.startswith(" ", at):
        at += 1
    return at


def _start_fault(character: str) -> tuple[str, str]:
    if character == "\t":
        return "tab", "a tab where only spaces may stand"
    if character in "?:-":
        return "indicator", f"{character!r} has a meaning of its own here"
    return "reserved", f"a text cannot begin with {character!r}"


def quoted(text: str, at: int) -> Text:
    """Read a scalar between quotes."""
    match = _QUOTED[text[at]].match(text, at)
    if match is None:
        raise FaultError(at, "unclosed-quote", "a quote that is never closed")
    if "\n" not in match[1]:
        return Text(_inside(match[1], text[at], at), match.end(), -1)
    if _SEPARATOR.search(text, at, match.end()):
        raise FaultError(at, "document", "a line of --- or ... between quotes")
    return Text(_inside(match[1], text[at], at), match.end(), text.rfind("\n", at, match.end()) + 1)


def _inside(raw: str, quote: str, at: int) -> str:
    if quote == "'":
        return _FOLD.sub(lambda match: _folded(match.group()), raw).replace("''", "'")
    if "\\" not in raw and "\n" not in raw:
        return raw
    value = _ESCAPE.sub(lambda match: _unescaped(match.group(), at), raw)
    if _LONE.search(value):
        value = _PAIR.sub(lambda pair: pair.group().encode("utf-16", "surrogatepass").decode("utf-16"), value)
        value = _LONE.sub("\ufffd", value)
    return value


def _folded(gap: str) -> str:
    """Return what a line break with the blanks around it stands for."""
    return "\n" * (gap.count("\n") - 1) or " "


def _unescaped(found: str, at: int) -> str:
    if found[0] != "\\":
        return _folded(found)
    if found[1] == "\n":
        return "\n" * (found.count("\n") - 1)
    digits = found[2:]
    if digits and found[1] in "xuU":
        code = int(digits, 16)
        if code <= _CODE_MAX:
            return chr(code)
    elif found[1] in _ESCAPED:
        return _ESCAPED[found[1]]
    raise FaultError(at, "escape", f"{found!r} means nothing between double quotes")


def block(text: str, at: int, indent: int) -> Text:
    """Read a `|` or `>` scalar whose parent stands at column `indent`."""
    header = _HEADER.match(text, at)
    if header is None:
        raise FaultError(at, "block-header", "a text after | or > belongs on the next line")
    chomp = header[1] or header[4] or ""
    increment = header[2] or header[3]
    least = max(indent + 1, 1 if increment else 0)
    depth = least + int(increment) - 1 if increment else max(least, _depth(text, header.end(), indent))
    lines, end = _lines(text, header.end(), depth)
    while lines and not lines[-1]:
        lines.pop()
    blank = text.count("\n", header.end(), end) - len(lines)
    broken = bool(lines) and blank >= 0
    value = _unfolded(lines) if text[at] == ">" else "\n".join(lines)
    if chomp != "-" and broken:
        value += "\n"
    if chomp == "+":
        value += "\n" * max(blank, 0)
    return Text(value, end, end)


def _depth(text: str, at: int, indent: int) -> int:
    """Return how deep the first line of text stands; where there is none, the deepest blank one."""
    widest = 0
    while True:
        start = at
        at = _after_spaces(text, at)
        if at < len(text) and text[at] != "\n" and at - start > indent:
            return at - start
        widest = max(widest, at - start)
        if at == len(text) or text[at] != "\n":
            return widest
        at += 1


def _lines(text: str, at: int, depth: int) -> tuple[list[str], int]:
    """Return the lines of a block without their indentation, and where the next line starts."""
    lines = []
    margin = " " * depth
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        if line.startswith(margin) and (depth or not _SEPARATOR.match(text, at - 1)):
            lines.append(line[depth:])
        elif line.strip(" "):
            break
        else:
            lines.append("")
        at = min(end + 1, len(text))
    return lines, at


def _unfolded(lines: list[str]) -> str:
    """Return the lines of a `>` scalar: a single break between two lines of text is a space."""
    parts: list[str] = []
    blanks, before = 0, None
    for line in lines:
        if not line:
            blanks += 1
            continue
        if before is None:
            parts.append("\n" * blanks)
        elif before[0] not in " \t" and line[0] not in " \t":
            parts.append("\n" * blanks or " ")
        else:
            parts.append("\n" * (blanks + 1))
        parts.append(line)
        blanks, before = 0, line
    return "".join(parts)
