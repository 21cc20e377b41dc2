"""A project in which elicitation is on, with texts and scripted answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Finished, Studio

WEAK = "If it fails we will think of something."
BETTER = "If it fails we switch back within ten minutes."
PLAN = f"# Plan\n\nWe launch on Monday.\n\n## Rollback\n\n{WEAK}\n\nSee [the runbook](runbook.md).\n"
FOR_THE_CHANGE = [{"verdict": "B", "reason": "clearer"}, {"verdict": "A", "reason": "clearer"}]
ON = "features.advancedElicitation.enabled=true"


def finding(quote: str | None = WEAK, replacement: str = BETTER, **more: Any) -> dict[str, Any]:
    """An answer's finding; without a quote it changes nothing."""
    fix = None if quote is None else {"quote": quote, "replacement": replacement}
    return {
        "claim": "No way back is planned", "problem": "Nobody knows what to do", "severity": "high", "fix": fix,
        "confidence": 0.8, "evidence": [WEAK], **more,
    }  # fmt: skip


class ElicitWorld:
    """The project and its commands."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.plan = studio.write("docs/plan.md", PLAN)
        self.script()

    def script(self, *findings: Any, judge: list[dict[str, Any]] | None = None, **others: Any) -> None:
        """Write what the models answer: one pre-mortem with these findings, and a judge."""
        replies = {"pre-mortem": [{"findings": list(findings)}], "judge": judge or FOR_THE_CHANGE, **others}
        self.studio.write("replies.json", json.dumps({"replies": replies}))

    def run(self, *words: str, on: bool = True, **options: Any) -> Finished:
        """Run a command of `elicit`, as a program would."""
        return self.studio.run("elicit", *words, "--json", *(("--set", ON) if on else ()), **options)

    def look(self, *words: str, code: int = 0, file: Path | None = None, method: str = "pre-mortem") -> dict[str, Any]:
        """Run methods on the plan and return what came of it."""
        where = str(file or self.plan)
        done = self.run("run", "--method", method, "--file", where, "--model", "scripted:replies.json", *words)
        assert done.code == code, (done.out, done.err)
        return done.data

    def error(self, *words: str, code: int = 2, **options: Any) -> str:
        """Run a command that fails and return what it says."""
        done = self.run(*words, **options)
        assert done.code == code, (done.code, done.out)
        problem = done.envelope["problems"][0]
        return f"{problem['message']} | {problem['hint']}"
