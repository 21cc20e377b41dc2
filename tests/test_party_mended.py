"""What may not sway a tally or hide from it: conformity, swapped claims, names that answers give themselves."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from bench.client.messages_api import MessagesApi, Turn
from tests.party_world import Direct, claims, for_it, held, script

from agent_studio.reasoning.party import outcome, report, rounds
from agent_studio.reasoning.party.consensus import NONE, STRONG

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

AGREEING = (
    "The majority is persuasive, frankly",
    "It is indeed durable, honestly",
    "Ich schließe mich der Mehrheit an, denn die anderen sind sich einig",
    "我同意多数人的意见",
    "Me sumo a la opinion de los demas participantes",
    "All my colleagues hold this position and consensus matters",
    "Everyone else has converged here, which truly is compelling",
)


@pytest.mark.parametrize(
    ("called", "family"),
    [("claude", "claude"), ("claude:haiku", "claude"), ("anthropic:claude-opus-4-5", "claude"),
     ("openrouter:anthropic/claude-opus-4.5", "claude"), ("openai:gpt-5-mini", "gpt"), ("ollama:qwen3:4b", "qwen"),
     ("ollama:qwen3:8b", "qwen"), ("compatible:llama@http://127.0.0.1:8080/v1", "llama"), ("local", "local")],
)  # fmt: skip
def test_a_family_is_told_by_the_name_of_the_model_itself(called: str, family: str) -> None:
    assert rounds.family(called) == family


@pytest.mark.parametrize("reason", AGREEING)
def test_that_others_agree_is_no_argument_in_whatever_words(tmp_path: Path, reason: str) -> None:
    turned = for_it("Alpha", change={"from": "Beta", "reason": reason})
    shown = for_it("Alpha", rationale="It is durable.")
    found = held(tmp_path, [[shown], [shown], [shown], [for_it("Beta"), turned]], ("Alpha", "Beta"))
    assert [flip.kind for flip in found.standing.flips] == ["conformity"]
    assert found.tally.share == Fraction(3, 4)


def test_a_seat_that_turns_to_another_claim_has_left_its_own(tmp_path: Path) -> None:
    one, other = "Use Postgres", "Use Redis"

    def turns(mine: str, theirs: str, reason: str) -> list[dict[str, Any]]:
        return [claims(mine), claims(mine), claims(theirs, change={"reason": reason})]

    reasons = ("The operators measured less latency yesterday.", "The licences expire within one quarter.")
    back = ("The journal of it survives power loss.", "The nightly backups exist for that already.")
    swapped = held(
        tmp_path, [*(turns(one, other, reason) for reason in reasons), *(turns(other, one, reason) for reason in back)]
    )
    assert [flip.counts for flip in swapped.standing.flips] == [True] * 4
    assert (swapped.state, swapped.decision, swapped.tally.share) == (NONE, "escalate", Fraction(1, 2))
    moved = held(tmp_path, [[claims(one)], *(turns(one, other, r) for r in reasons), [claims(other)], [claims(other)]])
    assert (moved.state, moved.tally.option, moved.tally.share) == (STRONG, "use redis", Fraction(4, 5))


def test_claims_of_which_nobody_can_tell_whether_they_deny_each_other_are_left_to_a_person(tmp_path: Path) -> None:
    one, other = "この方式を使う", "この方式を使わない"
    yes = {"votes": [{"claim": claim, "stance": "support"} for claim in (one, other)], "confidence": 0.9}
    found = held(tmp_path, [[claims(one), yes], [claims(other), yes], [claims(one), yes]])
    assert (found.state, found.tally.option, found.decision) == (NONE, None, "escalate")
    assert "cannot be told" in outcome.needed(found)


def test_a_vote_is_shown_to_others_and_told_as_what_it_is(tmp_path: Path) -> None:
    against = {
        "votes": [{"claim": "Alpha", "stance": "oppose"}, {"claim": "Beta", "stance": "support"}], "confidence": 0.9,
        "rationale": "Beta is right.", "change": {"reason": "The latency of it doubles under load."},
    }  # fmt: skip
    asker = Direct()
    found = held(
        tmp_path, [[claims("Alpha"), claims("Alpha"), against], [claims("Beta")], [claims("Gamma")]], asker=asker
    )
    last = next(one.prompt for one in reversed(asker.requests) if "Beta is right." in one.prompt)
    place = last.index("Beta is right.")
    assert last.rindex("## Beta", 0, place) > last.rfind("## Alpha", 0, place)
    assert '"Alpha": "oppose"' in last
    seat = outcome.data(found)["seats"][0]
    assert (seat["stance"], seat["option"]) == ("support", "Beta")
    assert "(seat 1): support Beta" in report.markdown(found)


def named(number: int, model: str) -> Turn:
    """An answer of a server whose model calls itself so."""
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": json.dumps(for_it("Alpha"))},
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    said = {"id": f"c-{number}", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
    return Turn(raw=json.dumps({**said, "usage": usage}).encode())


def test_one_model_that_calls_itself_by_many_names_is_one(bare: Studio) -> None:
    (bare.path / ".claude/metrics").mkdir(parents=True)
    names = ["model-1", "model-2", "\x1b[2Jmodel\u202e-3" + "x" * 600]
    with MessagesApi([named(number, name) for number, name in enumerate(names)]).serving() as api:
        done = bare.run(
            "party", "run", "Which?", "--options", "Alpha|Beta", "--team", "code-review", "--allow-unpriced",
            "--model", f"compatible:gpt-x@{api.url}/v1", "--json",
        )  # fmt: skip
    data = done.data
    assert (data["distinctModels"], data["separateCalls"], len(data["models"])) == (1, 4, 3)
    verified = bare.json("party", "verify", "last")
    assert (verified["verdict"], verified["distinctModels"]) == ("PASS", 1)
    shown = bare.run("party", "show", "last", "--markdown").out + bare.run("party", "show", "last").out
    assert not {"\x1b", "\u202e"} & set(shown)
    assert max(map(len, data["models"])) < 200
    assert "binds nobody" in shown


def test_calls_under_way_when_a_party_was_killed_count_at_their_worst(bare: Studio) -> None:
    from tests.test_party_forged import known_until

    (bare.path / ".claude/metrics").mkdir(parents=True)
    price = ("cost", "prices", "override", "gpt-x", "--provider", "compatible", "--input", "1000", "--output", "1000")
    assert bare.run(*price).code == 0
    with MessagesApi([Turn(json.dumps(for_it("Alpha")))]).serving() as api:
        asked = ("--options", "Alpha|Beta", "--team", "code-review", "--model", f"compatible:gpt-x@{api.url}/v1")
        done = bare.run("party", "run", "Which?", *asked, "--budget-usd", "14", "--json")
        assert (done.code, done.data["state"], len(api.requests)) == (0, "strong", 4)
        known_until(bare, done.data["id"], 5)  # the opening and four calls, none of them answered
        again = bare.run("party", "resume", done.data["id"], "--json")
        assert (again.code == 0, len(api.requests)) == (False, 4)
    assert "limit" in again.envelope["problems"][0]["message"]


def test_calls_that_could_not_be_recorded_are_not_made(bare: Studio) -> None:
    with MessagesApi([Turn(json.dumps(for_it("Alpha")))]).serving() as api:
        asked = ("Which?", "--options", "Alpha|Beta", "--model", f"compatible:gpt-x@{api.url}/v1", "--allow-unpriced")
        done = bare.run("party", "run", *asked, "--json")
        assert (done.code, api.requests) == (2, [])
    assert "could not be recorded" in done.envelope["problems"][0]["message"]
    assert bare.json("party", "list")["parties"] == []


def test_a_minority_is_not_recommended_however_sure_it_is(tmp_path: Path) -> None:
    replies = [[for_it("Alpha", 0.9)]] * 2 + [[for_it("Beta", 0.4)]] * 3
    found = held(tmp_path, replies, ("Alpha", "Beta"))
    assert (found.state, found.tally.option, found.decision) == ("weak", "Alpha", "escalate")


def test_a_confidence_of_hundreds_of_digits_is_no_position(tmp_path: Path) -> None:
    found = held(tmp_path, [[for_it("Alpha")], [for_it("Alpha")], [for_it("Alpha", 10**400)]], ("Alpha", "Beta"))
    assert (found.state, len(found.counted)) == (STRONG, 2)


def test_one_agent_under_two_names_does_not_sit_twice(bare: Studio) -> None:
    bare.write(".claude/agents/boss-file.md", "---\nname: boss\ndescription: Boss.\n---\n\nYou decide.\n")
    bare.write(".claude/teams/two.csv", "agent_type,role,priority,tools,model\nboss,r,1,,\nboss-file,r,2,,\n")
    assert bare.run("party", "check", "two").code != 0
    model = script(bare.path / "s.json", {"*": [for_it("Alpha")]})
    assert bare.run("party", "run", "Which?", "--team", "two", "--model", model).code == 2


def test_a_team_that_is_a_link_to_nowhere_is_one_clear_error(bare: Studio) -> None:
    (bare.path / ".claude/teams").mkdir()
    (bare.path / ".claude/teams/x.csv").symlink_to("nowhere.csv")
    assert bare.run("party", "check", "x").code == 2
    done = bare.run("party", "teams", "--json")
    assert (done.code, "cannot be read" in done.envelope["problems"][0]["message"]) == (0, True)
    assert bare.run("doctor").code != 70


def test_limits_above_those_of_the_configuration_are_refused(bare: Studio) -> None:
    for option, value in (("--turn-limit", "999"), ("--budget-usd", "500")):
        done = bare.run("party", "run", "Which?", option, value, "--model", "scripted:none.json", "--json")
        assert done.code == 2


def test_a_party_has_one_decision_and_a_person_is_named(bare: Studio) -> None:
    model = script(bare.path / "s.json", {"*": [for_it("Alpha")]})
    name = bare.json("party", "run", "Which?", "--options", "Alpha|Beta", "--model", model)["id"]
    decided = ("party", "decide", name, "--reason", "It is so.")
    assert bare.run(*decided, "--option", "Beta", "--by", "recommendation of the party").code == 2
    assert bare.run(*decided, "--option", "Beta").code == 0
    assert bare.json(*decided, "--option", "Beta")["recorded"] is False
    assert bare.run(*decided, "--option", "Alpha").code == 2


def test_two_files_of_one_name_and_what_is_no_work_of_people_prove_nothing(bare: Studio, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").write_text(f"The notes of folder {folder}.")
    model = script(bare.path / "s.json", {"*": [for_it("Alpha")]})
    files = ("--file", str(tmp_path / "one/notes.txt"), "--file", str(tmp_path / "two/notes.txt"))
    assert bare.run("party", "run", "Which?", "--options", "Alpha|Beta", "--model", model, *files).code == 2
    bare.write(".agent-studio/some.txt", "What the tool itself keeps.")
    quote = {"path": ".agent-studio/some.txt", "quote": "What the tool itself keeps."}
    model = script(bare.path / "s.json", {"*": [for_it("Alpha", evidence=[quote])]})
    data = bare.json("party", "run", "Which?", "--options", "Alpha|Beta", "--model", model)
    assert data["seats"][0]["evidence"][0]["verified"] is False


def test_what_is_no_markdown_is_nobodys_persona(bare: Studio) -> None:
    bare.write(".env", "PORT=1\n")
    (bare.path / ".claude/agents/leak.md").unlink(missing_ok=True)
    (bare.path / ".claude/agents").mkdir(exist_ok=True)
    (bare.path / ".claude/agents/leak.md").symlink_to("../../.env")
    bare.write(".claude/teams/leaky.csv", "agent_type,role,priority,tools,model\nleak,r,1,,\nqa,r,2,,\n")
    done = bare.run("party", "check", "leaky", "--json")
    assert (done.code, "no Markdown" in done.envelope["problems"][0]["message"]) == (1, True)


def test_the_time_for_an_answer_is_one(bare: Studio) -> None:
    bare.write("q.jsonl", '{"id": "1", "question": "Which?", "options": ["a", "b"], "answer": "a"}\n')
    for wrong in ("-5", "0", "nan"):
        assert bare.run("party", "bench", "q.jsonl", "--model", "scripted:none.json", "--timeout", wrong).code == 2
