"""The performance table: every figure measured in this run beside the thing it is compared with.

bench/run.py writes bench/RESULTS.md; --quick runs the same on a small scale and writes nothing unless told where.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import corpus, knowledge, ledger, measure, monitoring, promotion, recorder, replay, reports
from bench.npm import ProgramMissingError

import agent_studio
from agent_studio.isolation.backends import ADVISORY
from agent_studio.isolation.choice import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PASS = (sys.executable, "-c", "pass")
STUDIO = (sys.executable, "-m", "agent_studio")
_HOOK_MS = 10


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    name: str
    specification: str
    ours: str
    measured: str
    ratio: str
    verdict: str
    """What `judged` says, or "not run"."""


def judged(value: float, specification: float | None, ours: float) -> str:
    """Return whether the specification's limit and our own, tighter one are held."""
    if specification is not None and value >= specification:
        return "MISSED"
    if value < ours:
        return "held"
    return "ours MISSED" if specification is None else "specification held, ours MISSED"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    artifacts: int
    rows: Sequence[int]
    queries: int
    events: int
    transcripts_mb: Sequence[int]
    promoted: int
    less_of_ledger: int
    """The ledger is measured at so many times fewer records than a million."""
    suite: bool


FULL = Scale(
    rounds=9, artifacts=1_133, rows=(1_133, 10_000, 100_000), queries=300, events=1_000_000, transcripts_mb=(100, 500),
    promoted=3_000, less_of_ledger=1, suite=True,
)  # fmt: skip
QUICK = Scale(
    rounds=1, artifacts=60, rows=(60,), queries=20, events=5_000, transcripts_mb=(2,), promoted=30,
    less_of_ledger=1_000, suite=False,
)  # fmt: skip


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small scale: shows that it runs, proves nothing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the report (default: bench/RESULTS.md, none with --quick)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = list(_figures(Path(folder).resolve(), QUICK if args.quick else FULL, args.seed))
    report = measure.heading("Performance", args.seed) + _table(figures)
    print(json.dumps([vars(figure) for figure in figures], indent=2) if args.json else report)
    out = args.out or (None if args.quick else measure.REPOSITORY / "bench/RESULTS.md")
    if out:
        out.write_text(report, encoding="utf-8")
    return 1 if any("MISSED" in figure.verdict for figure in figures) and not args.quick else 0


def _table(figures: Sequence[Figure]) -> str:
    headings = ("what", "specification", "ours", "measured", "ratio", "verdict")
    text = measure.table(headings, (tuple(vars(figure).values()) for figure in figures))
    return text + (
        "\nMedians. A ratio is CPU time against `python -c pass` of the same interpreter, taken within each of the "
        "interleaved rounds; seconds depend on the machine and its load, ratios hardly.\n"
    )


def _figures(folder: Path, scale: Scale, seed: int) -> Iterator[Figure]:
    generated = corpus.generate(folder / "generated", scale.artifacts, seed)
    bookshop = folder / "bookshop"
    shutil.copytree(measure.REPOSITORY / "examples/bookshop", bookshop)
    for name, project in ((f"{scale.artifacts:,} generated artifacts", generated), ("examples/bookshop", bookshop)):
        yield _whole(f"`init` of staging, {name}", ("< 10 s", "< 1 s"), (10, 1), _init(project), scale.rounds)
        yield _whole(f"`smoke`, {name}", ("< 2 s", "< 1 s"), (2, 1), _smoke(project), scale.rounds)
    yield _version(scale)
    yield from _recorders(folder / "recorders", scale)
    yield from _isolated(generated, scale)
    yield _status_line(scale)
    yield _ingest(scale, seed)
    yield from _monitoring(folder / "monitoring", scale, seed)
    yield from _reports(folder / "reports", scale, seed)
    for one in ledger.measured(scale.less_of_ledger):
        verdict = "" if not one.limit else "held" if one.held else "ours MISSED"
        yield Figure(one.name, "", one.limit, one.measured, "-", verdict or "measured")
    yield from _knowledge(folder / "knowledge", scale, seed)
    yield _promotion(folder / "promotion", scale)
    yield _suite() if scale.suite else Figure("fast test suite", "< 5 s", "< 5 s", "-", "-", "not run")


def _init(project: Path) -> Callable[[], Sequence[str]]:
    """Return what gives the command for a project as it was before anything of ours was in it."""

    def command() -> Sequence[str]:
        for place in (".claude/staging", ".agent-studio"):
            shutil.rmtree(project / place, ignore_errors=True)
        for name in ("config.yaml", "config.staging.yaml"):
            (project / ".claude" / name).unlink(missing_ok=True)
        return (*STUDIO, "init", "--env", "staging", "--project", str(project))

    return command


def _smoke(project: Path) -> Callable[[], Sequence[str]]:
    return lambda: (*STUDIO, "smoke", "--env", "staging", "--project", str(project))


def _whole(
    name: str, limits: tuple[str, str], seconds: tuple[float, float], command: Callable[[], Sequence[str]], rounds: int
) -> Figure:
    costs = measure.beside(command, PASS, rounds)
    wall = costs.wall_s()
    return Figure(name, *limits, f"{wall:.2f} s", f"{costs.cpu_ratio():.1f}", judged(wall, *seconds))


def _recorders(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Compare a hook that records with the cheapest hook there is: a shell that does nothing."""
    for kind, floor, limit in (("native", "sh -c :", 3.0), ("python", "python -I -S -c pass", 1.5)):
        name = f"recording hook, whole process, {kind} (ratio to `{floor}`)"
        place = recorder.installed(folder / kind, kind)
        specification = "< 10 ms" if kind == "native" else ""
        if place is None:
            yield Figure(name, specification, f"<= {limit:g} x", "-", "-", "not run")
            continue
        costs = recorder.recording(place, kind, 10 * scale.rounds)
        wall = measure.percentile(costs.wall_ms, 0.5)
        too_slow = bool(specification) and wall >= _HOOK_MS
        verdict = "MISSED" if too_slow else judged(costs.cpu_ratio, None, limit)
        yield Figure(name, specification, f"<= {limit:g} x", f"{wall:.1f} ms", f"{costs.cpu_ratio:.2f}", verdict)


def _isolated(project: Path, scale: Scale) -> Iterator[Figure]:
    """Compare `run` with the bare command, and what each backend adds to a run that keeps nothing apart."""

    def command(name: str) -> Callable[[], Sequence[str]]:
        where = ("--env", "staging", "--project", str(project))
        return lambda: (*STUDIO, "run", *where, "--no-telemetry", "--isolation", name, "--", "true")

    bare = measure.beside(command(ADVISORY), ("true",), 3 * scale.rounds)
    wall = f"{1e3 * bare.wall_s():.0f} ms"
    yield Figure("`run -- true`, advisory", "", "", wall, f"{bare.wall_ratio():.0f} to bare `true`", "measured")
    for backend in BACKENDS:
        name = f"`run -- true`, {backend.NAME}"
        if not backend.available().usable:
            yield Figure(name, "", "", "-", "-", "not run")
            continue
        costs = measure.beside(command(backend.NAME), command(ADVISORY)(), 3 * scale.rounds)
        true_s = statistics.median(cost.wall_s for cost in bare.other)
        ratio = f"{costs.wall_ratio():.2f} to advisory, {costs.wall_s() / true_s:.0f} to bare `true`"
        yield Figure(name, "", "", f"{1e3 * costs.wall_s():.0f} ms", ratio, "measured")


def _status_line(scale: Scale) -> Figure:
    program = Path(agent_studio.__file__).with_name("statusline.py")
    bare = (sys.executable, "-I", "-S")
    costs = measure.beside(lambda: (*bare, str(program)), (*bare, "-c", "pass"), 3 * scale.rounds)
    ratio = costs.cpu_ratio()
    wall = f"{1e3 * costs.wall_s():.0f} ms"
    return Figure(
        "status line (ratio to `python -I -S -c pass`)", "", "<= 3 x", wall, f"{ratio:.2f}", judged(ratio, None, 3)
    )


def _ingest(scale: Scale, seed: int) -> Figure:
    name = f"`ingest`, {scale.events:,} events"
    done = replay.replay(scale.events, seed)
    told = f"{done.rate:,.0f} events/s, {done.peak_mb:.0f} MB, {'exact' if done.exact else 'NOT EXACT'}"
    verdict = "held" if done.held else "ours MISSED"
    return Figure(name, "", ">= 20,000 events/s, < 200 MB, exact", told, "-", verdict)


def _monitoring(folder: Path, scale: Scale, seed: int) -> Iterator[Figure]:
    """Compare the summary of a day with a full scan; of thirty days by SQL only what they take."""
    for one in monitoring.measured(folder, scale.events, scale.rounds, seed):
        told = f"{one.wall_s:.2f} s" + ("" if one.peak_mb is None else f", {one.peak_mb:.0f} MB")
        ratio = "-" if one.ratio is None else f"{one.ratio:.3f} to the scan"
        yield Figure(one.name, "", one.limit, told, ratio, "held" if one.held else "ours MISSED")


def _reports(folder: Path, scale: Scale, seed: int) -> Iterator[Figure]:
    """Compare cost reports with ccusage on the same transcripts."""
    for mb in scale.transcripts_mb:
        try:
            for one in reports.compared(folder, mb, scale.rounds, seed):
                limit = "" if one.limit is None else f"<= {one.limit:g} x CPU of ccusage"
                verdict = "measured" if one.limit is None else judged(one.ratio, None, one.limit)
                yield Figure(one.name, "", limit, f"{one.wall_s:.2f} s", f"{one.ratio:.3f} to ccusage", verdict)
        except ProgramMissingError:
            yield Figure(f"`cost report`, {mb} MB of transcripts", "", "<= 0.6 x CPU of ccusage", "-", "-", "not run")


def _version(scale: Scale) -> Figure:
    costs = measure.beside(lambda: (str(measure.SCRIPT), "--version"), PASS, 3 * scale.rounds)
    ratio = costs.cpu_ratio()
    return Figure(
        "`--version`, whole process",
        "",
        "<= 3 x",
        f"{costs.wall_s() * 1000:.0f} ms",
        f"{ratio:.2f}",
        judged(ratio, None, 3),
    )


def _knowledge(folder: Path, scale: Scale, seed: int) -> Iterator[Figure]:
    """Measure searches in process, and the whole process beside a search that reads the table under node."""
    for rows in scale.rows:
        one = knowledge.sized(rows, scale.queries, seed)
        specification = 50.0 if rows <= scale.artifacts else None
        limits = (f"< {specification:g} ms" if specification else "", f"< {one.limit_ms:g} ms" if one.limit_ms else "")
        verdict = judged(one.p95_ms, specification, one.limit_ms) if one.limit_ms else "measured"
        yield Figure(
            f"knowledge-base search, in process, {rows:,} rows, p95", *limits, f"{one.p95_ms:.2f} ms", "-", verdict
        )
        told = f"{one.build_s:.1f} s, {one.update_ms:.1f} ms, {one.size_mb:.0f} MB, {one.peak_mb:.0f} MB"
        name = f"index of {rows:,} rows: build, change of one, file, peak memory"
        yield Figure(name, "", "", told, "-", "measured")
    tree = knowledge.tree(folder / "tree", scale.artifacts, seed)
    told = f"{tree.build_s:.2f} s, {tree.one_change_ms:.0f} ms, {tree.nothing_ms:.0f} ms"
    yield Figure(f"index of {scale.artifacts:,} files: build, one edit, nothing new", "", "", told, "-", "measured")
    costs = knowledge.whole(folder / "whole", scale.artifacts, 3 * scale.rounds, seed)
    name, limit = "`kb search`, whole process (ratio to a scan of the table under node)", "<= 0.7 x"
    if costs is None:
        yield Figure(name, "", limit, "-", "-", "not run")
        return
    ratio = costs.cpu_ratio()
    yield Figure(name, "", limit, f"{1e3 * costs.wall_s():.0f} ms", f"{ratio:.2f}", judged(ratio, None, 0.7))


def _promotion(folder: Path, scale: Scale) -> Figure:
    """Compare the switch of a release's files with a plain durable copy of them, which nothing could take back."""
    found = [promotion.measure(scale.promoted, folder / str(number)) for number in range(min(scale.rounds, 3))]
    switch_s, candidate_s = (
        statistics.median(each) for each in zip(*((one.switch_s, one.candidate_s) for one in found), strict=True)
    )
    ratio = statistics.median(one.switch_s / one.copy_s for one in found)
    told = f"{switch_s:.2f} s (its candidate before: {candidate_s:.2f} s)"
    name = f"promotion of {scale.promoted:,} files"
    return Figure(name, "", "< 2 s", told, f"{ratio:.2f} to a durable copy", judged(switch_s, None, 2))


def _suite() -> Figure:
    command = (sys.executable, "-m", "pytest", "-q", "-m", "not slow")
    cost = measure.run(command, cwd=measure.REPOSITORY)
    measured = f"{cost.wall_s:.1f} s" + (f", exit code {cost.code}" if cost.code else "")
    verdict = "MISSED" if cost.code else judged(cost.wall_s, 5, 5)
    return Figure('fast test suite (`pytest -m "not slow"`)', "< 5 s", "< 5 s", measured, "-", verdict)


if __name__ == "__main__":
    sys.exit(main())
