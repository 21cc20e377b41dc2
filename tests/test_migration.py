"""A checkout in which the original Agent Studio was at work: what is read, what is taken over, what is left alone."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Studio

PRODUCTION = ("--env", "production")
CONTEXT = ".claude/context"
_CONFIG = """\
agent_routing:
  router: {model: claude-haiku-4-5, complexity: low}
monitoring:
  retention: {metricsdays: 30, errorsDays: 90}
  dashboard: {refreshIntervalMs: 5000}
features:
  partyMode: {enabled: true, maxAgents: 4, maxRounds: 10}
"""
_CALLS: tuple[dict[str, Any], ...] = (
    {"timestamp": "2026-01-24T09:00:00.000Z", "tier": "sonnet", "inputTokens": 812, "outputTokens": 140,
     "cost": "0.004536", "taskId": "1", "agent": "developer"},
    {"timestamp": "2026-01-24T09:05:00.000Z", "tier": "haiku", "inputTokens": 90, "outputTokens": 20,
     "cost": "0.000190", "taskId": None, "agent": None},
)  # fmt: skip
_LISTS = {
    "memory/patterns.json": [{"text": "Ask the catalogue for a title.", "timestamp": "2026-01-24T09:00:00.000Z"}],
    "memory/gotchas.json": [{"text": "Vouchers split by pounds lose pennies."}, "  ", {"other": 1}],
    "memory/sessions/session_001.json": {
        "session_number": 1, "timestamp": "2026-01-25T09:00:00.000Z", "summary": "Vouchers", "next_steps": ["More"],
        "decisions_made": ["Vouchers are kept in pence."], "discoveries": ["Orders are written before they are paid."],
    },
}  # fmt: skip
_EVOLUTION = {
    "version": "1.0.0", "state": "idle", "currentEvolution": None, "patterns": [],
    "evolutions": [{"id": "e-1", "type": "skill", "name": "mooring", "status": "completed"}], "suggestions": [],
}  # fmt: skip
_HOOKS = {"Stop": [{"hooks": [{"type": "command", "command": "node .claude/hooks/stop.cjs"}]}]}


@pytest.fixture
def original(bare: Studio) -> Studio:
    """A small project shaped like a checkout of the original."""
    bare.write(".claude/config.yaml", _CONFIG)
    bare.write(".claude/config.staging.yaml", "environment: staging\nstorage: {costLog: .claude/staging/cost.jsonl}\n")
    bare.write(".claude/settings.json", json.dumps({"hooks": _HOOKS}, indent=3) + "\n\n")
    bare.write(".claude/teams/review.csv", "agent_type,role,priority,tools,model\ncode-reviewer,reads,1,Read,sonnet\n")
    bare.write(f"{CONTEXT}/metrics/cost-log.jsonl", _chain())
    bare.write(f"{CONTEXT}/metrics/hook-metrics.jsonl", '{"hook": "unknown", "executionTimeMs": 5}\n')
    bare.write(f"{CONTEXT}/memory/learnings.md", "# Learnings\n\n## The database needs eight seconds\n\nWait for it.\n")
    bare.write(f"{CONTEXT}/evolution-state.json", json.dumps(_EVOLUTION))
    for place, value in _LISTS.items():
        bare.write(f"{CONTEXT}/{place}", json.dumps(value))
    bare.write(".claude/staging/agents/s-1/code-reviewer/discoveries.json", '["The cart rounds twice."]')
    return bare


def _chain() -> str:
    lines, previous = "", "0"
    for call in _CALLS:
        text = json.dumps(call, sort_keys=True, separators=(",", ":"))
        own = hashlib.sha256((previous + text).encode()).hexdigest()[:32]
        lines += json.dumps({**call, "_hash": own, "_prevHash": previous}, separators=(",", ":")) + "\n"
        previous = own
    return lines


def _set_up(studio: Studio) -> None:
    for words in (("--env", "staging", "--set", "testData.artifactsCount=6"), (*PRODUCTION, "--no-hooks")):
        done = studio.run("init", *words)
        assert done.code == 0, done.out + done.err


def test_nothing_of_the_original_is_changed_by_the_whole_way(original: Studio) -> None:
    before = original.snapshot(CONTEXT) | original.snapshot(".claude/teams")
    settings = (original.path / ".claude/settings.json").read_bytes()
    _set_up(original)
    assert original.run("smoke", *PRODUCTION).code == 0
    for words in (("cost", "import", "--config-dir", str(original.path)), ("memory", "import"), ("kb", "build")):
        assert original.run(*words, *PRODUCTION).code == 0
    assert original.run("hooks", "wrap", "--yes").code == 0
    assert original.run("hooks", "uninstall", "--yes").code == 0
    after = original.snapshot(CONTEXT) | original.snapshot(".claude/teams")
    assert {name: after.get(name) for name in before} == before
    assert (original.path / ".claude/settings.json").read_bytes() == settings


def test_its_configuration_is_read_and_each_key_of_its_own_is_told(original: Studio) -> None:
    data = original.json("config", "check")
    told = [warning["message"] for warning in data["warnings"]]
    assert data["faults"] == []
    assert [message.split(": ", 1)[1] for message in told] == [
        "monitoring.retention.metricsdays is read as monitoring.retention.metricsDays",
        "monitoring.dashboard.refreshIntervalMs is read as monitoring.dashboardRefreshMs",
        "features.partyMode.maxRounds is read as features.partyMode.turnLimit",
        "storage.costLog is not used",
    ]
    assert original.json("config", "explain", "features.partyMode.turnLimit", *PRODUCTION)["value"] == 10


def test_doctor_says_of_each_file_what_becomes_of_it(original: Studio) -> None:
    _set_up(original)
    told = {
        finding["message"].split(" is ")[0].removeprefix(f"{CONTEXT}/"): (finding["message"], finding["fix"])
        for finding in original.json("doctor", *PRODUCTION)["findings"] if finding["code"] == "original-format"
    }  # fmt: skip
    assert set(told) == {
        "metrics/hook-metrics.jsonl", "metrics/cost-log.jsonl", "memory/learnings.md", "memory/patterns.json",
        "memory/gotchas.json", "memory/sessions",
    }  # fmt: skip
    assert "left alone" in told["metrics/hook-metrics.jsonl"][0]
    assert "read beside" in told["memory/learnings.md"][0]
    assert told["metrics/cost-log.jsonl"][1] == "agent-studio cost import --env production"
    assert told["memory/patterns.json"][1] == "agent-studio memory import --env production"
    apart = [one for one in original.json("doctor", "--env", "staging")["findings"] if one["code"] == "original-format"]
    assert {one["message"].rpartition(" is ")[2] for one in apart} == {"apart"}
    assert {one["fix"] for one in apart} == {""}


def test_without_a_staging_configuration_nothing_is_said_of_a_burn_in(original: Studio) -> None:
    (original.path / ".claude/config.staging.yaml").unlink()
    codes = {one["code"] for one in original.run("doctor", *PRODUCTION, "--json").data["findings"]}
    assert "burnin-damage" not in codes


def test_its_metrics_are_in_no_figure_of_ours(original: Studio) -> None:
    _set_up(original)
    data = original.json("monitor", *PRODUCTION)
    assert (data["hooks"], data["damagedLines"]) == ([], 0)
    assert (original.path / ".claude/metrics/hooks.jsonl").read_bytes() == b""


def test_its_ledger_verifies_and_its_calls_are_taken_over_once(original: Studio) -> None:
    _set_up(original)
    verified = original.json("cost", "verify", f"{CONTEXT}/metrics/cost-log.jsonl")
    assert (verified["format"], verified["verdict"], verified["records"]) == ("original", "PASS", 2)
    imports = ("cost", "import", "--config-dir", str(original.path), *PRODUCTION)
    assert [original.json(*imports)["written"] for _ in range(2)] == [2, 0]
    totals = original.json("cost", "report", *PRODUCTION)["totals"]
    assert (totals["input_tokens"], totals["output_tokens"], totals["usd"]) == (902, 160, 0.004726)


def test_its_lists_become_notes_once_and_are_found_beside_its_own_words(original: Studio) -> None:
    _set_up(original)
    first, again = (original.json("memory", "import", *PRODUCTION) for _ in range(2))
    assert (first["files"], first["added"], first["known"], first["refused"]) == (3, 4, 0, [])
    assert (again["added"], again["known"]) == (0, 4)
    notes = {note["kind"]: note["text"] for note in original.json("memory", "list", *PRODUCTION)["notes"]}
    assert set(notes) == {"pattern", "gotcha", "decision", "discovery", "learning"}
    assert "original: patterns.json, 2026-01-24" in notes["pattern"]
    assert "original: sessions/session_001.json, 2026-01-25" in notes["decision"]
    found = original.json("memory", "search", "how long does the database take", *PRODUCTION)["hits"]
    assert "eight seconds" in found[0]["text"]


def test_a_list_that_cannot_be_read_is_named_and_the_others_are_taken(original: Studio) -> None:
    _set_up(original)
    for place, text in (("memory/patterns.json", "[{"), ("memory/sessions/session_001.json", '{"discoveries": 7}')):
        original.write(f"{CONTEXT}/{place}", text)
    data = original.json("memory", "import", *PRODUCTION)
    assert (data["files"], data["added"], len(data["refused"])) == (3, 1, 2)
    assert data["refused"][0].startswith("patterns.json: ")
    assert "discoveries is no list" in data["refused"][1]


def test_staging_has_no_such_past(original: Studio) -> None:
    _set_up(original)
    before = original.snapshot(".claude/staging/memory")
    done = original.run("memory", "import", "--env", "staging", "--json")
    assert done.code == 2
    assert "--env development" in done.envelope["problems"][0]["hint"]
    assert original.snapshot(".claude/staging/memory") == before


def test_what_is_a_link_is_not_followed(original: Studio) -> None:
    _set_up(original)
    place = original.path / CONTEXT / "memory/patterns.json"
    place.unlink()
    place.symlink_to("gotchas.json")
    data = original.json("memory", "import", *PRODUCTION)
    assert data["added"] == 3
    assert "symbolic link" in data["refused"][0]


def test_its_agents_keep_what_they_had_and_its_teams_and_evolution_are_read(original: Studio) -> None:
    _set_up(original)
    sidecar = ("memory", "sidecar", "import", "--agent", "code-reviewer", "--as-operator", "--env", "staging")
    assert original.json(*sidecar)["added"] == 1
    assert original.json("party", "check", "review", "--env", "staging")["faults"] == []
    assert original.json("evolve", "status")["stateFile"] == "original"
