from __future__ import annotations

import hashlib
import json
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.conftest import Studio
from tests.release_world import World

from agent_studio import clock
from agent_studio.release import evidence, promote
from agent_studio.release.production import sides

if TYPE_CHECKING:
    from pathlib import Path

    from agent_studio.release.production.proof import Proof


def findings(studio: Studio, *arguments: str, **options: object) -> dict[str, dict[str, str]]:
    done = studio.run("doctor", *arguments, "--json", **options)  # type: ignore[arg-type]
    return {finding["code"]: finding for finding in done.data["findings"]}


def test_status_says_where_things_stand(staged: Studio) -> None:
    data = staged.json("status", variables={"AGENT_STUDIO_ENV": "staging"})
    assert data["environment"] == "staging"
    assert data["source"] == "AGENT_STUDIO_ENV"
    assert data["root"] == str(staged.path / ".claude/staging")
    assert data["separation"] == "none"
    assert data["configFiles"] == [".claude/config.yaml", ".claude/config.staging.yaml"]
    assert set(data["flags"].values()) == {True}
    assert data["indexRows"] == 20
    assert (data["release"], data["burnin"], data["alerts"]) == (None, None, {"open": 0, "firing": 0})
    assert staged.json("status")["alerts"] is None, "development is not watched"


def test_status_names_the_candidate_its_evidence_and_the_step_that_is_next(staged: Studio) -> None:
    def printed() -> str:
        return staged.run("status", "--env", "staging").out

    assert staged.json("status", "--env", "staging")["candidate"]["evidence"] == {}
    assert "0 of 12 kinds of evidence pass\n" in printed()
    staged.write("Makefile", "test:\n\t@echo '3 passed, 0 failed'\n")
    staged.run("test", "--env", "staging")
    assert "Next: agent-studio smoke --env staging" in printed()
    staged.run("smoke", "--env", "staging")
    data = staged.json("status", "--env", "staging")
    assert data["candidate"]["evidence"] == {"test": "PASS", "smoke": "PASS"}
    assert (data["candidate"]["passed"], data["candidate"]["required"]) == (2, 12)
    assert "Next: agent-studio doctor isolation --env staging" in printed()
    staged.write(".claude/agents/code-reviewer.md", "other\n")
    assert "0 of 12 kinds" in printed()
    assert "Next: agent-studio test --env staging" in printed()


def test_status_says_what_is_live_and_what_the_burn_in_found(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    release = world.promoted("one\n")
    data = bare.json("status", "--env", "staging")
    assert (data["release"]["release"], data["release"]["healthy"]) == (release, True)
    candidate = data["candidate"]["candidate"]
    assert data["burnin"] == {"candidate": candidate, "verdict": "PASS", "reason": "recorded by a test"}
    printed = bare.run("status", "--env", "staging").out
    assert f"{release[:12]} is live in production since " in printed
    assert "Next: agent-studio gate\n" in printed
    evidence.record(world.staging, "burnin", candidate, evidence.INSUFFICIENT, {"reason": "3 of 24 hours"})
    printed = bare.run("status", "--env", "staging").out
    assert "Burn-in         INSUFFICIENT: 3 of 24 hours" in printed
    assert "11 of 12 kinds of evidence pass; burnin INSUFFICIENT" in printed
    assert "Next: agent-studio burnin start\n" in printed
    world.must("burnin", "start")
    assert "Next: agent-studio burnin report\n" in bare.run("status", "--env", "staging").out
    live = Studio(world.live).json("status", "--env", "production")
    assert (live["release"]["release"], live["candidate"]) == (release, None)


def test_evidence_that_is_too_old_is_gathered_again(
    bare: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(bare, tmp_path)
    world.gather()
    later = clock.now() + timedelta(days=40)
    monkeypatch.setattr(clock, "now", lambda: later)
    printed = bare.run("status", "--env", "staging").out
    assert "0 of 12 kinds of evidence pass; smoke stale" in printed
    assert "Next: agent-studio test --env staging\n" in printed
    evidence.record(world.staging, "test", world.data("status")["candidate"]["candidate"], evidence.PASS, {})
    assert "Next: agent-studio smoke --env staging\n" in bare.run("status", "--env", "staging").out


def test_a_damaged_journal_of_evidence_is_a_note_of_status(staged: Studio) -> None:
    staged.run("smoke", "--env", "staging")
    (staged.path / ".agent-studio/staging/evidence/chain.jsonl").write_text("{}\n")
    done = staged.run("status", "--env", "staging", "--json")
    assert (done.code, len(done.envelope["problems"])) == (0, 1)
    assert "chain.jsonl" in done.envelope["problems"][0]["message"]


def test_status_for_people_names_the_limits_and_the_next_step(staged: Studio) -> None:
    printed = staged.run("status", "--env", "staging").out
    assert "hooks 20 ms, hook failures 10 %, agent failures 6 %, 20 errors an hour, 100,000 tokens a day" in printed
    assert "Next: agent-studio test --env staging" in printed
    assert "Limits          none (alerts are off)" in staged.run("status").out


def test_a_healthy_staging_environment_has_nothing_to_mend(staged: Studio) -> None:
    done = staged.run("doctor", "--env", "staging")
    assert done.code == 0, done.out
    assert "Nothing to mend" in done.out


def test_an_environment_that_is_not_chosen_is_explained_per_shell(staged: Studio) -> None:
    finding = findings(staged)["environment-detection"]
    assert "AGENT_STUDIO_ENV is not set" in finding["message"]
    assert finding["fix"].splitlines() == [
        "bash: export AGENT_STUDIO_ENV=staging",
        'PowerShell: $env:AGENT_STUDIO_ENV = "staging"',
        "cmd: set AGENT_STUDIO_ENV=staging",
    ]


def test_a_configuration_that_is_not_loaded_is_an_error_with_the_command(staged: Studio) -> None:
    (staged.path / ".claude/config.staging.yaml").unlink()
    found = findings(staged, "--env", "staging")
    assert found["configuration-missing"]["severity"] == "error"
    assert "agent-studio init --env staging" in found["configuration-missing"]["fix"]
    assert staged.run("doctor", "--env", "staging").code == 1


@pytest.mark.parametrize("paths", ["{metrics: .git/x}", "{metrics: numbers, memory: numbers/all}"])
def test_data_that_may_not_lie_where_it_is_put_is_an_error(staged: Studio, paths: str) -> None:
    with (staged.path / ".claude/config.yaml").open("a") as file:
        file.write(f"paths: {paths}\n")
    found = findings(staged, "--env", "production")["configuration"]
    assert found["severity"] == "error"
    assert "paths.metrics" in found["message"]
    assert staged.run("doctor", "--env", "production").code == 1


@pytest.mark.parametrize("words", [("--require-isolation",), ("--backend", "advisory"), ("isolation", "--fix")])
def test_an_option_that_would_have_no_effect_is_refused(staged: Studio, words: tuple[str, ...]) -> None:
    assert staged.run("doctor", "--env", "staging", *words).code == 2


def test_missing_directories_and_files_are_found_and_mended(staged: Studio) -> None:
    (staged.path / ".claude/staging/agents").rmdir()
    (staged.path / ".claude/staging/memory/learnings.md").unlink()
    found = findings(staged, "--env", "staging")
    assert ".claude/staging/agents" in found["directories-missing"]["message"]
    assert "memory/learnings.md" in found["files-missing"]["message"]
    staged.run("doctor", "--fix", "--env", "staging")
    assert (staged.path / ".claude/staging/agents").is_dir()


def test_a_project_that_was_never_initialised_has_no_burn_in_to_mend(bare: Studio) -> None:
    done = bare.run("doctor")
    assert "burnin" not in done.out
    assert "directories-missing" in done.out
    assert "Nothing to mend" not in done.out
    assert "what is missing: agent-studio init --env development" in done.out
    bare.run("init")
    assert "Nothing to mend" in bare.run("doctor").out


@pytest.mark.parametrize(("target", "said"), [
    ("gone/.claude-plugin/plugin.json", "is no folder"), (".", "the checkout that is worked in"),
    ("../plugin/.claude-plugin", "where a plugin's manifest is"),
])  # fmt: skip
def test_a_target_that_production_cannot_be_is_found(bare: Studio, target: str, said: str) -> None:
    manifest = bare.path.parent / "plugin/.claude-plugin/plugin.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"name": "shop"}')
    (bare.path / "gone/.claude-plugin").mkdir(parents=True)
    (bare.path / "gone/.claude-plugin/plugin.json").write_text("{}")
    bare.write(".claude/config.yaml", f"release:\n  target: {target}\n")
    found = findings(bare)["production-target"]
    assert said in found["message"]
    assert bare.run("doctor").code == 1
    bare.write(".claude/config.yaml", "release:\n  target: ../plugin\n")
    assert "production-target" not in findings(bare)


def test_failing_tests_are_named(staged: Studio) -> None:
    command = "import sys; print('test result: FAILED. 1 passed; 1 failed; 0 ignored'); sys.exit(1)"
    assert staged.run("test", "--env", "staging", "--", "python3", "-c", command).code == 1
    found = findings(staged, "--env", "staging")
    assert found["tests"]["severity"] == "warning"
    assert "ended FAIL" in found["tests"]["message"]


def test_a_feature_that_does_not_work_is_found_with_the_line_that_sets_it(staged: Studio) -> None:
    text = "environment: staging\nfeatures:\n  partyMode:\n    enabled: false\n"
    staged.write(".claude/config.staging.yaml", text)
    finding = findings(staged, "--env", "staging")["feature-off"]
    assert "config.staging.yaml:4" in finding["message"]
    assert "agent-studio flags set partyMode --on --env staging" in finding["fix"]


def test_loose_rights_are_found_and_mended(staged: Studio) -> None:
    place = staged.path / ".claude/staging/memory/learnings.md"
    place.chmod(0o644)
    assert "learnings.md" in findings(staged, "--env", "staging")["rights"]["message"]
    done = staged.run("doctor", "--fix", "--env", "staging")
    assert done.code == 0
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


@pytest.mark.parametrize(("node_env", "found"), [("staging", True), ("test", False), ("development", False)])
def test_node_env_that_seems_to_choose_an_environment_is_named(staged: Studio, node_env: str, *, found: bool) -> None:
    assert ("node-env" in findings(staged, variables={"NODE_ENV": node_env})) is found


def test_drift_between_environments_is_named(staged: Studio) -> None:
    text = (staged.path / ".claude/config.staging.yaml").read_text()
    staged.write(".claude/config.staging.yaml", text + "models:\n  default: other\n")
    found = findings(staged, "--env", "staging")["drift"]["message"]
    assert found == "models.default is 'other' in staging and not set in production"


def test_files_of_the_original_are_named_with_what_becomes_of_them(bare: Studio) -> None:
    bare.write(".claude/context/metrics/hook-metrics.jsonl", "{}\n")
    message = findings(bare, "--env", "production")["original-format"]["message"]
    assert message == (
        ".claude/context/metrics/hook-metrics.jsonl is left alone; figures begin with what is recorded from now on"
    )


def test_of_the_original_only_what_is_there_is_offered(bare: Studio) -> None:
    bare.write(".claude/context/memory/sessions/.gitkeep", "")
    assert "original-format" not in findings(bare, "--env", "production")
    bare.write(".claude/context/memory/sessions/session_001.json", "{}")
    assert findings(bare, "--env", "production")["original-format"]["fix"] == (
        "agent-studio memory import --env production"
    )


def test_a_symlinked_data_folder_is_an_error(staged: Studio) -> None:
    folder = staged.path / ".claude/staging/agents"
    folder.rmdir()
    folder.symlink_to("memory")
    done = staged.run("doctor", "--env", "staging", "--json")
    assert done.code == 1
    assert "symbolic link" in json.dumps(done.data)


def test_an_interrupted_or_damaged_release_is_told_by_status_and_doctor(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    release = world.promoted("one\n")
    live = Studio(world.live)
    assert findings(bare, "--env", "staging")["release"]["severity"] == "ok"
    told = f"this is the production of {world.project.path}"
    assert findings(live, "--env", "production")["production-of"]["message"] == told
    assert f"Production of   {world.project.path}\n" in live.run("status", "--env", "production").out
    assert bare.json("status", "--env", "staging")["recovery"] == []

    def is_told(code: str, *, fix: str) -> None:
        for one, environment in ((bare, "staging"), (live, "production")):
            found = findings(one, "--env", environment)[code]
            assert found["severity"] in {"warning", "error"}
            assert fix in found["fix"]
            assert one.run("doctor", "--env", environment).code == 1
            assert code in [held["code"] for held in one.json("status", "--env", environment)["recovery"]]
            assert found["message"][:40] in one.run("status", "--env", environment).out

    releases = world.project.path / ".agent-studio/releases"
    history = (releases / "history.jsonl").read_bytes()
    told_journal: dict[str, object] = {"id": "x", "definitions": "x", "around": None, "changes": [], "record": {}}
    seal = hashlib.sha256(json.dumps(told_journal, sort_keys=True).encode()).hexdigest()
    (releases / "journal.json").write_text(json.dumps({**told_journal, "sha256": seal}))
    is_told("release-interrupted", fix="agent-studio recover")
    assert "Next: agent-studio recover\n" in bare.run("status", "--env", "staging").out
    (releases / "journal.json").write_text("{}")
    is_told("release-damage", fix="release verify")
    (releases / "journal.json").unlink()
    (releases / "history.jsonl").write_bytes(history.replace(release.encode(), b"0" * 64))
    is_told("release-damage", fix="")
    (releases / "history.jsonl").write_bytes(history)
    backups = world.live / ".agent-studio/production/backups"
    (backups / "restore.json").write_text("{}")
    assert findings(live, "--env", "production")["restore-interrupted"]["severity"] == "error"
    (backups / "restore.json").unlink()
    assert bare.json("status", "--env", "staging")["recovery"] == []


def test_a_release_that_was_not_proven_is_told(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    world.ready()
    with pytest.raises(KeyboardInterrupt):
        promote.promote(sides.open_sides(world.project, {}), promote.Options(), lambda _: None, interrupted)
    found = findings(bare, "--env", "staging")["release-unproven"]
    assert (found["severity"], found["fix"]) == ("warning", "agent-studio recover")
    assert "did not prove itself yet" in bare.run("status", "--env", "staging").out
    world.must("recover")
    assert "release-unproven" not in findings(bare, "--env", "staging")


def interrupted() -> Proof:
    raise KeyboardInterrupt
