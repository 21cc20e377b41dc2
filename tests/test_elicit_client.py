"""Party mode and elicitation inside the real client: its model takes our skill, and our command does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import elicit_client
from tests import real_client

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_asked_in_the_client_is_done_by_our_command(tmp_path: Path) -> None:
    assert list(elicit_client.faults(elicit_client.hold(real_client.installed(), tmp_path.resolve()))) == []
