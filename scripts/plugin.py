"""Write the Claude Code plugin and its marketplace from what the package has: hooks, skills, commands, MCP server.

`plugin.py` writes what is stale, `plugin.py --check` names it and exits 1. What the package does not have is written
by hand: `plugin/README.md`, `plugin/scripts/`, and the commands that are the plugin's alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agent_studio
from agent_studio.capture.wiring import events, plugin
from agent_studio.reasoning.client.install import files

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = "plugin"
BY_HAND = ("README.md", "commands/gate.md", "commands/status.md", "scripts/mcp")
_ABOUT = "Records sessions, and brings party mode, elicitation, evolution and the knowledge base of Agent Studio"
_MISSING = (
    "Agent Studio: agent-studio is not on the PATH of this session, so the skills and tools of its plugin "
    "do nothing. Install it with pipx or pip, and start the session again."
)
_NOT_RECORDING = (
    "Agent Studio: this project has no recorder, so nothing is recorded. Mend it: agent-studio init --no-hooks"
)


def main() -> int:
    """Write or check the plugin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="name what is stale and exit 1; write nothing")
    check = parser.parse_args().check
    made = contents()
    stale = [name for name, data in made.items() if _read(name) != data] + strays(made)
    for name in stale:
        place = REPOSITORY / name
        if not check and name in made:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(made[name])
        elif not check:
            place.unlink()
        print(f"{'stale' if check else 'written' if name in made else 'removed'}: {name}")
    return int(check and bool(stale))


def contents() -> dict[str, bytes]:
    """Return every file that is made, by its path in the repository."""
    skills = {name.split("/")[1] for name in files() if name.startswith("skills/")}
    made = {
        f"{FOLDER}/{name}": place.read_bytes()
        for name, place in files().items()
        if name.startswith("skills/") or Path(name).stem not in skills  # a command would hide the skill of its name
    }
    hooks = plugin.files(events.NINE)
    hooks[plugin.MANIFEST] |= {"description": _ABOUT, "license": "MIT", "author": {"name": "Agent Studio"}}
    hooks[plugin.HOOKS]["hooks"]["SessionStart"].append(_telling())
    server = {"command": "sh", "args": ["${CLAUDE_PLUGIN_ROOT}/scripts/mcp"]}
    values = {**hooks, ".mcp.json": {"mcpServers": {"agent-studio": server}}}
    made |= {f"{FOLDER}/{name}": _written(value) for name, value in values.items()}
    entry = {"name": plugin.NAME, "source": f"./{FOLDER}", "description": _ABOUT}
    about = {"description": "Agent Studio for Claude Code", "version": agent_studio.__version__}
    owner = {"name": "Agent Studio"}
    marketplace = {"name": plugin.NAME, "owner": owner, "metadata": about, "plugins": [entry]}
    return {**made, ".claude-plugin/marketplace.json": _written(marketplace)}


def strays(made: Mapping[str, bytes]) -> list[str]:
    """Return the plugin's files that are neither made nor written by hand."""
    kept = {f"{FOLDER}/{name}" for name in BY_HAND}
    found = (place for place in (REPOSITORY / FOLDER).rglob("*") if place.is_file())
    return sorted({place.relative_to(REPOSITORY).as_posix() for place in found} - kept - set(made))


def _telling() -> dict[str, Any]:
    """Return the hook that says once, as a session starts in a project with Agent Studio, what is missing."""
    state = '"$CLAUDE_PROJECT_DIR/.agent-studio"'  # its end quoted here: no line of ours that records looks like this
    line = (
        f"[ -f {state}/routes ] || exit 0; "
        f"command -v agent-studio >/dev/null || {_said(_MISSING)}; "
        f"[ -x {state}/bin/recorder ] || [ -f {state}/bin/recorder.py ] || {_said(_NOT_RECORDING)}; exit 0"
    )
    return {"matcher": "startup", "hooks": [{"type": "command", "command": line, "timeout": 10}]}


def _said(message: str) -> str:
    return "{ echo '" + json.dumps({"systemMessage": message}) + "'; exit 0; }"


def _written(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _read(name: str) -> bytes | None:
    place = REPOSITORY / name
    return place.read_bytes() if place.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
