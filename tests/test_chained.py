"""Small journals: what was acknowledged is there, and nothing is cut off or changed unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio.errors import IntegrityError
from agent_studio.storage import chained
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

NAME = "chain.jsonl"


def test_lines_cut_off_the_end_are_missed_by_who_reads_and_by_who_writes(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for number in range(4):
        chained.append(folder, NAME, {"n": number})
    place = tmp_path / NAME
    lines = place.read_bytes().splitlines(keepends=True)
    for kept in (lines[:3], lines[:1], []):
        place.write_bytes(b"".join(kept))
        for look in (lambda: chained.read(folder, NAME), lambda: chained.append(folder, NAME, {"n": 9})):
            with pytest.raises(IntegrityError, match="cut off"):
                look()
        assert place.read_bytes() == b"".join(kept)
    place.unlink()
    with pytest.raises(IntegrityError, match="cut off"):
        chained.read(folder, NAME)


def test_a_writer_killed_before_it_noted_how_far_the_journal_is_leaves_it_sound(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    chained.append(folder, NAME, {"n": 0})
    noted = (tmp_path / f"{NAME}.head").read_bytes()
    chained.append(folder, NAME, {"n": 1})
    (tmp_path / f"{NAME}.head").write_bytes(noted)
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"n": 2, half a li')
    assert [one["n"] for one in chained.read(folder, NAME).records] == [0, 1]
    chained.append(folder, NAME, {"n": 3})
    assert [one["n"] for one in chained.read(folder, NAME).records] == [0, 1, 3]


@settings(max_examples=40)
@given(at=st.integers(0, 10_000), change=st.integers(1, 255))
def test_any_changed_byte_is_seen(tmp_path_factory: pytest.TempPathFactory, at: int, change: int) -> None:
    folder = Folder(tmp_path_factory.mktemp("journal"))
    chained.append(folder, NAME, {"n": 0, "text": "é"})
    place = folder.path / NAME
    whole = bytearray(place.read_bytes())
    whole[at % len(whole)] ^= change
    place.write_bytes(whole)
    with pytest.raises(IntegrityError):
        chained.read(folder, NAME)
