"""Which sidecar is an agent's own: its files, and our command when it is called for another.

What the client calls an agent is what counts; the main conversation is none, and has no sidecar.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from agent_studio.environment.context import other_roots
from agent_studio.errors import AgentStudioError
from agent_studio.guards import shell
from agent_studio.guards.lexer import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.guards.shell import Part

KEY = "memory.guard"
_CALLED = re.compile(r"\bmemory\b.{0,40}\bsidecar\b", re.DOTALL)


def folder_of(agent: str) -> str:
    """Return the name of an agent's folder, as the client makes it of `plugin:agent`; empty for none."""
    name = agent.replace(":", "-")
    return "" if name in {"", ".", ".."} or {"/", "\\", "\0"} & set(name) else name


def own_folder(context: Context, agent: str) -> str:
    """Return the name of the folder that is an agent's own; empty where it is another's by its case or its owner."""
    from agent_studio.memory.sidecar import OWNER  # noqa: PLC0415 - only where the guard is on

    name, folder = folder_of(agent), context.root.folder("agents")
    try:
        alike = [one for one in folder.names() if one.casefold() == name.casefold()]
        if not name or (alike and alike != [name]):
            return ""
        owner = json.loads(folder.at(name).read(OWNER)).get("agent")
    except (FileNotFoundError, NotADirectoryError):
        return name
    except (AgentStudioError, ValueError, AttributeError):
        return ""
    return name if owner == agent else ""


def folders(context: Context) -> Iterator[tuple[str, bool]]:
    """Yield the folders of sidecars, from the project, of all environments, and whether it is this one's."""
    own = context.root.kinds["agents"]
    yield own, True
    for kind in dict.fromkeys(root.kinds["agents"] for root in other_roots(context.project, context.environment)):
        if kind != own:
            yield kind, False


def index_places(context: Context) -> Iterator[str]:
    """Yield where the derived indexes of all sidecars lie."""
    from agent_studio.memory.sidecars.store import INDEX_FOLDER  # noqa: PLC0415 - only where the guard is on

    for root in (context.root, *other_roots(context.project, context.environment)):
        yield str(root.state.at(INDEX_FOLDER).path)


def foreign_call(command: str, agent: str, environment: str) -> str:
    """Return why a shell command that opens a sidecar with our command is not the agent's to run, or nothing."""
    if not _CALLED.search(command):
        return ""
    parts = shell.parts(command)
    if parts is None:
        return "it calls agent-studio memory sidecar in a way that cannot be told"
    for part in parts:
        if reason := _reason(part, agent, environment):
            return reason
    return ""


def _reason(part: Part, agent: str, environment: str) -> str:
    words = [word.replace(UNKNOWN, "?") for word in part.words]
    calls = any(word == "memory" and after == "sidecar" for word, after in pairwise(words))
    if not calls or not any("agent-studio" in word or "agent_studio" in word for word in words):
        return ""
    if "--as-operator" in words:
        return "--as-operator is for people"
    if not folder_of(agent):
        return "the main conversation has no sidecar"
    if any(one != environment for one in _given(words, "--env")):
        return "that is another environment's"
    named = _given(words, "--agent")
    if not named:
        return f"it does not say whose: --agent {agent}"
    return "" if all(one == agent for one in named) else "that is another agent's"


def _given(words: Sequence[str], option: str) -> list[str]:
    return [
        words[at + 1] if "=" not in word and at + 1 < len(words) else word.partition("=")[2]
        for at, word in enumerate(words) if word == option or word.startswith(f"{option}=")
    ]  # fmt: skip
