"""The daemon as a process of its own: what it acknowledges is in the inbox, and nothing sent to it harms it."""

from __future__ import annotations

import contextlib
import gc
import gzip
import http.client
import importlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import until

from agent_studio import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

if sys.platform == "win32":
    pytest.skip("written for POSIX systems", allow_module_level=True)

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
ONE_LOG = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "5", "body": {"stringValue": "one"}}]}]}]}
_STREAMED = 20
"""So many messages are acknowledged before a daemon is killed."""
QUIET = ("--port", "0", "--ingest-interval", "0")


class Daemon:
    """A daemon of a project in a temporary folder."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self.state = path / ".agent-studio/staging"
        self.inbox = path / ".claude/staging/metrics/events.jsonl"
        self.inbox.parent.mkdir(parents=True, exist_ok=True)
        (path / ".claude/config.staging.yaml").write_text("environment: staging\n")
        prefixes = ("AGENT_STUDIO_", "CLAUDE", "ANTHROPIC_", "OTEL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        self.variables = {**kept, "HOME": str(home)}
        self.process: subprocess.Popen[str] | None = None

    def start(self, *words: str, **options: Any) -> Daemon:
        """Start it and return once it takes requests."""
        if not words:
            words = QUIET
        self.process = subprocess.Popen(
            self.command(*words), cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**self.variables, **options.pop("variables", {})}, **options,
        )  # fmt: skip
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line.startswith("Serving staging at "), line + self.stop()[1]
        return self

    @staticmethod
    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "agent_studio", "serve", "--env", "staging", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.path,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit code and what it said."""
        assert self.process
        assert self.process.stdout
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self.process.stdout.closed:
            return self.process.returncode, ""
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    @property
    def address(self) -> tuple[str, int]:
        found = json.loads((self.state / "serve.json").read_bytes())
        return "127.0.0.1", int(found["port"])

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=30)

    def ask(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=not isinstance(body, bytes | None))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def post(self, path: str, body: Any, headers: dict[str, str]) -> int:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, data, headers)[0]

    def hook(self, payload: bytes, environment: str | None = "staging") -> tuple[int, bytes]:
        named = {} if environment is None else {"X-Agent-Studio-Env": environment}
        status, _, body = self.ask("POST", "/hooks", payload, {**JSON, **named})
        return status, body

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are; return all that comes back."""
        with self.connect() as connection:
            connection.sendall(data)
            return _rest(connection)

    def lines(self) -> list[dict[str, Any]]:
        return _lines(self.inbox)

    def payloads(self) -> list[Any]:
        return [line["payload"] for line in self.lines()]

    def unrouted(self) -> list[dict[str, Any]]:
        return _lines(self.path / ".agent-studio/unrouted.jsonl")

    def clear(self) -> None:
        """Forget what was recorded so far."""
        for place in (self.inbox, self.path / ".agent-studio/unrouted.jsonl"):
            place.unlink(missing_ok=True)


def _lines(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.read_bytes().splitlines()] if place.exists() else []


def _rest(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.fixture
def idle(tmp_path: Path, home: Path) -> Iterator[Daemon]:
    """A project whose daemon is not started; whatever the test starts is ended."""
    daemon = Daemon(tmp_path / "my project ünï", home)
    yield daemon
    if daemon.process is not None:
        daemon.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("shared") / "project", home).start()
    yield daemon
    code, said = daemon.stop()
    assert code == 0, said


@pytest.fixture
def daemon(shared: Daemon) -> Daemon:
    """A daemon that runs, with an empty inbox."""
    shared.clear()
    return shared


# --- OTLP -----------------------------------------------------------------------------------------------------------


def test_an_export_is_acknowledged_once_it_is_in_the_inbox(daemon: Daemon) -> None:
    status, headers, body = daemon.ask("POST", "/v1/logs", json.dumps(ONE_LOG).encode(), JSON)
    assert (status, headers["content-type"], body) == (200, "application/json", b"{}")
    (line,) = daemon.lines()
    assert (line["kind"], line["env"]) == ("otlp", "staging")
    assert (line["payload"]["body"], line["payload"]["time_ns"]) == ("one", 5)
    assert daemon.inbox.stat().st_mode & 0o777 == 0o600


def test_gzip_and_chunks_without_a_length_are_taken(daemon: Daemon) -> None:
    packed = gzip.compress(json.dumps(ONE_LOG).encode())
    chunks = (packed[at : at + 7] for at in range(0, len(packed), 7))
    status, _, _ = daemon.ask("POST", "/v1/logs", chunks, {**JSON, "Content-Encoding": "gzip"})
    assert status == 200
    assert len(daemon.lines()) == 1


def test_an_empty_export_is_answered_in_its_own_encoding(daemon: Daemon) -> None:
    for path in ("/v1/traces", "/v1/metrics"):
        status, headers, body = daemon.ask("POST", path, b"", PROTOBUF)
        assert (status, headers["content-type"], body) == (200, "application/x-protobuf", b"")
    status, headers, body = daemon.ask(
        "POST", "/v1/metrics", b"{}", {"Content-Type": "application/json; charset=utf-8"}
    )
    assert (status, headers["content-type"], body) == (200, "application/json", b"{}")


def test_what_was_rejected_is_counted_in_the_answer(daemon: Daemon) -> None:
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [7, {"timeUnixNano": "5"}]}]}]}
    status, _, body = daemon.ask("POST", "/v1/logs", json.dumps(logs).encode(), JSON)
    assert (status, len(daemon.lines())) == (200, 1)
    assert json.loads(body)["partialSuccess"]["rejectedLogRecords"] == "1"
    service = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    request = service.ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add()
    _, _, body = daemon.ask("POST", "/v1/traces", request.SerializeToString(), PROTOBUF)
    answer = service.ExportTraceServiceResponse.FromString(body)
    assert answer.partial_success.rejected_spans == 1
    assert answer.partial_success.error_message


@pytest.mark.parametrize(
    ("headers", "data", "status"),
    [
        (JSON, b"{", 400),
        (JSON, b"[" * 100_000, 400),
        (PROTOBUF, b"\xff\xff", 400),
        ({**JSON, "Content-Encoding": "gzip"}, b"no gzip", 400),
        ({**JSON, "Content-Encoding": "br"}, b"{}", 415),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{}", 415),
        ({**JSON, "Content-Encoding": "gzip"}, b"\0" * ((16 << 20) + 1), 413),
        (JSON, b" " * ((64 << 20) + 1), 413),
    ],
    ids=["cut", "deep", "protobuf", "no-gzip", "brotli", "text", "untyped", "big-packed", "big"],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(
    daemon: Daemon, headers: dict[str, str], data: bytes, status: int
) -> None:
    found, _, body = daemon.ask("POST", "/v1/logs", data, headers)
    assert found == status
    assert body
    assert daemon.lines() == []


def test_another_method_or_path_is_not_served(daemon: Daemon) -> None:
    assert daemon.ask("GET", "/v1/logs")[0] == 405
    assert daemon.ask("POST", "/v1/profiles", b"{}", JSON)[0] == 404
    assert daemon.ask("GET", "/v2")[0] == 404


def test_records_of_another_environment_are_kept_apart(daemon: Daemon) -> None:
    def resource(name: str) -> dict[str, Any]:
        attributes = [{"key": "deployment.environment", "value": {"stringValue": name}}]
        return {"resource": {"attributes": attributes}, "scopeLogs": ONE_LOG["resourceLogs"][0]["scopeLogs"]}

    request = {
        "resourceLogs": [resource("staging"), resource("production"), resource("stagign"), *ONE_LOG["resourceLogs"]]
    }
    assert daemon.post("/v1/logs", request, JSON) == 200
    assert len(daemon.lines()) == 2
    assert [(line["env"], line["reason"], line["kind"]) for line in daemon.unrouted()] == [
        ("production", "sent to the daemon of staging", "otlp"), ("stagign", "unknown environment", "otlp"),
    ]  # fmt: skip
    assert daemon.unrouted()[0]["payload"]["body"] == "one"


def test_the_real_exporter_s_logs_spans_and_metrics_arrive_one_to_one(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = _export("http://{}:{}".format(*daemon.address), monkeypatch)
    found = daemon.payloads()
    assert Counter(one["signal"] for one in found) == {"logs": 40, "traces": 40, "metrics": 2}
    logs = [one for one in found if one["signal"] == "logs"]
    assert [(one["body"], one["attributes"], one["time_ns"]) for one in logs] == sent["logs"]
    spans = [one for one in found if one["signal"] == "traces"]
    assert [(one["name"], one["attributes"], one["trace_id"], one["span_id"], one["time_ns"], one["end_ns"])
            for one in spans] == sent["spans"]  # fmt: skip
    metrics = {one["name"]: one for one in found if one["signal"] == "metrics"}
    assert (metrics["tokens"]["value"], metrics["tokens"]["attributes"]) == (780, {"type": "input"})
    assert (metrics["seconds"]["value"], metrics["seconds"]["count"]) == (780.0, 40)
    assert all(one["resource"]["service.name"] == "differential" for one in found)


def _export(url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Send 40 log records, 40 spans and two metrics with the SDK; return what was sent."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    resource = Resource({"service.name": "differential"})
    sent: dict[str, list[Any]] = {"logs": [], "spans": []}

    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs")))
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", compression=Compression.Gzip)))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), export_interval_millis=60_000)
    meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    tokens = meters.get_meter("test").create_counter("tokens", unit="1")
    seconds = meters.get_meter("test").create_histogram("seconds")
    for number in range(40):
        values: dict[str, Any] = {
            "number": number,
            "half": number / 2,
            "text": f"größer {number}\n",
            "odd": bool(number % 2),
        }
        sent["logs"].append((f"body {number}", values, number + 1))
        logs.get_logger("test").emit(
            LogRecord(
                timestamp=number + 1, body=f"body {number}", attributes=values, severity_number=SeverityNumber.INFO
            )
        )
        with tracers.get_tracer("test").start_as_current_span(f"span {number}", attributes=values) as span:
            pass
        assert isinstance(span, ReadableSpan)
        context = span.get_span_context()
        assert context
        sent["spans"].append(
            (span.name, values, f"{context.trace_id:032x}", f"{context.span_id:016x}", span.start_time, span.end_time)
        )
        tokens.add(number, {"type": "input"})
        seconds.record(number)
    for provider in (logs, tracers, meters):
        provider.shutdown()
    return sent


# --- hooks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b'{"hook_event_name":"Stop",\n"n":1}', b"", b"not json", b'{"cut":"of', b"\0\xff"])
def test_a_hook_is_recorded_and_answered_with_nothing_to_say(daemon: Daemon, payload: bytes) -> None:
    assert daemon.hook(payload) == (200, b"{}")
    (line,) = daemon.lines()
    assert (line["kind"], line["env"]) == ("http", "staging")
    assert line["payload"] == (json.loads(payload) if payload.endswith(b"1}") else line["payload"])


@pytest.mark.parametrize(
    ("named", "environment"),
    [(None, "development"), ("", "development"), ("$AGENT_STUDIO_ENV", "development"), ("production", "production"),
     ("stagign", "stagign")],
)  # fmt: skip
def test_a_hook_of_another_environment_goes_to_no_inbox(daemon: Daemon, named: str | None, environment: str) -> None:
    assert daemon.hook(b'{"a":1}', named) == (200, b"{}")
    assert daemon.lines() == []
    (line,) = daemon.unrouted()
    assert (line["kind"], line["env"], line["payload"]) == ("http", environment, {"a": 1})


def test_the_name_of_the_environment_is_read_as_the_recorder_reads_it(daemon: Daemon) -> None:
    assert daemon.hook(b'{"a":1}', " STAGING ") == (200, b"{}")
    assert len(daemon.lines()) == 1


def test_a_hook_of_fifty_megabytes_is_answered_and_cut(daemon: Daemon) -> None:
    payload = b'{"a":"' + b"x" * 50_000_000 + b'"}'
    assert daemon.hook(payload) == (200, b"{}")
    (line,) = daemon.lines()
    assert (line["bytes"], line["payload"]) == (len(payload), payload[:1_024].decode())


def test_answers_are_not_held_back(daemon: Daemon) -> None:
    """Held back by Nagle's algorithm each would take 40 ms."""
    connection = http.client.HTTPConnection(*daemon.address, timeout=10)
    durations_ms = []
    with contextlib.closing(connection):
        for _ in range(30):
            started = time.perf_counter()
            connection.request("POST", "/hooks", b'{"a":1}', {"X-Agent-Studio-Env": "staging"})
            connection.getresponse().read()
            durations_ms.append((time.perf_counter() - started) * 1_000)
    assert sorted(durations_ms)[3] < 35


# --- who may speak to it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "localhost.evil", "[::2]", "[bad"])
def test_a_foreign_host_is_turned_away(daemon: Daemon, host: str) -> None:
    for path in ("/healthz", "/hooks"):
        status, headers, _ = daemon.ask("POST", path, b"{}", {"Host": host, **JSON})
        assert status == 421
        assert not any(name.startswith("access-control") for name in headers)
    assert daemon.lines() == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:4382"])
def test_names_of_loopback_are_served(daemon: Daemon, host: str) -> None:
    assert daemon.ask("GET", "/healthz", None, {"Host": host})[0] == 200


def test_a_page_of_another_site_is_turned_away(daemon: Daemon) -> None:
    assert (
        daemon.ask("POST", "/hooks", b"{}", {"Origin": "https://evil.example", "X-Agent-Studio-Env": "staging"})[0]
        == 403
    )
    assert daemon.ask("POST", "/hooks", b"{}", {"Origin": "null", "X-Agent-Studio-Env": "staging"})[0] == 403
    assert daemon.lines() == []


def test_a_token_is_asked_for_everywhere_but_at_healthz(idle: Daemon, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("right-token\n")
    idle.start("--port", "0", "--ingest-interval", "0", "--token-file", str(tmp_path / "token"))
    assert idle.ask("GET", "/healthz")[0] == 200
    for given in (None, "Bearer wrong", "right-token", "Bearer ", "Basic right-token"):
        headers: dict[str, str] = {} if given is None else {"Authorization": given}
        assert idle.ask("POST", "/v1/logs", json.dumps(ONE_LOG).encode(), {**JSON, **headers})[0] == 401
        assert idle.ask("GET", "/readyz", None, headers)[0] == 401
    assert idle.lines() == []
    assert idle.post("/v1/logs", ONE_LOG, {**JSON, "Authorization": "bearer right-token"}) == 200
    assert len(idle.lines()) == 1


def test_an_address_others_can_reach_never_goes_without_a_token(idle: Daemon) -> None:
    idle.start("--host", "0.0.0.0", *QUIET)
    token = idle.state / "serve.token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text().strip()) >= 40
    assert idle.ask("GET", "/readyz", None, {"Host": "studio.example"})[0] == 401
    known = {"Authorization": f"Bearer {token.read_text().strip()}", "Host": "studio.example"}
    assert idle.ask("GET", "/readyz", None, known)[0] == 200
    assert json.loads((idle.state / "serve.json").read_bytes())["url"].startswith("http://127.0.0.1:")
    assert idle.run("--status").returncode == 0


def test_the_token_may_come_from_the_variable(idle: Daemon) -> None:
    idle.start(*QUIET, variables={"AGENT_STUDIO_SERVE_TOKEN": "of-the-variable"})
    assert idle.ask("GET", "/readyz")[0] == 401
    assert idle.ask("GET", "/readyz", None, {"Authorization": "Bearer of-the-variable"})[0] == 200


# --- bad senders ----------------------------------------------------------------------------------------------------


def _status_kb(daemon: Daemon, name: str) -> int:
    assert daemon.process
    said = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in said.splitlines() if line.startswith(f"{name}:"))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="memory is read from /proc")
def test_a_gibibyte_of_zeros_in_gzip_costs_no_memory(idle: Daemon) -> None:
    import zlib

    packer = zlib.compressobj(9, wbits=31)
    first, second = (packer.compress(b"\0" * (1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    bomb = first + 63 * second
    idle.start()
    assert len(bomb) < 2 << 20
    for _ in range(3):
        assert idle.post("/v1/logs", bomb, {**JSON, "Content-Encoding": "gzip"}) == 413
    assert _status_kb(idle, "VmHWM") < 150_000
    assert idle.post("/v1/logs", ONE_LOG, JSON) == 200


def _head(length: object, extra: str = "") -> bytes:
    return (
        f"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        f"{extra}\r\n"
    ).encode()


def test_a_length_that_lies_takes_nothing(daemon: Daemon) -> None:
    body = json.dumps(ONE_LOG).encode()
    with daemon.connect() as connection:  # more is sent than was promised
        connection.sendall(_head(len(body) - 10) + body)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")
    with daemon.connect() as connection:  # promised more than was sent, then gone
        connection.sendall(_head(len(body) + 10) + body)
        connection.shutdown(socket.SHUT_WR)
        _rest(connection)
    for length in ("-1", "x", "1e3", "9" * 5_000):
        assert b" 400 " in daemon.raw(_head(length) + body)[:20]
    assert b" 400 " in daemon.raw(_head(5, "Content-Length: 6\r\n") + body)[:20]
    chunked = b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    daemon.raw(chunked)
    assert daemon.lines() == []
    assert daemon.post("/v1/logs", ONE_LOG, JSON) == 200


def test_what_is_no_http_is_hung_up_on(daemon: Daemon) -> None:
    assert b" 400 " in daemon.raw(b"\x16\x03\x01 hello\r\n\r\n")[:20]
    assert b" 400 " in daemon.raw(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000 + b"\r\n")[:20]
    assert daemon.ask("GET", "/healthz")[0] == 200


def test_slow_senders_are_hung_up_on_and_hold_up_nobody(daemon: Daemon) -> None:
    """A head that never ends, a body that never ends; others are answered meanwhile."""
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        heads = [stack.enter_context(daemon.connect()) for _ in range(20)]
        for connection in heads:
            connection.sendall(b"POST /v1/logs HTTP/1.1\r\nHost: local")
        heads.append(stack.enter_context(daemon.connect()))
        behind = stack.enter_context(daemon.connect())
        behind.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")
        slow = stack.enter_context(daemon.connect())
        slow.sendall(_head(1_000) + b"{")
        hook = stack.enter_context(daemon.connect())
        hook.sendall(b"POST /hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert daemon.post("/v1/logs", ONE_LOG, JSON) == 200
        assert time.monotonic() - started < 4
        assert _rest(slow).startswith(b"HTTP/1.1 408 ")
        assert _rest(hook).startswith(b"HTTP/1.1 200 ")
        assert [_rest(connection) for connection in heads] == [b""] * 21
        assert _rest(behind).startswith(b"HTTP/1.1 200 ")
    assert 4 < time.monotonic() - started < 15
    assert len(daemon.lines()) == 1


def test_a_full_disk_is_503_and_nothing_is_half_written(idle: Daemon) -> None:
    """A limit on file sizes stands for the disk."""
    import resource

    idle.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)))
    record = {"timeUnixNano": "5", "body": {"stringValue": "x" * 3_000}}
    request = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record] * 4}]}]}).encode()
    answers = [idle.ask("POST", "/v1/logs", request, JSON) for _ in range(6)]
    assert [status for status, _, _ in answers[:4]] == [200] * 3 + [200 if len(idle.lines()) == 16 else 503]
    assert answers[-1][0] == 503
    assert int(answers[-1][1]["retry-after"]) > 0
    assert len(idle.lines()) == 4 * sum(status == 200 for status, _, _ in answers)
    assert idle.hook(b'{"a":"' + b"y" * 20_000 + b'"}') == (200, b"{}")
    code, said = idle.stop()
    assert code == 0
    assert "not recorded" in said


# --- start, stop and death ------------------------------------------------------------------------------------------


def test_it_says_where_it_is_and_takes_that_back(idle: Daemon) -> None:
    assert idle.run("--status").returncode == 1
    idle.start()
    assert idle.process
    place = idle.state / "serve.json"
    said = json.loads(place.read_bytes())
    assert said["pid"] == idle.process.pid
    assert said["url"] == f"http://127.0.0.1:{said['port']}"
    assert place.stat().st_mode & 0o777 == 0o600
    assert (idle.state / "decide.sock").stat().st_mode & 0o777 == 0o600
    status = idle.run("--status", "--json")
    assert (status.returncode, json.loads(status.stdout)["data"]) == (0, {"running": True, **said})
    assert json.loads(idle.ask("GET", "/healthz")[2])["status"] == "ok"
    assert idle.stop(signal.SIGINT)[0] == 0
    assert sorted(place.name for place in idle.state.iterdir()) == ["log.jsonl", "serve.lock"]


def test_it_can_be_stopped_at_any_moment_of_its_start(idle: Daemon) -> None:
    for delay in (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4):
        idle.process = subprocess.Popen(idle.command(*QUIET), cwd=idle.path, env=idle.variables, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        time.sleep(delay)
        idle.process.send_signal(signal.SIGINT)
        _, said = idle.process.communicate(timeout=20)
        # Python itself may be interrupted before it has come to us.
        starting = "runpy" in said or "init_import_site" in said
        assert starting or idle.process.returncode in {0, 130, -signal.SIGINT}, said
        left = {place.name for place in idle.state.iterdir()} if idle.state.exists() else set()
        assert left <= {"log.jsonl", "serve.lock"}


def test_it_can_be_stopped_by_name(idle: Daemon) -> None:
    assert idle.run("--stop").returncode == 0
    idle.start()
    assert idle.run("--stop").returncode == 0
    assert idle.process
    assert idle.process.wait(10) == 0
    assert idle.run("--status").returncode == 1


def test_a_second_daemon_of_an_environment_is_refused(idle: Daemon) -> None:
    idle.start()
    refused = idle.run(*QUIET)
    assert refused.returncode == 5
    assert f"http://127.0.0.1:{idle.address[1]}" in refused.stderr
    assert idle.process
    assert str(idle.process.pid) in refused.stderr
    assert idle.ask("GET", "/healthz")[0] == 200


def test_a_taken_port_is_one_clear_error(idle: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = idle.run("--port", str(port))
    assert refused.returncode == 5
    assert len(refused.stderr.splitlines()) == 2
    assert str(port) in refused.stderr
    assert "--port" in refused.stderr
    assert not (idle.state / "serve.json").exists()


@pytest.mark.parametrize("words", [("--port", "70000"), ("--host", "no such host"), ("--host", "203.0.113.7"),
                                   ("--ingest-interval", "-1"), ("--ingest-interval", "inf"),
                                   ("--token-file", "missing")])  # fmt: skip
def test_what_cannot_be_served_is_one_clear_error(idle: Daemon, words: tuple[str, ...]) -> None:
    refused = idle.run("--port", "0", *words)
    assert refused.returncode == 2
    assert refused.stderr.startswith("agent-studio: error: ")
    assert "Traceback" not in refused.stderr


def test_an_environment_without_an_inbox_is_not_served(idle: Daemon) -> None:
    shutil.rmtree(idle.inbox.parent)
    refused = idle.run(*QUIET)
    assert (refused.returncode, "agent-studio init --env staging" in refused.stderr) == (2, True)


def test_requests_under_way_are_finished_before_it_leaves(idle: Daemon) -> None:
    idle.start()
    body = json.dumps(ONE_LOG).encode()
    with idle.connect() as connection:
        connection.sendall(_head(len(body)) + body[:10])
        time.sleep(0.2)
        assert idle.process
        idle.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(body[10:])
        assert _rest(connection).startswith(b"HTTP/1.1 200 ")
    assert idle.stop()[0] == 0
    assert len(idle.lines()) == 1


def test_a_page_whose_answer_is_not_worked_out_when_it_leaves_is_told_so(idle: Daemon) -> None:
    idle.start()
    table = idle.state / "ledger.sqlite3"
    assert idle.ask("GET", "/api/costs?env=staging")[0] == 200
    with contextlib.closing(sqlite3.connect(table, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")  # what the answer is made of is in another process's hands
        with ThreadPoolExecutor(1) as pages:
            answer = pages.submit(idle.ask, "GET", "/api/costs?env=staging&hours=1")
            time.sleep(1)
            assert idle.process
            idle.process.send_signal(signal.SIGTERM)
            status, _, body = answer.result(30)
    _, said = idle.process.communicate(timeout=30)  # a second signal could meet it where it no longer listens
    assert (status, json.loads(body)["problem"]["message"]) == (503, "the server is stopping")
    assert (idle.process.returncode, "Exception" in said) == (0, False), said


@pytest.mark.skipif(sys.platform != "linux", reason="what is mapped is read in /proc, and arenas are glibc's")
def test_its_threads_share_their_memory(idle: Daemon) -> None:
    """Each thread with an arena of its own keeps what was freed in it: a daemon would grow with its threads."""
    idle.start()
    with ThreadPoolExecutor(8) as pages:
        asked = [
            f"/api/{name}?env=staging&hours={hours}" for name in ("overview", "costs") for hours in (1, 6, 24, 168)
        ]
        assert {answer[0] for answer in pages.map(lambda path: idle.ask("GET", path), asked)} == {200}
    assert idle.process
    mapped = Path(f"/proc/{idle.process.pid}/maps").read_text(encoding="utf-8").splitlines()
    starts = [
        int(line.partition("-")[0], 16) for line in mapped if line.split()[1] == "rw-p" and len(line.split()) == 5
    ]
    heaps = sum(not start % (64 << 20) for start in starts)
    assert heaps <= 3, "an arena's heaps begin at multiples of 64 MiB; one may have grown beyond its first"


def test_what_refers_to_itself_is_given_back() -> None:
    """Python looks for it the more rarely the more is held: a daemon would grow with the day's records."""

    class Held:
        own: Held

    gc.disable()
    try:
        serve._give_back()
        one = Held()
        one.own = one
        seen = weakref.ref(one)
        serve._give_back()
        assert seen() is not None
        del one
        serve._give_back()
        assert seen() is None
    finally:
        gc.unfreeze()
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="what is held is read in /proc, and given back by glibc's malloc")
def test_what_a_huge_line_took_is_given_back(idle: Daemon) -> None:
    """Freed once, a chunk of up to 32 MB makes glibc keep every smaller one: a daemon would grow by its worst line."""
    sessions = idle.path / ".claude/staging/sessions/session-log.jsonl"
    sessions.parent.mkdir()
    idle.start("--port", "0", "--ingest-interval", "0.1")

    def held_mb() -> int:
        assert idle.process
        pages = int(Path(f"/proc/{idle.process.pid}/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def take_in(number: int, *lines: bytes) -> None:
        with idle.inbox.open("ab") as inbox:
            inbox.writelines(lines)
        start = {"hook_event_name": "SessionStart", "session_id": f"s-{number}", "source": "startup", "cwd": "/srv"}
        assert idle.hook(json.dumps(start).encode())[0] == 200
        until(lambda: len(_lines(sessions)) == number)

    take_in(1)
    before_mb = held_mb()
    for number in range(2, 6):
        take_in(number, *[b"l" * 200_000 + b"\n"] * 6, b"h" * (33 << 20) + b"\n")
    until(lambda: held_mb() < before_mb + 25)


def test_who_never_finishes_does_not_keep_it(idle: Daemon) -> None:
    idle.start()
    with idle.connect() as connection:
        connection.sendall(_head(1_000) + b"{")
        time.sleep(0.2)
        started = time.monotonic()
        assert idle.stop()[0] == 0
        assert time.monotonic() - started < 9


def test_a_killed_daemon_s_leftovers_stop_nobody(idle: Daemon) -> None:
    idle.start()
    idle.stop(signal.SIGKILL)
    assert {"serve.json", "decide.sock"} <= {place.name for place in idle.state.iterdir()}
    assert idle.run("--status").returncode == 1
    assert idle.run("--stop").returncode == 0
    idle.start()
    assert idle.ask("GET", "/healthz")[0] == 200


def test_another_program_at_its_port_is_not_taken_for_it(idle: Daemon) -> None:
    idle.start()
    idle.stop(signal.SIGKILL)
    said = json.loads((idle.state / "serve.json").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=_greet, args=(other,), daemon=True).start()
        port = other.getsockname()[1]
        found = {**said, "pid": os.getpid(), "port": port, "url": f"http://127.0.0.1:{port}"}
        (idle.state / "serve.json").write_text(json.dumps(found))
        assert idle.run("--status").returncode == 1
        assert idle.run("--stop").returncode == 0


def _greet(server: socket.socket, said: bytes = b'{"status":"fine"}') -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 12)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))


@pytest.mark.parametrize("way", ["none", "own", "link", "second name"])
def test_nothing_forged_makes_it_signal_a_process_that_is_no_daemon(idle: Daemon, tmp_path: Path, way: str) -> None:
    """Who may write in the environment's folder names a victim, answers for it, and leads the socket astray."""
    victims = tmp_path / "victim.sock"
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
        "print(flush=True); sys.stdin.read()"
    )
    idle.state.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        victim = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", script, str(victims)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        stack.callback(victim.kill)
        assert victim.stdout
        victim.stdout.readline()
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        answer = json.dumps({"status": "ok", "pid": victim.pid, "environment": "staging"}).encode()
        threading.Thread(target=_greet, args=(server, answer), daemon=True).start()
        port = server.getsockname()[1]
        (idle.state / "serve.json").write_text(
            json.dumps({"pid": victim.pid, "port": port, "host": "127.0.0.1", "url": f"http://127.0.0.1:{port}",
                        "startedAt": "2026-01-01T00:00:00Z"})
        )  # fmt: skip
        place = idle.state / "decide.sock"
        if way == "own":
            own = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            with contextlib.chdir(idle.state):
                own.bind("decide.sock")
            own.listen()
        elif way == "link":
            place.symlink_to(victims)
        elif way == "second name":
            place.hardlink_to(victims)
        assert idle.run("--status").returncode == 1
        assert "was not served" in idle.run("--stop").stdout
        time.sleep(0.1)
        assert victim.poll() is None


def _holds(listed: list[str], more_than: int) -> bool:
    return len(listed) > more_than


def test_nothing_acknowledged_is_lost_when_it_is_killed(idle: Daemon) -> None:
    for _ in range(3):
        idle.start()
        acknowledged: list[str] = []
        threads = [threading.Thread(target=_stream, args=(idle, writer, acknowledged.append)) for writer in range(3)]
        for thread in threads:
            thread.start()
        until(partial(_holds, acknowledged, _STREAMED))
        idle.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        found = Counter(
            payload.get("body", payload.get("text"))
            for payload in (
                json.loads(line)["payload"] for line in idle.inbox.read_bytes().splitlines() if line.endswith(b"}}")
            )
        )
        assert {text: found[text] for text in acknowledged} == dict.fromkeys(acknowledged, 1)


def _stream(daemon: Daemon, writer: int, acknowledge: Callable[[str], None]) -> None:
    """Post records until the daemon is gone."""
    connection = http.client.HTTPConnection(*daemon.address, timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        for number in range(100_000):
            text = f"{time.time_ns()}-{writer}-{number}"
            if number % 2:
                record = {"timeUnixNano": "5", "body": {"stringValue": text}}
                body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
                connection.request("POST", "/v1/logs", body, JSON)
            else:
                connection.request("POST", "/hooks", json.dumps({"text": text}), {"X-Agent-Studio-Env": "staging"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                acknowledge(text)


def test_readiness_tells_of_an_inbox_that_cannot_be_written(idle: Daemon) -> None:
    idle.start()
    assert json.loads(idle.ask("GET", "/readyz")[2]) == {"ready": True, "inbox": "ok", "ingest": "off"}
    idle.inbox.mkdir()
    status, _, body = idle.ask("GET", "/readyz")
    assert (status, json.loads(body)["ready"]) == (503, False)
    assert idle.post("/v1/logs", ONE_LOG, JSON) == 503
    assert idle.hook(b'{"a":1}') == (200, b"{}")
    assert [line["payload"] for line in idle.unrouted()] == [{"a": 1}]
    idle.inbox.rmdir()
    assert idle.post("/v1/logs", ONE_LOG, JSON) == 200


def test_what_comes_in_becomes_records_while_it_serves_and_when_it_stops(idle: Daemon) -> None:
    for folder in ("sessions", "metrics"):
        (idle.path / f".claude/staging/{folder}").mkdir(exist_ok=True)
    sessions = idle.path / ".claude/staging/sessions/session-log.jsonl"
    idle.start("--port", "0", "--ingest-interval", "0.2")
    start = {"hook_event_name": "SessionStart", "session_id": "s-1", "source": "startup", "cwd": "/srv"}
    assert idle.hook(json.dumps(start).encode()) == (200, b"{}")
    until(lambda: [line["sessionId"] for line in _lines(sessions)] == ["s-1"])
    assert json.loads(idle.ask("GET", "/readyz")[2])["ingest"] == "ok"
    assert idle.stop() == (0, "")
    idle.start("--port", "0", "--ingest-interval", "500")
    assert idle.hook(json.dumps({**start, "session_id": "s-2"}).encode()) == (200, b"{}")
    assert idle.stop() == (0, "")
    assert [line["sessionId"] for line in _lines(sessions)] == ["s-1", "s-2"]


def _cost_of(daemon: Daemon, model: str, metrics: str) -> str | None:
    """Tell of a response that was longer ago than a transcript is waited for; return what the ledger says it cost."""
    texts = {"event.name": "api_request", "model": model, "request_id": model, "session.id": "s"}
    attributes = [{"key": name, "value": {"stringValue": text}} for name, text in texts.items()]
    attributes += [{"key": name, "value": {"intValue": 1_000_000}} for name in ("input_tokens", "output_tokens")]
    record = {"timeUnixNano": str(time.time_ns() - 3_600 * 10**9), "attributes": attributes}
    assert daemon.post("/v1/logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}, JSON) == 200
    ledger = daemon.path / f".claude/staging/{metrics}/llm-usage.log"
    until(lambda: model in {line["model"] for line in _lines(ledger)})
    cost: str | None = next(line["costUsd"] for line in _lines(ledger) if line["model"] == model)
    return cost


def test_what_is_configured_while_it_serves_counts_and_what_set_says_stays(idle: Daemon) -> None:
    (idle.path / ".claude/staging/measured").mkdir()
    idle.start("--port", "0", "--ingest-interval", "0.2", "--set", "paths.metrics=.claude/staging/measured")
    assert _cost_of(idle, "unpriced", "measured") is None
    prices = "cost:\n  prices: [{model: house-model, inputUsd: 0.5, outputUsd: 2}]\n"
    (idle.path / ".claude/config.staging.yaml").write_text(prices)
    time.sleep(2.1)  # what is configured is read again every two seconds
    assert _cost_of(idle, "house-model", "measured") == "2.5"


def test_a_failing_ingest_is_told_and_stops_nothing(idle: Daemon) -> None:
    idle.state.mkdir(parents=True, mode=0o700)
    (idle.state / "ingest.lock").mkdir()
    idle.start("--port", "0", "--ingest-interval", "0.1")
    until(lambda: json.loads(idle.ask("GET", "/readyz")[2])["ingest"] != "ok")
    assert idle.post("/v1/logs", ONE_LOG, JSON) == 200
    assert len(idle.lines()) == 1
    code, said = idle.stop()
    assert code == 0
    assert "ingest: " in said


def test_a_project_with_a_very_long_path_is_served(tmp_path: Path, home: Path) -> None:
    daemon = Daemon(tmp_path.joinpath(*["n" * 100] * 3), home).start()
    try:
        assert daemon.ask("GET", "/healthz")[0] == 200
        assert (daemon.state / "decide.sock").is_socket()
    finally:
        assert daemon.stop()[0] == 0
    assert not (daemon.state / "decide.sock").exists()


def test_importing_the_command_imports_no_server() -> None:
    code = (
        "import sys, agent_studio.cli.commands.serve, agent_studio.capture.otlp.daemon;"
        "print(sorted({'starlette', 'uvicorn', 'anyio', 'asyncio', 'google.protobuf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
