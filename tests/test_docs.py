"""Every page holds what it says: its commands run, its output is real, its links resolve.

A page is one session: its ```bash lines run one after another in one shell, in a fresh copy of the example project.
A line that ends in `# exit code N` must end with N, every other with 0. A ```text block after a ```bash block is that
block's output: each of its lines must be in it, figures aside; `...` stands for what is left out. ```bash no-run is
for what sets a machine up, ```yaml must be a configuration without faults, ```python must run.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import REPOSITORY

from agent_studio.cli.dispatch import _spelled_out, _split, whole_parser
from agent_studio.cli.main import COMMANDS
from agent_studio.environment.config import inspect
from agent_studio.environment.detect import VARIABLE, Environment
from agent_studio.environment.roots import Project
from agent_studio.environment.schema import KEYS
from agent_studio.staging.smoke import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = REPOSITORY / "examples" / "bookshop"
PAGES = {
    place.relative_to(REPOSITORY).as_posix(): place.read_text(encoding="utf-8")
    for place in (*REPOSITORY.glob("*.md"), *sorted((REPOSITORY / "docs").rglob("*.md")))
}
RUN = [name for name in PAGES if name == "README.md" or name.startswith("docs/")]
_FENCE = re.compile(r"^```(\S*)(?: ([^\n]*))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HERE = re.compile(r"(?<=<<'EOF')(\n.*?^EOF)$", re.MULTILINE | re.DOTALL)
_HERE_MARK = "<<'EOF'"
_CODE = re.compile(r"#\s*exit code (\d+)\s*$")
_SETS_UP = re.compile(r"make \w+|git clone |pip install |pipx? |python3? -m venv |cd |\. \.venv/")
_LANGUAGES = {"bash", "powershell", "bat", "text", "console", "yaml", "python", "json", "diff"}
_VARIABLES = {VARIABLE, *(name for key in KEYS for name in (key.own_variable, key.variable) if name)}
_POWERSHELL = (r'\$env:(?P<variable>\w+) = "[^"]*"', r"Remove-Item Env:(?P<variable>\w+)", r"\$env:(?P<variable>\w+)")
_CMD = (r"set (?P<variable>\w+)=\S*", r"echo %(?P<variable>\w+)%")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    words: str
    text: str
    line: int

    @property
    def commands(self) -> list[str]:
        """Its command lines, continued ones joined, a here-document with its command, without comments."""
        documents: list[str] = []
        lines = re.sub(r"\\\n\s*", " ", _HERE.sub(lambda found: _kept(documents, found), self.text)).splitlines()
        commands = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        return [line + (documents.pop(0) if line.endswith(_HERE_MARK) else "") for line in commands]


def _kept(documents: list[str], found: re.Match[str]) -> str:
    documents.append(found[1])
    return ""


def blocks(page: str) -> list[Block]:
    text = PAGES[page]
    return [
        Block(found[1], found[2] or "", found[3], text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def prose(page: str) -> str:
    return _FENCE.sub("", PAGES[page])


@dataclass(frozen=True)
class Step:
    """One command of a page: where it stands, what it should return, what it returned and wrote."""

    block: Block
    command: str
    code: int
    output: str

    @property
    def expected(self) -> int:
        found = _CODE.search(self.command)
        return int(found[1]) if found else 0


def bookshop(folder: Path) -> Path:
    """A fresh copy of the example project in a fresh repository."""
    leftovers = shutil.ignore_patterns(".agent-studio", "staging", "__pycache__", ".pytest_cache", "config*.yaml")
    path = Path(shutil.copytree(EXAMPLE, folder / "bookshop", ignore=leftovers))
    for folder_of_data in ("knowledge", "metrics", "memory", "agent-memory", "sessions", "context"):
        shutil.rmtree(path / ".claude" / folder_of_data, ignore_errors=True)
    identity = ("-c", "user.name=Reader", "-c", "user.email=reader@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "Start")):
        subprocess.run(["git", *command], cwd=path, check=True, capture_output=True)
    for name, value in (("user.name", "Reader"), ("user.email", "reader@example.org")):
        subprocess.run(["git", "config", name, value], cwd=path, check=True)
    return path


def session(page: str, project: Path, place: Path) -> list[Step]:
    """Run a page's bash blocks in one shell and return what each command did."""
    wanted = [
        (block, command)
        for block in blocks(page)
        if block.language == "bash" and "no-run" not in block.words
        for command in block.commands
    ]
    mark = "@@ended "
    lines = [f"{command}\nprintf '\\n{mark}%s\\n' \"$?\"" for _, command in wanted]
    script = place / "session.sh"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    binaries = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", str(script)], cwd=project, env={**os.environ, "PATH": binaries, "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )  # fmt: skip
    parts = re.split(rf"\n{mark}(\d+)\n", done.stdout.decode())
    assert len(parts) == 2 * len(wanted) + 1, f"the shell ended early:\n{parts[-1]}"
    outcomes = zip(parts[1::2], parts[::2], strict=False)
    return [Step(*what, int(code), output) for what, (code, output) in zip(wanted, outcomes, strict=True)]


def masked(line: str, project: Path) -> str:
    """A line without what differs from run to run: the project's place, figures, widths."""
    line = line.replace(str(project), "/path/to/bookshop")
    line = re.sub(r"[0-9a-f]{40,64}|\b[0-9a-f]{12}\b", "HASH", line)
    line = re.sub(r"\d{8}T\d{6}\.\d{3}Z(-[0-9a-f]{8})?", "TIME", line)
    return " ".join(re.sub(r"\d+(?:[.,:T-]\d+)*Z?", "#", line).split())


def missing_lines(shown: str, written: str, project: Path) -> list[str]:
    """The lines of a shown output that are not in the real one, in its order."""
    real = [masked(line, project) for line in written.splitlines()]
    missing = []
    for line in shown.splitlines():
        wanted = masked(line, project)
        if wanted in {"", "..."}:
            continue
        if wanted in real:
            real = real[real.index(wanted) + 1 :]
        else:
            missing.append(line)
    return missing


@pytest.mark.parametrize("page", [page for page in RUN if any(block.language == "bash" for block in blocks(page))])
def test_every_command_of_a_page_runs_and_writes_what_the_page_shows(page: str, tmp_path: Path) -> None:
    project = bookshop(tmp_path)
    steps = session(page, project, tmp_path)
    failed = [f"{step.block.line}: {step.command} -> {step.code}\n{step.output}" for step in steps
              if step.code != step.expected]  # fmt: skip
    assert not failed, "\n".join(failed)
    listed = blocks(page)
    for block, after in itertools.pairwise(listed):
        if block.language == "bash" and "no-run" not in block.words and after.language == "text":
            written = "".join(step.output for step in steps if step.block == block)
            assert missing_lines(after.text, written, project) == [], f"{page}:{after.line}\n{written}"
    for block in listed:
        if block.language == "python":
            done = subprocess.run(
                [sys.executable, "-c", block.text], cwd=project, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{page}:{block.line}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_uses_only_the_kinds_of_block_that_are_checked(page: str) -> None:
    for block in blocks(page):
        assert block.language in _LANGUAGES, f"{page}:{block.line}: {block.language!r}"
        if "no-run" in block.words:
            assert all(_SETS_UP.match(command) for command in block.commands), f"{page}:{block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_named_in_a_page_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)|`make (\w+)`", PAGES[page], re.MULTILINE))
    assert {one or other for one, other in named} <= targets


_PARSER = whole_parser()  # takes a tenth of a second to make, and many pages ask it


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_of_agent_studio_in_a_page_parses(page: str) -> None:
    for block in blocks(page):
        if block.language in {"bash", "powershell", "bat"}:
            for command in block.commands:
                for line in re.findall(r"(?:^|\s|\$\()agent-studio ([^|;&)<>]*)", command):
                    assert parses(line), f"{page}: agent-studio {line}"
    for line in re.findall(r"`(?:[A-Z_]+=\w+ )?agent-studio ([^`]+)`", prose(page)):
        if not re.search(r"[A-Z]{2}|\.\.\.", line):  # placeholders such as NAME
            assert parses(line), f"{page}: agent-studio {line}"


def parses(line: str) -> bool:
    words = shlex.split(_CODE.sub("", line), comments=True)
    try:
        _, rest, _ = _split(words)
        if len(words) == 1 and words[0] in COMMANDS:  # a verb named by itself
            return True
        if rest and rest[0] not in {"--help", "--version"}:
            _PARSER.parse_args(_spelled_out(rest))
    except Exception:  # noqa: BLE001 - whatever the parser says of it, the line is wrong
        return False
    return True


@pytest.mark.parametrize(("language", "forms"), [("powershell", _POWERSHELL), ("bat", _CMD)])
@pytest.mark.parametrize("page", PAGES)
def test_lines_for_windows_name_variables_and_commands_that_exist(
    page: str, language: str, forms: tuple[str, ...]
) -> None:
    known = re.compile(
        r"agent-studio |pip install |py -m venv |\.venv\\Scripts\\activate|cd |dir |type |Get-Content |git "
    )
    for block in blocks(page):
        for command in block.commands if block.language == language else ():
            setting = next((found for form in forms if (found := re.fullmatch(form, command.strip()))), None)
            if setting:
                assert setting["variable"] in _VARIABLES, f"{page}: {command}"
            else:
                assert known.match(command), f"{page}: {command}"


@pytest.mark.parametrize("page", RUN)
def test_configuration_shown_in_a_page_has_no_faults(page: str, tmp_path: Path) -> None:
    for number, block in enumerate(block for block in blocks(page) if block.language == "yaml"):
        project = Project(tmp_path / str(number))
        project.definitions.mkdir(parents=True)
        project.definitions.joinpath("config.yaml").write_text(block.text, encoding="utf-8")
        config, problems = inspect(project, Environment.DEVELOPMENT, {})
        assert not problems, f"{page}:{block.line}: {problems[0]}"
        assert not config.warnings, f"{page}:{block.line}: {config.warnings[0].message}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_anchor_resolves(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert place.exists(), f"{page}: {target}"
        if anchor:
            name = place.resolve().relative_to(REPOSITORY).as_posix()
            assert anchor in anchors(name), f"{page}: {target}"


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_place_of_the_machine_it_was_written_on(page: str) -> None:
    found = re.findall(r"(?<![\w.~])/(?:home|root|tmp|work|Users|private|var|mnt)/[^\s`)]*", PAGES[page])
    assert not found
    assert str(REPOSITORY) not in PAGES[page]


def test_every_page_is_reached_from_the_readme() -> None:
    seen, queue = set(), ["README.md"]
    while queue:
        page = queue.pop()
        if page in seen or page not in PAGES:
            continue
        seen.add(page)
        links = re.findall(r"\]\((?!http)([^)#\s]+\.md)", prose(page))
        queue += [((REPOSITORY / page).parent / link).resolve().relative_to(REPOSITORY).as_posix() for link in links]
    assert set(PAGES) - seen == set()


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "reference.py"), "--check"],
        env={**os.environ, "COLUMNS": "40"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), "run: make reference"


def verbs() -> list[str]:
    """Every verb and sub-verb as it is typed, however deep."""
    return [" ".join(words) for words in _below(_PARSER)]


def _below(parser: argparse.ArgumentParser, *before: str) -> Iterator[tuple[str, ...]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield (*before, name)
                yield from _below(inner, *before, name)


def first_column(page: str, heading: str) -> set[str]:
    """The code words in the first column of the table below a heading."""
    section = PAGES[page].split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    return set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE))


def test_every_smoke_check_is_in_the_page_on_testing() -> None:
    assert first_column("docs/testing.md", "The checks") == {check.name for check in CHECKS}


def test_every_code_of_a_finding_is_in_the_page_on_doctor() -> None:
    source = REPOSITORY / "src" / "agent_studio"
    codes = {
        node.value
        for place in (
            source / "environment/checks.py",
            source / "staging/diagnosis.py",
            source / "capture/recorder/build.py",
            source / "capture/wiring/status.py",
            source / "cost/findings.py",
            source / "evolution/findings.py",
            source / "fleet/status.py",
            source / "guards/wired.py",
            source / "monitor/notify.py",
            source / "monitor/retention.py",
            source / "reasoning/models/findings.py",
            source / "reasoning/party/findings.py",
            source / "release/condition.py",
        )
        for call in ast.walk(ast.parse(place.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Finding"
        for node in ast.walk(call.args[0])
        if isinstance(node, ast.Constant)
    }
    documented = first_column("docs/doctor.md", "Findings")
    assert codes <= documented
    assert documented - codes <= {"configuration", "configuration-missing"}  # named by a variable


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_is_in_the_reference_and_explained_on_a_page(verb: str) -> None:
    reference = PAGES["docs/reference/commands.md"]
    assert re.search(rf"^#+ agent-studio {verb}$", reference, re.MULTILINE)
    above, _, name = verb.rpartition(" ")
    listed = re.compile(rf"`{name}\b") if " " in above else None  # one page has a table of all below it
    told = [
        page
        for page, text in PAGES.items()
        if "reference" not in page
        and (f"agent-studio {verb}" in text or (listed and f"agent-studio {above}" in text and listed.search(text)))
    ]
    assert told, f"no page mentions agent-studio {verb}"


def test_the_reference_has_no_argument_without_a_meaning_and_nothing_that_only_a_parser_understands() -> None:
    reference = PAGES["docs/reference/commands.md"]
    assert re.findall(r"^\| `[^`]+` \| +\|$|%%|\('\w+', '\w+'\)", reference, re.MULTILINE) == []
