"""Clocks, figures and tables that the benchmarks and the trials share."""

from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = Path(sys.executable).with_name("agent-studio")
_HIDDEN = ("AGENT_STUDIO_", "CLAUDE", "ANTHROPIC_", "PYTEST_", "PYTHONDONTWRITEBYTECODE")
"""The last would have every start compile what an installed package has compiled already."""


@dataclass(frozen=True)
class Limit:
    """One row of a table of limits."""

    name: str
    measured: str
    limit: str
    held: bool


@dataclass(frozen=True)
class Cost:
    """What one process cost."""

    code: int
    wall_s: float
    cpu_s: float


def clean_variables() -> dict[str, str]:
    """Return the process's variables without those that would choose or change an environment."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}


def run(command: Sequence[str], *, cwd: Path | None = None) -> Cost:
    """Run a command to its end, its output thrown away; CPU time is the process's own and its children's."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=clean_variables(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(process.returncode, wall, usage.ru_utime + usage.ru_stime)


@dataclass(frozen=True)
class Beside:
    """A command measured beside another in interleaved rounds."""

    own: Sequence[Cost]
    other: Sequence[Cost]

    def cpu_ratio(self) -> float:
        """Return the median of the CPU ratios within each round."""
        return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(self.own, self.other, strict=True))

    def wall_ratio(self) -> float:
        """Return the median of the ratios of wall time within each round: it counts processes that others wait for."""
        return statistics.median(a.wall_s / b.wall_s for a, b in zip(self.own, self.other, strict=True))

    def wall_s(self) -> float:
        """Return the median wall time of our own runs."""
        return statistics.median(cost.wall_s for cost in self.own)


def beside(
    own: Callable[[], Sequence[str]], other: Sequence[str], rounds: int, *, prepare: Callable[[], None] = lambda: None
) -> Beside:
    """Run two commands in turn, the order swapped every round, `prepare` before each of ours; first round unmeasured.

    Raises `RuntimeError` when a command fails: a figure of a failing command is none.
    """
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for number in range(rounds + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            if which == 0:
                prepare()
            command = own() if which == 0 else other
            cost = run(command)
            if cost.code:
                raise RuntimeError(f"exit code {cost.code}: {' '.join(command)}")
            if number:
                costs[which].append(cost)
    return Beside(*costs)


def percentile(values: Iterable[float], share: float) -> float:
    """Return a percentile by linear interpolation."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    low, high = math.floor(position), math.ceil(position)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def machine() -> str:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {platform.python_version()}"


def heading(title: str, seed: int) -> str:
    """Return a report's first lines."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"# {title}\n\n- date: {date}\n- machine: {machine()} (Python)\n- seed: {seed}\n\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines) + "\n"
