"""Reading a YAML file into entries that know their line and column."""

from __future__ import annotations

import binascii
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.schema import BY_NAME, Form, is_owned, is_section
from agent_studio.errors import ConfigurationError
from agent_studio.storage import user_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1_000_000
MAX_ENTRIES = 20_000
MAX_DEPTH = 32
_FORMAT = 2
"""Changes with what a file's bytes are read as."""
_KEPT_MOST = 64


class Entry(NamedTuple):
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
    kept = _kept(text)
    if kept is not None:
        return kept
    root = _load(text, file)
    if root is None:
        return ()
    if not _is_mapping(root):
        raise ConfigurationError(f"{file}:1: the file must be a mapping of keys to values", hint="key: value")
    entries = tuple(_Reading(file).entries(root, "", 0))
    _keep(text, entries)
    return entries


def located(data: bytes, file: str) -> tuple[dict[str, Any], dict[tuple[str | int, ...], int]]:
    """Return a file's value and the line of every key and item in it; raise `ConfigurationError` as `parse` does."""
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{file} has {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8", hint="save the file as UTF-8") from error
    root = _load(text, file)
    if not _is_mapping(root):
        raise ConfigurationError(f"{file}:1: the file must be a mapping of keys to values", hint="key: value")
    lines: dict[tuple[str | int, ...], int] = {(): 1}
    value: dict[str, Any] = _Reading(file).plain(root)
    _locate(root, (), lines)
    return value, lines


def _locate(value: Any, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> None:
    """Note the line of everything below a value of the parser's."""
    if _is_mapping(value):
        for raw, inner in value.items():
            lines[*path, str(raw)] = _position(value, raw)[0]
            _locate(inner, (*path, str(raw)), lines)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            at = getattr(value, "lc", None)
            lines[*path, number] = (at.item(number)[0] if at is not None and at.data else 0) + 1
            _locate(inner, (*path, number), lines)


def _kept(text: str) -> tuple[Entry, ...] | None:
    """Return what was read of exactly this text before."""
    kept = user_cache.load(_name(text), hashed=False)
    try:
        version, known, check, entries = json.loads(kept or b"0")
        if (version, known, check) == (_FORMAT, text, binascii.crc32(entries.encode())):
            return tuple(Entry(*fields) for fields in json.loads(entries))
    except (ValueError, TypeError, AttributeError):
        pass
    return None


def _keep(text: str, entries: tuple[Entry, ...]) -> None:
    """Keep what was read for the next command, if it comes back from JSON as it was: the parser takes 100 ms."""
    written = json.dumps([(one.key, one.value, one.line, one.column) for one in entries], default=str)
    if repr([Entry(*fields) for fields in json.loads(written)]) == repr(list(entries)):
        kept = json.dumps([_FORMAT, text, binascii.crc32(written.encode()), written])
        user_cache.store(_name(text), kept.encode(), most=_KEPT_MOST, hashed=False)


def _name(text: str) -> str:
    """Return the name to keep a text under; the text is kept too, so that one of the same name is told from it."""
    data = text.encode()
    return f"yaml-{len(data):x}-{binascii.crc32(data):08x}"


def _load(text: str, file: str) -> Any:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - 40 ms that not every command need pay

    try:
        return _bounded_parser().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        problem = (error.problem or error.context or "malformed YAML").splitlines()[0]
        raise ConfigurationError(f"{place}: {problem}", hint="mend the YAML at that line and column") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: {str(error).splitlines()[0]}", hint="mend the YAML") from error


def _bounded_parser() -> Any:
    """Return a parser that stops at deep brackets, for which its own effort grows with the square of their number."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - 40 ms
    from ruamel.yaml.scanner import RoundTripScanner, ScannerError  # noqa: PLC0415

    class Scanner(RoundTripScanner):
        def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - its signature
            if len(self.flow_context) > MAX_DEPTH:
                problem = f"nested more than {MAX_DEPTH} deep"
                raise ScannerError(None, None, problem, self.reader.get_mark())
            super().fetch_flow_collection_start(TokenClass, to_push)

    parser = YAML(typ="rt")
    parser.Scanner = Scanner
    return parser


class _Reading:
    """One file being flattened; what aliases multiply is counted, so that a small file cannot fill the memory."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._values = 0

    def entries(self, mapping: Any, prefix: str, depth: int) -> Iterator[Entry]:
        """Yield the values below a mapping."""
        for raw, value in mapping.items():
            line, column = _position(mapping, raw)
            name = f"{prefix}.{raw}" if prefix else str(raw)
            self._count(name, depth)
            _check_name(raw, prefix, f"{self._file}:{line}:{column}")
            if _descends(name, value):
                yield from self.entries(value, name, depth + 1)
            elif (value is None or value == {}) and is_section(name) and name not in BY_NAME:
                continue
            else:
                yield Entry(name, self._plain(value, depth, name), line, column)

    def plain(self, value: Any) -> Any:
        """Return a whole value as plain Python."""
        return self._plain(value, 0, "the file")

    def _count(self, name: str, depth: int) -> None:
        self._values += 1
        if self._values > MAX_ENTRIES:
            raise ConfigurationError(f"{self._file}: more than {MAX_ENTRIES} values (aliases multiplied?)")
        if depth > MAX_DEPTH:
            raise ConfigurationError(f"{self._file}: {name} is nested more than {MAX_DEPTH} deep")

    def _plain(self, value: Any, depth: int, name: str) -> Any:
        """Return plain Python for what the parser made, so that nothing of the parser leaks out."""
        self._count(name, depth)
        if value is None or isinstance(value, bool):
            return value
        for form in (str, int, float):
            if isinstance(value, form):
                return form(value)
        if _is_mapping(value):
            return {str(key): self._plain(inner, depth + 1, name) for key, inner in value.items()}
        if isinstance(value, list | tuple | set):
            return [self._plain(inner, depth + 1, name) for inner in value]
        return str(value)  # dates and tagged values: text, which a key of another form refuses


def _check_name(raw: Any, prefix: str, place: str) -> None:
    """Refuse a key in our sections that is not text, or whose dots would make it another key."""
    if prefix and not is_owned(prefix):
        return
    if not isinstance(raw, str):
        raise ConfigurationError(f"{place}: the key {raw!r} must be text", hint="quote it")
    if "." in raw and is_owned(prefix or raw):
        raise ConfigurationError(f"{place}: the key {raw!r} has dots in it", hint="write it as nested sections")
    if not raw and prefix:
        raise ConfigurationError(f"{place}: an empty key", hint="name it, or drop the line")


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
