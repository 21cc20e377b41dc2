"""Kill what changes production or data at every system call that changes a file, and see what `recover` makes of it.

python -m bench.release_kills [--points N]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from bench import kills
from bench.kills import FEW, Matrix, Scenario, call
from bench.measure import clean_variables

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.release import evidence, gate
from agent_studio.release.backups import backup, verifying
from agent_studio.release.content import candidates, manifest
from agent_studio.release.content.store import Store
from agent_studio.release.content.tree import Tree
from agent_studio.release.production import history, switch

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """\
release:
  target: live
  policy:
    roles: []
test:
  command: echo "1 passed in 0.01s"
"""
"""Nobody signs here: a signature names the folder, and every kill has a copy of its own."""
_PROMOTE = ("promote", "--yes", "--discard")
"""What is there before the first release is nobody's that we know: it is asked about."""
_DATA = "live/.claude/memory/learnings.md"


def _made(project: Path) -> None:
    kills._fresh(project)  # noqa: SLF001 - the scenarios of one bench
    (project / ".claude/config.yaml").write_text(_CONFIG)
    live = project / "live"
    (live / ".claude/agents").mkdir(parents=True)
    (live / ".claude/agents/old.md").write_text("what was there before the first release\n")
    _must(project, "init", "--env", "staging", *FEW, "--no-hooks")
    _must(live, "init", "--env", "production", "--no-hooks")
    (project / _DATA).write_text("# Learnt in production\n")


def _must(project: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "agent_studio", *arguments, "--project", str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_variables())
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}")


def _edited(project: Path, text: str) -> None:
    """Change, add and remove definitions, and have all evidence on what that makes."""
    agents = project / ".claude/agents"
    (agents / "reader.md").write_text(text)
    (agents / f"{text.split(maxsplit=1)[0]}.md").write_text(text * 100)
    for other in agents.glob("only-*.md"):
        other.unlink()
    (agents / f"only-{text.split(maxsplit=1)[0]}.md").write_text(text)
    (project / ".claude/hooks").mkdir(exist_ok=True)
    guard = project / ".claude/hooks/guard.sh"
    guard.write_bytes(b"#!/bin/sh\r\n" + text.encode())
    guard.chmod(0o755 if text.startswith("a") else 0o644)
    own = Project(project.resolve())
    made = candidates.create(own)
    staging = open_context(own, Choice(Environment.STAGING, "--env"), {})
    for kind in gate.REQUIRED:
        evidence.record(staging, kind, made.candidate, evidence.PASS, {})


def _ready(project: Path) -> None:
    _made(project)
    _edited(project, "alpha of a release")


def _again(project: Path) -> None:
    _ready(project)
    _must(project, *_PROMOTE)
    _edited(project, "beta of a release")


def _live(project: Path) -> None:
    _again(project)
    _must(project, *_PROMOTE)


def _interrupted(project: Path) -> None:
    _again(project)
    code = (
        "import os, sys\n"
        "from agent_studio.cli.main import main\n"
        "from agent_studio.release.production import switch\n"
        "switch._bring = lambda *_: os._exit(9)\n"
        "main(['promote', '--yes', '--discard', '--project', sys.argv[1]])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(project)], capture_output=True, check=False)
    if switch.pending(Project(project.resolve())) is None:
        raise RuntimeError("the promotion was not interrupted")


_OF_SMOKE = re.compile(r"/\.smoke-|/\.+canary-")
"""What killed smoke tests leave, the next ones sweep, once it is a minute old."""
_OWN = "20260101T000000.000Z-00000000"
"""The backup that is restored."""


def _used(project: Path) -> None:
    """Have data, a backup of it, other data, and a backup of that."""
    kills._used(project)  # noqa: SLF001 - as above
    staging = open_context(Project(project.resolve()), Choice(Environment.STAGING, "--env"), {})
    with mock.patch.object(history, "new_id", return_value=_OWN):
        backup.create(staging, "trial")
    data = project / ".claude/staging"
    (data / "memory/learnings.md").write_text("# Something else\n")
    (data / "memory/notes of a user.md").unlink()
    (data / "memory/later").mkdir()
    (data / "memory/later/new.md").write_text("new\n")
    backup.create(staging, "trial")


def _half_restored(project: Path) -> None:
    _used(project)
    code = (
        "import os, sys\n"
        "from agent_studio.cli.main import main\n"
        "from agent_studio.release.backups import restore_differences\n"
        "restore_differences.apply = lambda *_: os._exit(9)\n"
        "main(['backup', 'restore', sys.argv[2], '--yes', '--env', 'staging', '--project', sys.argv[1]])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(project), _OWN], capture_output=True, check=False)
    if not (project / _BACKUPS / "restore.json").exists():
        raise RuntimeError("the restore was not interrupted")


def _cluttered(project: Path) -> None:
    """Have a store of which much may go: three candidates that nobody looked at again, long ago."""
    _live(project)
    own = Project(project.resolve())
    for number in range(3):
        (own.path / ".claude/agents/tried.md").write_text(f"tried {number}\n")
        candidates.create(own)
    (own.path / ".claude/agents/tried.md").unlink()
    long_ago = 1_700_000_000
    for place in (own.path / ".agent-studio/objects").rglob("*"):
        os.utime(place, (long_ago, long_ago))
    for place in (own.path / ".agent-studio/candidates").iterdir():
        place.write_text(place.read_text().replace('"time": "2', '"time": "1'))


_BACKUPS = ".agent-studio/staging/backups"

_BACK = ("rollback", "--level", "2", "--reason", "trial", "--yes", *FEW)
SCENARIOS = (
    Scenario("promote", _PROMOTE, _again),
    Scenario("promote, the first release", _PROMOTE, _ready),
    Scenario("rollback", _BACK, _live),
    Scenario("recover", ("recover",), _interrupted),
    Scenario("release prune", ("release", "prune", "--yes"), _cluttered),
    Scenario("backup restore", ("backup", "restore", _OWN, "--yes"), _used),
    Scenario("rollback level 3", ("rollback", "--level", "3", "--reason", "trial", "--backup", _OWN, "--yes"), _used),
    Scenario("recover a restore", ("recover",), _half_restored),
    Scenario("backup prune", ("backup", "prune", "--keep", "1", "--yes"), _used),
)


class ReleaseMatrix(Matrix):
    """The kills of one command that switches production."""

    def _repair(self, project: Path) -> None:
        if self.scenario.name.startswith(("promote", "recover")) and not project.name.startswith("undisturbed"):
            for arguments in (("recover",), _PROMOTE):
                code, said = call(project, *arguments)
                if code:
                    raise kills._UnrepairedError(f"{' '.join(arguments)} gives {code}: {said[-600:]}")  # noqa: SLF001

    def _faults(self, project: Path) -> Iterator[str]:
        """Recover, and yield what is not exactly old or new; then the command again, which has to succeed."""
        old = self._files(self._folder / "base")
        new = self._files(self._folder / "undisturbed")
        interrupted = switch.pending(Project(project)) is not None
        code, said = call(project, "recover")
        if code:
            yield f"recover gives {code}: {said[-400:]}"
            return
        live = self._files(project)
        if live not in (old, new):
            yield f"neither old nor new: {manifest.differences(old, live)}"
        if interrupted and live != new:
            yield "what was decided on did not happen"
        yield from self._unsound(project)
        if self.scenario.name == "release prune":
            yield from self._unpruned(project)
        if self.scenario.name.startswith("promote"):
            code, said = call(project, *_PROMOTE)
            if code or self._files(project) != new:
                yield f"the next promote gives {code}: {said[-400:]}"
            yield from self._unsound(project)

    def _unpruned(self, project: Path) -> Iterator[str]:
        """Clean up again, and yield what is kept that an undisturbed run removes."""
        code, said = call(project, *self.scenario.command)
        if code:
            yield f"the next run gives {code}: {said[-400:]}"
        wanted, found = (set(Store(Project(place)).names()) for place in (self._folder / "undisturbed", project))
        yield from (f"left in the store: {name}" for name in found - wanted)
        yield from (f"gone from the store: {name}" for name in wanted - found)
        yield from self._unsound(project)

    def _unsound(self, project: Path) -> Iterator[str]:
        code, said = call(project, "release", "verify")
        if code:
            yield f"release verify gives {code}: {said[-400:]}"
        if (project / _DATA).read_text() != "# Learnt in production\n":
            yield f"{_DATA} changed"
        left = (place for place in (project / "live/.claude").rglob(".*.tmp") if not _OF_SMOKE.search(str(place)))
        yield from (f"left behind: {place}" for place in left)
        yield from (f"left behind: {place}" for place in (project / ".claude/agents").rglob(".*.tmp"))
        past = history.read(Project(project))
        current = past.current
        if current and Store(Project(project)).manifest(current.release) != self._files(project):
            yield "the history names another release"

    @staticmethod
    def _files(project: Path) -> dict[str, manifest.Entry]:
        live = project.resolve() / "live"
        return Tree(live / ".claude", live).read().entries


class DataMatrix(Matrix):
    """The kills of one command that changes an environment's data, or the backups of it."""

    def _repair(self, project: Path) -> None:
        """Do nothing: what an undisturbed run leaves is compared as it is."""

    def _faults(self, project: Path) -> Iterator[str]:
        """Recover, and yield what is not exactly old or new; then the command again, which has to succeed."""
        old, new = (_data(self._folder / name) for name in ("base", "undisturbed"))
        interrupted = (project / _BACKUPS / "restore.json").exists()
        code, said = call(project, "recover")
        if code:
            yield f"recover gives {code}: {said[-400:]}"
            return
        found = _data(project)
        if found not in (old, new):
            yield f"neither old nor new: {sorted(found.items() ^ old.items())[:3]}"
        if interrupted and found != new:
            yield "what was decided on did not happen"
        yield from self._unsound(project)
        code, said = call(project, *self.scenario.command)
        if code or _data(project) != new:
            yield f"the next run gives {code}: {said[-400:]}"
        yield from self._unsound(project)
        yield from (f"left behind: {place}" for place in (project / ".claude/staging").rglob(".*.tmp"))
        yield from (f"left behind: {name}" for name in ("trial", "restoring") if (project / _BACKUPS / name).exists())

    @staticmethod
    def _unsound(project: Path) -> Iterator[str]:
        root = open_context(Project(project), Choice(Environment.STAGING, "--env"), {}).root
        for one in backup.listed(root):
            found = verifying.verify(root, str(one["id"]))
            yield from (f"backup {one['id']}: {fault}" for fault in found.faults)


def _data(project: Path) -> dict[str, bytes]:
    data = project / ".claude/staging"
    return {
        place.relative_to(data).as_posix(): place.read_bytes()
        for place in sorted(data.rglob("*"))
        if place.is_file() and "/.smoke-" not in str(place)  # the next smoke test takes away what a killed one left
    }


@contextlib.contextmanager
def matrix(scenario: Scenario) -> Iterator[Matrix]:
    """Give a scenario's matrix in a temporary folder."""
    of_data = scenario.prepare in (_used, _half_restored)
    with tempfile.TemporaryDirectory() as folder:
        yield (DataMatrix if of_data else ReleaseMatrix)(scenario, Path(folder).resolve())


def main() -> int:
    """Kill at every point, or at some, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=0, help="spread over all (default: every one)")
    parser.add_argument("--only", default="", help="one scenario")
    args = parser.parse_args()
    bad = 0
    for scenario in SCENARIOS:
        if args.only and scenario.name != args.only:
            continue
        with matrix(scenario) as found:
            points = found.spread(args.points or len(found.points))
            faults = [fault for point in points for fault in found.kill(point)]
            bad += len(faults)
            sys.stdout.write(f"{scenario.name}: {len(points)} of {len(found.points)} killed, {len(faults)} faults\n")
            for fault in faults:
                sys.stdout.write(f"  {fault}\n")
            sys.stdout.flush()
    return os.EX_OK if not bad else 1


if __name__ == "__main__":
    sys.exit(main())
