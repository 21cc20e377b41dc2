"""An exhausted budget and the guard of the ledger, in the real client: what they deny does not happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.client import guarded
from tests import real_client

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_guard_denies_does_not_happen(tmp_path: Path) -> None:
    assert list(guarded.faults(real_client.installed(), tmp_path)) == []
