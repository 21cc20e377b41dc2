"""Changing one key of a YAML file so that every other byte of it survives.

The text is never dumped anew. The parser tells where nodes stand, a few candidate edits are tried, and only one after
which the parsed values differ from before in nothing but the wanted key is returned.
"""

from __future__ import annotations

import json
import math
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from agent_studio.environment.document import parse
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BOM = "\ufeff"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_TEXT = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_BREAK = re.compile(r"\r\n|\n|\r")
_ALIAS = re.compile(r"[ \t]*:[ \t]+(\*[^\s,\]}]+)")
_COLON = re.compile(r"[ \t]*:")


def set_value(text: str, key: str, value: Any, *, file: str) -> str:
    """Return the text with one dotted key set, added with its sections when missing.

    Raises `ConfigurationError` naming file and line when the text is malformed or cannot be changed faithfully.
    """
    bom, body = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    parse(body.encode(), file)  # malformed, too large, multiplied by aliases: one clear fault before anything else
    path = key.split(".")
    before = _values(body)
    wanted = _with_value(before, path, value, file)
    root = _compose(body)
    for candidate in _candidates(body, root, path, value):
        if _reads_as(candidate, wanted):
            return bom + candidate
    raise ConfigurationError(
        f"{file}:{_line_of(root, path)}: {key} cannot be changed without touching other values",
        hint=f"write {key} by hand, as a plain {path[-1]}: {_written(value)}, not as an anchor or alias",
    )


def _candidates(text: str, root: Any, path: Sequence[str], value: Any) -> Iterator[str]:
    """Yield possible edits, the one that looks best first."""
    if not _is_mapping(root):  # nothing but comments, or a document that is begun and says nothing
        yield _insert_lines(text, len(text), 0, 2, path, value)
        return
    section, used = root, 0
    pair: tuple[Any, Any] | None = None
    while used < len(path) and _is_mapping(section):
        found = next(((k, v) for k, v in reversed(section.value) if getattr(k, "value", None) == path[used]), None)
        if found is None:
            break
        pair, section, used = found, found[1], used + 1
    rest = path[used:]
    if not rest and pair:
        yield from _replaced(text, pair, value)
    elif pair and (not _is_mapping(section) or (not section.value and section.flow_style)):
        yield from _opened(text, root, pair, rest, value)
    elif _is_mapping(section) and section.flow_style:
        yield _inserted_in_flow(text, section, rest, value)
    else:
        yield from _inserted(text, root, section, rest, value)


def _replaced(text: str, pair: tuple[Any, Any], value: Any) -> Iterator[str]:
    """Yield the text with the value of a key replaced where it stands."""
    key, node = pair
    if alias := _alias(text, key, node):
        yield text[: alias.start(1)] + _written(value) + text[alias.end(1) :]
        return
    start, end = node.start_mark.index, node.end_mark.index
    style = getattr(node, "style", None)
    if start == end:  # nothing is written; the parser's mark is then at whatever comes next
        place = _after_colon(text, key)
        yield text[:place] + " " + _written(value) + text[place:]
        return
    if style in {"|", ">"} or (_is_block(node) and node.value):
        end = _end(text, node, _indent(key))
        end -= len(text[start:end]) - len(text[start:end].rstrip("\r\n"))
        yield text[: _after_colon(text, key)] + " " + _written(value) + text[end:]
    else:
        yield text[:start] + _written(value, style) + text[end:]


def _opened(text: str, root: Any, pair: tuple[Any, Any], rest: Sequence[str], value: Any) -> Iterator[str]:
    """Yield the text with an empty section (nothing, null or `{}`) made a block that holds the rest of the path."""
    key, node = pair
    if _alias(text, key, node):
        return
    colon = _after_colon(text, key)
    end = colon if node.start_mark.index == node.end_mark.index else node.end_mark.index
    shortened = text[:colon] + text[end:]
    step = _step(root)
    yield _insert_lines(shortened, _line_end(shortened, colon), _indent(key) + step, step, rest, value)
    yield text[:colon] + " " + _flow(rest, value) + text[end:]


def _inserted_in_flow(text: str, section: Any, rest: Sequence[str], value: Any) -> str:
    """Return the text with a member added behind the last one of `{...}`."""
    member = _flow(rest, value)[1:-1]
    if not section.value:
        place = section.end_mark.index - 1
        return text[:place] + member + text[place:]
    key, last = section.value[-1]
    alias = _alias(text, key, last)
    written = last.start_mark.index != last.end_mark.index
    place = alias.end(1) if alias else last.end_mark.index if written else _after_colon(text, key)
    return text[:place] + ", " + member + text[place:]


def _inserted(text: str, root: Any, section: Any, rest: Sequence[str], value: Any) -> Iterator[str]:
    """Yield the text with new lines as the last, else as the first child of a block section."""
    first = section.value[0][0].start_mark
    indent, step = first.column, _step(root)
    if section is root and indent == 0:
        yield _insert_lines(text, len(text), 0, step, rest, value)
    last = _line_end(text, _end(text, section, indent - 1))
    yield _insert_lines(text, last, indent, step, rest, value)
    yield _insert_lines(text, first.index - indent, indent, step, rest, value)


def _insert_lines(text: str, place: int, indent: int, step: int, path: Sequence[str], value: Any) -> str:
    """Insert the path at the beginning of a line, or as a line of its own at the text's end."""
    found = _BREAK.search(text)
    newline = found.group() if found else "\n"
    lines = [" " * (indent + depth * step) + _written(name) + ":" for depth, name in enumerate(path)]
    block = newline.join(lines) + " " + _written(value)
    if place and text[place - 1] not in "\r\n":  # the last line has no break: then the new last one has none either
        return text[:place] + newline + block + text[place:]
    return text[:place] + block + newline + text[place:]


def _end(text: str, node: Any, outer_indent: int) -> int:
    """Return where a value ends in the text; `outer_indent` is that of the key or sequence that holds it."""
    if getattr(node, "style", None) in {"|", ">"}:
        return _block_scalar_end(text, node, outer_indent)
    if not _is_block(node) or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    if not isinstance(last, tuple):
        return max(int(node.start_mark.index), _end(text, last, node.start_mark.column))
    key, value = last
    if alias := _alias(text, key, value):
        return alias.end(1)
    if value.start_mark.index == value.end_mark.index:
        return _after_colon(text, key)
    return _end(text, value, _indent(key))


def _block_scalar_end(text: str, node: Any, outer_indent: int) -> int:
    """Return the end of the lines below `|` or `>` that are blank or further in than the key."""
    place = _line_end(text, node.start_mark.index)
    while place < len(text):
        end = _line_end(text, place)
        line = text[place:end]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= outer_indent:
            break
        place = end
    return place - 1 if place and text[place - 1] in "\r\n" else place


def _line_end(text: str, place: int) -> int:
    """Return where the next line begins, or the text's end."""
    found = _BREAK.search(text, place)
    return found.end() if found else len(text)


def _alias(text: str, key: Any, node: Any) -> re.Match[str] | None:
    """Return where `*name` stands when a value is an alias: its node stands earlier, at the anchor."""
    return _ALIAS.match(text, key.end_mark.index) if node.start_mark.index < key.start_mark.index else None


def _after_colon(text: str, key: Any) -> int:
    found = _COLON.match(text, key.end_mark.index)
    return found.end() if found else int(key.end_mark.index)


def _indent(key: Any) -> int:
    return int(key.start_mark.column)


def _step(root: Any) -> int:
    """Return by how much the file indents its sections."""
    for key, value in root.value:
        if _is_mapping(value) and not value.flow_style and value.value:
            step = _indent(value.value[0][0]) - _indent(key)
            if step > 0:
                return int(step)
    return 2


def _is_mapping(node: Any) -> bool:
    return getattr(node, "id", "") == "mapping"


def _is_block(node: Any) -> bool:
    return getattr(node, "id", "") in {"mapping", "sequence"} and not node.flow_style


def _flow(path: Sequence[str], value: Any) -> str:
    """Return `{a: {b: value}}`."""
    inner = _written(value)
    for name in reversed(path):
        inner = f"{{{_written(name)}: {inner}}}"
    return inner


def _written(value: Any, style: str | None = None) -> str:
    """Return a value as one line of YAML, in the quotes that stood there where they can carry it."""
    if isinstance(value, str):
        if style == "'" and value.isprintable():
            return "'" + value.replace("'", "''") + "'"
        if style != '"' and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
            return value
        return "".join(_escaped(character) for character in json.dumps(value, ensure_ascii=False))
    if isinstance(value, float) and math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(str(name))}: {_written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"  # noqa: PLR2004 - the last of four digits


def _compose(text: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - 40 ms

    return YAML(typ="rt").compose(text)


def _values(text: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - 40 ms

    return YAML(typ="safe", pure=True).load(text)


def _with_value(before: Any, path: Sequence[str], value: Any, file: str) -> Any:
    """Return a copy of the parsed values with the path set."""
    wanted = deepcopy(before) if before is not None else {}
    section = wanted
    for depth, name in enumerate(path[:-1]):
        inner = section.get(name)
        if inner is not None and not isinstance(inner, dict):
            raise ConfigurationError(
                f"{file}: {'.'.join(path[: depth + 1])} is a value, so {'.'.join(path)} cannot stand below it",
                hint="make it a section of keys",
            )
        section[name] = dict(inner or {})  # a copy: an aliased section is shared with where it is anchored
        section = section[name]
    if isinstance(section.get(path[-1]), dict) and section[path[-1]] and not isinstance(value, dict):
        raise ConfigurationError(f"{file}: {'.'.join(path)} is a section of keys, not a value", hint="set one of them")
    section[path[-1]] = list(value) if isinstance(value, tuple) else value
    return wanted


def _reads_as(text: str, wanted: Any) -> bool:
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - 40 ms

    try:
        return _same(_values(text), wanted)
    except (YAMLError, ValueError, RecursionError):
        return False


def _same(one: Any, other: Any) -> bool:
    """Compare values with their types: True is not 1, and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        typed = [{(type(name), name) for name in side} for side in (one, other)]
        return typed[0] == typed[1] and all(_same(item, other[name]) for name, item in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def _line_of(root: Any, path: Sequence[str]) -> int:
    line, node = 1, root
    for name in path:
        pairs = node.value if _is_mapping(node) else ()
        found = next(((k, v) for k, v in pairs if getattr(k, "value", None) == name), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return int(line)
