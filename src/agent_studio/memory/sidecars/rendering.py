"""Shows an agent's memory to the client: a block in `.claude/agent-memory/<agent>/MEMORY.md`, and only that block.

The rest of the file is the client's and the agent's. Staging renders nothing there: that folder is not staging's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS, Environment
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.memory.sidecar import folder_name

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.memory.sidecar import Sidecar
    from agent_studio.storage.folder import Folder

FILE = "MEMORY.md"
BUDGET_BYTES = 12_000
"""The client loads the first 200 lines of the file."""
_BEGIN = b"<!-- agent-studio: begin; made from this agent's sidecar, changes here are lost -->"
_END = b"<!-- agent-studio: end -->"
_ANY_BEGIN, _ANY_END = (
    re.compile(rb"<!--\s*agent-studio:\s*begin\b[^\n]*?-->"),
    re.compile(rb"<!--\s*agent-studio:\s*end\s*-->"),
)


class BlockError(AgentStudioError):
    """The block in a file cannot be told from the rest of it."""

    code = "block"


def render(context: Context, sidecar: Sidecar, *, remove: bool = False) -> tuple[str, bool]:
    """Write an agent's digest into the client's file, or `remove` it; return the file's path and whether it changed."""
    if context.environment is Environment.STAGING or context.root.kinds["agents"] != f"{DEFINITIONS}/agent-memory":
        raise UsageError(
            f"nothing of {context.environment} is rendered into the client's folder: its sidecars lie in "
            f"{context.root.kinds['agents']}/", hint="agent-studio memory sidecar show them; or use --env production",
        )  # fmt: skip
    folder = _folder(context, sidecar)
    try:
        data = folder.read(FILE)
    except FileNotFoundError:
        data = b""
    shown = "" if remove else sidecar.digest(BUDGET_BYTES)
    ending = b"\r\n" if b"\r\n" in data else b"\n"
    block = ending.join((_BEGIN, *shown.encode().split(b"\n"), _END)) if shown else b""
    changed = _with_block(data, block, ending, str(folder.path / FILE))
    if changed != data:
        folder.make()
        folder.replace(FILE, changed)
    return str(folder.path / FILE), changed != data


def refresh(context: Context, sidecar: Sidecar) -> bool:
    """Render again where a block was rendered before; return whether it changed."""
    try:
        is_there = _ANY_BEGIN.search(_folder(context, sidecar).read(FILE)) is not None
    except FileNotFoundError:
        return False
    return is_there and render(context, sidecar)[1]


def _folder(context: Context, sidecar: Sidecar) -> Folder:
    return context.root.folder("agents").at(folder_name(sidecar.agent))


def _with_block(data: bytes, block: bytes, ending: bytes, place: str) -> bytes:
    begins, ends = list(_ANY_BEGIN.finditer(data)), list(_ANY_END.finditer(data))
    if len(begins) != len(ends) or len(begins) > 1 or (begins and begins[0].end() > ends[0].start()):
        raise BlockError(
            f"{place}: {len(begins)} lines begin our block and {len(ends)} end it, so nobody can tell what is ours",
            hint="remove those lines by hand, then render again",
        )
    if begins:
        before, after = data[: begins[0].start()], data[ends[0].end() :]
        if not block:
            after = after.removeprefix(b"\r\n").removeprefix(b"\n")
            gap = next((one for one in (b"\r\n\r\n", b"\n\n") if before.endswith(one)), b"")
            before = before[: -len(gap) // 2] if gap else before  # the empty line that stood before it
        return before + block + after
    if not block:
        return data
    gap = b"" if not data else ending if data.endswith(b"\n") else ending * 2
    return data + gap + block + ending
