"""Promotion: a candidate that the gate lets through becomes production, proves itself there, or goes back."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment import flags
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, ExitCode, UnsafePathError, UsageError
from agent_studio.release import facts, gate, safety
from agent_studio.release.carried import FILE as CONFIGURATION
from agent_studio.release.content import candidates, manifest
from agent_studio.release.content.store import Store
from agent_studio.release.production import history, proof, sessions, switch, whose
from agent_studio.release.production.sides import SOURCE, TO
from agent_studio.release.rollouts import switching

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.release.content.candidates import Made
    from agent_studio.release.facts import Gathered
    from agent_studio.release.gate import Gate
    from agent_studio.release.production.proof import Proof, Settled
    from agent_studio.release.production.sides import Sides


_GRAVE = {ExitCode.INTEGRITY, ExitCode.RECOVERY, ExitCode.BUSY}


class Options(NamedTuple):
    """What a promoter may ask for."""

    adopt: bool = False
    """Keep what drifted in production as a release of its own, before the candidate goes live."""
    discard: bool = False
    """Overwrite what drifted; its bytes stay in the store."""
    wait: bool = False
    """Wait until no session runs in production."""
    dry_run: bool = False
    reason: str = ""
    gradual: bool = False
    """Flags that go on with this promotion are live for a first share of sessions only."""


class Plan(NamedTuple):
    """What would happen."""

    made: Made
    gathered: Gathered
    gate: Gate
    release: str
    """The hash of what would be live; another than the candidate's where flags are carried over."""
    previous: str
    """The release that is live; empty before the first."""
    drift: list[str]
    changes: list[manifest.Difference]
    turned_on: list[str]
    """Flags that are on in production after it and not before."""
    gradual: bool
    """Whether those go live for a first share of sessions only."""
    configured: bytes
    """Production's own configuration as it is live; empty where it has none that can be read."""

    @property
    def is_live(self) -> bool:
        """Whether production is that release already."""
        return self.previous == self.release and not self.changes

    @property
    def is_refused(self) -> bool:
        """Whether the gate keeps it from happening; what is live already needs nobody's word."""
        return bool(self.gate.code) and not (self.is_live and self.gate.code not in _GRAVE)


class Promoted(NamedTuple):
    """What happened."""

    plan: Plan
    settled: Settled | None
    """None where nothing was switched."""
    backup: str
    """The id of the backup that was made before; empty when there is none."""
    notes: list[str]
    way_back: str = ""
    """The release that a rollback leads to now; empty where there is none, or nothing was switched."""


def promote(
    sides: Sides, options: Options, agree: Callable[[Plan], None], prove: Callable[[], Proof] | None = None
) -> Promoted:
    """Promote the working checkout's candidate; `agree` is shown the plan, and raises to stop.

    A gate that refuses is in the plan, and nothing was changed. Raises `BusyError` for another promoter and for
    sessions that run, `RecoveryNeededError`, and `StorageError` with nothing changed.
    """
    if options.adopt and options.discard:
        raise UsageError("--adopt and --discard are opposites", hint="choose one")
    _refuse_gradual(sides, options)
    prove = prove or (lambda: proof.smoke(sides.production, sides.variables, sides.overrides))
    with switch.alone(sides.project, "a promotion or rollback"):
        switch.refuse_pending(sides.project)
        found = plan(
            sides, candidates.create(sides.project), drift_is_settled=options.adopt or options.discard,
            gradual=options.gradual,
        )  # fmt: skip
        if found.is_refused or options.dry_run:
            return Promoted(found, None, "", [])
        _refuse_unready(sides)
        agree(found)
        with sessions.quiet(sides.production, wait=options.wait):
            found = _asked_again(sides, found)
            if found.is_refused:
                return Promoted(found, None, "", [])
            if found.is_live:
                settled = proof.settle(sides.project, sides.target.tree, prove)
                return Promoted(found, settled, "", ["it was live already", *_not_gradual(found)])
            backup, notes = safety.backup(sides, f"before promotion of {found.made.candidate[:12]}")
            notes.extend([*_other_sessions(sides), *_not_gradual(found)])
            live = _settle_drift(sides, found, options, prove)
            _switch(sides, found, options, backup, live)
            settled = proof.settle(sides.project, sides.target.tree, prove)
        return Promoted(found, settled, backup, notes, history.read(sides.project).way_back)


def plan(sides: Sides, made: Made, *, drift_is_settled: bool = False, gradual: bool = False) -> Plan:
    """Return what a promotion of a candidate would do, and what the gate says to it."""
    gathered = facts.gather(sides, made.candidate)
    asked = gathered.facts._replace(drift=()) if drift_is_settled else gathered.facts
    current = gathered.past.current
    return Plan(
        made, gathered, gate.decide(asked), manifest.name_of(manifest.render(gathered.release)),
        "" if current is None else current.release, [*gathered.facts.drift, *gathered.facts.unsettled],
        manifest.differences(gathered.live, gathered.release),
        switching.turned_on(sides, gathered.release, made.candidate), gradual, _configured(sides),
    )  # fmt: skip


def _configured(sides: Sides) -> bytes:
    with suppress(FileNotFoundError, UnsafePathError):
        return sides.target.tree.bytes_at(CONFIGURATION) or b""
    return b""


def _asked_again(sides: Sides, found: Plan) -> Plan:
    """Return the plan as it is now that nobody works in production; time has passed since it was agreed to.

    Raises `DriftError` when production or the flags are no longer what was shown to whoever agreed.
    """
    settled = len(found.gathered.facts.drift) > 0 and not found.gate.code
    again = plan(sides, found.made, drift_is_settled=settled, gradual=found.gradual)
    _refuse_edited(found, again.gathered.live)
    if again.release != found.release:
        raise whose.DriftError("feature flags of staging were just changed by someone else", hint="run it again")
    return again


def _refuse_gradual(sides: Sides, options: Options) -> None:
    """Raise `UsageError` where a promotion cannot hold flags back, because it brings none."""
    if options.gradual and sides.target.tree.around is None:
        raise UsageError(
            "--gradual is of flags, and production is a folder of definitions alone: its flags are this checkout's",
            hint="leave it out; a flag by itself: agent-studio flags set NAME --rollout PERCENT --env production",
        )


def _refuse_edited(found: Plan, live: Mapping[str, manifest.Entry]) -> None:
    """Raise `DriftError` when what is live is no longer what was shown to whoever agreed."""
    edited = manifest.differences(found.gathered.live, live)
    if edited:
        raise whose.DriftError(f"{edited[0].path} in production was just changed by someone else", hint="run it again")


def _refuse_unready(sides: Sides) -> None:
    """Raise `UsageError` when production has no data folders: its smoke tests could only fail."""
    try:
        root = sides.live().root
    except AgentStudioError:
        return  # what is live is broken; the candidate may be what mends it
    if not all(root.folder(kind).has_folder() for kind in KINDS):
        raise UsageError(
            f"production is not initialised: {root.path} lacks data folders",
            hint=f"agent-studio init --env production --project {sides.production.path}",
        )


def _not_gradual(found: Plan) -> list[str]:
    """Return a note where nothing is there to go gradually."""
    if not found.gradual or found.turned_on:
        return []
    return ["--gradual changes nothing: this promotion turns no flag on, and definitions switch whole"]


def _other_sessions(sides: Sides) -> list[str]:
    """Return a note of live sessions that nobody waits for, because `run` did not start them."""
    try:
        found = sessions.others(sides.live().root)
    except AgentStudioError:
        return []
    listed = ", ".join(found)
    return [f"sessions that were not started by run may see some old and some new files: {listed}"] if found else []


def _settle_drift(
    sides: Sides, found: Plan, options: Options, prove: Callable[[], Proof]
) -> dict[str, manifest.Entry]:  # fmt: skip
    """Keep what is live in the store, note what becomes of edits that no release has, and return what is live.

    Raises `DriftError` when that is no longer what was shown to whoever agreed.
    """
    store = Store(sides.project)
    with store.bulk():
        kept = sides.target.tree.read(store.put, is_live=True).entries
        release = store.put(manifest.render(kept))
    _refuse_edited(found, kept)
    if options.adopt and found.drift:
        history.append(
            sides.project,
            {"step": history.ADOPT, "id": history.new_id(), "release": release, "candidate": release,
             "previous": found.previous, "who": flags.default_who(sides.project), "files": found.drift},
        )  # fmt: skip
        proof.settle(sides.project, sides.target.tree, prove)  # only what works is a way back
    if options.discard:
        proof.keep_drift(sides.project, [manifest.Difference(path, None, kept.get(path)) for path in found.drift])
    return kept


def _switch(
    sides: Sides, found: Plan, options: Options, backup: str, live: Mapping[str, manifest.Entry]
) -> None:  # fmt: skip
    project, tree, gathered = sides.project, sides.target.tree, found.gathered
    Store(project).put(manifest.render(gathered.release))
    who = flags.default_who(project)
    switching.begin(sides, found.turned_on, gradually=found.gradual, who=who, release=found.release)
    try:
        switch.switch(project, tree, live, gathered.release, _record(sides, found, options, backup, live))
    except AgentStudioError:
        if switch.pending(project) is None:
            switching.follow(project, tree)  # nothing was switched: what was begun ends
        raise


def _record(
    sides: Sides, found: Plan, options: Options, backup: str, live: Mapping[str, manifest.Entry]
) -> dict[str, Any]:
    """Return the line of the history: what went live, on whose word, instead of what."""
    known = found.gathered.facts
    signed = facts.signed_by([one for one, fault in gate.judged(known) if not fault])
    current = history.read(sides.project).current  # an adoption may have come between
    return {
        "step": history.PROMOTE, "release": found.release, "candidate": found.made.candidate,
        "previous": "" if current is None else current.release,
        "before": manifest.name_of(manifest.render(live)) if current is None else "",
        "from": str(SOURCE), "to": str(TO), "separation": known.separation,
        "flags": dict(found.gathered.carried.flags), "gradual": found.turned_on if found.gradual else [],
        "policy": known.policy.sha256, "governedBy": known.policy.of,
        "bootstrap": known.policy.bootstrap, "commit": found.made.commit, "signed": signed,
        "nonces": facts.nonces([*known.signatures, *known.waivers]),
        "gate": [[one.name, one.verdict] for one in found.gate.requirements], "backup": backup,
        "ledger": safety.ledger_head(sides), "who": flags.default_who(sides.project), "reason": options.reason,
    }  # fmt: skip
