"""An agent that follows a script, for trials: what it does depends on the definitions that it finds, and on luck.

The file is JSON: `{"tasks": {"<task id or *>": [rule, ...]}}`; the first rule that fits counts. A rule is `{"when":
{"file": ".claude/agents/x.md", "has": "text"}, "succeeds": 0.8, "write": {path: text}, "otherwise": {path: text},
"tools": [...], "usd": "0.01", "sleepMs": 5}`. Luck is the hash of seed, task, number and side.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.cost.money import usd_of
from agent_studio.errors import UsageError
from agent_studio.evals.attempts import facts, start
from agent_studio.evals.attempts.facts import Facts, ToolUse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.evals.attempts.backends import Trying
    from agent_studio.evals.attempts.room import Room

_LUCK = float(1 << 64)


class Scripted:
    """Follows a script; nothing is started and nothing costs anything, whatever the script says of it."""

    def __init__(self, file: str) -> None:
        """Raise `UsageError` for a script that cannot be read."""
        self.name = f"scripted:{file}"
        try:
            self._script: dict[str, Any] = json.loads(Path(file).read_bytes())
            self._tasks: dict[str, list[dict[str, Any]]] = self._script["tasks"]
            for rules in self._tasks.values():
                for rule in rules:
                    _refuse_unfit(rule)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{file} is no script: {error}", hint="see docs/evals.md, Backends") from None

    def prepare(self, room: Room) -> None:
        """Do nothing."""

    def attempt(self, trying: Trying) -> Facts:
        """Do what the first rule that fits says."""
        rules = self._tasks.get(trying.task.id, self._tasks.get("*", []))
        rule = next((one for one in rules if _fits(one.get("when"), trying.room.copy)), {})
        deadline = time.monotonic() + float(rule.get("sleepMs", 0)) / 1000
        while time.monotonic() < deadline:
            if trying.room.cancelled.is_set():
                return Facts(facts.CANCELLED, "ended by us: cancelled")
            time.sleep(0.002)
        lucky = self._luck(trying) < float(rule.get("succeeds", 1))
        for path, text in rule.get("write" if lucky else "otherwise", {}).items():
            start.put(trying.room.copy, path, text)
        usd = rule.get("usd")
        return Facts(
            rule.get("ended", facts.DONE), tools=tuple(ToolUse(name, "{}") for name in rule.get("tools", ())),
            agents=tuple(rule.get("agents", ())), skills=tuple(rule.get("skills", ())), turns=rule.get("turns"),
            reported_usd=None if usd is None else str(usd), answer=str(rule.get("answer", "")),
        )  # fmt: skip

    def _luck(self, trying: Trying) -> float:
        named = f"{self._script.get('seed', 0)} {trying.task.id} {trying.number} {trying.side}"
        return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8]) / _LUCK


def _refuse_unfit(rule: Mapping[str, Any]) -> None:
    """Raise `ValueError`, `TypeError`, `KeyError` or `AttributeError` for a rule that cannot be followed."""
    float(rule.get("sleepMs", 0)), float(rule.get("succeeds", 1))
    for texts in (rule.get("write", {}), rule.get("otherwise", {})):
        if not all(isinstance(text, str) for _, text in texts.items()):
            raise TypeError("write and otherwise are texts by path")
    if rule.get("when") is not None:
        str(rule["when"]["file"])
    for listed in ("tools", "agents", "skills"):
        facts.names(rule.get(listed, []))
    if not isinstance(rule.get("turns") or 0, int) or usd_of(str(rule.get("usd") or 0)) is None:
        raise ValueError("turns is a whole number, and usd an amount from 0 up")
    if rule.get("ended", facts.DONE) not in facts.ENDS:
        raise ValueError(f"ended: {rule['ended']!r} is none of {', '.join(facts.ENDS)}")


def _fits(when: Mapping[str, str] | None, copy: Path) -> bool:
    if when is None:
        return True
    try:
        return when.get("has", "") in (copy / when["file"]).read_text("utf-8")
    except OSError:
        return False
