"""Every artifact the client would take is found, under the client's name; all else is named with a reason."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from agent_studio.environment.roots import Project
from agent_studio.knowledge import artifacts, places
from agent_studio.knowledge.artifacts import Artifact, same_content, scan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio


def names(studio: Studio, *, user: bool = False) -> dict[str, str]:
    """Return the name of every artifact by its path."""
    return {found.path: found.name for found in scan(Project(studio.path), user=user).artifacts}


def only(studio: Studio, path: str) -> Artifact:
    return next(found for found in scan(Project(studio.path)).artifacts if found.path == path)


def skill(name: str, **fields: str) -> str:
    return "---\n" + "".join(f"{key}: {value}\n" for key, value in {"name": name, **fields}.items()) + "---\nBody.\n"


def test_every_layout_is_walked_and_named_as_the_client_names_it(bare: Studio) -> None:
    expected = {
        ".claude/agents/code-reviewer.md": "code-reviewer",
        ".claude/agents/team/other.md": "stated",
        ".claude/commands/ship.md": "ship",
        ".claude/commands/team/deep/fix.md": "team:deep:fix",
        ".claude/commands/packed/SKILL.md": "packed",
        ".claude/docs/guide/start.md": "start",
        ".claude/hooks/guard.py": "guard",
        ".claude/rules/style.md": "style",
        ".claude/skills/writing-migrations/SKILL.md": "writing-migrations",
        ".claude/skills/collection/group/inner/SKILL.md": "inner",
        ".claude/workflows/hotfix.md": "hotfix",
        ".claude/workflows/build.yaml": "build-all",
        ".claude/plugins/cache/market/tools/1.0/skills/lint/SKILL.md": "tools:lint",
        "plugins/web/skills/page/SKILL.md": "web-plugin:page",
        "plugins/web/agents/group/painter.md": "web-plugin:painter",
        "plugins/web/commands/new/page.md": "web-plugin:new:page",
        "plugins/web/extra/say.md": "web-plugin:say",
        "bundles/db/commands/migrate.md": "db:migrate",
        "plugins/commands/commands/undo.md": "commands:undo",
    }
    for path in expected.keys() - names(bare).keys():
        stated = "stated" if path.endswith("other.md") else "build-all" if path.endswith(".yaml") else ""
        text = f"name: {stated}\n" if path.endswith(".yaml") else f"---\nname: {stated}\ndescription: d\n---\n"
        bare.write(path, text)
    bare.write("plugins/web/.claude-plugin/plugin.json", json.dumps({"name": "web-plugin", "commands": ["./extra/"]}))
    bare.write("plugins/commands/.claude-plugin/plugin.json", '{"version": 1}')
    bare.write(".claude/plugins/cache/market/tools/1.0/.claude-plugin/plugin.json", '{"name": "tools"}')
    marketplace = {"plugins": [{"name": "db", "source": "./bundles/db"}, {"name": "out", "source": "../elsewhere"}]}
    bare.write(".claude-plugin/marketplace.json", json.dumps(marketplace))
    beside = bare.path.parent / "elsewhere/agents/x.md"
    beside.parent.mkdir(parents=True)
    beside.write_text("---\nname: x\n---\n", encoding="utf-8")
    assert names(bare) == expected
    assert scan(Project(bare.path)).skipped == []


def test_what_the_client_does_not_offer_is_hidden(bare: Studio) -> None:
    bare.write(".claude/skills/pack/inner/SKILL.md", skill("inner", description="x"))
    bare.write(".claude/skills/small/skill.md", skill("small", description="x"))
    bare.write(".claude/agents/nameless.md", "---\ndescription: x\n---\nBody.\n")
    bare.write(".claude/agents/blank.md", skill("blank"))
    bare.write(".claude/commands/kept.md", "---\ndisable-model-invocation: true\n---\nBody.\n")
    bare.write(".claude/commands/team/deep.md", "Body.\n")
    bare.write(".claude/agents/team/deep.md", skill("deep", description="x"))
    found = scan(Project(bare.path)).artifacts
    assert {one.path for one in found if one.hidden} == {
        ".claude/skills/pack/inner/SKILL.md", ".claude/skills/small/skill.md", ".claude/agents/nameless.md",
        ".claude/agents/blank.md", ".claude/commands/kept.md",
    }  # fmt: skip


def test_tests_of_hooks_are_no_hooks_and_a_script_says_that_it_is_deprecated(bare: Studio) -> None:
    for name in ("guard.test.cjs", "guard.spec.ts", "test_guard.py", "guard_test.py"):
        bare.write(f".claude/hooks/{name}", "// Guards prompts.\n")
    bare.write(".claude/hooks/old.cjs", "#!/usr/bin/env node\n/**\n * @deprecated Use the other one instead\n */\n")
    bare.write(".claude/hooks/attested.py", "# Attests.\n")
    hooks = {one.path: one.deprecated for one in scan(Project(bare.path)).artifacts if one.domain == "hook"}
    assert hooks == {".claude/hooks/old.cjs": True, ".claude/hooks/attested.py": False}
    others = dict(places.walk(Project(bare.path), everything=True).others)
    assert others[".claude/hooks/guard.test.cjs"] == "a test"


def hooks_of(studio: Studio) -> list[str]:
    return sorted(one.name for one in scan(Project(studio.path)).artifacts if one.domain == "hook")


def test_what_helps_hooks_is_none_unless_the_settings_name_it(bare: Studio) -> None:
    for name in ("guard.py", "check.sh", "check.ts", "old.ts", "_own.py", "utils/llm/anth.py", "utils/note.mjs"):
        bare.write(f".claude/hooks/{name}", "# Guards prompts.\n")
    assert hooks_of(bare) == ["check", "check", "guard", "old"], "nobody says which of them run"
    commands = ('uv run "$CLAUDE_PROJECT_DIR"/.claude/hooks/guard.py --log', "cd .claude/hooks && ./check.sh")
    settings = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": one} for one in commands]}]}}
    bare.write(".claude/settings.json", json.dumps(settings))
    assert hooks_of(bare) == ["check", "guard", "old"], "check.sh starts check.ts; old.ts is not in use"
    local = {"hooks": {"Stop": [{"hooks": [{"command": "node", "args": ["C:\\shop\\.claude\\hooks\\utils\\note"]}]}]}}
    bare.write(".claude/settings.local.json", json.dumps(local))
    assert hooks_of(bare) == ["check", "guard", "note", "old"]
    others = dict(places.walk(Project(bare.path), everything=True).others)
    assert others[".claude/hooks/utils/llm/anth.py"] == "a helper of hooks"
    assert others[".claude/hooks/check.ts"] == "what the hook of the same name starts"
    bare.write(".claude/settings.json", "{")
    bare.write(".claude/settings.local.json", '{"hooks": {"Stop": [{"hooks": [{"command": "npx hooks run"}]}]}}')
    assert hooks_of(bare) == ["check", "check", "guard", "old"]


def test_a_plugin_names_its_hooks_itself(bare: Studio) -> None:
    bare.write("plugins/web/.claude-plugin/plugin.json", '{"name": "web"}')
    for name in ("start.sh", "lib/say.sh", "told.sh"):
        bare.write(f"plugins/web/hooks/{name}", "# Says it.\n")
    assert hooks_of(bare) == ["web:start", "web:told"]
    named = {"hooks": {"Stop": [{"hooks": [{"command": "${CLAUDE_PLUGIN_ROOT}/hooks/lib/say.sh"}]}]}}
    bare.write("plugins/web/hooks/hooks.json", json.dumps(named))
    assert hooks_of(bare) == ["web:say", "web:start", "web:told"]


def test_the_first_line_of_a_yaml_file_is_no_description(bare: Studio) -> None:
    bare.write(".claude/workflows/plain.yaml", "name: plain\nsteps:\n  - run: it\n")
    assert only(bare, ".claude/workflows/plain.yaml").description == ""


def test_what_belongs_to_an_artifact_is_none_of_its_own(bare: Studio) -> None:
    before = names(bare)
    for path in (
        ".claude/skills/writing-migrations/references/notes.md", ".claude/skills/writing-migrations/scripts/run.py",
        ".claude/agents/README.md", ".claude/commands/readme.md", ".claude/hooks/data.json", ".claude/skills/README.md",
        ".claude/node_modules/x/SKILL.md", ".gemini/skills/x/SKILL.md", "docs/page.md", "plugins/none/agents/x.md",
        ".claude/settings.json", ".claude/staging/knowledge/x.md",
    ):  # fmt: skip
        bare.write(path, "---\nname: x\ndescription: y\n---\n")
    bare.write(".claude-plugin/plugin.json", '{"name": "whole"}')
    assert names(bare) == before
    others = dict(places.walk(Project(bare.path), everything=True).others)
    assert others[".claude/agents/README.md"] == "a README"
    assert "belongs to the skill" in others[".claude/skills/writing-migrations/references/notes.md"]
    assert others.keys() == {
        ".claude/skills/writing-migrations/references/notes.md", ".claude/skills/writing-migrations/scripts/run.py",
        ".claude/agents/README.md", ".claude/commands/readme.md", ".claude/hooks/data.json", ".claude/skills/README.md",
    }  # fmt: skip


def test_the_users_own_come_only_on_request(bare: Studio, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = home / ".claude/skills/mine/SKILL.md"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text(skill("mine"), encoding="utf-8")
    plugin = home / ".claude/plugins/cache/m/p/1"
    (plugin / ".claude-plugin").mkdir(parents=True, exist_ok=True)
    (plugin / ".claude-plugin/plugin.json").write_text('{"name": "helpers"}', encoding="utf-8")
    (plugin / "agents").mkdir(exist_ok=True)
    (plugin / "agents/aid.md").write_text(skill("aid"), encoding="utf-8")
    added = names(bare, user=True).items() - names(bare).items()
    assert dict(added) == {
        "~/.claude/skills/mine/SKILL.md": "mine", "~/.claude/plugins/cache/m/p/1/agents/aid.md": "helpers:aid"
    }  # fmt: skip
    elsewhere = bare.path.parent / "configuration"
    (elsewhere / "agents").mkdir(parents=True)
    (elsewhere / "agents/far.md").write_text(skill("far"), encoding="utf-8")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(elsewhere))
    added = names(bare, user=True).items() - names(bare).items()
    assert dict(added) == {f"{elsewhere.as_posix()}/agents/far.md": "far"}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_inside_the_project_once_and_named_otherwise(bare: Studio, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("---\nname: outside\n---\n", encoding="utf-8")
    bare.write(".agents/skills/shared/SKILL.md", skill("shared", description="seen through a link"))
    agents, skills = bare.path / ".claude/agents", bare.path / ".claude/skills"
    (agents / "out.md").symlink_to(outside)
    (agents / "again.md").symlink_to("code-reviewer.md")
    (agents / "cycle").symlink_to(".")
    (agents / "around").symlink_to("../..")
    (agents / "self.md").symlink_to("self.md")
    (skills / "gone").symlink_to("nowhere")
    (skills / "linked").symlink_to("../../.agents/skills/shared")
    (skills / "twice").symlink_to("../../.agents/skills/shared")
    (bare.path / ".claude/rules").symlink_to(tmp_path)
    bare.write("plugins/web/.claude-plugin/plugin.json", '{"name": "web"}')
    (bare.path / "plugins/web/SKILL.md").symlink_to(outside)
    found = scan(Project(bare.path))
    assert {one.path for one in found.artifacts if one.domain in {"agent", "skill"}} == {
        ".claude/agents/code-reviewer.md", ".claude/skills/writing-migrations/SKILL.md",
        ".claude/skills/linked/SKILL.md",
    }  # fmt: skip
    assert only(bare, ".claude/skills/linked/SKILL.md").name == "linked"
    assert dict(found.skipped) == {
        ".claude/agents/out.md": "a link that leads out of the project",
        ".claude/rules": "a link that leads out of the project",
        "plugins/web/SKILL.md": "a link that leads out of the project",
        ".claude/agents/again.md": "a link to what is already read",
        ".claude/agents/cycle": "a link to what is already read",
        ".claude/agents/around": "a link to a folder around it",
        ".claude/agents/self.md": "a link that leads nowhere",
        ".claude/skills/gone": "a link that leads nowhere",
        ".claude/skills/twice": "a link to what is already read",
    }


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
def test_what_is_no_file_or_cannot_be_read_is_named(bare: Studio) -> None:
    os.mkfifo(bare.path / ".claude/agents/pipe.md")
    locked = bare.write(".claude/agents/locked.md", "x")
    locked.chmod(0)
    skipped = dict(scan(Project(bare.path)).skipped)
    assert skipped.pop(".claude/agents/pipe.md") == "not a file"
    assert skipped in ({}, {".claude/agents/locked.md": "Permission denied"})  # root reads everything


def test_all_that_is_stated_is_read(bare: Studio) -> None:
    bare.write(
        ".claude/skills/folder-name/SKILL.md",
        "---\nname: stated-name\ndescription: |\n  Two\n  lines\nwhen_to_use: When it hurts, or not\n"
        "allowed-tools: Bash(git add:*, x), Read\ntags: [a, b]\ncategory: c\nalias: old\ncomplexity: epic\n"
        "disable-model-invocation: true\nmetadata:\n  tags: [d, a]\n  status: deprecated\n---\n"
        "# Title #\n\nText.\n\n```sh\n# no heading\n```\n\n## Second\nMore.\n",
    )
    found = only(bare, ".claude/skills/folder-name/SKILL.md")
    assert found._replace(sha256="", mtime_ns=0, size_bytes=0) == Artifact(
        name="folder-name", path=".claude/skills/folder-name/SKILL.md", description="Two lines", domain="skill",
        complexity="EPIC", use_cases="When it hurts, or not", tools="Bash(git add:*, x);Read", deprecated=True,
        alias="old;stated-name", tags="a;b;c;d", headings="Title\nSecond",
        body="Text.\n\n```sh\n# no heading\n```\n\nMore.", source="project", sha256="", size_bytes=0, mtime_ns=0,
        hidden=True, repairs=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "tools"),
    [
        ("tools: Read, Write", ["Read", "Write"]),
        ("tools: Read Write mcp__a-b__c", ["Read", "Write", "mcp__a-b__c"]),
        ("tools: [Read, 'Bash(a, b)']", ["Read", "Bash(a, b)"]),
        ("tools: all the tools", ["all the tools"]),
        ("allowed-tools: Bash(git *), Bash(npm run:*)", ["Bash(git *)", "Bash(npm run:*)"]),
        ("tools: *", ["*"]),
        ("tools:", []),
        ("tools: Read, Read", ["Read"]),
    ],
)
def test_tools_are_understood_however_they_are_written(bare: Studio, stated: str, tools: list[str]) -> None:
    bare.write(".claude/agents/x.md", f"---\nname: x\n{stated}\n---\n")
    assert only(bare, ".claude/agents/x.md").tools == ";".join(tools)


def test_without_front_matter_the_file_speaks_for_itself(bare: Studio) -> None:
    bare.write(".claude/agents/plain.md", "# Plain\n\n**First** words.\n")
    bare.write(".claude/agents/empty.md", "")
    bare.write(".claude/hooks/check.sh", "#!/bin/sh\n# Checks every push.\nexit 0\n")
    bare.write(".claude/agents/binary.md", bytes(range(256)))
    bare.write(".claude/agents/crlf.md", "---\r\nname: crlf\r\ndescription: d\r\n---\r\nText\r\n")
    assert (only(bare, ".claude/agents/plain.md").name, only(bare, ".claude/agents/plain.md").description) == (
        "plain", "First words."
    )  # fmt: skip
    assert only(bare, ".claude/agents/empty.md").description == ""
    assert only(bare, ".claude/hooks/check.sh").description == "Checks every push."
    assert only(bare, ".claude/agents/crlf.md").body == "Text"
    assert only(bare, ".claude/agents/binary.md").repairs[0].code == "encoding"


def test_a_large_body_is_read_and_its_hash_is_of_all_of_it(bare: Studio) -> None:
    import hashlib

    text = ("---\nname: big\n---\n" + "word " * 500_000).encode()
    bare.write(".claude/agents/big.md", text)
    found = only(bare, ".claude/agents/big.md")
    assert found.sha256 == hashlib.sha256(text).hexdigest()
    assert found.size_bytes == len(text)
    assert 900_000 < len(found.body) <= artifacts.BODY_MAX_BYTES


def test_copies_are_grouped_and_namesakes_told_apart(bare: Studio) -> None:
    for path in ("a", "b"):
        bare.write(f".claude/agents/{path}/one.md", skill("one", description="same bytes"))
    bare.write(".claude/agents/c/one.md", skill("one", description="other bytes"))
    groups = same_content(scan(Project(bare.path)).artifacts)
    assert [[one.path for one in group] for group in groups.values() if group[0].name == "one"] == [
        [".claude/agents/a/one.md", ".claude/agents/b/one.md"], [".claude/agents/c/one.md"]
    ]  # fmt: skip


def test_a_tree_that_changes_while_it_is_read_is_no_fault(bare: Studio) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(40):
                bare.write(f".claude/agents/churn{number}/a.md", skill("x"))
            for number in range(40):
                (bare.path / f".claude/agents/churn{number}/a.md").unlink()
                (bare.path / f".claude/agents/churn{number}").rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(60):
            found = scan(Project(bare.path))
            assert [reason for _, reason in found.skipped] == []
            assert len(found.artifacts) >= 4
    finally:
        stop.set()
        thread.join()


def test_a_deep_tree_ends_somewhere(bare: Studio) -> None:
    deep = "/".join(["d"] * 30)
    bare.write(f".claude/agents/{deep}/x.md", skill("x"))
    found = scan(Project(bare.path))
    assert any("folders deep" in reason for _, reason in found.skipped)


def test_no_artifacts_at_all_is_an_empty_scan(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    assert scan(Project(tmp_path)) == ([], [])


def test_every_folder_that_was_listed_is_named_with_its_time(bare: Studio) -> None:
    folders = dict(places.walk(Project(bare.path)).folders)
    assert ".claude/skills/writing-migrations" in folders
    assert folders[".claude/agents"] == (bare.path / ".claude/agents").stat().st_mtime_ns


_UV = """\
#!/usr/bin/env -S uv run --script
# /// script
# requires-python = ">=3.8"
# ///

import json, sys

def main():
    '''
    Keeps secrets out of commands.
    '''
"""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (_UV, "Keeps secrets out of commands."),
        ('#!/usr/bin/env python3\n"""Notes every edit."""\nimport json\n', "Notes every edit."),
        ("#!/bin/sh\nset -eu\n# shellcheck\n# Formats what was saved.\n", "Formats what was saved."),
        ('"use strict";\n/**\n * Reads the plan first.\n */\n', "Reads the plan first."),
        ("#!/bin/sh\nexec true and more\n", ""),
    ],
)  # fmt: skip
def test_a_script_is_described_by_its_comments_not_by_its_code(bare: Studio, script: str, words: str) -> None:
    bare.write(".claude/hooks/one.py", script)
    assert only(bare, ".claude/hooks/one.py").description == words
