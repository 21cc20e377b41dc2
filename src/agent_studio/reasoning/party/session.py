"""One party from its question to its end: every call and every answer is on disk before anything follows from it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from agent_studio.reasoning.asking import BudgetError, sendable
from agent_studio.reasoning.models.model import ModelError, Request
from agent_studio.reasoning.party import evidence, outcome, positions, prompts, records, rounds
from agent_studio.reasoning.party.records import CLOSE, DISPATCH, FAILURE, HALT, REPLY
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
_MESSAGE_MAX = 300


class Journal(Protocol):
    """Where the lines of a session go."""

    def append(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add a line durably and return it as it is kept."""
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


class Party:
    """A session at work."""

    def __init__(
        self, session: Session, journal: Journal, asker: Asking, *,
        models: Mapping[int, Model], own: Mapping[int, Private], files: Sequence[Material],
        read: Callable[[str], str | None], timeout_s: float, tell: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`models` and `own` are by seat; `read` returns the text of a file for quotations; `tell` hears of progress."""
        self.session = session
        self._journal, self._asker = journal, asker
        self._models, self._own, self._files, self._read = models, own, files, read
        self._timeout_s, self._tell = timeout_s, tell
        self._over_budget: BudgetError | None = None

    async def run(self) -> Outcome:
        """Ask until nothing is left to ask, and close; a cancelled task closes with what there is and is cancelled."""
        try:
            while (plan := rounds.plan(self.session)).asks:
                self._tell(f"round {plan.asks[0].round}: {plan.asks[0].phase}, {len(plan.asks)} seats")
                await self._asked(plan.asks)
        except asyncio.CancelledError:
            self.halt(INTERRUPTED)
            self.close()
            raise
        found = self.close()
        if self._over_budget is not None and not found.counted:
            raise self._over_budget
        return found

    def halt(self, reason: str) -> None:
        """Ask no more."""
        if not self.session.halted:
            self._append({"kind": HALT, "reason": reason})

    def close(self) -> Outcome:
        """Write how it ended."""
        found = outcome.of(self.session)
        line = self._journal.close({"kind": CLOSE, "reason": found.reason, "outcome": outcome.data(found)})
        records.apply(self.session, line, self.session.id)
        return outcome.of(self.session)

    async def _asked(self, asks: Sequence[Ask]) -> None:
        """Make calls side by side; when somebody wants the session to end, or one fails for good, break off the rest."""
        prepared = [self._dispatched(ask) for ask in asks]
        tasks = [asyncio.create_task(self._call(*one)) for one in prepared]
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
        if self._journal.is_wished_cancelled():
            self.halt(CANCELLED)
        elif self._over_budget is not None:
            self.halt(COST_LIMIT)

    async def _watch(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        while not self._journal.is_wished_cancelled():
            await asyncio.sleep(_LOOK_S)
        for task in tasks:
            task.cancel()

    def _dispatched(self, ask: Ask) -> tuple[Ask, int, Request, Shown]:
        """Write down that a call is about to be made, and return it."""
        session, chair = self.session, self.session.chair(ask.seat)
        shown = prompts.build(session, ask, self._own[ask.seat], self._files)
        request = sendable(Request(
            agent=chair.agent, system=redact(shown.system), prompt=redact(shown.prompt),
            schema=positions.schema(session.options, shown.claims), max_output_tokens=_OUTPUT_MAX,
            timeout_s=self._timeout_s, nonce=secrets.token_hex(16),
        ))  # fmt: skip
        call = len(session.turns) + 1
        self._append({
            "kind": DISPATCH, "call": call, "seat": ask.seat, "agent": chair.agent, "round": ask.round,
            "phase": ask.phase, "attempt": ask.attempt, "nonce": request.nonce, "requestSha256": request.sha256,
            "peers": list(ask.peers), "peersSha256": peers_sha256(session, ask), "model": self._models[ask.seat].name,
        })  # fmt: skip
        return ask, call, request, shown

    async def _call(self, ask: Ask, call: int, request: Request, shown: Shown) -> None:
        bound = {"call": call, "seat": ask.seat, "nonce": request.nonce, "requestSha256": request.sha256}
        try:
            answer = await self._asker.ask(self._models[ask.seat], request)
        except BudgetError as error:
            self._over_budget = error
            self._append({**bound, **_failed("budget", error.message)})
        except ModelError as error:
            known = self._models[ask.seat].is_free
            tokens = sum(error.usage) if error.usage else 0
            self._append({**bound, **_failed(error.kind, error.message, tokens, "0" if known else None)})
        else:
            self._append({**bound, **self._reply(answer, shown.claims)})

    def _reply(self, answer: Answer, claims: Sequence[str]) -> dict[str, Any]:
        reply, position, fault = answer.reply, None, ""
        try:
            position = self._checked(positions.parse(reply.text, reply.data, options=self.session.options, claims=claims))
        except positions.PositionError as error:
            fault = redact(error.message)
        return {
            "kind": REPLY, "replySha256": reply.sha256, "model": reply.model, "provider": reply.provider,
            "requestId": reply.request_id, "finish": reply.finish, "tokens": sum(reply.usage),
            "usage": reply.usage._asdict(), "costUsd": None if answer.cost_usd is None else str(answer.cost_usd),
            "costSource": answer.cost_source, "durationMs": round(reply.duration_ms, 1),
            "position": position.record() if position else None, "fault": fault,
        }  # fmt: skip

    def _checked(self, position: Position) -> Position:
        return replace(position, evidence=evidence.checked(position.evidence, self._read))

    def _append(self, record: Mapping[str, Any]) -> None:
        records.apply(self.session, self._journal.append(record), self.session.id)


def peers_sha256(session: Session, ask: Ask) -> str:
    """Return the hash of the positions that a call shows; that of nothing in a blind round."""
    text = prompts.peers_text(session, ask) if ask.peers else ""
    return hashlib.sha256(text.encode()).hexdigest()


def _failed(kind: str, message: str, tokens: int = 0, cost: str | None = "0") -> dict[str, Any]:
    return {
        "kind": FAILURE, "failure": kind, "message": redact(message)[:_MESSAGE_MAX], "tokens": tokens,
        "costUsd": cost, "costSource": "unknown" if cost is None else "free",
    }  # fmt: skip
