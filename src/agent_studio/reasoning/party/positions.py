"""Typed positions: what a seat may answer, and an answer held to it. What else it says of itself is not looked at."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError
from agent_studio.reasoning.party.consensus import ABSTAIN, STANCES, SUPPORT
from agent_studio.reasoning.party.words import clean, normal, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLAIM_MAX, REASON_MAX, LINE_MAX, ITEMS_MAX = 600, 4_000, 500, 12
REPLY_MAX = 64_000
"""Characters of an answer; a longer one is no position."""
_BITS_MAX = 1_000
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_EVIDENCE = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"path": _TEXT, "line": {"type": "integer"}, "quote": _TEXT},
        "required": ["path", "quote"],
    },
}
_COMMON = {
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "rationale": _TEXT,
    "evidence": _EVIDENCE,
    "risks": _TEXTS,
    "wouldChangeMyMind": _TEXT,
    "change": {
        "type": ["object", "null"],
        "properties": {"from": _TEXT, "reason": _TEXT, "newEvidence": _TEXTS},
    },
}
_STANCE = {"type": "string", "enum": list(STANCES)}


class PositionError(AgentStudioError):
    """An answer is no position; the message says why."""

    code = "position"


class Evidence(NamedTuple):
    """A quotation and whether it is really there."""

    path: str
    line: int | None
    """Where it was found, else where it is said to be."""
    quote: str
    verified: bool = False


class Change(NamedTuple):
    """Why a seat says that it changed its mind."""

    reason: str
    new_evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Position:
    """What one call answered, as it is kept."""

    stance: str
    confidence: float | None
    option: str = ""
    """One of the options, as the question has it."""
    claim: str = ""
    votes: tuple[tuple[str, str], ...] = ()
    """Claims by their normal form, and a stance to each."""
    rationale: str = ""
    evidence: tuple[Evidence, ...] = ()
    risks: tuple[str, ...] = ()
    would_change: str = ""
    change: Change | None = None

    @property
    def stances(self) -> dict[str, str]:
        """Its stance to options, or to claims by their normal form."""
        if self.votes:
            return dict(self.votes)
        name = self.option or normal(self.claim)
        return {name: self.stance} if name else {}

    def record(self) -> dict[str, Any]:
        """Return it as JSON keeps it."""
        held = asdict(self)
        held["evidence"] = [one._asdict() for one in self.evidence]
        held["change"] = self.change._asdict() if self.change else None
        return held

    @staticmethod
    def of(record: Mapping[str, Any]) -> Position:
        """Return what `record` kept."""
        _refuse_misshapen(record)
        change = record["change"]
        return Position(
            **{
                **record,
                "votes": tuple((str(name), str(stance)) for name, stance in record["votes"]),
                "evidence": tuple(Evidence(**one) for one in record["evidence"]),
                "risks": tuple(record["risks"]),
                "change": Change(change["reason"], tuple(change["new_evidence"])) if change else None,
            }
        )


def _refuse_misshapen(record: Mapping[str, Any]) -> None:
    """Raise `TypeError` or `ValueError` for what `record` cannot have kept."""
    change = record["change"] or {"reason": "", "new_evidence": []}
    texts = [record["option"], record["claim"], record["rationale"], record["would_change"], change["reason"]]
    texts += [*record["risks"], *change["new_evidence"], *(name for name, _ in record["votes"])]
    texts += [text for one in record["evidence"] for text in (one["path"], one["quote"])]
    lines = [one["line"] for one in record["evidence"]]
    if not all(isinstance(one, str) for one in texts) or not all(one is None or type(one) is int for one in lines):
        raise TypeError("a position has something that is no text")
    if not {record["stance"], *(stance for _, stance in record["votes"])}.issubset(STANCES):
        raise ValueError("a position has a stance that there is not")
    _confidence(record["confidence"])


def schema(options: Sequence[str], claims: Sequence[str] = ()) -> dict[str, Any]:
    """Return the JSON Schema of an answer: one of the options, votes on claims, or a claim of its own."""
    if options:
        own: dict[str, Any] = {"option": {"type": "string", "enum": list(options)}, "stance": _STANCE}
    elif claims:
        vote = {
            "type": "object",
            "properties": {"claim": {"type": "integer", "minimum": 1, "maximum": len(claims)}, "stance": _STANCE},
            "required": ["claim", "stance"],
        }
        own = {"votes": {"type": "array", "items": vote}}
    else:
        own = {"claim": _TEXT, "stance": _STANCE}
    required = [*own, "confidence", "rationale"]
    return {"type": "object", "properties": {**own, **_COMMON}, "required": required}


def parse(
    text: str, data: Mapping[str, Any] | None, *, options: Sequence[str] = (), claims: Sequence[str] = ()
) -> Position:
    """Return the position of an answer; `claims` are those voted on, in the order they were shown.

    Raises `PositionError`.
    """
    if len(text) > REPLY_MAX:
        raise PositionError(f"the answer has {len(text):,} characters, more than {REPLY_MAX:,}")
    said = data if data is not None and set(data) != {"text"} else _read(text)
    if not said:
        raise PositionError("the answer is empty")
    confidence = _confidence(said.get("confidence"))
    option, claim = "", ""
    votes: tuple[tuple[str, str], ...] = ()
    if options:
        option = _option(said, options)
    else:
        votes = _votes(said, claims) if claims else ()
        claim = "" if votes else _claim(said)
    stance = SUPPORT if votes else _stance(said, has_subject=bool(option or claim))
    if stance != ABSTAIN and not (option or claim or votes):
        raise PositionError("the answer names no option" if options else "the answer makes no claim")
    change = said.get("change")
    return Position(
        stance=stance, confidence=confidence, option=option, claim=claim, votes=votes,
        rationale=clean(said.get("rationale"), REASON_MAX), evidence=_evidence(said.get("evidence")),
        risks=_texts(said.get("risks")),
        would_change=clean(said.get("wouldChangeMyMind", said.get("would_change_my_mind")), LINE_MAX),
        change=_change(change) if change else None,
    )  # fmt: skip


def _read(text: str) -> dict[str, Any]:
    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        said = json.loads(bare)
    except (ValueError, RecursionError):
        raise PositionError("the answer is no JSON") from None
    if not isinstance(said, dict):
        raise PositionError("the answer is no JSON object")
    return said


def _confidence(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PositionError(f"the confidence is {_shown(value)}, not a number from 0 to 1")
    return float(value)


def _shown(value: Any) -> str:
    # Python refuses to write whole numbers of thousands of digits.
    return "a number" if isinstance(value, int) and value.bit_length() > _BITS_MAX else repr(one_line(str(value), 40))


def _stance(said: Mapping[str, Any], *, has_subject: bool) -> str:
    value = said.get("stance", SUPPORT if has_subject else "")
    stance = value.strip().lower() if isinstance(value, str) else ""
    if stance not in STANCES:
        raise PositionError(f"the stance is {one_line(str(value), 40)!r}, not one of {', '.join(STANCES)}")
    return stance


def _option(said: Mapping[str, Any], options: Sequence[str]) -> str:
    """Return the option that is meant: the same words, whatever their case; nothing that is only like one."""
    value = said.get("option", said.get("claim"))
    if value is None or value == "":
        return ""
    known = {normal(one): one for one in options}
    if not isinstance(value, str) or normal(value) not in known:
        raise PositionError(f"the answer names {one_line(str(value), 80)!r}, which is none of the options")
    return known[normal(value)]


def _claim(said: Mapping[str, Any]) -> str:
    value = said.get("claim", said.get("option", ""))
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PositionError("the claim is no text")
    if len(value) > CLAIM_MAX:
        raise PositionError(f"the claim has {len(value):,} characters, more than {CLAIM_MAX}")
    claim = one_line(value, CLAIM_MAX)
    if value.strip() and not normal(claim):
        raise PositionError("the claim has no words")
    return claim


def _votes(said: Mapping[str, Any], claims: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return a stance to each claim that is voted on; without a list of votes the one claim that is repeated."""
    known = {normal(one): normal(one) for one in claims}
    listed = said.get("votes")
    if not isinstance(listed, list):
        claim = normal(_claim(said))
        return ((claim, _stance(said, has_subject=True)),) if claim in known else ()
    found: dict[str, str] = {}
    for one in listed[: len(claims) * 2]:
        if not isinstance(one, dict):
            raise PositionError("a vote is no object")
        which = one.get("claim")
        if isinstance(which, int) and not isinstance(which, bool) and 1 <= which <= len(claims):
            name = normal(claims[which - 1])
        elif isinstance(which, str) and normal(which) in known:
            name = normal(which)
        else:
            raise PositionError(f"a vote is on {one_line(str(which), 40)!r}, which is none of the claims")
        stance = _stance(one, has_subject=False)
        if found.setdefault(name, stance) != stance:
            raise PositionError("there are two votes on one claim")
    return tuple(sorted(found.items()))


def _evidence(value: Any) -> tuple[Evidence, ...]:
    found = []
    for one in value[:ITEMS_MAX] if isinstance(value, list) else ():
        if not isinstance(one, dict):
            continue
        line = one.get("line")
        known = isinstance(line, int) and not isinstance(line, bool) and 0 < line < 1 << 31
        found.append(
            Evidence(one_line(one.get("path"), LINE_MAX), line if known else None, clean(one.get("quote"), LINE_MAX))
        )
    return tuple(found)


def _texts(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else ()
    return tuple(filter(None, (clean(one, LINE_MAX) for one in listed[:ITEMS_MAX])))


def _change(value: Any) -> Change:
    if not isinstance(value, dict):
        return Change(clean(value, REASON_MAX))
    new = next(
        (value[name] for name in ("newEvidence", "new_evidence", "new evidence", "evidence") if value.get(name)), ()
    )
    items = new if isinstance(new, list) else [new]
    quotes = [one.get("quote") if isinstance(one, dict) else one for one in items]
    return Change(clean(value.get("reason"), REASON_MAX), _texts(quotes))
