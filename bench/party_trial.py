"""Parties under trial: canaries in everything that is a seat's own, kills at every moment, and the same outcome after.

Scaled twins of these are in the suite (`tests/test_party_isolation.py`, `tests/test_party_crash.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench.projects import Trial
from tests.party_world import Direct

from agent_studio.cli.main import main
from agent_studio.reasoning.models.scripted import Scripted
from agent_studio.reasoning.party import unkept
from agent_studio.reasoning.party.prompts import Private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OPTIONS = ("Alpha", "Beta", "Gamma")
_STABLE = (
    "state",
    "share",
    "option",
    "unweightedShare",
    "blindShare",
    "flips",
    "seats",
    "dissent",
    "decision",
    "reason",
)
"""What of an outcome does not depend on when it came about."""


def leaks(sessions: int, *, seed: int, folder: Path) -> list[str]:
    """Hold random parties with canaries in personas, notes, methods and answers; return where one was seen wrongly."""
    chance, faults = random.Random(seed), []
    for number in range(sessions):
        faults += [f"session {number}: {fault}" for fault in _leaks(chance, folder)]
    return faults


def _leaks(chance: random.Random, folder: Path) -> list[str]:
    count, is_open = chance.randint(2, 5), chance.random() < 0.4
    seats = range(1, count + 1)
    own = {seat: [f"CANARY{secrets.token_hex(8)}" for _ in range(3)] for seat in seats}
    said = {seat: _answers(chance, seat, is_open=is_open) for seat in seats}
    place = folder / "script.json"
    place.write_text(json.dumps({"replies": {f"seat-{seat}": said[seat] for seat in seats}}))
    begun = unkept.session("What?", () if is_open else _OPTIONS, [{"agent": f"seat-{seat}"} for seat in seats])
    asker, model = Direct(), Scripted(str(place))
    asyncio.run(unkept.hold(begun, asker, dict.fromkeys(seats, model), {s: Private(*own[s]) for s in seats}))
    faults, asked = [], dict.fromkeys(seats, 0)
    for request in asker.requests:
        seat, text = int(request.agent.removeprefix("seat-")), request.system + request.prompt
        asked[seat] += 1
        others = [canary for other in seats if other != seat for canary in own[other]]
        faults += [f"seat {seat} sees another's own {canary}" for canary in others if canary in text]
        faults += [f"seat {seat} lacks its own {canary}" for canary in own[seat] if canary not in text]
        if asked[seat] == 1:
            peers = [one["rationale"] for other in seats for one in said[other] if "rationale" in one]
            faults += [f"seat {seat} sees {reason} blind" for reason in peers if reason in text]
        if any(f"seat-{other}" in text for other in seats if other != seat):
            faults.append(f"seat {seat} sees another's name")
    return faults


def _answers(chance: random.Random, seat: int, *, is_open: bool) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.1:
            answers.append({"error": chance.choice(("timeout", "malformed", "refused"))})
            continue
        reason = f"REASON{seat}-{secrets.token_hex(6)}"
        what = {"claim": f"claim {chance.randint(1, 3)}"} if is_open else {"option": chance.choice(_OPTIONS)}
        change = {"from": "", "reason": f"new {secrets.token_hex(4)}"} if chance.random() < 0.5 else None
        answers.append({**what, "stance": chance.choice(("support", "support", "oppose", "abstain")),
                        "confidence": chance.random(), "rationale": reason, "change": change})  # fmt: skip
    return answers


def interrupted(points: int, *, seed: int, folder: Path) -> tuple[list[str], int]:
    """Kill parties with SIGKILL at random moments, go on, and compare; return the faults, and how many really died."""
    chance, faults, killed = random.Random(seed), [], 0
    for number in range(points):
        project = folder / f"party-{number}"
        replies = _script(chance, project)
        undisturbed = _called(project, "run", *_arguments(project))["data"]
        shutil.rmtree(project / ".claude/context/party")
        killed += _killed(project, chance.uniform(0.0, 1.0))
        resumed = _finished(project)
        if {name: undisturbed[name] for name in _STABLE} != {name: resumed[name] for name in _STABLE}:
            faults.append(f"point {number}: {replies}: {undisturbed['state']} became {resumed['state']}")
        verified = _called(project, "verify", "last")["data"]
        if verified["verdict"] != "PASS":
            faults.append(f"point {number}: {verified['faults']}")
        faults += [f"point {number}: {fault}" for fault in _repeated(project)]
        shutil.rmtree(project)
    return faults, killed


def _script(chance: random.Random, project: Path) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    (project / ".claude/teams").mkdir(parents=True)
    names = ("architect", "developer", "qa")
    rows = "".join(f"{name},Judges,{number},,\n" for number, name in enumerate(names, start=1))
    (project / ".claude/teams/default.csv").write_text(f"agent_type,role,priority,tools,model\n{rows}")
    replies = {name: _answers(chance, 1, is_open=False) for name in names}
    for said in replies.values():
        for one in said:
            one["delayMs"] = chance.randint(0, 60)
    (project / "script.json").write_text(json.dumps({"replies": replies}))
    return replies


def _arguments(project: Path) -> tuple[str, ...]:
    return "Which?", "--options", "|".join(_OPTIONS), "--model", f"scripted:{project / 'script.json'}"


def _killed(project: Path, after: float) -> bool:
    """Start a party, kill it somewhere on its way, and tell whether it was under way."""
    command = [sys.executable, "-m", "agent_studio", "party", "run", *_arguments(project), "--project", str(project)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if list((project / ".claude/context/party").glob("*/transcript.jsonl")):
            time.sleep(after * 0.15)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    return process.wait() == -signal.SIGKILL


def _finished(project: Path) -> dict[str, Any]:
    """Bring what was killed to its end: go on with it, or ask anew where nothing was written."""
    done = _called(project, "resume", "last")
    if done["ok"]:
        data: dict[str, Any] = done["data"]
        return data
    shown = _called(project, "show", "last")  # it had ended already
    if shown["ok"]:
        return dict(shown["data"])
    shutil.rmtree(project / ".claude/context/party", ignore_errors=True)  # killed before its first line was there
    return dict(_called(project, "run", *_arguments(project))["data"])


def _repeated(project: Path) -> list[str]:
    """Return calls that were made again although an answer to them was there."""
    (place,) = (project / ".claude/context/party").glob("*/transcript.jsonl")
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    asked = [(one["seat"], one["round"], one["attempt"]) for one in lines if one["kind"] == "dispatch"]
    abandoned = sum(len(one["unanswered"]) for one in lines if one["kind"] == "resume")
    return [] if len(asked) - len(set(asked)) <= abandoned else [f"{len(asked)} calls, {abandoned} without an answer"]


def _called(project: Path, *arguments: str) -> dict[str, Any]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        main(["party", *arguments, "--project", str(project), "--json"])
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


def canaries(sessions: int, seed: int) -> Trial:
    """Run the trial of canaries."""
    trial = Trial(
        f"{sessions:,} random parties with canaries: no seat sees another's own, a blind round nothing of peers"
    )
    with tempfile.TemporaryDirectory() as folder:
        trial.faults += leaks(sessions, seed=seed, folder=Path(folder))
    trial.figures.append(f"{sessions:,} parties, {len(trial.faults)} leaks")
    return trial


def kills(points: int, seed: int) -> Trial:
    """Run the trial of kills."""
    trial = Trial("parties killed at random moments: resumed, they end as undisturbed ones, and nothing is asked twice")
    with tempfile.TemporaryDirectory() as folder:
        faults, killed = interrupted(points, seed=seed, folder=Path(folder).resolve())
    trial.faults += faults
    trial.figures.append(f"{points} parties, {killed} killed under way")
    return trial


if __name__ == "__main__":
    for ran in (canaries(1_000, 1), kills(200, 1)):
        print(f"{ran.name}: {ran.verdict} ({'; '.join(ran.figures)})", *ran.faults[:12], sep="\n  ")
