"""The project of the trial: on a small disk of its own where one can be had, wired, staged, with a production."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import measure

if TYPE_CHECKING:
    from collections.abc import Mapping

ARTIFACTS = 40
_FAKETIME = tuple(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_CONFIG = """\
release:
  policy:
    roles: []
test:
  command: echo "1 passed in 0.01s"
"""
_STAGING = """\
environment: staging
isolation:
  guard: true
monitoring:
  thresholds:
    hookExecutionTimeMs: 60
    hookFailureRate: 90
    agentFailureRate: 100
    errorRatePerHour: 1000000
  retention:
    metricsDays: 30
cost:
  budgets:
    - {name: hour, per: day, tokens: 5000000000, warnAt: [1, 50]}
"""
_SHIFTED = """import sys, time
from datetime import timedelta
shift = float(sys.argv[1])
seconds, ns = time.time, time.time_ns
time.time, time.time_ns = (lambda: seconds() + shift * 60), (lambda: ns() + int(shift * 60e9))
from agent_studio import clock
now = clock.now
clock.now = lambda: now() + timedelta(minutes=shift)
from agent_studio.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
"""A command of ours whose clock is wrong. (libfaketime would break `time.sleep`.)"""


@dataclass(frozen=True)
class Said:
    """What a command of ours came to."""

    code: int
    data: dict[str, Any]
    problems: list[dict[str, Any]]
    err: str
    killed: bool = False


@dataclass
class Place:
    """Where everything lies."""

    folder: Path
    disk_mb: int = 0
    """Size of the project's own disk; 0 where none could be mounted."""
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def disk(self) -> Path:
        """The project's own disk, where one could be mounted."""
        return self.folder / "disk"

    @property
    def project(self) -> Path:
        """The project."""
        return self.disk / "my shop \u00fcn\u00ef"

    @property
    def live(self) -> Path:
        """Where production is."""
        return self.disk / "live"

    @property
    def data(self) -> Path:
        """Staging's data."""
        return self.project / ".claude/staging"

    @property
    def state(self) -> Path:
        """What is derived from it, or kept about it."""
        return self.project / ".agent-studio/staging"

    @property
    def truth(self) -> Path:
        """The trial's own ledger."""
        return self.folder / "truth"

    @property
    def home(self) -> Path:
        """The home folder of everybody in the trial."""
        return self.folder / "home"

    @property
    def transcripts(self) -> Path:
        """Where played sessions have their transcripts."""
        return self.home / ".claude/projects/played"

    def ours(
        self, *words: str, minutes: float = 0, kill_after: float | None = None, env: str | None = "staging"
    ) -> Said:
        """Run a command of ours as a process of its own, its clock some minutes off, or killed after some seconds."""
        chosen = ("--env", env) if env else ()
        line = self.shifted([*words, *chosen, "--json"], minutes)
        with subprocess.Popen(
            line, cwd=self.project, env=self.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=kill_after or 300)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return Said(-9, {}, [], "", killed=True)
        try:
            envelope = json.loads(out)
        except ValueError:
            envelope = {}
        return Said(
            process.returncode,
            envelope.get("data") or {},
            envelope.get("problems") or [],
            err.decode("utf-8", "replace"),
        )

    def shifted(self, words: list[str], minutes: float) -> list[str]:
        """Return the command line of a command of ours, its clock some minutes off."""
        if minutes:
            return [sys.executable, "-c", _SHIFTED, str(minutes), *words]
        return [sys.executable, "-m", "agent_studio", *words]


def can_be_off() -> bool:
    """Tell whether the clock of a program that is not ours can be wrong: there is a libfaketime."""
    return bool(_FAKETIME)


def off_clock(minutes: float) -> dict[str, str]:
    """Return variables under which the recorder's clock is some minutes off."""
    if not minutes:
        return {}
    return {
        "LD_PRELOAD": str(_FAKETIME[0]), "FAKETIME": f"{minutes:+.1f}m", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }  # fmt: skip


def prepare(folder: Path, disk_mb: int) -> Place:
    """Lay everything out and wire it; raise `RuntimeError` when a command of ours fails."""
    place = Place(folder)
    for one in (place.disk, place.truth, place.transcripts, place.home / "tmp"):
        one.mkdir(parents=True)
    if disk_mb and _mount(place.disk, disk_mb):
        place.disk_mb = disk_mb
    place.variables = {
        **measure.clean_variables(), "HOME": str(place.home), "USERPROFILE": str(place.home),
        "TMPDIR": str(place.home / "tmp"), "GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.environ.get("PATH", os.defpath),
    }  # fmt: skip
    shutil.copytree(measure.REPOSITORY / "examples/bookshop", place.project)
    (place.project / ".claude/config.yaml").write_text(_CONFIG)
    (place.project / ".claude/config.staging.yaml").write_text(_STAGING)
    git(place, "init", "-q")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "The shop")
    must(place, "init", "--target", str(place.live), "--no-hooks", env="production")
    must(place, "init", "--set", f"testData.artifactsCount={ARTIFACTS}")
    must(place, "hooks", "install", "--wrap")
    _old_days(place)
    return place


def must(place: Place, *words: str, env: str | None = "staging", minutes: float = 0) -> dict[str, Any]:
    """Run a command that has to succeed and return its data."""
    said = place.ours(*words, env=env, minutes=minutes)
    if said.code:
        raise RuntimeError(f"{' '.join(words)}: exit code {said.code}: {said.problems or said.err[-800:]}")
    return said.data


def git(place: Place, *words: str) -> None:
    """Run git in the project."""
    own = ("-c", "user.name=Dana", "-c", "user.email=dana@example.org")
    subprocess.run(["git", *own, *words], cwd=place.project, check=True, capture_output=True, env=place.variables)


OLD_DAY, OLD_RECORDS = "2026-01-02", 25


def _old_days(place: Place) -> None:
    """Leave a closed file of a day that retention has long had to take away."""
    lines: list[dict[str, object]] = [
        {"timestamp": f"{OLD_DAY}T09:00:{number:02d}.000Z", "hook": "PreToolUse:old.sh", "event": "PreToolUse",
         "tool": "Bash", "executionTimeMs": 1.0, "status": "success", "sessionId": "old", "agent": None,
         "metadata": {}, "eventId": f"{number:032x}", "environment": "staging", "release": None}
        for number in range(OLD_RECORDS)
    ]  # fmt: skip
    file = place.data / f"metrics/hooks.{OLD_DAY}.1.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file.chmod(0o600)
    os.utime(file, (1_767_400_000, 1_767_400_000))


def _mount(folder: Path, size_mb: int) -> bool:
    line = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=700", "soak", str(folder)]
    try:
        return subprocess.run(line, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def dismiss(place: Place) -> None:
    """Give the project's disk back."""
    if place.disk_mb:
        subprocess.run(["umount", "-l", str(place.disk)], capture_output=True, check=False)


def of(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables with the environment chosen, as a client's hook has them."""
    return {**variables, "AGENT_STUDIO_ENV": "staging"}
