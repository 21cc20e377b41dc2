"""The texts that elicitation reads, keeps and gives back: byte for byte, with every change, and none elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.elicit_world import BETTER, ON, PLAN, ElicitWorld, finding

from agent_studio.errors import UsageError
from agent_studio.reasoning.elicitation import draft, findings, gate, proposal

if TYPE_CHECKING:
    from tests.conftest import Finished, Studio


@pytest.fixture
def world(bare: Studio) -> ElicitWorld:
    return ElicitWorld(bare)


def piped(world: ElicitWorld, text: bytes) -> str:
    """Run a pre-mortem on a text that is no file of the project, and return the run's id."""
    place = world.studio.path.parent / "piped.txt"
    place.write_bytes(text)
    run_id: str = world.look("--no-judge", file=place)["id"]
    return run_id


def plain(world: ElicitWorld, *words: str) -> Finished:
    return world.studio.run("elicit", *words, "--set", ON)


@pytest.mark.parametrize(
    "text",
    [b"all:\n\tmake old\n", b"a\xe2\x80\x8db old\r\n\r\n", b"old\x0cx\n\n\n", b"old", "old \u2028 x\n".encode()],
    ids=["tabs", "joiner and CRLF", "form feed", "no end", "line separator"],
)
def test_a_text_comes_back_byte_for_byte_with_its_change_and_without(world: ElicitWorld, text: bytes) -> None:
    world.script(finding("old", "new"))
    run_id = piped(world, text)
    assert plain(world, "show", run_id, "--original").out.encode() == text
    assert world.run("show", run_id, "--original").data["original"].encode() == text
    assert plain(world, "apply", run_id).out.encode() == text.replace(b"old", b"new")


def test_a_difference_keeps_its_tabs(world: ElicitWorld) -> None:
    world.script(finding("make old", "make new"))
    world.plan.write_bytes(b"all:\n\tmake old\n")
    run_id = world.look("--no-judge")["id"]
    for words in (("show", run_id), ("apply", run_id)):
        assert "-\tmake old\n+\tmake new\n" in plain(world, *words).out


def test_what_was_applied_stays_whatever_is_applied_after_it(world: ElicitWorld) -> None:
    world.script(finding("first line", "first line and beta too"), finding("beta", "BETA"), finding("gamma", "GAMMA"))
    run_id = piped(world, b"first line\n\nbeta\n\ngamma\n")
    for number in ("2", "1", "3"):
        applied = world.run("apply", run_id, "--finding", number)
        assert applied.code == 0
    assert applied.data["text"] == "first line and beta too\n\nBETA\n\nGAMMA\n"


def test_a_section_whose_heading_was_changed_is_gone_on_with(world: ElicitWorld) -> None:
    world.script(finding("## Old", "## New"), finding("the words", "better words"))
    world.plan.write_text("# T\n\n## Old\n\nthe words\n")
    run_id = world.look("--no-judge", "--section", "Old")["id"]
    for number in ("1", "2"):
        assert world.run("apply", run_id, "--finding", number).code == 0
    assert world.plan.read_text() == "# T\n\n## New\n\nbetter words\n"


@pytest.mark.parametrize(
    "name",
    [
        "vendor/x/.git/hooks/pre-commit", "s2/.git", ".GIT/config", ".claude/settings.json", ".mcp.json", ".env.local",
        ".claude/settings.local.json", ".claude/config.staging.yaml", ".claude/hooks/guard.py",
        "sub/.claude/hooks/a.md", "plugin/hooks/hooks.json", ".claude/memory/decisions.md", "a:b.md",
        f"{'ghp_' + 'a1B2' * 9}.md",
    ],
)  # fmt: skip
def test_what_guards_a_session_or_cannot_be_changed_is_refused_before_anybody_is_asked(
    world: ElicitWorld, name: str
) -> None:
    world.script(finding())
    place = world.studio.write(name, PLAN)
    words = ("run", "--method", "pre-mortem", "--no-judge", "--file", str(place), "--model", "scripted:replies.json")
    assert "pipe its text in" in world.error(*words)
    assert not (world.studio.path / ".claude/context/elicitation").exists()


@pytest.mark.parametrize("name", [".claude/agents/a.md", ".claude/skills/hooks/SKILL.md", "docs/config.yaml", "git.md"])
def test_definitions_and_texts_may_be_changed(world: ElicitWorld, name: str) -> None:
    world.script(finding())
    place = world.studio.write(name, PLAN)
    assert world.run("apply", world.look("--no-judge", file=place)["id"]).code == 0
    assert BETTER in place.read_text()


def test_a_session_whose_name_would_not_be_kept_is_none(world: ElicitWorld) -> None:
    world.script()
    words = ("run", "--method", "pre-mortem", "--file", "docs/plan.md", "--model", "scripted:replies.json")
    name = "ghp_" + "a1B2" * 9
    for given, variables in ((("--session", name), {}), ((), {"CLAUDE_CODE_SESSION_ID": name})):
        said = world.error(*words, *given, variables=variables)
        assert "the name of the session looks like a credential" in said
        assert name not in said


@pytest.mark.parametrize(
    "text",
    ["# a" + " " * 20_000 + "x", "# T\n" + "\n" * 100_000 + "end", "# T\n" + "[\n" * 100_000,
     "# T\n\n" + "](" * 60_000],
    ids=["blanks in a heading", "empty lines", "brackets", "links"],
)  # fmt: skip
def test_no_text_takes_long_to_be_checked(text: str) -> None:
    began = time.process_time()
    with pytest.raises(UsageError, match="no section"):
        draft.read(text.encode(), "x", "nowhere")
    list(gate.faults(draft.read(text.encode(), "x"), findings.Fix(text[:3], "# Z")))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "section", "part"),
    [
        ("\ufeff# One\n\na\n\n# Two\n", "One", "\ufeff# One\n\na\n\n"),
        ("Title\n=====\n\na\n\nOther\n---\n\nb\n", "title", "Title\n=====\n\na\n\nOther\n---\n\nb\n"),
        ("Title\n=====\n\na\n\nOther\n---\n\nb\n", "other", "Other\n---\n\nb\n"),
        ("  ## Indented\n\na\n", "Indented", "  ## Indented\n\na\n"),
        ("# C#\n\na\n", "C#", "# C#\n\na\n"),
        ("## Closed ##\n\na\n", "Closed", "## Closed ##\n\na\n"),
        ("---\nname: x\n---\n# A\n\n- b\n---\nc\n", "A", "# A\n\n- b\n---\nc\n"),
    ],
)
def test_a_section_begins_at_its_heading_however_it_is_written(text: str, section: str, part: str) -> None:
    assert draft.read(text.encode(), "x", section).part == part


@pytest.mark.parametrize("strange", ["\u2028", "\x0c", "\x85", "\r"])
def test_a_difference_has_the_lines_that_other_tools_see(strange: str) -> None:
    told = proposal.difference(f"a{strange}b\nold\n", f"a{strange}b\nnew\n", "x")
    assert told == f"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a{strange}b\n-old\n+new\n"
    assert "No newline" in proposal.difference("old", "new", "x")


def test_a_quote_that_overlaps_itself_is_there_twice() -> None:
    text = draft.read(b"hahaha end", "x")
    assert list(gate.faults(text, findings.Fix("haha", "X"))) == ["its quote is in the text more than once"]
