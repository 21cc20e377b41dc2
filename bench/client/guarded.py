"""Sessions under the guard of the ledger and under a budget: what they deny does not happen, what they allow does."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.client import claude
from bench.client.journey import JourneyError, ours
from bench.client.messages_api import MessagesApi, Tool, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = "[guarded]"
_LEDGER = ".claude/staging/metrics/llm-usage.log"
_PLENTY, _USED_UP = 1_000_000_000, 1
_WRITES = ("first", "second")
_COMMANDS = (f"touch {_WRITES[0]}", f"echo spoiled >> {_LEDGER}", f"touch {_WRITES[1]}")


def faults(client: claude.Client, folder: Path) -> Iterator[str]:
    """Drive a session with budget and one without, and yield what was not as it has to be."""
    project, home = folder / "shop", folder / "home"
    (project / ".claude").mkdir(parents=True)
    home.mkdir()
    api = MessagesApi({_MARK: [*(Turn(tools=[Tool("Bash", {"command": one})]) for one in _COMMANDS), Turn("done")]})
    with api.serving():
        variables = {**claude.variables(client, home, api.url), "AGENT_STUDIO_ENV": "staging"}
        ours(project, variables, "init")
        place = project / ".claude/config.staging.yaml"
        plain = place.read_text()
        _limit(place, plain, _PLENTY)
        ours(project, variables, "hooks", "install")
        if claude.run(claude.words(f"{_MARK} go on"), project, variables).code:
            yield "the session with budget failed"
        yield from (f"with budget, {name} was not written" for name in _WRITES if not (project / name).exists())
        if "only agent-studio writes it" not in json.dumps(api.requests):
            yield "the model was not told why it may not write into the ledger"
        if b"spoiled" in (project / _LEDGER).read_bytes():
            yield "the model wrote into the ledger"
        for name in _WRITES:
            (project / name).unlink(missing_ok=True)
        _limit(place, plain, _USED_UP)
        api.requests.clear()
        claude.run(claude.words(f"{_MARK} go on"), project, variables)
        if (project / _WRITES[1]).exists():
            yield "a tool ran though the budget was used up"
        if "is used up" not in json.dumps(api.requests):
            yield "the model was not told that the budget is used up"
        ours(project, variables, "cost", "verify")


def _limit(place: Path, plain: str, tokens: int) -> None:
    budget = f"{{per: session, tokens: {tokens}, action: block}}"
    place.write_text(f"{plain}cost:\n  guardLedger: true\n  budgets: [{budget}]\n", encoding="utf-8")


def trial(version: str) -> list[str]:
    """Run the sessions with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return list(faults(client, Path(folder).resolve()))
        except JourneyError as error:
            return [str(error)]
