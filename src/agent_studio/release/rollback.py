"""The three ways back: staging made anew, production at its last healthy release, staging from a backup or not at all.

Evidence, history and archived data stay whatever is done, and a burn-in starts anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.capture.otlp import daemon
from agent_studio.environment import disabled, flags
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, StorageError
from agent_studio.release import (
    backup_store,
    checked,
    evidence,
    git,
    history,
    proof,
    restore,
    rollback_checks,
    safety,
    sessions,
    switch,
    whose,
)
from agent_studio.release.candidate import candidate
from agent_studio.release.rollback_checks import Step
from agent_studio.release.sides import SOURCE
from agent_studio.staging import init, runners, suite
from agent_studio.staging.smoke import run_smoke
from agent_studio.staging.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.release.proof import Proof
    from agent_studio.release.sides import Sides

RESTART, REVERT, NUCLEAR = 1, 2, 3
_NO_BACKUP = "there is no backup that verifies"


class NothingToReturnToError(AgentStudioError):
    """No release was live and healthy before the current one."""

    code = "no-healthy-release"


class Options(NamedTuple):
    """What is asked for."""

    level: int
    reason: str
    by_git: bool = False
    """Revert the checkout's last commit instead of switching production."""
    backup: str = ""
    """The backup to restore; the newest that verifies when empty."""
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

    @property
    def code(self) -> ExitCode:
        """6 when staging is disabled now, 1 when a step failed, 3 when nothing showed that the project's tests pass."""
        if any(one.name == "staging disabled" and one.verdict != "PLANNED" for one in self.steps):
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
        self.chosen = self._chosen() if options.level == NUCLEAR else ""
        self.proof = proof.Proof(0, 0, ())

    def note(self, name: str, message: str, verdict: str = evidence.PASS) -> None:
        """Note a step."""
        planned = self.options.dry_run and verdict == evidence.PASS
        self.steps.append(Step(name, "PLANNED" if planned else verdict, message))

    def _chosen(self) -> str:
        """Return the backup that level 3 restores, before one of what is there now is made; empty for none."""
        staging = self.sides.staging
        if not self.options.backup:
            try:
                return safety.newest(staging)
            except IntegrityError:  # no backup can be relied on; told again where one is to be made
                return ""
        with backup_store.alone(staging.root, "a rollback"):
            return restore.plan(staging.root, self.options.backup).backup.id

    # Level 1

    def restart(self) -> None:
        """Stop staging's own processes, archive its data, make it anew and prove it."""
        if self.options.dry_run:
            for name, message in (
                ("stop", _daemon(self.sides)), ("archive", f"move the data in {self.sides.staging.root.path} aside"),
                ("create", "make staging anew and seed it"), ("smoke", "run the smoke tests of staging"),
            ):  # fmt: skip
                self.note(name, message)
            return
        self._stop()
        self._anew()
        watch = checked.Watch(self.sides.staging)
        report = run_smoke(Subject(self.project, self.sides.staging.choice, self.sides.variables))
        watch.keep(checked.of_smoke(report))
        wrong = [one.name for one in report.outcomes if one.verdict == "FAIL"]
        self.proof = proof.Proof(report.count("PASS"), report.count("FAIL"), wrong)
        told = f"{self.proof.passed} passed, {self.proof.failed} failed"
        self.note("smoke", told, evidence.FAIL if report.code else evidence.PASS)
        self._burn_in_anew()

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
        evidence.record(
            self.sides.staging, "burnin", candidate(self.project).sha256, evidence.INSUFFICIENT, {"reason": reason}
        )

    # Level 2

    def revert(self) -> str:
        """Bring production to its last healthy release; return that."""
        past = history.read(self.project)
        back = past.way_back
        if not back:
            raise NothingToReturnToError(
                "no other release was live and healthy in production before",
                hint="mend the definitions and promote, or revert the checkout: rollback --level 2 --git",
            )
        if self.options.dry_run:
            healthy = past.last_healthy
            what = f"live and healthy since {healthy.time}" if healthy else "what was there before the first release"
            self.note("switch", f"production goes back to {back[:12]}, {what}")
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

    def refuse_irreversible(self) -> None:
        """Raise `GitError` when the checkout's last commit cannot be reverted."""
        dirty = git.changes(self.project.path)
        if dirty is None or dirty:
            what = "is no git repository" if dirty is None else f"has changes that are not committed: {dirty[0]}"
            raise git.GitError(f"the checkout {what}", hint="commit or put them aside, then run the command again")
        git.refuse_irreversible(self.project.path)

    def revert_commit(self) -> None:
        """Revert the checkout's last commit."""
        if self.options.dry_run:
            self.note("git revert", "git revert --no-edit HEAD")
            return
        git.run(self.project.path, "revert", "--no-edit", "HEAD")
        self.note("git revert", f"the checkout is at {git.state(self.project.path).commit}")

    def test(self) -> None:
        """Run the project's own suite in staging."""
        if self.options.dry_run:
            self.note("test", "run the project's full suite in staging")
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
            self.note("stop", _daemon(self.sides))
            self.note("archive", f"move the data in {self.sides.staging.root.path} aside")
            if self.chosen:
                self.note("restore", f"restore {self.chosen}, which verifies, and run the smoke tests of staging")
            else:
                self.note("staging disabled", f"{_NO_BACKUP}, so staging would be disabled")
            return
        self._stop()
        self._restore() if self.chosen else self._disable()
        self._burn_in_anew()

    def _restore(self) -> None:
        """Restore a backup in the place of what moves aside, both or neither."""
        staging, place = self.sides.staging, f"archive/{clock.file_stamp(clock.now())}"
        restore.restore(
            staging, self.chosen, lambda _: None, archive=place, wait=self.options.wait, before=self.backup
        )  # fmt: skip
        self.note("archive", f"data moved to {staging.root.state.at(place).path}")
        self.note("restore", f"restored backup {self.chosen}")
        report = run_smoke(Subject(self.project, staging.choice, self.sides.variables))
        wrong = [one.name for one in report.outcomes if one.verdict == "FAIL"]
        self.proof = proof.Proof(report.count("PASS"), report.count("FAIL"), wrong)
        named = f": {', '.join(wrong)}" if wrong else ""
        told = f"{self.proof.passed} passed, {self.proof.failed} failed{named}"
        self.note("smoke", told, evidence.FAIL if report.code else evidence.PASS)

    def _disable(self) -> None:
        with restore.unused(self.sides.staging, wait=self.options.wait):
            archived = init.archive(self.sides.staging.root)
            self.note("archive", f"data moved to {archived}" if archived else "there was no data")
            reason = f"{self.options.reason} (rollback level 3: {_NO_BACKUP})"
            disabled.disable(self.project, reason, flags.default_who(self.project))
        self.note(
            "staging disabled", f"{_NO_BACKUP}; go on in development, or: agent-studio init --env staging --reset"
        )


def roll_back(
    sides: Sides, options: Options, agree: Callable[[], None], prove: Callable[[], Proof] | None = None
) -> RolledBack:
    """Go back by a level; `agree` raises to stop before anything is changed.

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
        if options.by_git:
            run.refuse_irreversible()
        previous = "" if past.current is None else past.current.release
        _look(run, past)
        held = rollback_checks.held(sides)
        if not options.dry_run:
            agree()
            _back_up(run)
        release = _carry_out(run, previous)
        if not options.dry_run:
            run.steps.extend(rollback_checks.after(sides, held))
            if options.level != REVERT or options.by_git:
                _record(run, release)
    restored = "" if options.dry_run else run.chosen
    return RolledBack(
        options.level, release, previous, run.steps, run.proof.passed, run.proof.failed, run.backup, restored
    )


def _look(run: _Run, past: history.History) -> None:
    """Note what is there before."""
    options, target = run.options, ""
    if options.level == REVERT and not options.by_git:
        target = past.way_back[:12]
    for one in rollback_checks.before(run.sides, target, staging_only=options.level != REVERT, wait=options.wait):
        run.note(one.name, one.message, one.verdict)


def _back_up(run: _Run) -> None:
    """Back up what is about to be touched; a ledger that is no chain must not keep anybody from going back."""
    reason = f"before rollback level {run.options.level}"
    makers: dict[str, Callable[[], tuple[str, list[str]]]] = {}
    if not _lacks_staging(run):
        makers["staging"] = lambda: safety.of(run.sides.staging, reason, whole_ledger=False)
    if run.options.level == REVERT:
        makers["production"] = lambda: safety.backup(run.sides, reason, whole_ledger=False)
    for name, make in makers.items():
        try:
            run.backup, notes = make()
        except IntegrityError as error:
            run.backup = ""
            run.note(f"backup of {name}", error.message, evidence.FAIL)
        else:
            run.note(f"backup of {name}", "; ".join(filter(None, (run.backup, *notes))))


def _lacks_staging(run: _Run) -> bool:
    return any(one.name == rollback_checks.STAGING_DATA and one.verdict == evidence.FAIL for one in run.steps)


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
    if _lacks_staging(run):
        return release
    live = sessions.running(run.project, {str(SOURCE)}) if run.options.level == REVERT else []
    if live and not run.options.wait:
        run.note("staging", f"it was not made anew: sessions are running there: {'; '.join(live)}", evidence.FAIL)
        return release
    run.restart()
    if run.options.level == REVERT:
        run.test()
    return release


def _record(run: _Run, release: str) -> None:
    step = {RESTART: history.RESTART, REVERT: history.RESTART, NUCLEAR: history.NUCLEAR}[run.options.level]
    history.append(
        run.project,
        {"step": step, "id": history.new_id(), "level": run.options.level, "production": release,
         "environment": str(SOURCE), "reason": run.options.reason, "who": flags.default_who(run.project),
         "backup": run.backup, "restored": run.chosen, "steps": [list(one) for one in run.steps],
         "ledger": safety.ledger_head(run.sides)},
    )  # fmt: skip


def _daemon(sides: Sides) -> str:
    found = daemon.running(sides.staging.root)
    return f"stop process {found.pid}" if found else "no daemon runs"
