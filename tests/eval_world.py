"""A project with four tasks and an agent that follows a script: what tests of evals share."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from tests.release_world import NEEDS_KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Finished
    from tests.release_world import World

NEEDED = [NEEDS_KEYS, pytest.mark.skipif(os.name == "nt", reason="scripts of the tests are for a POSIX shell")]
AGENT = ".claude/agents/code-reviewer.md"
TASKS = ("spring", "summer", "autumn", "winter")
GOOD = "---\nname: code-reviewer\ndescription: Reviews.\n---\ngood\n"


class Evals:
    """A staged project with four tasks and an agent that follows a script by what its definitions say."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.studio, self.folder = world, world.studio, folder
        tasks = [
            {"id": name, "prompt": f"Write about {name}", "tags": ["warm" if name in TASKS[:2] else "cold"],
             "start": {"empty": True, "files": {"README.md": "Poems\n"}},
             "checks": [{"file": "poem.txt", "matches": name}, {"diff": {"only": ["poem.txt"]}}]}
            for name in TASKS
        ]  # fmt: skip
        self.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": tasks}))
        self.script({})

    def script(self, more: dict[str, Any], **rule: Any) -> None:
        """Let attempts succeed where the agent's file says `good`, and by `succeeds` in between."""
        rules = {
            name: [
                {"when": {"file": AGENT, "has": "good"}, "write": {"poem.txt": name}, "tools": ["Write"], "usd": "0.01",
                 "turns": 2, **rule},
                {"write": {"poem.txt": "nothing"}, "tools": ["Bash", "Write"], "usd": "0.02", "turns": 3, **rule},
            ]
            for name in TASKS
        }  # fmt: skip
        (self.folder / "script.json").write_text(json.dumps({"tasks": {**rules, **more}}))

    def side(self, text: str) -> str:
        self.world.edit(f"---\nname: code-reviewer\ndescription: Reviews.\n---\n{text}\n")
        found: str = self.world.data("candidate", "create")["candidate"]
        return found

    def compare(self, against: str, *more: str, backend: str = "") -> Finished:
        words = backend or f"scripted:{self.folder / 'script.json'}"
        return self.studio.run("eval", "compare", "--against", against, "--backend", words, *more, "--json")

    def journal(self, run: str) -> list[dict[str, Any]]:
        place = self.studio.path / ".agent-studio/staging/evals" / run / "journal.jsonl"
        return [json.loads(line) for line in place.read_text().splitlines()]

    def ledger(self) -> list[dict[str, Any]]:
        place = self.studio.path / ".claude/staging/metrics/llm-usage.log"
        lines = [json.loads(line) for line in place.read_bytes().splitlines()] if place.exists() else []
        return [line for line in lines if str(line.get("taskId", "")).startswith("eval:")]

    def command(self, text: str) -> str:
        place = self.folder / "agent.sh"
        place.write_text(f"#!/bin/sh\n{text}\n")
        place.chmod(place.stat().st_mode | stat.S_IXUSR)
        return str(place)


def required(evals: Evals, backend: str, *, imported: bool = False) -> str:
    """Promote good definitions under a policy that counts one backend; return the release."""
    config = evals.studio.path / ".claude/config.yaml"
    text = config.read_text()
    own = {"required": True, "attempts": 10, "margin": 0.25, "imported": imported, "backend": [backend]}
    policy = f"  policy:\n    evals: {json.dumps(own)}\n"
    config.write_text(text + (policy if "release:" in text else f"release:\n{policy}"))
    live: str = evals.world.promoted(GOOD)
    return live


def asked(evals: Evals) -> tuple[str, str]:
    done = evals.world.data("gate")["requirements"]
    return next((one["verdict"], one["reason"]) for one in done if one["name"] == "no-regression")


def counting(evals: Evals) -> str:
    return f"scripted:{evals.folder / 'script.json'}"


def judged_worse(evals: Evals, *, imported: bool = False) -> str:
    """Have a candidate that was tried and found worse; return the run."""
    required(evals, counting(evals), imported=imported)
    evals.side("bad")
    run: str = evals.compare("live", "--repeats", "6").data["run"]
    assert asked(evals)[0] == "FAIL"
    return run
