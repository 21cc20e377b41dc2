"""POST of JSON, signed as Standard Webhooks has it, within a time limit and to no other address.

Headers `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature: v1,<base64>`, the HMAC-SHA256 of
`id.timestamp.body` under the secret; one that starts with `whsec_` is base64 behind it.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (read 2026-11)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from agent_studio import __version__, clock
from agent_studio.monitor.channels import DeliveryError
from agent_studio.monitor.texts import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.channels import Batch
    from agent_studio.monitor.destinations import Destination

SCHEMA = "agent-studio/notification/1"
_PREFIX = "whsec_"
_REFUSED = frozenset((400, 413, 422))
"""Answers about the message itself: it will not be taken later either."""
_SHOWN = 200
_FIELDS = (
    "id", "timestamp", "alert", "step", "severity", "rule", "label", "value", "low", "high", "limit", "unit", "count",
    "message", "since",
)  # fmt: skip


def send(root: EnvironmentRoot, where: Destination, batch: Batch, variables: Mapping[str, str]) -> None:  # noqa: ARG001 - one signature for all
    """Post the steps; raise `DeliveryError` for any answer but 2xx."""
    url = where.address(variables)
    data = json.dumps(body(batch), ensure_ascii=False).encode()
    seconds = str(int(clock.now().timestamp()))
    headers = {
        "Content-Type": "application/json", "User-Agent": f"agent-studio/{__version__}", "webhook-id": batch.id,
        "webhook-timestamp": seconds,
    }  # fmt: skip
    if where.secret_variable:
        headers["webhook-signature"] = signature(_secret(where, variables), batch.id, seconds, data)
    _post(Request(url, data, headers, method="POST"), where.timeout_s)  # noqa: S310 - checked to be http or https


def body(batch: Batch) -> dict[str, Any]:
    """Return what is posted: `text` is what chat services show."""
    return {
        "schema": SCHEMA, "id": batch.id, "environment": batch.environment, "text": batch.text,
        "alerts": [{name: one.get(name) for name in _FIELDS} for one in batch.steps],
    }  # fmt: skip


def signature(secret: bytes, message_id: str, seconds: str, data: bytes) -> str:
    """Return the signature header of a request."""
    signed = f"{message_id}.{seconds}.".encode() + data
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _secret(where: Destination, variables: Mapping[str, str]) -> bytes:
    text = variables.get(where.secret_variable, "")
    if not text:  # never unsigned where a signature is expected
        raise DeliveryError(f"the variable {where.secret_variable} is not set")
    if not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise DeliveryError(f"the variable {where.secret_variable} holds no base64 after {_PREFIX}") from None


class _NoRedirect(HTTPRedirectHandler):
    """A redirect could lead a signed message to anyone."""

    def redirect_request(self, *_: object) -> None:
        return None


class _Watched(HTTPSHandler, HTTPHandler):
    """Remembers its connections, so that one that takes too long can be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[HTTPConnection] = []
        self.is_over = False
        """Whether the time was over before there was a whole answer."""

    def http_open(self, request: Request) -> Any:
        return self.do_open(self._remembered(HTTPConnection), request)

    def https_open(self, request: Request) -> Any:
        return self.do_open(self._remembered(HTTPSConnection), request, context=ssl.create_default_context())

    def _remembered(self, kind: type[HTTPConnection]) -> Callable[..., HTTPConnection]:
        def made(*given: Any, **named: Any) -> HTTPConnection:
            self.connections.append(kind(*given, **named))
            return self.connections[-1]

        return made

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cut the connections when the time is over: a socket's own limit begins anew with every byte."""
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        self.is_over = True
        for one in self.connections:
            if one.sock is not None:
                with suppress(OSError):
                    one.sock.shutdown(socket.SHUT_RDWR)


def _post(request: Request, timeout_s: float) -> None:
    where = urlsplit(request.full_url)
    shown = f"{where.scheme}://{where.netloc}"  # the rest of an address is often a secret
    watched = _Watched()
    try:
        with watched.limited(timeout_s), build_opener(_NoRedirect, watched).open(request, timeout=timeout_s) as answer:
            if watched.is_over:  # an answer that was cut short looks like a whole one
                raise TimeoutError("its answer was cut short")
            if answer.status // 100 != 2:  # noqa: PLR2004 - done
                raise DeliveryError(f"{shown} answered {answer.status}")
    except HTTPError as error:
        with error:
            raise _refusal(shown, error) from None
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise DeliveryError(f"{shown} cannot be reached or did not answer in {timeout_s:g} s: {reason}") from None


def _refusal(shown: str, error: HTTPError) -> DeliveryError:
    where = " to another address, which is not followed" if error.code // 100 == 3 else ""  # noqa: PLR2004 - redirects
    return DeliveryError(
        f"{shown} answered {error.code} {clean(str(error.reason), _SHOWN)}{where}",
        retry_after_s=_asked_for(error.headers.get("Retry-After")), is_refused=error.code in _REFUSED,
    )  # fmt: skip


def _asked_for(written: str | None) -> float:
    """Return the pause of a Retry-After header, s."""
    if not written:
        return 0
    if written.strip().isdecimal():
        return float(written)
    try:
        return max(0.0, (parsedate_to_datetime(written) - clock.now()).total_seconds())
    except (ValueError, TypeError):
        return 0
