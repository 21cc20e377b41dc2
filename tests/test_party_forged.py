"""What was interrupted and then changed, or has no longer the shape of our lines: nothing is built on it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.party_world import for_it, script

from agent_studio.dashboard import party as page
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.reasoning.party import seals, store
from agent_studio.storage import chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Studio

Line = dict[str, Any]
_OWN = ("_seq", "_prevHash", "_hash")


@pytest.fixture
def table(tmp_path: Path) -> Studio:
    from tests.conftest import Studio as Made

    path = tmp_path / "project"
    (path / ".claude").mkdir(parents=True)
    return Made(path)


def party(table: Studio, *arguments: str) -> tuple[str, Path]:
    model = script(table.path / "script.json", {"*": [for_it("Alpha")], "qa": [for_it("Beta")]})
    asked = ("Which?", "--options", "Alpha|Beta", "--team", "code-review", "--model", model)
    name = table.json("party", "run", *asked, *arguments)["id"]
    return name, table.path / f".claude/context/party/{name}/transcript.jsonl"


def bare(place: Path) -> list[Line]:
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in _OWN} for line in lines]


def chained(lines: list[Line]) -> bytes:
    head, data = chain.Head(), b""
    for line in lines:
        if line["kind"] == "close":
            line["lines"], line["head"] = head.seq, head.hash
        sealed, head = chain.seal(head, line)
        data += sealed
    return data


def opened(table: Studio) -> Context:
    return open_context(Project(table.path), Choice(Environment.DEVELOPMENT, "--env"), {})


def known_until(table: Studio, name: str, kept: int) -> Path:
    """Leave the first lines of a party, and the note of them, as a killed process does."""
    place = table.path / f".claude/context/party/{name}/transcript.jsonl"
    place.write_bytes(b"".join(place.read_bytes().splitlines(keepends=True)[:kept]))
    last = json.loads(place.read_bytes().splitlines()[-1])
    seals.note(opened(table).root, name, [chain.Head(last["_seq"], last["_hash"])])
    return place


def interrupted(table: Studio, kept: int) -> tuple[str, Path]:
    name, _ = party(table)
    return name, known_until(table, name, kept)


def codes(table: Studio, name: str) -> dict[str, int]:
    return {verb: table.run("party", verb, name).code for verb in ("show", "decide", "resume", "cancel", "verify")}


def test_an_interrupted_party_goes_on_and_is_proved(table: Studio) -> None:
    name, _ = interrupted(table, 8)
    assert table.run("party", "verify", name).code == 3
    assert table.run("party", "resume", name).code == 0
    assert table.run("party", "verify", name).code == 0


def turned(lines: list[Line]) -> list[Line]:
    for line in lines:
        if line["kind"] == "reply":
            line["position"].update(option="Beta", rationale="FORGED")
    return lines


@pytest.mark.parametrize(
    "forgery", [turned, lambda lines: lines[:-1], lambda lines: lines[:5], lambda lines: lines[:1]]
)
def test_an_interrupted_party_whose_lines_were_changed_or_cut_is_not_gone_on_with(
    table: Studio, forgery: Callable[[list[Line]], list[Line]]
) -> None:
    name, place = interrupted(table, 8)
    forged = chained(forgery(bare(place)))
    place.write_bytes(forged)
    assert set(codes(table, name).values()) == {8}
    assert place.read_bytes() == forged
    (table.path / f".agent-studio/development/party-heads/{name}.json").unlink()
    assert set(codes(table, name).values()) == {8}


def test_without_the_key_nothing_is_vouched_for_gone_on_with_or_decided(table: Studio) -> None:
    name, place = party(table)
    place.write_bytes(chained(bare(place)))
    (table.path / ".agent-studio/development/party.key").unlink()
    done = table.run("party", "verify", name)
    assert (done.code, "nobody without the key" in done.out) == (3, False)
    assert table.run("party", "decide", name, "--option", "Beta", "--reason", "so").code == 3
    shown = table.run("party", "show", name, "--json")
    assert "vouches" in shown.envelope["problems"][0]["message"]
    begun, _ = interrupted(table, 8)
    (table.path / ".agent-studio/development/party.key").unlink()
    assert table.run("party", "resume", begun).code == 8


def test_a_forged_party_is_neither_shown_nor_decided_on_and_the_list_names_it(table: Studio) -> None:
    name, place = party(table)
    whole = place.read_bytes()
    place.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))  # the last line, which closes it
    assert set(codes(table, name).values()) == {8}
    other, _ = party(table)
    rows = {one["id"]: one["problem"] for one in table.json("party", "list")["parties"]}
    assert (rows[other], "ends in line" in rows[name]) == (None, True)


def upd(kind: str, **values: Any) -> Callable[[list[Line]], list[Line]]:
    return lambda lines: [{**line, **values} if line["kind"] == kind else line for line in lines]


def without(kind: str, name: str) -> Callable[[list[Line]], list[Line]]:
    return lambda lines: [
        {key: value for key, value in line.items() if (line["kind"], key) != (kind, name)} for line in lines
    ]


def said(**values: Any) -> Callable[[list[Line]], list[Line]]:
    return lambda lines: [
        {**line, "position": {**line["position"], **values}} if line["kind"] == "reply" else line for line in lines
    ]


MISSHAPEN = (
    without("open", "question"), without("open", "turnLimit"), without("open", "timestamp"), upd("open", options=5),
    upd("open", team=None), upd("open", seed="zz"), said(confidence="high"), said(claim=5), said(rationale=5),
    said(stance=["x"]), said(evidence=[{"path": 5, "line": "x", "quote": None, "verified": True}]),
    without("close", "reason"), upd("close", outcome=5), upd("close", seal=5), without("dispatch", "agent"),
    upd("reply", costUsd="NaN"), upd("reply", costUsd="-5"),
)  # fmt: skip


@pytest.mark.parametrize("number", range(0, len(MISSHAPEN), 3))
def test_a_line_of_another_shape_is_damage_and_no_crash(table: Studio, number: int) -> None:
    name, place = party(table)
    lines = bare(place)
    for misshapen in MISSHAPEN[number : number + 3]:
        place.write_bytes(chained(misshapen([dict(line) for line in lines])))
        assert codes(table, name) == dict.fromkeys(("show", "decide", "resume", "cancel", "verify"), 8)
        assert table.json("party", "list")["parties"][0]["problem"]


def test_a_line_that_is_no_record_under_a_hash_that_fits_is_damage(table: Studio) -> None:
    name, place = party(table)
    digest = hashlib.sha256(b"{oops}").hexdigest()
    own = hashlib.sha256((chain.GENESIS + digest).encode()).hexdigest()
    place.write_text(f'{{oops,"_seq":1,"_prevHash":"{chain.GENESIS}","_hash":"{own}"}}\n')
    assert set(codes(table, name).values()) == {8}
    context = opened(table)
    assert page.party(context, "")["parties"][0]["problem"]
    assert page.party(context, name)["verified"]["verdict"] == "FAIL"


def test_a_party_that_never_began_is_passed_over(table: Studio) -> None:
    name, _ = party(table)
    context = opened(table)
    store.new(context)
    assert [one["id"] for one in table.json("party", "list")["parties"]] == [name]
    assert table.json("party", "verify", "last")["id"] == name


def test_a_party_is_gone_on_with_where_it_is_held_and_nowhere_else(table: Studio) -> None:
    name, _ = interrupted(table, 8)
    done = table.run("party", "resume", name, "--env", "production", "--json")
    assert (done.code, "held in development" in done.envelope["problems"][0]["message"]) == (2, True)
    assert table.run("party", "verify", name, "--env", "production").code == 3
    assert table.run("party", "resume", name).code == 0
    assert table.run("party", "verify", name).code == 0


def test_an_interrupted_party_whose_agent_is_another_one_now_can_be_cancelled(table: Studio) -> None:
    table.write(".claude/agents/qa.md", "---\nname: qa\ndescription: Tests.\n---\n\nYou test.\n")
    name, _ = interrupted(table, 8)
    table.write(".claude/agents/qa.md", "---\nname: qa\ndescription: Tests.\n---\n\nYou test more.\n")
    assert table.run("party", "resume", name).code == 2
    assert table.json("party", "cancel", name)["reason"] == "cancelled"
