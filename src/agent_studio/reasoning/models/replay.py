"""Answers that were recorded once, given again by the hash of the words: a question that is not there fails.

One JSON object a line: `{"request": SHA-256, "reply": {...}}`. What is recorded passes redaction.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError
from agent_studio.reasoning.models.model import FREE, REFUSED, Capped, ModelError, Reply, Request, Usage
from agent_studio.redaction.structure import redacted_json

if TYPE_CHECKING:
    from agent_studio.reasoning.models.model import Model

SUFFIX = ".jsonl"
"""What a cassette's name ends in: a recording is written into no other file."""
_SHAPE = '{"request": "<sha256>", "reply": {"text": "...", "data": {...}}}'


class Replay:
    """Answers from a cassette; the same question asked again gets its next recording, the last one repeats."""

    provider = "replay"
    model = "replay"
    is_free = True

    def __init__(self, path: str) -> None:
        """Read the cassette; raise `UsageError` that says what is wrong with it."""
        self.name = f"replay:{path}"
        self._path = path
        self._replies = _read(Path(path))
        self._asked: dict[str, int] = {}

    async def complete(self, request: Request) -> Reply:
        """Return what was recorded for this request; raise `ModelError` when nothing was."""
        words = _words(request)
        recorded = self._replies.get(words)
        if not recorded:
            raise ModelError(
                f"{self._path} has no recording of what {request.agent} is asked ({words[:12]})",
                kind=REFUSED, hint=f"record it: --model record:{self._path}=MODEL", is_owed=False, was_sent=False,
            )  # fmt: skip
        number = self._asked.get(words, 0)
        self._asked[words] = number + 1
        reply = recorded[min(number, len(recorded) - 1)]
        return replace(reply, provider=self.provider, cost_usd=Decimal(0), cost_source=FREE)

    async def close(self) -> None:
        """Hold nothing."""


class Recording:
    """Another model, each of whose answers is added to a cassette."""

    def __init__(self, path: str, model: Model) -> None:
        """Raise `UsageError` for a cassette that cannot be written, or gone on with."""
        self.name = f"record:{path}={model.name}"
        self.provider, self.model, self.is_free = model.provider, model.model, model.is_free
        self._inner, self._path = model, Path(path)
        self._lock = threading.Lock()
        self.unkept: list[str] = []
        """Why answers are not in the cassette: the disk failed after the model had answered."""
        if self._path.suffix != SUFFIX:
            raise UsageError(f"{path} is no name of a cassette", hint=f"one that ends in {SUFFIX}")
        try:
            with self._path.open("ab"):
                pass
        except OSError as error:
            raise UsageError(f"{self._path}: {error.strerror}", hint="name a file that can be written") from error
        _read(self._path)

    @property
    def priced_as(self) -> tuple[str, ...]:
        """The names of the other model's prices."""
        return tuple(getattr(self._inner, "priced_as", (self.model,)))

    async def complete(self, request: Request) -> Reply:
        """Ask the other model and keep its answer."""
        return self._kept(request, await self._inner.complete(request))

    async def close(self) -> None:
        """Close the other model."""
        await self._inner.close()

    def _kept(self, request: Request, reply: Reply) -> Reply:
        said = {**asdict(reply), "cost_usd": None if reply.cost_usd is None else str(reply.cost_usd)}
        line = redacted_json({"request": _words(request), "agent": request.agent, "reply": said}, ensure_ascii=False)
        try:
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:  # the answer is paid for: it is not thrown away
            self.unkept.append(f"{self._path} lacks an answer: {error.strerror}")
        return reply


class CappedRecording(Recording):
    """A recording of a model that keeps a budget of its own."""

    async def complete_within(self, request: Request, most_usd: Decimal) -> Reply:
        """Ask the other model within its budget and keep its answer."""
        if not isinstance(self._inner, Capped):
            return await self.complete(request)
        return self._kept(request, await self._inner.complete_within(request, most_usd))


def recording(path: str, model: Model) -> Recording:
    """Return a model whose answers are recorded."""
    return (CappedRecording if isinstance(model, Capped) else Recording)(path, model)


def _read(path: Path) -> dict[str, list[Reply]]:
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint=f"record one: --model record:{path}=MODEL") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text", hint=f"one a line: {_SHAPE}") from error
    found: dict[str, list[Reply]] = {}
    for number, line in enumerate(lines if any(lines) else [], 1):
        try:
            said = json.loads(line)
            found.setdefault(str(said["request"]), []).append(_reply(said["reply"]))
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise UsageError(f"{path}, line {number}: no recording ({error})", hint=f"one a line: {_SHAPE}") from error
    return found


def _words(request: Request) -> str:
    """Return the hash of what is asked, whichever call it is."""
    return replace(request, nonce="").sha256


def _reply(said: dict[str, Any]) -> Reply:
    usage = Usage(*map(int, said.get("usage") or ()))
    cost = said.get("cost_usd")
    return Reply(**{
        "model": "replay", "provider": "replay", **said,
        "usage": usage, "cost_usd": None if cost is None else Decimal(cost),
    })  # fmt: skip
