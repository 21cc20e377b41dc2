"""The error log of staging: kinds of errors, who took note of which, and what that is worth."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.burnin_world import ERRORS, BurninWorld, error_of

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.errors import IntegrityError, UsageError
from agent_studio.release.checklists import reviewed

if TYPE_CHECKING:
    from tests.conftest import Studio


@pytest.fixture
def world(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> BurninWorld:
    return BurninWorld(staged, monkeypatch)


@pytest.fixture
def context(world: BurninWorld) -> Context:
    return open_context(world.project, Choice(Environment.STAGING, "--env"), {})


def test_errors_of_one_kind_are_together_the_gravest_first(world: BurninWorld, context: Context) -> None:
    since = world.now
    for number in range(3):
        world.add(
            ERRORS, world.passes(minutes=1), **error_of("s", "MEDIUM", f"call {number} to /srv/{number}/x failed")
        )
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "CRITICAL", "the disk is full"))
    world.add(ERRORS, since - timedelta(minutes=1), **error_of("s", "CRITICAL", "before"))
    world.add(ERRORS, world.now, **error_of("s", "LOW", "the disk is full", source="hook"))
    found = reviewed.errors(context, since)
    assert [(one.severity, one.count) for one in found] == [("CRITICAL", 1), ("MEDIUM", 3), ("LOW", 1)]
    assert found[1].message == "call 2 to /srv/2/x failed"
    assert len({one.id for one in found}) == 3
    assert all(not one.who for one in found)


def test_what_nobody_looked_at_decides_by_how_grave_it_is(world: BurninWorld, context: Context) -> None:
    since = world.now
    assert reviewed.verdict(reviewed.errors(context, since)) == ("PASS", "the error log is empty")
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "MEDIUM", "slow"))
    assert reviewed.verdict(reviewed.errors(context, since))[0] == "INSUFFICIENT"
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "HIGH", "broken"))
    verdict, reason = reviewed.verdict(reviewed.errors(context, since))
    assert verdict == "FAIL"
    assert "broken" in reason
    grave, other = reviewed.errors(context, since)
    reviewed.acknowledge(context, other.id, who="Quinn", why="known, see ticket 7")
    with pytest.raises(UsageError, match="is HIGH: it is acknowledged by a signature"):
        reviewed.acknowledge(context, grave.id, who="Quinn", why="known, see ticket 7")
    assert reviewed.verdict(reviewed.errors(context, since))[0] == "FAIL"


def test_taking_note_needs_a_reason_and_a_known_kind(world: BurninWorld, context: Context) -> None:
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "MEDIUM"))
    (one,) = reviewed.errors(context, world.now - timedelta(hours=1))
    for group, why in ((one.id, "  "), ("0" * 12, "known"), (one.id[:3], "known"), ("", "known")):
        with pytest.raises(UsageError):
            reviewed.acknowledge(context, group, who="Quinn", why=why)
    found = reviewed.acknowledge(context, one.id[:8], who="Quinn", why="key sk-ant-api03-" + "a" * 95 + " expired")
    assert (found.who, found.id) == ("Quinn", one.id)
    assert "sk-ant" not in found.why
    assert "sk-ant" not in (world.studio.path / ".agent-studio/staging/evidence/reviews.jsonl").read_text()


def test_a_kind_that_gets_graver_or_another_candidate_has_to_be_looked_at_again(
    world: BurninWorld, context: Context
) -> None:  # fmt: skip
    since = world.now
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "MEDIUM", "slow 1"))
    (one,) = reviewed.errors(context, since)
    reviewed.acknowledge(context, one.id, who="Quinn", why="known")
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "LOW", "slow 2"))
    assert reviewed.errors(context, since)[0].who == "Quinn"
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "HIGH", "slow 3"))
    assert reviewed.errors(context, since)[0].who == ""
    with pytest.raises(UsageError, match="a signature"):
        reviewed.acknowledge(context, one.id, who="Sam", why="looked at")
    world.studio.write(".claude/agents/new.md", "---\nname: new\ndescription: New\n---\n")
    assert reviewed.errors(context, since)[0].who == ""


def test_a_review_that_was_changed_is_no_review(world: BurninWorld, context: Context) -> None:
    world.add(ERRORS, world.passes(minutes=1), **error_of("s", "MEDIUM"))
    since = world.now - timedelta(hours=1)
    (one,) = reviewed.errors(context, since)
    reviewed.acknowledge(context, one.id, who="Quinn", why="known")
    place = world.studio.path / ".agent-studio/staging/evidence/reviews.jsonl"
    place.write_text(place.read_text().replace("Quinn", "Other"))
    with pytest.raises(IntegrityError):
        reviewed.errors(context, since)
    world.start()
    assert world.run("report").code == 8


def test_errors_of_the_burn_in_are_evidence(world: BurninWorld) -> None:
    world.start()
    world.passes(minutes=1)
    world.session()
    world.work(1)
    world.add(ERRORS, **error_of("s1", "HIGH", "it broke"))
    kept = {one["kind"]: one for one in world.burnin("report", code=1)["evidence"]}
    assert kept["errors"]["verdict"] == "FAIL"
    assert "it broke" in kept["errors"]["reason"]
