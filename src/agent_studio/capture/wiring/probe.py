"""The live proof: what is installed is run as the client would run it, on a copy whose inbox is nobody's."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.capture.recorder import routes
from agent_studio.capture.recorder.build import BIN
from agent_studio.capture.wiring import entries
from agent_studio.environment.detect import PROJECT_VARIABLE, VARIABLE, Environment
from agent_studio.environment.roots import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.roots import Project

_SECONDS = 10
_IN_A_RUN = "AGENT_STUDIO_ISOLATION"
_ANSWER_SECONDS = 2
_PAYLOAD = {"hook_event_name": "Probe", "session_id": "probe", "text": "line one\nline two"}
_REASON = b"refused by the probe\n"
_REFUSING = {"command": "cat >/dev/null; echo refused by the probe >&2; exit 2"}


@dataclass(frozen=True)
class Probe:
    """One thing that was tried."""

    name: str
    works: bool
    message: str


@dataclass(frozen=True)
class _Copy:
    """A copy of a project's recorder with an inbox of its own."""

    original: str
    folder: Path

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox.jsonl"

    def run(self, hook: Mapping[str, Any]) -> subprocess.CompletedProcess[bytes]:
        """Run a hook as the client does, from another folder, with its paths led to the copy."""
        words = [hook["command"], *(hook.get("args") or ())]
        there = [self._led(word, quoted="args" not in hook) for word in words]
        if there == words and PROJECT_VARIABLE not in words[0]:
            raise ValueError("it does not start this project's recorder")
        line: str | list[str] = there if "args" in hook else there[0]
        variables = {**os.environ, VARIABLE: Environment.STAGING, PROJECT_VARIABLE: str(self.folder)}
        variables.pop(_IN_A_RUN, None)  # a plugin would leave recording to it
        return subprocess.run(
            line, shell=isinstance(line, str), input=json.dumps(_PAYLOAD).encode(), capture_output=True,
            timeout=_SECONDS, env=variables, cwd=self.folder.parent, check=False,
        )  # fmt: skip

    def _led(self, word: str, *, quoted: bool) -> str:
        """Return a word with the original's folder exchanged for the copy's, also where quotes changed its text."""
        for program in ("recorder", "recorder.py"):
            place = f"{self.original}/{BIN}/{program}"
            if quoted and (written := shlex.quote(place)) in word:
                return word.replace(written, f"{self.folder}/{BIN}/{program}")
        return word.replace(self.original, str(self.folder))

    def recorded(self) -> list[dict[str, Any]]:
        """Return the lines of the copy's inbox and empty it."""
        try:
            lines = self.inbox.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        self.inbox.unlink()
        return [json.loads(line) for line in lines if line]


@contextmanager
def _copied(project: Project) -> Iterator[_Copy]:
    with tempfile.TemporaryDirectory(prefix="agent-studio-probe-") as scratch:
        folder = Path(os.path.realpath(scratch)) / "project"
        shutil.copytree(project.path / BIN, folder / BIN)
        copy = _Copy(str(project.path), folder)
        (folder / STATE / routes.FILE).write_bytes(b"staging\t%s\n" % os.fsencode(copy.inbox))
        yield copy


def recording(project: Project, hooks: Mapping[str, Mapping[str, Any]]) -> Iterator[Probe]:
    """Yield for each of our command hooks, by event, whether it records what it is given, and nothing else."""
    with _copied(project) as copy:
        for event, hook in hooks.items():
            yield Probe(f"records {event}", *_recorded(copy, hook))


def _recorded(copy: _Copy, hook: Mapping[str, Any]) -> tuple[bool, str]:
    try:
        done = copy.run(hook)
        lines = copy.recorded()
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    if done.returncode or done.stdout or done.stderr:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        return False, f"exit code {done.returncode} {said[:200]}".strip()
    if [line.get("payload") for line in lines] != [_PAYLOAD]:
        return False, f"{len(lines)} lines recorded, one was expected"
    return True, "the payload is in the inbox, nothing was printed"


def answering(url: str) -> Probe:
    """Ask the daemon that http hooks are posted to whether it is there."""
    name = f"somebody answers at {url}"
    try:
        with urllib.request.urlopen(urllib.parse.urljoin(url, "/healthz"), timeout=_ANSWER_SECONDS):  # noqa: S310
            return Probe(name, works=True, message="the daemon is up")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Probe(name, works=False, message=f"{reason}: what happens now is lost; agent-studio serve --env NAME")


def blocking(project: Project) -> Probe:
    """Run a refusing hook under the clock: it must still refuse, and be recorded."""
    name = "blocks under the clock"
    hook = entries.timed("PreToolUse:probe", _REFUSING)
    with _copied(project) as copy:
        try:
            done = copy.run(hook)
            lines = copy.recorded()
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            return Probe(name, works=False, message=str(error))
    if done.returncode != 2 or done.stderr != _REASON or done.stdout:  # noqa: PLR2004 - what blocks
        return Probe(name, works=False, message=f"exit code {done.returncode}, not 2 with the reason untouched")
    if [line["payload"].get("exit") for line in lines if line.get("kind") == "exec"] != [2]:
        return Probe(name, works=False, message="it blocked, but its run was not recorded")
    return Probe(name, works=True, message="exit code 2 and the reason came through, the run was recorded")


def bare(project: Project) -> Probe:
    """Run the same with the recorder gone: a guard must refuse all the same."""
    name = "blocks without the recorder"
    hook = entries.timed("PreToolUse:probe", _REFUSING)
    with _copied(project) as copy:
        shutil.rmtree(copy.folder / BIN)
        try:
            done = copy.run(hook)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(name, works=False, message=str(error))
    works = done.returncode == 2 and done.stderr == _REASON  # noqa: PLR2004 - what blocks
    return Probe(name, works, "exit code 2 and the reason came through" if works else f"exit code {done.returncode}")
