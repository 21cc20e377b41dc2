"""What a method may answer, and what of an answer is taken: typed findings, each with at most one change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SEVERITIES = ("high", "medium", "low")
FINDINGS_MAX = 5
"""Of one method."""
_TEXT_MAX, _FIX_MAX, _EVIDENCE_MAX = 2_000, 20_000, 10
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "claim": {"type": "string", "description": "what the text says or leaves out, in one sentence"},
                    "problem": {"type": "string", "description": "what is wrong with it, and for whom"},
                    "severity": {"type": "string", "enum": list(SEVERITIES)},
                    "fix": {
                        "type": ["object", "null"],
                        "properties": {
                            "quote": {"type": "string", "description": "words of the text, exactly, that occur once"},
                            "replacement": {"type": "string", "description": "what should stand in their place"},
                        },
                        "required": ["quote", "replacement"],
                        "additionalProperties": False,
                    },
                    "confidence": {"type": "number", "description": "0 to 1"},
                    "evidence": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "exact quotes of the text",
                    },
                },
                "required": ["claim", "problem", "severity", "fix", "confidence", "evidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["findings"],
    "additionalProperties": False,
}


class Fix(NamedTuple):
    """A change: these words give way to those."""

    quote: str
    replacement: str


class Finding(NamedTuple):
    """Something that a method found."""

    method: str
    claim: str
    problem: str
    severity: str
    fix: Fix | None
    confidence: float
    """As the model states it, 0 to 1; nothing is decided by it."""
    evidence: tuple[str, ...]


class Taken(NamedTuple):
    """What of one answer is taken."""

    findings: list[Finding]
    refused: list[str]
    """Why others are not."""


def taken(method: str, data: object) -> Taken:
    """Return the findings in an answer; raise `ValueError` when it is no list of findings at all."""
    listed = data.get("findings") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer has no list of findings")  # noqa: TRY004 - what came is wrong, not its caller
    findings, refused = list[Finding](), list[str]()
    for number, one in enumerate(listed, 1):
        if len(findings) == FINDINGS_MAX:
            refused.append(f"{len(listed) - number + 1} more than the {FINDINGS_MAX} that are taken")
            break
        try:
            findings.append(_finding(method, one))
        except ValueError as error:
            refused.append(f"finding {number}: {error}")
    return Taken(findings, refused)


def _finding(method: str, one: object) -> Finding:
    if not isinstance(one, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - as above
    severity, confidence = one.get("severity"), one.get("confidence", 0.5)
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {str(severity)[:40]!r}, none of {', '.join(SEVERITIES)}")
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise ValueError("confidence is no number from 0 to 1")
    evidence = one.get("evidence") or []
    if not isinstance(evidence, list):
        raise ValueError("evidence is no list")  # noqa: TRY004 - as above
    quotes = tuple(_text(quote, "evidence", _TEXT_MAX) for quote in evidence[:_EVIDENCE_MAX])
    return Finding(
        method, _needed(one, "claim"), _needed(one, "problem"), severity, _fix(one.get("fix")), float(confidence),
        tuple(filter(None, quotes)),
    )  # fmt: skip


def _fix(given: object) -> Fix | None:
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != {"quote", "replacement"}:
        raise ValueError("its fix is no pair of quote and replacement")
    quote = _text(given["quote"], "the quote", _FIX_MAX)
    return Fix(quote, _text(given["replacement"], "the replacement", _FIX_MAX))


def _needed(one: Mapping[str, Any], key: str) -> str:
    if not (text := " ".join(_text(one.get(key), key, _TEXT_MAX).split())):
        raise ValueError(f"it has no {key}")
    return text


def _text(value: object, what: str, most: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is no text")  # noqa: TRY004 - as above
    if len(value) > most:
        raise ValueError(f"{what} has {len(value):,} characters, more than {most:,}")
    if strange := _CONTROLS.search(value):
        raise ValueError(f"{what} holds the character U+{ord(strange[0]):04X}")
    return value
