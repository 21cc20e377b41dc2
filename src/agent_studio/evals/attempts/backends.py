"""What an attempt is made with: Claude Code, any command that takes a prompt, or a script for trials."""

from __future__ import annotations

import json
import os
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent_studio.cost import counting
from agent_studio.errors import UsageError
from agent_studio.evals.attempts import facts, reading, stream
from agent_studio.evals.attempts.facts import Facts, ToolUse, Usage
from agent_studio.evals.attempts.scripted import Scripted
from agent_studio.evals.attempts.worker import NOT_PREPARED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent_studio.evals.attempts.room import Ended, Room
    from agent_studio.evals.tasks.task import Task

CLAUDE, SCRIPTED = "claude", "scripted"
PROMPT = "{prompt}"
_TOOLS = ("Bash", "Read", "Write", "Edit", "Glob", "Grep", "Task", "Agent", "Skill")
_OUT = "client"
_REPORT = "AGENT_STUDIO_EVAL_REPORT"
_HELP_S, _HELP_BYTES, _REPORT_BYTES = 60.0, 200_000, 1_000_000


class Trying(NamedTuple):
    """One attempt as a backend is asked to make it."""

    room: Room
    task: Task
    number: int
    side: str
    model: str | None
    too_dear: Callable[[Sequence[Usage]], bool]
    """Whether what was used already passes the attempt's own limit."""


class Backend(Protocol):
    """Makes attempts."""

    name: str

    def prepare(self, room: Room) -> None:
        """Do what has to be done once, before the time of an attempt runs."""
        ...

    def attempt(self, trying: Trying) -> Facts:
        """Let the agent work, and return what it did."""
        ...


class Claude:
    """The Claude Code client."""

    def __init__(self, program: str) -> None:
        self.name, self._program = CLAUDE, program
        self._known: str | None = None

    def prepare(self, room: Room) -> None:
        """Ask the client for its options, once, confined as an attempt is."""
        if self._known is None:
            room.run([self._program, "--help"], "help", _HELP_S)
            self._known = room.said("help", _HELP_BYTES)

    def attempt(self, trying: Trying) -> Facts:
        """Run one unattended session."""
        room, task = trying.room, trying.task
        watcher = _Watcher(room.client / "projects", trying.too_dear)
        ended = room.run(self._words(trying), _OUT, task.limits.seconds, watch=watcher.look)
        found = stream.read(room.written(_OUT).split(b"\n"), room.client / "projects", ended.code)
        return _ended(found, ended, room)

    def _words(self, trying: Trying) -> list[str]:
        task = trying.task
        prompt = f"/{task.skill} {task.prompt}" if task.skill else task.prompt
        tools = task.allowed_tools or _TOOLS
        words = [self._program, "-p", prompt, "--output-format", "stream-json", "--verbose"]
        words += ["--permission-mode", task.permission_mode, "--allowedTools", ",".join(tools)]
        words += ["--max-turns", str(task.limits.turns)]
        known = self._known or ""
        if "--include-hook-events" in known:
            words.append("--include-hook-events")
        if "--max-budget-usd" in known:
            words += ["--max-budget-usd", f"{task.limits.usd:g}"]
        if task.agent:
            words += ["--agent", task.agent]
        if model := task.model or trying.model:
            words += ["--model", model]
        return words


class _Watcher:
    """Looks at what a session has used from time to time: a client that keeps no budget of its own is ended by us."""

    def __init__(self, transcripts: Path, too_dear: Callable[[Sequence[Usage]], bool]) -> None:
        self._transcripts, self._too_dear = transcripts, too_dear
        self._looks = 0

    def look(self) -> str:
        self._looks += 1
        if self._looks % 20:
            return ""
        return facts.BUDGET if self._too_dear(list(stream.usage(self._transcripts))) else ""


class Command:
    """Any command that takes a prompt: as the word `{prompt}`, else as its last one.

    It may write `{"tools": [...], "usd": "0.01", "tokens": 120, "turns": 3, "answer": "..."}` to the file that the
    variable AGENT_STUDIO_EVAL_REPORT names; without it nothing is known of what it did but its files.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.name, self._command = words[0], tuple(words)

    def prepare(self, room: Room) -> None:
        """Do nothing."""

    def attempt(self, trying: Trying) -> Facts:
        """Run the command."""
        room, prompt = trying.room, trying.task.prompt
        words = [word.replace(PROMPT, prompt) for word in self._command]
        if words == list(self._command):
            words.append(prompt)
        report = room.path / "report.json"
        ended = room.run(words, _OUT, trying.task.limits.seconds, variables={_REPORT: str(report)})
        return _ended(self._facts(report, ended, room), ended, room)

    def _facts(self, report: Path, ended: Ended, room: Room) -> Facts:
        how = facts.DONE if ended.code == 0 else facts.CRASHED
        reason = "" if ended.code == 0 else f"it ended with {ended.code}"
        answer = room.said(_OUT)[-2_000:]
        try:
            told = json.loads(reading.regular(report, _REPORT_BYTES) or b"")
            tokens, turns = _count(told.get("tokens")) or 0, _count(told.get("turns"))
            used = (Usage("", "", "", "", tokens, 0, 0, 0, 0),) if tokens else ()
            usd = told.get("usd")
            return Facts(
                how, reason, tuple(ToolUse(name, "") for name in facts.names(told.get("tools", []))),
                facts.names(told.get("agents", [])), facts.names(told.get("skills", [])), usage=used,
                turns=turns, reported_usd=_amount(usd),
                answer=str(told.get("answer", answer)), known="tools" in told,
            )  # fmt: skip
        except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            if report.exists():
                reason = f"{reason}; its report is none: {error}"[:300].strip("; ")
            return Facts(how, reason, answer=answer, known=False)


def _count(value: object) -> int | None:
    """Return a count that was reported; raise `ValueError` for what is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= counting.MOST:
        raise ValueError(f"{str(value)[:80]} is no count")
    return value


def _amount(value: object) -> str | None:
    """Return an amount that was reported; raise `ValueError` for what is none."""
    if value is None:
        return None
    amount = Decimal(str(value))
    if not amount.is_finite() or not 0 <= amount <= counting.MOST:
        raise ValueError(f"{str(value)[:80]} is no amount")
    return f"{amount:f}"


def _ended(found: Facts, ended: Ended, room: Room) -> Facts:
    """Return the facts with why the command was ended, if it was, or could not be started."""
    if ended.why == facts.TIMEOUT and found.ended == facts.THROTTLED:  # it waited for the provider all along
        return found._replace(reason=f"{found.reason}; ended by us: {ended.why}")
    if ended.why:
        return found._replace(ended=ended.why, reason=f"ended by us: {ended.why}")
    if ended.code == NOT_PREPARED:
        return found._replace(ended=facts.MISSING, reason=f"it could not be confined: {room.said(_OUT)[-300:]}")
    if ended.code in {126, 127} and found.ended == facts.CRASHED:
        said = room.said(_OUT)[-300:]
        how = facts.MISSING if "cannot start" in said or "not found" in said else facts.CRASHED
        return found._replace(ended=how, reason=said)
    if found.ended == facts.CRASHED:
        return found._replace(reason=f"{found.reason}; {room.said(_OUT)[-300:]}".strip("; "))
    return found


def is_scripted(words: Sequence[str]) -> bool:
    """Tell whether words name a script: nothing is started then."""
    return bool(words) and words[0].startswith(f"{SCRIPTED}:")


def opened(words: Sequence[str]) -> Backend:
    """Return the backend of `evals.backend` or `--backend`; raise `UsageError` where it cannot be used here."""
    if not words:
        raise UsageError("evals.backend is empty", hint="claude, or a command and its words")
    name, _, rest = words[0].partition(":")
    if name == SCRIPTED and rest:
        return Scripted(rest)
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(
            f"{words[0]} is not there to make attempts with",
            hint="install it, or choose another: --backend COMMAND (see docs/evals.md)",
        )
    program = os.path.abspath(program)  # noqa: PTH100 - links stay; it is started in another folder
    is_client = name == CLAUDE and len(words) == 1
    return Claude(program) if is_client else Command((program, *words[1:]))
