"""Offer the knowledge base and memory to agents: an MCP server over stdio, started by the client.

--print-config shows the entry for the project's .mcp.json; with Claude Code, `claude mcp add` does the same.

  agent-studio mcp --print-config
  claude mcp add agent-studio -- agent-studio mcp
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result
from agent_studio.environment.detect import VARIABLE
from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session

FILE = ".mcp.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mcp`."""
    parser.add_argument("--print-config", action="store_true", dest="show", help=f"print the entry for {FILE}")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Serve until the client closes stdin, or print how a client is told of the server."""
    if args.show:
        snippet = _snippet(session)
        return Result({"file": FILE, "config": snippet}, lambda screen: screen.block(json.dumps(snippet, indent=2)))
    if session.common.json:
        raise UsageError("stdout belongs to the protocol: there is no --json", hint="agent-studio mcp --print-config")
    from agent_studio.mcp.server import serve  # noqa: PLC0415 - the entry needs none of it

    serve(session.context)
    return Result({}, lambda _: None)


def _snippet(session: Session) -> dict[str, Any]:
    """Return the entry; the environment is written where it was chosen, else the client's own variable decides."""
    chosen = session.choice.source
    entry: dict[str, Any] = {"command": "agent-studio", "args": ["mcp"]}
    if session.choice.environment and chosen != "default":
        entry["env"] = {VARIABLE: str(session.choice.environment)}
    return {"mcpServers": {"agent-studio": entry}}
