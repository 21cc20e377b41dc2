"""Which sidecar is an agent's own: its files, and our command when it is called for another.

What the client calls an agent is what counts; the main conversation is none, and has no sidecar.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from agent_studio.guards import shell
from agent_studio.guards.lexer import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.guards.shell import Part

KEY = "memory.guard"
_CALLED = re.compile(r"\bmemory\b.{0,40}\bsidecar\b", re.DOTALL)
_WHOLE = re.compile(r"-[a-zA-Z]*[rRa][a-zA-Z]*|--recursive|--archive|--dereference-recursive")
_RECURSIVE = frozenset(("rg", "ag", "ack", "tar", "zip", "rsync"))
_WITH_OPTION = frozenset(("cp", "grep", "egrep", "fgrep", "scp"))
_LEFT_OUT = re.compile(r"--exclude(?:-dir)?(?:=.*)?|!.*|-g!.*|--glob=!.*|--ignore(?:-dir)?(?:=.*)?")
_SIDECAR_FILES = (".jsonl", ".json", ".md", ".txt", "*")


def folder_of(agent: str) -> str:
    """Return the name of an agent's folder, as the client makes it of `plugin:agent`; empty for none."""
    name = agent.replace(":", "-")
    return "" if name in {"", ".", ".."} or {"/", "\\", "\0"} & set(name) else name


def index_places(context: Context) -> Iterator[str]:
    """Yield where the derived index of all sidecars lies."""
    from agent_studio.memory.sidecars.store import INDEX_FOLDER  # noqa: PLC0415 - only where the guard is on

    yield str(context.root.state.at(INDEX_FOLDER).path)


def is_kept_apart(context: Context) -> bool:
    """Tell whether a search over the whole project leaves sidecars out: git ignores their folder, or none is there."""
    folder = context.root.folder("agents")
    if not folder.has_folder() or not folder.names():
        return True
    try:
        lines = context.project.folder.read(".gitignore").decode("utf-8", "replace").split()
    except (FileNotFoundError, OSError):
        return False
    place = f"{context.root.kinds['agents']}/"
    return any(place.startswith(f"{line.strip('/')}/") for line in lines if line.strip("/"))


def foreign_call(command: str, agent: str) -> str:
    """Return why a shell command that opens a sidecar with our command is not the agent's to run, or nothing."""
    if not _CALLED.search(command):
        return ""
    parts = shell.parts(command)
    if parts is None:
        return "it calls agent-studio memory sidecar in a way that cannot be told"
    for part in parts:
        if reason := _reason(part, agent):
            return reason
    return ""


def _reason(part: Part, agent: str) -> str:
    words = [word.replace(UNKNOWN, "?") for word in part.words]
    calls = any(word == "memory" and after == "sidecar" for word, after in pairwise(words))
    if not calls or not any("agent-studio" in word or "agent_studio" in word for word in words):
        return ""
    if "--as-operator" in words:
        return "--as-operator is for people"
    if not folder_of(agent):
        return "the main conversation has no sidecar"
    named = [words[at + 1] if "=" not in word and at + 1 < len(words) else word.partition("=")[2]
             for at, word in enumerate(words) if word == "--agent" or word.startswith("--agent=")]  # fmt: skip
    if not named:
        return f"it does not say whose: --agent {agent}"
    return "" if all(one == agent for one in named) else "that is another agent's"


def read_whole(part: Part) -> list[str]:
    """Return the folders that a program reads with all that lies in them, unless it is told to leave some out."""
    rest = part.words[1:]
    if part.program not in _RECURSIVE and not (part.program in _WITH_OPTION and any(map(_WHOLE.fullmatch, rest))):
        return []
    if any(map(_LEFT_OUT.fullmatch, rest)):
        return []
    plain = [word for word in rest if not word.startswith("-")]
    searches = part.program in {"rg", "ag", "ack", "grep", "egrep", "fgrep"}
    return plain[1:] or (["."] if plain else []) if searches else plain


def searched(tool: str, given: Mapping[str, Any], folder: str) -> Sequence[str]:
    """Return the folder that the client's search looks through, if files of sidecars may be among what it looks at."""
    if tool != "Grep":
        return ()
    glob, kind = str(given.get("glob") or ""), str(given.get("type") or "")
    if glob.startswith("!") or (glob and not glob.rstrip("}").endswith(_SIDECAR_FILES)):
        return ()
    if kind and kind not in {"json", "jsonl", "md", "markdown", "txt"}:
        return ()
    return (str(given.get("path") or folder),)
