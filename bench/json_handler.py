"""Answers of the servers on loopback that stand for others in trials."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class JsonHandler(BaseHTTPRequestHandler):
    """Sends JSON, or bytes as they are."""

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
