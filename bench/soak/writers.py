"""Processes that write until they are told to stop, or are killed: python -m bench.soak.writers KIND FOLDER NUMBER.

`player` plays recorded sessions through the installed recorder, `caller` records calls of models from a program,
`sender` is a client's telemetry and its http hooks, `decider` asks for decisions.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.soak import plays
from bench.soak.project import Place, can_be_off, of, off_clock
from bench.soak.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STOP = "stop"
OFF_MINUTES = 80
"""How far a writer's clock may be wrong: less than the three hours after which everything is looked at."""
_RUNS: Mapping[int, str] = {0: "success", 2: "blocked", 1: "failure"}
"""What a timed hook that exits so has done."""
_MODELS = ("claude-opus-5-5", "claude-haiku-4-5", "a-model-without-a-price")


class Writer:
    """What every generator has."""

    def __init__(self, place: Place, kind: str, number: int) -> None:
        self.place, self.number = place, number
        self.chance = random.Random()
        self.truth = Truth(place.truth, f"{kind}-{number}-{os.getpid()}")
        self.variables = of(place.variables)

    def around(self, kind: str, identity: str, act: Callable[[], bool], **more: Any) -> None:
        """Note what is meant, do it, and note that it was done, unless the disk was full meanwhile."""
        before = self.truth.disturbance
        self.truth.note(kind, identity, "meant", **more)
        done = act()
        if done and before == self.truth.disturbance and not before % 2:
            self.truth.note(kind, identity, "done")


def player(writer: Writer) -> None:
    """Play one session, with a clock that may be wrong."""
    minutes = writer.chance.choice((0, 0, 0, 0, -OFF_MINUTES, OFF_MINUTES)) if can_be_off() else 0
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    name = writer.chance.choice(list(plays.RECORDED))
    play = plays.play(name, writer.place.transcripts, moment)
    environment = writer.variables | off_clock(minutes)
    recorder = str(writer.place.project / ".agent-studio/bin/recorder")

    def record(payload: bytes, *words: str) -> bool:
        own = environment | {"CLAUDE_CODE_SESSION_ID": play.session}
        return (
            subprocess.run([recorder, *words], input=payload, env=own, check=False, capture_output=True).returncode >= 0
        )

    writer.truth.note("session", play.session, "meant", play=name, events=play.events, usage=play.usage)
    for number, step in enumerate(play.steps):
        _append(writer, step.lines)
        writer.around("event", f"{play.session}.{number}", lambda payload=step.payload: record(payload))  # type: ignore[misc]
        if writer.chance.random() < 0.3:
            code = writer.chance.choice((0, 0, 0, 0, 2, 1))
            words = ("exec", "--hook", "PostToolUse:soak.sh", "--", "sh", "-c", f"exit {code}")
            run = f"{play.session}.{number}"
            writer.around("hook", run, lambda line=words: record(b"", *line), session=play.session, status=_RUNS[code])  # type: ignore[misc]
        time.sleep(writer.chance.uniform(0.01, 0.2))
    _append(writer, play.rest)
    writer.truth.note("session", play.session, "done")
    time.sleep(writer.chance.uniform(0, 1))


def _append(writer: Writer, lines: tuple[tuple[str, bytes], ...]) -> None:
    for relative, data in lines:
        file = writer.place.transcripts / relative
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as transcript:
            transcript.write(data)


def caller(writer: Writer) -> None:
    """Record calls of models as a program does, some without a price."""
    from agent_studio.cost.calls import open_ledger  # noqa: PLC0415 - of one kind only
    from agent_studio.errors import AgentStudioError  # noqa: PLC0415

    ledger = open_ledger(writer.place.project, "staging")
    for _ in range(20):
        request = f"own-{uuid.uuid4().hex}"
        used = {"inputTokens": writer.chance.randrange(9_000), "outputTokens": writer.chance.randrange(900)}
        writer.truth.note("call", request, "meant", **used)
        try:
            ledger.record(
                model=writer.chance.choice(_MODELS), input_tokens=used["inputTokens"], agent="planner",
                output_tokens=used["outputTokens"], session_id="programs", request_id=request, provider="anthropic",
            )  # fmt: skip
        except AgentStudioError:
            writer.truth.note("call", request, "refused")
        else:
            writer.truth.note("call", request, "done")
        time.sleep(writer.chance.uniform(0.01, 0.15))


def sender(writer: Writer) -> None:
    """Send telemetry of sessions that have no transcript, again until it is acknowledged, and what is none."""
    session = str(uuid.uuid4())
    for _ in range(5):
        request = f"req_{uuid.uuid4().hex[:24]}"
        used = {"inputTokens": writer.chance.randrange(1, 900), "outputTokens": writer.chance.randrange(1, 900)}
        writer.truth.note("telemetry", request, "meant", session=session, **used)
        body = json.dumps(_request(session, request, used)).encode()
        if _until_taken(writer, "/v1/logs", body):
            writer.truth.note("telemetry", request, "done")
        time.sleep(writer.chance.uniform(0.05, 0.4))
    for path, body in writer.chance.sample(_INVALID, 2):
        status = _post(writer, path, body)
        if status:
            writer.truth.note("invalid", uuid.uuid4().hex, "done", path=path, status=status)


_INVALID = (
    ("/v1/logs", b"\x00\xff not json"), ("/v1/logs", b'{"resourceLogs": 7}'), ("/v1/metrics", b"[1, 2"),
    ("/v1/traces", b'{"resourceSpans": [{"scopeSpans": "none"}]}'), ("/v1/logs", b"[" * 50_000),
)  # fmt: skip


def _request(session: str, request: str, used: Mapping[str, int]) -> dict[str, Any]:
    said = {
        "event.name": "api_request", "session.id": session, "model": "claude-opus-5-5", "request_id": request,
        "input_tokens": used["inputTokens"], "output_tokens": used["outputTokens"], "cache_read_tokens": 0,
        "cache_creation_tokens": 0, "cost_usd": 0.01, "duration_ms": 5,
    }  # fmt: skip
    attributes = [{"key": name, "value": _value(value)} for name, value in said.items()]
    record = {
        "timeUnixNano": str(time.time_ns()),
        "body": {"stringValue": "claude_code.api_request"},
        "attributes": attributes,
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "claude-code"}}]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}


def _value(value: object) -> dict[str, object]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _until_taken(writer: Writer, path: str, body: bytes) -> bool:
    while not stopped(writer.place):
        if _post(writer, path, body) == 200:
            return True
        time.sleep(0.3)
    return False


def _post(writer: Writer, path: str, body: bytes) -> int:
    """Return the status, 0 when nobody answered."""
    try:
        port = json.loads((writer.place.state / "serve.json").read_bytes())["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return 0


def decider(writer: Writer) -> None:
    """Ask about a write of evidence, which must be stopped, and about a harmless one."""
    project, identity = writer.place.project, uuid.uuid4().hex
    wanted = writer.chance.random() < 0.5
    file = project / (".agent-studio/evidence.json" if wanted else "notes.txt")
    call = {"hook_event_name": "PreToolUse", "tool_name": "Write", "session_id": "decisions", "cwd": str(project),
            "tool_input": {"file_path": str(file), "content": "x"}}  # fmt: skip
    before = writer.truth.disturbance
    words = [str(project / ".agent-studio/bin/decide"), "--closed"]
    done = subprocess.run(
        words, input=json.dumps(call).encode(), env=writer.variables, check=False, capture_output=True, cwd=project
    )
    calm = before == writer.truth.disturbance and not before % 2
    denied = done.returncode == 2 or b'"deny"' in done.stdout
    writer.truth.note(
        "decision", identity, "done", wanted=wanted, denied=denied, calm=calm, said=done.stderr.decode()[-200:]
    )
    time.sleep(writer.chance.uniform(0.3, 1.5))


KINDS: Mapping[str, Callable[[Writer], None]] = {
    "player": player, "caller": caller, "sender": sender, "decider": decider,
}  # fmt: skip


def stopped(place: Place) -> bool:
    """Tell whether generators are to end."""
    return (place.truth / STOP).exists()


def main(kind: str, folder: str, number: str) -> None:
    """Write until told to stop, or until whoever started us is gone."""
    place, parent = Place(Path(folder)), os.getppid()
    place.variables = json.loads((place.folder / "variables.json").read_text())
    writer = Writer(place, kind, int(number))
    while not stopped(place) and os.getppid() == parent:
        KINDS[kind](writer)


if __name__ == "__main__":
    main(*sys.argv[1:])
