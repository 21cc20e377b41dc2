"""One question to each kind of model that can be had without an account: what is sent, counted, and left behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import budget_sessions
from bench.client import claude
from bench.client.messages_api import MessagesApi, Tool, Turn
from bench.npm import ProgramMissingError
from bench.projects import Trial

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.reasoning.asking import Asker
from agent_studio.reasoning.models.choice import open_model
from agent_studio.reasoning.models.model import ModelError, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.asking import Answer

SCHEMA = {
    "type": "object",
    "properties": {"option": {"enum": ["A", "B"]}, "confidence": {"type": "number"}},
    "required": ["option", "confidence"],
    "additionalProperties": False,
}
SECRET = "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789"
_SAID = {"option": "A", "confidence": 0.5}
_MARK = "the question"


def trials(sessions: int, seed: int, *, with_client: bool = True, wanted: bool = True) -> Iterator[Trial]:
    """Run all of them, or name them as not run."""
    own = "" if wanted else "--no-models"
    yield _sessions(sessions, seed, own)
    name = "a question through Claude Code's own client on an API of ours: no hook fires, one request, in the ledger"
    yield _asked(name, client, own or ("" if with_client else "--no-client"))
    yield _asked("a question to an OpenAI-compatible server of this machine, in the ledger", compatible, own)
    yield _asked("a question to the packaged model, in the ledger", packaged, own)


def client(folder: Path) -> tuple[list[str], str]:
    """Ask the real client in a project whose hooks would show; return the faults and a figure."""
    found = claude.install(claude.NEWEST)
    api = MessagesApi({_MARK: [Turn(tools=[Tool("StructuredOutput", _SAID)])]})
    home = folder / "home"
    with api.serving(), _variables(claude.variables(found, home, api.url)):
        _hooked(home / ".claude", folder / "fired")
        context = _context(folder / "project", folder / "fired")
        answer, seconds = _once(context, "claude:claude-haiku-4-5")
    faults = _faults(context, answer)
    faults += [f"{sorted(api.contacted)} was contacted"] if set(api.contacted) != {"POST /v1/messages"} else []
    faults += [f"{len(api.requests)} requests for one call"] if len(api.requests) != 1 else []
    sent = api.requests[0]
    if [tool["name"] for tool in sent["tools"]] != ["StructuredOutput"] or sent["max_tokens"] != 500:
        faults.append(f"{[tool['name'] for tool in sent['tools']]} and {sent['max_tokens']} tokens were offered")
    if SECRET in json.dumps(sent):
        faults.append("a secret was sent")
    faults += ["a hook fired"] if (folder / "fired").exists() else []
    kept = [str(place.relative_to(home)) for place in home.rglob("*.jsonl") if "projects" in place.parts]
    faults += [f"a session was kept: {kept}"] if kept else []
    served = api.served[0].usage
    if (answer.reply.usage.input, answer.reply.usage.output) != (served.input, served.output):
        faults.append(f"{answer.reply.usage} was counted, {served} was served")
    return faults, f"Claude Code {claude.NEWEST}, {seconds:.2f} s, {answer.cost_usd} USD as it reports"


def compatible(folder: Path) -> tuple[list[str], str]:
    """Ask a server that speaks as OpenAI does."""
    endpoint = {"name": "house", "url": "", "free": True}
    with MessagesApi([Turn(json.dumps(_SAID))]).serving() as api:
        endpoint["url"] = f"{api.url}/v1"
        context = _context(folder / "project", None, f"models.endpoints={json.dumps([endpoint])}")
        answer, seconds = _once(context, "house:tiny")
    faults = _faults(context, answer)
    faults += ["a secret was sent"] if SECRET in json.dumps(api.requests[0]) else []
    faults += [f"{len(api.requests)} requests for one call"] if len(api.requests) != 1 else []
    return faults, f"{seconds:.2f} s with the libraries loaded, receipt {answer.reply.request_id}"


def packaged(folder: Path) -> tuple[list[str], str]:
    """Ask the model that comes in a package; raise `UsageError` when it is not installed."""
    context = _context(folder / "project", None)
    answer, seconds = _once(context, "local")
    return _faults(context, answer), f"{answer.reply.model}, {answer.reply.usage.output} tokens in {seconds:.1f} s"


def _once(context: Context, name: str) -> tuple[Answer, float]:
    async def ask() -> Answer:
        model = open_model(context, name)
        asker = Asker(context, limit_usd=Decimal(5), purpose="trial", session="t-1")
        request = Request(
            "architect", "You are brief.", f"{_MARK}: A or B? My key is {SECRET}", SCHEMA, max_output_tokens=500,
            timeout_s=300,
        )  # fmt: skip
        try:
            return await asker.ask(model, request)
        finally:
            await model.close()

    started = time.perf_counter()
    return asyncio.run(ask()), time.perf_counter() - started


def _faults(context: Context, answer: Answer) -> list[str]:
    faults = []
    if not answer.reply.data or answer.reply.data["option"] not in SCHEMA["properties"]["option"]["enum"]:  # type: ignore[index] # our own
        faults.append(f"{answer.reply.data} is no answer by the schema")
    lines = (context.root.folder("metrics").path / "llm-usage.log").read_text(encoding="utf-8").splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    wanted = (answer.reply.model, "architect", "trial", "t-1", answer.reply.usage.output)
    held = [(one["model"], one["agent"], one["skill"], one["taskId"], one["outputTokens"]) for one in records]
    faults += [f"the ledger has {held}, not {wanted}"] if held != [wanted] else []
    cost = [Decimal(one["costUsd"]) for one in records if one["costUsd"] is not None]
    faults += [f"the ledger says {cost}, the answer {answer.cost_usd}"] if cost != [answer.cost_usd] else []
    faults += ["the secret is in what was sent"] if SECRET in answer.sent.prompt else []
    return faults


def _sessions(count: int, seed: int, not_run: str) -> Trial:
    trial = Trial("random sessions of five seats with hostile providers never pass their limit", not_run=not_run)
    if not_run:
        return trial
    started = time.perf_counter()
    seen = budget_sessions.sessions(count, seed)
    trial.faults += seen.faults
    trial.figures.append(
        f"{seen.sessions:,} sessions, {seen.calls:,} calls sent, {seen.refused:,} refused, "
        f"{seen.overcharged} overcharged, {time.perf_counter() - started:.0f} s"
    )
    return trial


def _asked(name: str, ask: Callable[[Path], tuple[list[str], str]], not_run: str) -> Trial:
    trial = Trial(name, not_run=not_run)
    if not_run:
        return trial
    with tempfile.TemporaryDirectory() as folder:
        try:
            faults, figure = ask(Path(folder).resolve())
        except ProgramMissingError as reason:
            trial.not_run = str(reason)
        except UsageError as reason:
            trial.not_run = f"{reason.message}: {reason.hint}"
        except ModelError as error:
            trial.faults.append(error.message)
        else:
            trial.faults += faults
            trial.figures.append(figure)
    return trial


def _context(project: Path, fired: Path | None, *overrides: str) -> Context:
    (project / ".claude/metrics").mkdir(parents=True)
    if fired:
        _hooked(project / ".claude", fired)
    return open_context(Project(project), choose_environment("development", {}), {}, overrides)


def _hooked(folder: Path, fired: Path) -> None:
    """Write settings whose hooks leave a file, and whose telemetry would be seen."""
    folder.mkdir(parents=True, exist_ok=True)
    hook = [{"hooks": [{"type": "command", "command": f"touch {fired}"}]}]
    telemetry = {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_ENDPOINT": os.environ["ANTHROPIC_BASE_URL"],
    }  # fmt: skip
    events = ("SessionStart", "UserPromptSubmit", "Stop", "SessionEnd", "PreToolUse", "PostToolUse")
    settings = {"hooks": dict.fromkeys(events, hook), "env": telemetry}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, values, clear=True):
        yield


if __name__ == "__main__":
    for one in trials(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, 1):
        print(f"{one.name}: {one.verdict}", *one.figures, *one.faults, sep="\n  ")
