"""What records become before they are encoded: spans, log records and measurements, and the names they bear.

Names are those of the GenAI conventions where there is one, `agent_studio.*` elsewhere. Ids are made from what is
recorded, so that the same record always has the same id, and late ones join the trace of their session.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
"""The last published schema that holds the GenAI conventions; they have no published one of their own since.

https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai (read 2026-11)
"""
PROVIDER = "anthropic"

Value = str | int | float | bool
Attributes = dict[str, Value]


@dataclass(frozen=True)
class Span:
    """One thing that took time."""

    name: str
    trace_id: bytes
    """16 bytes."""
    span_id: bytes
    """8 bytes."""
    parent_id: bytes
    """8 bytes, or empty for the root."""
    start_ns: int
    end_ns: int
    attributes: Attributes
    client: bool = False
    """Whether it is a call to another service."""
    failed: bool = False
    message: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class LogRecord:
    """One thing that happened."""

    event_name: str
    time_ns: int
    severity: int
    """Number of the log data model, 1 to 24."""
    severity_text: str
    body: str
    attributes: Attributes
    trace_id: bytes = b""
    span_id: bytes = b""


@dataclass
class Point:
    """Measurements of one series in one window."""

    attributes: Attributes
    count: int = 0
    total: float = 0
    low: float = float("inf")
    high: float = float("-inf")
    buckets: list[int] = field(default_factory=list)
    """One count a bucket; one more than there are bounds."""


@dataclass
class Metric:
    """One instrument: a histogram where it has bounds, else a sum; both are of what is new (delta)."""

    name: str
    unit: str
    description: str
    bounds: tuple[float, ...] = ()
    points: dict[tuple[tuple[str, Value], ...], Point] = field(default_factory=dict)

    def add(self, value: float, attributes: Mapping[str, Value]) -> None:
        """Record one value."""
        series = tuple(sorted(attributes.items()))
        point = self.points.setdefault(series, Point(dict(attributes), buckets=[0] * (len(self.bounds) + 1)))
        point.count += 1
        point.total += value
        point.low, point.high = min(point.low, value), max(point.high, value)
        point.buckets[sum(value > bound for bound in self.bounds)] += 1


@dataclass(frozen=True)
class Measured:
    """The metrics of one window."""

    metrics: list[Metric]
    start_ns: int
    end_ns: int


def trace_id(session_id: str) -> bytes:
    """Return the trace of a session."""
    return hashlib.sha256(session_id.encode("utf-8", "replace")).digest()[:16]


def span_id(event_id: str) -> bytes:
    """Return the span of an event."""
    return hashlib.sha256(event_id.encode("utf-8", "replace")).digest()[:8]


def root_span_id(session_id: str) -> bytes:
    """Return the span of a whole session."""
    return span_id(f"session\x1f{session_id}")
