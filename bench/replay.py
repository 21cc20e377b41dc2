"""Replays a day of a busy project through `ingest`: events a second, peak memory, and totals against the generator.

The events are made from a seed in pieces of 64 MiB, as the inbox is sealed. Another process ingests each piece; only
its time counts. Ends with 1 when a figure is missed.

  python bench/replay.py --events 1000000
  python bench/replay.py --quick
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.release.attribution import ingest

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS_A_SECOND = 20_000
PEAK_MB = 200
_QUICK = 50_000
_PIECE_BYTES = 64 << 20
_DAY_NS = 86_400 * 10**9
_AT_ONCE = 20
_WORDS = (
    "cart", "order", "price", "refund", "catalogue", "invoice", "shipping", "total", "discount", "customer", "ledger",
    "return", "import", "def", "class", "assert", "self", "value", "result", "\\n    ", "'quoted'", "naïve", "→", "{x}",
)  # fmt: skip
_TOOLS = ("Bash", "Read", "Edit", "Write", "Grep", "Glob")
_Texts = dict[str, tuple[int, int]]
_MODELS = ("claude-opus-5-5", "claude-haiku-5-5")


@dataclass
class Expected:
    """What the records must add up to."""

    events: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    """Records by file."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Records by file and status, type or event."""
    tokens: int = 0

    def add(self, file: str, kind: str) -> None:
        """Count one record."""
        self.lines[file] += 1
        self.kinds[f"{file} {kind}"] += 1


class Generator:
    """Lines of an inbox, a good many sessions at a time."""

    def __init__(self, events: int, seed: int, folder: Path, start_ns: int) -> None:
        self.expected = Expected()
        self._dice = random.Random(seed)
        self._folder = folder
        self._wanted = events
        self._now_ns = start_ns
        self._step_ns = _DAY_NS // max(events, 1)
        self._sessions = 0
        filler = self._dice.choices(_WORDS, k=60_000)
        self._text = json.dumps(" ".join(filler), ensure_ascii=False)[1:-1].replace("\\\\n", "\\n")

    def lines(self) -> Iterator[bytes]:
        """Yield the lines, the sessions' interleaved."""
        running = [self._session() for _ in range(_AT_ONCE)]
        while running:
            place = self._dice.randrange(len(running))
            line = next(running[place], None)
            if line is not None:
                self.expected.events += 1
                self._now_ns += self._step_ns
                yield line
            elif self.expected.events < self._wanted:
                running[place] = self._session()
            else:
                del running[place]

    def _filled(self, low: int, high: int) -> str:
        length = self._dice.randint(low, high)
        start = self._dice.randrange(len(self._text) - length)
        return json.dumps(self._text[start : start + length], ensure_ascii=False)[1:-1]

    def _session(self) -> Iterator[bytes]:
        self._sessions += 1
        number = self._sessions
        base = {"session_id": f"{number:08x}-0000-4000-8000-000000000000"}
        path = self._folder / f"{base['session_id']}.jsonl"
        base["transcript_path"] = str(path)
        base["cwd"] = "/home/someone/src/bookshop"
        if number % 20 == 1:
            self._transcript(path, base["session_id"])
        self.expected.add("session-log.jsonl", "start")
        yield self._hook(base, "SessionStart", source="startup", model="claude-opus-5-5")
        for turn in range(self._dice.randint(3, 12)):
            yield from self._turn(base, f"{number}-{turn}")
        self.expected.add("session-log.jsonl", "end")
        yield self._hook(base, "SessionEnd", reason="other")

    def _turn(self, base: dict[str, str], name: str) -> Iterator[bytes]:
        self.expected.add("session-log.jsonl", "prompt")
        yield self._hook(base, "UserPromptSubmit", prompt=f"Please look at {name}")
        for call in range(self._dice.randint(4, 20)):
            yield from self._call(base, f"toolu_{name}-{call}")
        if self._dice.random() < 0.3:
            yield from self._agent(base, name)
        self.expected.add("session-log.jsonl", "stop")
        yield self._hook(base, "Stop", stop_hook_active=False)

    def _call(self, base: dict[str, str], tool_use_id: str, **agent: str) -> Iterator[bytes]:
        tool = self._dice.choice(_TOOLS)
        told: dict[str, Any] = {"tool_name": tool, "tool_use_id": tool_use_id, **agent}
        happened_ns = self._now_ns
        yield self._hook(base, "PreToolUse", {"command": (100, 1_200)}, **told)
        yield self._exec(base, "PreToolUse:routing-guard.cjs", happened_ns)
        happened_ns = self._now_ns
        yield self._hook(base, "PostToolUse", {"new_string": (100, 1_500), "stdout": (50, 1_200)}, **told)
        if self._dice.random() < 0.5:
            yield self._exec(base, "PostToolUse:format.py", happened_ns)

    def _agent(self, base: dict[str, str], name: str) -> Iterator[bytes]:
        agent: dict[str, Any] = {
            "agent_id": f"a{name}",
            "agent_type": self._dice.choice(("planner", "developer", "test-writer")),
        }
        told: dict[str, Any] = {"tool_name": "Agent", "tool_use_id": f"toolu_agent_{name}"}
        asked: dict[str, Any] = {"tool_input": {"subagent_type": agent["agent_type"], "prompt": "Look."}}
        yield self._hook(base, "PreToolUse", **told, **asked)
        launched = {"isAsync": True, "status": "async_launched", "agentId": agent["agent_id"]}
        yield self._hook(base, "PostToolUse", tool_response=launched, **told, **asked)
        for call in range(self._dice.randint(1, 5)):
            yield from self._call(base, f"toolu_{name}-agent-{call}", **agent)
        self.expected.add("agents.jsonl", "completed")
        yield self._hook(base, "SubagentStop", stop_hook_active=False, **agent)

    def _hook(self, base: dict[str, str], event: str, texts: _Texts | None = None, /, **more: Any) -> bytes:
        payload = json.dumps({**base, "hook_event_name": event, **more}, separators=(",", ":"))
        filled = ",".join(f'"{name}":"{self._filled(*limits)}"' for name, limits in (texts or {}).items())
        if filled:
            payload = f'{payload[:-1]},"tool_input":{{{filled}}}}}'
        return f'{{"ts":{self._now_ns},"pid":4711,"kind":"hook","payload":{payload} }}\n'.encode()

    def _exec(self, base: dict[str, str], hook: str, happened_ns: int) -> bytes:
        chance = self._dice.random()
        code, more, status = 0, "", "success"
        if chance < 0.02:
            code, status = 2, "blocked"
            if hook.startswith("Pre"):
                self.expected.add("errors.jsonl", "SecurityViolation")
        elif chance < 0.05:
            code, status = 1, "failure"
        elif chance < 0.06:
            code, more, status = 143, ',"timedOut":true', "timeout"
        if status in {"failure", "timeout"}:
            self.expected.add("errors.jsonl", "SystemError")
        self.expected.add("hooks.jsonl", status)
        payload = (
            f'{{"hook":"{hook}","exit":{code},"signal":null,"duration_ms":{self._dice.randint(1, 40)}.125,'
            f'"command":["/bin/sh","-c","node .claude/hooks/{hook}"]{more},"session_id":"{base["session_id"]}"}}'
        )
        started = happened_ns + self._dice.randint(0, 9_000_000)
        return f'{{"ts":{started},"pid":4712,"kind":"exec","payload":{payload}}}\n'.encode()

    def _transcript(self, path: Path, session_id: str) -> None:
        """Write a transcript that repeats each response a few times, as the client does."""
        lines = []
        for number in range(self._dice.randint(5, 40)):
            used = {"input_tokens": self._dice.randint(1, 90), "output_tokens": self._dice.randint(1, 900),
                    "cache_creation_input_tokens": self._dice.randint(0, 5_000),
                    "cache_read_input_tokens": self._dice.randint(0, 90_000)}  # fmt: skip
            self.expected.tokens += sum(used.values())
            self.expected.add("llm-usage.log", "transcript")
            for block in range(self._dice.randint(1, 4)):
                content = [{"type": "text", "text": self._filled(100, 2_000)}]
                message = {"id": f"msg_{session_id}_{number}", "model": _MODELS[number % 2], "usage": used,
                           "stop_reason": "tool_use", "content": content}  # fmt: skip
                names = {"uuid": f"{session_id}-{number}-{block}", "requestId": f"req_{session_id}_{number}"}
                told = {"type": "assistant", "timestamp": "2026-01-31T09:30:00.000Z", "sessionId": session_id}
                lines.append(json.dumps({**told, **names, "message": message}))
        path.write_text("\n".join(lines) + "\n")


def project(folder: Path) -> Path:
    """Lay out a staging environment; return its data root."""
    root = folder / ".claude" / "staging"
    for kind in ("metrics", "sessions"):
        (root / kind).mkdir(parents=True)
    (folder / ".claude" / "config.staging.yaml").write_text("environment: staging\n")
    return root


def replay(events: int, seed: int) -> Replayed:
    """Make, ingest and count."""
    with tempfile.TemporaryDirectory(prefix="agent-studio-replay-") as place:
        folder = Path(place)
        root = project(folder)
        generator = Generator(events, seed, folder, time.time_ns() - _DAY_NS)
        line = [sys.executable, __file__, "--worker", str(folder)]
        worker = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        seconds, peak_mb = 0.0, 0.0
        inbox = root / "metrics" / "events.jsonl"
        for piece in _pieces(generator):
            inbox.write_bytes(piece)
            spent, peak_mb = _ingest(worker)
            seconds += spent
            left = inbox.exists() and not inbox.stat().st_size >= _PIECE_BYTES
            if left:  # a piece below the limit is not sealed; the next one is another file
                inbox.rename(folder / "done")
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
        found = totals(root)
        without = found.kinds.pop("hooks without a tool", 0)
        return Replayed(generator.expected, found, without, seconds, peak_mb)


def _pieces(generator: Generator) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = 0
    for line in generator.lines():
        parts.append(line)
        size += len(line)
        if size >= _PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _ingest(worker: subprocess.Popen[str]) -> tuple[float, float]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    spent, peak_mb = worker.stdout.readline().split()
    return float(spent), float(peak_mb)


def work(folder: Path) -> None:
    """Ingest once for every line on stdin; answer with seconds and peak memory."""
    context = open_context(Project(folder), Choice(Environment.STAGING, "--env"), {})
    profiler = None
    if os.environ.get("REPLAY_PROFILE"):
        profiler = cProfile.Profile()
    for _ in sys.stdin:
        started = time.perf_counter()
        if profiler:
            profiler.enable()
        ingest(context)
        if profiler:
            profiler.disable()
        spent = time.perf_counter() - started
        print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
    if profiler:
        profiler.dump_stats(os.environ["REPLAY_PROFILE"])


_KIND = {"hooks.jsonl": "status", "agents.jsonl": "status", "errors.jsonl": "errorType", "session-log.jsonl": "event",
         "llm-usage.log": "source"}  # fmt: skip


def totals(root: Path) -> Expected:
    """Count what was recorded."""
    found = Expected()
    seen: set[str] = set()
    for place in sorted(root.rglob("*")):
        if place.name not in _KIND:
            continue
        with place.open(encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                seen.add(record["eventId"])
                found.add(place.name, record[_KIND[place.name]])
                if place.name == "llm-usage.log":
                    found.tokens += sum(value for name, value in record.items() if name.endswith("Tokens"))
                if place.name == "hooks.jsonl" and record["tool"] is None:
                    found.kinds["hooks without a tool"] += 1
    found.events = len(seen)
    return found


@dataclass(frozen=True)
class Replayed:
    """What a replay gave."""

    expected: Expected
    found: Expected
    without_tool: int
    """Hooks whose tool nothing said."""
    seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.expected.events / self.seconds

    @property
    def exact(self) -> bool:
        """Whether every record that should be there is there once, and nothing else."""
        same = self.found.lines == self.expected.lines and self.found.kinds == self.expected.kinds
        return same and self.found.tokens == self.expected.tokens and self.found.events == self.expected.lines.total()

    @property
    def held(self) -> bool:
        """Whether all three limits are held."""
        return self.rate >= EVENTS_A_SECOND and self.peak_mb < PEAK_MB and self.exact


def _print(done: Replayed) -> None:
    counted = f"{done.expected.events:,} events, {done.expected.lines.total():,} records"
    print(f"{counted}, {done.seconds:.1f} s, {done.without_tool:,} hooks without a tool")
    print(f"  events a second {done.rate:>12,.0f}   >= {EVENTS_A_SECOND:,}")
    print(f"  peak memory     {done.peak_mb:>9.0f} MB   < {PEAK_MB} MB")
    print(f"  totals          {'exact' if done.exact else 'WRONG':>12}")
    if not done.exact:
        for name, told in (("expected", done.expected), ("found", done.found)):
            print(f"  {name:<8} {dict(sorted(told.kinds.items()))}, tokens {told.tokens}")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events, about")
    parser.add_argument("--quick", action="store_true", help=f"only {_QUICK:,} events")
    parser.add_argument("--seed", type=int, default=1, help="of the generator")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return 0
    done = replay(_QUICK if options.quick else options.events, options.seed)
    _print(done)
    return 0 if done.held else 1


if __name__ == "__main__":
    sys.exit(main())
