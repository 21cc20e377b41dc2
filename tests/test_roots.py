"""Where data may lie: one rule, and no environment in another's folders."""

# ruff: noqa: PTH208 - a listing of names is what is compared

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import STATE, EnvironmentRoot, Project, environment_root, overlap, refuse_overlap
from agent_studio.environment.schema import KINDS
from agent_studio.errors import ConfigurationError, StorageError, UnsafePathError

if TYPE_CHECKING:
    from collections.abc import Callable

DEVELOPMENT, STAGING, PRODUCTION = Environment
OWN_ROOT = "environments.development.root"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / ".claude").mkdir()
    return Project(tmp_path)


def placed(project: Project, environment: Environment, **values: str) -> EnvironmentRoot:
    return environment_root(project, environment, {name.replace("__", "."): place for name, place in values.items()})


def test_the_default_folders_are_those_of_the_contract(project: Project) -> None:
    assert placed(project, STAGING).kinds == {kind: f".claude/staging/{kind}" for kind in KINDS}
    shared = {kind: f".claude/{kind}" for kind in KINDS} | {"agents": ".claude/agent-memory"}
    assert placed(project, PRODUCTION).kinds == shared == placed(project, DEVELOPMENT).kinds
    own = placed(project, DEVELOPMENT, environments__development__root=".claude/development/").kinds
    assert own == {kind: f".claude/development/{kind}" for kind in KINDS}
    assert placed(project, PRODUCTION, environments__development__root=".claude/development").kinds == shared


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (STAGING, ".claude/staging/numbers"), (STAGING, "data/staging/metrics"), (STAGING, "data/staging/"),
        (STAGING, ".agent-studio/staging/metrics"), (PRODUCTION, ".claude/numbers"), (PRODUCTION, "data/metrics"),
        (PRODUCTION, ".claude/agents-data"), (DEVELOPMENT, ".agent-studio/development/x"), (PRODUCTION, ".github/x"),
    ],
)  # fmt: skip
def test_a_folder_of_its_own_is_accepted(project: Project, environment: Environment, place: str) -> None:
    assert placed(project, environment, paths__metrics=place).kinds["metrics"] == place.rstrip("/")


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize(
    "place",
    [
        "", "/", "//", ".", "./data", "..", "../x", "data/../../x", "/tmp/x", "~/x", "C:/x", "a\\b", "a//b", "data//",
        "nul", "x\x00", ".git", ".git/hooks", ".GIT/x", "vendor/.git/x", ".claude", ".Claude", ".claude/agents",
        ".claude/Agents/x", ".claude/hooks/deep/x", ".claude/skills", ".agent-studio", ".agent-studio/objects",
        ".AGENT-studio/releases",
    ],
)  # fmt: skip
def test_what_leaves_the_project_or_holds_definitions_history_or_state_is_refused(
    project: Project, environment: Environment, place: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        placed(project, environment, paths__metrics=place)
    assert "paths.metrics" in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (STAGING, ".claude/metrics"), (STAGING, ".claude/Metrics"), (STAGING, ".CLAUDE/x"),
        (STAGING, ".claude/stagings/x"),
        (PRODUCTION, ".claude/staging"), (PRODUCTION, ".claude/staging/metrics"), (DEVELOPMENT, ".claude/STAGING/x"),
        (STAGING, ".agent-studio/production/x"), (PRODUCTION, ".agent-studio/staging"),
        (DEVELOPMENT, ".agent-studio/Production"),
    ],
)  # fmt: skip
def test_a_folder_of_another_environment_is_refused(project: Project, environment: Environment, place: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not|is staging's|holds definitions"):
        placed(project, environment, paths__metrics=place)


@pytest.mark.parametrize(
    "root",
    [
        "", ".", ".claude", ".CLAUDE", ".claude/staging", ".claude/staging/x", ".claude/Staging", ".claude/agents",
        ".claude/agents/data", ".git", ".git/x", ".agent-studio", ".agent-studio/development", "../x", "/x",
    ],
)  # fmt: skip
def test_a_root_that_is_not_developments_alone_is_refused(project: Project, root: str) -> None:
    with pytest.raises(ConfigurationError, match=OWN_ROOT):
        placed(project, DEVELOPMENT, environments__development__root=root)


def test_development_with_a_root_of_its_own_stays_out_of_the_shared_one(project: Project) -> None:
    with pytest.raises(ConfigurationError, match="not development's"):
        placed(
            project,
            DEVELOPMENT,
            environments__development__root=".claude/development",
            paths__metrics=".claude/metrics",
        )


@pytest.mark.parametrize("place", [".claude/memory", ".claude/Memory", ".claude/memory/metrics"])
def test_two_kinds_in_one_folder_are_refused(project: Project, place: str) -> None:
    with pytest.raises(ConfigurationError, match=r"paths.metrics .* overlaps paths.memory"):
        placed(project, PRODUCTION, paths__metrics=place)


def test_environments_that_would_share_a_folder_are_refused(project: Project) -> None:
    for mine, theirs in (("data", "data"), ("data", "DATA/x"), ("data/x", "data")):
        with pytest.raises(ConfigurationError, match="overlaps"):
            refuse_overlap(
                placed(project, STAGING, paths__metrics=mine), [placed(project, PRODUCTION, paths__memory=theirs)]
            )
    refuse_overlap(placed(project, STAGING), [placed(project, PRODUCTION), placed(project, DEVELOPMENT)])


def test_development_and_production_share_only_folders_of_the_same_kind_and_root(project: Project) -> None:
    production = placed(project, PRODUCTION, paths__metrics="data")
    refuse_overlap(placed(project, DEVELOPMENT, paths__metrics="data"), [production])
    with pytest.raises(ConfigurationError, match="overlaps"):
        refuse_overlap(placed(project, DEVELOPMENT, paths__memory="data"), [production])
    own = placed(project, DEVELOPMENT, environments__development__root="dev", paths__metrics="data")
    with pytest.raises(ConfigurationError, match="overlaps"):
        refuse_overlap(own, [production])
    nested = placed(project, DEVELOPMENT, environments__development__root=".claude/metrics")
    with pytest.raises(ConfigurationError, match="overlaps"):
        refuse_overlap(nested, [placed(project, PRODUCTION)])


@given(
    place=st.lists(
        st.sampled_from([".claude", ".CLAUDE", "staging", "Staging", "agents", "metrics", ".git", STATE, "x"]),
        min_size=1, max_size=4,
    ).map("/".join)
)  # fmt: skip
def test_whatever_staging_is_given_production_never_has_too(place: str) -> None:
    project = Project(Path("/nowhere"))
    accepted = {}
    for environment in Environment:
        try:
            accepted[environment] = placed(project, environment, paths__metrics=place)
        except ConfigurationError:
            continue
    inside = place.casefold().startswith(".claude")
    assert not (inside and STAGING in accepted and PRODUCTION in accepted)
    assert not (".git" in place.split("/") and accepted)
    if STAGING in accepted and PRODUCTION in accepted:
        with pytest.raises(ConfigurationError, match="overlaps"):
            refuse_overlap(accepted[STAGING], [accepted[PRODUCTION]])


def test_folders_overlap_as_the_least_careful_file_system_compares() -> None:
    assert overlap("a/B", "A/b/c")
    assert overlap("é", "e\u0301")
    assert not overlap("a/b", "a/bc")
    assert not overlap("a", "b/a")


@pytest.mark.parametrize(
    "operation",
    [
        lambda root: root.folder("metrics").make(),
        lambda root: root.folder("metrics").names(),
        lambda root: root.folder("metrics").status("hooks.jsonl"),
    ],
)
def test_a_linked_staging_folder_is_refused(
    project: Project, tmp_path: Path, operation: Callable[[EnvironmentRoot], object]
) -> None:
    (tmp_path / ".claude" / "metrics").mkdir()
    (tmp_path / ".claude" / "staging").symlink_to(".")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        operation(placed(project, STAGING))
    assert os.listdir(tmp_path / ".claude" / "metrics") == []


def test_the_originals_files_are_read_until_ours_are_there_and_never_by_a_root_of_its_own(
    project: Project, tmp_path: Path
) -> None:
    original = tmp_path / ".claude" / "context" / "metrics"
    original.mkdir(parents=True)
    (original / "cost-log.jsonl").write_bytes(b"theirs")
    folder, name = placed(project, PRODUCTION).reads("metrics", "llm-usage.log")
    assert folder.read(name) == b"theirs"
    for own in (
        placed(project, STAGING),
        placed(project, DEVELOPMENT, environments__development__root=".claude/development"),
    ):
        assert own.original("metrics", "llm-usage.log") is None
        assert own.reads("metrics", "llm-usage.log")[0].path == own.folder("metrics").path
    (tmp_path / ".claude" / "metrics").mkdir()
    (tmp_path / ".claude" / "metrics" / "llm-usage.log").write_bytes(b"ours")
    folder, name = placed(project, PRODUCTION).reads("metrics", "llm-usage.log")
    assert (folder.read(name), name) == (b"ours", "llm-usage.log")


def test_a_definition_is_read_through_links_but_only_as_a_file_in_its_folder(project: Project, tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"a: 1")
    (tmp_path / ".claude" / "config.yaml").symlink_to("../config")
    assert project.read_definition("config.yaml") == b"a: 1"
    before = len(os.listdir("/dev/fd"))
    (tmp_path / ".claude" / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / ".claude" / "pipe.yaml")
    (tmp_path / ".claude" / "loop.yaml").symlink_to("loop.yaml")
    for name in ("folder.yaml", "pipe.yaml"):
        with pytest.raises(ConfigurationError, match=r"\.claude/.*\.yaml is not a file"):
            project.read_definition(name)
    with pytest.raises(StorageError, match=r"loop\.yaml"):
        project.read_definition("loop.yaml")
    with pytest.raises(UnsafePathError):
        project.read_definition("../config")
    with pytest.raises(FileNotFoundError):
        project.read_definition("missing.yaml")
    assert len(os.listdir("/dev/fd")) == before
