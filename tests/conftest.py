"""What every test starts from: a clean environment, no home folder, real projects in temporary folders."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from agent_studio.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from tests.eval_world import Evals
    from tests.release_world import World

REPOSITORY = Path(__file__).resolve().parent.parent

_suite = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, derandomize=True
)  # the same cases everywhere
settings.register_profile("suite", _suite)
_kept = DirectoryBasedExampleDatabase(REPOSITORY / ".hypothesis/examples")  # the next run begins with what failed
settings.register_profile(
    "explore", _suite, max_examples=600, derandomize=False, database=_kept
)  # other cases each time: a trial
settings.load_profile("suite")

_PREFIXES = ("AGENT_STUDIO_", "CLAUDE", "ANTHROPIC_", "OTEL_", "GIT_")
_NAMES = (
    "NODE_ENV", "PARTY_MODE_ENABLED", "ELICITATION_ENABLED", "ELICITATION_BUDGET_LIMIT", "MONITORING_ENABLED",
    "HOOK_EXECUTION_THRESHOLD", "ERROR_RATE_THRESHOLD", "PYTEST_ADDOPTS", "NO_COLOR", "COLUMNS",
)  # fmt: skip


for _name in ("SIGHUP", "SIGINT", "SIGQUIT"):  # started by nohup or in the background, a process inherits them ignored
    if (_number := getattr(signal, _name, None)) and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


def _fsync(descriptor: int) -> None:
    """Take a descriptor as `os.fsync` does, and wait for no disk: of a test's own process only a power cut would tell.

    What the product asks to be durable is recorded by `disk_model`, above this; processes that tests start wait for it.
    """
    os.fstat(descriptor)


setattr(os, "fsync", _fsync)  # noqa: B010 - the type checker knows only the real one

_FAST = frozenset((
    "attestations", "chain", "chained", "counting", "decide", "edit", "eval_stream", "gate", "inbox", "issues",
    "journal", "ledger", "locks", "names", "otlp", "prices", "signoff", "table", "teams", "ways_back",
))  # fmt: skip
"""The modules of the fast suite: a noun each, in this process, milliseconds a test; longer ones in them are marked."""


_LONG = frozenset((
    "bench", "client", "eval_client", "isolated_client", "isolation_attacks", "plugin", "release_kills",
    "released_client", "soak",
))  # fmt: skip
"""Modules with tests of half a minute and more: begun first, or one worker goes on when the others are done."""


def _is_in(path: Path, modules: frozenset[str]) -> bool:
    return path.stem.removeprefix("test_") in modules


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Take two workers a core: half of the suite's time is waiting for processes."""
    cores = yield
    return 2 * cores


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Not even import what the fast suite leaves out."""
    asked = config.option.markexpr == "not slow" and collection_path.name.startswith("test_")
    return True if asked and not _is_in(collection_path, _FAST) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count as slow what is in no module of the fast suite, and property tests; begin with what takes longest."""
    for item in items:
        if not _is_in(item.path, _FAST) or is_hypothesis_test(getattr(item, "function", None)):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not _is_in(item.path, _LONG))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder that is nobody's."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Hide the machine's own settings and home folder from every test and every process it starts."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES) or name in _NAMES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


def until(holds: Callable[[], bool], seconds: float = 40) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


@dataclass(frozen=True)
class Finished:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    @property
    def data(self) -> dict[str, Any]:
        inner: dict[str, Any] = self.envelope["data"]
        return inner


class Studio:
    """A project in a temporary folder and the `agent-studio` command run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *arguments: str, variables: Mapping[str, str] | None = None, cwd: Path | None = None) -> Finished:
        """Run the command's entry point in this process: the same code as the command, without its start."""
        written = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(buffer, encoding="utf-8", write_through=True) for buffer in written)
        with (
            contextlib.chdir(cwd or self.path),
            mock.patch.dict(os.environ, variables or {}),
            mock.patch.multiple(sys, stdout=out, stderr=err, stdin=io.StringIO()),
        ):
            code = main(list(arguments))
        return Finished(code, *(buffer.getvalue().decode() for buffer in written))

    def process(self, *arguments: str, variables: Mapping[str, str] | None = None, **options: Any) -> Finished:
        """Run the command as a process of its own."""
        options.setdefault("cwd", self.path)
        done = subprocess.run(
            [sys.executable, "-m", "agent_studio", *arguments],
            env={**os.environ, **(variables or {})},
            capture_output=True, text=True, encoding="utf-8", errors="surrogateescape", timeout=120, check=False,
            **options,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str, **options: Any) -> dict[str, Any]:
        """Run with `--json` and return `data`."""
        return self.run(*arguments, "--json", **options).data

    def write(self, relative: str, text: str | bytes) -> Path:
        place = self.path / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return place

    def snapshot(self, relative: str = ".") -> dict[str, bytes]:
        """Return every file below a folder with its bytes, but for our own log, which tells that a command ran."""
        base = self.path / relative
        return {
            str(place.relative_to(self.path)): place.read_bytes()
            for place in sorted(base.rglob("*"))
            if place.is_file() and not place.is_symlink() and place.name != "log.jsonl"
        }


def add_artifacts(studio: Studio) -> None:
    """Write a handful of artifacts of every kind."""
    studio.write(
        ".claude/agents/code-reviewer.md",
        "---\nname: code-reviewer\ndescription: Reviews pull requests for correctness and style.\n"
        "tools: Read, Grep\nmodel: sonnet\n---\n\n# Code reviewer\n\nRead the diff first.\n",
    )
    studio.write(
        ".claude/skills/writing-migrations/SKILL.md",
        "---\nname: writing-migrations\ndescription: >-\n  Writes database migrations\n  that can be rolled back.\n"
        "allowed-tools:\n  - Read\n  - Edit\n---\n\n# Migrations\n\nEvery step has a way back.\n",
    )
    studio.write(".claude/commands/ship.md", "---\ndescription: Ship the current branch\n---\n\nShip it.\n")
    studio.write(
        ".claude/workflows/hotfix.md", "---\nname: hotfix\ndescription: Mend production fast\n---\n\n1. Branch.\n"
    )


@pytest.fixture
def bare(tmp_path: Path) -> Studio:
    """A project with artifacts and nothing of ours yet."""
    path = tmp_path / "my project ünï"
    (path / ".claude").mkdir(parents=True)
    studio = Studio(path)
    add_artifacts(studio)
    return studio


@pytest.fixture
def staged(bare: Studio) -> Studio:
    """The same project with an initialised staging environment and few test artifacts."""
    done = bare.run("init", "--env", "staging", "--set", "testData.artifactsCount=20")
    assert done.code == 0, done.err
    return bare


@pytest.fixture
def world(bare: Studio, tmp_path: Path) -> World:
    """A project with a production beside it, and people with keys."""
    from tests.release_world import World

    return World(bare, tmp_path)


@pytest.fixture
def evals(world: World, tmp_path: Path) -> Evals:
    """Four tasks in that project, and an agent that follows a script."""
    from tests.eval_world import Evals

    return Evals(world, tmp_path)


@pytest.fixture
def fleet_database() -> Iterator[Any]:
    """A connection to a PostgreSQL server's database in which `fleet init` has made its tables."""
    from tests.fleet_servers import PASSWORD, postgresql_server

    from agent_studio.fleet.address import Address
    from agent_studio.fleet.engines.opening import opened

    server = postgresql_server()
    name = server.database().rpartition("/")[2]
    where = Address("postgresql", (("127.0.0.1", server.port),), f"/{name}", "postgres", PASSWORD, {}, None, None, None)
    with opened(where, "") as engine:
        engine.init(90)
    with server.connect(name) as connection:
        yield connection
