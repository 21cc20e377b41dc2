"""Closed days become columns, then gzip, then go to the archive; whenever that is cut short, all records stay."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from bench import kills
from tests.killing import Plan, child

from agent_studio import clock
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.monitor import blocks, lake, metrics, retention, segments
from agent_studio.monitor.retention import Tidying, tidy
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

EVERY = int(os.environ.get("KILLS_EVERY", "8"))
"""Of the planned kills one in so many is carried out."""
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
STAGING = ("--env", "staging")


class Store:
    """An environment's files of days long past."""

    def __init__(self, path: Path, environment: Environment = Environment.STAGING) -> None:
        self.path, self.environment = path, environment
        self.root = path / ".claude" / ("staging" if environment is Environment.STAGING else "")
        self.metrics, self.state = self.root / "metrics", path / ".agent-studio" / environment
        for folder in (self.metrics, self.root / "sessions"):
            folder.mkdir(parents=True, exist_ok=True)
        (path / ".claude" / "config.staging.yaml").write_text("environment: staging\n")
        for kind, file in segments.JOURNALS.values():
            (self.root / kind / file).touch()

    def copied(self, target: Path) -> Store:
        shutil.copytree(self.path, target)
        return Store(target)

    @property
    def context(self) -> Context:
        return open_context(Project(self.path), Choice(self.environment, "--env"), {})

    @property
    def lake(self) -> Path:
        return self.state / "lake"

    @property
    def archive(self) -> Path:
        return self.state / "archive"

    def close(self, days_ago: float, stem: str = "hooks", number: int = 1, lines: int = 40) -> Path:
        """Make a file that was begun and last written to so many days ago; 1 % of a larger one is damaged."""
        at = clock.now() - timedelta(days=days_ago)
        folder = self.root / "sessions" if stem == "session-log" else self.metrics
        place = folder / f"{stem}.{at:%Y-%m-%d}.{number}.jsonl"
        place.write_bytes(b"".join(_line(at, each) if (each + 1) % 100 else b'{"torn\n' for each in range(lines)))
        os.utime(place, (at.timestamp(), at.timestamp()))
        place.chmod(0o600)
        return place

    def tidy(self) -> retention.Tidied:
        return tidy(self.context, NOW)

    def truth(self) -> dict[str, list[bytes]]:
        """Return the lines of every closed file by its name for good, wherever it is; of two copies both."""
        found: dict[str, list[bytes]] = {}
        for folder in (self.metrics, self.root / "sessions", self.archive):
            for place in folder.glob("[!.]*.2*.jsonl*"):
                data = gzip.decompress(place.read_bytes()) if place.suffix == ".gz" else place.read_bytes()
                lines = data.splitlines()
                assert found.setdefault(place.name.removesuffix(".gz"), lines) == lines, place
        return found

    def files(self) -> dict[str, bytes]:
        """Return every file of the data, the columns and the archive, with its bytes."""
        places = re.compile(r"/(metrics|sessions|archive|lake/\w+)/(?!sums\.json)")
        return {name: data for name, data in kills.tree(self.path).items() if places.search(name)}


def _line(at: datetime, number: int) -> bytes:
    record = {
        "timestamp": clock.timestamp(at - timedelta(seconds=1000 - number)), "hook": f"guard-{number % 3}",
        "event": "PreToolUse", "tool": "Bash", "executionTimeMs": number / 2, "status": "success", "sessionId": "s1",
        "agent": None, "metadata": {}, "eventId": f"{at.timestamp():.0f}-{number}", "environment": "staging",
        "release": None,
    }  # fmt: skip
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return Store(tmp_path / "project")


def test_a_closed_day_becomes_columns_then_gzip_then_moves_to_the_archive(store: Store) -> None:
    for stem in ("hooks", "agents", "errors", "session-log"):
        for days_ago in (1, 5, 29, 31, 89, 91):
            store.close(days_ago, stem, lines=200)
    truth = store.truth()
    done = store.tidy()
    assert (len(done.converted), len(done.gzipped), len(done.archived), done.kept) == (14, 10, 10, [])
    assert store.truth() == truth
    assert sorted(place.name for place in store.metrics.glob("hooks.*")) == [
        "hooks.2026-02-09.1.jsonl.gz", "hooks.2026-03-05.1.jsonl.gz", "hooks.2026-03-09.1.jsonl", "hooks.jsonl"
    ]  # fmt: skip
    assert sorted(place.name for place in store.archive.glob("errors*")) == ["errors.2025-12-09.1.jsonl.gz"]
    assert sorted(place.name for place in (store.lake / "errors").glob("*.parquet")) == [
        "2025-12-11.1.parquet", "2026-02-07.1.parquet", "2026-02-09.1.parquet", "2026-03-05.1.parquet",
        "2026-03-09.1.parquet",
    ]  # fmt: skip
    assert lake.rows_in(store.lake / "sessions/2026-03-05.1.parquet", "sessions") == 200


@pytest.mark.parametrize("engine", ["plain", "sql"])
def test_figures_are_the_same_before_and_after(store: Store, engine: Literal["plain", "sql"]) -> None:
    for days_ago in (0, 1, 5, 29):
        for stem in ("hooks", "session-log"):
            store.close(days_ago, stem, lines=250)
    (store.metrics / f"hooks.{NOW:%Y-%m-%d}.1.jsonl").replace(store.metrics / "hooks.jsonl")
    window = metrics.last_hours(30 * 24)
    before = metrics.summary(store.context, window, engine=engine)
    assert (sum(hook.calls for hook in before.hooks), before.damaged) == (4 * 248, 4 * 2 * 2)
    done = store.tidy()
    assert (len(done.converted), len(done.gzipped)) == (7, 4)
    assert metrics.summary(store.context, window, engine=engine) == before


def test_doing_it_again_changes_nothing(store: Store) -> None:
    for days_ago in (1, 5, 31):
        store.close(days_ago)
    store.tidy()
    before = store.files()
    assert store.tidy() == retention.Tidied.nothing()
    assert store.files() == before


def test_what_it_writes_is_its_owners_alone(store: Store) -> None:
    for days_ago in (1, 5, 31):
        store.close(days_ago)
    store.tidy()
    written = [place for base in (store.metrics, store.archive, store.lake) for place in base.rglob("*.*")]
    assert {place.suffix for place in written} >= {".gz", ".parquet", ".jsonl"}
    loose = [place for place in written if place.is_file() and stat.S_IMODE(place.stat().st_mode) & 0o077]
    assert [place for place in loose if place.name.count(".") > 1] == []


def test_days_are_counted_from_when_a_file_was_last_written_to_also_once_it_is_compressed(store: Store) -> None:
    place = store.close(29.9)
    store.tidy()
    packed = place.with_name(f"{place.name}.gz")
    os.utime(packed)
    assert tidy(store.context, NOW + timedelta(hours=2)).archived == []
    assert tidy(store.context, NOW + timedelta(hours=3)).archived == [packed.name]


def test_a_file_that_was_copied_later_is_as_old_as_the_next_one_says(store: Store) -> None:
    os.utime(store.close(40))
    store.close(38)
    assert store.tidy().archived == ["hooks.2026-01-29.1.jsonl", "hooks.2026-01-31.1.jsonl"]


def test_records_of_these_days_stay_at_hand_whatever_the_name_says(store: Store) -> None:
    early = store.close(5).replace(store.metrics / "hooks.2026-01-01.1.jsonl")
    store.close(40)
    done = store.tidy()
    assert (done.archived, done.faults) == (["hooks.2026-01-29.1.jsonl"], [])
    assert tidy(store.context, NOW + timedelta(days=24.9)).archived == []
    assert tidy(store.context, NOW + timedelta(days=25.1)).archived == [f"{early.name}.gz"]


@pytest.mark.parametrize("told", ["in years", "in words", "as it was"])
def test_the_time_of_the_file_counts_where_its_records_do_not_say(store: Store, told: str) -> None:
    stamps = {"in years": b"2046-01-01T00:00:00.000Z", "in words": b"soon", "as it was": b""}
    places = [store.close(days_ago, lines=1) for days_ago in (40, 20)]
    for place in places:
        if stamps[told]:
            at = place.stat().st_mtime
            place.write_bytes(re.sub(rb"2026-0.{18}Z", stamps[told], place.read_bytes(), count=1))
            os.utime(place, (at, at))
    assert store.tidy().archived == [places[0].name]


def test_a_file_that_has_a_time_of_long_ago_stays_for_its_records(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1)
    place = store.close(5)
    with place.open("ab") as file:
        file.write(_line(NOW + timedelta(days=9_000), 1))
    os.utime(place, (1, 1))
    done = store.tidy()
    assert (done.archived, done.gzipped) == ([], [place.name])


def test_how_new_records_are_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close(1)
    (store.metrics / "hooks.jsonl").write_bytes(b"".join(_line(NOW, each) for each in range(2_000)))
    window = metrics.last_hours(24)
    metrics.summary(store.context, window, engine="plain")
    held = json.loads((store.state / "blocks-hooks.json").read_bytes())["files"]
    store.close(2)
    store.tidy()
    known = json.loads((store.state / "blocks-hooks.json").read_bytes())["files"]
    assert known["hooks.jsonl"] == held["hooks.jsonl"]
    assert len(known) == 3
    monkeypatch.setattr(blocks, "opened", None)
    assert store.tidy().faults == []


def test_retention_follows_the_configuration_and_the_longest_of_those_who_share(store: Store) -> None:
    both = Store(store.path, Environment.PRODUCTION)
    for days_ago in (3, 6, 12):
        both.close(days_ago)
    both.close(12, "errors")
    (store.path / ".claude/config.yaml").write_text(
        "monitoring:\n  retention:\n    metricsDays: 5\n    errorsDays: 20\n"
    )
    (store.path / ".claude/config.development.yaml").write_text("monitoring:\n  retention:\n    metricsDays: 10\n")
    assert both.tidy().archived == ["hooks.2026-02-26.1.jsonl"]
    (store.path / ".claude/config.development.yaml").unlink()
    assert both.tidy().archived == ["hooks.2026-03-04.1.jsonl.gz"]
    assert len(list(both.archive.iterdir())) == 2
    assert not (store.path / ".agent-studio/development/archive").exists()


def test_the_ledger_and_the_live_files_are_left_alone(store: Store) -> None:
    old = NOW.timestamp() - 400 * 86_400
    for name in (
        "llm-usage.log",
        "llm-usage.1.log",
        "hooks.jsonl",
        "searches.jsonl",
        "events.jsonl",
        "hooks.old.jsonl",
    ):
        (store.metrics / name).write_bytes(b'{"a": 1}\n')
        os.utime(store.metrics / name, (old, old))
    before = store.files()
    assert store.tidy() == retention.Tidied.nothing()
    assert store.files() == before


def test_what_a_burn_in_needs_is_kept_and_said(store: Store) -> None:
    for days_ago in (35, 45):
        store.close(days_ago)
    store.state.mkdir(parents=True)
    burnin = store.state / "burnin.json"
    burnin.write_text(json.dumps({"since": clock.timestamp(NOW - timedelta(days=40)), "candidate": "f" * 64}))
    done = store.tidy()
    assert done.archived == ["hooks.2026-01-24.1.jsonl"]
    assert [(one.name, one.is_fault) for one in done.kept] == [("hooks.2026-02-03.1.jsonl", False)]
    assert "burn-in" in done.kept[0].reason
    assert (store.lake / "hooks/2026-02-03.1.parquet").exists()
    burnin.unlink()
    assert store.tidy().archived == ["hooks.2026-02-03.1.jsonl.gz"]


@pytest.mark.parametrize("text", ["{}", "no JSON", '{"since": 5}', '{"since": "2026-01-31T09:30:00"}', "[]"])
def test_a_burn_in_that_does_not_say_since_when_keeps_everything(store: Store, text: str) -> None:
    store.close(400)
    store.state.mkdir(parents=True)
    (store.state / "burnin.json").write_text(text)
    done = store.tidy()
    assert not done.archived
    assert "burnin.json" in done.faults[0].reason
    assert (store.metrics / "hooks.2025-02-03.1.jsonl").exists()


@pytest.mark.parametrize("harm", ["cut", "emptied", "overwritten", "bent inside"])
def test_columns_that_were_damaged_are_made_anew(store: Store, harm: str) -> None:
    store.close(5, lines=3_000)
    store.tidy()
    parquet = store.lake / "hooks/2026-03-05.1.parquet"
    whole = parquet.read_bytes()
    middle = len(whole) // 2
    harmed = {
        "cut": whole[:-30], "emptied": b"", "overwritten": b"PAR1" + os.urandom(500),
        "bent inside": whole[: middle - 200] + os.urandom(400) + whole[middle + 200 :],
    }  # fmt: skip
    parquet.write_bytes(harmed[harm])
    done = tidy(store.context, NOW + timedelta(days=1, hours=1))
    assert done.converted == ["hooks.2026-03-05.1.jsonl.gz"]
    assert lake.rows_in(parquet, "hooks") == 3_000


def test_columns_of_nothing_are_removed(store: Store) -> None:
    store.close(5)
    store.tidy()
    stray = store.lake / "hooks/2026-01-01.1.parquet"
    stray.write_bytes(b"PAR1")
    store.tidy()
    assert sorted(place.name for place in (store.lake / "hooks").glob("*.parquet")) == ["2026-03-05.1.parquet"]


def test_columns_with_too_few_rows_are_not_trusted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close(1)
    monkeypatch.setattr(lake, "rows_in", lambda *_: 39)
    done = store.tidy()
    assert (done.converted, len(done.faults)) == ([], 1)
    assert "40 lines" in done.faults[0].reason
    assert list((store.lake / "hooks").iterdir()) == []


def test_a_compressed_file_that_does_not_come_back_the_same_is_not_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_studio.monitor import packing

    place = store.close(5)
    real = packing.content
    monkeypatch.setattr(
        packing, "content",
        lambda folder, name, *, is_gzip: real(folder, name, is_gzip=is_gzip)._replace(lines=40 - is_gzip),
    )  # fmt: skip
    done = store.tidy()
    assert done.gzipped == []
    assert "did not come back" in done.faults[0].reason
    assert [one.name for one in store.metrics.glob("hooks.2*")] == [place.name]


def test_a_copy_that_a_killed_run_left_beside_the_file_is_made_anew_from_it(store: Store) -> None:
    place = store.close(5)
    truth = store.truth()
    place.with_name(f"{place.name}.gz").write_bytes(gzip.compress(b"half of")[:-4])
    assert store.tidy().gzipped == [place.name]
    assert store.truth() == truth


def test_the_archive_never_loses_what_it_has(store: Store) -> None:
    place = store.close(40)
    store.archive.mkdir(parents=True)
    there = store.archive / f"{place.name}.gz"
    there.write_bytes(gzip.compress(b"other records\n"))
    done = store.tidy()
    assert done.archived == []
    assert "differs" in done.faults[0].reason
    assert gzip.decompress(there.read_bytes()) == b"other records\n"
    there.write_bytes(gzip.compress(gzip.decompress((store.metrics / f"{place.name}.gz").read_bytes()), mtime=5))
    assert store.tidy().archived == [f"{place.name}.gz"]
    assert len(store.truth()) == 1


def test_a_file_that_was_brought_back_from_the_archive_is_seen_again(store: Store) -> None:
    place = store.close(40)
    store.tidy()
    shutil.move(store.archive / f"{place.name}.gz", store.metrics)
    (store.path / ".claude/config.yaml").write_text("monitoring:\n  retention:\n    metricsDays: 60\n")
    assert store.tidy().converted == [f"{place.name}.gz"]
    assert (store.lake / "hooks/2026-01-29.1.parquet").exists()


def test_a_damaged_file_is_told_and_the_others_are_tidied(store: Store) -> None:
    broken = store.close(6)
    packed = gzip.compress(broken.read_bytes(), mtime=int(broken.stat().st_mtime))
    broken.with_name(f"{broken.name}.gz").write_bytes(packed[: len(packed) // 2])
    broken.unlink()
    store.close(5)
    done = store.tidy()
    assert done.converted == ["hooks.2026-03-05.1.jsonl"]
    assert [one.name for one in done.faults] == [f"{broken.name}.gz"]


def test_while_another_process_tidies_nothing_is_done(store: Store) -> None:
    store.close(5)
    store.state.mkdir(parents=True)
    with exclusive(Folder(store.path, ".agent-studio/staging"), "tidy.lock", doing="test"):
        assert store.tidy() == retention.Tidied.nothing()
    assert store.tidy().converted


def test_it_is_done_once_an_hour_and_when_something_was_sealed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [50_000.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    tidying = Tidying()
    done = []
    for was_sealed, later in ((False, 0), (False, 3_500), (True, 0), (False, 3_500), (False, 200)):
        seconds[0] += later
        shutil.rmtree(store.lake, ignore_errors=True)
        store.close(1)
        done.append(bool(tidying.after(store.context, was_sealed=was_sealed).converted))
    assert done == [True, False, True, False, True]


def test_doctor_tells_when_nothing_tidies(staged: Studio) -> None:
    def finding() -> dict[str, Any]:
        found = staged.json("doctor", *STAGING)["findings"]
        return next((one for one in found if one["code"] == "retention"), {})

    assert finding() == {}
    old = datetime.now(UTC) - timedelta(days=8)
    place = staged.write(f".claude/staging/metrics/hooks.{old:%Y-%m-%d}.1.jsonl", _line(old, 1))
    place.chmod(0o600)
    assert finding()["severity"] == "ok"
    os.utime(place, (old.timestamp() + 86_400 * 6, old.timestamp() + 86_400 * 6))
    assert finding()["severity"] == "info"
    os.utime(place, (old.timestamp(), old.timestamp()))
    assert finding()["severity"] == "warning"
    assert finding()["fix"] == "agent-studio ingest --env staging"
    done = staged.run("ingest", *STAGING, "--json")
    assert done.data["tidied"] == {
        "converted": [place.name], "gzipped": [place.name], "archived": [], "kept": []
    }  # fmt: skip
    assert finding()["severity"] == "ok"


def test_the_daemon_and_following_tidy_as_well(staged: Studio) -> None:
    old = datetime.now(UTC) - timedelta(days=400)
    for number, command in enumerate((["serve", "--port", "0", "--ingest-interval", "0.1"], ["ingest", "--follow"]), 1):
        place = staged.write(f".claude/staging/metrics/hooks.{old:%Y-%m-%d}.{number}.jsonl", _line(old, 1))
        os.utime(place, (old.timestamp(), old.timestamp()))
        process = subprocess.Popen(
            [sys.executable, "-m", "agent_studio", *command, *STAGING], cwd=staged.path, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            archived = staged.path / f".agent-studio/staging/archive/{place.name}.gz"
            until = time.monotonic() + 30
            while not archived.exists() and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            process.terminate()
            out, _ = process.communicate(timeout=30)
        assert archived.exists(), command
    assert f"archived: {place.name}" in out.decode()


# Cut short


def _old_and_new(store: Store) -> None:
    for days_ago in (1, 5, 40):
        store.close(days_ago, lines=300)
    store.close(95, "errors")


@pytest.mark.parametrize("limit", [100, 700, 1_500, 2_500])
def test_on_a_full_disk_everything_stays_and_is_done_later(store: Store, limit: int) -> None:
    """A limit for the size of files stands for a disk that fills: writes fail in the same places."""
    _old_and_new(store)
    truth = store.truth()

    def starved() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        done = store.tidy()
        assert done.faults
        assert all("cannot" in one.reason for one in done.faults), done.faults

    code = child(starved)
    assert code == 0
    assert [name for name in store.files() if name.endswith(".tmp")] == []
    assert store.truth() == truth
    assert store.tidy().faults == []
    assert store.truth() == truth


def test_killed_at_any_system_call_that_changes_a_file_every_record_stays_and_the_next_run_repairs(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = kills.tracing_fault()
    if "not permitted" in fault:
        pytest.skip(f"this machine forbids tracing, so no kill can be planned: {fault}")
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC))
    _old_and_new(store)
    truth, plan = store.truth(), Plan(store.copied, tmp_path)
    expected = plan.victim.files().keys()
    assert any("archive" in point.target and point.call == "renameat" for point in plan.points)
    assert any(".parquet" in point.target and point.call == "renameat" for point in plan.points)
    killed = 0
    for place in range(0, len(plan.points), EVERY):
        point = plan.kill(place)
        killed += point is not None
        assert plan.victim.truth() == truth, f"killed at {point}"
        assert tidy(plan.victim.context).faults == [], f"killed at {point}"
        assert plan.victim.truth() == truth, f"repaired after {point}"
        assert plan.victim.files().keys() == expected, f"repaired after {point}"
    assert killed > len(plan.points) // EVERY // 2
