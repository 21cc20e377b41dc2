"""Party mode and elicitation inside the real client: its model takes our skill, and our command does the work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # plain `pytest` does not look for bench/ there

from bench import elicit_client
from bench.client import claude


@pytest.mark.parametrize("version", list(claude.VERSIONS)[:1])
def test_what_is_asked_in_the_client_is_done_by_our_command(version: str, tmp_path: Path) -> None:
    try:
        client = claude.install(version)
    except claude.ClientMissingError as reason:
        pytest.skip(f"Claude Code {version} cannot be had: {reason}")
    assert list(elicit_client.faults(elicit_client.hold(client, tmp_path.resolve()))) == []
