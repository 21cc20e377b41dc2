"""Run the project's own full suite in an environment, count it and keep the result as evidence.

The command is what follows --, else test.command in the configuration, else what the project's files call for:
package.json, pytest, a Makefile's test target, go.mod, Cargo.toml. It runs in the project's folder with a data
root of its own. The result of staging is evidence on the working checkout's candidate as well, unless -- names another
command than the configuration or the files.
Exit code: 0 PASS, 1 FAIL, 3 INSUFFICIENT (nothing counted, all of it skipped, or its program is not there).

  agent-studio test --env staging
  agent-studio test --env staging -- make check
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from agent_studio.cli import evidence
from agent_studio.cli.output import Problem, Result, echo, warn
from agent_studio.errors import ExitCode
from agent_studio.redaction import redact
from agent_studio.release import checked
from agent_studio.staging import runners
from agent_studio.staging.suite import PROGRAM_MISSING, Outcome, Verdict, run_suite

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.config import Config
    from agent_studio.release.checked import Kept

_CODES = {Verdict.PASS: ExitCode.DONE, Verdict.FAIL: ExitCode.FAILED, Verdict.INSUFFICIENT: ExitCode.INSUFFICIENT}
_MARKS = {Verdict.PASS: "ok", Verdict.FAIL: "bad", Verdict.INSUFFICIENT: "none"}
_SHOWN = 20
_DATA = (
    "command", "source", "verdict", "passed", "failed", "skipped", "regressions", "exitCode", "durationMs", "commit",
    "dirty", "candidate",
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Take no options of its own: what follows `--` is the command."""
    parser.usage = f"{parser.prog} [OPTIONS] [-- CMD ...]"


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run the suite and report what it proves."""
    context = session.context
    configured = (context.config["test.command"], _configured_by(context.config))
    chosen = runners.choose(context.project.path, args.command, *configured)
    quiet = bool(session.common.json)
    if not quiet:
        warn(f"running {redact(shlex.join(chosen.command))} in {context.environment}", f"chosen by: {chosen.source}")
    watch = checked.Watch(context)
    say = (lambda _: None) if quiet else echo
    outcome = run_suite(context, chosen, session.variables, candidate=watch.candidate, echo=say)
    is_own = runners.is_own(chosen, context.project.path, *configured)
    kept = watch.keep(checked.of_suite(outcome, is_own=is_own))
    problems = [Problem(note.code, note.message, note.hint) for note in outcome.notes]
    if kept is None and watch.has_changed():
        problems.append(
            Problem("candidate-changed", "definitions changed while the suite ran: its result is of those before",
                    "run it again")
        )  # fmt: skip
    data = {name: outcome.evidence[name] for name in _DATA}
    data |= {"failures": outcome.evidence["failedNames"], "file": outcome.place, "evidence": evidence.data(kept)}
    return Result(
        data, lambda screen: _render(screen, outcome, kept), _CODES[outcome.verdict],
        [*problems, *evidence.problems(kept)],
    )  # fmt: skip


def _configured_by(config: Config) -> str:
    layer = config.explain("test.command")[-1]
    return f".claude/{layer.file}:{layer.line}" if layer.file else layer.note or layer.source


def _render(screen: Screen, outcome: Outcome, kept: Kept | None) -> None:
    found = outcome.evidence
    counts = ", ".join(
        f"{'?' if found[name] is None else found[name]} {name}" for name in ("passed", "failed", "skipped")
    )
    screen.mark(_MARKS[outcome.verdict], f"{outcome.verdict}: {counts} in {found['durationMs'] / 1000:.1f} s")
    others = [name for name in found["failedNames"] if name not in set(found["regressions"])]
    for title, names in (("regression", found["regressions"]), ("failed", others)):
        for name in names[:_SHOWN]:
            screen.line(f"  {title}: {name}")
        if len(names) > _SHOWN:
            screen.line(f"  and {len(names) - _SHOWN} more {title} (in the evidence)")
    screen.line(f"  result: {outcome.place}")
    screen.line(f"  log: {outcome.place.removesuffix('.json')}.log")
    evidence.show(screen, kept, indent="  ")
    screen.line(f"  next: {_next_step(outcome)}")


def _next_step(outcome: Outcome) -> str:
    again = f"agent-studio test --env {outcome.evidence['environment']}"
    if outcome.verdict is Verdict.PASS:
        return f"agent-studio status --env {outcome.evidence['environment']}"
    if outcome.verdict is Verdict.FAIL:
        return f"mend what failed, then: {again}"
    missing = next((note for note in outcome.notes if note.code == PROGRAM_MISSING), None)
    if missing:
        return missing.hint
    return f"no test was counted as passed; name the full suite: {again} -- CMD, or set test.command"
