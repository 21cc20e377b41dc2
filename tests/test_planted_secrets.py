"""Secrets planted wherever something comes in are nowhere afterwards: in no file of ours and in no output.

The recorder's inbox alone holds what came, for its owner only, until `ingest` has taken it in.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forked import forked
from tests.planted import HEADER, KEY, MARKS, PASSWORD, TEXTS, TOKENS, URL
from tests.test_ingest import Desk

from agent_studio.cli.main import main
from agent_studio.dashboard.questions import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.conftest import Finished, Studio

STAGING = ("--env", "staging")
ALL = " ".join(TEXTS)
PLANTED = (TOKENS[0], TOKENS[9], KEY, URL, HEADER)
EVENTS = (
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "SubagentStart",
    "SubagentStop", "PermissionDenied", "StopFailure", "Notification", "PreCompact", "FromTheFuture", "SessionEnd",
)  # fmt: skip
FIELDS = ("prompt", "error", "reason", "source", "session_id", "tool_name", "agent_type", "agent_id", "cwd", "model")


def marks_in(data: bytes) -> list[bytes]:
    return [mark for mark in MARKS if mark in data]


def leaks(studio: Studio) -> dict[str, list[bytes]]:
    """Return what is found in files of ours, their names included; the inbox is looked at for its rights."""
    found = {}
    for top in (".claude/staging", ".agent-studio"):
        for place in sorted((studio.path / top).rglob("*")):
            relative = place.relative_to(studio.path).as_posix()
            if place.is_file() and place.parent.name == "metrics" and place.name.startswith("events."):
                assert stat.S_IMODE(place.stat().st_mode) == 0o600, relative
                continue
            data = relative.encode() + (place.read_bytes() if place.is_file() else b"")
            if marks := marks_in(data):
                found[relative] = marks
    return found


def inbox(studio: Studio, payloads: Iterable[Any], *, kind: str = "hook", **more: Any) -> None:
    place = studio.path / ".claude/staging/metrics/events.jsonl"
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        for number, payload in enumerate(payloads):
            head = {"ts": 1_795_000_000_000_000_000 + number * 1_000_000, "pid": 1, "kind": kind, **more}
            file.write(json.dumps({**head, "payload": payload}).encode() + b"\n")


def payloads(secret: str) -> Iterator[dict[str, Any]]:
    """Yield events of every kind with a secret in every field, and as the name of one."""
    base = {"session_id": "s1", "cwd": "/srv", "transcript_path": "/nowhere.jsonl"}
    for event in EVENTS:
        yield {
            **base, "hook_event_name": event, "tool_name": "Bash", "tool_use_id": f"t-{event}", "agent_id": "a1",
            "agent_type": f"planner {secret}", "error": f"Exit code 3\n{secret}", "prompt": secret,
            "reason": f"because {secret}", "source": "startup", "model": f"claude {secret}", secret: secret,
            "tool_input": {"command": f"curl -H '{HEADER}' {URL} {secret}", "file_path": f"/x/{secret}.txt"},
            "tool_response": {"stdout": secret, "stderr": json.dumps({"a": secret})}, "message": secret,
        }  # fmt: skip
        for field in FIELDS:
            yield {**base, "hook_event_name": event, field: secret}


def transcript(studio: Studio, secret: str) -> Path:
    """Write a transcript that tells of failures and usage, with a secret in each of its texts."""
    place = studio.path.parent / "client" / "projects" / "-p" / "s1.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    at = {"sessionId": "s1", "cwd": "/srv", "timestamp": "2026-11-18T10:00:00.000Z", "version": "2.1.330"}
    usage = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    lines = [
        {**at, "type": "user", "uuid": "u1", "message": {"role": "user", "content": secret}},
        {**at, "type": "assistant", "uuid": "u2", "requestId": f"req {secret}", "gitBranch": secret, "agentId": secret,
         "message": {"id": f"msg {secret}", "model": f"model {secret}", "role": "assistant", "usage": usage,
                     "content": [{"type": "text", "text": secret},
                                 {"type": "tool_use", "id": "t1", "name": f"tool {secret}", "input": {"a": secret}}]}},
        {**at, "type": "user", "uuid": "u3", "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": f"failed: {secret}"}]}},
        {**at, "type": "assistant", "uuid": "u4", "isApiErrorMessage": True,
         "message": {"id": "m2", "model": "claude-opus-5-5", "content": [{"type": "text", "text": f"API {secret}"}]}},
        {**at, "type": "attachment", "uuid": "u5", "attachment": {
            "type": "hook_non_blocking_error", "command": f"sh {secret}", "exitCode": 1, "stderr": secret}},
        {**at, "type": "system", "subtype": "stop_hook_summary", "uuid": "u6",
         "hookInfos": [{"command": secret, "durationMs": 1}]},
    ]  # fmt: skip
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return place


def said(done: Finished) -> list[bytes]:
    return marks_in((done.out + done.err).encode("utf-8", "replace"))


@pytest.fixture
def planted(staged: Studio) -> Studio:
    """A project whose artifacts, their names, and whose configuration hold secrets."""
    staged.write(".claude/agents/leaky.md", f"---\nname: leaky {TOKENS[0]}\ndescription: {ALL!r}\n---\n\n# {KEY}\n")
    staged.write(
        ".claude/skills/x/SKILL.md", f"---\nname: x\ndescription: at {URL}\ntags: [{TOKENS[9]}]\n---\n{HEADER}\n"
    )
    staged.write(f".claude/commands/{TOKENS[12]}.md", "---\ndescription: a name\n---\n")
    staged.write(
        ".claude/config.staging.yaml",
        f"environment: staging\ntestData: {{artifactsCount: 20}}\nmodels:\n  default: '{TOKENS[0]}'\n"
        f"test:\n  command: echo {TOKENS[9]} {URL}\nmonitoring:\n  notify:\n"
        f"    - {{channel: webhook, url: 'http://u:{PASSWORD}@127.0.0.1:9/x', name: '{TOKENS[1]}'}}\n",
    )
    return staged


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("init", "--reset", "--yes"), ("ingest",), ("kb", "build"), ("kb", "search", "leaky"), ("kb", "search", TOKENS[0]),
    ("kb", "search", "leaky", "--json"), ("cost", "import", "--config-dir", "{client}"), ("cost", "report"),
    ("cost", "report", "--by", "day,model,session", "--json"), ("cost", "verify"), ("cost", "budget"),
    ("cost", "report", "--source", "transcripts", "--config-dir", "{client}", "--by", "model"),
    ("cost", "record", "--model", TOKENS[0], "--agent", TOKENS[1], "--output-tokens", "5"),
    ("monitor",), ("monitor", "--json"), ("monitor", "--trends"), ("monitor", "--alerts"), ("alerts", "list"),
    ("alerts", "silence", "hookFailureRate", "--for", "1h", "--reason", URL, "--by", TOKENS[0]),
    ("alerts", "test"), ("alerts", "test", "--json"),
    ("status",), ("status", "--json"), ("doctor",), ("doctor", "--json"), ("smoke",), ("smoke", "--json"),
    ("config", "show"), ("config", "show", "--json"), ("config", "explain", "models.default"), ("config", "check"),
    ("config", "diff", "staging", "production"), ("config", "explain", TOKENS[0]), ("scan",), ("scan", "--json"),
    ("scan", TOKENS[0]), ("test",), ("test", "--json"),
    ("test", "--", "sh", "-c", f"echo '{ALL}'; echo {URL} >&2; exit 1"),
    ("flags", "set", "partyMode", "--off", "--reason", f"because {TOKENS[0]}", "--by", URL), ("flags", "history"),
    ("hooks", "install", "--dry-run", "--no-wrap"), ("hooks", "status"), ("log",), ("log", "--json"),
    (TOKENS[0],), ("status", f"--{TOKENS[0]}"), ("status", "--set", f"models.default={TOKENS[1]}"),
    ("status", "--set", f"{TOKENS[0]}=1"), ("run", "--report", "{report}", "--", "true", TOKENS[0], URL),
    ("run", "--", f"no-such/{TOKENS[9]}"), ("serve", "--status"), ("init",),
)  # fmt: skip


def test_no_command_writes_or_says_a_secret_that_it_was_given(planted: Studio, tmp_path: Path) -> None:
    planted.run("hooks", "install", *STAGING, "--no-wrap", "--client-version", "2.1.330")
    place = transcript(planted, ALL)
    inbox(planted, payloads(ALL))
    for secret in PLANTED:
        inbox(planted, payloads(secret))
    inbox(planted, [{"session_id": "s1", "hook_event_name": "SessionStart", "transcript_path": str(place)}])
    inbox(planted, [f"{'x' * 900} {TOKENS[0]}"], bytes=9_000)
    with (planted.path / ".claude/staging/metrics/events.jsonl").open("ab") as file:
        file.write(f"no json {ALL}\n".encode())
    settings_of = {"env": {"MINE": TOKENS[0]}, "hooks": {"Stop": [{"hooks": [{"type": "command", "command": URL}]}]}}
    planted.write(".claude/settings.json", json.dumps(settings_of))
    replaced = {"{client}": str(place.parents[2]), "{report}": str(tmp_path / "report.json")}
    for command in COMMANDS:
        words = [replaced.get(word, word) for word in command]
        line = [*words[:1], *(() if words[0] in TOKENS else STAGING), *words[1:]]
        done = forked(partial(main, line), cwd=planted.path, variables=os.environ)
        assert not said(done), (command, said(done))
        assert done.code != 70, (command, done.err)
        assert not leaks(planted), command
    assert not marks_in((tmp_path / "report.json").read_bytes())


@settings(max_examples=25)
@given(st.sampled_from(TEXTS), st.text(max_size=30), st.integers(0, 9_000), st.integers(0, 2))
def test_no_payload_hides_a_secret(secret: str, noise: str, lead: int, depth: int) -> None:
    text = f"{'y' * lead}{noise} {secret}"
    for _ in range(depth):
        text = json.dumps({"inner": text}, ensure_ascii=False)
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.write(*(desk.event(payload) for payload in payloads(text)))
        desk.write(f"damaged {text}\n".replace("\n", " ").encode() + b"\n")
        desk.ingest()
        written = [place for place in Path(folder).rglob("*") if place.is_file() and place != desk.inbox]
        assert len(written) > 3
        assert {place.name: marks_in(place.read_bytes()) for place in written if marks_in(place.read_bytes())} == {}


def test_what_went_to_no_environment_is_masked_where_it_lies(staged: Studio) -> None:
    recorder = staged.path / ".agent-studio/bin/recorder"
    if not recorder.exists():
        pytest.skip("no compiler: the recorder is a Python program")
    sent = {"session_id": "s", "hook_event_name": "Stop", "text": ALL}
    for secret in (ALL, *PLANTED):
        subprocess.run(
            [str(recorder)], input=json.dumps({**sent, "text": secret}).encode(), check=True,
            env={"AGENT_STUDIO_ENV": "qa", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    place = staged.path / ".agent-studio/unrouted.jsonl"
    before = place.read_bytes()
    assert marks_in(before)
    assert staged.run("ingest", *STAGING).code == 0
    after = place.read_bytes()
    assert len(after) == len(before)
    assert not marks_in(after)
    assert [json.loads(line)["payload"]["session_id"] for line in after.splitlines()] == ["s"] * (1 + len(PLANTED))
    with place.open("ab") as file:  # a line that a writer has only begun
        file.write(b'{"half": "' + TOKENS[9].encode())
    assert staged.run("ingest", *STAGING).code == 0
    assert not leaks(staged)
    assert place.read_bytes().startswith(after)


def test_telemetry_of_the_daemon_and_its_pages_hold_no_secret(planted: Studio) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "serve", *STAGING, "--port", "0", "--ingest-interval", "1"],
        cwd=planted.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().decode().split(" at ")[1].split()[0]
    value = {"stringValue": ALL}
    attributes = [{"key": key, "value": value} for key in ("session.id", "model", "error", "tool_name", ALL[:60])]
    resource = {"attributes": [{"key": "deployment.environment", "value": {"stringValue": "staging"}}, *attributes]}
    bodies = {
        "/v1/logs": {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [
            {"timeUnixNano": "1795000000000000000", "body": value, "attributes": [
                {"key": "event.name", "value": {"stringValue": name}}, *attributes]}
            for name in ("api_error", "tool_result", "api_request", "user_prompt", "unheard")]}]}]},
        "/hooks": {"session_id": "s1", "hook_event_name": "PostToolUseFailure", "tool_name": ALL, "error": ALL},
    }  # fmt: skip
    elsewhere = json.loads(json.dumps(bodies["/v1/logs"]).replace('"staging"', '"production"'))
    try:
        answers = b""
        for path, body in (*bodies.items(), ("/v1/logs", elsewhere), ("/v1/logs", {"resourceLogs": ALL})):
            request = urllib.request.Request(
                url + path,
                json.dumps(body).encode(),
                {"Content-Type": "application/json", "X-Agent-Studio-Env": "staging"},
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    answers += answer.read()
            except urllib.error.HTTPError as error:
                answers += error.read()
                error.close()
        assert not marks_in(answers)
        assert planted.run("ingest", *STAGING).code == 0
        for view in VIEWS:
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{url}/api/{view}") as answer:
                answers += answer.read()
        assert len(answers) > 1_000
        assert not marks_in(answers)
    finally:
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert not marks_in(out + err)
    assert not leaks(planted)


def test_a_bug_report_holds_no_secret(staged: Studio, tmp_path: Path) -> None:
    code = (
        "import sys; from agent_studio.cli import dispatch; from agent_studio.cli.commands import status\n"
        f"def broken(*_): raise RuntimeError({ALL!r})\n"
        "status.run = broken; from agent_studio.cli.main import main\n"
        f"sys.exit(main(['status', '--env', 'staging', '--set', {('models.default=' + TOKENS[0])!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=staged.path, capture_output=True, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 70
    (report,) = tmp_path.glob("agent-studio-bug-*.txt")
    assert not marks_in(done.stdout + done.stderr + report.read_bytes())
    assert b"RuntimeError" in report.read_bytes()
    assert not leaks(staged)


def test_the_search_finds_what_is_there(staged: Studio) -> None:
    shutil.copy(__file__, staged.path / ".agent-studio/staging/a")
    staged.write(".agent-studio/staging/b", f"x {TOKENS[3]}")
    assert leaks(staged) == {".agent-studio/staging/b": marks_in(TOKENS[3].encode())}
