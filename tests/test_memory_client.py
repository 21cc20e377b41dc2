"""Memory in the real client: it reads what is given to it, and no agent opens the sidecar of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.client import remembering
from tests import real_client

if TYPE_CHECKING:
    from pathlib import Path


def test_the_client_is_given_memory_and_denied_another_agents_sidecar(tmp_path: Path) -> None:
    assert list(remembering.faults(*remembering.remember(real_client.installed(), tmp_path))) == []
