"""OTLP over HTTP: one request, repeated for a while when the collector asks for it or cannot be reached.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from agent_studio import __version__, clock
from agent_studio.errors import AgentStudioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RETRYABLE = frozenset((429, 502, 503, 504))
_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0
_TIMEOUT_S = 30
_ANSWER_MAX = 1 << 20
_SHOWN = 200


class CollectorError(AgentStudioError):
    """The collector cannot be reached, or refuses."""

    code = "collector"


class _NoRedirect(HTTPRedirectHandler):
    """A redirected POST would become a GET and lose its body."""

    def redirect_request(self, *_: object) -> None:
        return None


def checked(endpoint: str) -> str:
    """Return the endpoint without a slash at its end; raise `UsageError` for what is no address of a collector."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--endpoint {endpoint!r}: {error}", hint=_EXAMPLE) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise UsageError(f"--endpoint {endpoint!r} is not the address of a collector", hint=_EXAMPLE)
    if parts.username or parts.password:
        raise UsageError("--endpoint holds a password", hint="use --header 'Authorization=Basic ...' instead")
    if not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        raise UsageError(f"--endpoint {endpoint!r} has characters that no address has", hint=_EXAMPLE)
    return endpoint.rstrip("/")


_EXAMPLE = "such as http://127.0.0.1:4318; /v1/traces and the like are added"


@dataclass
class Poster:
    """Sends encoded requests to one collector."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    retries: int = 0
    """Requests that were repeated."""

    def send(self, signal: str, data: bytes) -> bytes:
        """Post one request and return the answer; raise `CollectorError` when the collector does not take it."""
        url = f"{self.endpoint}/v1/{signal}"
        body = gzip.compress(data, 6, mtime=0)
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": f"agent-studio/{__version__}",
            **self.headers,
        }
        opener = build_opener(_NoRedirect)
        for attempt in range(_ATTEMPTS):
            pause_s = _FIRST_PAUSE_S * 2**attempt
            try:
                with opener.open(Request(url, body, headers, method="POST"), timeout=_TIMEOUT_S) as answer:  # noqa: S310
                    return bytes(answer.read(_ANSWER_MAX))
            except HTTPError as error:
                with error:
                    fault = _refused(url, error)
                    if error.code not in RETRYABLE:
                        raise fault from None
                    pause_s = _asked_for(error.headers.get("Retry-After")) or pause_s
            except (URLError, HTTPException, OSError) as error:
                reason = getattr(error, "reason", None) or error
                fault = CollectorError(f"cannot reach {url}: {reason}", hint="is the collector running there?")
            if attempt + 1 < _ATTEMPTS:
                self.retries += 1
                self.sleep(min(pause_s, _LONGEST_PAUSE_S))
        raise fault


def _refused(url: str, error: HTTPError) -> CollectorError:
    said = error.read(_SHOWN).decode("utf-8", "replace")
    text = "".join(character for character in said if character.isprintable()).strip()
    hint = {401: "add what it asks for: --header 'Authorization=Bearer ...'", 404: "is it an OTLP/HTTP endpoint?"}
    return CollectorError(
        f"{url} answered {error.code} {error.reason}{f': {text}' if text else ''}", hint=hint.get(error.code, "")
    )


def _asked_for(written: str | None) -> float | None:
    """Return the pause of a Retry-After header, in s, or None."""
    if not written:
        return None
    if written.strip().isdecimal():
        return float(written)
    try:
        return max(0.0, (parsedate_to_datetime(written) - clock.now()).total_seconds())
    except (ValueError, TypeError):
        return None
