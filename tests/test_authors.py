"""Who made a candidate: whoever wrote what it has and the live release has not, so that none of them signs it."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from tests.release_world import NEEDS_KEYS, World, git

from agent_studio.release import facts
from agent_studio.release.content import candidates
from agent_studio.release.production.sides import open_sides
from agent_studio.release.signing import signers, signoff

pytestmark = NEEDS_KEYS
AGENT = ".claude/agents/code-reviewer.md"


def works_as(world: World, who: str) -> None:
    git(world.project.path, "config", "user.email", f"{who}@example.org")


def made(world: World) -> tuple[str, bool | None, str | None]:
    found = candidates.create(world.project)
    return found.author, found.dirty, found.commit


def requirement(world: World, name: str) -> tuple[str, str]:
    found: list[dict[str, Any]] = world.data("gate")["requirements"]
    return next((one["verdict"], one["reason"]) for one in found if one["name"] == name)


def name_signer(world: World, who: str, key: str, role: str) -> None:
    """Put another name into the line of a role's signer, or another key."""
    file = world.project.path / ".claude/allowed_signers"
    kind, text, *_ = (world.folder / f"{key}.pub").read_text().split()
    space = signers.namespace(role)
    kept = [line for line in file.read_text().splitlines(keepends=True) if space not in line]
    file.write_text("".join(kept) + f'{who} namespaces="{space}" {kind} {text}\n')
    world.commit("Who may sign")


def sign(world: World, role: str, key: str) -> None:
    subject = facts.gather(open_sides(world.project, {}), candidates.create(world.project).candidate).subject
    signoff.keep(world.project, signoff.sign(signoff.statement(subject, role), world.folder / key), "a test's")


def test_asking_before_the_commit_does_not_fix_who_made_it(world: World) -> None:
    works_as(world, "quinn")
    world.studio.write(AGENT, "quinn's\n")
    before = git(world.project.path, "rev-parse", "HEAD").strip()
    assert made(world) == ("dana@example.org, quinn@example.org", True, before)
    world.commit("Quinn's")
    head = git(world.project.path, "rev-parse", "HEAD").strip()
    assert made(world) == ("quinn@example.org", False, head)
    world.gather()
    sign(world, "qa", "quinn")
    verdict, reason = requirement(world, "sign-off.qa")
    assert verdict == "INSUFFICIENT"
    assert "quinn@example.org made the candidate" in reason


def test_a_commit_beside_the_definitions_makes_nobody_their_author_and_voids_nothing(world: World) -> None:
    works_as(world, "quinn")
    world.edit("quinn's\n")
    world.gather()
    sign(world, "security", "sam")
    noted = made(world)
    works_as(world, "bot")
    world.studio.write("README.md", "a typo mended\n")
    assert made(world) == noted
    world.commit("Typo")
    assert made(world) == noted
    assert noted[:2] == ("quinn@example.org", False)
    assert requirement(world, "sign-off.security")[0] == "PASS"


def test_all_who_wrote_since_the_live_release_are_authors(world: World) -> None:
    world.promoted("first\n")
    for who, text in (("quinn", "second\n"), ("sam", "third\n")):
        works_as(world, who)
        world.edit(text)
    works_as(world, "uma")
    assert made(world)[0] == "quinn@example.org, sam@example.org"
    world.studio.write(AGENT, "not committed\n")
    assert made(world)[0] == "quinn@example.org, sam@example.org, uma@example.org"
    git(world.project.path, "checkout", "-q", "--", ".")
    world.gather()
    world.sign(candidates.create(world.project).candidate)
    found = {role: requirement(world, f"sign-off.{role}")[0] for role in signers.ROLES}
    assert found == {"qa": "INSUFFICIENT", "security": "INSUFFICIENT", "uat": "PASS"}


def test_a_history_that_was_rewritten_makes_everybody_an_author(world: World) -> None:
    world.promoted("first\n")
    works_as(world, "sam")
    git(world.project.path, "checkout", "-q", "--orphan", "anew")
    world.edit("second\n")
    git(world.project.path, "branch", "-q", "-D", *[
        one for one in git(world.project.path, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
        if one != "anew"
    ])  # fmt: skip
    git(world.project.path, "reflog", "expire", "--expire=now", "--all")
    git(world.project.path, "gc", "-q", "--prune=now")
    works_as(world, "uma")
    world.edit("third\n")
    assert made(world)[0] == "sam@example.org, uma@example.org"


def test_an_author_whom_nobody_knows_is_said(world: World) -> None:
    shutil.rmtree(world.project.path / ".git")
    world.ready()
    assert requirement(world, "sign-off.qa") == (
        "PASS", "signed by quinn@example.org; nobody knows who made the candidate, so it may have been the same person"
    )  # fmt: skip
    assert "by nobody knows whom" in world.must("gate").out
    told = world.must("signoff", "request", "--role", "qa")
    assert ", by nobody knows whom" in told.out
    assert "nobody knows who made the candidate: see that whoever signs did not" in told.err


@pytest.mark.parametrize("who", ["release-team,dana@example.org", "*@example.org", "Dana@example.org", "d?na@*"])
def test_no_name_of_a_key_lets_the_author_sign(world: World, who: str) -> None:
    name_signer(world, who, "uma", "uat")
    world.gather()
    sign(world, "uat", "uma")
    verdict, reason = requirement(world, "sign-off.uat")
    assert verdict == "INSUFFICIENT"
    assert "made the candidate: another person has to sign" in reason


def test_one_person_with_two_keys_is_one_person(world: World) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", world.folder / "second"], check=True)
    name_signer(world, "QUINN@example.org", "second", "security")
    world.gather()
    sign(world, "qa", "quinn")
    sign(world, "security", "second")
    assert requirement(world, "sign-off.qa")[0] == "PASS"
    verdict, reason = requirement(world, "sign-off.security")
    assert verdict == "INSUFFICIENT"
    assert "QUINN@example.org may be quinn@example.org, who signed as qa: another person has to" in reason
    stuck = "nobody in allowed_signers is left to sign as security: each role needs another person"
    assert requirement(world, "signers") == ("INSUFFICIENT", stuck)  # before the first release; a FAIL later
