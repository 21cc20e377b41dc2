"""A model server on loopback that replies by script and keeps what it served: the truth that records are held to.

It speaks as Anthropic and as OpenAI do, faults and all. By a script of conversations, one is told apart by a marker in
its first user message; the turn is the number of the assistant's messages so far, so a resumed session goes on where it
was. Requests that belong to none (titles, warm-ups) get a short reply and are kept under names of their own. By a plain
list of turns, whoever asks gets the next one, and the last one repeats.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ASIDE, OWN_AGENT = "aside", "own agent"
"""The conversations of requests that belong to none: titles and the like, and the client's own warm-up agents."""
_WARM_UP = '"Warmup"'
_MODELS = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "claude-opus-4-5-20251101")
_CLIENT_WENT_AWAY = (BrokenPipeError, ConnectionResetError)


@dataclass(frozen=True)
class Usage:
    """Tokens of one response."""

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def counted(self) -> int:
        """The tokens that a budget counts: cache reads are left out."""
        return self.input + self.output + self.cache_write_5m + self.cache_write_1h

    def as_reported(self, output: int) -> dict[str, Any]:
        """Return the API's own form, with so many output tokens."""
        return {
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
            "output_tokens": output,
            "service_tier": "standard",
        }


@dataclass(frozen=True)
class Tool:
    """One use of a tool."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """What the model says once."""

    text: str = ""
    tools: Sequence[Tool] = ()
    usage: Mapping[str, Any] | None = None
    """As the API spells it; None for what the server counts by itself."""
    status: int = 200
    """Another one makes an error of the text."""
    kind: str = "scripted"
    """Of the error."""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    """Sent as it is in place of a reply."""
    finish: str = ""
    hangs_up: bool = False
    """Whether the connection is closed without a word."""
    delay_s: float = 0.0


_ASIDE_TURNS = (Turn('{"title": "Scripted", "isNewTopic": false}'),)


@dataclass(frozen=True)
class Served:
    """One answered request to create a message."""

    serial: int
    conversation: str
    turn: int
    model: str
    status: int
    request_id: str
    message_id: str
    """Empty for a refusal."""
    usage: Usage
    tool_ids: Sequence[str]
    session_id: str
    """As the client names it in the request, empty when it does not."""
    streamed: bool
    headers: Mapping[str, str]
    """Of the request, by name in lower case."""
    at: float


@dataclass
class MessagesApi:
    """The server, its script and what it served."""

    script: Mapping[str, Sequence[Turn]] | Sequence[Turn]
    models: Sequence[str] | None = _MODELS
    """What it lists; None for a server that lists none."""
    served: list[Served] = field(default_factory=list)
    contacted: Counter[str] = field(default_factory=Counter)
    """How often each method and path was asked for."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies, for looking at."""
    url: str = ""
    port: int = 0
    _serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def serving(self) -> Iterator[MessagesApi]:
        """Serve on a free port of loopback until the block is left."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.port = server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)

    def of(self, *conversations: str) -> list[Served]:
        """Return the responses of conversations, refusals left out."""
        return [one for one in self.served if one.conversation in conversations and one.message_id]

    def answer(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Served, Turn]:
        """Choose the reply to a request and keep it."""
        with self._lock:
            serial = next(self._serial)
            conversation, number, turn = self._in_order(body, serial)
            is_reply = turn.status == HTTPStatus.OK
            served = Served(
                serial, conversation, number, str(body.get("model")), turn.status, f"req_{serial:024d}",
                f"msg_{serial:024d}" if is_reply else "", self._usage(serial) if is_reply else Usage(0, 0),
                [f"toolu_{serial:020d}{place:04d}" for place in range(len(turn.tools))],
                _session(body), bool(body.get("stream")), headers, time.time(),
            )  # fmt: skip
            self.served.append(served)
            self.requests.append(dict(body))
        return served, turn

    def _in_order(self, body: Mapping[str, Any], serial: int) -> tuple[str, int, Turn]:
        """Return the conversation, the number of the turn and the turn."""
        if isinstance(self.script, Mapping):
            conversation = self._conversation(body, self.script)
            number = sum(message.get("role") == "assistant" for message in body.get("messages", ()))
            turns = self.script.get(conversation) or _ASIDE_TURNS
            return conversation, number, turns[min(number, len(turns) - 1)]
        turn = self.script[min(serial, len(self.script)) - 1]
        if body.get("tools") and turn.status == HTTPStatus.OK:  # the one it must call, for a model that takes no schema
            turn = replace(turn, text="", tools=[Tool(body["tools"][0]["name"], json.loads(turn.text))])
        return "", serial, turn

    def _usage(self, serial: int) -> Usage:
        """Numbers that no two responses share, so that a missing or doubled one shows in every sum; a list has few."""
        if not isinstance(self.script, Mapping):
            return Usage(10, 5)
        return Usage(3 + serial, 40 + 7 * serial, 12_000 + 11 * serial, 300 + 13 * serial, 100 + 17 * serial)

    @staticmethod
    def _conversation(body: Mapping[str, Any], script: Mapping[str, Sequence[Turn]]) -> str:
        first: Mapping[str, Any] = next((one for one in body.get("messages", ()) if one.get("role") == "user"), {})
        opening = json.dumps(first.get("content", ""))
        if _WARM_UP in opening:
            return OWN_AGENT
        if not body.get("tools"):  # titles and summaries quote the prompt, but do not work on it
            return ASIDE
        return next((marker for marker in script if marker in opening), ASIDE)


def _session(body: Mapping[str, Any]) -> str:
    user = str((body.get("metadata") or {}).get("user_id", ""))
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(user).get("session_id", ""))
    return user.rpartition("_session_")[2] if "_session_" in user else ""


class _Handler(BaseHTTPRequestHandler):
    owner: MessagesApi
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(*_CLIENT_WENT_AWAY):  # it was killed, as some sessions are
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing: standard error is the test's."""

    def do_HEAD(self) -> None:
        self.send_json(200, {})

    def do_CONNECT(self) -> None:
        self._count()
        self.send_json(403, _error("permission_error", self.path))

    def do_GET(self) -> None:
        self._count()
        if self.path.startswith("/v1/models"):
            names = self.owner.models
            listed = None if names is None else [{"type": "model", "id": name, "display_name": name} for name in names]
            self.send_json(200, {"object": "list", "data": listed, "has_more": False})
        else:
            self.send_json(404, _error("not_found_error", self.path))

    def do_POST(self) -> None:
        self._count()
        size = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        path = self.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            self.send_json(200, {"input_tokens": size // 4})
        elif path in ("/v1/messages", "/v1/chat/completions"):
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._reply(*self.owner.answer(body, headers))
        else:
            self.send_json(404, _error("not_found_error", path))

    def _reply(self, served: Served, turn: Turn) -> None:
        time.sleep(turn.delay_s)
        if turn.hangs_up:
            self.close_connection = True
            return
        headers = {"request-id": served.request_id, "x-request-id": served.request_id, **turn.headers}
        if turn.raw is not None:
            self.send_bytes(turn.status, turn.raw, headers)
        elif not served.message_id:
            self.send_json(turn.status, _error(turn.kind, turn.text) | {"request_id": served.request_id}, headers)
        elif "completions" in self.path:
            self.send_json(200, _completion(served, turn), headers)
        elif served.streamed:
            text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _events(served, turn))
            self.send_bytes(200, text.encode(), headers | {"content-type": "text/event-stream"})
        else:
            self.send_json(200, _message(served, turn), headers)

    def send_json(self, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """Answer with an object."""
        self.send_bytes(status, json.dumps(content).encode(), {**(headers or {}), "content-type": "application/json"})

    def send_bytes(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        """Answer with bytes."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _count(self) -> None:
        self.owner.contacted[f"{self.command} {self.path.partition('?')[0]}"] += 1


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _blocks(served: Served, turn: Turn) -> list[dict[str, Any]]:
    said = [{"type": "text", "text": turn.text}] if turn.text else []
    return said + [
        {"type": "tool_use", "id": identity, "name": tool.name, "input": dict(tool.input)}
        for identity, tool in zip(served.tool_ids, turn.tools, strict=True)
    ]


def _message(served: Served, turn: Turn) -> dict[str, Any]:
    return {
        "id": served.message_id,
        "type": "message",
        "role": "assistant",
        "model": served.model,
        "content": _blocks(served, turn),
        "stop_reason": turn.finish or ("tool_use" if turn.tools else "end_turn"),
        "stop_sequence": None,
        "usage": turn.usage or served.usage.as_reported(served.usage.output),
    }


def _completion(served: Served, turn: Turn) -> dict[str, Any]:
    """Return a reply as OpenAI has it."""
    message = {"role": "assistant", "content": turn.text}
    asked, said = served.usage.input, served.usage.output
    return {
        "id": f"chatcmpl-{served.serial:024d}", "object": "chat.completion", "created": 1, "model": served.model,
        "choices": [{"index": 0, "finish_reason": turn.finish or "stop", "message": message}],
        "usage": turn.usage or {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }  # fmt: skip


def _events(served: Served, turn: Turn) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream; like the API's own, it starts with one output token and ends with all."""
    message = _message(served, turn)
    opened = {**message, "content": [], "stop_reason": None, "usage": served.usage.as_reported(1)}
    yield {"type": "message_start", "message": opened}
    for index, block in enumerate(message["content"]):
        is_text = block["type"] == "text"
        empty = {**block, "text": ""} if is_text else {**block, "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if is_text
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
        "usage": {"output_tokens": served.usage.output},
    }
    yield {"type": "message_stop"}
