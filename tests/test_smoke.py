from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import ExitCode, UnsafePathError
from agent_studio.isolation.choice import BACKENDS
from agent_studio.staging.smoke import CHECKS, junit, run_smoke
from agent_studio.staging.subject import Check, Failed, Skipped, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

NAMES = [check.name for check in CHECKS]


def verdicts(studio: Studio, environment: str = "staging", *arguments: str) -> dict[str, str]:
    data = studio.json("smoke", "--env", environment, *arguments)
    return {check["name"]: check["verdict"] for check in data["checks"]}


def failing(studio: Studio, *arguments: str) -> set[str]:
    return {name for name, verdict in verdicts(studio, "staging", *arguments).items() if verdict != "PASS"}


def test_a_fresh_staging_environment_passes_at_least_twelve_named_and_timed_checks(staged: Studio) -> None:
    done = staged.run("smoke", "--env", "staging", "--json")
    assert done.code == 0
    assert done.envelope["schema"] == "agent-studio/smoke/1"
    assert done.envelope["ok"] is True
    assert done.data["passed"] == len(NAMES) >= 12
    assert [check["name"] for check in done.data["checks"]] == NAMES
    assert all(check["durationMs"] > 0 and check["message"] for check in done.data["checks"])
    assert "20 ms, 6 %, 20 an hour" in done.out


@pytest.mark.parametrize("environment", Environment)
def test_smoke_leaves_no_trace_in_data_and_none_at_all_the_second_time(staged: Studio, environment: str) -> None:
    assert staged.run("init", "--env", environment, "--set", "testData.artifactsCount=20").code == 0
    data = staged.snapshot(".claude")
    assert staged.run("smoke", "--env", environment).code == 0  # the first one leaves evidence
    assert staged.snapshot(".claude") == data
    before = staged.snapshot()
    folders = sorted(str(place) for place in staged.path.rglob("*"))
    assert staged.run("smoke", "--env", environment).code == 0
    assert staged.snapshot() == before
    assert sorted(str(place) for place in staged.path.rglob("*")) == folders


BREAKAGES = {
    "directories-exist": ("rmtree", ".claude/staging/agents"),
    "log-files-initialised": ("remove", ".claude/staging/sessions/session-log.jsonl"),
    "memory-files-exist": ("remove", ".claude/staging/memory/issues.md"),
    "evolution-state-exists": ("write", ".claude/staging/context/evolution-state.json"),
    "knowledge-base-answers": ("write", ".claude/staging/knowledge/knowledge-base-index.csv"),
    "private-files": ("chmod", ".claude/staging/memory/learnings.md"),
    "no-shared-files": ("link", ".claude/staging/memory/learnings.md"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_environment_fails_the_check_of_that_name(staged: Studio, name: str) -> None:
    action, relative = BREAKAGES[name]
    place = staged.path / relative
    if action == "rmtree":
        shutil.rmtree(place)
    elif action == "remove":
        place.unlink()
    elif action == "write":
        place.write_text("{broken")
    elif action == "chmod":
        place.chmod(0o644)
    else:
        other = staged.path / ".claude/memory"
        other.mkdir()
        os.link(place, other / "learnings.md")
    assert name in failing(staged)
    assert staged.run("smoke", "--env", "staging").code == 1


def test_a_missing_configuration_fails_what_needs_it_and_not_the_rest(staged: Studio) -> None:
    (staged.path / ".claude/config.staging.yaml").unlink()
    found = verdicts(staged)
    assert found["environment-detection"] == "PASS"
    assert found["configuration-exists"] == "FAIL"
    assert staged.run("smoke", "--env", "staging").code == 1


def test_a_feature_switched_off_in_staging_fails(staged: Studio) -> None:
    assert failing(staged, "--set", "features.partyMode.enabled=false") == {"feature-flags"}


@pytest.mark.parametrize("limit", ["hookExecutionTimeMs=10", "agentFailureRate=3", "errorRatePerHour=9"])
def test_a_limit_that_is_not_more_lenient_than_productions_fails(staged: Studio, limit: str) -> None:
    assert failing(staged, "--set", f"monitoring.thresholds.{limit}") == {"thresholds"}


def test_a_limit_that_follows_from_productions_passes_whatever_that_is(staged: Studio) -> None:
    limits = "errorRatePerHour: 0, agentFailureRate: 100"
    staged.write(".claude/config.production.yaml", f"monitoring: {{thresholds: {{{limits}}}}}\n")
    assert failing(staged) == set()


def test_each_environment_is_measured_against_its_own_limits(staged: Studio) -> None:
    expected = {"development": "unlimited", "production": "10 ms, 3 %, 10 an hour"}
    for environment, shown in expected.items():
        assert staged.run("init", "--env", environment).code == 0
        data = staged.json("smoke", "--env", environment)
        assert {check["message"] for check in data["checks"] if check["name"] == "thresholds"} == {shown}


def test_the_canary_is_found_when_the_door_stands_open(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the door (links are followed, `..` is a name): the check must notice."""
    from agent_studio.storage import names, walk

    monkeypatch.setattr(names, "check_name", lambda *_: None)
    monkeypatch.setattr(walk, "_NOFOLLOW", 0)
    monkeypatch.setattr(walk, "check_file", lambda *_: None)
    subject = Subject(Project(staged.path), Choice(Environment.STAGING, "--env"), {})
    found = {outcome.name: outcome for outcome in run_smoke(subject).outcomes}
    assert found["canary-out-of-reach"].verdict == "FAIL"
    assert "reached the canary" in found["canary-out-of-reach"].message
    assert found["path-resolution"].verdict == "FAIL"
    assert list(staged.path.rglob(".canary-*")) == []


def _checks(*verdicts: str) -> list[Check]:
    def check(verdict: str) -> Check:
        def run(_: Subject) -> str:
            if verdict == "fail":
                raise Failed("no")
            if verdict == "skip":
                raise Skipped("cannot")
            if verdict == "fault":
                raise UnsafePathError("out", hint="in")
            return "yes"

        return Check(verdict, run, required=verdict != "optional")

    return [check(verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("chosen", "code"),
    [
        (("pass", "pass"), ExitCode.DONE),
        ((), ExitCode.INSUFFICIENT),
        (("pass", "skip"), ExitCode.INSUFFICIENT),
        (("skip", "fail"), ExitCode.FAILED),
        (("pass", "fault"), ExitCode.FAILED),
    ],
)
def test_the_exit_code_follows_from_the_verdicts(tmp_path: Path, chosen: tuple[str, ...], code: ExitCode) -> None:
    subject = Subject(Project(tmp_path), Choice(Environment.STAGING, "--env"), {})
    assert run_smoke(subject, _checks(*chosen)).code == code


def test_junit_says_the_same_as_the_report(staged: Studio) -> None:
    (staged.path / ".claude/staging/memory/issues.md").unlink()
    target = staged.path / "smoke ü.xml"
    assert staged.run("smoke", "--env", "staging", "--junit", str(target)).code == 1
    suite = ET.fromstring(target.read_bytes())
    assert suite.attrib["tests"] == str(len(NAMES))
    assert suite.attrib["failures"] == "1"
    (failure,) = suite.iter("failure")
    assert "issues.md" in failure.attrib["message"]


def test_junit_is_well_formed_whatever_a_message_holds(tmp_path: Path) -> None:
    def run(_: Subject) -> str:
        raise Failed('a\x00b\x1b[31m<&>"ü')

    subject = Subject(Project(tmp_path), Choice(Environment.STAGING, "--env"), {})
    ET.fromstring(junit(run_smoke(subject, [Check("odd", run)]), "staging"))


def test_a_junit_file_that_cannot_be_written_is_one_clear_error(staged: Studio) -> None:
    done = staged.run("smoke", "--env", "staging", "--junit", "no/such/folder/x.xml")
    assert done.code == 1
    assert "cannot write no/such/folder/x.xml" in done.err


def test_pytest_can_run_the_checks(staged: Studio) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--pyargs",
               "agent_studio.staging.smoke"]  # fmt: skip
    environment = {**os.environ, "AGENT_STUDIO_ENV": "staging"}
    done = subprocess.run(command, cwd=staged.path, env=environment, capture_output=True, text=True, check=False)
    assert f"{len(NAMES)} passed" in done.stdout, done.stdout
    (staged.path / ".claude/staging/memory/issues.md").unlink()
    done = subprocess.run(command, cwd=staged.path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 failed" in done.stdout


@pytest.mark.parametrize("backend", [one.NAME for one in BACKENDS if one.available().usable])
def test_in_a_run_the_kernel_s_refusal_counts_and_nothing_is_left(staged: Studio, backend: str) -> None:
    before = sorted(str(place) for place in staged.path.rglob("*canary*"))
    done = staged.process(
        "run", "--env", "staging", "--isolation", backend, "--",
        sys.executable, "-m", "agent_studio", "smoke", "--env", "staging", "--json",
    )  # fmt: skip
    found = {check["name"]: check for check in done.data["checks"]}["canary-out-of-reach"]
    assert found["verdict"] == "PASS", found
    assert "lets nothing be put there" in found["message"]
    assert sorted(str(place) for place in staged.path.rglob("*canary*")) == before
