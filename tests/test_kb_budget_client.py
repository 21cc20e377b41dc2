"""The real client lists what `kb budget` says it lists: the figures are held to the request it makes."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

from bench.client import claude
from bench.client.messages_api import MessagesApi, Turn
from tests import real_client
from tests.conftest import Studio

from agent_studio.environment.roots import Project
from agent_studio.knowledge import listing

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MARKER = "LISTING-SESSION"
MODEL = "claude-haiku-4-5-20251001"
"""One whose context has 200,000 tokens."""
_ENTRY = re.compile(r"^- ([^\s:]+(?::[^\s:]+)*)(?: \(\S+\))?(: )?", re.MULTILINE)


def listed_by_the_client(studio: Studio, home: Path, **variables: str) -> dict[str, bool]:
    """Return each skill that the client lists and whether its description is with it."""
    client = real_client.installed()
    api = MessagesApi({MARKER: [Turn("Done.")]})
    with api.serving():
        environment = claude.variables(client, home, api.url) | variables
        ran = claude.run(claude.words(MARKER, "--model", MODEL), studio.path, environment, limit_s=120)
    texts = [text for body in api.requests for text in _texts(body.get("messages"))]
    found = next((text for text in texts if "skills are available for use" in text), None)
    assert found is not None, ran.err[-500:]
    return {match[1]: match[2] is not None for match in _ENTRY.finditer(found.partition("skills are available")[2])}


def _texts(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [text for one in inner for text in _texts(one)]


def test_what_is_hidden_is_what_the_client_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio, own = Studio(tmp_path / "project"), tmp_path / "home"
    monkeypatch.setenv("HOME", str(own))
    lengths = random.Random(6)
    for number in range(50):
        text = "漢字" * 30 if number % 9 == 0 else "d" * lengths.choice([20, 60, 150, 400, 900])
        studio.write(f".claude/skills/s{number:02}/SKILL.md", f"---\nname: s{number:02}\ndescription: {text}\n---\n")
    studio.write(".claude/skills/known/SKILL.md", "---\nname: otherwise\ndescription: one\nwhen_to_use: two\n---\n")
    studio.write(".claude/skills/deep/down/SKILL.md", "---\nname: down\ndescription: too deep\n---\n")
    studio.write(".claude/skills/withheld/SKILL.md", "---\ndescription: x\ndisable-model-invocation: true\n---\n")
    studio.write(".claude/commands/ship.md", "---\ndescription: short\n---\n")
    studio.write(".claude/commands/team/fix.md", f"---\ndescription: {'c' * 300}\n---\n")
    mine = own / ".claude/skills/mine/SKILL.md"
    mine.parent.mkdir(parents=True)
    mine.write_text(f"---\ndescription: {'u' * 200}\n---\n", encoding="utf-8")
    uses = {"s40": {"usageCount": 5, "lastUsedAt": 4_000_000_000_000}}
    (own / ".claude.json").write_text(json.dumps({"skillUsage": uses}), encoding="utf-8")

    listed = listed_by_the_client(studio, own)
    offers, withheld = listing.offers(Project(studio.path), user=True)
    plan = listing.plan(offers, listing.budget_of(Project(studio.path), {})[0])

    assert withheld == 1
    assert {"s40", "mine"} <= {offer.name for offer in plan.kept}
    expected = {offer.name: True for offer in plan.kept} | {offer.name: False for offer in plan.hidden}
    assert {name: shown for name, shown in listed.items() if name in expected} == expected
    assert "down" not in listed
    assert len(listed) - len(expected) == listing.OWN_ENTRIES


def test_the_budget_follows_the_variable(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "project")
    for number in range(20):
        studio.write(f".claude/skills/s{number:02}/SKILL.md", f"---\ndescription: {'d' * 100}\n---\n")
    listed = listed_by_the_client(studio, tmp_path / "home", SLASH_COMMAND_TOOL_CHAR_BUDGET="7000")
    budget, reason = listing.budget_of(Project(studio.path), {"SLASH_COMMAND_TOOL_CHAR_BUDGET": "7000"})
    assert (budget, reason) == (7000, "SLASH_COMMAND_TOOL_CHAR_BUDGET")
    plan = listing.plan(listing.offers(Project(studio.path))[0], budget)
    assert {name for name, shown in listed.items() if shown and name.startswith("s")} - {"simplify"} == {
        offer.name for offer in plan.kept
    }
