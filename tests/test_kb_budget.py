"""`kb budget` tells which descriptions the client hides, and what to shorten so that none is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.knowledge.listing import OWN_ENTRIES, OWN_WIDTH, Offer, plan, savings, width

if TYPE_CHECKING:
    from tests.conftest import Studio

OFFERS = st.lists(
    st.builds(
        Offer,
        name=st.just("n"),
        label=st.text("ab", min_size=1, max_size=9),
        path=st.uuids().map(str),
        source=st.just("project"),
        description=st.text("d漢", max_size=40),
        use=st.floats(0, 9),
    ),
    max_size=12,
)


def skills(studio: Studio, **lengths: int) -> None:
    for name, length in lengths.items():
        studio.write(f".claude/skills/{name}/SKILL.md", f"---\nname: {name}\ndescription: {'d' * length}\n---\n")


@given(OFFERS, st.floats(-0.2, 1.2))
def test_what_is_kept_fits_and_shortening_as_told_keeps_all(offers: list[Offer], share: float) -> None:
    names = sum(one.name_width for one in offers) + max(0, len(offers) - 1)
    budget = int(names + share * sum(one.full_width - one.name_width for one in offers))
    found = plan(offers, budget, own=False)
    assert sorted([*found.kept, *found.hidden]) == sorted(offers)
    lines = [one.full_width for one in found.kept] + [one.name_width for one in found.hidden]
    assert sum(lines) + max(0, len(lines) - 1) <= max(budget, names)
    if found.target is not None:
        shortened = [one._replace(description="d" * min(width(one.description), found.target)) for one in offers]
        assert not plan(shortened, budget, own=False).hidden
        assert sum(more for _, more in savings(offers, found.target)) >= found.excess
        longer = [one._replace(description="d" * min(width(one.description), found.target + 1)) for one in offers]
        assert plan(longer, budget, own=False).excess > 0, "no greater length would do"


def test_a_small_project_is_shown_whole(bare: Studio) -> None:
    done = bare.run("kb", "budget", "--json")
    assert done.code == 0
    assert done.data["budget"] == 8000
    assert done.data["hidden"] == done.data["shorten"] == []
    own = len("- writing-migrations: Writes database migrations that can be rolled back.")
    command = len("- ship: Ship the current branch")
    assert done.data["total"] == OWN_WIDTH + OWN_ENTRIES + 2 - 1 + own + command
    assert "the model reads all 2 descriptions" in bare.run("kb", "budget").out


def test_what_is_hidden_and_what_to_shorten_is_told(bare: Studio) -> None:
    skills(bare, aa=1000, bb=600, cc=50, dd=400)
    done = bare.run("kb", "budget", "--json")
    assert done.code == 1
    assert [one["name"] for one in done.data["hidden"]] == ["dd"], "what is short and comes later still fits"
    assert done.data["excess"] == done.data["total"] - 8000
    saved = sum(one["save"] for one in done.data["shorten"])
    assert saved >= done.data["excess"]
    assert [one["name"] for one in done.data["shorten"]][:1] == ["aa"]
    text = bare.run("kb", "budget").out
    assert "descriptions are hidden" in text
    assert ".claude/skills/aa/SKILL.md" in text


def test_a_larger_context_hides_less(bare: Studio) -> None:
    skills(bare, aa=1000, bb=1000, cc=1000)
    assert bare.run("kb", "budget").code == 1
    assert bare.json("kb", "budget", "--context", "1000000")["budget"] == 40_000
    assert bare.run("kb", "budget", "--context", "1000000").code == 0
    assert bare.json("kb", "budget", "--budget", "7000")["budgetFrom"] == "--budget"
    variable = {"SLASH_COMMAND_TOOL_CHAR_BUDGET": "20000"}
    assert bare.json("kb", "budget", variables=variable)["budget"] == 20_000
    bare.write(".claude/settings.json", json.dumps({"skillListingBudgetFraction": 0.02}))
    assert bare.json("kb", "budget")["budget"] == 16_000


def test_what_the_client_does_not_offer_costs_nothing(bare: Studio) -> None:
    before = bare.json("kb", "budget")
    bare.write(".claude/skills/a/deep/SKILL.md", "---\nname: deep\ndescription: d\n---\n")
    bare.write(".claude/skills/quiet/SKILL.md", "---\ndescription: d\ndisable-model-invocation: true\n---\n")
    bare.write("plugins/p/.claude-plugin/plugin.json", '{"name": "p"}')
    bare.write("plugins/p/skills/s/SKILL.md", "---\nname: s\ndescription: d\n---\n")
    after = bare.json("kb", "budget")
    assert (after["total"], after["withheld"]) == (before["total"], 1)
    assert "1 more do not count" in bare.run("kb", "budget").out
    sources = [one["source"] for one in bare.json("kb", "budget", "--plugins")["sources"]]
    assert sources == ["plugin:p", "project"]


def test_a_description_that_the_client_cuts_is_named(bare: Studio) -> None:
    skills(bare, aa=1600)
    data = bare.json("kb", "budget", "--context", "1000000")
    assert [(one["name"], one["characters"]) for one in data["cut"]] == [("aa", 1600)]


def test_names_that_take_the_whole_budget_leave_nothing_to_shorten(bare: Studio) -> None:
    data = bare.json("kb", "budget", "--budget", "100")
    assert data["target"] is None
    assert "offer fewer" in bare.run("kb", "budget", "--budget", "100").out


@pytest.mark.parametrize("option", ["--context", "--budget"])
def test_a_budget_below_one_is_refused(bare: Studio, option: str) -> None:
    done = bare.run("kb", "budget", option, "0")
    assert done.code == 2
    assert option in done.err


def test_columns_are_counted_not_characters() -> None:
    assert (width("abc"), width("漢字"), width("é")) == (3, 4, 1)
