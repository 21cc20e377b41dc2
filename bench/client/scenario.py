"""The scripted sessions of the journey and what each must leave in the records.

A step is one reply of the model together with what it implies: which hooks of the project run and how they end, and
which errors there are. What the API reported is not foreseen here but read from what it served.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.client.messages_api import Tool, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.client.claude import Client

Status = Literal["success", "blocked", "failure", "timeout"]
Outcome = Literal["completed", "failed", "cancelled"]
IN_BACKGROUND = "Agent"
"""The tool's name in clients that start agents in the background unless told otherwise."""
NOTIFIED = "prompt of the client's own"
"""How the newer client is told of the end of an agent in the background."""
AGENT = "demo-agent"
UNKNOWN_AGENT = "no-such-agent"
BLOCKED_FILE = "forbidden.txt"
BLOCKED_TEXT = "forbidden by the project's guard"
SLOW_SECONDS = 1
"""After so long the client ends the slow hook."""
_SERIOUS = ("MEDIUM", "HIGH")
_WAIT = "wait.sh"
_WAITING = ': > "$1"\nfor _ in $(seq 200); do kill -0 $PPID || exit; sleep 0.1; done\n'
"""Sleeps for 20 s, or until the client that started it is gone: a killed client leaves its commands running."""
_SCRIPTS: Mapping[str, str] = {
    "guard.sh": f'if grep -q {BLOCKED_FILE}; then echo "{BLOCKED_TEXT}" >&2; exit 2; fi\n',
    "broken.sh": 'cat > /dev/null\necho "this hook is broken" >&2\nexit 1\n',
    "slow.sh": "cat > /dev/null\nexec sleep 20\n",
    "tidy.sh": "cat > /dev/null\nsleep 0.05\n",
}


@dataclass(frozen=True)
class Fault:
    """An error that must be recorded; `severity` holds what the rules allow."""

    error_type: str
    severity: Sequence[str]
    tool: str | None
    """None where no tool is at fault."""


@dataclass(frozen=True)
class HookRun:
    """One run of a hook of the project."""

    event: str
    tool: str | None
    script: str
    status: Status


@dataclass(frozen=True)
class AgentRun:
    """One run of a sub-agent."""

    agent: str
    status: Outcome
    marker: str | None
    """Its conversation; None when it never began."""


@dataclass(frozen=True)
class Step:
    """A turn and what it implies."""

    turn: Turn
    hooks: Sequence[HookRun] = ()
    faults: Sequence[Fault] = ()
    agent: AgentRun | None = None


@dataclass(frozen=True)
class Session:
    """One start of the client."""

    name: str
    environment: Literal["staging", "production"]
    through_run: bool
    """Started by `agent-studio run`; otherwise the variable names the environment."""
    steps: Sequence[Step]
    agents: Mapping[str, Sequence[Step]]
    events: Counter[str]
    """What the session log must hold of it."""
    ended_by: signal.Signals | None = None
    """The signal it gets once it sleeps."""
    exit_code: int = 0

    @property
    def marker(self) -> str:
        """The text that tells its conversation apart."""
        return f"[{self.name}]"

    @property
    def conversations(self) -> tuple[str, ...]:
        """Its own conversation and those of its agents."""
        return self.marker, *self.agents

    @property
    def all_steps(self) -> list[Step]:
        """Every step, the agents' too."""
        return [*self.steps, *(step for steps in self.agents.values() for step in steps)]

    @property
    def hooks(self) -> Counter[HookRun]:
        """The runs of the project's hooks that must be recorded."""
        stops = {HookRun("Stop", None, "tidy.sh", "success"): self.events["stop"]}
        return Counter(run for step in self.all_steps for run in step.hooks) + Counter(stops)

    @property
    def faults(self) -> list[Fault]:
        """The errors that must be recorded."""
        return [fault for step in self.all_steps for fault in step.faults]

    @property
    def runs(self) -> list[AgentRun]:
        """The agent runs that must be recorded."""
        return [step.agent for step in self.steps if step.agent]


@dataclass(frozen=True)
class Scenario:
    """All sessions for one client in one project."""

    client: Client
    project: Path
    sessions: Sequence[Session]

    @property
    def script(self) -> dict[str, list[Turn]]:
        """What the API replies in each conversation."""
        script = {}
        for session in self.sessions:
            script[session.marker] = [step.turn for step in session.steps]
            script |= {marker: [step.turn for step in steps] for marker, steps in session.agents.items()}
        return script

    def sleeping(self, session: Session) -> Path:
        """Return the file that is there once a session that is to be ended sleeps."""
        return self.project / _started(session.name)


def prepare(project: Path) -> None:
    """Write a small project with an agent and four hooks: one guards, one fails, one is slow, one is fine."""
    _write(project / "README.md", "# Shop\n")
    _write(project / _WAIT, _WAITING)
    _write(
        project / ".claude/agents/demo-agent.md",
        f"---\nname: {AGENT}\ndescription: Looks at one thing and reports it.\ntools: Read, Bash\nmodel: haiku\n---\n\n"
        "Look and report.\n",
    )
    for name, text in _SCRIPTS.items():
        _write(project / ".claude/hooks" / name, f"#!/bin/sh\n{text}", mode=0o755)
    # spacing and order as no program would write them: uninstall has to bring these very bytes back
    _write(
        project / ".claude/settings.json",
        '{"permissions": {"deny": ["Bash(touch:*)"]},\n   "hooks" :\n' + json.dumps(_hooks(), indent=3) + "\n}",
    )
    _write(project / ".claude/settings.local.json", '{ "permissions": {"allow": ["Bash(echo:*)"] } }\n\n')


def scenario(client: Client, project: Path) -> Scenario:
    """Return the sessions; where the two clients differ, what they do is part of the truth."""
    tool = client.agent_tool
    return Scenario(client, project, [*_staging(tool, project), *_production(tool)])


def _staging(tool: str, project: Path) -> list[Session]:
    notified, told = _notified(tool)
    return [
        Session(
            "work in staging", "staging", False, _work(tool, project, "agent at work"), _agent("agent at work"),
            Counter(start=1, prompt=1, stop=1, end=1),
        ),
        Session(  # the error of the API ends the older client with its one stop; the newer one had stopped before
            "failure in staging", "staging", True,
            [_delegate(tool, "agent that fails", "failed"), *notified, _refused(529, "overloaded_error")],
            {"agent that fails": [_bash("pwd", delay_s=0.6), _refused(400, "invalid_request_error")]},
            Counter(start=1, prompt=1, stop=1, end=1) + told, exit_code=1,
        ),
        Session(
            "killed in staging", "staging", False, [_bash("echo ok"), _sleep("killed in staging")], {},
            Counter(start=1, prompt=1, end=1), ended_by=signal.SIGKILL, exit_code=-signal.SIGKILL,
        ),
    ]  # fmt: skip


def _production(tool: str) -> list[Session]:
    notified, told = _notified(tool)
    newer = tool == IN_BACKGROUND
    return [
        Session(
            "work in production", "production", False,
            [_exit(5), _delegate(tool, "agent in production", "completed"), *notified, Step(Turn("Done."))],
            _agent("agent in production", delay_s=0.6),
            Counter(start=1, prompt=1, stop=1 + len(notified), end=1) + told,
        ),
        Session(  # the older client leaves no trace when it is interrupted: its agent had no end
            "stopped in production", "production", False,
            [_delegate(tool, "agent that is stopped", "cancelled" if newer else "failed", waits=True)],
            {"agent that is stopped": [_sleep("stopped in production")]},
            Counter(start=1, prompt=1, end=1), ended_by=signal.SIGINT,
        ),
        Session(
            "failure in production", "production", True,
            [_unknown_agent(tool), _refused(400, "invalid_request_error")], {},
            Counter(start=1, prompt=1, stop=int(not newer), end=1), exit_code=1,
        ),
    ]  # fmt: skip


def _notified(tool: str) -> tuple[list[Step], Counter[str]]:
    """Return the turn before an agent in the background is through, and what the log holds of the news of its end."""
    steps = [Step(Turn("Noted."))] if tool == IN_BACKGROUND else []
    return steps, Counter({NOTIFIED: len(steps)})


def _work(tool: str, project: Path, agent: str) -> list[Step]:
    notes = str(project / "notes.txt")
    return [
        Step(
            Turn("Reading.", [_read(project / "README.md")]),
            [HookRun("PostToolUse", "Read", "broken.sh", "failure")], [Fault("SystemError", _SERIOUS, "Read")],
        ),
        _bash("echo ok"),
        Step(
            Turn("Writing.", [Tool("Write", {"file_path": notes, "content": "one\ntwo\n"})]),
            [HookRun("PreToolUse", "Write", "guard.sh", "success")],
        ),
        Step(
            Turn("Editing.", [Tool("Edit", {"file_path": notes, "old_string": "one", "new_string": "three"})]),
            [HookRun("PreToolUse", "Edit", "slow.sh", "timeout")], [Fault("SystemError", _SERIOUS, "Edit")],
        ),
        _exit(3),
        Step(Turn("Reading.", [_read(project / "missing.txt")]), faults=[Fault("ValidationError", ("LOW",), "Read")]),
        Step(
            Turn("Writing.", [Tool("Write", {"file_path": str(project / BLOCKED_FILE), "content": "x"})]),
            [HookRun("PreToolUse", "Write", "guard.sh", "blocked")], [_denied("Write")],
        ),
        Step(Turn("Touching.", [_shell("touch denied.txt")]), faults=[_denied("Bash")]),
        _delegate(tool, agent, "completed", waits=True),
        Step(Turn("Done.")),
    ]  # fmt: skip


def _agent(marker: str, delay_s: float = 0) -> dict[str, list[Step]]:
    return {marker: [_bash("pwd"), Step(Turn("It is the project.", delay_s=delay_s))]}


def _delegate(tool: str, marker: str, status: Outcome, *, waits: bool = False) -> Step:
    asked: dict[str, Any] = {"description": "Look", "prompt": f"{marker}: look", "subagent_type": AGENT}
    if waits and tool == IN_BACKGROUND:
        asked["run_in_background"] = False
    return Step(Turn("Delegating.", [Tool(tool, asked)]), agent=AgentRun(AGENT, status, marker))


def _unknown_agent(tool: str) -> Step:
    asked = {"description": "Look", "prompt": "look", "subagent_type": UNKNOWN_AGENT}
    return Step(
        Turn("Delegating.", [Tool(tool, asked)]),
        faults=[Fault("RoutingError", ("LOW", "MEDIUM"), tool)], agent=AgentRun(UNKNOWN_AGENT, "failed", None),
    )  # fmt: skip


def _refused(status: int, kind: str) -> Step:
    return Step(Turn("as scripted", status=status, kind=kind), faults=[Fault("SystemError", _SERIOUS, None)])


def _denied(tool: str) -> Fault:
    return Fault("SecurityViolation", ("HIGH",), tool)


def _bash(command: str, delay_s: float = 0) -> Step:
    return Step(Turn("Running.", [_shell(command)], delay_s=delay_s))


def _sleep(session: str) -> Step:
    return _bash(f"exec sh {_WAIT} {_started(session)}")


def _started(session: str) -> str:
    return f"{session.replace(' ', '-')}.txt"


def _exit(code: int) -> Step:
    return Step(
        Turn("Failing.", [_shell(f"echo oops >&2; exit {code}")]), faults=[Fault("ValidationError", ("LOW",), "Bash")]
    )


def _shell(command: str) -> Tool:
    return Tool("Bash", {"command": command, "description": "Run it"})


def _read(place: Path) -> Tool:
    return Tool("Read", {"file_path": str(place)})


def _hooks() -> dict[str, Any]:
    def command(script: str, **more: int) -> dict[str, Any]:
        return {"type": "command", "command": f'"$CLAUDE_PROJECT_DIR"/.claude/hooks/{script}', **more}

    return {
        "PreToolUse": [
            {"matcher": "Write", "hooks": [command("guard.sh")]},
            {"matcher": "Edit", "hooks": [command("slow.sh", timeout=SLOW_SECONDS)]},
        ],
        "PostToolUse": [{"matcher": "Read", "hooks": [command("broken.sh")]}],
        "Stop": [{"hooks": [command("tidy.sh")]}],
    }


def _write(place: Path, text: str, mode: int = 0o644) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    place.chmod(mode)
