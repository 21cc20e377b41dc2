"""Cleaning the store up: what no release, candidate with evidence, or kept edit needs goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.detect import Environment
from agent_studio.release import candidates, evidence, history, manifest
from agent_studio.release.store import Store
from agent_studio.storage import chained

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project


def collect(project: Project) -> int:
    """Remove objects that nothing refers to and return how many; the caller holds `switch.alone`.

    Every release that was ever live stays, whole, with every edit that was kept, and every candidate that was made.
    Raises `IntegrityError` for a damaged history or manifest; then nothing goes.
    """
    store, past = Store(project), history.read(project)
    manifests = {str(one[name]) for one in past.records for name in ("release", "candidate", "before") if one.get(name)}
    manifests |= set(candidates.made(project))
    for environment in Environment:
        held = chained.read(project.state(environment).at(evidence.FOLDER), evidence.JOURNAL)
        manifests |= {str(one["candidate"]) for one in held.records}
    there = {name for name in manifests if store.has(name)}
    kept = {str(one["sha256"]) for one in past.records if one["step"] == history.KEPT}
    return store.collect(there | kept | manifest.objects(store.manifest(name) for name in there))
