"""The HTTP way to a provider: bounded answers with a receipt, no redirect, no proxy on the way to this machine."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from agent_studio.reasoning.models.answers import ANSWER_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_IDS = ("request-id", "x-request-id")
_PLAIN = {"", "identity"}


@dataclass
class Receipt:
    """What was seen of one call on the wire."""

    was_sent: bool = False
    """Whether a connection was there: without one the provider has seen nothing."""
    status: int = 0
    request_id: str = ""
    is_oversized: bool = False
    digest: Any = field(default_factory=hashlib.sha256)


RECEIPT: ContextVar[Receipt] = ContextVar("receipt")


class Wire(httpx2.AsyncBaseTransport):
    """Passes requests on and watches what comes back."""

    def __init__(self, url: str) -> None:
        self._inner = httpx2.AsyncHTTPTransport(proxy=_proxy(url))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; its answer ends with an error once it is too large."""
        receipt = RECEIPT.get(None) or Receipt()
        request.headers["accept-encoding"] = "identity"
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise
        except BaseException:
            receipt.was_sent = True
            raise
        receipt.was_sent, receipt.status = True, response.status_code
        receipt.request_id = next((response.headers[name] for name in _IDS if name in response.headers), "")[:200]
        if response.headers.get("content-encoding", "").strip().lower() not in _PLAIN:
            await response.aclose()
            raise httpx2.DecodingError("the answer is compressed although that was not asked for", request=request)
        response.stream = _Bounded(response.stream, receipt, request)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: Any, receipt: Receipt, request: httpx2.Request) -> None:
        self._inner, self._receipt, self._request = inner, receipt, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._inner:
            size += len(part)
            if size > ANSWER_BYTES_MAX:
                self._receipt.is_oversized = True
                raise httpx2.ReadError("the answer is too large", request=self._request)
            self._receipt.digest.update(part)
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def client(url: str) -> httpx2.AsyncClient:
    """Return a client for one provider."""
    return httpx2.AsyncClient(transport=Wire(url), follow_redirects=False, timeout=None)


def is_loopback(url: str) -> bool:
    """Tell whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    if is_loopback(url) or (os.name == "posix" and proxy_bypass(parts.hostname or "")):
        return None
    found = getproxies()
    return found.get(parts.scheme) or found.get("all")
