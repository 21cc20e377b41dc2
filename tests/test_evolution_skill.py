"""The skill through which Claude Code evolves: it is placed, it is sound, and every command in it is one of ours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import agent_studio.evolution
from agent_studio.cli.dispatch import whole_parser
from agent_studio.environment.roots import Project
from agent_studio.evolution.gates.conflicts import name_form
from agent_studio.evolution.gates.placeholders import in_body, in_field
from agent_studio.knowledge import front_matter
from agent_studio.knowledge.diagnosis import diagnose

if TYPE_CHECKING:
    from tests.conftest import Studio

PLACE = "skills/evolve/SKILL.md"
SOURCE = Path(agent_studio.evolution.__file__).parent / "client" / PLACE


def test_init_places_the_skill_where_the_client_finds_it(bare: Studio) -> None:
    done = bare.run("init", "--skills", "--no-hooks", "--set", "testData.artifactsCount=0")
    assert done.code == 0, done.err
    assert (bare.path / ".claude" / PLACE).read_bytes() == SOURCE.read_bytes()
    issues = [one for one in diagnose(Project(bare.path)).issues if one.path.endswith(PLACE)]
    assert issues == []
    found = front_matter.read(SOURCE.read_text())
    assert name_form("skill", str(found.fields["name"])).verdict == "PASS"
    assert list(in_body(found.body)) == []
    assert not in_field(str(found.fields["description"]))


def test_every_command_that_the_skill_names_is_one_of_ours() -> None:
    commands = re.findall(r"`(agent-studio (?:evolve|kb|candidate) [^`]*)`", SOURCE.read_text().replace("\n", " "))
    assert len(commands) >= 10
    for command in commands:
        whole_parser().parse_args(shlex.split(command)[1:])
