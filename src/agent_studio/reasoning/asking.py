"""Asking models under a limit: nothing is sent before its worst case is set aside, and every call is in the ledger.

What is sent passes redaction first. A provider that throttles is asked again, a bounded number of times; nothing else
is ever asked twice: a malformed answer is an answer, and asking anew is a call of its own.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from decimal import Decimal
from time import time_ns
from typing import TYPE_CHECKING

from agent_studio.cost import pricing
from agent_studio.cost.calls import Ledger
from agent_studio.errors import AgentStudioError
from agent_studio.reasoning import bounds, charges, depth
from agent_studio.reasoning.budget import Budget, BudgetError
from agent_studio.reasoning.models.model import REHEARSED, THROTTLED, TIMEOUT, Capped, ModelError, Reply, Request
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.charges import Charge
    from agent_studio.reasoning.models.model import Model

__all__ = ["Answer", "Asker", "BudgetError", "sendable"]

_NOTHING = Decimal(0)
_SESSION = "CLAUDE_CODE_SESSION_ID"
_THROTTLED_MAX = 2
"""How often a call is made again for a provider that throttles."""
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_LOOK_S = 0.02
"""How often it is looked at whether the budget has room again."""


@dataclass(frozen=True)
class Answer:
    """A reply and what it cost."""

    reply: Reply
    cost_usd: Decimal | None
    """None where no price is known."""
    cost_source: str
    sent: Request
    """What the model was shown: the request without its secrets."""


def sendable(request: Request) -> Request:
    """Return the request as it is sent: what looks like a secret is a label, what is no character a question mark."""
    return replace(request, system=_clean(request.system), prompt=_clean(request.prompt))


def _clean(text: str) -> str:
    return redact(text).encode("utf-8", "replace").decode()


class Asker:
    """The one way to a model: a session's limit, its ledger records, its timeouts."""

    def __init__(
        self,
        context: Context,
        *,
        limit_usd: Decimal | None,
        purpose: str,
        session: str,
        allow_unpriced: bool | None = None,
    ) -> None:
        """Raise `UsageError` inside a model that is asked, `ConfigurationError` when a price of one's own is wrong.

        `purpose` is what the ledger names as the skill, `session` as the task. Without a limit nothing is refused.
        `allow_unpriced` is None for a command that has no such option.
        """
        depth.refuse_nested(os.environ)
        self._budget = Budget(limit_usd)
        self._prices = pricing.table(context)
        self._ledger = Ledger(context)
        self._purpose, self._session = purpose, session
        self._allow_unpriced = allow_unpriced
        self.calls = 0
        """Calls that were sent, those among them that failed or were made again."""
        self.unrecorded: list[str] = []
        """Why calls are not in the ledger: the disk failed after the model had answered."""

    @property
    def spent_usd(self) -> Decimal:
        """What calls cost, those whose cost is not known for certain at their worst."""
        return self._budget.spent_usd

    @property
    def reserved_usd(self) -> Decimal:
        """What is set aside for calls that are under way."""
        return self._budget.reserved_usd

    def already(self, spent: Decimal) -> None:
        """Count what an interrupted part of the session spent."""
        self._budget.already(spent)

    def worst_usd(self, model: Model, request: Request) -> Decimal | None:
        """Return the most that a call can cost, or None when no price is known."""
        if model.is_free:
            return _NOTHING
        once = bounds.worst_usd(self._prices, model, request, time_ns())
        # A program with a budget of its own looks at it between its calls: the last one comes on top.
        return once * 2 if once is not None and isinstance(model, Capped) else once

    def require_ledger(self, model: Model) -> None:
        """Raise `UsageError` where there is no ledger for the calls of a model."""
        if model.provider not in REHEARSED:
            self._ledger.require()

    async def ask(self, model: Model, request: Request, *, begun: Callable[[], None] = lambda: None) -> Answer:
        """Ask once and return the answer; `begun` is called once its worst case is set aside, before it is sent.

        Waits while only what other calls have set aside stands in the way.

        Raises `BudgetError` before anything is sent when the call could pass the limit, or has no price under one.
        Raises `ModelError` when the call fails; what it may cost all the same is counted.
        """
        sent = sendable(request)
        worst = await self._reserved(model, sent)
        spent = worst  # a call that is broken off may be billed in full
        try:
            begun()
            reply = await self._in_time(model, sent, worst)
            charge = charges.of_reply(self._ledger, model, reply, worst)
            spent = charge.cost_usd or _NOTHING
            self._record(model, sent, charge)
        except ModelError as error:
            charge = charges.of_failure(self._ledger, model, error, worst)
            spent = charge.cost_usd or _NOTHING
            self._record(model, sent, charge)
            raise
        finally:
            self._budget.settle(worst, spent)
        return Answer(reply, charge.cost_usd, charge.source, sent)

    async def _reserved(self, model: Model, sent: Request) -> Decimal:
        worst = self.worst_usd(model, sent)
        if worst is None and self._budget.limit_usd is not None and not self._allow_unpriced:
            allowed = "" if self._allow_unpriced is None else ", or allow it with --allow-unpriced"
            raise BudgetError(
                f"no price is known for {model.name}, so a limit of {self._budget.limit_usd} USD cannot be kept",
                hint=f"give its price (agent-studio cost prices override --help){allowed}",
            )
        worst = worst or _NOTHING
        while True:
            try:
                self._budget.reserve(worst)
            except BudgetError:
                if not self._budget.may_fit(worst):
                    raise
                await asyncio.sleep(_LOOK_S)
            else:
                return worst

    async def _in_time(self, model: Model, sent: Request, worst: Decimal) -> Reply:
        try:
            async with asyncio.timeout(sent.timeout_s) as limit:
                return await self._patiently(model, sent, worst)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ModelError(
                f"{model.name} did not answer within {sent.timeout_s:g} s",
                kind=TIMEOUT, hint="give it more time, or ask for less",
            ) from error  # fmt: skip

    async def _patiently(self, model: Model, sent: Request, worst: Decimal) -> Reply:
        """Ask, and ask again after the pause that a provider which throttles wants."""
        for again in range(_THROTTLED_MAX, -1, -1):
            self.calls += 1
            try:
                if isinstance(model, Capped) and worst:
                    return await model.complete_within(sent, worst / 2)
                return await model.complete(sent)
            except ModelError as error:
                pause_s = _PAUSE_S if error.retry_after_s is None else error.retry_after_s
                if error.kind != THROTTLED or error.is_owed or not again or pause_s > _LONGEST_PAUSE_S:
                    raise
                await asyncio.sleep(max(pause_s, 0.0))
        raise AssertionError("the last one returns or raises")

    def _record(self, model: Model, sent: Request, charge: Charge) -> None:
        if charge.record is None or model.provider in REHEARSED:
            return
        record = replace(
            charge.record,
            session_id=os.environ.get(_SESSION) or self._session,
            task_id=self._session, skill=self._purpose, agent=sent.agent or None,
        )  # fmt: skip
        try:
            self._ledger.append([record])
        except AgentStudioError as error:  # the answer is paid for: it is not thrown away
            self.unrecorded.append(error.message)
