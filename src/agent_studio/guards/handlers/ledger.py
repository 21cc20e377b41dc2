"""Keeps agents from writing the ledger and what proves it. A seat belt: the chain and its checkpoints are the proof."""

from __future__ import annotations

import os
import re
import shlex
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from agent_studio.guards.handler import Call, Handler, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context

KEY = "cost.guardLedger"
_FILES = (
    "llm-usage.log", "llm-usage.*.log", "*.agent-studio/*/checkpoints.jsonl", "*.agent-studio/checkpoint_signers",
    "*.agent-studio/*/ledger.sqlite3*", "*.agent-studio/*/budget-notices.jsonl",
)  # fmt: skip
"""The ledger by its name, in whatever folder; what lies in our own folder with that folder."""
_NAMED = re.compile(
    r"llm-usage|\.agent-studio\S*(?:checkpoint|ledger\.sqlite3|budget-notices)|checkpoint_signers", re.IGNORECASE
)
_HARMLESS = re.compile(r"2>\s*(?:/dev/null|&1)")
_PATH_MAX = 4_096
_PATHS = ("file_path", "notebook_path", "path")
_WRITERS = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
_READERS = frozenset(
    {
        "agent-studio",
        "cat",
        "cd",
        "diff",
        "du",
        "echo",
        "file",
        "grep",
        "head",
        "jq",
        "less",
        "ls",
        "md5sum",
        "more",
        "rg",
        "sha256sum",
        "stat",
        "tail",
        "wc",
    }
)
_SEPARATORS = frozenset(";&|()\n")
_OUR_VERBS = frozenset({"cost", "doctor", "monitor", "status"})
_HIDDEN = ("`", "$(", "<(", ">(")
"""What runs a command inside a word."""
_REASON = (
    "agent-studio: {what} is the record of what was spent, and only agent-studio writes it. "
    "agent-studio cost report and cost verify read it."
)


def asked(context: Context) -> frozenset[str]:
    """Return the events that the configuration needs."""
    return frozenset({"PreToolUse"} if context.config[KEY] else ())


def decide(call: Call) -> Outcome | None:
    """Deny a tool that would write the ledger, or a shell command that names it and is not plainly reading."""
    given = call.payload.get("tool_input")
    if not isinstance(given, dict):
        return None
    what = _written(str(call.payload.get("tool_name", "")), given, str(call.payload.get("cwd") or "."))
    if what is None or not call.context().config[KEY]:
        return None
    return Outcome(deny=_REASON.format(what=what))


def _written(tool: str, given: dict[str, Any], folder: str) -> str | None:
    command = given.get("command")
    if isinstance(command, str) and (found := _NAMED.search(command)) and not _reads(command):
        return found[0]
    if tool.startswith("mcp__"):
        named = [value for value in given.values() if isinstance(value, str) and len(value) <= _PATH_MAX]
    elif tool in _WRITERS:
        named = [given[name] for name in _PATHS if isinstance(given.get(name), str)]
    else:
        return None
    return next((path for path in named if any(map(_is_ours, _spellings(path, folder)))), None)


def _spellings(path: str, folder: str) -> Iterator[str]:
    yield path
    yield os.path.realpath(os.path.join(folder, os.path.expanduser(path)))  # noqa: PTH111, PTH118 - links followed as text


def _is_ours(path: str) -> bool:
    whole = path.replace("\\", "/").lower()
    return any(fnmatchcase(whole, one) or fnmatchcase(whole.rpartition("/")[2], one) for one in _FILES)


def _reads(command: str) -> bool:
    """Tell whether every part of a command that names the ledger plainly reads; what is not plain does not."""
    lexer = shlex.shlex(_HARMLESS.sub(" ", command), posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        words = list(lexer)
    except ValueError:
        return False
    if any(mark in command for mark in _HIDDEN):
        return False
    parts: list[list[str]] = [[]]
    for word in words:
        if _SEPARATORS.issuperset(word):
            parts.append([])
        else:
            parts[-1].append(word)
    return all(_part_reads(part) for part in parts if any(map(_NAMED.search, part)))


def _part_reads(words: list[str]) -> bool:
    program = os.path.basename(words[0])  # noqa: PTH119 - text
    if any(">" in word for word in words) or program not in _READERS:
        return False
    return program != "agent-studio" or not _OUR_VERBS.isdisjoint(words[1:2])


HANDLER = Handler("ledger", decide)
