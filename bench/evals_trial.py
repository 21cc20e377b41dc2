"""Evals with the real client: an API whose answers depend on the definitions, so that the right verdict is known.

The API finds `Quality: N` in what the client sends of the project's CLAUDE.md and does the task right in N of 100
attempts, spread evenly. Everything is judged from outside: verdicts, the project's files, processes, the ledger.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench.client import claude
from bench.client.journey import JourneyError, ours
from bench.client.messages_api import MessagesApi, Served, Tool, Turn
from bench.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.client.claude import Client

_QUALITY = re.compile(r"Quality: (\d+)")
_FOLDER = re.compile(r"Primary working directory: ([^\\\n]+)")
_MARK = "[haiku]"
_STEP = 0.6180339887
_TASKS = ("spring", "summer", "autumn", "winter")
_IGNORED = (".agent-studio", ".git", ".claude/staging")
MODEL = "claude-haiku-4-5-20251001"


@dataclass
class QualityApi(MessagesApi):
    """Writes what it was asked for, as often as the definitions say."""

    script: Mapping[str, Sequence[Turn]] = field(default_factory=lambda: {_MARK: [Turn("done")]})
    attempts: Counter[tuple[str, int]] = field(default_factory=Counter)
    delay_s: float = 0.0
    _own: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Served, Turn]:
        """Choose by the definitions in the request."""
        served, turn = super().answer(body, headers)
        if served.conversation != _MARK:
            return served, turn
        time.sleep(self.delay_s)
        if served.turn:
            return served, Turn("done")
        text = json.dumps(body, ensure_ascii=False)
        task = next(one for one in _TASKS if f"about {one}" in text)
        found = _QUALITY.search(text)
        quality = int(found[1]) if found else 0
        with self._own:
            number = self.attempts[task, quality]
            self.attempts[task, quality] += 1
        offset = (_TASKS.index(task) + 1) * 0.31
        good = (number * _STEP + offset) % 1 < quality / 100
        command = f"echo {task if good else 'nothing'} > haiku.txt"
        tool = Tool("Bash", {"command": command, "description": "write"})
        return replace(served, tool_ids=[f"toolu_{served.serial:020d}0000"]), Turn(tools=[tool])


class Bench:
    """A project with tasks, a client and its API."""

    def __init__(self, client: Client, place: Path, api: QualityApi) -> None:
        self.project, self.home, self.api = place / "my shop ünï", place / "home", api
        shutil.copytree(REPOSITORY / "examples/bookshop", self.project)
        self.home.mkdir()
        self.variables = claude.variables(client, self.home, api.url)
        for words in (
            ("init", "-q"),
            ("add", "-A"),
            ("-c", "user.name=D", "-c", "user.email=d@e", "commit", "-qm", "S"),
        ):
            subprocess.run(["git", *words], cwd=self.project, check=True, env={**os.environ, **self.variables})
        ours(
            self.project, self.variables, "init", "--env", "staging", "--no-hooks", "--set", "testData.artifactsCount=0"
        )
        tasks = [
            {"id": task, "tags": ["seasons"], "start": {"empty": True, "files": {"README.md": "Poems.\n"}},
             "prompt": f"{_MARK} Write about {task} into haiku.txt", "limits": {"usd": 0.2, "seconds": 90},
             "checks": [{"file": "haiku.txt", "matches": f"^{task}$"}, {"diff": {"only": ["haiku.txt"]}},
                        {"tool": "Bash"}, {"blocked": 0}, {"atMost": {"turns": 5}}]}
            for task in _TASKS
        ]  # fmt: skip
        folder = self.project / ".claude/evals"
        shutil.rmtree(folder)  # the example's own tasks
        folder.mkdir()
        (folder / "seasons.yaml").write_text(json.dumps({"tasks": tasks}))

    def side(self, quality: int) -> str:
        """Make a candidate of that quality."""
        (self.project / "CLAUDE.md").write_text(f"# Poems\n\nQuality: {quality}\n")
        return str(ours(self.project, self.variables, "candidate", "create")["candidate"])

    def words(self, against: str, *more: str) -> list[str]:
        """Return the command that compares the working checkout with a candidate."""
        return [
            sys.executable, "-m", "agent_studio", "eval", "compare", "--against", against, "--json", "--model", MODEL,
            "--limit-usd", "50", "--seed", "3", *more,
        ]  # fmt: skip

    def resuming(self, run: str) -> list[str]:
        """Return the command that goes on with a run, which knows the rest."""
        return [sys.executable, "-m", "agent_studio", "eval", "compare", "--json", "--resume", run]

    def compare(self, against: str, *more: str) -> dict[str, Any]:
        """Compare; raise `JourneyError` where there is no verdict."""
        done = subprocess.run(
            self.words(against, *more), cwd=self.project, env=self.variables, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=1_200, check=False,
        )  # fmt: skip
        try:
            data: dict[str, Any] = json.loads(done.stdout)["data"]
        except ValueError:
            raise JourneyError(f"eval compare ended with {done.returncode}: {done.stdout}{done.stderr}") from None
        return data or {"verdict": f"{done.stdout} {done.stderr}"}

    def files(self) -> str:
        """Return one hash of the project's files, but for what is kept of runs and staging's data."""
        digest = hashlib.sha256()
        for path in sorted(self.project.rglob("*")):
            name = path.relative_to(self.project).as_posix()
            if path.is_file() and not name.startswith(_IGNORED):
                digest.update(f"{name} {path.stat().st_mode} ".encode() + path.read_bytes())
        return digest.hexdigest()

    def journal(self, run: str) -> list[dict[str, Any]]:
        """Return the lines of a run."""
        place = self.project / ".agent-studio/staging/evals" / run / "journal.jsonl"
        return [json.loads(line) for line in place.read_bytes().splitlines() if line.strip()]

    def ledger(self) -> list[dict[str, Any]]:
        """Return what staging's ledger has of evals."""
        place = self.project / ".claude/staging/metrics/llm-usage.log"
        lines = [json.loads(line) for line in place.read_bytes().splitlines()] if place.exists() else []
        return [line for line in lines if str(line.get("taskId", "")).startswith("eval:")]


def left_running(home: Path) -> list[str]:
    """Return the processes that still have a bench's API key or folder in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (place / "environ").read_bytes() and int(place.name) != os.getpid():
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
        except OSError:
            continue
    return found


def money(bench: Bench) -> Iterator[str]:
    """Yield where journal, ledger and API do not agree on what was used.

    Of an attempt that was killed the last response may never have reached the client: the limit counts it at its worst.
    """
    lines = bench.ledger()
    runs = {str(line["taskId"]).split(":")[1] for line in lines}
    used = [one for run in runs for one in bench.journal(run) if one["kind"] in {"attempt", "void", "abandoned"}]
    spent = sum((Decimal(one["usd"]) for one in used if one.get("known", True)), Decimal(0))
    kept = sum((Decimal(line["costUsd"]) for line in lines), Decimal(0))
    if spent != kept:
        yield f"attempts cost {spent} USD, the ledger has {kept}"
    served = {one.message_id: one.usage for one in bench.api.of(_MARK)}
    told = Counter(line["messageId"] for line in lines)
    given = {one.message_id for one in bench.api.served}  # older clients warm agents up besides
    if extra := [name for name, count in told.items() if count > 1 or name not in given]:
        yield f"the ledger has {len(extra)} responses twice, or that the API never gave"
    missing, lost = served.keys() - told.keys(), sum(one["kind"] == "abandoned" for one in used)
    if len(missing) > lost:
        yield f"{len(missing)} of {len(served)} responses are not in the ledger"
    for line in lines:
        usage = served.get(line["messageId"])
        if usage and (line["inputTokens"], line["outputTokens"], line["cacheReadTokens"]) != (
            usage.input, usage.output, usage.cache_read
        ):  # fmt: skip
            yield f"{line['messageId']} is not what the API counted"


def judged(client: Client, place: Path, repeats: Mapping[str, int]) -> Iterator[str]:
    """Yield what is wrong with the verdicts on four pairs of sides whose difference is known."""
    api = QualityApi()
    with api.serving():
        bench = Bench(client, place, api)
        sides = {
            "BETTER": (100, 0), "WORSE": (0, 100), "NO_DIFFERENCE": (100, 101), "INSUFFICIENT": (75, 55),
        }  # fmt: skip
        for wanted, (own, other) in sides.items():
            if wanted not in repeats:
                continue
            against = bench.side(other)
            bench.side(own)
            before = bench.files()
            data = bench.compare(against, "--repeats", str(repeats[wanted]), "--margin", "0.25")
            if data["verdict"] != wanted:
                yield f"{own} against {other} is {data['verdict']}, not {wanted}: {json.dumps(data)[:600]}"
            if bench.files() != before:
                yield f"{wanted}: files of the project changed"
            if data.get("isolation") == "advisory":
                yield f"{wanted}: attempts were not confined"
        yield from (f"still running: {one}" for one in left_running(bench.home))
        yield from money(bench)
        others = [name for name in api.contacted if not name.endswith(("/v1/messages", "count_tokens", "/v1/models"))]
        yield from (f"the client asked for {name}" for name in others if name.startswith("POST"))


def killed(client: Client, place: Path, kills: int, seed: int) -> Iterator[str]:
    """Yield what is wrong after runs that were killed at some moment and gone on with until they were whole."""
    drawn = random.Random(seed)
    api = QualityApi(delay_s=0.1)
    with api.serving():
        bench = Bench(client, place, api)
        against = bench.side(0)
        bench.side(100)
        words, finished = bench.words(against, "--repeats", "2"), dict[str, str]()
        for number in range(kills + 1):
            said = _broken_off(bench, words, drawn.uniform(0.5, 9.0) if number < kills else 600)
            if wrong := _alone(bench.home):
                yield f"after kill {number}: {wrong}"
            runs = sorted((bench.project / ".agent-studio/staging/evals").glob("*/journal.jsonl"))
            if runs:
                words = bench.resuming(runs[-1].parent.name)
                yield from _repeated(bench, runs[-1].parent.name, finished, number)
        if len(finished) != 2 * 2 * len(_TASKS):
            yield f"{len(finished)} attempts were made: {said}"
        yield from money(bench)


def _broken_off(bench: Bench, words: Sequence[str], limit_s: float) -> str:
    """Run a command for so long, then kill it; return the end of what it said."""
    process = subprocess.Popen(
        list(words), cwd=bench.project, env=bench.variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    return said.decode("utf-8", "replace")[-500:]


def _repeated(bench: Bench, run: str, finished: dict[str, str], number: int) -> Iterator[str]:
    """Yield the attempts that were finished and are gone, or were made again; note the new ones."""
    made = [line for line in bench.journal(run) if line["kind"] == "attempt"]
    told = {line["try"] for line in made}
    yield from (
        f"after kill {number}: the finished {name} is gone" for name, one in finished.items() if one not in told
    )
    for line in made:
        if finished.setdefault(line["attempt"], line["try"]) != line["try"]:
            yield f"after kill {number}: {line['attempt']} was made again"


def _alone(home: Path) -> str:
    """Return what still runs some seconds after a run was killed."""
    deadline = time.monotonic() + 12
    while (left := left_running(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return "; ".join(left)


def trial(version: str) -> list[str]:
    """Run both with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    repeats = {"BETTER": 3, "WORSE": 3, "NO_DIFFERENCE": 6, "INSUFFICIENT": 2}
    found: list[str] = []
    for name in ("judged", "killed"):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder).resolve()
            try:
                faults = judged(client, place, repeats) if name == "judged" else killed(client, place, 8, 1)
                found += [f"{name}: {fault}" for fault in faults]
            except JourneyError as error:
                found.append(f"{name}: {error}")
    return found


def main() -> int:
    """Run the trial on the newest client and print what is wrong."""
    faults = trial(claude.NEWEST)
    print(*faults or ["nothing is wrong"], sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
