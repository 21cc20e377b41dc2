"""What the client prints at the end of a call, as a reply or a failure; looked at before it is believed."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from agent_studio.reasoning.models import answers
from agent_studio.reasoning.models.model import (
    MALFORMED,
    REFUSED,
    REPORTED,
    THROTTLED,
    UNAVAILABLE,
    ModelError,
    Reply,
    Request,
    Usage,
)
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from agent_studio.reasoning.models.processes import Said

_SHOWN = 300
_MANY, _SERVER = 429, 500
_LONG = "ask with less text"
_HINTS = {
    401: "log in again: claude /login", 403: "log in again: claude /login", 400: "see the model's name",
    404: "see the model's name", 413: _LONG,
}  # fmt: skip
_SUBTYPES = {
    "error_max_structured_output_retries": (MALFORMED, "its answer is not by the schema"),
    "error_max_budget_usd": (REFUSED, "it reached the budget of this call"),
}


def reply(name: str, request: Request, said: Said, duration_ms: float) -> Reply:
    """Return the reply of a finished client; raise `ModelError` for anything else."""
    result = _result(name, said)
    usage, cost = _usage(result.get("usage")), _cost(result.get("total_cost_usd"))
    if result.get("is_error") or result.get("subtype") != "success":
        error = _failure(name, result, usage)
        error.cost_usd = cost
        raise error
    text = str(result.get("result") or "")
    try:
        data = answers.checked(request, text, result.get("structured_output"), usage=usage, who=name)
    except ModelError as error:
        error.cost_usd = cost
        raise
    return Reply(
        text=text, data=data, model=_answered(result.get("modelUsage")), provider="anthropic", usage=usage,
        cost_usd=cost, cost_source=REPORTED, request_id=_receipt(result), duration_ms=duration_ms,
        finish=str(result.get("stop_reason") or "stop"), sha256=answers.digest(said.out),
    )  # fmt: skip


def _result(name: str, said: Said) -> dict[str, Any]:
    if said.is_oversized:
        raise ModelError(f"{name} answered with more than can be an answer", kind=MALFORMED)
    try:
        result = json.loads(said.out)
    except (ValueError, RecursionError):
        result = None
    if not isinstance(result, dict) or result.get("type") != "result":
        told = _short((said.err or said.out).decode("utf-8", "replace")) or f"exit code {said.code}"
        # Without a result nobody knows whether it asked its provider.
        raise ModelError(f"{name} ended without a result: {told}", kind=UNAVAILABLE, hint="claude -p hello")
    return result


def _failure(name: str, result: dict[str, Any], usage: Usage) -> ModelError:
    subtype, status = str(result.get("subtype")), result.get("api_error_status")
    errors = result.get("errors")
    told = _short(str(errors[0]) if isinstance(errors, list) and errors else str(result.get("result") or subtype))
    if subtype in _SUBTYPES:
        kind, words = _SUBTYPES[subtype]
        return ModelError(f"{name}: {words}: {told}", kind=kind, usage=usage, raw=told)
    if not isinstance(status, int):
        is_login = "login" in told.lower()
        return ModelError(
            f"{name}: {told}", kind=REFUSED if is_login else UNAVAILABLE, usage=usage, is_owed=not is_login,
            hint="log in: claude /login" if is_login else "",
        )  # fmt: skip
    kind = THROTTLED if status == _MANY else UNAVAILABLE if status >= _SERVER else REFUSED
    hint = _LONG if "too long" in told.lower() else _HINTS.get(status, "")
    return ModelError(f"{name}: {told} (HTTP {status})", kind=kind, hint=hint, usage=usage, is_owed=status >= _SERVER)


def _usage(said: Any) -> Usage:
    """Return the tokens; what is no count is -1, which no price is made of."""
    found = said if isinstance(said, dict) else {}
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return Usage(*(count if type(count := found.get(name, 0)) is int else -1 for name in names))


def _cost(said: Any) -> Decimal | None:
    try:
        return Decimal(str(said)) if isinstance(said, int | float | str) and not isinstance(said, bool) else None
    except InvalidOperation:
        return None


def _answered(said: Any) -> str:
    """Return the model that said most: a client may ask a small one for trifles."""
    if not isinstance(said, dict) or not said:
        return ""
    spoken = {str(name): one.get("outputTokens") for name, one in said.items() if isinstance(one, dict)}
    counted = {name: count for name, count in spoken.items() if isinstance(count, int)}
    return max(counted, key=counted.__getitem__, default="")


def _receipt(result: dict[str, Any]) -> str:
    session = str(result.get("session_id") or "")[:100]
    return f"claude-session:{session}" if session else ""


def _short(text: str) -> str:
    return redact(" ".join(text.split()))[:_SHOWN]
