"""How long a party takes: five seats beside one, and what we add to the calls, beside the least that could be added.

The floor is what no orchestration that keeps its promises can leave out: as many records, each chained, written and
synced before anything follows from it, as many tasks of asyncio, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench.projects import Trial

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.reasoning.party import holding
from agent_studio.reasoning.party.opening import Wish
from agent_studio.storage import chain_file
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.outcome import Outcome

_SEATS = ("architect", "developer", "qa", "security-architect", "sceptic")
_ROUNDS = 7
_SLOW_MS = 400
_RATIO_MOST, _FACTOR_MOST = 1.5, 40.0


def project(place: Path, delay_ms: int) -> Context:
    """Make a project with a team of five and one of one; the five never agree, so that there are two rounds."""
    (place / ".claude/teams").mkdir(parents=True)
    for name, seats in (("five", _SEATS), ("one", _SEATS[:1])):
        rows = "".join(f"{agent},Judges,{number},,\n" for number, agent in enumerate(seats, start=1))
        (place / f".claude/teams/{name}.csv").write_text(f"agent_type,role,priority,tools,model\n{rows}")
    replies = {
        agent: [{"option": "AB"[number % 2], "stance": "support", "confidence": 0.9, "delayMs": delay_ms}]
        for number, agent in enumerate(_SEATS)
    }  # fmt: skip
    (place / "script.json").write_text(json.dumps({"replies": replies}))
    return open_context(Project(place), Choice(Environment.DEVELOPMENT, "--env"), {})


def held(context: Context, team: str) -> tuple[float, Outcome]:
    """Hold a party and return seconds and outcome."""
    model = f"scripted:{context.project.path / 'script.json'}"
    wish = Wish("Which?", ("A", "B"), team=team, model=model, turn_limit=2 if team == "five" else 1)
    began = time.perf_counter()
    found = holding.run(context, wish, lambda _: lambda _: None)
    return time.perf_counter() - began, found


def floor(folder: Folder, records: list[dict[str, Any]]) -> float:
    """Write the same records from as many tasks, chained and synced, and return seconds."""

    async def work() -> None:
        with chain_file.opened(folder, "floor.jsonl") as file:

            async def one(record: dict[str, Any]) -> None:
                await asyncio.sleep(0)
                file.append([record])

            await asyncio.gather(*(asyncio.create_task(one(record)) for record in records))

    began = time.perf_counter()
    asyncio.run(work())
    return time.perf_counter() - began


def parallel(place: Path) -> tuple[float, float]:
    """Return seconds of one slow seat, and of five in one round."""
    context = project(place, _SLOW_MS)
    model = f"scripted:{place / 'script.json'}"

    def taken(team: str) -> float:
        began = time.perf_counter()
        holding.run(context, Wish("Which?", ("A", "B"), team=team, model=model, turn_limit=1), lambda _: lambda _: None)
        return time.perf_counter() - began

    rounds = [(taken("one"), taken("five")) for _ in range(_ROUNDS)]
    return statistics.median(one for one, _ in rounds), statistics.median(five for _, five in rounds)


def overhead(place: Path) -> tuple[float, float, int]:
    """Return seconds of a party of five in two rounds whose model answers at once, of its floor, and its records."""
    context = project(place, 0)
    pairs, count = [], 0
    for number in range(_ROUNDS):
        seconds, found = held(context, "five")
        bare = [
            {name: value for name, value in line.items() if not name.startswith("_")} for line in found.session.lines
        ]
        count = len(bare)
        bottom = Folder(place, f"floor-{number}")
        bottom.make()
        pairs.append((seconds, floor(bottom, bare)))
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs), count


def trial() -> Trial:
    """Measure both, and hold them to their limits."""
    found = Trial("five seats take no longer than 1.5 x one, and what we add to the calls is measured")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        one, five = parallel(place / "parallel")
        ours, least, records = overhead(place / "overhead")
    found.figures.append(
        f"one seat of {_SLOW_MS} ms: {one * 1000:.0f} ms, five: {five * 1000:.0f} ms, {five / one:.2f} x"
    )
    found.figures.append(
        f"10 calls, {records} records, nothing waited for: {ours * 1000:.0f} ms, floor {least * 1000:.0f} ms, "
        f"{(ours - least) * 100:.1f} ms a call over it"
    )
    if five > _RATIO_MOST * one:
        found.faults.append(f"five seats take {five / one:.2f} x one")
    if ours > _FACTOR_MOST * least:
        found.faults.append(f"orchestration takes {ours / least:.0f} x its floor")
    return found


if __name__ == "__main__":
    ran = trial()
    print(f"{ran.name}: {ran.verdict}", *ran.figures, *ran.faults, sep="\n  ")
