"""A party over HTTP: answers, faults, limits and receipts of a server that speaks as OpenAI does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bench.client.messages_api import MessagesApi, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Studio

pytest.importorskip("pydantic_ai")
ANSWER = json.dumps({"option": "Alpha", "stance": "support", "confidence": 0.9, "rationale": "It fits."})


def asked(studio: Studio, turns: Sequence[Turn], *arguments: str) -> tuple[int, dict[str, Any], MessagesApi]:
    studio.write(".claude/teams/duo.csv", "agent_type,role,priority,tools,model\nqa,r,1,,\ndeveloper,r,2,,\n")
    (studio.path / ".claude/metrics").mkdir(parents=True, exist_ok=True)  # where its calls are recorded
    with MessagesApi(turns).serving() as api:
        model = f"compatible:tiny@{api.url}/v1"
        options = ("--options", "Alpha|Beta", "--team", "duo", "--model", model, "--json")
        done = studio.run("party", "run", "Which?", *options, *arguments)
    return done.code, done.envelope, api


def test_a_party_over_http_has_a_receipt_for_each_call(bare: Studio) -> None:
    code, envelope, api = asked(bare, [Turn(ANSWER)], "--allow-unpriced")
    data = envelope["data"]
    assert (code, data["state"], data["separateCalls"], len(api.requests)) == (0, "strong", 2, 2)
    assert data["costUsd"] is None
    verified = bare.json("party", "verify", data["id"])
    assert (verified["verdict"], verified["receipts"], verified["models"]) == ("PASS", 2, ["tiny"])
    personas = [json.dumps(one) for one in api.requests]
    assert len({text.count("boundary values") for text in personas}) == 2  # one of them is qa's


def test_a_model_without_a_price_is_refused_under_a_limit_before_anything_is_sent(bare: Studio) -> None:
    code, envelope, api = asked(bare, [Turn(ANSWER)])
    assert (code != 0, api.requests) == (True, [])
    assert "no price is known" in envelope["problems"][0]["message"]


@pytest.mark.parametrize(
    ("turn", "fault"),
    [
        (Turn("no JSON at all"), "malformed"),
        (Turn('{"option": "Gamma"}'), "malformed"),
        (Turn(status=500, raw=b"{}"), "unavailable"),
        (Turn(status=401, raw=b'{"error": {"message": "no"}}'), "refused"),
        (Turn(hangs_up=True), "unavailable"),
        (Turn(ANSWER, delay_s=30), "timeout"),
    ],
)
def test_a_server_that_fails_counts_for_nothing_and_the_party_ends_in_order(
    bare: Studio, turn: Turn, fault: str
) -> None:
    code, envelope, _ = asked(bare, [turn], "--allow-unpriced", "--timeout", "3" if turn.delay_s else "60")
    data = envelope["data"]
    assert (code, data["state"], data["decision"], data["separateCalls"]) == (0, "none", "escalate", 0)
    assert {one["fault"] for one in data["seats"]} == {fault}
    assert bare.json("party", "verify", data["id"])["verdict"] == "PASS"
