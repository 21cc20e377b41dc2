"""Files that a user names for output: never over definitions, data or what is none of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.release_world import NEEDS_KEYS, World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

pytestmark = NEEDS_KEYS


def everything(folder: Path) -> dict[str, bytes]:
    """Return every file but objects, candidates and our log, which looking may write."""
    return {
        str(place.relative_to(folder)): place.read_bytes()
        for place in folder.rglob("*")
        if place.is_file() and not {"objects", "candidates", "log.jsonl", ".git"} & set(place.parts)
    } | {str(place): place.read_bytes() for place in folder.glob("*/.git/config")}


def test_no_command_writes_over_definitions_data_or_what_is_none_of_ours(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    world.gather()
    (world.project.path / "README.md").write_text("# Read me\n")
    (world.project.path / "CLAUDE.md").write_text("# Ours\n")
    (world.project.path / "package.json").write_text('{"name": "x"}\n')
    (world.project.path / "link.xml").symlink_to(world.project.path / "README.md")
    (world.project.path / "out").symlink_to(world.project.path / ".claude/agents")
    world.gather()
    key = str(tmp_path / "quinn")
    commands = (
        ("gate", "--junit"), ("gate", "--markdown"), ("smoke", "--env", "staging", "--junit"),
        ("signoff", "request", "--role", "qa", "--out"), ("checklist", "pre", "--markdown"),
        ("checklist", "promotion", "--plan"),
        ("waive", "isolation", "--reason", "x", "--role", "qa", "--key", key, "--yes", "--out"),
        ("run", "--env", "staging", "--isolation", "advisory", "--report"),
    )  # fmt: skip
    places = (
        ".claude/agents/code-reviewer.md", "CLAUDE.md", "", ".claude/staging/memory/issues.md", ".agent-studio/x.json",
        ".git/config", "out/code-reviewer.md", "../live/.claude/settings.json", ".", "none/x.json", "README.md",
        "package.json", "link.xml",
    )  # fmt: skip
    world.gather(but="isolation")
    for command in commands:
        for place in places if command[0] == "signoff" else places[:3]:
            after = ("--", "true") if command[0] == "run" else ()
            before = everything(tmp_path)
            done = bare.run(*command, place, *after)
            assert done.code in {1, 2}, (command, place, done)
            assert "error" in done.err, (command, place, done)
            assert changed(before, everything(tmp_path)) == [], (command, place, done)
    for command in commands[:2]:
        assert bare.run(*command, "gate.out").code == 4
        assert bare.run(*command, "gate.out").code == 4, "its own kind is replaced"
        (world.project.path / "gate.out").unlink()


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Return the files that differ, but for evidence that a checklist or smoke may keep."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [name for name in names if "/.agent-studio/staging/" not in name]
