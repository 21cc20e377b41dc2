"""A whole party from one command line, by each kind of model that can be had without an account.

python -m bench.party_models
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench.client import claude
from bench.client.messages_api import MessagesApi, Tool, Turn
from bench.measure import clean_variables
from bench.npm import ProgramMissingError
from bench.projects import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_QUESTION = "Which queue do we use, A or B?"
_SAID = {"option": "A", "stance": "support", "confidence": 0.9, "rationale": "It is there already."}
_TEAM = "agent_type,role,priority,tools,model\nqa,tests it,1,,\ndeveloper,builds it,2,,\n"
_SEATS = 2


def trials(*, with_client: bool = True, wanted: bool = True) -> Iterator[Trial]:
    """Hold all of them, or name them as not run."""
    own = "" if wanted else "--no-models"
    yield _held("a party through Claude Code's own client", client, own or ("" if with_client else "--no-client"))
    yield _held("a party by an OpenAI-compatible server of this machine", compatible, own)
    yield _held("a party by the packaged model", packaged, own)


def client(folder: Path) -> tuple[list[str], str]:
    """Have the real client answer for every seat, on an API of ours."""
    api = MessagesApi({_QUESTION: [Turn(tools=[Tool("StructuredOutput", _SAID)])]})
    with api.serving():
        found = _party(
            folder, "claude:claude-haiku-4-5", claude.variables(claude.install(claude.NEWEST), folder / "home", api.url)
        )
    faults = _faults(folder, found, state="strong", priced=True)
    return [*faults, *_wrong("requests", len(api.requests), _SEATS)], _figure(found)


def compatible(folder: Path) -> tuple[list[str], str]:
    """Have a server that speaks as OpenAI does answer for every seat."""
    with MessagesApi([Turn(json.dumps(_SAID))]).serving() as api:
        found = _party(folder, f"compatible:tiny@{api.url}/v1", clean_variables(), "--allow-unpriced")
    faults = _faults(folder, found, state="strong", priced=False)
    return [*faults, *_wrong("requests", len(api.requests), _SEATS)], _figure(found)


def packaged(folder: Path) -> tuple[list[str], str]:
    """Have the model that comes in a package answer; what it says is not looked at: it is too small."""
    found = _party(folder, "local", clean_variables(), "--timeout", "600")
    hint = " ".join(f"{one['message']}: {one['hint']}" for one in found["problems"])
    if "pip install" in hint:
        raise ProgramMissingError(hint)
    return _faults(folder, found, state=None, priced=True), _figure(found)


def _party(folder: Path, model: str, variables: Mapping[str, str], *more: str) -> dict[str, Any]:
    project = folder / "project"
    (project / ".claude/teams").mkdir(parents=True)
    (project / ".claude/teams/duo.csv").write_text(_TEAM, encoding="utf-8")
    _run(project, variables, "init", "--no-hooks")
    asked = ("party", "run", _QUESTION, "--options", "A|B", "--team", "duo", "--model", model, *more)
    started = time.perf_counter()
    found = _run(project, variables, *asked)
    return {**found, "seconds": time.perf_counter() - started, "variables": variables}


def _run(project: Path, variables: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "agent_studio", *arguments, "--json", "--project", os.fspath(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**variables}, cwd=project)
    said: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"problems": [], "data": {}, "err": done.stderr}
    return {**said, "code": done.returncode}


def _faults(folder: Path, found: Mapping[str, Any], *, state: str | None, priced: bool) -> list[str]:
    data, project = found["data"], folder / "project"
    faults = _wrong("exit code", found["code"], 0)
    if faults:
        return [*faults, str(found["problems"]), str(found.get("err", ""))[-500:]]
    if state is not None:
        faults += _wrong("state", data["state"], state) + _wrong("separate calls", data["separateCalls"], _SEATS)
    faults += _wrong("whether the cost is known", data["costUsd"] is not None, priced)
    verified = _run(project, found["variables"], "party", "verify", data["id"])["data"]
    faults += _wrong("verdict on the transcript", verified["verdict"], "PASS")
    lines = (project / ".claude/metrics/llm-usage.log").read_text(encoding="utf-8").splitlines()
    most = data["separateCalls"] + data["failedCalls"]  # a call that failed without a word of its usage has no record
    return [*faults, *_wrong("calls in the ledger", min(max(len(lines), data["separateCalls"]), most), len(lines))]


def _wrong(what: str, found: object, wanted: object) -> list[str]:
    return [] if found == wanted else [f"{what}: {found}, not {wanted}"]


def _figure(found: Mapping[str, Any]) -> str:
    data = found["data"]
    models, calls = ", ".join(data.get("models", ())), data.get("separateCalls")
    return f"{calls} calls of {models} in {found['seconds']:.1f} s"


def _held(name: str, party: Callable[[Path], tuple[list[str], str]], not_run: str) -> Trial:
    trial = Trial(f"{name}: separate calls, verified, in the ledger", not_run=not_run)
    if not_run:
        return trial
    with tempfile.TemporaryDirectory() as folder:
        try:
            faults, figure = party(Path(folder).resolve())
        except ProgramMissingError as reason:
            trial.not_run = str(reason)
        else:
            trial.faults += faults
            trial.figures.append(figure)
    return trial


if __name__ == "__main__":
    for one in trials():
        print(f"{one.name}: {one.verdict}", *one.figures, *one.faults, sep="\n  ")
