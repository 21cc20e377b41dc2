"""What smoke, test and doctor isolation find of staging is evidence on the candidate that they looked at."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.release_world import World

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.isolation.choice import BACKENDS
from agent_studio.release import evidence
from agent_studio.release.checked import Finding, Watch
from agent_studio.release.content.candidate import candidate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Finished, Studio

    from agent_studio.release.evidence import Evidence

KERNEL = pytest.mark.skipif(
    not [backend for backend in BACKENDS if backend.available().usable], reason="this system offers no isolation"
)
POSIX = pytest.mark.skipif(os.name == "nt", reason="such a name cannot be")
GREEN = "print('12 passed, 0 failed, 2 skipped')"


def context(studio: Studio) -> Context:
    project = Project(Path(os.path.realpath(studio.path)))
    return open_context(project, Choice(Environment.STAGING, "--env"), {})


def held(studio: Studio) -> Mapping[str, Evidence]:
    """The evidence on the working checkout's candidate."""
    staging = context(studio)
    return evidence.of(staging.project, staging.environment, candidate(staging.project).sha256).evidence


def suite(studio: Studio, program: str = GREEN) -> Finished:
    """Run what the project's files call for."""
    studio.write("suite.py", program + "\n")
    studio.write("Makefile", f"test:\n\t@{sys.executable} suite.py\n")
    return studio.run("test", "--env", "staging", "--json")


def codes(done: Finished) -> list[str]:
    return [problem["code"] for problem in done.envelope["problems"]]


def test_smoke_of_staging_is_evidence_on_the_checkouts_candidate_and_the_same_again_adds_none(staged: Studio) -> None:
    done = staged.run("smoke", "--env", "staging")
    found = held(staged)["smoke"]
    assert (found.verdict, found.environment) == ("PASS", "staging")
    assert found.data["reason"] == "16 checks passed"
    assert f"evidence on {found.candidate[:12]}: smoke PASS\n" in done.out
    again = staged.run("smoke", "--env", "staging", "--json")
    assert again.data["evidence"] == {
        "candidate": found.candidate, "kind": "smoke", "verdict": "PASS", "recorded": False,
    }  # fmt: skip
    assert held(staged)["smoke"].file == found.file
    assert "smoke PASS (on record already)" in staged.run("smoke", "--env", "staging").out


def test_what_fails_is_evidence_as_well_and_says_what_failed(staged: Studio) -> None:
    staged.run("smoke", "--env", "staging")
    (staged.path / ".claude/staging/sessions/session-log.jsonl").unlink()
    done = staged.run("smoke", "--env", "staging", "--json")
    assert done.code == 1
    assert done.data["evidence"]["recorded"] is True
    found = held(staged)["smoke"]
    assert found.verdict == "FAIL"
    assert "log-files-initialised" in found.data["reason"]


def test_an_edit_leaves_a_candidate_without_evidence_until_it_is_looked_at(staged: Studio) -> None:
    staged.run("smoke", "--env", "staging")
    staged.write(".claude/agents/code-reviewer.md", "other\n")
    assert held(staged) == {}
    assert staged.json("smoke", "--env", "staging")["evidence"]["recorded"] is True


@pytest.mark.parametrize("environment", ["development", "production"])
def test_other_environments_leave_no_evidence(staged: Studio, environment: str) -> None:
    staged.run("init", "--env", environment, "--no-hooks")
    done = staged.run("smoke", "--env", environment, "--json")
    assert done.data["evidence"] is None
    assert codes(done) == []
    assert held(staged) == {}


def test_the_suites_result_names_its_counts_its_command_and_its_own_file(staged: Studio) -> None:
    done = suite(staged)
    found = held(staged)["test"]
    assert done.code == 0
    assert found.verdict == "PASS"
    assert found.data["reason"] == "PASS: 12 passed, 0 failed, 2 skipped (make test)"
    assert (staged.path / found.data["file"]).is_file()
    assert found.data["file"] == done.data["file"]
    assert done.data["evidence"]["candidate"] == found.candidate == done.data["candidate"]


@pytest.mark.parametrize(
    ("program", "verdict", "code"),
    [("print('0 passed, 1 failed')", "FAIL", 1), ("print('nothing')", "INSUFFICIENT", 3)],
)
def test_a_suite_that_fails_or_counts_nothing_is_never_a_pass(
    staged: Studio, program: str, verdict: str, code: int
) -> None:
    suite(staged)
    assert suite(staged, program).code == code
    assert held(staged)["test"].verdict == verdict


def test_the_same_verdict_of_another_command_is_other_evidence(staged: Studio) -> None:
    suite(staged)
    first = held(staged)["test"]
    assert suite(staged).data["evidence"]["recorded"] is False
    staged.write("tests/test_one.py", "def test_one() -> None:\n    pass\n")  # pytest comes before make
    assert suite(staged).data["evidence"]["recorded"] is True
    assert held(staged)["test"].file != first.file


def test_a_command_that_is_not_the_projects_own_suite_is_no_evidence(staged: Studio) -> None:
    suite(staged, "print('0 passed, 1 failed')")
    done = staged.run("test", "--env", "staging", "--json", "--", "echo", "1 passed in 0.1s")
    assert (done.code, done.data["verdict"], done.data["evidence"]) == (0, "PASS", None)
    assert codes(done) == ["no-evidence"]
    assert "is not the project's own suite" in done.envelope["problems"][0]["message"]
    assert held(staged)["test"].verdict == "FAIL"
    suite(staged)
    again = staged.run("test", "--env", "staging", "--json", "--", "make", "test")
    assert again.data["evidence"]["verdict"] == "PASS"


def test_definitions_that_change_meanwhile_prove_nothing_of_either_candidate(staged: Studio) -> None:
    before = candidate(context(staged).project).sha256
    done = suite(staged, f"open('.claude/agents/new.md', 'w').write('x'); {GREEN}")
    assert done.code == 0
    assert done.data["verdict"] == "PASS"
    assert codes(done) == ["candidate-changed"]
    assert done.data["evidence"]["verdict"] == "INSUFFICIENT"
    assert held(staged)["test"].verdict == "INSUFFICIENT"
    assert evidence.of(context(staged).project, Environment.STAGING, before).evidence == {}


def test_a_look_that_was_disturbed_leaves_older_evidence_of_the_new_candidate(staged: Studio) -> None:
    staging = context(staged)
    evidence.record(staging, "smoke", candidate(staging.project).sha256, evidence.PASS, {"reason": "looked at before"})
    place = staged.path / ".claude/agents/code-reviewer.md"
    new = place.read_bytes()
    place.write_text("old\n")
    watch = Watch(staging)
    place.write_bytes(new)
    kept = watch.keep(Finding("smoke", evidence.PASS, "passed"))
    assert kept is not None
    assert (kept.verdict, kept.is_new) == ("INSUFFICIENT", False)
    assert held(staged)["smoke"].data["reason"] == "looked at before"


@POSIX
@pytest.mark.parametrize("verb", ["smoke", "test"])
def test_definitions_that_cannot_be_hashed_are_a_note_and_change_no_verdict(staged: Studio, verb: str) -> None:
    staged.write(".claude/agents/a\nb.md", "x\n")
    done = staged.run("smoke", "--env", "staging", "--json") if verb == "smoke" else suite(staged)
    assert done.code == 0
    assert done.envelope["ok"] is True
    assert done.data["evidence"] is None
    assert codes(done) == ["no-evidence"]
    assert "not allowed in a file name" in done.envelope["problems"][0]["message"]


def test_a_damaged_journal_is_a_note_and_changes_no_verdict(staged: Studio) -> None:
    staged.run("smoke", "--env", "staging")
    (staged.path / ".agent-studio/staging/evidence/chain.jsonl").write_text("{}\n")
    done = staged.run("smoke", "--env", "staging", "--json")
    assert (done.code, done.data["evidence"], codes(done)) == (0, None, ["no-evidence"])


def test_what_no_file_configures_is_no_evidence_of_a_candidate(staged: Studio) -> None:
    for arguments, variables in (
        (("--set", "features.knowledgeBase.enabled=true"), {}),
        ((), {"HOOK_EXECUTION_THRESHOLD": "15"}),
    ):
        done = staged.run("smoke", "--env", "staging", "--json", *arguments, variables=variables)
        assert (done.code, done.data["evidence"], codes(done)) == (0, None, ["no-evidence"])
    assert held(staged) == {}


@KERNEL
def test_isolation_that_holds_is_evidence_with_what_was_tried(staged: Studio) -> None:
    assert staged.run("init", "--env", "production", "--no-hooks").code == 0
    staged.write(".claude/memory/learnings.md", "of production\n")
    done = staged.run("doctor", "isolation", "--env", "staging", "--json")
    found = held(staged)["isolation"]
    data: dict[str, Any] = dict(found.data)
    assert (found.verdict, done.data["verdict"], done.code) == ("PASS", "PASS", 0)
    assert data["reason"].startswith(f"{done.data['isolation']}: ")
    assert " routes blocked, " in data["reason"]
    assert data["file"] == done.data["file"]
    assert done.data["evidence"]["recorded"] is True


def test_isolation_of_another_backend_than_the_configurations_is_no_evidence(staged: Studio) -> None:
    staged.run("init", "--env", "production", "--no-hooks")
    done = staged.run("doctor", "isolation", "--env", "staging", "--backend", "advisory", "--json")
    assert (done.code, done.data["evidence"], codes(done)[-1]) == (3, None, "no-evidence")
    assert held(staged) == {}


def test_advisory_isolation_is_insufficient_and_so_is_one_that_cannot_be_tried(staged: Studio) -> None:
    config = staged.path / ".claude/config.staging.yaml"
    staged.run("init", "--env", "production", "--no-hooks")
    config.write_text(config.read_text() + "isolation:\n  backend: advisory\n")
    assert staged.run("doctor", "isolation", "--env", "staging").code == 3
    assert held(staged)["isolation"].verdict == "INSUFFICIENT"
    assert "advisory isolation keeps nothing apart" in held(staged)["isolation"].data["reason"]
    config.write_text(config.read_text() + "  require: true\n")
    staged.write(".claude/agents/code-reviewer.md", "other\n")
    assert staged.run("doctor", "isolation", "--env", "staging").code == 7
    assert held(staged)["isolation"].verdict == "INSUFFICIENT"
    assert "isolation is required" in held(staged)["isolation"].data["reason"]


@pytest.mark.parametrize("level", [1, 2])
def test_a_rollback_that_tries_staging_leaves_evidence_of_what_it_found(
    bare: Studio, tmp_path: Path, level: int
) -> None:
    world = World(bare, tmp_path)
    for text in ("one\n", "two\n") if level == 2 else ():
        world.promoted(text)
    bare.write("Makefile", f'test:\n\t@{sys.executable} -c "{GREEN}"\n')
    world.edit("three\n")
    world.must("rollback", "--level", str(level), "--yes", "--reason", "a test")
    found = {kind: one.verdict for kind, one in held(bare).items() if kind in {"smoke", "test"}}
    assert found == ({"smoke": "PASS"} if level == 1 else {"smoke": "PASS", "test": "PASS"})


@KERNEL
def test_a_file_that_production_shares_is_a_failure(staged: Studio) -> None:
    staged.run("init", "--env", "production", "--no-hooks")
    staged.write(".claude/memory/learnings.md", "of production\n")
    os.link(staged.path / ".claude/memory/learnings.md", staged.path / ".claude/staging/memory/second.md")
    assert staged.run("doctor", "isolation", "--env", "staging").code == 7
    found = held(staged)["isolation"]
    assert found.verdict == "FAIL"
    assert "hard-linked" in found.data["reason"]
