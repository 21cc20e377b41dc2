"""Where a rollback leads: to what was healthy and stood, never to what a rollback has left."""

from __future__ import annotations

from typing import Any

from agent_studio.release.production.history import History
from agent_studio.storage.chain import Head


def history(*steps: str) -> History:
    """Return a history of steps such as `promote one`, `rollback one`, `health no`; health is yes without a word."""
    records: list[dict[str, Any]] = []
    for number, (step, _, name) in enumerate(one.partition(" ") for one in steps):
        if step == "unhealthy":
            records[-1]["healthy"] = False
            continue
        own = f"{number}"
        before = "start" if step == "promote" and not records else ""
        records.append({"step": step, "release": name, "candidate": name, "id": own, "time": own, "before": before})
        records.append({"step": "health", "release": name, "id": own, "healthy": True})
    return History(records, Head())


def ways(past: History) -> list[str]:
    """Return where one rollback after the other leads."""
    found: list[str] = []
    steps = [f"{one.step} {one.release}" for one in past.releases]
    while (back := history(*steps).way_back) and len(found) < 9:
        found.append(back)
        steps.append(f"rollback {back}")
    return found


def test_one_rollback_after_the_other_leads_further_back_until_nothing_is_left() -> None:
    past = history("promote one", "promote two", "promote three")
    assert ways(past) == ["two", "one"]


def test_what_a_rollback_left_is_no_way_back_until_it_is_promoted_again() -> None:
    past = history("promote one", "promote bad", "rollback one")
    assert past.last_healthy is None
    again = history("promote one", "promote bad", "rollback one", "promote bad", "promote new")
    assert again.way_back == "bad"
    assert ways(again) == ["bad", "one"]


def test_what_was_not_healthy_is_no_way_back() -> None:
    assert history("promote one", "promote two", "unhealthy", "promote three").way_back == "one"
    assert history("promote one", "adopt edit", "promote three").way_back == "edit"


def test_the_first_release_leads_back_to_what_was_there() -> None:
    assert history("promote one").way_back == "start"
    assert history().way_back == ""
