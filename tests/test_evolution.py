"""From a need to a new artifact in the working checkout, through six phases; and every way that is rightly barred."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from tests.evolution_world import NEED, SKILL, Clock, EvolutionWorld, reason, verdicts

from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import Project
from agent_studio.evolution.phases import KINDS, PHASES
from agent_studio.release.production import whose
from agent_studio.storage.chain import Head

if TYPE_CHECKING:
    from tests.conftest import Studio


@pytest.fixture
def world(bare: Studio) -> EvolutionWorld:
    return EvolutionWorld(bare)


def test_a_new_skill_goes_from_need_to_enabled(staged: Studio) -> None:
    world = EvolutionWorld(staged, environment=Environment.STAGING)
    world.start()
    assert world.file["currentPhase"] == "evaluate"
    left = world.step()
    assert (left["left"], left["verdict"], left["evolution"]["phase"]) == ("evaluate", "PASS", "validate")
    assert set(verdicts(world.step())) == {"name-form", "name-conflict", "capability-conflict"}
    world.research()
    assert len(world.file["researchEntries"]) == 3
    world.step()
    draft = staged.write("elsewhere/draft.md", SKILL)
    assert world.step("--from", str(draft))["evolution"]["locked"]
    assert not (staged.path / ".claude/skills/release-notes").exists()
    checked = world.evolve("advance", "enable")
    assert set(verdicts(checked).values()) == {"PASS"}
    done = world.evolve("advance")
    assert done["placed"] == ".claude/skills/release-notes"
    assert done["next"] == "agent-studio candidate create"
    assert verdicts(done)["smoke"] == "PASS"
    assert (staged.path / ".claude/skills/release-notes/SKILL.md").read_text() == SKILL
    [entry] = world.file["history"]
    assert (entry["outcome"], entry["place"]) == ("enabled", "skills/release-notes")
    assert world.file["currentPhase"] == "idle"
    hits = staged.json("kb", "search", NEED, "--env", "staging")["hits"]
    assert hits[0]["name"] == "release-notes"


def test_a_skill_of_several_files_comes_whole_with_its_scripts_executable(staged: Studio) -> None:
    world = EvolutionWorld(staged, environment=Environment.STAGING)
    world.to("lock")
    folder = staged.write("drafted/SKILL.md", SKILL + "\nRun `scripts/list.sh`, then see [form](references/form.md).\n")
    script = staged.write("drafted/scripts/list.sh", "#!/bin/sh\ngit log\n")
    script.chmod(0o755)
    staged.write("drafted/references/form.md", "# Form\n\nBack to [the skill](../SKILL.md).\n")
    world.evolve("advance", "--from", str(folder.parent))
    world.evolve("advance")
    placed = staged.path / ".claude/skills/release-notes"
    assert sorted(str(one.relative_to(placed)) for one in placed.rglob("*") if one.is_file()) == [
        "SKILL.md", "references/form.md", "scripts/list.sh",
    ]  # fmt: skip
    assert placed.joinpath("scripts/list.sh").stat().st_mode & stat.S_IXUSR
    assert not placed.joinpath("SKILL.md").stat().st_mode & stat.S_IXUSR
    assert [one.name for one in world.data.glob("artifacts/evolution/*")] == ["1"]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"skill"}))
def test_agents_commands_and_workflows_are_single_files(staged: Studio, kind: str) -> None:
    world = EvolutionWorld(staged, environment=Environment.STAGING)
    world.start(kind)
    world.research()
    world.draft(SKILL)
    assert [one["left"] for one in world.evolve("advance")["steps"]] == list(PHASES[:-1])
    last = world.evolve("advance")
    assert (staged.path / ".claude" / KINDS[kind].format("release-notes")).read_text() == SKILL
    assert last["placed"].endswith("/release-notes.md")


def test_what_a_hit_covers_is_stopped(world: EvolutionWorld) -> None:
    world.start(name="pr-checker", need="reviews pull requests for correctness and style")
    found = world.evolve("advance", code=1)
    assert found["evolution"]["outcome"] == "stopped"
    assert "code-reviewer" in reason(found, "need")
    assert found["gates"][0]["evidence"][0]["path"] == ".claude/agents/code-reviewer.md"
    assert world.file["currentPhase"] == "idle"
    assert "code-reviewer" in world.run("list").out


def test_what_is_near_has_to_be_answered_for(world: EvolutionWorld) -> None:
    need = "writes database migrations for several tenants"
    world.start(name="schema-writer", need=need)
    found = world.evolve("advance", code=3)
    assert "writing-migrations" in reason(found, "need")
    assert world.refused("advance", "--unlike", "writing-migrations=no")["message"].endswith("gives no reason")
    passed = world.evolve("advance", "--unlike", "writing-migrations=that changes what is there")
    assert passed["evolution"]["unlike"] == {"writing-migrations": "that changes what is there"}


def test_a_need_that_says_nothing_cannot_be_searched_for(world: EvolutionWorld) -> None:
    assert "too little" in world.refused("start", "skill", "more", "--need", "do more of it")["message"]
    assert world.state.current is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [("skill", "code-reviewer"), ("agent", "ship"), ("command", "hotfix"), ("agent", "writing-migrations")],
)  # fmt: skip
def test_a_name_that_something_has_is_stopped_whatever_its_kind(world: EvolutionWorld, kind: str, name: str) -> None:
    world.start(kind, name)
    found = world.evolve("advance", code=1)
    assert verdicts(found)["name-conflict"] == "FAIL"
    assert found["evolution"]["outcome"] == "stopped"


def test_a_description_like_anothers_is_stopped(world: EvolutionWorld) -> None:
    twin = "Reviews pull requests for style and correctness"
    world.start("agent", "second-reader", "--description", twin)
    found = world.evolve("advance", code=1)
    assert verdicts(found) == {"name-form": "PASS", "name-conflict": "PASS", "capability-conflict": "FAIL"}


@pytest.mark.parametrize("name", ["Release Notes", "../../evil", "a--b", "x" * 65, "", "claude-notes", "init", "café"])
def test_what_is_no_name_is_refused_before_anything_is_written(world: EvolutionWorld, name: str) -> None:
    before = world.studio.snapshot()
    assert world.refused("start", "skill", name, "--need", NEED)["code"] == "usage"
    assert world.studio.snapshot() == before


def test_three_distinct_sources_are_needed(world: EvolutionWorld) -> None:
    world.to("research")
    same = (
        "https://Example.org/guide#top", "https://example.org:443/guide/", "http://EXAMPLE.org/guide",
        "https://example.org./guide",
    )  # fmt: skip
    told = [world.evolve("research", one, "--says", "it says how to do it")["recorded"] for one in same]
    assert told == [True, False, False, False]
    for quote in ("Customers read what", "what we ship."):
        world.evolve("research", "./notes.md", "--quote", quote, "--says", "customers are those who read")
    assert reason(world.evolve("advance", code=3), "sources").startswith("2 of 3")
    world.studio.write("notes.md", "another text\n")
    assert "the quote is gone from notes.md" in reason(world.evolve("advance", code=3), "sources")


@pytest.mark.parametrize(
    "given",
    [
        ("notes.md", "--says", "customers are those who read"),
        ("notes.md", "--quote", "they do not", "--says", "customers are those who read"),
        ("../outside.md", "--quote", "a", "--says", "one two three"),
        ("/etc/hostname", "--quote", "a", "--says", "one two three"),
        ("missing.md", "--quote", "a", "--says", "one two three"),
        (".claude/context/artifacts/evolution/1/SKILL.md", "--quote", "a", "--says", "one two three"),
        (".claude/../.agent-studio/x", "--quote", "a", "--says", "one two three"),
        ("https://", "--says", "one two three"),
        ("ftp://example.org/x", "--says", "one two three"),
        ("https://user:pw@example.org/", "--says", "one two three"),
        ("https://[::1/", "--says", "one two three"),
        ("https://example.org/", "--says", "good"),
        ("https://example.org/", "--says", "the key is ghp_" + "aB3dE6gH9j" * 4),
        (" ", "--says", "one two three"),
    ],
)
def test_what_is_no_source_is_one_clear_error(world: EvolutionWorld, given: tuple[str, ...]) -> None:
    world.to("research")
    assert world.refused("research", *given)["hint"]
    assert world.file["researchEntries"] == []


BAD = {
    "todo": ("placeholders", SKILL + "\nTODO: the rest\n"),
    "lorem": ("placeholders", SKILL + "\nLorem ipsum dolor\n"),
    "angle": ("placeholders", SKILL + "\nUse <your project name> here.\n"),
    "dots": ("placeholders", SKILL + "\n<...>\n"),
    "in the description": ("placeholders", SKILL.replace("that customers", "for <customer> that they")),
    "your description here": ("placeholders", SKILL.replace("Turns", "Your description here, turns")),
    "another name": ("schema", SKILL.replace("name: release-notes", "name: release-note")),
    "no front matter": ("schema", SKILL.partition("---\n\n")[2]),
    "no description": ("schema", "\n".join(line for line in SKILL.split("\n") if not line.startswith("descr"))),
    "no body": ("schema", SKILL.partition("\n# ")[0]),
    "bad yaml": ("schema", SKILL.replace("description: Turns", 'description: "Turns" merged: x')),
    "a key that is misspelt": ("schema", SKILL.replace("\n---\n\n", "\nallowed_tool: Read\n---\n\n")),
    "a skill that is not there": ("references", SKILL + "\nUse the `git-archaeology` skill.\n"),
    "an agent that is not there": ("references", SKILL + "\nsubagent_type: historian-of-code\n"),
    "a file that is not there": ("references", SKILL + "\nSee [more](references/more.md).\n"),
    "a script that is not there": ("references", SKILL + "\nRun `scripts/list.sh`.\n"),
    "a secret": ("secrets", SKILL + "\nexport GITHUB_TOKEN=ghp_" + "aB3dE6gH9j" * 4 + "\n"),
    "another's description": (
        "capability-conflict",
        SKILL.replace("Turns merged pull requests into announcements that customers understand.",
                      "Writes database migrations that can be rolled back."),
    ),
}  # fmt: skip


def test_a_draft_that_does_not_hold_goes_back_to_lock_with_the_reason(world: EvolutionWorld) -> None:
    world.to("verify")
    for name, (gate, text) in BAD.items():
        world.draft(text)
        back = world.evolve("advance", code=1)  # it was changed after it was locked
        assert (verdicts(back), back["evolution"]["phase"]) == ({"unchanged": "FAIL"}, "lock"), name
        world.evolve("advance", "verify")
        found = world.evolve("advance", code=1)
        assert {one for one, verdict in verdicts(found).items() if verdict == "FAIL"} == {gate}, name
        assert found["evolution"]["phase"] == "lock", name
        assert any(one.startswith(f"{gate}: ") for one in found["evolution"]["blocked"]), name
        assert "blocked by" in world.run("status").out
        world.evolve("advance", "verify")
    world.draft(SKILL)
    world.evolve("advance", code=1)
    world.evolve("advance", "verify")
    assert world.evolve("advance", "enable")["evolution"]["blocked"] == []
    assert not (world.studio.path / ".claude/skills/release-notes").exists()


def test_what_is_there_may_be_spoken_of(world: EvolutionWorld) -> None:
    world.to("lock")
    world.draft(
        SKILL.replace("\n---\n\n", "\nagent: code-reviewer\nargument-hint: <from> <to>\n---\n\n")
        + "\nUse the `writing-migrations` skill, subagent_type: Explore, `/ship` command, the `code-reviewer` agent.\n"
        "See [notes](notes.md), [above](#release-notes), <https://example.org/a> and [site](https://example.org).\n"
        "In code `[x](missing.md)` and List<T> and `TODO:` stand for themselves; a comment with TODO is looked for.\n"
        "```md\n[gone](gone.md)\nTODO: as it may look\n```\n"
    )
    assert set(verdicts(world.evolve("advance")).values()) == {"PASS"}


def test_a_change_after_verify_makes_it_start_anew(world: EvolutionWorld) -> None:
    world.to("enable")
    world.draft(SKILL + "\nOne more line.\n")
    found = world.evolve("advance", code=1)
    assert (verdicts(found), found["evolution"]["phase"]) == ({"unchanged": "FAIL"}, "lock")
    assert found["evolution"]["locked"] is None


def test_nothing_is_enabled_where_smoke_is_not_green(world: EvolutionWorld) -> None:
    world.to("enable")  # of an environment that was never initialised
    found = world.evolve("advance", code=1)
    assert (verdicts(found)["smoke"], found["evolution"]["phase"]) == ("FAIL", "enable")
    assert not (world.studio.path / ".claude/skills/release-notes").exists()
    assert "blocked by smoke" in world.run("status").out


def test_what_was_put_there_meanwhile_is_not_replaced(world: EvolutionWorld) -> None:
    world.to("enable")
    world.studio.write(".claude/skills/Release-Notes/SKILL.md", "mine\n")
    found = world.evolve("advance", code=1)
    assert "Release-Notes is there" in reason(found, "place-free")
    assert (world.studio.path / ".claude/skills/Release-Notes/SKILL.md").read_text() == "mine\n"


@pytest.mark.parametrize("at", range(len(PHASES) - 1))
def test_no_phase_is_skipped_or_repeated(world: EvolutionWorld, at: int) -> None:
    world.start()
    if at:
        world.evolve("abort", "--reason", "to begin with the same name")
        world.to(PHASES[at])
    for phase in PHASES:
        if phase != PHASES[at + 1]:
            problem = world.refused("advance", phase)
            assert problem["code"] == "phase"
            assert problem["hint"] == f"agent-studio evolve advance {PHASES[at + 1]}"
    assert world.state.phase == PHASES[at]


def test_what_belongs_to_another_phase_is_refused_and_names_the_next_command(world: EvolutionWorld) -> None:
    for command in (("advance",), ("research", "https://example.org/", "--says", "one two three"),
                    ("abort", "--reason", "why not")):  # fmt: skip
        problem = world.refused(*command)
        assert problem["message"] == "no evolution is under way"
        assert problem["hint"].startswith("agent-studio evolve start")
    world.start()
    twice = world.refused("start", "skill", "another-thing", "--need", NEED)
    assert "evolution 1 (skill release-notes) is under way, in evaluate" in twice["message"]
    assert "abort" in twice["hint"]
    assert 'did you mean "skill"?' in world.refused("start", "skil", "x", "--need", NEED)["hint"]
    assert 'did you mean "verify"?' in world.refused("advance", "verfy")["hint"]


@pytest.mark.parametrize("given", ["missing.md", "", ".claude", "link.md", "empty"])
def test_what_can_be_no_draft_is_refused(world: EvolutionWorld, given: str) -> None:
    world.to("lock")
    (world.studio.path / "link.md").symlink_to(world.studio.path / "notes.md")
    (world.studio.path / "empty").mkdir()
    world.refused("advance", "--from", given)
    assert world.state.phase == "lock"


def test_an_abort_keeps_why_and_the_next_one_may_have_the_name(world: EvolutionWorld) -> None:
    world.to("research")
    assert "--reason" in world.refused("abort", "--reason", " ")["message"]
    assert world.evolve("abort", "--reason", "nobody asked for it")["evolution"]["outcome"] == "aborted"
    assert world.start()["id"] == 2
    shown = world.evolve("show", "1")["evolution"]
    assert (shown["outcome"], shown["reason"], shown["phase"]) == ("aborted", "nobody asked for it", "research")


def test_three_an_hour_and_a_clock_set_back_frees_none(world: EvolutionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for number in range(3):
        world.start(name=f"thing-{number}")
        world.evolve("abort", "--reason", "a trial")
        clock.passes(minutes=10)
    assert "3 may be" in world.refused("start", "skill", "thing-4", "--need", NEED)["message"]
    clock.passes(hours=-5)
    back = world.refused("start", "skill", "thing-4", "--need", NEED)
    assert "set back" in back["message"]
    clock.passes(hours=5, minutes=31)
    world.start(name="thing-4")


def test_production_evolves_nothing(world: EvolutionWorld, bare: Studio) -> None:
    refused = bare.run("evolve", "status", "--env", "production")
    assert (refused.code, "nothing is evolved in production" in refused.err) == (2, True)
    whose.note(Project(bare.path), Project(bare.path.parent), Head(), "")
    assert "that is where its releases are made" in world.refused("status")["message"]


def test_status_says_what_each_gate_says_and_writes_nothing(world: EvolutionWorld) -> None:
    world.to("research")
    before = world.studio.snapshot(".claude")
    found = world.evolve("status")
    assert (found["phase"], found["next"]) == ("research", "agent-studio evolve research SOURCE --says TEXT")
    assert verdicts(found["evolution"]) == {"sources": "INSUFFICIENT"}
    assert "evaluate > validate > [research] > lock" in world.run("status").out
    assert world.studio.snapshot(".claude") == before


def test_no_secret_that_somebody_types_is_kept(world: EvolutionWorld) -> None:
    key = "ghp_" + "aB3dE6gH9j" * 4
    world.start(need=f"{NEED} with {key}")
    world.evolve("abort", "--reason", f"it named {key}")
    world.evolve("suggest", f"rotate the key {key}")
    kept = b"".join(world.studio.snapshot(".claude/context").values())
    assert key.encode() not in kept
    assert b"[REDACTED:" in kept
