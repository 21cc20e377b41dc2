"""The Claude Code client as a model: `claude -p` with its own login, and nothing of any project.

Safe mode without tools, in an empty folder: no hook fires, no file is read, no session is kept. Telemetry is off even
where the user's settings turn it on, so that the call is in the ledger once. One request, and a budget of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.errors import UsageError
from agent_studio.reasoning import depth
from agent_studio.reasoning.models import answers, client_reply, processes
from agent_studio.reasoning.models.model import UNAVAILABLE, Choice, ModelError, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

PROGRAM = "claude"
_NEEDED = (
    "--safe-mode", "--tools", "--strict-mcp-config", "--no-session-persistence", "--json-schema", "--max-budget-usd",
)  # fmt: skip
_QUIET = {"env": {"CLAUDE_CODE_ENABLE_TELEMETRY": "0"}, "disableAllHooks": True}
_SET = {
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "MAX_STRUCTURED_OUTPUT_RETRIES": "0",
    "MAX_THINKING_TOKENS": "0",
    "CLAUDE_CODE_ENABLE_TELEMETRY": "0",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    depth.VARIABLE: "1",
}
_DROPPED = ("OTEL_", "AGENT_STUDIO_", "CLAUDECODE", "CLAUDE_PROJECT_DIR", "CLAUDE_ENV_FILE", "CLAUDE_CODE_SESSION_ID")
_FAMILIES = ("haiku", "sonnet", "opus")
_LOOK_S = 30.0
_INSTALL = "npm install -g @anthropic-ai/claude-code"


class ClaudeCli:
    """A model of the account that the client is logged in to."""

    provider = "anthropic"
    is_free = False
    overhead_tokens = 20_000
    """What the client adds of its own, with room; measured below 1,000."""

    def __init__(self, name: str, model: str) -> None:
        """Find the client; raise `UsageError` when it is missing, too old, or asks us itself."""
        depth.refuse_nested(os.environ)
        place, fault = _found()
        if fault:
            raise UsageError(f"{name}: {fault}", hint=_INSTALL)
        self.name, self.model = name, model or "claude"
        self._place, self._chosen = place, model
        self.priced_as = _priced_as(model)

    async def complete(self, request: Request) -> Reply:
        """Ask without a budget of the client's own."""
        return await self._asked(request, ())

    async def complete_within(self, request: Request, most_usd: Decimal) -> Reply:
        """Ask; the client asks nothing more once so much is spent."""
        return await self._asked(request, ("--max-budget-usd", f"{most_usd:f}"))

    async def close(self) -> None:
        """Hold nothing: every call is a process of its own."""

    async def _asked(self, request: Request, budget: tuple[str, ...]) -> Reply:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="agent-studio-ask-") as folder:
            place = Path(folder)
            words = place / "system.txt"
            words.write_text(request.system, encoding="utf-8")
            empty = place / "empty"
            empty.mkdir()
            command = [self._place, *_words(request, self._chosen, str(words)), *budget]
            try:
                said = await processes.ask(
                    command, empty, variables(os.environ, request.max_output_tokens),
                    request.prompt.encode("utf-8", "replace"), bytes_max=answers.ANSWER_BYTES_MAX,
                )  # fmt: skip
            except OSError as error:
                raise ModelError(
                    f"{self.name} cannot be started: {error.strerror}", kind=UNAVAILABLE, is_owed=False, hint=_INSTALL
                ) from error
        return client_reply.reply(self.name, request, said, (time.perf_counter() - started) * 1000)


def variables(own: Mapping[str, str], max_output_tokens: int) -> dict[str, str]:
    """Return what the client's process sees: the login, nothing of the session or project that this runs in."""
    kept = {name: value for name, value in own.items() if not name.startswith(_DROPPED)}
    return {**kept, **_SET, "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(max_output_tokens)}


def choice() -> Choice:
    """Return whether the client can be asked now; its login is only tried by asking."""
    place, fault = _found()
    return Choice("claude", not fault, fault or f"{place}, by its own login")


def _priced_as(model: str) -> tuple[str]:
    """Return which models a name can mean: itself, the family that it names, or any that the client may choose."""
    if model.startswith("claude-"):
        return (model,)
    return (f"claude-*{next((family for family in _FAMILIES if family in model.lower()), '')}*",)


def _words(request: Request, model: str, system: str) -> list[str]:
    words = ["-p", "--safe-mode", "--tools", "", "--strict-mcp-config", "--no-session-persistence"]
    words += ["--output-format", "json", "--settings", json.dumps(_QUIET), "--system-prompt-file", system]
    if model:
        words += ["--model", model]
    if request.schema is not None:
        words += ["--json-schema", json.dumps(request.schema)]
    return words


def _found() -> tuple[str, str]:
    """Return the client, and why it cannot be asked, if so."""
    place = shutil.which(PROGRAM)
    if place is None:
        return "", f"there is no {PROGRAM} on PATH"
    place = os.path.abspath(place)  # noqa: PTH100 - links stay; it is started in another folder
    missing = [word for word in _NEEDED if word not in _help(place, Path(place).stat().st_mtime_ns)]
    if missing:
        return place, f"{place} knows no {missing[0]}, without which hooks would fire and calls go uncounted: update it"
    return place, ""


@lru_cache
def _help(place: str, _changed_ns: int) -> str:
    """Return what a client says it can do, asked where no project's settings are."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [place, "--help"], cwd=folder, env=variables(os.environ, 1), stdin=subprocess.DEVNULL,
                capture_output=True, timeout=_LOOK_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
    return done.stdout.decode("utf-8", "replace")
