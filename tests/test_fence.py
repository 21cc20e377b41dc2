from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_studio.environment.roots import Project
from agent_studio.errors import StorageError
from agent_studio.release.content.candidate import candidate
from agent_studio.release.content.fence import changed_at, written_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Studio

POSIX = pytest.mark.skipif(os.name == "nt", reason="links, and times of changes")


def settled(studio: Studio) -> Project:
    """The project, a moment after the last change."""
    time.sleep(0.05)
    return Project(Path(os.path.realpath(studio.path)))


@pytest.mark.parametrize(
    "change",
    [
        lambda claude: (claude / "agents/code-reviewer.md").write_text("other\n"),
        lambda claude: (claude / "agents/new.md").write_text("new\n"),
        lambda claude: (claude / "agents/code-reviewer.md").unlink(),
        lambda claude: (claude / "agents/code-reviewer.md").rename(claude / "agents/other.md"),
        lambda claude: (claude / "agents/code-reviewer.md").chmod(0o755),
        lambda claude: shutil.rmtree(claude / "skills/writing-migrations"),
        lambda claude: (claude / "skills/empty").mkdir(),
        lambda claude: (claude / "config.yaml").write_text("features: {}\n"),
        lambda claude: (claude / "allowed_signers").write_text("\n"),
        lambda claude: (claude.parent / "CLAUDE.md").write_text("# Project\n"),
        lambda claude: (claude / "rules").mkdir(),
    ],
    ids=range(11),
)
def test_every_change_of_a_definition_moves_the_fence_behind_it(bare: Studio, change: Callable[[Path], object]) -> None:
    project = settled(bare)
    before = changed_at(project)
    started = datetime.now(UTC)
    assert before < started
    change(project.definitions)
    assert changed_at(project) > started


@pytest.mark.parametrize(
    "name",
    [
        ".claude/settings.local.json", ".claude/config.staging.yaml", ".claude/staging/metrics/hooks.jsonl",
        ".claude/metrics/hooks.jsonl", ".claude/notes.md", ".agent-studio/staging/tests/a.json", "README.md",
        ".claude/agent-memory/a/hot.jsonl",
    ],
)  # fmt: skip
def test_data_and_local_settings_move_nothing(bare: Studio, name: str) -> None:
    project = settled(bare)
    before = changed_at(project)
    bare.write(name, "{}\n")
    assert changed_at(project) == before


@POSIX
def test_an_edit_whose_time_of_writing_was_set_back_is_still_seen(bare: Studio) -> None:
    project = settled(bare)
    place, started = project.definition("agents/code-reviewer.md"), datetime.now(UTC)
    status = place.stat()
    place.write_text("other\n")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert changed_at(project) > started


@POSIX
def test_a_link_that_points_elsewhere_and_the_folder_that_it_points_to_are_looked_at(bare: Studio) -> None:
    for name in ("one", "two"):
        bare.write(f"shared/{name}/a.md", "a\n")
    link = bare.path / ".claude/rules"
    link.symlink_to("../shared/one")
    project = settled(bare)
    started = datetime.now(UTC)
    (bare.path / "shared/one/a.md").unlink()
    assert changed_at(project) > started
    started = datetime.now(UTC) + timedelta(milliseconds=50)
    time.sleep(0.1)
    link.unlink()
    link.symlink_to("../shared/two")
    assert changed_at(project) > started


@POSIX
def test_a_time_to_come_holds_everything_back(bare: Studio) -> None:
    project = settled(bare)
    ahead = time.time() + 3_600
    os.utime(project.definition("agents/code-reviewer.md"), (ahead, ahead))
    assert changed_at(project) > datetime.now(UTC) + timedelta(minutes=59)


def test_without_definitions_nothing_ever_changed(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    assert changed_at(Project(tmp_path.resolve())).year == 1970


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="a folder that cannot be read")
def test_a_folder_that_cannot_be_read_is_said(bare: Studio) -> None:
    place = bare.path / ".claude/agents"
    place.chmod(0)
    try:
        with pytest.raises(StorageError, match="agents"):
            changed_at(settled(bare))
    finally:
        place.chmod(0o755)


@pytest.mark.parametrize(
    "change",
    [
        lambda claude: (claude / "skills/.DS_Store").write_text("x"),
        lambda claude: (claude / "hooks/__pycache__").mkdir(parents=True),
        lambda claude: ((claude / "agents/.x.swp").write_text("x"), (claude / "agents/.x.swp").unlink()),
        lambda claude: (claude / "agents/.canary-0123456789abcdef").write_text("x"),
        lambda claude: (claude / "commands").chmod(0o750),
    ],
    ids=range(5),
)
def test_what_is_no_definition_writes_none(bare: Studio, change: Callable[[Path], object]) -> None:
    project = settled(bare)
    before, sha256 = written_at(project), candidate(project).sha256
    change(project.definitions)
    assert (written_at(project), candidate(project).sha256) == (before, sha256)


@POSIX
@pytest.mark.parametrize(
    "change",
    [
        lambda claude: (claude / "agents/code-reviewer.md").touch(),
        lambda claude: (claude / "agents/new.md").write_text("new\n"),
        lambda claude: ((claude / "agents/code-reviewer.md").rename(claude / "x"),
                        (claude / "x").rename(claude / "agents/code-reviewer.md")),
    ],
    ids=range(3),
)  # fmt: skip
def test_a_definition_that_is_written_or_moved_in_is(bare: Studio, change: Callable[[Path], object]) -> None:
    project = settled(bare)
    started = datetime.now(UTC)
    change(project.definitions)
    assert written_at(project) > started
