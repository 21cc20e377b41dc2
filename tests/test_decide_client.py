"""The decision client as a process of its own: the daemon's answer, else the cold one, else what was declared."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.capture.recorder import build, decision
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import Project, environment_root
from agent_studio.guards import protocol
from agent_studio.guards.decide import Decision
from agent_studio.guards.handler import Call, Handler, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_studio.environment.context import Context

if sys.platform == "win32":
    pytest.skip("written for POSIX systems", allow_module_level=True)

SILENT = (0, b"", b"")
TOOL = b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"rm -rf /"}}'


def _no_context() -> Context:
    raise AssertionError("nobody asked for it")


# --- the client -----------------------------------------------------------------------------------------------------

GUARDED: Mapping[str, tuple[Handler, ...]] = {
    "PreToolUse": (Handler("rm", lambda call: Outcome(deny="not here") if "rm" in str(call.payload) else None),),
    "UserPromptSubmit": (Handler("note", lambda call: Outcome(context="x" * len(str(call.payload)))),),
}
_COLD = """
import sys
from agent_studio.guards import cold
from agent_studio.guards.handler import Handler, Outcome
def run(call):
    return Outcome(deny="cold says no") if "rm" in str(call.payload) else Outcome(context="cold")
cold.main(sys.argv[1:], {"PreToolUse": (Handler("cold", run),)})
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    path = tmp_path / "my project ünï"
    (path / ".claude").mkdir(parents=True)
    (path / ".claude/config.staging.yaml").write_text("environment: staging\n")
    return Project(path.resolve())


@dataclass(frozen=True)
class Client:
    """An installed decision client."""

    project: Project
    command: tuple[str, ...]

    def __call__(
        self, payload: bytes = TOOL, *words: str, env: str | None = "staging", **options: Any
    ) -> tuple[int, bytes, bytes]:
        chosen = {} if env is None else {"AGENT_STUDIO_ENV": env}
        done = subprocess.run(
            [*self.command, *words], input=payload, env={**os.environ, **chosen}, capture_output=True, timeout=60,
            check=False, **options,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def cold(self, *words: str) -> None:
        place = self.project.path / ".agent-studio/bin/decide.cold"
        place.write_bytes(b"".join(word.encode() + b"\0" for word in words))

    def cold_code(self, code: str) -> None:
        self.cold(sys.executable, "-I", "-c", code)

    @property
    def state(self) -> Path:
        return self.project.path / ".agent-studio/staging"


@pytest.fixture
def client(project: Project) -> Client:
    """The compiled client, whose cold way leads nowhere."""
    if build.compiler() is None:
        pytest.skip("no C compiler was found")
    client = Client(project, build.install(project).decide)
    assert client.command == (str(project.path / ".agent-studio/bin/decide"),)
    client.cold("/nonexistent/python")
    return client


@contextmanager
def _daemon(project: Project, handlers: Mapping[str, tuple[Handler, ...]] = GUARDED) -> Iterator[None]:
    """Our own end of the socket, with handlers of the test."""
    from agent_studio.guards.listener import DecisionServer, listen

    root = environment_root(project, Environment.STAGING, {})
    listening = listen(root)
    assert listening is not None
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        server = DecisionServer(_no_context, lambda _: None, handlers=handlers)
        await server.start(listening)
        up.set()
        await asyncio.to_thread(down.wait)
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    try:
        yield
    finally:
        down.set()
        thread.join(20)
        with suppress(FileNotFoundError):
            root.state.remove("decide.sock")


@contextmanager
def _other(state: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Something else that listens there."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    here = Path.cwd()
    server = socket.socket(socket.AF_UNIX)
    os.chdir(state)
    try:
        server.bind("decide.sock")
    finally:
        os.chdir(here)
    server.listen(4)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    answer(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(20)
        (state / "decide.sock").unlink()


def test_the_client_compiles_without_a_warning(tmp_path: Path) -> None:
    if build.compiler() is None:
        pytest.skip("no C compiler was found")
    flags = ("-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic")
    assert build.compile_to(tmp_path / "decide", *flags, source=decision.SOURCE) == ""


def test_the_daemon_s_decision_is_the_hook_s(client: Client) -> None:
    with _daemon(client.project):
        assert client() == (2, b"", b"not here\n")
        assert client(b'{"hook_event_name":"PreToolUse"}', "--closed") == SILENT
        code, out, err = client(b'{"hook_event_name":"UserPromptSubmit"}')
        assert (code, err) == (0, b"")
        assert json.loads(out)["hookSpecificOutput"]["hookEventName"] == "UserPromptSubmit"


def test_payloads_of_300_kb_and_of_sixteen_megabytes_pass(client: Client) -> None:
    for size in (300_000, (16 << 20) - 60):
        payload = b'{"hook_event_name":"UserPromptSubmit","prompt":"' + b"y" * size + b'"}'
        payload = payload if size < 1 << 20 else b'{"hook_event_name":"Other","prompt":"' + b"y" * size + b'"}'
        with _daemon(client.project):
            code, out, _ = client(payload, "--closed")
        assert code == 0
        assert len(out) > size or not out


def test_without_a_daemon_the_cold_way_answers(client: Client) -> None:
    client.cold_code(_COLD)
    assert client() == (2, b"", b"cold says no\n")
    code, out, err = client(b'{"hook_event_name":"PreToolUse"}')
    assert (code, err) == (0, b"")
    assert json.loads(out)["hookSpecificOutput"]["additionalContext"] == "cold"


def test_what_a_guard_in_the_daemon_has_no_time_for_is_decided_the_cold_way(client: Client) -> None:
    def slow(_: Call) -> Outcome:
        time.sleep(0.4)
        return Outcome(deny="late")

    def denies(_: Call) -> Outcome:
        return Outcome(deny="no")

    busy, quick = Handler("busy", slow, "closed", 20), Handler("quick", denies)
    with _daemon(client.project, {"PreToolUse": (busy,)}):
        assert client(TOOL, "--closed")[0] == 2  # nobody can decide
        client.cold_code(_COLD)
        assert client(b'{"hook_event_name":"PreToolUse"}', "--closed")[0] == 0
    with _daemon(client.project, {"PreToolUse": (busy, quick)}):
        assert client(TOOL, "--closed") == (2, b"", b"no\n")
    with _daemon(client.project, {"PreToolUse": (Handler("busy", slow, "open", 20),)}):
        assert client(TOOL, "--closed") == SILENT


def test_the_installed_cold_way_works(client: Client) -> None:
    (client.project.path / ".agent-studio/bin/decide.cold").unlink()
    assert build.install(client.project).decide == client.command
    assert client(TOOL, "--closed") == SILENT
    assert client(TOOL, "--closed", env=None) == SILENT


def _hang_on(connection: socket.socket) -> None:
    connection.recv(100)
    time.sleep(1.2)


def _trickle(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    with suppress(OSError):
        for _ in range(100):
            connection.sendall(b"\0")
            time.sleep(0.02)


def _die_in_mid_answer(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(protocol.answer(Decision(2, b"", b"never whole"))[:-3])


def _babble(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _hang_up(connection: socket.socket) -> None:
    connection.close()


@pytest.mark.parametrize("other", [_hang_on, _trickle, _die_in_mid_answer, _babble, _hang_up])
def test_a_daemon_that_does_not_answer_in_time_or_whole_is_passed_over(
    client: Client, other: Callable[[socket.socket], None]
) -> None:
    with _other(client.state, other):
        started = time.monotonic()
        assert client() == SILENT
        assert client(TOOL, "--closed")[::2] == (
            2,
            b"agent-studio: no decision: neither the daemon nor Python answers\n",
        )
        assert time.monotonic() - started < 2.5
        client.cold_code(_COLD)
        assert client() == (2, b"", b"cold says no\n")


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(2)", "raise RuntimeError", "print('what')", "import os; os.write(1, b'\\0' * 8)",
        "import os; os.kill(os.getpid(), 9)", "import os; os.write(1, b'\\2' + b'\\0' * 8); os._exit(1)",
    ],
    ids=["usage", "crash", "babble", "short", "killed", "answered-then-failed"],
)  # fmt: skip
def test_a_cold_way_that_fails_is_open_or_closed_and_says_nothing_else(client: Client, code: str) -> None:
    client.cold_code(code)
    assert client() == SILENT
    assert client(TOOL, "--closed") == (2, b"", b"agent-studio: no decision: neither the daemon nor Python answers\n")


def test_a_cold_way_that_hangs_is_ended(client: Client) -> None:
    client.cold_code("import time; time.sleep(30)")
    started = time.monotonic()
    assert client(TOOL, "--closed")[0] == 2
    assert 4.5 < time.monotonic() - started < 9


def test_no_cold_way_at_all_is_open_or_closed(client: Client) -> None:
    (client.project.path / ".agent-studio/bin/decide.cold").unlink()
    assert client() == SILENT
    assert client(TOOL, "--closed")[0] == 2


@pytest.mark.parametrize("env", ["", "stag", "staging2", "prod uction"])
def test_an_unknown_environment_is_not_decided_on(client: Client, env: str) -> None:
    client.cold_code(_COLD)
    with _daemon(client.project):
        assert client(env=env) == SILENT
        code, out, err = client(TOOL, "--closed", env=env)
        assert (code, out) == (2, b"")
        assert b"unknown environment" in err


def test_the_variable_chooses_whose_daemon_is_asked(client: Client) -> None:
    with _daemon(client.project):
        assert client(env=" STAGING\n")[0] == 2
        assert client(env="production") == SILENT
        assert client(env=None) == SILENT


def test_a_payload_over_sixteen_megabytes_is_read_and_not_decided_on(client: Client) -> None:
    payload = b'{"a":"' + b"x" * (17 << 20) + b'"}'
    assert client(payload) == SILENT
    assert client(payload, "--closed") == (2, b"", b"agent-studio: no decision: the payload is over 16 MiB\n")


def test_a_folder_of_somebody_else_is_not_entered(client: Client) -> None:
    with _daemon(client.project):
        client.state.chmod(0o777)
        assert client() == SILENT
        client.state.chmod(0o700)
        moved = client.state.rename(client.state.with_name("elsewhere"))
        client.state.symlink_to(moved)
        assert client() == SILENT
        client.state.unlink()
        moved.rename(client.state)
        assert client()[0] == 2


def test_the_client_works_in_a_folder_that_is_gone_and_with_a_closed_stdin(client: Client, tmp_path: Path) -> None:
    with _daemon(client.project):
        gone = tmp_path / "gone"
        gone.mkdir()
        line = f"cd '{gone}' && rmdir '{gone}' && exec '{client.command[0]}'"
        done = subprocess.run(["sh", "-c", line], input=TOOL, env={**os.environ, "AGENT_STUDIO_ENV": "staging"},
                              capture_output=True, check=False)  # fmt: skip
        assert (done.returncode, done.stderr) == (2, b"not here\n")
        done = subprocess.run(["sh", "-c", f"exec '{client.command[0]}' <&-"], capture_output=True, check=False,
                              env={**os.environ, "AGENT_STUDIO_ENV": "staging"})  # fmt: skip
        assert (done.returncode, done.stdout) == (0, b"")


def test_a_project_with_a_very_long_path_is_decided_on(tmp_path: Path) -> None:
    if build.compiler() is None:
        pytest.skip("no C compiler was found")
    path = tmp_path.joinpath(*["n" * 100] * 3)
    (path / ".claude").mkdir(parents=True)
    project = Project(path.resolve())
    client = Client(project, build.install(project).decide)
    with _daemon(project):
        assert len(str(client.state)) > 300
        assert client() == (2, b"", b"not here\n")


def test_many_clients_at_once_are_answered(client: Client) -> None:
    with _daemon(client.project):
        environment = {**os.environ, "AGENT_STUDIO_ENV": "staging"}
        processes = [
            subprocess.Popen([*client.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment)
            for _ in range(40)
        ]  # fmt: skip
        for process in processes:
            assert process.communicate(TOOL, timeout=30) == (b"", b"not here\n")
            assert process.returncode == 2


def test_a_decision_records_nothing(client: Client) -> None:
    before = {place.relative_to(client.project.path) for place in client.project.path.rglob("*")}
    client()
    assert {place.relative_to(client.project.path) for place in client.project.path.rglob("*")} == before


# --- installation ---------------------------------------------------------------------------------------------------


def test_without_a_compiler_the_command_is_the_cold_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "COMPILERS", ("no-such-compiler",))
    done = build.install(project)
    assert done.decide[0] == sys.executable
    assert done.decide[-1] == str(project.path / ".agent-studio")
    assert build.installed(project) == done
    client = Client(project, done.decide)
    assert client() == SILENT
    assert client(TOOL, "--closed") == SILENT
    assert client(TOOL, "--closed", env="stagign")[0] == 2
    assert client(b'{"a":"' + b"x" * (17 << 20) + b'"}', "--closed")[0] == 2
    told = [sys.executable, "-I", "-c", _COLD, done.decide[-1]]
    assert Client(project, tuple(told))() == (2, b"", b"cold says no\n")


def test_a_client_that_is_gone_or_of_another_version_is_put_back(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {finding.code for finding in build.findings(client.project)}
    assert "decide-stale" in codes  # the fixture changed the cold command
    build.install(client.project)
    assert "decide-stale" not in {finding.code for finding in build.findings(client.project)}
    Path(client.command[0]).write_bytes(b"#!/bin/sh\nexit 2\n")
    assert not decision.current(client.project)
    build.install(client.project)
    assert client() == SILENT
    newer = tmp_path / "decide.c"
    newer.write_bytes(decision.SOURCE.read_bytes() + b"\n")
    monkeypatch.setattr(decision, "SOURCE", newer)
    assert "decide-stale" in {finding.code for finding in build.findings(client.project)}


def test_a_client_that_does_not_work_gives_way_to_the_cold_command(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "decide.c"
    source.write_text("int main(void) { return 0; }")
    monkeypatch.setattr(decision, "SOURCE", source)
    done = build.install(project)
    assert done.decide[0] == sys.executable
    assert not (project.path / ".agent-studio/bin/decide").exists()


def _compiles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every run of the compiler."""
    started: list[str] = []
    real = build.compile_to

    def compile_to(target: Path, *options: str, source: Path | None = None) -> str:
        started.append(target.name)
        return real(target, *options, source=source)

    monkeypatch.setattr(build, "compile_to", compile_to)
    return started


def _projects(base: Path) -> Iterator[Project]:
    for number in range(9):
        path = base / str(number)
        (path / ".claude").mkdir(parents=True)
        yield Project(path.resolve())


def test_a_second_project_costs_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if build.compiler() is None:
        pytest.skip("no C compiler was found")
    started = _compiles(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    projects = _projects(tmp_path / "projects")
    first, second = next(projects), next(projects)
    build.install(first)
    assert sorted(started) == ["compiled", "compiled-decide"]
    cached = sorted((tmp_path / "cache/agent-studio").iterdir())
    assert [place.stat().st_mode & 0o777 for place in (cached[0].parent, *cached)] == [0o700, 0o600, 0o600]
    build.install(second)
    assert len(started) == 2
    assert Path(build.install(first).decide[0]).read_bytes() == Path(build.install(second).decide[0]).read_bytes()
    assert len(started) == 2


def test_a_cache_that_cannot_be_trusted_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if build.compiler() is None:
        pytest.skip("no C compiler was found")
    projects = _projects(tmp_path / "projects")
    started = _compiles(monkeypatch)
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    build.install(next(projects))
    place = cache / "agent-studio"
    kept = {file.name: file.read_bytes() for file in place.iterdir()}

    def compiled_again() -> bool:
        started.clear()
        assert build.install(next(projects)).kind == "native"
        return len(started) == 2

    for name, data in kept.items():
        (place / name).write_bytes(data[:-1] + b"x")
    assert compiled_again()
    assert {file.name: file.read_bytes() for file in place.iterdir()} == kept
    place.chmod(0o755)
    assert compiled_again()
    place.chmod(0o700)
    assert not compiled_again()
    (place / min(kept)).unlink()
    (place / min(kept)).symlink_to(place / max(kept))
    build.install(next(projects))
    for nowhere in ("/dev/null", "/proc/1"):
        monkeypatch.setenv("XDG_CACHE_HOME", nowhere)
        assert compiled_again()
