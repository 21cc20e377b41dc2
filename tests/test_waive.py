"""A waiver is signed by who may, names one requirement, is told to who signs off, and is shown for ever."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.release_world import NEEDS_KEYS, World

from agent_studio import clock
from agent_studio.release import evidence, facts, gate
from agent_studio.release.production import history
from agent_studio.release.production.sides import open_sides
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    import pytest
    from tests.conftest import Finished

pytestmark = NEEDS_KEYS
WHY = "the first release has nothing to be compared with"


def waive(world: World, item: str = "comparison", by: str = "quinn", role: str = "qa", *, code: int = 0) -> Finished:
    key = str(world.folder / by)
    return world.must("waive", item, "--reason", WHY, "--role", role, "--key", key, "--yes", code=code)


def verdict(world: World, name: str) -> tuple[str, str]:
    found = world.data("gate")["requirements"]
    return next((one["verdict"], one["reason"]) for one in found if one["name"] == name)


def test_a_waived_requirement_lets_through_and_the_release_shows_it_for_ever(world: World) -> None:
    candidate = world.gather(but="comparison")
    world.sign(candidate)
    world.must("gate", code=3)
    shown = waive(world)
    assert f"A waiver, as qa: comparison need not pass, because: {WHY}" in shown.err
    assert verdict(world, "comparison") == ("WAIVED", f"INSUFFICIENT, waived by quinn@example.org as qa: {WHY}")
    assert "what it tells of waivers is not so" in world.must("gate", code=4).out  # who had signed knew of none
    assert world.data("gate")["waivers"][0]["why"] == WHY
    told = world.must("signoff", "request", "--role", "qa").out
    assert f"WAIVED        comparison by quinn@example.org as qa: {WHY}" in told
    assert WHY in world.must("waive", "--list").out
    world.sign(candidate)
    world.must("gate")
    world.must("promote", "--yes")
    release = history.read(world.project).releases[-1]
    assert [one["why"] for one in release.record["signed"] if one.get("waives") == "comparison"] == [WHY]
    assert len(release.record["nonces"]) == 7  # with the three that were given before the waiver
    world.promoted("a later one")
    shown = world.must("release", "show", release.release[:12])
    assert f"waived: comparison, by quinn@example.org as qa: {WHY}" in shown.out
    assert "signed as security: sam@example.org" in shown.out


def test_only_what_is_open_and_can_be_waived_is(world: World) -> None:
    world.gather(but="comparison")
    for item, reason in (
        ("integrity", "cannot be waived: what was recorded is damaged"), ("recovery", "a switch is interrupted"),
        ("drift", "edits that nobody promoted"), ("sign-off.qa", "a matter of release.policy.roles"),
        ("no-regression", "the policy in force does not ask for no-regression"),
        ("comparisn", 'did you mean "comparison"?'), ("smoke", "smoke is PASS: there is nothing to waive"),
    ):  # fmt: skip
        assert reason in waive(world, item, code=2).err
    key = str(world.folder / "quinn")
    for arguments in (
        ("waive",), ("waive", "comparison"), ("waive", "comparison", "--role", "qa", "--reason", "x"),
        ("waive", "comparison", "--role", "qa", "--key", key), ("waive", "comparison", "--reason", "x", "--key", key),
        ("waive", "comparison", "--role", "qa", "--key", key, "--reason", " \x1b "),
        ("waive", "comparison", "--role", "qa", "--key", key, "--reason", "x"),
        ("waive", "comparison", "--role", "uat", "--key", str(world.folder / "uma"), "--reason", "x", "--yes"),
        ("waive", "comparison", "--role", "qa", "--key", key, "--reason", "x", "--days", "400", "--yes"),
        ("waive", "comparison", "--role", "qa", "--key", "/no/key", "--reason", "x", "--yes"),
    ):  # fmt: skip
        world.must(*arguments, code=2)
    world.must("waive", "comparison", "--role", "qa", "--key", key, "--reason", "x", "--dry-run")
    assert world.must("waive", "--list").out == "Nothing is waived\n"
    assert not (world.project.path / ".agent-studio/signoffs").exists()


def test_neither_a_stranger_nor_the_author_waives(world: World) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", world.folder / "dana"], check=True)
    public = " ".join((world.folder / "dana.pub").read_text().split()[:2])
    signers = (world.project.path / ".claude/allowed_signers").read_text()
    world.studio.write(".claude/allowed_signers", f'{signers}dana@example.org namespaces="*@agent-studio" {public}\n')
    world.commit("Dana may sign")
    world.gather(but="comparison")
    assert "it is not signed, as qa" in waive(world, by="sam", code=4).err
    refused = waive(world, by="dana", code=4)
    assert "dana@example.org made the candidate: another person has to sign" in refused.err
    assert verdict(world, "comparison")[0] == "INSUFFICIENT"
    stated = signoff.statement(
        facts.gather(open_sides(world.project, {}), world.data("gate")["candidate"]).waives("comparison"),
        "qa", waives="comparison", why="I say so",
    )  # fmt: skip
    signoff.keep(world.project, signoff.sign(stated, world.folder / "dana"), "laid in by hand")
    assert "the waiver there is does not count: dana@example.org made" in verdict(world, "comparison")[1]
    waive(world, role="security", by="sam")
    assert verdict(world, "comparison")[0] == "WAIVED"


def test_a_waiver_is_of_one_candidate_its_evidence_and_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = world.gather(but="comparison")
    waive(world)
    evidence.record(world.staging, "comparison", candidate, evidence.FAIL, {"reason": "worse by half"})
    assert "the waiver there is does not count: it is about another evidence" in verdict(world, "comparison")[1]
    assert f"✗ comparison by quinn@example.org as qa: {WHY}; does not count: it is about" in world.must(
        "waive", "--list"
    ).out.replace("[!!]", "✗")
    waive(world)
    assert verdict(world, "comparison") == ("WAIVED", f"FAIL, waived by quinn@example.org as qa: {WHY}")
    now = datetime.now(UTC)
    with monkeypatch.context() as later:
        later.setattr(clock, "now", lambda: now + timedelta(days=8))
        assert verdict(world, "comparison")[0] == "FAIL"
    assert verdict(world, "comparison")[0] == "WAIVED"
    world.edit("another candidate")
    world.gather(but="comparison")
    assert verdict(world, "comparison") == (
        "INSUFFICIENT", "nothing was gathered on this candidate about staging's figures beside production's"
    )  # fmt: skip


def test_evidence_of_another_kind_voids_no_waiver(world: World) -> None:
    candidate = world.gather(but="comparison")
    told = waive(world)
    assert "evidence about comparison that comes later voids the waiver; other evidence does not" in told.err
    assert "NOTHING       comparison" in told.err
    assert "smoke" not in told.err
    evidence.record(world.staging, "smoke", candidate, evidence.PASS, {"reason": "once more"})
    assert verdict(world, "comparison")[0] == "WAIVED"
    held = next(iter(signoff.kept(world.project, candidate)))
    place = world.project.path / ".agent-studio/signoffs" / candidate / held
    stated, _ = signoff.read(place.read_bytes(), held)
    signoff.keep(world.project, signoff.unsigned({**stated, "nonce": "f" * 32}), "later, and not signed")
    assert verdict(world, "comparison")[0] == "WAIVED"
    without = {name: value for name, value in stated.items() if name != "why"}
    signoff.keep(world.project, signoff.sign({**without, "nonce": "e" * 32}, world.folder / "quinn"), "no reason")
    assert verdict(world, "comparison")[0] == "WAIVED"
    place.unlink()
    assert "it says no reason" in verdict(world, "comparison")[1]
    world.must("waive", "--list")
    world.must("promote", "--yes", code=3)


def test_somebody_else_waives_by_a_file_and_withdraws(world: World) -> None:
    world.gather(but="comparison")
    place = world.folder / "waiver.json"
    world.must("waive", "comparison", "--reason", WHY, "--role", "security", "--out", str(place))
    assert verdict(world, "comparison")[0] == "INSUFFICIENT"
    world.must("signoff", "sign", str(place), "--key", str(world.folder / "sam"), "--yes")
    assert verdict(world, "comparison")[0] == "WAIVED"
    world.must("signoff", "verify", str(place))
    world.must("signoff", "withdraw", str(place), "--key", str(world.folder / "sam"), "--reason", "no", "--yes")
    assert "sam@example.org withdrew it" in verdict(world, "comparison")[1]


def test_a_waiver_is_no_sign_off_and_a_sign_off_waives_nothing(world: World) -> None:
    candidate = world.gather(but="comparison")
    waive(world)
    assert verdict(world, "sign-off.qa") == ("INSUFFICIENT", "nobody has signed")
    world.sign(candidate)
    world.must("gate")
    held = signoff.kept(world.project, candidate)
    assert sorted(signoff.is_waiver(data) for data in held.values()) == [False, False, False, True]
    assert set(gate.REQUIRED) >= {"comparison"}
