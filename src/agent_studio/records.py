"""The records of an environment's logs, one class a file, and how they become lines.

Every record also carries `eventId`, `environment` and `release`; fields a reader does not know are kept.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Record:
    """What all records share."""

    kind: ClassVar[str]
    """Kind of data folder it lies in."""
    file: ClassVar[str]
    """File in that folder."""

    timestamp: str
    """RFC 3339 UTC with milliseconds."""

    def to_line(self, *, event_id: str, environment: str, release: str | None = None) -> dict[str, Any]:
        """Return the record as it is written."""
        kind: Any = type(self)
        written, values = _written(kind)
        line = dict(zip(written, values(self), strict=True))
        line["eventId"], line["environment"], line["release"] = event_id, environment, release
        return line


@dataclass(frozen=True, kw_only=True)
class HookExecution(Record):
    """One run of one hook."""

    kind: ClassVar[str] = "metrics"
    file: ClassVar[str] = "hooks.jsonl"

    hook: str
    event: str
    tool: str | None
    execution_time_ms: float | None
    """None when what reported it did not say."""
    status: str
    """success, blocked, failure or timeout."""
    session_id: str | None
    agent: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AgentRun(Record):
    """One run of one agent, from its start to its end."""

    kind: ClassVar[str] = "metrics"
    file: ClassVar[str] = "agents.jsonl"

    agent: str
    agent_id: str
    session_id: str
    task_id: str | None
    duration_ms: float | None
    """None when its start is not known."""
    tokens_used: int | None
    """Input, output and cache writes; None when its transcript was not to be read."""
    status: str
    """completed, failed or cancelled."""
    error_message: str | None = None
    parent_agent_id: str | None = None
    """The agent that called it; None for the main conversation's, and where it is not known."""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ErrorEvent(Record):
    """Something that went wrong."""

    kind: ClassVar[str] = "metrics"
    file: ClassVar[str] = "errors.jsonl"

    error_type: str
    """SecurityViolation, ValidationError, RoutingError, SystemError or UnknownError."""
    severity: str
    """CRITICAL, HIGH, MEDIUM or LOW."""
    source: str
    message: str
    tool: str | None
    session_id: str | None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LlmUsage(Record):
    """What one model response used and cost; a line of the chained ledger."""

    kind: ClassVar[str] = "metrics"
    file: ClassVar[str] = "llm-usage.log"

    session_id: str
    request_id: str
    message_id: str
    provider: str
    model: str
    agent: str | None
    skill: str | None
    project: str
    task_id: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write5m_tokens: int
    cache_write1h_tokens: int
    web_searches: int
    service_tier: str | None
    speed: str | None
    region: str | None
    cost_usd: str | None
    """Decimal text; None when no price is known."""
    price_source: str | None
    source: str
    """transcript, otel, api or original."""
    amends: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Search(Record):
    """A search of the knowledge base that found nothing."""

    kind: ClassVar[str] = "metrics"
    file: ClassVar[str] = "searches.jsonl"

    query: str
    """Redacted, its start when it is long."""
    filters: dict[str, Any]
    source: str
    """cli, mcp or hook."""
    did_you_mean: str | None = None


@dataclass(frozen=True, kw_only=True)
class SessionEvent(Record):
    """A session's start, prompt, stop or end."""

    kind: ClassVar[str] = "sessions"
    file: ClassVar[str] = "session-log.jsonl"

    session_id: str
    event: str
    """start, prompt, stop or end."""
    source: str | None = None
    model: str | None = None
    reason: str | None = None
    duration_ms: float | None = None
    cost_usd: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def event_id(*unique: object) -> str:
    """Return the first 32 hex digits of SHA-256 over what makes an event unique."""
    return hashlib.sha256("\x1f".join(map(str, unique)).encode()).hexdigest()[:32]


@cache
def _written(record: Any) -> tuple[tuple[str, ...], attrgetter[tuple[Any, ...]]]:
    """Return how the fields of a kind of record are written, and what gets their values."""
    names = [item.name for item in fields(record)]
    return tuple(map(_camel, names)), attrgetter(*names)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
