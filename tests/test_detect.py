"""Which environment and which project a command acts on: never a silent guess."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent_studio.environment.detect import Choice, Environment, ProjectChoice, choose_environment, choose_project
from agent_studio.errors import UsageError

STAGING, PRODUCTION = Environment.STAGING, Environment.PRODUCTION


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        (None, None, Choice(Environment.DEVELOPMENT, "default")),
        ("staging", None, Choice(STAGING, "--env")),
        (" StaGing\n", None, Choice(STAGING, "--env")),
        (None, "PRODUCTION", Choice(PRODUCTION, "AGENT_STUDIO_ENV")),
        ("staging", "Staging ", Choice(STAGING, "--env")),
    ],
)
def test_the_environment_is_what_option_and_variable_say(
    option: str | None, variable: str | None, expected: Choice
) -> None:
    variables = {"NODE_ENV": "production"} | ({} if variable is None else {"AGENT_STUDIO_ENV": variable})
    assert choose_environment(option, variables) == expected


@pytest.mark.parametrize(
    ("option", "variable", "message", "hint"),
    [
        ("stagin", None, "'stagin'", 'did you mean "staging"?'),
        ("prod", None, "--env", 'did you mean "production"?'),
        (None, "dev", "AGENT_STUDIO_ENV", 'did you mean "development"?'),
        (None, "STAGE", "AGENT_STUDIO_ENV", 'did you mean "staging"?'),
        ("xyz", None, "'xyz'", "valid: development, staging, production"),
        ("", None, "--env is set but empty", "development, staging, production"),
        (None, "  ", "AGENT_STUDIO_ENV is set but empty", "unset it"),
        ("staging", "production", "--env says staging but AGENT_STUDIO_ENV says production", "staging or production"),
        ("staging", "xyz", "AGENT_STUDIO_ENV", "valid:"),
        ("staging", "", "AGENT_STUDIO_ENV is set but empty", "unset it"),
        ("staging\x00", None, "unknown", "did you mean"),
        ("ſtaging", None, "unknown", "did you mean"),
    ],
)
def test_anything_else_is_refused_with_the_nearest_valid_name(
    option: str | None, variable: str | None, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as refused:
        choose_environment(option, {} if variable is None else {"AGENT_STUDIO_ENV": variable})
    assert message in refused.value.message
    assert hint in refused.value.hint


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    (made / ".claude" / "agents").mkdir(parents=True)
    (made / "src").mkdir()
    return made


@pytest.mark.parametrize("below", [".", "src", ".claude", ".claude/agents"])
def test_the_nearest_folder_upward_that_holds_definitions_is_the_project(project: Path, below: str) -> None:
    assert choose_project(None, {}, project / below) == ProjectChoice(project, "working folder")


def test_a_project_inside_a_project_is_the_nearer_one(project: Path) -> None:
    (project / "src" / "inner" / ".claude").mkdir(parents=True)
    assert choose_project(None, {}, project / "src" / "inner").path == project / "src" / "inner"


def test_the_option_wins_over_the_variable_and_both_over_the_working_folder(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / ".claude").mkdir(parents=True)
    variables = {"CLAUDE_PROJECT_DIR": str(other)}
    assert choose_project(str(project), variables, tmp_path) == ProjectChoice(project, "--project")
    assert choose_project(None, variables, project) == ProjectChoice(other, "CLAUDE_PROJECT_DIR")


def test_a_named_project_may_be_relative_linked_or_end_in_a_slash(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    for name in (f"{project}/", "project", "project//src/..", "link", "link/"):
        assert choose_project(name, {}, tmp_path).path == project


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("", "is set but empty", "unset"), (" ", "is set but empty", "unset"), ("a\x00b", "NUL", "existing folder"),
        ("missing", "not a folder", "existing folder"), ("project/file", "not a folder", "existing folder"),
        ("project/src", "has no .claude/ folder", "mkdir"), ("project/.claude", "itself", "/project"),
        ("project/.claude/", "itself", "/project"), ("loop", "not a folder", "existing"), ("x" * 5_000, "not a", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", ["--project", "CLAUDE_PROJECT_DIR"])
def test_a_name_that_is_no_project_is_refused_with_where_it_came_from(
    project: Path, tmp_path: Path, source: str, name: str, message: str, hint: str
) -> None:
    (project / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    option, variables = (name, {}) if source == "--project" else (None, {source: name})
    with pytest.raises(UsageError) as refused:
        choose_project(option, variables, tmp_path)
    assert source in refused.value.message
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_without_a_project_the_error_says_where_it_looked(tmp_path: Path) -> None:
    (tmp_path / ".claude").touch()
    with pytest.raises(UsageError, match=str(tmp_path)) as refused:
        choose_project(None, {}, tmp_path)
    assert "--project" in refused.value.hint


def test_the_home_folder_is_a_project_only_when_named_by_the_option(
    monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    (project.parent / "home").symlink_to(project)
    monkeypatch.setenv("HOME", str(project.parent / "home"))
    with pytest.raises(UsageError, match=r"no \.claude/ folder"):
        choose_project(None, {}, project / "src")
    with pytest.raises(UsageError, match="home folder"):
        choose_project(None, {"CLAUDE_PROJECT_DIR": str(project)}, project)
    assert choose_project(str(project), {}, project).path == project


def test_a_user_without_a_home_folder_has_projects_too(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert choose_project(None, {}, project).path == project


def test_a_folder_that_may_not_be_looked_into_is_passed_over(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    real = os.stat

    def forbidding(path: object, *arguments: object, **options: object) -> os.stat_result:
        if str(path).endswith("src/.claude"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", forbidding)
    assert choose_project(None, {}, project / "src").path == project
