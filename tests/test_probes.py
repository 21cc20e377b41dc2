"""Probes use the features of this version, see when one is broken, and leave nothing behind."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.cost import verify
from agent_studio.cost.calls import Ledger
from agent_studio.environment import flags
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.knowledge.base import KnowledgeBase
from agent_studio.memory.sidecar import Sidecar
from agent_studio.reasoning.elicitation import gate
from agent_studio.reasoning.party import consensus
from agent_studio.release.checklists import probes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio


def staging(studio: Studio) -> Context:
    return open_context(Project(studio.path.resolve()), Choice(Environment.STAGING, "--env"), {})


def verdicts(studio: Studio) -> dict[str, str]:
    return {one.feature: one.verdict for one in probes.run(staging(studio))}


def test_every_part_of_this_version_is_tried_and_the_others_are_named(staged: Studio) -> None:
    staged.write(".claude/config.yaml", "features:\n  ourOwn:\n    enabled: true\n")
    found = verdicts(staged)
    assert found == {
        "flags": "PASS", "knowledgeBase": "PASS", "costTracking": "PASS",
        "partyMode": "PASS", "advancedElicitation": "PASS", "sidecarMemory": "PASS", "ourOwn": "",
    }  # fmt: skip


def test_probes_leave_no_trace(staged: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(place))
    before = staged.snapshot()
    probes.run(staging(staged))
    assert staged.snapshot() == before
    assert list(place.iterdir()) == []


def test_a_feature_that_is_off_was_not_tried_and_that_is_no_pass(staged: Studio) -> None:
    done = staged.run("flags", "kill", "costTracking", "--reason", "a trial", "--env", "staging")
    assert done.code == 0, done.err
    found = {one.feature: one for one in probes.run(staging(staged))}
    assert found["costTracking"].verdict == "INSUFFICIENT"
    assert "a trial" in found["costTracking"].message
    assert found["flags"].verdict == "PASS"


def test_a_project_without_artifacts_is_asked_in_an_index_of_the_probe_alone(tmp_path: Path) -> None:
    from tests.conftest import Studio

    studio = Studio(tmp_path / "empty")
    studio.write(".claude/config.yaml", "")
    studio.write(".claude/config.staging.yaml", "testData:\n  seedData: false\n")
    found = {one.feature: one for one in probes.run(staging(studio))}
    assert found["knowledgeBase"].verdict == "PASS"
    assert "no artifacts" in found["knowledgeBase"].message


def _lost(self: Ledger, **fields: Any) -> None:
    """Record nothing."""


def _unfound(*_: Any) -> Any:
    return type("Answer", (), {"hits": []})()


@pytest.mark.parametrize(
    ("feature", "what", "name", "broken"),
    [
        ("costTracking", Ledger, "record", _lost),
        ("knowledgeBase", KnowledgeBase, "search", _unfound),
        ("flags", flags, "kill", lambda *_, **__: None),
        ("flags", flags, "lift", lambda *_, **__: None),
        ("partyMode", consensus, "state_of", lambda _: consensus.STRONG),
        ("advancedElicitation", gate, "faults", lambda *_: ("a fault",)),
        ("sidecarMemory", Sidecar, "search", lambda *_, **__: []),
    ],
)
def test_a_broken_feature_fails_and_the_others_are_tried_all_the_same(
    staged: Studio, monkeypatch: pytest.MonkeyPatch, feature: str, what: Any, name: str, broken: Any
) -> None:
    monkeypatch.setattr(what, name, broken)
    found = verdicts(staged)
    assert {one for one, verdict in found.items() if verdict == "FAIL"} == {feature}
    assert sum(verdict == "PASS" for verdict in found.values()) == 5


def test_a_ledger_that_verifies_whatever_is_in_it_fails(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = verify.verify

    def blind(roots: Any) -> Any:
        found = sound(roots)
        found.first_bad = None
        return found

    monkeypatch.setattr(verify, "verify", blind)
    found = {one.feature: one for one in probes.run(staging(staged))}
    assert "a changed record of the ledger verifies" in found["costTracking"].message
