"""A model whose answers are written in a file: for trials without any provider, and without cost.

    {"replies": {"architect": [{"option": "A", "stance": "support", "confidence": 0.8}, {"error": "timeout"}]}}

An agent's replies are taken in order, and the last one repeats. `delayMs` in a reply makes it late.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent_studio.errors import UsageError
from agent_studio.reasoning.models.model import FREE, MALFORMED, REFUSED, TIMEOUT, ModelError, Reply, Request, Usage

_ERRORS = (TIMEOUT, MALFORMED, REFUSED)
_CHARACTERS_A_TOKEN = 4
_LONGEST_MS = 3_600_000


class Scripted:
    """Answers by agent type, in the order in which the file has them."""

    provider = "scripted"
    model = "scripted"
    is_free = True

    def __init__(self, path: str) -> None:
        """Read the file; raise `UsageError` that says what is wrong with it."""
        self.name = f"scripted:{path}"
        self._replies = _read(Path(path))
        self._asked: dict[str, int] = {}

    def resume(self, counts: dict[str, int]) -> None:
        """Go on after as many answers to each agent as are given: those of an interrupted session."""
        self._asked = dict(counts)

    async def complete(self, request: Request) -> Reply:
        """Return the agent's next answer."""
        started = time.perf_counter()
        said = self._next(request.agent)
        error, delay_ms = said.pop("error", None), said.pop("delayMs", 0)
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        if error == TIMEOUT:
            raise ModelError(f"{request.agent} did not answer in time", kind=TIMEOUT)
        if error == REFUSED:
            raise ModelError(f"{request.agent} refused", kind=REFUSED)
        if error == MALFORMED:
            raise ModelError(f"{request.agent} answered with no JSON", kind=MALFORMED, raw="not a position")
        text = said["text"] if set(said) == {"text"} else json.dumps(said, ensure_ascii=False, sort_keys=True)
        return Reply(
            text=text,
            data=said,
            model=self.model,
            provider=self.provider,
            usage=Usage(
                len(request.system + request.prompt) // _CHARACTERS_A_TOKEN + 1, len(text) // _CHARACTERS_A_TOKEN + 1
            ),
            cost_usd=Decimal(0),
            cost_source=FREE,
            request_id="",
            duration_ms=(time.perf_counter() - started) * 1000,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        )

    async def close(self) -> None:
        """Hold nothing."""

    def _next(self, agent: str) -> dict[str, Any]:
        replies = self._replies.get(agent) or self._replies.get("*")
        if not replies:
            raise ModelError(
                f"the script has no replies for {agent}", kind=REFUSED, hint=f'add "{agent}" (or "*") to its replies'
            )
        number = self._asked.get(agent, 0)
        self._asked[agent] = number + 1
        return dict(replies[min(number, len(replies) - 1)])


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    shape = '{"replies": {"<agent type>": [{"option": "A", "stance": "support", "confidence": 0.8}]}}'
    try:
        said = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="name the file of scripted replies") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", hint=f"write {shape}") from error
    replies = said.get("replies") if isinstance(said, dict) else None
    if not isinstance(replies, dict) or not replies:
        raise UsageError(f"{path} has no replies", hint=f"write {shape}")
    for agent, listed in replies.items():
        if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
            raise UsageError(f"{path}: the replies of {agent} are no list of objects", hint=f"write {shape}")
        for one in listed:
            _refuse_wrong(f"{path}: {agent}", one)
    return replies


def _refuse_wrong(where: str, one: dict[str, Any]) -> None:
    if one.get("error", TIMEOUT) not in _ERRORS:
        raise UsageError(f"{where}: error {one['error']!r}", hint=f"one of {', '.join(_ERRORS)}")
    delay_ms = one.get("delayMs", 0)
    if not isinstance(delay_ms, int | float) or not 0 <= delay_ms <= _LONGEST_MS:
        raise UsageError(f"{where}: delayMs is {delay_ms!r}", hint=f"write milliseconds, at most {_LONGEST_MS:,}")
    if set(one) - {"error", "delayMs"} == {"text"} and not isinstance(one["text"], str):
        raise UsageError(f"{where}: text is {one['text']!r}", hint="write a text in quotes")
    if any("\ud800" <= letter <= "\udfff" for letter in json.dumps(one, ensure_ascii=False)):
        raise UsageError(f"{where}: half of a surrogate pair is no character", hint="write the character")
