"""Lines of journals as rows of the shared engine, by the rules of the lake; what need not leave the machine stays.

No journal holds what a person or a model said. Of the texts that programs wrote, errors' messages go without what
varies in them or is personal, and `metadata` not at all, unless `fleet.texts` says otherwise. Known secrets become
labels once more, and a NUL, which PostgreSQL cannot keep, U+FFFD.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from agent_studio.fleet.personal import own_names, without
from agent_studio.fleet.tables import TABLES
from agent_studio.monitor.dialect import VARYING
from agent_studio.monitor.lake import COLUMNS
from agent_studio.monitor.lines import UNKNOWN, name_of, number_of, record_of
from agent_studio.redaction import redact, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.fleet.batch import Row
    from agent_studio.fleet.identity import Identity

SHAPE_MAX = 200
"""Characters that are kept of a message without what varies in it, as the queries have it."""
_LOOKED_AT = 400
_READ_MOST = 4_000
"""Of a message, before it is cut: where a name begins is not seen in the middle of it."""
_ID_DIGITS = 32
_NUL, _REPLACEMENT = "\0", "\ufffd"
_VARYING = re.compile(VARYING)
_MESSAGES = frozenset(("message", "error_message"))


class Rows:
    """Makes rows of one journal's lines."""

    def __init__(self, kind: str, sender: Identity, environments: tuple[str, ...], texts: str) -> None:
        """`environments` are those that write to the journal; `texts` is `fleet.texts`."""
        self.kind = kind
        self._sender, self._environments, self._texts = sender, environments, texts
        self._own = own_names()
        self._seed = f"{sender.origin}\0{kind}\0".encode()
        self._fields = [self._reader(name) for name in list(TABLES[kind])[6:]]

    def row(self, line: bytes, place: bytes) -> tuple[Row, int] | None:
        """Return a line's row and its time, or None when it is damaged.

        `place` tells lines apart that have no `eventId`: the file's identity, and where in it they are.
        """
        found = record_of(line)
        if found is None:
            return None
        record, at_ms = found
        unique = self._seed + line if record.get("eventId") is not None else self._seed + place + line
        values = [
            self._sender.project, text_of(record["environment"]) or UNKNOWN, self._sender.machine, _id(unique), at_ms,
            text_of(record.get("release")), *[read(record) for read in self._fields],
        ]  # fmt: skip
        return self._sent(line, values), at_ms

    def damage(self, digest: bytes, place: bytes, at_ms: int) -> list[Row]:
        """Return the rows of a damaged line: one for each environment that writes to the journal."""
        return [
            (
                self._sender.project, name, self._sender.machine,
                _id(b"\0".join((self._seed, b"damage", name.encode(), place, digest))), at_ms, None, self.kind,
            )
            for name in self._environments
        ]  # fmt: skip

    def _sent(self, line: bytes, values: list[Any]) -> Row:
        text = line.decode()
        if spans(text):
            values = [redact(one) if isinstance(one, str) else one for one in values]
        if "\\u0000" in text:
            values = [one.replace(_NUL, _REPLACEMENT) if isinstance(one, str) else one for one in values]
        return tuple(values)

    def _reader(self, name: str) -> Callable[[dict[str, Any]], Any]:
        """Return what reads a column from a record."""
        if name == "synthetic":
            return _is_synthetic
        if name == "event_id":
            return lambda record: text_of(record.get("eventId"))
        if name == "metadata":
            return self._metadata
        field, form = COLUMNS[self.kind][name]
        if name in _MESSAGES:
            return lambda record: message(text_of(record.get(field)), self._texts, self._own)
        of = _FORMS[form]
        return lambda record: of(record.get(field))

    def _metadata(self, record: dict[str, Any]) -> str | None:
        return text_of(record.get("metadata")) if self._texts == "full" else None


def text_of(value: Any) -> str | None:
    """Return a text; what is not text as JSON writes it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def message(text: str | None, texts: str, own: frozenset[str] = frozenset()) -> str | None:
    """Return as much of a message as leaves the machine; `own` are the machine's own names."""
    if text is None or texts == "none":
        return None
    if texts == "full":
        return text
    return _VARYING.sub("#", without(text[:_READ_MOST], own)[:_LOOKED_AT])[:SHAPE_MAX]


def usage_row(sender: Identity, values: Mapping[str, Any], texts: str) -> Row:
    """Return a row of `usage`; `values` has its columns but for those that say who sends it and what its id is."""
    told = {**values, "folder": values.get("folder") if texts == "full" else None}
    figures = [told.get(name) for name in list(TABLES["usage"])[6:] if TABLES["usage"][name] == "whole"]
    unique = json.dumps([sender.origin, "usage", told["response"], *figures], separators=(",", ":"))
    told |= {"project": sender.project, "machine": sender.machine, "id": _id(unique.encode())}
    return tuple(_harmless(told.get(name)) for name in TABLES["usage"])


def _harmless(value: Any) -> Any:
    return redact(value).replace(_NUL, _REPLACEMENT) if isinstance(value, str) else value


def _id(unique: bytes) -> str:
    return hashlib.sha256(unique).hexdigest()[:_ID_DIGITS]


def _whole(value: Any) -> int | None:
    number = number_of(value)
    return None if number is None else int(number)


def _is_synthetic(record: dict[str, Any]) -> bool:
    metadata = record.get("metadata")
    return isinstance(metadata, dict) and metadata.get("synthetic") is True


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "name": name_of, "text": text_of, "figure": number_of, "whole": _whole,
}  # fmt: skip
