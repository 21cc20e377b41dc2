"""What continuous integration and pre-commit read is valid by their own schemas, and its shell does what the page says.

The schemas, linters and pre-commit are in .tools (bash scripts/setup.sh tools).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML
from tests.conftest import REPOSITORY

TOOLS = REPOSITORY / ".tools" / "bin"
ACTION = REPOSITORY / "action.yml"
MANIFEST = REPOSITORY / ".pre-commit-hooks.yaml"
CONTAINER = REPOSITORY / "packaging" / "Containerfile"
WORKFLOWS = sorted((REPOSITORY / "examples/github-actions").glob("*.yml"))
OWN = str(Path(sys.executable).parent)

tools = pytest.mark.skipif(not TOOLS.exists(), reason="no .tools: bash scripts/setup.sh tools")
posix = pytest.mark.skipif(not (shutil.which("bash") and shutil.which("git")), reason="bash or git is not here")


def load(place: Path) -> Any:
    return YAML(typ="safe").load(place.read_text(encoding="utf-8"))


def tool(name: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    line = [str(TOOLS / name), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, **options)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The example project in a repository of its own."""
    leftovers = shutil.ignore_patterns(".agent-studio", "staging", "__pycache__", "config*.yaml", "settings.local.json")
    path = Path(shutil.copytree(REPOSITORY / "examples/bookshop", tmp_path / "shop", ignore=leftovers))
    for line in (
        ("init", "-q"), ("config", "user.name", "Rita"), ("config", "user.email", "rita@example.org"),
        ("add", "-A"), ("commit", "-qm", "Start"),
    ):  # fmt: skip
        subprocess.run(["git", *line], cwd=path, check=True)
    return path


@dataclass
class Runner:
    """A runner's folder, and the `run` steps of the action in it."""

    place: Path
    shop: Path
    said: list[str] = field(default_factory=list)

    def variables(self, step: dict[str, Any], inputs: dict[str, str]) -> dict[str, str]:
        """Return what the runner would set, with the inputs' defaults and what is asked for."""
        given = {name: str(one["default"]) for name, one in load(ACTION)["inputs"].items()} | inputs

        def filled(text: str) -> str:
            return re.sub(r"\$\{\{ inputs\.([\w-]+)(?: \|\| github\.action_path)? \}\}", lambda at: given[at[1]], text)

        own = {name: filled(value) for name, value in step.get("env", {}).items()}
        files = {f"GITHUB_{name}": str(self.place / name.lower()) for name in ("OUTPUT", "PATH", "STEP_SUMMARY")}
        return {**os.environ, "PATH": f"{OWN}:{os.environ['PATH']}", "RUNNER_TEMP": str(self.place), **files, **own}

    def check(self, **inputs: str) -> tuple[int, dict[str, str], str]:
        """Run the step that checks; return its exit code, its outputs, and the summary."""
        step = next(one for one in load(ACTION)["runs"]["steps"] if one.get("id") == "check")
        for name in ("output", "step_summary"):
            (self.place / name).write_text("")
        script = self.place / "step.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script], cwd=self.shop, timeout=300, check=False,
            env=self.variables(step, {key.replace("_", "-"): value for key, value in inputs.items()}),
            capture_output=True, text=True,
        )  # fmt: skip
        self.said.append(done.stdout + done.stderr)
        outputs = dict(line.split("=", 1) for line in (self.place / "output").read_text().splitlines())
        return done.returncode, outputs, (self.place / "step_summary").read_text(encoding="utf-8")


@pytest.fixture
def runner(tmp_path: Path, shop: Path) -> Runner:
    (tmp_path / "runner").mkdir()
    return Runner(tmp_path / "runner", shop)


@tools
def test_action_and_workflows_follow_their_schemas_and_a_fault_is_found(tmp_path: Path) -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", ACTION)
    assert done.returncode == 0, done.stdout
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    assert done.returncode == 0, done.stdout
    (tmp_path / "action.yml").write_text(ACTION.read_text(encoding="utf-8").replace("using: composite", "using: shell"))
    assert tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", tmp_path / "action.yml").returncode


def test_nothing_that_a_pull_request_names_is_part_of_a_script() -> None:
    steps = [*load(ACTION)["runs"]["steps"]]
    for workflow in WORKFLOWS:
        whole = load(workflow)
        assert whole["permissions"] == {"contents": "read"}
        steps += [step for job in whole["jobs"].values() for step in job["steps"]]
    for step in steps:
        assert "${{" not in step.get("run", "")
        uses = step.get("uses", "actions/x@v1")
        assert re.fullmatch(r"actions/[\w-]+@v\d+|OWNER/agent-studio@main", uses)


def test_inputs_and_outputs_are_those_of_the_page() -> None:
    page = (REPOSITORY / "docs/ci.md").read_text(encoding="utf-8")
    action = load(ACTION)
    for name, one in action["inputs"].items():
        default = f"`{one['default']}`" if one["default"] else "-"
        assert f"\n| `{name}` | {default} |" in page
    for name in action["outputs"]:
        assert f"| `{name}` |" in page


@tools
def test_shell_of_action_and_scripts_is_clean(tmp_path: Path) -> None:
    places = [*REPOSITORY.glob("scripts/*.sh"), REPOSITORY / ".ci/run"]
    for number, step in enumerate(one for one in load(ACTION)["runs"]["steps"] if "run" in one):
        places.append(tmp_path / f"{number}.sh")
        places[-1].write_text(f"#!/usr/bin/env bash\n{step['run']}")
    done = tool("shellcheck", *places)
    assert done.returncode == 0, done.stdout


@posix
def test_checks_pass_on_the_example_and_the_gate_that_lacks_evidence_is_red(runner: Runner) -> None:
    code, outputs, summary = runner.check()
    assert (code, outputs["failed"]) == (3, "gate"), runner.said
    reports = Path(outputs["reports"])
    assert reports == runner.shop / "agent-studio-reports"
    assert {"smoke.xml", "gate.xml", "gate.md", "doctor.txt", "scan.txt"} <= {one.name for one in reports.iterdir()}
    assert "### Gate: INSUFFICIENT" in summary
    for check in ("doctor", "scan", "smoke"):
        assert f"agent-studio {check}: passed" in summary
    assert not (runner.shop / ".claude/settings.local.json").exists()  # --no-hooks

    code, outputs, summary = runner.check(checks="gate", accept_insufficient="true", reports="other")
    assert (code, outputs["failed"]) == (0, "")
    assert "not yet (exit code 3, accepted)" in summary


@posix
def test_a_planted_token_is_red_and_no_order_to_the_runner(runner: Runner) -> None:
    token = "ghp_" + "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1bC3eF5hJ7"
    (runner.shop / ".claude/commands/<b>x.md").write_text(f"token: {token}\n")
    code, outputs, summary = runner.check(checks="scan smoke", accept_insufficient="true")
    assert (code, outputs["failed"]) == (1, "scan")
    assert "&lt;b&gt;x.md:1: github-token" in summary
    assert "<b>" not in summary
    assert token not in summary + "".join(runner.said)
    lines = runner.said[-1].splitlines()
    opened = next(line for line in lines if line.startswith("::stop-commands::"))
    assert f"::{opened.rpartition('::')[2]}::" in lines


@posix
@pytest.mark.parametrize("inputs", [{"checks": "doctor; id"}, {"environment": "stagin"}])
def test_an_input_that_is_wrong_is_said_and_runs_nothing_else(runner: Runner, inputs: dict[str, str]) -> None:
    code, outputs, _ = runner.check(**inputs)
    assert code == 2
    assert "failed" not in outputs
    assert "there is no check of this name" in runner.said[0] or "staging" in runner.said[0]


@tools
@posix
def test_pre_commit_reads_the_manifest_and_its_hooks_refuse_what_they_should(shop: Path, tmp_path: Path) -> None:
    """The hooks' own commands by pre-commit, in this environment; the trials let it install them."""
    done = tool("pre-commit", "validate-manifest", MANIFEST)
    assert done.returncode == 0, done.stdout
    hooks = load(MANIFEST)
    for hook in hooks:
        hook["language"] = "system"
    with (shop / ".pre-commit-config.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"repos": [{"repo": "local", "hooks": hooks}]}, file)
    variables = {**os.environ, "PATH": f"{OWN}:{os.environ['PATH']}", "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    subprocess.run(["git", "add", "-A"], cwd=shop, check=True)

    def outcome(*arguments: str) -> dict[str, str]:
        done = tool("pre-commit", "run", "--color=never", *arguments, cwd=shop, env=variables)
        return dict(re.findall(r"^(\S.*?)\.{3,}.*?(Passed|Failed|Skipped)$", done.stdout, re.MULTILINE))

    names = [hook["name"] for hook in hooks]
    assert outcome("--all-files") == dict(zip(names, ("Passed", "Skipped", "Passed"), strict=True))
    (shop / ".claude/commands/deploy.md").write_text("ghp_" + "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1bC3eF5hJ7\n")
    (shop / ".claude/config.yaml").write_text("features:\n  partyMode:\n    enabld: true\n")
    (shop / ".claude/agents/new.md").write_text("---\nname: new\ndescription: Use when: asked\n---\n")
    subprocess.run(["git", "add", "-A"], cwd=shop, check=True)
    assert outcome() == dict.fromkeys(names, "Failed")


@tools
def test_the_container_file_is_clean_and_runs_without_rights(tmp_path: Path) -> None:
    done = tool("hadolint", CONTAINER)
    assert (done.returncode, done.stdout) == (0, "")
    text = CONTAINER.read_text(encoding="utf-8")
    assert int(re.findall(r"^USER (\d+)$", text, re.MULTILINE)[-1]) > 0
    (tmp_path / "Containerfile").write_text(text.replace(" --no-install-recommends", "") + "RUN cd x && sudo y\n")
    done = tool("hadolint", tmp_path / "Containerfile")
    assert {"DL3015", "DL3004"} <= set(re.findall(r"DL\d+", done.stdout))


@posix
def test_what_the_container_file_copies_is_enough_to_build_at_the_versions_of_the_lock(tmp_path: Path) -> None:
    text = CONTAINER.read_text(encoding="utf-8").replace("\\\n", "")
    for sources, target in re.findall(r"^COPY (?!--)(.+) (\S+)$", text, re.MULTILINE):
        for source in sources.split():
            place = tmp_path / (source if target == "./" else target)
            if (REPOSITORY / source).is_dir():
                shutil.copytree(REPOSITORY / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(REPOSITORY / source, place)
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pinned = next(part for part in re.findall(r"(?<=&& )sed .*?> constraints\.txt", text))
    subprocess.run(["sh", "-c", pinned], cwd=tmp_path, check=True)
    constraints = [Requirement(line) for line in (tmp_path / "constraints.txt").read_text().splitlines()]
    locked = re.findall(r"^([\w.-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert [one.name for one in constraints] == locked


def test_hooks_are_command_lines_of_ours() -> None:
    from agent_studio.cli.dispatch import _spelled_out, whole_parser

    parser = whole_parser()
    for hook in load(MANIFEST):
        program, *words = shlex.split(hook["entry"])
        assert program == "agent-studio"
        parser.parse_args(_spelled_out([*words, *(["x"] if hook.get("pass_filenames", True) else [])]))


def test_every_test_that_the_page_on_security_names_is_there() -> None:
    page = (REPOSITORY / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/\w+\.py)\)", page)
    assert len(named) == page.count("[`test_")
    for name, place in named:
        assert re.search(
            rf"^(?:async )?def {name}\(", (REPOSITORY / place).read_text(encoding="utf-8"), re.MULTILINE
        ), name
    sections = [part for part in page.split("\n## ")[1:] if "| promised | held by |" in part]
    for part in sections:
        assert "\n*Not*: " in part, part.splitlines()[0]  # no promise without where it ends
        for row in re.findall(r"^\| (?!promised|---)(.+) \|$", part, re.MULTILINE):
            assert "[`test_" in row.split(" | ")[1], row
