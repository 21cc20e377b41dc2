"""Journals: one write a record, none lost, none torn, damage counted."""

# ruff: noqa: PTH208 - a listing of names is what is compared

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio.errors import StorageError
from agent_studio.storage import journal
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=5)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture(autouse=True)
def _no_descriptor_is_leaked() -> Iterator[None]:
    before = len(os.listdir("/dev/fd"))
    yield
    assert len(os.listdir("/dev/fd")) == before


@settings(max_examples=25)
@given(first=RECORDS, second=RECORDS)
def test_what_was_appended_is_read_back_in_order(folder: Folder, first: list[Any], second: list[Any]) -> None:
    (folder.path / "j").unlink(missing_ok=True)
    assert journal.append(folder, "j", first) == len(first)
    assert journal.append(folder, "j", iter(second)) == len(second)
    assert journal.read(folder, "j") == journal.Reading(first + second, 0)
    assert (folder.path / "j").read_bytes().count(b"\n") == len(first + second)


def test_a_missing_journal_reads_as_empty(folder: Folder) -> None:
    assert journal.read(folder, "none") == journal.Reading([], 0)


def test_a_line_is_compact_utf8_and_half_a_surrogate_pair_does_not_stop_it(folder: Folder) -> None:
    journal.append(folder, "j", [{"a": "é\n\u2028", "b": [1, 2]}, {"cut": "emoji \ud83d"}])
    assert (folder.path / "j").read_bytes() == '{"a":"é\\n\u2028","b":[1,2]}\n{"cut":"emoji ?"}\n'.encode()


def test_a_record_that_is_not_json_leaves_the_journal_as_it_was(folder: Folder) -> None:
    journal.append(folder, "j", [{"a": 1}])
    with pytest.raises(ValueError, match="JSON compliant"):
        journal.append(folder, "j", [{"b": 2}, {"c": float("nan")}])
    assert (folder.path / "j").read_bytes() == b'{"a":1}\n'


@pytest.mark.parametrize("torn", [b'{"a":', b'{"whole":1}', b"\x00", b"{"])
def test_a_torn_tail_is_ended_before_the_next_record(folder: Folder, torn: bytes) -> None:
    (folder.path / "j").write_bytes(b'{"n":0}\n' + torn)
    journal.append(folder, "j", [{"n": 1}])
    assert (folder.path / "j").read_bytes() == b'{"n":0}\n' + torn + b'\n{"n":1}\n'
    assert [record for record in journal.read(folder, "j").records if "n" in record] == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize(
    "line", [b"[1]", b"7", b'{"a":NaN}', b'{"a":-Infinity}', b"{", b"\xff\xfe", b'{"a":1}{"b":2}', b"[" * 100_000]
)
def test_a_damaged_line_is_counted_and_passed_over(folder: Folder, line: bytes) -> None:
    (folder.path / "j").write_bytes(b'{"n":0}\n\n  \n' + line + b'\n{"n":1}')
    assert journal.read(folder, "j") == journal.Reading([{"n": 0}, {"n": 1}], 1)


def test_a_line_longer_than_a_chunk_is_read_whole(folder: Folder) -> None:
    records: list[dict[str, Any]] = [{"n": 0, "text": "x" * 2_500_000}, {"n": 1}]
    journal.append(folder, "j", records)
    assert journal.read(folder, "j").records == records


_WRITER = """
import pathlib, sys
from agent_studio.storage import journal
from agent_studio.storage.folder import Folder
folder, writer, torn = Folder(pathlib.Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3] == "torn"
for number in range(500):
    size = 300_000 if number % 100 == 7 else 3_000
    if torn and number % 50 == 3:
        with open(folder.path / "j", "ab", buffering=0) as file:  # what a killed writer leaves, seen by no lock
            file.write(b'{"torn":"')
    journal.append(folder, "j", [{"writer": writer, "number": number, "text": chr(65 + writer) * size}])
"""


def write_from_eight_processes(place: Path, *, torn: str = "whole") -> journal.Reading:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(place), str(number), torn]) for number in range(8)]
    assert [writer.wait(60) for writer in writers] == [0] * 8
    return journal.read(Folder(place), "j")


@pytest.mark.slow
def test_eight_processes_lose_and_tear_nothing(tmp_path: Path) -> None:
    reading = write_from_eight_processes(tmp_path)
    assert reading.damaged_lines == 0
    assert len(reading.records) == 8 * 500
    for writer in range(8):
        own = [record for record in reading.records if record["writer"] == writer]
        assert [record["number"] for record in own] == list(range(500))
        assert all(set(record["text"]) == {chr(65 + writer)} for record in own)


def test_a_look_and_a_write_are_one_step_among_our_writers(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.path / "j").write_bytes(b'{"n":0}\n')
    look = journal.ends_whole

    def look_then_be_overtaken(descriptor: int) -> bool:
        whole = look(descriptor)
        script = (
            "import fcntl, os, sys\n"
            "file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)\n"
            "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "os.write(file, b'{\"torn')\n"
        )
        done = subprocess.run([sys.executable, "-c", script, folder.path / "j"], capture_output=True, check=False)
        assert b"BlockingIOError" in done.stderr
        return whole

    monkeypatch.setattr(journal, "ends_whole", look_then_be_overtaken)
    journal.append(folder, "j", [{"n": 1}])
    assert journal.read(folder, "j") == journal.Reading([{"n": 0}, {"n": 1}], 0)


def test_a_writer_that_takes_no_lock_is_not_overwritten(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    look = journal.ends_whole

    def look_then_be_overtaken(descriptor: int) -> bool:
        whole = look(descriptor)
        with (folder.path / "j").open("ab") as other:
            other.write(b'{"other":1}\n')
        return whole

    monkeypatch.setattr(journal, "ends_whole", look_then_be_overtaken)
    journal.append(folder, "j", [{"n": 1}])
    assert journal.read(folder, "j") == journal.Reading([{"other": 1}, {"n": 1}], 0)


def test_a_write_cut_short_is_taken_back_unless_someone_wrote_after_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(folder, "j", [{"n": 0}])
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    with pytest.raises(StorageError, match="none of it was"):
        journal.append(folder, "j", [{"n": 1}])
    assert (folder.path / "j").read_bytes() == b'{"n":0}\n'

    def cut_and_overtaken(descriptor: int, data: bytes) -> int:
        written = write(descriptor, data[:5])
        with (folder.path / "j").open("ab") as other:
            other.write(b'\n{"other":1}\n')
        return written

    monkeypatch.setattr(os, "write", cut_and_overtaken)
    with pytest.raises(StorageError):
        journal.append(folder, "j", [{"n": 1}])
    assert journal.read(folder, "j") == journal.Reading([{"n": 0}, {"other": 1}], 1)
    assert json.loads((folder.path / "j").read_bytes().splitlines()[0]) == {"n": 0}
