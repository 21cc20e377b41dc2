"""The knowledge base through its commands: built, listed, read in steps, counted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agent_studio.cli.kb.search import differing
from agent_studio.cli.output import cut
from agent_studio.knowledge import index, table

if TYPE_CHECKING:
    from tests.conftest import Studio

STAGING = ("--env", "staging")
TABLE = ".claude/staging/knowledge/knowledge-base-index.csv"
FEW = ("--set", "testData.artifactsCount=20")


def rows(studio: Studio) -> list[table.Row]:
    return table.decode((studio.path / TABLE).read_bytes())


def test_building_again_keeps_usage_and_sees_what_changed(staged: Studio) -> None:
    written = rows(staged)
    written[0] |= {"usage_count": "7", "last_used": "2026-01-01T00:00:00.000Z"}
    (staged.path / TABLE).write_bytes(table.encode(written))
    (staged.path / ".agent-studio/staging/knowledge.sqlite3").unlink()
    (staged.path / ".claude/commands/ship.md").unlink()
    staged.write(".claude/agents/new.md", "---\nname: new\ndescription: brand new\n---\n")
    data = staged.json("kb", "build", *STAGING, *FEW)
    assert (data["artifacts"], data["testArtifacts"], data["skipped"]) == (4, 16, 0)
    again = rows(staged)
    assert [row["usage_count"] for row in again if row["name"] == written[0]["name"]] == ["7"]
    assert {"new"} <= {row["name"] for row in again}
    assert "ship" not in {row["name"] for row in again}
    assert staged.json("kb", "build", *STAGING, *FEW)["artifacts"] == 4
    assert rows(staged) == again


def test_a_question_finds_what_was_written_a_moment_ago(staged: Studio) -> None:
    place = staged.write(".claude/rules/zebras.md", "---\ndescription: How zebras are named\n---\n")
    found = staged.json("kb", "search", "naming zebras", *STAGING)
    assert [hit["path"] for hit in found["hits"]] == [".claude/rules/zebras.md"]
    place.write_text("---\ndescription: How okapis are named\nname: okapis\n---\n")
    found = staged.json("kb", "search", "naming okapis", *STAGING)
    assert [hit["name"] for hit in found["hits"]] == ["okapis"]
    place.unlink()
    assert staged.run("kb", "search", "naming okapis", *STAGING).code == 1


def test_generated_artifacts_are_found_only_when_asked(staged: Studio) -> None:
    done = staged.run("kb", "search", "--query", "test-artifact-000001", *STAGING, "--json")
    assert "test-artifact-000001" not in {hit["name"] for hit in done.data["hits"]}
    asked = staged.json("kb", "search", "test-artifact-000001", "--include-test", *STAGING)
    assert asked["hits"][0]["name"] == "test-artifact-000001"
    assert staged.json("kb", "stats", *STAGING)["artifacts"] == 4


def test_without_an_environment_the_answer_comes_from_memory_and_says_so(bare: Studio) -> None:
    before = bare.snapshot()
    done = bare.run("kb", "search", "migrations", "--env", "production")
    assert done.code == 0
    assert "writing-migrations" in done.out
    assert "production is not initialised" in done.err
    assert "agent-studio init --env production" in done.err
    assert bare.snapshot() == before


def test_counts_of_the_original_are_taken_over(bare: Studio) -> None:
    row = dict.fromkeys(table.COLUMNS, "") | {"name": "ship", "domain": "command", "usage_count": "3"}
    bare.write(".claude/context/artifacts/knowledge-base-index.csv", table.encode([row]))
    listed = bare.json("kb", "list", "--sort", "usage", "--env", "production")["artifacts"]
    assert (listed[0]["name"], listed[0]["usageCount"]) == ("ship", 3)


def test_a_list_is_filtered_sorted_and_cut(staged: Studio) -> None:
    def names(*options: str) -> list[str]:
        return [one["name"] for one in staged.json("kb", "list", *STAGING, *options)["artifacts"]]

    assert names() == ["code-reviewer", "hotfix", "ship", "writing-migrations"]
    assert names("--domain", "agent") == ["code-reviewer"]
    assert names("--tools", "read,edit") == ["writing-migrations"]
    assert names("--sort", "path", "--limit", "1") == ["code-reviewer"]
    assert names("--no-deprecated", "--source", "project") == names()


def test_a_list_of_nothing_is_empty_and_fails_only_when_it_was_filtered(staged: Studio) -> None:
    done = staged.run("kb", "list", "--domain", "rule", *STAGING, "--json")
    assert (done.code, done.data) == (1, {"artifacts": []})
    for folder in ("agents", "skills", "commands", "workflows"):
        for place in (staged.path / ".claude" / folder).rglob("*.md"):
            place.unlink()
    done = staged.run("kb", "list", *STAGING, "--json")
    assert (done.code, done.data) == (0, {"artifacts": []})
    assert staged.run("kb", "stats", *STAGING).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--sort", "colour"), "invalid choice 'colour'"),
        (("list", "--limit", "0"), "would show nothing"),
        (("list", "--domain", "skil"), 'did you mean "skill"?'),
        (("get",), "required"),
        (("get", "hotfix", "--body", "--headings"), "not allowed with"),
    ],
)
def test_what_cannot_be_asked_is_refused(staged: Studio, arguments: tuple[str, ...], said: str) -> None:
    done = staged.run("kb", *arguments, *STAGING)
    assert done.code == 2
    assert said in done.err


LONG = """---
name: baking
description: Bakes bread
allowed-tools: Read, Bash
tags: [food, oven]
---

# Baking

Start early.

## Kneading

By hand, ten minutes.

```sh
# not a heading
```

## Oven

Hot.
"""


def test_an_artifact_is_shown_in_steps(staged: Studio) -> None:
    staged.write(".claude/skills/baking/SKILL.md", LONG)
    head = staged.run("kb", "get", "baking", *STAGING).out
    assert "baking (skill, complexity LOW)" in head
    assert "Bakes bread" in head
    assert "Read, Bash" in head
    assert "food, oven" in head
    assert "Kneading" not in head
    titles = staged.json("kb", "get", "baking", "--headings", *STAGING)["headings"]
    assert titles == [{"level": 1, "title": "Baking"}, {"level": 2, "title": "Kneading"}, {"level": 2, "title": "Oven"}]
    section = staged.json("kb", "get", "baking", "--section", "## knead", *STAGING)["section"]
    assert section["title"] == "Kneading"
    assert section["text"].strip().endswith("```")
    assert staged.json("kb", "get", "baking", "--body", *STAGING)["body"] == LONG
    missing = staged.run("kb", "get", "baking", "--section", "Knaeding", *STAGING)
    assert missing.code == 2
    assert 'did you mean "Kneading"?' in missing.err


def test_an_artifact_is_got_by_path_alias_plugin_and_any_case(staged: Studio) -> None:
    staged.write("plugins/oven/.claude-plugin/plugin.json", '{"name": "oven"}')
    staged.write("plugins/oven/agents/baker.md", "---\nname: baker\ndescription: Bakes\naliases: [loaf]\n---\n")
    for name in ("oven:baker", "OVEN:Baker", "baker", "loaf", "plugins/oven/agents/baker.md"):
        found = staged.json("kb", "get", name, *STAGING)["artifacts"]
        assert [one["path"] for one in found] == ["plugins/oven/agents/baker.md"], name


def test_what_is_not_there_gives_an_empty_list_and_the_nearest_name(staged: Studio) -> None:
    done = staged.run("kb", "get", "hotfixx", *STAGING, "--json")
    assert done.code == 1
    assert done.data == {"artifacts": [], "didYouMean": "hotfix"}
    assert "Did you mean 'hotfix'?" in staged.run("kb", "get", "hotfixx", *STAGING).out
    for awkward in ("", "%", "_", "a" * 10_000, "'; DROP TABLE artifact", "\u202eefil", "\x00"):
        assert staged.run("kb", "get", awkward, *STAGING).code == 1


def test_of_a_name_used_twice_both_are_shown_and_a_text_needs_a_path(staged: Studio) -> None:
    staged.write(".claude/agents/deep/hotfix.md", "---\nname: hotfix\ndescription: Another\n---\n\nOther text.\n")
    assert len(staged.json("kb", "get", "hotfix", *STAGING)["artifacts"]) == 2
    done = staged.run("kb", "get", "hotfix", "--body", *STAGING)
    assert done.code == 2
    assert ".claude/agents/deep/hotfix.md" in done.err
    text = staged.json("kb", "get", ".claude/agents/deep/hotfix.md", "--body", *STAGING)["body"]
    assert text.endswith("Other text.\n")


def test_what_resembles_an_artifact_is_shown_and_copies_are_called_so(staged: Studio) -> None:
    text = (staged.path / ".claude/agents/code-reviewer.md").read_text()
    staged.write(".claude/agents/copied.md", text)
    staged.write(".claude/agents/pr-reviewer.md", "---\nname: pr-reviewer\ndescription: Reviews pull requests\n---\n")
    similar = staged.json("kb", "get", ".claude/agents/code-reviewer.md", "--similar", *STAGING)["similar"]
    assert {"pr-reviewer"} <= {one["name"] for one in similar}
    assert all(one["path"] != ".claude/agents/code-reviewer.md" for one in similar)
    assert staged.json("kb", "stats", *STAGING)["copies"] == 1


def test_credentials_in_a_text_are_not_shown(staged: Studio) -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    staged.write(".claude/agents/leaky.md", f"---\nname: leaky\ndescription: Uses {token}\n---\n\n# {token}\n")
    for options in ((), ("--body",), ("--headings",), ("--json",)):
        done = staged.run("kb", "get", "leaky", *STAGING, *options)
        assert done.code == 0
        assert token not in done.out + done.err
        assert "[REDACTED:github-token]" in done.out
    built = staged.run("kb", "build", *STAGING, *FEW)
    assert "leaky.md holds a credential (github-token)" in built.err


def test_stats_count_what_there_is(staged: Studio) -> None:
    data = staged.json("kb", "stats", *STAGING)
    assert data["artifacts"] == 4
    assert data["domain"] == {"agent": 1, "command": 1, "skill": 1, "workflow": 1}
    assert data["source"] == {"project": 4}
    assert data["indexBytes"] > 0
    out = staged.run("kb", "stats", *STAGING).out
    assert "1 agent, 1 command, 1 skill, 1 workflow" in out


def test_the_users_own_artifacts_are_taken_in_on_request_and_kept_fresh(
    staged: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    place = home / ".claude/agents/mine.md"
    place.parent.mkdir(parents=True)
    place.write_text("---\nname: mine\ndescription: My own\n---\n")
    assert staged.run("kb", "get", "mine", *STAGING).code == 1
    assert staged.json("kb", "build", "--user", *STAGING, *FEW)["artifacts"] == 5
    assert staged.json("kb", "get", "mine", *STAGING)["artifacts"][0]["path"] == "~/.claude/agents/mine.md"
    place.write_text("---\nname: mine\ndescription: My very own\n---\n")
    assert staged.json("kb", "get", "mine", *STAGING)["artifacts"][0]["description"] == "My very own"
    assert staged.json("kb", "get", "mine", "--body", *STAGING)["body"].startswith("---")


def test_the_users_own_artifacts_outlive_the_index(
    staged: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    mine = home / ".claude/agents/mine.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("---\nname: mine\ndescription: My own\n---\n")
    place = staged.path / ".agent-studio/staging/knowledge.sqlite3"
    staged.json("kb", "build", "--user", *STAGING, *FEW)
    whole = place.read_bytes()
    for number, damaged in enumerate((whole[:60] + b"\x00\x00\x00\x07" + whole[64:], whole[: len(whole) // 2])):
        place.write_bytes(damaged)
        assert staged.run("kb", "get", "mine", *STAGING).code == 0
        staged.write(f".claude/agents/new-{number}.md", "---\nname: new\n---\n")
        assert staged.run("kb", "get", "mine", *STAGING).code == 0
    staged.json("kb", "build", *STAGING, *FEW)
    assert staged.run("kb", "get", "mine", *STAGING).code == 1


def test_a_text_is_read_from_a_configuration_folder_anywhere(
    staged: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("configuration")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(folder))
    place = folder / "skills/far/SKILL.md"
    place.parent.mkdir(parents=True)
    place.write_text("---\nname: far\ndescription: Far away\n---\n\n# Far\n\nGiraffes.\n")
    staged.json("kb", "build", "--user", *STAGING, *FEW)
    assert "Giraffes." in staged.json("kb", "get", "far", "--body", *STAGING)["body"]


def test_a_path_is_understood_as_shells_and_people_write_it(staged: Studio) -> None:
    path = ".claude/commands/ship.md"
    for written in (f"./{path}", str(staged.path / path), "/ship", ".claude//commands/ship.md"):
        assert [one["path"] for one in staged.json("kb", "get", written, *STAGING)["artifacts"]] == [path], written


def test_an_artifact_is_got_by_each_of_its_aliases(staged: Studio) -> None:
    staged.write(".claude/agents/many.md", "---\nname: many\ndescription: x\nalias: [one-more, and-another]\n---\n")
    for alias in ("one-more", "And-Another"):
        assert [one["name"] for one in staged.json("kb", "get", alias, *STAGING)["artifacts"]] == ["many"]
    assert staged.run("kb", "get", "one-more;and-another", *STAGING).code == 1


def test_a_section_is_got_by_its_number_too(staged: Studio) -> None:
    staged.write(".claude/agents/long.md", "---\nname: long\n---\n\n# One\n\nA.\n\n# Two\n\nB.\n")
    assert staged.json("kb", "get", "long", "--section", "2", *STAGING)["section"] == {
        "title": "Two", "text": "# Two\n\nB.\n",
    }  # fmt: skip


def test_a_filter_that_lets_nothing_through_is_told_from_a_mistake(staged: Studio) -> None:
    found = staged.run("kb", "search", "code-reviewer", "--domain", "hook", "--json", *STAGING).data
    assert (found["hits"], found["didYouMean"], found["withoutFilters"]) == ([], None, "code-reviewer")
    said = staged.run("kb", "search", "code-reviewer", "--domain", "hook", *STAGING).out
    assert "Without the filters 'code-reviewer' fits best." in said
    assert "Did you mean" not in said


def test_hits_of_one_name_are_told_apart(staged: Studio) -> None:
    for folder in ("", "pack/"):
        text = f"---\nname: pressing\ndescription: Presses flowers.\n---\n{folder}\n"
        staged.write(f".claude/skills/{folder}pressing/SKILL.md", text)
    lines = staged.run("kb", "search", "pressing flowers", *STAGING).out.splitlines()
    assert sorted((line.partition("in ")[2] for line in lines if "Presses" in line), reverse=True) == [
        "skills: Presses flowers.", "pack: Presses flowers.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "parts"),
    [
        (["a/x/f.md", "a/y/f.md"], ["x", "y"]),
        (["a/f.md", "a/b/f.md", "a/c/f.md"], ["a", "b", "c"]),
        (["a/f.md", "a/f.md"], ["a/f.md", "a/f.md"]),
        (["f.md", "g/f.md"], ["f.md", "g"]),
    ],
)
def test_of_paths_the_part_that_differs_is_shown(paths: list[str], parts: list[str]) -> None:
    assert differing(paths) == parts or len(set(paths)) == 1


def test_a_note_is_a_warning_even_where_nothing_fits(bare: Studio) -> None:
    done = bare.run("kb", "search", "quantum tunnelling")
    assert done.code == 1
    assert "warning: the index is not kept" in done.err
    assert "error" not in done.err


def test_an_index_that_another_program_locks_is_busy(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_WAIT_S", 0.1)
    place = staged.path / ".agent-studio/staging/knowledge.sqlite3"
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        done = staged.run("kb", "search", "ship", *STAGING)
    assert done.code == 5
    assert "is locked" in done.err


def test_a_tag_is_found_whatever_its_case(staged: Studio) -> None:
    staged.write(".claude/agents/over.md", "---\nname: over\ndescription: x\ntags: [ÜBER]\n---\n")
    for tag in ("ÜBER", "über"):
        assert [one["name"] for one in staged.json("kb", "list", "--tags", tag, *STAGING)["artifacts"]] == ["over"]


def test_a_build_without_an_environment_says_what_is_missing(bare: Studio) -> None:
    done = bare.run("kb", "build")
    assert done.code == 0
    assert "warning: development is not initialised" in done.err
    assert bare.run("kb", "build").err == ""


@pytest.mark.parametrize(
    ("text", "width", "middle", "shown"),
    [
        ("abcdefghij", 10, False, "abcdefghij"),
        ("abcdefghij", 6, False, "abcde…"),
        ("abcdefghij", 7, True, "abc…hij"),
        ("abcdefghij", 0, True, "…"),
    ],
)
def test_what_does_not_fit_is_cut(text: str, width: int, middle: bool, shown: str) -> None:  # noqa: FBT001 - a case
    assert cut(text, width, middle=middle) == shown
