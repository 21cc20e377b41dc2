"""The recorder, compiled and in Python: nothing lost, nothing torn, nothing in the wrong place, nobody delayed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_studio.capture.recorder import build, routes
from agent_studio.environment.detect import Environment
from agent_studio.environment.findings import Severity
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root
from agent_studio.errors import UnsafePathError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOURCE = Path(build.__file__).parent
LIMIT = 1_000_000_000
KINDS = ("native", "python")

if sys.platform == "win32":
    pytest.skip("written for POSIX systems", allow_module_level=True)


def _event(name: str, **fields: object) -> bytes:
    base = {
        "session_id": "4f1f0c7e-7a55-4f0e-9d1f-0a4d1be6a001",
        "transcript_path": "/home/dev/.claude/projects/-srv-shop/4f1f0c7e.jsonl",
        "cwd": "/srv/shop",
        "permission_mode": "default",
        "hook_event_name": name,
    }
    return json.dumps({**base, **fields}, ensure_ascii=False).encode()


EVENTS = (
    _event("SessionStart", source="startup", model="claude-sonnet"),
    _event("UserPromptSubmit", prompt='größer — "quoted" \\ tab\there\nline'),
    _event("PreToolUse", tool_name="Bash", tool_input={"command": "printf '\\0'"}, tool_use_id="toolu_01"),
    _event("PostToolUse", tool_name="Read", tool_response={"content": "x" * 3_000}, duration_ms=12),
    json.dumps(json.loads(_event("Stop", stop_hook_active=False)), indent=2).encode() + b"\r\n",
)
PLAUSIBLE = (b"[1]", b'"text"', b"-1", b"0", b"true", b"false", b"null", b"  \n{}\n", b"[" * 20_000, b'{"cut":"of')
FOREIGN = (
    b"what is not JSON", b'{"a":"\0"}', b"\0", b"\xff\xfe{", b'x"\\\x01\x1f\x7f' + "ü€😀".encode(), b"x" * 2_000,
    b"x" * 1_022 + "€".encode(), b"\xc0\xaf \xed\xa0\x80 \xf5\x80\x80\x80 \xe2\x82 \xf0\x9f\x98", b"  \n" + b"\0",
)  # fmt: skip
EMPTY = (b"", b" ", b"\n\r\n\t")
CORPUS = (*EVENTS, *PLAUSIBLE, *FOREIGN, *EMPTY)


@dataclass(frozen=True)
class Recorder:
    """A recorder in a project's `.agent-studio/bin`, and what surrounds it."""

    command: tuple[str, ...]
    state: Path
    variables: dict[str, str]

    def __call__(
        self, payload: bytes = b"{}", *words: str, env: str | None = "staging", **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        options.setdefault("input", payload)
        return subprocess.run(
            [*self.command, *words], env=self.environment(env), capture_output=True, timeout=60, check=False, **options
        )

    def environment(self, env: str | None = "staging") -> dict[str, str]:
        chosen = {} if env is None else {"AGENT_STUDIO_ENV": env}
        return {**os.environ, **self.variables, **chosen}

    def inbox(self, name: str = "staging") -> Path:
        return self.state.parent / f"data/{name}/events.jsonl"

    def lines(self, place: Path | None = None) -> list[bytes]:
        place = place or self.inbox()
        return place.read_bytes().splitlines(keepends=True) if place.exists() else []

    def records(self, place: Path | None = None) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines(place)]

    def unrouted(self) -> list[dict[str, Any]]:
        return self.records(self.state / "unrouted.jsonl")

    def routes(self, *lines: str) -> None:
        (self.state / "routes").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path | str:
    """The compiled program, or why there is none."""
    target = tmp_path_factory.mktemp("recorder") / "recorder"
    return build.compile_to(target, "-Wall", "-Wextra", "-Werror") or target


def _placed(kind: str, base: Path, compiled: Path | str) -> Recorder:
    state = base / "my project ünï" / ".agent-studio"
    (state / "bin").mkdir(parents=True)
    command: tuple[str, ...] = (str(state / "bin/recorder"),)
    if kind == "native":
        if isinstance(compiled, str):
            pytest.skip(compiled)
        shutil.copy(compiled, command[0])
    else:
        command = (os.path.realpath(sys.executable), "-I", "-S", f"{command[0]}.py")
        shutil.copy(SOURCE / "twin.py", command[-1])
        shutil.copy(SOURCE / "twin_exec.py", state / "bin")
    recorder = Recorder(command, state, {})
    for name in Environment:
        recorder.inbox(name).parent.mkdir(parents=True)
    recorder.routes(*(f"{name}\t{recorder.inbox(name)}\t{LIMIT}" for name in Environment))
    return recorder


@pytest.fixture(params=["native", "python"])
def recorder(request: pytest.FixtureRequest, tmp_path: Path, compiled: Path | str) -> Recorder:
    return _placed(request.param, tmp_path, compiled)


@pytest.fixture
def both(tmp_path: Path, compiled: Path | str) -> list[Recorder]:
    return [_placed(kind, tmp_path / kind, compiled) for kind in KINDS]


def _without_figures(line: bytes) -> bytes:
    return re.sub(rb'("ts"|"pid"|"duration_ms"):[0-9.]+', rb"\1:N", line)


# --- one line -------------------------------------------------------------------------------------------------------


def test_an_event_is_one_line_of_exactly_the_agreed_form(recorder: Recorder) -> None:
    before = time.time_ns()
    done = recorder(b'{"a":\n1}\r\n')
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (line,) = recorder.lines()
    assert re.fullmatch(rb'\{"ts":[0-9]+,"pid":[0-9]+,"kind":"hook","payload":\{"a": 1\}  \}\n', line)
    assert before <= json.loads(line)["ts"] <= time.time_ns()
    assert recorder.inbox().stat().st_mode & 0o777 == 0o600


def test_events_of_the_client_come_back_as_they_were(recorder: Recorder) -> None:
    for payload in EVENTS:
        assert recorder(payload).returncode == 0
    assert [record["payload"] for record in recorder.records()] == [json.loads(payload) for payload in EVENTS]


def test_what_is_no_json_is_kept_as_text_with_its_length(recorder: Recorder) -> None:
    for payload in FOREIGN:
        assert recorder(payload).returncode == 0
    for payload, record in zip(FOREIGN, recorder.records(), strict=True):
        kept = payload[:1_024].decode("utf-8", "surrogateescape")
        text = "".join("\ufffd" if "\udc80" <= letter <= "\udcff" else letter for letter in kept)
        assert (record["payload"], record["bytes"]) == (text, len(payload))


def test_an_empty_payload_is_null(recorder: Recorder) -> None:
    for payload in EMPTY:
        assert recorder(payload).returncode == 0
    assert [record["payload"] for record in recorder.records()] == [None] * len(EMPTY)


def test_what_only_starts_like_json_is_left_to_the_reader(recorder: Recorder) -> None:
    recorder(b'{"cut":"of')
    assert recorder.lines()[0].endswith(b'"payload":{"cut":"of}\n')


def test_both_recorders_write_the_same_bytes(both: list[Recorder]) -> None:
    for payload in CORPUS:
        for env in ("staging", 'stagign \x7f"', None):
            for recorder in both:
                assert recorder(payload, env=env).returncode == 0
    for place in ("../data/staging/events.jsonl", "../data/development/events.jsonl", "unrouted.jsonl"):
        native, python = ([_without_figures(line) for line in one.lines(one.state / place)] for one in both)
        assert len(native) == len(CORPUS)
        assert native == python


@settings(max_examples=40)
@given(st.binary(max_size=1_400), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
@example(b"{" + b"\xc3" * 1_023, "\u3000staging")
def test_both_recorders_agree_on_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, compiled: Path | str, payload: bytes, env: str
) -> None:
    base = tmp_path_factory.mktemp("any")
    both = [_placed(kind, base / kind, compiled) for kind in KINDS]
    found = []
    for recorder in both:
        assert recorder(payload, env=env).returncode == 0
        places = (recorder.state / "unrouted.jsonl", *map(recorder.inbox, Environment))
        found.append([[_without_figures(line) for line in recorder.lines(place)] for place in places])
    assert found[0] == found[1]
    shutil.rmtree(base)


# --- routes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "expected"),
    [(None, "development"), ("staging", "staging"), (" PRODUCTION\n", "production"), ("Development", "development")],
)
def test_the_variable_chooses_the_environment(recorder: Recorder, env: str | None, expected: str) -> None:
    recorder(env=env)
    assert {name: len(recorder.lines(recorder.inbox(name))) for name in Environment} == {
        name: int(name == expected) for name in Environment
    }
    assert recorder.unrouted() == []


@pytest.mark.parametrize("env", ["", "  ", "stag", "productio", "staging2", "prod\tuction", 'a"b\\c\x01', "ü" * 60])
def test_an_unknown_environment_lands_in_no_inbox(recorder: Recorder, env: str) -> None:
    assert recorder(b'{"a":1}', env=env).returncode == 0
    assert not any(recorder.lines(recorder.inbox(name)) for name in Environment)
    (record,) = recorder.unrouted()
    assert record["env"] == env.encode()[:64].decode()
    assert (record["reason"], record["kind"], record["payload"]) == ("unknown environment", "hook", {"a": 1})
    assert (recorder.state / "unrouted.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "table", [None, "", "staging", "staging\t", "staging\trelative/events.jsonl", "stagings\t/tmp/x", "\t\t\n\n\x00"]
)
def test_an_environment_without_a_route_lands_in_no_inbox(recorder: Recorder, table: str | None) -> None:
    (recorder.state / "routes").unlink()
    if table is not None:
        recorder.routes(table)
    assert recorder().returncode == 0
    assert [(record["env"], record["reason"]) for record in recorder.unrouted()] == [("staging", "no route")]


def test_an_inbox_of_two_environments_names_the_environment_in_every_line(recorder: Recorder) -> None:
    shared = recorder.inbox("production")
    recorder.routes(f"development\t{shared}", f"production\t{shared}\t{LIMIT}", f"staging\t{recorder.inbox()}")
    for env in (None, "PRODUCTION", "staging"):
        recorder(env=env)
    assert [record["env"] for record in recorder.records(shared)] == ["development", "production"]
    assert "env" not in recorder.records()[0]


def _link(inbox: Path) -> None:
    inbox.symlink_to(inbox.parent.with_name("production") / "events.jsonl")


def _hard_link(inbox: Path) -> None:
    other = inbox.parent.with_name("production") / "events.jsonl"
    other.touch()
    inbox.hardlink_to(other)


def _remove_folder(inbox: Path) -> None:
    inbox.parent.rmdir()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_link, "inbox: "),
        (_hard_link, "inbox: not a plain file"),
        (lambda inbox: inbox.mkdir(), "inbox: Is a directory"),
        (os.mkfifo, "inbox: not a plain file"),
        (_remove_folder, "inbox: No such file or directory"),
    ],
    ids=["link", "hard-link", "folder", "pipe", "no-folder"],
)
def test_an_inbox_that_is_not_a_plain_file_of_its_own_is_refused(
    recorder: Recorder, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(recorder.inbox())
    assert recorder(b'{"a":1}').returncode == 0
    (record,) = recorder.unrouted()
    assert record["reason"].startswith(reason)
    assert record["payload"] == {"a": 1}
    assert recorder.lines(recorder.inbox("production")) == []


# --- whatever happens -----------------------------------------------------------------------------------------------


def test_a_closed_stdin_is_an_empty_payload(recorder: Recorder) -> None:
    line = " ".join(f"'{word}'" for word in recorder.command)
    done = subprocess.run(["sh", "-c", f"{line} <&-"], env=recorder.environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert recorder.records()[0]["payload"] is None


def test_a_stdin_that_is_a_folder_is_an_empty_payload(tmp_path: Path, compiled: Path | str) -> None:
    """The program only: Python itself refuses to start."""
    recorder = _placed("native", tmp_path, compiled)
    handle = os.open(tmp_path, os.O_RDONLY)
    done = subprocess.run(recorder.command, env=recorder.environment(), stdin=handle, capture_output=True, check=False)
    os.close(handle)
    assert (done.returncode, done.stderr) == (0, b"")
    assert recorder.records()[0]["payload"] is None


def test_a_stdin_that_does_not_block_is_waited_for(recorder: Recorder) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = subprocess.Popen(recorder.command, env=recorder.environment(), stdin=reading)
    time.sleep(0.1)
    os.write(writing, b'{"late":true}')
    os.close(writing)
    assert process.wait(20) == 0
    os.close(reading)
    assert recorder.records()[0]["payload"] == {"late": True}


def test_fifty_megabytes_are_counted_and_not_kept(recorder: Recorder) -> None:
    payload = b'{"a":"' + b"x" * 50_000_000 + b'"}'
    assert recorder(payload).returncode == 0
    (record,) = recorder.records()
    assert (record["bytes"], record["payload"]) == (len(payload), payload[:1_024].decode())


def test_what_would_pass_the_limit_of_the_inbox_is_cut(recorder: Recorder) -> None:
    recorder.routes(f"staging\t{recorder.inbox()}\t5000")
    payload = _event("PostToolUse", tool_response="x" * 3_000)
    for _ in range(3):
        assert recorder(payload).returncode == 0
    first, *others = recorder.records()
    assert first["payload"] == json.loads(payload)
    assert [(one["bytes"], one["payload"]) for one in others] == [(len(payload), payload[:1_024].decode())] * 2


def test_a_limit_that_is_no_number_is_none(recorder: Recorder) -> None:
    for limit in ("", "-1", "12x", "1e3", "9" * 30):
        recorder.routes(f"staging\t{recorder.inbox()}\t{limit}")
        recorder(b'{"a":1}')
    assert [record["payload"] for record in recorder.records()] == [{"a": 1}] * 5


def test_a_project_that_is_gone_or_read_only_changes_nothing_for_the_agent(recorder: Recorder) -> None:
    (recorder.state / "unrouted.jsonl").mkdir()
    (recorder.state / "routes").unlink()
    done = recorder(b'{"a":1}')
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    shutil.rmtree(recorder.inbox().parents[1])
    recorder.routes(f"staging\t{recorder.inbox()}")
    assert recorder(b'{"a":1}').returncode == 0


def test_a_full_disk_is_no_matter_of_the_agent(recorder: Recorder) -> None:
    """A limit on file sizes stands for the disk: the write fails, or ends before the line does."""
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, 4_096))

    for size in (3_000, 3_000, 3_000):
        done = recorder(b'{"a":"' + b"x" * size + b'"}', preexec_fn=limited)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert recorder(b'{"after":1}').returncode == 0
    lines = recorder.lines()
    assert json.loads(lines[0])["payload"] == {"a": "x" * 3_000}
    assert json.loads(lines[-1])["payload"] == {"after": 1}  # not glued to the line that was cut
    reasons = [record["reason"] for record in map(json.loads, recorder.lines(recorder.state / "unrouted.jsonl")[:1])]
    assert reasons == ["inbox: written in part"]


def test_a_line_without_an_end_does_not_swallow_the_next(recorder: Recorder) -> None:
    recorder.inbox().write_bytes(b'{"ts":1,"pid":2,"kind":"hook","payload":{"torn')
    recorder(b'{"a":1}')
    recorder(b'{"a":2}')
    assert [json.loads(line)["payload"] for line in recorder.lines()[1:]] == [{"a": 1}, {"a": 2}]


def test_a_held_lock_delays_the_agent_for_a_moment_only(recorder: Recorder) -> None:
    recorder.inbox().touch()
    with recorder.inbox().open("r+b") as held:
        os.lockf(held.fileno(), os.F_LOCK, 0)
        started = time.monotonic()
        assert recorder(b'{"a":1}').returncode == 0
        assert time.monotonic() - started < 5
        assert recorder.inbox().read_bytes().endswith(b'{"a":1}}\n')


def test_a_torn_line_is_ended_also_while_another_holds_the_lock(recorder: Recorder) -> None:
    torn = b'{"ts":1,"pid":2,"kind":"hook","payload":{"torn'
    recorder.inbox().write_bytes(torn)
    with recorder.inbox().open("r+b") as held:
        os.lockf(held.fileno(), os.F_LOCK, 0)
        recorder(b'{"a":1}')
        recorder(b'{"a":2}')
    first, *others = filter(None, recorder.inbox().read_bytes().split(b"\n"))
    assert first == torn
    assert [json.loads(line)["payload"] for line in others] == [{"a": 1}, {"a": 2}]


def test_a_segment_sealed_while_it_was_waited_for_is_left_alone(recorder: Recorder) -> None:
    recorder.inbox().touch()
    for _ in range(3):
        with recorder.inbox().open("r+b") as held:
            os.lockf(held.fileno(), os.F_LOCK, 0)
            process = subprocess.Popen(recorder.command, env=recorder.environment(), stdin=subprocess.DEVNULL)
            time.sleep(0.06)
            recorder.inbox().rename(recorder.inbox().with_name("events.1.jsonl"))
        assert process.wait(20) == 0
        assert recorder.lines(recorder.inbox().with_name("events.1.jsonl")) == []
        assert len(recorder.lines()) == 1
        recorder.inbox().write_bytes(b"")


# --- many at once ---------------------------------------------------------------------------------------------------

_WRITER = """
import json, subprocess, sys
writer, count, size, *command = sys.argv[1:]
for number in range(int(count)):
    payload = json.dumps({"writer": int(writer), "number": number, "text": chr(97 + int(writer)) * int(size)})
    subprocess.run(command, input=payload.encode(), check=True)
"""


def _write_at_once(recorder: Recorder, writers: int, count: int, size: int) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(writer), str(count), str(size), *recorder.command],
            env=recorder.environment(),
        )
        for writer in range(writers)
    ]
    assert [process.wait(300) for process in processes] == [0] * writers


@pytest.mark.parametrize(("count", "size"), [(200, 3_000), (20, 300_000)])
def test_writers_at_once_lose_and_tear_nothing(recorder: Recorder, count: int, size: int) -> None:
    native = len(recorder.command) == 1
    count = count if native else count // 10
    _write_at_once(recorder, 8, count, size)
    found = [record["payload"] for record in recorder.records()]
    assert sorted((one["writer"], one["number"]) for one in found) == [(w, n) for w in range(8) for n in range(count)]
    assert all(one["text"] == chr(97 + one["writer"]) * size for one in found)
    assert recorder.unrouted() == []


def test_both_recorders_write_to_one_inbox_at_once(both: list[Recorder]) -> None:
    for recorder in both:
        recorder.routes(f"staging\t{both[0].inbox()}")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(writer), "10", "300000", *both[writer % 2].command],
            env=both[0].environment(),
        )
        for writer in range(4)
    ]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert sorted((one["payload"]["writer"], one["payload"]["number"]) for one in both[0].records()) == [
        (writer, number) for writer in range(4) for number in range(10)
    ]


def test_nothing_acknowledged_is_lost_when_others_are_killed(recorder: Recorder) -> None:
    chance = random.Random(7)
    acknowledged = []
    for number in range(60):
        payload = b'{"number":%d,"text":"%s"}' % (number, b"x" * 300_000)
        process = subprocess.Popen(recorder.command, env=recorder.environment(), stdin=subprocess.PIPE)
        assert process.stdin
        if number % 2:
            timer = time.monotonic() + chance.random() * 0.02
            while time.monotonic() < timer and number % 4 == 1:
                pass
            process.kill()
        try:
            process.communicate(payload)
        except BrokenPipeError:
            process.wait()
        if process.returncode == 0:
            acknowledged.append(number)
    found = set()
    for line in recorder.lines():
        try:
            found.add(json.loads(line)["payload"]["number"])
        except ValueError:
            continue
    assert set(acknowledged) <= found
    assert len(acknowledged) >= 30


# --- exec -----------------------------------------------------------------------------------------------------------


def _payload(recorder: Recorder) -> dict[str, Any]:
    (record,) = recorder.records()
    assert record["kind"] == "exec"
    payload: dict[str, Any] = record["payload"]
    return payload


def test_a_command_is_timed_and_named(recorder: Recorder) -> None:
    recorder = replace(recorder, variables={"CLAUDE_CODE_SESSION_ID": "s-1", "CLAUDE_PROJECT_DIR": '/srv/a "b"'})
    started = time.monotonic()
    done = recorder(b"", "exec", "--hook", 'a\t"b\\\x01', "--", "sh", "-c", "sleep 0.05; exit 2", "ü")
    assert done.returncode == 2
    payload = _payload(recorder)
    assert 50 <= payload.pop("duration_ms") <= (time.monotonic() - started) * 1_000
    assert payload == {
        "hook": 'a\t"b\\\x01', "exit": 2, "signal": None, "command": ["sh", "-c", "sleep 0.05; exit 2", "ü"],
        "session_id": "s-1", "project_dir": '/srv/a "b"',
    }  # fmt: skip


def test_a_shell_line_is_run_by_the_shell(recorder: Recorder) -> None:
    done = recorder(b"in\n", "exec", "--hook", "h", "--shell", 'read word; echo "got $word" | tr a-z A-Z; exit 3')
    assert (done.returncode, done.stdout) == (3, b"GOT IN\n")
    assert _payload(recorder)["command"][:2] == ["/bin/sh", "-c"]


_COPY = (
    "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stdout.flush();"
    "sys.stderr.buffer.write(data[::-1]); sys.stderr.flush(); sys.exit(int(sys.argv[1]))"
)


@settings(max_examples=15)
@given(st.binary(max_size=3_000), st.integers(0, 255))
@example(b"x" * 300_000, 255)
def test_input_output_and_exit_code_pass_through_untouched(
    tmp_path_factory: pytest.TempPathFactory, compiled: Path | str, data: bytes, code: int
) -> None:
    base = tmp_path_factory.mktemp("exec")
    for kind in KINDS:
        recorder = _placed(kind, base / kind, compiled)
        done = recorder(data, "exec", "--hook", "copy", "--", sys.executable, "-I", "-S", "-c", _COPY, str(code))
        assert (done.returncode, done.stdout, done.stderr) == (code, data, data[::-1])
        assert _payload(recorder)["exit"] == code
    shutil.rmtree(base)


def test_the_environment_of_a_command_is_the_callers(recorder: Recorder) -> None:
    variables = {"A": "1", "AGENT_STUDIO_ENV": "staging", "LINE": "a\nb", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [*recorder.command, "exec", "--", "env", "-0"], env=variables, capture_output=True, check=True
    )
    assert sorted(done.stdout.split(b"\0")[:-1]) == sorted(f"{key}={text}".encode() for key, text in variables.items())


def _refused(folder: Path) -> Path:
    place = folder / "not executable"
    place.write_text("#!/bin/sh\n")
    return place


def test_a_command_that_cannot_be_started_exits_as_in_a_shell(recorder: Recorder, tmp_path: Path) -> None:
    for command, code in (("no-such-command", 127), ("/no/such", 127), (str(_refused(tmp_path)), 126), ("/", 126)):
        done = recorder(b"", "exec", "--hook", "h", "--", command)
        assert done.returncode == code
        assert command.encode() in done.stderr
        assert done.stdout == b""
    assert [record["payload"]["exit"] for record in recorder.records()] == [127, 127, 126, 126]


@pytest.mark.parametrize("words", [(), ("--hook",), ("--hook", "h"), ("--hook", "h", "--"), ("--",), ("--what", "x")])
def test_exec_without_a_command_says_how_it_is_used_and_blocks_nothing(
    recorder: Recorder, words: Sequence[str]
) -> None:
    done = recorder(b"", "exec", *words)
    assert done.returncode == 127
    assert done.stderr.startswith(b"usage: recorder exec")
    assert recorder.lines() == []


def test_a_script_without_a_first_line_is_run_by_the_shell(recorder: Recorder, tmp_path: Path) -> None:
    script = tmp_path / "plain"
    script.write_text('echo "script $1"\n')
    script.chmod(0o755)
    assert recorder(b"", "exec", "--", str(script), "ran").stdout == b"script ran\n"


def test_death_by_a_signal_is_told_as_a_shell_does(recorder: Recorder) -> None:
    assert recorder(b"", "exec", "--hook", "h", "--", "sh", "-c", "kill -9 $$").returncode == 137
    payload = _payload(recorder)
    assert (payload["exit"], payload["signal"]) == (None, 9)
    assert "timedOut" not in payload


def _started(recorder: Recorder, script: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*recorder.command, "exec", "--hook", "h", "--", "sh", "-c", script],
        env=recorder.environment(), stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "timed_out"), [(signal.SIGTERM, True), (signal.SIGINT, False), (signal.SIGHUP, False)]
)
def test_a_signal_reaches_the_command_and_the_record_is_still_written(
    recorder: Recorder, number: int, *, timed_out: bool
) -> None:
    process = _started(recorder, "trap 'echo told; exit 7' TERM INT HUP; echo ready; while :; do sleep 0.02; done")
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (7, b"told\n")
    payload = _payload(recorder)
    assert (payload["exit"], payload.get("timedOut", False)) == (7, timed_out)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the tree of processes in /proc")
@pytest.mark.parametrize("command_first", [False, True])
@pytest.mark.parametrize("told", [False, True])
def test_a_slow_command_that_is_ended_by_force_is_recorded_all_the_same(
    recorder: Recorder, *, told: bool, command_first: bool
) -> None:
    process = _started(recorder, "trap '' TERM; echo ready; exec sleep 30")
    if told:
        process.terminate()
    time.sleep(0.9)
    assert recorder.lines() == []
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    tree = [process.pid, *map(int, children)]
    for pid in reversed(tree) if command_first else tree:
        os.kill(pid, signal.SIGKILL)  # the whole tree, as a client does, in whatever order it lists it
        time.sleep(0.05 if command_first else 0)
    process.communicate(timeout=20)  # whoever is left behind does not hold the client's pipes
    until = time.monotonic() + 10
    while not recorder.lines() and time.monotonic() < until:
        time.sleep(0.02)
    payload = _payload(recorder)
    assert (payload["exit"], payload["signal"], payload["timedOut"]) == (None, None, True)


def test_a_slow_command_that_ends_is_recorded_once(recorder: Recorder) -> None:
    process = _started(recorder, "trap '' TERM; echo ready; sleep 0.9; exit 5")
    process.terminate()
    assert process.wait(20) == 5
    process.communicate()
    time.sleep(0.3)
    assert len(recorder.lines()) == 1
    assert (_payload(recorder)["exit"], _payload(recorder)["timedOut"]) == (5, True)


def test_a_killed_recorder_takes_the_command_with_it(tmp_path: Path, compiled: Path | str) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ties a process to its parent")
    process = _started(_placed("native", tmp_path, compiled), "echo ready; exec sleep 60")
    process.kill()
    assert process.stdout
    assert process.stdout.read() == b""  # ends once the last holder of the pipe is gone
    process.communicate()


def test_recording_that_fails_changes_nothing_about_the_command(recorder: Recorder) -> None:
    shutil.rmtree(recorder.inbox().parent)
    (recorder.state / "unrouted.jsonl").mkdir()
    done = recorder(b"in", "exec", "--hook", "h", "--", "sh", "-c", "cat; exit 2")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"in", b"")


def test_a_command_of_no_environment_runs_and_goes_to_no_inbox(recorder: Recorder) -> None:
    assert recorder(b"", "exec", "--hook", "h", "--", "false", env="nowhere").returncode == 1
    assert [(one["kind"], one["payload"]["hook"], one["env"]) for one in recorder.unrouted()] == [
        ("exec", "h", "nowhere")
    ]


def test_both_recorders_write_the_same_bytes_about_a_command(both: list[Recorder]) -> None:
    long = [str(number) for number in range(100)]
    for words in (
        ("--", "true", "\x7f\x1f", "é" * 600), ("--", "sh", "-c", "exit 9"), ("--shell", "kill -15 $$"),
        ("--", "true", *long), ("--", "no-such"), ("--hook", "other", "--", "true", os.fsdecode(b"\xff\xfe")),
    ):  # fmt: skip
        first, second = (recorder(b"", "exec", "--hook", "h", *words) for recorder in both)
        assert (first.returncode, first.stderr) == (second.returncode, second.stderr)
    native, python = ([_without_figures(line) for line in recorder.lines()] for recorder in both)
    assert native == python
    assert len(native) == 6


def test_the_program_is_clean_under_sanitizers(tmp_path: Path) -> None:
    target = tmp_path / "sanitized"
    reason = build.compile_to(
        target, "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    )
    if reason:
        pytest.skip(reason)
    options = {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99"}
    recorder = replace(_placed("native", tmp_path, target), variables=options)
    for payload in (*CORPUS, b'{"a":"' + b"x" * 17_000_000 + b'"}'):
        for env in ("staging", "ü" * 60, ""):
            done = recorder(payload, env=env)
            assert (done.returncode, done.stderr) == (0, b"")
    recorder.routes(*(f"{name}\t/x\t{'9' * 40}" for name in "ab" * 40), "staging", "\t", "x" * 70_000)
    assert recorder().returncode == 0
    done = recorder(b"", "exec", "--hook", "\xff" * 2_000, "--", "sh", "-c", "exit 4", *map(str, range(90)))
    assert (done.returncode, done.stderr) == (4, b"")


# --- routes file ----------------------------------------------------------------------------------------------------


def _project(path: Path) -> Project:
    (path / ".claude").mkdir(parents=True)
    return Project(path.resolve())


def _roots(project: Project) -> list[EnvironmentRoot]:
    return [environment_root(project, name, {}) for name in Environment]


def test_routes_are_read_as_they_were_written(tmp_path: Path) -> None:
    project = _project(tmp_path / "p ü")
    assert routes.read(project) == {}
    routes.write(project, _roots(project), {Environment.STAGING: 5_000})
    data = project.path / ".claude"
    assert routes.read(project) == {
        Environment.DEVELOPMENT: data / "metrics/events.jsonl",
        Environment.STAGING: data / "staging/metrics/events.jsonl",
        Environment.PRODUCTION: data / "metrics/events.jsonl",
    }
    place = project.path / ".agent-studio/routes"
    assert place.stat().st_mode & 0o777 == 0o600
    assert [line.split("\t")[2:] for line in place.read_text().splitlines()] == [[], ["5000"], []]


@pytest.mark.parametrize("character", ["\t", "\n", "\r"])
def test_a_path_that_would_break_a_route_is_refused(tmp_path: Path, character: str) -> None:
    project = _project(tmp_path / f"a{character}b")
    with pytest.raises(UnsafePathError, match="tab or a line break"):
        routes.write(project, _roots(project), {})
    assert routes.read(project) == {}


def test_an_inbox_behind_a_link_is_refused(tmp_path: Path) -> None:
    project = _project(tmp_path / "p")
    (tmp_path / "elsewhere").mkdir()
    (project.path / ".claude/metrics").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        routes.write(project, _roots(project), {})


# --- installation ---------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return _project(tmp_path / "my project ünï")


def _codes(project: Project) -> dict[str, Severity]:
    return {finding.code: finding.severity for finding in build.findings(project)}


def _only_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "COMPILERS", ("no-such-compiler",))


def test_a_compiled_recorder_is_installed_and_kept(project: Project, compiled: Path | str) -> None:
    if isinstance(compiled, str):
        pytest.skip(compiled)
    assert build.installed(project) is None
    done = build.install(project)
    assert (done.kind, done.command, done.current) == ("native", (str(done.path),), True)
    assert done.path.stat().st_mode & 0o777 == 0o755
    assert build.installed(project) == done
    beside = ["decide", "decide.cold", "decide.json", "recorder", "recorder.json"]
    assert sorted(place.name for place in done.path.parent.iterdir()) == beside
    before = done.path.stat()
    assert build.install(project) == done
    assert done.path.stat() == before
    assert _codes(project) == {"recorder": Severity.OK}


def test_without_a_compiler_the_twin_is_installed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    _only_python(monkeypatch)
    done = build.install(project)
    assert (done.kind, done.command[1:]) == ("python", ("-I", "-S", str(done.path)))
    assert done.command[0] == os.path.realpath(done.command[0])
    assert (build.installed(project), build.install(project)) == (done, done)
    assert _codes(project) == {"recorder-python": Severity.INFO}
    (finding,) = build.findings(project)
    assert "no C compiler was found" in finding.message

    routes.write(project, _roots(project), {})
    (project.path / ".claude/staging/metrics").mkdir(parents=True)
    recorder = Recorder(done.command, done.path.parents[1], {})
    assert recorder(b"", "exec", "--", "false").returncode == 1
    assert [one["kind"] for one in recorder.records(routes.read(project)[Environment.STAGING])] == ["exec"]


def test_a_program_that_does_not_record_gives_way_to_the_twin(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "broken.c"
    for text, reason in (("int main(void) { return 0; }", "did not record"), ("int main(", "failed")):
        source.write_text(text)
        monkeypatch.setattr(build, "_SOURCE", source)
        done = build.install(project)
        assert done.kind == "python"
        assert reason in done.reason or build.compiler() is None


def test_a_recorder_of_another_version_or_another_hand_is_found(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _only_python(monkeypatch)
    done = build.install(project)
    with monkeypatch.context() as patched:
        newer = tmp_path / "newer.py"
        newer.write_bytes((SOURCE / "twin.py").read_bytes() + b"\n")
        patched.setattr(build, "_TWIN", newer)
        assert _codes(project) == {"recorder-stale": Severity.WARNING}
    assert _codes(project) == {"recorder-python": Severity.INFO}
    done.path.write_bytes(b"")
    assert build.installed(project) is None
    assert _codes(project) == {"recorder-missing": Severity.INFO}
    routes.write(project, _roots(project), {})
    assert _codes(project) == {"recorder-missing": Severity.WARNING}
    assert build.install(project).current
    assert _codes(project) == {"recorder-python": Severity.INFO}


def test_events_without_a_route_are_counted_with_the_newest_reason(recorder: Recorder) -> None:
    project = Project(recorder.state.parent.resolve())
    assert routes.unrouted(project) is None
    recorder(b'{"a":"' + b"x" * 5_000 + b'"}', env="first")
    recorder(b"{not json", env='se"cond')
    assert routes.unrouted(project) == routes.Unrouted(2, 'se"cond', "unknown environment")
    with (recorder.state / "unrouted.jsonl").open("ab") as file:
        file.write(b'{"ts":1')
    assert routes.unrouted(project) == routes.Unrouted(3, "", "")
    assert "3 events" in next(one.message for one in build.findings(project) if one.code == "unrouted")
