"""The ledger under many writers and many kills: nothing acknowledged is lost, and the chain verifies."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from bench import ledger as bench

from agent_studio.cost.ledger import Writer
from agent_studio.cost.segments import START, MovedError, Position, read, segments
from agent_studio.cost.verify import verify
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnvironmentRoot:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    (tmp_path / ".claude/staging/metrics").mkdir(parents=True)
    return environment_root(Project(tmp_path), Environment.STAGING, {})


def _numbers(root: EnvironmentRoot) -> list[int]:
    return [position.seq for _, position in read(root)]


def test_kills_under_load_lose_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    assert bench.killed(60, seed=7) == []


def test_threads_and_forks_share_a_writer_while_files_are_put_aside(root: EnvironmentRoot) -> None:
    given: list[int] = []
    with Writer(root, file_limit_bytes=2_000) as writer:

        def work(name: str) -> None:
            for number in range(50):
                given.extend(writer.append_lines([{"name": name, "number": number}]))

        work("before")
        child = os.fork()
        if not child:
            work("child")
            os._exit(0)
        threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = verify([root])
    assert (found.passed, found.records) == (True, 300)
    assert len(segments(root)) > 5
    assert len(set(given)) == len(given) == 250
    assert _numbers(root) == list(range(1, 301))


def test_a_lock_holder_that_is_killed_holds_up_nobody(root: EnvironmentRoot) -> None:
    import fcntl

    with Writer(root) as writer:
        writer.append_lines([{"number": 1}])
        ready, told = os.pipe()
        holder = os.fork()
        if not holder:
            descriptor = os.open(root.folder("metrics").path / "llm-usage.log", os.O_RDWR)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(told, b".")
            time.sleep(60)
            os._exit(0)
        os.read(ready, 1)
        thread = threading.Thread(target=writer.append_lines, args=([{"number": 2}],))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive(), "the lock was not waited for"
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        thread.join(5)
        assert not thread.is_alive()
    assert _numbers(root) == [1, 2]


def test_reading_goes_on_where_it_was_across_renamed_files(root: EnvironmentRoot) -> None:
    position, seen = START, []
    with Writer(root, file_limit_bytes=1_000) as writer:
        for number in range(40):
            writer.append_lines([{"number": number}])
            if number % 7 == 0:
                found = [one for _, one in read(root, position)]
                seen += [one.seq for one in found]
                position = found[-1]
    seen += [found.seq for _, found in read(root, position)]
    assert seen == list(range(1, 41))


def test_a_place_that_is_none_any_more_is_told(root: EnvironmentRoot) -> None:
    with Writer(root) as writer:
        writer.append_lines([{"number": number} for number in range(5)])
    *_, (_, position) = read(root)
    place = root.folder("metrics").path / "llm-usage.log"
    whole = place.read_bytes()
    for damaged in (whole[:-1], whole.replace(b'"number":4', b'"number":44'), b"", whole[: whole.index(b"\n") + 1]):
        place.write_bytes(damaged)
        with pytest.raises(MovedError):
            list(read(root, position))
    place.write_bytes(whole)
    assert list(read(root, position)) == []
    with pytest.raises(MovedError):
        list(read(root, Position(3, position.offset, position.seq, position.hash)))


def test_an_emptied_file_beside_renamed_ones_is_gone_on_with(root: EnvironmentRoot) -> None:
    with Writer(root, file_limit_bytes=300) as writer:
        for number in range(6):
            writer.append_lines([{"number": number}])
        (root.folder("metrics").path / "llm-usage.log").write_bytes(b"")
        last = segments(root)[-1]
        (number,) = writer.append_lines([{"number": 99}])
    assert number == _numbers(root)[-1] > last.first_seq
    assert verify([root]).passed
