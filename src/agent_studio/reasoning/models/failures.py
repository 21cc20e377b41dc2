"""What the libraries raise, told in our words: what failed, whether it may be billed, and never a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai import exceptions as raised

from agent_studio.reasoning.models.model import MALFORMED, REFUSED, THROTTLED, TIMEOUT, UNAVAILABLE, ModelError
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from agent_studio.reasoning.models.wire import Receipt

_KINDS: tuple[tuple[type[Exception], str, str], ...] = (
    (raised.ModelQuotaExceededError, REFUSED, "the account's quota is used up"),
    (raised.ModelRateLimitError, THROTTLED, "fewer calls at the same time, or wait"),
    (raised.ModelUnavailableError, UNAVAILABLE, "try later"),
    (raised.ModelServerError, UNAVAILABLE, "try later"),
    (raised.ModelTimeoutError, TIMEOUT, "give it more time, or ask for less"),
    (raised.ModelConnectionError, UNAVAILABLE, "see that the server runs and can be reached"),
    (raised.ModelAuthenticationError, REFUSED, "see that the key is right and may use this model"),
    (raised.ModelNotFoundError, REFUSED, "see that the provider has this model, and the URL is right"),
    (raised.ModelContextWindowExceededError, REFUSED, "ask with less text"),
    (raised.ModelRequestRejectedError, REFUSED, ""),
)
_SHOWN = 300
_SERVER = 500
_NOT_BEGUN = frozenset((503, 529))


def of(error: Exception, name: str, receipt: Receipt, key: str) -> ModelError:
    """Return the failure of a call; an HTTP error that a provider answers before it begins is not owed."""
    if receipt.is_oversized:
        return ModelError(f"{name} answered with more than can be an answer", kind=MALFORMED)
    kind, hint = next(((kind, hint) for family, kind, hint in _KINDS if isinstance(error, family)), (MALFORMED, ""))
    if kind == MALFORMED and not receipt.was_sent:
        return ModelError(
            f"{name} was not asked: {_text(error, key)}", kind=REFUSED, is_owed=False, was_sent=False,
            hint="nothing was sent",
        )  # fmt: skip
    if isinstance(error, raised.ModelHTTPError) and kind == MALFORMED:
        kind = REFUSED if error.status_code < _SERVER else UNAVAILABLE
    status = f" (HTTP {receipt.status})" if receipt.status >= 300 else ""  # noqa: PLR2004 - no success
    is_owed = receipt.was_sent and not (300 <= receipt.status < _SERVER or receipt.status in _NOT_BEGUN)  # noqa: PLR2004
    if 300 <= receipt.status < 400:  # noqa: PLR2004 - a redirect is not followed: the key would go along
        kind, hint = REFUSED, "name the address that it leads to"
    return ModelError(
        f"{name}: {_WORDS[kind]}{status}: {_text(error, key)}", kind=kind, hint=hint, is_owed=is_owed,
        was_sent=receipt.was_sent, retry_after_s=getattr(error, "retry_after", None) if kind == THROTTLED else None,
    )  # fmt: skip


_WORDS = {
    MALFORMED: "its answer cannot be read",
    REFUSED: "it refused",
    THROTTLED: "it wants fewer calls",
    TIMEOUT: "no answer in time",
    UNAVAILABLE: "it cannot be reached",
}


def _text(error: Exception, key: str) -> str:
    """Return what was said, short, on one line, without the key and what looks like one."""
    said = ""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error")
        said = str(inner.get("message") or "") if isinstance(inner, dict) else str(body.get("message") or "")
    said = said or str(error).partition(", body: ")[0] or type(error).__name__
    if key:
        said = said.replace(key, "[REDACTED:key]")
    return redact(" ".join(said.split()))[:_SHOWN]
