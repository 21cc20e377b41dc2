"""From an OTLP request to inbox payloads: one flat object per log record, metric data point and span.

A request is a mapping in OTLP's JSON form (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, read
2026-11), whatever it came as. Unknown fields are ignored, snake_case is taken too, texts are cut, and what cannot be
used is counted, not guessed. What comes out of one request is limited: a long resource repeated for a million records
must not fill the disk.
"""

from __future__ import annotations

import base64
import binascii
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from agent_studio.capture.otlp.values import NAME_KEPT, Unusable, any_value, cut, encode, get, integer, number, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OUTPUT_BYTES = 64 << 20
"""Of payloads made from one request."""
_RESOURCE_BYTES = 32 << 10
_TIME_MAX = 1 << 63
_ENVIRONMENT = ("deployment.environment", "deployment.environment.name")
LISTS: Mapping[str, tuple[str, str, str]] = {
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "traces": ("resourceSpans", "scopeSpans", "spans"),
}
_TEMPORALITIES = {1: "delta", 2: "cumulative"}
_STATUSES = {1: "ok", 2: "error"}
_ENUMS = {
    "AGGREGATION_TEMPORALITY_DELTA": 1,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": 2,
    "STATUS_CODE_OK": 1,
    "STATUS_CODE_ERROR": 2,
}
_METRICS = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")


class Malformed(Exception):  # noqa: N818 - what a body is
    """A body that is not a request of its kind."""


class TooLarge(Exception):  # noqa: N818 - what a body is
    """A body that is, or would become, more than is taken at once."""


class Parts(ABC):
    """A list that is read one entry at a time."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield the entries; raise `Malformed` or `TooLarge`."""


@dataclass
class Decoded:
    """What a request holds."""

    payloads: list[tuple[str | None, bytes]] = field(default_factory=list)
    """Environment as the record names it, or None, and the payload."""
    rejected: int = 0
    reason: str = ""
    """Why the first was rejected."""


def flatten(signal: str, request: object, *, received_ns: int) -> Decoded:
    """Return the payloads of a request; `received_ns` dates a record without any time.

    Raises `Malformed` for what is no request, `TooLarge` when more than `OUTPUT_BYTES` would come of it.
    """
    done = Decoded()
    size = 0
    for shared, record in _walk(signal, request):
        try:
            flats = list(_FLATTENERS[signal](record, received_ns))
        except Unusable as error:
            done.rejected += 1
            done.reason = done.reason or str(error)
            continue
        for flat in flats:
            named = _environment(flat["attributes"]) or shared.environment
            payload = b"%s,%s}" % (encode({"signal": signal, **flat})[:-1], shared.encoded)
            size += len(payload)
            if size > OUTPUT_BYTES:
                raise TooLarge(f"the request makes more than {OUTPUT_BYTES} bytes of records")
            done.payloads.append((named, payload))
    return done


@dataclass(frozen=True)
class _Resource:
    environment: str | None
    encoded: bytes
    """`"resource":{...}`."""


def _walk(signal: str, request: object) -> Iterator[tuple[_Resource, object]]:
    outer, middle, inner = LISTS[signal]
    if not isinstance(request, dict):
        raise Malformed("the body is not an object")
    for entry in _objects(request, outer):
        resource = get(entry, "resource")
        attributes = _attributes(resource, limit_bytes=_RESOURCE_BYTES) if isinstance(resource, dict) else {}
        shared = _Resource(_environment(attributes), b'"resource":' + encode(attributes))
        for scope in _objects(entry, middle):
            for record in _list(scope, inner):
                yield shared, record


def _log(record: object, received_ns: int) -> Iterator[dict[str, Any]]:
    record = _object(record)
    attributes = _attributes(record)
    name = get(record, "eventName") or attributes.get("event.name") or ""
    flat: dict[str, Any] = {
        "name": cut(name if isinstance(name, str) else str(name), NAME_KEPT),
        "time_ns": _time(record, "timeUnixNano") or _time(record, "observedTimeUnixNano") or received_ns,
    }
    body = any_value(get(record, "body"))
    if body is not None:
        flat["body"] = body
    severity = get(record, "severityText")
    if severity and isinstance(severity, str):
        flat["severity"] = cut(severity, NAME_KEPT)
    yield {**flat, "attributes": attributes, **_identifiers(record, ("trace_id", "span_id"))}


def _span(record: object, received_ns: int) -> Iterator[dict[str, Any]]:
    record = _object(record)
    start = _time(record, "startTimeUnixNano") or received_ns
    flat: dict[str, Any] = {
        "name": _name(record),
        "time_ns": start,
        "end_ns": _time(record, "endTimeUnixNano") or start,
        "attributes": _attributes(record),
        **_identifiers(record, ("trace_id", "span_id", "parent_span_id")),
    }
    status = get(record, "status")
    if isinstance(status, dict):
        code = _STATUSES.get(_enum(get(status, "code")))
        message = get(status, "message")
        if code:
            flat["status"] = code
        if message and isinstance(message, str):
            flat["status_message"] = cut(message)
    yield flat


def _metric(record: object, received_ns: int) -> Iterator[dict[str, Any]]:
    record = _object(record)
    kind = next((kind for kind in _METRICS if isinstance(get(record, kind), dict)), None)
    if kind is None:
        raise Unusable("a metric without data of a known kind")
    data = get(record, kind)
    flat: dict[str, Any] = {"name": _name(record), "type": kind}
    unit = get(record, "unit")
    if unit and isinstance(unit, str):
        flat["unit"] = cut(unit, NAME_KEPT)
    temporality = _TEMPORALITIES.get(_enum(get(data, "aggregationTemporality")))
    if temporality:
        flat["temporality"] = temporality
    if get(data, "isMonotonic") is True:
        flat["monotonic"] = True
    for point in _list(data, "dataPoints"):
        yield {**flat, **_point(_object(point), received_ns, simple=kind in {"sum", "gauge"})}


def _point(point: Mapping[str, Any], received_ns: int, *, simple: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"time_ns": _time(point, "timeUnixNano") or received_ns}
    start = _time(point, "startTimeUnixNano")
    if start:
        found["start_ns"] = start
    if simple:
        whole = get(point, "asInt")
        found["value"] = number(get(point, "asDouble")) if whole is None else integer(whole)
    else:
        found["value"] = number(get(point, "sum"))
        found["count"] = integer(get(point, "count") or 0)
        found["min"] = number(get(point, "min"))
        found["max"] = number(get(point, "max"))
    found = {name: value for name, value in found.items() if value is not None}
    return {**found, "attributes": _attributes(point)}


_FLATTENERS = {"logs": _log, "metrics": _metric, "traces": _span}


def _list(holder: Mapping[str, Any], name: str) -> list[Any] | Parts:
    found = get(holder, name)
    if found is None:
        return []
    if not isinstance(found, list | Parts):
        raise Malformed(f"{name} is not a list")
    return found


def _objects(holder: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    for entry in _list(holder, name):
        if not isinstance(entry, dict):
            raise Malformed(f"{name} holds what is not an object")
        yield entry


def _object(record: object) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise Unusable("a record that is not an object, or too long")
    return record


def _name(record: Mapping[str, Any]) -> str:
    name = get(record, "name")
    if not name or not isinstance(name, str):
        raise Unusable("a record without a name")
    return cut(name, NAME_KEPT)


def _attributes(holder: Mapping[str, Any], *, limit_bytes: int | None = None) -> dict[str, Any]:
    return pairs(get(holder, "attributes"), 0, limit_bytes)


def _time(record: Mapping[str, Any], name: str) -> int:
    """Return Unix nanoseconds, 0 when there are none."""
    value = get(record, name)
    if value is None:
        return 0
    time_ns = integer(value)
    if not 0 <= time_ns < _TIME_MAX:
        raise Unusable(f"{name} is out of range")
    return time_ns


def _enum(value: object) -> int:
    if isinstance(value, str):
        return _ENUMS.get(value, 0)
    return value if isinstance(value, int) else 0


def _identifiers(record: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    found = {name: _identifier(get(record, _camel(name)), 16 if name == "trace_id" else 8) for name in names}
    return {name: identifier for name, identifier in found.items() if identifier}


@cache
def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)


def _identifier(value: object, size: int) -> str | None:
    """Return a trace or span id as hex; OTLP writes hex, JSON made from protobuf by a library writes base64."""
    if not isinstance(value, str):
        return None
    try:
        raw = bytes.fromhex(value) if len(value) == 2 * size else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw.hex() if len(raw) == size and any(raw) else None


def _environment(attributes: Mapping[str, Any]) -> str | None:
    found = next((attributes[name] for name in _ENVIRONMENT if attributes.get(name)), None)
    return found if isinstance(found, str) else None
