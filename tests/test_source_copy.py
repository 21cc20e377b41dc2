"""Runs in a copy of the project: what is copied, what comes back, and what never does."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.isolation import changes
from agent_studio.isolation.backends import bubblewrap
from agent_studio.isolation.copies import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Finished, Studio

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or not bubblewrap.available().usable, reason="bubblewrap makes copies"),
]

RUN = ("run", "--env", "staging")
COPY = (*RUN, "--set", "isolation.source=copy")


@pytest.fixture
def shop(staged: Studio) -> Studio:
    """A repository with a change that is not committed, a new file and an ignored folder."""
    staged.write("app.py", "one\ntwo\n")
    staged.write("tool.sh", "#!/bin/sh\n").chmod(0o755)
    staged.write("old.txt", "old\n")
    staged.write("deep/er/a.txt", "a\n")
    staged.write(".mcp.json", "{}\n")
    with (staged.path / ".gitignore").open("a") as file:
        file.write("node_modules\n*.log\n")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=staged.path, check=True)
    staged.write("app.py", "one\ntwo\nnot committed\n")
    staged.write("new ü.txt", "new\n")
    staged.write("node_modules/x/index.js", "ignored\n")
    staged.write("build.log", "ignored\n")
    return staged


def run(studio: Studio, script: str, *options: str, **more: Any) -> Finished:
    return studio.process(*COPY, *options, "--", "sh", "-c", script, **more)


def changed(studio: Studio, *words: str) -> Finished:
    return studio.run(*RUN, "--changes", *words)


def kept(studio: Studio) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = studio.json(*RUN, "--changes", "list")["copies"]
    return found


def test_the_command_sees_the_project_at_its_own_place_as_it_is_now(shop: Studio) -> None:
    done = run(
        shop, "pwd; cat app.py 'new ü.txt' deep/er/a.txt node_modules/x/index.js build.log; git status --short; ls -a"
    )
    assert done.code == 0, done.err
    assert done.out.startswith(f"{shop.path}\none\ntwo\nnot committed\nnew\na\nignored\nignored\n M app.py\n")
    assert "?? " in done.out
    assert ".claude\n" in done.out


def test_the_original_is_untouched_and_the_change_is_shown_and_kept(shop: Studio, tmp_path: Path) -> None:
    before = shop.snapshot()
    report = tmp_path / "report.json"
    done = run(shop, "echo three >> app.py; rm old.txt; echo n > added.txt; exit 5", "--report", str(report))
    assert done.code == 5
    after = shop.snapshot()
    assert {name: after[name] for name in before if not name.startswith(".agent-studio")} == {
        name: data for name, data in before.items() if not name.startswith(".agent-studio")
    }
    for line in ("changed app.py", "+three", "removed old.txt", "-old", "added added.txt", "3 changes, kept apart"):
        assert line in done.err
    (copy,) = kept(shop)
    assert copy["changes"] == 3
    assert json.loads(report.read_text())["source"] == "copy"
    assert json.loads(report.read_text())["copy"] == copy["id"]
    shown = changed(shop, "show")
    assert "+three" in shown.out


def test_what_changed_nothing_leaves_nothing(shop: Studio) -> None:
    done = run(shop, "cat app.py")
    assert "changed nothing" in done.err
    assert kept(shop) == []


def test_changes_are_applied_on_request(shop: Studio) -> None:
    run(
        shop,
        "echo three >> app.py; rm old.txt; mkdir -p n/m; echo x > n/m/run.sh; chmod +x n/m/run.sh; chmod -x tool.sh",
    )
    assert changed(shop, "apply", "--dry-run").code == 0
    assert changed(shop, "apply").code == 2  # nobody to ask
    assert (shop.path / "old.txt").exists()
    done = changed(shop, "apply", "--yes")
    assert done.code == 0, done.err
    assert "applied 4 of 4 changes" in done.out
    assert (shop.path / "app.py").read_text() == "one\ntwo\nnot committed\nthree\n"
    assert not (shop.path / "old.txt").exists()
    assert (shop.path / "n/m/run.sh").stat().st_mode & stat.S_IXUSR
    assert not (shop.path / "tool.sh").stat().st_mode & stat.S_IXUSR
    assert kept(shop) == []


def test_changes_can_be_applied_right_after_the_run(shop: Studio) -> None:
    done = run(shop, "echo three >> app.py", "--apply", "--yes")
    assert done.code == 0, done.err
    assert (shop.path / "app.py").read_text().endswith("three\n")
    assert run(shop, "echo four >> app.py; exit 3", "--apply").code == 3
    assert len(kept(shop)) == 1  # nobody was there to answer
    assert not (shop.path / "app.py").read_text().endswith("four\n")


def test_an_original_that_changed_meanwhile_is_never_overwritten(shop: Studio) -> None:
    run(shop, "echo three >> app.py; echo y > second.txt; rm old.txt")
    for name, text in (("app.py", "mine\n"), ("second.txt", "mine\n"), ("old.txt", "mine\n")):
        before = (shop.path / name).read_bytes() if (shop.path / name).exists() else None
        shop.write(name, text)
        snapshot = shop.snapshot()
        done = changed(shop, "apply", "--yes")
        assert done.code == 1
        assert f"nothing was applied: {name}" in done.err
        assert shop.snapshot() == snapshot
        (shop.path / name).unlink() if before is None else (shop.path / name).write_bytes(before)
    assert "the original has changed" not in changed(shop, "show").out
    assert changed(shop, "apply", "--yes").code == 0


def test_what_cannot_be_applied_is_told_before_and_the_rest_is(shop: Studio) -> None:
    run(shop, "echo n > added.txt; echo a > notes.md; echo b > Notes.md; rm -r deep/er; echo f > deep/er")
    done = changed(shop, "apply", "--yes")
    assert (done.code, done.out) == (0, "applied 2 of 5 changes\n"), done.err
    assert (shop.path / "added.txt").read_text() == "n\n"
    assert not (shop.path / "deep/er/a.txt").exists()
    assert not {"notes.md", "Notes.md"} & {place.name for place in shop.path.iterdir()}
    assert "not applied: Notes.md: another name differs from it only in case or Unicode form" in done.err
    assert "not applied: deep/er: a folder was in its place" in done.err


def test_what_was_applied_in_part_can_be_applied_again(shop: Studio) -> None:
    run(shop, "echo n > added.txt; rm old.txt; echo x > last.txt")
    shop.write("added.txt", "n\n")
    (shop.path / "old.txt").unlink()
    done = changed(shop, "apply", "--yes")
    assert done.code == 0, done.err
    assert (shop.path / "last.txt").read_text() == "x\n"
    assert kept(shop) == []


def test_what_a_run_may_not_change_is_never_applied(shop: Studio) -> None:
    before = (shop.path / ".claude/config.yaml").read_bytes()
    done = run(
        shop,
        "echo x > .claude/agents/evil.md; echo x > .claude/config.yaml; echo x > .mcp.json; echo x > .envrc;"
        "echo x > CLAUDE.md; mkdir .vscode; echo x > .vscode/tasks.json; mkdir -p .CLAUDE/agents;"
        "echo x > .CLAUDE/agents/evil.md; echo x > .git/hooks/post-checkout; ln -s .claude/metrics link;"
        "echo fine > fine.txt; mkdir -p vendored/.git/hooks; echo x > vendored/.git/hooks/y; exit 0",
    )
    assert "not to be applied" in done.err
    done = changed(shop, "apply", "--yes")
    assert done.code == 0, done.err
    assert (shop.path / "fine.txt").read_text() == "fine\n"
    assert (shop.path / ".claude/config.yaml").read_bytes() == before
    assert (shop.path / ".mcp.json").read_text() == "{}\n"
    names = ".claude/agents/evil.md .envrc CLAUDE.md .vscode .CLAUDE .git/hooks/post-checkout link vendored"
    for name in names.split():
        assert not os.path.lexists(shop.path / name), name
    assert "applied 1 of" in done.out
    assert len(kept(shop)) == 1


def test_a_copy_made_from_a_link_on_the_way_is_not_followed(shop: Studio, tmp_path: Path) -> None:
    run(shop, "echo x > deep/er/a.txt")
    (shop.path / "deep").rename(tmp_path / "deep")
    (shop.path / "deep").symlink_to(tmp_path / "deep")
    assert changed(shop, "apply", "--yes").code in {1, 2}
    assert (tmp_path / "deep/er/a.txt").read_text() == "a\n"


def test_data_stays_out_of_the_copy_and_own_data_is_the_environments(shop: Studio) -> None:
    shop.write(".claude/config.production.yaml", "paths: {metrics: data/live}\n")
    shop.write("data/live/hooks.jsonl", "production's")
    done = run(shop, "cat data/live/hooks.jsonl; echo own > .claude/staging/memory/own.md; ls .agent-studio; exit 0")
    assert "production's" not in done.out
    assert (shop.path / ".claude/staging/memory/own.md").read_text() == "own\n"
    assert "changed nothing" in done.err
    assert "staging" in done.out.split()


def test_a_run_cannot_reach_its_record_nor_other_copies(shop: Studio) -> None:
    run(shop, "echo three >> app.py")
    (copy,) = kept(shop)
    place = f".agent-studio/staging/copies/{copy['id']}"
    done = run(
        shop,
        f"echo x > {place}/copy.json; echo x > {place}/files/app.py; echo x > {place}/../y; exit 0",
    )
    assert done.err.count("Read-only file system") == 3


def test_several_copies_are_told_apart(shop: Studio) -> None:
    for number in (1, 2):
        run(shop, f"echo {number} > file{number}.txt")
    first, second = (copy["id"] for copy in sorted(kept(shop), key=lambda copy: copy["command"]))
    done = changed(shop, "apply", "--yes")
    assert done.code == 2
    assert "name one" in done.err
    assert changed(shop, "discard", first, "--yes").code == 0
    assert changed(shop, "apply", second, "--yes").code == 0
    assert (shop.path / "file2.txt").exists()
    assert not (shop.path / "file1.txt").exists()
    assert changed(shop, "show", first).code == 2
    assert changed(shop, "shwo").err.endswith('did you mean "show"?\n')


def test_a_project_without_git_is_copied_whole(staged: Studio) -> None:
    staged.write("app.py", "one\n")
    staged.write("sub/.env", "plain\n")
    done = run(staged, "cat app.py sub/.env; echo two >> app.py")
    assert done.out == "one\nplain\n"
    assert changed(staged, "apply", "--yes").code == 0
    assert (staged.path / "app.py").read_text() == "one\ntwo\n"


def test_the_command_starts_in_the_folder_that_it_was_asked_for(shop: Studio) -> None:
    empty = shop.path / "an empty folder"
    empty.mkdir()
    done = run(shop, "pwd; ls ..", cwd=empty)
    assert done.out.startswith(f"{empty}\n")
    assert "app.py" in done.out


@pytest.mark.parametrize("backend", ["landlock", "advisory"])
def test_a_backend_that_cannot_make_a_copy_refuses(shop: Studio, backend: str, tmp_path: Path) -> None:
    done = shop.process(*COPY, "--isolation", backend, "--", "touch", str(tmp_path / "touched"))
    assert done.code == 7
    assert "isolation.source is copy" in done.err
    assert not (tmp_path / "touched").exists()
    assert kept(shop) == []


def test_a_change_of_mode_alone_is_a_change(shop: Studio) -> None:
    run(shop, "chmod -x tool.sh")
    assert "mode 755 -> 644" in changed(shop, "show").out


def test_states_tell_files_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    plain = state_of(file)
    file.chmod(0o755)
    executable = state_of(file)
    file.write_text("y")
    states = [plain, executable, state_of(file), state_of(tmp_path), state_of(tmp_path / "none"), state_of(file / "in")]
    (tmp_path / "link").symlink_to("file")
    states.append(state_of(tmp_path / "link"))
    assert len(set(states)) == len(states) - 1  # what is not there is not there in both places
    assert changes.ADDED != changes.REMOVED


def test_what_is_no_file_is_left_out_and_nobody_waits_for_it(shop: Studio) -> None:
    os.mkfifo(shop.path / "deep/pipe")  # as git lists it: not at all
    done = run(shop, "test ! -e deep/pipe && mkfifo fifo && rm app.py && mkfifo app.py && echo x > fine.txt")
    assert done.code == 0, done.err
    assert "added fifo (not to be applied: it is no file)" in done.err
    assert "changed app.py (not to be applied: it is no file)" in done.err
    assert "+x" in changed(shop, "show").out
    assert changed(shop, "apply", "--yes").code == 0
    assert (shop.path / "app.py").is_file()
    assert not (shop.path / "fifo").exists()


def test_what_is_no_file_in_a_project_without_git_is_named(staged: Studio) -> None:
    staged.write("app.py", "one\n")
    os.mkfifo(staged.path / "pipe")
    done = run(staged, "cat app.py; test ! -e pipe")
    assert (done.code, done.out) == (0, "one\n"), done.err
    assert "left out of the copy, as it is no file: pipe" in done.err
    assert "changed nothing" in done.err


def test_a_file_that_starts_code_is_refused_at_any_depth(shop: Studio) -> None:
    places = (
        "sub/.envrc", "sub/.claude/settings.json", "sub/.mcp.json", "sub/CLAUDE.md", "sub/.vscode/tasks.json",
        "sub/.husky/pre-commit", "sub/.GIT/config", "sub/.gitmodules", "a/b/.Claude/agents/x.md",
    )  # fmt: skip
    run(shop, "; ".join(f"mkdir -p $(dirname {place}); echo x > {place}" for place in (*places, "sub/fine.txt")))
    done = changed(shop, "apply", "--yes")
    assert "applied 1 of" in done.out, done.err
    assert [place for place in places if (shop.path / place).exists()] == []
    assert (shop.path / "sub/fine.txt").exists()
    assert f"agent-studio run --env staging --changes discard {kept(shop)[0]['id']}" in done.err


def test_the_id_may_stand_behind_options_and_a_command_needs_its_dashes(shop: Studio) -> None:
    for number in (1, 2):
        run(shop, f"echo {number} > file{number}.txt")
    first, second = (copy["id"] for copy in kept(shop))
    assert changed(shop, "apply", "--yes", first).code == 0
    assert shop.run(*RUN, second, "--changes", "discard", "--yes").code == 0
    assert kept(shop) == []
    done = shop.run(*RUN, "echo")
    assert (done.code, "agent-studio run -- echo" in done.err) == (2, True)
