"""Reading a YAML file into entries that know their line and column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent_studio.environment.schema import BY_NAME, Form, is_owned, is_section
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1_000_000
MAX_ENTRIES = 20_000
MAX_DEPTH = 32


@dataclass(frozen=True)
class Entry:
    """One value of a file."""

    key: str
    """Dotted name."""
    value: Any
    """Plain Python: str, bool, int, float, None, list or dict of these."""
    line: int
    """Counted from 1."""
    column: int
    """Counted from 1."""


@lru_cache(maxsize=16)
def parse(data: bytes, file: str) -> tuple[Entry, ...]:
    """Return a file's values in order; raise `ConfigurationError` naming line and column when it is malformed."""
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{file} has {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{file}:{line}: not UTF-8 (byte {data[error.start]:#04x})", hint="save the file as UTF-8"
        ) from error
    root = _load(text, file)
    if root is None:
        return ()
    if not _is_mapping(root):
        raise ConfigurationError(f"{file}:1: the file must be a mapping of keys to values", hint="key: value")
    entries: list[Entry] = []
    for entry in _flatten(root, "", 0, file):
        entries.append(entry)
        if len(entries) > MAX_ENTRIES:
            raise ConfigurationError(f"{file}: more than {MAX_ENTRIES} values (aliases multiplied?)")
    return tuple(entries)


def _load(text: str, file: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - 40 ms that a command without configuration need not pay
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        problem = (error.problem or error.context or "malformed YAML").splitlines()[0]
        raise ConfigurationError(f"{place}: {problem}", hint="mend the YAML at that line and column") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: {str(error).splitlines()[0]}", hint="mend the YAML") from error


def _flatten(mapping: Any, prefix: str, depth: int, file: str) -> Iterator[Entry]:
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"{file}: {prefix} is nested more than {MAX_DEPTH} deep")
    for raw, value in mapping.items():
        line, column = _position(mapping, raw)
        if not isinstance(raw, str) and (not prefix or is_owned(prefix)):
            raise ConfigurationError(f"{file}:{line}:{column}: the key {raw!r} must be text", hint="quote it")
        name = f"{prefix}.{raw}" if prefix else str(raw)
        if _descends(name, value):
            yield from _flatten(value, name, depth + 1, file)
        elif value is None and is_section(name) and name not in BY_NAME:
            continue
        else:
            yield Entry(name, _plain(value, 0, file, name), line, column)


def _descends(name: str, value: Any) -> bool:
    key = BY_NAME.get(name)
    return _is_mapping(value) and bool(value) and not (key and key.form is Form.OBJECT)


def _is_mapping(value: Any) -> bool:
    return hasattr(value, "items") and hasattr(value, "keys")


def _position(mapping: Any, raw: Any) -> tuple[int, int]:
    try:
        line, column = mapping.lc.key(raw)
    except (AttributeError, KeyError, TypeError):  # merged keys stand elsewhere
        return mapping.lc.line + 1, mapping.lc.col + 1
    return line + 1, column + 1


def _plain(value: Any, depth: int, file: str, name: str) -> Any:
    """Return plain Python for what the parser made, so that nothing of the parser leaks out."""
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"{file}: {name} is nested more than {MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return value
    for form in (str, int, float):
        if isinstance(value, form):
            return form(value)
    if _is_mapping(value):
        return {str(key): _plain(inner, depth + 1, file, name) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner, depth + 1, file, name) for inner in value]
    return str(value)  # dates and tagged values: text, which a key of another form refuses
