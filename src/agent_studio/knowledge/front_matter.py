"""A tolerant reader of the `---` block at the top of an artifact.

One file in ten of real collections is not strict YAML, so lines are read for what they plainly mean: texts, quoted
texts, block scalars and lists of the top level. Nothing raises; what is not understood is left out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

Value = str | list[str]
Fields = dict[str, Value]


class Repair(NamedTuple):
    """One place where a strict reader would fail, and how the line would look repaired."""

    line: int
    """Counted from 1, in the file."""
    code: str
    message: str
    repaired: str


class FrontMatter(NamedTuple):
    """What stands at the top of an artifact, and the text below it."""

    fields: Fields
    """By key; of a mapping inside, `key.inner`. Every value is a text or a list of texts."""
    body: str
    repairs: tuple[Repair, ...] = ()


_KEY = re.compile(r"^([A-Za-z_][\w-]*)\s*:(?:\s+(.*))?$")
_BLOCK = re.compile(r"^[|>][+-]?[0-9]?[+-]?(\s+#.*)?$")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^']|'')*'")
_ESCAPE = re.compile(r"\\(.)")
_OPENING = re.compile(r"\ufeff?---[ \t]*\r?\n")
_CLOSING = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)


def read(text: str) -> FrontMatter:
    """Return the front matter and the body of a text; never raises."""
    return FrontMatter(*split_front_matter(text))


def read_yaml(text: str) -> FrontMatter:
    """Return the fields of a file that is YAML as a whole; never raises."""
    return FrontMatter(_fields(text.splitlines()), text)


def split_front_matter(text: str) -> tuple[dict[str, Value], str]:
    """Return the fields of the front matter and the body; no block, or an unterminated one, gives no fields."""
    opening = _OPENING.match(text)
    closing = _CLOSING.search(text, opening.end()) if opening else None
    if not opening or not closing:
        return {}, text
    return _fields(text[opening.end() : closing.start()].splitlines()), text[closing.end() :]


def _fields(lines: list[str]) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    position = 0
    while position < len(lines):
        match = _KEY.match(lines[position])
        position += 1
        if match is None:
            continue
        inner: list[str] = []
        while position < len(lines) and not _KEY.match(lines[position]):
            inner.append(lines[position])
            position += 1
        fields.setdefault(match[1], _value((match[2] or "").strip(), inner))
    return fields


def _value(first: str, inner: list[str]) -> Value:
    if _BLOCK.match(first):
        return " ".join(line.strip() for line in inner if line.strip())
    items = [line.strip()[1:].strip() for line in inner if line.strip().startswith("- ")]
    if not first and items:
        return [_unquoted(item) for item in items]
    whole = " ".join([first, *(line.strip() for line in inner if line.strip())]).strip()
    if whole.startswith("[") and whole.endswith("]"):
        return [_unquoted(item.strip()) for item in whole[1:-1].split(",") if item.strip()]
    return _unquoted(whole)


def _unquoted(text: str) -> str:
    quoted = _QUOTED.match(text)
    if quoted and (quoted.end() == len(text) or text[quoted.end()] in " \t#"):
        return _inside(quoted.group())
    if text[:1] in {'"', "'"}:
        end = text.rfind(text[0])  # an apostrophe inside, which strict YAML refuses: the last quote closes
        return _inside(text[: end + 1]) if end else text
    return re.sub(r"\s#.*$", "", text).rstrip()


def _inside(quoted: str) -> str:
    """Return what stands between quotes, escapes undone."""
    if quoted[0] == "'":
        return quoted[1:-1].replace("''", "'")
    return _ESCAPE.sub(lambda match: " " if match[1] in "nrt" else match[1], quoted[1:-1])
