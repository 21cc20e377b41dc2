from __future__ import annotations

import hashlib
import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_studio.capture.recorder import build
from agent_studio.capture.wiring import events
from agent_studio.capture.wiring.install import Options, install_hooks
from agent_studio.environment.roots import Project
from agent_studio.errors import AgentStudioError, StorageError, UsageError
from agent_studio.release.content.candidate import Candidate, candidate

if TYPE_CHECKING:
    from tests.conftest import Studio

    from agent_studio.capture.wiring.events import Version

TOKEN = "ghp_" + "aB3" * 12
POSIX = pytest.mark.skipif(os.name == "nt", reason="links and file modes")


def made(studio: Studio) -> Candidate:
    return candidate(Project(Path(os.path.realpath(studio.path))))


def paths(found: Candidate) -> list[str]:
    return [line.split(" ", 2)[2] for line in found.manifest.decode().splitlines()]


def test_the_manifest_has_mode_hash_and_path_of_every_definition_sorted_by_bytes(bare: Studio) -> None:
    for name in ("agents/Z.md", "agents/é.md", "CLAUDE.md", "settings.json", "config.yaml", "allowed_signers"):
        bare.write(f".claude/{name}", "{}\n" if name.endswith("json") else "")
    bare.write(".claude/config.production.yaml", "")
    bare.write(".claude/hooks/guard.sh", "#!/bin/sh\n").chmod(0o755)
    bare.write("CLAUDE.md", "# Project\n")
    found = made(bare)
    assert paths(found) == [
        "@project/CLAUDE.md", "CLAUDE.md", "agents/Z.md", "agents/code-reviewer.md", "agents/é.md", "allowed_signers",
        "commands/ship.md", "config.production.yaml", "config.yaml", "hooks/guard.sh", "settings.json",
        "skills/writing-migrations/SKILL.md", "workflows/hotfix.md",
    ]  # fmt: skip
    digest = hashlib.sha256(b"# Project\n").hexdigest()
    assert found.manifest.startswith(f"100644 {digest} @project/CLAUDE.md\n".encode())
    if os.name != "nt":
        assert (
            f"100755 {hashlib.sha256(b'#!/bin/sh' + bytes([10])).hexdigest()} hooks/guard.sh\n".encode()
            in found.manifest
        )
    assert found.sha256 == hashlib.sha256(found.manifest).hexdigest()
    assert found.files == 13


@pytest.mark.parametrize(
    "name",
    [
        ".claude/settings.local.json", ".claude/config.staging.yaml", ".claude/config.development.yaml",
        ".claude/staging/memory/learnings.md", ".claude/memory/learnings.md", ".claude/metrics/hooks.jsonl",
        ".claude/agent-memory/a/hot.jsonl", ".claude/context/evolution-state.json", ".claude/knowledge/x.csv",
        ".claude/sessions/session-log.jsonl", ".claude/skills/.git/HEAD", ".claude/hooks/__pycache__/a.pyc",
        ".claude/notes.md", ".agent-studio/staging/tests/a.json", "README.md", ".claude/plugins/x.json",
    ],
)  # fmt: skip
def test_data_local_settings_and_what_tools_leave_behind_do_not_change_it(bare: Studio, name: str) -> None:
    before = made(bare)
    bare.write(name, "")
    assert made(bare) == before


@pytest.mark.parametrize(
    "name", ["agents/new.md", "rules/a/b/c.md", "teams/t.csv", "output-styles/x.md", "settings.json"]
)
def test_a_new_definition_changes_it(bare: Studio, name: str) -> None:
    before = made(bare)
    bare.write(f".claude/{name}", "{}")
    after = made(bare)
    assert after.sha256 != before.sha256
    assert set(paths(after)) - set(paths(before)) == {name}


@POSIX
def test_one_byte_or_the_executable_bit_changes_it_and_the_time_does_not(bare: Studio) -> None:
    place = bare.write(".claude/hooks/a.sh", "one")
    seen = {made(bare).sha256}
    os.utime(place, (1, 1))
    place.chmod(0o600)
    assert made(bare).sha256 in seen
    place.chmod(0o700)
    seen.add(made(bare).sha256)
    place.write_text("two")
    seen.add(made(bare).sha256)
    assert len(seen) == 3


def test_a_project_without_definitions_has_the_hash_of_nothing(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    found = candidate(Project(tmp_path))
    assert found == Candidate(hashlib.sha256(b"").hexdigest(), 0, b"")


@POSIX
def test_links_are_followed_inside_the_project_only(bare: Studio, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.md").write_text("x")
    bare.write("shared/skill/SKILL.md", "shared")
    agents = bare.path / ".claude" / "agents"
    (agents / "linked.md").symlink_to(bare.path / "shared" / "skill" / "SKILL.md")
    (bare.path / ".claude" / "skills" / "shared").symlink_to("../../shared/skill")
    before = made(bare)
    assert {"agents/linked.md", "skills/shared/SKILL.md"} <= set(paths(before))
    (agents / "escape.md").symlink_to(tmp_path / "outside" / "secret.md")
    (agents / "escape").symlink_to(tmp_path / "outside")
    (agents / "dangling.md").symlink_to("nowhere.md")
    (agents / "through-a-file.md").symlink_to("code-reviewer.md/inner.md")
    (bare.path / "CLAUDE.md").symlink_to(tmp_path / "outside" / "secret.md")
    after = made(bare)
    assert after.sha256 == before.sha256
    assert dict(after.left_out) == {
        "agents/dangling.md": "a link to nothing",
        "agents/through-a-file.md": "a link to nothing",
    }
    assert set(after.led_out) == {"agents/escape.md", "agents/escape", "@project/CLAUDE.md"}


@POSIX
def test_links_never_bring_data_or_local_settings_in(bare: Studio) -> None:
    before = made(bare)
    for name in (".claude/memory/a.md", ".claude/staging/memory/a.md", ".claude/settings.local.json", ".git/HEAD"):
        bare.write(name, "{}")
    bare.write(".claude/config.production.yaml", "paths:\n  metrics: data/metrics\n")
    bare.write("data/metrics/hooks.jsonl", "")
    skills = bare.path / ".claude" / "skills"
    for number, target in enumerate(
        ("memory", "staging", "settings.local.json", "../.git", "../data/metrics", "../data")
    ):
        (skills / f"link{number}").symlink_to(f"../{target}")
    (skills / "everything").symlink_to("../..")
    found = paths(made(bare))
    data = ("memory/", "staging/", "settings.local", "HEAD", "hooks.jsonl")
    assert not [path for path in found if any(part in path for part in data)]
    assert set(paths(before)) < set(found)


@POSIX
def test_links_in_a_circle_end(bare: Studio) -> None:
    skills = bare.path / ".claude" / "skills"
    (skills / "self").symlink_to(".")
    (skills / "loop").symlink_to("loop")
    (skills / "up").symlink_to("../agents")
    (bare.path / ".claude" / "agents" / "down").symlink_to("../skills")
    found = paths(made(bare))
    assert "agents/down/writing-migrations/SKILL.md" in found
    assert "skills/up/code-reviewer.md" in found
    assert len(found) == len(set(found)) < 20


@POSIX
def test_a_linked_definitions_folder_is_read_where_it_is(bare: Studio, tmp_path: Path) -> None:
    before = made(bare)
    (bare.path / ".claude").rename(tmp_path / "dotfiles")
    (bare.path / ".claude").symlink_to(tmp_path / "dotfiles")
    assert made(bare) == before


@POSIX
def test_names_count_in_unicode_form_c_and_two_that_become_one_are_refused(bare: Studio) -> None:
    composed = "agents/é.md"
    bare.write(f".claude/{unicodedata.normalize('NFD', composed)}", "x")
    assert composed in paths(made(bare))
    bare.write(f".claude/{composed}", "x")
    if len(list((bare.path / ".claude" / "agents").glob("*.md"))) > 2:
        with pytest.raises(UsageError, match="Unicode form"):
            made(bare)


@POSIX
@pytest.mark.parametrize("name", [b"a\n100644 0 b.md", b"\xff.md"])
def test_a_name_that_could_forge_a_manifest_line_is_refused(bare: Studio, name: bytes) -> None:
    place = os.path.join(os.fsencode(bare.path / ".claude" / "agents"), name)  # noqa: PTH118
    try:
        with open(place, "wb"):  # noqa: PTH123
            pass
    except OSError:
        pytest.skip("this file system refuses such a name itself")
    with pytest.raises(UsageError, match="name of definition"):
        made(bare)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_definition_that_cannot_be_read_is_an_error_not_left_out(bare: Studio) -> None:
    bare.write(".claude/agents/shut.md", "x").chmod(0)
    with pytest.raises(StorageError, match=r"shut\.md"):
        made(bare)


@POSIX
def test_what_is_neither_file_nor_folder_is_passed_over(bare: Studio) -> None:
    before = made(bare)
    os.mkfifo(bare.path / ".claude" / "agents" / "pipe.md")
    bare.write(".claude/rules", "a file where a folder belongs")
    (bare.path / ".claude" / "settings.json").mkdir()
    after = made(bare)
    assert after.sha256 == before.sha256
    assert dict(after.left_out) == {
        "agents/pipe.md": "neither a file nor a folder", "rules": "not a folder", "settings.json": "not a file",
    }  # fmt: skip


@POSIX
def test_what_is_left_out_is_said_when_the_candidate_is_made(bare: Studio) -> None:
    agents = bare.path / ".claude" / "agents"
    bare.write(".claude/settings.local.json", "{}")
    (agents / "broken.md").symlink_to("nope.md")
    (agents / "local.md").symlink_to("../settings.local.json")
    (agents / "around").symlink_to("../agents")
    os.mkfifo(agents / "pipe.md")
    for _ in range(2):  # one that is there already says it too
        said = bare.run("candidate", "create").out
        for path, reason in (
            ("broken.md", "a link to nothing"), ("local.md", "a link to what is no definition"),
            ("pipe.md", "neither a file nor a folder"), ("around", "a link to a folder around it"),
        ):  # fmt: skip
            assert f"not in it: agents/{path} ({reason})" in said
    told = bare.json("candidate", "create")["leftOut"]
    assert {"path": "agents/broken.md", "reason": "a link to nothing"} in told
    shown = bare.json("candidate", "show", "--files")
    assert not [one for one in shown["files"] if "local" in one["path"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_credential_is_found_whatever_bytes_are_around_it(bare: Studio, encoding: str) -> None:
    bare.write(".claude/agents/blob.md", b"\0\1\2\3" + f"x\nkey {TOKEN}\n\0".encode(encoding))
    done = bare.run("candidate", "create")
    assert done.code == 1
    assert "agents/blob.md:2" in done.err
    assert not (bare.path / ".agent-studio/objects").exists()


@pytest.mark.parametrize(
    "name",
    ["a:b.md", "con.md", "~x.md", "FOO~1.md", "what?.md", "x .", "z\u200bz.md", "x" * 201 + ".md", "nul/a.md",
     "/".join("d" * 33) + "/a.md"],
)  # fmt: skip
def test_a_name_that_could_not_be_promoted_is_refused_when_the_candidate_is_made(bare: Studio, name: str) -> None:
    try:
        bare.write(f".claude/agents/{name}", "x")
    except OSError:
        pytest.skip("this file system refuses such a name itself")
    done = bare.run("candidate", "create")
    assert done.code == 2
    assert "the name of definition" in done.err
    assert not (bare.path / ".agent-studio/objects").exists()


@POSIX
@pytest.mark.parametrize(
    ("one", "other"), [("Helper.md", "helper.md"), ("Straße/a.md", "STRASSE/b.md"), ("X/a.md", "x")]
)
def test_names_that_some_file_systems_take_for_one_are_refused(bare: Studio, one: str, other: str) -> None:
    bare.write(f".claude/agents/{one}", "1")
    bare.write(f".claude/agents/{other}", "2")
    if len(list((bare.path / ".claude/agents").iterdir())) < 3:
        pytest.skip("this file system takes them for one itself")
    with pytest.raises(UsageError, match="only in case"):
        made(bare)


def test_a_configuration_that_places_data_wrongly_is_refused(bare: Studio) -> None:
    bare.write(".claude/config.staging.yaml", "paths:\n  metrics: ../elsewhere\n")
    with pytest.raises(AgentStudioError, match=r"paths\.metrics"):
        made(bare)


HTTP = ("--transport", "http", "--client-version", "2.1.330")


@pytest.mark.parametrize("kept", [True, False], ids=["as we left it", "edited since"])
@pytest.mark.parametrize("options", [("--wrap",), ("--wrap", "--statusline"), HTTP, (*HTTP, "--wrap")], ids=" ".join)
def test_what_we_add_to_the_settings_does_not_change_it(
    staged: Studio, options: tuple[str, ...], *, kept: bool
) -> None:
    staged.write(".claude/settings.json", '{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "true"}]}]}}')
    before = made(staged)
    assert staged.run("hooks", "install", "--shared", *options).code == 0
    assert "recorder" in (staged.path / ".claude/settings.json").read_text()
    if not kept:
        (staged.path / ".agent-studio/wiring/settings.json").unlink()
    assert made(staged) == before


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("version", [events.OLDEST, (2, 1, 330)])
def test_our_decision_hooks_in_the_settings_do_not_change_it(staged: Studio, version: Version, *, closed: bool) -> None:
    staged.write(".claude/settings.json", "{}\n")
    before = made(staged)
    project = Project(Path(os.path.realpath(staged.path)))
    options = Options(shared=True, version=version, decision_events={"PreToolUse", "Stop"}, decision_closed=closed)
    installed = build.installed(project)
    assert installed is not None
    assert installed.decide
    install_hooks(project, installed, options)
    (staged.path / ".agent-studio/wiring/settings.json").unlink()
    assert "decide" in (staged.path / ".claude/settings.json").read_text()
    assert made(staged) == before


def test_what_was_made_before_is_whole_again_and_still_refused_for_links_that_lead_out(bare: Studio) -> None:
    first = bare.run("candidate", "create", "--json").data
    gone = [place for place in (bare.path / ".agent-studio/objects").rglob("*") if place.is_file()]
    before = {place: place.read_bytes() for place in gone}
    for place in gone[: len(gone) // 2]:
        place.unlink()
    again = bare.run("candidate", "create", "--json").data
    assert (again["candidate"], again["time"]) == (first["candidate"], first["time"])
    assert {place: place.read_bytes() for place in gone} == before
    outside = bare.path.parent / "outside.md"
    outside.write_text("x")
    (bare.path / ".claude/agents/out.md").symlink_to(outside)
    done = bare.run("candidate", "create")
    assert (done.code, "links lead out" in done.err) == (2, True)
