"""The worked examples of CONTRIBUTING.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_SECTION = re.compile(r"^## (Add a .+?)\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"^`([\w./-]+)`:\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    title: steps
    for title, text in _SECTION.findall((REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    if (steps := _STEP.findall(text))
}


def copied(folder: Path) -> Path:
    """Return a copy of what the examples touch, without what was built."""
    leftovers = shutil.ignore_patterns("__pycache__", ".agent-studio", ".venv", "build", "assets")
    for name in ("src", "scripts", "docs", "examples"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=leftovers)
    (folder / "tests").mkdir()
    for place in (*REPOSITORY.glob("tests/*_world.py"), REPOSITORY / "tests" / "conftest.py"):
        shutil.copy(place, folder / "tests")
    for name in ("pyproject.toml", "README.md", "LICENSE", "Makefile"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


def follow(folder: Path, steps: list[tuple[str, str, str]]) -> None:
    """Write the files of an example, and make its changes where it shows them."""
    for path, language, text in steps:
        place = folder / path
        if language == "diff":
            before, written = place.read_text(), text.splitlines(keepends=True)
            assert all(line[0] in " +-" for line in written if line.strip()), f"{path}: {text}"
            old = "".join(line[1:] for line in written if line[0] in " -")
            assert before.count(old) == 1, f"{path} has this {before.count(old)} times: {old}"
            place.write_text(before.replace(old, "".join(line[1:] for line in written if line[0] in " +")))
        else:
            assert place.parent.is_dir(), f"{path}: there is no such folder"
            assert not place.exists(), f"{path} is there already"
            place.write_text(text)


def run(folder: Path, *words: str) -> None:
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder / "src"), str(folder)))}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("title", EXAMPLES)
def test_a_worked_example_can_be_followed_to_the_letter(title: str, tmp_path: Path) -> None:
    folder = copied(tmp_path)
    follow(folder, EXAMPLES[title])
    made = [path for path, *_ in EXAMPLES[title] if path.startswith("tests/")]
    changed = [path for path, *_ in EXAMPLES[title] if path.endswith(".py")]
    run(folder, "-m", "ruff", "check", *changed)
    run(folder, "-m", "ruff", "format", "--check", *changed)
    run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *made)
    run(folder, "scripts/reference.py")


def test_there_is_an_example_of_a_command_a_check_and_a_method() -> None:
    assert {"Add a command", "Add a smoke check", "Add a reasoning method"} <= set(EXAMPLES)


@pytest.mark.parametrize("path", re.findall(r"`((?:src|tests|scripts|docs|bench|examples)/[a-z\d_./-]+)`",
                                            (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")))  # fmt: skip
def test_files_that_the_guide_names_are_there_or_made_by_it(path: str) -> None:
    made = {place for steps in EXAMPLES.values() for place, language, _ in steps if language != "diff"}
    assert path in made or (REPOSITORY / path).exists()
