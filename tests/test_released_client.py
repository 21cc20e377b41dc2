"""The whole way of a change, with the real client's sessions as what its burn-in observed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from bench.client import released
from tests import real_client

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(None in map(shutil.which, ("ssh-keygen", "git")), reason="ssh-keygen or git is not here"),
]


def test_what_the_client_burned_in_goes_live_and_what_fails_there_goes_back(tmp_path: Path) -> None:
    assert list(released.faults(released.travel(real_client.installed(), tmp_path.resolve()))) == []
