"""Signals as OTLP requests in protobuf, and what a collector answers; needs the package opentelemetry-proto.

https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from agent_studio import __version__
from agent_studio.capture.export.signals import SCHEMA_URL
from agent_studio.errors import AgentStudioError
from agent_studio.redaction import redact

try:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
    )
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
    )
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
    from opentelemetry.proto.logs.v1 import logs_pb2
    from opentelemetry.proto.metrics.v1 import metrics_pb2
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1 import trace_pb2
except ImportError as error:
    raise AgentStudioError(
        f"the package opentelemetry-proto is needed to export: {error}", hint="pip install 'agent-studio[otlp]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.capture.export.signals import Attributes, LogRecord, Measured, Metric, Point, Span, Value

_SCOPE = "agent_studio.export"


def resource(environment: str, project: str) -> Resource:
    """Return what all signals of an environment come from."""
    attributes: Attributes = {
        "service.name": "agent-studio",
        "service.version": __version__,
        "deployment.environment.name": environment,
        "deployment.environment": environment,
        "agent_studio.project": project,
    }
    return Resource(attributes=_pairs(attributes))


def traces(spans: Iterable[Span], origin: Resource) -> bytes:
    """Return spans as one request."""
    scope = trace_pb2.ScopeSpans(scope=_scope(), spans=map(_span, spans), schema_url=SCHEMA_URL)
    whole = trace_pb2.ResourceSpans(resource=origin, scope_spans=[scope], schema_url=SCHEMA_URL)
    return bytes(ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString())


def logs(records: Iterable[LogRecord], origin: Resource) -> bytes:
    """Return log records as one request."""
    scope = logs_pb2.ScopeLogs(scope=_scope(), log_records=map(_log, records), schema_url=SCHEMA_URL)
    whole = logs_pb2.ResourceLogs(resource=origin, scope_logs=[scope], schema_url=SCHEMA_URL)
    return bytes(ExportLogsServiceRequest(resource_logs=[whole]).SerializeToString())


def metrics(measured: Measured, origin: Resource) -> bytes:
    """Return the metrics of one window as one request."""
    found = [_metric(metric, measured) for metric in measured.metrics]
    scope = metrics_pb2.ScopeMetrics(scope=_scope(), metrics=found, schema_url=SCHEMA_URL)
    whole = metrics_pb2.ResourceMetrics(resource=origin, scope_metrics=[scope], schema_url=SCHEMA_URL)
    return bytes(ExportMetricsServiceRequest(resource_metrics=[whole]).SerializeToString())


def rejected(signal: str, answer: bytes) -> tuple[int, str]:
    """Return how much of a request the collector did not take, and what it said; an answer in no known form says 0."""
    try:
        if signal == "traces":
            spans = ExportTraceServiceResponse.FromString(answer).partial_success
            return spans.rejected_spans, spans.error_message
        if signal == "logs":
            records = ExportLogsServiceResponse.FromString(answer).partial_success
            return records.rejected_log_records, records.error_message
        points = ExportMetricsServiceResponse.FromString(answer).partial_success
    except DecodeError:
        return 0, ""
    return points.rejected_data_points, points.error_message


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name=_SCOPE, version=__version__)


def _span(span: Span) -> trace_pb2.Span:
    kinds, codes = trace_pb2.Span.SpanKind, trace_pb2.Status.StatusCode
    return trace_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        name=_text(span.name),
        kind=kinds.SPAN_KIND_CLIENT if span.client else kinds.SPAN_KIND_INTERNAL,
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_pairs(span.attributes),
        status=trace_pb2.Status(
            code=codes.STATUS_CODE_ERROR if span.failed else codes.STATUS_CODE_UNSET, message=_text(span.message)
        ),
    )


def _log(record: LogRecord) -> logs_pb2.LogRecord:
    return logs_pb2.LogRecord(
        time_unix_nano=record.time_ns,
        observed_time_unix_nano=record.time_ns,
        severity_number=cast("logs_pb2.SeverityNumber.ValueType", record.severity),
        severity_text=record.severity_text,
        body=AnyValue(string_value=_text(record.body)),
        attributes=_pairs(record.attributes),
        trace_id=record.trace_id,
        span_id=record.span_id,
        event_name=record.event_name,
    )


def _metric(metric: Metric, measured: Measured) -> metrics_pb2.Metric:
    made = metrics_pb2.Metric(name=metric.name, unit=metric.unit, description=metric.description)
    delta = metrics_pb2.AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    for point in metric.points.values():
        if metric.bounds:
            made.histogram.aggregation_temporality = delta
            made.histogram.data_points.append(_histogram_point(point, metric, measured))
        else:
            made.sum.aggregation_temporality, made.sum.is_monotonic = delta, True
            made.sum.data_points.append(_sum_point(point, measured))
    return made


def _histogram_point(point: Point, metric: Metric, measured: Measured) -> metrics_pb2.HistogramDataPoint:
    return metrics_pb2.HistogramDataPoint(
        attributes=_pairs(point.attributes), start_time_unix_nano=measured.start_ns, time_unix_nano=measured.end_ns,
        count=point.count, sum=point.total, min=point.low, max=point.high,
        bucket_counts=point.buckets, explicit_bounds=metric.bounds,
    )  # fmt: skip


def _sum_point(point: Point, measured: Measured) -> metrics_pb2.NumberDataPoint:
    return metrics_pb2.NumberDataPoint(
        attributes=_pairs(point.attributes), start_time_unix_nano=measured.start_ns, time_unix_nano=measured.end_ns,
        as_double=point.total,
    )  # fmt: skip


def _pairs(attributes: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in sorted(attributes.items())]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=_text(value))


@lru_cache(maxsize=4_096)
def _text(text: str) -> str:
    """Return a text without secrets, and without half of a surrogate pair, which has no place in protobuf."""
    return redact(text.encode("utf-8", "replace").decode())
