"""The client as a model: nothing of any project is touched, nothing is left running, and nothing it says is trusted."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if os.name == "nt":
    pytest.skip("the program that stands for the client is a script", allow_module_level=True)
from bench import model_trials
from bench.npm import ProgramMissingError

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.reasoning import depth
from agent_studio.reasoning.asking import Answer, Asker, BudgetError
from agent_studio.reasoning.models import answers, claude_cli
from agent_studio.reasoning.models.choice import open_model
from agent_studio.reasoning.models.model import (
    MALFORMED,
    REFUSED,
    REPORTED,
    RESERVED,
    THROTTLED,
    TIMEOUT,
    UNAVAILABLE,
    ModelError,
    Request,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = {"type": "object", "properties": {"option": {"enum": ["A", "B"]}}, "required": ["option"]}
ASKED = Request("architect", "You are X.", "A or B?", SCHEMA, max_output_tokens=300)
RESULT = {
    "type": "result", "subtype": "success", "is_error": False, "result": "A", "structured_output": {"option": "A"},
    "total_cost_usd": 0.002, "session_id": "s-1", "stop_reason": "tool_use",
    "usage": {"input_tokens": 4, "output_tokens": 7, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3},
    "modelUsage": {"claude-haiku-4-5": {"outputTokens": 7}, "claude-trifles": {"outputTokens": 1}},
}  # fmt: skip
FLAGS = " ".join(claude_cli._NEEDED)
PROGRAM = """#!{python}
import json, os, subprocess, sys, time
if "--help" in sys.argv:
    print({flags!r})
    sys.exit()
seen = {{"arguments": sys.argv[1:], "given": sys.stdin.read(), "folder": os.getcwd(), "there": os.listdir(),
         "variables": dict(os.environ), "group": os.getpgrp()}}
seen["system"] = open(sys.argv[sys.argv.index("--system-prompt-file") + 1]).read()
json.dump(seen, open({seen!r}, "w"))
{body}
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "project/.claude/metrics").mkdir(parents=True)
    project = Project((tmp_path / "project").resolve())
    return open_context(project, choose_environment("development", {}), {})


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], dict[str, Any]]]:
    """Put a program in the client's place; what is returned tells what it saw."""

    def put(body: str | dict[str, Any], flags: str = FLAGS) -> Callable[[], dict[str, Any]]:
        folder, seen = tmp_path / "bin", tmp_path / "seen.json"
        folder.mkdir(exist_ok=True)
        said = body if isinstance(body, str) else f"print({json.dumps(body)!r})"
        place = folder / "claude"
        place.write_text(PROGRAM.format(python=sys.executable, flags=flags, seen=str(seen), body=said))
        place.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return lambda: dict(json.loads(seen.read_text()))

    return put


def ask(
    context: Context, name: str = "claude:claude-haiku-4-5", request: Request = ASKED, limit: str | None = "5"
) -> tuple[Answer | ModelError, Asker]:
    asker = Asker(context, limit_usd=None if limit is None else Decimal(limit), purpose="elicit", session="e-1")
    try:
        return asyncio.run(asker.ask(open_model(context, name), request)), asker
    except ModelError as error:
        return error, asker


def answered(context: Context, **more: Any) -> Answer:
    answer, _ = ask(context, **more)
    assert isinstance(answer, Answer), answer
    return answer


def failed(context: Context, **more: Any) -> tuple[ModelError, Asker]:
    error, asker = ask(context, **more)
    assert isinstance(error, ModelError), error
    return error, asker


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# --- what it is given -----------------------------------------------------------------------------------------------


def test_a_client_that_is_found_by_a_relative_folder_is_started_all_the_same(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stand_in(RESULT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"bin{os.pathsep}{os.environ['PATH']}")
    assert answered(context).reply.data == {"option": "A"}


def test_the_client_gets_the_question_and_nothing_of_the_project(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("CLAUDE_CODE_ENABLE_TELEMETRY", "1")
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "outer")
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", "/elsewhere")
    seen = stand_in(RESULT)
    answer = answered(context)
    told = seen()
    assert (told["given"], told["system"], told["there"]) == ("A or B?", "You are X.", [])
    assert not Path(told["folder"]).exists()
    assert told["group"] != os.getpgrp()
    words = told["arguments"]
    for needed in ("--safe-mode", "--strict-mcp-config", "--no-session-persistence"):
        assert needed in words
    assert words[words.index("--tools") + 1] == ""
    assert words[words.index("--model") + 1] == "claude-haiku-4-5"
    assert json.loads(words[words.index("--json-schema") + 1]) == SCHEMA
    given = told["variables"]
    assert given["CLAUDE_CODE_ENABLE_TELEMETRY"] == "0"
    assert (given["CLAUDE_CODE_MAX_OUTPUT_TOKENS"], given[depth.VARIABLE]) == ("300", "1")
    assert not {"OTEL_EXPORTER_OTLP_ENDPOINT", "CLAUDE_CODE_SESSION_ID", "CLAUDE_PROJECT_DIR"} & set(given)
    assert (answer.cost_usd, answer.cost_source) == (Decimal("0.002"), REPORTED)
    assert answer.reply.usage == Usage(4, 7, 2, 3)
    assert (answer.reply.model, answer.reply.request_id) == ("claude-haiku-4-5", "claude-session:s-1")


def test_the_clients_own_budget_is_half_of_what_is_set_aside(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]]
) -> None:
    seen = stand_in(RESULT)
    model = open_model(context, "claude:claude-haiku-4-5")
    answered(context)
    words = seen()["arguments"]
    worst = Asker(context, limit_usd=None, purpose="", session="").worst_usd(model, ASKED)
    assert worst is not None
    assert Decimal(words[words.index("--max-budget-usd") + 1]) * 2 == worst


def test_a_familys_name_is_set_aside_at_the_dearest_it_can_be(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]]
) -> None:
    stand_in(RESULT)
    asker = Asker(context, limit_usd=None, purpose="", session="")
    worst = {
        name: asker.worst_usd(open_model(context, name), ASKED) or Decimal(0)
        for name in ("claude", "claude:best", "claude:opus", "claude:haiku", "claude:claude-haiku-4-5")
    }
    assert worst["claude"] == worst["claude:best"]
    assert worst["claude"] >= worst["claude:opus"] > worst["claude:haiku"] >= worst["claude:claude-haiku-4-5"] > 0
    with pytest.raises(BudgetError):
        ask(context, "claude", limit="0.01")


def test_a_long_question_in_any_script_goes_in_whole(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]]
) -> None:
    seen = stand_in(RESULT)
    prompt = "質問です。" * 350_000
    answered(context, request=Request("a", "Ты", prompt, SCHEMA), limit=None)
    assert seen()["given"] == prompt


# --- what it does wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "said", "hint"), [
    (404, "no such model", "see the model's name"), (413, "request_too_large", "ask with less text"),
    (400, "prompt is too long: 210000 tokens > 200000 maximum", "ask with less text"),
])  # fmt: skip
def test_what_the_provider_refuses_comes_with_what_would_be_right(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]], status: int, said: str, hint: str
) -> None:
    stand_in({**RESULT, "is_error": True, "api_error_status": status, "result": said})
    assert failed(context)[0].hint == hint


@pytest.mark.parametrize(("body", "kind"), [
    ("", UNAVAILABLE),
    ("print('Segmentation fault')", UNAVAILABLE),
    ("print('[1, 2]')", UNAVAILABLE),
    ("sys.stderr.write('no such option'); sys.exit(3)", UNAVAILABLE),
    ("os.kill(os.getpid(), 9)", UNAVAILABLE),
    (f"print('x' * {answers.ANSWER_BYTES_MAX + 1})", MALFORMED),
    ({**RESULT, "structured_output": {"option": "C"}}, MALFORMED),
    ({**RESULT, "structured_output": None, "result": "just words"}, MALFORMED),
    ({**RESULT, "subtype": "error_max_structured_output_retries", "is_error": True, "errors": ["no"]}, MALFORMED),
    ({**RESULT, "subtype": "error_max_budget_usd", "is_error": True, "errors": ["reached"]}, REFUSED),
    ({**RESULT, "is_error": True, "api_error_status": 401, "result": "Invalid API key"}, REFUSED),
    ({**RESULT, "is_error": True, "api_error_status": 429, "result": "slow"}, THROTTLED),
    ({**RESULT, "is_error": True, "api_error_status": 529, "result": "busy"}, UNAVAILABLE),
    ({**RESULT, "is_error": True, "result": "Not logged in · Please run /login", "total_cost_usd": 0}, REFUSED),
])  # fmt: skip
def test_what_the_client_does_wrong_is_an_error_of_the_right_kind(
    context: Context,
    stand_in: Callable[..., Callable[[], dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    body: str | dict[str, Any],
    kind: str,
) -> None:
    monkeypatch.setattr("agent_studio.reasoning.asking._PAUSE_S", 0.0)
    stand_in(body)
    error, asker = failed(context)
    assert error.kind == kind
    assert asker.reserved_usd == 0
    cost = body.get("total_cost_usd") if isinstance(body, dict) else None
    expected = asker.worst_usd(open_model(context, "claude:claude-haiku-4-5"), ASKED) if cost is None else cost
    assert asker.spent_usd == Decimal(str(expected))


@pytest.mark.parametrize("cost", [-1, "NaN", None, True, "much"])
def test_a_cost_that_cannot_be_is_taken_for_the_worst_case(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]], cost: object
) -> None:
    stand_in({**RESULT, "total_cost_usd": cost})
    answer = answered(context)
    assert answer.cost_source == RESERVED
    assert (answer.cost_usd or 0) > Decimal("0.01")


def test_no_error_shows_a_key_that_the_client_prints(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]]
) -> None:
    key = "sk-ant-api03-" + "0123456789abcdef" * 5
    stand_in(f"sys.exit('bad key {key}')")
    error, _ = failed(context)
    assert key not in error.message
    assert "REDACTED" in error.message


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
@pytest.mark.parametrize("ends_by", ["time", "cancel"])
def test_a_client_that_hangs_is_ended_with_all_that_it_started(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]], tmp_path: Path, ends_by: str
) -> None:
    note = tmp_path / "pids"
    stand_in(
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\ntime.sleep(60)"
    )
    if ends_by == "time":
        error, _ = failed(context, request=Request("a", "", "?", SCHEMA, timeout_s=1.5))
        assert error.kind == TIMEOUT
    else:
        asyncio.run(_cancelled(context, note))
    assert [pid for pid in map(int, note.read_text().split()) if is_running(pid)] == []


async def _cancelled(context: Context, note: Path) -> None:
    model = open_model(context, "claude:claude-haiku-4-5")
    asker = Asker(context, limit_usd=None, purpose="elicit", session="e-1")
    task = asyncio.create_task(asker.ask(model, ASKED))
    await asyncio.to_thread(_wait_for, note)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def _wait_for(note: Path) -> None:
    until = time.monotonic() + 20
    while not (note.exists() and note.read_text()) and time.monotonic() < until:
        time.sleep(0.02)


# --- whether it can be asked ----------------------------------------------------------------------------------------


def test_without_a_client_and_with_one_too_old_the_error_says_so(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nonexistent")
        with pytest.raises(UsageError, match="no claude on PATH") as caught:
            open_model(context, "claude")
    assert "npm install" in caught.value.hint
    stand_in(RESULT, flags=FLAGS.replace("--safe-mode", ""))
    with pytest.raises(UsageError, match="knows no --safe-mode"):
        open_model(context, "claude")


def test_a_client_is_not_asked_from_inside_of_one(
    context: Context, stand_in: Callable[..., Callable[[], dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(RESULT)
    monkeypatch.setenv(depth.VARIABLE, "1")
    with pytest.raises(UsageError, match="inside a model"):
        open_model(context, "claude")


def test_the_real_client_answers_without_firing_a_hook_or_being_counted_twice(tmp_path: Path) -> None:
    try:
        faults, _ = model_trials.client(tmp_path)
    except ProgramMissingError as reason:
        pytest.skip(f"Claude Code cannot be had: {reason}")
    assert faults == []


def test_the_packaged_model_answers_by_the_schema(tmp_path: Path) -> None:
    try:
        faults, _ = model_trials.packaged(tmp_path)
    except UsageError as reason:
        pytest.skip(reason.hint)
    assert faults == []
