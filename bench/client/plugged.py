"""The plugin in the real client: installed from the checkout in one step, used in sessions, taken out again.

What is shown: sessions of a project with Agent Studio are recorded, each event once, whoever else records; tools and
skills of the plugin answer, also beside those of the project; where there is no Agent Studio nothing is left or said.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude
from bench.client.finding import _results
from bench.client.journey import JourneyError, command, ours, records
from bench.client.messages_api import MessagesApi, Tool, Turn
from bench.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.client.claude import Client, Ran

NAME = "agent-studio@agent-studio"
PLUGGED, WIRED, CONFINED, ELSEWHERE, WITHOUT = "[plugged]", "[wired]", "[confined]", "[elsewhere]", "[without]"
"""Marks of the sessions: recorded by the plugin, by the settings as well, in a run as well, in a project without Agent
Studio, and without our command on the PATH."""
_TOOLS = "mcp__plugin_agent-studio_agent-studio__"
_SKILL = "you never voice the seats yourself"
_LARGE = 300_000
"""Bytes of a payload that no pipe holds: whoever does not read it must not stop the client."""
_ONE_STEP = (2, 1)
"""The first version whose `plugin install` adds the marketplace by itself."""


@dataclass
class Seen:
    """What happened."""

    is_new: bool
    """Whether the client shows in unattended sessions what hooks have to say, and takes a skill by its bare name."""
    installed: list[Ran] = field(default_factory=list)
    ran: dict[str, Ran] = field(default_factory=dict)
    inbox: dict[str, Counter[str]] = field(default_factory=dict)
    """How often each event of a session was recorded."""
    results: dict[str, list[tuple[bool, str]]] = field(default_factory=dict)
    hooks: int = 0
    """Records of a session after they were ingested."""
    status: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What `hooks status` says when the plugin records, and when the settings do."""
    skills: dict[str, str] = field(default_factory=dict)
    """What reached the model of a skill that was asked for by its name, ours and the project's."""
    left: list[str] = field(default_factory=list)
    """Files in the project without Agent Studio that were not there before."""
    remaining: str = ""
    """What the client still lists when the plugin is taken out."""


def script(place: Path) -> dict[str, list[Turn]]:
    """Return what the model does in each session."""
    large = Tool("Write", {"file_path": str(place / "elsewhere/large.txt"), "content": "x" * _LARGE})
    shell = Tool("Bash", {"command": "echo one", "description": "say one"})
    asked = [
        shell,
        Tool(f"{_TOOLS}search_artifacts", {"query": "greeting in Latin"}),
        Tool("Skill", {"skill": "agent-studio:party", "command": "agent-studio:party"}),
    ]
    turns = {PLUGGED: asked, WIRED: [shell], CONFINED: [shell], ELSEWHERE: [large], WITHOUT: [shell]}
    return {mark: [*(Turn(tools=[tool]) for tool in tools), Turn("Done.")] for mark, tools in turns.items()}


def use(client: Client, place: Path) -> Seen:
    """Install the plugin, run the sessions below an empty folder, and take it out; `JourneyError` when ours fails."""
    project, home, elsewhere = place / "my shop \u00fcn\u00ef", place / "home", place / "elsewhere"
    skill = project / ".claude/skills/greet/SKILL.md"
    for folder in (skill.parent, home, elsewhere):
        folder.mkdir(parents=True)
    skill.write_text("---\nname: greet\ndescription: Greeting people in Latin.\n---\n\nSay salve.\n")
    is_new = _numbers(client.version) >= _ONE_STEP
    seen, api = Seen(is_new), MessagesApi({**script(place), "[asked]": [Turn("Done.")], "[own]": [Turn("Done.")]})
    with api.serving():
        bare = {**claude.variables(client, home, api.url), "AGENT_STUDIO_ENV": "staging"}
        variables = {**bare, "PATH": os.pathsep.join([str(Path(sys.executable).parent), bare["PATH"]])}
        seen.installed = _install(elsewhere, variables, in_one_step=is_new)
        ours(project, variables, "init", "--no-hooks", "--skills", "--set", "testData.artifactsCount=0")
        _session(seen, api, PLUGGED, project, variables)
        seen.status[PLUGGED] = ours(project, variables, "hooks", "status")
        _session(seen, api, ELSEWHERE, elsewhere, variables)
        _session(seen, api, WITHOUT, project, _without_ours(bare))
        line = [*command(), "run", "--", *claude.words(f"{CONFINED} go")]
        _session(seen, api, CONFINED, project, variables, line)
        for mark, asked in (("[asked]", "/agent-studio:party"), ("[own]", "/party")):
            claude.run(claude.words(f"{asked} shall we? {mark}"), project, variables)
            seen.skills[mark] = next((json.dumps(one) for one in api.requests if mark in json.dumps(one)), "")
        ours(project, variables, "hooks", "install")
        _session(seen, api, WIRED, project, variables)
        seen.status[WIRED] = ours(project, variables, "hooks", "status")
        ours(project, variables, "ingest")
        seen.hooks = len(records(project, "staging")["sessions"])
        seen.left = [str(one.relative_to(elsewhere)) for one in elsewhere.rglob("*") if one.name != "large.txt"]
        for words in (("uninstall", NAME), ("marketplace", "remove", "agent-studio")):
            seen.installed.append(claude.run(["claude", "plugin", *words], elsewhere, variables))
        seen.remaining = (home / ".claude/plugins/installed_plugins.json").read_text()
        seen.remaining += (home / ".claude/settings.json").read_text()
    return seen


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _install(folder: Path, variables: Mapping[str, str], *, in_one_step: bool) -> list[Ran]:
    source = str(REPOSITORY)
    validate = [["validate", str(REPOSITORY / "plugin")], ["validate", source]]
    if in_one_step:
        validate = [[*words, "--strict"] for words in validate]
        steps = [["install", "agent-studio", "--marketplace", source]]
    else:
        steps = [["marketplace", "add", source], ["install", NAME]]
    return [claude.run(["claude", "plugin", *words], folder, variables) for words in (*validate, *steps)]


def _without_ours(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with a PATH on which our command is not."""
    kept = [one for one in variables["PATH"].split(os.pathsep) if shutil.which("agent-studio", path=one) is None]
    return {**variables, "PATH": os.pathsep.join(kept)}


def _session(
    seen: Seen, api: MessagesApi, mark: str, folder: Path, variables: Mapping[str, str], line: list[str] | None = None
) -> None:
    inbox = folder / ".claude/staging/metrics/events.jsonl"
    before = len(inbox.read_bytes().splitlines()) if inbox.exists() else 0
    allowed = f"Skill Bash Read Write {_TOOLS}search_artifacts"
    seen.ran[mark] = claude.run(line or claude.words(f"{mark} go", allowed=allowed), folder, variables, limit_s=120)
    lines = inbox.read_bytes().splitlines()[before:] if inbox.exists() else []
    seen.inbox[mark] = Counter(_event(json.loads(one)["payload"]) for one in lines)
    asked = [one for one in api.requests if one.get("tools") and mark in json.dumps(one.get("messages", []))]
    seen.results[mark] = list(_results(asked[-1])) if asked else []


def _event(payload: dict[str, Any]) -> str:
    return f"{payload.get('hook_event_name')} {payload.get('tool_name', '')}".strip()


def faults(seen: Seen) -> Iterator[str]:
    """Yield what is wrong; nothing when all is right."""
    for ran in (*seen.installed, *seen.ran.values()):
        if ran.code or ran.overdue:
            yield f"the client ended with {ran.code}: {ran.out[-600:]}{ran.err[-600:]}"
    yield from _wrong_records(seen)
    said = [text for failed, text in seen.results[PLUGGED] if not failed]
    if len(said) != len(script(Path())[PLUGGED]) - 1 or "greet" not in said[1]:
        yield f"tools of the plugin did not answer: {seen.results[PLUGGED]}"
    for mark in ("[asked]", "[own]")[: 1 + seen.is_new]:
        if _SKILL not in seen.skills[mark] and not (mark == "[own]" and "Use the skill `party`" in seen.skills[mark]):
            yield f"{mark}: the skill's words did not reach the model: {seen.skills[mark][-600:]}"
    yield from _told(seen)
    if seen.left:
        yield f"left in a project without Agent Studio: {seen.left}"
    if "agent-studio" in seen.remaining:
        yield f"left by the uninstallation: {seen.remaining}"


def _told(seen: Seen) -> Iterator[str]:
    """Yield what hooks said and should not have, or should have said."""
    if any(map(_spoke, seen.ran[ELSEWHERE].out.splitlines())):
        yield "a hook spoke in a project without Agent Studio"
    if any("Agent Studio: " in ran.out for mark, ran in seen.ran.items() if mark != WITHOUT):
        yield "the hint that something is missing came where nothing is"
    if seen.is_new and "is not on the PATH" not in seen.ran[WITHOUT].out:
        yield f"no hint that our command is missing: {seen.ran[WITHOUT].out[:600]}"


def _wrong_records(seen: Seen) -> Iterator[str]:
    """Yield sessions that were not recorded once, and what `hooks status` says wrongly."""
    for mark in (PLUGGED, WITHOUT, CONFINED, WIRED):
        found = seen.inbox[mark]
        wanted = ("SessionStart", "UserPromptSubmit", "PreToolUse Bash", "PostToolUse Bash", "Stop", "SessionEnd")
        if wrong := {name: found[name] for name in wanted if found[name] != 1}:
            yield f"{mark}: not recorded once: {wrong} of {dict(found)}"
    if seen.inbox[ELSEWHERE]:
        yield f"recorded in a project without Agent Studio: {seen.inbox[ELSEWHERE]}"
    if not seen.hooks:
        yield "ingest made no records of the sessions"
    plugged, wired = seen.status[PLUGGED], seen.status[WIRED]
    if not plugged["works"] or (plugged["plugin"] or {}).get("name") != NAME or any(plugged["events"].values()):
        yield f"hooks status does not say that the plugin records: {plugged}"
    if not wired["works"] or not any(wired["events"].values()):
        yield f"hooks status does not say that the settings record: {wired}"


def _spoke(line: str) -> bool:
    said = json.loads(line) if line.startswith("{") else {}
    return said.get("subtype") == "hook_response" and bool(said.get("stdout") or said.get("stderr"))


def trial(version: str) -> list[str]:
    """Use the plugin with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return list(faults(use(client, Path(folder).resolve())))
        except JourneyError as error:
            return [str(error)]
