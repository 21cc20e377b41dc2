"""The example workflow is valid, and its steps do in a fresh checkout what the page on the gate says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML
from tests.conftest import REPOSITORY

WORKFLOW = REPOSITORY / "examples/github-actions/agent-studio-gate.yml"
_INSTALLS = "Install"


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = YAML(typ="safe").load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["gate"]["steps"]
    return found


def test_the_workflow_asks_for_little_and_keeps_what_is_red() -> None:
    whole = YAML(typ="safe").load(WORKFLOW.read_text(encoding="utf-8"))
    assert whole["permissions"] == {"contents": "read"}
    assert whole["on"] == "pull_request"
    assert "head.repo.full_name == github.repository" in whole["jobs"]["gate"]["if"]
    checkout = steps()[0]
    assert checkout["with"]["clean"] is False
    uploaded = steps()[-1]
    assert "!cancelled()" in uploaded["if"]
    written = " ".join(str(one.get("run")) for one in steps())
    assert all(name in written for name in uploaded["with"]["path"].split())
    for step in steps():
        uses = step.get("uses")
        assert uses is None or re.fullmatch(r"actions/[\w-]+@v\d+", uses)
        assert "${{" not in str(step.get("run"))  # what a pull request names is never part of a script


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("git")), reason="bash or git is not here")
@pytest.mark.parametrize("target", [None, "../live"])
def test_its_steps_run_in_a_fresh_checkout_and_the_gate_is_red_there(tmp_path: Path, target: str | None) -> None:
    checkout = tmp_path / "bookshop"
    leftovers = shutil.ignore_patterns(".agent-studio", "staging", "__pycache__", "config*.yaml")
    shutil.copytree(REPOSITORY / "examples/bookshop", checkout, ignore=leftovers)
    if target:
        (checkout / ".claude/config.yaml").write_text(f"release:\n  target: {target}\n")
    for command in (
        ("init", "-q"), ("config", "user.name", "Rita"), ("config", "user.email", "rita@example.org"),
        ("add", "-A"), ("commit", "-q", "-m", "Start"),
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=checkout, check=True)
    (checkout / "sign-offs").mkdir()
    (checkout / "sign-offs/qa.json").write_text("{}")
    summary = tmp_path / "summary.md"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    codes = {}
    for step in steps():
        if "run" not in step or step["name"] == _INSTALLS:
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]], cwd=checkout, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "PATH": path, "GITHUB_STEP_SUMMARY": str(summary)},
        )  # fmt: skip
        codes[step["name"]] = done.returncode
        if step["name"].startswith("Sign-offs"):
            assert "sign-offs/qa.json does not count" in done.stdout
    assert codes.pop("Gate") == 3
    assert set(codes.values()) == {0}
    assert summary.read_text(encoding="utf-8").startswith("### Gate: INSUFFICIENT")
    cases = {case.get("name"): case for case in ET.fromstring((checkout / "gate.xml").read_bytes())}
    assert cases["burnin"].find("error") is not None
    assert ("production" in cases) == bool(target)
    if target:
        assert "live is not on this machine |" in summary.read_text(encoding="utf-8")
        assert not (tmp_path / "live").exists()
    assert (checkout / "smoke.xml").exists()
