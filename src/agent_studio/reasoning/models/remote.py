"""Providers over HTTP: Anthropic, OpenAI, and whatever speaks as OpenAI does, through pydantic-ai.

The extra `models` brings the libraries; they are loaded once such a model is opened. A call is one request: their own
retries are off, since each would be paid for.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError
from agent_studio.reasoning.models import answers
from agent_studio.reasoning.models.model import MALFORMED, PRICED, REFUSED, ModelError, Reply, Request, Usage

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model as PydanticModel
    from pydantic_ai.models import ModelRequestParameters

INSTALL = "pip install 'agent-studio[models]'"
ANTHROPIC, OPENAI = "anthropic", "openai"
_NO_KEY = "none"
"""Sent where a server on this machine wants none: the library insists on a key."""
_NEEDED = ("pydantic_ai", "anthropic", "openai", "httpx2")


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked, and how it is paid for."""

    provider: str
    """Who bills it: what the price table and the ledger call it."""
    url: str
    key: str = ""
    key_variable: str = ""
    """Where the key was looked for; empty where none is needed."""
    speaks: str = OPENAI
    """anthropic (the Messages API) or openai (chat completions)."""
    is_free: bool = False


def is_installed() -> bool:
    """Tell whether the extra is there, without loading it."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


class Remote:
    """A model behind an HTTP API."""

    def __init__(self, name: str, model: str, endpoint: Endpoint) -> None:
        """Raise `UsageError` with the command that installs the libraries when they are missing; load nothing yet."""
        if not is_installed():
            raise UsageError(f"{name} needs the extra `models`, which is not installed", hint=INSTALL)
        self.name, self.model = name, model
        self.provider, self.is_free = endpoint.provider, endpoint.is_free
        self._endpoint = endpoint
        self._opened: tuple[AsyncClient, PydanticModel] | None = None

    async def complete(self, request: Request) -> Reply:
        """Ask once; raise `ModelError`."""
        from agent_studio.reasoning.models import failures, wire  # noqa: PLC0415 - the extra may be missing

        model = self._ready()
        receipt = wire.Receipt()
        token = wire.RECEIPT.set(receipt)
        started = time.perf_counter()
        try:
            response = await _asked(model, request, self._endpoint)
        except Exception as error:  # noqa: BLE001 - a library's fault is a failed call
            raise failures.of(error, self.name, receipt, self._endpoint.key) from None
        finally:
            wire.RECEIPT.reset(token)
        return self._reply(request, response, receipt, (time.perf_counter() - started) * 1000)

    async def close(self) -> None:
        """Close all connections."""
        if self._opened:
            await self._opened[0].aclose()
            self._opened = None

    def _ready(self) -> PydanticModel:
        if self._opened is None:
            from agent_studio.reasoning.models import wire  # noqa: PLC0415 - the extra may be missing

            # Usage that cannot be is judged where it is charged; a line on stderr says nothing to anybody.
            warnings.filterwarnings("ignore", message="Failed to extract usage")
            client = wire.client(self._endpoint.url)
            self._opened = client, _model(self.model, self._endpoint, client)
        return self._opened[1]

    def _reply(self, request: Request, response: ModelResponse, receipt: Any, duration_ms: float) -> Reply:
        usage = _usage(response)
        text = _said(response)
        finish = str(response.finish_reason or "stop")
        if finish == "content_filter":
            raise ModelError(f"{self.name} refused to answer", kind=REFUSED, usage=usage, raw=text[:500])
        if finish == "length" and request.schema is not None:
            raise ModelError(
                f"{self.name} was cut off at {request.max_output_tokens} tokens",
                kind=MALFORMED, usage=usage, raw=text[:500], hint="allow a longer answer",
            )  # fmt: skip
        checked = answers.checked(request, text, usage=usage, who=self.name)
        return Reply(
            text=text, data=checked, model=str(response.model_name or self.model), provider=self.provider,
            usage=usage, cost_source=PRICED, duration_ms=duration_ms, finish=finish,
            request_id=receipt.request_id or str(response.provider_response_id or ""),
            sha256=receipt.digest.hexdigest(),
        )  # fmt: skip


async def _asked(model: PydanticModel, request: Request, endpoint: Endpoint) -> ModelResponse:
    from pydantic_ai.direct import model_request  # noqa: PLC0415 - heavy
    from pydantic_ai.messages import ModelRequest, UserPromptPart  # noqa: PLC0415 - heavy

    asked = ModelRequest(parts=[UserPromptPart(request.prompt)], instructions=request.system or None)
    return await model_request(
        model, [asked], instrument=False,
        model_settings={"max_tokens": request.max_output_tokens, "timeout": request.timeout_s, "max_retries": 0},
        model_request_parameters=_parameters(request, model, endpoint),
    )  # fmt: skip


def _model(model: str, endpoint: Endpoint, client: Any) -> PydanticModel:
    if endpoint.speaks == ANTHROPIC:
        from anthropic import AsyncAnthropic  # noqa: PLC0415 - heavy
        from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415 - heavy
        from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415 - heavy

        asked = AsyncAnthropic(api_key=endpoint.key, base_url=endpoint.url, http_client=client, max_retries=0)
        return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=asked))
    from openai import AsyncOpenAI  # noqa: PLC0415 - heavy
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415 - heavy
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415 - heavy
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415 - heavy
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415 - heavy

    key = endpoint.key or _NO_KEY
    talker = AsyncOpenAI(api_key=key, base_url=endpoint.url, http_client=client, max_retries=0)
    if endpoint.provider == OPENAI:
        return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=talker))
    # Not every server knows OpenAI's newer name for the longest answer; all know the older one.
    older = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
    return OpenAIChatModel(
        model, provider=OpenAICompatibleProvider(endpoint.provider, openai_client=talker), profile=older
    )


def _parameters(request: Request, model: PydanticModel, endpoint: Endpoint) -> ModelRequestParameters | None:
    """Return how the schema is asked for: by the API's own structured output, else as a tool that must be called."""
    if request.schema is None:
        return None
    from pydantic_ai.models import ModelRequestParameters  # noqa: PLC0415 - heavy
    from pydantic_ai.output import OutputObjectDefinition  # noqa: PLC0415 - heavy
    from pydantic_ai.tools import ToolDefinition  # noqa: PLC0415 - heavy

    schema = _plain(request.schema)
    if endpoint.speaks == OPENAI or model.profile.get("supports_json_schema_output"):
        return ModelRequestParameters(
            output_mode="native", output_object=OutputObjectDefinition(json_schema=schema, name="answer")
        )
    tool = ToolDefinition(name="answer", description="Give the answer.", parameters_json_schema=schema, kind="output")
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)


def _plain(schema: Any) -> Any:
    """Return a schema whose lists of types are alternatives: Anthropic's library takes no other."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {name: _plain(inner) for name, inner in schema.items()}
    if not isinstance(found.get("type"), list):
        return found
    whole = [kind for kind in found["type"] if kind != "null"]
    rest = {name: inner for name, inner in found.items() if name not in {"type", "description"}}
    told = {"description": found["description"]} if "description" in found else {}
    return {
        **told,
        "anyOf": [{"type": kind, **rest} for kind in whole] + [{"type": "null"}] * ("null" in found["type"]),
    }


def _said(response: ModelResponse) -> str:
    """Return the text, or the arguments of the tool that stands for the answer, if it was called."""
    from pydantic_ai.messages import TextPart, ToolCallPart  # noqa: PLC0415 - heavy

    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    called = [part for part in response.parts if isinstance(part, ToolCallPart) and part.tool_name == "answer"]
    return called[-1].args_as_json_str() if called else text


def _usage(response: ModelResponse) -> Usage:
    """Return the tokens, apart by what they cost; the library counts cached ones into the input."""
    used = response.usage
    read, write = used.cache_read_tokens or 0, used.cache_write_tokens or 0
    return Usage((used.input_tokens or 0) - read - write, used.output_tokens or 0, read, write)
