"""Replays: the candidate's own hook commands, run for real and timed, and sessions that a command of the user's starts.

What comes of it is synthetic: it counts for at most half of the samples of a limit and for none of the hours.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.capture.wiring import wrap
from agent_studio.capture.wiring.settings import SHARED, read
from agent_studio.errors import UsageError
from agent_studio.isolation import variables as isolated
from agent_studio.isolation.inherit import inherited
from agent_studio.monitor.texts import clean
from agent_studio.records import HookExecution, event_id
from agent_studio.redaction import redact
from agent_studio.release.burnin import beginning
from agent_studio.release.burnin.payloads import SCRATCH, payloads
from agent_studio.release.content.candidate import candidate
from agent_studio.release.production import sessions
from agent_studio.storage import journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent_studio.capture.wiring.wrap import Hook
    from agent_studio.environment.context import Context

_DEFAULT_TIMEOUT_S = 60.0
"""The client's own."""
_SAID_BYTES, _SAID_MAX = 4_096, 200
_BLOCKED = 2
"""Exit code of a hook that denies: a decision, no failure."""


class Tried(NamedTuple):
    """What a replay made of one hook."""

    hook: str
    runs: int = 0
    failures: int = 0
    """Failures and time-outs."""
    blocked: int = 0
    message: str = ""
    """How the last failure went, with the last line that the hook said of it."""

    def after(self, status: str, message: str) -> Tried:
        """Return the same after one more run."""
        failed = status in {"failure", "timeout"}
        return self._replace(
            runs=self.runs + 1, failures=self.failures + failed, blocked=self.blocked + (status == "blocked"),
            message=message if failed else self.message,
        )  # fmt: skip


class Ran(NamedTuple):
    """What a replay of hooks did."""

    exercise: str
    candidate: str
    hooks: list[Tried]
    """Those that were run."""
    refused: list[tuple[str, str]]
    """Those that could not be, and why."""
    is_same: bool
    """Whether the definitions are still those that were run."""

    @property
    def runs(self) -> int:
        """Of all hooks."""
        return sum(one.runs for one in self.hooks)

    @property
    def failures(self) -> int:
        """Of all hooks, with time-outs."""
        return sum(one.failures for one in self.hooks)

    @property
    def blocked(self) -> int:
        """Of all hooks."""
        return sum(one.blocked for one in self.hooks)


def hooks_of(context: Context) -> list[Hook]:
    """Return the candidate's hook commands; those of local settings are not part of it."""
    return wrap.hooks([read(context.project, SHARED)])


def replay(
    context: Context, variables: Mapping[str, str], rounds: int, told: Callable[[int, int], None] = lambda *_: None
) -> Ran:
    """Run every hook command of the candidate so many times, and record each run in staging's journal.

    Raises `UsageError` when it has none, `BusyError` while its definitions are switched.
    """
    found = hooks_of(context)
    fit = [one for one in found if not one.refusal]
    if not fit:
        raise UsageError(
            "the candidate has no hook command that could be run",
            hint="replay sessions instead: agent-studio burnin exercise -- claude -p 'a task'",
        )
    name, sha256 = new_name(), candidate(context.project).sha256
    variables = _child_variables(context, variables)
    tried = [Tried(one.name) for one in fit]
    with sessions.session(context.project, "burnin exercise", str(context.environment)), _scratch(context):
        given = payloads(context, fit, name)
        for number in range(rounds):
            lines = []
            for which, (hook, payload) in enumerate(zip(fit, given, strict=True)):
                status, took_ms, message = _run(hook, payload[number % len(payload)], context, variables)
                tried[which] = tried[which].after(status, message)
                record = _record(hook, status, took_ms, name)
                unique = event_id("exercise", name, number, which)
                lines.append(record.to_line(event_id=unique, environment=str(context.environment), release=sha256))
            journal.append(context.root.folder(HookExecution.kind), HookExecution.file, lines)
            told(number + 1, rounds)
    return Ran(
        name, sha256, tried, [(one.name, one.refusal) for one in found if one.refusal],
        candidate(context.project).sha256 == sha256,
    )  # fmt: skip


@contextmanager
def synthetic(context: Context) -> Iterator[str]:
    """Have sessions that start meanwhile count as synthetic; yield the name of the replay."""
    name = new_name()
    with beginning.replaying(context, name):
        yield name


def new_name() -> str:
    """Return a name for a replay."""
    return f"exercise-{clock.file_stamp(clock.now())}-{secrets.token_hex(4)}"


def _record(hook: Hook, status: str, took_ms: float, name: str) -> HookExecution:
    return HookExecution(
        timestamp=clock.timestamp(clock.now()), hook=hook.label, event=hook.event, tool=None,
        execution_time_ms=round(took_ms, 3), status=status, session_id=name,
        metadata={"synthetic": True, "exercise": name},
    )  # fmt: skip


def _child_variables(context: Context, variables: Mapping[str, str]) -> dict[str, str]:
    kept = inherited(context, variables, keep=(), client=False).kept
    own = isolated.of_environment(kept, str(context.environment))
    return {**kept, **own, "CLAUDE_PROJECT_DIR": str(context.project.path)}


@contextmanager
def _scratch(context: Context) -> Iterator[None]:
    """Have the file that built payloads are about."""
    state = context.root.state
    state.make(os.path.dirname(SCRATCH))  # noqa: PTH120 - a name in a folder, no path
    state.replace(SCRATCH, b"one\n")
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            state.remove(SCRATCH)


def _run(
    hook: Hook, payload: bytes, context: Context, variables: Mapping[str, str]
) -> tuple[str, float, str]:  # fmt: skip
    """Run a hook command as the client does; return how it went, how long it took in ms, and what was wrong."""
    began = time.perf_counter()
    with TemporaryFile() as said:  # a pipe would wait for what the hook leaves running
        try:
            process = subprocess.Popen(
                _command(hook.bare), cwd=context.project.path, env=dict(variables), stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=said, start_new_session=os.name != "nt",
            )  # fmt: skip
        except OSError as error:
            return "failure", 1000 * (time.perf_counter() - began), str(error)
        status, told = "timeout", f"it took longer than {_timeout_s(hook.bare):g} s"
        try:
            process.communicate(payload, timeout=_timeout_s(hook.bare))
            status = {0: "success", _BLOCKED: "blocked"}.get(process.returncode, "failure")
            told = f"exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            pass
        finally:
            took_ms = 1000 * (time.perf_counter() - began)
            _end(process)
        last = _last_line(said)
    return status, took_ms, f"{told}: {last}" if last else told


def _last_line(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _SAID_BYTES))
    lines = said.read().decode("utf-8", "replace").split("\n")
    return redact(clean(next((one.strip() for one in reversed(lines) if one.strip()), ""), _SAID_MAX))


def _command(bare: Mapping[str, Any]) -> Sequence[str] | str:
    if isinstance(bare.get("args"), list):
        return [str(bare["command"]), *map(str, bare["args"])]
    return str(bare["command"]) if os.name == "nt" else ["/bin/sh", "-c", str(bare["command"])]


def _timeout_s(bare: Mapping[str, Any]) -> float:
    value = bare.get("timeout")
    return float(value) if isinstance(value, int | float) and value > 0 else _DEFAULT_TIMEOUT_S


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a hook that still runs, and what it started."""
    if process.poll() is not None:
        return
    with suppress(OSError):
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
