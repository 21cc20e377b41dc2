"""Run the smoke checks and give one verdict; also a pytest module: `pytest --pyargs agent_studio.staging.smoke`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import choose_environment, choose_project
from agent_studio.environment.roots import Project
from agent_studio.errors import AgentStudioError, ExitCode
from agent_studio.staging import boundary_checks, checks, data_checks
from agent_studio.staging.subject import Check, Failed, Skipped, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence


CHECKS = (
    Check("environment-detection", checks.environment_detection),
    Check("configuration-exists", checks.configuration_exists),
    Check("directories-exist", checks.directories_exist),
    Check("log-files-initialised", checks.logs_initialised),
    Check("memory-files-exist", checks.memory_files_exist),
    Check("evolution-state-exists", checks.evolution_state_exists),
    Check("path-resolution", checks.path_resolution),
    Check("configuration-loader", checks.configuration_loader),
    Check("feature-flags", checks.feature_flags),
    Check("thresholds", checks.thresholds),
    Check("log-round-trip", data_checks.log_round_trip),
    Check("knowledge-base-answers", checks.knowledge_base_answers, required=False),
    Check("canary-out-of-reach", data_checks.canary),
    Check("private-files", data_checks.private_files, required=False),
    Check("no-shared-files", data_checks.no_shared_bytes),
    Check("isolation-holds", boundary_checks.isolation_holds, required=False),
)


@dataclass(frozen=True)
class Outcome:
    """What one check found."""

    name: str
    verdict: str
    """PASS, FAIL or SKIPPED."""
    duration_ms: float
    message: str
    required: bool


@dataclass(frozen=True)
class SmokeReport:
    """All outcomes and what follows from them."""

    outcomes: Sequence[Outcome]

    def count(self, verdict: str) -> int:
        """Return how many checks ended so."""
        return sum(outcome.verdict == verdict for outcome in self.outcomes)

    @property
    def code(self) -> ExitCode:
        """0 when all passed, 1 when one failed, 3 when none ran or a required one was skipped."""
        if self.count("FAIL"):
            return ExitCode.FAILED
        skipped = any(outcome.verdict == "SKIPPED" and outcome.required for outcome in self.outcomes)
        return ExitCode.INSUFFICIENT if skipped or not self.count("PASS") else ExitCode.DONE


def run_smoke(subject: Subject, chosen: Sequence[Check] = CHECKS) -> SmokeReport:
    """Run every check in order; a fault of one never keeps the others from running."""
    return SmokeReport([_run(check, subject) for check in chosen])


def _run(check: Check, subject: Subject) -> Outcome:
    started = time.perf_counter()
    try:
        verdict, message = "PASS", check.run(subject)
    except Skipped as reason:
        verdict, message = "SKIPPED", str(reason)
    except Failed as reason:
        verdict, message = "FAIL", str(reason)
    except AgentStudioError as error:
        verdict, message = "FAIL", f"{error.message} ({error.hint})" if error.hint else error.message
    except OSError as error:
        verdict, message = "FAIL", f"{error.filename}: {error.strerror}"
    duration_ms = round((time.perf_counter() - started) * 1000, 2)
    return Outcome(check.name, verdict, duration_ms, message, check.required)


def junit(report: SmokeReport, environment: str) -> bytes:
    """Return the outcomes as a JUnit XML document."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - the module's usual name, rarely needed

    seconds = sum(outcome.duration_ms for outcome in report.outcomes) / 1000
    counts = {"tests": len(report.outcomes), "failures": report.count("FAIL"), "skipped": report.count("SKIPPED")}
    attributes = {"name": f"smoke.{environment}", "errors": "0", "time": f"{seconds:.3f}"}
    suite = ET.Element("testsuite", {**attributes, **{name: str(count) for name, count in counts.items()}})
    for outcome in report.outcomes:
        case = ET.SubElement(
            suite, "testcase", name=outcome.name, classname=f"smoke.{environment}",
            time=f"{outcome.duration_ms / 1000:.3f}",
        )  # fmt: skip
        if outcome.verdict != "PASS":
            tag = "failure" if outcome.verdict == "FAIL" else "skipped"
            ET.SubElement(case, tag, message="".join(filter(str.isprintable, outcome.message)))
    data: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def pytest_generate_tests(metafunc: Any) -> None:
    """Give pytest one test a check."""
    metafunc.parametrize("check", CHECKS, ids=[check.name for check in CHECKS])


def test_smoke(check: Check) -> None:
    """Prove one check on the project and environment that the variables and the working folder name."""
    variables = dict(os.environ)
    project = Project(choose_project(None, variables, Path.cwd()).path)
    outcome = _run(check, Subject(project, choose_environment(None, variables), variables))
    if outcome.verdict == "SKIPPED" and not check.required:
        import pytest  # noqa: PLC0415 - only there when pytest runs this module

        pytest.skip(outcome.message)
    assert outcome.verdict == "PASS", outcome.message  # noqa: S101 - pytest reports it
