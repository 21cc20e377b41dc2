"""Attacks that need something before a run starts or while it goes on, each told from outside."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

from agent_studio.isolation.probe import BLOCKED, IMPOSSIBLE, REACHES, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_LIMIT_S = 120
_TURN_S, _STARTS = 0.003, 8
_OVER_FILES = frozenset((0, 1, 3, 4, 5, 6, 7))
"""Capabilities over files and users, which lead past no boundary: CHOWN to SETUID but for DAC_READ_SEARCH."""
_ALREADY_LINKED = "hard link that was there before"


@dataclass(frozen=True)
class Runner:
    """Starts commands in staging with one backend."""

    shop: Path
    backend: str

    def words(self, *more: str) -> list[str]:
        """Return our command line up to the command."""
        return [sys.executable, "-m", "agent_studio", "run", "--env", "staging", "--isolation", self.backend,
                "--no-telemetry", "--project", str(self.shop), *more, "--"]  # fmt: skip

    def start(self, argv: Sequence[str]) -> object:
        """Run a command, with all that we hold open."""
        return subprocess.run(
            [*self.words(), *argv], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=None, close_fds=False, timeout=_LIMIT_S, cwd=self.shop,
        )  # fmt: skip

    def said(self, script: str, *words: str, before: Sequence[str] = (), **options: object) -> str:
        """Return all that a shell script says inside, and what `run` says of it."""
        options = {"cwd": self.shop, "stdin": subprocess.DEVNULL, **options}
        done = subprocess.run(
            [*before, *self.words(), "sh", "-c", script, "sh", *words], check=False, capture_output=True, text=True,
            errors="replace", timeout=_LIMIT_S, **options,  # type: ignore[call-overload]
        )  # fmt: skip
        return f"{done.stdout}{done.stderr}"


@contextmanager
def planted(folder: Path) -> Iterator[tuple[Path, str]]:
    """Plant a file with a random value."""
    word = secrets.token_hex(16)
    file = folder / f".canary-{secrets.token_hex(8)}"
    file.write_text(word, encoding="utf-8")
    try:
        yield file, word
    finally:
        file.unlink(missing_ok=True)


def tried(runner: Runner) -> list[Route]:
    """Try every scenario."""
    return [scenario(runner) for scenario in SCENARIOS]


def _route(name: str, runner: Runner, said: str, word: str, *, possible: bool = True) -> Route:
    if word in said:
        return Route(name, "data of production", REACHES, "it read the planted value")
    last = said.strip().splitlines()[-1:] or [""]
    return Route(name, "data of production", BLOCKED if possible else IMPOSSIBLE, last[0].replace(str(runner.shop), ""))


def _data(runner: Runner) -> Path:
    return runner.shop / ".claude/metrics"


def _staging(runner: Runner) -> Path:
    return runner.shop / ".claude/staging"


def linked_before(runner: Runner) -> Route:
    """Link a file of production into the staging root, then start: nothing may start."""
    with planted(_data(runner)) as (file, word):
        link = _staging(runner) / "metrics/linked"
        os.link(file, link)
        try:
            said = runner.said('cat "$1"', str(link))
        finally:
            link.unlink()
    return _route(_ALREADY_LINKED, runner, said, word)


def symlinked_before(runner: Runner) -> Route:
    """Make symbolic links in the staging root before the start."""
    with planted(_data(runner)) as (file, word):
        link = _staging(runner) / "metrics/linked"
        link.symlink_to(file)
        try:
            said = runner.said('cat "$1"', str(link))
        finally:
            link.unlink()
    return _route("symbolic link that was there before", runner, said, word)


def bound_before(runner: Runner) -> Route:
    """Bind production's data into the staging root before the start, in mounts of our own."""
    name = "bind mount that was there before"
    place = _staging(runner) / "bound"
    place.mkdir()
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    before = ["unshare", "--mount", *user, "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh",
              str(_data(runner)), str(place)]  # fmt: skip
    try:
        with planted(_data(runner)) as (file, word):
            control = subprocess.run(
                [*before, "cat", str(place / file.name)], capture_output=True, text=True, check=False
            )
            if word not in control.stdout:
                return _route(name, runner, control.stderr, word, possible=False)
            said = runner.said('cat "$1"', str(place / file.name), before=before)
    finally:
        place.rmdir()
    return _route(name, runner, said, word)


def folder_as_input(runner: Runner) -> Route:
    """Give the folder as standard input."""
    with planted(_data(runner)) as (file, word):
        descriptor = os.open(_data(runner), os.O_RDONLY)
        try:
            said = runner.said('cat "/proc/self/fd/0/$1"', file.name, stdin=descriptor)
        finally:
            os.close(descriptor)
    return _route("folder as standard input", runner, said, word)


def from_within(runner: Runner) -> Route:
    """Start in the folder itself."""
    with planted(_data(runner)) as (file, word):
        said = runner.said('cat "$1"', file.name, cwd=_data(runner))
    return _route("started in the folder", runner, said, word)


def _meanwhile(runner: Runner, script: str, words: Sequence[str], act: Callable[[], object]) -> str:
    """Run a script that says `ready`, act outside, and let it go on."""
    with subprocess.Popen(
        [*runner.words(), "sh", "-c", f"echo ready; read line; {script}", "sh", *words], cwd=runner.shop, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            said = ""
            while process.stdout and (line := process.stdout.readline()):
                said += line
                if line == "ready\n":
                    act()
                    break
            more, _ = process.communicate("go on\n", timeout=_LIMIT_S)
        finally:
            process.kill()
    return said + more


def renamed_meanwhile(runner: Runner) -> Route:
    """Rename production's folder while the command runs, and read it under its new name."""
    data = _data(runner)
    other = data.with_name("metrics-renamed")
    try:
        with planted(data) as (file, word):
            said = _meanwhile(runner, 'cat "$1"', [str(other / file.name)], lambda: data.rename(other))
            other.rename(data)
    finally:
        if other.exists():
            other.rename(data)
    return _route("renamed while it runs", runner, said, word)


def replaced_meanwhile(runner: Runner) -> Route:
    """Replace a hidden file of the home folder while the command runs."""
    netrc = runner.shop.parent / "home/.netrc"
    word = secrets.token_hex(16)

    def replace() -> None:
        new = netrc.with_name("new")
        new.write_text(word, encoding="utf-8")
        new.replace(netrc)

    said = _meanwhile(runner, 'cat "$1"', [str(netrc)], replace)
    return _route("hidden file replaced while it runs", runner, said, word)


def left_behind(runner: Runner) -> Route:
    """Leave a process behind that ignores every signal, and let it read once the run is over."""
    result = _staging(runner) / "metrics/left-behind"
    with planted(_data(runner)) as (file, word):
        said = runner.said(
            'setsid sh -c \'trap "" TERM HUP INT; sleep 1; cat "$1" > "$2"\' sh "$1" "$2" >/dev/null 2>&1 &',
            str(file), str(result),
        )  # fmt: skip
        time.sleep(2)
        said += result.read_text(errors="replace") if result.exists() else ""
        result.unlink(missing_ok=True)
    return _route("process left behind", runner, said, word)


def nested(runner: Runner) -> Route:
    """Start another run inside, in production and without isolation."""
    ours = f'"{sys.executable}" -m agent_studio run --env production --isolation advisory'
    inner = f'env -u AGENT_STUDIO_ENV {ours} -- cat "$1"'
    with planted(_data(runner)) as (file, word):
        said = runner.said(inner, str(file))
    return _route("a run inside the run", runner, said, word)


def hook_of_git(runner: Runner) -> Route:
    """Plant a hook that git would start outside, by every place that names one."""
    marker = runner.shop / "hook-was-here"
    script = (
        'plant() { printf "#!/bin/sh\\ntouch %s\\n" "$hook" > "$1/post-commit" && chmod +x "$1/post-commit"; }; '
        'hook=$1; plant .git/hooks; plant bookshop && git config core.hooksPath "$PWD/bookshop"; '
        "mv .git .git-old && cp -r .git-old .git && plant .git/hooks; :"
    )
    said = runner.said(script, str(marker))
    git = ["git", "-C", str(runner.shop), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], capture_output=True, check=False)
    reached = marker.exists()
    marker.unlink(missing_ok=True)
    if (moved := runner.shop / ".git-old").exists():
        shutil.rmtree(runner.shop / ".git", ignore_errors=True)
        moved.rename(runner.shop / ".git")
    return _route("hook of git", runner, "hook" if reached else said, "hook" if reached else "\0")


def folder_of_git(runner: Runner) -> Route:
    """Name another folder to git, from which it would take configuration outside."""
    marker, git = runner.shop / "git-was-here", runner.shop / ".git"
    script = (
        "mkdir bookshop/evil; cp -r .git/objects .git/refs bookshop/evil/; "
        'printf "[core]\\nrepositoryformatversion=0\\nfsmonitor=\\"touch $1; false\\"\\n" > bookshop/evil/config; '
        "echo ../bookshop/evil > .git/commondir"
    )
    said = runner.said(script, str(marker))
    subprocess.run(["git", "-C", str(runner.shop), "status"], capture_output=True, check=False)
    reached = marker.exists()
    for left in (marker, git / "commondir"):
        left.unlink(missing_ok=True)
    shutil.rmtree(runner.shop / "bookshop/evil", ignore_errors=True)
    return _route("folder that git is to use", runner, "started" if reached else said, "started" if reached else "\0")


def swapped_meanwhile(runner: Runner) -> Route:
    """Let a folder of staging be a link to production's data by turns, while runs start."""
    place, aside = _staging(runner) / "memory", _staging(runner) / "memory-aside"
    over = Event()

    def swap() -> None:
        while not over.wait(_TURN_S):
            place.rename(aside)
            place.symlink_to(_data(runner))
            over.wait(_TURN_S)
            place.unlink()
            aside.rename(place)

    swapper = Thread(target=swap)
    with planted(_data(runner)) as (file, word):
        swapper.start()
        try:
            said = "".join(runner.said('cat "$1"', str(file)) for _ in range(_STARTS))
        finally:
            over.set()
            swapper.join()
    return _route("folder swapped for a link while it starts", runner, said, word)


def initialised_meanwhile(runner: Runner) -> Route:
    """Give production a folder of data that it had not when the run began."""
    data = runner.shop / ".claude/knowledge"
    aside = data.with_name("knowledge-aside")
    data.rename(aside)
    word, file = secrets.token_hex(16), data / "late"

    def make() -> None:
        data.mkdir()
        file.write_text(word, encoding="utf-8")

    try:
        said = _meanwhile(runner, 'cat "$1"', [str(file)], make)
    finally:
        shutil.rmtree(data, ignore_errors=True)
        aside.rename(data)
    return _route("data that is made while it runs", runner, said, word)


def forged_daemon(runner: Runner) -> Route:
    """Say that a daemon runs where none does: `serve --stop` would end it."""
    file = runner.shop / ".agent-studio/staging/serve.json"
    said = runner.said('echo "{\\"pid\\": 1}" > "$1"', str(file))
    reached = file.exists()
    file.unlink(missing_ok=True)
    return _route("address of a daemon", runner, "forged" if reached else said, "forged" if reached else "\0")


def forged_evidence(runner: Runner) -> Route:
    """Write evidence into a folder of it that is not there yet."""
    folder = runner.shop / ".agent-studio/staging/burnin"
    said = runner.said('mkdir -p "$1" && echo forged > "$1/forged.json"', str(folder))
    reached = (folder / "forged.json").exists()
    (folder / "forged.json").unlink(missing_ok=True)
    word = "forged" if reached else "\0"
    return _route("evidence where there was none", runner, f"{said}{word if reached else ''}", word)


def privileges(runner: Runner) -> Route:
    """Look for capabilities, and for a way to get some by a program that has them."""
    said = runner.said("grep -E '^(CapEff|NoNewPrivs)' /proc/self/status")
    held = next((int(line.split()[1], 16) for line in said.splitlines() if line.startswith("CapEff")), -1)
    more = [str(number) for number in range(64) if held >> number & 1 and number not in _OVER_FILES]
    found = [
        *(f"capability {number}" for number in more),
        *(["new privileges"] if "NoNewPrivs:\t1" not in said else []),
    ]
    return Route("privileges", "the process", REACHES if found else BLOCKED, ", ".join(found) or "none left")


SCENARIOS = (
    linked_before, symlinked_before, bound_before, folder_as_input, from_within, renamed_meanwhile, replaced_meanwhile,
    swapped_meanwhile, initialised_meanwhile, left_behind, nested, folder_of_git, hook_of_git, forged_daemon,
    forged_evidence, privileges,
)  # fmt: skip
