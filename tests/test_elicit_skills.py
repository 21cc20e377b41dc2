"""Skills and commands for the client: placed where they are missing, and never over somebody's own."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from agent_studio.cli.dispatch import whole_parser
from agent_studio.environment.roots import Project
from agent_studio.knowledge import front_matter
from agent_studio.reasoning.client import install as module
from agent_studio.reasoning.client.install import CREATED, DIFFERS, KEPT, install, names

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

FILES = [
    "commands/elicit.md", "commands/party.md", "skills/elicit/SKILL.md", "skills/evolve/SKILL.md",
    "skills/party/SKILL.md",
]  # fmt: skip


def test_init_places_them_on_request_and_says_what_it_created(bare: Studio) -> None:
    before = bare.snapshot()
    planned = bare.json("init", "--skills", "--no-hooks", "--dry-run")
    assert [one["state"] for one in planned["skills"]] == [CREATED] * 5
    assert bare.snapshot() == before
    assert not any("skills/elicit" in path for path in bare.json("init", "--no-hooks")["created"])
    created = bare.json("init", "--skills", "--no-hooks")["created"]
    assert [path for path in created if path.endswith(tuple(FILES))] == [
        str(bare.path / ".claude" / one) for one in FILES
    ]
    kept = bare.json("init", "--skills", "--no-hooks")
    assert not kept["created"]
    assert {path for path in kept["kept"] if path.endswith(tuple(FILES))} == {
        str(bare.path / ".claude" / one) for one in FILES
    }
    assert bare.json("kb", "search", "pre-mortem of a draft")["hits"][0]["name"] == "elicit"


def test_a_file_that_differs_is_kept_and_named(bare: Studio) -> None:
    own = bare.write(".claude/skills/party/SKILL.md", "mine\n")
    done = bare.run("init", "--skills", "--no-hooks", "--json")
    assert (done.code, own.read_text()) == (0, "mine\n")
    (told,) = [one for one in done.envelope["problems"] if one["code"] == "differs"]
    assert str(own) in told["message"]
    assert [one.state for one in install(Project(bare.path))] == [KEPT, KEPT, KEPT, KEPT, DIFFERS]


def test_an_empty_file_is_somebody_s_own_too(bare: Studio) -> None:
    place = bare.write(".claude/commands/elicit.md", "")
    assert bare.run("init", "--skills", "--no-hooks").code == 0
    assert place.read_bytes() == b""


def test_a_link_on_the_way_is_not_followed(bare: Studio, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (bare.path / ".claude/skills/party").symlink_to(elsewhere)
    assert bare.run("init", "--skills", "--no-hooks").code == 2
    assert list(elsewhere.iterdir()) == []


def test_they_are_not_placed_in_production(bare: Studio) -> None:
    done = bare.run("init", "--env", "production", "--target", "../live", "--skills", "--no-hooks", "--json")
    assert (done.code, "promote them" in done.out) == (2, True)
    assert not (bare.path / "../live").exists()


@pytest.mark.parametrize("name", names())
def test_each_is_sound_and_calls_commands_that_there_are(name: str) -> None:
    text = module.files()[name].read_text()
    read = front_matter.read(text)
    assert not read.repairs
    assert read.fields["description"]
    assert len(str(read.fields["description"])) <= 1_024
    assert any(verb in name and f"agent-studio {verb}" in text for verb in ("elicit", "evolve", "party"))
    parser = whole_parser()
    for command in re.findall(r"`agent-studio (elicit \w+ [^`]+)`", text):
        parser.parse_args(shlex.split(command.replace("--finding N", "--finding 1")))


@pytest.mark.parametrize("name", ["skills/elicit/SKILL.md", "commands/elicit.md"])
def test_what_changes_a_file_is_left_to_the_client_s_own_question(name: str, bare: Studio) -> None:
    install(Project(bare.path))
    text = (bare.path / ".claude" / name).read_text()
    (allowed,) = [line for line in text.splitlines() if line.startswith("allowed-tools:")]
    assert "elicit run:*" in allowed
    assert not any(word in allowed for word in ("elicit:*", "apply", "reject", "Write", "Edit"))
