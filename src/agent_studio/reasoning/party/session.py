"""One party from its question to its end: every call and every answer is on disk before anything follows from it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from agent_studio.reasoning.asking import BudgetError, sendable
from agent_studio.reasoning.models.model import ModelError, Request
from agent_studio.reasoning.party import evidence, outcome, positions, prompts, records, rounds, words
from agent_studio.reasoning.party.records import CLOSE, DISPATCH, FAILURE, HALT, REPLY
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from agent_studio.reasoning.asking import Answer
    from agent_studio.reasoning.models.model import Model
    from agent_studio.reasoning.party.materials import Material
    from agent_studio.reasoning.party.outcome import Outcome
    from agent_studio.reasoning.party.positions import Position
    from agent_studio.reasoning.party.prompts import Private, Shown
    from agent_studio.reasoning.party.records import Session
    from agent_studio.reasoning.party.rounds import Ask

CANCELLED, INTERRUPTED, COST_LIMIT = "cancelled", "interrupted", "cost limit"
_LOOK_S = 0.1
_OUTPUT_MAX = 3_000
_MESSAGE_MAX, _NAME_MAX = 300, 120


class Journal(Protocol):
    """Where the lines of a session go."""

    def append(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Add lines durably and return them as they are kept."""
        ...

    def is_wished_cancelled(self) -> bool:
        """Tell whether somebody wants the session to end."""
        ...

    def close(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the last line, sealed, and return it."""
        ...


class Asking(Protocol):
    """Who makes calls under a limit."""

    async def ask(self, model: Model, request: Request) -> Answer:
        """Ask once; raise `ModelError` or `BudgetError`."""
        ...

    def worst_usd(self, model: Model, request: Request) -> Decimal | None:
        """Return the most that a call can cost, or None when no price is known."""
        ...


class _Call(NamedTuple):
    """A call that is about to be made."""

    number: int
    ask: Ask
    request: Request
    shown: Shown

    @property
    def bound(self) -> dict[str, Any]:
        """What binds an answer to it."""
        return {
            "call": self.number, "seat": self.ask.seat, "nonce": self.request.nonce,
            "requestSha256": self.request.sha256,
        }  # fmt: skip


class Party:
    """A session at work."""

    def __init__(
        self, session: Session, journal: Journal, asker: Asking, *,
        models: Mapping[int, Model], own: Mapping[int, Private], files: Sequence[Material],
        read: Callable[[str], str | None], timeout_s: float, tell: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`models` and `own` are by seat; `read` returns a file's text for quotations; `tell` hears of progress."""
        self.session = session
        self._journal, self._asker = journal, asker
        self._models, self._own, self._files, self._read = models, own, files, read
        self._timeout_s, self._tell = timeout_s, tell
        self._answered: list[Mapping[str, Any]] = []
        self.over_budget: BudgetError | None = None
        """Why a call was not made, where the limit forbade it."""

    async def run(self) -> Outcome:
        """Ask until nothing is left to ask, and close; a cancelled task closes with what there is and is cancelled."""
        try:
            while (plan := rounds.plan(self.session)).asks:
                if self._journal.is_wished_cancelled():
                    self.halt(CANCELLED)
                    continue
                self._tell(f"round {plan.asks[0].round}: {plan.asks[0].phase}, {len(plan.asks)} seats")
                await self._asked(plan.asks)
        except asyncio.CancelledError:
            self.halt(INTERRUPTED)
            self.close()
            raise
        found = self.close()
        if self.over_budget is not None and not found.counted:
            raise self.over_budget
        return found

    def halt(self, reason: str) -> None:
        """Ask no more."""
        if not self.session.halted:
            self._append([{"kind": HALT, "reason": reason}])

    def close(self) -> Outcome:
        """Write how it ended."""
        found = outcome.of(self.session)
        line = self._journal.close({"kind": CLOSE, "reason": found.reason, "outcome": outcome.data(found)})
        records.apply(self.session, line, self.session.id)
        return outcome.of(self.session)

    async def _asked(self, asks: Sequence[Ask]) -> None:
        """Make calls side by side; where somebody wants the session to end, break them off."""
        calls = [self._prepared(ask, len(self.session.turns) + number) for number, ask in enumerate(asks, start=1)]
        self._append([self._dispatch(call) for call in calls])
        tasks = [asyncio.create_task(self._call(call)) for call in calls]
        watching = asyncio.create_task(self._watch(tasks))
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            if not self._journal.is_wished_cancelled():
                raise
        finally:
            for task in (*tasks, watching):
                task.cancel()
            await asyncio.gather(*tasks, watching, return_exceptions=True)
            self._write_answered()
        if self._journal.is_wished_cancelled():
            self.halt(CANCELLED)
        elif self.over_budget is not None:
            self.halt(COST_LIMIT)

    async def _watch(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        while not self._journal.is_wished_cancelled():  # noqa: ASYNC110 - another process wishes it, by a file
            await asyncio.sleep(_LOOK_S)
        for task in tasks:
            task.cancel()

    def _prepared(self, ask: Ask, number: int) -> _Call:
        shown = prompts.build(self.session, ask, self._own[ask.seat], self._files)
        request = Request(
            agent=self.session.chair(ask.seat).agent, system=redact(shown.system), prompt=redact(shown.prompt),
            schema=positions.schema(self.session.options, shown.claims), max_output_tokens=_OUTPUT_MAX,
            timeout_s=self._timeout_s, nonce=secrets.token_hex(16),
        )  # fmt: skip
        return _Call(number, ask, sendable(request), shown)

    def _dispatch(self, call: _Call) -> dict[str, Any]:
        ask, request = call.ask, call.request
        return {
            "kind": DISPATCH, **call.bound, "agent": request.agent, "round": ask.round, "phase": ask.phase,
            "attempt": ask.attempt, "peers": list(ask.peers), "peersSha256": peers_sha256(self.session, ask),
            "model": words.one_line(self._models[ask.seat].name, _NAME_MAX),
            "worstUsd": str(self._asker.worst_usd(self._models[ask.seat], request) or 0),
        }  # fmt: skip

    async def _call(self, call: _Call) -> None:
        model, bound = self._models[call.ask.seat], call.bound
        try:
            answer = await self._asker.ask(model, call.request)
        except BudgetError as error:
            self.over_budget = error
            line = _failed("budget", error.message)
        except ModelError as error:
            tokens = sum(error.usage) if error.usage else 0
            line = _failed(error.kind, error.message, tokens, _cost(model, error))
        else:
            line = self._reply(answer, call.shown.claims)
        self._answered.append({**line, **bound})
        await asyncio.sleep(0)  # what comes at the same moment is made durable by the same write
        self._write_answered()

    def _write_answered(self) -> None:
        lines, self._answered = self._answered, []
        if lines:
            self._append(lines)

    def _reply(self, answer: Answer, claims: Sequence[str]) -> dict[str, Any]:
        reply, position, fault = answer.reply, None, ""
        try:
            position = self._checked(
                positions.parse(reply.text, reply.data, options=self.session.options, claims=claims)
            )
        except positions.PositionError as error:
            fault = redact(error.message)
        return {
            "kind": REPLY, "replySha256": reply.sha256, "model": words.one_line(reply.model, _NAME_MAX),
            "provider": reply.provider, "requestId": words.one_line(reply.request_id, _NAME_MAX),
            "finish": words.one_line(reply.finish, _NAME_MAX), "tokens": sum(reply.usage),
            "usage": reply.usage._asdict(), "costUsd": None if answer.cost_usd is None else str(answer.cost_usd),
            "costSource": answer.cost_source, "durationMs": round(reply.duration_ms, 1),
            "position": position.record() if position else None, "fault": fault,
        }  # fmt: skip

    def _checked(self, position: Position) -> Position:
        return replace(position, evidence=evidence.checked(position.evidence, self._read))

    def _append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        for line in self._journal.append(lines):
            records.apply(self.session, line, self.session.id)


def peers_sha256(session: Session, ask: Ask) -> str:
    """Return the hash of the positions that a call shows; that of nothing in a blind round."""
    text = prompts.peers_text(session, ask) if ask.peers else ""
    return hashlib.sha256(text.encode()).hexdigest()


def _cost(model: Model, error: ModelError) -> str | None:
    """Return what a failed call cost, as far as that is known."""
    if model.is_free or not error.is_owed:
        return "0"
    return None if error.cost_usd is None else str(error.cost_usd)


def _failed(kind: str, message: str, tokens: int = 0, cost: str | None = "0") -> dict[str, Any]:
    return {
        "kind": FAILURE, "failure": kind, "message": words.one_line(redact(message), _MESSAGE_MAX), "tokens": tokens,
        "costUsd": cost, "costSource": "unknown" if cost is None else "free",
    }  # fmt: skip
