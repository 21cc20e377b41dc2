"""Makes a fixture of data as an earlier version wrote it: python -m tests.upgrade_maker COMMIT STAGE.

The commit's own command is run from a worktree of it, on its own copy of the example project; what it wrote is packed
to `fixtures/upgrade/STAGE.tar.xz`, programs left out. What a later version must find in it is in `expected.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
FIXTURES = Path(__file__).parent / "fixtures/upgrade"
SAMPLE = Path(__file__).parent / "fixtures/claude_code/2.1.330/tools"
_CONFIG = "release:\n  policy:\n    roles: []\ntest:\n  command: echo '1 passed in 0.01s'\n"
_EVIDENCE = """
import sys
from pathlib import Path
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.release import evidence, gate
context = open_context(Project(Path.cwd()), Choice(Environment.STAGING, "--env"), {})
for kind in gate.REQUIRED:
    evidence.record(context, kind, sys.argv[1], evidence.PASS, {"reason": "recorded for a fixture"})
"""
_PLACE = Path("/tmp/agent-studio-upgrade")
_LEFT_OUT = {
    "shop/.git", "shop/.agent-studio/bin", "shop/claude-config", "shop/bookshop", "shop/tests",
    "shop/search-questions.jsonl", "shop/.agent-studio/production/knowledge.sqlite3",
    "shop/.claude/evals",
}  # fmt: skip


class Maker:
    """A project, and the command of an earlier version."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.project = folder / "shop"
        shutil.copytree(source / "examples/bookshop", self.project)
        (folder / "home").mkdir()
        self.variables = {
            "PATH": os.environ["PATH"], "HOME": str(folder / "home"), "PYTHONPATH": str(source / "src"),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }  # fmt: skip

    def run(self, *words: str, env: str | None = "staging", code: int = 0, given: str = "") -> dict[str, Any]:
        """Run a command and return its data."""
        chosen = ("--env", env) if env else ()
        done = self.python("-m", "agent_studio", *words, *chosen, "--json", given=given)
        if done.returncode != code:
            raise SystemExit(f"{' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")
        data: dict[str, Any] = json.loads(done.stdout)["data"]
        return data

    def python(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run Python with the earlier version."""
        return subprocess.run(
            [sys.executable, *words], cwd=self.project, env=self.variables, capture_output=True, text=True, input=given,
            check=False,
        )  # fmt: skip

    def knows(self, verb: str) -> bool:
        """Tell whether the version has a command."""
        return self.python("-m", "agent_studio", verb, "--help").returncode == 0

    def git(self, *words: str) -> None:
        """Run git in the project."""
        own = ("-c", "user.name=Dana", "-c", "user.email=dana@example.org")
        subprocess.run(["git", *own, *words], cwd=self.project, check=True, capture_output=True)


def make(maker: Maker) -> dict[str, Any]:
    """Use everything that the version has once, and return what a later version must find."""
    place = maker.project / ".claude"
    (place / "config.yaml").write_text(_CONFIG)
    maker.git("init", "-q")
    maker.git("add", "-A")
    maker.git("commit", "-qm", "The shop")
    maker.run("init", "--no-hooks", "--set", "testData.artifactsCount=6")
    maker.run("init", "--no-hooks", env="production")
    expected: dict[str, Any] = {"ingested": _session(maker)}
    maker.run("cost", "import", "--config-dir", "claude-config", "--all-sessions")
    call = {"model": "claude-haiku-4-5", "inputTokens": 812, "outputTokens": 40, "agent": "triage"}
    maker.run("cost", "record", "--stdin", given=json.dumps(call))
    expected["cost"] = maker.run("cost", "report", "--by", "model")["totals"]
    expected["ledger"] = maker.run("cost", "verify")["head"]
    for value in ("--off", "--on"):
        maker.run("flags", "set", "advancedElicitation", value, "--reason", "a fixture", "--by", "dana")
    expected["artifacts"] = maker.run("kb", "build")["artifacts"]
    if maker.knows("monitor"):
        maker.run("alerts", "list")
        maker.run("alerts", "silence", "*", "--for", "1h", "--why", "a fixture", "--by", "dana")
    if maker.knows("memory"):
        expected["memory"] = _minds(maker)
    if maker.knows("eval"):
        tried = ("--tag", "words", "--repeats", "1", "--backend", "scripted:.claude/evals/rehearsal.json")
        expected["evals"] = maker.run("eval", "run", *tried)["decided"]
    if maker.knows("promote"):
        expected["release"] = _released(maker)
    _waiting(maker)
    return expected


def _session(maker: Maker) -> dict[str, int]:
    """Have a recorded session ingested whose transcript is beside the project."""
    transcripts = maker.project / "transcripts"
    shutil.copytree(SAMPLE / "transcripts", transcripts)
    told = (SAMPLE / "inbox.jsonl").read_text().replace("/srv/transcripts", str(transcripts))
    _append(maker, told)
    records: dict[str, int] = maker.run("ingest")["records"]
    return records


def _minds(maker: Maker) -> int:
    for kind in ("learning", "decision", "issue"):
        maker.run("memory", "add", kind, f"The fixture holds one {kind} about oysters")
    maker.run("memory", "sidecar", "add", "Oysters are counted twice", "--agent", "planner", "--as-operator")
    seats = ("--options", "Postgres|Redis", "--model", "scripted:party-replies.json")
    maker.run("party", "run", "Which queue?", *seats)
    maker.run("evolve", "start", "skill", "mooring-plan", "--need", "Boats are moored without a plan")
    return len(maker.run("memory", "list")["notes"])


def _released(maker: Maker) -> dict[str, str]:
    candidate = maker.run("candidate", "create", env=None)["candidate"]
    done = maker.python("-c", _EVIDENCE, candidate)
    if done.returncode:
        raise SystemExit(done.stderr)
    maker.run("promote", "--yes", "--discard", env=None)
    maker.run("backup", "create", "--reason", "a fixture")
    return {"candidate": candidate}


def _waiting(maker: Maker) -> None:
    """Leave half of a session in the inbox, as a version that is replaced meanwhile would."""
    lines = (SAMPLE / "inbox.jsonl").read_text().splitlines(keepends=True)[:2]
    other = "".join(lines).replace("1d96272f", "2e07383a")
    _append(maker, other)


def _append(maker: Maker, text: str) -> None:
    inbox = os.open(
        maker.project / ".claude/staging/metrics/events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
    )
    os.write(inbox, text.encode())
    os.close(inbox)


def main(commit: str, stage: str) -> None:
    """Make one fixture."""
    folder = _PLACE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with tempfile.TemporaryDirectory() as other:
        source = Path(other) / "source"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(source), commit], cwd=REPOSITORY, check=True)
        try:
            maker = Maker(source, folder)
            expected = make(maker)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(source)], cwd=REPOSITORY, check=True)
        FIXTURES.mkdir(exist_ok=True)
        with tarfile.open(FIXTURES / f"{stage}.tar.xz", "w:xz") as packed:
            packed.add(maker.project, "shop", filter=_kept)
        known = FIXTURES / "expected.json"
        whole = json.loads(known.read_text()) if known.exists() else {}
        whole[stage] = {"commit": commit, **expected}
        known.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")


def _kept(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what no version needs to read, and who made the fixture."""
    derived = item.name.endswith(("-shm", ".pyc", "__pycache__"))
    if item.name in _LEFT_OUT or derived or not (item.isdir() or item.isreg()):
        return None
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    return item


if __name__ == "__main__":
    main(*sys.argv[1:])
