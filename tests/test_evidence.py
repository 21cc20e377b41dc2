"""Evidence is of one candidate, sealed, and what was changed or slipped in afterwards is none."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import choose_environment
from agent_studio.environment.roots import Project
from agent_studio.errors import IntegrityError
from agent_studio.release import evidence

if TYPE_CHECKING:
    from tests.conftest import Studio

ONE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def context(staged: Studio) -> Context:
    return open_context(Project(staged.path), choose_environment("staging", {}), {})


def found(context: Context, candidate: str = ONE) -> evidence.Found:
    return evidence.of(context.project, context.environment, candidate)


def test_the_newest_of_each_kind_counts_for_its_candidate_alone(context: Context) -> None:
    evidence.record(context, "smoke", ONE, evidence.FAIL, {"failed": 1})
    evidence.record(context, "smoke", ONE, evidence.PASS, {"failed": 0})
    evidence.record(context, "smoke", OTHER, evidence.INSUFFICIENT, {})
    evidence.record(context, "test", ONE, evidence.PASS, {})
    held = found(context).evidence
    assert {kind: one.verdict for kind, one in held.items()} == {"smoke": "PASS", "test": "PASS"}
    assert held["smoke"].data == {"failed": 0}
    assert found(context, OTHER).evidence["smoke"].verdict == "INSUFFICIENT"
    assert found(context, "c" * 64).evidence == {}


def test_a_file_changed_removed_or_slipped_in_is_no_evidence(context: Context) -> None:
    evidence.record(context, "smoke", ONE, evidence.PASS, {})
    bad = evidence.record(context, "smoke", ONE, evidence.FAIL, {})
    gone = evidence.record(context, "test", ONE, evidence.FAIL, {})
    folder = context.root.state.at(evidence.FOLDER).path
    place = folder / bad.file
    place.write_text(place.read_text().replace("FAIL", "PASS"))
    (folder / gone.file).unlink()
    (folder / "burnin-x.json").write_text(json.dumps({"kind": "burnin", "candidate": ONE, "verdict": "PASS"}))
    held = found(context)
    assert held.evidence == {}  # the older one does not come back
    assert len(held.faults) == 2


def test_a_line_taken_out_of_the_journal_breaks_it(context: Context) -> None:
    for verdict in (evidence.PASS, evidence.FAIL, evidence.PASS):
        evidence.record(context, "smoke", ONE, verdict, {})
    place = context.root.state.at(evidence.FOLDER).path / evidence.JOURNAL
    first, second, last = place.read_text().splitlines()
    place.write_text(f"{first}\n{last}\n")
    with pytest.raises(IntegrityError):
        found(context)
    with pytest.raises(IntegrityError):
        evidence.record(context, "smoke", ONE, evidence.PASS, {})
    place.write_text(f"{first}\n{second}\n{last}\n{last[:40]}")  # a writer that was killed
    evidence.record(context, "smoke", ONE, evidence.FAIL, {})
    assert found(context).evidence["smoke"].verdict == "FAIL"


def test_a_bundle_is_one_hash_whatever_the_order(context: Context) -> None:
    made = [evidence.record(context, kind, ONE, evidence.PASS, {}) for kind in ("smoke", "test")]
    assert evidence.bundle(made) == evidence.bundle(reversed(made))
    assert evidence.bundle(made) != evidence.bundle(made[:1])


def test_what_is_found_again_is_not_kept_again(context: Context) -> None:
    first = evidence.confirm(context, "smoke", ONE, evidence.PASS, {"passed": 16})
    assert first is not None
    assert evidence.confirm(context, "smoke", ONE, evidence.PASS, {"passed": 16, "durationMs": 7}) is None
    assert found(context).evidence["smoke"].sha256 == first.sha256
    assert evidence.confirm(context, "smoke", ONE, evidence.FAIL, {}) is not None
    assert found(context).evidence["smoke"].verdict == "FAIL"


def test_what_does_not_pass_is_said_anew_when_its_reason_is_another(context: Context) -> None:
    def said(verdict: str, reason: str) -> evidence.Evidence | None:
        return evidence.confirm(context, "checklist.pre", ONE, verdict, {"reason": reason})

    assert said(evidence.INSUFFICIENT, "3 of 5 items do not hold")
    assert said(evidence.INSUFFICIENT, "3 of 5 items do not hold") is None
    assert said(evidence.INSUFFICIENT, "1 of 5 items does not hold")
    assert found(context).evidence["checklist.pre"].data["reason"] == "1 of 5 items does not hold"
    assert said(evidence.PASS, "all 5 items hold")
    assert said(evidence.PASS, "all 5 items hold, seen again") is None  # signatures name the first


def test_a_reason_with_a_secret_in_it_is_known_again(context: Context) -> None:
    data = {"reason": "it said password=Hunter2-correct-horse to postgresql://u:Hunter2horse@db.example.org/x"}
    assert evidence.confirm(context, "smoke", ONE, evidence.FAIL, data)
    assert evidence.confirm(context, "smoke", ONE, evidence.FAIL, data) is None


def test_of_many_who_find_the_same_at_once_one_is_kept(context: Context) -> None:
    data = {"reason": "all hold"}
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: evidence.confirm(context, "plan", ONE, evidence.PASS, data), range(8)))
    assert len([one for one in kept if one is not None]) == 1
    names = context.root.state.at(evidence.FOLDER).names()
    assert len([name for name in names if name.startswith("plan-")]) == 1
