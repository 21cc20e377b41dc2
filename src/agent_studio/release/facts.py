"""What is known about a candidate when the gate is asked, gathered from store, history, evidence and signatures."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import IntegrityError
from agent_studio.release import eval_standing, evidence, gate, policy
from agent_studio.release.burnin import progress
from agent_studio.release.carried import carried
from agent_studio.release.checklists import grave
from agent_studio.release.content import candidates as made
from agent_studio.release.content import manifest
from agent_studio.release.content.store import Store
from agent_studio.release.content.tree import Content
from agent_studio.release.gate import Facts
from agent_studio.release.production import history, switch, whose
from agent_studio.release.production.sides import SOURCE, TO
from agent_studio.release.signing import signoff, statement, withdrawals
from agent_studio.release.signing.signoff import WAIVES, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.roots import Project
    from agent_studio.release.carried import Carried
    from agent_studio.release.content.candidates import Made
    from agent_studio.release.content.manifest import Entry
    from agent_studio.release.evidence import Evidence, Found
    from agent_studio.release.policy import Policy
    from agent_studio.release.production.history import History
    from agent_studio.release.production.sides import Sides
    from agent_studio.release.signing.signoff import Checked


class Gathered(NamedTuple):
    """All that a promotion works with."""

    facts: Facts
    subject: Subject
    """What a sign-off has to be about, the waivers that count among it: they come first."""
    waiving: Subject
    """The same without any waiver; what a waiver has to be about is its part on one requirement, see `waives`."""
    carried: Carried
    release: Mapping[str, Entry]
    """The files that would be live: the candidate's with its flags, as far as the target has a place for them."""
    live: Mapping[str, Entry]
    """The files that are live."""
    past: History

    def waives(self, item: str) -> Subject:
        """Return what a waiver of a requirement has to be about: of all evidence only that of its own kind."""
        return _waives(self.waiving, item, self.facts.evidence)


def gather(sides: Sides, candidate: str) -> Gathered:
    """Gather everything about a candidate that is in the store.

    Raises `IntegrityError` for a damaged history or journal of evidence, `ConfigurationError` for one that cannot be
    read.
    """
    project, tree = sides.project, sides.target.tree
    entries = Store(project).manifest(candidate)
    past, found = history.read(project), evidence.of(project, SOURCE, candidate)
    content = _live(sides, past)
    live = content.entries
    rules = policy.in_force(project, candidate)
    flags = carried(sides.staging, entries, candidate, is_read=tree.around is not None)
    release = tree.takes(flags.entries)
    noted = made.of(project, candidate)
    opened = grave.of(sides.staging)
    before = live if past.current is None else Store(project).manifest(past.current.release)
    changes, then = manifest.differences(before, release), policy.own(project, candidate)
    told = statement.details(noted, changes, found.evidence.values(), rules, then)
    waiving = Subject(
        project.path.name, candidate, str(SOURCE), str(TO), evidence.bundle(found.evidence.values()), rules.sha256,
        "" if past.governing is None else past.governing.release, flags.flags, sides.target.separation, told,
    )  # fmt: skip
    waivers, signatures, subject = _statements(project, waiving, rules, past, found, noted)
    evals = eval_standing.standing(sides.staging, rules.values, found.evidence)
    facts = Facts(
        candidate, sides.target.separation, rules, found.evidence, signatures, waivers, noted.authors, clock.now(),
        (*found.faults, *_damage(Store(project), entries, past), *evals.damage),
        interrupted=switch.pending(project) is not None, drift=drift(sides, past, live, entries, flags.entries),
        unsettled=unsettled(content),
        issues=opened.grave, unclear=opened.unclear,
        unsignable=statement.unmeetable(then, clock.now()),
        absent=sides.target.absent, broken=progress.broken(sides, candidate),
        live="" if past.current is None else past.current.release, evals=evals,
    )  # fmt: skip
    return Gathered(facts, subject, waiving, flags, release, live, past)


def _live(sides: Sides, past: History) -> Content:
    """Return what is live, nothing where that is not on this machine; refuse a target that is not this history's."""
    if sides.target.absent:
        return Content({}, [], {}, {})
    whose.refuse_moved(sides.project, sides.target.tree, past)
    whose.refuse_other(sides.production, sides.project, past)
    return sides.target.tree.read(is_live=True)


def _statements(
    project: Project, waiving: Subject, rules: Policy, past: History, found: Found, noted: Made
) -> tuple[list[Checked], list[Checked], Subject]:
    """Return waivers, sign-offs, and what the latter have to be about: who signs is told what is waived."""
    files = signoff.kept(project, waiving.candidate)
    withdrawn = withdrawals.of(project, waiving.candidate)
    latest = newest_time(past, found.evidence)

    def checked(name: str, subject: Subject) -> Checked:
        one = signoff.check(files[name], name, subject, rules, past.used_nonces, latest)
        return withdrawals.applied(one, withdrawn, rules)

    waived = {name: item for name, data in files.items() if (item := signoff.waived_by(data)) is not None}
    waivers = [checked(name, _waives(waiving, item, found.evidence)) for name, item in waived.items()]
    one_person = bool(rules.values.get("onePerson"))
    good = [one for one in waivers if not gate.waiver_fault(one, noted.authors, one_person=one_person)]
    subject = waiving._replace(details={**(waiving.details or {}), "waivers": statement.waived(good)})
    return waivers, [checked(name, subject) for name in files if name not in waived], subject


def _waives(waiving: Subject, item: str, held: Mapping[str, Evidence]) -> Subject:
    own = [one for kind, one in held.items() if kind == item]
    told = {**(waiving.details or {}), "evidence": statement.told_evidence(own)}
    return waiving._replace(evidence=evidence.bundle(own), details=told)


def newest_time(past: History, held: Mapping[str, Evidence]) -> datetime | None:
    """Return the newest time that was recorded, which a clock that was set back is behind; None before any."""
    times = []
    for time in (*(str(one.get("time")) for one in past.records), *(one.time for one in held.values())):
        with suppress(ValueError):
            times.append(datetime.fromisoformat(time).astimezone(UTC))
    return max(times, default=None)


def unfit(gathered: Gathered, stated: Mapping[str, Any]) -> str:
    """Return why a statement would not count whoever signed it, empty when it would."""
    subject = gathered.waives(str(stated[WAIVES])) if WAIVES in stated else gathered.subject
    latest = newest_time(gathered.past, gathered.facts.evidence)
    return signoff.unfit(stated, subject, gathered.past.used_nonces, latest)


def worth(project: Project, gathered: Gathered, data: bytes, shown: str) -> tuple[Checked, str]:
    """Return a signed file as it was checked, and why it does not do for its requirement, empty when it does."""
    known, item = gathered.facts, signoff.waived_by(data)
    waives, subject = item is not None, gathered.subject if item is None else gathered.waives(item)
    latest = newest_time(gathered.past, known.evidence)
    one = withdrawals.applied(
        signoff.check(data, shown, subject, known.policy, gathered.past.used_nonces, latest),
        withdrawals.of(project, known.candidate), known.policy,
    )  # fmt: skip
    others = [other for other in (known.waivers if waives else known.signatures) if other.statement != one.statement]
    asked = known._replace(waivers=[one, *others]) if waives else known._replace(signatures=[one, *others])
    return next(pair for pair in gate.judged(asked) if pair[0] is one)


def drift(sides: Sides, past: History, live: Mapping[str, Entry], *candidates: Mapping[str, Entry]) -> Sequence[str]:
    """Return the files of production that are neither the live release's nor a candidate's.

    Before the first release those are somebody else's, unless production was made by us, and is as it was made.
    """
    if sides.target.absent:
        return []
    store = Store(sides.project)
    held = whose.read(sides.production) if past.current is None else None
    known = past.current.release if past.current else held.baseline if held else ""
    expected = store.manifest(known) if known and store.has(known) else {}
    return [
        one.path
        for one in manifest.differences(expected, live)
        if not any(one.new == entries.get(one.path) for entries in candidates) and (past.current or one.new is not None)
    ]


def unsettled(content: Content) -> dict[str, str]:
    """Return what stands among live definitions and can be no release's, by path, and what to do about it."""
    out = "{} is a link that leads out of production: remove it, or put what it leads to in its place"
    return {
        **{path: out.format(path) for path in content.led_out},
        **{path: f"{why}: rename or remove it" for path, why in content.misnamed.items()},
    }


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
    """Return who signed, for the record; of a waiver also what it waives, and why."""
    return [
        {
            "role": one.role, "who": one.who, "key": one.key, "nonce": str(one.statement["nonce"]),
            **{name: str(one.statement[name]) for name in (WAIVES, "why") if WAIVES in one.statement},
        }
        for one in checked
        if one.counts
    ]  # fmt: skip


def nonces(checked: Sequence[Checked]) -> list[str]:
    """Return the nonces that a promotion uses up: of all that was signed of its candidate, counted or not."""
    return sorted({str(one.statement["nonce"]) for one in checked if one.statement.get("nonce")})
