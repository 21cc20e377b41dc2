"""After a switch: production proves that it works, or goes back to where it last did."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import Project
from agent_studio.release.content import manifest
from agent_studio.release.content.store import Store
from agent_studio.release.production import history, switch, whose
from agent_studio.release.production.sides import PRODUCTION
from agent_studio.release.rollouts import switching
from agent_studio.staging.smoke import run_smoke
from agent_studio.staging.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_studio.release.content.tree import Tree
    from agent_studio.release.production.history import Release


class Proof(NamedTuple):
    """What smoke tests of production found."""

    passed: int
    failed: int
    faults: Sequence[str]
    """What is wrong; empty when production works."""


class Settled(NamedTuple):
    """What became of a switch."""

    proof: Proof
    """Of the release that was switched to."""
    returned_to: str
    """The release that production went back to; empty when it stayed."""
    after: Proof | None
    """Of that release."""


def smoke(production: Project, variables: Mapping[str, str], overrides: Sequence[str] = ()) -> Proof:
    """Run the smoke tests in production; a required check that could not run is a fault too."""
    report = run_smoke(Subject(production, PRODUCTION, variables, list(overrides)))
    faults = [
        f"{one.name}: {one.message}"
        for one in report.outcomes
        if one.verdict == "FAIL" or (one.verdict == "SKIPPED" and one.required)
    ]
    return Proof(report.count("PASS"), len(faults), faults)


def settle(project: Project, tree: Tree, prove: Callable[[], Proof]) -> Settled | None:
    """Prove what is live and note it; what a promotion made live and does not work goes back.

    None when it was proven before. Gradual rollouts follow what is live in the end. The caller holds `switch.alone`;
    killed anywhere, the next call goes on.
    """
    settled = _settled(project, tree, prove)
    switching.follow(project, tree)
    if tree.around is not None:
        whose.note(Project(tree.around), project, history.read(project).head)
    return settled


def _settled(project: Project, tree: Tree, prove: Callable[[], Proof]) -> Settled | None:
    past = history.read(project)
    current = past.current
    if current is None or current.healthy or (current.healthy is False and current.step != history.PROMOTE):
        return None
    proof = prove() if current.healthy is None else _noted(past, current)
    if current.healthy is None:
        _note(project, current, proof)
    if not proof.faults or current.step != history.PROMOTE:
        return Settled(proof, "", None)
    back = past.way_back
    if not back:
        return Settled(proof, "", None)
    reason = f"smoke tests of production failed: {proof.faults[0]}"
    to(project, tree, back, {"step": history.ROLLBACK, "reason": reason, "automatic": True})
    after = prove()
    returned = history.read(project).current
    if returned is not None:
        _note(project, returned, after)
    return Settled(proof, back, after)


def to(project: Project, tree: Tree, release: str, record: Mapping[str, object]) -> str:
    """Switch to a release that is in the store and note it; what nobody expected in production is kept first.

    Returns the id of the switch.
    """
    past = history.read(project)
    previous = "" if past.current is None else past.current.release
    store = Store(project)
    with store.bulk():
        live = tree.read(store.put, is_live=True).entries
    if past.current is not None:
        keep_drift(project, manifest.differences(store.manifest(past.current.release), live))
    known = next((one for one in reversed(past.releases) if one.release == release), None)
    candidate = release if known is None else known.candidate
    return switch.switch(
        project, tree, live, store.manifest(release),
        {**record, "release": release, "candidate": candidate, "previous": previous},
    )  # fmt: skip


def keep_drift(project: Project, found: Sequence[manifest.Difference]) -> None:
    """Note bytes of production that no release has, and that a switch is about to replace; the store has them."""
    kept = [{"path": one.path, "sha256": "" if one.new is None else one.new.sha256} for one in found]
    if kept:
        history.append(project, {"step": history.KEPT, "id": history.new_id(), "files": kept})


def _noted(past: history.History, release: Release) -> Proof:
    """Return what was found of a release before."""
    told = next(one["smoke"] for one in past.records if (one["step"], one["id"]) == (history.HEALTH, release.id))
    return Proof(told["passed"], told["failed"], told["faults"])


def _note(project: Project, release: Release, proof: Proof) -> None:
    told = {"passed": proof.passed, "failed": proof.failed, "faults": list(proof.faults)[:10]}
    history.append(
        project,
        {"step": history.HEALTH, "id": release.id, "release": release.release, "healthy": not proof.faults,
         "smoke": told},
    )  # fmt: skip
