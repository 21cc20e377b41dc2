"""An OpenFeature provider over an environment's flags and their parameters.

`partyMode` is the flag, decided for the targeting key; `partyMode.maxAgents` is a parameter of it. Kills are read
again at every evaluation, so they reach a running process; configuration is what the context was opened with.
"""

# ruff: noqa: ARG002, FBT001 - the signatures are the protocol's
from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

try:
    from openfeature.exception import ErrorCode
    from openfeature.flag_evaluation import FlagResolutionDetails
    from openfeature.flag_evaluation import Reason as OpenFeatureReason
    from openfeature.provider import AbstractProvider, Metadata
except ImportError as error:
    raise ImportError(
        "the OpenFeature provider needs the OpenFeature SDK: pip install 'agent-studio[openfeature]'"
    ) from error

from agent_studio.environment.flags import evaluate, history
from agent_studio.errors import AgentStudioError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import FlagValueType

    from agent_studio.environment.context import Context
    from agent_studio.environment.sources import Layer

    Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]

_T = TypeVar("_T")


class AgentStudioProvider(AbstractProvider):
    """Answers for the flags of one environment."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name="agent-studio")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Decide a flag by its name (`partyMode`), or return a boolean parameter."""
        flag = flag_key.removesuffix(".enabled")
        if flag not in self._context.config.flags:
            return self._parameter(flag_key, default_value, _boolean)
        unit = evaluation_context.targeting_key if evaluation_context else None
        try:
            decided = evaluate(self._context.config, history(self._context.root), flag, unit)
        except AgentStudioError as error:
            return _failed(default_value, ErrorCode.GENERAL, error.message)
        metadata: dict[str, bool | int | float | str] = {"detail": decided.detail, **self._about()}
        if decided.bucket is not None:
            metadata["bucket"] = decided.bucket
        return FlagResolutionDetails(
            decided.value, reason=str(decided.reason), variant="on" if decided.value else "off", flag_metadata=metadata
        )

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Return a text parameter."""
        return self._parameter(flag_key, default_value, lambda value: value if isinstance(value, str) else None)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Return an integer parameter."""
        return self._parameter(flag_key, default_value, lambda value: value if _is_number(value, int) else None)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Return a number parameter as a float."""
        return self._parameter(
            flag_key, default_value, lambda value: float(value) if _is_number(value, int | float) else None
        )

    def resolve_object_details(
        self, flag_key: str, default_value: Structure, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Structure]:
        """Return a list or mapping parameter."""
        return self._parameter(flag_key, default_value, _structure)

    def _parameter(
        self, flag_key: str, default_value: _T, convert: Callable[[Any], _T | None]
    ) -> FlagResolutionDetails[_T]:
        config = self._context.config
        key = f"features.{flag_key}"
        if flag_key in config.flags:
            return _failed(default_value, ErrorCode.TYPE_MISMATCH, f"{flag_key} is a flag, which is a boolean")
        if key not in config.layers:
            known = [*config.flags, *(name.removeprefix("features.") for name in config.layers)]
            return _failed(
                default_value, ErrorCode.FLAG_NOT_FOUND, f"unknown flag {flag_key!r}: {did_you_mean(flag_key, known)}"
            )
        layer = config.explain(key)[-1]
        value = convert(layer.value)
        if value is None:
            return _failed(default_value, ErrorCode.TYPE_MISMATCH, f"{key} is {layer.value!r}")
        return FlagResolutionDetails(
            value,
            reason=OpenFeatureReason.STATIC,
            variant=layer.source,
            flag_metadata={**self._about(), **_place(layer)},
        )

    def _about(self) -> dict[str, str]:
        return {"environment": str(self._context.environment)}


def _failed(default_value: _T, code: ErrorCode, message: str) -> FlagResolutionDetails[_T]:
    return FlagResolutionDetails(default_value, error_code=code, error_message=message, reason=OpenFeatureReason.ERROR)


def _place(layer: Layer) -> dict[str, int | str]:
    return {"file": layer.file, "line": layer.line or 0} if layer.file else {}


def _is_number(value: Any, form: Any) -> bool:
    return isinstance(value, form) and not isinstance(value, bool)


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _structure(value: Any) -> Structure | None:
    if isinstance(value, list | tuple):
        return list(value)
    return dict(value) if isinstance(value, dict) else None
