"""The ledger on this machine: what recording a call costs, how fast a chain verifies, and what kills lose.

bench/ledger.py prints a table and exits 1 when a record was lost or a limit was missed; --quick is a hundredth of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import measure
from bench.measure import Limit

from agent_studio.cost.calls import open_ledger
from agent_studio.cost.ledger import Writer
from agent_studio.cost.segments import segments
from agent_studio.cost.verify import verify
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root
from agent_studio.records import LlmUsage, event_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

P99_MS = 0.5
WRITERS_OF_LIMIT = 4
VERIFY_RATE = 150_000
_BATCH = 1_000
_WARM = 50
_SMALL_FILE_BYTES = 20_000
"""So that files are renamed all the time while writers are killed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table; exit code 1 when a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    figures = []
    for figure in measured(100 if args.quick else 1):
        print(f"{figure.name}: {figure.measured} ({figure.limit})", flush=True)
        figures.append(figure)
    faults = killed(args.kills // (10 if args.quick else 1), args.seed)
    figures.append(Limit(f"{args.kills} kills under load", "; ".join(faults) or "nothing lost", "none", not faults))
    print("\n" + measure.heading("The ledger", args.seed))
    rows = [(one.name, one.measured, one.limit, "held" if one.held else "MISSED") for one in figures]
    print(measure.table(("what", "measured", "limit", "verdict"), rows))
    return 0 if all(figure.held for figure in figures) else 1


def measured(less: int) -> Iterator[Limit]:
    """Measure one call at a time at three lengths of the ledger, then verify the longest."""
    with tempfile.TemporaryDirectory() as folder:
        root = _project(Path(folder).resolve())
        written = 0
        for length in (0, 100_000, 1_000_000):
            written += _fill(root, length // less - written)
            for writers, pause_ms in ((1, 2), (4, 2), (16, 8), (4, 0)):
                count = 2_000 // (min(10, less)) // (1 if writers < 16 else 4)
                spans_ms, plain_ms = _at_once(root, writers, count, pause_ms)
                written += writers * (count + _WARM)
                yield _figure(length // less, writers, pause_ms, spans_ms, plain_ms)
        started = time.perf_counter()
        verdict = verify([root])
        rate = verdict.records / (time.perf_counter() - started)
        files = len(segments(root))
        held = verdict.passed and verdict.records == written and rate >= VERIFY_RATE
        yield Limit(
            f"verify {verdict.records:,} records in {files} files",
            f"{rate:,.0f} records/s",
            f">= {VERIFY_RATE:,}",
            held,
        )


def _figure(length: int, writers: int, pause_ms: int, spans_ms: list[float], plain_ms: list[float]) -> Limit:
    p50, p99 = measure.percentile(spans_ms, 0.5), measure.percentile(spans_ms, 0.99)
    ratio = p50 / measure.percentile(plain_ms, 0.5)
    limited = writers <= WRITERS_OF_LIMIT and pause_ms > 0
    pace = f"a call every {pause_ms} ms each" if pause_ms else "flat out"
    return Limit(
        f"record_llm_call, {writers} writers, {pace}, {length:,} records before",
        f"p50 {p50 * 1e3:.0f} us, p99 {p99 * 1e3:.0f} us, max {max(spans_ms):.1f} ms, "
        f"{ratio:.1f} x a plain append of the same bytes",
        f"p99 < {P99_MS} ms" if limited else "",
        not limited or p99 < P99_MS,
    )


def _project(folder: Path) -> EnvironmentRoot:
    """Make a project with a staging environment and no seeds."""
    (folder / ".claude/staging/metrics").mkdir(parents=True)
    (folder / ".claude/config.staging.yaml").write_text("environment: staging\n", encoding="utf-8")
    return environment_root(Project(folder), Environment.STAGING, {})


def _usage(writer: int, number: int) -> tuple[LlmUsage, str]:
    record = LlmUsage(
        timestamp="2026-01-31T09:30:00.000Z", session_id="bench", request_id=f"r-{writer}-{number}", message_id="",
        provider="anthropic", model="claude-opus-5-5", agent="architect", skill=None, project="bench", task_id=None,
        input_tokens=812, output_tokens=140, cache_read_tokens=20_000, cache_write5m_tokens=400,
        cache_write1h_tokens=0, web_searches=0, service_tier="standard", speed=None, region=None, cost_usd="0.012048",
        price_source="bench", source="api",
    )  # fmt: skip
    return record, event_id(writer, number)


def _fill(root: EnvironmentRoot, count: int) -> int:
    with Writer(root) as writer:
        for start in range(0, count, _BATCH):
            writer.append([_usage(-1, number) for number in range(start, min(start + _BATCH, count))])
    return max(count, 0)


def _at_once(root: EnvironmentRoot, writers: int, count: int, pause_ms: int) -> tuple[list[float], list[float]]:
    """Return what each call took in ms, and a plain append of as many bytes, of all writers."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)

        def work(writer: int) -> None:
            ledger = open_ledger(root.project.path, "staging")
            spans = _timed(
                count, pause_ms, lambda number: ledger.record(
                    model="claude-opus-5-5", input_tokens=812, output_tokens=abs(number), cache_read_tokens=20_000,
                    agent="architect", session_id="bench", request_id=f"m-{os.getpid()}-{number}",
                ),
            )  # fmt: skip
            descriptor = os.open(results / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            data = b"x" * 700
            plain = _timed(count, pause_ms, lambda _: os.write(descriptor, data))
            (results / f"{writer}.json").write_text(json.dumps([spans, plain]), encoding="utf-8")

        with _children(writers, work) as children:
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if any(codes):
            raise RuntimeError(f"a writer failed: {codes}")
        told = [json.loads((results / f"{writer}.json").read_text()) for writer in range(writers)]
    return [one for spans, _ in told for one in spans], [one for _, plain in told for one in plain]


def _timed(count: int, pause_ms: int, does: Callable[[int], object]) -> list[float]:
    spans_ms = []
    for number in range(_WARM):  # the first ones open what there is to open
        does(-number)
    for number in range(count):
        started = time.perf_counter()
        does(number)
        spans_ms.append((time.perf_counter() - started) * 1e3)
        if pause_ms:
            time.sleep(pause_ms / 1e3)
    return spans_ms


@contextmanager
def _children(count: int, work: Callable[[int], None]) -> Iterator[list[int]]:
    """Fork processes that do work each; whichever still runs in the end is killed."""
    children = [_child(work, number) for number in range(count)]
    try:
        yield children
    finally:
        for child in children:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _child(work: Callable[[int], None], number: int) -> int:
    child = os.fork()
    if not child:
        code = 1
        try:
            work(number)
            code = 0
        finally:
            os._exit(code)
    return child


def killed(count: int, seed: int, writers: int = 4) -> list[str]:
    """Kill writers at random moments, start others in their place, and name what of the acknowledged is missing."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = _project(Path(folder).resolve())
        acknowledged = Path(folder, "acknowledged")

        def work(writer: int) -> None:
            done = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            with Writer(root, file_limit_bytes=_SMALL_FILE_BYTES) as ledger:
                for number in range(10**9):
                    (seq,) = ledger.append([_usage(writer, number)])
                    os.write(done, b"%d r-%d-%d\n" % (seq, writer, number))

        with _children(writers, work) as children:
            for victim in range(count):
                time.sleep(chance.uniform(0.001, 0.03))
                os.kill(children[victim % writers], signal.SIGKILL)
                os.waitpid(children[victim % writers], 0)
                children[victim % writers] = _child(work, writers + victim)
        return _faults(root, acknowledged)


def _faults(root: EnvironmentRoot, acknowledged: Path) -> list[str]:
    verdict = verify([root])
    faults = [] if verdict.passed else [str(verdict.first_bad or verdict.faults)]
    held: dict[str, list[int]] = {}
    for segment in segments(root):
        for line in (root.folder("metrics").path / segment.name).read_bytes().splitlines():
            with suppress(ValueError):
                fields = json.loads(line)
                held.setdefault(fields.get("requestId", ""), []).append(fields["_seq"])
    promised = [line.split() for line in acknowledged.read_text().splitlines() if line.count(" ") == 1]
    wrong = [request for seq, request in promised if held.get(request) != [int(seq)]]
    faults += [f"{len(wrong)} of {len(promised)} acknowledged records are not there once: {wrong[:3]}"] if wrong else []
    if len(promised) < verdict.records // 2:
        faults.append(f"only {len(promised)} of {verdict.records} records were acknowledged: nothing was tried")
    return faults


if __name__ == "__main__":
    sys.exit(main())
