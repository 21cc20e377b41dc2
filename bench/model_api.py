"""A model server on loopback that speaks as Anthropic and as OpenAI do, and answers as it is told, faults and all."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from bench.json_handler import JsonHandler

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Turn:
    """What is answered once."""

    text: str = "{}"
    usage: Mapping[str, Any] | None = None
    """As the API spells it; None for 10 tokens asked and 5 said."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    raw: bytes | None = None
    """Sent as it is in place of a reply."""
    finish: str = ""
    hangs_up: bool = False
    """Whether the connection is closed without a word."""


@dataclass
class Asked:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: dict[str, Any]


@dataclass
class ModelApi:
    """The server: each request gets the next turn, the last one repeats."""

    turns: Sequence[Turn]
    models: Sequence[str] | None = ("tiny",)
    """What it lists; None for a server that lists none."""
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    port: int = 0
    _serial: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def serving(self, port: int = 0) -> Iterator[ModelApi]:
        """Serve on loopback until the block is left."""
        handler = type("Handler", (_Handler,), {"owner": self})
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.port = server.server_port
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)

    def turn(self) -> tuple[int, Turn]:
        """Return the next turn and its number."""
        number = next(self._serial)
        return number, self.turns[min(number, len(self.turns) - 1)]


class _Handler(JsonHandler, BaseHTTPRequestHandler):
    owner: ModelApi
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        listed = None if self.owner.models is None else [{"id": name} for name in self.owner.models]
        self.send_json(200, {"object": "list", "data": listed})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.asked.append(Asked(self.path, headers, body))
        number, turn = self.owner.turn()
        time.sleep(turn.delay_s)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._answer(body, number, turn)

    def _answer(self, body: Mapping[str, Any], number: int, turn: Turn) -> None:
        if turn.hangs_up:
            self.close_connection = True
            return
        headers = {"request-id": f"req_{number:06d}", "x-request-id": f"req_{number:06d}", **turn.headers}
        if turn.raw is not None:
            self.send_bytes(turn.status, turn.raw, headers)
        elif turn.status != 200:
            error = {"type": "error", "error": {"type": "scripted", "message": turn.text}}
            self.send_json(turn.status, error, headers)
        elif "messages" in self.path:
            self.send_json(200, _message(body, number, turn), headers)
        else:
            self.send_json(200, _completion(body, number, turn), headers)


def _message(body: Mapping[str, Any], number: int, turn: Turn) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "text", "text": turn.text}
    if body.get("tools"):
        said = json.loads(turn.text)
        content = {"type": "tool_use", "id": f"toolu_{number}", "name": body["tools"][0]["name"], "input": said}
    return {
        "id": f"msg_{number:06d}", "type": "message", "role": "assistant", "model": body.get("model"),
        "content": [content], "stop_reason": turn.finish or "end_turn", "stop_sequence": None,
        "usage": turn.usage or {"input_tokens": 10, "output_tokens": 5},
    }  # fmt: skip


def _completion(body: Mapping[str, Any], number: int, turn: Turn) -> dict[str, Any]:
    message = {"role": "assistant", "content": turn.text}
    return {
        "id": f"chatcmpl-{number:06d}", "object": "chat.completion", "created": 1, "model": body.get("model"),
        "choices": [{"index": 0, "finish_reason": turn.finish or "stop", "message": message}],
        "usage": turn.usage or {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }  # fmt: skip
