"""Who may speak to the daemon: a browser on a foreign page may not, nor anyone without the token where there is one.

It also sees to it that no browser takes any answer, a refusal or a fault included, for a page or a script.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping
    from typing import Any

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
OPEN_PATHS = frozenset({"/healthz"})
_FOREIGN = frozenset({"cross-site", "same-site"})
"""What `Sec-Fetch-Site` says of pages that are not ours: another port of this machine is the same site."""
_HARMLESS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
"""Sent with every answer that does not say it itself."""


@dataclass(frozen=True)
class Gate:
    """Lets requests through to `app`."""

    app: App
    hosts: frozenset[str] | None
    """Names the Host header may have (a page that rebinds its own name to loopback has another), None for any."""
    token: str | None
    """What `Authorization: Bearer` must say."""
    open_paths: frozenset[str] = OPEN_PATHS
    """What holds no data: there it need not be said, and links of other sites may lead there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421, 403 or 401 in place of the app."""
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            send = _harmless(send)
            if refused := self._refused(scope, headers):
                await _answer(send, *refused)
                return
        await self.app(scope, receive, send)

    def _refused(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts is not None and _name(f"//{host}") not in self.hosts:
            return 421, "this server does not answer for that host"
        origin = headers.get("origin")
        is_foreign = origin is not None and _origin(origin) != host.lower()
        if is_foreign or (headers.get("sec-fetch-site") in _FOREIGN and not self._is_visit(scope, headers)):
            return 403, "pages of other sites may not call this server"
        if self.token is not None and scope["path"] not in self.open_paths and not self._knows_token(headers):
            return 401, "send the token: Authorization: Bearer TOKEN"
        return None

    def _is_visit(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        """Tell whether somebody follows a link: the browser shows what comes, and the other page learns nothing."""
        goes = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return goes and scope["method"] == "GET" and scope["path"] in self.open_paths

    def _knows_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        known = (self.token or "").encode()
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), known)


def _origin(written: str) -> str | None:
    try:
        return urlsplit(written).netloc.lower()
    except ValueError:
        return None


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _harmless(send: Send) -> Send:
    async def harmless(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            said = {name.lower() for name, _ in headers}
            message = {**message, "headers": [*headers, *(one for one in _HARMLESS if one[0] not in said)]}
        await send(message)

    return harmless


async def _answer(send: Send, status: int, message: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    if status == 401:  # noqa: PLR2004 - the status itself
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode() + b"\n"})
