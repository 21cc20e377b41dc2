"""What goes wrong: processes are killed, the disk is full, clocks are off, lines are dirt."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import REPOSITORY
from bench.soak.truth import Truth

if TYPE_CHECKING:
    import threading

    from bench.soak.project import Place

WRITERS = ("player", "player", "player", "player", "caller", "caller", "sender", "decider")
_HUGE_BYTES = 33 << 20
"""More than any line of the recorder's may have."""
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True)
class Sample:
    """What the daemon held at a moment."""

    pid: int
    at_s: float
    rss_kb: int
    descriptors: int
    threads: int


@dataclass
class Daemon:
    """`serve`, started again whenever it was killed."""

    place: Place
    stop: threading.Event
    calm_from_s: float
    """From then until the end it is left alone, so that what it holds can be told."""
    samples: list[Sample] = field(default_factory=list)
    kills: int = 0
    said: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Keep it running; end it in good order once all is over."""
        chance, begun = random.Random(7), time.monotonic()
        while not self.stop.is_set():
            calm = time.monotonic() - begun >= self.calm_from_s
            minutes = 0 if calm else chance.choice((0, 0, -70, 70))
            life_s = 1e9 if calm else min(chance.uniform(4, 120), max(self.calm_from_s - (time.monotonic() - begun), 3))
            process = self._start(minutes)
            until = time.monotonic() + life_s
            while not self.stop.is_set() and time.monotonic() < until and process.poll() is None:
                self._sample(process.pid)
                self.stop.wait(1)
            if process.poll() is not None:
                self.faults.append(f"serve ended by itself with {process.returncode}: {self._tail()}")
            elif self.stop.is_set():
                process.terminate()
            else:
                self.kills += 1
                how = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
                process.send_signal(how if self._serves(process.pid) else signal.SIGKILL)
            self._ended(process)

    def _serves(self, pid: int) -> bool:
        """Tell whether a daemon has come so far that it listens to signals."""
        try:
            found: int = json.loads((self.place.state / "serve.json").read_bytes())["pid"]
        except (OSError, ValueError, KeyError):
            return False
        return found == pid

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for its end; one that hangs is a fault, and not the end of the trial."""
        try:
            if process.wait(120) not in {0, -signal.SIGKILL}:
                self.faults.append(f"serve ended with {process.returncode}: {self._tail()}")
        except subprocess.TimeoutExpired:
            self.faults.append(f"serve did not end in 120 s: {self._tail()}")
            process.kill()
            process.wait()

    def _start(self, minutes: float) -> subprocess.Popen[bytes]:
        line = self.place.shifted(["serve", "--env", "staging", "--port", "0"], minutes)
        with (self.place.folder / "serve.log").open("ab") as log:
            return subprocess.Popen(line, cwd=self.place.project, env=self.place.variables, stdout=log, stderr=log)

    def _tail(self) -> str:
        return (self.place.folder / "serve.log").read_text(encoding="utf-8", errors="replace")[-600:]

    def _sample(self, pid: int) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/statm").read_text().split()
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
            held = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            self.samples.append(Sample(pid, time.monotonic(), int(fields[1]) * _PAGE_KB, held, threads))


@dataclass
class Writers:
    """The writing processes, and who kills them."""

    place: Place
    stop: threading.Event
    every_s: tuple[float, float]
    kills: int = 0
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Start them, kill one after the other at random, start others in their place; end with all of them ended."""
        chance = random.Random(11)
        for number in range(len(WRITERS)):
            self.running[number] = self._start(number)
        while not self.stop.wait(chance.uniform(*self.every_s)):
            number = chance.randrange(len(WRITERS))
            process = self.running[number]
            process.kill()
            if process.wait() != -signal.SIGKILL:
                self.faults.append(f"{WRITERS[number]} had ended with {process.returncode}: {self._tail()}")
            self.kills += 1
            self.running[number] = self._start(number)
        (self.place.truth / "stop").touch()
        for number, process in self.running.items():
            if process.wait(120):
                self.faults.append(f"{WRITERS[number]} ended with {process.returncode}: {self._tail()}")

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "bench.soak.writers", WRITERS[number], str(self.place.folder), str(number)]
        with (self.place.folder / "writers.log").open("ab") as log:
            return subprocess.Popen(line, cwd=REPOSITORY, env=self.place.variables, stdout=log, stderr=log)

    def _tail(self) -> str:
        return (self.place.folder / "writers.log").read_text(encoding="utf-8", errors="replace")[-600:]


@dataclass
class FullDisk:
    """Fills the project's own disk for some seconds, now and then."""

    place: Place
    stop: threading.Event
    every_s: tuple[float, float]
    hold_s: tuple[float, float] = (3, 8)
    times: int = 0

    def run(self) -> None:
        """Fill and free."""
        if not self.place.disk_mb:
            return
        chance, truth = random.Random(13), Truth(self.place.truth, "disk")
        while not self.stop.wait(chance.uniform(*self.every_s)):
            truth.disturb()
            time.sleep(0.2)  # what began before has seen that it may fail
            self._fill(time.monotonic() + chance.uniform(*self.hold_s))
            self._ballast.unlink()
            truth.disturb()
            self.times += 1

    @property
    def _ballast(self) -> Path:
        return self.place.disk / "ballast"

    def _fill(self, until: float) -> None:
        """Fill the disk and keep it full."""
        block = b"\0" * (1 << 20)
        with self._ballast.open("wb", buffering=0) as file:
            while time.monotonic() < until:
                try:
                    if file.write(block) < len(block):
                        time.sleep(0.01)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    block = b"\0" * 4096 if len(block) > 4096 else block
                    time.sleep(0.01)


@dataclass
class Dirt:
    """Appends what no recorder writes to the inbox, and what no ingest writes to a journal."""

    place: Place
    stop: threading.Event
    every_s: tuple[float, float]

    def run(self) -> None:
        """Append; the truth knows every line by its hash."""
        chance, truth, count = random.Random(17), Truth(self.place.truth, "dirt"), 0
        while not self.stop.wait(chance.uniform(*self.every_s)):
            count += 1
            kind, line = self._inbox_line(chance, huge=count % 40 == 20)
            self._append(truth, self.place.data / "metrics/events.jsonl", kind, line)
            if chance.random() < 0.5:
                other = chance.choice((b'{"torn": "%s"\n', b"\xff\xfe %s\n", b'{"timestamp": 7, "note": "%s"}\n'))
                self._append(
                    truth, self.place.data / "metrics/hooks.jsonl", "journal", other % uuid.uuid4().hex.encode()
                )

    def _inbox_line(self, chance: random.Random, *, huge: bool) -> tuple[str, bytes]:
        token = uuid.uuid4().hex.encode()
        if huge:
            return "huge", b"huge " + token + b"h" * _HUGE_BYTES + b"\n"
        kind, form = chance.choice((
            ("damaged", b'{"ts":1795383305914000000,"pid":1,"kind":"hook","payload":{"session_id":"%s'),
            ("damaged", b"\x00\x01\xff binary %s\n"),
            ("damaged", b"long %s " + b"l" * 200_000 + b"\n"),
            ("damaged", b'{"ts":1795383305914000000,"pid":1,"kind":"nonsense","payload":"%s"}\n'),
            ("unknown", b'{"ts":"soon","pid":"one","kind":"hook","payload":["%s"]}\n'),
            ("unknown", b'{"ts":1795383305914000000,"pid":1,"kind":"hook","payload":{"hook_event_name":["%s"]}}\n'),
        ))  # fmt: skip
        return kind, form % token

    def _append(self, truth: Truth, place: Path, kind: str, line: bytes) -> None:
        """Append under the lock that the recorder takes; what a full disk takes in part is taken back."""
        identity = hashlib.sha256(line.rstrip(b"\n")).hexdigest()
        start = hashlib.sha256(line[:4_096]).hexdigest()
        truth.note(
            kind, identity, "meant", start=start, token=line[-40:].decode("latin-1") if kind == "unknown" else ""
        )
        with contextlib.suppress(OSError), place.open("rb+", buffering=0) as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_ino != place.stat().st_ino:
                return  # sealed meanwhile
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            try:
                whole = file.write(line) == len(line)
            except OSError:
                whole = False
            if whole:
                truth.note(kind, identity, "done")
            else:
                file.truncate(size)
                truth.note(kind, identity, "refused")


def report_of(samples: list[Sample]) -> dict[str, float]:
    """Return how what the longest-lived daemon held has grown, per hour, after its first quarter.

    Of each minute the least: a look at a day's records takes memory and gives it back.
    """
    by_pid: dict[int, list[Sample]] = {}
    for one in samples:
        by_pid.setdefault(one.pid, []).append(one)
    longest = max(by_pid.values(), key=len, default=[])
    settled = longest[len(longest) // 4 :]
    if len(settled) < 10:
        return {}
    return {
        "minutes": round((settled[-1].at_s - settled[0].at_s) / 60, 1),
        "rssMb": round(settled[-1].rss_kb / 1024, 1), "rssPeakMb": round(max(one.rss_kb for one in longest) / 1024, 1),
        "rssMbPerHour": round(_slope(_least_by_minute(settled)) * 3600 / 1024, 2),
        "descriptors": settled[-1].descriptors, "descriptorsPeak": max(one.descriptors for one in longest),
        "descriptorsPerHour": round(_slope([(one.at_s, one.descriptors) for one in settled]) * 3600, 2),
        "threads": settled[-1].threads,
    }  # fmt: skip


def _least_by_minute(samples: list[Sample]) -> list[tuple[float, float]]:
    least: dict[int, Sample] = {}
    for one in samples:
        held = least.setdefault(int(one.at_s // 60), one)
        if one.rss_kb < held.rss_kb:
            least[int(one.at_s // 60)] = one
    return [(one.at_s, one.rss_kb) for one in least.values()]


def _slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the line of least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def as_json(samples: list[Sample]) -> str:
    """Return samples, one a line, for whoever wants to draw them."""
    return "".join(json.dumps(vars(one)) + "\n" for one in samples)
