"""Every command on projects that were not written for the test: what each says, how long it takes, what it changes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import REPOSITORY, clean_variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SUITE = (sys.executable, "-c", "print('3 passed in 0.01s')")
_SESSIONS = REPOSITORY / "examples/bookshop/claude-config"
_OWN = (".agent-studio/", ".claude/staging/")
_WRITTEN_ONCE = {".claude/config.yaml", ".claude/config.staging.yaml", ".gitignore"}
_RESTORED = {".claude/settings.json", ".claude/settings.local.json"}
COMMANDS: Mapping[str, tuple[tuple[str, ...], set[int]]] = {
    "init": (("init",), {0}),
    "init again": (("init",), {0}),
    "smoke": (("smoke",), {0}),
    "test": (("test",), {0}),
    "status": (("status",), {0}),
    "doctor": (("doctor",), {0, 1}),
    "config check": (("config", "check"), {0}),
    "kb search": (("kb", "search", "review", "reviewing", "code"), {0, 1}),  # 1: nothing of the kind is there
    "kb build": (("kb", "build"), {0}),
    "hooks wrap": (("hooks", "wrap", "--yes"), {0}),
    "hooks status": (("hooks", "status"), {0}),
    "ingest": (("ingest",), {0}),
    "monitor": (("monitor",), {0}),
    "alerts list": (("alerts", "list"), {0, 1}),  # 1: one is open
    "log": (("log",), {0}),
    "cost import": (("cost", "import", "--config-dir", str(_SESSIONS)), {0}),
    "cost report": (("cost", "report", "--by", "day,model"), {0}),
    "cost verify": (("cost", "verify"), {0}),
    "cost budget": (("cost", "budget"), {0}),
    "hooks uninstall": (("hooks", "uninstall", "--yes"), {0}),
}
"""What is run, in this order, and the exit codes that are right."""


@dataclass
class Trial:
    """What one trial showed."""

    name: str
    figures: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    not_run: str = ""

    @property
    def verdict(self) -> str:
        """Return PASS, FAIL or why it was not run."""
        return f"not run: {self.not_run}" if self.not_run else "FAIL" if self.faults else "PASS"


def examine(name: str, project: Path) -> Trial:
    """Run every command in staging of a project that may be changed, and look at what was."""
    trial = Trial(name)
    before = fingerprint(project)
    for verb, (arguments, right) in COMMANDS.items():
        code, envelope, error, seconds = _run(project, arguments)
        failed = [check for check in envelope.get("data", {}).get("checks", ()) if check["verdict"] == "FAIL"]
        told = "; ".join(problem.get("message", "") for problem in [*failed, *envelope.get("problems", [])[:2]])
        trial.figures.append(f"{verb} {seconds:.2f} s" + _told(verb, envelope))
        if code not in right:
            trial.faults.append(f"{verb}: exit code {code}: {told or error[-300:]}")
    trial.faults += changes(before, fingerprint(project))
    return trial


def _told(verb: str, envelope: Mapping[str, Any]) -> str:
    data = envelope.get("data", {})
    if verb == "init":
        skipped = sum(problem.get("code") == "skipped" for problem in envelope.get("problems", []))
        return f" ({data.get('artifacts')} rows, {data.get('testArtifactsCreated')} of test data, {skipped} skipped)"
    if verb == "kb build":
        return f" ({data.get('artifacts')} artifacts)"
    if verb == "smoke":
        return f" ({data.get('passed')} passed, {data.get('failed')} failed, {data.get('skipped')} skipped)"
    if verb == "doctor":
        bad = [item["code"] for item in data.get("findings", []) if item["severity"] in {"warning", "error"}]
        return f" (to mend: {', '.join(sorted(set(bad))) or 'nothing'})"
    return ""


def _run(project: Path, arguments: Sequence[str]) -> tuple[int, dict[str, Any], str, float]:
    """Return exit code, envelope, stderr and seconds of one command."""
    command = [
        sys.executable,
        "-m",
        "agent_studio",
        *arguments,
        "--json",
        "--env",
        "staging",
        "--project",
        str(project),
    ]
    if arguments == ("test",):
        command += ["--", *_SUITE]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, env=clean_variables(), check=False)
    seconds = time.perf_counter() - started
    try:
        envelope = json.loads(done.stdout)
    except ValueError:
        envelope = {"problems": [{"message": f"no JSON: {done.stdout[:200]!r}"}]}
    return done.returncode, envelope, done.stderr.decode(errors="replace"), seconds


def fingerprint(project: Path) -> dict[str, tuple[object, ...]]:
    """Return what every file and link of a project is, our own folders and git's aside."""
    return dict(_entries(project, ""))


def _entries(project: Path, relative: str) -> Iterator[tuple[str, tuple[object, ...]]]:
    for entry in os.scandir(project / relative):
        inner = f"{relative}{entry.name}"
        status = entry.stat(follow_symlinks=False)
        if entry.is_symlink():
            yield inner, ("link", str(Path(entry.path).readlink()))
        elif entry.is_dir(follow_symlinks=False):
            if f"{inner}/" not in {*_OWN, ".git/"}:
                yield from _entries(project, f"{inner}/")
        elif entry.is_file(follow_symlinks=False):
            with open(entry.path, "rb") as file:  # noqa: PTH123 - a scanned name may not be text
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            restored = inner in _RESTORED  # byte for byte, at another time
            yield inner, (digest, None if restored else status.st_mtime_ns, stat.S_IMODE(status.st_mode))


def changes(before: Mapping[str, tuple[object, ...]], after: Mapping[str, tuple[object, ...]]) -> list[str]:
    """Return what changed beyond the files that `init` writes when they are missing."""
    touched = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    promised = {name for name in _WRITTEN_ONCE if name not in before} | {".gitignore"}
    return [f"changed: {name}" for name in touched if name not in promised]
