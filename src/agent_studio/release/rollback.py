"""The three ways back: staging made anew, production at its last healthy release, staging from a backup or not at all.

Evidence, history and archived data stay whatever is done, and a burn-in starts anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.capture.otlp import daemon
from agent_studio.environment import disabled, flags
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, StorageError
from agent_studio.release import checked, evidence, rollback_checks, safety
from agent_studio.release.backups import backup, places, restore, verifying
from agent_studio.release.backups.backup import SUSPECT
from agent_studio.release.burnin import progress
from agent_studio.release.content import git
from agent_studio.release.content.candidate import candidate
from agent_studio.release.production import history, proof, sessions, switch, whose
from agent_studio.release.production.sides import SOURCE
from agent_studio.release.rollback_checks import Step
from agent_studio.staging import init, runners, suite
from agent_studio.staging.smoke import run_smoke
from agent_studio.staging.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.release.backups.backup import Backup
    from agent_studio.release.production.proof import Proof
    from agent_studio.release.production.sides import Sides
    from agent_studio.staging.smoke import SmokeReport

RESTART, REVERT, NUCLEAR = 1, 2, 3
PLANNED, DISABLED = "PLANNED", "staging disabled"
_NO_BACKUP = "there is no backup that verifies"
_BUT = ", other than those that a rollback or restore has made (--backup ID takes one)"


class Options(NamedTuple):
    """What is asked for."""

    level: int
    reason: str
    by_git: bool = False
    """Revert the checkout's last commit instead of switching production."""
    backup: str = ""
    """The backup to restore; when empty the newest that verifies and that no rollback or restore has made."""
    wait: bool = False
    dry_run: bool = False


class RolledBack(NamedTuple):
    """What happened."""

    level: int
    release: str
    previous: str
    steps: list[Step]
    passed: int
    failed: int
    backup: str
    """The backup that was made before, of production's data at level 2; empty when none was."""
    restored: str
    """The backup that was restored; empty when none was."""
    would_be: str = ""
    """The release that a dry run would make live; empty for none."""

    @property
    def code(self) -> ExitCode:
        """6 when staging is disabled now, 1 when a step failed, 3 when nothing showed that the project's tests pass."""
        if any(one.name == DISABLED and one.verdict != PLANNED for one in self.steps):
            return ExitCode.RECOVERY
        verdicts = {one.verdict for one in self.steps}
        if "FAIL" in verdicts:
            return ExitCode.FAILED
        return ExitCode.INSUFFICIENT if evidence.INSUFFICIENT in verdicts else ExitCode.DONE


class _Run:
    """One rollback as it goes on."""

    def __init__(self, sides: Sides, options: Options, prove: Callable[[], Proof]) -> None:
        self.sides, self.options, self.prove = sides, options, prove
        self.project = sides.project
        self.steps: list[Step] = []
        self.backup = ""
        self.chosen = self._chosen() if options.level == NUCLEAR else None
        self.proof = proof.Proof(0, 0, ())
        self.leaves_staging = ""
        """Why a level 2 does nothing to staging; empty while it does."""

    def note(self, name: str, message: str, verdict: str = evidence.PASS) -> None:
        """Note what was found or done."""
        self.steps.append(Step(name, verdict, message))

    def plan(self, *steps: tuple[str, str]) -> None:
        """Note what would be done."""
        self.steps.extend(Step(name, PLANNED, message) for name, message in steps)

    def _chosen(self) -> Backup | None:
        """Return the backup that level 3 restores, before one of what is there now is made; None for none."""
        root = self.sides.staging.root
        own = self.options.backup or verifying.newest(self.sides.staging, but_by=SUSPECT)
        if not own:
            return None
        with places.alone(root, "a rollback"):
            return restore.plan(root, own).backup

    @property
    def lacking(self) -> str:
        """Say that there is no backup to restore, and what backups there are all the same."""
        others = any(one["by"] in SUSPECT for one in backup.listed(self.sides.staging.root))
        return f"{_NO_BACKUP}{_BUT if others else ''}"

    # Level 1

    def restart(self) -> None:
        """Stop staging's own processes, archive its data, make it anew and prove it."""
        if self.options.dry_run:
            self.plan(
                ("stop", _daemon(self.sides)), ("archive", f"move the data in {self.sides.staging.root.path} aside"),
                ("create", "make staging anew and seed it"), ("smoke", "run the smoke tests of staging"),
            )  # fmt: skip
            return
        self._stop()
        self._anew()
        watch = checked.Watch(self.sides.staging)
        watch.keep(checked.of_smoke(self._smoke()))
        self._burn_in_anew()

    def _smoke(self) -> SmokeReport:
        report = run_smoke(Subject(self.project, self.sides.staging.choice, self.sides.variables))
        wrong = [one.name for one in report.outcomes if one.verdict == "FAIL"]
        self.proof = proof.Proof(report.count("PASS"), report.count("FAIL"), wrong)
        named = f": {', '.join(wrong)}" if wrong else ""
        told = f"{self.proof.passed} passed, {self.proof.failed} failed{named}"
        self.note("smoke", told, evidence.FAIL if report.code else evidence.PASS)
        return report

    def _stop(self) -> None:
        try:
            stopped = daemon.stop(self.sides.staging.root)
        except TimeoutError:
            raise StorageError("staging's daemon does not stop", hint="end it, then run the command again") from None
        self.note("stop", f"stopped process {stopped.pid}" if stopped else "no daemon ran")

    def _anew(self) -> None:
        arguments = (self.project, self.sides.staging.choice, self.sides.variables, self.sides.overrides)
        with restore.unused(self.sides.staging, wait=self.options.wait):
            report = init.initialise(*arguments, init.Options(reset=True))
        self.note("archive", f"data moved to {report.archived}" if report.archived else "there was no data")
        if report.failure:
            raise report.failure
        self.note("create", f"{len(report.items)} folders and files, {report.rows} artifacts")

    def _burn_in_anew(self) -> None:
        reason = f"staging was rolled back (level {self.options.level}): the burn-in starts anew"
        staging, sha256 = self.sides.staging, candidate(self.project).sha256
        evidence.confirm(staging, "burnin", sha256, evidence.INSUFFICIENT, {"reason": reason})
        evidence.void(staging, progress.EVIDENCE, sha256, reason)

    # Level 2

    def revert(self) -> str:
        """Bring production to its last healthy release; return that."""
        past = history.read(self.project)
        back = past.way_back
        if self.options.dry_run:
            healthy = past.last_healthy
            what = f"live and healthy since {healthy.time}" if healthy else "what was there before the first release"
            smoke = ("production smoke", "run the smoke tests of production")
            self.plan(("switch", f"production goes back to {back[:12]}, {what}"), smoke)
            return back
        with sessions.quiet(self.sides.production, wait=self.options.wait):
            record = {
                "step": history.ROLLBACK, "level": REVERT, "reason": self.options.reason, "automatic": False,
                "backup": self.backup, "who": flags.default_who(self.project), "ledger": safety.ledger_head(self.sides),
            }  # fmt: skip
            proof.to(self.project, self.sides.target.tree, back, record)
            self.note("switch", f"production is {back[:12]} again")
            settled = proof.settle(self.project, self.sides.target.tree, self.prove)
        if settled:
            told = f"{settled.proof.passed} passed, {settled.proof.failed} failed"
            self.note("production smoke", told, evidence.FAIL if settled.proof.faults else evidence.PASS)
        return back

    def revert_commit(self) -> None:
        """Revert the checkout's last commit."""
        if self.options.dry_run:
            self.plan(("git revert", "git revert --no-edit HEAD"))
            return
        git.run(self.project.path, "revert", "--no-edit", "HEAD")
        self.note("git revert", f"the checkout is at {git.state(self.project.path).commit}")

    def test(self) -> None:
        """Run the project's own suite in staging."""
        if self.options.dry_run:
            self.plan(("test", "run the project's full suite in staging"))
            return
        context = self.sides.staging
        try:
            chosen = runners.choose(self.project.path, [], context.config["test.command"], "test.command")
        except AgentStudioError as error:
            self.note("test", error.message, evidence.INSUFFICIENT)
            return
        watch = checked.Watch(context)
        found = suite.run_suite(context, chosen, self.sides.variables, candidate=watch.candidate, echo=lambda _: None)
        watch.keep(checked.of_suite(found))
        counts = ", ".join(f"{found.evidence[name] or 0} {name}" for name in ("passed", "failed", "skipped"))
        self.note("test", f"{found.verdict}: {counts}", str(found.verdict))

    # Level 3

    def nuclear(self) -> None:
        """Archive staging and restore a backup; without one put staging out of use."""
        if self.options.dry_run:
            smoke = "which verifies, and run the smoke tests of staging"
            self.plan(
                ("stop", _daemon(self.sides)), ("archive", f"move the data in {self.sides.staging.root.path} aside"),
                ("restore", f"restore {_told(self.chosen)}, {smoke}") if self.chosen
                else (DISABLED, f"{self.lacking}, so staging would be disabled"),
            )  # fmt: skip
            return
        self._stop()
        self._restore(self.chosen) if self.chosen else self._disable()
        self._burn_in_anew()

    def _restore(self, chosen: Backup) -> None:
        """Restore a backup in the place of what moves aside, both or neither."""
        staging, place = self.sides.staging, f"archive/{clock.file_stamp(clock.now())}"
        done = restore.restore(
            staging, chosen.id, lambda _: None, archive=place, wait=self.options.wait, before=self.backup
        )
        self.note("archive", f"data moved to {staging.root.state.at(place).path}")
        self.note("restore", "; ".join((f"restored backup {chosen.id}", *done.notes)))
        self._smoke()

    def _disable(self) -> None:
        lacking = self.lacking
        with restore.unused(self.sides.staging, wait=self.options.wait):
            archived = init.archive(self.sides.staging.root)
            self.note("archive", f"data moved to {archived}" if archived else "there was no data")
            reason = f"{self.options.reason} (rollback level 3: {lacking})"
            disabled.disable(self.project, reason, flags.default_who(self.project))
        self.note(DISABLED, f"{lacking}; go on in development, or: agent-studio init --env staging --reset")


def roll_back(
    sides: Sides, options: Options, agree: Callable[[str], None], prove: Callable[[], Proof] | None = None
) -> RolledBack:
    """Go back by a level; `agree` is told what level 3 restores, and raises to stop before anything is changed.

    Raises `BusyError`, `RecoveryNeededError`, `NothingToReturnToError`, `GitError`, `StorageError`.
    """
    prove = prove or (lambda: proof.smoke(sides.production, sides.variables, sides.overrides))
    with switch.alone(sides.project, "a promotion or rollback"):
        switch.refuse_pending(sides.project)
        run = _Run(sides, options, prove)
        past = history.read(sides.project)
        if options.level == REVERT and not options.by_git:
            whose.refuse_moved(sides.project, sides.target.tree, past)
            whose.refuse_other(sides.production, sides.project, past)
        previous = "" if past.current is None else past.current.release
        if options.level == REVERT:
            rollback_checks.refuse_nowhere(sides.project, past, by_git=options.by_git)
        _look(run, past)
        held = rollback_checks.held(sides, is_needed=options.level != REVERT)
        if not options.dry_run:
            agree(_told(run.chosen) if run.chosen else "")
        _back_up(run)
        release = _carry_out(run, previous)
        if not options.dry_run:
            run.steps.extend(rollback_checks.after(sides, held))
            if options.level != REVERT or options.by_git:
                _record(run, release)
    restored = "" if options.dry_run or run.chosen is None else run.chosen.id
    live, would_be = (previous, release) if options.dry_run else (release, "")
    return RolledBack(
        options.level, live, previous, run.steps, run.proof.passed, run.proof.failed, run.backup, restored, would_be
    )


def _look(run: _Run, past: history.History) -> None:
    """Note what is there before."""
    options, target = run.options, ""
    if options.level == REVERT and not options.by_git:
        target = past.way_back[:12]
    for one in rollback_checks.before(run.sides, target, staging_only=options.level != REVERT, wait=options.wait):
        run.note(one.name, one.message, one.verdict)
        if one.verdict == evidence.FAIL:
            run.leaves_staging = one.message


def _back_up(run: _Run) -> None:
    """Back up what is about to be touched; nothing about that must keep production from going back."""
    reason = f"before rollback level {run.options.level}"
    makers: dict[str, Callable[[], tuple[str, list[str]]]] = {}
    if not run.leaves_staging:
        makers["staging"] = lambda: safety.of(run.sides.staging, reason, whole_ledger=False)
    if run.options.level == REVERT:
        makers["production"] = lambda: safety.backup(
            run.sides, reason, whole_ledger=False, by=backup.ROLLBACK
        )  # fmt: skip
    if run.options.dry_run:
        run.plan(*((f"backup of {name}", "back its data up first") for name in makers))
        return
    for name, make in makers.items():
        try:
            run.backup, notes = make()
        except AgentStudioError as error:
            is_damaged = isinstance(error, IntegrityError)
            if run.options.level != REVERT and not is_damaged:
                raise
            run.backup = ""
            run.note(f"backup of {name}", error.message, evidence.FAIL)
            if name == str(SOURCE) and not is_damaged:
                run.leaves_staging = error.message
        else:
            run.note(f"backup of {name}", "; ".join(filter(None, (run.backup, *notes))))


def _told(made: Backup) -> str:
    """Say which backup is meant: enough to see that it is not the one to get away from."""
    return f"{made.id} of {made.time} ({made.reason or 'no reason was given'}; {len(made.data.files)} files)"


def _carry_out(run: _Run, current: str) -> str:
    release = current
    if run.options.level == NUCLEAR:
        run.nuclear()
        return release
    if run.options.level == REVERT:
        if run.options.by_git:
            run.revert_commit()
        else:
            release = run.revert()
        _staging_too(run)
    else:
        run.restart()
    return release


def _staging_too(run: _Run) -> None:
    """Make staging anew once production is back; what keeps that from being done is a step that failed, no more."""
    why, live = run.leaves_staging, sessions.running(run.project, {str(SOURCE)})
    if live and not run.options.wait:
        why = why or f"sessions are running there: {'; '.join(live)}"
    if not why:
        try:
            run.restart()
            run.test()
        except AgentStudioError as error:
            why = error.message
    if why:
        run.note("staging", f"it was not made anew: {why}", evidence.FAIL)


def _record(run: _Run, release: str) -> None:
    step = {RESTART: history.RESTART, REVERT: history.RESTART, NUCLEAR: history.NUCLEAR}[run.options.level]
    history.append(
        run.project,
        {"step": step, "id": history.new_id(), "level": run.options.level, "production": release,
         "environment": str(SOURCE), "reason": run.options.reason, "who": flags.default_who(run.project),
         "backup": run.backup, "restored": run.chosen.id if run.chosen else "",
         "steps": [list(one) for one in run.steps],
         "ledger": safety.ledger_head(run.sides)},
    )  # fmt: skip


def _daemon(sides: Sides) -> str:
    found = daemon.running(sides.staging.root)
    return f"stop process {found.pid}" if found else "no daemon runs"
