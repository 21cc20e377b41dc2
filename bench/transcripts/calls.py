"""A seeded list of responses: what was really asked and answered, before any file tells of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

MODELS = (
    "claude-opus-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001",
    "claude-opus-4-6", "claude-3-5-haiku-20241022", "house-model-7",
)  # fmt: skip
_PROJECTS = ("-srv-shop", "-srv-shop-api", "-home-ana-notes")
_AGENTS = (None, None, None, "architect", "code-reviewer")
_SKILLS = (None, None, None, "release-notes")
_AWKWARD = (
    "2026-10-24T21:59:59.999", "2026-10-24T22:00:00.000", "2026-10-25T00:30:00.000", "2026-10-25T22:59:59.999",
    "2026-10-31T22:59:59.999", "2026-10-31T23:00:00.000", "2026-11-01T05:30:00.000", "2026-11-01T06:30:00.000",
)  # fmt: skip
"""Midnights, the days on which clocks are changed and a month's end, of Berlin and of New York."""
_LARGE = 30


@dataclass(frozen=True)
class Call:
    """One response."""

    message_id: str
    request_id: str
    session: str
    project: str
    at: datetime
    model: str
    input: int
    output: int
    cache_read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    searches: int = 0
    agent: str | None = None
    skill: str | None = None
    service_tier: str | None = "standard"
    speed: str | None = None
    inference_geo: str | None = None
    forked_to: str | None = field(default=None, compare=False)
    """The session that repeats it, of a conversation that was forked."""

    @property
    def whole_input(self) -> int:
        """All tokens that went in: what long-context prices go by."""
        return self.input + self.cache_read + self.write_5m + self.write_1h


def calls(seed: int, count: int) -> list[Call]:
    """Return responses over three weeks; the same seed gives the same ones."""
    chance = random.Random(seed)
    start = datetime(2026, 10, 12, tzinfo=UTC)
    made = []
    sessions = [
        f"{chance.getrandbits(32):08x}-0000-4000-8000-{chance.getrandbits(48):012x}" for _ in range(max(count // 25, 2))
    ]
    for number in range(count):
        at = start + timedelta(milliseconds=chance.randrange(21 * 86_400_000))
        if number < len(_AWKWARD):
            at = datetime.fromisoformat(_AWKWARD[number]).replace(tzinfo=UTC)
        index = chance.randrange(len(sessions))
        made.append(_call(chance, number, at, sessions[index], _PROJECTS[index % len(_PROJECTS)]))
    return made


def _call(chance: random.Random, number: int, at: datetime, session: str, project: str) -> Call:
    large = number % _LARGE == 0
    short = chance.choice((0, 0, chance.randrange(30_000)))
    return Call(
        f"msg_{number:024x}", f"req_{number:024x}", session, project, at, chance.choice(MODELS),
        input=chance.randrange(250_000 if large else 5_000), output=chance.randrange(1, 4_000),
        cache_read=chance.choice((0, chance.randrange(150_000 if large else 60_000))), write_5m=short,
        write_1h=chance.choice((0, 0, chance.randrange(20_000))), searches=chance.choice((0,) * 9 + (2,)),
        agent=chance.choice(_AGENTS), skill=chance.choice(_SKILLS),
        service_tier=chance.choice(("standard",) * 9 + ("batch",)), inference_geo=chance.choice((None,) * 9 + ("us",)),
        forked_to=f"{session[:-4]}f04c" if chance.random() < 0.1 else None,
    )  # fmt: skip
