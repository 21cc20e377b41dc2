"""The ledger: every record in the chain, whatever crashed before, at the same cost however long it is."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.cost import ledger
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root
from agent_studio.errors import IntegrityError, StorageError
from agent_studio.records import LlmUsage, event_id
from agent_studio.storage import chain

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> EnvironmentRoot:
    return _root(tmp_path)


def _root(path: Path) -> EnvironmentRoot:
    (path / ".claude" / "staging" / "metrics").mkdir(parents=True)
    return environment_root(Project(path), Environment.STAGING, {})


def _place(root: EnvironmentRoot) -> Path:
    return root.folder("metrics").path / "llm-usage.log"


def _usage(number: int, **more: object) -> tuple[LlmUsage, str]:
    record = LlmUsage(
        timestamp="2026-01-31T09:30:00.000Z", session_id="s", request_id=f"r{number}", message_id=f"m{number}",
        provider="anthropic", model="claude-opus-5-5", agent=None, skill=None, project="p", task_id=None,
        input_tokens=number, output_tokens=2, cache_read_tokens=3, cache_write5m_tokens=4, cache_write1h_tokens=5,
        web_searches=0, service_tier=None, speed=None, region=None, cost_usd=None, price_source=None,
        source="transcript", metadata=dict(more),
    )  # fmt: skip
    return record, event_id(number)


def _lines(root: EnvironmentRoot) -> list[bytes]:
    return _place(root).read_bytes().splitlines()


def test_records_are_chained_from_one(root: EnvironmentRoot) -> None:
    assert ledger.append(root, [_usage(1), _usage(2)]) == [1, 2]
    assert ledger.append(root, [_usage(3)]) == [3]
    assert chain.first_bad_line(_lines(root)) is None
    first = json.loads(_lines(root)[0])
    assert (first["_prevHash"], first["environment"], first["release"]) == ("0" * 64, "staging", None)
    assert _place(root).stat().st_mode & 0o777 == 0o600


def test_nothing_to_append_touches_nothing(root: EnvironmentRoot) -> None:
    assert ledger.append(root, []) == []
    assert not _place(root).exists()


@pytest.mark.parametrize("torn", [b"{", b'{"timestamp":"2026', b"x" * 100_000])
@pytest.mark.parametrize("before", [0, 2])
def test_a_torn_tail_is_noted_inside_the_chain(root: EnvironmentRoot, before: int, torn: bytes) -> None:
    ledger.append(root, [_usage(number) for number in range(before)])
    with _place(root).open("ab") as file:
        file.write(torn)
    assert ledger.append(root, [_usage(9)]) == [before + 2]
    assert chain.first_bad_line(_lines(root)) is None
    note = json.loads(_lines(root)[before])
    assert (note["type"], note["bytes"], note["sha256"]) == ("torn", len(torn), hashlib.sha256(torn).hexdigest())


def test_a_record_that_lacks_only_its_line_break_is_kept(root: EnvironmentRoot) -> None:
    ledger.append(root, [_usage(number) for number in range(3)])
    os.truncate(_place(root), _place(root).stat().st_size - 1)
    assert ledger.append(root, [_usage(9)]) == [4]
    assert chain.first_bad_line(_lines(root)) is None
    assert [json.loads(line).get("requestId") for line in _lines(root)] == ["r0", "r1", "r2", "r9"]


def test_a_line_longer_than_a_block_is_found(root: EnvironmentRoot) -> None:
    ledger.append(root, [_usage(1), _usage(2, text="x" * 300_000)])
    assert ledger.append(root, [_usage(3)]) == [3]
    assert chain.first_bad_line(_lines(root)) is None


@pytest.mark.parametrize("last", [b'{"a":1}\n', b"\n", b"text\n", b'{"a":1,"_seq":0,"_hash":"00"}\n'])
def test_a_file_that_does_not_end_in_its_chain_is_left_alone(root: EnvironmentRoot, last: bytes) -> None:
    ledger.append(root, [_usage(1)])
    with _place(root).open("ab") as file:
        file.write(last)
    before = _place(root).read_bytes()
    with pytest.raises(IntegrityError):
        ledger.append(root, [_usage(2)])
    assert _place(root).read_bytes() == before


def test_a_missing_folder_names_the_command_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    with pytest.raises(StorageError) as raised:
        ledger.append(environment_root(Project(tmp_path), Environment.STAGING, {}), [_usage(1)])
    assert raised.value.hint == "agent-studio init --env staging"


def test_what_a_full_disk_cuts_short_leaves_the_file_as_it_was(root: EnvironmentRoot) -> None:
    ledger.append(root, [_usage(1)])
    with _place(root).open("ab") as file:
        file.write(b'{"torn')
    before = _place(root).read_bytes()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 200, len(before) + 200))
        try:
            ledger.append(root, [_usage(2), _usage(3)])
        except StorageError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert _place(root).read_bytes() == before
    assert ledger.append(root, [_usage(2)]) == [3]
    assert chain.first_bad_line(_lines(root)) is None


def test_writers_at_once_make_one_chain(root: EnvironmentRoot) -> None:
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            for number in range(25):
                ledger.append(root, [_usage(number)])
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert chain.first_bad_line(_lines(root)) is None
    assert len(_lines(root)) == 100


@pytest.mark.slow
def test_an_append_costs_the_same_at_any_length(root: EnvironmentRoot) -> None:
    """Reading 60 MB would take a hundred times as long as what is allowed here."""
    ledger.append(root, [_usage(1)])
    line = _lines(root)[0] + b"\n"
    with _place(root).open("wb") as file:
        file.writelines([line] * (60_000_000 // len(line)))
    started = time.perf_counter()
    for number in range(20):
        ledger.append(root, [_usage(number)])
    assert (time.perf_counter() - started) / 20 < 0.02


@given(cuts=st.lists(st.integers(min_value=0, max_value=3_000), min_size=1, max_size=5))
def test_cut_anywhere_the_chain_goes_on(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    root = _root(tmp_path_factory.mktemp("cut"))
    for number, cut in enumerate(cuts):
        ledger.append(root, [_usage(number), _usage(number)])
        size = _place(root).stat().st_size
        os.truncate(_place(root), size - min(cut, size))
    ledger.append(root, [_usage(99)])
    assert chain.first_bad_line(_lines(root)) is None
