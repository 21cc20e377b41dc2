"""The recorder on this machine: what a whole process costs beside `sh -c :`, and what many writers and kills lose.

bench/recorder.py prints a table and exits 1 when an event was lost or torn or a limit was missed; --quick is a tenth
of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import measure
from bench.measure import Limit

from agent_studio.capture.recorder import build, routes
from agent_studio.capture.wiring.bench import EXEC_MS, NATIVE_RATIO, PYTHON_RATIO, Costs, interleaved
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import Project, environment_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

WRITERS = 8
SIZES = (3_000, 300_000)
_SHELL = ("sh", "-c", ":")
_TRUE = ("/bin/true",)
_EXEC = ("exec", "--hook", "bench", "--", *_TRUE)
_NUMBERED = re.compile(rb'"payload":\{"writer":([0-9]+),"number":(-?[0-9]+),"text":"(x*)"\}\}')


@dataclass(frozen=True)
class Place:
    """A project with an installed recorder."""

    command: tuple[str, ...]
    inbox: Path
    variables: Mapping[str, str]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the recorder, its payload still to come."""
        return subprocess.Popen(self.command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.variables)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table; exit code 1 when a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for figure in _figures(Path(folder).resolve(), args.seed, 10 if args.quick else 1):
            print(f"{figure.name}: {figure.measured} ({figure.limit})", flush=True)
            figures.append(figure)
    print("\n" + measure.heading("The recorder", args.seed))
    rows = [(one.name, one.measured, one.limit, "held" if one.held else "MISSED") for one in figures]
    print(measure.table(("what", "measured", "limit", "verdict"), rows))
    return 0 if all(figure.held for figure in figures) else 1


def _figures(folder: Path, seed: int, less: int) -> Iterator[Limit]:
    for kind in ("native", "python"):
        place = installed(folder / kind, kind)
        if place is None:
            print(f"{kind}: not run, there is no C compiler")
            continue
        yield from costs(place, kind, 200 // less)
        for size in SIZES:
            yield at_once(place, kind, size, (1_000 if kind == "native" else 100) // less)
        yield killed(place, kind, (1_000 if kind == "native" else 200) // less, seed)


def installed(folder: Path, kind: str) -> Place | None:
    """Install one kind of recorder into a new project, or return None where it cannot be had."""
    (folder / ".claude/metrics").mkdir(parents=True)
    project = Project(folder)
    compilers = build.COMPILERS
    try:
        if kind == "python":
            build.COMPILERS = ()
        done = build.install(project)
    finally:
        build.COMPILERS = compilers
    if done.kind != kind:
        return None
    routes.write(project, [environment_root(project, Environment.DEVELOPMENT, {})], {})
    return Place(done.command, routes.read(project)[Environment.DEVELOPMENT], measure.clean_variables())


def costs(place: Place, kind: str, rounds: int) -> Iterator[Limit]:
    """Compare whole processes: recording with the shell or the bare interpreter, `exec` with the bare command."""
    limit = NATIVE_RATIO if kind == "native" else PYTHON_RATIO
    record = recording(place, kind, rounds)
    ratio, wall = record.cpu_ratio, record.wall_ms
    told = f"{ratio:.2f} x CPU of the floor; wall p50 {measure.percentile(wall, 0.5):.2f} ms"
    name = f"{kind}: record 3.4 kB"
    yield Limit(name, f"{told}, p95 {measure.percentile(wall, 0.95):.2f} ms", f"<= {limit} x", ratio <= limit)
    payload = place.inbox.with_name("payload")
    more = interleaved((*place.command, *_EXEC), _TRUE, rounds, payload, measure.clean_variables()).more_ms
    held = kind != "native" or more <= EXEC_MS
    yield Limit(f"{kind}: exec", f"{more:.2f} ms more than the command", "native <= 2 ms", held)


def recording(place: Place, kind: str, rounds: int) -> Costs:
    """Compare recording with the shell that does nothing, or with the bare interpreter."""
    floor = _SHELL if kind == "native" else (*place.command[:-1], "-c", "pass")
    payload = place.inbox.with_name("payload")
    payload.write_bytes(numbered(0, 0, 3_400))
    return interleaved(place.command, floor, rounds, payload, measure.clean_variables())


def numbered(writer: int, number: int, size: int) -> bytes:
    """Return a payload that says whose it is."""
    return b'{"writer":%d,"number":%d,"text":"%s"}' % (writer, number, b"x" * size)


def at_once(place: Place, kind: str, size: int, count: int) -> Limit:
    """Let many writers record at once; every payload must be there, whole, once."""
    place.inbox.unlink(missing_ok=True)
    started = time.perf_counter()
    _in_children(lambda writer: _record(place, writer, size, count))
    wall = time.perf_counter() - started
    lost, torn = _missing(place.inbox, {(w, n) for w in range(WRITERS) for n in range(count)}, size)
    told = f"{lost} lost, {torn} torn, {WRITERS * count / wall:,.0f} events/s"
    return Limit(f"{kind}: {WRITERS} writers x {count} x {size // 1_000} kB", told, "none", not lost and not torn)


def _record(place: Place, writer: int, size: int, count: int) -> None:
    for number in range(count):
        process = place.start()
        process.communicate(numbered(writer, number, size))
        if process.returncode:
            raise SystemExit(1)


def _in_children(work: Callable[[int], None]) -> None:
    """Run `work` in a process for each writer; raise `RuntimeError` when one fails."""
    children = []
    for writer in range(WRITERS):
        child = os.fork()
        if not child:
            code = 1
            try:
                work(writer)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise RuntimeError("a recorder did not exit with 0")


def _missing(inbox: Path, expected: set[tuple[int, int]], size: int) -> tuple[int, int]:
    """Return how many of the expected payloads are not there exactly once and whole, and how many lines are torn."""
    found: dict[tuple[int, int], int] = {}
    torn = 0
    with inbox.open("rb") as file:
        for line in file:
            match = _NUMBERED.search(line)
            if match and len(match[3]) == size and line.startswith(b'{"ts":') and line.endswith(b"}}\n"):
                key = int(match[1]), int(match[2])
                found[key] = found.get(key, 0) + 1
            else:
                torn += 1
    return sum(found.get(key, 0) != 1 for key in expected), torn


def killed(place: Place, kind: str, count: int, seed: int) -> Limit:
    """Kill half of the recorders at a random moment; what exited with 0 must be there, whole, once."""
    place.inbox.unlink(missing_ok=True)
    acknowledged = place.inbox.with_name("acknowledged")
    acknowledged.unlink(missing_ok=True)
    _in_children(lambda writer: _record_and_kill(place, writer, count, seed, acknowledged))
    kept = {(one[0], one[1]) for one in map(json.loads, acknowledged.read_text().splitlines())}
    lost, torn = _missing(place.inbox, kept, SIZES[1])
    told = f"{lost} of {len(kept)} acknowledged lost; {WRITERS * count - len(kept)} killed, {torn} left half a line"
    return Limit(f"{kind}: SIGKILL at random, {WRITERS} x {count} x {SIZES[1] // 1_000} kB", told, "none", not lost)


def _record_and_kill(place: Place, writer: int, count: int, seed: int, acknowledged: Path) -> None:
    chance = random.Random(seed * WRITERS + writer)
    typical = _typical_s(place)
    descriptor = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in range(count):
        with tempfile.TemporaryFile() as payload:
            payload.write(numbered(writer, number, SIZES[1]))
            payload.seek(0)
            process = subprocess.Popen(place.command, stdin=payload, stderr=subprocess.DEVNULL, env=place.variables)
        if number % 2:
            time.sleep(chance.random() * typical / 2)
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            os.write(descriptor, json.dumps([writer, number]).encode() + b"\n")
    os.close(descriptor)


def _typical_s(place: Place) -> float:
    """Return how long a recorder takes while the others run."""
    started = time.perf_counter()
    for _ in range(3):
        place.start().communicate(numbered(0, -1, SIZES[1]))
    return (time.perf_counter() - started) / 3


if __name__ == "__main__":
    raise SystemExit(main())
