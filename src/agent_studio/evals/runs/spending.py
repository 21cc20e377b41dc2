"""What attempts used, in the environment's ledger: as eval activity, under the name of run and attempt, each once."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.cost.calls import Ledger
from agent_studio.cost.money import usd_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.evals.attempts.facts import Facts, Usage
    from agent_studio.records import LlmUsage

SKILL = "eval"
"""What the ledger names as the skill of all that evals spend."""
_FILE = "llm-usage.log"
_UNNAMED = "unnamed"


class Spending:
    """Prices what attempts used, and keeps it."""

    def __init__(self, context: Context, run: str, backend: str, *, keeps: bool) -> None:
        """Take whether it is kept: a script costs nothing, whatever it says."""
        self._ledger, self._context, self._run = Ledger(context), context, run
        self._backend, self.keeps = backend, keeps

    def price(self, found: Facts) -> Decimal | None:
        """Return what an attempt cost, None where no price is known."""
        if found.usage and found.usage[0].model:
            return self.of_usage(found.usage)
        return usd_of(found.reported_usd)

    def of_usage(self, usage: Iterable[Usage]) -> Decimal | None:
        """Return what responses cost, None where no price is known for one of them."""
        total = Decimal(0)
        for record in self._records("", usage):
            if record.cost_usd is None:
                return None
            total += Decimal(record.cost_usd)
        return total

    def keep(self, attempt: str, usage: Sequence[Usage], reported_usd: str | None) -> None:
        """Write what an attempt used to the ledger, durably; what is there already is not written again."""
        if not self.keeps:
            return
        named = [one for one in usage if one.model]
        records = self._records(attempt, named) if named else self._as_reported(attempt, usage, reported_usd)
        known = self._known(attempt) if records else set()
        if left := [one for one in records if (one.message_id, one.request_id) not in known]:
            self._ledger.append(left, sync=True)

    def task_id(self, attempt: str) -> str:
        """Return what the ledger names as the task of an attempt."""
        return f"eval:{self._run}:{attempt}"

    def _records(self, attempt: str, usage: Iterable[Usage]) -> list[LlmUsage]:
        return [
            self._ledger.prepared(
                model=one.model, input_tokens=one.input, output_tokens=one.output, cache_read_tokens=one.cache_read,
                cache_write5m_tokens=one.cache_write5m, cache_write1h_tokens=one.cache_write1h,
                message_id=one.message_id, request_id=one.request_id or f"{self.task_id(attempt)}:{number}",
                agent=one.agent or None, skill=SKILL, task_id=self.task_id(attempt), session_id=self._run,
                at=_moment(one.at),
            )
            for number, one in enumerate(usage)
        ]  # fmt: skip

    def _as_reported(self, attempt: str, usage: Sequence[Usage], reported_usd: str | None) -> list[LlmUsage]:
        """Return the one record of an attempt whose backend tells no more than sums."""
        cost, tokens = usd_of(reported_usd), sum(one.input for one in usage)
        if cost is None and not tokens:
            return []
        return [
            self._ledger.prepared(
                model=self._backend or _UNNAMED, provider=SKILL, input_tokens=tokens, skill=SKILL,
                request_id=self.task_id(attempt), task_id=self.task_id(attempt), session_id=self._run,
                cost_usd=None if cost is None else f"{cost:f}",
            )
        ]  # fmt: skip

    def _known(self, attempt: str) -> set[tuple[str, str]]:
        """Return the ids that the ledger has of an attempt: a killed run may have come as far as that."""
        folder, name = self._context.root.reads("metrics", _FILE)
        marked = json.dumps(self.task_id(attempt)).encode()
        found: set[tuple[str, str]] = set()
        with suppress(FileNotFoundError):
            for line in folder.read(name).split(b"\n"):
                if marked in line:
                    with suppress(ValueError, KeyError):
                        told = json.loads(line)
                        found.add((told["messageId"], told["requestId"]))
        return found


def _moment(written: str) -> datetime:
    with suppress(ValueError):
        return datetime.fromisoformat(written).astimezone(UTC)
    return clock.now()
