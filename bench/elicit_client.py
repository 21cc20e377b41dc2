"""Sessions of the real client that use our skills: what was asked in the conversation is done by our command line.

The client's API is scripted, and so is the model that our own command asks: nothing of the text comes from a model.
What is shown is that the client offers the skills, hands their words to the model, runs our command with its own
session's name, and hands back what that printed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude
from bench.client.finding import _results
from bench.client.journey import JourneyError, ours
from bench.client.messages_api import MessagesApi, Tool, Turn
from bench.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.client.claude import Client, Ran

ENVIRONMENT = "staging"
SKILLED, COMMANDED, DISCUSSED = "[skilled]", "[commanded]", "[discussed]"
"""Marks of the conversations: one in which the model takes the skill, one with our command, one in party mode."""
BEFORE, AFTER = "If it fails we will think of something.", "If it fails we switch back within ten minutes."
_REPLIES = {
    "pre-mortem": [{"findings": [{
        "claim": "No way back is planned", "problem": "Nobody knows what to do at night", "severity": "high",
        "fix": {"quote": BEFORE, "replacement": AFTER}, "confidence": 0.8, "evidence": [BEFORE],
    }]}],
    "judge": [{"verdict": "B", "reason": "clearer"}, {"verdict": "A", "reason": "clearer"}],
    "*": [{"option": "yes", "stance": "support", "confidence": 0.9, "rationale": "It was tried before."}],
}  # fmt: skip
_LAST = "import json,sys; print(json.load(sys.stdin)['data']['runs'][0]['id'])"


@dataclass
class Seen:
    """What happened."""

    ran: dict[str, Ran] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    """All that stood before the model when it was last asked, by conversation."""
    results: dict[str, list[tuple[bool, str]]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Runs that our command has kept, newest first."""
    sessions: dict[str, str] = field(default_factory=dict)
    plan: str = ""


def script(conversation: str) -> list[Turn]:
    """Return what the model does in a conversation."""
    run = "agent-studio elicit run --method pre-mortem --file plan.md --model scripted:replies.json"
    if conversation == SKILLED:
        take = f'agent-studio elicit apply "$(agent-studio elicit list --json | {sys.executable} -c "{_LAST}")"'
        steps = [Tool("Skill", {"skill": "elicit", "command": "elicit"}), _bash(f"{run} --json"), _bash(take)]
    elif conversation == COMMANDED:
        steps = [_bash("agent-studio elicit select 'what could go wrong when we launch'")]
    else:
        ask = "agent-studio party run 'Shall we launch?' --options 'yes|no' --model scripted:replies.json --json"
        steps = [Tool("Skill", {"skill": "party", "command": "party"}), _bash(ask)]
    return [*(Turn(tools=[step]) for step in steps), Turn("Done.")]


def _bash(command: str) -> Tool:
    return Tool("Bash", {"command": command, "description": "ask our command"})


def hold(client: Client, place: Path) -> Seen:
    """Run the sessions below an empty folder; raise `JourneyError` when a command of ours fails."""
    project, home = place / "my shop ünï", place / "home"
    shutil.copytree(REPOSITORY / "examples/bookshop", project)
    home.mkdir()
    (project / "plan.md").write_text(f"# Plan\n\nWe launch on Monday.\n\n{BEFORE}\n")
    (project / "replies.json").write_text(json.dumps({"replies": _REPLIES}))
    prompts = {
        SKILLED: "Run a pre-mortem on plan.md.", COMMANDED: "/elicit what could go wrong",
        DISCUSSED: "Let's discuss this in party mode: shall we launch?",
    }  # fmt: skip
    api, seen = MessagesApi({mark: script(mark) for mark in prompts}), Seen()
    with api.serving():
        variables = {**claude.variables(client, home, api.url), "AGENT_STUDIO_ENV": ENVIRONMENT}
        variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables["PATH"]])
        ours(project, variables, "init", "--no-hooks", "--skills", "--set", "testData.artifactsCount=0")
        for mark, prompt in prompts.items():
            line = claude.words(f"{prompt} {mark}", allowed="Skill Bash Read")
            seen.ran[mark] = claude.run(line, project, variables)
        seen.runs = ours(project, variables, "elicit", "list")["runs"]
    for mark in prompts:
        asked = [one for one in api.requests if one.get("tools") and mark in json.dumps(one.get("messages", []))]
        seen.told[mark] = json.dumps(asked[-1], ensure_ascii=False) if asked else ""
        seen.results[mark] = list(_results(asked[-1])) if asked else []
        seen.sessions[mark] = next((one.session_id for one in api.of(mark)), "")
    seen.plan = (project / "plan.md").read_text()
    return seen


def faults(seen: Seen) -> Iterator[str]:
    """Yield what is wrong; nothing when all is right."""
    for mark, ran in seen.ran.items():
        if ran.code or ran.overdue:
            yield f"{mark}: the client ended with {ran.code}: {ran.out[-500:]}{ran.err[-500:]}"
    yield from _unread(seen)
    yield from _wrong_results(seen)
    if AFTER not in seen.plan or BEFORE in seen.plan:
        yield f"what was applied is not in the file: {seen.plan}"
    if [one["session"] for one in seen.runs] != [seen.sessions[SKILLED]]:
        yield f"the runs are not the client's session's: {seen.runs}, {seen.sessions}"


def _unread(seen: Seen) -> Iterator[str]:
    """Yield conversations that our words did not reach."""
    for mark, words in (
        (SKILLED, "you do not play the method yourself"), (COMMANDED, "Use the skill `elicit` for this"),
        (DISCUSSED, "you never voice the seats yourself"),
    ):  # fmt: skip
        # of a command that has a skill's name the newer client takes the skill
        if words not in seen.told[mark] and not (mark == COMMANDED and "You call it and show" in seen.told[mark]):
            yield f"{mark}: our words did not reach the model: {seen.told[mark][-800:]}"


def _wrong_results(seen: Seen) -> Iterator[str]:
    """Yield what tools returned and should not have."""
    wanted = {
        SKILLED: ["elicit", '"state": "offered"', "changed plan.md"], COMMANDED: ["pre-mortem"],
        DISCUSSED: ["party", '"separateCalls"'],
    }  # fmt: skip
    for mark, expected in wanted.items():
        got = seen.results[mark]
        if len(got) != len(expected):
            yield f"{mark}: {len(got)} results, not {len(expected)}: {got}"
        for (failed, text), said in zip(got, expected, strict=False):
            if failed or said not in text.replace('":"', '": "'):
                yield f"{mark}: a tool returned {'an error: ' if failed else ''}{text[:600]}"


def trial(version: str) -> list[str]:
    """Run the sessions with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return list(faults(hold(client, Path(folder).resolve())))
        except JourneyError as error:
            return [str(error)]
