"""A run: methods look at a draft, each on its own, and what they find goes through the gate before it is offered.

Which calls are made, in which order and for how much is decided here; a model fills in findings and verdicts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError
from agent_studio.reasoning.asking import sendable
from agent_studio.reasoning.elicitation import findings, gate, prompts, store
from agent_studio.reasoning.elicitation.methods import FACTORED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.asking import Asker
    from agent_studio.reasoning.elicitation.draft import Draft
    from agent_studio.reasoning.elicitation.findings import Finding, Taken
    from agent_studio.reasoning.elicitation.methods import Method
    from agent_studio.reasoning.models.model import Model, Request

AT_ONCE = 5
_PASSAGE = 1_500
"""Characters on either side of a change that the judge sees."""


class Task(NamedTuple):
    """What a run is to do."""

    id: str
    draft: Draft
    methods: Sequence[Method]
    goal: str
    judged: bool
    """Whether a judge compares what passed the checks."""


class _Met(NamedTuple):
    """What one method came to."""

    method: Method
    taken: Taken | None
    fault: str
    """Why it came to nothing, else empty."""


class Running:
    """One run under way."""

    def __init__(self, context: Context, task: Task, asker: Asker, model: Model) -> None:
        self._context, self._task, self._asker, self._model = context, task, asker, model
        self._places = asyncio.Semaphore(AT_ONCE)
        self._before_usd = asker.spent_usd
        self._unpriced = 0
        self._calls = 0

    async def run(self) -> str:
        """Do it, note everything as it comes, and return how it ended."""
        status = store.STOPPED
        counts: dict[str, dict[str, int]] = {one.id: {} for one in self._task.methods}
        try:
            met = await asyncio.gather(*(self._meet(method) for method in self._task.methods))
            found = [one for part in met if part.taken for one in _by_severity(part.taken.findings)]
            await self._judge_and_note(found, counts)
            for part in met:
                self._note_refused(part)
            status = store.DONE if any(part.taken for part in met) else store.FAILED
        finally:
            cost = str(self._asker.spent_usd - self._before_usd)
            ended = {"status": status, "calls": self._calls, "costUsd": cost, "unpriced": self._unpriced}
            store.settle(self._context, self._task.id, store.ENDED, {**ended, "methods": counts})
        return status

    async def _meet(self, method: Method) -> _Met:
        """Ask a method; what fails is said and stops no other."""
        text, goal = self._task.draft.part, self._task.goal
        try:
            answers = await self._answers(method, text) if method.protocol == FACTORED else ()
            data = await self._ask(prompts.examine(method, text, goal, answers), method.id)
            return _Met(method, findings.taken(method.id, data), "")
        except AgentStudioError as error:
            return _Met(method, None, f"{error.message} ({error.hint})" if error.hint else error.message)
        except ValueError as error:
            return _Met(method, None, str(error))

    async def _answers(self, method: Method, text: str) -> list[tuple[str, str]]:
        """Have a text's claims turned into questions, and these answered by somebody who does not see it."""
        questions = prompts.texts(await self._ask(prompts.ask(method, text), method.id), "questions")
        if not questions:
            return []
        given = prompts.texts(await self._ask(prompts.answer(method, questions), method.id), "answers")
        answers = [*given, *["unknown"] * len(questions)]
        return list(zip(questions, answers[: len(questions)], strict=True))

    async def _judge_and_note(self, found: list[Finding], counts: dict[str, dict[str, int]]) -> None:
        """Check every change, have those that are sound judged, and note the findings in their order."""
        draft = self._task.draft
        unsound = [list(gate.faults(draft, one.fix)) if one.fix else [] for one in found]
        sound = [one.fix is not None and not faults for one, faults in zip(found, unsound, strict=True)]
        judged = await asyncio.gather(
            *(self._judge(one) for one, is_sound in zip(found, sound, strict=True) if is_sound and self._task.judged)
        )
        verdicts = iter(judged)
        for number, (one, faults, is_sound) in enumerate(zip(found, unsound, sound, strict=True), 1):
            verdict = next(verdicts) if is_sound and self._task.judged else None
            state = _state(one, faults, verdict)
            store.note(self._context, self._task.id, store.FINDING, _record(number, one, state, faults, verdict, draft))
            counts[one.method][state] = counts[one.method].get(state, 0) + 1

    async def _judge(self, finding: Finding) -> tuple[bool, list[str]]:
        """Have the passage compared with and without a change, in both orders; only twice better is better."""
        before, after = self._passages(finding)
        asked = (self._verdict(before, after, finding.method), self._verdict(after, before, finding.method))
        orders = list(await asyncio.gather(*asked))
        return orders == ["B", "A"], orders

    async def _verdict(self, first: str, second: str, method: str) -> str:
        try:
            data = await self._ask(prompts.compare(first, second), method)
        except AgentStudioError as error:
            return f"none: {error.message}"
        verdict = str((data or {}).get("verdict"))
        return verdict if verdict in prompts.VERDICTS else "none: no verdict"

    def _passages(self, finding: Finding) -> tuple[str, str]:
        if finding.fix is None:
            raise ValueError("only a change can be judged")
        draft, fix = self._task.draft, finding.fix
        at = draft.text.index(fix.quote)
        end = at + len(fix.quote)
        left = draft.text[max(at - _PASSAGE, draft.start) : at]
        right = draft.text[end : min(end + _PASSAGE, draft.end)]
        return f"{left}{fix.quote}{right}", f"{left}{fix.replacement}{right}"

    async def _ask(self, request: Request, method: str) -> Mapping[str, Any] | None:
        """Ask once and note the call; a call that failed is noted, too."""
        async with self._places:
            request = sendable(request)
            noted = {"agent": request.agent, "method": method, "request": request.sha256, "costUsd": None}
            try:
                answer = await self._asker.ask(self._model, request, begun=lambda: self._note_asked(request))
            except AgentStudioError as error:
                self._note_call({**noted, "error": error.message, "sent": getattr(error, "was_sent", False)})
                raise
            reply = answer.reply
            cost = None if answer.cost_usd is None else str(answer.cost_usd)
            self._note_call({
                **noted, "sent": True, "costUsd": cost, "costSource": answer.cost_source, "model": reply.model,
                "provider": reply.provider, "reply": reply.sha256, "receipt": reply.request_id,
                "usage": reply.usage._asdict(), "durationMs": round(reply.duration_ms, 1),
            })  # fmt: skip
            return reply.data

    def _note_asked(self, request: Request) -> None:
        worst = self._asker.worst_usd(self._model, request)
        asked = {"request": request.sha256, "worstUsd": None if worst is None else str(worst)}
        store.note(self._context, self._task.id, store.ASKED, asked)

    def _note_call(self, record: Mapping[str, Any]) -> None:
        store.note(self._context, self._task.id, store.CALL, record)
        self._calls += record["sent"]
        self._unpriced += record["costUsd"] is None and "error" not in record

    def _note_refused(self, part: _Met) -> None:
        for reason in [part.fault] if part.fault else part.taken.refused if part.taken else []:
            record = {"method": part.method.id, "reason": reason, "failed": bool(part.fault)}
            store.note(self._context, self._task.id, store.REFUSED, record)


def _by_severity(found: Sequence[Finding]) -> list[Finding]:
    return sorted(found, key=lambda one: findings.SEVERITIES.index(one.severity))


def _state(finding: Finding, faults: Sequence[str], verdict: tuple[bool, list[str]] | None) -> str:
    if finding.fix is None:
        return store.ADVICE
    if faults:
        return store.UNSOUND
    return store.OFFERED if verdict is None or verdict[0] else store.KEPT


def _record(
    number: int, one: Finding, state: str, faults: Sequence[str], verdict: tuple[bool, list[str]] | None, draft: Draft
) -> dict[str, Any]:
    return {
        "number": number, "method": one.method, "claim": one.claim, "problem": one.problem, "severity": one.severity,
        "confidence": one.confidence, "fix": one.fix._asdict() if one.fix else None, "state": state,
        "evidence": [
            {"quote": quote, "verified": known}
            for quote, known in zip(one.evidence, gate.verified(draft, one.evidence), strict=True)
        ],
        "faults": list(faults), "verdicts": verdict[1] if verdict else None,
    }  # fmt: skip
