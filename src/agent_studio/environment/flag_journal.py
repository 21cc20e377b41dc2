"""The journal of flag changes, `.agent-studio/<environment>/flags.jsonl`, and the kills that follow from it.

It is only ever appended to. A damaged line never lifts a kill, and counts as one where it may have been one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_studio.environment.roots import EnvironmentRoot, Project

JOURNAL = "flags.jsonl"
_ACTIONS = frozenset(("kill", "lift", "set"))


@dataclass(frozen=True)
class Kill:
    """A kill in force."""

    flag: str
    timestamp: str
    who: str
    why: str

    def __str__(self) -> str:
        by = f" by {self.who} at {self.timestamp}" if self.who else ""
        return f"killed{by}: {self.why}"


@dataclass(frozen=True)
class History:
    """What the journal says."""

    records: list[dict[str, Any]]
    """`timestamp, environment, flag, action (kill, lift, set), key, before, after, who, why`, oldest first."""
    damaged_lines: int
    kills: dict[str, Kill]
    """The kills in force by flag, those a damaged line may have recorded among them."""


def history(root: EnvironmentRoot, flag: str | None = None) -> History:
    """Return the changes of an environment's flags, or of one."""
    try:
        lines = root.state.read(JOURNAL).split(b"\n")
    except FileNotFoundError:
        return History([], 0, {})
    read = _Journal(str(root.environment))
    for number, line in enumerate(lines, 1):
        read.take(line, number)
    records = [record for record in read.records if flag in {None, record["flag"]}]
    return History(records, read.damaged_lines, read.kills)


class _Journal:
    """The state that follows from the lines read so far."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self.records: list[dict[str, Any]] = []
        self.kills: dict[str, Kill] = {}
        self.damaged_lines = 0

    def take(self, line: bytes, number: int) -> None:
        if not line.strip():
            return
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("flag"), str) or not _known_action(record):
            self.damaged_lines += 1
            self._suspect(line, number)
        elif record.get("environment") == self._environment:
            self.records.append(record)
            self._follow(record)

    def _follow(self, record: dict[str, Any]) -> None:
        flag = record["flag"]
        if record["action"] == "kill":
            said = [str(record.get(name) or "") for name in ("timestamp", "who", "why")]
            self.kills[flag] = Kill(flag, *said)
        elif record["action"] == "lift":
            self.kills.pop(flag, None)

    def _suspect(self, line: bytes, number: int) -> None:
        """Kill what a damaged line may have killed: the flag it names, else every flag that ever was killed."""
        text = line.decode("utf-8", "replace")
        if '"action":"set"' in text or '"action":"lift"' in text:
            return
        _, _, tail = text.partition('"flag":"')
        named, quote, _ = tail.partition('"')
        killed_once = {record["flag"] for record in self.records if record["action"] == "kill"}
        for flag in {named} if quote else killed_once:
            why = f"line {number} of {JOURNAL} is damaged and may have killed it"
            self.kills.setdefault(flag, Kill(flag, "", "", why))


def _known_action(record: dict[str, Any]) -> bool:
    return isinstance(record.get("action"), str) and record["action"] in _ACTIONS


def default_who(project: Project) -> str:
    """Return who is at work: git's name and address in this project, else the user of the operating system."""
    import getpass  # noqa: PLC0415 - only for changes
    import subprocess  # noqa: PLC0415

    said = []
    for key in ("user.name", "user.email"):
        try:
            command = ["git", "-C", str(project.path), "config", key]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            break
        said.append(done.stdout.strip())
    name, address = (*said, "", "")[:2]
    if name or address:
        return f"{name} <{address}>" if name and address else name or address
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
