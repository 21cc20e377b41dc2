"""Models over HTTP, by name, from a file, from a cassette: what is sent, what is believed, and how each fails."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench.client.messages_api import MessagesApi, Turn

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.errors import ConfigurationError, UsageError
from agent_studio.reasoning.elicitation import findings, prompts
from agent_studio.reasoning.models import answers, servers
from agent_studio.reasoning.models.choice import open_model, usable
from agent_studio.reasoning.models.model import (
    MALFORMED,
    REFUSED,
    THROTTLED,
    TIMEOUT,
    UNAVAILABLE,
    ModelError,
    Reply,
    Request,
    Usage,
)
from agent_studio.reasoning.party import positions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.conftest import Studio

SCHEMA = {
    "type": "object",
    "properties": {"option": {"enum": ["A", "B"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}},
    "required": ["option", "confidence"],
    "additionalProperties": False,
}
ANSWER = '{"option": "A", "confidence": 0.5}'
KEY = "sk-ant-api03-" + "0123456789abcdef" * 5


def context_of(path: Path, *overrides: str) -> Context:
    (path / ".claude/metrics").mkdir(parents=True, exist_ok=True)
    return open_context(Project(path.resolve()), choose_environment("development", {}), {}, overrides)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return context_of(tmp_path)


def asked(
    context: Context, name: str, request: Request | None = None, schema: Mapping[str, Any] | None = SCHEMA
) -> Reply:
    async def once() -> Reply:
        model = open_model(context, name)
        try:
            return await model.complete(request or Request("architect", "You are X.", "A or B?", schema=schema))
        finally:
            await model.close()

    return asyncio.run(once())


def failed(context: Context, name: str, turns: Sequence[Turn], **more: Any) -> ModelError:
    with MessagesApi(turns).serving() as api, pytest.raises(ModelError) as caught:
        asked(context, f"{name}@{api.url}/v1", **more)
    return caught.value


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    return monkeypatch


# --- providers over HTTP --------------------------------------------------------------------------------------------


def test_anthropic_is_asked_for_the_schema_and_every_token_is_counted_once(
    context: Context, anthropic: pytest.MonkeyPatch
) -> None:
    usage = {
        "input_tokens": 7, "output_tokens": 9, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3,
    }  # fmt: skip
    with MessagesApi([Turn(ANSWER, usage=usage)]).serving() as api:
        anthropic.setenv("ANTHROPIC_BASE_URL", api.url)
        reply = asked(context, "anthropic:claude-haiku-4-5")
    assert reply.data == {"option": "A", "confidence": 0.5}
    assert reply.usage == Usage(7, 9, 5, 3)
    assert (reply.request_id, reply.finish, reply.provider) == ("req_000000000000000000000001", "stop", "anthropic")
    assert api.contacted == {"POST /v1/messages": 1}
    (request,) = api.requests
    assert request["max_tokens"] == 4_000
    assert request["output_config"]["format"]["schema"]["required"] == ["option", "confidence"]
    assert request["system"][0]["text"] == "You are X."


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (findings.SCHEMA, {"findings": [{"claim": "c", "problem": "p", "severity": "low", "fix": None,
                                         "confidence": 1, "evidence": []}]}),
        (positions.schema(["A", "B"]), {"option": "A", "stance": "support", "confidence": 0.5, "rationale": "r"}),
        (prompts.compare("a", "b").schema, {"verdict": "A", "reason": "r"}),
    ],
    ids=["findings", "positions", "verdict"],
)  # fmt: skip
def test_anthropic_takes_the_schemas_that_we_ask_by(
    context: Context, anthropic: pytest.MonkeyPatch, schema: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    with MessagesApi([Turn(json.dumps(answer))]).serving() as api:
        anthropic.setenv("ANTHROPIC_BASE_URL", api.url)
        assert asked(context, "anthropic:claude-haiku-4-5", schema=schema).data == answer
    assert len(api.requests) == 1


def test_what_fails_before_anything_is_sent_says_so_and_is_not_owed(
    context: Context, anthropic: pytest.MonkeyPatch
) -> None:
    with MessagesApi([Turn(ANSWER)]).serving() as api:
        anthropic.setenv("ANTHROPIC_BASE_URL", api.url)
        with pytest.raises(ModelError) as caught:
            asked(context, "anthropic:claude-haiku-4-5", schema={"type": {"no": "schema"}})
    assert "was not asked" in caught.value.message
    assert (caught.value.is_owed, caught.value.was_sent, api.requests) == (False, False, [])


def test_a_model_without_structured_output_is_given_the_schema_as_a_tool_it_must_call(
    context: Context, anthropic: pytest.MonkeyPatch
) -> None:
    with MessagesApi([Turn(ANSWER)]).serving() as api:
        anthropic.setenv("ANTHROPIC_BASE_URL", api.url)
        reply = asked(context, "anthropic:claude-3-5-haiku-latest")
    assert reply.data == {"option": "A", "confidence": 0.5}
    assert api.requests[0]["tool_choice"] == {"type": "any"}


def test_openai_is_asked_for_the_schema_and_cached_tokens_are_not_counted_twice(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4},
    }  # fmt: skip
    with MessagesApi([Turn(ANSWER, usage=usage)]).serving() as api:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "a" * 40)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{api.url}/v1")
        reply = asked(context, "openai:gpt-5")
    assert reply.usage == Usage(6, 5, 4, 0)
    body = api.requests[0]
    assert (body["max_completion_tokens"], body["response_format"]["type"]) == (4_000, "json_schema")


def test_a_compatible_server_gets_the_older_limit_and_nobodys_key(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "a" * 40)
    with MessagesApi([Turn(ANSWER)]).serving() as api:
        reply = asked(context, f"compatible:tiny@{api.url}/v1")
    assert reply.data == {"option": "A", "confidence": 0.5}
    assert api.requests[0]["max_tokens"] == 4_000
    assert api.served[0].headers["accept-encoding"] == "identity"
    assert "sk-" not in json.dumps(dict(api.served[0].headers))


def test_plain_text_is_asked_for_without_a_schema(context: Context) -> None:
    with MessagesApi([Turn("a plain word")]).serving() as api:
        reply = asked(context, f"compatible:tiny@{api.url}/v1", schema=None)
    assert (reply.text, reply.data) == ("a plain word", None)
    assert "response_format" not in api.requests[0]


@pytest.mark.parametrize(("turn", "kind", "is_owed"), [
    (Turn("no JSON at all"), MALFORMED, True),
    (Turn(""), MALFORMED, True),
    (Turn("[1, 2]"), MALFORMED, True),
    (Turn('{"option": "C", "confidence": 0.5}'), MALFORMED, True),
    (Turn('{"option": "A", "confidence": 7}'), MALFORMED, True),
    (Turn("[" * 5_000), MALFORMED, True),
    (Turn(ANSWER[:-4], finish="length"), MALFORMED, True),
    (Turn(raw=b"<html>a gateway</html>"), MALFORMED, True),
    (Turn(raw=b'{"choices": []}'), MALFORMED, True),
    (Turn(raw=b"\x1f\x8b", headers={"content-encoding": "gzip"}), UNAVAILABLE, True),
    (Turn(hangs_up=True), UNAVAILABLE, True),
    (Turn("boom", status=500), UNAVAILABLE, True),
    (Turn("overloaded", status=503), UNAVAILABLE, False),
    (Turn("slow down", status=429, headers={"retry-after": "7"}), THROTTLED, False),
    (Turn(raw=b"", status=429), THROTTLED, False),
    (Turn("who are you", status=401), REFUSED, False),
    (Turn("no such model", status=404), REFUSED, False),
    (Turn("too long", status=400), REFUSED, False),
    (Turn("no", finish="content_filter"), REFUSED, True),
])  # fmt: skip
def test_what_a_provider_does_wrong_is_an_error_of_the_right_kind(
    context: Context, turn: Turn, kind: str, *, is_owed: bool
) -> None:
    error = failed(context, "compatible:tiny", [turn])
    assert (error.kind, error.is_owed) == (kind, is_owed)
    assert "\n" not in error.message
    assert "status_code" not in error.message
    assert ("it failed" in error.message) == (turn.status >= 500)
    assert len(error.message) < 700


def test_an_answer_without_end_is_broken_off(context: Context) -> None:
    error = failed(context, "compatible:tiny", [Turn("x" * (answers.ANSWER_BYTES_MAX + 1))], schema=None)
    assert error.kind == MALFORMED
    assert "more than can be an answer" in error.message


def test_a_redirect_is_not_followed_with_the_key_and_the_question(context: Context) -> None:
    with MessagesApi([Turn(ANSWER)]).serving() as other:
        away = Turn("elsewhere", status=307, headers={"location": f"{other.url}/v1/chat/completions"})
        error = failed(context, "compatible:tiny", [away])
    assert error.kind == REFUSED
    assert other.requests == []


def test_no_error_shows_a_secret_of_anyones(context: Context) -> None:
    error = failed(context, "compatible:tiny", [Turn(f"you sent {KEY}", status=400)])
    assert KEY not in error.message


def test_a_malformed_answer_says_what_was_used_and_shows_a_little_of_itself(context: Context) -> None:
    error = failed(context, "compatible:tiny", [Turn("x" * 10_000)])
    assert error.usage == Usage(10, 5)
    assert 0 < len(error.raw) <= 2_000


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": 1}])
def test_usage_that_is_missing_or_cannot_be_is_none(context: Context, usage: Mapping[str, Any] | None) -> None:
    message = {"role": "assistant", "content": ANSWER}
    body = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "tiny", "usage": usage,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }  # fmt: skip
    turn = Turn(raw=json.dumps(body).encode(), headers={"content-type": "application/json"})
    with MessagesApi([turn]).serving() as api:
        reply = asked(context, f"compatible:tiny@{api.url}/v1")
    assert (reply.data, reply.usage) == ({"option": "A", "confidence": 0.5}, Usage())


def test_a_provider_that_throttles_is_asked_once_and_says_how_long_to_wait(context: Context) -> None:
    with (
        MessagesApi([Turn("slow", status=429, headers={"retry-after": "7"})]).serving() as api,
        pytest.raises(ModelError) as caught,
    ):
        asked(context, f"compatible:tiny@{api.url}/v1")
    assert caught.value.retry_after_s == 7
    assert len(api.requests) == 1


def test_a_provider_that_hangs_is_left_after_the_requests_time(context: Context) -> None:
    request = Request("architect", "You are X.", "A or B?", timeout_s=0.3)
    error = failed(context, "compatible:tiny", [Turn(delay_s=2)], request=request)
    assert (error.kind, error.is_owed) == (TIMEOUT, True)


def test_a_server_that_is_not_there_is_owed_nothing(context: Context) -> None:
    with MessagesApi([Turn()]).serving() as api:
        pass
    with pytest.raises(ModelError) as caught:
        asked(context, f"compatible:tiny@{api.url}/v1")
    assert (caught.value.kind, caught.value.is_owed) == (UNAVAILABLE, False)


@pytest.mark.parametrize("key", [KEY, "a key of no known form"])
def test_no_error_shows_a_key_that_a_provider_repeats(
    context: Context, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with MessagesApi([Turn(f"invalid key {key}, try again", status=401)]).serving() as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        with pytest.raises(ModelError) as caught:
            asked(context, "anthropic:claude-haiku-4-5")
    said = f"{caught.value} {caught.value.hint} {caught.value.raw} {caught.value.__cause__}"
    assert key not in said
    assert "REDACTED" in said


def test_two_calls_at_once_have_receipts_of_their_own(context: Context) -> None:
    async def both(url: str) -> list[Reply]:
        model = open_model(context, f"compatible:tiny@{url}/v1")
        requests = [Request("a", "", f"{number}?") for number in range(8)]
        try:
            return await asyncio.gather(*map(model.complete, requests))
        finally:
            await model.close()

    with MessagesApi([Turn("yes", delay_s=0.05)]).serving() as api:
        replies = asyncio.run(both(api.url))
    assert len({reply.request_id for reply in replies}) == 8


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [
    ("antropic:claude-haiku-4-5", 'did you mean "anthropic"'),
    ("anthropic:claude-haiku-4-5", "export ANTHROPIC_API_KEY"),
    ("compatible:tiny", "compatible:NAME@http"),
    ("compatible:@http://127.0.0.1/v1", "compatible:NAME@http"),
    ("compatible:tiny@ftp://127.0.0.1/", "compatible:NAME@http"),
    ("compatible:tiny@http://user:secret@127.0.0.1/v1", "compatible:NAME@http"),
    ("ollama:", "ollama:NAME"),
    ("record:file", "record:FILE=MODEL"),
    ("replay:missing.jsonl", "record:missing.jsonl=MODEL"),
    ("scripted:missing.json", "name the file"),
])  # fmt: skip
def test_a_name_that_means_nothing_is_one_clear_error(context: Context, name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_model(context, name)
    assert said in caught.value.hint
    assert "secret" not in caught.value.hint


@pytest.mark.parametrize("url", ["http://[bad/v1", "http://h:99999/v1", "foo"])
def test_an_address_that_is_none_is_named_before_anybody_is_asked(
    tmp_path: Path, anthropic: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"models.endpoints\[0\]: url"):
        open_model(context_of(tmp_path, f"models.endpoints={json.dumps([{'name': 'house', 'url': url}])}"), "house:m")
    with pytest.raises(UsageError, match="names no model and URL"):
        open_model(context_of(tmp_path), f"compatible:m@{url}")
    anthropic.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(UsageError, match="ANTHROPIC_BASE_URL is"):
        open_model(context_of(tmp_path), "anthropic:claude-haiku-4-5")


@pytest.mark.parametrize("key", ["x\n", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(
    context: Context, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="the key in OPENAI_API_KEY holds a character") as caught:
        open_model(context, "openai:gpt-5")
    assert key.strip() not in caught.value.message.replace("export", "").split()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("[" * 100_000, "is no JSON"),
        ('{"replies": {"*": [{"text": 5}]}}', r"\*: text is 5"),
        ('{"replies": {"*": [{"delayMs": NaN}]}}', "delayMs is nan"),
        ('{"replies": {"*": [{"delayMs": 1e400}]}}', "delayMs is inf"),
        ('{"replies": {"*": [{"delayMs": -1}]}}', "delayMs is -1"),
        ('{"replies": {"*": [{"a": "\\ud800"}]}}', "half of a surrogate pair"),
    ],
    ids=["deep", "number as text", "NaN", "endless", "negative", "surrogate"],
)  # fmt: skip
def test_a_script_that_is_wrong_is_one_clear_error(context: Context, tmp_path: Path, script: str, said: str) -> None:
    place = tmp_path / "script.json"
    place.write_text(script)
    with pytest.raises(UsageError, match=said):
        open_model(context, f"scripted:{place}")


def test_without_a_choice_the_error_names_the_key_and_what_is_usable(context: Context) -> None:
    with pytest.raises(UsageError, match="no model is chosen") as caught:
        open_model(context, None)
    assert "models.default" in caught.value.hint


def test_the_configuration_chooses_by_an_alias_and_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_KEY", "house-secret")
    with MessagesApi([Turn(ANSWER)]).serving() as api:
        endpoint = {"name": "house", "url": f"{api.url}/v1", "keyVariable": "HOUSE_KEY", "free": True}
        context = context_of(
            tmp_path, "models.default=quick", 'models.aliases={"quick": "house:tiny"}',
            f"models.endpoints={json.dumps([endpoint])}",
        )  # fmt: skip
        model = open_model(context, None)
        reply = asked(context, "quick")
    assert (model.name, model.provider, model.model, model.is_free) == ("house:tiny", "house", "tiny", True)
    assert reply.data
    assert api.served[0].headers["authorization"] == "Bearer house-secret"


def test_an_endpoint_whose_key_is_missing_says_which_variable(tmp_path: Path) -> None:
    endpoint = {"name": "house", "url": "http://127.0.0.1:9/v1", "keyVariable": "HOUSE_KEY"}
    context = context_of(tmp_path, f"models.endpoints={json.dumps([endpoint])}")
    with pytest.raises(UsageError, match="HOUSE_KEY is not set"):
        open_model(context, "house:tiny")
    choice = next(choice for choice in usable(context) if choice.name == "house:NAME")
    assert (choice.usable, choice.why) == (False, "HOUSE_KEY is not set")


@pytest.mark.parametrize(("override", "said"), [
    ('models.endpoints=[{"name": "house", "urll": "x"}]', 'did you mean "url"'),
    ('models.endpoints=[{"name": "claude", "url": "http://127.0.0.1/v1"}]', "not taken"),
    ('models.endpoints=[{"name": "house", "url": "127.0.0.1"}]', "https://HOST"),
    ('models.endpoints=[{"name": "house", "url": "http://127.0.0.1/v1", "free": "yes"}]', "leave them out"),
    ('models.endpoints=[{"name": "house", "url": "http://127.0.0.1/v1", "speaks": []}]', "leave them out"),
    ('models.endpoints=[{"name": "house", "url": "http://127.0.0.1/v1", "provider": "scripted"}]', "leave it out"),
    ('models.endpoints=[{"name": "house", "url": "http://127.0.0.1/v1", "provider": 5}]', "leave it out"),
    ('models.endpoints=[{"name": "house", "url": "http://127.0.0.1/v1", "keyVariable": ["A"]}]', "name of a variable"),
    ('models.aliases={"quick": 7}', "the name of a model"),
    ('models.aliases={"quick": "slow", "slow": "quick"}', "name a model"),
])  # fmt: skip
def test_a_wrong_entry_of_the_configuration_is_named(tmp_path: Path, override: str, said: str) -> None:
    context = context_of(tmp_path, override)
    with pytest.raises(ConfigurationError) as caught:
        open_model(context, "quick")
    assert said in caught.value.hint
    assert caught.value.message.startswith("models.")


def test_servers_of_this_machine_are_found_at_their_ports_and_only_there(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        MessagesApi([Turn(ANSWER)], models=["qwen3:4b"]).serving() as api,
        MessagesApi([Turn(ANSWER)], models=[]).serving() as closed,
    ):
        monkeypatch.setattr(servers, "PORTS", {"ollama": api.port, "vllm": closed.port, "lmstudio": 9})
        found = {server.name: server.models for server in servers.running()}
        assert found == {"ollama": ("qwen3:4b",), "vllm": ()}
        assert asked(context, "ollama:qwen3:4b").data
        choice = next(choice for choice in usable(context) if choice.name == "ollama:NAME")
    assert (choice.usable, choice.models) == (True, ["qwen3:4b"])
    assert open_model(context, "ollama:qwen3:4b").is_free
    assert not open_model(context, "ollama:gpt-oss:120b-cloud").is_free


def test_what_answers_at_a_port_but_lists_no_models_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with MessagesApi([Turn()], models=None).serving() as api:
        monkeypatch.setattr(servers, "PORTS", {"llama-server": api.port})
        assert servers.running() == []


# --- cassettes ------------------------------------------------------------------------------------------------------


def test_what_was_recorded_is_replayed_by_what_was_asked_and_a_miss_fails(context: Context, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"replies": {"*": [{"option": "A"}, {"option": "B"}]}}))
    tape = tmp_path / "tape.jsonl"
    first, second = Request("a", "", "first?"), Request("a", "", "second?")
    for request in (first, second):
        asked(context, f"record:{tape}=scripted:{script}", request)
    replayed = asked(context, f"replay:{tape}", second)
    assert (replayed.data, replayed.provider, replayed.cost_usd) == ({"option": "A"}, "replay", Decimal(0))
    with pytest.raises(ModelError, match="no recording") as caught:
        asked(context, f"replay:{tape}", Request("a", "", "third?"))
    assert not caught.value.is_owed


def test_a_cassette_holds_whatever_is_said(context: Context, tmp_path: Path) -> None:
    script, tape = tmp_path / "script.json", tmp_path / "tape.jsonl"
    script.write_text(json.dumps({"replies": {"*": [{"option": "a\u2028b\x85c\x0cd"}]}}))
    request = Request("a", "", "?", nonce="1")
    recorded = asked(context, f"record:{tape}=scripted:{script}", request)
    assert asked(context, f"replay:{tape}", Request("a", "", "?", nonce="2")).data == recorded.data
    asked(context, f"record:{tape}=scripted:{script}", request)
    assert len(tape.read_text().rstrip("\n").split("\n")) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="a full disk is Linux's /dev/full")
def test_an_answer_that_could_not_be_recorded_is_given_all_the_same(context: Context, tmp_path: Path) -> None:
    script, tape = tmp_path / "script.json", tmp_path / "tape.jsonl"
    script.write_text('{"replies": {"*": [{"option": "A"}]}}')

    async def once() -> tuple[Reply, list[str]]:
        model = open_model(context, f"record:{tape}=scripted:{script}")
        tape.unlink()
        tape.symlink_to("/dev/full")
        return await model.complete(Request("a", "", "?")), getattr(model, "unkept", [])

    reply, unkept = asyncio.run(once())
    assert reply.data == {"option": "A"}
    assert "No space left" in unkept[0]


def test_a_recording_holds_no_secret(context: Context, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"replies": {"*": [{"text": f"the key is {KEY}"}]}}))
    tape = tmp_path / "tape.jsonl"
    asked(context, f"record:{tape}=scripted:{script}", Request("a", "", "?"))
    assert KEY not in tape.read_text()
    assert "REDACTED" in tape.read_text()


@pytest.mark.parametrize("line", ["no json", "{}", '{"request": "x", "reply": {"nonsense": 1}}', '{"request": "x"}'])
def test_a_damaged_cassette_is_named_with_its_line(context: Context, tmp_path: Path, line: str) -> None:
    tape = tmp_path / "tape.jsonl"
    tape.write_text(f"{line}\n")
    with pytest.raises(UsageError, match="line 1"):
        open_model(context, f"replay:{tape}")


# --- what is not there, what is not loaded --------------------------------------------------------------------------


def test_without_the_extra_the_error_is_the_command_that_installs_it(bare: Studio) -> None:
    code = (
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'pydantic_ai' else real(name, *a)\n"
        "import os; os.environ['ANTHROPIC_API_KEY'] = 'k'\n"
        "from tests.test_models import context_of; from pathlib import Path\n"
        "from agent_studio.reasoning.models.choice import open_model\n"
        "from agent_studio.errors import UsageError\n"
        f"context = context_of(Path({str(bare.path)!r}))\n"
        "for name in ('anthropic:x', 'compatible:x@http://127.0.0.1:9/v1'):\n"
        "    try: open_model(context, name)\n"
        "    except UsageError as error: print(error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["pip install 'agent-studio[models]'"] * 2


@pytest.mark.parametrize("verb", [["--version"], ["status"], ["doctor"], ["cost", "report"], ["kb", "stats"]])
def test_no_command_that_asks_no_model_loads_what_asks_them(bare: Studio, verb: list[str]) -> None:
    code = (
        "import sys; from agent_studio.cli.main import main; main(sys.argv[1:]);"
        "heavy = {'pydantic_ai', 'openai', 'anthropic', 'httpx2', 'xllamacpp'} & set(sys.modules);"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *verb], capture_output=True, text=True, check=False, cwd=bare.path
    )
    assert "loaded:" not in done.stderr
    assert done.returncode in {0, 1}, done.stderr


def test_doctor_says_what_can_be_asked_and_why_not(bare: Studio) -> None:
    found = [one for one in bare.json("doctor")["findings"] if one["code"] == "models"]
    assert "ANTHROPIC_API_KEY is not set" in found[0]["message"]
    found = [
        one
        for one in bare.json("doctor", "--set", "models.default=anthropic:claude-haiku-4-5")["findings"]
        if one["code"] == "models"
    ]
    assert (found[1]["severity"], found[1]["fix"]) == ("warning", "export ANTHROPIC_API_KEY")
