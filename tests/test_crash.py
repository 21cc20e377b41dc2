"""Killed, interrupted, run twice at once, out of space, without rights: the next run repairs, nothing is lost."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench import kills

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Finished, Studio

STAGING = ("--env", "staging")


def need_tracing() -> None:
    """Fail without strace, because then nothing is shown; skip only where the machine forbids tracing."""
    fault = kills.tracing_fault()
    if "not permitted" in fault:
        pytest.skip(f"this machine forbids tracing, so no kill can be planned: {fault}")
    assert not fault, f"{fault}: scripts/setup.sh installs it"


@contextmanager
def matrix_of(name: str) -> Iterator[kills.Matrix]:
    """Give the kills of one command."""
    need_tracing()
    scenario = next(scenario for scenario in kills.SCENARIOS if scenario.name == name)
    with kills.matrix(scenario) as matrix:
        yield matrix


@pytest.mark.parametrize(
    ("name", "count", "part", "parts", "least"),
    [
        ("init", 14, 0, 2, 50),
        ("init", 14, 1, 2, 50),
        ("init --reset", 6, 0, 1, 40),
        ("kb build", 4, 0, 1, 20),
        ("kb list", 4, 0, 1, 10),
        ("flags set", 3, 0, 1, 6),
        ("hooks install", 4, 0, 1, 8),
        ("hooks uninstall", 3, 0, 1, 4),
    ],
)
def test_whatever_a_kill_leaves_the_next_init_repairs(name: str, count: int, part: int, parts: int, least: int) -> None:
    with matrix_of(name) as matrix:
        assert len(matrix.points) >= least, "the plan misses calls"
        points = matrix.spread(count, part, parts)
        assert len(points) == count // parts
        assert [fault for point in points for fault in matrix.kill(point)] == []


@pytest.mark.parametrize("name", ["init", "init --reset"])
def test_whatever_a_kill_after_some_time_leaves_the_next_init_repairs(name: str) -> None:
    with matrix_of(name) as matrix:
        assert [fault for seconds in (0.1, 0.2, 0.3) for fault in matrix.kill_after(seconds)] == []


def test_the_search_for_lost_bytes_finds_them() -> None:
    before = {"a/notes.md": b"all of it", "grown.log": b"one\n", "moved.md": b"text", "empty": b""}
    after = {"a/notes.md": b"all of", "grown.log": b"one\ntwo\n", "archive/moved.md": b"text"}
    assert list(kills.lost(before, after, "killed")) == ["killed: bytes of a/notes.md are lost"]


def interrupted(studio: Studio, call: str, ordinal: int) -> tuple[int, str]:
    """Send SIGINT at a call of `init`; return the exit code and what was said on stderr."""
    done = subprocess.run(
        ["strace", "-qqq", "-o", os.devnull, "-e", "signal=none", "-e", f"trace={call}",
         "-e", f"inject={call}:signal=INT:when={ordinal}", sys.executable, "-m", "agent_studio", "init", *STAGING],
        cwd=studio.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(("call", "ordinal"), [("mkdirat", 4), ("renameat", 9), ("renameat", 100)])
def test_an_interrupt_ends_with_130_and_one_line(bare: Studio, call: str, ordinal: int) -> None:
    need_tracing()
    code, said = interrupted(bare, call, ordinal)
    assert code == 130
    assert said.count("\n") == 1
    assert "interrupted" in said
    assert bare.run("init", *STAGING).code == 0
    assert bare.run("smoke", *STAGING).code == 0
    assert leftovers(bare.path) == []


def leftovers(project: Path) -> list[str]:
    return [name for name in kills.tree(project) if name.endswith(".tmp") or "/.smoke-" in name or "/.canary-" in name]


def test_of_two_inits_at_once_one_wins_and_the_result_is_whole(bare: Studio) -> None:
    command = [sys.executable, "-m", "agent_studio", "init", *STAGING]
    started = [
        subprocess.Popen(command, cwd=bare.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [(process.communicate(timeout=120), process.returncode) for process in started]
    assert {code for _, code in ended} <= {0, 5}
    assert any(code == 0 for _, code in ended)
    for (out, err), code in ended:
        assert ("Ready" in out) == (code == 0)
        if code == 5:
            assert err.count("error:") == 1
            assert "another process" in err
    assert bare.run("smoke", *STAGING).code == 0
    assert leftovers(bare.path) == []
    assert bare.json("status", *STAGING)["indexRows"] == 1133


def limit_file_size() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def assert_one_clear_refusal(done: Finished) -> None:
    assert done.code == 1, done.err
    assert "Ready!" not in done.out
    assert done.err.count("error:") == 1, done.err
    assert "Traceback" not in done.err


def test_a_file_that_cannot_grow_fails_clearly_and_is_completed_later(bare: Studio) -> None:
    done = bare.process("init", *STAGING, preexec_fn=limit_file_size)
    assert_one_clear_refusal(done)
    assert "knowledge-base-index.csv" in done.err
    assert not (bare.path / ".claude/staging/knowledge/knowledge-base-index.csv").exists()
    assert leftovers(bare.path) == []
    assert bare.run("init", *STAGING).code == 0
    assert bare.run("smoke", *STAGING).code == 0


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """Mount a memory disk of that size where the machine allows it."""
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(options, capture_output=True, text=True, check=False)
        fault = mounted.stderr.strip() if mounted.returncode else ""
    except FileNotFoundError:
        fault = "there is no mount command"
    if fault:
        pytest.skip(f"this machine does not allow a small disk to be mounted: {fault}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", ["100k", "300k", "1m"])
def test_a_full_disk_fails_clearly_and_is_completed_when_space_returns(bare: Studio, tmp_path: Path, size: str) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, size):
        shutil.copytree(bare.path, disk / "project")
        studio: Any = type(bare)(disk / "project")
        before = kills.tree(studio.path)
        done = studio.run("init", *STAGING)
        assert_one_clear_refusal(done)
        assert "No space left" in done.err
        assert leftovers(studio.path) == []
        assert list(kills.lost(before, kills.tree(studio.path), "full")) == []
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert studio.run("init", *STAGING).code == 0
        assert studio.run("smoke", *STAGING).code == 0
        assert studio.json("init", *STAGING)["artifacts"] == 1133


def unprivileged() -> list[str]:
    """Return what to put before a command so that it has no right to write what is closed."""
    if os.geteuid() != 0:
        return []
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    without_powers = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    for prefix in (as_nobody, without_powers):  # nobody may be unable to reach the interpreter
        try:
            done = subprocess.run(
                [*prefix, sys.executable, "-c", "import agent_studio"], capture_output=True, check=False
            )
        except FileNotFoundError:
            break
        if done.returncode == 0:
            return prefix
    pytest.skip("this machine cannot take root's rights from a process")


def looks(project: Path) -> dict[Path, tuple[int, int]]:
    """Return time of change and rights of everything in a project."""
    found = [(path, path.lstat()) for path in (project, *project.rglob("*"))]
    return {path: (status.st_mtime_ns, stat.S_IMODE(status.st_mode)) for path, status in found}


def test_a_project_without_the_right_to_write_is_refused_and_unchanged(bare: Studio) -> None:
    prefix = unprivileged()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        project = Path(folder, "project")
        shutil.copytree(bare.path, project)
        for path in looks(project):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = looks(project)
        line = [*prefix, sys.executable, "-m", "agent_studio", "init", *STAGING, "--project", str(project)]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
        assert looks(project) == before
        for path in before:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("error:") == 1
    assert "read-only" in done.stderr
