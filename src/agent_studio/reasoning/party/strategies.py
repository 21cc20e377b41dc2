"""Four ways to an answer at the same number of calls: what a party is worth has to be measured against the others.

A question is a line of JSON: `{"id", "question", "options": [...], "answer": one of them}`. With a team of n seats each
way may make 2n calls: one call alone is shown beside them as what a single answer is worth.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import UsageError
from agent_studio.reasoning.models.model import ModelError
from agent_studio.reasoning.party import consensus, unkept
from agent_studio.reasoning.party.opening import OPTIONS_MAX
from agent_studio.reasoning.party.words import normal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_studio.reasoning.asking import Answer
    from agent_studio.reasoning.models.model import Model, Request
    from agent_studio.reasoning.party.outcome import Outcome
    from agent_studio.reasoning.party.prompts import Private
    from agent_studio.reasoning.party.session import Asking

SINGLE, CONSISTENCY, VOTE, PARTY = "single", "self-consistency", "blind vote", "party"
STRATEGIES = (SINGLE, CONSISTENCY, VOTE, PARTY)
QUESTIONS_MAX = 10_000
_PLAIN = "assistant"


class Question(NamedTuple):
    """A question whose answer is known."""

    id: str
    question: str
    options: tuple[str, ...]
    answer: str


@dataclass
class Score:
    """What a way came to over all questions."""

    strategy: str
    right: int = 0
    wrong: int = 0
    none: int = 0
    """Questions without an answer: a tie, or nobody who spoke for an option."""
    calls: int = 0
    cost_usd: Decimal | None = Decimal(0)
    by_state: dict[str, list[int]] = field(default_factory=dict)
    """Of a party: right and all answers, by state of the consensus."""

    @property
    def questions(self) -> int:
        """How many were asked."""
        return self.right + self.wrong + self.none


@dataclass(frozen=True)
class Table:
    """Who answers."""

    seats: tuple[Mapping[str, Any], ...]
    """As `unkept.session` takes them."""
    models: Mapping[int, Model]
    own: Mapping[int, Private]
    plain: Private
    """The persona of who answers alone."""
    timeout_s: float


class _Counting:
    """Counts calls, and what they cost, of one way."""

    def __init__(self, asker: Asking, score: Score) -> None:
        self._asker, self._score = asker, score

    async def ask(self, model: Model, request: Request) -> Answer:
        self._score.calls += 1
        try:
            answer = await self._asker.ask(model, request)
        except ModelError as error:
            known = model.is_free or not error.is_owed
            self._add(Decimal(0) if known else error.cost_usd)
            raise
        self._add(answer.cost_usd)
        return answer

    def worst_usd(self, model: Model, request: Request) -> Decimal | None:
        return self._asker.worst_usd(model, request)

    def _add(self, cost: Decimal | None) -> None:
        known = self._score.cost_usd
        self._score.cost_usd = None if cost is None or known is None else known + cost


def read(text: str, name: str) -> list[Question]:
    """Return the questions of a JSONL file; raise `UsageError` that names the line that is wrong."""
    found = [
        _question(line, f"{name}:{number}") for number, line in enumerate(text.splitlines(), start=1) if line.strip()
    ]
    if not found:
        raise UsageError(f"{name} has no questions", hint=_SHAPE)
    if len(found) > QUESTIONS_MAX:
        raise UsageError(
            f"{name} has {len(found):,} questions, more than {QUESTIONS_MAX:,}", hint="take a part of them"
        )
    return found


async def compared(
    questions: Sequence[Question], table: Table, asker: Asking, wanted: Sequence[str], tell: Callable[[int, int], None]
) -> list[Score]:
    """Ask every question in every way; raise `BudgetError` where the limit is reached, and nothing is compared then."""
    scores = {name: Score(name) for name in wanted}
    for number, question in enumerate(questions):
        for name, score in scores.items():
            await _WAYS[name](question, table, _Counting(asker, score), score)
        tell(number + 1, len(questions))
    return list(scores.values())


async def _single(question: Question, table: Table, asker: Asking, score: Score) -> None:
    _judge(score, question, _majority(await _samples(question, table, asker, 1)))


async def _consistency(question: Question, table: Table, asker: Asking, score: Score) -> None:
    """Ask one and the same persona again and again, and take what comes most often."""
    _judge(score, question, _majority(await _samples(question, table, asker, 2 * len(table.seats))))


async def _vote(question: Question, table: Table, asker: Asking, score: Score) -> None:
    """Ask every seat twice, blind, and count."""
    twice = [await _held(question, table, asker, 1) for _ in range(2)]
    ballots = [ballot for found in twice for ballot in found.standing.ballots.values()]
    _judge(score, question, consensus.count(ballots, seats=2 * len(table.seats)).option)


async def _party(question: Question, table: Table, asker: Asking, score: Score) -> None:
    """Hold a party of two rounds at most."""
    found = await _held(question, table, asker, 2)
    answer = found.tally.option
    _judge(score, question, answer)
    right, whole = score.by_state.setdefault(found.state, [0, 0])
    score.by_state[found.state] = [right + (answer == question.answer), whole + (answer is not None)]


async def _samples(question: Question, table: Table, asker: Asking, count: int) -> list[str]:
    """Return the answers of so many calls with a plain persona, asked of the seats' models in turn."""
    models = list(table.models.values())
    seats = [{"agent": _PLAIN} for _ in range(count)]
    begun = unkept.session(question.question, question.options, seats, turn_limit=1, seed=_seed(question))
    numbers = range(1, count + 1)
    found = await unkept.hold(
        begun, asker, {n: models[(n - 1) % len(models)] for n in numbers}, dict.fromkeys(numbers, table.plain),
        timeout_s=table.timeout_s,
    )  # fmt: skip
    held = (turn.position for _, turn in sorted(found.standing.turns.items()))
    return [one.option for one in held if one is not None and one.stance == consensus.SUPPORT]


async def _held(question: Question, table: Table, asker: Asking, turns: int) -> Outcome:
    begun = unkept.session(question.question, question.options, table.seats, turn_limit=turns, seed=_seed(question))
    return await unkept.hold(begun, asker, table.models, table.own, timeout_s=table.timeout_s)


def _judge(score: Score, question: Question, answer: str | None) -> None:
    if answer is None:
        score.none += 1
    elif answer == question.answer:
        score.right += 1
    else:
        score.wrong += 1


def _majority(answers: Sequence[str]) -> str | None:
    counted = Counter(answers).most_common(2)
    is_tied = len(counted) > 1 and counted[0][1] == counted[1][1]
    return counted[0][0] if counted and not is_tied else None


def _seed(question: Question) -> str:
    return hashlib.sha256(question.id.encode()).hexdigest()[:32]


_SHAPE = '{"id": "1", "question": "...", "options": ["A", "B"], "answer": "B"}, one a line'
_WAYS = {SINGLE: _single, CONSISTENCY: _consistency, VOTE: _vote, PARTY: _party}


def _question(line: str, place: str) -> Question:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is no JSON: {error}", hint=_SHAPE) from None
    options = said.get("options") if isinstance(said, dict) else None
    text = said.get("question") if isinstance(said, dict) else None
    if not isinstance(text, str) or not text.strip() or not isinstance(options, list):
        raise UsageError(f"{place} has no question with options", hint=_SHAPE)
    if not all(isinstance(one, str) and one.strip() for one in options) or not 1 < len(options) <= OPTIONS_MAX:
        raise UsageError(f"{place} has {len(options)} options", hint=f"from two to {OPTIONS_MAX} texts")
    known = {normal(one): one for one in options}
    if len(known) < len(options) or normal(str(said.get("answer"))) not in known:
        raise UsageError(f"{place}: its answer is none of its options, or two are the same", hint=_SHAPE)
    return Question(str(said.get("id", place)), text.strip(), tuple(options), known[normal(str(said["answer"]))])
