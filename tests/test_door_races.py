"""While another process swaps folders and files for links, not one byte lands or is read outside."""

# ruff: noqa: PTH208 - a listing of names is what is compared

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.storage import journal
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CANARY = b"canary: not yours\n"
_ATTACK_FOLDER = """
import os, shutil, sys
data, aside, outside = sys.argv[1:]
def until_done(step, *arguments):
    while True:
        try:
            return step(*arguments)
        except OSError:  # the door has made the folder anew meanwhile
            shutil.rmtree(data, ignore_errors=True)
while True:
    os.rename(data, aside)
    until_done(os.symlink, outside, data)
    os.unlink(data)
    until_done(os.rename, aside, data)
"""
_ATTACK_FILE = """
import contextlib, os, sys
name, outside = sys.argv[1:]
turn = 0
while True:
    turn += 1
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)
    with contextlib.suppress(FileExistsError):
        (os.symlink if turn % 2 else os.link)(outside + "/canary", name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)
"""


def outcomes_under_attack(attack: list[str], attempts: list[Callable[[int], object]], *, least: int) -> dict[str, int]:
    """Run the attempts in turn beside the attacking process until enough of both kinds of outcome were seen."""
    counts = {"done": 0, "refused": 0}
    with subprocess.Popen([sys.executable, "-c", *attack]) as attacker:
        try:
            end, turn = time.monotonic() + 20, 0
            while time.monotonic() < end and (turn < least or min(counts.values()) < 50):
                turn += 1
                try:
                    got = attempts[turn % len(attempts)](turn)
                except (AgentStudioError, FileNotFoundError):
                    counts["refused"] += 1
                else:
                    counts["done"] += 1
                    assert got != CANARY
            assert attacker.poll() is None, "the attacker died"
        finally:
            attacker.kill()
    return counts


def outside_at(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(CANARY)
    (outside / "sub").mkdir()
    return outside


def assert_untouched(outside: Path) -> None:
    assert sorted(os.listdir(outside)) == ["canary", "sub"]
    assert os.listdir(outside / "sub") == []
    assert (outside / "canary").read_bytes() == CANARY


def test_a_folder_swapped_for_a_link_while_the_door_works_leads_nothing_outside(tmp_path: Path) -> None:
    outside, data = outside_at(tmp_path), tmp_path / "data"
    data.mkdir()
    (data / "canary").write_bytes(b"mine\n")
    folder, elsewhere = Folder(tmp_path, "data", handles=True), Folder(tmp_path, "elsewhere", handles=True)
    elsewhere.make()

    def bring(turn: int) -> None:
        elsewhere.create(f"b{turn}", b"x")
        elsewhere.move(f"b{turn}", folder, f"b{turn}")

    attempts: list[Callable[[int], object]] = [
        lambda turn: folder.create(f"c{turn % 40}", b"x" * 100),
        lambda turn: folder.replace("replaced", b"y" * turn),
        lambda turn: journal.append(folder, "j.jsonl", [{"turn": turn}]),
        lambda _: folder.read("canary"),
        lambda turn: folder.make(f"sub/m{turn % 40}"),
        lambda turn: folder.remove(f"c{turn % 40}"),
        lambda _: folder.remove_tree("sub"),
        lambda _: folder.create("sub/n", b"z"),
        lambda _: [folder.read(name) for name, _ in folder.files() if name == "canary"],
        lambda _: folder.sweep(),
        bring,
    ]
    script = [_ATTACK_FOLDER, str(data), str(tmp_path / "aside"), str(outside)]
    counts = outcomes_under_attack(script, attempts, least=4_000)
    assert_untouched(outside)
    assert min(counts.values()) >= 50, counts


def test_a_file_swapped_for_links_while_the_door_works_leads_nothing_outside(tmp_path: Path) -> None:
    outside = outside_at(tmp_path)
    folder = Folder(tmp_path, "data", handles=True)
    folder.make()
    attempts: list[Callable[[int], object]] = [
        lambda turn: journal.append(folder, "f", [{"turn": turn}]),
        lambda _: folder.create("f", b"x" * 100),
        lambda _: os.close(folder.open("f", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)),
        lambda _: folder.replace("f", b"y" * 100),
        lambda _: folder.remove("f"),
    ]
    counts = outcomes_under_attack([_ATTACK_FILE, str(folder.path / "f"), str(outside)], attempts, least=3_000)
    assert_untouched(outside)
    assert min(counts.values()) >= 50, counts


def test_a_root_renamed_away_under_an_entered_folder_takes_the_write_with_it(tmp_path: Path) -> None:
    outside = outside_at(tmp_path)
    folder = Folder(tmp_path, "a/b", handles=True)
    folder.make()
    with folder._entered(()) as walk:
        (tmp_path / "a").rename(tmp_path / "moved")
        (tmp_path / "a").symlink_to(outside)
        os.close(walk.open("file", os.O_WRONLY | os.O_CREAT, 0o600))
    assert (tmp_path / "moved" / "b" / "file").exists()
    assert_untouched(outside)
