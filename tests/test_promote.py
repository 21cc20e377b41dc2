"""A promotion: the gate is asked, production is switched whole, proves itself, or goes back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from agent_studio.release import history
from tests.release_world import World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("ssh-keygen") and shutil.which("git")), reason="ssh-keygen or git is not here"
    ),
]


@pytest.fixture
def world(bare: Studio, tmp_path: Path) -> World:
    return World(bare, tmp_path)


def test_a_candidate_with_evidence_and_signatures_goes_live_and_proves_itself(world: World) -> None:
    world.edit("---\nname: code-reviewer\ndescription: Second.\n---\n")
    candidate = world.ready()
    done = world.data("promote", "--yes")
    assert world.reads().endswith("Second.\n---\n")
    current = history.read(world.project).current
    assert current is not None
    assert (current.release, current.candidate, current.healthy) == (done["release"], candidate, True)
    assert done["smoke"]["failed"] == 0
    assert done["flags"] == {"advancedElicitation": True}
    assert "+    enabled: true" in done["flagsDiff"]
    assert world.studio.run("release", "verify").code == 0
