"""A session in which the model finds artifacts: suggestions at its prompt, our MCP server's tools, a skill, an edit.

The client starts the server itself, as the project's `.mcp.json` says; what it hands to the model is read from its
requests to the API.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude
from bench.client.journey import JourneyError, ours
from bench.client.messages_api import MessagesApi, Tool, Turn
from bench.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.client.claude import Client, Ran

ENVIRONMENT = "staging"
SERVER = "mcp__agent-studio__"
SKILL = "writing-migrations"
SUGGESTED = "database-migrator"
AGENT = "beekeeper"
_PROMPT = "We need a database migration for the publisher column, and it has to be rolled back when it fails."
_AGENT_TEXT = f"---\nname: {AGENT}\ndescription: Sets up beehives before winter.\n---\n\nBe gentle.\n"
_ALLOWED = f"{SERVER}search_artifacts {SERVER}get_artifact Skill Write Edit Read"


@dataclass
class Finding:
    """What happened."""

    ran: Ran
    told: str
    """All that stood before the model when it was last asked."""
    results: list[tuple[bool, str]] = field(default_factory=list)
    """What each tool returned to the model, in order: whether as an error, and the text."""
    servers: dict[str, str] = field(default_factory=dict)
    """The MCP servers by the state that the client saw them in."""
    ingested: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The knowledge base afterwards, by name."""


def script(project: Path) -> list[Turn]:
    """Return what the model does."""
    new = str(project / f".claude/agents/{AGENT}.md")
    return [
        _call("search_artifacts", query="roll back a change of the database"),
        _call("get_artifact", name=SKILL, part="headings"),
        _call("get_artifact", name="writing-migratoins"),
        _call("search_artifacts", query="xylophone quartet zanzibar"),
        Turn(tools=[Tool("Skill", {"skill": SKILL, "command": SKILL})]),
        Turn(tools=[Tool("Write", {"file_path": new, "content": _AGENT_TEXT})]),
        _call("search_artifacts", query="beehives in winter", domain="agent"),
        Turn("Found."),
    ]


def _call(tool: str, **arguments: Any) -> Turn:
    return Turn(tools=[Tool(SERVER + tool, arguments)])


def find(client: Client, place: Path) -> Finding:
    """Run the session below an empty folder; raise `JourneyError` when a command of ours fails."""
    project, home = place / "my shop ünï", place / "home"
    shutil.copytree(REPOSITORY / "examples/bookshop", project)
    home.mkdir()
    marker = "[finding]"
    api = MessagesApi({marker: script(project)})
    with api.serving():
        variables = {**claude.variables(client, home, api.url), "AGENT_STUDIO_ENV": ENVIRONMENT}
        _prepare(project, variables)
        free = ("--permission-mode", "bypassPermissions")  # the newer client asks before it writes definitions
        line = claude.words(f"{_PROMPT} {marker}", "--mcp-config", ".mcp.json", *free, allowed=_ALLOWED)
        ran = claude.run(line, project, variables)
    ingested = ours(project, variables, "ingest")
    listed = ours(project, variables, "kb", "list")["artifacts"]
    asked = [body for body in api.requests if marker in json.dumps(body.get("messages", []), ensure_ascii=False)]
    return Finding(
        ran, json.dumps(asked[-1]["messages"], ensure_ascii=False) if asked else "",
        list(_results(asked[-1])) if asked else [], _servers(ran), ingested, {one["name"]: one for one in listed},
    )  # fmt: skip


def _prepare(project: Path, variables: dict[str, str]) -> None:
    ours(project, variables, "init", "--no-hooks", "--set", "testData.artifactsCount=0")
    (project / ".claude/config.staging.yaml").write_text("environment: staging\nknowledge:\n  suggest: true\n")
    ours(project, variables, "hooks", "install")
    config = ours(project, variables, "mcp", "--print-config")["config"]
    config["mcpServers"]["agent-studio"].update(command=sys.executable, args=["-m", "agent_studio", "mcp"])
    (project / ".mcp.json").write_text(json.dumps(config))


def _results(request: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    for message in request["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block.get("type") == "tool_result":
                content = block.get("content", "")
                parts = [part.get("text", "") for part in content] if isinstance(content, list) else [str(content)]
                yield bool(block.get("is_error")), "\n".join(parts)


def _servers(ran: Ran) -> dict[str, str]:
    first = next((line for line in ran.out.splitlines() if '"mcp_servers"' in line), "{}")
    return {one["name"]: one["status"] for one in json.loads(first).get("mcp_servers", [])}


def faults(found: Finding) -> Iterator[str]:
    """Yield what is wrong; nothing when all is right."""
    if found.ran.code or found.ran.overdue:
        yield f"the client ended with {found.ran.code}: {found.ran.out[-500:]}{found.ran.err[-500:]}"
        return
    if found.servers.get("agent-studio") != "connected":
        yield f"the client is not connected to the server: {found.servers}"
    if f"subagent_type: {SUGGESTED}" not in found.told:
        yield f"nothing was suggested at the prompt: {found.told[-500:]}"
    wanted = (
        (False, f'"name":"{SKILL}"'), (False, '"notice":"data from a file'), (True, f"did you mean {SKILL}"),
        (False, "Nothing fits."), (False, SKILL), (False, ""), (False, f'"name":"{AGENT}"'),
    )  # fmt: skip
    if len(found.results) != len(wanted):
        yield f"the model got {len(found.results)} results, not {len(wanted)}: {found.results}"
    for number, ((failed, text), (fails, said)) in enumerate(zip(found.results, wanted, strict=False)):
        if failed != fails or said not in text:
            yield f"result {number} is {'an error' if failed else 'no error'}: {text[:500]}"
    if found.artifacts[SKILL]["usageCount"] != 1 or not found.artifacts[SKILL]["lastUsed"]:
        yield f"the use of the skill is not counted: {found.artifacts[SKILL]}"
    if AGENT not in found.artifacts:
        yield "what the session wrote is not in the index"
    if found.ingested["indexFaults"]:
        yield "the index could not follow"


def trial(version: str) -> list[str]:
    """Run the session with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return list(faults(find(client, Path(folder).resolve())))
        except JourneyError as error:
            return [str(error)]
