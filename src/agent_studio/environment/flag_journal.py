"""The journal of flag changes, `.agent-studio/<environment>/flags.jsonl`, with the kills and rollouts it leads to.

It is only ever appended to. A damaged line never lifts a kill nor widens a rollout, and counts as a kill where it may
have been either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from agent_studio.environment.roots import EnvironmentRoot, Project

JOURNAL = "flags.jsonl"
ROLLOUT = "rollout"
_ACTIONS = frozenset(("kill", "lift", "set", ROLLOUT))


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


class Rollout(NamedTuple):
    """A gradual rollout that is under way: the flag is live for a share of sessions at most."""

    flag: str
    percent: float
    """The stage: over 0, under 100."""
    since: str
    """When the stage began: by its record, or by the lifting of a kill."""
    who: str
    why: str
    release: str
    """The release that it is of."""

    def __str__(self) -> str:
        return f"a gradual rollout to {self.percent:g} % since {self.since}"


@dataclass(frozen=True)
class History:
    """What the journal says."""

    records: list[dict[str, Any]]
    """`timestamp, environment, flag, action (kill, lift, set, rollout), key, before, after, who, why`, oldest first.

    A rollout's `before` and `after` are per cent of sessions, None for no rollout; it also has `release`.
    """
    damaged_lines: int
    kills: dict[str, Kill]
    """The kills in force by flag, those a damaged line may have recorded among them."""
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    """Gradual rollouts that have not come to their end, by flag; a kill stands over them."""


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
    return History(records, read.damaged_lines, read.kills, read.rollouts)


class _Journal:
    """The state that follows from the lines read so far."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self.records: list[dict[str, Any]] = []
        self.kills: dict[str, Kill] = {}
        self.rollouts: dict[str, Rollout] = {}
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
            if flag in self.rollouts:  # what it was killed for must not kill it again at once
                self.rollouts[flag] = self.rollouts[flag]._replace(since=str(record.get("timestamp") or ""))
        elif record["action"] == ROLLOUT:
            self._roll(flag, record)

    def _roll(self, flag: str, record: dict[str, Any]) -> None:
        percent = record["after"]
        if percent is None or percent >= 100:  # noqa: PLR2004 - all of them: the configuration decides alone
            self.rollouts.pop(flag, None)
            return
        since, *said = (str(record.get(name) or "") for name in ("timestamp", "who", "why", "release"))
        self.rollouts[flag] = Rollout(flag, percent, since, *said)

    def _suspect(self, line: bytes, number: int) -> None:
        """Kill what a damaged line may have killed or held back: the flag it names, else every flag that ever was."""
        text = line.decode("utf-8", "replace")
        if '"action":"set"' in text or '"action":"lift"' in text:
            return
        _, _, tail = text.partition('"flag":"')
        named, quote, _ = tail.partition('"')
        once = {record["flag"] for record in self.records if record["action"] in {"kill", ROLLOUT}}
        for flag in {named} if quote else once:
            why = f"line {number} of {JOURNAL} is damaged and may have killed it"
            self.kills.setdefault(flag, Kill(flag, "", "", why))


def _known_action(record: dict[str, Any]) -> bool:
    action = record.get("action")
    if not isinstance(action, str) or action not in _ACTIONS:
        return False
    return action != ROLLOUT or ("after" in record and _is_stage(record["after"]))


def _is_stage(percent: Any) -> bool:
    if percent is None:
        return True
    return isinstance(percent, int | float) and not isinstance(percent, bool) and 0 < percent <= 100  # noqa: PLR2004


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
