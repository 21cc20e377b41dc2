"""The plan says what would happen and how to go back, its commands are real, and an old or edited one is found out."""

from __future__ import annotations

import base64
import re
import shlex
from typing import TYPE_CHECKING, Any

from tests.release_world import NEEDS_KEYS, World
from tests.test_docs import parses

from agent_studio.release import evidence
from agent_studio.release.checklists import plan_text
from agent_studio.release.checklists.plan import Plan, record
from agent_studio.release.checklists.plan_text import Contact
from agent_studio.release.production import history
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

pytestmark = NEEDS_KEYS


def planned(world: World, file: str = "plan.md") -> dict[str, Any]:
    done: dict[str, Any] = world.data("checklist", "promotion", "--plan", file)["plan"]
    return done


def item(world: World, name: str) -> tuple[str, str]:
    found = world.data("checklist", "promotion")
    return next((one["verdict"], one["reason"]) for one in found["items"] if one["id"] == name)


def test_the_plan_names_all_there_is_to_know_and_its_commands_parse(world: World) -> None:
    world.edit("---\nname: code-reviewer\ndescription: Second.\n---\n")
    made = planned(world)
    text = (world.project.path / "plan.md").read_text()
    for part in (
        made["target"], "changed: `agents/code-reviewer.md`",
        "flag `advancedElicitation` is on in production, as in staging",
        "Separation: target.", "quinn@example.org | qa", "uma@example.org | uat", "dana@example.org | author",
        "This is the first",
    ):  # fmt: skip
        assert part in text, part
    commands = re.findall(r"`agent-studio ([^`]*)`", text)
    known = {command.split()[0] for command in commands if parses(command.replace("FLAG", "partyMode"))}
    assert {"promote", "rollback", "recover", "release", "alerts", "flags", "gate"} - known <= {"gate"}
    assert [f"rollback --level {level} " in text for level in (1, 2, 3)] == [True] * 3


def test_the_plan_of_a_first_release_leads_back_to_what_was_there_before(world: World) -> None:
    before = world.reads()
    world.edit("---\nname: code-reviewer\ndescription: Second.\n---\n")
    planned(world)
    (command,) = re.findall(r"`agent-studio (rollback --level 2 [^`]*)`", (world.project.path / "plan.md").read_text())
    world.promoted()
    assert world.reads() != before
    world.studio.run(*shlex.split(command))
    assert world.reads() == before


def test_the_same_state_gives_the_same_plan_and_the_same_evidence(world: World) -> None:
    first = planned(world)
    again = planned(world)
    assert (first["recorded"], again["recorded"]) == (True, False)
    assert first["sha256"] == again["sha256"]
    held = evidence.of(world.project, world.staging.environment, world.gather(but="plan")).evidence["plan"]
    assert held.data["text"].encode() == (world.project.path / "plan.md").read_bytes()
    assert planned(world, "elsewhere.md")["recorded"] is False
    assert (world.project.path / "elsewhere.md").read_text() == held.data["text"]
    assert len(list((world.staging.root.state.path / "evidence").glob("plan-*"))) == 1
    assert "an empty name is no file's" in world.must("checklist", "promotion", "--plan", "", code=2).err


def test_an_edited_plan_is_not_the_recorded_one_and_a_lost_file_is_shown_from_evidence(world: World) -> None:
    assert item(world, "deployment-checklist")[0] == "INSUFFICIENT"
    planned(world)
    assert item(world, "deployment-checklist")[0] == "PASS"
    place = world.project.path / "plan.md"
    place.write_text(place.read_text().replace("- [ ]", "- [x]"))
    verdict, reason = item(world, "deployment-checklist")
    assert (verdict, "changed afterwards" in reason) == ("INSUFFICIENT", True)
    assert item(world, "rollback-plan")[0] == "PASS"
    place.unlink()
    verdict, reason = item(world, "deployment-checklist")
    assert (verdict, "is gone" in reason) == ("PASS", True)


def test_a_new_plan_voids_signatures_and_the_same_command_says_so(world: World) -> None:
    candidate = world.gather(but="plan")
    planned(world)
    world.sign(candidate, "uat")
    assert item(world, "sign-off.uat")[0] == "PASS"
    world.data("checklist", "promotion", "--plan", "plan.md")
    assert item(world, "sign-off.uat")[0] == "PASS"
    place = world.project.path / "plan.md"
    place.write_text(place.read_text().replace("- [ ]", "- [x]"))
    found = world.data("checklist", "promotion", "--plan", "another.md")["items"]
    assert next(one["verdict"] for one in found if one["id"] == "sign-off.uat") == "INSUFFICIENT"


def test_evidence_without_the_plan_itself_documents_nothing(world: World) -> None:
    candidate = world.gather()
    assert item(world, "rollback-plan")[0] == "FAIL"
    text = f"{plan_text.TITLE}\n\nWe ask Dana.\n"
    made = Plan(text, candidate, "", item_target(world))
    record(open_sides(world.project, {}), made, "plan.md")
    assert item(world, "rollback-plan") == ("INSUFFICIENT", "the plan names no command for level 1, 2, 3")
    assert item(world, "deployment-checklist") == ("INSUFFICIENT", "the plan holds no deployment checklist")


def item_target(world: World) -> str:
    """The release that a promotion would make live."""
    return str(world.data("promote", "--dry-run")["wouldBe"])


def test_a_plan_is_of_one_candidate_and_of_one_release_to_replace(world: World) -> None:
    planned(world)
    world.edit("---\nname: code-reviewer\ndescription: Second.\n---\n")
    assert item(world, "rollback-plan") == ("INSUFFICIENT", "no plan was written for this candidate")
    planned(world)
    release = world.promoted()
    assert history.read(world.project).current is not None
    world.data("checklist", "promotion", "--plan", "plan.md")
    verdict, reason = item(world, "deployment-checklist")
    assert verdict == "PASS"
    world.edit("---\nname: code-reviewer\ndescription: Third.\n---\n")
    made = planned(world)
    assert made["current"] == release
    text = (world.project.path / "plan.md").read_text()
    assert f"production goes back to the last healthy release, `{release[:12]}`" in text
    world.promoted("---\nname: code-reviewer\ndescription: Fourth.\n---\n")
    world.edit("---\nname: code-reviewer\ndescription: Third.\n---\n")
    verdict, reason = item(world, "deployment-checklist")
    assert (verdict, f"the plan has {release[:12]} as current" in reason) == ("INSUFFICIENT", True)


def test_a_plan_is_not_written_where_it_would_change_definitions_or_replace_something_else(world: World) -> None:
    world.studio.write("notes.md", "mine\n")
    world.studio.write("CLAUDE.md", "# Ours\n")
    definitions = str(world.live / ".claude/plan.md")
    for file, said, code in (
        (".claude/agents/plan.md", "among definitions", 2), (definitions, "among definitions", 2),
        ("notes.md", "no document of this kind", 2), ("CLAUDE.md", "among definitions", 2),
        ("none/plan.md", "cannot write", 1), (".", "cannot write", 1),
    ):  # fmt: skip
        before = documents(world)
        done = world.must("checklist", "promotion", "--plan", file, code=code)
        assert said in done.err, (file, done.err)
        assert documents(world) == before


def documents(world: World) -> dict[str, bytes]:
    """Every file of both sides but the candidate's own store."""
    whole = {**world.studio.snapshot("."), **world.studio.snapshot("../live/.claude")}
    return {
        name: data
        for name, data in whole.items()
        if not name.startswith((".agent-studio/objects", ".agent-studio/candidates"))
    }


def test_one_checkout_for_both_says_what_it_cannot_promise(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path, in_place=True)
    planned(world)
    text = (world.project.path / "plan.md").read_text()
    assert "Separation: none. One checkout is both sides" in text
    assert "--project" not in text


def test_contacts_are_read_from_the_signers_as_ssh_keygen_reads_them() -> None:
    kind = b"ssh-ed25519"
    key = base64.b64encode(b"\0\0\0\x0b" + kind + b"\0\0\0\x20" + bytes(range(32))).decode()
    lines = (
        f'# people\n\nquinn@example.org NAMESPACES="qa@agent-studio,git" ssh-ed25519 {key} quinn\n'
        f'"a@b.org,c@d.org" ssh-ed25519 {key}\nw@y.org namespaces="*" ssh-ed25519 {key}\n'
        f'x@y.org namespaces="file" ssh-ed25519 {key}\n'
        f'z@y.org valid-before="20300101Z",namespaces="uat@agent-studio" ssh-ed25519 {key}\nq@e garbage\n'
    )
    assert plan_text.contacts(lines.encode()) == [
        Contact("quinn@example.org", "qa"), Contact("a@b.org, c@d.org", "qa, security, uat"),
        Contact("w@y.org", "qa, security, uat"), Contact("x@y.org", "no role of a promotion"),
        Contact("z@y.org", "uat, until 2030-01-01 00:00 UTC"),
        Contact("q@e", "nobody: there is no key"),
    ]  # fmt: skip
