"""A project, two environments, one client: installs our hooks, drives every session, ingests, uninstalls."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude, scenario
from bench.client.messages_api import MessagesApi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.client.claude import Client, Ran
    from bench.client.messages_api import Served
    from bench.client.scenario import Scenario, Session

ENVIRONMENTS = ("staging", "production")
FILES: Mapping[str, str] = {
    "hooks": "metrics/hooks.jsonl",
    "agents": "metrics/agents.jsonl",
    "errors": "metrics/errors.jsonl",
    "usage": "metrics/llm-usage.log",
    "sessions": "sessions/session-log.jsonl",
}
"""The records, by what they are called here, below an environment's data root."""
Records = dict[str, list[dict[str, Any]]]
_LATER = """import sys
from datetime import timedelta
from agent_studio import clock
now = clock.now
clock.now = lambda: now() + timedelta(hours=25)
from agent_studio.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""Our command as it will be run the day after."""
_SETTINGS = ("settings.json", "settings.local.json")
_COMMAND_SECONDS = 120


class JourneyError(Exception):
    """A command of ours did not do its work; the text is what it said."""


@dataclass
class Journey:
    """What happened: every claim about the records is checked against this."""

    scenario: Scenario
    api: MessagesApi
    ran: dict[str, Ran] = field(default_factory=dict)
    """The sessions' processes by the session's name."""
    settings: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    """The settings files `before` our hooks, `wired` and `after` they were removed."""
    untouched: dict[str, tuple[dict[str, bytes], dict[str, bytes]]] = field(default_factory=dict)
    """Each environment's files before and after the other's sessions were run and ingested."""
    at_once: dict[str, Records] = field(default_factory=dict)
    """The records by environment right after its sessions."""
    records: dict[str, Records] = field(default_factory=dict)
    """The same a day later, when a session that ended without a word is over: all that there will be."""
    again: dict[str, Records] = field(default_factory=dict)
    """The same after one more ingest."""
    home: Path = Path()

    def served(self, session: Session) -> list[Served]:
        """Return what the API served to a session and its agents."""
        return self.api.of(*session.conversations)

    def session_ids(self, environment: str) -> dict[str, str]:
        """Return the sessions' names by the ids that the client gave them."""
        return {self.session_id(one): one.name for one in self.sessions(environment)}

    def session_id(self, session: Session) -> str:
        """Return the id under which the client ran a session, as it says in its own output."""
        first = next((line for line in self.ran[session.name].out.splitlines() if '"session_id"' in line), "{}")
        return str(json.loads(first).get("session_id", ""))

    def sessions(self, environment: str) -> list[Session]:
        """Return the sessions of an environment."""
        return [one for one in self.scenario.sessions if one.environment == environment]

    def transcripts(self) -> list[Path]:
        """Return every transcript that the client wrote."""
        return sorted((self.home / ".claude/projects").rglob("*.jsonl"))


def travel(client: Client, place: Path) -> Journey:
    """Run the whole journey below an empty folder.

    Raises `JourneyError` when one of our commands fails.
    """
    project, home = place / "my shop ünï", place / "home"
    project.mkdir()
    home.mkdir()
    scenario.prepare(project)
    sessions = scenario.scenario(client, project)
    journey = Journey(sessions, MessagesApi(sessions.script), home=home)
    with journey.api.serving():
        variables = claude.variables(client, home, journey.api.url)
        journey.settings["before"] = _settings(project)
        _wire(project, variables)
        journey.settings["wired"] = _settings(project)
        for environment in ENVIRONMENTS:
            _live(journey, environment, variables)
    for kept in (journey.records, journey.again):
        for environment in ENVIRONMENTS:
            ours(project, variables, "ingest", "--env", environment, later=True)
            kept[environment] = records(project, environment)
    ours(project, variables, "hooks", "uninstall", "--yes")
    journey.settings["after"] = _settings(project)
    return journey


def ours(project: Path, variables: Mapping[str, str], *words: str, later: bool = False) -> dict[str, Any]:
    """Run a command of ours as a user would, now or a day later; return its data.

    Raises `JourneyError` for any exit code but 0.
    """
    done = subprocess.run(
        [*command(later=later), *words, "--json"], cwd=project, env=dict(variables), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, encoding="utf-8", timeout=_COMMAND_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise JourneyError(
            f"{' '.join(words)}: exit code {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        )
    data: dict[str, Any] = json.loads(done.stdout)["data"]
    return data


def records(project: Path, environment: str) -> Records:
    """Return every record of an environment by file, those of closed days first."""
    root = project / ".claude" / ("staging" if environment == "staging" else "")
    found = {}
    for name, file in FILES.items():
        live = root / file
        closed = sorted(live.parent.glob(f"{live.stem}.????-??-??.*{live.suffix}"))
        lines = [line for place in (*closed, live) if place.exists() for line in place.read_text("utf-8").splitlines()]
        found[name] = [json.loads(line) for line in lines if line.strip()]
    return found


def _wire(project: Path, variables: Mapping[str, str]) -> None:
    for environment in ENVIRONMENTS:
        ours(project, variables, "init", "--env", environment)
    ours(project, variables, "hooks", "install", "--wrap")


def _live(journey: Journey, environment: str, variables: Mapping[str, str]) -> None:
    """Run an environment's sessions and ingest them, looking at the other environment before and after."""
    project = journey.scenario.project
    other = next(name for name in ENVIRONMENTS if name != environment)
    before = _files(project, other)
    for session in journey.sessions(environment):
        journey.ran[session.name] = _drive(journey, session, variables)
    ours(project, variables, "ingest", "--env", environment)
    journey.at_once[environment] = records(project, environment)
    journey.untouched[other] = before, _files(project, other)


def _drive(journey: Journey, session: Session, variables: Mapping[str, str]) -> Ran:
    project, chosen = journey.scenario.project, dict(variables)
    line: Sequence[str] = claude.words(f"{session.marker} do the planned work")
    if session.through_run:
        line = [*command(), "run", "--env", session.environment, "--", *line]
    else:
        chosen["AGENT_STUDIO_ENV"] = session.environment
    if session.ended_by is None:
        return claude.run(line, project, chosen)
    return claude.run(
        line, project, chosen, end_when=journey.scenario.sleeping(session).exists, end_by=session.ended_by
    )


def command(*, later: bool = False) -> list[str]:
    """Return the command line of ours, as it is now or as it will be run the day after."""
    return [sys.executable, "-c", _LATER] if later else [sys.executable, "-m", "agent_studio"]


def _settings(project: Path) -> dict[str, bytes | None]:
    places = {name: project / ".claude" / name for name in _SETTINGS}
    return {name: place.read_bytes() if place.exists() else None for name, place in places.items()}


def _files(project: Path, environment: str) -> dict[str, bytes]:
    """Return an environment's files, data and state; SQLite's own side files come and go with every reader."""
    data, staging = project / ".claude", project / ".claude/staging"
    root = staging if environment == "staging" else data
    places = [*root.rglob("*"), *(project / ".agent-studio" / environment).rglob("*")]
    return {
        str(place.relative_to(project)): place.read_bytes()
        for place in sorted(places)
        if place.is_file() and (environment == "staging" or staging not in place.parents)
        and not place.name.endswith(("-wal", "-shm"))
    }  # fmt: skip
