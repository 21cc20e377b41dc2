"""Parties through the command: what is asked, what comes back, what happens when something goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.party_world import claims, for_it, held, script

from agent_studio.environment import flags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.conftest import Finished, Studio

HEADER = "agent_type,role,priority,tools,model"
TRIO = ("architect", "developer", "qa")


@pytest.fixture
def table(tmp_path: Path) -> Studio:
    """A project whose default team are three built-in seats."""
    from tests.conftest import Studio as Made

    path = tmp_path / "project"
    (path / ".claude/teams").mkdir(parents=True)
    rows = "".join(f"{name},Judges,{n},,\n" for n, name in enumerate(TRIO, start=1))
    (path / ".claude/teams/default.csv").write_text(f"{HEADER}\n{rows}")
    (path / "app.py").write_text("import os\n\nLIMIT = 100  # customers a page\n")
    return Made(path)


def asked(table: Studio, replies: Mapping[str, Sequence[Mapping[str, Any]]], *arguments: str) -> Finished:
    model = script(table.path / "script.json", {name: list(map(dict, said)) for name, said in replies.items()})
    options = () if "--options" in arguments or "--open" in arguments else ("--options", "Alpha|Beta")
    rest = tuple(one for one in arguments if one != "--open")
    question = () if any(one.startswith("--question-file") for one in rest) or "@" in "".join(rest) else ("Which one?",)
    return table.run("party", "run", *question, *options, "--model", model, *rest, "--json")


def test_a_run_has_the_shape_that_programs_rely_on(table: Studio) -> None:
    done = asked(table, {"*": [for_it("Alpha")]})
    data = done.data
    assert (done.code, done.envelope["schema"]) == (0, "agent-studio/party-run/1")
    wanted = {
        "state": "strong", "share": 1.0, "option": "Alpha", "unweightedShare": 1.0, "flips": [], "separateCalls": 3,
        "distinctModels": 1, "simulated": False, "costUsd": 0.0, "decision": "recommend",
    }  # fmt: skip
    assert {name: data[name] for name in wanted} == wanted
    assert [
        {name: one[name] for name in ("seat", "agent", "model", "stance", "confidence")} for one in data["seats"]
    ] == [
        {"seat": n, "agent": agent, "model": "scripted", "stance": "support", "confidence": 0.9}
        for n, agent in enumerate(TRIO, start=1)
    ]
    verified = table.json("party", "verify", data["id"])
    assert (verified["verdict"], verified["separateCalls"], verified["distinctModels"]) == ("PASS", 3, 1)


def test_a_change_of_mind_without_an_argument_is_conformity_and_not_counted(table: Studio) -> None:
    done = asked(table, {"*": [for_it("Alpha")], "qa": [for_it("Beta", rationale="Old."), for_it("Alpha")]})
    (flip,) = done.data["flips"]
    assert (flip["agent"], flip["kind"], flip["counted"]) == ("qa", "conformity", False)
    assert (done.data["state"], done.data["unweightedShare"]) == ("weak", pytest.approx(2 / 3))
    assert done.data["seats"][2]["option"] == "Beta"


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({"from": "Beta", "reason": "The vendor ends support in March."}, True),
        ({"from": "Beta", "reason": ""}, False),
        ({"from": "Beta", "reason": "It fits."}, False),  # what the others were seen to say
        ({"from": "Beta", "reason": "I agree with the majority: Alpha is better."}, False),
        ({"from": "Beta", "reason": "Position 2 convinced me"}, False),
        ({"from": "Beta", "reason": "Latency doubles under load."}, True),
        ({"from": "Beta", "reason": "", "newEvidence": ["LIMIT is 100 in app.py"]}, True),
        (None, False),
    ],
)
def test_a_change_of_mind_counts_for_a_new_argument_alone(
    table: Studio, change: dict[str, Any] | None, *, counted: bool
) -> None:
    turned = for_it("Alpha", rationale="Now this.", change=change)
    done = asked(table, {"*": [for_it("Alpha")], "qa": [for_it("Beta", rationale="Old."), turned]})
    assert [one["counted"] for one in done.data["flips"]] == [counted]
    assert done.data["state"] == ("strong" if counted else "weak")
    assert done.data["blindShare"] == pytest.approx(2 / 3)


def test_quotations_are_held_against_the_files(table: Studio) -> None:
    quotes = [
        {"path": "app.py", "line": 1, "quote": "LIMIT = 100  # customers"}, {"path": "app.py", "quote": "LIMIT = 200"},
        {"path": "../script.json", "quote": "replies everywhere"}, {"path": "/etc/passwd", "quote": "root:x:0:0"},
        {"path": ".claude", "quote": "anything at all"}, {"path": "app.py", "quote": "os"},
    ]  # fmt: skip
    quotes.append({"path": "old.c", "quote": "int main(void)"})
    (table.path / "old.c").write_text("/* one */\n\f\nint main(void);\n")
    data = asked(table, {"*": [for_it("Alpha", evidence=quotes)]}).data
    assert [(one["verified"], one["line"]) for one in data["seats"][0]["evidence"]] == [
        (True, 3), (False, None), (False, None), (False, None), (False, None), (False, None), (True, 3),
    ]  # fmt: skip


def test_an_open_question_is_voted_on(table: Studio) -> None:
    votes = [{"claim": claim, "stance": "support"} for claim in ("Use Postgres", "Take PostgreSQL.")]
    yes = {"votes": votes, "confidence": 0.9, "rationale": "The same."}
    said = {
        "architect": [claims("Use Postgres"), yes], "developer": [claims("Take PostgreSQL."), yes],
        "qa": [claims("Use Postgres"), yes],
    }  # fmt: skip
    data = asked(table, said, "--open").data
    assert (data["state"], data["share"], data["separateCalls"], data["rounds"]) == ("strong", 1.0, 6, 2)


def test_questions_and_answers_in_any_script(table: Studio) -> None:
    for question, options in (
        ("どのキューを使う?", "甲|乙"),
        ("أي قاعدة بيانات؟", "نعم|لا"),
        ("Який варіант?", "Так|Ні"),
    ):
        first = options.partition("|")[0]
        model = script(table.path / "s.json", {"*": [for_it(first)]})
        data = table.json("party", "run", question, "--options", options, "--model", model)
        assert (data["question"], data["option"], data["state"]) == (question, first, "strong")
        assert question in table.run("party", "show", data["id"]).out


HOSTILE: tuple[dict[str, Any], ...] = (
    {},
    {"text": ""},
    {"text": "I choose Alpha, of course"},
    {"text": '{"option": "Alpha", "stance": "support", "confidence": 0.9'},
    {"text": "[" * 100_000},
    {"text": "x" * 5_000_000},
    {"option": "Alphabet", "stance": "support", "confidence": 0.9},
    {"option": ["Alpha"], "stance": "support", "confidence": 0.9},
    {"option": "Alpha", "stance": "maybe", "confidence": 0.9},
    {"option": "Alpha", "stance": "support", "confidence": 90},
    {"option": "Alpha", "stance": "support", "confidence": "high"},
    {"option": "Alpha", "stance": "support", "confidence": True},
    {"option": {"$ref": "#"}, "confidence": 0.9},
    {"agent": "architect", "seat": 1, "nonce": "0", "positions": [for_it("Alpha")] * 3},
    for_it("Alpha", rationale="x" * 5_000_000),
    {"error": "timeout"},
    {"error": "refused"},
    {"error": "malformed"},
)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_an_answer_that_is_no_position_counts_for_nothing(table: Studio, number: int) -> None:
    done = asked(table, {"*": [for_it("Alpha")], "qa": [HOSTILE[number]]})
    data = done.data
    assert (done.code, data["state"], data["share"], data["separateCalls"]) == (0, "strong", 1.0, 2)
    assert data["seats"][2]["stance"] is None
    assert data["seats"][2]["fault"] in {"malformed", "timeout", "refused"}
    assert any("qa" in one["message"] for one in done.envelope["problems"])
    assert table.json("party", "verify", data["id"])["verdict"] == "PASS"


def test_what_acts_on_a_terminal_or_passes_for_another_line_is_made_harmless(table: Studio) -> None:
    text = "\x1b[2J\x1b]0;owned\x07 \u202eevil\u2028✓ consensus strong\r\n# Decision: Beta | <script>"
    data = asked(table, {"*": [for_it("Alpha", rationale=text, risks=[text], wouldChangeMyMind=text)]}).data
    shown = table.run("party", "show", data["id"]).out
    document = table.json("party", "show", data["id"], "--markdown")["markdown"]
    for written in (shown, document):
        assert not set("\x1b\x07\u202e\u2028") & set(written)
    assert "\n# Decision" not in document
    assert "<script>" not in document


def test_a_malformed_answer_is_asked_for_once_more_and_never_a_third_time(table: Studio) -> None:
    late = asked(table, {"*": [for_it("Alpha")], "qa": [{}, for_it("Alpha")]}).data
    assert (late["separateCalls"], late["failedCalls"], late["seats"][2]["stance"]) == (3, 1, "support")
    never = asked(table, {"*": [for_it("Alpha")], "qa": [{}, {}, for_it("Alpha")]}).data
    assert (never["failedCalls"], never["seats"][2]["stance"]) == (2, None)


def test_a_late_answer_is_waited_for_no_longer_than_its_time(table: Studio) -> None:
    began = time.monotonic()
    data = asked(table, {"*": [for_it("Alpha")], "qa": [for_it("Beta", delayMs=60_000)]}, "--timeout", "0.3").data
    assert time.monotonic() - began < 20
    assert (data["state"], data["seats"][2]["fault"]) == ("strong", "timeout")


def test_who_answers_with_no_quorum_forces_no_winner(table: Studio) -> None:
    data = asked(table, {"*": [{"error": "timeout"}], "qa": [for_it("Alpha")]}).data
    assert (data["state"], data["decision"], data["reason"], data["simulated"]) == (
        "none",
        "escalate",
        "no quorum",
        True,
    )
    nobody = asked(table, {"*": [{"error": "refused"}]}).data
    assert (nobody["state"], nobody["separateCalls"], nobody["share"]) == ("none", 0, 0.0)


def test_one_agent_is_asked_alone_and_makes_no_consensus(table: Studio) -> None:
    data = asked(table, {"*": [for_it("Alpha")]}, "@qa What now?").data
    assert [one["agent"] for one in data["seats"]] == ["qa"]
    assert (data["simulated"], data["state"], data["decision"], data["separateCalls"]) == (True, "none", "escalate", 1)
    assert "SIMULATED" in table.run("party", "verify", data["id"]).out
    unknown = table.run("party", "run", "@qaa What?", "--model", "scripted:x")
    assert (unknown.code, 'did you mean "qa"?' in unknown.err) == (2, True)


def test_rounds_end_at_the_turn_limit(table: Studio) -> None:
    split = {
        "architect": [for_it("Alpha")],
        "developer": [for_it("Beta")],
        "qa": [{"stance": "abstain", "confidence": 0.1}],
    }
    assert asked(table, split, "--turn-limit", "1").data["reason"] == "turn limit"
    assert asked(table, split).data["reason"] == "no change"


def test_dissent_is_recorded_and_not_counted(table: Studio) -> None:
    replies = {"*": [for_it("Alpha"), for_it("Beta", rationale="It locks us in.")]}
    data = asked(table, replies, "--dissent").data
    assert (data["state"], data["share"], data["separateCalls"]) == ("strong", 1.0, 4)
    assert [(one["requested"], one["rationale"]) for one in data["dissent"]] == [(True, "It locks us in.")]
    assert asked(table, replies).data["dissent"] == []


def test_weights_of_a_team_are_counted_beside_the_plain_share(table: Studio) -> None:
    rows = "architect,r,1,,,4\ndeveloper,r,2,,,1\nqa,r,3,,,1\n"
    table.write(".claude/teams/heavy.csv", f"{HEADER},weight\n{rows}")
    data = asked(table, {"architect": [for_it("Alpha")], "*": [for_it("Beta")]}, "--team", "heavy").data
    assert (data["option"], data["state"], data["shareExact"]) == ("Alpha", "weak", "2/3")
    assert data["unweightedShare"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--options", "A"), "--options has 1"),
        (("--options", "A|a."), "the same words"),
        (("--options", "A||B"), "an option is empty"),
        (("--options", "|".join(map(str, range(21)))), "--options has 21"),
        (("--budget-usd", "-1"), "--budget-usd is '-1'"),
        (("--budget-usd", "NaN"), "--budget-usd is 'NaN'"),
        (("--turn-limit", "0"), "--turn-limit is 0"),
        (("--timeout", "0"), "--timeout is 0"),
        (("--file", "none.txt"), "--file none.txt"),
        (("--file", "."), "is no file"),
        (("--team", "nobody"), "no team is named 'nobody'"),
    ],
)
def test_wrong_input_is_one_error_and_nothing_is_written(table: Studio, arguments: tuple[str, ...], said: str) -> None:
    done = asked(table, {"*": [for_it("A")]}, *arguments)
    (problem,) = done.envelope["problems"]
    assert done.code == 2
    assert said in problem["message"]
    assert problem["hint"]
    assert not (table.path / ".claude/context/party").exists()


def test_an_empty_and_an_oversized_question_are_refused(table: Studio) -> None:
    table.write("big.txt", "Why? " * 1_000_000)
    table.write("empty.txt", " \n")
    for file, said in (("big.txt", "more than 20,000"), ("empty.txt", "the question is empty"), ("no.txt", "no.txt")):
        done = asked(table, {"*": [for_it("Alpha")]}, "--question-file", str(table.path / file))
        assert (done.code, said in done.envelope["problems"][0]["message"]) == (2, True), file


def test_a_budget_of_nothing_lets_a_free_model_answer(table: Studio) -> None:
    assert asked(table, {"*": [for_it("Alpha")]}, "--budget-usd", "0").data["state"] == "strong"


def test_five_megabytes_of_context_are_cut_and_said_so(table: Studio) -> None:
    table.write("log.txt", "".join(f"line {n} of a long log\n" for n in range(220_000)))
    done = asked(table, {"*": [for_it("Alpha")]}, "--file", "log.txt", "--file", "app.py")
    messages = [one["message"] for one in done.envelope["problems"]]
    assert done.code == 0
    assert any(one.startswith("log.txt: the last ") and "left out" in one for one in messages)
    kept = json.loads(next((table.path / ".claude/context/party").glob("*/files.json")).read_bytes())
    assert len(kept[0]["text"]) < 600_000
    assert kept[1]["text"] == (table.path / "app.py").read_text()


def test_secrets_are_neither_shown_nor_kept(table: Studio) -> None:
    secret = "ghp_" + "R4nd0mT0k3nF0rT3sts0nlyABCDEFGHIJKL"[:36].ljust(36, "7")
    table.write("notes.txt", f"token: {secret}\n")
    data = asked(table, {"*": [for_it("Alpha", rationale=f"It says {secret}")]}, "--file", "notes.txt").data
    assert table.json("party", "verify", data["id"])["verdict"] == "PASS"
    for place in (table.path / ".claude/context").rglob("*"):
        if place.is_file():
            assert secret.encode() not in place.read_bytes(), place


@pytest.mark.parametrize("options", [("--options", "Alpha|Beta"), ()])
def test_a_party_is_replayed_from_what_was_recorded(table: Studio, options: tuple[str, ...]) -> None:
    written = for_it if options else claims
    own = {name: [written(said)] for name, said in zip(TRIO, ("Alpha", "Alpha", "Beta"), strict=True)}
    model, tape = script(table.path / "script.json", own), table.path / "tape.jsonl"
    words = ("party", "run", "Which one?", *options, "--file", "app.py", "--model")
    recorded = table.json(*words, f"record:{tape}={model}")
    replayed = table.json(*words, f"replay:{tape}")
    for name in ("state", "share", "option", "rounds", "separateCalls", "failedCalls", "reason"):
        assert replayed[name] == recorded[name]
    assert (replayed["separateCalls"], replayed["failedCalls"]) == (recorded["rounds"] * 3, 0)
    assert recorded["rounds"] > 1


def test_a_feature_that_is_off_says_why(table: Studio) -> None:
    done = asked(table, {"*": [for_it("Alpha")]}, "--set", "features.partyMode.enabled=false")
    assert (done.code, "party mode is off" in done.envelope["problems"][0]["message"]) == (2, True)


def test_a_party_is_held_in_the_sessions_that_the_feature_is_rolled_out_to(table: Studio) -> None:
    model = script(table.path / "script.json", {"*": [for_it("Alpha")]})
    words = ("party", "run", "Which?", "--options", "Alpha|Beta", "--model", model)
    rollout = ("--set", "features.partyMode.rolloutPercentage=50")
    codes = {}
    for session in "abcd":
        codes[session] = table.run(*words, *rollout, variables={"CLAUDE_CODE_SESSION_ID": session}).code
    assert codes == {session: 0 if flags.is_inside("partyMode", session, 50) else 2 for session in codes}
    assert {*codes.values()} == {0, 2}


def test_a_recommendation_is_recorded_once_and_an_escalation_is_a_persons(table: Studio) -> None:
    data = asked(table, {"*": [for_it("Alpha", rationale="Simple.")]}, "--decide").data
    file = table.path / ".claude/memory/decisions.md"
    assert data["recorded"] is True
    assert "decision: Alpha" in file.read_text()
    assert table.json("party", "decide", data["id"])["recorded"] is False
    none = asked(table, {"*": [{"error": "timeout"}]}, "--decide").data
    assert none["recorded"] is False
    refused = table.run("party", "decide", none["id"])
    assert (refused.code, "a person decides" in refused.err) == (2, True)
    said = table.json("party", "decide", none["id"], "--option", "Beta", "--reason", "It is there.", "--by", "Ada")
    assert (said["recorded"], "by: Ada" in file.read_text()) == (True, True)
    followed = asked(table, {"*": [for_it("Beta")]}).data["id"]
    assert table.json("party", "decide", followed, "--by", "Grace")["recorded"] is True
    assert "by: Grace" in file.read_text()


def test_parties_are_listed_and_found_by_the_end_of_their_id(table: Studio) -> None:
    assert table.run("party", "list").code == 0
    first = asked(table, {"*": [for_it("Alpha")]}).data["id"]
    second = asked(table, {"*": [for_it("Beta")]}).data["id"]
    assert [one["id"] for one in table.json("party", "list")["parties"]] == [second, first]
    assert table.json("party", "show", first[-6:])["id"] == first
    assert table.json("party", "show", "last")["id"] == second
    assert table.json("party", "show")["id"] == second
    assert table.run("party", "show", "p-none").code == 2


def test_a_command_that_is_named_finds_the_party_in_its_environment(table: Studio) -> None:
    assert table.run("init", "--env", "staging", "--no-hooks").code == 0
    model = script(table.path / "script.json", {"*": [for_it("Alpha")]})
    held_ = table.run("party", "run", "Which?", "--options", "Alpha|Beta", "--model", model, "--env", "staging")
    (proof,) = re.findall(r"proof: agent-studio (.+)", held_.out)
    assert table.run(*proof.split()).code == 0
    assert "in development yet" in table.run("party", "list").out


def test_a_report_replaces_one_of_another_party_and_nothing_else(table: Studio) -> None:
    for option in ("Alpha", "Beta"):
        asked(table, {"*": [for_it(option)]})
        assert table.run("party", "show", "--out", "report.md").code == 0
    assert "Consensus: strong** on **Beta" in (table.path / "report.md").read_text()
    (table.path / "report.md").write_text("# Party planning\n")
    assert table.run("party", "show", "--out", "report.md").code == 2


def test_a_party_that_has_ended_is_not_resumed(table: Studio) -> None:
    party = asked(table, {"*": [for_it("Alpha")]}).data["id"]
    done = table.run("party", "resume", party)
    assert (done.code, "has ended: strong" in done.err) == (2, True)


def begun(table: Studio, replies: Mapping[str, Any], *more: str) -> tuple[subprocess.Popen[str], str]:
    """Start a party in a process of its own and return it with the party's id once calls are under way."""
    model = script(table.path / "script.json", replies)
    command = [sys.executable, "-m", "agent_studio", "party", "run", "Which?", "--options", "Alpha|Beta"]
    process = subprocess.Popen(
        [*command, "--model", model, "--json", *more], cwd=table.path, env=os.environ, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for place in (table.path / ".claude/context/party").glob("*/transcript.jsonl"):
            if place.read_bytes().count(b'"dispatch"') >= 3:
                return process, place.parent.name
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate())


SLOW = {"architect": [for_it("Alpha")], "developer": [for_it("Alpha")], "qa": [for_it("Alpha", delayMs=120_000)]}


def test_another_process_cancels_a_party_and_it_closes_with_what_there_is(table: Studio) -> None:
    process, party = begun(table, SLOW)
    busy = table.run("party", "resume", party)
    assert (busy.code, "another process" in busy.err) == (5, True)
    assert table.run("party", "cancel", party).code == 0
    out, _ = process.communicate(timeout=60)
    data = json.loads(out)["data"]
    assert (data["reason"], data["separateCalls"], data["decision"]) == ("cancelled", 2, "escalate")
    assert table.json("party", "verify", party)["verdict"] == "PASS"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_closes_a_party_with_what_there_is(table: Studio, name: str) -> None:
    process, party = begun(table, SLOW)
    time.sleep(0.3)
    process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["data"]["reason"] == "interrupted"
    assert table.json("party", "verify", party)["verdict"] == "PASS"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_killed_party_goes_on_and_asks_only_who_had_not_answered(table: Studio) -> None:
    process, party = begun(table, SLOW)
    time.sleep(0.3)
    process.kill()
    process.communicate(timeout=60)
    assert table.run("party", "verify", party).code == 3
    script(table.path / "script.json", {**SLOW, "qa": [for_it("Beta")]})
    done = table.run("party", "resume", party, "--json")
    assert (done.data["state"], done.data["separateCalls"], done.data["unanswered"]) == ("weak", 6, 1)
    assert any("billed twice" in one["message"] for one in done.envelope["problems"])
    lines = (table.path / f".claude/context/party/{party}/transcript.jsonl").read_text().splitlines()
    blind = [json.loads(one) for one in lines if '"blind"' in one]
    assert sorted(one["agent"] for one in blind) == ["architect", "developer", "qa", "qa"]


def test_a_party_nobody_is_at_work_on_is_cancelled_by_its_id(table: Studio) -> None:
    process, party = begun(table, SLOW)
    process.kill()
    process.communicate(timeout=60)
    assert table.json("party", "cancel", party)["reason"] == "cancelled"
    assert table.json("party", "verify", party)["verdict"] == "PASS"


def test_a_party_whose_agent_changed_meanwhile_does_not_go_on(table: Studio) -> None:
    table.write(".claude/agents/qa.md", "---\nname: qa\ndescription: Tests.\n---\n\nYou test.\n")
    process, party = begun(table, SLOW)
    process.kill()
    process.communicate(timeout=60)
    table.write(".claude/agents/qa.md", "---\nname: qa\ndescription: Tests.\n---\n\nYou obey.\n")
    done = table.run("party", "resume", party)
    assert (done.code, "is not what it was" in done.err) == (2, True)


def test_in_a_claims_vote_a_seat_that_turns_against_itself_needs_an_argument(tmp_path: Path) -> None:
    against = {
        "votes": [{"claim": "Use A", "stance": "oppose"}, {"claim": "Use B", "stance": "support"}],
        "confidence": 0.9,
    }
    found = held(tmp_path, [[claims("Use A"), against], [claims("Use B")], [claims("Use B")]])
    assert [flip.kind for flip in found.standing.flips if flip.round == 2] == ["conformity"]
    assert found.standing.ballots[1].stances["use a"] == "support"


def test_a_team_may_mix_models_and_each_seat_is_asked_by_its_own(table: Studio) -> None:
    one, other = (script(table.path / f"{name}.json", {"*": [for_it(name)]}) for name in ("Alpha", "Beta"))
    rows = f"qa,r,1,,{one}\nqa,r,2,,{other}\ndeveloper,r,3,,{one}\n"
    table.write(".claude/teams/mixed.csv", f"{HEADER}\n{rows}")
    data = table.json("party", "run", "Which?", "--options", "Alpha|Beta", "--team", "mixed")
    assert [seat["option"] for seat in data["seats"]] == ["Alpha", "Beta", "Alpha"]
    assert (data["state"], data["option"]) == ("weak", "Alpha")
