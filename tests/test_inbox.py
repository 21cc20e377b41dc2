"""What comes by another way than the recorder lies in the inbox as the recorder would have put it."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent_studio.capture import inbox
from agent_studio.capture.recorder import routes
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root
from agent_studio.errors import StorageError, UnsafePathError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> EnvironmentRoot:
    (tmp_path / ".claude" / "staging" / "metrics").mkdir(parents=True)
    return environment_root(Project(tmp_path), Environment.STAGING, {})


def _place(root: EnvironmentRoot) -> Path:
    return root.folder("metrics").path / "events.jsonl"


def test_each_payload_is_a_line_that_names_its_environment(root: EnvironmentRoot) -> None:
    before = time.time_ns()
    inbox.append(root, "http", [b'{"a": 1,\n "b":\r\n2}', b"", b"[]"])
    lines = [json.loads(line) for line in _place(root).read_bytes().splitlines()]
    assert [line["payload"] for line in lines] == [{"a": 1, "b": 2}, None, []]
    assert {(line["kind"], line["env"], line["pid"]) for line in lines} == {("http", "staging", os.getpid())}
    assert all(before <= line["ts"] <= time.time_ns() for line in lines)
    assert _place(root).stat().st_mode & 0o777 == 0o600


def test_the_payload_is_kept_byte_for_byte_and_last(root: EnvironmentRoot) -> None:
    payload = '{"z": 1.50, "z": "ü \\u0041"}'.encode()
    inbox.append(root, "otlp", [payload], ts=5)
    assert _place(root).read_bytes().endswith(b'"kind":"otlp","env":"staging","payload":' + payload + b"}\n")
    assert _place(root).read_bytes().startswith(b'{"ts":5,')


@pytest.mark.parametrize(
    "payload", [b"no json", b'{"a":"\0"}', b'1,"env":"production","payload":{}', b"\xff{}", b"[" * 90_000]
)
def test_what_is_no_json_is_kept_as_a_text(root: EnvironmentRoot, payload: bytes) -> None:
    inbox.append(root, "http", [payload])
    line = json.loads(_place(root).read_bytes())
    assert (line["env"], line["bytes"]) == ("staging", len(payload))
    assert line["payload"] == payload[:1024].decode("utf-8", "replace")


def test_over_the_limit_of_the_routes_only_the_start_is_kept(root: EnvironmentRoot) -> None:
    routes.write(root.project, [root], {Environment.STAGING: 3_000})
    big = json.dumps({"a": "x" * 2_000}).encode()
    inbox.append(root, "http", [big, big, b"{}"])
    first, second, third = (json.loads(line) for line in _place(root).read_bytes().splitlines())
    assert first["payload"] == json.loads(big)
    assert (second["bytes"], len(second["payload"])) == (len(big), 1_024)
    assert third["payload"] == "{}" or third["payload"] == {}


def test_a_torn_line_is_ended_first(root: EnvironmentRoot) -> None:
    _place(root).write_bytes(b'{"ts":1,"pid":1,"ki')
    inbox.append(root, "http", [b"{}"])
    torn, line = _place(root).read_bytes().splitlines()
    assert (torn, json.loads(line)["payload"]) == (b'{"ts":1,"pid":1,"ki', {})


def test_nothing_is_written_without_payloads(root: EnvironmentRoot) -> None:
    inbox.append(root, "http", [])
    assert not _place(root).exists()


def test_a_missing_data_root_names_the_command_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    with pytest.raises(StorageError) as raised:
        inbox.append(environment_root(Project(tmp_path), Environment.STAGING, {}), "http", [b"{}"])
    assert raised.value.hint == "agent-studio init --env staging"


def test_a_link_in_place_of_the_inbox_is_refused(root: EnvironmentRoot, tmp_path: Path) -> None:
    _place(root).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError):
        inbox.append(root, "http", [b"{}"])
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.slow
def test_a_writer_that_holds_the_lock_does_not_stop_others(root: EnvironmentRoot) -> None:
    _place(root).write_bytes(b'{"ts":1,"pid":1,"ki')
    holder = os.fork()
    if not holder:
        fcntl.lockf(os.open(_place(root), os.O_RDWR), fcntl.LOCK_EX)
        signal.pause()
    try:
        time.sleep(0.1)
        inbox.append(root, "http", [b"{}"])
        torn, line = _place(root).read_bytes().splitlines()
        assert (torn, json.loads(line)["payload"]) == (b'{"ts":1,"pid":1,"ki', {})
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def test_what_a_full_disk_cuts_short_is_taken_back(root: EnvironmentRoot) -> None:
    inbox.append(root, "http", [b"{}"])
    before = _place(root).read_bytes()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, len(before) + 10))
        try:
            inbox.append(root, "http", [b'{"a":"long enough to be cut"}'])
        except StorageError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert _place(root).read_bytes() == before


@pytest.mark.slow
def test_threads_and_processes_lose_and_tear_nothing(root: EnvironmentRoot) -> None:
    payload = json.dumps({"text": "x" * 3_000}).encode()

    def write() -> None:
        for _ in range(40):
            inbox.append(root, "http", [payload, payload])

    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            write()
            os._exit(0)
        children.append(child)
    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    lines = [json.loads(line) for line in _place(root).read_bytes().splitlines()]
    assert len(lines) == 6 * 80
    assert {json.dumps(line["payload"]).encode() for line in lines} == {payload}
