"""The real client in a real project, offline: what it did is what the records say, in the right environment only."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if os.name == "nt":
    pytest.skip("the driver ends process groups by signals, which Windows has not", allow_module_level=True)
from bench.client import finding, verdict
from bench.client.journey import Journey, travel
from tests import real_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Records = dict[str, dict[str, list[dict[str, Any]]]]


def _a_hook_run_is_lost(records: Records) -> str:
    records["staging"]["hooks"].pop()
    return "hooks_are_timed"


def _a_blocked_hook_counts_as_a_success(records: Records) -> str:
    next(one for one in records["staging"]["hooks"] if one["status"] == "blocked")["status"] = "success"
    return "hooks_are_timed"


def _a_failed_agent_counts_as_completed(records: Records) -> str:
    next(one for one in records["staging"]["agents"] if one["status"] == "failed")["status"] = "completed"
    return "agents_are_recorded"


def _an_error_is_counted_twice(records: Records) -> str:
    records["production"]["errors"].append(records["production"]["errors"][0])
    return "errors_are_classified"


def _an_error_is_lost(records: Records) -> str:
    records["staging"]["errors"].pop()
    return "errors_are_classified"


def _an_end_is_lost(records: Records) -> str:
    sessions = records["production"]["sessions"]
    sessions.remove(next(one for one in sessions if one["event"] == "end"))
    return "sessions_are_logged"


def _a_response_is_lost(records: Records) -> str:
    records["production"]["usage"].pop(0)
    return "usage_is_exact"


def _a_response_is_counted_twice(records: Records) -> str:
    records["staging"]["usage"].append({**records["staging"]["usage"][0], "_seq": 10_000})
    return "usage_is_exact"


def _one_token_is_missing(records: Records) -> str:
    records["staging"]["usage"][0]["cacheWrite1hTokens"] -= 1
    return "usage_is_exact"


def _a_cost_is_another(records: Records) -> str:
    records["staging"]["usage"][0]["costUsd"] = "9"
    return "usage_equals_the_clients_own_totals"


def _a_record_is_in_the_wrong_environment(records: Records) -> str:
    records["production"]["hooks"].append(records["staging"]["hooks"][0])
    return "environments_are_apart"


def _an_id_is_used_twice(records: Records) -> str:
    records["staging"]["sessions"][0]["eventId"] = records["staging"]["sessions"][1]["eventId"]
    return "records_are_sound"


def _an_ingest_adds_a_record(records: Records) -> str:
    records["staging"]["agents"].pop()
    return "ingest_is_exactly_once"


DAMAGES: list[Callable[[Records], str]] = [
    _a_hook_run_is_lost, _a_blocked_hook_counts_as_a_success, _a_failed_agent_counts_as_completed,
    _an_error_is_counted_twice, _an_error_is_lost, _an_end_is_lost, _a_response_is_lost, _a_response_is_counted_twice,
    _one_token_is_missing, _a_cost_is_another, _a_record_is_in_the_wrong_environment, _an_id_is_used_twice,
    _an_ingest_adds_a_record,
]  # fmt: skip
"""Each spoils the records and names the check that has to see it."""


def test_what_a_real_client_did_is_what_the_records_say(tmp_path: Path) -> None:
    """One test: the journey takes long, and workers do not share fixtures."""
    journey = travel(real_client.installed(), tmp_path)
    wrong = verdict.faults(journey)
    assert not wrong, "\n".join(f"{name}: {fault}" for name, faults in wrong.items() for fault in faults)
    assert [damage.__name__ for damage in DAMAGES if not _is_noticed(journey, damage)] == []


def test_a_model_finds_artifacts_by_the_tools_that_the_client_offers_it(tmp_path: Path) -> None:
    assert list(finding.faults(finding.find(real_client.installed(), tmp_path))) == []


def _is_noticed(journey: Journey, damage: Callable[[Records], str]) -> bool:
    damaged = replace(journey, records=copy.deepcopy(journey.records))
    check = damage(damaged.records)
    return check in verdict.faults(damaged)
