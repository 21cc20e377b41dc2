"""Memory in the real client: it reads what is given to it, and no agent opens the sidecar of another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # plain `pytest` does not look for bench/ there

from bench.client import claude, remembering


@pytest.mark.parametrize("version", claude.VERSIONS)
def test_the_client_is_given_memory_and_denied_another_agents_sidecar(version: str, tmp_path: Path) -> None:
    try:
        client = claude.install(version)
    except claude.ClientMissingError as reason:
        pytest.skip(f"Claude Code {version} cannot be had: {reason}")
    assert list(remembering.faults(*remembering.remember(client, tmp_path))) == []
