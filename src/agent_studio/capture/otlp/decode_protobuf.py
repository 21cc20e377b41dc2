"""An OTLP request in protobuf, brought into the form of its JSON; the extra `otlp` is imported when one comes.

Lists are read one entry at a time: a few kilobytes of gzip can hold millions of empty records, each of which the
library would turn into a hundred bytes of memory.
"""

from __future__ import annotations

import base64
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio.capture.otlp.records import LISTS, Malformed, Parts, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIELDS = 250_000
"""Entries, and fields around them, in one request at most."""
RECORD_BYTES = 4 << 20
"""A longer record is not unpacked but counted as rejected."""
_RECORDS = {
    "logs": ("logs.v1.logs_pb2", "LogRecord"),
    "metrics": ("metrics.v1.metrics_pb2", "Metric"),
    "traces": ("trace.v1.trace_pb2", "Span"),
}
_RESOURCE = ("resource.v1.resource_pb2", "Resource")
_RESPONSES = {
    "logs": ("collector.logs.v1.logs_service_pb2", "ExportLogsServiceResponse"),
    "metrics": ("collector.metrics.v1.metrics_service_pb2", "ExportMetricsServiceResponse"),
    "traces": ("collector.trace.v1.trace_service_pb2", "ExportTraceServiceResponse"),
}
_REJECTED = {"logs": "rejected_log_records", "metrics": "rejected_data_points", "traces": "rejected_spans"}
_IDENTIFIERS = {"traceId", "spanId", "parentSpanId"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10


def available() -> bool:
    """Tell whether protobuf can be read here."""
    try:
        _kind(_RESOURCE)
    except ImportError:
        return False
    return True


def parse(signal: str, body: bytes | bytearray) -> dict[str, Any]:
    """Return a request in OTLP's JSON form; reading its lists raises `Malformed` or `TooLarge`.

    In all three signals the entries are field 1, what was instrumented is their field 2, and the records are its
    field 2; a resource is field 1 of its entry (opentelemetry-proto 1.x).
    """
    outer, middle, inner = LISTS[signal]
    wire = _Wire()
    record, resource = _kind(_RECORDS[signal]), _kind(_RESOURCE)

    def read_scope(part: memoryview) -> dict[str, Any]:
        return {inner: _Parts(wire, part, 2, lambda found: _message(record, found))}

    def read_entry(part: memoryview) -> dict[str, Any]:
        shared = b"".join(found for number, found in wire.fields(part) if number == 1)
        return {"resource": _message(resource, memoryview(shared)), middle: _Parts(wire, part, 2, read_scope)}

    return {outer: _Parts(wire, memoryview(bytes(body)), 1, read_entry)}


def partial(signal: str, rejected: int, message: str) -> bytes:
    """Return the answer that some records were rejected."""
    response = _kind(_RESPONSES[signal])()
    setattr(response.partial_success, _REJECTED[signal], rejected)
    response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def fault(message: str) -> bytes:
    """Return a google.rpc.Status with a message: field 2, a length, the text."""
    text = message.encode()[:127].decode("utf-8", "ignore").encode()
    return bytes((0x12, len(text))) + text


class _Wire:
    """Protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), as far as lengths go."""

    def __init__(self) -> None:
        self._left = FIELDS

    def fields(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield number and bytes of every field that has a length."""
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise TooLarge(f"the request has more than {FIELDS} entries")
            key, at = _varint(data, at)
            kind = key & 7
            if kind == _BYTES:
                size, at = _varint(data, at)
                yield key >> 3, data[at : at + size]
                at += size
            elif kind == _VARINT:
                _, at = _varint(data, at)
            elif kind in {_FIXED64, _FIXED32}:
                at += 8 if kind == _FIXED64 else 4
            else:
                raise Malformed("the body is not a protobuf request: a field of an unknown kind")
        if at > len(data):
            raise Malformed("the body is not a protobuf request: it ends early")


@dataclass(frozen=True)
class _Parts(Parts):
    wire: _Wire
    data: memoryview
    number: int
    read: Callable[[memoryview], Any]

    def __iter__(self) -> Iterator[Any]:
        return (self.read(part) for number, part in self.wire.fields(self.data) if number == self.number)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, at + place + 1
    raise Malformed("the body is not a protobuf request: a number without an end")


def _message(kind: Any, data: memoryview) -> dict[str, Any] | None:
    if len(data) > RECORD_BYTES:
        return None
    message = kind()
    damaged = importlib.import_module("google.protobuf.message").DecodeError
    try:
        message.ParseFromString(bytes(data))
    except (damaged, RecursionError) as error:
        raise Malformed(f"the body is not a protobuf request: {error}") from None
    return _plain(message)


def _kind(place: tuple[str, str]) -> Any:
    return getattr(importlib.import_module(f"opentelemetry.proto.{place[0]}"), place[1])


def _plain(message: Any) -> dict[str, Any]:
    """Return what a message holds under the names of its JSON form; 64-bit integers stay integers."""
    return {field.json_name: _value(field, value) for field, value in message.ListFields()}


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return [_plain(one) for one in value] if _is_repeated(value) else _plain(value)
    if isinstance(value, bytes):
        return value.hex() if field.json_name in _IDENTIFIERS else base64.b64encode(value).decode()
    return list(value) if _is_repeated(value) else value


def _is_repeated(value: Any) -> bool:
    """Tell by the value: the descriptor's own word for it differs between versions of protobuf."""
    return not isinstance(value, str | bytes) and hasattr(value, "append")
