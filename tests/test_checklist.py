"""The checklists: each item is decided by what it is about, and nothing that is missing counts as done."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.monitor_records import Records
from tests.release_world import NEEDS_KEYS, ROLES, World, git

from agent_studio import clock
from agent_studio.cli.commands.checklist import draw
from agent_studio.monitor import alerts
from agent_studio.monitor.verdict import BREACH, Verdict
from agent_studio.release import evidence, gate
from agent_studio.release.checklists import deciding
from agent_studio.release.checklists.items import CHECKLISTS
from agent_studio.release.checklists.scene import Scene
from agent_studio.release.content import candidates
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Studio

pytestmark = NEEDS_KEYS
ISSUES = ".claude/staging/memory/issues.md"
SUITE = "import unittest\n\nclass Test(unittest.TestCase):\n    def test_one(self):\n        pass\n"


@pytest.fixture
def world(bare: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A staged project an hour later: what is recorded a minute ago came after the last change of its definitions."""
    made = World(bare, tmp_path)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(hours=1))
    return made


def decided(world: World, name: str, *arguments: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in world.data("checklist", name, *arguments)["items"]}


def verdicts(world: World, name: str) -> dict[str, str | None]:
    return {name: one["verdict"] for name, one in decided(world, name).items()}


def attest(world: World, name: str, item: str, role: str, code: int = 3, *, key: str = "") -> str:
    done = world.must(
        "checklist", name, "--attest", item, "--key", str(world.folder / (key or ROLES[role])), "--role", role,
        "--reason", f"looked at {item}", code=code,
    )  # fmt: skip
    return done.out + done.err


def prove(world: World) -> str:
    """Run the smoke tests and the suite, and have what they said and what a burn-in says on record."""
    world.studio.write("test_it.py", SUITE)
    world.studio.write("Makefile", "test:\n\t@python3 -m unittest -v\n")
    smoke = world.must("smoke", "--env", "staging", "--json").data
    suite = world.must("test", "--env", "staging", "--json").data
    candidate = candidates.create(world.project).candidate
    assert suite["candidate"] == candidate
    for kind, told in (
        ("smoke", f"{smoke['passed']} checks passed"), ("test", f"{suite['passed']} passed"),
        ("performance", "within production's limits"), ("burnin", "24.5 h of 24 h"),
    ):  # fmt: skip
        evidence.confirm(world.staging, kind, candidate, evidence.PASS, {"reason": told})
    return candidate


def use(world: World) -> None:
    """Let a session run in staging."""
    records = Records(world.studio, "staging")
    for minutes in range(1, 6):
        records.hook("guard", minutes_ago=minutes)
    records.session("start", minutes_ago=6)
    records.write()


def test_all_four_checklists_come_to_hold_and_signatures_stay_valid(world: World) -> None:
    assert {name: world.data("checklist", name)["verdict"] for name in CHECKLISTS} == dict.fromkeys(
        CHECKLISTS, "INSUFFICIENT"
    )
    candidate = prove(world)
    use(world)
    attest(world, "pre", "security-review", "security")
    attest(world, "pre", "documentation", "uat", code=0)
    attest(world, "post", "procedures", "qa", code=0)
    world.must("checklist", "promotion", "--plan", "plan.md")
    for name in CHECKLISTS:
        assert "PASS: all " in world.must("checklist", name).out
    found = evidence.of(world.project, world.staging.environment, candidate).evidence
    assert {f"checklist.{name}": "PASS" for name in CHECKLISTS} == {
        kind: one.verdict for kind, one in found.items() if kind.startswith("checklist.")
    }
    for kind in set(gate.REQUIRED) - found.keys():
        evidence.record(world.staging, kind, candidate, evidence.PASS, {})
    world.sign(candidate)
    for name in CHECKLISTS:
        world.must("checklist", name)
    assert verdicts(world, "post")["sign-off.qa"] == "PASS"
    assert world.data("promote", "--dry-run")["verdict"] == "PASS"


def test_evidence_that_fails_or_was_tampered_with_is_seen(world: World) -> None:
    candidate = prove(world)
    assert verdicts(world, "deploy") == dict.fromkeys(
        ("environment", "init", "configuration", "smoke", "suite"), "PASS"
    )
    assert "passed" in decided(world, "deploy")["smoke"]["reason"]
    for kind, name, item in (
        ("test", "pre", "tests"), ("performance", "pre", "performance"), ("smoke", "deploy", "smoke"),
        ("test", "deploy", "suite"), ("burnin", "promotion", "validation"),
    ):  # fmt: skip
        evidence.record(world.staging, kind, candidate, evidence.FAIL, {"reason": "it broke"})
        one = decided(world, name)[item]
        assert (one["verdict"], one["reason"]) == ("FAIL", "it broke")
        world.must("checklist", name, code=1)
        held = evidence.record(world.staging, kind, candidate, evidence.PASS, {"reason": "well"})
        place = world.staging.root.state.path / evidence.FOLDER / held.file
        place.write_bytes(place.read_bytes().replace(b"well", b"fine"))
        one = decided(world, name)[item]
        assert (one["verdict"], "changed after it was sealed" in one["reason"]) == ("INSUFFICIENT", True)
    world.edit("---\nname: code-reviewer\ndescription: Second.\n---\n")
    assert verdicts(world, "deploy")["smoke"] == "INSUFFICIENT"


def _issue(world: World, text: str, place: str = ISSUES) -> None:
    world.studio.write(place, f"# Open issues\n\n{text}")


def test_open_issues_of_both_sides_are_found_with_file_and_line(world: World) -> None:
    grave = "## [A-1] Keys leak\n\n- **Severity**: {}\n- **Status**: Open\n"
    _issue(world, grave.format("High"))
    one = decided(world, "pre")["issues"]
    assert one["verdict"] == "FAIL"
    assert one["details"] == [f"{ISSUES}:3 HIGH: [A-1] Keys leak"]
    assert verdicts(world, "promotion")["critical-issues"] == "PASS"
    _issue(world, grave.format("Critical"))
    assert verdicts(world, "promotion")["critical-issues"] == "FAIL"
    _issue(world, "Login is down.\n\n## It hangs\n\nsometimes\n")
    for name, item in (("pre", "issues"), ("promotion", "critical-issues")):
        one = decided(world, name)[item]
        assert (one["verdict"], f"{ISSUES}:5 ?: It hangs" in one["details"][0]) == ("INSUFFICIENT", True)
    _issue(world, grave.format("Critical").replace("Open\n", "Resolved\n"))
    assert verdicts(world, "pre")["issues"] == "PASS"
    place = world.live / ".claude/memory/issues.md"
    place.write_text(f"# Open issues\n\n{grave.format('High')}")
    one = decided(world, "pre")["issues"]
    assert (one["verdict"], one["details"]) == (
        "FAIL", ["production's .claude/memory/issues.md:3 HIGH: [A-1] Keys leak"],
    )  # fmt: skip
    assert verdicts(world, "promotion")["critical-issues"] == "PASS"
    place.unlink()
    assert verdicts(world, "pre")["issues"] == "INSUFFICIENT"


def test_alerts_of_staging_count_silenced_or_not_until_somebody_looks_after_them(world: World) -> None:
    staging = world.staging
    broken = Verdict("ledger", "", BREACH, "CRITICAL", 1, 1, 1, 0, "records", 9, 0, "line 3 was changed")
    (alert,) = alerts.evaluate(staging, [broken])
    for name, item in (("pre", "issues"), ("promotion", "critical-issues")):
        one = decided(world, name)[item]
        assert (one["verdict"], one["details"]) == ("FAIL", [f"alert {alert.id} CRITICAL: line 3 was changed"])
    alerts.silence(staging, "ledger", clock.now() + timedelta(hours=1), "dana", "noise")
    assert verdicts(world, "pre")["issues"] == "FAIL"
    alerts.acknowledge(staging, alert.id, "dana", "restored")
    assert verdicts(world, "pre")["issues"] == "PASS"
    world.studio.write(".claude/config.staging.yaml", "monitoring:\n  enabled: false\n")
    assert verdicts(world, "pre")["issues"] == "INSUFFICIENT"


def test_a_limit_that_is_broken_now_counts_although_nobody_has_looked_yet(world: World) -> None:
    records = Records(world.studio, "staging")
    for minutes in range(1, 60):
        records.agent("planner", minutes_ago=minutes, status="failed")
    records.write()
    one = decided(world, "pre")["issues"]
    assert (one["verdict"], "limit agentFailure" in one["details"][0]) == ("FAIL", True)
    assert alerts.current(world.staging) == []  # looked at, not moved on


def test_staging_that_is_not_set_up_is_seen_item_by_item(world: World) -> None:
    shutil.rmtree(world.project.path / ".claude/staging/sessions")
    one = decided(world, "deploy")["init"]
    assert (one["verdict"], one["reason"]) == ("FAIL", ".claude/staging lacks sessions")
    world.studio.write(".claude/config.staging.yaml", "\n")
    assert verdicts(world, "deploy")["configuration"] == "FAIL"
    world.studio.write(".claude/config.staging.yaml", "monitoring:\n  enabeld: true\n")
    done = world.must("checklist", "deploy", "--json", code=1)
    found = {one["id"]: one["verdict"] for one in done.data["items"]}
    assert found == {
        "environment": "FAIL", "init": "INSUFFICIENT", "configuration": "INSUFFICIENT", "smoke": "INSUFFICIENT",
        "suite": "INSUFFICIENT",
    }  # fmt: skip
    assert done.data["recorded"] is False
    assert "not recorded" in done.envelope["problems"][0]["message"]
    (world.project.path / ".claude/config.staging.yaml").unlink()
    assert "FAIL" in world.must("checklist", "deploy", code=1).out


def test_the_dashboard_is_drawn_from_records_that_are_there_and_sound(world: World) -> None:
    assert "nothing was recorded" in decided(world, "post")["dashboard"]["reason"]
    use(world)
    one = decided(world, "post")["dashboard"]
    assert (one["verdict"], "5 hook calls" in one["reason"]) == ("PASS", True)
    Records(world.studio, "staging").write(("metrics/hooks.jsonl", "{damaged\n"))
    one = decided(world, "post")["dashboard"]
    assert (one["verdict"], one["reason"]) == ("FAIL", "1 lines of staging's records are damaged")


def test_features_that_were_not_tried_keep_the_checklist_open(world: World) -> None:
    assert decided(world, "post")["features"]["verdict"] == "PASS"
    world.must("flags", "kill", "knowledgeBase", "--reason", "slow", "--env", "staging")
    one = decided(world, "post")["features"]
    assert (one["verdict"], "knowledgeBase: not tried" in one["reason"]) == ("INSUFFICIENT", True)
    assert any(line.startswith("partyMode: PASS") for line in one["details"])


def test_errors_are_reviewed_when_each_kind_is_acknowledged_with_a_reason(world: World) -> None:
    one = decided(world, "post")["errors"]
    assert (one["verdict"], "nothing has run" in one["reason"]) == ("INSUFFICIENT", True)
    use(world)
    assert verdicts(world, "post")["errors"] == "PASS"
    records = Records(world.studio, "staging")
    records.error(severity="MEDIUM", message="timed out")
    records.error(severity="HIGH", message="it broke")
    records.write()
    one = decided(world, "post")["errors"]
    assert one["verdict"] == "FAIL"
    ids = [line.split()[0] for line in one["details"]]
    assert len(ids) == 2
    world.must("checklist", "post", "--acknowledge", ids[0], code=2)
    world.must("checklist", "post", "--acknowledge", "zzzzzzzz", "--reason", "known", code=2)
    signing = ("--acknowledge", ids[0], "--reason", "mended upstream")
    assert "by a signature" in world.must("checklist", "post", *signing, code=2).err
    for name, role, code in (("quinn", "security", 4), ("uma", "uat", 2), ("sam", "security", 3)):
        world.must("checklist", "post", *signing, "--key", str(world.folder / name), "--role", role, code=code)
    assert verdicts(world, "post")["errors"] == "INSUFFICIENT"
    world.must("checklist", "post", "--acknowledge", ids[1], "--reason", "a slow\nnetwork", code=3)
    attest(world, "post", "procedures", "qa", 0)
    shown = world.must("checklist", "post", "--markdown", "post.md").out
    assert "it broke (acknowledged by sam@example.org as security: mended upstream)" in shown
    assert "a slow network" in shown
    assert "next: agent-studio checklist post --acknowledge" not in shown
    assert "by sam@example.org as security: mended upstream" in (world.project.path / "post.md").read_text()
    kept = evidence.of(world.project, world.staging.environment, candidates.create(world.project).candidate)
    data = kept.evidence["checklist.post"].data
    assert "HIGH from" in data["reason"]
    assert "by sam@example.org as security: mended upstream" in data["reason"]
    (told,) = [one["details"] for one in data["items"] if one["id"] == "errors"]
    assert [line.split()[0] for line in told] == ids
    grown = Records(world.studio, "staging")
    grown.error(severity="CRITICAL", message="it broke")
    grown.write()
    assert verdicts(world, "post")["errors"] == "FAIL"  # who looked at it saw something less grave


def test_only_a_signature_in_the_right_role_attests_and_a_refused_one_changes_nothing(world: World) -> None:
    before = world.studio.snapshot(".agent-studio/attestations")
    assert "not signed" in attest(world, "pre", "security-review", "security", 4, key="quinn")
    assert "--role security" in attest(world, "pre", "security-review", "qa", 2)
    assert "no item to attest" in attest(world, "pre", "tests", "qa", 2)
    for arguments in (
        ("--attest", "documentation", "--reason", "read"), ("--attest", "documentation", "--key", "none"),
        ("--attest", "documentation", "--key", "none", "--role", "qa", "--reason", "read"),
        ("--key", "none"), ("--reason", "read"), ("--attest", "documentation", "--reason", "  "),
    ):  # fmt: skip
        world.must("checklist", "pre", *arguments, code=2)
    both = ("--attest", "procedures", "--acknowledge", "abcdef", "--reason", "x")
    assert "of their own" in world.must("checklist", "post", *both, code=2).err
    assert world.studio.snapshot(".agent-studio/attestations") == before
    said = attest(world, "pre", "security-review", "security")
    assert "attested: security-review by sam@example.org as security" in said
    one = decided(world, "pre")["security-review"]
    assert (one["verdict"], "looked at security-review" in one["reason"]) == ("PASS", True)
    world.edit("---\nname: code-reviewer\ndescription: Second.\n---\n")
    assert verdicts(world, "pre")["security-review"] == "INSUFFICIENT"


def test_an_attestation_ends_when_its_time_is_up_or_its_text_was_edited(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attest(world, "pre", "security-review", "security")
    attest(world, "pre", "documentation", "qa")
    (place,) = (world.project.path / ".agent-studio/attestations").rglob("pre.documentation-*")
    place.write_text(place.read_text().replace("looked at", "skimmed"))
    one = decided(world, "pre")["documentation"]
    assert (one["verdict"], "not signed" in one["reason"]) == ("INSUFFICIENT", True)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(days=31))
    one = decided(world, "pre")["security-review"]
    assert (one["verdict"], "expired" in one["reason"]) == ("INSUFFICIENT", True)


def test_sign_offs_are_shown_as_the_gate_has_them_and_never_counted(world: World) -> None:
    candidate = prove(world)
    use(world)
    attest(world, "post", "procedures", "qa", code=0)
    one = decided(world, "post")["sign-off.security"]
    assert (one["verdict"], one["counts"], one["reason"]) == ("INSUFFICIENT", False, "nobody has signed")
    world.sign(candidate, "security")
    assert verdicts(world, "post")["sign-off.security"] == "PASS"
    world.studio.write(".claude/config.yaml", "release:\n  target: ../live\n  policy:\n    roles: [qa, security]\n")
    one = decided(world, "promotion")["sign-off.uat"]
    assert (one["verdict"], "does not ask for the role uat" in one["reason"]) == (None, True)


def test_definitions_that_change_meanwhile_leave_no_evidence(world: World) -> None:
    made = candidates.create(world.project)

    def interrupted(context: Any) -> Mapping[str, Any]:
        world.edit("changed meanwhile")
        return draw(context)

    scene = Scene(open_sides(world.project, {}), made, interrupted)
    found = deciding.decide("post", scene)
    with pytest.raises(deciding.ChangedError):
        deciding.record(found, scene)
    assert "checklist.post" not in evidence.of(world.project, world.staging.environment, made.candidate).evidence


def test_what_only_options_and_variables_say_is_no_evidence(world: World) -> None:
    prove(world)
    for options, variables in (
        (("--set", "testData.artifactsCount=3"), {}), ((), {"AGENT_STUDIO_MONITORING__VERBOSE_LOGGING": "true"}),
    ):  # fmt: skip
        done = world.studio.run("checklist", "deploy", "--json", *options, variables=variables)
        assert (done.code, done.data["verdict"], done.data["recorded"]) == (3, "PASS", False), done.out
        assert "which no candidate has" in done.envelope["problems"][0]["message"]
        done = world.studio.run("checklist", "promotion", "--plan", "plan.md", *options, variables=variables)
        assert (done.code, (world.project.path / "plan.md").exists()) == (2, False)
    assert world.data("checklist", "deploy")["recorded"] is True


def test_a_damaged_journal_is_said_before_anything_is_recorded(world: World) -> None:
    prove(world)
    place = world.staging.root.state.path / evidence.FOLDER / evidence.JOURNAL
    place.write_bytes(place.read_bytes().replace(b"PASS", b"FAIL", 1))
    world.must("checklist", "deploy", code=8)


def test_nothing_but_evidence_and_the_candidate_is_written(world: World) -> None:
    use(world)
    for name in CHECKLISTS:
        world.must("checklist", name, code=3)
    before = world.studio.snapshot()
    live = world.studio.snapshot("../live")
    for name in CHECKLISTS:
        world.must("checklist", name, code=3)
    assert world.studio.snapshot() == before  # the same verdicts again: not even evidence
    assert world.studio.snapshot("../live") == live


def test_the_markdown_has_a_box_for_each_item_and_no_text_of_others_becomes_markup(world: World) -> None:
    _issue(world, "## <script>alert(1)</script> [x](http://a) | `code`\n\n- Severity: High\n")
    prove(world)
    world.must("checklist", "pre", "--markdown", "pre.md", code=1)
    text = (world.project.path / "pre.md").read_text()
    assert "- [x] **All tests passing (unit, integration, E2E)** PASS: " in text
    assert "1 passed" in text
    assert "- [ ] **No open CRITICAL or HIGH issues** FAIL" in text
    assert "\\<script\\>" in text
    assert "](http" not in text.replace("\\]", "")
    assert text.count("\n- [") == len(CHECKLISTS["pre"])
    world.must("checklist", "pre", "--markdown", "pre.md", code=1)
    world.must("checklist", "pre", "--markdown", ".claude/agents/pre.md", code=2)


def test_a_secret_in_a_reason_is_written_nowhere(world: World) -> None:
    secret = "sk-ant-api03-" + "a1B2" * 24
    world.must(
        "checklist", "pre", "--attest", "documentation", "--key", str(world.folder / "quinn"), "--role", "qa",
        "--reason", f"found {secret} and took it out", code=3,
    )  # fmt: skip
    assert not [name for name, data in world.studio.snapshot(".agent-studio").items() if secret.encode() in data]
    assert verdicts(world, "pre")["documentation"] == "PASS"


def test_every_item_is_unique_and_says_what_brings_it_about() -> None:
    items = [item for listed in CHECKLISTS.values() for item in listed]
    assert len({item.id for item in items}) == len(items) == 21
    assert all(item.title and item.mends for item in items)
    assert json.dumps([item._asdict() for item in items])


def test_development_has_no_checklists(world: World) -> None:
    world.must("checklist", "pre", "--env", "development", code=2)


def test_the_title_of_an_issue_forges_no_line(world: World) -> None:
    world.studio.write(ISSUES, "# Open issues\n\n## Keys\x1b[2K\r✓ No open CRITICAL or HIGH issues\n- Severity: High\n")
    shown = world.must("checklist", "pre", code=1).out
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "✗ No open CRITICAL or HIGH issues" in shown


def test_an_attestation_made_in_a_clone_is_handed_over_and_taken_in(world: World) -> None:
    prove(world)
    clone = world.folder / "sams clone"
    git(world.folder, "clone", "-q", str(world.project.path), str(clone))
    studio = type(world.studio)(clone)
    handed = world.folder / "review.json"
    done = studio.run(
        "checklist", "pre", "--attest", "security-review", "--key", str(world.folder / "sam"), "--role", "security",
        "--reason", "read every line\n- [x] all", "--out", str(handed),
    )  # fmt: skip
    assert f"signoff verify {handed}" in done.out, (done.out, done.err)
    assert verdicts(world, "pre")["security-review"] == "INSUFFICIENT"
    before = handed.read_bytes()
    handed.write_bytes(before.replace(b"every line", b"some lines"))
    assert "not signed" in world.must("signoff", "verify", str(handed), code=4).err
    handed.write_bytes(before)
    taken = world.must("signoff", "verify", str(handed)).out
    assert "✓ It counts: security-review is attested to by sam@example.org as security: read every" in taken
    assert "read every line - [x] all\n" in taken
    assert verdicts(world, "pre")["security-review"] == "PASS"
    world.edit("another candidate")
    assert verdicts(world, "pre")["security-review"] == "INSUFFICIENT"
    other = json.loads(before)
    other["statement"] |= {"item": "../x", "candidate": "b" * 64}
    handed.write_text(json.dumps(other))
    world.must("signoff", "verify", str(handed), code=2)


def test_an_item_whose_evidence_is_waived_shows_that_and_is_not_counted(world: World) -> None:
    world.gather(but="performance")
    attest(world, "pre", "security-review", "security")
    attest(world, "pre", "documentation", "qa")
    assert verdicts(world, "pre")["performance"] == "INSUFFICIENT"
    world.must(
        "waive", "performance", "--reason", "no load yet", "--role", "qa", "--key", str(world.folder / "quinn"), "--yes"
    )
    done = world.must("checklist", "pre", "--markdown", "pre.md")
    assert (
        "• Performance benchmarks passing\n    INSUFFICIENT, waived by quinn@example.org as qa: no load yet" in done.out
    )
    assert "PASS: all 4 items hold, performance waived" in done.out
    assert "- [ ] **Performance benchmarks passing** WAIVED: " in (world.project.path / "pre.md").read_text()
    held = evidence.of(world.project, world.staging.environment, candidates.create(world.project).candidate).evidence
    assert held["checklist.pre"].data["items"][1]["verdict"] == "WAIVED"
