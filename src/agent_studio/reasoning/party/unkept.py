"""A party of which nothing is kept: for benchmarks, where thousands are held and only the outcome counts."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from agent_studio.reasoning.party import records
from agent_studio.reasoning.party.session import Party

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.reasoning.models.model import Model
    from agent_studio.reasoning.party.outcome import Outcome
    from agent_studio.reasoning.party.prompts import Private
    from agent_studio.reasoning.party.records import Session
    from agent_studio.reasoning.party.session import Asking


class Unkept:
    """A journal in memory."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, Any]] = []

    def append(self, lines: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Remember lines."""
        self.lines += lines
        return lines

    def close(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember the last line."""
        return self.append([record])[0]

    def is_wished_cancelled(self) -> bool:
        """Go on: nobody knows of it."""
        return False


def session(
    question: str, options: Sequence[str], seats: Sequence[Mapping[str, Any]], *, turn_limit: int = 20, seed: str = ""
) -> Session:
    """Return a session that is about to begin; of a seat `agent` is needed, `role` and `weight` may be said."""
    plain = {"role": "", "weight": "1", "model": "", "source": "", "file": "", "sha256": "", "method": ""}
    line = {
        "kind": records.OPEN, "id": "unkept", "timestamp": "", "question": question, "options": list(options),
        "team": {"name": "unkept"}, "seats": [{**plain, **one, "seat": n} for n, one in enumerate(seats, start=1)],
        "seed": seed or secrets.token_hex(16), "turnLimit": turn_limit, "dissent": False, "byConfidence": True,
        "filesSha256": hashlib.sha256(b"[]").hexdigest(), "notes": [],
    }  # fmt: skip
    return records.opened(line, "unkept")


async def hold(
    begun: Session, asker: Asking, models: Mapping[int, Model], own: Mapping[int, Private], *, timeout_s: float = 120.0
) -> Outcome:
    """Hold it and return what it came to; raise `BudgetError` where the limit forbade a call."""
    party = Party(
        begun, Unkept(), asker, models=models, own=own, files=(), read=lambda _: None, timeout_s=timeout_s
    )  # fmt: skip
    found = await party.run()
    if party.over_budget is not None:
        raise party.over_budget
    return found
