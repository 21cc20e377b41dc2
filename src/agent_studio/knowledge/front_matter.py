"""A tolerant reader of the `---` block at the top of an artifact.

One file in ten of real collections is not strict YAML, so lines are read for what they plainly mean: texts, quoted
texts, block scalars and lists of the top level. Nothing raises; what is not understood is left out.
"""

from __future__ import annotations

import re

Value = str | list[str]

_KEY = re.compile(r"^([A-Za-z_][\w-]*)\s*:(?:\s+(.*))?$")
_BLOCK = re.compile(r"^[|>][+-]?[0-9]?[+-]?(\s+#.*)?$")
_OPENING = re.compile(r"\ufeff?---[ \t]*\r?\n")
_CLOSING = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)


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
    quote = text[:1]
    if quote in {'"', "'"}:
        end = text.rfind(quote)
        if end > 0:
            inside = text[1:end]
            return inside.replace('\\"', '"').replace("\\n", " ") if quote == '"' else inside.replace("''", "'")
        return text
    return re.sub(r"\s#.*$", "", text).rstrip()
