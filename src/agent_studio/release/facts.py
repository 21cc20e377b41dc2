"""What is known about a candidate when the gate is asked, gathered from store, history, evidence and signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import IntegrityError
from agent_studio.release import candidates as made
from agent_studio.release import evidence, history, manifest, policy, signoff, switch
from agent_studio.release.carried import carried
from agent_studio.release.gate import Facts
from agent_studio.release.sides import SOURCE, TO
from agent_studio.release.signoff import Subject
from agent_studio.release.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.release.carried import Carried
    from agent_studio.release.history import History
    from agent_studio.release.manifest import Entry
    from agent_studio.release.sides import Sides
    from agent_studio.release.signoff import Checked

WAIVES = "waives"
"""Field of a signed statement that waives a requirement; its `why` says the reason."""


class Gathered(NamedTuple):
    """All that a promotion works with."""

    facts: Facts
    subject: Subject
    """What a signature has to be about."""
    carried: Carried
    release: Mapping[str, Entry]
    """The files that would be live: the candidate's with its flags, as far as the target has a place for them."""
    live: Mapping[str, Entry]
    """The files that are live."""
    past: History


def gather(sides: Sides, candidate: str) -> Gathered:
    """Gather everything about a candidate that is in the store.

    Raises `IntegrityError` for a damaged history or journal of evidence, `ConfigurationError` for one that cannot be
    read.
    """
    project, tree = sides.project, sides.target.tree
    entries = Store(project).manifest(candidate)
    past, found = history.read(project), evidence.of(project, SOURCE, candidate)
    rules, flags = policy.in_force(project, candidate), carried(sides.staging, entries, candidate)
    release, live = tree.takes(flags.entries), tree.read().entries
    subject = Subject(
        project.path.name, candidate, str(SOURCE), str(TO), evidence.bundle(found.evidence.values()), rules.sha256,
        "" if past.governing is None else past.governing.release, flags.flags, sides.target.separation,
    )  # fmt: skip
    checked = [
        signoff.check(data, name, subject, rules, past.used_nonces)
        for name, data in signoff.kept(project, candidate).items()
    ]
    facts = Facts(
        candidate, sides.target.separation, rules, found.evidence,
        [one for one in checked if WAIVES not in one.statement],
        {str(one.statement[WAIVES]): one for one in checked if WAIVES in one.statement},
        made.of(project, candidate).author, (*found.faults, *_damage(project_store(sides), entries, past)),
        interrupted=switch.pending(project) is not None, drift=drift(sides, past, live, entries, flags.entries),
    )  # fmt: skip
    return Gathered(facts, subject, flags, release, live, past)


def project_store(sides: Sides) -> Store:
    """Return the store that holds all releases."""
    return Store(sides.project)


def drift(sides: Sides, past: History, live: Mapping[str, Entry], *candidates: Mapping[str, Entry]) -> Sequence[str]:
    """Return the files of production that are neither the live release's nor a candidate's; none before the first."""
    if past.current is None:
        return []
    current = project_store(sides).manifest(past.current.release)
    return [
        one.path
        for one in manifest.differences(current, live)
        if not any(one.new == entries.get(one.path) for entries in candidates)
    ]


def _damage(store: Store, entries: Mapping[str, Entry], past: History) -> list[str]:
    """Read the objects of the candidate and of the live release again."""
    manifests = [entries]
    if past.current is not None:
        manifests.append(store.manifest(past.current.release))
    damage = []
    for sha256 in sorted(manifest.objects(manifests)):
        try:
            store.read(sha256)
        except IntegrityError as error:
            damage.append(error.message)
    return damage


def signed_by(checked: Sequence[Checked]) -> list[dict[str, str]]:
    """Return who signed, for the record."""
    return [
        {"role": one.role, "who": one.who, "key": one.key, "nonce": str(one.statement["nonce"])}
        for one in checked
        if one.counts
    ]
