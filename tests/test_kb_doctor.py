"""`kb doctor` says what is wrong with which file, shows it repaired, and writes only that."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import REPOSITORY

from agent_studio.knowledge.diagnosis import CODES
from agent_studio.knowledge.front_matter import read

if TYPE_CHECKING:
    from tests.conftest import Studio


def findings(studio: Studio, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = studio.json("kb", "doctor", *more)["findings"]
    return found


def found_at(studio: Studio, path: str) -> dict[str, dict[str, Any]]:
    """Return the findings of one file by their code."""
    return {one["code"]: one for one in findings(studio) if one["path"] == path}


def test_a_sound_project_has_nothing_to_mend(bare: Studio) -> None:
    done = bare.run("kb", "doctor")
    assert done.code == 0
    assert "Nothing to mend (4 artifacts looked at)" in done.out


def test_a_line_that_strict_yaml_refuses_is_shown_repaired(bare: Studio) -> None:
    bare.write(".claude/agents/x.md", "---\nname: x\ndescription: Use when: it fails\n---\nBody\n")
    done = bare.run("kb", "doctor")
    assert done.code == 1
    assert "yaml-colon: line 3:" in done.out
    assert '\n    repaired: description: "Use when: it fails"\n' in done.out
    assert found_at(bare, ".claude/agents/x.md")["yaml-colon"] == {
        "code": "yaml-colon", "severity": "warning", "path": ".claude/agents/x.md", "line": 3,
        "message": "a colon and a space inside a text without quotes",
        "repaired": 'description: "Use when: it fails"',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text", "code", "severity", "line", "repaired"),
    [
        ("agents/x.md", "---\ndescription: d\n---\n", "missing-name", "warning", 2, "name: x"),
        ("agents/x.md", "---\nname: x\n---\nWhat it does.\n", "missing-description", "warning", 2,
         "description: What it does."),
        ("agents/x.md", "---\nname: x\ndescription: ''\n---\n", "missing-description", "warning", 3, ""),
        ("agents/x.md", "---\nname: y\ndescription: d\n---\n", "name-differs", "info", 2, "name: x"),
        ("agents/x.md", "---\nname: x\ndescription: d\ntool: Read\n---\n", "misspelt-key", "warning", 4, "tools: Read"),
        ("agents/x.md", "---\nname: x\ndescription: d\nallowed-tools: [A, B]\n---\n", "other-key", "info", 4,
         'tools: ["A", "B"]'),
        ("agents/x.md", "---\nname: x\ndescription: d\nzodiac: lion\n---\n", "unknown-key", "info", 4, ""),
        ("agents/x.md", "---\nname: x\ndescription: d\ntools:\n  Read: true\n---\n", "tools-type", "warning", 4,
         "tools: Read"),
        ("agents/x.md", "---\nname: x\ndescription: [a, b]\n---\n", "description-type", "warning", 3,
         "description: a, b"),
        ("agents/x.md", "---\nname: x\ndescription: d\n", "front-matter-unclosed", "warning", 4, "---"),
        ("agents/x.md", "\n---\nname: x\ndescription: d\n---\n", "front-matter-not-first", "warning", 1, ""),
        ("agents/x.md", "---\nname: x\ndescription: é\n---\n".encode("cp1252"), "encoding", "warning", 3,
         "description: é"),
        ("agents/x.md", "---\nname: x\ndescription: d\n---\n" + "y" * 50_000, "long-body", "info", 0, ""),
        ("agents/x.md", "---\nname: x\ndescription: d\n---\n" + "y" * 1_100_000, "too-large", "warning", 0, ""),
        ("skills/x/SKILL.md", "---\nname: y\ndescription: d\n---\n", "name-differs", "warning", 2, "name: x"),
        ("skills/x/SKILL.md", f"---\nname: x\ndescription: {'d' * 1025}\n---\n", "long-description", "warning", 3, ""),
        ("skills/x/SKILL.md", "---\nname: x\ndescription: d\nuser_invocable: no\n---\n", "misspelt-key", "warning", 4,
         "user-invocable: no"),
        ("skills/x/SKILL.md", "---\nname: x\ndescription: d\nuser-invocable: maybe\n---\n", "not-boolean", "warning", 4,
         ""),
        ("skills/X_y/SKILL.md", "---\nname: X_y\ndescription: d\n---\n", "name-form", "info", 2, ""),
        ("skills/a/x/SKILL.md", "---\nname: x\ndescription: d\n---\n", "too-deep", "info", 0, ""),
        ("skills/x/skill.md", "---\nname: x\ndescription: d\n---\n", "file-case", "warning", 0, ""),
        ("commands/README.md", "# Commands\n", "readme-command", "info", 0, ""),
        ("rules/x.md", "---\nglobs: **/*.py\n---\nRule.\n", "yaml-alias", "warning", 2, 'globs: "**/*.py"'),
    ],
)  # fmt: skip
def test_each_fault_is_found_where_it_is(
    bare: Studio, path: str, text: str | bytes, code: str, severity: str, line: int, repaired: str
) -> None:
    bare.write(f".claude/{path}", text)
    found = found_at(bare, f".claude/{path}")
    assert found.keys() == {code}
    assert (found[code]["severity"], found[code]["line"], found[code]["repaired"]) == (severity, line, repaired)
    assert bare.run("kb", "doctor").code == (1 if severity == "warning" else 0)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_copies_namesakes_and_links_are_named(bare: Studio) -> None:
    text = "---\nname: one\ndescription: d\n---\n"
    bare.write(".claude/agents/a/one.md", text)
    bare.write(".claude/agents/b/one.md", text)
    bare.write(".claude/agents/c/one.md", text.replace("d\n", "e\n"))
    (bare.path / ".claude/agents/gone.md").symlink_to("nowhere.md")
    (bare.path / ".claude/agents/loop").symlink_to(".")
    assert ".claude/agents/a/one.md" in found_at(bare, ".claude/agents/b/one.md")["copy"]["message"]
    assert found_at(bare, ".claude/agents/c/one.md")["same-name"]["severity"] == "warning"
    assert found_at(bare, ".claude/agents/gone.md")["link"]["severity"] == "warning"
    assert found_at(bare, ".claude/agents/loop")["link"]["severity"] == "info"


def test_a_credential_is_found_and_never_shown(bare: Studio) -> None:
    secret = "ghp_" + "a1B2" * 9
    bare.write(".claude/agents/x.md", f"---\nname: x\ndescription: Use: {secret}\n---\n{secret}\n")
    done = bare.run("kb", "doctor", "--json")
    assert {(one["code"], one["line"]) for one in done.data["findings"]} == {
        ("yaml-colon", 3), ("secret", 3), ("secret", 5)
    }  # fmt: skip
    assert secret not in done.out + bare.run("kb", "doctor", "--all").out


def test_every_file_is_an_artifact_or_named_with_a_reason(bare: Studio) -> None:
    for name in ("skills/writing-migrations/notes.md", "agents/README.md", "commands/data.json", "hooks/x.txt"):
        bare.write(f".claude/{name}", "x")
    data = bare.json("kb", "doctor")
    named = {one["path"] for one in data["notArtifacts"]}
    tree = {str(place.relative_to(bare.path)) for place in (bare.path / ".claude").rglob("*") if place.is_file()}
    assert data["artifacts"] == len(tree - named)
    assert named <= tree
    assert all(one["reason"] for one in data["notArtifacts"])


def test_codes_and_notes_can_be_chosen(bare: Studio) -> None:
    bare.write(".claude/agents/x.md", "---\nname: y\ndescription: a: b\n---\n")
    assert {one["code"] for one in findings(bare, "--code", "yaml-colon")} == {"yaml-colon"}
    assert bare.run("kb", "doctor", "--code", "name-differs").code == 0
    assert "name-differs: line 2" in bare.run("kb", "doctor", "--all").out
    assert "name-differs: line 2" not in bare.run("kb", "doctor").out


def test_a_code_that_no_finding_has_is_refused_and_the_page_lists_those_that_are(bare: Studio) -> None:
    done = bare.run("kb", "doctor", "--code", "secrets")
    assert done.code == 2
    assert 'did you mean "secret"?' in done.err
    page = (REPOSITORY / "docs/artifacts.md").read_text(encoding="utf-8")
    rows = page.partition("| code | severity | found |")[2].partition("## ")[0].splitlines()
    told = {code for row in rows for code in re.findall("`([a-z-]+)`", row.split(" | ")[0])}
    assert told == CODES


@pytest.mark.parametrize("narrower", [("--code", "yaml-tab"), ("--user",)])
def test_nothing_is_written_beside_what_was_asked_for(bare: Studio, narrower: tuple[str, ...]) -> None:
    place = bare.write(".claude/agents/x.md", "---\nname: x\ndescription: a: b\n---\n")
    before = place.read_bytes()
    assert bare.run("kb", "doctor", "--write", "--yes", *narrower).code == 2
    assert place.read_bytes() == before


def test_writing_changes_the_lines_concerned_and_no_other_byte(bare: Studio) -> None:
    unix = bare.write(".claude/agents/x.md", "---\nname: x\n# note\ndescription: a: b\n---\n\n Body  \n")
    windows = bare.write(".claude/agents/y.md", b"---\r\nname: y\r\ndescription: a: b\r\n---\r\nBody\r\n")
    mixed = bare.write(".claude/agents/z.md", b"---\r\nname: z\ndescription: a: b\r\n---\nBody\n")
    foreign = bare.write(".claude/agents/f.md", "---\nname: f\ndescription: é: b\n---\n".encode("cp1252"))
    unix.chmod(0o640)
    before = bare.snapshot()
    planned = bare.run("kb", "doctor", "--write", "--dry-run", "--json")
    assert [one["path"] for one in planned.data["files"]] == [".claude/agents/x.md", ".claude/agents/y.md"]
    assert planned.data["left"] == [
        {"path": ".claude/agents/z.md", "reason": "its lines end in more than one way"}
    ]  # fmt: skip
    assert bare.run("kb", "doctor", "--write").code == 2
    assert bare.snapshot() == before, "neither a dry run nor a question nobody answers changes anything"
    done = bare.run("kb", "doctor", "--write", "--yes")
    assert done.code == 1, "one file had to be left"
    after = bare.snapshot()
    assert {path for path in after if after[path] != before[path]} == {".claude/agents/x.md", ".claude/agents/y.md"}
    assert unix.read_bytes() == b'---\nname: x\n# note\ndescription: "a: b"\n---\n\n Body  \n'
    assert windows.read_bytes() == b'---\r\nname: y\r\ndescription: "a: b"\r\n---\r\nBody\r\n'
    assert stat.S_IMODE(unix.stat().st_mode) == 0o640
    assert (mixed.read_bytes(), foreign.read_bytes()) == (
        before[".claude/agents/z.md"], before[".claude/agents/f.md"]
    )  # fmt: skip
    assert not read(unix.read_text(encoding="utf-8")).repairs
    assert bare.json("kb", "doctor", "--write", "--yes")["files"] == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_what_a_link_leads_to_is_not_written(bare: Studio) -> None:
    real = bare.write("shared/x.md", "---\nname: x\ndescription: a: b\n---\n")
    (bare.path / ".claude/agents/x.md").symlink_to("../../shared/x.md")
    done = bare.run("kb", "doctor", "--write", "--yes", "--json")
    assert done.code == 1
    assert real.read_text(encoding="utf-8").endswith("description: a: b\n---\n")
    assert done.data["left"][0]["path"] == ".claude/agents/x.md"


def test_a_dry_run_without_writing_is_refused(bare: Studio) -> None:
    done = bare.run("kb", "doctor", "--dry-run")
    assert done.code == 2
    assert "--write" in done.err


def test_a_list_under_a_plural_is_no_misspelt_key(bare: Studio) -> None:
    path = ".claude/skills/both/SKILL.md"
    bare.write(path, "---\nname: both\ndescription: x\nagents: [claude-code, codex-cli]\n---\nBody.\n")
    assert found_at(bare, path).keys() == {"unknown-key"}
    bare.write(path, "---\nname: both\ndescription: x\nallowed-tool: [Read]\n---\nBody.\n")
    assert found_at(bare, path).keys() == {"misspelt-key"}


@pytest.mark.parametrize("key", ["disallowed-tools", "disallowedTools"])
def test_tools_that_a_command_may_not_use_are_not_taken_for_those_that_it_may(bare: Studio, key: str) -> None:
    path = ".claude/commands/plan.md"
    bare.write(path, f"---\ndescription: Plans.\n{key}: Task, EnterPlanMode\n---\nBody.\n")
    assert found_at(bare, path) == {}


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_file_that_search_cannot_keep_is_named(bare: Studio) -> None:
    Path(os.fsdecode(os.fsencode(bare.path / ".claude/agents") + b"/b\xff.md")).write_text("---\nname: b\n---\n")
    assert [one["message"] for one in findings(bare) if one["code"] == "not-read"] == ["its name is not UTF-8"]


def test_a_workflow_that_says_nothing_of_itself_is_named(bare: Studio) -> None:
    path = ".claude/workflows/plain.yaml"
    bare.write(path, "name: plain\nsteps: []\n")
    assert found_at(bare, path)["missing-description"]["severity"] == "info"
