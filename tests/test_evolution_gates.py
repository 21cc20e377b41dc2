"""What the gates of an evolution let through and what they do not: copies, answers, sources, drafts, definitions."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.evolution_world import NEED, SKILL, SOURCES, EvolutionWorld, reason, verdicts

from agent_studio.environment.detect import Environment
from agent_studio.evolution import enabling, workflow
from agent_studio.evolution.gates.placeholders import in_body, in_field
from agent_studio.evolution.gates.references import files, named
from agent_studio.evolution.judging import Asker

if TYPE_CHECKING:
    from tests.conftest import Studio

BODY = "".join(f"{number}. Look at table {number} and write what it lacks, one line each.\n" for number in range(1, 9))


@pytest.fixture
def world(bare: Studio) -> EvolutionWorld:
    return EvolutionWorld(bare)


def skill(name: str, description: str, body: str = BODY) -> str:
    return f"---\nname: {name}\ndescription: {description}\n---\n\n# How\n\n{body}"


def test_no_answer_lifts_what_describes_itself_the_same(world: EvolutionWorld) -> None:
    same = "Writes database migrations that can be rolled back."
    world.start(name="migration-scribe", need=same)
    found = world.evolve("advance", "--unlike", "writing-migrations=x y", code=1)
    assert verdicts(found) == {"need": "FAIL"}
    world.start("skill", "migration-scribe", "--description", same, "--unlike", "writing-migrations=x y")
    found = world.evolve("advance", code=1)
    assert (found["left"], verdicts(found)["capability-conflict"]) == ("validate", "FAIL")


def test_no_answer_lifts_a_copied_body_and_one_does_a_body_that_has_much_of_another(world: EvolutionWorld) -> None:
    world.studio.write(".claude/skills/table-check/SKILL.md", skill("table-check", "Finds columns nobody documented."))
    world.to("lock")
    answer = ("--unlike", "table-check=is about columns alone")
    wrapped = BODY.replace("what it", "what\nit").replace("table 3", "tables 3")
    world.draft(skill("release-notes", "Turns merged pull requests into announcements.", wrapped))
    found = world.evolve("advance", *answer, code=1)
    assert {name for name, verdict in verdicts(found).items() if verdict == "FAIL"} == {"copy"}
    half = "\n".join(f"Read pull request {number}, then thank whoever wrote it kindly." for number in range(12))
    world.draft(skill("release-notes", "Turns merged pull requests into announcements.", BODY + half))
    assert world.evolve("advance")["evolution"]["phase"] == "enable"  # it was answered for above, and is kept


def test_a_short_need_in_a_long_description_has_to_be_answered_for_and_ends_nothing(world: EvolutionWorld) -> None:
    long = (
        "Designs research with users, generates test plans and data for surveys, users interviews, personas and maps."
    )
    world.studio.write(".claude/skills/researcher/SKILL.md", skill("researcher", long))
    world.start(name="fixture-maker", need="generate test data for users")
    found = world.evolve("advance", code=3)
    assert "the skill researcher" in reason(found, "need")
    assert world.evolve("advance", "--unlike", "researcher=plans interviews")["evolution"]["phase"] == "research"


def test_an_answer_about_what_is_not_there_is_refused(world: EvolutionWorld) -> None:
    problem = world.refused("start", "skill", "thing-1", "--need", NEED, "--unlike", "writing-migration=is a typo")
    assert (problem["hint"], world.state.current) == ('did you mean "writing-migrations"?', None)
    world.start()
    assert "names no artifact" in world.refused("advance", "--unlike", "nothing-here=is not there")["message"]


def test_a_need_of_too_few_words_and_a_name_no_system_takes_are_refused_at_the_start(world: EvolutionWorld) -> None:
    world.evolve("suggest", "an operator for Kubernetes")
    [one] = world.state.queue
    for given in (("start", "skill", "con", "--need", NEED), ("start", "agent", "readme", "--need", NEED),
                  ("accept", one.id, "skill", "k8s-operators")):  # fmt: skip
        world.refused(*given)
    assert world.events == ["suggested"]


def test_a_draft_that_is_no_good_leaves_the_one_that_was_there(world: EvolutionWorld) -> None:
    world.to("lock")
    world.draft({"SKILL.md": SKILL, "guide.md": "two hours of work\n"})
    bad = world.studio.write("bad/SKILL.md", SKILL)
    for name in ("a.md", "A.md"):
        bad.with_name(name).write_text(name)
    world.refused("advance", "--from", str(bad.parent))
    home = world.data / "artifacts/evolution/1"
    assert {one.name for one in home.iterdir()} == {"SKILL.md", "guide.md"}
    world.evolve("advance", "--from", str(world.studio.write("good/SKILL.md", SKILL)))
    assert {one.name for one in home.iterdir()} == {"SKILL.md"}
    assert (home.with_name("1.before") / "guide.md").read_text() == "two hours of work\n"


@pytest.mark.parametrize("phase", ["verify", "enable"])
def test_a_draft_that_is_given_after_lock_leads_back_there(world: EvolutionWorld, phase: str) -> None:
    world.to(phase)
    other = world.studio.write("other.md", SKILL + "\n3. Ask whoever wrote it.\n")
    assert "would be skipped" in world.refused("advance", "enable", "--from", str(other))["message"]
    found = world.evolve("advance", "--from", str(other))
    assert [one["left"] for one in found["steps"]] == ["lock", "verify"]
    assert found["evolution"]["phase"] == "enable"


def test_six_commands_do(staged: Studio) -> None:
    world = EvolutionWorld(staged, environment=Environment.STAGING)
    world.start()
    world.research()
    draft = staged.write("elsewhere/draft.md", SKILL)
    before = world.evolve("advance", "--from", str(draft))
    assert [one["left"] for one in before["steps"]] == ["evaluate", "validate", "research", "lock", "verify"]
    assert not (staged.path / ".claude/skills/release-notes").exists()
    assert world.evolve("advance")["placed"] == ".claude/skills/release-notes"


def test_what_breaks_the_clients_definitions_is_taken_back(staged: Studio) -> None:
    world = EvolutionWorld(staged, environment=Environment.STAGING)
    world.to("enable")
    settings = staged.write(".claude/settings.json", "{{")
    found = world.evolve("advance", code=1)
    assert "settings.json is no JSON object" in reason(found, "definitions")
    assert "smoke" not in verdicts(found)
    assert found["evolution"]["phase"] == "enable"
    assert not (staged.path / ".claude/skills/release-notes").exists()
    settings.unlink()
    assert verdicts(world.evolve("advance"))["smoke"] == "PASS"


def test_what_changed_since_verify_is_asked_again_by_enable(staged: Studio) -> None:
    world = EvolutionWorld(staged, environment=Environment.STAGING)
    world.to("lock")
    world.draft(SKILL + "\nAsk the `code-reviewer` agent.\n")
    world.evolve("advance")
    reviewer = staged.path / ".claude/agents/code-reviewer.md"
    kept = reviewer.read_bytes()
    reviewer.unlink()
    assert "code-reviewer" in reason(world.evolve("advance", code=1), "references")
    reviewer.write_bytes(kept)
    staged.write(".claude/agents/release-notes.md", skill("release-notes", "Something else altogether, at night."))
    assert verdicts(world.evolve("advance", code=1))["name-conflict"] == "FAIL"
    (staged.path / ".claude/agents/release-notes.md").unlink()
    shutil.copytree(world.data / "artifacts/evolution/1", staged.path / ".claude/skills/twin")
    assert verdicts(world.evolve("advance", code=1))["copy"] == "FAIL"


def test_an_agent_is_one_file(world: EvolutionWorld) -> None:
    world.start("agent")
    world.research()
    world.draft({"release-notes.md": SKILL, "second-bot.md": SKILL})
    assert "an agent is one file; take away second-bot.md" in reason(world.evolve("advance", code=3), "draft")


SAME = ("/a", "/%61", "/./a", "/b/../a/", "//a")


def test_another_spelling_is_no_other_source(world: EvolutionWorld) -> None:
    world.to("research")
    told = [
        world.evolve("research", f"https://{host}example.com{path}", "--says", "it says how to do it")["recorded"]
        for host in ("", "www.")
        for path in SAME
    ]
    assert told == [True] + [False] * 9
    world.evolve("research", *SOURCES[2])
    assert reason(world.evolve("advance", code=3), "sources").startswith("2 of 3")


@pytest.mark.parametrize(
    "given",
    [
        ("https://example.com/a", "--document", "--says", "it says how to do it"),
        ("notes.md", "--document", "--says", "it says how to do it"),
        ("notes.md", "--quote", "a", "--says", "it says how to do it"),
        ("https://example.com/a", "--says", "a b c"),
        ("https://localhost/", "--says", "it says how to do it"),
        ("https://x", "--says", "it says how to do it"),
        ("https://example.com/a", "--quote", "Customers read what", "--says", "it says how to do it"),
        (".claude/context/evolution.jsonl", "--quote", "turn merged pull requests", "--says", "it says how to do it"),
    ],
)
def test_what_is_no_source_or_one_twice_is_refused(world: EvolutionWorld, given: tuple[str, ...]) -> None:
    world.to("research")
    assert world.refused("research", *given)["hint"]


UNFINISHED = (
    "<!-- TODO: write this -->", "- [ ] TODO: steps", "TODO write the rest", "todo: finish", "{{steps}}",
    "Coming soon.", "(to be written)", "## Steps\n\n...\n",
)  # fmt: skip


@pytest.mark.parametrize("text", UNFINISHED)
def test_what_is_still_to_be_written_is_seen(text: str) -> None:
    assert list(in_body(f"# How\n\n{text}\n\nMore.\n"))


@pytest.mark.parametrize(
    "text", ["TODO comments are found with grep", "It writes lorem ipsum for a layout", "- [ ] Ship"]
)
def test_what_is_spoken_of_is_no_placeholder(text: str) -> None:
    assert not list(in_body(text))


@pytest.mark.parametrize("text", ["Finds TODO comments in code", "Reads <html> pages", "Handles List<string> types"])
def test_a_description_may_speak_of_code(text: str) -> None:
    assert not in_field(text)


def test_what_a_skill_writes_and_where_a_page_leads_are_no_files_that_have_to_be_there() -> None:
    text = "Write the result to `assets/report.html`; [more](/about); run `scripts/list.sh`."
    assert list(files(text, is_skill=True)) == ["scripts/list.sh"]
    assert not list(named({}, ["send the user agent `mozilla` along"]))


def test_what_only_looks_like_a_reference_is_answered_for(world: EvolutionWorld) -> None:
    world.to("lock")
    world.draft(SKILL + "\nWait until the agent `returns` nothing.\n")
    found = world.evolve("advance", code=1)
    assert '--unlike "returns=WHY"' in reason(found, "references")
    assert world.evolve("advance", "--unlike", "returns=is a verb here")["evolution"]["phase"] == "enable"


def test_verify_says_what_an_artifact_may_run(world: EvolutionWorld) -> None:
    world.to("verify")
    world.draft(SKILL.replace("\n---\n\n", "\nallowed-tools: Bash(*)\n---\n\n"))
    world.evolve("advance", code=1)
    assert "look at the field allowed-tools" in next(
        gate["reason"] for gate in world.evolve("advance")["gates"] if gate["name"] == "schema"
    )


def test_a_whole_checkout_is_no_draft(world: EvolutionWorld) -> None:
    world.to("lock")
    world.studio.write("SKILL.md", SKILL)
    assert "holds a project's .claude folder" in world.refused("advance", "--from", ".")["message"]


def test_what_is_stopped_or_given_up_before_it_is_proved_is_taken_back(
    world: EvolutionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.to("enable")
    placed = world.studio.path / ".claude/skills/release-notes"

    def stopped(*_: object) -> None:
        assert placed.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "prove", stopped)
    with pytest.raises(KeyboardInterrupt):
        workflow.advance(Asker(world.context, {}))
    assert not placed.exists()
    monkeypatch.setattr(enabling, "take_back", lambda *_: None)  # as if it had been killed
    with pytest.raises(KeyboardInterrupt):
        workflow.advance(Asker(world.context, {}))
    monkeypatch.undo()
    assert placed.exists()
    world.evolve("abort", "--reason", "not now")
    assert not placed.exists()


def test_what_is_merely_like_another_is_let_through_with_an_answer(world: EvolutionWorld) -> None:
    like = "Reviews pull requests for security holes and leaked keys"
    world.start("agent", "hole-finder", "--description", like)
    found = world.evolve("advance", code=3)
    assert verdicts(found)["capability-conflict"] == "INSUFFICIENT"
    answer = ("--unlike", "code-reviewer=looks at style and correctness")
    assert world.evolve("advance", *answer)["evolution"]["phase"] == "research"


def test_nothing_is_shown_by_a_search_of_nothing(world: EvolutionWorld) -> None:
    for place in ("agents", "commands", "skills", "workflows", "rules", "docs", "hooks"):
        shutil.rmtree(world.studio.path / ".claude" / place, ignore_errors=True)
    world.start()
    assert "the knowledge base is empty" in reason(world.evolve("advance", code=3), "need")


def test_a_suggestion_waits_on_when_only_the_name_was_refused(world: EvolutionWorld) -> None:
    [unique] = world.evolve("suggest", NEED)["added"]
    world.evolve("accept", unique, "command", "hotfix")
    assert verdicts(world.evolve("advance", code=1))["name-conflict"] == "FAIL"
    assert [one.id for one in world.state.queue] == [unique]
    world.evolve("accept", unique, "skill", "release-notes")
