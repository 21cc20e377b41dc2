"""What a transcript proves: every change, cut, swap and forged voice is found, whoever made it without the key."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.party_world import for_it, script

from agent_studio.errors import IntegrityError
from agent_studio.reasoning.party import records
from agent_studio.storage import chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Studio

Line = dict[str, Any]


@pytest.fixture
def table(tmp_path: Path) -> Studio:
    from tests.conftest import Studio as Made

    path = tmp_path / "project"
    (path / ".claude").mkdir(parents=True)
    return Made(path)


def party(table: Studio, **replies: Any) -> tuple[str, Path]:
    said = {"*": [for_it("Alpha")], "qa": [for_it("Beta")], **replies}
    model = script(table.path / "script.json", said)
    data = table.json("party", "run", "Which?", "--options", "Alpha|Beta", "--team", "code-review", "--model", model)
    return data["id"], table.path / f".claude/context/party/{data['id']}/transcript.jsonl"


def verdict(table: Studio, party: str) -> tuple[int, str]:
    done = table.run("party", "verify", party, "--json")
    assert done.envelope["ok"] is (done.code == 0)
    return done.code, "; ".join(one["message"] for one in done.envelope["problems"])


def note(table: Studio, party: str) -> Path:
    """Where it is said outside the transcript how far it had come."""
    return table.path / f".agent-studio/development/party-heads/{party}.json"


def rechained(place: Path, change: Callable[[list[Line]], list[Line]]) -> None:
    """Write a transcript anew as a forger would who knows the format: every hash fits, only the key is missing."""
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    bare = [
        {name: value for name, value in line.items() if name not in {"_seq", "_prevHash", "_hash"}} for line in lines
    ]
    head, data = chain.Head(), b""
    for line in change(bare):
        if line["kind"] == "close":
            line["lines"], line["head"] = head.seq, head.hash
        sealed, head = chain.seal(head, line)
        data += sealed
    place.write_bytes(data)


def test_a_whole_transcript_passes_and_says_how_many_calls_by_how_many_models(table: Studio) -> None:
    name, _ = party(table)
    data = table.json("party", "verify", name)
    assert (data["verdict"], data["separateCalls"], data["distinctModels"], data["sealed"]) == ("PASS", 8, 1, True)
    assert (data["state"], data["simulated"]) == ("weak", False)


def test_a_changed_byte_anywhere_is_found(table: Studio) -> None:
    name, place = party(table)
    whole = place.read_bytes()
    for at in range(10, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[at] ^= 1
        place.write_bytes(bytes(changed))
        assert verdict(table, name)[0] == 8, at
    place.write_bytes(whole)
    assert verdict(table, name)[0] == 0


def test_lines_cut_off_dropped_or_swapped_are_found(table: Studio) -> None:
    name, place = party(table)
    lines = place.read_bytes().splitlines(keepends=True)
    for kept in (
        lines[:-1],
        lines[:-3],
        lines[:1],
        [],
        [*lines[:4], *lines[5:]],
        [*lines[:3], lines[4], lines[3], *lines[5:]],
    ):
        place.write_bytes(b"".join(kept))
        assert verdict(table, name)[0] == 8, len(kept)
    place.unlink()
    assert verdict(table, name)[0] == 8


def of(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def turn_a_vote(lines: list[Line]) -> list[Line]:
    reply = next(line for line in of(lines, "reply") if line["position"]["option"] == "Beta")
    reply["position"]["option"] = "Alpha"
    return lines


def better_the_outcome(lines: list[Line]) -> list[Line]:
    of(lines, "close")[0]["outcome"]["state"] = "strong"
    return lines


def add_a_voice(lines: list[Line]) -> list[Line]:
    """One more call of a seat that there is not."""
    dispatch, reply = dict(of(lines, "dispatch")[0]), dict(of(lines, "reply")[0])
    for line in (dispatch, reply):
        line.update(call=len(of(lines, "dispatch")) + 1, seat=9, nonce="f" * 32, requestSha256="f" * 64)
    return [*lines[:-1], dispatch, reply, lines[-1]]


def answer_for_another(lines: list[Line]) -> list[Line]:
    """The reply of one seat is given out as that of another."""
    first, second = of(lines, "reply")[:2]
    first["seat"], second["seat"] = second["seat"], first["seat"]
    return lines


def one_call_for_all(lines: list[Line]) -> list[Line]:
    """Every seat is voiced by the one call that was made."""
    first = of(lines, "dispatch")[0]
    for line in [*of(lines, "dispatch"), *of(lines, "reply")]:
        line["nonce"], line["requestSha256"] = first["nonce"], first["requestSha256"]
    return lines


def rename_a_seat(lines: list[Line]) -> list[Line]:
    lines[0]["seats"][0]["agent"] = "security-architect"
    return lines


def answer_without_a_call(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line is not of(lines, "dispatch")[-1]]


def drop_a_dissenter(lines: list[Line]) -> list[Line]:
    gone = {line["call"] for line in of(lines, "reply") if line["position"]["option"] == "Beta"}
    return [line for line in lines if line.get("call") not in gone]


def see_the_others_blind(lines: list[Line]) -> list[Line]:
    of(lines, "dispatch")[1]["peers"] = [1]
    return lines


def speak_after_the_end(lines: list[Line]) -> list[Line]:
    return [*lines, {**of(lines, "dispatch")[0], "call": 99}]


FORGERIES = (
    turn_a_vote, better_the_outcome, add_a_voice, answer_for_another, one_call_for_all, rename_a_seat,
    answer_without_a_call, drop_a_dissenter, see_the_others_blind, speak_after_the_end,
)  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_whose_hashes_all_fit_is_found(table: Studio, forgery: Callable[[list[Line]], list[Line]]) -> None:
    name, place = party(table)
    rechained(place, forgery)
    code, said = verdict(table, name)
    assert code == 8, forgery.__name__
    assert said


@pytest.mark.parametrize(
    "forgery",
    [
        add_a_voice, answer_for_another, one_call_for_all, answer_without_a_call, see_the_others_blind,
        speak_after_the_end,
    ],
)  # fmt: skip
def test_lines_that_contradict_each_other_are_refused_whoever_has_the_key(
    table: Studio, forgery: Callable[[list[Line]], list[Line]]
) -> None:
    _, place = party(table)
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    records.fold(lines, "transcript")
    with pytest.raises(IntegrityError, match="transcript:"):
        records.fold(forgery(lines), "transcript")


def test_a_forger_who_writes_the_note_outside_as_well_lacks_the_key(table: Studio) -> None:
    name, place = party(table)
    rechained(place, turn_a_vote)
    last = json.loads(place.read_bytes().splitlines()[-1])
    listed = json.dumps([[last["_seq"], last["_hash"]]], separators=(",", ":"))
    forged = hmac.new(b"guessed", f"{name} {listed}".encode(), "sha256").hexdigest()
    note(table, name).write_text(f"{forged} {listed}\n")
    code, said = verdict(table, name)
    assert (code, "key" in said) == (8, True)
    note(table, name).unlink()
    code, said = verdict(table, name)
    assert (code, "seal" in said) == (8, True)


def test_a_party_killed_before_its_end_was_noted_is_proved_by_its_seal(table: Studio) -> None:
    name, place = party(table)
    note(table, name).unlink()
    assert verdict(table, name)[0] == 0
    rechained(place, turn_a_vote)
    assert verdict(table, name)[0] == 8


def test_an_outcome_that_does_not_follow_is_found_without_the_note(table: Studio) -> None:
    name, place = party(table)
    note(table, name).unlink()
    rechained(place, better_the_outcome)  # the seal, of the lines before, is right
    code, said = verdict(table, name)
    assert (code, "does not follow" in said) == (8, True)


def test_a_party_that_was_held_elsewhere_is_not_proved_here(table: Studio) -> None:
    name, place = party(table)
    note(table, name).unlink()
    (table.path / ".agent-studio/development/party.key").unlink()
    assert verdict(table, name)[0] == 3
    rechained(place, better_the_outcome)
    assert verdict(table, name)[0] == 8


def test_what_the_seats_were_shown_may_not_change_either(table: Studio) -> None:
    table.write("notes.txt", "what they saw")
    model = script(table.path / "script.json", {"*": [for_it("Alpha")]})
    arguments = ("--options", "Alpha|Beta", "--model", model, "--file", "notes.txt")
    name = table.json("party", "run", "Which?", *arguments)["id"]
    shown = table.path / f".claude/context/party/{name}/files.json"
    shown.write_text(shown.read_text().replace("saw", "did not see"))
    assert verdict(table, name)[0] == 8


def test_what_a_reply_says_of_itself_binds_nobody(table: Studio) -> None:
    lie = for_it(
        "Beta", agent="security-architect", seat=2, nonce="0" * 32, model="gpt-9", weight=100, separateCalls=99
    )
    name, _ = party(table, qa=[lie])
    data = table.json("party", "show", name)
    assert [one["agent"] for one in data["seats"]] == [
        "code-reviewer",
        "security-architect",
        "qa",
        "performance-engineer",
    ]
    assert [one["option"] for one in data["seats"]] == ["Alpha", "Alpha", "Beta", "Alpha"]
    assert data["models"] == ["scripted"]


def test_an_agent_that_is_defined_otherwise_now_is_named(table: Studio) -> None:
    table.write(".claude/agents/qa.md", "---\nname: qa\ndescription: Tests.\n---\n\nYou test.\n")
    name, _ = party(table)
    assert table.json("party", "verify", name)["changedAgents"] == []
    table.write(".claude/agents/qa.md", "---\nname: qa\ndescription: Tests.\n---\n\nYou test more.\n")
    data = table.json("party", "verify", name)
    assert (data["verdict"], data["changedAgents"]) == ("PASS", ["qa"])


def test_a_damaged_party_does_not_hide_the_others(table: Studio) -> None:
    first, place = party(table)
    second, _ = party(table)
    place.write_bytes(b"{}\n")
    rows = table.json("party", "list")["parties"]
    assert [(one["id"], one["problem"] is None) for one in rows] == [(second, True), (first, False)]
