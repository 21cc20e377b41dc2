"""What is shipped, installed as a stranger would, far from a checkout: a journey on a copy of the example project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import REPOSITORY, clean_variables
from bench.projects import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOURNEY: Mapping[tuple[str, ...], int] = {
    ("--version",): 0,
    ("init", "--env", "staging", "--with-activity"): 0,
    ("smoke", "--env", "staging"): 0,
    ("status", "--env", "staging"): 0,
    ("doctor", "--env", "staging"): 0,
    ("config", "check"): 0,
    ("ingest", "--env", "staging"): 0,
    ("monitor", "--env", "staging", "--trends"): 0,
    ("cost", "import", "--env", "staging", "--config-dir", "claude-config"): 0,
    ("cost", "report", "--env", "staging", "--by", "model"): 0,
    ("cost", "verify", "--env", "staging"): 0,
    ("kb", "search", "split a discount", "--env", "staging"): 0,
    ("elicit", "list"): 0,
    ("party", "run", "Which queue?", "--options", "Postgres|Redis|Kafka", "--model", "scripted:party-replies.json"): 0,
    ("party", "verify", "last"): 0,
    ("memory", "add", "learning", "The database needs eight seconds to start."): 0,
    ("scan",): 0,
    ("candidate", "create"): 0,
    ("gate",): 3,
    ("hooks", "uninstall", "--yes"): 0,
    ("completion", "bash"): 0,
}
"""Commands and the exit codes that are right: every package of the product, and every kind of file it ships."""


def travel(command: Path, place: Path, steps: Mapping[tuple[str, ...], int] = JOURNEY) -> list[str]:
    """Run each step by an installed command in a copy of the example; return what went otherwise."""
    shop = _shop(place)
    (place / "home").mkdir(exist_ok=True)
    faults = []
    for step, wanted in steps.items():
        done = _call([command, *step], shop, HOME=str(place / "home"))
        if done.returncode != wanted:
            said = (done.stdout + done.stderr).strip()[-600:]
            faults.append(f"agent-studio {' '.join(step)}: exit code {done.returncode}, not {wanted}: {said}")
    return faults


def where(python: Path, place: Path) -> Path:
    """Return the folder from which an installed interpreter takes the package."""
    done = _call([python, "-c", "import agent_studio; print(agent_studio.__path__[0])"], place)
    return Path(done.stdout.strip())


def trial(*, wanted: bool = True) -> Trial:
    """Build, install the wheel, the source archive, and the wheel by pipx, each with its dependencies, and travel."""
    result = Trial("what `make dist` builds, installed by pip and pipx far from a checkout, does its work")
    if not wanted:
        result.not_run = "--no-package"
        return result
    with tempfile.TemporaryDirectory(prefix="built-") as name:
        place = Path(name).resolve()
        done = _call([sys.executable, REPOSITORY / "scripts/dist.py", "--out", place / "dist"], place)
        if done.returncode:
            result.faults.append(done.stderr or done.stdout)
            return result
        wheel, archive = (next((place / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
        for kind, artifact in (("wheel", wheel), ("archive", archive)):
            command = _by_pip(artifact, place / f"venv-{kind}")
            result.faults += [f"{kind}: {fault}" for fault in _installed(command, place / f"travel-{kind}")]
        result.faults += [f"pipx: {fault}" for fault in _by_pipx(wheel, place / "x")]
        result.faults += [f"pre-commit: {fault}" for fault in _by_pre_commit(place / "p")]
    result.figures.append(f"{len(JOURNEY)} commands, 3 ways to install; two builds are the same bytes; 3 hooks")
    return result


def _installed(command: Path, place: Path) -> list[str]:
    place.mkdir()
    package = where(command.parent / "python", place)
    if not package.is_relative_to(command.parent.parent):
        return [f"the package comes from {package}"]
    return travel(command, place)


def _by_pip(artifact: Path, venv: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/python", "-m", "pip", "install", "-q", artifact], check=True, capture_output=True)
    return venv / "bin/agent-studio"


def _by_pipx(wheel: Path, place: Path) -> list[str]:
    pipx = REPOSITORY / ".tools/bin/pipx"
    if not pipx.exists():
        return ["pipx is not here: bash scripts/setup.sh tools"]
    place.mkdir()
    homes = {"PIPX_HOME": str(place / "pipx"), "PIPX_BIN_DIR": str(place / "bin"), "HOME": str(place / "home")}
    done = _call([pipx, "install", wheel], place, **homes)
    if done.returncode:
        return [done.stderr[-600:]]
    listed = json.loads(_call([pipx, "list", "--json"], place, **homes).stdout)
    apps = listed["venvs"]["agent-studio"]["metadata"]["main_package"]["apps"]
    faults = [] if apps == ["agent-studio"] else [f"it offers {apps}"]
    faults += travel(place / "bin/agent-studio", place)
    done = _call([pipx, "uninstall", "agent-studio"], place, **homes)
    if done.returncode or (place / "bin/agent-studio").exists():
        faults.append(f"uninstalling: {done.stderr[-600:]}")
    return faults


def _by_pre_commit(place: Path) -> list[str]:
    """Let pre-commit install the last commit by itself, and run its hooks on a sound project and on a planted token."""
    pre_commit = REPOSITORY / ".tools/bin/pre-commit"
    if not pre_commit.exists():
        return ["it is not here: bash scripts/setup.sh tools"]
    shop = _shop(place)
    homes = {"PRE_COMMIT_HOME": str(place / "cache"), "HOME": str(place)}
    faults = []
    for wanted in (0, 1):
        done = _call([pre_commit, "try-repo", REPOSITORY, "--all-files", "--color=never"], shop, **homes)
        if done.returncode != wanted:
            faults.append(f"exit code {done.returncode}, not {wanted}: {(done.stdout + done.stderr)[-600:]}")
        (shop / ".claude/commands/deploy.md").write_text("ghp_" + "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1bC3eF5hJ7\n")
        subprocess.run(["git", "add", "-A"], cwd=shop, check=True)
    return faults


def _shop(place: Path) -> Path:
    leftovers = shutil.ignore_patterns(".agent-studio", "staging", "__pycache__", ".pytest_cache", "config*.yaml",
                                       "settings.local.json")  # fmt: skip
    shop = Path(shutil.copytree(REPOSITORY / "examples/bookshop", place / "bookshop", ignore=leftovers))
    who = ("-c", "user.name=Rita", "-c", "user.email=rita@example.org")
    for line in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "Start")):
        subprocess.run(["git", *line], cwd=shop, check=True, capture_output=True)
    return shop


def _call(line: Sequence[Path | str], cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in clean_variables().items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in bare["PATH"].split(os.pathsep) if part != own)
    return subprocess.run(
        list(map(str, line)), cwd=cwd, env={**bare, "PATH": path, **variables}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=600, check=False,
    )  # fmt: skip
