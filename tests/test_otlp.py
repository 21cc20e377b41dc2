"""OTLP bodies: every value comes out as it went in, JSON and protobuf alike, and no body does harm."""

from __future__ import annotations

import asyncio
import copy
import gzip
import importlib
import json
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_studio.capture.otlp import body, decode_json, decode_protobuf, records, values
from agent_studio.capture.otlp.records import Malformed, TooLarge, flatten

pytest.importorskip("opentelemetry.proto", reason="protobuf bodies need the extra otlp")

SIGNALS = ("logs", "metrics", "traces")
NOW = 1_795_383_305_914_000_000
TRACE, SPAN, PARENT = "c2bee0490734992f30dc3e2ab0d906cb", "e557ac761202749e", "5050a40838688d4a"


def _pairs(**values: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("_", "."), "value": value} for key, value in values.items()]


EVERY_KIND = [
    *_pairs(
        text={"stringValue": 'größer "x" \n \x00 😀'},
        empty={"stringValue": ""},
        whole={"intValue": "-9223372036854775808"},
        small={"intValue": 7},
        part={"doubleValue": 0.1},
        round={"doubleValue": 1},
        nan={"doubleValue": "NaN"},
        truth={"boolValue": False},
        raw={"bytesValue": "AP8="},
        listed={"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {"arrayValue": {}}]}},
        mapped={"kvlistValue": {"values": _pairs(inner_one={"boolValue": True})}},
        nothing={},
    )
]
PLAIN_KINDS = {
    "text": 'größer "x" \n \x00 😀', "empty": "", "whole": -(1 << 63), "small": 7, "part": 0.1, "round": 1.0,
    "nan": "NaN", "truth": False, "raw": "AP8=", "listed": ["a", 1, []], "mapped": {"inner.one": True}, "nothing": None,
}  # fmt: skip
RESOURCE = {"attributes": _pairs(service_name={"stringValue": "claude-code"})}
LOGS: dict[str, Any] = {
    "resourceLogs": [
        {
            "resource": RESOURCE,
            "scopeLogs": [
                {
                    "scope": {"name": "events"},
                    "logRecords": [
                        {
                            "timeUnixNano": str(NOW),
                            "severityText": "INFO",
                            "body": {"stringValue": "claude_code.api_request"},
                            "attributes": [*_pairs(event_name={"stringValue": "api_request"}), *EVERY_KIND],
                            "traceId": TRACE,
                            "spanId": SPAN,
                        },
                        {"observedTimeUnixNano": str(NOW + 1), "eventName": "named", "body": {"intValue": "3"}},
                        {},
                    ],
                }
            ],
        }
    ]
}
TRACES: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": RESOURCE,
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": TRACE,
                            "spanId": SPAN,
                            "parentSpanId": PARENT,
                            "name": "claude_code.tool",
                            "kind": 1,
                            "startTimeUnixNano": str(NOW),
                            "endTimeUnixNano": str(NOW + 64_217_112),
                            "attributes": EVERY_KIND,
                            "status": {"code": 2, "message": "no"},
                            "events": [{"name": "ignored"}],
                        }
                    ]
                }
            ],
        }
    ]
}
_POINT = {"timeUnixNano": str(NOW), "startTimeUnixNano": str(NOW - 5), "attributes": EVERY_KIND}
METRICS: dict[str, Any] = {
    "resourceMetrics": [
        {
            "resource": RESOURCE,
            "scopeMetrics": [
                {
                    "metrics": [
                        {
                            "name": "claude_code.token.usage",
                            "unit": "tokens",
                            "sum": {
                                "aggregationTemporality": 1,
                                "isMonotonic": True,
                                "dataPoints": [{**_POINT, "asInt": "12"}, {**_POINT, "asDouble": 0.0}],
                            },
                        },
                        {"name": "load", "gauge": {"dataPoints": [{**_POINT, "asDouble": 1.5}]}},
                        {
                            "name": "latency",
                            "histogram": {
                                "aggregationTemporality": 2,
                                "dataPoints": [{**_POINT, "count": "3", "sum": 4.5, "min": 1, "max": 2.5}],
                            },
                        },
                        {
                            "name": "spread",
                            "exponentialHistogram": {"dataPoints": [{**_POINT, "count": "2", "sum": 9}]},
                        },
                        {"name": "summed", "summary": {"dataPoints": [{**_POINT, "count": "1", "sum": 2.0}]}},
                    ]
                }
            ],
        }
    ]
}
REQUESTS: dict[str, dict[str, Any]] = {"logs": LOGS, "metrics": METRICS, "traces": TRACES}


def _payloads(signal: str, request: object) -> list[dict[str, Any]]:
    return [json.loads(payload) for _, payload in flatten(signal, request, received_ns=NOW).payloads]


def _protobuf(signal: str, request: dict[str, Any]) -> bytes:
    """The request as the protobuf library itself writes it; its JSON has ids in base64."""
    json_format = importlib.import_module("google.protobuf.json_format")
    package, name = decode_protobuf._RESPONSES[signal]
    message = decode_protobuf._kind((package, name.replace("Response", "Request")))()
    json_format.ParseDict(_in_base64(request), message)
    return bytes(message.SerializeToString())


def _in_base64(value: Any) -> Any:
    import base64

    if isinstance(value, list):
        return [_in_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in decode_protobuf._IDENTIFIERS else _in_base64(one)
        for key, one in value.items()
    }


# --- values ---------------------------------------------------------------------------------------------------------


def test_a_log_record_comes_out_flat() -> None:
    first, second, third = _payloads("logs", LOGS)
    assert first == {
        "signal": "logs", "name": "api_request", "time_ns": NOW, "body": "claude_code.api_request", "severity": "INFO",
        "attributes": {"event.name": "api_request", **PLAIN_KINDS}, "resource": {"service.name": "claude-code"},
        "trace_id": TRACE, "span_id": SPAN,
    }  # fmt: skip
    assert (second["name"], second["time_ns"], second["body"]) == ("named", NOW + 1, 3)
    assert third["time_ns"] == NOW


def test_a_span_comes_out_flat() -> None:
    (span,) = _payloads("traces", TRACES)
    assert span == {
        "signal": "traces", "name": "claude_code.tool", "time_ns": NOW, "end_ns": NOW + 64_217_112,
        "attributes": PLAIN_KINDS, "resource": {"service.name": "claude-code"}, "trace_id": TRACE, "span_id": SPAN,
        "parent_span_id": PARENT, "status": "error", "status_message": "no",
    }  # fmt: skip


def test_every_kind_of_data_point_comes_out_flat() -> None:
    found = _payloads("metrics", METRICS)
    assert {one["signal"] for one in found} == {"metrics"}
    shared = {"time_ns": NOW, "start_ns": NOW - 5, "attributes": PLAIN_KINDS}
    assert all(shared.items() <= one.items() for one in found)
    tokens = {"name": "claude_code.token.usage", "type": "sum", "unit": "tokens", "temporality": "delta"}
    assert {**tokens, "monotonic": True, "value": 12}.items() <= found[0].items()
    assert isinstance(found[0]["value"], int)
    assert found[1]["value"] == 0
    assert [(one["type"], one["value"], one.get("count")) for one in found[2:]] == [
        ("gauge", 1.5, None), ("histogram", 4.5, 3), ("exponentialHistogram", 9, 2), ("summary", 2.0, 1),
    ]  # fmt: skip
    assert (found[3]["temporality"], found[3]["min"], found[3]["max"]) == ("cumulative", 1, 2.5)


@pytest.mark.parametrize("signal", SIGNALS)
def test_protobuf_and_json_give_the_same_bytes(signal: str) -> None:
    request = REQUESTS[signal]
    from_json = decode_json.parse(json.dumps(request).encode())
    from_protobuf = decode_protobuf.parse(signal, _protobuf(signal, request))
    wanted = flatten(signal, from_json, received_ns=NOW)
    assert len(wanted.payloads) >= 1
    assert flatten(signal, from_protobuf, received_ns=NOW) == wanted


@pytest.mark.parametrize("signal", SIGNALS)
def test_snake_case_base64_ids_and_unknown_fields_are_taken(signal: str) -> None:
    def spelt(value: Any) -> Any:
        if isinstance(value, list):
            return [spelt(one) for one in value]
        if isinstance(value, dict):
            return {"unknown": {"deep": [1]}, **{values._snake(key): spelt(one) for key, one in value.items()}}
        return value

    assert _payloads(signal, spelt(_in_base64(REQUESTS[signal]))) == _payloads(signal, REQUESTS[signal])


def test_enums_may_be_names() -> None:
    request = copy.deepcopy(TRACES)
    request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["status"] = {"code": "STATUS_CODE_OK"}
    assert _payloads("traces", request)[0]["status"] == "ok"


def test_the_environment_is_the_record_s_else_the_resource_s() -> None:
    request = copy.deepcopy(LOGS)
    resource = request["resourceLogs"][0]
    resource["resource"] = {"attributes": _pairs(deployment_environment={"stringValue": "staging"})}
    resource["scopeLogs"][0]["logRecords"][1]["attributes"] = _pairs(
        deployment_environment_name={"stringValue": "production"}
    )
    done = flatten("logs", request, received_ns=NOW)
    assert [name for name, _ in done.payloads] == ["staging", "production", "staging"]


# --- limits ---------------------------------------------------------------------------------------------------------


def test_long_texts_are_cut_and_deep_values_end() -> None:
    deep: dict[str, Any] = {"stringValue": "bottom"}
    for _ in range(50):
        deep = {"arrayValue": {"values": [deep]}}
    pairs = [
        *_pairs(long={"stringValue": "x" * 100_000}, deep=deep),
        *({"key": f"k{n}", "value": {}} for n in range(999)),
    ]
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": pairs}]}]}]}
    (found,) = _payloads("logs", request)
    assert found["attributes"]["long"] == "x" * 8_192 + "…[cut]"
    assert "bottom" not in json.dumps(found)
    assert len(found["attributes"]) == 256


def test_what_is_unusable_is_counted_and_the_rest_is_taken() -> None:
    bad = [5, {"name": ""}, {"name": "a", "startTimeUnixNano": "-1"}, {"name": "a", "startTimeUnixNano": "1e5"}, None]
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [*bad, {"name": "good", "startTimeUnixNano": 1}]}]}]}
    done = flatten("traces", request, received_ns=NOW)
    assert (done.rejected, done.reason) == (5, "a record that is not an object, or too long")
    assert [json.loads(payload)["name"] for _, payload in done.payloads] == ["good"]


def test_a_value_that_is_no_finite_number_is_rejected() -> None:
    request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "a", "gauge": {"dataPoints": [{"asDouble": "NaN"}]}}, {"name": "b"},
        {"name": "c", "sum": {"dataPoints": [{"asInt": "99999999999999999999"}]}},
    ]}]}]}  # fmt: skip
    assert flatten("metrics", request, received_ns=NOW).rejected == 3


@pytest.mark.parametrize("request_", [[], 1, None, {"resourceLogs": {}}, {"resourceLogs": [1]},
                                      {"resourceLogs": [{"scopeLogs": "x"}]}])  # fmt: skip
def test_what_is_no_request_is_malformed(request_: object) -> None:
    with pytest.raises(Malformed):
        flatten("logs", request_, received_ns=NOW)


def test_a_long_resource_is_not_repeated_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [{"key": f"k{n}", "value": {"stringValue": "x" * 1_000}} for n in range(200)]
    request = {"resourceLogs": [{"resource": {"attributes": pairs}, "scopeLogs": [{"logRecords": [{}] * 100}]}]}
    (_, payload), *_ = flatten("logs", request, received_ns=NOW).payloads
    assert len(payload) < 34_000
    monkeypatch.setattr(records, "OUTPUT_BYTES", 1_000_000)
    with pytest.raises(TooLarge):
        flatten("logs", request, received_ns=NOW)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"a":NaN}', b"\xff", b"1" * 5_000, b"[" * 200_000, b'{"a":' * 9_999]
)
def test_what_is_no_json_object_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_json.parse(data)


def test_more_elements_than_memory_can_bear_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_json, "ELEMENTS", 100)
    with pytest.raises(TooLarge):
        decode_json.parse(b'{"a":[' + b"{}," * 60 + b"{}]}")


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_record_that_is_too_long_is_not_unpacked(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _protobuf(signal, REQUESTS[signal])
    before = flatten(signal, decode_protobuf.parse(signal, data), received_ns=NOW)
    monkeypatch.setattr(decode_protobuf, "RECORD_BYTES", 100)
    after = flatten(signal, decode_protobuf.parse(signal, data), received_ns=NOW)
    assert before.rejected == 0 < after.rejected
    assert len(after.payloads) < len(before.payloads)


@pytest.mark.slow
@pytest.mark.parametrize("part", [b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x08\x01"], ids=["entries", "scopes", "numbers"])
def test_more_entries_than_memory_can_bear_are_refused_in_protobuf(part: bytes) -> None:
    with pytest.raises(TooLarge):
        flatten("logs", decode_protobuf.parse("logs", part * 250_001), received_ns=NOW)


# --- compression ----------------------------------------------------------------------------------------------------


def test_gzip_of_one_and_of_several_members_is_inflated() -> None:
    assert body.inflate(gzip.compress(b"a" * 3_000_000)) == b"a" * 3_000_000
    assert body.inflate(gzip.compress(b"a") + gzip.compress(b"b")) == b"ab"


_HELLO = gzip.compress(b"hello", mtime=0)


@pytest.mark.parametrize("data", [
    b"", b"x", _HELLO[:-4], _HELLO[:-8] + b"\0" * 8, _HELLO + b"x", zlib.compress(b"hello"),
    gzip.compress(b"", mtime=0) * 1_000,
])  # fmt: skip
def test_what_is_no_whole_gzip_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        body.inflate(data)


def test_a_bomb_ends_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)
    assert len(body.inflate(bomb, 5_000_000)) == 5_000_000
    with pytest.raises(TooLarge):
        body.inflate(bomb, 4_999_999)


# --- reading --------------------------------------------------------------------------------------------------------


def _read(pieces: list[bytes], wait_s: float, limit_bytes: int = 100) -> body.Body:
    """Read a request whose body comes in pieces."""
    from starlette.requests import Request

    left = list(pieces)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(wait_s)
        piece = left.pop(0) if left else b""
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    return asyncio.run(body.read(request, limit_bytes, pause_s=0.2, total_s=0.5))


def test_a_body_that_comes_in_time_is_read_and_what_is_too_long_is_counted() -> None:
    assert _read([b"ab", b"cd"], 0.01) == body.Body(b"abcd", 4)
    found = _read([b"x" * 60] * 3, 0.0)
    assert (found.data, found.size_bytes, found.is_whole) == (b"x" * 60, 180, False)


@pytest.mark.slow
@pytest.mark.parametrize(("pieces", "wait_s"), [([b"x"], 0.4), ([b"x"] * 50, 0.05)], ids=["pause", "trickle"])
def test_a_body_that_comes_too_slowly_is_given_up(pieces: list[bytes], wait_s: float) -> None:
    with pytest.raises(body.TooSlow):
        _read(pieces, wait_s)


# --- any body -------------------------------------------------------------------------------------------------------

_KEYS = st.sampled_from(
    [
        "resourceLogs", "resourceMetrics", "resourceSpans", "scopeLogs", "scopeMetrics", "scopeSpans", "logRecords",
        "metrics", "spans", "resource", "attributes", "key", "value", "values", "stringValue", "intValue",
        "doubleValue", "boolValue", "arrayValue", "kvlistValue", "bytesValue", "name", "body", "timeUnixNano", "sum",
        "gauge", "histogram", "dataPoints", "asInt", "asDouble", "count", "status", "code", "traceId", "spanId",
        "eventName", "unit",
    ]
)  # fmt: skip
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from(["1", "-1", "NaN", TRACE, SPAN, "1" * 30])
)  # fmt: skip
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5), max_leaves=40
)


def _mutated(draw: st.DrawFn, value: Any) -> Any:
    """A real request with some parts exchanged for anything."""
    if draw(st.integers(0, 24)) == 0:
        return draw(_ANYTHING)
    if isinstance(value, list):
        return [_mutated(draw, one) for one in value]
    if isinstance(value, dict):
        return {key: _mutated(draw, one) for key, one in value.items()}
    return value


@st.composite
def _requests(draw: st.DrawFn) -> tuple[str, Any]:
    signal = draw(st.sampled_from(SIGNALS))
    return signal, _mutated(draw, REQUESTS[signal])


def _check(signal: str, request: object) -> None:
    try:
        done = flatten(signal, request, received_ns=NOW)
    except (Malformed, TooLarge):
        return
    for _, payload in done.payloads:
        found = json.loads(payload)
        assert b"\n" not in payload
        assert {"signal", "name", "time_ns", "attributes", "resource"} <= found.keys()
        assert isinstance(found["attributes"], dict)
        assert 0 <= found["time_ns"] < 1 << 63


@given(_requests())
def test_any_json_is_taken_or_refused(found: tuple[str, Any]) -> None:
    signal, request = found
    _check(signal, request)
    written = json.dumps(request).encode("utf-8", "replace")
    try:
        parsed = decode_json.parse(written)
    except (Malformed, TooLarge):
        return
    _check(signal, parsed)


@given(st.sampled_from(SIGNALS), st.binary(max_size=300), st.integers(0, 10_000), st.integers(0, 300))
@example("logs", b"\x0a" * 300, 0, 0)
def test_any_protobuf_is_taken_or_refused(signal: str, noise: bytes, at: int, cut: int) -> None:
    whole = _protobuf(signal, REQUESTS[signal])
    at %= len(whole)
    for data in (noise, whole[:at] + noise + whole[at + cut :]):
        try:
            request = decode_protobuf.parse(signal, data)
        except Malformed:
            continue
        _check(signal, request)


@given(st.binary(max_size=400))
def test_any_bytes_are_json_or_gzip_or_refused(data: bytes) -> None:
    for read in (decode_json.parse, body.inflate):
        try:
            read(data)
        except (Malformed, TooLarge):
            continue
