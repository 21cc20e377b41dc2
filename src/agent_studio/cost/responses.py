"""From the bytes of a transcript to the responses they tell of.

A response is one (message id, request id), told once per block of its content; its lines say the same or grow. Lines
are found by the end of a key that all of them have, and what they say is decided by parsing them, however they are
spelled.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from agent_studio.cost.counting import SYNTHETIC, Tokens, tokens, whole
from agent_studio.redaction import redact_head

_COUNTED = b'put_tokens"'
"""Whatever counts has it, as `input_tokens` or `output_tokens`; the longer a text is, the faster it is not found."""
_CLOSING, _STAMP = b'"cost-state"', b'"timestamp":"'
_NAME_MAX = 200
_STAMP_LENGTH = len("2026-01-31T09:30:00.000Z")
_ID = re.compile(r"(?:msg|req)_[A-Za-z0-9]{1,64}")
"""What the API calls its responses; there are too many of them to look for secrets in each."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS = 32_503_680_000_000
"""The year 3000: local days of what is later cannot all be named."""


class _Split(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


_UNSPLIT = _Split()


class _Searches(msgspec.Struct, gc=False):
    web_search_requests: int | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _Split | None = None
    server_tool_use: _Searches | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    """As it is spelled: the next line of the response will most likely repeat it."""


class _Line(msgspec.Struct, gc=False):
    type: str | None = None
    message: _Message | None = None
    requestId: str | None = None  # noqa: N815 - the client's own spelling
    sessionId: str | None = None  # noqa: N815
    uuid: str | None = None
    timestamp: str | None = None
    attributionSkill: str | None = None  # noqa: N815
    isApiErrorMessage: bool | None = None  # noqa: N815
    isSidechain: bool | None = None  # noqa: N815


class Response:
    """One response, as the lines read so far tell it."""

    __slots__ = (
        "at_ms", "is_side", "message", "model", "region", "request", "session", "skill", "speed", "tier", "tokens",
    )  # fmt: skip

    def __init__(self, message: str, request: str, at_ms: int, said: Tokens) -> None:
        self.message, self.request = message, request
        self.at_ms = at_ms
        """When the earliest of its lines was written, ms since 1970."""
        self.tokens = said
        self.session = self.model = ""
        self.is_side = False
        """Whether an agent asked, and not the main conversation."""
        self.skill: str | None = None
        self.tier: str | None = None
        self.speed: str | None = None
        self.region: str | None = None


class Reader:
    """Reads one transcript, stretch by stretch; every stretch ends where a line ends."""

    def __init__(self, last_ms: int) -> None:
        """`last_ms` is when the file was last known to be written, for lines that do not say."""
        self.responses: dict[tuple[str, str], Response] = {}
        self.refused = 0
        """Lines whose figures cannot be."""
        self.damaged = 0
        """Lines with usage that are no JSON objects."""
        self.is_open = False
        """Whether a response was told of, and the client has not closed its count since."""
        self.closing: dict[str, Any] | None = None
        """The client's own count, when no response came after it."""
        self.last_ms = last_ms
        self._echo: _Echo | None = None
        self._decode = msgspec.json.Decoder(_Line).decode
        self._decode_usage = msgspec.json.Decoder(_Usage).decode

    def read(self, data: bytes | bytearray, end: int) -> None:
        """Take a stretch of whole lines: the data up to `end`."""
        find, rfind, startswith = data.find, data.rfind, data.startswith
        stop = 0
        at = find(_COUNTED, 0, end)
        while at >= 0:
            start = rfind(b"\n", 0, at) + 1
            stop = find(b"\n", at, end)
            if stop < 0:
                stop = end
            echo = self._echo
            # Most lines say of the last response just what the line before said: they add nothing, whatever else may
            # stand in them, and are not parsed.
            if (
                echo is None
                or not startswith(echo.counts, at)
                or find(echo.message, start, at) < 0
                or find(echo.request, at, stop) < 0
                or (stamp := find(_STAMP, at, stop) + len(_STAMP)) < at
                or data[stamp : stamp + _STAMP_LENGTH] < echo.stamp
            ):
                self._echo = None
                self._line(data[start:stop])
            at = find(_COUNTED, stop, end)
        if stop:
            self.is_open, self.closing = True, None
        at = rfind(_CLOSING, stop, end)
        if at >= 0:
            after = find(b"\n", at, end)
            self._close(data[rfind(b"\n", 0, at) + 1 : end if after < 0 else after])

    def _line(self, data: bytes | bytearray) -> None:
        try:
            line = self._decode(data)
            message = line.message
            if line.type != "assistant" or message is None:
                return
            spelled = bytes(message.usage)
            if not spelled or spelled == b"null":
                return
            usage = self._decode_usage(spelled)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._unusual(data)
            return
        told = self._take(line, message, usage, _said(usage), data)
        if told is not None and message.id and line.requestId:
            self._remember(spelled, message.id, line.requestId, line.timestamp)

    def _remember(self, usage: bytes, message_id: str, request_id: str, stamp: str | None) -> None:
        """Keep how a response was told, to know its echoes."""
        first = usage.find(_COUNTED)
        if first >= 0 and stamp is not None and len(stamp) == _STAMP_LENGTH and stamp[-1] == "Z":
            self._echo = _Echo(usage[first:], f'"{message_id}"'.encode(), f'"{request_id}"'.encode(), stamp.encode())

    def _take(
        self, line: _Line, message: _Message, usage: _Usage, said: Tokens | None, data: bytes | bytearray
    ) -> Response | None:  # fmt: skip
        if message.model == SYNTHETIC or line.isApiErrorMessage:
            return None
        at_ms = instant_ms(line.timestamp)
        if at_ms is None:
            at_ms = self.last_ms
        else:
            self.last_ms = at_ms
        if said is None:
            self.refused += 1
            return None
        ids = _ids(line, message, data)
        known = self.responses.get(ids)
        if known is None:
            known = self.responses[ids] = Response(*ids, at_ms, said)
        else:
            known.tokens = known.tokens.grown(said)
            known.at_ms = min(known.at_ms, at_ms)
        known.is_side = line.isSidechain or known.is_side
        known.session = line.sessionId or known.session
        known.model = message.model or known.model
        known.skill = line.attributionSkill or known.skill
        known.tier = usage.service_tier or known.tier
        known.speed = usage.speed or known.speed
        known.region = usage.inference_geo or known.region
        return known

    def _unusual(self, data: bytes | bytearray) -> None:
        """Read a line that is spelled as no client of today does: whatever is of a wrong type counts as not said."""
        try:
            whole = json.loads(data.decode("utf-8", "replace").lstrip("\ufeff"), parse_constant=lambda _: "")
        except (ValueError, RecursionError):
            self.damaged += 1
            return
        message = whole.get("message") if isinstance(whole, dict) else None
        usage = message.get("usage") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(usage, dict) or whole.get("type") != "assistant":
            return
        split, searches = usage.get("cache_creation"), usage.get("server_tool_use")
        said = tokens(
            usage.get("input_tokens"), usage.get("output_tokens"), usage.get("cache_read_input_tokens"),
            usage.get("cache_creation_input_tokens"), _in(split, "ephemeral_5m_input_tokens"),
            _in(split, "ephemeral_1h_input_tokens"), _in(searches, "web_search_requests"),
        )  # fmt: skip
        texts: dict[str, Any] = {name: _text(whole.get(name)) for name in _TEXTS}
        line = _Line(**texts, isApiErrorMessage=whole.get(_ERROR) is True, isSidechain=whole.get(_SIDE) is True)
        modes: dict[str, Any] = {name: _text(usage.get(name)) for name in ("service_tier", "speed", "inference_geo")}
        about = _Usage(**modes)
        self._take(line, _Message(_text(message.get("id")), _text(message.get("model"))), about, said, data)

    def _close(self, data: bytes | bytearray) -> None:
        try:
            whole = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(whole, dict) and whole.get("type") == "cost-state":
            self.is_open, self.closing = False, whole


class _Echo(NamedTuple):
    """The last response as its line spells it."""

    counts: bytes
    """Its usage, from the end of the first key of a count on."""
    message: bytes
    request: bytes
    stamp: bytes


def _said(usage: _Usage) -> Tokens | None:
    split, searches = usage.cache_creation or _UNSPLIT, usage.server_tool_use
    return whole(
        usage.input_tokens or 0, usage.output_tokens or 0, usage.cache_read_input_tokens or 0,
        usage.cache_creation_input_tokens or 0, split.ephemeral_5m_input_tokens or 0,
        split.ephemeral_1h_input_tokens or 0, (searches and searches.web_search_requests) or 0,
    )  # fmt: skip


_ERROR, _SIDE = "isApiErrorMessage", "isSidechain"
_TEXTS = ("type", "requestId", "sessionId", "uuid", "timestamp", "attributionSkill")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _in(found: object, name: str) -> object:
    return found.get(name) if isinstance(found, dict) else None


def _ids(line: _Line, message: _Message, data: bytes | bytearray) -> tuple[str, str]:
    """Return message and request id; what has neither is told by its line."""
    found = message.id or "", line.requestId or ""
    return found if any(found) else ("", f"line:{line.uuid or hashlib.sha256(data).hexdigest()}")


def instant_ms(written: str | None) -> int | None:
    """Return an RFC 3339 time in ms since 1970, or None when it is none or no time of a response can be."""
    if written is None:
        return None
    try:
        moment = datetime.fromisoformat(written[:40])
    except ValueError:
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    whole = (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
    return whole if 0 < whole < LATEST_MS else None


def named(value: str) -> str:
    """Return a name fit to be recorded: short, without secrets, control characters and what UTF-8 cannot carry."""
    return value if _ID.fullmatch(value) else _named(value)


@lru_cache(maxsize=16_384)
def _named(value: str) -> str:
    text = redact_head(value if value.isascii() else value.encode("utf-8", "replace").decode(), _NAME_MAX)
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)
