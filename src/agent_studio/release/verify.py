"""Reads everything again: the history's chain, manifests, objects, and production beside its release."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import IntegrityError
from agent_studio.release import facts
from agent_studio.release.content import manifest
from agent_studio.release.content.store import Store
from agent_studio.release.production import history, switch

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project
    from agent_studio.release.content.manifest import Difference, Entry
    from agent_studio.release.content.tree import Tree
    from agent_studio.storage.chain import Head


class Verified(NamedTuple):
    """What was found."""

    releases: int
    objects: int
    damage: list[str]
    interrupted: bool
    drift: list[Difference]
    """Files of production beside the live release; none while a switch is interrupted."""
    unsettled: dict[str, str]
    """Such as can be no release's, by path, and what to do; as above."""
    head: Head


def verify(project: Project, tree: Tree) -> Verified:
    """Read everything again; raise `IntegrityError` for a history whose chain is broken."""
    past, store = history.read(project), Store(project)
    damage = [fault.reason for fault in store.faults()]
    wanted: dict[str, dict[str, Entry]] = {}
    for name in dict.fromkeys(one.release for one in past.releases if one.release not in past.pruned):
        try:
            wanted[name] = store.manifest(name)
            damage += [f"object {sha} of release {name[:12]} is gone" for sha in _missing(store, wanted[name])]
        except IntegrityError as error:
            damage.append(error.message)
    interrupted = switch.pending(project) is not None
    drift: list[Difference] = []
    unsettled: dict[str, str] = {}
    if past.current is not None and not interrupted and past.current.release in wanted:
        content = tree.read(is_live=True)
        drift = manifest.differences(wanted[past.current.release], content.entries)
        unsettled = facts.unsettled(content)
    return Verified(
        len(past.releases), sum(1 for _ in store.names()), list(dict.fromkeys(damage)), interrupted, drift, unsettled,
        past.head,
    )  # fmt: skip


def _missing(store: Store, entries: dict[str, Entry]) -> list[str]:
    return sorted(sha256[:12] for sha256 in manifest.objects([entries]) if not store.has(sha256))
