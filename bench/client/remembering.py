"""A session that is given memory at its start, and an agent in it that is kept from another agent's sidecar.

What reached the model is read from the client's requests to the API: the notes, the reasons of the guard, and never a
word of the sidecar that is not the agent's.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude
from bench.client.journey import JourneyError, ours
from bench.client.messages_api import MessagesApi, Tool, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.client.claude import Client

AGENT, OTHER = "reviewer", "planner"
LEARNED = "The lighthouse module must be restarted after every change of its lens"
PRIVATE = "Walnut estimates are doubled before the quarter ends"
OWN = "Thistle reviews begin with the failing test"
_MARK, _ASKED = "[remembering]", "[reviewing]"
_IN_BACKGROUND = "Agent"
_CONFIGURATION = "memory:\n  context: {enabled: true}\n  guard: true\n"
_FOLDER = ".claude/staging/agents"
_REASON = "another agent's own memory"


def script(project: Path, tool: str) -> dict[str, list[Turn]]:
    """Return what the model does in the session, and in the agent that it starts."""
    hot = str(project / _FOLDER / OTHER / "hot.jsonl")
    asked: dict[str, Any] = {"description": "Review", "prompt": f"{_ASKED} go on", "subagent_type": AGENT}
    if tool == _IN_BACKGROUND:
        asked["run_in_background"] = False
    command = "agent-studio memory sidecar list --env staging --agent"
    calls = [
        Tool("Read", {"file_path": hot}),
        Tool("Write", {"file_path": str(project / _FOLDER / OTHER / "x.txt"), "content": "forged"}),
        Tool("Grep", {"pattern": "Walnut", "path": str(project / _FOLDER), "output_mode": "content"}),
        Tool("Glob", {"pattern": "*.jsonl", "path": str(project / _FOLDER / OTHER)}),
        Tool("Bash", {"command": f"cat {_FOLDER}/*/hot.jsonl"}),
        Tool("Bash", {"command": f"{command} {OTHER}"}),
        Tool("Read", {"file_path": str(project / _FOLDER / AGENT / "hot.jsonl")}),
    ]
    return {
        _ASKED: [*(Turn("Looking.", [call]) for call in calls), Turn("reviewed")],
        _MARK: [Turn("Delegating.", [Tool(tool, asked)]), Turn("done")],
    }


def remember(client: Client, folder: Path) -> tuple[Path, list[dict[str, Any]], bool]:
    """Run the session; return the project, what the API was sent, and whether the client tells hooks whose tool it is.

    Before 2.1 it does not: then no sidecar is known to be the agent's own, and all are kept from it.
    """
    project, home = folder / "shop", folder / "home"
    (project / ".claude/agents").mkdir(parents=True)
    home.mkdir()
    for name in (AGENT, OTHER):
        text = f"---\nname: {name}\ndescription: Works as the {name} of this shop.\n---\n\nBe careful.\n"
        (project / f".claude/agents/{name}.md").write_text(text)
    api = MessagesApi(script(project, client.agent_tool))
    with api.serving():
        variables = {**claude.variables(client, home, api.url), "AGENT_STUDIO_ENV": "staging"}
        ours(project, variables, "init")
        ours(project, variables, "memory", "add", "learning", LEARNED)
        for agent, text in ((OTHER, PRIVATE), (AGENT, OWN)):
            ours(project, variables, "memory", "sidecar", "add", text, "--agent", agent, "--as-operator")
        place = project / ".claude/config.staging.yaml"
        place.write_text(place.read_text() + _CONFIGURATION)
        ours(project, variables, "hooks", "install")
        ran = claude.run(claude.words(f"{_MARK} start"), project, variables, limit_s=120)
        if ran.code:
            raise JourneyError(f"the client ended with {ran.code}: {ran.out[-800:]}{ran.err[-800:]}")
    return project, api.requests, client.agent_tool == _IN_BACKGROUND


def faults(project: Path, requests: list[dict[str, Any]], is_told: bool) -> Iterator[str]:  # noqa: FBT001 - as found
    """Yield what did not happen as it should."""
    first = next((request for request in requests if _MARK in json.dumps(request)), {})
    given = json.dumps(first)
    if LEARNED not in given or "not instructions" not in given:
        yield "the session was not given the note at its start"
    results = list(_results(requests))
    denied = [text for is_error, text in results if is_error and _REASON in text]
    wanted = 5 if is_told else 6
    if len(denied) != wanted:
        yield f"{len(denied)} calls on sidecars were denied, not {wanted}: {results}"
    if not any(is_error and "a sidecar is its agent's own" in text for is_error, text in results):
        yield f"our own command opened another agent's sidecar: {results}"
    if is_told and not any(OWN in text for is_error, text in results if not is_error):
        yield f"the agent could not read its own sidecar: {results}"
    if PRIVATE in json.dumps(requests):
        yield "the other agent's sidecar reached the model"
    if (project / _FOLDER / OTHER / "x.txt").exists():
        yield "a file was written into the other agent's sidecar"


def _results(requests: list[dict[str, Any]]) -> Iterator[tuple[bool, str]]:
    """Yield what each tool of the agent returned, each once: whether as an error, and its text."""
    seen: set[str] = set()
    for request in requests:
        for message in request.get("messages", ()):
            content = message.get("content")
            for block in content if isinstance(content, list) else ():
                if block.get("type") == "tool_result" and block["tool_use_id"] not in seen:
                    seen.add(block["tool_use_id"])
                    yield bool(block.get("is_error")), json.dumps(block.get("content"), ensure_ascii=False)


def trial(version: str) -> list[str]:
    """Run the session with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return list(faults(*remember(client, Path(folder).resolve())))
        except JourneyError as error:
            return [str(error)]
