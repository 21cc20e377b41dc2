"""Random sessions with hostile providers, many calls at once: what is billed never passes the limit.

A provider here has a bill of its own, and what it claims may be something else: nothing used, less than nothing, a cost
that is no number, a failure after all. It bills at most what was asked for, except where it is said to overcharge: then
the claim is believed, and nothing more may be asked. One lie is left out because nobody could see it: fewer tokens than
were used, but some.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.cost import pricing
from agent_studio.cost.counting import Tokens
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.reasoning.asking import Asker, BudgetError
from agent_studio.reasoning.models.model import (
    MALFORMED,
    PRICED,
    REPORTED,
    THROTTLED,
    UNAVAILABLE,
    ModelError,
    Reply,
    Request,
    Usage,
)

if TYPE_CHECKING:
    from agent_studio.cost.prices.table import PriceTable

MODEL, PROVIDER = "claude-haiku-4-5", "anthropic"
_PICO = Decimal(10) ** 12
_CLAIMS = (
    "honest", "honest", "honest", "reported", "nothing used", "negative", "absurd", "negative cost", "no number",
    "fails unbilled", "fails billed", "fails with usage", "throttles", "hangs", "hangs", "overcharges",
)  # fmt: skip


@dataclass
class Provider:
    """A priced model whose claims are not its bills."""

    chance: random.Random
    prices: PriceTable
    claims: tuple[str, ...]
    is_dear: bool
    """Whether every call costs all that it may."""
    name: str = f"anthropic:{MODEL}"
    provider: str = PROVIDER
    model: str = MODEL
    is_free: bool = False
    billed: Decimal = Decimal(0)
    overcharged: bool = False
    sent_after_overcharge: int = 0
    sent: int = 0
    recorded: int = 0
    """Calls whose use is known, so that the ledger has them."""

    async def complete(self, request: Request) -> Reply:
        """Bill, then claim something."""
        self.sent += 1
        self.sent_after_overcharge += self.overcharged
        claim = self.chance.choice(self.claims)
        asked, said = len(request.system) + len(request.prompt) + 4_000, request.max_output_tokens
        if not self.is_dear:
            asked, said = self.chance.randint(1, asked), self.chance.randint(1, said)
        bill = self._usd(Usage(asked, said))
        await asyncio.sleep(self.chance.choice((0, 0, 0.0005)))
        self._fail(claim, Usage(asked, said), bill)
        if claim == "hangs":
            self.billed += bill
            await asyncio.sleep(60)
        if claim == "overcharges":
            bill *= 1_000_000
            self.overcharged = True
        self.billed += bill
        self.recorded += 1
        return _claimed(claim, Usage(asked, said), bill)

    def _fail(self, claim: str, used: Usage, bill: Decimal) -> None:
        if claim == "throttles":
            raise ModelError("slow down", kind=THROTTLED, is_owed=False, retry_after_s=0)
        if claim == "fails unbilled":
            raise ModelError("not here", kind=UNAVAILABLE, is_owed=False)
        if claim == "fails billed":
            self.billed += bill
            raise ModelError("lost on the way", kind=UNAVAILABLE)
        if claim == "fails with usage":
            self.billed += bill
            self.recorded += 1
            raise ModelError("no JSON", kind=MALFORMED, usage=used)

    def _usd(self, used: Usage) -> Decimal:
        cost = self.prices.cost(MODEL, time.time_ns(), Tokens(used.input, used.output), provider=PROVIDER)
        assert cost is not None
        return Decimal(cost.pico_usd) / _PICO

    async def close(self) -> None:
        """Hold nothing."""


def _claimed(claim: str, used: Usage, bill: Decimal) -> Reply:
    cost, source = None, PRICED
    if claim in {"reported", "overcharges"}:
        cost, source = bill, REPORTED
    if claim == "negative cost":
        cost, source = Decimal(-5), REPORTED
    if claim == "no number":
        cost, source = Decimal("NaN"), REPORTED
    if claim == "nothing used":
        used = Usage()
    if claim == "negative":
        used = Usage(-used.input, used.output)
    if claim == "absurd":
        used = Usage(used.input, 10**18)
    return Reply(
        text="{}", data={}, model=MODEL, provider=PROVIDER, usage=used, cost_usd=cost, cost_source=source,
    )  # fmt: skip


@dataclass
class Seen:
    """What a run of sessions showed."""

    sessions: int = 0
    calls: int = 0
    refused: int = 0
    overcharged: int = 0
    faults: list[str] = field(default_factory=list)


def sessions(count: int, seed: int, *, at_once: int = 5) -> Seen:
    """Run sessions one after another, each with many calls at the same time."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder).resolve())
        prices = pricing.table(context)
        for number in range(count):
            asyncio.run(_session(context, prices, random.Random(f"{seed}/{number}"), f"s{number}", seen, at_once))
    return seen


def _context(project: Path) -> Context:
    (project / ".claude/metrics").mkdir(parents=True)
    return open_context(Project(project), choose_environment("development", {}), {})


async def _session(
    context: Context, prices: PriceTable, chance: random.Random, name: str, seen: Seen, at_once: int
) -> None:
    limit = Decimal(chance.choice((0, 5, 20, 100, 400, 2_000))) / 1000
    claims = _CLAIMS if chance.random() < 0.25 else _CLAIMS[:-1]
    provider = Provider(
        chance, prices, tuple(chance.sample(claims, chance.randint(1, 4))), is_dear=chance.random() < 0.5
    )
    asker = Asker(context, limit_usd=limit, purpose="trial", session=name)
    before = Decimal(chance.choice((0, 0, 1))) / 1000
    asker.already(before)
    refused = 0

    async def seat() -> None:
        nonlocal refused
        for _ in range(chance.randint(1, 8)):
            request = Request(
                "seat", "You.", "x" * chance.randint(0, 4_000),
                max_output_tokens=chance.choice((50, 500, 2_000)), timeout_s=0.02,
            )  # fmt: skip
            was_over, sent = provider.overcharged and asker.spent_usd > limit, provider.sent
            try:
                await asyncio.wait_for(asker.ask(provider, request), chance.choice((None, None, 0.005)))
            except BudgetError:
                refused += 1
            except (ModelError, TimeoutError):
                pass
            if was_over and at_once == 1 and provider.sent != sent:
                seen.faults.append(f"{name}: asked after a bill over the limit")
            if not provider.overcharged and asker.spent_usd + asker.reserved_usd > max(limit, before):
                seen.faults.append(f"{name}: {asker.spent_usd} spent and {asker.reserved_usd} set aside of {limit}")

    await asyncio.gather(*(seat() for _ in range(at_once)))
    seen.faults += _judged(name, limit, before, provider, asker, _recorded(context, name))
    seen.sessions, seen.calls = seen.sessions + 1, seen.calls + provider.sent
    seen.refused, seen.overcharged = seen.refused + refused, seen.overcharged + provider.overcharged


def _judged(
    name: str, limit: Decimal, before: Decimal, provider: Provider, asker: Asker, recorded: list[Decimal]
) -> list[str]:
    faults = []
    if asker.reserved_usd:
        faults.append(f"{name}: {asker.reserved_usd} is still set aside")
    if not provider.overcharged and provider.billed + before > max(limit, before):
        faults.append(f"{name}: {provider.billed} was billed, the limit is {limit}")
    if provider.billed + before > asker.spent_usd:
        faults.append(f"{name}: {provider.billed} was billed, {asker.spent_usd} is said to be spent")
    if limit == 0 and provider.sent:
        faults.append(f"{name}: {provider.sent} calls with nothing to spend")
    if sum(recorded) > asker.spent_usd or len(recorded) != provider.recorded:
        faults.append(f"{name}: {len(recorded)} records of {sum(recorded)} USD for {provider.recorded} calls")
    return faults


def _recorded(context: Context, name: str) -> list[Decimal]:
    place = context.root.folder("metrics").path / "llm-usage.log"
    if not place.exists():
        return []
    lines = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines() if f'"{name}"' in line]
    return [Decimal(line["costUsd"]) for line in lines if line["taskId"] == name]
