from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_studio.environment import detect
from agent_studio.environment.context import open_context
from agent_studio.environment.roots import Project
from agent_studio.isolation import claims, planting, probe, proof
from agent_studio.isolation.backends import ADVISORY, runtime
from agent_studio.isolation.choice import BACKENDS, Choice, choose
from agent_studio.isolation.routes import reading

if TYPE_CHECKING:
    from tests.conftest import Studio

    from agent_studio.environment.context import Context
    from agent_studio.isolation.policy import Policy
    from agent_studio.isolation.proof import Proof

USABLE = [backend.NAME for backend in BACKENDS if backend.available().usable]
NOTHING_USABLE = "this system offers no isolation"
PRIVATE = pytest.mark.skipif(not USABLE, reason=NOTHING_USABLE)


@pytest.fixture
def apart(staged: Studio) -> Studio:
    """Staging and production, with something of production's in it."""
    assert staged.run("init", "--env", "production", "--no-hooks").code == 0
    staged.write(".claude/memory/learnings.md", "of production\n")
    return staged


def context_of(studio: Studio) -> Context:
    return open_context(Project(studio.path), detect.Choice(detect.Environment.STAGING, "test"), dict(os.environ))


def proven(studio: Studio, weaker: Policy | None, name: str) -> Proof:
    """Return what is proven where the boundary is drawn by another policy than ours."""
    context = context_of(studio)
    ours = proof.boundary(context, os.environ)
    return proof.prove(context, weaker or ours, choose(ours, name), os.environ)


@pytest.mark.parametrize("name", USABLE)
def test_what_run_protects_is_reached_by_no_claimed_route(apart: Studio, name: str) -> None:
    before = apart.snapshot(".claude")
    done = apart.run("doctor", "isolation", "--env", "staging", "--backend", name, "--json")
    assert done.code == 0, done.data.get("findings") or done.out
    assert (done.data["verdict"], done.data["isolation"], done.data["findings"]) == ("PASS", name, [])
    verdicts = {(one["name"], one["target"]): one["verdict"] for one in done.data["routes"]}
    for route in ("read", "hard link", "SQLite ATTACH", "subprocess", "memory of a process", "write", "unlink"):
        assert verdicts[route, ".claude/metrics"] == "blocked"
    assert {verdicts[route, ".claude"] for route in ("write", "create", "rename over")} == {"blocked"}
    assert apart.snapshot(".claude") == before
    assert not list((apart.path / ".agent-studio/staging/probe").iterdir())


@PRIVATE
def test_the_proof_is_kept_as_evidence_that_names_the_candidate(apart: Studio) -> None:
    found = apart.json("doctor", "isolation", "--env", "staging")
    kept = json.loads((apart.path / found["file"]).read_text())
    assert kept["schema"] == "agent-studio/isolation-evidence/1"
    assert (kept["verdict"], kept["isolation"], kept["environment"]) == (
        found["verdict"],
        found["isolation"],
        "staging",
    )
    assert len(kept["candidate"]) == 64
    assert kept["routes"] == found["routes"]
    assert (apart.path / found["file"]).stat().st_mode & 0o077 == 0


def test_advisory_isolation_reaches_everything_and_proves_nothing(apart: Studio) -> None:
    done = apart.run("doctor", "isolation", "--env", "staging", "--backend", ADVISORY, "--json")
    assert done.code == 3
    assert done.data["verdict"] == "INSUFFICIENT"
    verdicts = {one["name"]: one["verdict"] for one in done.data["routes"] if one["target"] == ".claude/metrics"}
    for route in ("read", "list", "hard link", "subprocess", "SQLite ATTACH", "write", "rename out", "chmod"):
        assert verdicts[route] == "reaches", route
    kept = json.loads((apart.path / done.data["file"]).read_text())
    assert (kept["verdict"], kept["advisory"]) == ("INSUFFICIENT", True)


def test_required_isolation_that_is_not_there_exits_7(apart: Studio) -> None:
    done = apart.run("doctor", "isolation", "--env", "staging", "--backend", ADVISORY, "--require-isolation")
    assert done.code == 7
    assert not list((apart.path / ".agent-studio/staging/evidence").iterdir())


@pytest.mark.parametrize("name", USABLE)
def test_a_boundary_that_forgets_the_data_root_is_noticed(apart: Studio, name: str) -> None:
    ours = proof.boundary(context_of(apart), os.environ)
    data = [path for path in ours.hidden if path.name != "metrics"]
    found = proven(apart, ours._replace(hidden=tuple(data)), name)
    assert found.verdict == claims.FAIL
    assert {route.target for route in found.broken} == {".claude/metrics"}
    assert "read" in {route.name for route in found.broken}


@pytest.mark.parametrize("name", USABLE)
def test_a_boundary_that_forgets_the_definitions_is_noticed(apart: Studio, name: str) -> None:
    ours = proof.boundary(context_of(apart), os.environ)
    definitions = apart.path / ".claude"
    readonly = [path for path in ours.readonly if not path.is_relative_to(definitions)]
    found = proven(apart, ours._replace(readonly=tuple(readonly)), name)
    assert found.verdict == claims.FAIL
    assert ("write", ".claude") in {(route.name, route.target) for route in found.broken}


@PRIVATE
def test_a_probe_that_cannot_start_inside_is_no_proof(apart: Studio) -> None:
    context = context_of(apart)
    asked = probe.Asked([probe.Target("data", apart.path / ".claude/metrics", probe.ON_HIDDEN)])
    routes = probe.attack(asked, context.root.state, lambda _: None)
    assert {route.verdict for route in routes} == {probe.NOT_TRIED}
    assert claims.verdict(USABLE[0], routes) == claims.INSUFFICIENT


def test_the_vendors_sandbox_is_tried_with_a_folder_for_its_settings(
    apart: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands for `srt` confines nothing: that its command line and settings are made is what is looked at."""
    program = tmp_path / "srt"
    program.write_text('#!/bin/sh\ntest "$1" = --settings && test -s "$2" && shift 3 && exec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    context = context_of(apart)
    ours = proof.boundary(context, os.environ)
    found = proof.prove(context, ours, Choice(runtime.NAME, runtime, ()), os.environ, brief=True)
    assert found.count(probe.NOT_TRIED) == 0
    assert not list((apart.path / ".agent-studio/staging/run").iterdir())


def test_what_a_killed_probe_leaves_is_removed_by_the_next(apart: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [sys.executable, "-m", "agent_studio", "doctor", "isolation", "--env", "staging", "--backend", ADVISORY]
    data = apart.path / ".claude/metrics"
    with subprocess.Popen(words, cwd=apart.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(data.glob(".canary-*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert list(data.glob(".canary-*"))
    monkeypatch.setattr(planting, "_STALE_S", 0)
    apart.run("doctor", "isolation", "--env", "staging", "--backend", ADVISORY)
    assert not list(apart.path.rglob(".canary-*"))


@PRIVATE
def test_a_run_cannot_judge_itself(apart: Studio) -> None:
    ours = (sys.executable, "-m", "agent_studio", "doctor", "isolation", "--env", "staging")
    done = apart.process("run", "--env", "staging", "--", *ours)
    assert done.code == 2
    assert "inside of a run" in done.err


def test_without_other_environments_the_state_of_all_is_what_must_not_be_reached(staged: Studio) -> None:
    data = staged.json("doctor", "isolation", "--env", "staging", "--backend", ADVISORY)
    assert ("read", ".agent-studio", "reaches") in {
        (one["name"], one["target"], one["verdict"]) for one in data["routes"]
    }


def test_an_unknown_backend_is_refused(apart: Studio) -> None:
    done = apart.run("doctor", "isolation", "--env", "staging", "--backend", "chroot")
    assert done.code == 2
    assert "bubblewrap" in done.err


@PRIVATE
def test_smoke_tries_a_few_routes(apart: Studio) -> None:
    data = apart.json("smoke", "--env", "staging")
    check = next(one for one in data["checks"] if one["name"] == "isolation-holds")
    assert check["verdict"] == "PASS", check
    assert not list((apart.path / ".claude").rglob(".canary-*"))


@PRIVATE
def test_smoke_says_when_there_is_nothing_to_keep_apart(bare: Studio) -> None:
    bare.run("init")
    check = next(one for one in bare.json("smoke")["checks"] if one["name"] == "isolation-holds")
    assert check["verdict"] == "SKIPPED"
    assert check["message"] == "another environment has its data in the same folders: there is nothing to keep apart"


def test_smoke_says_why_it_cannot_try(apart: Studio) -> None:
    done = apart.run("smoke", "--env", "staging", "--set", f"isolation.backend={ADVISORY}", "--json")
    check = next(one for one in done.data["checks"] if one["name"] == "isolation-holds")
    assert (done.code, check["verdict"]) == (0, "SKIPPED")
    assert "advisory" in check["message"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="nothing that is always full")
def test_a_probe_whose_disk_is_full_leaves_no_traceback_on_the_screen(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    one = {"route": next(iter(reading.ROUTES)), "file": str(tmp_path / "secret"), "folder": str(tmp_path)}
    attempts = [{**one, "inner": "secret", "given": {}}]
    plan = {"result": "/dev/full", "scratch": str(tmp_path), "outside": {}, "more": [], "attempts": attempts}
    (tmp_path / "plan").write_text(json.dumps(plan))
    child = Path(reading.__file__).with_name("child.py")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(child), str(tmp_path / "plan")], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
