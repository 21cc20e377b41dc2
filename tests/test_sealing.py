"""Journals are closed with their day: nothing is lost or doubled, whenever the process dies."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from bench import kills
from tests.killing import Plan, child

from agent_studio import clock
from agent_studio.capture.export.exporter import Options, export
from agent_studio.capture.ingest import sealing
from agent_studio.capture.ingest.run import ingest
from agent_studio.cost import importing
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import StorageError
from agent_studio.monitor import segments
from agent_studio.storage import sealed
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent_studio.capture.ingest.report import Report

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
EVERY = int(os.environ.get("KILLS_EVERY", "8"))
"""Of the planned kills one in so many is carried out."""
TRIALS = int(os.environ.get("KILLS_TRIALS", "12"))
STEMS = ("hooks", "agents", "errors", "session-log")


class Desk:
    """A project whose clock the test sets."""

    def __init__(self, path: Path, environment: Environment = Environment.STAGING) -> None:
        self.path, self.environment = path, environment
        self.root = path / ".claude" / ("staging" if environment is Environment.STAGING else "")
        for kind in ("metrics", "sessions"):
            (self.root / kind).mkdir(parents=True, exist_ok=True)
        (path / ".claude" / "config.staging.yaml").write_text("environment: staging\n")
        self.now = NOON
        self.count = 0

    @property
    def state(self) -> Path:
        return self.path / ".agent-studio" / self.environment

    @property
    def context(self) -> Context:
        return open_context(Project(self.path), Choice(self.environment, "--env"), {})

    def events(self, count: int = 4, **more: Any) -> None:
        """Put sessions, failing hooks and errors into the inbox, a second apart, until now."""
        with (self.root / "metrics" / "events.jsonl").open("ab") as file:
            for number in range(count):
                self.count += 1
                at_ns = int(self.now.timestamp() * 10**9) - (count - number) * 10**9
                session = f"s{self.count}"
                start = {"session_id": session, "hook_event_name": "SessionStart", "source": "startup"}
                run = {
                    "hook": "guard", "exit": 1, "signal": None, "duration_ms": 3.5, "command": ["x"],
                    "session_id": session, "number": self.count,
                }  # fmt: skip
                for kind, payload in (("hook", start), ("exec", run)):
                    line = {"ts": at_ns, "pid": 1, "kind": kind, **more, "payload": payload}
                    file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
                    at_ns += 1_000_000

    def ingest(self) -> Report:
        return ingest(self.context)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def names(self, stem: str) -> list[str]:
        folder = "sessions" if stem == "session-log" else "metrics"
        return sorted(place.name for place in (self.root / folder).glob(f"{stem}.*"))

    def ids(self) -> list[str]:
        """Return the ids of all records in all files of all journals, archive included."""
        found = []
        for folder in (self.root / "metrics", self.root / "sessions", self.state / "archive"):
            for place in sorted(folder.glob("*.jsonl*")):
                if place.name.split(".")[0] in STEMS:
                    data = gzip.decompress(place.read_bytes()) if place.suffix == ".gz" else place.read_bytes()
                    found += [json.loads(line)["eventId"] for line in data.splitlines() if line.strip()]
        return sorted(found)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path / "project")
    monkeypatch.setattr(clock, "now", lambda: desk.now)
    return desk


def test_a_journal_is_sealed_by_the_first_run_of_the_next_day_under_the_day_it_was_begun(desk: Desk) -> None:
    desk.events()
    desk.ingest()
    desk.later(hours=11.9)
    assert desk.ingest().sealed == []
    desk.later(hours=0.2)
    desk.events(1)
    assert sorted(desk.ingest().sealed) == [
        "errors.2026-03-10.1.jsonl", "hooks.2026-03-10.1.jsonl", "session-log.2026-03-10.1.jsonl"
    ]  # fmt: skip
    assert desk.names("hooks") == ["hooks.2026-03-10.1.jsonl", "hooks.jsonl"]
    assert (desk.root / "metrics/hooks.jsonl").read_bytes().count(b"\n") == 1
    assert (desk.root / "metrics/hooks.jsonl").stat().st_mode & 0o077 == 0
    assert desk.ingest().sealed == []
    assert len(desk.ids()) == len(set(desk.ids())) > 12


def test_every_day_has_its_file_and_every_record_is_in_one(desk: Desk) -> None:
    for _ in range(3):
        desk.events()
        desk.ingest()
        desk.later(days=1)
    desk.ingest()
    assert desk.names("hooks") == [
        "hooks.2026-03-10.1.jsonl", "hooks.2026-03-11.1.jsonl", "hooks.2026-03-12.1.jsonl", "hooks.jsonl"
    ]  # fmt: skip
    assert len(desk.ids()) == len(set(desk.ids())) > 36


def test_what_was_not_ingested_for_days_goes_to_the_file_of_the_day_on_which_it_was(desk: Desk) -> None:
    desk.ingest()
    desk.events()
    desk.later(days=4)
    assert desk.ingest().sealed == []
    desk.later(days=1)
    assert "hooks.2026-03-14.1.jsonl" in desk.ingest().sealed


def test_a_large_journal_is_sealed_before_its_day_is_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEAL_BYTES", 500)
    for _ in range(2):
        desk.events()
        desk.ingest()
    assert desk.names("hooks") == ["hooks.2026-03-10.1.jsonl", "hooks.2026-03-10.2.jsonl", "hooks.jsonl"]


def test_a_clock_that_was_wrong_for_a_while_does_not_keep_a_journal_open(desk: Desk) -> None:
    desk.later(days=20_000)
    desk.events()
    desk.ingest()
    desk.now = NOON
    desk.ingest()
    desk.later(days=1)
    assert "hooks.2026-03-10.1.jsonl" in desk.ingest().sealed


def test_a_journal_of_an_earlier_version_is_named_after_its_first_record(desk: Desk) -> None:
    desk.events()
    desk.ingest()
    with sqlite3.connect(desk.state / "ingest.sqlite3") as state:
        state.execute("DELETE FROM note WHERE name = 'begun'")
    state.close()
    desk.later(days=9)
    assert "hooks.2026-03-10.1.jsonl" in desk.ingest().sealed


@pytest.mark.parametrize("wrong", ["clock", "first record"])
def test_no_file_is_named_before_those_that_are_closed(desk: Desk, wrong: str) -> None:
    for _ in range(2):
        desk.events()
        desk.ingest()
        desk.later(days=1)
    if wrong == "clock":
        desk.now -= timedelta(days=12)
        desk.ingest()
        desk.later(days=12)
    else:
        live = desk.root / "metrics/hooks.jsonl"
        live.write_bytes(b'{"timestamp":"2001-01-01T00:00:00.000Z","eventId":"late"}\n' + live.read_bytes())
        for place in desk.state.glob("ingest.sqlite3*"):
            place.unlink()
    desk.ingest()
    desk.later(days=1)
    desk.ingest()
    assert [name for name in desk.names("hooks") if name != "hooks.jsonl"] == [
        "hooks.2026-03-10.1.jsonl", "hooks.2026-03-10.2.jsonl"
    ]  # fmt: skip
    assert len(desk.ids()) == len(set(desk.ids()))


@pytest.mark.parametrize("left", ["archive/hooks.2026-03-10.3.jsonl.gz", "lake/hooks/2026-03-10.3.parquet"])
def test_a_number_that_was_given_is_not_given_again(desk: Desk, left: str) -> None:
    desk.events()
    desk.ingest()
    place = desk.state / left
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.compress(b""))
    desk.later(days=1)
    assert "hooks.2026-03-10.4.jsonl" in desk.ingest().sealed


@pytest.mark.parametrize("where", ["beside", "compressed", "archived"])
def test_without_its_state_nothing_that_was_sealed_is_recorded_twice(desk: Desk, where: str) -> None:
    desk.events()
    desk.ingest()
    desk.later(days=1)
    desk.events()
    desk.ingest()
    before = desk.ids()
    if where != "beside":
        plain = desk.root / "metrics/hooks.2026-03-10.1.jsonl"
        target = desk.root / "metrics" if where == "compressed" else desk.state / "archive"
        target.mkdir(exist_ok=True)
        (target / f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    for place in desk.state.glob("ingest.sqlite3*"):
        place.unlink()
    desk.ingest()
    assert desk.ids() == before


def test_a_journal_that_another_inbox_writes_to_as_well_stays_open(tmp_path: Path, desk: Desk) -> None:
    base = tmp_path / "project/.claude"
    (base / "config.development.yaml").write_text("paths:\n  metrics: .claude/own/metrics\n")
    (base / "own/metrics").mkdir(parents=True)
    both = Desk(desk.path, Environment.PRODUCTION)
    both.events(env="production")
    both.ingest()
    desk.later(days=1)
    names = [name.split(".")[0] for name in both.ingest().sealed]
    assert sorted(names) == ["errors", "hooks"]


def test_sessions_of_sealed_days_still_tell_which_environment_they_were_of(desk: Desk) -> None:
    desk.events()
    desk.ingest()
    desk.later(days=1)
    desk.ingest()
    assert importing._Sessions(desk.context).of("s1") == "staging"
    plain = desk.root / "sessions/session-log.2026-03-10.1.jsonl"
    (desk.state / "archive").mkdir()
    (desk.state / "archive" / f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert importing._Sessions(desk.context).of("s1") == "staging"


def test_a_compressed_file_that_was_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    content = os.urandom(3_000).hex().encode() + b"\n"
    whole = gzip.compress(content * 3)
    (tmp_path / "hooks.2026-03-10.1.jsonl.gz").write_bytes(whole[: len(whole) - 9])
    folder = Folder(tmp_path)
    (segment,) = sealed.found("hooks.jsonl", folder)
    assert list(sealed.lines(segment, folder))[:2] == [content[:-1]] * 2
    (tmp_path / "hooks.2026-03-10.1.jsonl.gz").write_bytes(b"no such thing")
    assert list(sealed.lines(segment, folder)) == []


def test_sealing_and_monitoring_mean_the_same_files(desk: Desk) -> None:
    assert set(sealing.JOURNALS) == set(segments.JOURNALS)
    root, none = desk.context.root, ("2026-03-10.0.jsonl", "2026-3-10.1.jsonl", "2026-03-10.1.jsonl.bz2", "old.jsonl")
    for kind, record in sealing.JOURNALS.items():
        assert segments.JOURNALS[kind] == (record.kind, record.file)
        folder, stem = root.folder(record.kind), record.file.removesuffix(".jsonl")
        known = [sealed.Sealed(stem, "0001-01-01", 999_999_999), sealed.Sealed(stem, "2026-03-10", 2)]
        for name in (known[0].name, known[1].name + sealed.GZIP, *(f"{stem}.{end}" for end in none), record.file):
            folder.create(name, b"{}\n")
        assert sealed.found(record.file, folder) == known
        assert [one.name for one in segments.segments(root, kind)] == [
            known[0].name, known[1].name + sealed.GZIP, record.file
        ]  # fmt: skip
        for one, twin in zip(known, segments.segments(root, kind), strict=False):
            assert (one.day, one.number) == (twin.day, twin.number)
            assert twin.parquet == f"{sealed.LAKE}/{kind}/{one.parquet}"


class _Collector:
    """Counts what an export sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from agent_studio.capture.export.post import Poster

        self.sent: list[str] = []
        monkeypatch.setattr(Poster, "send", self._take)

    def _take(self, _: str, data: bytes) -> bytes:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        request = ExportLogsServiceRequest.FromString(data)
        for resource in request.resource_logs:
            self.sent += [record.SerializeToString().hex() for record in resource.scope_logs[0].log_records]
        return b""


def _pack(desk: Desk, name: str) -> None:
    plain = desk.root / "metrics" / name
    plain.with_name(f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()


def test_an_export_goes_on_across_sealed_and_compressed_files(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = _Collector(monkeypatch)
    options = Options("http://127.0.0.1:9", signals=("logs",))

    def sent() -> int:
        before = len(collector.sent)
        export(desk.context.root, options)
        return len(collector.sent) - before

    desk.events(4)
    desk.ingest()
    assert sent() == 4
    desk.later(days=1)
    desk.events(3)
    desk.ingest()
    assert sent() == 3
    desk.later(days=1)
    desk.events(2)
    desk.ingest()
    desk.later(days=1)
    desk.events(5)
    desk.ingest()
    _pack(desk, "errors.2026-03-10.1.jsonl")
    assert desk.names("errors") == [
        "errors.2026-03-10.1.jsonl.gz", "errors.2026-03-11.1.jsonl", "errors.2026-03-12.1.jsonl", "errors.jsonl"
    ]  # fmt: skip
    assert sent() == 7
    _pack(desk, "errors.2026-03-11.1.jsonl")
    assert (sent(), sent()) == (0, 0)
    assert len(collector.sent) == len(set(collector.sent)) == 14
    (place,) = (desk.state / "export").glob("*.json")
    place.unlink()
    assert sent() == 14


def test_what_is_renamed_while_an_export_runs_is_sent_by_the_next_one_and_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_studio.capture.export import journals

    collector, options = _Collector(monkeypatch), Options("http://127.0.0.1:9", signals=("logs",))
    desk.events(4)
    desk.ingest()
    export(desk.context.root, options)
    real = journals.files

    def listed_before(*arguments: Any) -> Any:
        found = real(*arguments)
        monkeypatch.setattr(journals, "files", real)
        desk.later(days=1)
        desk.events(2)
        desk.ingest()
        return found

    desk.events(3)
    desk.ingest()
    monkeypatch.setattr(journals, "files", listed_before)
    export(desk.context.root, options)
    assert len(collector.sent) == 4 + 2
    monkeypatch.setattr(journals, "files", lambda *given: (real(*given)[0], ["errors.2001-01-01.1.jsonl"]))
    export(desk.context.root, options)
    monkeypatch.setattr(journals, "files", real)
    export(desk.context.root, options)
    assert len(collector.sent) == len(set(collector.sent)) == 4 + 3 + 2


def test_a_cursor_of_an_earlier_version_is_understood(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = _Collector(monkeypatch)
    options = Options("http://127.0.0.1:9", signals=("logs",))
    desk.events(4)
    desk.ingest()
    export(desk.context.root, options)
    (place,) = (desk.state / "export").glob("*.json")
    cursor = json.loads(place.read_bytes())
    cursor["signals"] = {"logs": {"errors.jsonl": next(iter(cursor["signals"]["logs"].values()))}}
    place.write_text(json.dumps(cursor))
    desk.later(days=1)
    desk.events(1)
    desk.ingest()
    export(desk.context.root, options)
    assert len(collector.sent) == len(set(collector.sent)) == 5


def test_positions_of_files_that_are_gone_are_forgotten(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _Collector(monkeypatch)
    options = Options("http://127.0.0.1:9", signals=("logs",))
    for _ in range(4):
        desk.events(1)
        desk.ingest()
        export(desk.context.root, options)
        desk.later(days=1)
        for place in (desk.root / "metrics").glob("errors.2*"):
            place.unlink()
    (place,) = (desk.state / "export").glob("*.json")
    assert len(json.loads(place.read_bytes())["signals"]["logs"]) <= 2


# Killed


def _a_day_passes(desk: Desk) -> None:
    """Leave journals of yesterday, and events that were not taken yet."""
    desk.events(3)
    desk.ingest()
    desk.later(days=1)
    desk.events(3)


def _copy(desk: Desk, target: Path) -> Desk:
    shutil.copytree(desk.path, target)
    copied = Desk(target)
    copied.now, copied.count = desk.now, desk.count
    return copied


_COUNTED = ("open", "close", "write", "fsync", "replace", "lseek")


def _killed_at(number: int, work: Callable[[], object]) -> Callable[[], None]:
    """Return what runs `work` and is killed before it makes a system call for the n-th time, of some names."""

    def run() -> None:
        made = 0

        def counting(real: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **named: Any) -> Any:
                nonlocal made
                made += 1
                if made == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return counted

        for name in _COUNTED:
            setattr(os, name, counting(getattr(os, name)))
        work()

    return run


def _three_days(desk: Desk, number: Callable[[], int]) -> int:
    """Let three days pass, each with a run that is killed at some point; return how many were."""
    killed = 0
    for _ in range(3):
        for count in (2, 3):
            desk.events(count)
            point = number()
            killed += point > 0 and child(_killed_at(point, desk.ingest)) == -signal.SIGKILL
            desk.later(hours=2)
        desk.later(hours=20)
    desk.ingest()
    return killed


def test_killed_day_after_day_nothing_is_lost_or_doubled(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, dice, killed = [desk], random.Random(7), 0
    monkeypatch.setattr(clock, "now", lambda: current[0].now)
    whole = Desk(tmp_path / "whole")
    current[0] = whole
    _three_days(whole, lambda: 0)
    for trial in range(TRIALS):
        current[0] = Desk(tmp_path / f"{trial}")
        killed += _three_days(current[0], lambda: dice.randint(1, 110))
        assert current[0].ids() == whole.ids(), f"trial {trial}"
        shutil.rmtree(current[0].path)
    assert killed > 2 * TRIALS  # else nothing was killed


@pytest.mark.parametrize("renamed", [1, 2, 3])
def test_killed_between_renaming_and_remembering_and_again_while_writing(
    tmp_path: Path, desk: Desk, renamed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered of a journal's size must not be taken for that of the new one, which is larger by then."""

    def killed_after(call: str, number: int) -> None:
        real, made = getattr(os, call), 0

        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            done = real(*arguments, **named)
            made += 1
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        def work() -> None:
            monkeypatch.setattr(os, call, counted)
            desk.ingest()

        assert child(work) == -signal.SIGKILL

    desk.events(1)
    desk.ingest()
    desk.later(days=1)
    killed_after("replace", renamed)
    desk.events(9)
    whole = _copy(desk, tmp_path / "whole")
    whole.ingest()
    for _ in range(3):  # each time one journal further
        killed_after("fsync", 1)
    desk.ingest()
    assert desk.ids() == whole.ids()
    assert len(desk.ids()) == len(set(desk.ids()))


def test_killed_while_learning_anew_what_was_sealed_nothing_is_doubled(tmp_path: Path, desk: Desk) -> None:
    _a_day_passes(desk)
    desk.ingest()
    for place in desk.state.glob("ingest.sqlite3*"):
        place.unlink()
    expected, number = desk.ids(), 1
    while True:
        victim = _copy(desk, tmp_path / f"{number}")
        if child(_killed_at(number, victim.ingest)) == 0:
            break
        victim.ingest()
        assert victim.ids() == expected, f"killed at {number}"
        number += 3
    assert number > 10  # else nothing was killed


def _need_tracing() -> None:
    fault = kills.tracing_fault()
    if "not permitted" in fault:
        pytest.skip(f"this machine forbids tracing, so no kill can be planned: {fault}")
    assert not fault, f"{fault}: scripts/setup.sh installs it"


def test_killed_at_any_system_call_that_changes_a_file_nothing_is_lost_or_doubled(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _need_tracing()
    desk.now = datetime.now(UTC) - timedelta(days=1)
    _a_day_passes(desk)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC))
    plan = Plan(partial(_copy, desk), tmp_path)
    expected, names = plan.victim.ids(), plan.victim.names("hooks")
    assert any(point.call == "renameat" and "hooks" in point.target for point in plan.points)
    for place in range(0, len(plan.points), EVERY):
        point = plan.kill_exactly(place)
        plan.victim.ingest()
        assert plan.victim.ids() == expected, f"killed at {point}"
        assert plan.victim.names("hooks") == names, f"killed at {point}"
        assert plan.victim.ingest().sealed == []


def test_a_disk_that_refuses_leaves_everything_as_it_was(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _a_day_passes(desk)
    whole = _copy(desk, tmp_path / "whole")
    whole.ingest()
    expected = whole.ids()

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "replace", refused)
        with pytest.raises(StorageError):
            desk.ingest()
    assert desk.names("hooks") == ["hooks.jsonl"]
    desk.ingest()
    assert desk.names("hooks") == ["hooks.2026-03-10.1.jsonl", "hooks.jsonl"]
    assert desk.ids() == expected
