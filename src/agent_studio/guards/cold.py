"""The cold way to a decision: one process that reads the payload from stdin, decides and leaves.

Started by the native client when no daemon answers, or as the hook's command where there is no native client:
`STATE_FOLDER [--closed] [--framed]`. `--framed` answers in the form of `guards.protocol`, so that the native client
can tell an answer from a crash. `--closed` denies what cannot be decided; without it the event goes on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.guards import protocol
from agent_studio.guards.decide import Decision, decide
from agent_studio.guards.handlers import HANDLERS
from agent_studio.storage.descriptors import write_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.guards.handler import Handler

_OUT, _ERR = 1, 2
_SLACK_MS = 2_000


def main(arguments: Sequence[str], handlers: Mapping[str, tuple[Handler, ...]] = HANDLERS) -> None:
    """Decide on the event on stdin and end the process."""
    closed, framed = "--closed" in arguments, "--framed" in arguments
    try:
        decision = _decide(next(word for word in arguments if not word.startswith("--")), handlers)
    except Exception as error:  # noqa: BLE001 - whatever it is, the agent must not be told a wrong thing
        reason = str(error).partition("\n")[0] or type(error).__name__
        decision = Decision(2, b"", f"agent-studio: no decision: {reason}\n".encode("utf-8", "replace"))
        decision = decision if closed else Decision()
    if framed:
        write_all(_OUT, protocol.answer(decision))
        os._exit(0)
    write_all(_OUT, decision.stdout)
    write_all(_ERR, decision.stderr)
    os._exit(decision.exit_code)  # an overdue handler must not hold the agent


def _decide(state: str, handlers: Mapping[str, tuple[Handler, ...]]) -> Decision:
    choice = choose_environment(None, os.environ)
    payload = sys.stdin.buffer.read(protocol.PAYLOAD_MAX_BYTES + 1)
    if len(payload) > protocol.PAYLOAD_MAX_BYTES:
        raise ValueError("the payload is over 16 MiB")

    def context() -> Context:
        return open_context(Project(Path(state).parent), choice, os.environ)

    said: list[str] = []
    decision = decide(payload, context, handlers=handlers, log=said.append, slack_ms=_SLACK_MS)
    if decision.exit_code:  # what is on stderr is read by the agent
        return decision
    notes = "".join(f"agent-studio: {line}\n" for line in said).encode("utf-8", "replace")
    return Decision(decision.exit_code, decision.stdout, notes)
