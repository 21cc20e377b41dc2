"""Who may speak to the daemon: a browser on a foreign page may not, nor anyone without the token where there is one."""

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


@dataclass(frozen=True)
class Gate:
    """Lets requests through to `app`."""

    app: App
    hosts: frozenset[str] | None
    """Names the Host header may have (a page that rebinds its own name to loopback has another), None for any."""
    token: str | None
    """What `Authorization: Bearer` must say."""
    open_paths: frozenset[str] = OPEN_PATHS
    """Where it need not be said."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421, 403 or 401 in place of the app."""
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            if refused := self._refused(scope["path"], headers):
                await _answer(send, *refused)
                return
        await self.app(scope, receive, send)

    def _refused(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts is not None and _name(f"//{host}") not in self.hosts:
            return 421, "this server does not answer for that host"
        origin = headers.get("origin")
        if origin is not None and _origin(origin) != host.lower():
            return 403, "pages of other sites may not call this server"
        if self.token is not None and path not in self.open_paths and not self._knows_token(headers):
            return 401, "send the token: Authorization: Bearer TOKEN"
        return None

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


async def _answer(send: Send, status: int, message: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    if status == 401:  # noqa: PLR2004 - the status itself
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode() + b"\n"})
