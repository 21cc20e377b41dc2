"""The limit of a session is kept whatever a provider claims, and every call of a model is in the ledger."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bench import budget_sessions
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.reasoning import bounds, depth
from agent_studio.reasoning.asking import Answer, Asker, BudgetError
from agent_studio.reasoning.budget import Budget
from agent_studio.reasoning.models.choice import open_model
from agent_studio.reasoning.models.model import (
    FREE,
    MALFORMED,
    PRICED,
    REPORTED,
    RESERVED,
    THROTTLED,
    TIMEOUT,
    UNAVAILABLE,
    UNKNOWN,
    ModelError,
    Reply,
    Request,
    Usage,
)
from agent_studio.reasoning.models.replay import recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Studio

ASKED = Request("architect", "You are X.", "A or B?", max_output_tokens=1_000)
KNOWN = "claude-haiku-4-5"
"""1 USD a million tokens in, 5 out."""
TOKEN = "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass
class Told:
    """A model that does as it is told: replies, or the errors that are raised."""

    outcomes: list[Reply | ModelError] = field(default_factory=list)
    model: str = KNOWN
    provider: str = "anthropic"
    is_free: bool = False
    delay_s: float = 0.0
    asked: list[Request] = field(default_factory=list)
    name: str = "anthropic:told"

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(self.delay_s)
        outcome = self.outcomes[min(len(self.asked), len(self.outcomes)) - 1]
        if isinstance(outcome, ModelError):
            raise outcome
        return outcome

    async def close(self) -> None: ...


def said(**more: Any) -> Reply:
    return Reply(**{
        "text": "yes", "data": None, "model": KNOWN, "provider": "anthropic", "usage": Usage(1_000, 100),
        "cost_source": PRICED, "request_id": "req_1", **more,
    })  # fmt: skip


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / ".claude/metrics").mkdir(parents=True)
    return open_context(Project(tmp_path.resolve()), choose_environment("development", {}), {})


@pytest.fixture
def asker(context: Context) -> Callable[..., Asker]:
    def make(limit: str | None = "1", **more: Any) -> Asker:
        amount = None if limit is None else Decimal(limit)
        return Asker(context, limit_usd=amount, purpose="party", session="p-1", **more)

    return make


def ask(asker: Asker, model: Any, request: Request = ASKED) -> Answer:
    return asyncio.run(asker.ask(model, request))


def ledger(context: Context) -> list[dict[str, Any]]:
    place = context.project.path / ".claude/metrics/llm-usage.log"
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


# --- what is recorded -----------------------------------------------------------------------------------------------


def test_an_answer_is_priced_counted_and_in_the_ledger(context: Context, asker: Callable[..., Asker]) -> None:
    one = asker()
    answer = ask(one, Told([said()]))
    assert (answer.cost_usd, answer.cost_source) == (Decimal("0.0015"), PRICED)
    assert one.spent_usd == Decimal("0.0015")
    assert one.reserved_usd == 0
    (record,) = ledger(context)
    wanted = {
        "agent": "architect", "skill": "party", "taskId": "p-1", "sessionId": "p-1", "requestId": "req_1",
        "provider": "anthropic", "model": KNOWN, "inputTokens": 1_000, "outputTokens": 100, "costUsd": "0.0015",
    }  # fmt: skip
    assert {name: record[name] for name in wanted} == wanted
    assert record["priceSource"] not in {None, "given"}


def test_inside_a_client_the_record_names_the_clients_session(
    context: Context, asker: Callable[..., Asker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "outer")
    ask(asker(), Told([said()]))
    assert [(one["sessionId"], one["taskId"]) for one in ledger(context)] == [("outer", "p-1")]


def test_what_no_model_answered_is_not_in_the_ledger(context: Context, asker: Callable[..., Asker]) -> None:
    script = context.project.path / "script.json"
    script.write_text('{"replies": {"*": [{"option": "A"}]}}')
    answer = ask(asker("0"), open_model(context, f"scripted:{script}"))
    assert (answer.cost_usd, answer.cost_source) == (Decimal(0), FREE)
    assert ledger(context) == []


def test_a_free_model_is_in_the_ledger_at_no_cost_and_needs_no_budget(
    context: Context, asker: Callable[..., Asker]
) -> None:
    one = asker("0")
    ask(one, Told([said(provider="ollama", model="tiny")], model="tiny", provider="ollama", is_free=True))
    assert [(record["model"], record["costUsd"]) for record in ledger(context)] == [("tiny", "0")]
    assert one.spent_usd == 0


def test_a_reported_cost_is_taken_as_reported(context: Context, asker: Callable[..., Asker]) -> None:
    answer = ask(asker(), Told([said(cost_usd=Decimal("0.00020653500000000004"), cost_source=REPORTED)]))
    assert (answer.cost_usd, answer.cost_source) == (Decimal("0.000206535000"), REPORTED)
    assert ledger(context)[0]["costUsd"] == "0.000206535"


def test_an_answer_by_a_dearer_model_costs_what_that_one_does(asker: Callable[..., Asker]) -> None:
    dear = ask(asker(), Told([said(model="claude-opus-4-5")])).cost_usd
    assert dear is not None
    assert dear > Decimal("0.0015")
    assert ask(asker(), Told([said(model="claude-3-haiku-20240307")])).cost_usd == Decimal("0.0015")


def test_a_call_that_fails_with_known_usage_is_counted_and_recorded(
    context: Context, asker: Callable[..., Asker]
) -> None:
    one = asker()
    with pytest.raises(ModelError):
        ask(one, Told([ModelError("no JSON", kind=MALFORMED, usage=Usage(1_000, 100))]))
    assert one.spent_usd == Decimal("0.0015")
    assert len(ledger(context)) == 1


def test_a_full_disk_does_not_lose_an_answer_that_was_paid_for(context: Context, asker: Callable[..., Asker]) -> None:
    one = asker()
    (context.project.path / ".claude/metrics").rmdir()
    assert ask(one, Told([said()])).reply.text == "yes"
    assert len(one.unrecorded) == 1


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_secrets_are_labels_before_anything_is_sent(asker: Callable[..., Asker]) -> None:
    model = Told([said()])
    answer = ask(asker(), model, Request("a", f"You hold {TOKEN}.", f"Use {TOKEN}!"))
    assert model.asked == [answer.sent]
    assert TOKEN not in answer.sent.system + answer.sent.prompt
    assert "[REDACTED:" in answer.sent.system


def test_what_is_no_character_is_sent_as_a_question_mark(asker: Callable[..., Asker]) -> None:
    request = Request("a", "", "half a pair: \ud800")
    assert ask(asker(), Told([said()]), request).sent.prompt == "half a pair: ?"
    assert len(request.sha256) == 64


def test_a_request_is_never_longer_in_tokens_than_its_bound() -> None:
    request = Request("a", "ü" * 10, "語" * 10, schema={"type": "object", "title": "é"})
    assert bounds.input_tokens(request, 0) >= 20 + 30 + len('{"type": "object", "title": "é"}')


def test_inside_a_model_that_is_asked_nobody_is_asked(
    asker: Callable[..., Asker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(depth.VARIABLE, "1")
    with pytest.raises(UsageError, match="inside a model"):
        asker()


def test_commands_go_on_inside_a_model_that_is_asked(bare: Studio) -> None:
    assert bare.run("status", variables={depth.VARIABLE: "1"}).code == 0


# --- the limit ------------------------------------------------------------------------------------------------------


def test_a_call_that_could_pass_the_limit_is_not_made(asker: Callable[..., Asker]) -> None:
    model = Told([said()])
    one = asker("0.005")
    with pytest.raises(BudgetError, match=r"limit is 0\.005 USD"):
        ask(one, model)
    assert model.asked == []
    assert one.spent_usd + one.reserved_usd == 0


def test_a_budget_of_nothing_refuses_what_costs_and_allows_what_is_free(asker: Callable[..., Asker]) -> None:
    with pytest.raises(BudgetError):
        ask(asker("0"), Told([said()]))
    assert ask(asker("0"), Told([said()], is_free=True)).cost_usd == 0


def test_a_model_without_a_price_is_refused_under_a_limit_unless_allowed(
    context: Context, asker: Callable[..., Asker]
) -> None:
    model = Told([said(model="nobodys")], model="nobodys", provider="house")
    with pytest.raises(BudgetError, match="no price is known") as caught:
        ask(asker(allow_unpriced=False), model)
    assert "--allow-unpriced" in caught.value.hint
    assert model.asked == []
    for one in (asker(allow_unpriced=True), asker(None)):
        answer = ask(one, model)
        assert (answer.cost_usd, answer.cost_source) == (None, UNKNOWN)
    assert [record["costUsd"] for record in ledger(context)] == [None, None]


def test_what_an_interrupted_part_spent_counts(asker: Callable[..., Asker]) -> None:
    one = asker("0.02")
    one.already(Decimal("0.015"))
    with pytest.raises(BudgetError):
        ask(one, Told([said()]))


def test_calls_at_once_cannot_pass_the_limit_together(asker: Callable[..., Asker]) -> None:
    model = Told([said(usage=Usage(4_000, 1_000))], delay_s=0.01)
    limit = 3 * (asker().worst_usd(model, ASKED) or 0)
    one = asker(str(limit))

    async def five() -> list[Any]:
        return await asyncio.gather(*(one.ask(model, ASKED) for _ in range(5)), return_exceptions=True)

    results = asyncio.run(five())
    assert sum(isinstance(result, BudgetError) for result in results) == 2
    assert len(model.asked) == 3
    assert 0 < one.spent_usd <= limit


@pytest.mark.parametrize("claim", [
    said(usage=Usage()), said(usage=Usage(1_000, 0)), said(usage=Usage(0, 100)), said(usage=Usage(-5, 100)),
    said(usage=Usage(5, 10**18)), said(cost_usd=Decimal(-1), cost_source=REPORTED),
    said(cost_usd=Decimal("NaN"), cost_source=REPORTED), said(cost_usd=None, cost_source=REPORTED),
])  # fmt: skip
def test_a_claim_that_cannot_be_is_taken_for_the_worst_case(
    context: Context, asker: Callable[..., Asker], claim: Reply
) -> None:
    one = asker()
    worst = one.worst_usd(Told(), ASKED)
    answer = ask(one, Told([claim]))
    assert (answer.cost_usd, answer.cost_source) == (worst, RESERVED)
    assert ledger(context)[0]["priceSource"] == RESERVED


def test_usage_of_a_kind_without_a_price_is_taken_for_the_worst_case(context: Context) -> None:
    price = {"model": "house-model", "provider": "house", "inputUsd": 1, "outputUsd": 5}
    overrides = [f"cost.prices={json.dumps([price])}"]
    own = open_context(context.project, context.choice, {}, overrides)
    asker = Asker(own, limit_usd=Decimal(1), purpose="party", session="p-1")
    cached = said(model="house-model", usage=Usage(1, 1, 0, 10**6))
    model = Told([cached], model="house-model", provider="house")
    assert ask(asker, model).cost_source == RESERVED
    assert asker.spent_usd == asker.worst_usd(model, ASKED)


@pytest.mark.parametrize("claim", ["7", "1e30", "Infinity"])
def test_a_cost_above_the_worst_case_is_believed_and_nothing_more_is_asked(
    asker: Callable[..., Asker], claim: str
) -> None:
    one, model = asker(), Told([said(cost_usd=Decimal(claim), cost_source=REPORTED)])
    ask(one, model)
    assert one.spent_usd >= 7
    with pytest.raises(BudgetError):
        ask(one, model)
    assert len(model.asked) == 1


@pytest.mark.parametrize(("error", "is_counted"), [
    (ModelError("gone", kind=UNAVAILABLE), True),
    (ModelError("refused", kind=UNAVAILABLE, is_owed=False), False),
    (ModelError("odd", kind=MALFORMED, usage=Usage(-1, 5)), True),
])  # fmt: skip
def test_a_failure_costs_the_worst_case_unless_nothing_can_be_owed(
    asker: Callable[..., Asker], error: ModelError, *, is_counted: bool
) -> None:
    one = asker()
    with pytest.raises(ModelError):
        ask(one, Told([error]))
    assert one.spent_usd == (one.worst_usd(Told(), ASKED) if is_counted else 0)
    assert one.reserved_usd == 0


def test_a_model_that_hangs_is_left_and_counted_at_its_worst(asker: Callable[..., Asker]) -> None:
    one = asker()
    with pytest.raises(ModelError) as caught:
        ask(one, Told([said()], delay_s=5), replace(ASKED, timeout_s=0.05))
    assert caught.value.kind == TIMEOUT
    assert one.spent_usd == one.worst_usd(Told(), ASKED)


def test_a_call_that_is_cancelled_is_counted_at_its_worst(asker: Callable[..., Asker]) -> None:
    one = asker()

    async def cancelled() -> None:
        task = asyncio.create_task(one.ask(Told([said()], delay_s=5), ASKED))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert one.spent_usd == one.worst_usd(Told(), ASKED)
    assert one.reserved_usd == 0


def test_a_provider_that_throttles_is_asked_again_a_bounded_number_of_times(asker: Callable[..., Asker]) -> None:
    slow = ModelError("slow", kind=THROTTLED, is_owed=False, retry_after_s=0)
    one, patient = asker(), Told([slow, said()])
    assert ask(one, patient).reply.text == "yes"
    assert one.calls == 2
    never = Told([slow])
    with pytest.raises(ModelError, match="slow"):
        ask(one, never)
    assert len(never.asked) == 3
    late = Told([ModelError("slow", kind=THROTTLED, is_owed=False, retry_after_s=3_600)])
    with pytest.raises(ModelError, match="slow"):
        ask(one, late)
    assert len(late.asked) == 1


def test_a_program_with_a_budget_of_its_own_is_given_half_of_what_is_set_aside(asker: Callable[..., Asker]) -> None:
    class Client(Told):
        most = Decimal(0)

        async def complete_within(self, request: Request, most_usd: Decimal) -> Reply:
            self.most = most_usd
            return await self.complete(request)

    one, client = asker(), Client([said()])
    ask(one, client)
    assert client.most > (one.worst_usd(Told(), ASKED) or 0)
    assert one.worst_usd(client, ASKED) == 2 * client.most


def test_a_recording_of_such_a_program_keeps_its_budget(
    context: Context, asker: Callable[..., Asker], tmp_path: Path
) -> None:
    class Client(Told):
        async def complete_within(self, request: Request, most_usd: Decimal) -> Reply:
            return await self.complete(replace(request, nonce=str(most_usd)))

    client, tape = Client([said()]), tmp_path / "tape.jsonl"
    taped, one = recording(str(tape), client), asker()
    ask(one, taped)
    assert client.asked[0].nonce
    assert one.worst_usd(taped, ASKED) == one.worst_usd(client, ASKED)
    assert ask(one, open_model(context, f"replay:{tape}")).cost_usd == 0
    assert len(ledger(context)) == 1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 80)), max_size=30), st.integers(0, 200))
def test_spent_and_set_aside_never_pass_a_limit_together(steps: list[tuple[int, int]], limit: int) -> None:
    """Each step wants some and takes at most that; those taken later are settled later."""
    budget, open_ = Budget(Decimal(limit)), []
    for worst, used in steps:
        try:
            budget.reserve(Decimal(worst))
        except BudgetError:
            assert budget.spent_usd + budget.reserved_usd + worst > limit
        else:
            open_.append((worst, min(worst, used)))
        assert budget.spent_usd + budget.reserved_usd <= limit
        if used % 2 and open_:
            budget.settle(*map(Decimal, open_.pop(0)))
    for worst, used in open_:
        budget.settle(Decimal(worst), Decimal(used))
    assert budget.reserved_usd == 0
    assert budget.spent_usd <= limit


def test_no_random_session_passes_its_limit() -> None:
    seen = budget_sessions.sessions(25, 7)
    assert seen.faults == []
    assert seen.calls > 100
    assert seen.refused > 0
