"""The long trials, written to bench/TRIALS.md: kills at every system call, and every command on foreign projects.

Without arguments the trials that need an input of yours are listed as not run:
  --tree FILE.tar.xz   a packed project with a .claude folder (also: the variable TRIALS_TREE)
  --repository DIR     a checkout with a .claude folder, copied before anything is run in it; may be repeated
  --queries FILE       judged questions on the packed project (also: TRIALS_QUERIES)
  --groups FILE        which of its artifacts are copies of each other (also: TRIALS_GROUPS)

A trial that is left out keeps the row, and the time, that an earlier run on this machine wrote.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import (
    attacks,
    browser,
    built,
    corpus,
    elicit_client,
    elicit_selection,
    evals_simulated,
    evals_trial,
    evolution_journey,
    fleet_trial,
    kills,
    ledger,
    measure,
    memory,
    model_trials,
    party_bench,
    party_models,
    party_trial,
    release_kills,
    search_quality,
)
from bench.client import claude, finding, guarded, isolated, plugged, released, remembering, verdict
from bench.npm import ProgramMissingError
from bench.projects import Trial, examine
from bench.soak import trial as soak
from bench.transcripts import ccusage, differential

from agent_studio.isolation.backends import bubblewrap, landlock
from agent_studio.memory.book import open_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from agent_studio.isolation.backends import Backend

ISOLATED: tuple[Backend, ...] = (bubblewrap, landlock)
_SHOWN = 12
_COLUMNS = ("trial", "verdict", "figures", "run at, UTC")
_MACHINE = 3
"""Line of a report's heading."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run every trial, print and write the report; exit code 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=os.environ.get("TRIALS_TREE") or None)
    parser.add_argument("--repository", type=Path, action="append", default=[])
    parser.add_argument("--queries", type=Path, default=os.environ.get("TRIALS_QUERIES") or None)
    parser.add_argument("--groups", type=Path, default=os.environ.get("TRIALS_GROUPS") or None)
    parser.add_argument("--artifacts", type=int, default=10_000, help="size of the generated project")
    parser.add_argument("--points", type=int, help="kill at so many system calls of a command only; 0 leaves it out")
    parser.add_argument("--kills", type=int, default=1_000, help="of writers of the ledger")
    parser.add_argument("--parties", type=int, default=1_000, help="random parties with canaries")
    parser.add_argument("--party-kills", type=int, default=200, help="parties killed and gone on with")
    parser.add_argument("--no-package", action="store_true", help="leave what is built and installed elsewhere out")
    parser.add_argument("--no-fleet", action="store_true", help="leave the servers of a fleet out")
    parser.add_argument("--fleet-events", type=int, default=fleet_trial.EVENTS, help="records shipped under kills")
    parser.add_argument("--writers", type=int, default=50, help="of memory at once, each with 100 additions")
    parser.add_argument("--no-client", action="store_true", help="leave the real client out")
    parser.add_argument("--web-events", type=int, default=browser.EVENTS, help="shown in a browser; 0 leaves it out")
    parser.add_argument("--no-attacks", action="store_true", help="leave the attacks on what run protects out")
    parser.add_argument("--no-releases", action="store_true", help="leave the kills of promotion and restore out")
    parser.add_argument("--sessions", type=int, default=1_000, help="random sessions under a limit")
    parser.add_argument("--no-models", action="store_true", help="leave the calls of models out")
    parser.add_argument("--soak-minutes", type=float, default=60, help="of everything at once; 0 leaves it out")
    parser.add_argument("--soak-report", type=Path, help="what `python -m bench.soak --out` wrote, instead of a soak")
    parser.add_argument("--no-properties", action="store_true", help="leave the property tests out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=measure.REPOSITORY / "bench/TRIALS.md")
    args = parser.parse_args(argv)
    trials = []
    for trial in _trials(args):
        print(f"{trial.name}: {trial.verdict}", *trial.faults[:_SHOWN], sep="\n  ", flush=True)
        trials.append(trial)
    earlier = args.out.read_text(encoding="utf-8") if args.out.exists() else ""
    args.out.write_text(_report(trials, args.seed, earlier), encoding="utf-8")
    return 1 if any(trial.faults for trial in trials) else 0


def _trials(args: argparse.Namespace) -> Iterator[Trial]:
    for scenario in kills.SCENARIOS:
        yield _killed(scenario, kills.matrix, args.points, args.seed)
    for scenario in () if args.no_releases else release_kills.SCENARIOS:
        yield _killed(scenario, release_kills.matrix, args.points, args.seed)
    yield _ledger(args.kills, args.seed)
    yield _remembered(args.writers)
    yield _counted(wanted=not args.no_client)
    for version in claude.VERSIONS:
        yield _client(f"what Claude Code {version} did is what the records say", verdict.trial, version, args)
        yield _client(f"artifacts found through Claude Code {version}", finding.trial, version, args)
        yield _client(f"memory in Claude Code {version}, sidecars apart", remembering.trial, version, args)
        yield _client(f"what is denied in Claude Code {version} does not happen", guarded.trial, version, args)
        yield _client(f"the plugin in Claude Code {version}, installed, used, taken out", plugged.trial, version, args)
        for backend in ISOLATED:
            yield _isolated(version, backend, wanted=not args.no_client)
    newest = claude.NEWEST
    yield _client(f"elicitation asked for in Claude Code {newest}", elicit_client.trial, newest, args)
    yield elicit_selection.trial()
    yield _client(
        f"evals by Claude Code {newest} are judged rightly, and killed runs go on", evals_trial.trial, newest, args
    )
    yield _simulated(wanted=not args.no_properties)
    for repository in (None, *args.repository):
        yield _released(newest, repository, args)
    yield from model_trials.trials(args.sessions, args.seed, with_client=not args.no_client, wanted=not args.no_models)
    yield from party_models.trials(with_client=not args.no_client, wanted=not args.no_models)
    yield built.trial(wanted=not args.no_package)
    yield _attacked(wanted=not args.no_attacks)
    yield from fleet_trial.trials(args.fleet_events, args.seed, wanted=not args.no_fleet)
    yield party_trial.canaries(args.parties, args.seed)
    yield party_trial.kills(args.party_kills, args.seed)
    yield party_bench.trial()
    yield soak.trial(args.soak_minutes, with_client=not args.no_client, of=args.soak_report)
    yield _properties(wanted=not args.no_properties)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        yield browser.examine(place / "many events", args.web_events)
        yield _generated(place / "generated \u00fcn\u00ef", args.artifacts, args.seed)
        yield _packed(place / "tree", args.tree)
        yield search_quality.trial(place / "search", args.tree, args.queries, args.groups)
        for number, source in enumerate((measure.REPOSITORY / "examples/bookshop", args.tree, *args.repository)):
            if source and Path(source).exists():
                project = evolution_journey.copied(Path(source), place / f"evolved-{number}")
                yield evolution_journey.trial(project, Path(source).resolve().name)
        for number, repository in enumerate(args.repository):
            yield _checkout(place / f"repository-{number}", repository)
    if not args.repository:
        yield Trial("every command on a checkout", not_run="no --repository was given")


def _killed(
    scenario: kills.Scenario,
    matrix_of: Callable[[kills.Scenario], AbstractContextManager[kills.Matrix]],
    count: int | None,
    seed: int,
) -> Trial:
    trial = Trial(f"`{scenario.name}` killed at every system call that changes a file")
    if count == 0:
        trial.not_run = "--points 0"
        return trial
    try:
        with matrix_of(scenario) as matrix:
            started = time.perf_counter()
            points = matrix.spread(count or len(matrix.points))
            for point in points:
                trial.faults += matrix.kill(point)
            trial.figures.append(f"{len(points)} of {len(matrix.points)} calls, {time.perf_counter() - started:.0f} s")
            chance = random.Random(seed)
            delays = [chance.uniform(0.02, 0.5) for _ in range(min(20, len(points)))]
            for seconds in delays:
                trial.faults += matrix.kill_after(seconds)
            trial.figures.append(f"{len(delays)} random delays")
    except kills.NoTracingError as fault:
        trial.not_run = str(fault)
    return trial


def _ledger(count: int, seed: int) -> Trial:
    trial = Trial("the ledger under load while its writers are killed: nothing acknowledged lost, the chain verifies")
    started = time.perf_counter()
    trial.faults += ledger.killed(count, seed)
    trial.figures.append(f"{count} kills, {time.perf_counter() - started:.0f} s")
    return trial


def _remembered(count: int) -> Trial:
    trial = Trial("memory and a sidecar under many writers at once: nothing lost, nothing twice, the size kept")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for what in ("notes", "entries"):
            trial.faults += memory.writers(Path(folder) / what, what, count, 100)
        answers = memory.recall(open_memory(memory.context_of(Path(folder) / "recall")), 0)
    if answers.at_5 < 0.9:
        trial.faults.append(f"recall@5 of search is {answers.at_5:.2f}: {answers.missed}")
    trial.figures.append(
        f"2 x {count} x 100 additions, recall@5 {answers.at_5:.2f}, {time.perf_counter() - started:.0f} s"
    )
    return trial


def _counted(*, wanted: bool) -> Trial:
    trial = Trial("tokens and USD of transcripts with known truth, and every difference from ccusage explained")
    if not wanted:
        trial.not_run = "--no-client"
        return trial
    try:
        rows = differential.rows(ccusage.install())
    except ProgramMissingError as reason:
        trial.not_run = str(reason)
        return trial
    trial.faults += [fault for row in rows for fault in row.faults]
    wrong = sum(row.peer != "right" for row in rows)
    trial.figures.append(f"{len(rows)} sets of transcripts, ccusage is wrong in {wrong}")
    return trial


def _client(name: str, run: Callable[[str], list[str]], version: str, args: argparse.Namespace) -> Trial:
    trial = Trial(name)
    if args.no_client:
        trial.not_run = "--no-client"
        return trial
    try:
        trial.faults += run(version)
    except ProgramMissingError as reason:
        trial.not_run = str(reason)
    return trial


def _simulated(*, wanted: bool) -> Trial:
    trial = Trial("verdicts of evals by simulation, looked at after every pair")
    if wanted:
        trial.faults += evals_simulated.false_verdicts(300, 500)
    else:
        trial.not_run = "--no-properties"
    return trial


def _released(version: str, repository: Path | None, args: argparse.Namespace) -> Trial:
    name = "a project of its own" if repository is None else f"the checkout {repository.resolve().name}"
    name = f"a change of {name} burned in through Claude Code {version}, promoted, and the next one taken back"
    return _client(name, lambda client: released.trial(client, repository), version, args)


def _isolated(version: str, backend: Backend, *, wanted: bool) -> Trial:
    trial = Trial(f"Claude Code {version}, confined by {backend.NAME}, is refused what is production's and goes on")
    found = backend.available()
    if not wanted or not found.usable:
        trial.not_run = found.reason if wanted else "--no-client"
        return trial
    try:
        trial.faults += isolated.trial(version, backend.NAME)
    except ProgramMissingError as reason:
        trial.not_run = str(reason)
    return trial


def _attacked(*, wanted: bool) -> Trial:
    trial = Trial("every route to what `run` protects, by each backend, as root and as another user")
    if not wanted:
        trial.not_run = "--no-attacks"
        return trial
    results = {
        (backend.NAME, user): attacks.attacked(backend.NAME, user)
        for backend in ISOLATED
        if backend.available().usable
        for user in attacks.users()
    }
    trial.faults += attacks.faults(results)
    count = sum(len(routes) for routes in results.values())
    trial.figures.append(f"{count} attempts by {', '.join(sorted({name for name, _ in results})) or 'nothing'}")
    if not results:
        trial.not_run = "no backend can be used here"
    return trial


def _properties(*, wanted: bool) -> Trial:
    trial = Trial("every property test on cases that no run before had")
    if not wanted:
        trial.not_run = "--no-properties"
        return trial
    choice = ("-m", "hypothesis", "--hypothesis-profile", "explore")
    command = (sys.executable, "-m", "pytest", "-q", "-n", "auto", *choice)
    done = subprocess.run(command, cwd=measure.REPOSITORY, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines() or [done.stderr]
    trial.figures.append(lines[-1].strip("= "))
    if done.returncode:
        trial.faults += [line for line in lines if line.startswith(("FAILED", "ERROR"))] or lines[-1:]
    return trial


def _generated(project: Path, count: int, seed: int) -> Trial:
    awkward = corpus.add_awkward(corpus.generate(project, count, seed))
    name = f"every command on {count:,} generated artifacts, {awkward} awkward ones, a 50 MB file, bad links"
    return examine(name, project)


def _packed(project: Path, tree: Path | None) -> Trial:
    name = "every command on a packed project"
    if not tree:
        return Trial(name, not_run="no --tree was given and TRIALS_TREE is not set")
    if not Path(tree).is_file():
        return Trial(name, not_run=f"{Path(tree).name} is not there")
    with tarfile.open(tree) as archive:
        archive.extractall(project, filter="data")
    return examine(f"{name} ({Path(tree).name})", project)


def _checkout(project: Path, repository: Path) -> Trial:
    name = f"every command on the checkout {repository.resolve().name}"
    if not (repository / ".claude").is_dir():
        return Trial(name, not_run="it has no .claude folder")
    shutil.copytree(repository, project, symlinks=True)
    return examine(name, project)


def _report(trials: Sequence[Trial], seed: int, earlier: str) -> str:
    heading = measure.heading("Trials", seed)
    kept = _rows(earlier) if heading.splitlines()[_MACHINE] in earlier.splitlines() else {}
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    rows = [
        kept[trial.name] if trial.not_run and trial.name in kept
        else (trial.name, trial.verdict, "; ".join(trial.figures) or "-", "-" if trial.not_run else now)
        for trial in trials
    ]  # fmt: skip
    text = heading + measure.table(_COLUMNS, rows)
    for trial in trials:
        if trial.faults:
            shown = "".join(f"- {' '.join(fault.split())[:400]}\n" for fault in trial.faults[:_SHOWN])
            more = f"- and {len(trial.faults) - _SHOWN} more\n" if len(trial.faults) > _SHOWN else ""
            text += f"\n## Failed: {trial.name}\n\n{shown}{more}"
    return text


def _rows(report: str) -> dict[str, list[str]]:
    """Return a report's rows of trials that were run, by name."""
    lines = (line[2:-2] for line in report.splitlines() if line.startswith("| "))
    rows = ([cell.replace("\\|", "|") for cell in line.split(" | ")] for line in lines)
    return {row[0]: row for row in rows if len(row) == len(_COLUMNS) and row[1] in {"PASS", "FAIL"}}


if __name__ == "__main__":
    sys.exit(main())
