"""A party that is killed on its way goes on and ends as if nothing had happened; two processes never share one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from bench.party_trial import interrupted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_party_killed_at_any_moment_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    faults, killed = interrupted(8, seed=7, folder=tmp_path)
    assert faults == []
    assert killed >= 2
