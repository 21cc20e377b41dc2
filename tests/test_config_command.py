"""`config show / explain / diff / check / schema` as people and programs see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

if TYPE_CHECKING:
    from tests.conftest import Studio

HOOK = "monitoring.thresholds.hookExecutionTimeMs"


@pytest.fixture
def project(bare: Studio) -> Studio:
    bare.write(
        ".claude/config.yaml",
        "agents:\n  planner: {model: opus}\nfeatures:\n  partyMode:\n    enabled: false\n    maxAgents: 4\n"
        "monitoring:\n  thresholds:\n    hookExecutionTimeMs: 8\n",
    )
    bare.write(".claude/config.staging.yaml", "environment: staging\n")
    return bare


def test_explain_names_every_layer_with_file_and_line(project: Studio) -> None:
    project.write(
        ".claude/config.staging.yaml", "monitoring:\n  thresholds:\n    # mine\n    hookExecutionTimeMs: 33\n"
    )
    found = project.json(
        "config",
        "explain",
        HOOK,
        "--env",
        "staging",
        "--set",
        f"{HOOK}=44",
        variables={"HOOK_EXECUTION_THRESHOLD": "9"},
    )
    assert (found["key"], found["value"], found["unit"]) == (HOOK, 44, "ms")
    assert [(row["source"], row["file"], row["line"], row["value"], row["wins"]) for row in found["layers"]] == [
        ("default", None, None, 10, False),
        ("config.yaml", ".claude/config.yaml", 9, 8, False),
        ("rule", None, None, 16, False),
        ("config.staging.yaml", ".claude/config.staging.yaml", 4, 33, False),
        ("environment variable", None, None, 9, False),
        ("--set", None, None, 44, True),
    ]
    text = project.run("config", "explain", HOOK, "--env", "staging").out
    assert f"{HOOK} = 33 ms" in text
    assert ".claude/config.staging.yaml:4" in text
    assert "rule: production x 2 (8)" in text


def test_explain_of_an_unknown_key_names_the_nearest(project: Studio) -> None:
    done = project.run("config", "explain", HOOK + "s")
    assert done.code == 2
    assert f'did you mean "{HOOK}"?' in done.err


def test_explain_of_a_foreign_key_says_that_it_is_not_ours(project: Studio) -> None:
    assert "Not a key of ours" in project.run("config", "explain", "agents.planner.model").out


def test_show_has_every_key_of_ours_and_others_only_when_asked(project: Studio) -> None:
    ours = {row["key"]: row for row in project.json("config", "show")["keys"]}
    everything = {row["key"] for row in project.json("config", "show", "--all")["keys"]}
    assert ours["features.partyMode.maxAgents"] == {
        "key": "features.partyMode.maxAgents", "value": 4, "source": "config.yaml",
        "file": ".claude/config.yaml", "line": 6,
    }  # fmt: skip
    assert "agents.planner.model" not in ours
    assert everything - set(ours) == {"agents.planner.model"}


def test_show_of_a_section_has_that_section_alone(project: Studio) -> None:
    keys = [row["key"] for row in project.json("config", "show", "features.partyMode")["keys"]]
    assert keys
    assert all(key.startswith("features.partyMode.") for key in keys)
    assert project.run("config", "show", "feature").err.endswith('did you mean "features"?\n')


@pytest.mark.parametrize("environment", ["development", "production"])
def test_show_fits_a_terminal_of_80_columns(project: Studio, environment: str) -> None:
    lines = project.run("config", "show", "--env", environment).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "  hookExecutionTimeMs" in "\n".join(lines)


def test_diff_tells_expected_differences_from_drift(project: Studio) -> None:
    project.write(
        ".claude/config.staging.yaml",
        "environment: staging\nagents: {planner: {model: haiku}}\n"
        "features: {partyMode: {maxAgents: 9}}\nmonitoring: {thresholds: {errorRatePerHour: 50}}\n",
    )
    found = {row["key"]: row for row in project.json("config", "diff", "staging", "production")["differences"]}
    drift = {key for key, row in found.items() if not row["expected"]}
    assert drift == {"features.partyMode.maxAgents", "agents.planner.model"}
    assert (found["features.partyMode.maxAgents"]["a"], found["features.partyMode.maxAgents"]["b"]) == (9, 4)
    assert found[HOOK]["why"] == "by rule: production x 2 (8)"
    assert found["features.partyMode.enabled"]["why"] == "by rule: all features are on in staging"
    assert "written for staging" in found["monitoring.thresholds.errorRatePerHour"]["why"]
    assert found["testData.enabled"]["expected"]
    assert "monitoring.thresholds.tokenBudgetPerDay" not in found


def test_diff_exits_1_on_drift_only_when_asked(project: Studio) -> None:
    assert project.run("config", "diff", "staging", "production", "--exit-code").code == 0
    project.write(".claude/config.production.yaml", "features: {partyMode: {turnLimit: 3}}\n")
    assert project.run("config", "diff", "staging", "production").code == 0
    drifted = project.run("config", "diff", "staging", "production", "--exit-code")
    assert drifted.code == 1
    assert "1 drift" in drifted.out


def test_diff_compares_files_not_this_shell(project: Studio) -> None:
    plain = project.json("config", "diff", "development", "production")
    assert project.json("config", "diff", "development", "production", variables={"PARTY_MODE_ENABLED": "1"}) == plain
    assert project.run("config", "diff", "development", "production", "--set", f"{HOOK}=1").code == 2


def test_diff_of_one_environment_or_an_unknown_one_exits_2(project: Studio) -> None:
    assert project.run("config", "diff", "staging", "STAGING").code == 2
    assert 'did you mean "production"?' in project.run("config", "diff", "staging", "prod").err


def test_check_lists_every_fault_of_every_file_and_variable(project: Studio) -> None:
    project.write(".claude/config.production.yaml", "features:\n  partyMode:\n    maxAgent: 4\n    turnLimit: 999\n")
    project.write(".claude/config.development.yaml", "monitoring: [1\n")
    done = project.run("config", "check", "--json", variables={"AGENT_STUDIO_MONITORING__ENABLE": "1"})
    assert done.code == 2
    faults = [fault["message"] for fault in done.data["faults"]]
    wanted = ("production.yaml:3: unknown key", "production.yaml:4:", "development.yaml:2:1:", "MONITORING__ENABLE")
    assert [sum(part in fault for fault in faults) for part in wanted] == [1, 1, 1, 1]
    assert len(faults) == 4
    assert done.envelope["ok"] is False
    people = project.run("config", "check", variables={"AGENT_STUDIO_MONITORING__ENABLE": "1"})
    assert all(fault in people.out for fault in faults)
    assert "4 faults" in people.out


def test_check_counts_a_missing_staging_file_only_for_staging(project: Studio) -> None:
    (project.path / ".claude/config.staging.yaml").unlink()
    assert project.run("config", "check").code == 0
    refused = project.run("config", "check", "--env", "staging")
    assert refused.code == 2
    assert "agent-studio init --env staging" in refused.out


def test_check_finds_data_folders_that_overlap(project: Studio) -> None:
    project.write(".claude/config.staging.yaml", "paths: {metrics: shared}\n")
    project.write(".claude/config.production.yaml", "paths: {memory: shared/memory}\n")
    done = project.run("config", "check")
    assert done.code == 2
    assert "overlaps" in done.out


def test_check_of_the_originals_keys_warns_and_passes(bare: Studio) -> None:
    bare.write(
        ".claude/config.yaml",
        "monitoring: {retention: {metricsdays: 20}, dashboard: {refreshIntervalMs: 900}}\n"
        "features: {partyMode: {maxRounds: 8, parallelExecution: true}}\nstorage: {costLog: x}\n",
    )
    bare.write(".claude/config.staging.yaml", "version: '2.2.1'\nenvironment: staging\n")
    done = bare.run("config", "check", "--json")
    assert (done.code, len(done.data["warnings"]), done.data["faults"]) == (0, 5, [])
    values = {row["key"]: row["value"] for row in bare.json("config", "show")["keys"]}
    assert values["features.partyMode.turnLimit"] == 8
    assert values["monitoring.retention.metricsDays"] == 20
    assert values["monitoring.dashboardRefreshMs"] == 900


def test_check_without_any_file_passes(bare: Studio) -> None:
    assert bare.run("config", "check").code == 0


def test_schema_is_bare_for_people_and_in_the_envelope_for_programs(bare: Studio) -> None:
    bare_schema = json.loads(bare.run("config", "schema").out)
    assert bare.json("config", "schema")["schema"] == bare_schema
    assert bare_schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(bare_schema)
