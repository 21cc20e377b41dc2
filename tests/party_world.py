"""What tests of parties share: scripted seats, parties of which nothing is kept, statements that agree or do not."""

from __future__ import annotations

import asyncio
import itertools
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent_studio.reasoning.asking import Answer
from agent_studio.reasoning.models.model import FREE
from agent_studio.reasoning.models.scripted import Scripted
from agent_studio.reasoning.party import unkept
from agent_studio.reasoning.party.prompts import Private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent_studio.reasoning.models.model import Model, Request
    from agent_studio.reasoning.party.outcome import Outcome

Reply = dict[str, Any]


class Direct:
    """Asks at once, without a limit and a ledger, and remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def worst_usd(self, _: Model, __: Request) -> Decimal:
        return Decimal(0)

    async def ask(self, model: Model, request: Request) -> Answer:
        self.requests.append(request)
        return Answer(await model.complete(request), Decimal(0), FREE, request)


def for_it(option: str, confidence: float = 0.9, **more: Any) -> Reply:
    return {"option": option, "stance": "support", "confidence": confidence, "rationale": "It fits.", **more}


def claims(claim: str, confidence: float = 0.9, **more: Any) -> Reply:
    return {"claim": claim, "stance": "support", "confidence": confidence, "rationale": "It fits.", **more}


def script(place: Path, replies: Mapping[str, Sequence[Reply]]) -> str:
    """Write a script and return how its model is called."""
    place.write_text(json.dumps({"replies": replies}, ensure_ascii=False), encoding="utf-8")
    return f"scripted:{place}"


def scripted(place: Path, replies: Mapping[str, Sequence[Reply]]) -> Scripted:
    script(place, replies)
    return Scripted(str(place))


def held(
    place: Path, replies: Sequence[Sequence[Reply]], options: Sequence[str] = (), *, weights: Sequence[str] = (),
    turn_limit: int = 20, asker: Direct | None = None, seed: str = "0" * 32,
) -> Outcome:  # fmt: skip
    """Hold a party whose seats `seat-1`, `seat-2`, ... answer so, and return what it came to."""
    seats = [{"agent": f"seat-{n}", "weight": weight} for n, (_, weight) in
             enumerate(itertools.zip_longest(replies, weights, fillvalue="1"), start=1)]  # fmt: skip
    model = scripted(place / "script.json", {f"seat-{n}": said for n, said in enumerate(replies, start=1)})
    begun = unkept.session("What do we do?", options, seats, turn_limit=turn_limit, seed=seed)
    numbers = range(1, len(replies) + 1)
    own = {n: Private(f"persona of seat {n}") for n in numbers}
    return asyncio.run(unkept.hold(begun, asker or Direct(), dict.fromkeys(numbers, model), own))


_THINGS = (
    "the queue in Postgres", "a monorepo", "server-side rendering", "feature flags for payments", "nightly backups",
    "mutual TLS between services", "optimistic locking", "a read replica", "blue-green deployments", "event sourcing",
    "soft deletes", "a shared component library", "rate limiting per customer", "schema migrations at start-up",
    "long-lived branches", "pair programming on incidents", "caching of search results", "a message bus", "GraphQL",
    "idempotency keys", "row-level security", "sampling of traces", "a rewrite in Rust", "vendored dependencies",
    "Umlaute in Dateinamen", "キャッシュの再利用", "политика хранения данных", "اختبارات القبول",
)  # fmt: skip
_OPPOSITES = (
    ("We should use {}.", "We should not use {}."),
    ("Keep {}", "Drop {}"),
    ("{} is safe enough", "{} is not safe enough"),
    ("Adopt {} now", "Never adopt {}"),
    ("{}: yes", "{}: no"),
    ("We can rely on {}", "We can't rely on {}"),
    ("We can rely on {} now", "We cannot rely on {} now"),
    ("{} could work", "{} couldn\N{RIGHT SINGLE QUOTATION MARK}t work"),
    ("{} was safe", "{} wasn't safe"),
    ("{} has failed", "{} hasn't failed"),
    ("It needs {}", "It doesn't need {}"),
    ("Use {}", "Dont use {}"),
    ("Use {} here", "Don\N{FULLWIDTH APOSTROPHE}t use {} here"),
    ("Take {}", "Avoid {}"),
    ("{} is reliable", "{} is unreliable"),
    ("应该使用 {}", "不应该使用 {}"),
    ("{} を使う", "{} を使わない"),
    ("استخدم {}", "لا تستخدم {}"),
)
_WORDINGS = (
    "We should use {}.", "Let us adopt {}", "{} is the way to go", "Go with {}", "I would choose {} here", "Take {}",
    "{} fits best",
)  # fmt: skip
CONTRADICTIONS = [(one.format(thing), other.format(thing)) for thing in _THINGS for one, other in _OPPOSITES]
"""Claims of which the one excludes the other."""
PARAPHRASES = [
    tuple(wording.format(thing) for wording in wordings)
    for thing in _THINGS
    for wordings in itertools.islice(itertools.combinations(_WORDINGS, 5), 0, 21, 5)
]
"""Five wordings of one claim."""
