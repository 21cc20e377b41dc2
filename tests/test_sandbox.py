"""What the kernel keeps from a run, by each backend, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Studio, add_artifacts, until
from tests.ordinary import ordinary

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import AgentStudioError
from agent_studio.isolation import choice
from agent_studio.isolation.backends import NotIsolatedError, bubblewrap, landlock, runtime, terminal
from agent_studio.isolation.hard_links import find
from agent_studio.isolation.policy import Access, policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Finished
    from tests.ordinary import Ordinary

    from agent_studio.isolation.backends import Backend
    from agent_studio.isolation.policy import Policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these backends are Linux's")

SECRET = "planted-value-of-production"
BACKENDS: dict[str, Backend] = {"bubblewrap": bubblewrap, "landlock": landlock}
USERS = ("root", "user")
TRIES = """\
import json, os, sys
project, home = sys.argv[1:3]
claude = project + "/.claude"
def read(path): return open(path).read()
def write(path, text="changed"):
    with open(path, "w") as file: file.write(text)
tries = {
    "read data": lambda: read(claude + "/metrics/hooks.jsonl"),
    "read by a way around": lambda: read(project + "/.claude/staging/../metrics/hooks.jsonl"),
    "read by a link": lambda: (os.symlink(claude + "/metrics", claude + "/staging/link"),
                               read(claude + "/staging/link/hooks.jsonl")),
    "read state": lambda: read(project + "/.agent-studio/production/kept.json"),
    "read a key": lambda: read(home + "/.ssh/id"),
    "write data": lambda: write(claude + "/metrics/hooks.jsonl"),
    "create data": lambda: write(claude + "/metrics/new.jsonl"),
    "truncate data": lambda: os.truncate(claude + "/metrics/hooks.jsonl", 0),
    "remove data": lambda: os.unlink(claude + "/metrics/hooks.jsonl"),
    "rename data": lambda: os.rename(claude + "/metrics", claude + "/staging/taken"),
    "link data": lambda: os.link(claude + "/metrics/hooks.jsonl", claude + "/staging/linked"),
    "write a definition": lambda: write(claude + "/agents/code-reviewer.md"),
    "create a definition": lambda: write(claude + "/agents/evil.md"),
    "create in the definitions": lambda: write(claude + "/settings.local.json"),
    "replace a definition": lambda: (write(claude + "/staging/x"),
                                     os.rename(claude + "/staging/x", claude + "/agents/code-reviewer.md")),
    "write configuration": lambda: write(claude + "/config.yaml"),
    "write routes": lambda: write(project + "/.agent-studio/routes"),
    "forge evidence": lambda: write(project + "/.agent-studio/staging/evidence/x.json"),
    "write checkpoints": lambda: write(project + "/.agent-studio/staging/checkpoints.jsonl"),
    "write a backup": lambda: (os.makedirs(project + "/.agent-studio/staging/backups", exist_ok=True),
                               write(project + "/.agent-studio/staging/backups/x")),
    "move definitions away": lambda: os.rename(claude, project + "/gone"),
    "move the project away": lambda: os.rename(project, project + ".gone"),
    "move its folder away": lambda: os.rename(os.path.dirname(project), os.path.dirname(project) + ".gone"),
    "write the user's agents": lambda: (os.makedirs(home + "/.claude/agents", exist_ok=True),
                                        write(home + "/.claude/agents/evil.md")),
    "write the user's settings": lambda: write(home + "/.claude/settings.json"),
    "write the kernel's settings": lambda: write("/proc/sys/kernel/core_pattern", "core"),
    "write the system": lambda: write("/etc/agent-studio-was-here"),
}
allowed = {
    "read source": lambda: read(project + "/source/app.py"),
    "write source": lambda: write(project + "/source/app.py"),
    "create source": lambda: write(project + "/source/new.py"),
    "read definitions": lambda: read(claude + "/agents/code-reviewer.md"),
    "list the project": lambda: os.listdir(project),
    "write own data": lambda: write(claude + "/staging/memory/own.md"),
    "write own state": lambda: write(project + "/.agent-studio/staging/run/own"),
    "read routes": lambda: read(project + "/.agent-studio/routes"),
    "write a project of the client": lambda: write(home + "/.claude/projects/x.jsonl"),
    "write a temporary file": lambda: __import__("tempfile").TemporaryFile().write(b"x"),
    "write to a device": lambda: write("/dev/null"),
}
found = {}
for kind, table in (("tries", tries), ("allowed", allowed)):
    found[kind] = {}
    for name, attempt in table.items():
        try:
            attempt()
            found[kind][name] = "done"
        except OSError as error:
            found[kind][name] = error.strerror
print(json.dumps(found))
"""


KEPT = (
    ".claude/metrics/hooks.jsonl", ".claude/config.yaml", ".claude/agents/code-reviewer.md", ".agent-studio/routes",
)  # fmt: skip


def usable(backend: str) -> None:
    found = BACKENDS[backend].available()
    if not found.usable:
        pytest.skip(found.reason)


def furnish(studio: Studio, home: Path) -> None:
    """Put into a project and a home folder what a run must not reach."""
    for name, text in {
        ".claude/metrics/hooks.jsonl": SECRET, ".agent-studio/production/kept.json": SECRET,
        ".agent-studio/staging/evidence/old.json": "{}", ".agent-studio/staging/run/old": "",
        "source/app.py": "print()\n",
    }.items():  # fmt: skip
        studio.write(name, text)
    for name in (".ssh/id", ".claude/projects/old.jsonl", ".cache/x"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(SECRET)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of one test alone."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    return place


@pytest.fixture
def nobodys() -> Iterator[Ordinary]:
    """A furnished project of an ordinary user."""
    for one in ordinary():
        one.path.mkdir(parents=True)
        (one.path / ".claude").mkdir()
        add_artifacts(one)
        one.give()
        for environment in ("staging", "production"):
            done = one.process("init", "--env", environment, "--no-hooks", "--set", "testData.artifactsCount=5")
            assert done.code == 0, done.err
        furnish(one, one.home)
        one.give()
        yield one


@pytest.fixture
def roots(staged: Studio, home: Path) -> Studio:
    """A furnished project of the user who runs the tests."""
    assert staged.run("init", "--env", "production", "--no-hooks").code == 0
    furnish(staged, home)
    return staged


def run(studio: Studio, backend: str, *command: str, **options: Any) -> Finished:
    return studio.process("run", "--env", "staging", "--isolation", backend, "--", *command, **options)


def python(studio: Studio, backend: str, code: str, *words: str) -> Finished:
    return run(studio, backend, "python3", "-c", code, *words)


def attempts(studio: Studio, home: Path, backend: str) -> dict[str, dict[str, str]]:
    done = python(studio, backend, TRIES, str(studio.path), str(home))
    assert done.code == 0, done.err
    found: dict[str, dict[str, str]] = json.loads(done.out)
    return found


def as_both(request: pytest.FixtureRequest, user: str) -> tuple[Studio, Path]:
    if user == "root":
        return request.getfixturevalue("roots"), request.getfixturevalue("home")
    one = request.getfixturevalue("nobodys")
    return one, one.home


# What is kept


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_protected_is_read_or_changed_and_everything_else_works(
    request: pytest.FixtureRequest, backend: str, user: str
) -> None:
    usable(backend)
    studio, home = as_both(request, user)
    before = {name: (studio.path / name).read_bytes() for name in KEPT}
    found = attempts(studio, home, backend)
    assert [name for name, how in found["tries"].items() if how == "done"] == []
    assert {name: how for name, how in found["allowed"].items() if how != "done"} == {}
    assert {name: (studio.path / name).read_bytes() for name in before} == before
    assert (studio.path / ".claude/staging/memory/own.md").read_text() == "changed"
    assert not (studio.path / ".claude/agents/evil.md").exists()
    assert not (home / ".claude/agents/evil.md").exists()


def test_without_a_backend_all_of_it_would_be_done(roots: Studio, home: Path) -> None:
    """The attempts are real: what the others refuse is refused by nothing else."""
    found = attempts(roots, home, "advisory")
    free = {"read data", "read a key", "write data", "write a definition", "write configuration", "forge evidence"}
    assert {name for name in free if found["tries"][name] != "done"} == set()


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_that_appears_while_the_run_goes_on_is_not_seen(roots: Studio, backend: str) -> None:
    usable(backend)
    (roots.path / ".claude/metrics").rename(roots.path / ".claude/metrics.old")
    process = started(
        roots, backend, "echo ready; read line; cat .claude/metrics/hooks.jsonl .claude/late.json; exit 0"
    )
    roots.write(".claude/metrics/hooks.jsonl", SECRET)
    roots.write(".claude/late.json", SECRET)
    out, _ = process.communicate(b"go\n", timeout=30)
    assert SECRET.encode() not in out


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hidden_folder_that_is_renamed_while_the_run_goes_on_stays_hidden(roots: Studio, backend: str) -> None:
    usable(backend)
    process = started(roots, backend, "echo ready; read line; cat .claude/*/hooks.jsonl .claude/moved/*; exit 0")
    (roots.path / ".claude/metrics").rename(roots.path / ".claude/moved")
    roots.write(".claude/metrics/hooks.jsonl", SECRET)
    out, _ = process.communicate(b"go\n", timeout=30)
    assert SECRET.encode() not in out


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_in_a_folder_of_its_own_is_hidden(roots: Studio, backend: str) -> None:
    usable(backend)
    roots.write(".claude/config.production.yaml", "paths: {metrics: data/live, knowledge: .claude/deep/er/kb}\n")
    roots.write("data/live/hooks.jsonl", SECRET)
    roots.write("data/open.txt", "open")
    roots.write(".claude/deep/er/kb/index.csv", SECRET)
    roots.write(".claude/deep/open.md", "open")
    done = run(
        roots, backend, "sh", "-c", "cat data/open.txt .claude/deep/open.md data/live/* .claude/deep/er/kb/*; exit 0"
    )
    assert done.out == "openopen"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_name_in_another_case_leads_nowhere(roots: Studio, backend: str) -> None:
    usable(backend)
    done = run(roots, backend, "sh", "-c", "cat .Claude/METRICS/hooks.jsonl .CLAUDE/metrics/HOOKS.jsonl; exit 0")
    assert SECRET not in done.out


@pytest.mark.parametrize("user", USERS)
def test_a_run_in_namespaces_has_no_powers_and_sees_no_process_of_ours(
    request: pytest.FixtureRequest, user: str
) -> None:
    usable("bubblewrap")
    studio, _ = as_both(request, user)
    done = run(
        studio, "bubblewrap", "sh", "-c",
        "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; ls /proc | grep -c '^[0-9]'; ls /dev;"
        "umount .claude 2>&1; unshare --user --map-root-user --mount umount .claude 2>&1; exit 0",
    )  # fmt: skip
    assert "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n" in done.out
    assert int(done.out.splitlines()[3]) < 10
    assert not [name for name in done.out.splitlines() if name.startswith(("vd", "sd", "nvme", "loop", "mem", "kmsg"))]


COMMON_DEVICES = {
    "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin", "stdout", "stderr",
}  # fmt: skip


def test_landlock_takes_what_root_could_get_round_it_with(roots: Studio) -> None:
    usable("landlock")
    if os.getuid():
        pytest.skip("an ordinary user has no capabilities")
    code = (
        "import os\n"
        "held = next(int(line.split()[1], 16) for line in open('/proc/self/status') if line.startswith('CapEff'))\n"
        "print(sorted(n for n in range(64) if held >> n & 1))\n"
        "import sys\n"
        "for path in ('/proc/kcore', '/proc/1/environ', '/proc/1/root/etc/passwd', *sys.argv[1:]):\n"
        "    try: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)); print(path)\n"
        "    except OSError: pass\n"
        "for device in ('b', 'c'):\n"
        "    try: os.mknod('source/' + device, 0o600 | {'b': 0o060000, 'c': 0o020000}[device], os.makedev(254, 0))\n"
        "    except OSError: continue\n"
        "    print(device)\n"
    )
    devices = [f"/dev/{name}" for name in sorted({one.name for one in Path("/dev").iterdir()} - COMMON_DEVICES)]
    held, *rest = python(roots, "landlock", code, *devices).out.splitlines()
    assert set(json.loads(held)) <= {0, 1, 3, 4, 6, 7}
    assert rest == []


# Sockets, terminals, processes


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_decision_socket_is_reached_and_an_abstract_one_is_not(roots: Studio, backend: str) -> None:
    usable(backend)
    if not landlock.can_scope():
        pytest.skip("this kernel has no scopes")
    (roots.path / ".agent-studio/staging").mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as own, socket.socket(socket.AF_UNIX) as abstract:
        here = Path.cwd()
        os.chdir(roots.path / ".agent-studio/staging")
        own.bind("decide.sock")
        os.chdir(here)
        abstract.bind(f"\0agent-studio-{os.getpid()}")
        own.listen()
        abstract.listen()
        code = (
            "import os, socket, sys\n"
            "os.chdir('.agent-studio/staging')\n"
            "for name in ('decide.sock', chr(0) + sys.argv[1]):\n"
            "    try: socket.socket(socket.AF_UNIX).connect(name); print('reached')\n"
            "    except OSError: print('refused')\n"
        )
        done = python(roots, backend, code, f"agent-studio-{os.getpid()}")
    assert done.out.split() == ["reached", "refused"], done.err


def test_a_hidden_socket_takes_no_connection(roots: Studio, tmp_path: Path) -> None:
    usable("bubblewrap")
    place = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(place))
        agent.listen()
        code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        done = run(roots, "bubblewrap", "python3", "-c", code, str(place), variables={"SSH_AUTH_SOCK": str(place)})
    assert done.code == 1
    assert "Error" in done.err


TYPES = (
    "import fcntl, os, sys, termios\n"
    "for request in (termios.TIOCSTI, 0x541C):\n"
    "    try: fcntl.ioctl(0, request, b'x' + bytes(8)); print('typed')\n"
    "    except OSError as error: print(error.errno)\n"
    "print('terminal', os.isatty(0), os.get_terminal_size(0).columns)\n"
    "os.close(os.open('/dev/tty', os.O_RDWR))\n"
    "print('end')\n"
)
IN_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_has_the_terminal_but_cannot_type_into_it(roots: Studio, backend: str) -> None:
    usable(backend)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, sys.executable, "-m", "agent_studio", "run", "--env", "staging",
         "--isolation", backend, "--", "python3", "-c", TYPES],
        cwd=roots.path, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    try:
        while b"end\r\n" not in seen and (chunk := os.read(master, 4096)):
            seen += chunk
    except OSError:
        pass  # its end
    finally:
        process.wait(30)
        os.close(master)
    assert b"typed" not in seen
    assert b"\r\n1\r\n" in seen  # EPERM
    assert b"terminal True" in seen
    assert process.returncode == 0


def test_the_filter_of_the_terminal_is_whole_instructions() -> None:
    assert terminal.program()
    assert len(terminal.program()) % 8 == 0


def started(studio: Studio, backend: str, script: str) -> subprocess.Popen[bytes]:
    """Start a shell script and return once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "run", "--env", "staging", "--isolation", backend, "--", "sh", "-c",
         script],
        cwd=studio.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def running(mark: str) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"sleep" and mark.encode() in words:
            found.append(place.parent.name)
    return found


def gone(mark: str) -> bool:
    deadline = time.monotonic() + 10
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running(mark)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_that_a_command_left_behind_goes_on(roots: Studio, backend: str) -> None:
    usable(backend)
    mark = f"{1_000_000 + os.getpid()}"
    done = run(
        roots,
        backend,
        "sh",
        "-c",
        f"setsid sh -c 'trap \"\" TERM HUP; sleep {mark}' >/dev/null 2>&1 & sleep 0.1; exit 7",
    )
    assert done.code == 7
    assert gone(mark)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_command_does_not_outlive_us(roots: Studio, backend: str) -> None:
    usable(backend)
    mark = f"{2_000_000 + os.getpid()}"
    process = started(roots, backend, f"echo ready; exec sleep {mark}")
    until(lambda: bool(running(mark)))
    process.kill()
    process.communicate(timeout=30)
    assert gone(mark)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_that_a_command_started_outlives_us(roots: Studio, backend: str) -> None:
    """What has a session of its own, ignores signals and has lost its parent included."""
    usable(backend)
    marks = [f"{5_000_000 + os.getpid()}", f"{6_000_000 + os.getpid()}"]
    process = started(
        roots, backend, f"(setsid sh -c 'trap \"\" TERM HUP; sleep {marks[0]}' &); echo ready; sleep {marks[1]}; true"
    )
    until(lambda: all(map(running, marks)))
    process.kill()
    process.communicate(timeout=30)
    assert all(map(gone, marks))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_command_that_ignores_a_signal_is_waited_for_and_ended_by_kill(roots: Studio, backend: str) -> None:
    usable(backend)
    mark = f"{3_000_000 + os.getpid()}"
    process = started(roots, backend, f"trap '' TERM; echo ready; read line; echo heard; sleep {mark}")
    process.send_signal(signal.SIGTERM)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"heard\n"
    process.kill()
    process.communicate(timeout=30)
    assert gone(mark)


@pytest.mark.parametrize("inner", BACKENDS)
@pytest.mark.parametrize("outer", BACKENDS)
def test_a_run_inside_a_run_reaches_no_further(roots: Studio, outer: str, inner: str) -> None:
    usable(outer)
    usable(inner)
    command = [sys.executable, "-m", "agent_studio", "run", "--env", "staging", "--isolation", inner]
    read = "print('inside', flush=True); open('.claude/metrics/hooks.jsonl')"
    done = run(roots, outer, *command, "--", sys.executable, "-c", read)
    if inner == "bubblewrap" and (outer == "landlock" or not os.getuid()):  # it may mount nothing, or map no root
        assert done.code == 7
        assert "bubblewrap is not available here" in done.err
        return
    assert done.out == "inside\n"
    assert f"inside another run (isolation: {outer})" in done.err
    assert run(roots, outer, *command[:3], "run", "--env", "production", "--", "true").code == 2


# Which backend, and why


def report(studio: Studio, tmp_path: Path, *options: str, **more: Any) -> dict[str, Any]:
    place = tmp_path / "report.json"
    studio.process("run", "--env", "staging", *options, "--report", str(place), "--", "true", **more)
    found: dict[str, Any] = json.loads(place.read_text("utf-8"))
    return found


def without(folder: Path, *names: str) -> str:
    """Return a PATH of all programs but some."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if program.name not in names and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def test_the_strongest_is_chosen_and_the_report_says_what_it_keeps(roots: Studio, tmp_path: Path) -> None:
    usable("bubblewrap")
    found = report(roots, tmp_path)
    assert (found["isolation"], found["refused"]) == ("bubblewrap", [])
    assert str(roots.path / ".claude/metrics") in found["hidden"]
    assert str(roots.path / ".claude") in found["readonly"]
    assert (found["source"], found["separation"], found["exitCode"]) == ("writable", "kept", 0)


def test_without_bubblewrap_landlock_is_used_and_the_reason_is_told(roots: Studio, tmp_path: Path) -> None:
    usable("landlock")
    path = {"PATH": without(tmp_path / "bin", "bwrap")}
    found = report(roots, tmp_path, variables=path)
    assert found["isolation"] == "landlock"
    assert found["refused"] == [{"backend": "bubblewrap", "reason": "bwrap is not installed"}]
    asked = roots.process("run", "--env", "staging", "--isolation", "bubblewrap", "--", "true", variables=path)
    assert asked.code == 7
    assert "bubblewrap: bwrap is not installed" in asked.err


def test_a_bubblewrap_that_is_there_but_refused_is_not_used(roots: Studio, tmp_path: Path) -> None:
    usable("landlock")
    path = without(tmp_path / "bin", "bwrap")
    fake = Path(path, "bwrap")
    fake.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    found = report(roots, tmp_path, variables={"PATH": path})
    assert found["isolation"] == "landlock"
    assert "setting up uid map: Permission denied" in found["refused"][0]["reason"]


REFUSES = """\
import ctypes, os, struct, sys
def step(code, jump, other, value): return struct.pack("=HBBI", code, jump, other, value)
steps = b"".join((step(0x20, 0, 0, 0), step(0x15, 0, 1, 444), step(6, 0, 0, 0x50000 | 38),
    step(0x15, 0, 1, 272), step(6, 0, 0, 0x50000 | 1), step(0x15, 0, 3, 56), step(0x20, 0, 0, 16),
    step(0x45, 0, 1, 0x10000000), step(6, 0, 0, 0x50000 | 1), step(6, 0, 0, 0x7FFF0000)))
class Program(ctypes.Structure): _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))
library = ctypes.CDLL(None)
assert library.prctl(38, 1, 0, 0, 0) == 0
assert library.prctl(22, 2, ctypes.byref(Program(len(steps) // 8, steps)), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A system without Landlock and without user namespaces, as in many containers (x86-64)."""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter of system calls is for x86-64")
def test_without_kernel_support_isolation_is_advisory_or_refused(roots: Studio, tmp_path: Path) -> None:
    place = tmp_path / "report.json"
    command = [sys.executable, "-c", REFUSES, sys.executable, "-m", "agent_studio", "run", "--env", "staging"]
    subprocess.run(
        [*command, "--report", str(place), "--", "true"], cwd=roots.path, check=True, capture_output=True, timeout=60
    )
    found = json.loads(place.read_text("utf-8"))
    assert (found["isolation"], found["hidden"], found["readonly"]) == ("advisory", [], [])
    assert [one["backend"] for one in found["refused"]] == ["bubblewrap", "landlock"]
    assert "this kernel does not offer Landlock" in found["refused"][1]["reason"]
    done = subprocess.run(
        [*command, "--require-isolation", "--", "touch", str(tmp_path / "touched")],
        cwd=roots.path, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 7
    assert "bubblewrap: " in done.stderr
    assert "landlock: this kernel does not offer Landlock" in done.stderr
    assert not (tmp_path / "touched").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can own nothing of a project")
def test_root_does_not_use_a_user_namespace_in_a_project_of_another_user(roots: Studio) -> None:
    os.chown(roots.path, 65_534, 65_534)
    found = bubblewrap.available(policy_of(roots))
    os.chown(roots.path, 0, 0)
    assert not found.usable
    assert "belongs to user 65534" in found.reason


def policy_of(studio: Studio, *overrides: str) -> Policy:
    project = Project(studio.path)
    return policy(open_context(project, Choice(Environment.STAGING, "--env"), {}, overrides), dict(os.environ), b"")


def test_advisory_can_be_asked_for_but_not_when_isolation_is_required(roots: Studio) -> None:
    assert choice.choose(policy_of(roots), "advisory").backend is None
    with pytest.raises(NotIsolatedError, match="asked for by name"):
        choice.choose(policy_of(roots), "advisory", required=True)


# Landlock's allow-list


def test_an_older_kernel_is_asked_for_what_it_knows(roots: Studio) -> None:
    truncate, refer, devices = 1 << 14, 1 << 13, 1 << 15
    for version, known in ((1, 0), (2, refer), (3, refer | truncate), (5, refer | truncate | devices)):
        granted, gaps, _ = landlock.grants(policy_of(roots), version)
        assert max(grant.rights for grant in granted) & (truncate | refer | devices) == known
        assert any("abstract sockets" in text for text in gaps)
    assert not any("abstract sockets" in text for text in landlock.grants(policy_of(roots), 6)[1])


def test_no_grant_gives_more_than_the_policy_to_anything_below_it(roots: Studio) -> None:
    wanted = policy_of(roots)
    granted, _, tree = landlock.grants(wanted, 7)
    writes, reads = 0b10, 0b100
    for grant in granted:
        below = [tree.access(grant.path), *(tree.rules[inner] for inner in tree.below(grant.path))]
        if grant.rights & writes:
            assert min(below) is Access.WRITE, grant.path
        elif grant.rights & reads:
            assert min(below) >= Access.READ, grant.path


# Hard links


def test_a_hard_link_into_the_environment_refuses_the_run(roots: Studio, tmp_path: Path) -> None:
    source = roots.path / ".claude/metrics/hooks.jsonl"
    touched = tmp_path / "touched"
    for place in (roots.path / ".claude/staging/memory/x.jsonl", roots.path / "source/x.jsonl"):
        os.link(source, place)
        done = roots.process("run", "--env", "staging", "--", "touch", str(touched))
        assert done.code == 7
        assert f"{source} is {place}" in done.err
        place.unlink()
    os.link(roots.path / ".claude/config.yaml", roots.path / "source/config.yaml")
    assert roots.process("run", "--env", "staging", "--", "touch", str(touched)).code == 7
    assert not touched.exists()


def test_links_that_stay_inside_are_none_and_those_elsewhere_are_told(roots: Studio, tmp_path: Path) -> None:
    source = roots.path / ".claude/metrics/hooks.jsonl"
    os.link(source, roots.path / ".claude/metrics/again.jsonl")
    os.link(roots.path / "source/app.py", roots.path / "source/same.py")
    assert find(policy_of(roots)) == ((), ())
    os.link(source, tmp_path / "copy.jsonl")
    assert [len(part) for part in find(policy_of(roots))] == [0, 1]
    usable("bubblewrap")
    assert "hard links outside of the project" in run(roots, "bubblewrap", "true").err


# The client vendor's sandbox


def test_the_settings_of_the_vendors_sandbox_deny_what_is_hidden_and_leave_open_what_is_writable(roots: Studio) -> None:
    wanted = policy_of(roots)
    files = runtime.settings(wanted)["filesystem"]
    claude, state = roots.path / ".claude", roots.path / ".agent-studio"
    assert {str(claude / "metrics"), str(state)} <= set(files["denyRead"])
    assert {str(state / "staging"), str(state / "routes")} <= set(files["allowRead"])
    assert {"/", str(claude / "staging"), str(state / "staging/run")} <= set(files["allowWrite"])
    denied = set(files["denyWrite"])
    assert {str(claude / "agents"), str(claude / "config.yaml"), str(state / "routes")} <= denied
    # a denial always wins there, so nothing around what is writable may be denied
    for path in wanted.writable:
        assert not denied & {str(path), *map(str, path.parents)}


@pytest.mark.skipif(shutil.which("srt") is None, reason="srt is not installed")
def test_the_vendors_sandbox_keeps_the_policy_where_it_is_installed(nobodys: Ordinary) -> None:
    before = {name: (nobodys.path / name).read_bytes() for name in KEPT}
    found = attempts(nobodys, nobodys.home, "sandbox-runtime")
    done = {name for name, how in found["tries"].items() if how == "done"}
    # what is hidden is an empty folder there, and what is written into it is lost
    assert done <= {"create in the definitions", "write data", "create data", "truncate data", "remove data"}
    assert {name: (nobodys.path / name).read_bytes() for name in KEPT} == before
    assert not (nobodys.path / ".claude/metrics/new.jsonl").exists()
    assert {name for name, how in found["allowed"].items() if how != "done"} == set()


def test_the_vendors_sandbox_is_not_used_as_root() -> None:
    if os.getuid():
        pytest.skip("we are not root")
    assert "root" in runtime.available().reason


def test_it_is_never_chosen_on_linux_without_being_asked_for(roots: Studio) -> None:
    assert not runtime.IS_AUTOMATIC
    try:
        found = choice.choose(policy_of(roots), required=False)
    except AgentStudioError:
        pytest.fail("nothing was required")
    assert found.name != "sandbox-runtime"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no shared memory to write to")
def test_a_project_in_a_folder_that_bubblewrap_mounts_anew_is_not_left_open() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        studio = Studio(Path(folder).resolve())
        add_artifacts(studio)
        for environment in ("production", "staging"):
            assert studio.run("init", "--env", environment, "--no-hooks").code == 0
        studio.write(".claude/memory/learnings.md", "planted")
        for how in (("--isolation", "bubblewrap"), ("--require-isolation",)):
            done = studio.process("run", "--env", "staging", *how, "--", "cat", ".claude/memory/learnings.md")
            assert "planted" not in done.out
            assert done.code
