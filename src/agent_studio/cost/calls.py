"""For programs that ask models themselves: one call a response, recorded before it returns.

from agent_studio.cost.calls import record_llm_call
record_llm_call(model="claude-haiku-5-5", input_tokens=812, output_tokens=40, agent="triage")
"""

from __future__ import annotations

import os
import threading
import uuid
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.cost import ledger, places, pricing
from agent_studio.cost.counting import MOST, Tokens
from agent_studio.cost.money import pico_of, usd_text
from agent_studio.cost.responses import LATEST_MS, named
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import choose_environment, choose_project
from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.records import LlmUsage, event_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from agent_studio.cost.prices.table import PriceTable
    from agent_studio.environment.context import Context

_OWN = "api"


class Recorded(NamedTuple):
    """What became of a call."""

    seq: int
    """Its number in the ledger."""
    cost_usd: str | None
    """Decimal text; None when no price is known for the model."""
    price_source: str | None


class Ledger:
    """An environment's ledger, open for many calls; threads may share it."""

    def __init__(self, context: Context) -> None:
        """Raise `ConfigurationError` when a price in the configuration is wrong."""
        self._prices: PriceTable = pricing.table(context)
        self._project = places.project_name(context.project.path)
        self._root = context.root
        self._writer = ledger.Writer(context.root)

    def prepared(
        self, *, model: str, input_tokens: int = 0, output_tokens: int = 0, cache_read_tokens: int = 0,
        cache_write5m_tokens: int = 0, cache_write1h_tokens: int = 0, web_searches: int = 0,
        provider: str = "anthropic", session_id: str = "", request_id: str = "", message_id: str = "",
        agent: str | None = None, skill: str | None = None, project: str = "", task_id: str | None = None,
        service_tier: str | None = None, speed: str | None = None, region: str | None = None,
        cost_usd: str | Decimal | None = None, at: datetime | None = None,
    ) -> LlmUsage:  # fmt: skip
        """Return the record of what one response used, priced by its time unless `cost_usd` is given.

        Without a `project` it is this one, called as the client calls it.

        Raises `UsageError` for counts that cannot be.
        """
        said = _checked(Tokens(
            input_tokens, output_tokens, cache_read_tokens, cache_write5m_tokens, cache_write1h_tokens, web_searches
        ))  # fmt: skip
        if not model.strip():
            raise UsageError("a call without a model", hint="name the model that answered, as the API spells it")
        moment = at or clock.now()
        if not 0 < moment.timestamp() * 1000 < LATEST_MS:
            raise UsageError(f"a call of {moment.isoformat()}", hint="a time after 1970 and before the year 3000")
        request = named(request_id) or ("" if message_id else f"own:{uuid.uuid4().hex}")
        cost, source = _given(cost_usd)
        if source is None:
            at_ns = int(moment.timestamp() * 1e9)
            found = self._prices.cost(
                named(model), at_ns, said, provider=provider, service_tier=service_tier, speed=speed, region=region
            )
            if found is not None:
                cost, source = usd_text(found.pico_usd), found.source
        return LlmUsage(
            timestamp=clock.timestamp(moment), session_id=named(session_id), request_id=request,
            message_id=named(message_id), provider=named(provider), model=named(model), agent=agent and named(agent),
            skill=skill and named(skill), project=named(project or self._project), task_id=task_id and named(task_id),
            input_tokens=said.input, output_tokens=said.output, cache_read_tokens=said.cache_read,
            cache_write5m_tokens=said.cache_write5m, cache_write1h_tokens=said.cache_write1h,
            web_searches=said.web_searches, service_tier=service_tier, speed=speed, region=region, cost_usd=cost,
            price_source=source, source=_OWN,
        )  # fmt: skip

    def require(self) -> None:
        """Raise `UsageError` where the ledger has no folder to lie in: before a call, that costs nobody anything."""
        folder = self._root.folder(LlmUsage.kind)
        if not folder.has_folder():
            raise UsageError(
                f"{folder.path} is missing: the call could not be recorded",
                hint=f"agent-studio init --env {self._root.environment}",
            )

    def append(self, records: Sequence[LlmUsage], *, sync: bool = False) -> list[Recorded]:
        """Append prepared records by one write.

        `sync` waits until the disk has them; without it they outlive the process, not a power failure. A response with
        ids that the client's transcripts tell of as well is counted once. Raises `StorageError`, then none is written.
        """
        numbers = self._writer.append(
            [(record, event_id("call", record.message_id, record.request_id)) for record in records], sync=sync
        )
        return [
            Recorded(number, record.cost_usd, record.price_source)
            for number, record in zip(numbers, records, strict=True)
        ]

    def record(self, *, sync: bool = False, **fields: Any) -> Recorded:
        """Append what one response used; the fields are those of `prepared`, the rest is as in `append`."""
        return self.append([self.prepared(**fields)], sync=sync)[0]


def _checked(said: Tokens) -> Tokens:
    for name, count in zip(Tokens._fields, said, strict=True):
        if type(count) is not int or not 0 <= count <= MOST:
            raise UsageError(f"{name} is {count!r}", hint=f"a whole number from 0 to {MOST:,}")
    return said


def _given(cost_usd: str | Decimal | None) -> tuple[str | None, str | None]:
    """Return a cost that the caller knows, as it is written."""
    if cost_usd is None:
        return None, None
    try:
        amount = Decimal(cost_usd)
        text = f"{amount:f}" if amount.is_finite() else ""
    except (InvalidOperation, TypeError, ValueError):
        text = ""
    pico = pico_of(text)
    if pico is None:
        raise UsageError(f"cost_usd is {cost_usd!r}", hint="decimal text such as 0.0125, of at most 12 places")
    return usd_text(pico), "given"


_OPEN: dict[tuple[str, str, int], Ledger] = {}
_LOCK = threading.Lock()


def open_ledger(project_dir: str | os.PathLike[str] | None = None, env: str | None = None) -> Ledger:
    """Return the ledger of a project's environment, opened once in a process.

    Without arguments the nearest folder upward that holds `.claude/`, and `AGENT_STUDIO_ENV`. Raises
    `ConfigurationError` and `UsageError` as commands do.
    """
    given = None if project_dir is None else str(project_dir)
    choice = choose_environment(env, os.environ)
    project = Project(choose_project(given, os.environ, Path.cwd()).path)
    key = (str(project.path), str(choice.environment), os.getpid())
    with _LOCK:
        if key not in _OPEN:
            _OPEN[key] = Ledger(open_context(project, choice, os.environ))
        return _OPEN[key]


def record_llm_call(
    *, model: str, input_tokens: int, output_tokens: int, project_dir: str | os.PathLike[str] | None = None,
    env: str | None = None, **more: Any,
) -> Recorded:  # fmt: skip
    """Record one call in the ledger of a project's environment; the fields are those of `Ledger.prepared`.

    Raises what `open_ledger` and `Ledger.record` raise. Programs that must go on without a record catch
    `agent_studio.errors.AgentStudioError`.
    """
    found = open_ledger(project_dir, env)
    return found.record(model=model, input_tokens=input_tokens, output_tokens=output_tokens, **more)
