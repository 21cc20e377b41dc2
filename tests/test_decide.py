"""Decision hooks: what handlers say reaches the client as it reads it, and a failure does what was declared."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.guards import protocol
from agent_studio.guards.decide import Decision, OverdueError, decide
from agent_studio.guards.handler import EVENTS, Call, Handler, Outcome
from agent_studio.guards.handlers import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOOL = b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"rm -rf /"}}'


def _no_context() -> Context:
    raise AssertionError("nobody asked for it")


def _says(**fields: str) -> Handler:
    return Handler("test", lambda _: Outcome(**fields))


def _raise(_: Call) -> Outcome:
    raise RuntimeError("broken")


def _hang(_: Call) -> Outcome:
    time.sleep(1.5)
    return Outcome(deny="too late")


def _decided(*handlers: Handler, event: str = "PreToolUse", log: Callable[[str], None] = lambda _: None) -> Decision:
    payload = json.dumps({"hook_event_name": event}).encode()
    return decide(payload, _no_context, handlers={event: handlers}, log=log)


# --- deciding -------------------------------------------------------------------------------------------------------


def test_without_a_handler_for_the_event_nothing_is_said() -> None:
    assert decide(TOOL, _no_context, handlers={"Stop": (_says(deny="no"),)}) == Decision()
    assert decide(TOOL, _no_context) == Decision()
    assert HANDLERS.keys() <= EVENTS.keys()


def test_the_first_handler_that_denies_wins() -> None:
    found = _decided(_says(context="note"), _says(ask="sure?"), _says(deny="not this\n"), _says(deny="nor this"))
    assert found == Decision(2, b"", b"not this\n")


def test_contexts_are_joined_and_reach_the_model() -> None:
    for event in ("PreToolUse", "PostToolUse", "UserPromptSubmit", "SessionStart"):
        found = _decided(_says(context="größer"), Handler("none", lambda _: None), _says(context="b"), event=event)
        assert (found.exit_code, found.stderr) == (0, b"")
        assert json.loads(found.stdout) == {
            "hookSpecificOutput": {"hookEventName": event, "additionalContext": "größer\n\nb"}
        }
    assert _decided(_says(context="lost"), event="Stop") == Decision()


def test_a_question_is_for_the_user_and_only_before_a_tool() -> None:
    output = json.loads(_decided(_says(ask="sure?"), _says(context="c")).stdout)["hookSpecificOutput"]
    assert (output["permissionDecision"], output["permissionDecisionReason"]) == ("ask", "sure?")
    assert output["additionalContext"] == "c"
    assert _decided(_says(ask="sure?"), event="UserPromptSubmit") == Decision()


def test_an_event_that_cannot_be_stopped_is_not() -> None:
    assert _decided(_says(deny="no"), event="SessionEnd") == Decision()
    assert _decided(_says(deny="no"), event="SessionStart") == Decision()
    assert _decided(_says(deny="no"), event="Stop").exit_code == 2


@pytest.mark.parametrize(("run", "said"), [(_raise, "RuntimeError: broken"), (_hang, "more than 50 ms")])
def test_a_handler_that_fails_does_what_it_declared(run: Callable[[Call], Outcome], said: str) -> None:
    logged: list[str] = []
    started = time.monotonic()
    others = _says(context="still there")
    found = _decided(Handler("h", run, "open", 50), others, log=logged.append)
    assert json.loads(found.stdout)["hookSpecificOutput"]["additionalContext"] == "still there"
    found = _decided(others, Handler("h", run, "closed", 50), log=logged.append)
    assert found.exit_code == 2
    assert said in found.stderr.decode()
    assert [line for line in logged if said in line] == logged
    assert len(logged) == 2
    assert time.monotonic() - started < 1


@pytest.mark.slow
def test_slack_lets_a_slow_handler_end() -> None:
    def run(_: Call) -> Outcome:
        time.sleep(0.3)
        return Outcome(deny="in time")

    slow = Handler("slow", run, "open", 10)
    payload = b'{"hook_event_name":"Stop"}'
    assert decide(payload, _no_context, handlers={"Stop": (slow,)}) == Decision()
    assert decide(payload, _no_context, handlers={"Stop": (slow,)}, slack_ms=5_000).stderr == b"in time\n"


def test_where_it_may_be_handed_on_want_of_time_is_no_verdict() -> None:
    hangs, denies = Handler("h", _hang, "closed", 10), _says(deny="no")
    logged: list[str] = []
    given = {"handlers": {"Stop": (hangs,)}, "hands_on": True, "log": logged.append}
    with pytest.raises(OverdueError):
        decide(b'{"hook_event_name":"Stop"}', _no_context, **given)  # type: ignore[arg-type]
    assert logged == ["guard h leaves it to the cold process: it took more than 10 ms"]
    given["handlers"] = {"Stop": (hangs, denies)}
    assert decide(b'{"hook_event_name":"Stop"}', _no_context, **given).stderr == b"no\n"  # type: ignore[arg-type]
    given["handlers"] = {"Stop": (Handler("h", _raise, "closed"),)}
    assert decide(b'{"hook_event_name":"Stop"}', _no_context, **given).exit_code == 2  # type: ignore[arg-type]


@pytest.mark.slow
def test_handlers_of_one_event_share_its_time() -> None:
    started = time.monotonic()
    found = _decided(*[Handler("slow", _hang, "closed", 10_000)] * 3)
    assert found.exit_code == 2
    assert time.monotonic() - started < 1


@pytest.mark.slow
def test_a_handler_that_hangs_is_not_started_without_end() -> None:
    release = threading.Event()
    running: list[int] = []

    def stuck(_: Call) -> None:
        running.append(1)
        release.wait(20)

    for _ in range(12):
        assert _decided(Handler("stuck", stuck, "open", 1)) == Decision()
    assert len(running) == 8
    release.set()
    until = time.monotonic() + 10
    while len(running) == 8 and time.monotonic() < until:
        _decided(Handler("stuck", stuck, "open", 200))
    assert len(running) == 9


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_event_goes_on_unless_some_guard_is_closed(payload: bytes) -> None:
    assert decide(payload, _no_context, handlers={"Stop": (_says(deny="no"),)}) == Decision()
    closed = Handler("h", _raise, "closed")
    assert decide(payload, _no_context, handlers={"Stop": (closed,)}).exit_code == 2


def test_a_handler_sees_the_event_and_opens_the_environment_if_it_wants(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/config.staging.yaml").write_text("environment: staging\n")
    project = Project(tmp_path.resolve())
    seen: list[Any] = []

    def look(call: Call) -> None:
        seen.extend((call.event, call.payload["tool_name"], call.context().environment))

    choice = choose_environment("staging", {})
    assert (
        decide(
            TOOL,
            lambda: open_context(project, choice, {}),
            handlers={"PreToolUse": (Handler("h", look),)},
            slack_ms=10_000,
        )
        == Decision()
    )
    assert seen == ["PreToolUse", "Bash", "staging"]


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.text(), st.integers() | st.text()).map(lambda d: json.dumps(d).encode())
)
def test_any_payload_is_decided_on(payload: bytes) -> None:
    assert decide(payload, _no_context, handlers={"Stop": (_says(deny="no"),)}).exit_code in {0, 2}


@given(st.binary(max_size=50), st.binary(max_size=50), st.binary(max_size=50), st.integers(0, 255))
def test_what_is_said_has_the_form_that_the_client_knows(payload: bytes, out: bytes, err: bytes, code: int) -> None:
    head = b"ASD\x01" + len(payload).to_bytes(4, "big")
    assert (len(head), protocol.payload_length(head)) == (protocol.REQUEST_BYTES, len(payload))
    lengths = len(out).to_bytes(4, "big") + len(err).to_bytes(4, "big")
    assert protocol.answer(Decision(code, out, err)) == bytes([code]) + lengths + out + err


@pytest.mark.parametrize("head", [b"ASD\x02\0\0\0\1", b"GET / HT", b"ASD\x01\xff\xff\xff\xff"])
def test_another_version_or_an_endless_payload_is_refused(head: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.payload_length(head)
