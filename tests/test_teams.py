"""Teams: what a CSV may be, who sits down, and what is said of one that is wrong."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from agent_studio.errors import ConfigurationError
from agent_studio.reasoning.party import seats, team

if TYPE_CHECKING:
    from tests.conftest import Studio

HEADER = "agent_type,role,priority,tools,model"


def parsed(text: str | bytes, most: int = 5) -> team.Team:
    data = text if isinstance(text, bytes) else text.encode()
    return team.parse(data, name="t", source="project", file="teams/t.csv", most=most)


def test_quoted_cells_a_mark_and_carriage_returns_are_read() -> None:
    rows = f'\ufeff{HEADER}\r\narchitect,"Judges, and ""asks""",1,"Read, Grep",opus\r\n\r\nqa,,,,\r\n'
    found = parsed(rows)
    assert [(one.agent, one.role, one.priority, one.tools, one.model) for one in found.seats] == [
        ("architect", 'Judges, and "asks"', 1, ("Read", "Grep"), "opus"), ("qa", "", 2, (), ""),
    ]  # fmt: skip
    assert [one.line for one in found.seats] == [2, 4]


def test_our_columns_may_stand_anywhere() -> None:
    found = parsed("weight,agent_type,role,priority,tools,model,method\n1.5,a,r,1,,,pre-mortem\n,b,r,2,,,\n")
    assert [(one.weight, one.method) for one in found.seats] == [(Fraction(3, 2), "pre-mortem"), (Fraction(1), "")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEADER}\n" + "".join(f"a{n},r,{n},,\n" for n in range(12)), "12 seats, and a party has 5 at most"),
        (f"{HEADER}\n", "names no agent"),
        ("", "no column agent_type"),
        ("agent_type,role,priority,tools\na,r,1,\n", "no column model"),
        (f"{HEADER},wieght\na,r,1,,,\n", "'wieght'"),
        (f"{HEADER},model\na,r,1,,,\n", "the column model twice"),
        (f"{HEADER}\na,r,1,Read, Grep,opus\n", "teams/t.csv:2 has 6 cells"),
        (f'{HEADER}\na,"r,1,,\n', "is no CSV"),
        (f"{HEADER}\n../../etc/passwd,r,1,,\n", "names the agent"),
        (f"{HEADER}\na,r,soon,,\n", "priority 'soon'"),
        (f"{HEADER},weight\na,r,1,,,0\n", "weight '0'"),
        (f"{HEADER},weight\na,r,1,,,nan\n", "weight 'nan'"),
        (f"{HEADER}\na,r,1,,\nA,r,2,,\n", "has A as in line 2"),
        (HEADER.encode() + b"\n\xff,r,1,,\n", "is not UTF-8"),
        (f"{HEADER}\na,{'r' * 500},1,,\n", "500 characters in role"),
        (f"{HEADER}\na,r,1,,\n" + " " * 70_000, "bytes"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_error_that_says_where(text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"t\.csv") as fault:
        parsed(text)
    assert said in fault.value.message
    assert fault.value.hint


def test_one_agent_may_sit_twice_with_another_model() -> None:
    assert len(parsed(f"{HEADER}\na,r,1,,openai:x\na,r,2,,anthropic:y\n").seats) == 2


def test_every_shipped_team_sits_down_in_a_project_without_agents(bare: Studio) -> None:
    rows = bare.json("party", "teams")["teams"]
    assert {one["name"] for one in rows} == {
        "general", "creative", "technical", "architecture-decision", "code-review", "secure-implementation", "incident",
    }  # fmt: skip
    for row in rows:
        data = bare.json("party", "check", row["name"])
        assert (data["source"], data["faults"]) == ("shipped", []), row
        assert {one["persona"] for one in data["seats"]} <= {"built-in", "project"}


def test_a_seat_is_bound_to_exactly_the_agents_file(bare: Studio) -> None:
    data = bare.json("party", "check", "code-review")
    place = bare.path / ".claude/agents/code-reviewer.md"
    own = next(one for one in data["seats"] if one["agent"] == "code-reviewer")
    assert own["persona"] == "project"
    assert own["file"] == ".claude/agents/code-reviewer.md"
    assert own["sha256"] == hashlib.sha256(place.read_bytes()).hexdigest()
    place.write_bytes(place.read_bytes() + b"\n")
    again = bare.json("party", "check", "code-review")
    assert next(one for one in again["seats"] if one["agent"] == "code-reviewer")["sha256"] != own["sha256"]


def test_an_agent_is_known_by_the_name_in_its_file(bare: Studio) -> None:
    bare.write(".claude/agents/deep/er/file.md", "---\nname: judge\ndescription: Judges.\n---\n\nYou judge.\n")
    bare.write(".claude/teams/mine.csv", f"{HEADER}\njudge,r,1,,\ncode-reviewer,r,2,,\n")
    data = bare.json("party", "check", "mine")
    assert [one["file"] for one in data["seats"]] == [
        ".claude/agents/deep/er/file.md", ".claude/agents/code-reviewer.md",
    ]  # fmt: skip


def test_a_missing_agent_is_one_error_that_names_the_nearest(bare: Studio) -> None:
    bare.write(".claude/teams/mine.csv", f"{HEADER}\ncode-reviewer,r,1,,\ncode-reveiwer,r,2,,\n")
    done = bare.run("party", "check", "mine", "--json")
    (problem,) = done.envelope["problems"]
    assert done.code == 1
    assert ".claude/teams/mine.csv:3 names the agent code-reveiwer" in problem["message"]
    assert 'did you mean "code-reviewer"?' in problem["hint"]
    assert bare.run("party", "run", "Now?", "--team", "mine", "--model", "scripted:none").code == 2
    assert not (bare.path / ".claude/context/party").exists()


def test_an_agents_file_that_is_a_link_out_of_the_project_is_refused(bare: Studio) -> None:
    outside = bare.path.parent / "outside.md"
    outside.write_text("---\nname: spy\ndescription: x\n---\nsecret\n")
    (bare.path / ".claude/agents/spy.md").symlink_to(outside)
    bare.write(".claude/teams/mine.csv", f"{HEADER}\nspy,r,1,,\n")
    done = bare.run("party", "check", "mine")
    assert done.code == 1
    assert "link out of the project" in done.err


def test_a_project_team_hides_a_shipped_one_and_twelve_seats_are_refused(bare: Studio) -> None:
    bare.write(".claude/teams/general.csv", f"{HEADER}\n" + "".join(f"a{n},r,{n},,\n" for n in range(12)))
    done = bare.run("party", "check", "general")
    assert done.code == 2
    assert "has 12 seats, and a party has 5 at most" in done.err
    listed = bare.run("party", "teams", "--json")
    assert len(listed.envelope["problems"]) == 1
    assert next(one for one in listed.data["teams"] if one["name"] == "general")["source"] == "project"
    assert bare.run("party", "check", "genral").err.count("did you mean") == 1


def test_an_unknown_method_is_named(bare: Studio) -> None:
    bare.write(".claude/teams/mine.csv", f"{HEADER},method\ncode-reviewer,r,1,,,pre-mortme\n")
    done = bare.run("party", "check", "mine")
    assert done.code == 1
    assert "pre-mortme" in done.err
    assert "pre-mortem" in done.err


def test_the_default_team_is_the_projects_own(bare: Studio) -> None:
    assert bare.json("party", "check")["team"] == "general"
    bare.write(".claude/teams/default.csv", f"{HEADER}\ncode-reviewer,r,1,,\n")
    assert bare.json("party", "check")["team"] == "default"


def test_built_in_personas_say_who_they_are() -> None:
    assert all(len(text) > 100 for text in seats.personas().values())


@pytest.mark.slow
def test_doctor_says_which_team_cannot_sit_down(bare: Studio) -> None:
    def told() -> list[tuple[str, str]]:
        return [(one["severity"], one["message"]) for one in bare.json("doctor")["findings"] if one["code"] == "teams"]

    assert told() == []
    bare.write(".claude/teams/mine.csv", f"{HEADER}\ncode-reviewer,r,1,,\n")
    assert told() == [("ok", "every seat of 1 team has an agent")]
    bare.write(".claude/teams/other.csv", f"{HEADER}\nnobody,r,1,,\n")
    bare.write(".claude/teams/third.csv", "a,b\n")
    assert [severity for severity, _ in told()] == ["warning", "warning"]
