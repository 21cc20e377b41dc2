"""Keeps agents from writing the ledger and what proves it. A seat belt: the chain and its checkpoints are the proof."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from agent_studio.guards import programs, reach, shell
from agent_studio.guards.handler import Call, Handler, Outcome

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

KEYS = ("cost.guardLedger", "isolation.guard")
"""Either wants it."""
_FILES = (
    "llm-usage.log", "llm-usage.*.log", "*.agent-studio/*/checkpoints.jsonl", "*.agent-studio/checkpoint_signers",
    "*.agent-studio/*/ledger.sqlite3*", "*.agent-studio/*/budget-notices.jsonl",
)  # fmt: skip
"""The ledger by its name, in whatever folder; what lies in our own folder with that folder."""
_NAMED = re.compile(
    r"llm-usage|\.agent-studio\S*(?:checkpoint|ledger\.sqlite3|budget-notices)|checkpoint_signers", re.IGNORECASE
)
_OUR_VERBS = frozenset({"cost", "doctor", "monitor", "status"})
_REASON = (
    "agent-studio: {what} is the record of what was spent, and only agent-studio writes it. "
    "agent-studio cost report and cost verify read it."
)


def asked(context: Context) -> frozenset[str]:
    """Return the events that the configuration needs."""
    return frozenset({"PreToolUse"} if _is_on(context) else ())


def decide(call: Call) -> Outcome | None:
    """Deny a tool that would write the ledger, or a shell command that names it and is not plainly reading."""
    given = call.payload.get("tool_input")
    if not isinstance(given, dict):
        return None
    what = _written(str(call.payload.get("tool_name", "")), given, str(call.payload.get("cwd") or "."))
    if what is None or not _is_on(call.context()):
        return None
    return Outcome(deny=_REASON.format(what=what))


def _is_on(context: Context) -> bool:
    return any(context.config[key] for key in KEYS)


def _written(tool: str, given: dict[str, Any], folder: str) -> str | None:
    command = given.get("command")
    if isinstance(command, str) and (found := _NAMED.search(command)) and not _reads(command):
        return found[0]
    named = reach.written(tool, given)
    return next((path for path in named if _is_ours(path) or _is_ours(reach.real(path, folder))), None)


def _is_ours(path: str) -> bool:
    whole = path.replace("\\", "/").lower()
    return any(fnmatchcase(whole, one) or fnmatchcase(whole.rpartition("/")[2], one) for one in _FILES)


def _reads(command: str) -> bool:
    """Tell whether every part of a command that names the ledger plainly reads; what is not plain does not."""
    parts = shell.parts(command)
    if parts is None:
        return False
    if any(part.bodies and not programs.reads(part, _OUR_VERBS) and _names(part.bodies) for part in parts):
        return False
    named = [part for part in parts if _names((*part.words, *part.targets, *part.inner))]
    return not any(part.targets for part in named) and all(programs.reads(part, _OUR_VERBS) for part in named)


def _names(texts: tuple[str, ...]) -> bool:
    return any(map(_NAMED.search, texts))


HANDLER = Handler("ledger", decide)
