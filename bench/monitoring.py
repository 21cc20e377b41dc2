"""The summary of a day, out of a month of hook events, beside a full scan of the same files in a node process.

The scan parses every line, keeps those of the last 24 hours and prints calls, failures and percentiles per hook: what a
dashboard does that knows nothing of where in a file which time is. Where node is missing, Python scans.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import measure

from agent_studio import clock
from agent_studio.monitor import lake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DAYS, HOOKS = 30, 40
DAY_MS = 86_400_000
_SUMMARY_RATIO = 0.2
_PEAK_MB = 1_200
_NODE = """
const fs = require("fs"), path = require("path"), folder = process.argv[1], since = Date.now() - 864e5, hooks = {};
for (const name of fs.readdirSync(folder).filter((one) => one.startsWith("hooks"))) {
  for (const line of fs.readFileSync(path.join(folder, name), "utf8").split("\\n")) {
    if (!line) continue;
    const record = JSON.parse(line);
    if (Date.parse(record.timestamp) < since) continue;
    const hook = (hooks[record.hook] ??= { calls: 0, failures: 0, times: [] });
    hook.calls += 1; hook.failures += record.status === "failure"; hook.times.push(record.executionTimeMs);
  }
}
for (const hook of Object.values(hooks)) {
  hook.times.sort((a, b) => a - b);
  hook.p95 = hook.times[Math.floor(0.95 * (hook.times.length - 1))]; delete hook.times;
}
console.log(JSON.stringify(hooks));
"""
_PYTHON = """
import json, pathlib, sys, time
since, hooks = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 86400)), {}
for place in pathlib.Path(sys.argv[1]).glob("hooks*"):
    for line in place.open(encoding="utf-8"):
        record = json.loads(line)
        if record["timestamp"] >= since:
            hooks.setdefault(record["hook"], []).append(record["executionTimeMs"])
print({name: (len(times), sorted(times)[int(0.95 * (len(times) - 1))]) for name, times in hooks.items()})
"""
_TRENDS = """
import resource, sys
from pathlib import Path
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.monitor import metrics
context = open_context(Project(Path(sys.argv[1])), Choice(Environment.STAGING, "--env"), {})
found = metrics.summary(context, metrics.last_hours(24 * 30), engine="sql")
print(sum(one.calls for one in found.hooks), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Measured:
    """One thing measured."""

    name: str
    limit: str
    wall_s: float
    ratio: float | None
    """CPU time to that of the scan."""
    peak_mb: float | None
    held: bool | None
    """None where nothing is promised."""


def generate(folder: Path, events: int, seed: int) -> Path:
    """Write a staging environment with events of the last 30 days, a sealed file a day, and return the project."""
    chance = random.Random(seed)
    metrics = folder / ".claude/staging/metrics"
    metrics.mkdir(parents=True)
    (folder / ".claude/staging/sessions").mkdir()
    (folder / ".claude/config.staging.yaml").write_text("environment: staging\n", encoding="utf-8")
    now_ms = int(time.time() * 1000)
    today = clock.of_ms(now_ms)[:10]
    statuses = ["success"] * 24 + ["failure", "blocked"]
    day, file = "", None
    for number in range(events):
        stamp = clock.of_ms(now_ms - DAYS * DAY_MS + DAYS * DAY_MS * (number + 1) // events)
        if stamp[:10] != day:
            day = stamp[:10]
            if file is not None:
                file.close()
            name = "hooks.jsonl" if day == today else f"hooks.{day}.1.jsonl"
            file = (metrics / name).open("w", encoding="utf-8")
        record = {
            "timestamp": stamp, "hook": f"hook-{chance.randrange(HOOKS)}", "event": "PreToolUse", "tool": "Bash",
            "executionTimeMs": round(chance.lognormvariate(1, 1), 3), "status": chance.choice(statuses),
            "sessionId": f"session-{number // 500}", "agent": None, "metadata": {}, "eventId": f"{number:032x}",
            "environment": "staging", "release": None,
        }  # fmt: skip
        if file is not None:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
    if file is not None:
        file.close()
    return folder


def measured(folder: Path, events: int, rounds: int, seed: int) -> Iterator[Measured]:
    """Measure the summary of a day beside a full scan, and thirty days through columns."""
    project = generate(folder, events, seed)
    metrics = str(project / ".claude/staging/metrics")
    node = shutil.which("node")
    scan = (node, "-e", _NODE, metrics) if node else (sys.executable, "-c", _PYTHON, metrics)
    own = (sys.executable, "-m", "agent_studio", "monitor", "--env", "staging", "--project", str(project), "--json")
    costs = measure.beside(lambda: own, scan, rounds)
    ratio = costs.cpu_ratio()
    name = f"`monitor`, 24 h of {events:,} events in {DAYS} days, whole process"
    limit = f"<= {_SUMMARY_RATIO:g} x a full scan in {'node' if node else 'Python'}"
    yield Measured(name, limit, costs.wall_s(), ratio, None, ratio <= _SUMMARY_RATIO)
    for what in ("lines", "columns"):
        if what == "columns":
            _convert(project)
        wall_s, calls, peak_mb = _thirty_days(project)
        limit = f"exact, < {_PEAK_MB:,} MB"
        yield Measured(
            f"30 days of {events:,} events by SQL over {what}, whole process", limit, wall_s, None, peak_mb,
            abs(calls - events) <= max(events // 10_000, 2) and peak_mb < _PEAK_MB,
        )  # fmt: skip


def _convert(project: Path) -> None:
    """Make the columns of every sealed file, as the tidying after an ingest does."""
    for place in sorted((project / ".claude/staging/metrics").glob("hooks.*-*.jsonl")):
        target = project / f".agent-studio/staging/lake/hooks/{place.name.removeprefix('hooks.')[:-6]}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        lake.copy(place, "hooks", target)


def _thirty_days(project: Path) -> tuple[float, int, float]:
    started = time.perf_counter()
    line: Sequence[str] = (sys.executable, "-c", _TRENDS, str(project))
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=measure.clean_variables())
    calls, peak_mb = done.stdout.split()
    return time.perf_counter() - started, int(calls), float(peak_mb)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for one in measured(Path(os.path.realpath(folder)), args.events, args.rounds, args.seed):
            print(one)
    return 0


if __name__ == "__main__":
    sys.exit(main())
