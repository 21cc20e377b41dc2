"""`gate` tells people, programs, continuous integration and pull requests the same, and changes nothing."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.release_world import NEEDS_KEYS, World

from agent_studio.monitor import alerts
from agent_studio.monitor.verdict import BREACH, Verdict
from agent_studio.release import evidence, gate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

pytestmark = NEEDS_KEYS


def test_every_requirement_is_told_with_the_policy_in_force(world: World) -> None:
    candidate = world.ready()
    done = world.must("gate", "--json").data
    assert (done["candidate"], done["separation"], done["verdict"]) == (candidate, "target", "PASS")
    assert [one["name"] for one in done["requirements"]] == [
        *gate.STATE, *gate.REQUIRED, "sign-off.qa", "sign-off.security", "sign-off.uat"
    ]  # fmt: skip
    assert all(one["reason"] for one in done["requirements"])
    rules = done["policy"]
    assert (rules["burnin.hours"], rules["burnin.maxGapMinutes"], rules["evidenceDays"]) == (24, 15, 30)
    assert (rules["of"], rules["bootstrap"], rules["onePerson"]) == (candidate, True, False)
    assert rules["signers"][0] == {"who": "quinn@example.org", "roles": ["qa"]}
    shown = world.must("gate").out
    assert "of the candidate itself: it is the first release" in shown
    assert "burn-in: 24 observed hours, gaps of at most 15 minutes; evidence counts for 30 days" in shown
    assert "separation: target" in shown
    assert "It cannot keep somebody who may write there from editing them" in shown
    assert shown.endswith("PASS: it may go live: agent-studio promote\n")


def test_the_policy_is_that_of_the_live_release_and_its_gaps_are_said(world: World) -> None:
    config = world.project.path / ".claude/config.yaml"
    easier = "  policy:\n    roles: [qa, security]\n    evidenceDays: 1000\n    burnin: {hours: 1}\n"
    first = world.promoted("first")
    config.write_text(config.read_text() + easier)
    world.edit("second")
    candidate = world.gather()
    shown = world.must("gate", code=4).out
    assert f"of release {first[:12]}, which is live" in shown
    assert "once it is live, another policy holds" in shown
    assert "nobody may sign" not in shown
    told = world.must("signoff", "request", "--role", "qa").out
    assert "roles: qa, security" in told.partition("Once it is live, another policy holds")[2]
    assert "burn-in: 24 observed hours" in shown
    assert "sign-off.uat: nobody has signed" in shown
    world.sign(candidate)
    world.must("promote", "--yes")
    world.edit("third")
    world.gather()
    shown = world.must("gate", code=4).out
    assert "burn-in: 1 observed hours" in shown
    assert "evidence counts for 1000 days; sign-offs: qa, security" in shown
    assert "the policy asks for no acceptance by a stakeholder (uat)" in shown
    assert "sign-off.uat" not in shown
    assert "another policy" not in shown
    world.studio.write(".claude/allowed_signers", "# moved to the wiki\nsam@example.org namespaces=* KEY\n")
    world.edit("fourth")
    world.sign(world.gather(), "qa", "security")
    stuck = "signers: nobody in allowed_signers may sign as qa or security (line 2: namespaces=* is no option"
    assert stuck in world.must("gate", code=1).out
    assert "signers cannot be waived" in world.must(
        "waive", "signers", "--role", "qa", "--reason", "x", "--key", str(world.folder / "quinn"), code=2
    ).err  # fmt: skip
    config.write_text(config.read_text().replace("[qa, security]", "[]"))
    world.edit("fifth")
    world.sign(world.gather(), "qa", "security")
    empty = "nobody has to sign: release.policy.roles is empty"
    assert f"once it is live, {empty}" in world.must("gate").out
    assert empty in world.must("signoff", "request", "--role", "qa").out
    assert empty in world.must("promote", "--yes").err
    world.edit("sixth")
    world.gather()
    assert f"\n  {empty}\n" in world.must("gate").out


def test_nothing_is_changed_but_that_the_candidate_is_made(world: World) -> None:
    world.edit("not made yet")
    before = world.studio.snapshot(".")
    live = world.studio.snapshot("../live/.claude")
    world.must("gate", code=3)
    after = {name for name, data in world.studio.snapshot(".").items() if before.get(name) != data}
    assert after
    assert all(name.startswith((".agent-studio/objects/", ".agent-studio/candidates/")) for name in after)
    assert world.studio.snapshot("../live/.claude") == live
    once = world.studio.snapshot(".")
    world.must("gate", code=3)
    assert world.studio.snapshot(".") == once


def test_a_candidate_is_named_by_its_first_digits(world: World) -> None:
    candidate = world.ready()
    world.edit("work goes on")
    assert world.must("gate", "--candidate", candidate[:10]).out.startswith(f"Candidate {candidate}")
    assert "names no candidate" in world.must("gate", "--candidate", "0" * 12, code=2).err
    assert "development" in world.must("gate", "--env", "development", code=2).err


def test_junit_is_red_for_all_that_does_not_hold(world: World) -> None:
    candidate = world.gather(but="comparison")
    evidence.record(world.staging, "burnin", candidate, evidence.FAIL, {"reason": "too <slow> \x1b[31m& more"})
    key = str(world.folder / "quinn")
    world.must("waive", "comparison", "--reason", "none", "--role", "qa", "--key", key, "--yes")
    place = world.folder / "gate.xml"
    assert world.must("gate", "--junit", str(place), code=1).err.count("next: agent-studio burnin report") == 1
    suite = ET.fromstring(place.read_bytes())
    cases = {case.get("name"): case for case in suite}
    assert int(suite.get("tests") or 0) == len(cases) == len(gate.STATE) + len(gate.REQUIRED) + 3
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("1", "3", "0")
    failure = cases["burnin"].find("failure")
    assert failure is not None
    assert (failure.get("message") or "").startswith("FAIL: too <slow>")
    assert [name for name, case in cases.items() if case.find("error") is not None] == [
        "sign-off.qa", "sign-off.security", "sign-off.uat"
    ]  # fmt: skip
    assert "waived by quinn" in (cases["comparison"].findtext("system-out") or "")


def test_markdown_is_a_table_in_which_no_text_acts(world: World) -> None:
    candidate = world.gather()
    evil = "@everyone | <img src=x> `x` [a](b)\nnew *line*"
    evidence.record(world.staging, "burnin", candidate, evidence.FAIL, {"reason": evil})
    place = world.folder / "gate.md"
    world.must("gate", "--markdown", str(place), code=1)
    text = place.read_text()
    assert text.startswith(f"### Gate: FAIL\n\nCandidate `{candidate}`, commit `")
    row = next(line for line in text.splitlines() if "burnin" in line)
    assert row == r"| ❌ | burnin | FAIL | \@everyone \| \<img src=x\> \`x\` \[a\](b) new \*line\* |"
    assert "separation: target" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(gate.STATE) + len(gate.REQUIRED) + 3
    assert "cannot write" in world.must("gate", "--markdown", str(world.folder / "no/where.md"), code=1).err


def test_reports_are_written_where_the_gate_cannot_be_asked(world: World) -> None:
    world.edit("password: postgresql://admin:hunter2hunter2@db.internal:5432/prod\nghp_" + "a1B2" * 9 + "\n")
    junit, markdown = world.folder / "gate.xml", world.folder / "gate.md"
    done = world.must("gate", "--junit", str(junit), "--markdown", str(markdown), code=1)
    case = ET.fromstring(junit.read_bytes()).find("testcase")
    assert case is not None
    assert case.get("name") == "secret"
    assert markdown.read_text().startswith("### Gate: INSUFFICIENT\n\nNo candidate could be made\n")
    assert "definitions hold credentials" in done.err
    assert "definitions hold credentials" in markdown.read_text()


def test_with_a_target_that_is_elsewhere_who_looks_is_served_and_who_changes_is_refused(world: World) -> None:
    release = world.promoted("one")
    world.edit("two")
    candidate = world.ready()
    world.live.rename(world.folder / "elsewhere")
    found = {one["name"]: one for one in world.must("gate", "--json", code=3).data["requirements"]}
    said = f"the target {world.live} is not on this machine"
    assert (found["production"]["verdict"], found["production"]["reason"]) == ("INSUFFICIENT", said)
    assert found["smoke"]["verdict"] == "PASS"
    checked = json.loads(world.studio.run("checklist", "pre", "--json").out)["data"]
    issues = next(one for one in checked["items"] if one["id"] == "issues")
    assert (issues["verdict"], said in str(issues)) == ("INSUFFICIENT", True)
    attested = world.must(
        "checklist", "pre", "--attest", "security-review", "--role", "security", "--key", str(world.folder / "sam"),
        "--reason", "read all of it", "--json", code=3,
    ).data  # fmt: skip
    assert attested["attested"]["item"] == "security-review"
    world.must("checklist", "promotion", "--plan", "plan.md", code=2)
    for refused in (
        ("promote", "--yes"), ("rollback", "--level", "2", "--reason", "x", "--yes"), ("release", "verify"),
        ("signoff", "request", "--role", "qa"),
    ):  # fmt: skip
        assert str(world.live) in world.must(*refused, code=2).err
    assert not world.live.exists()
    (world.folder / "elsewhere").rename(world.live)
    assert world.data("release", "list")["releases"][-1]["release"] == release
    assert world.must("gate", "--json", code=3).data["candidate"] == candidate


def test_damage_is_told_in_every_form(world: World) -> None:
    candidate = world.ready()
    world.must("promote", "--yes")
    journal = world.project.path / ".agent-studio/releases/history.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(candidate.encode(), b"0" * 64))
    place = world.folder / "gate.xml"
    done = world.must("gate", "--json", "--junit", str(place), code=8)
    assert (done.data["verdict"], done.data["requirements"][0]["name"]) == ("FAIL", "integrity")
    assert 'failures="1"' in place.read_text()
    journal.write_bytes(whole)
    world.edit("another")
    made = world.ready()
    digest = next(iter(evidence.of(world.project, world.staging.environment, made).evidence.values())).file
    (world.project.path / ".agent-studio/staging/evidence" / digest).unlink()
    shown = world.must("gate", code=8)
    assert "is gone" in shown.out
    assert json.loads(world.studio.run("gate", "--json").out)["ok"] is False


def test_an_interrupted_switch_and_drift_are_told_with_their_codes(world: World) -> None:
    world.promoted("first")
    world.edit("second")
    world.ready()
    world.must("gate")
    (world.live / ".claude/agents/code-reviewer.md").write_text("by hand")
    assert "next: agent-studio promote --adopt" in world.must("gate", code=5).err
    journal = world.project.path / ".agent-studio/releases/journal.json"
    told: dict[str, object] = {"id": "x", "definitions": "x", "around": None, "changes": [], "record": {}}
    seal = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    journal.write_text(json.dumps({**told, "sha256": seal}))
    shown = world.must("gate", code=6)
    assert "recovery: a promotion or rollback was interrupted" in shown.out
    assert "next: agent-studio recover" in shown.err
    journal.write_text("{}")
    assert "journal.json is damaged" in world.must("gate", code=8).out


def test_in_place_says_what_it_cannot_promise(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path, in_place=True)
    world.ready()
    for command in (("gate",), ("signoff", "request", "--role", "qa"), ("promote", "--dry-run")):
        assert "separation: none. One checkout is both sides" in world.must(*command).out


def test_an_issue_opened_or_an_alert_that_fires_after_all_has_passed_stops_gate_and_promotion(world: World) -> None:
    world.ready()
    issues = world.staging.root.path / "memory/issues.md"
    before = issues.read_text()
    issues.write_text(f"{before}\n## [SEC-9] Keys leak\n- **Severity**: Critical\n- **Status**: Open\n")
    shown = world.must("gate", code=1)
    assert "✗ issues: .claude/staging/memory/issues.md:" in shown.out
    assert "CRITICAL: [SEC-9] Keys leak" in shown.out
    assert "next: settle them in staging's memory/issues.md" in shown.err
    world.must("promote", "--yes", code=1)
    world.must("waive", "issues", "--reason", "no time", "--role", "qa", "--out", "x.json", code=2)
    issues.write_text(before)
    world.must("gate")
    broken = Verdict("ledger", "", BREACH, "HIGH", 1, 1, 1, 0, "records", 9, 0, "line 3 was changed")
    (alert,) = alerts.evaluate(world.staging, [broken])
    assert f"✗ issues: alert {alert.id} HIGH: line 3 was changed" in world.must("gate", code=1).out
    world.must("alerts", "ack", alert.id, "--env", "staging")
    world.must("gate")
