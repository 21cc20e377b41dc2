"""The page on parties: what it is given, and that every text stays data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.party_world import for_it, script

from agent_studio.dashboard import party, shell
from agent_studio.dashboard.live import Revision
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project

if TYPE_CHECKING:
    import pytest
    from tests.conftest import Studio


def test_a_page_lists_parties_and_shows_one_with_its_proof(bare: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_studio.dashboard.live.LOOK_SECONDS", 0.0)
    context = open_context(Project(bare.path), Choice(Environment.DEVELOPMENT, "--env"), {})
    revision = Revision(context.root)
    before = revision()
    assert party.party(context, "")["parties"] == []
    model = script(bare.path / "s.json", {"*": [for_it("Alpha", rationale="<b>It fits.</b>")], "qa": [for_it("Beta")]})
    name = bare.json("party", "run", "Which?", "--options", "Alpha|Beta", "--model", model)["id"]
    assert revision() != before
    (row,) = party.party(context, "")["parties"]
    assert (row["id"], row["state"], row["running"], row["problem"]) == (name, "strong", False, None)
    shown = party.party(context, name)
    assert (shown["verified"]["verdict"], shown["party"]["separateCalls"]) == ("PASS", 5)
    assert [one["agent"] for one in shown["party"]["dissent"]] == ["qa"]
    assert party.party(context, "p-none")["verified"] is None


def test_a_damaged_party_has_a_page_that_says_so(bare: Studio) -> None:
    context = open_context(Project(bare.path), Choice(Environment.DEVELOPMENT, "--env"), {})
    model = script(bare.path / "s.json", {"*": [for_it("Alpha")]})
    name = bare.json("party", "run", "Which?", "--options", "Alpha|Beta", "--model", model)["id"]
    (bare.path / f".claude/context/party/{name}/transcript.jsonl").write_bytes(b"{}\n")
    shown = party.party(context, name)
    assert (shown["party"], shown["verified"]["verdict"]) == (None, "FAIL")


def test_a_party_has_an_address_of_its_own() -> None:
    assert "/dashboard/party/{party}" in {route.path for route in shell.routes()}
