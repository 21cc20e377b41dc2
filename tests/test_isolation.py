"""What every command in staging opens, writes and removes, seen from outside by strace: never production's data."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Studio

# Where the paths of a call are among its arguments: (folder's descriptor or None, path or None).
_AT, _PLAIN, _DESCRIPTOR = ((0, 1),), ((None, 0),), ((0, None),)
_CALLS: dict[str, tuple[tuple[int | None, int | None], ...]] = {
    **dict.fromkeys(("open", "creat", "truncate", "unlink", "rmdir", "mkdir", "mknod"), _PLAIN),
    **dict.fromkeys(("chmod", "chown", "lchown", "setxattr", "lsetxattr", "removexattr", "utimes", "utime"), _PLAIN),
    **dict.fromkeys(("openat", "openat2", "unlinkat", "mkdirat", "mknodat"), _AT),
    **dict.fromkeys(("fchmodat", "fchmodat2", "fchownat", "utimensat", "futimesat"), _AT),
    **dict.fromkeys(("ftruncate", "fchmod", "fchown", "fallocate", "fsetxattr"), _DESCRIPTOR),
    **dict.fromkeys(("rename", "link"), ((None, 0), (None, 1))),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), ((0, 1), (2, 3))),
    "symlink": ((None, 1),), "symlinkat": ((1, 2),),
}  # fmt: skip
_STARTS = ("clone", "clone3", "fork", "vfork")
_TRACE = ",".join(f"?{name}" for name in (*_CALLS, *_STARTS, "chdir", "fchdir"))
_CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)(?:<((?:[^>\\]|\\.)*)>)?.*$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(.*)$")
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?|<(?:[^>\\]|\\.)*>|\{.*?\}|.')
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-f]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}


@dataclass(frozen=True)
class Access:
    """One file that a call named."""

    kind: str
    """`read` or `write`."""
    path: str
    call: str


def unquoted(text: str) -> str:
    """Return what strace wrote between quotes or angle brackets."""

    def byte(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if code.isdigit():
            return bytes([int(code, 8)])
        return bytes([int(code[1:], 16)]) if code[:1] == b"x" and code[1:] else _NAMED.get(code, code)

    return os.fsdecode(_ESCAPE.sub(byte, os.fsencode(text)))


def arguments(text: str) -> list[str]:
    """Split a call's arguments at the commas that are not inside a name, a path or a structure."""
    found = [""]
    for piece in _PIECE.findall(text):
        if piece == ",":
            found.append("")
        else:
            found[-1] += piece
    return [argument.strip() for argument in found]


def joined(log: str) -> Iterator[tuple[str, str]]:
    """Yield process and whole call; calls that another process interrupted are put together again."""
    pending: dict[str, str] = {}
    for line in log.splitlines():
        process, _, text = line.partition(" ")
        text = text.lstrip()
        if text.endswith("<unfinished ...>"):
            pending[process] = text.removesuffix("<unfinished ...>")
        elif resumed := _RESUMED.match(text):
            yield process, pending.pop(process, "") + resumed[1].lstrip()
        else:
            yield process, text


def accesses(log: str, cwd: str) -> Iterator[Access]:
    """Yield every file that the traced processes opened, changed or tried to."""
    folders: dict[str, str] = {}
    for process, text in joined(log):
        match = _CALL.match(text)
        if not match:
            continue
        name, inner, result, opened = match.groups()
        here = folders.setdefault(process, cwd)
        given = arguments(inner)
        if name in _STARTS and result not in {"-1", "?"}:
            folders.setdefault(result, here)
        elif name == "chdir" and result == "0":
            folders[process] = _named(given, (None, 0), here)
        elif name == "fchdir" and result == "0":
            folders[process] = _of_descriptor(given[0], here)
        for place in _CALLS.get(name, ()):
            kind = _kind(name, given)
            path = _named(given, place, here)
            if kind and path:
                real = unquoted(opened) if opened else path
                yield Access(kind, os.path.normpath(real), text)


def _kind(name: str, given: list[str]) -> str | None:
    """Return whether a call reads or changes; None for a folder that is only entered."""
    if name not in {"open", "openat", "openat2"}:
        return "write"
    flags = given[1] if name == "open" else given[2]
    if re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE|APPEND)\b", flags):
        return "write"
    return None if re.search(r"O_(DIRECTORY|PATH)\b", flags) else "read"


def _named(given: list[str], place: tuple[int | None, int | None], cwd: str) -> str:
    at, position = place
    folder = cwd if at is None else _of_descriptor(given[at], cwd)
    if position is None or not given[position].startswith('"'):  # NULL: the descriptor itself
        return folder
    return str(PurePath(folder, unquoted(given[position].removesuffix("...").strip('"'))))


def _of_descriptor(argument: str, cwd: str) -> str:
    path = re.search(r"<(.*)>$", argument)
    return unquoted(path[1]) if path else cwd


def traced(log: Path, command: list[str], cwd: Path, variables: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command under strace; return exit code, output and trace."""
    need_tracing()
    options = ["-f", "-y", "-qq", "-s", "65536", "-e", "signal=none", "-e", f"trace={_TRACE}", "-o", str(log)]
    done = subprocess.run(
        ["strace", *options, *command], cwd=cwd, env={**os.environ, **(variables or {})}, capture_output=True,
        timeout=240, check=False,
    )  # fmt: skip
    said = (done.stdout + done.stderr).decode(errors="replace")
    return done.returncode, said, _whole(log.read_text(encoding="utf-8", errors="surrogateescape"))


def _whole(log: str) -> str:
    """Join calls that others came between: `7 unlink("x" <unfinished ...>` and `7 <... unlink resumed>) = 0`."""
    begun: dict[str, str] = {}
    lines = []
    for line in log.splitlines(keepends=True):
        process, _, call = line.partition(" ")
        if line.endswith("<unfinished ...>\n"):
            begun[process] = line.removesuffix("<unfinished ...>\n")
        elif call.lstrip().startswith("<... ") and process in begun:
            lines.append(begun.pop(process) + call.partition(" resumed>")[2])
        else:
            lines.append(line)
    return "".join([*lines, *(f"{left}\n" for left in begun.values())])


def need_tracing() -> None:
    """Fail when strace is missing; skip only where the machine forbids tracing."""
    try:
        done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.fail("strace is not installed, so isolation cannot be shown: scripts/setup.sh installs it")
    if "not permitted" in done.stderr:
        pytest.skip(f"this machine forbids tracing, so isolation is not shown: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


SENTINEL = "SENTINEL-5f2b-OF-PRODUCTION"
DATA = (
    "knowledge", "metrics", "memory", "agent-memory", "sessions", "context/metrics", "context/memory",
    "context/artifacts", "context/evolution-state.json",
)  # fmt: skip
READABLE = re.compile(
    r"config(\.\w+)?\.yaml|settings(\.local)?\.json|CLAUDE\.md|allowed_signers|secrets-baseline\.json|knowledge/knowledge-base-index\.csv"
    r"|(.+/)?\.git(ignore|attributes)"  # what git asks for in every folder when `test` notes the commit
    r"|(agents|skills|commands|workflows|hooks|rules|teams|output-styles|docs|plugins)/.*"
)
STAGING_CONFIG = r"config\.staging\.yaml|\.config\.staging\.yaml\.\d+-[0-9a-f]{8}\.tmp"
SETTINGS = r"settings(\.local)?\.json|\.settings(\.local)?\.json\.\d+-[0-9a-f]{8}\.tmp"
PLANTED = r"([\w-]+/)?\.?\.canary-[0-9a-f]{16}(-\w+|/inner|\.\d+-[0-9a-f]{8}\.tmp)?"
"""What smoke plants, and removes, to see that it cannot be reached."""
SUITE = (sys.executable, "-c", "print('3 passed in 0.01s')")
COMMANDS: tuple[tuple[tuple[str, ...], set[int], str], ...] = (
    (("init",), {0}, STAGING_CONFIG),
    (("init",), {0}, ""),
    (("smoke",), {0}, PLANTED),
    (("test", "--", *SUITE), {0}, ""),
    (("status",), {0}, ""),
    (("doctor",), {0, 1}, ""),
    (("doctor", "--fix"), {0, 1}, ""),
    (("config", "show"), {0}, ""),
    (("config", "explain", "monitoring.thresholds.hookFailureRate"), {0}, ""),
    (("config", "diff", "staging", "production"), {0, 1}, ""),
    (("config", "check"), {0}, ""),
    (("config", "schema"), {0}, ""),
    (("flags", "list"), {0}, ""),
    (("flags", "set", "partyMode", "--off", "--reason", "a trial"), {0}, STAGING_CONFIG),
    (("flags", "set", "partyMode", "--on", "--reason", "a trial"), {0}, STAGING_CONFIG),
    (("flags", "kill", "partyMode", "--reason", "a trial"), {0}, ""),
    (("flags", "kill", "partyMode", "--lift", "--reason", "a trial"), {0}, ""),
    (("flags", "history"), {0}, ""),
    (("hooks", "uninstall", "--yes"), {0}, SETTINGS),
    (("hooks", "install"), {0}, SETTINGS),
    (("hooks", "wrap", "--yes"), {0}, SETTINGS),
    (("hooks", "status"), {0}, ""),
    (("hooks", "bench", "--rounds", "1"), {0, 1}, ""),
    (("run", "--", "true"), {0}, ""),
    (("ingest",), {0}, ""),
    (("serve", "--status"), {1}, ""),
    (("statusline",), {0}, ""),
    (("kb", "build"), {0}, ""),
    (("kb", "search", "code"), {0}, ""),
    (("completion", "bash"), {0}, ""),
    (("init", "--reset", "--yes"), {0}, ""),
    (("init", "--with-activity"), {0}, ""),
    (("smoke", "--json"), {0}, PLANTED),
)
"""Each command, the exit codes that are right, and what it may write of `.claude/` outside `.claude/staging/`."""
WITHOUT_PROJECT = {("completion", "bash"), ("config", "schema"), ("statusline",)}


@pytest.fixture
def live(bare: Studio) -> Studio:
    """A repository with production data in every place where it may lie, all of it recognisable."""
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=bare.path, check=True)
    assert bare.run("init", "--env", "production").code == 0
    for place in ("agent-memory/reviewer/hot.jsonl", "context/artifacts/report.md", "metrics/searches.jsonl",
                  "context/metrics/cost-log.jsonl", "context/memory/learnings.md", "metrics/events.jsonl"):  # fmt: skip
        bare.write(f".claude/{place}", "")
    for relative, (data, _, _) in production_data(bare).items():
        if not relative.endswith(".csv"):
            (bare.path / relative).write_bytes(data + f'{{"note": "{SENTINEL}"}}\n'.encode())
    return bare


def production_data(studio: Studio) -> dict[str, tuple[bytes, int, int]]:
    """Return bytes, time of change and rights of every data file of production."""
    found = {}
    for name in DATA:
        top = studio.path / ".claude" / name
        for place in [top] if top.is_file() else sorted(top.rglob("*")):
            if place.is_file():
                status = place.stat()
                relative = place.relative_to(studio.path).as_posix()
                found[relative] = (place.read_bytes(), status.st_mtime_ns, status.st_mode)
    return found


def violations(log: str, project: Path, writable: str) -> list[str]:
    """Return the calls that touched `.claude/` where a command in staging must not."""
    found = []
    for access in accesses(log, str(project)):
        inside, mark, relative = access.path.partition(f"{project}/.claude/")
        if inside or not mark or relative == "staging" or relative.startswith("staging/"):
            continue
        allowed = re.compile(writable) if access.kind == "write" else READABLE
        own_canary = access.kind == "read" and writable and re.fullmatch(writable, relative)
        if not allowed.fullmatch(relative) and not own_canary:
            found.append(f"{access.kind} {relative}: {access.call[:300]}")
    return found


def test_no_command_in_staging_reads_or_changes_production_data(live: Studio, tmp_path: Path) -> None:
    before = production_data(live)
    assert len(before) > 12
    for command, right, writable in COMMANDS:
        line = [sys.executable, "-m", "agent_studio", *command]
        variables = {"AGENT_STUDIO_ENV": "staging", "AGENT_STUDIO_TEST_DATA__ARTIFACTS_COUNT": "20"}
        code, said, log = traced(tmp_path / "trace", line, live.path, variables)
        assert code in right, f"{command}: {code}: {said}"
        touched = any(f"{live.path}/.claude/" in access.path for access in accesses(log, str(live.path)))
        assert touched or command in WITHOUT_PROJECT, f"{command}: the trace shows nothing of the project"
        assert not violations(log, live.path, writable), command
        assert SENTINEL not in said, command
    assert production_data(live) == before
    own = {**live.snapshot(".claude/staging"), **live.snapshot(".agent-studio")}
    assert own
    assert not [name for name, data in own.items() if SENTINEL.encode() in data]


def test_the_trace_shows_a_process_that_does_touch_production_data(live: Studio, tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys\n"
        "os.chdir('.claude')\n"
        "open('memory/learnings.md').read()\n"
        "folder = os.open('metrics', os.O_RDONLY | os.O_DIRECTORY)\n"
        "os.close(os.open('hooks.jsonl', os.O_WRONLY | os.O_APPEND, dir_fd=folder))\n"
        "os.rename('errors.jsonl', 'ünï.jsonl', src_dir_fd=folder, dst_dir_fd=folder)\n"
        "file = open('sessions/session-log.jsonl', 'rb')\n"
        "os.fchmod(file.fileno(), 0o644)\n"
        "os.symlink('memory', 'staging-link')\n"
        "open('staging-link/issues.md').read()\n"
        "subprocess.run([sys.executable, '-c', 'import os; os.unlink(\"memory/decisions.md\")'], check=True)\n"
    )
    code, said, log = traced(tmp_path / "trace", [sys.executable, "-c", script], live.path)
    assert code == 0, said
    found = [line.partition(":")[0] for line in violations(log, live.path, "")]
    assert found == [
        "read memory/learnings.md", "write metrics/hooks.jsonl", "write metrics/errors.jsonl",
        "write metrics/ünï.jsonl", "read sessions/session-log.jsonl", "write sessions/session-log.jsonl",
        "write staging-link", "read memory/issues.md", "write memory/decisions.md",
    ]  # fmt: skip


def test_calls_that_another_process_interrupted_are_put_together() -> None:
    log = (
        '7 openat(AT_FDCWD</p>, "a\\"b, c\\303\\274", O_RDONLY <unfinished ...>\n'
        '8 unlinkat(5</p/.claude>, "x", 0 <unfinished ...>\n'
        '7 <... openat resumed>) = 3</p/a\\"b, c\\303\\274>\n'
        "8 <... unlinkat resumed>) = -1 ENOENT (No such file or directory)\n"
        '9 renameat2(4</p/d>, "from", AT_FDCWD</p>, "/q/to", RENAME_NOREPLACE) = 0\n'
        '9 openat2(4</p/d>, "f", {flags=O_RDWR|O_CREAT, mode=0600}, 24) = 5</p/d/f>\n'
        "9 +++ exited with 0 +++\n"
    )
    assert [(access.kind, access.path) for access in accesses(log, "/elsewhere")] == [
        ("read", '/p/a"b, cü'), ("write", "/p/.claude/x"), ("write", "/p/d/from"), ("write", "/q/to"),
        ("write", "/p/d/f"),
    ]  # fmt: skip
