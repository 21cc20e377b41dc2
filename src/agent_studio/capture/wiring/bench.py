"""What our hooks cost on this machine: whole processes, in turn, beside the cheapest thing a hook can be."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.capture.wiring import entries
from agent_studio.capture.wiring.entries import Form
from agent_studio.capture.wiring.settings import SHARED
from agent_studio.environment.detect import PROJECT_VARIABLE, VARIABLE
from agent_studio.environment.roots import STATE, Project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.capture.recorder.build import Installed

NATIVE_RATIO = 3.0
PYTHON_RATIO = 1.5
EXEC_MS = 2.0
_RULES = [f"Bash(npm run task-{number}:*)" for number in range(200)]
"""Of a large settings file."""
_PAYLOAD = b'{"hook_event_name":"PostToolUse","text":"%s"}' % (b"x" * 3_400)


@dataclass(frozen=True)
class Costs:
    """CPU and wall seconds of two commands, round by round."""

    own: list[tuple[float, float]]
    other: list[tuple[float, float]]

    @property
    def cpu_ratio(self) -> float:
        """Median of the rounds' ratios."""
        return statistics.median(own[0] / other[0] for own, other in zip(self.own, self.other, strict=True))

    @property
    def more_ms(self) -> float:
        """Median of what the first takes longer, ms of wall time."""
        return 1e3 * statistics.median(own[1] - other[1] for own, other in zip(self.own, self.other, strict=True))

    @property
    def wall_ms(self) -> list[float]:
        """Wall time of the first command, ms, shortest first."""
        return sorted(1e3 * wall for _, wall in self.own)


@dataclass(frozen=True)
class Figure:
    """One figure and its limit."""

    name: str
    value: float
    limit: float
    unit: str
    told: str

    @property
    def held(self) -> bool:
        """Whether it is within its limit."""
        return self.value <= self.limit


def measure(installed: Installed, rounds: int) -> list[Figure]:
    """Measure the recorder and its `exec`; nothing is recorded in any environment."""
    with tempfile.TemporaryDirectory() as scratch:
        payload = Path(scratch) / "payload"
        payload.write_bytes(_PAYLOAD)
        command = _scratch(installed, Path(scratch))
        variables = {**_without_ours(), VARIABLE: "staging"}
        native = installed.kind == "native"
        floor = ("sh", "-c", ":") if native else (*command[:-1], "-c", "pass")
        record = interleaved(command, floor, rounds, payload, variables)
        hook = (*command, "exec", "--hook", "Bench:true", "--", "true")
        timed = interleaved(hook, ("true",), rounds, payload, variables)
        plugged = interleaved(_by_plugin(installed, Path(scratch), variables), floor, rounds, payload, variables)
    wall, beside = record.wall_ms, f"x the CPU of {' '.join((Path(floor[0]).name, *floor[-2:]))}"
    told = f"{record.cpu_ratio:.2f} {beside}; wall p50 {_at(wall, 0.5)}, p95 {_at(wall, 0.95)}"
    limit = NATIVE_RATIO if native else PYTHON_RATIO
    by_plugin = f"{plugged.cpu_ratio:.2f} {beside}; {plugged.more_ms:.2f} ms more"
    exec_limit = EXEC_MS if native else float("inf")
    return [
        Figure(f"record 3.4 kB ({installed.kind})", record.cpu_ratio, limit, "x", told),
        Figure("the same by the plugin", plugged.cpu_ratio, limit if native else float("inf"), "x", by_plugin),
        Figure("exec around a command", timed.more_ms, exec_limit, "ms", f"{timed.more_ms:.2f} ms more than without"),
    ]


def interleaved(
    own: Sequence[str], other: Sequence[str], rounds: int, payload: Path, variables: Mapping[str, str]
) -> Costs:
    """Run two commands that read the payload in turn, so that load falls on both alike."""
    costs = Costs([], [])
    for number in range(rounds + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            with payload.open("rb") as stdin:
                started = time.perf_counter()
                process = subprocess.Popen((own, other)[which], stdin=stdin, env=variables)
                cpu = _cpu_s(process)
                wall = time.perf_counter() - started
            if number:  # the first round warms the caches
                (costs.own, costs.other)[which].append((cpu, wall))
    return costs


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    if sys.platform == "win32":  # no usage of one child: wall time stands for it
        started = time.perf_counter()
        process.wait()
        return time.perf_counter() - started
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return max(usage.ru_utime + usage.ru_stime, 1e-6)


def _scratch(installed: Installed, folder: Path) -> tuple[str, ...]:
    """Copy the recorder beside routes of its own; return what starts the copy."""
    import shutil  # noqa: PLC0415 - only here

    place = folder / STATE
    shutil.copytree(installed.path.parent, place / "bin")
    (place / "routes").write_bytes(b"staging\t%s\n" % os.fsencode(folder.resolve() / "inbox.jsonl"))
    return (*installed.command[:-1], str((place / "bin" / installed.path.name).resolve()))


def _by_plugin(installed: Installed, folder: Path, variables: dict[str, str]) -> tuple[str, ...]:
    """Return what the plugin runs for an event of the scratch folder's project, whose settings it looks through."""
    settings = Project(folder).definition(SHARED)
    settings.parent.mkdir()
    settings.write_text(json.dumps({"permissions": {"allow": _RULES}}, indent=2), encoding="utf-8")
    variables[PROJECT_VARIABLE] = str(folder)
    return ("sh", "-c", entries.command(Form(installed, plugin=True))["command"])


def _without_ours() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AGENT_STUDIO_")}


def _at(ordered: Sequence[float], share: float) -> str:
    return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.2f} ms"
