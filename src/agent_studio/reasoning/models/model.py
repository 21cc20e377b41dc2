"""What is asked of a model, what it answers, and what every model can do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

REPORTED, PRICED, FREE, UNKNOWN, RESERVED = "reported", "priced", "free", "unknown", "reserved"
"""Where a cost is from: the provider, our price table, nothing to pay, no price known, the worst case set aside."""
TIMEOUT, MALFORMED, REFUSED, THROTTLED, UNAVAILABLE = "timeout", "malformed", "refused", "throttled", "unavailable"
"""Kinds of failure of one call."""
REHEARSED = frozenset({"scripted", "replay"})
"""Providers whose answers no model gives: their calls are no model usage."""


@dataclass(frozen=True)
class Request:
    """One call: everything the model is shown, and nothing else."""

    agent: str
    """The agent type that is asked; a scripted model answers by it."""
    system: str
    prompt: str
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the answer; None for plain text."""
    max_output_tokens: int = 4_000
    timeout_s: float = 120.0
    nonce: str = ""
    """Makes two calls with the same words two calls."""

    @property
    def sha256(self) -> str:
        """Hash of what is asked, as sorted compact JSON."""
        asked = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


class Usage(NamedTuple):
    """Tokens of one call."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


_NOTHING = Usage()


@dataclass(frozen=True)
class Reply:
    """What came back from one call."""

    text: str
    data: Mapping[str, Any] | None
    """The answer by the request's schema."""
    model: str
    """As the provider names it."""
    provider: str
    usage: Usage = _NOTHING
    cost_usd: Decimal | None = None
    cost_source: str = UNKNOWN
    request_id: str = ""
    """The provider's receipt; empty where it gives none."""
    duration_ms: float = 0.0
    finish: str = "stop"
    sha256: str = ""
    """Hash of the raw answer as it came."""


class ModelError(AgentStudioError):
    """A model was asked and gave no answer that can be used.

    `kind` says how, `usage` what was used all the same, where that is known.
    """

    code = "model"

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        hint: str = "",
        usage: Usage | None = None,
        raw: str = "",
        is_owed: bool = True,
        retry_after_s: float | None = None,
        was_sent: bool = True,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind, self.usage, self.raw = kind, usage, raw
        self.is_owed = is_owed
        """Whether the provider may bill the call; False where it surely did not begin to answer."""
        self.was_sent = was_sent
        """Whether anybody was asked; False where it failed before that."""
        self.retry_after_s = retry_after_s
        """How long a provider that throttles asks to wait."""
        self.cost_usd: Decimal | None = None
        """What the failed call cost as the provider reports it, where it does."""


class Model(Protocol):
    """Something that answers. Independent calls may run at the same time."""

    name: str
    """As it was chosen, such as `anthropic:claude-haiku-4-5` or `scripted:FILE`."""
    provider: str
    model: str
    """The name that it is priced by."""
    is_free: bool
    """Whether a call costs nothing at all: scripted, replayed, on this machine."""

    async def complete(self, request: Request) -> Reply:
        """Answer one request; raise `ModelError`. Cancelling the task leaves nothing running."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes."""
        ...


@runtime_checkable
class Capped(Protocol):
    """A model whose program keeps a budget of its own, and may ask its provider more than once a call."""

    async def complete_within(self, request: Request, most_usd: Decimal) -> Reply:
        """Answer one request as `complete` does; nothing more is asked once `most_usd` is spent."""
        ...


@dataclass
class Choice:
    """A model that can be chosen, and whether it is usable now."""

    name: str
    usable: bool
    why: str
    """What is missing, or what was found."""
    models: list[str] = field(default_factory=list)
