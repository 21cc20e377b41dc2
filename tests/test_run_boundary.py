"""Ways round the boundary of a run that need time, a second run, or what somebody does outside afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_studio.isolation import held, placeholders, repository
from agent_studio.isolation.backends import NotIsolatedError, bubblewrap, landlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Finished, Studio

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these backends are Linux's")

SECRET = "planted-value-of-production"
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.com")


@pytest.fixture(params=["bubblewrap", "landlock"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    usable(name)
    return name


def usable(name: str) -> None:
    found = {"bubblewrap": bubblewrap, "landlock": landlock}[name].available()
    if not found.usable:
        pytest.skip(found.reason)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    return place


@pytest.fixture
def shop(staged: Studio, home: Path) -> Studio:
    """A repository of git with staging and production, whose user has an empty home folder."""
    assert home.is_dir()
    assert staged.run("init", "--env", "production", "--no-hooks").code == 0
    staged.write(".claude/memory/sub/learnings.md", SECRET)
    git(staged, "init", "-q")
    return staged


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def git(studio: Studio, *words: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=studio.path, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def sh(studio: Studio, backend: str, script: str, *options: str) -> Finished:
    return studio.process("run", "--env", "staging", "--isolation", backend, *options, "--", "sh", "-c", script)


# Folders that become links while a run starts


@pytest.fixture
def swapped(shop: Studio) -> Iterator[Path]:
    """A data folder of staging that is a link and a folder by turns, as another run can make it."""
    place, aside = shop.path / ".claude/staging/memory", shop.path / ".claude/staging/aside"
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            place.rename(aside)
            place.symlink_to("../memory/sub")
            time.sleep(0.003)
            place.unlink()
            aside.rename(place)
            time.sleep(0.003)

    thread = threading.Thread(target=swap)
    thread.start()
    yield place
    over.set()
    thread.join()


@pytest.mark.usefixtures("swapped")
def test_a_folder_that_another_run_swaps_for_a_link_lifts_nothing(shop: Studio, backend: str) -> None:
    script = "cat .claude/memory/sub/learnings.md; echo x >> .claude/memory/sub/learnings.md; exit 0"
    ends = set()
    begun = time.monotonic()
    while (seconds := time.monotonic() - begun) < 8 or (0 not in ends and seconds < 60):
        done = sh(shop, backend, script)
        assert SECRET not in done.out
        ends.add(done.code)
    assert (shop.path / ".claude/memory/sub/learnings.md").read_text() == SECRET
    assert 0 in ends
    assert ends <= {0, 1, 2, 7}  # 1: at that moment there was neither


def test_a_data_folder_outside_of_the_root_that_is_a_link_starts_nothing(shop: Studio, backend: str) -> None:
    shop.write(".claude/config.staging.yaml", "environment: staging\npaths: {memory: data/own}\n")
    (shop.path / "data").mkdir()
    (shop.path / "data/own").symlink_to(shop.path / ".claude/agents")
    done = sh(shop, backend, "echo started")
    assert (done.code, done.out) == (2, "")


def test_what_has_become_a_link_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "there/in").mkdir(parents=True)
    os.close(held.opened(tmp_path / "there/in"))
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(NotIsolatedError, match="has become a link"):
        held.opened(tmp_path / "link/in")
    with pytest.raises(NotIsolatedError, match="has become a link"):
        held.opened(tmp_path / "link")


# What makes git start programs


def test_git_outside_obeys_no_folder_that_a_run_has_named(shop: Studio, tmp_path: Path) -> None:
    usable("bubblewrap")
    mark = tmp_path / "started"
    script = (
        "mkdir evil; cp -r .git/objects .git/refs evil/; "
        f"printf '[core]\\n repositoryformatversion=0\\n fsmonitor=\"touch {mark}; false\"' > evil/config; "
        "echo ../evil > .git/commondir; mv .git/commondir .git/x; rm .git/commondir; echo ../evil > .git/commondir"
    )
    git(shop, "status")
    assert sh(shop, "bubblewrap", script).code != 0
    git(shop, "status")
    assert not mark.exists()
    assert not (shop.path / ".git/commondir").exists()


def test_git_works_inside_and_leaves_no_trace_of_ours(shop: Studio) -> None:
    usable("bubblewrap")
    shutil.rmtree(shop.path / ".git/hooks")
    before = names(shop.path / ".git")
    script = (
        "set -e; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b;"
        "echo x > new.txt; git add new.txt; git commit -qm new; git branch other; git checkout -q other;"
        "git log --oneline; git stash list; git gc -q; git fsck; git status --short -- new.txt"
    )
    done = sh(shop, "bubblewrap", script)
    assert done.code == 0, done.err
    assert git(shop, "log", "--format=%s").split() == ["new"]
    assert names(shop.path / ".git") - before <= {"COMMIT_EDITMSG", "index", "logs", "packed-refs"}
    assert "the run has made" not in done.err


def test_a_killed_run_leaves_what_harms_nothing_and_the_next_removes_it(shop: Studio) -> None:
    usable("bubblewrap")
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "run", "--env", "staging", "--isolation", "bubblewrap", "--", "sh", "-c",
         "echo ready; sleep 60"],
        cwd=shop.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    beside = sh(shop, "bubblewrap", "true")
    assert beside.code == 0
    assert (shop.path / ".git/commondir").read_bytes() == repository.ITSELF, "the first run still needs it"
    process.kill()
    process.communicate()
    git(shop, "status")
    assert sh(shop, "bubblewrap", "true").code == 0
    assert not (shop.path / ".git/commondir").exists()


def test_the_folders_of_other_worktrees_and_of_submodules_are_kept(shop: Studio, tmp_path: Path) -> None:
    usable("bubblewrap")
    other = tmp_path / "sub"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    subprocess.run(["git", *IDENTITY, "commit", "-q", "--allow-empty", "-m", "x"], cwd=other, check=True)
    git(shop, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib/sub")
    git(shop, "commit", "-qm", "x")
    git(shop, "worktree", "add", "-q", str(tmp_path / "tree"))
    tries = (
        ".git/worktrees/tree/commondir", ".git/worktrees/tree/gitdir", ".git/modules/lib/sub/config",
        ".git/modules/lib/sub/commondir", ".git/modules/lib/sub/hooks/post-checkout",
    )  # fmt: skip
    script = "".join(f"echo evil > {place} && echo {place};" for place in tries)
    done = sh(shop, "bubblewrap", f"{script} exit 0")
    assert done.out == ""
    git(shop, "status")
    assert not (shop.path / ".git/modules/lib/sub/commondir").exists()


def test_what_the_configuration_of_git_names_is_kept(shop: Studio) -> None:
    usable("bubblewrap")
    for name in (".githooks/pre-commit", "tools/more.gitconfig", "tools/clean.sh"):
        shop.write(name, "")
    git(shop, "config", "core.hooksPath", ".githooks")
    git(shop, "config", "include.path", "../tools/more.gitconfig")
    git(shop, "config", "filter.own.clean", "tools/clean.sh %f")
    script = "echo evil > .githooks/x && echo made; echo evil > tools/more.gitconfig && echo made;"
    done = sh(shop, "bubblewrap", f"{script} echo evil > tools/clean.sh && echo made; echo ok > tools/other; exit 0")
    assert done.out == ""
    assert (shop.path / "tools/other").exists()


def test_a_repository_that_a_run_puts_inside_is_told(shop: Studio, backend: str) -> None:
    (shop.path / "packages").mkdir()
    script = (
        "git init -q packages/lib && cd packages/lib && git -c user.name=a -c user.email=a@b"
        " commit -q --allow-empty -m x && cd ../.. &&"
        " git add packages/lib"
    )
    done = sh(shop, backend, script)
    assert "the run has added repositories inside this one: packages/lib" in done.err


def test_a_placeholder_that_somebody_changed_stays(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    with placeholders.made([(file, b"ours\n"), (folder, None)]) as (there, gaps):
        assert (there, gaps) == ([file, folder], [])
        file.write_bytes(b"theirs\n")
        (folder / "x").touch()
    assert file.read_bytes() == b"theirs\n"
    assert folder.is_dir()


# Our own program


def test_a_run_cannot_change_what_the_next_command_outside_imports(shop: Studio, backend: str) -> None:
    """An environment of Python's in the project, with agent-studio in it."""
    venv = shop.path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=120)
    site = next(venv.glob("lib/python*/site-packages"))
    here = [place for place in sys.path if place]
    (site / "ours.pth").write_text("\n".join(here))
    tries = (
        f"echo evil > '{site}/evil.pth' && echo planted; echo evil > '{venv}/bin/agent-studio' && echo planted; exit 0"
    )
    done = subprocess.run(
        [str(venv / "bin/python"), "-m", "agent_studio", "run", "--env", "staging", "--isolation", backend, "--",
         "sh", "-c", tries],
        cwd=shop.path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not (site / "evil.pth").exists()


# What comes later


@pytest.mark.parametrize("moved", [False, True])
def test_production_that_is_initialised_during_a_run_is_not_seen(
    staged: Studio,
    backend: str,
    moved: bool,  # noqa: FBT001 - a parameter
) -> None:
    place = ".claude/deep/er/kb/late.md" if moved else ".claude/knowledge/late.md"
    if moved:
        staged.write(".claude/deep/x", "")
        staged.write(".claude/config.production.yaml", "paths: {knowledge: .claude/deep/er/kb}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "run", "--env", "staging", "--isolation", backend, "--", "sh", "-c",
         f"echo ready; read line; cat {place}; cat .claude/agents/late.md"],
        cwd=staged.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    staged.write(place, SECRET)
    out, _ = process.communicate(b"go\n", timeout=30)
    assert SECRET.encode() not in out


# The state of the environment


def test_a_run_cannot_say_where_the_daemon_is_nor_what_was_found(shop: Studio, backend: str) -> None:
    names = ("serve.json", "serve.token", "burnin.json", "tests/x.json", "flags.json", "evidence/x.json", "new")
    script = "".join(
        f"mkdir -p .agent-studio/staging/{Path(name).parent}; echo {{}} > .agent-studio/staging/{name} && echo {name};"
        for name in names
    )
    done = sh(shop, backend, f"{script} echo own > .agent-studio/staging/run/own && echo run; exit 0")
    assert done.out == "run\n"


# The user's own files


def test_what_starts_later_and_what_is_a_key_is_kept(shop: Studio, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usable("bubblewrap")
    started = (".bash_aliases", ".local/bin/claude", ".config/environment.d/x.conf", ".vimrc", "tools/x")
    keys = {
        ".npmrc": f"//registry.example/:_authToken={SECRET}", ".m2/settings.xml": f"<password>{SECRET}</password>",
        ".config/pip/pip.conf": f"index-url = https://me:{SECRET}@example.com/", ".mozilla/key4.db": SECRET,
    }  # fmt: skip
    for name in started:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("")
    for name, text in keys.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (home / ".condarc").write_text("channels: [defaults]")
    shop.write(".env.production", SECRET)
    shop.write(".env.prod.local", SECRET)
    shop.write(".env.staging", "own")
    monkeypatch.setenv("PATH", f"{home / 'tools'}{os.pathsep}{os.environ['PATH']}")
    writes = "".join(f"echo evil > ~/{name} && echo {name};" for name in started)
    reads = "".join(f"cat ~/{name};" for name in keys)
    done = sh(
        shop, "bubblewrap", f"{writes}{reads} cat .env.production .env.prod.local .env.staging ~/.condarc; exit 0"
    )
    assert done.out == "ownchannels: [defaults]"


def test_variables_that_git_tracks_are_not_hidden_and_that_is_said(shop: Studio) -> None:
    usable("bubblewrap")
    shop.write(".env.production", "PUBLIC=1")
    git(shop, "add", ".env.production")
    done = sh(shop, "bubblewrap", "cat .env.production; git status --short -- .env.production")
    assert done.out.split() == ["PUBLIC=1A", ".env.production"]
    assert ".env.production can be read: git tracks it" in done.err


def test_what_a_run_lets_the_client_start_or_trust_is_told(shop: Studio, home: Path, backend: str) -> None:
    (home / ".claude").mkdir()
    (home / ".claude.json").write_text(json.dumps({"mcpServers": {"old": {}}, "numStartups": 1}))
    changed = {
        "mcpServers": {"old": {}, "evil": {"command": "x"}},
        "projects": {"/p": {"hasTrustDialogAccepted": True}},
    }
    done = sh(shop, backend, f"printf %s '{json.dumps(changed)}' > ~/.claude.json")
    assert done.code == 0, done.err
    assert "/p: hasTrustDialogAccepted, mcpServers.evil" in done.err
    quiet = sh(shop, backend, f"printf %s '{json.dumps({**changed, 'numStartups': 2})}' > ~/.claude.json")
    assert "trusts" not in quiet.err


def test_a_command_that_is_not_the_client_makes_nothing_at_home(shop: Studio, home: Path, backend: str) -> None:
    (home / ".claude/projects").mkdir(parents=True)
    script = (
        "mkdir ~/.claude/agents && echo made; mkdir ~/.claude/plugins && echo made; echo > ~/.claude/settings.json && "
        "echo made; echo x > ~/.claude/projects/x; exit 0"
    )
    done = sh(shop, backend, script)
    assert done.out == ""
    assert names(home / ".claude") == {"projects"}
    assert (home / ".claude/projects/x").exists()


def client(folder: Path, script: str) -> str:
    folder.mkdir()
    (folder / "claude").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "claude").chmod(0o755)
    return str(folder / "claude")


def test_what_was_made_for_the_client_is_gone_afterwards_unless_it_is_used(
    shop: Studio, home: Path, tmp_path: Path, backend: str
) -> None:
    program = client(
        tmp_path / "bin",
        "test -d ~/.claude/agents && echo ready; echo x > ~/.claude/projects/x; mkdir ~/.claude/plugins/x && echo made",
    )
    done = shop.process("run", "--env", "staging", "--isolation", backend, "--", program)
    assert done.out == "ready\n"
    assert names(home / ".claude") == {"projects"}
    assert not (home / ".claude.json").exists()


def test_what_another_run_of_the_client_uses_stays(shop: Studio, home: Path, tmp_path: Path) -> None:
    usable("bubblewrap")
    slow, quick = client(tmp_path / "slow", "echo ready; read line"), client(tmp_path / "quick", "true")
    command = (sys.executable, "-m", "agent_studio", "run", "--env", "staging", "--isolation", "bubblewrap", "--")
    with subprocess.Popen(
        [*command, slow], cwd=shop.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert shop.process(*command[3:], quick).code == 0
        assert (home / ".claude/agents").is_dir()
        process.communicate(b"go\n", timeout=30)
    assert not (home / ".claude").exists()


def test_without_a_home_folder_none_is_taken_for_one(shop: Studio, home: Path, tmp_path: Path) -> None:
    usable("bubblewrap")
    system = Path(os.path.expanduser(f"~{os.environ.get('USER', 'root')}"))  # noqa: PTH111 - of the system, not of HOME
    own = names(home)
    before = names(system / ".claude")
    program = client(tmp_path / "bin", "echo started")
    variables = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "agent_studio", "run", "--env", "staging", "--", program],
        cwd=shop.path, env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "started\n", done.stderr
    assert names(home) == own
    assert names(system / ".claude") == before
