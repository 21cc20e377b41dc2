"""The HTTP faces of the inbox: OTLP signals and http hooks. Nothing is acknowledged before it is written."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from agent_studio.capture import inbox
from agent_studio.capture.otlp import body, decode_json, decode_protobuf, records, unrouted
from agent_studio.capture.wiring.entries import HEADER, PATH_OF_HOOKS
from agent_studio.environment.detect import VARIABLE, Environment
from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from agent_studio.environment.roots import EnvironmentRoot

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
SIGNALS = ("logs", "metrics", "traces")
_EXTRA = "protobuf needs the extra: pip install 'agent-studio[otlp]', or set OTEL_EXPORTER_OTLP_PROTOCOL=http/json"
_WORKERS = 2
"""Bodies unpacked at once: each may take many times its size in memory."""
_WAITING = 64
_RETRY_SECONDS = 5
_REJECTED = {"logs": "rejectedLogRecords", "metrics": "rejectedDataPoints", "traces": "rejectedSpans"}


class Receiver:
    """Takes what clients send for one environment."""

    def __init__(self, root: EnvironmentRoot, say: Callable[[str], None]) -> None:
        """`say` takes one line per problem."""
        self._root = root
        self._say = say
        self._unpacking = CapacityLimiter(_WORKERS)
        self._writing = CapacityLimiter(_WAITING)

    def routes(self) -> list[Route]:
        """Return the routes."""
        signals = [Route(f"/v1/{signal}", self._signal(signal), methods=["POST"]) for signal in SIGNALS]
        return [*signals, Route(PATH_OF_HOOKS, self.hook, methods=["POST"])]

    def _signal(self, signal: str) -> Callable[[Request], Any]:
        async def receive(request: Request) -> Response:
            return await self.receive(signal, request)

        return receive

    async def receive(self, signal: str, request: Request) -> Response:
        """Take one OTLP request: 200 once it is in the inbox, 400, 408, 413 or 415 for what never can be, else 503."""
        form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        packing = request.headers.get("content-encoding", "identity").strip().lower()
        if form not in {JSON, PROTOBUF}:
            return _refusal(JSON, 415, f"content type {form or 'missing'!r}: send {PROTOBUF} or {JSON}")
        if packing not in {"", "identity", "gzip"}:
            return _refusal(form, 415, f"content encoding {packing!r}: send gzip or none")
        if form == PROTOBUF and not decode_protobuf.available():
            return _refusal(form, 415, _EXTRA)
        try:
            found = await body.read(request, body.COMPRESSED_BYTES if packing == "gzip" else body.PLAIN_BYTES)
        except body.TooSlow as error:
            return _refusal(form, 408, str(error))
        except ClientDisconnect:
            return Response(status_code=400)
        if not found.is_whole:
            return _refusal(form, 413, f"a body of {found.size_bytes} bytes: send smaller batches")
        return await anyio.to_thread.run_sync(
            self._take, signal, form, packing == "gzip", found.data, limiter=self._unpacking
        )

    def _take(self, signal: str, form: str, packed: bool, data: bytes) -> Response:  # noqa: FBT001 - run in a thread
        try:
            done = decode(signal, form, data, packed=packed)
        except records.Malformed as error:
            return _refusal(form, 400, str(error))
        except records.TooLarge as error:
            return _refusal(form, 413, f"{error}: send smaller batches")
        own = str(self._root.environment)
        try:
            # What may be sent again after a failure goes last: it is then not written twice.
            unrouted.append(self._root, "otlp", [(name, one) for name, one in done.payloads if name not in {None, own}])
            inbox.append(self._root, "otlp", [one for name, one in done.payloads if name in {None, own}])
        except AgentStudioError as error:
            return self._unwritten(form, error)
        return _accepted(signal, form, done)

    def _unwritten(self, form: str, error: AgentStudioError) -> Response:
        self._say(f"not recorded, the sender is asked to send again: {error.message}")
        response = _refusal(form, 503, "the inbox cannot be written")
        response.headers["retry-after"] = str(_RETRY_SECONDS)
        return response

    async def hook(self, request: Request) -> Response:
        """Take one event of an http hook; the answer is 200 and decides nothing, whatever came."""
        try:
            found = await body.read(request, inbox.PAYLOAD_MAX_BYTES)
        except (body.TooSlow, ClientDisconnect) as error:
            self._say(f"an event was not recorded: {str(error) or 'its sender left before its end'}")
            return Response(b"{}", headers={"connection": "close"}, media_type=JSON)
        named = request.headers.get(HEADER, "")
        limiter = self._writing if found.is_whole else self._unpacking
        await anyio.to_thread.run_sync(self._record, named, found, limiter=limiter)
        return Response(b"{}", media_type=JSON)

    def _record(self, named: str, found: body.Body) -> None:
        # The inbox notes the length of what it is given, and keeps none of what is too long but its start.
        payload = found.data + bytes(found.size_bytes - len(found.data))
        environment = str(Environment.DEVELOPMENT) if named in {"", f"${VARIABLE}", f"${{{VARIABLE}}}"} else named
        own = environment.strip().lower() == self._root.environment
        try:
            if not own or not self._recorded(payload):
                unrouted.append(self._root, "http", [(environment, payload)])
        except AgentStudioError as error:
            self._say(f"an event was not recorded: {error.message}")

    def _recorded(self, payload: bytes) -> bool:
        try:
            inbox.append(self._root, "http", [payload])
        except AgentStudioError as error:
            self._say(f"the inbox cannot be written: {error.message}")
            return False
        return True


def decode(signal: str, form: str, data: bytes, *, packed: bool) -> records.Decoded:
    """Return what a body holds; raise `Malformed` or `TooLarge`."""
    plain = body.inflate(data) if packed else data
    request = decode_json.parse(plain) if form == JSON else decode_protobuf.parse(signal, plain)
    return records.flatten(signal, request, received_ns=time.time_ns())


def _accepted(signal: str, form: str, done: records.Decoded) -> Response:
    if form == PROTOBUF:
        answer = decode_protobuf.partial(signal, done.rejected, done.reason) if done.rejected else b""
        return Response(answer, media_type=PROTOBUF)
    found: dict[str, Any] = {}
    if done.rejected:
        found["partialSuccess"] = {_REJECTED[signal]: str(done.rejected), "errorMessage": done.reason}
    return Response(json.dumps(found).encode(), media_type=JSON)


def _refusal(form: str, status: int, message: str) -> Response:
    """Return an error in the encoding of the request; after one about the body nothing more is read."""
    answer = decode_protobuf.fault(message) if form == PROTOBUF else json.dumps({"message": message}).encode()
    headers = {"connection": "close"} if status in {408, 413} else {}
    return Response(answer, status, headers, media_type=form)
