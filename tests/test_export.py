from __future__ import annotations

import contextlib
import gzip
import json
import os
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from agent_studio.capture.export import exporter, post
from agent_studio.capture.export.exporter import Options, export
from agent_studio.capture.export.post import CollectorError
from agent_studio.capture.export.signals import SCHEMA_URL, root_span_id, span_id, trace_id
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root
from agent_studio.errors import BusyError, UsageError
from agent_studio.records import AgentRun, ErrorEvent, HookExecution, LlmUsage, Record, SessionEvent, event_id
from agent_studio.storage import chain, journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Studio

_REQUESTS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}
AT = "2026-11-23T10:00:00.000Z"
AT_NS = 1_795_428_000_000_000_000


@dataclass
class Collector:
    """A real receiver on loopback; `script` holds the answers to come, then everything is taken."""

    url: str = ""
    script: deque[tuple[int, dict[str, str], bytes]] = field(default_factory=deque)
    taken: list[tuple[str, Any]] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str], int]] = field(default_factory=list)

    def spans(self) -> list[Any]:
        return [
            span
            for path, request in self.taken
            if path == "/v1/traces"
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def logs(self) -> list[Any]:
        return [
            record
            for path, request in self.taken
            if path == "/v1/logs"
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def metrics(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for path, request in self.taken:
            if path == "/v1/metrics":
                for metric in request.resource_metrics[0].scope_metrics[0].metrics:
                    found.setdefault(metric.name, []).extend(
                        metric.histogram.data_points if metric.HasField("histogram") else metric.sum.data_points
                    )
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    held = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            held.seen.append((self.path, dict(self.headers), len(body)))
            status, headers, answer = held.script.popleft() if held.script else (200, {}, b"")
            if status == 200:
                held.taken.append((self.path, _REQUESTS[self.path].FromString(gzip.decompress(body))))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield held
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Journals:
    """The journals of a staging root, and what is written to them."""

    root: EnvironmentRoot
    head: chain.Head = field(default_factory=chain.Head)

    def write(self, record: Record, *unique: object, environment: str = "staging") -> str:
        own = event_id(*(unique or (record,)))
        line = record.to_line(event_id=own, environment=environment)
        folder = self.root.folder(record.kind)
        if isinstance(record, LlmUsage):
            sealed, self.head = chain.seal(self.head, line)
            with (folder.path / record.file).open("ab") as file:
                file.write(sealed)
        else:
            journal.append(folder, record.file, [line])
        return own

    def append(self, name: str, data: bytes) -> None:
        with (self.root.folder("metrics").path / name).open("ab") as file:
            file.write(data)


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    (tmp_path / "ünï project" / ".claude").mkdir(parents=True)
    root = environment_root(Project(tmp_path / "ünï project"), Environment.STAGING, {})
    for kind in ("metrics", "sessions"):
        root.folder(kind).make()
    return Journals(root)


def hook(number: int = 0, **changes: Any) -> HookExecution:
    given: dict[str, Any] = {
        "timestamp": AT, "hook": "guard.sh", "event": "PreToolUse", "tool": "Bash", "execution_time_ms": 4.5,
        "status": "success", "session_id": "s1", "metadata": {"number": number},
    }  # fmt: skip
    return HookExecution(**(given | changes))


def agent(**changes: Any) -> AgentRun:
    given: dict[str, Any] = {
        "timestamp": AT, "agent": "reviewer", "agent_id": "a1", "session_id": "s1", "task_id": None,
        "duration_ms": 2_000.0, "tokens_used": 900, "status": "completed",
    }  # fmt: skip
    return AgentRun(**(given | changes))


def usage(**changes: Any) -> LlmUsage:
    given: dict[str, Any] = {
        "timestamp": AT, "session_id": "s1", "request_id": "r1", "message_id": "m1", "provider": "anthropic",
        "model": "claude-opus-5-5", "agent": None, "skill": None, "project": "p", "task_id": None, "input_tokens": 10,
        "output_tokens": 20, "cache_read_tokens": 300, "cache_write5m_tokens": 40, "cache_write1h_tokens": 5,
        "web_searches": 0, "service_tier": None, "speed": None, "region": None, "cost_usd": "0.25",
        "price_source": "prices", "source": "transcript",
    }  # fmt: skip
    return LlmUsage(**(given | changes))


def error(**changes: Any) -> ErrorEvent:
    given: dict[str, Any] = {
        "timestamp": AT, "error_type": "SystemError", "severity": "HIGH", "source": "guard.sh",
        "message": "it broke", "tool": "Bash", "session_id": "s1",
    }  # fmt: skip
    return ErrorEvent(**(given | changes))


def attributes(found: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in found.attributes}


def test_every_kind_of_record_becomes_the_signal_that_the_conventions_name(
    journals: Journals, collector: Collector
) -> None:
    ids = {
        "hook": journals.write(hook(status="failure"), 1),
        "agent": journals.write(agent(task_id="t1"), 2),
        "chat": journals.write(usage(task_id="t1"), 3),
        "error": journals.write(error(), 4),
    }
    journals.write(SessionEvent(timestamp=AT, session_id="s1", event="start"), 5)
    journals.write(SessionEvent(timestamp=AT, session_id="s1", event="end", duration_ms=60_000.0, reason="other"), 6)
    report = export(journals.root, Options(collector.url))
    assert {signal: sent.items for signal, sent in report.signals.items()} == {"traces": 4, "logs": 1, "metrics": 9}

    spans = {span.name: span for span in collector.spans()}
    assert sorted(spans) == [
        "chat claude-opus-5-5",
        "hook guard.sh",
        "invoke_agent claude-code",
        "invoke_agent reviewer",
    ]
    root, run = spans["invoke_agent claude-code"], spans["invoke_agent reviewer"]
    assert (root.parent_span_id, root.span_id) == (b"", root_span_id("s1"))
    assert (root.end_time_unix_nano, root.end_time_unix_nano - root.start_time_unix_nano) == (AT_NS, 60_000_000_000)
    assert {span.trace_id for span in spans.values()} == {trace_id("s1")}
    assert (run.span_id, run.parent_span_id) == (span_id(event_id("task", "s1", "t1")), root_span_id("s1"))
    assert (run.start_time_unix_nano, run.end_time_unix_nano) == (AT_NS - 2_000_000_000, AT_NS)
    assert attributes(run)["gen_ai.operation.name"] == "invoke_agent"
    assert attributes(run)["gen_ai.agent.name"] == "reviewer"
    assert attributes(run)["gen_ai.conversation.id"] == "s1"

    chat = spans["chat claude-opus-5-5"]
    assert (chat.parent_span_id, chat.kind) == (run.span_id, 3)
    assert attributes(chat) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.conversation.id": "s1",
        "gen_ai.request.model": "claude-opus-5-5", "gen_ai.response.model": "claude-opus-5-5",
        "gen_ai.response.id": "m1", "gen_ai.usage.input_tokens": 355, "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 300, "gen_ai.usage.cache_creation.input_tokens": 45,
        "agent_studio.request.id": "r1", "agent_studio.cost.usd": 0.25, "agent_studio.cost.source": "prices",
    }  # fmt: skip

    failed = spans["hook guard.sh"]
    assert (failed.span_id, failed.parent_span_id, failed.status.code) == (span_id(ids["hook"]), root_span_id("s1"), 2)
    assert failed.end_time_unix_nano - failed.start_time_unix_nano == 4_500_000
    assert attributes(failed) == {
        "agent_studio.hook.name": "guard.sh", "agent_studio.hook.event": "PreToolUse", "error.type": "failure",
        "agent_studio.hook.status": "failure", "gen_ai.tool.name": "Bash", "gen_ai.conversation.id": "s1",
    }  # fmt: skip

    (log,) = collector.logs()
    assert (log.body.string_value, log.severity_number, log.severity_text) == ("it broke", 17, "ERROR")
    assert (log.trace_id, log.span_id) == (trace_id("s1"), root_span_id("s1"))
    assert (log.event_name, log.time_unix_nano) == ("agent_studio.error", AT_NS)
    assert attributes(log)["error.type"] == "SystemError"
    assert attributes(log)["agent_studio.event.id"] == ids["error"]


def test_the_resource_names_the_environment_and_the_schema_is_pinned(journals: Journals, collector: Collector) -> None:
    journals.write(hook())
    export(journals.root, Options(collector.url, signals=("traces",)))
    whole = collector.taken[0][1].resource_spans[0]
    found = attributes(whole.resource)
    assert found["service.name"] == "agent-studio"
    assert found["deployment.environment.name"] == found["deployment.environment"] == "staging"
    assert found["agent_studio.project"] == "ünï project"
    assert (
        whole.schema_url == whole.scope_spans[0].schema_url == SCHEMA_URL == "https://opentelemetry.io/schemas/1.41.0"
    )


def test_requests_are_compressed_protobuf_with_the_headers_asked_for(journals: Journals, collector: Collector) -> None:
    journals.write(hook())
    export(journals.root, Options(collector.url + "/", headers={"Authorization": "Bearer t"}))
    assert [path for path, _, _ in collector.seen] == ["/v1/traces", "/v1/metrics"]
    headers = {name.lower(): value for name, value in collector.seen[0][1].items()}
    assert headers["content-type"] == "application/x-protobuf"
    assert (headers["content-encoding"], headers["authorization"]) == ("gzip", "Bearer t")


@pytest.mark.parametrize(
    ("severity", "number"), [("CRITICAL", 21), ("HIGH", 17), ("MEDIUM", 13), ("LOW", 9), ("ODD", 0)]
)
def test_severities_follow_the_table(journals: Journals, collector: Collector, severity: str, number: int) -> None:
    journals.write(error(severity=severity, session_id=None))
    export(journals.root, Options(collector.url))
    (log,) = collector.logs()
    assert (log.severity_number, log.trace_id, log.span_id) == (number, b"", b"")


def test_measurements_add_up_to_what_the_records_say(journals: Journals, collector: Collector) -> None:
    for number, duration_ms in enumerate((1.0, 4.0, 90.0)):
        journals.write(hook(number, execution_time_ms=duration_ms))
    journals.write(hook(9, status="blocked"))
    journals.write(agent())
    journals.write(usage())
    journals.write(usage(message_id="m2", cost_usd=None, model="claude-haiku-5-5"))
    export(journals.root, Options(collector.url, signals=("metrics",)))
    found = collector.metrics()
    passed = next(point for point in found["agent_studio.hook.duration"] if point.count == 3)
    assert (passed.sum, passed.min, passed.max, sum(passed.bucket_counts)) == (95.0, 1.0, 90.0, 3)
    assert len(passed.bucket_counts) == len(passed.explicit_bounds) + 1
    assert passed.bucket_counts[0] == 1  # a bound belongs to the bucket below it
    assert passed.start_time_unix_nano < passed.time_unix_nano == AT_NS
    opus = {
        attributes(point)["agent_studio.token.type"]: point.as_double
        for point in found["agent_studio.token.usage"]
        if attributes(point)["gen_ai.request.model"] == "claude-opus-5-5"
    }
    assert opus == {"input": 10, "output": 20, "cache_read": 300, "cache_write": 45}
    assert [point.as_double for point in found["agent_studio.cost.usage"]] == [0.25]
    assert {attributes(point)["gen_ai.token.type"] for point in found["gen_ai.client.token.usage"]} == {
        "input",
        "output",
    }
    assert [point.as_double for point in found["agent_studio.agent.runs"]] == [1]


def test_what_others_tell_of_a_hook_they_tell_when_it_is_over(journals: Journals, collector: Collector) -> None:
    journals.write(hook(metadata={"source": "transcript"}))
    journals.write(hook(1, execution_time_ms=None))
    export(journals.root, Options(collector.url))
    first, second = collector.spans()
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (AT_NS - 4_500_000, AT_NS)
    assert (second.start_time_unix_nano, second.end_time_unix_nano) == (AT_NS, AT_NS)
    assert [point.count for point in collector.metrics()["agent_studio.hook.duration"]] == [1]


def test_a_record_without_a_session_stands_alone(journals: Journals, collector: Collector) -> None:
    own = journals.write(hook(session_id=None))
    export(journals.root, Options(collector.url))
    (span,) = collector.spans()
    assert (span.trace_id, span.parent_span_id) == (trace_id(own), b"")
    assert "gen_ai.conversation.id" not in attributes(span)


def test_a_second_run_of_an_agent_has_a_span_of_its_own(journals: Journals, collector: Collector) -> None:
    journals.write(agent(task_id="t1"), 1)
    own = journals.write(agent(task_id="t1", duration_ms=None, tokens_used=None, metadata={"run": 2}), 2)
    export(journals.root, Options(collector.url))
    first, second = collector.spans()
    assert second.span_id == span_id(own) != first.span_id
    assert first.parent_span_id == second.parent_span_id == root_span_id("s1")


@pytest.mark.parametrize("of", [1, 2])
@pytest.mark.parametrize("apart", ["in exports apart", ""])
def test_a_response_that_grew_is_one_span_and_its_tokens_are_counted_once(
    journals: Journals, collector: Collector, apart: str, of: int
) -> None:
    options = Options(collector.url)
    journals.write(usage(output_tokens=20), 1)
    if apart:
        export(journals.root, options)
    journals.write(usage(output_tokens=50, cost_usd="0.40", amends=1), 2)
    if apart:
        export(journals.root, options)
    journals.write(usage(output_tokens=60, cost_usd="0.50", amends=of), 3)
    export(journals.root, options)
    assert {span.span_id for span in collector.spans()} == {span_id(event_id("response", "r1"))}
    assert attributes(collector.spans()[-1])["gen_ai.usage.output_tokens"] == 60
    output = [point.as_double for point in collector.metrics()["agent_studio.token.usage"]
              if attributes(point)["agent_studio.token.type"] == "output"]  # fmt: skip
    assert sum(output) == 60
    assert sum(point.as_double for point in collector.metrics()["agent_studio.cost.usage"]) == pytest.approx(0.5)
    assert sum(point.count for point in collector.metrics()["gen_ai.client.token.usage"]) == 2


def test_a_response_that_grew_long_after_it_was_sent_is_found_again(
    journals: Journals, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "_WINDOW", 3)
    monkeypatch.setattr(exporter, "_REMEMBERED", 1)
    for number in range(9):
        journals.write(usage(request_id=f"r{number}", input_tokens=100, output_tokens=0), number)
    journals.write(usage(request_id="r0", input_tokens=107, output_tokens=0, amends=1), "grown")
    export(journals.root, Options(collector.url, signals=("metrics",)))
    found = [point.as_double for point in collector.metrics()["agent_studio.token.usage"]
             if attributes(point)["agent_studio.token.type"] == "input"]  # fmt: skip
    assert sum(found) == 907


def test_a_second_export_sends_only_what_is_new(journals: Journals, collector: Collector) -> None:
    journals.write(hook(1))
    export(journals.root, Options(collector.url))
    collector.taken.clear()
    assert export(journals.root, Options(collector.url)).signals["traces"].items == 0
    assert collector.taken == []
    own = journals.write(hook(2))
    export(journals.root, Options(collector.url))
    assert [span.span_id for span in collector.spans()] == [span_id(own)]


def test_every_signal_and_every_endpoint_has_a_place_of_its_own(journals: Journals, collector: Collector) -> None:
    journals.write(hook(1))
    export(journals.root, Options(collector.url, signals=("traces",)))
    report = export(journals.root, Options(collector.url))
    assert (report.signals["traces"].items, report.signals["metrics"].items) == (0, 1)
    assert export(journals.root, Options(f"{collector.url}/")).signals["traces"].items == 0
    other = collector.url.replace("127.0.0.1", "localhost")
    assert export(journals.root, Options(other, signals=("traces",))).signals["traces"].items == 1


def test_all_is_sent_again_when_asked_for_with_the_same_ids(journals: Journals, collector: Collector) -> None:
    journals.write(hook(1))
    export(journals.root, Options(collector.url))
    export(journals.root, Options(collector.url, again=True))
    first, second = collector.spans()
    assert first == second
    assert export(journals.root, Options(collector.url)).signals["traces"].items == 0


def test_only_records_of_the_environment_and_of_the_time_asked_for_are_sent(
    journals: Journals, collector: Collector
) -> None:
    journals.write(hook(1, timestamp="2026-11-22T09:00:00.000Z"))
    journals.write(hook(2), environment="production")
    own = journals.write(hook(3))
    report = export(journals.root, Options(collector.url, since="2026-11-23T00:00:00.000Z"))
    assert [span.span_id for span in collector.spans()] == [span_id(own)]
    assert report.older == 1


def test_damaged_lines_and_records_of_another_form_are_counted_and_passed_over(
    journals: Journals, collector: Collector
) -> None:
    journals.append("hooks.jsonl", b'{"torn\n[1]\nnull\n\n\xff\xfe\n{"environment":"staging"}\n')
    own = journals.write(hook(1))
    journals.write(hook(2, execution_time_ms="slow"))
    journals.write(hook(3, timestamp="yesterday"))
    journals.write(hook(4, execution_time_ms=1e300))
    journals.write(agent(agent="half \ud800", tokens_used=1 << 70))
    journals.write(usage(input_tokens=1 << 70))
    journals.write(usage(output_tokens=-1))
    journals.append("llm-usage.log", b'{"type":"torn","bytes":3,"sha256":"0","_seq":1,"_prevHash":"","_hash":""}\n')
    report = export(journals.root, Options(collector.url))
    assert [span.name for span in collector.spans()] == ["invoke_agent half ?", "hook guard.sh"]
    assert collector.spans()[1].span_id == span_id(own)
    assert report.damaged == 10


def test_a_line_that_is_still_being_written_waits_for_its_end(journals: Journals, collector: Collector) -> None:
    journals.write(hook(1))
    line = journal.encode(hook(2).to_line(event_id=event_id("late"), environment="staging"))
    journals.append("hooks.jsonl", line[:40])
    assert export(journals.root, Options(collector.url)).damaged == 0
    journals.append("hooks.jsonl", line[40:])
    export(journals.root, Options(collector.url))
    assert collector.spans()[-1].span_id == span_id(event_id("late"))
    assert len(collector.spans()) == 2


def test_a_journal_that_was_replaced_is_read_anew(journals: Journals, collector: Collector) -> None:
    for number in range(3):
        journals.write(hook(number))
    export(journals.root, Options(collector.url, signals=("traces",)))
    (journals.root.folder("metrics").path / "hooks.jsonl").unlink()
    own = journals.write(hook(99))
    export(journals.root, Options(collector.url, signals=("traces",)))
    assert collector.spans()[-1].span_id == span_id(own)


def test_a_ledger_segment_that_was_renamed_is_not_sent_again(journals: Journals, collector: Collector) -> None:
    journals.write(usage(), 1)
    export(journals.root, Options(collector.url, signals=("traces",)))
    folder = journals.root.folder("metrics").path
    (folder / "llm-usage.log").rename(folder / "llm-usage.1.log")
    journals.write(usage(message_id="m2"), 2)
    export(journals.root, Options(collector.url, signals=("traces",)))
    assert [attributes(span)["gen_ai.response.id"] for span in collector.spans()] == ["m1", "m2"]


def test_a_collector_that_asks_for_patience_gets_it(journals: Journals, collector: Collector) -> None:
    journals.write(hook())
    collector.script += [(503, {"Retry-After": "7"}, b""), (429, {}, b"slow down"), (504, {"Retry-After": "900"}, b"")]
    pauses: list[float] = []
    report = export(journals.root, Options(collector.url, signals=("traces",)), sleep=pauses.append)
    assert pauses == [7.0, 0.5, 30.0]
    assert (report.retries, report.signals["traces"].items, len(collector.spans())) == (3, 1, 1)


def test_a_collector_that_cannot_be_reached_is_tried_a_few_times(journals: Journals, collector: Collector) -> None:
    journals.write(hook())
    pauses: list[float] = []
    with pytest.raises(CollectorError, match=r"cannot reach http://127\.0\.0\.1:9/v1/traces"):
        export(journals.root, Options("http://127.0.0.1:9"), sleep=pauses.append)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert export(journals.root, Options(collector.url)).signals["traces"].items == 1


@pytest.mark.parametrize(
    ("status", "said"), [(400, "bad \x1b[2Jbody"), (401, ""), (404, ""), (413, ""), (500, ""), (302, "")]
)
def test_a_refusal_is_told_at_once_and_nothing_counts_as_sent(
    journals: Journals, collector: Collector, status: int, said: str
) -> None:
    journals.write(hook())
    collector.script.append((status, {"Location": "http://127.0.0.1:9/"}, said.encode()))
    with pytest.raises(CollectorError, match=f"answered {status}") as refused:
        export(journals.root, Options(collector.url))
    assert "\x1b" not in refused.value.message
    assert len(collector.seen) == 1
    assert export(journals.root, Options(collector.url)).signals["traces"].items == 1


def test_an_export_cut_short_goes_on_where_it_was(
    journals: Journals, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "_BATCH", 10)
    own = [span_id(journals.write(hook(number))) for number in range(35)]
    collector.script += [(200, {}, b""), (200, {}, b""), (500, {}, b"")]
    with pytest.raises(CollectorError):
        export(journals.root, Options(collector.url, signals=("traces",)))
    assert len(collector.spans()) == 20
    report = export(journals.root, Options(collector.url, signals=("traces",)))
    assert (report.signals["traces"].items, report.signals["traces"].requests) == (15, 2)
    assert [span.span_id for span in collector.spans()] == own


def test_what_a_collector_rejects_is_counted_and_not_sent_again(journals: Journals, collector: Collector) -> None:
    journals.write(hook())
    partial = ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    collector.script.append((200, {}, ExportTraceServiceResponse(partial_success=partial).SerializeToString()))
    sent = export(journals.root, Options(collector.url)).signals["traces"]
    assert (sent.items, sent.rejected, sent.reason) == (1, 1, "too old")
    collector.script.append((200, {}, b"<html>"))
    journals.write(hook(2))
    assert export(journals.root, Options(collector.url)).signals["traces"].rejected == 0


def test_a_damaged_cursor_sends_more_rather_than_less(journals: Journals, collector: Collector) -> None:
    journals.write(hook())
    export(journals.root, Options(collector.url, signals=("traces",)))
    (place,) = (journals.root.state.path / "export").glob("*.json")
    assert place.stat().st_mode & 0o777 == 0o600
    for damage in (b"", b"[]", b'{"signals":{"traces":{"hooks.jsonl":{"offset":"x"}}}}', b"\xff"):
        place.write_bytes(damage)
        assert export(journals.root, Options(collector.url, signals=("traces",))).signals["traces"].items == 1


def test_two_exports_to_one_endpoint_do_not_run_at_once(journals: Journals, collector: Collector) -> None:
    from agent_studio.capture.export.cursor import Cursor
    from agent_studio.storage.locks import exclusive

    cursor = Cursor(journals.root.state, collector.url)
    with exclusive(cursor.folder, cursor.lock, doing="a test"), pytest.raises(BusyError):
        export(journals.root, Options(collector.url))


def test_secrets_and_unknown_details_stay_here(journals: Journals, collector: Collector) -> None:
    token = "ghp_" + "A1b2C3d4" * 5
    journals.write(error(message=f"push with {token} failed", metadata={"prompt": "private words"}))
    journals.write(hook(hook=f"sh -c {token}", metadata={"stdout": "private words"}))
    export(journals.root, Options(collector.url))
    sent = b"".join(request.SerializeToString() for _, request in collector.taken)
    assert token.encode() not in sent
    assert b"[REDACTED:github-token]" in sent
    assert b"private words" not in sent


def test_an_empty_environment_has_nothing_to_send(tmp_path: Path, collector: Collector) -> None:
    (tmp_path / ".claude").mkdir()
    root = environment_root(Project(tmp_path), Environment.STAGING, {})
    assert {sent.items for sent in export(root, Options(collector.url)).signals.values()} == {0}
    assert collector.seen == []


@pytest.mark.parametrize(
    "endpoint",
    ["", "127.0.0.1:4318", "ftp://host", "http://", "http://host:99999", "http://host/?q=1", "http://a b",
     "http://user:word@host", "http://hö.example", "file:///etc/passwd"],
)  # fmt: skip
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="--endpoint"):
        post.checked(endpoint)


def test_records_by_the_thousand_go_in_batches(journals: Journals, collector: Collector) -> None:
    lines = [hook(number).to_line(event_id=event_id(number), environment="staging") for number in range(2_000)]
    journal.append(journals.root.folder("metrics"), "hooks.jsonl", lines)
    report = export(journals.root, Options(collector.url))
    assert (report.signals["traces"].items, report.signals["traces"].requests) == (2_000, 4)
    assert len({span.span_id for span in collector.spans()}) == 2_000
    assert sum(point.count for point in collector.metrics()["agent_studio.hook.duration"]) == 2_000
    assert report.signals["metrics"].requests == 1


def test_the_command_ingests_sends_and_says_so(staged: Studio, collector: Collector) -> None:
    done = staged.run("init", "--env", "staging", "--with-activity", "1", "--set", "testData.artifactsCount=20")
    assert done.code == 0, done.err
    written = (staged.path / ".claude/staging/metrics/hooks.jsonl").read_bytes().count(b"\n")
    data = staged.json("export", "otlp", "--env", "staging", "--endpoint", collector.url)
    assert data["signals"]["traces"]["sent"] > written > 0
    assert len([span for span in collector.spans() if span.name.startswith("hook ")]) == written
    assert data["damagedLines"] == 0
    again = staged.run("export", "otlp", "--env", "staging", "--endpoint", collector.url)
    assert (again.code, again.out) == (0, f"nothing new of staging to {collector.url}\n")


def test_our_own_daemon_takes_an_export(staged: Studio) -> None:
    import subprocess
    import sys

    line = journal.encode(hook().to_line(event_id=event_id("one"), environment="staging"))
    with (staged.path / ".claude/staging/metrics/hooks.jsonl").open("ab") as file:
        file.write(line)
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "serve", "--env", "staging", "--port", "0", "--ingest-interval", "0"],
        cwd=staged.path, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        url = process.stdout.readline().decode().split(" at ")[1].split()[0]
        data = staged.json("export", "otlp", "--env", "staging", "--endpoint", url)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert {signal: sent["rejected"] for signal, sent in data["signals"].items()} == {
        "traces": 0, "logs": 0, "metrics": 0
    }  # fmt: skip
    inbox = staged.path / ".claude/staging/metrics/events.jsonl"
    payloads = [json.loads(line)["payload"] for line in inbox.read_bytes().splitlines()]
    assert {payload["name"] for payload in payloads} == {"hook guard.sh", "agent_studio.hook.duration"}
    assert {payload["resource"]["deployment.environment"] for payload in payloads} == {"staging"}
    again = staged.run("export", "otlp", "--env", "staging", "--endpoint", url, "--again", "--signals", "logs")
    assert again.out.startswith("nothing new")  # what came back is no record of ours


def test_a_wrong_option_is_named_and_nothing_is_sent(staged: Studio, collector: Collector) -> None:
    for words, said in (
        (["--signals", "traces,trace"], "unknown signal 'trace'"),
        (["--signals", ","], "names none"),
        (["--since", "recently"], "--since 'recently'"),
        (["--hours", "-1"], "--hours -1"),
        (["--header", "Authorization"], "--header is not NAME=VALUE"),
        (["--header", "A b=c"], "--header is not NAME=VALUE"),
        (["--header", "A=€"], "--header is not NAME=VALUE"),
        (["--header", "A=b\r\nC: d"], "--header is not NAME=VALUE"),
        (["--hours", "1", "--since", "1h"], "not allowed with"),
        (["--follow", "--json"], "--follow"),
        (["--endpoint", "nowhere"], "--endpoint 'nowhere'"),
    ):
        done = staged.run("export", "otlp", "--env", "staging", "--endpoint", collector.url, *words)
        assert done.code == 2
        assert said in done.err + done.out
    assert collector.seen == []


def test_a_rejection_is_a_failed_export(staged: Studio, collector: Collector) -> None:
    folder = staged.path / ".claude/staging/metrics"
    line = journal.encode(hook().to_line(event_id=event_id("one"), environment="staging"))
    with (folder / "hooks.jsonl").open("ab") as file:
        file.write(line)
    partial = ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    collector.script.append((200, {}, ExportTraceServiceResponse(partial_success=partial).SerializeToString()))
    done = staged.run("export", "otlp", "--env", "staging", "--endpoint", collector.url)
    assert done.code == 1
    assert "the collector rejected 1 spans: too old" in done.err


def test_without_the_extra_the_command_names_it(staged: Studio, collector: Collector) -> None:
    (staged.path / "opentelemetry").mkdir()  # shadows the package, as if it were not installed
    (staged.path / "opentelemetry" / "__init__.py").write_text("")
    done = staged.process(
        "export", "otlp", "--env", "staging", "--endpoint", collector.url, variables={"PYTHONPATH": str(staged.path)}
    )
    assert done.code == 1
    assert "opentelemetry-proto is needed" in done.err
    assert "pip install 'agent-studio[otlp]'" in done.err


def test_following_sends_what_comes_later(staged: Studio, collector: Collector) -> None:
    import signal
    import subprocess
    import sys
    import time

    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "export", "otlp", "--env", "staging", "--endpoint", collector.url,
         "--follow"], cwd=staged.path, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        line = journal.encode(hook().to_line(event_id=event_id("late"), environment="staging"))
        time.sleep(0.3)
        with (staged.path / ".claude/staging/metrics/hooks.jsonl").open("ab") as file:
            file.write(line)
        until = time.monotonic() + 20
        while not collector.spans() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert [span.name for span in collector.spans()] == ["hook guard.sh"]
    assert process.returncode == 130, said
