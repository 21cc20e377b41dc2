"""Named queries: what each gives, what they are given, and that damage, races and hostile values change nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
import tracemalloc
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio import clock
from agent_studio.cost import book, pricing
from agent_studio.cost.book import Told
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.environment.sharing import sharing
from agent_studio.errors import StorageError, UsageError
from agent_studio.monitor import lake, metrics, plain, segments, sql
from agent_studio.monitor.dialect import DIALECTS
from agent_studio.monitor.lines import record_of
from agent_studio.monitor.summary import Window
from agent_studio.records import LlmUsage

if TYPE_CHECKING:
    from pathlib import Path

HOUR, DAY = 3_600_000, 86_400_000
NOW = datetime(2026, 5, 6, 12, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TODAY = Window(NOW_MS + 1 - DAY, NOW_MS + 1)
OWN_PARAMETERS: dict[str, dict[str, Any]] = {
    "hook_histogram": {"hook": "lint"}, "hook_history": {"hook": "lint"}, "session_timeline": {"session_id": "s1"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


class Place:
    """A project whose journals a test writes line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for kind in ("metrics", "sessions"):
            (path / ".claude/staging" / kind).mkdir(parents=True)
        (path / ".claude/config.staging.yaml").write_text("environment: staging\n")

    @property
    def context(self) -> Context:
        return open_context(Project(self.path), Choice(Environment.STAGING, "--env"), {})

    def file(self, kind: str, name: str | None = None) -> Path:
        folder, live = segments.JOURNALS[kind]
        return self.path / ".claude/staging" / folder / (name or live)

    def add(self, kind: str, *records: dict[str, Any], name: str | None = None) -> None:
        with self.file(kind, name).open("a", encoding="utf-8") as file:
            for minutes_ago, record in ((one.pop("ago", 0), one) for one in records):
                at = {"timestamp": clock.of_ms(NOW_MS - round(minutes_ago * 60_000))}
                file.write(json.dumps({**at, "environment": "staging", "metadata": {}, **record}) + "\n")

    def twin(self, kind: str, name: str) -> Path:
        """Make a sealed file's Parquet twin and return where it is."""
        (one,) = (one for one in segments.segments(self.context.root, kind) if one.name == name)
        target = self.path / ".agent-studio/staging" / one.parquet
        target.parent.mkdir(parents=True, exist_ok=True)
        lake.copy(self.file(kind, name), kind, target)
        return target

    def rows(self, query: str, window: Window = TODAY, **parameters: Any) -> list[dict[str, Any]]:
        return metrics.rows(self.context, query, window, **parameters)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def hook(ago: float = 0, **more: Any) -> dict[str, Any]:
    return {"ago": ago, "hook": "lint", "event": "PreToolUse", "tool": "Bash", "executionTimeMs": 4,
            "status": "success", "sessionId": "s1", **more}  # fmt: skip


@pytest.mark.parametrize("query", sorted(metrics.queries()))
def test_every_query_says_what_it_gives_and_runs_on_nothing_at_all(place: Place, query: str) -> None:
    assert metrics.queries()[query].endswith(".")
    found = place.rows(query, **OWN_PARAMETERS.get(query, {}))
    assert found == [] or query.startswith(("summary_", "trends_"))


def test_an_environment_without_folders_has_no_figures(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/config.staging.yaml").write_text("environment: staging\n")
    context = open_context(Project(tmp_path), Choice(Environment.STAGING, "--env"), {})
    for engine in ("plain", "sql"):
        found = metrics.summary(context, TODAY, engine=engine)
        assert (found.hooks, found.agents, found.errors, found.spend, found.newest_ms) == ([], [], [], [], None)
    assert not (tmp_path / ".agent-studio").exists()


def test_an_unknown_query_or_parameter_names_what_would_be_right(place: Place) -> None:
    with pytest.raises(UsageError, match="unknown query 'hook'") as unknown:
        place.rows("hook")
    assert "hooks" in unknown.value.hint
    with pytest.raises(UsageError, match="was given nothing") as missing:
        place.rows("hook_history")
    assert missing.value.hint == "it takes hook"
    with pytest.raises(UsageError, match="was given since"):
        place.rows("hooks", since=0)


def test_hooks_are_told_apart_by_event_tool_and_outcome(place: Place) -> None:
    place.add("hooks", hook(1, executionTimeMs=1), hook(2, executionTimeMs=2, status="failure"),
              hook(3, executionTimeMs=None, status="blocked"),
              hook(4, event="Stop", tool=None, status="timeout"))  # fmt: skip
    bash, stop = place.rows("hook_events")
    assert (bash["event"], bash["tool"], bash["calls"], bash["failures"], bash["blocked"]) == (
        "PreToolUse",
        "Bash",
        3,
        1,
        1,
    )
    assert (bash["p50_ms"], bash["failure_rate"]) == (1.5, pytest.approx(1 / 3))
    assert (stop["event"], stop["tool"], stop["failures"]) == ("Stop", None, 1)
    assert [row["duration_ms"] for row in place.rows("slowest_hooks")] == [4, 2, 1]
    assert {row["duration_ms"]: row["calls"] for row in place.rows("hook_durations")} == {1: 1, 2: 1, 4: 1}


def test_a_histogram_holds_every_run_in_steps_without_a_gap(place: Place) -> None:
    times = [0, 0.05, 1, 1.4, 1.5, 30, 30.1, 900]
    place.add("hooks", *(hook(1, executionTimeMs=time) for time in times), hook(1, hook="other", executionTimeMs=7))
    steps = place.rows("hook_histogram", hook="lint")
    assert sum(step["calls"] for step in steps) == len(times)
    assert steps[0]["from_ms"] == 0
    assert all(one["to_ms"] == pytest.approx(after["from_ms"]) for one, after in pairwise(steps))
    for step in steps:
        assert step["calls"] == sum(step["from_ms"] <= time < step["to_ms"] for time in times)


def test_a_history_is_by_hour_and_by_day_above_three_days(place: Place) -> None:
    place.add("hooks", hook(10), hook(70), hook(75), hook(60 * 30))
    hours = place.rows("hook_history", hook="lint")
    assert [(row["time_at_ms"] % HOUR, row["calls"]) for row in hours] == [(0, 2), (0, 1)]
    days = place.rows("hook_history", Window(NOW_MS - 4 * DAY, NOW_MS + 1), hook="lint")
    assert [(row["time_at_ms"] % DAY, row["calls"]) for row in days] == [(0, 1), (0, 3)]


def test_errors_are_grouped_by_the_shape_of_their_message(place: Place) -> None:
    error = {"errorType": "SystemError", "severity": "HIGH", "source": "api"}
    said = (
        "timeout after 30 s in /home/me/a.py",
        "timeout after 12.5 s in /srv/b/c.py",
        "no such session 9f8e7d6c5b4a39281",
    )
    place.add(
        "errors", *({**error, "ago": ago, "message": message, "eventId": str(ago)} for ago, message in enumerate(said))
    )
    place.add("errors", {**error, "severity": "LOW", "message": said[0], "ago": 90, "eventId": "last"})
    groups = {(row["shape"], row["severity"]): row for row in place.rows("errors_grouped")}
    assert groups["timeout after # s in #", "HIGH"]["count"] == 2
    assert groups["timeout after # s in #", "HIGH"]["first_at_ms"] == NOW_MS - 60_000
    assert groups["no such session #", "HIGH"]["count"] == 1
    assert [row["event_id"] for row in place.rows("errors_latest")] == ["0", "1", "2", "last"]
    by_hour = place.rows("errors_by_hour")
    assert [(row["hour_at_ms"], row["severity"], row["count"]) for row in by_hour] == [
        (NOW_MS - NOW_MS % HOUR - HOUR, "LOW", 1), (NOW_MS - NOW_MS % HOUR, "HIGH", 3),
    ]  # fmt: skip


def spend(context: Context, *told: tuple[int, str, int, str | None]) -> None:
    """Enter responses: minutes ago, model, input tokens, cost."""
    roots = sharing(context)
    with book.opened(next(iter(roots.values()))) as held:
        records = [
            LlmUsage(
                timestamp=clock.of_ms(NOW_MS - ago * 60_000), session_id="s1", request_id=f"r{ago}",
                message_id=f"m{ago}", provider="anthropic", model=model, agent=None, skill=None, project="p",
                task_id=None, input_tokens=tokens, output_tokens=10, cache_read_tokens=1_000, cache_write5m_tokens=5,
                cache_write1h_tokens=0, web_searches=0, service_tier=None, speed=None, region=None, cost_usd=cost,
                price_source="test", source="api",
            )
            for ago, model, tokens, cost in told
        ]  # fmt: skip
        held.record([Told(one, str(context.environment)) for one in records], roots, pricing.table(context))


def test_environments_that_share_a_ledger_see_their_own_spend(tmp_path: Path) -> None:
    (tmp_path / ".claude/metrics").mkdir(parents=True)
    contexts = [
        open_context(Project(tmp_path), Choice(one, "--env"), {})
        for one in (Environment.PRODUCTION, Environment.DEVELOPMENT)
    ]
    for number, context in enumerate(contexts):
        spend(context, (5 + number, f"model-{number}", 100, "0.5"))
    for number, context in enumerate(contexts):
        assert [one.model for one in metrics.summary(context, TODAY).spend] == [f"model-{number}"]
        assert [row["model"] for row in metrics.rows(context, "spend_by_model", TODAY)] == [f"model-{number}"]


def test_spend_is_the_ledgers_also_where_it_was_amended(place: Place) -> None:
    spend(
        place.context,
        (5, "opus", 100, "0.5"),
        (10, "opus", 100, "0.25"),
        (70, "haiku", 7, None),
        (60 * 30, "opus", 1, "9"),
    )
    spend(place.context, (5, "opus", 400, "0.75"))  # it has grown: counted once, as it is now
    found = metrics.summary(place.context, TODAY).spend
    hour = NOW_MS - NOW_MS % HOUR
    assert [(one.hour_ms, one.model, one.tokens, one.pico_usd) for one in found] == [
        (hour - HOUR, "haiku", 22, None), (hour, "opus", 530, 10**12),
    ]  # fmt: skip
    assert (found[0].unpriced, found[1].unpriced) == (1_022, 0)
    dearest, unpriced = place.rows("spend_by_model")
    assert (dearest["model"], dearest["responses"], dearest["cost_usd"]) == ("opus", 2, 1.0)
    assert (unpriced["model"], unpriced["unpriced_tokens"], unpriced["cache_read_tokens"]) == ("haiku", 1_022, 1_000)
    minutes = Window(NOW_MS - 6 * 60_000, NOW_MS + 1)  # it begins within the quarter of an hour that usage is summed by
    assert [(row["tokens"], row["cost_usd"]) for row in place.rows("sessions", minutes)] == [(415, 0.75)]
    place.add("sessions", {"ago": 20, "sessionId": "s1", "event": "start"})
    assert place.rows("sessions")[0]["cost_usd"] == 1.0
    assert {row["kind"] for row in place.rows("session_timeline", session_id="s1")} == {"session", "usage"}


def test_a_session_gathers_what_every_journal_says_of_it(place: Place) -> None:
    place.add("sessions", {"ago": 50, "sessionId": "s1", "event": "start", "source": "startup", "model": "opus"},
              {"ago": 40, "sessionId": "s1", "event": "prompt"}, {"ago": 9, "sessionId": "s1", "event": "end"},
              {"ago": 8, "sessionId": "s2", "event": "prompt"},
              {"ago": 7, "sessionId": "s2", "event": "prompt"})  # fmt: skip
    place.add("hooks", hook(45), hook(44, status="failure"))
    place.add("agents", {"ago": 30, "agent": "qa", "agentId": "a1", "sessionId": "s1", "durationMs": 5, "tokensUsed": 9,
                         "status": "failed", "errorMessage": "no"})  # fmt: skip
    place.add("errors", {"ago": 44, "errorType": "SystemError", "severity": "HIGH", "source": "hook", "message": "no",
                         "sessionId": "s1"})  # fmt: skip
    second, first = place.rows("sessions")
    assert (second["session_id"], second["prompts"], second["open"]) == ("s2", 2, True)
    counts = ("prompts", "calls", "failures", "errors", "runs", "source", "model", "open")
    assert [first[name] for name in counts] == [1, 2, 1, 1, 1, "startup", "opus", False]
    assert (first["first_at_ms"], first["last_at_ms"]) == (NOW_MS - 50 * 60_000, NOW_MS - 9 * 60_000)
    told = place.rows("session_timeline", session_id="s1")
    assert [row["kind"] for row in told] == ["session", "hook", "error", "hook", "session", "agent", "session"]
    assert [row["status"] for row in place.rows("agent_runs")] == ["failed"]


def test_trends_are_really_by_day_and_a_day_without_records_is_there(place: Place) -> None:
    for ago, count in ((0, 3), (1, 2), (3, 1)):
        place.add("hooks", *(hook(60 * 24 * ago + 1, executionTimeMs=10 * ago) for _ in range(count)))
    window = Window(NOW_MS - NOW_MS % DAY - 3 * DAY, NOW_MS + 1)
    days = place.rows("trends_by_day", window)
    assert [(row["date"], row["calls"], row["p50_ms"]) for row in days] == [
        ("2026-05-03", 1, 30), ("2026-05-04", 0, None), ("2026-05-05", 2, 10), ("2026-05-06", 3, 0),
    ]  # fmt: skip


def test_what_a_person_stopped_is_not_in_the_rate_of_a_day(place: Place) -> None:
    runs = [(1, "failed"), (1, "completed"), (1, "cancelled"), (60 * 24, "cancelled")]
    place.add("agents", *({"ago": ago, "agent": "qa", "status": status} for ago, status in runs))
    days = place.rows("trends_by_day", Window(NOW_MS - NOW_MS % DAY - DAY, NOW_MS + 1))
    assert [(row["runs"], row["agent_failures"], row["agent_failure_rate"]) for row in days] == [(1, 0, 0), (3, 1, 0.5)]


def test_who_stopped_reporting_while_others_go_on_is_silent(place: Place) -> None:
    place.add("hooks", *(hook(ago) for ago in range(0, 600, 5)),
              *(hook(ago, hook="gone") for ago in range(200, 600, 5)),
              *(hook(ago, hook="rare") for ago in (300, 500)))  # fmt: skip
    (silent,) = place.rows("silence")
    assert (silent["kind"], silent["name"], silent["usual_gap_ms"]) == ("hook", "gone", 5 * 60_000)
    assert (silent["last_at_ms"], silent["silent_ms"]) == (NOW_MS - 200 * 60_000, 200 * 60_000)


def test_an_environment_sees_only_its_own_records_in_shared_files(place: Place) -> None:
    place.add("hooks", hook(1), hook(1, hook="theirs", environment="production"))
    for engine in ("plain", "sql"):
        assert [one.hook for one in metrics.summary(place.context, TODAY, engine=engine).hooks] == ["lint"]
    assert [row["hook"] for row in place.rows("hooks")] == ["lint"]


def test_values_from_outside_never_become_sql(place: Place) -> None:
    evil = "x' OR 1=1; DROP VIEW hooks; --{quantile}$since\x1b[31m"
    place.add("hooks", hook(1, hook=evil, executionTimeMs=3), hook(1))
    assert [row["calls"] for row in place.rows("hook_history", hook=evil)] == [1]
    assert place.rows("session_timeline", session_id=evil) == []
    assert {row["hook"] for row in place.rows("hooks")} == {evil, "lint"}


def test_the_files_of_a_journal_are_listed_oldest_first_and_each_once(place: Place) -> None:
    names = ("hooks.jsonl", "hooks.2026-05-05.10.jsonl", "hooks.2026-05-05.2.jsonl", "hooks.2026-05-05.2.jsonl.gz",
             "hooks.2026-04-30.1.jsonl.gz", "hooks.2026-05-05.0.jsonl", "hooks.today.jsonl",
             "agents.2026-05-05.1.jsonl", "hooks.2026-05-05.3.jsonl.tmp")  # fmt: skip
    for name in names:
        place.file("hooks", name).write_text("")
    assert [one.name for one in segments.segments(place.context.root, "hooks")] == [
        "hooks.2026-04-30.1.jsonl.gz", "hooks.2026-05-05.2.jsonl", "hooks.2026-05-05.10.jsonl", "hooks.jsonl",
    ]  # fmt: skip


def test_a_folder_whose_name_is_a_pattern_is_no_pattern(tmp_path: Path) -> None:
    own, beside = Place(tmp_path / "p[x]*"), Place(tmp_path / "pxy")
    own.add("hooks", hook(1))
    beside.add("hooks", hook(1, hook="theirs"))
    assert [row["hook"] for row in own.rows("hooks")] == ["lint"]


@pytest.mark.parametrize("engine", ["plain", "sql"])
@pytest.mark.parametrize(
    "stamp",
    [
        "1969-12-31T23:59:59.999Z", "2026-5-06T12:00:00.000Z", "2026-05-06T12:00:00.0Z", "2026-05-06T12:00:00.0000Z",
        "2026-05-06T12:00:00Z", "2026-05-06 12:00:00.000Z", "2026-05-06T12:00:00.000+", "2026-02-30T12:00:00.000Z",
        "2026-05-06T24:00:00.000Z", "2026-05-06T12:00:60.000Z", " 2026-05-06T12:00:00.00Z", "", None, 5,
    ],
)  # fmt: skip
def test_a_time_that_is_not_written_as_ours_is_damage(place: Place, engine: Any, stamp: Any) -> None:
    place.add("hooks", hook(2), hook(1, timestamp=stamp))
    found = metrics.summary(place.context, TODAY, engine=engine)
    assert ([one.calls for one in found.hooks], found.damaged) == ([1], 1)


def sealed(place: Place, count: int = 400) -> Path:
    name = segments.sealed_name("hooks", "2026-05-05", 1)
    place.add("hooks", *(hook(60 * 20 + number / 10, executionTimeMs=number) for number in range(count)), name=name)
    place.file("hooks", name).write_bytes(b"\n{torn\n" + place.file("hooks", name).read_bytes())
    return place.twin("hooks", name)


@pytest.mark.parametrize("harm", ["cut short", "only a head", "empty", "rotten inside", "of another version"])
def test_a_damaged_parquet_file_is_passed_over_for_its_lines(place: Place, harm: str) -> None:
    twin = sealed(place)
    before = metrics.summary(place.context, TODAY, engine="sql")
    data = twin.read_bytes()
    middle = len(data) // 3
    twin.write_bytes({
        "cut short": data[: len(data) - 30], "only a head": b"PAR1", "empty": b"",
        "rotten inside": data[:middle] + bytes(200) + data[middle + 200 :],
        "of another version": data,
    }[harm])  # fmt: skip
    if harm == "of another version":
        import duckdb

        duckdb.execute("COPY (SELECT 1 AS line, 2 AS at_ms) TO ? (FORMAT parquet)", [str(twin)])
    assert metrics.summary(place.context, TODAY, engine="sql") == before
    assert before.hooks[0].calls == 400
    assert before.damaged == 1
    assert lake.damaged(place.context, deep=True) == ["lake/hooks/2026-05-05.1.parquet"]
    told = [json.loads(line) for line in (place.path / ".agent-studio/staging/log.jsonl").read_text().splitlines()]
    assert [(one["event"], one["files"]) for one in told] == [
        ("columns.damaged", ["lake/hooks/2026-05-05.1.parquet"])
    ]  # fmt: skip


def test_a_whole_parquet_file_is_read_in_place_of_its_lines(place: Place) -> None:
    sealed(place)
    file = place.file("hooks", "hooks.2026-05-05.1.jsonl")
    file.write_bytes(b"\n" * file.stat().st_size)
    assert place.rows("hooks")[0]["calls"] == 400
    assert lake.damaged(place.context, deep=True) == []


@pytest.mark.parametrize("engine", ["plain", "sql"])
def test_a_packed_file_that_is_cut_short_costs_its_own_records_alone(place: Place, engine: Any) -> None:
    sealed(place).unlink()
    file = place.file("hooks", "hooks.2026-05-05.1.jsonl")
    packed = gzip.compress(file.read_bytes())
    file.unlink()
    file.with_name(f"{file.name}.gz").write_bytes(packed[: len(packed) // 2])
    place.add("hooks", hook(1))
    for window in (TODAY, Window(NOW_MS - HOUR, NOW_MS + 1)):
        found = metrics.summary(place.context, window, engine=engine)
        assert ([one.calls for one in found.hooks], found.damaged) == ([1], 1)
    assert lake.damaged(place.context, deep=True) == ["hooks.2026-05-05.1.jsonl.gz"]
    if engine == "sql":
        told = [json.loads(line) for line in (place.path / ".agent-studio/staging/log.jsonl").read_text().splitlines()]
        assert [one["files"] for one in told] == [["hooks.2026-05-05.1.jsonl.gz"]]


def test_a_packed_file_that_rots_after_it_was_looked_through_is_damage_and_no_fault(place: Place) -> None:
    sealed(place).unlink()
    file = place.file("hooks", "hooks.2026-05-05.1.jsonl")
    packed = gzip.compress(file.read_bytes())
    file.unlink()
    file = file.with_name(f"{file.name}.gz")
    file.write_bytes(packed)
    place.add("hooks", hook(1))
    metrics.summary(place.context, TODAY, engine="plain")
    file.write_bytes(packed[:40] + bytes(60) + packed[100:])  # as long as before
    for engine in ("plain", "sql"):
        for window in (TODAY, Window(NOW_MS - HOUR, NOW_MS + 1)):
            found = metrics.summary(place.context, window, engine=engine)
            assert found.newest_ms == NOW_MS - 60_000
            assert [one.calls for one in found.hooks] == [1]
        assert metrics.summary(place.context, TODAY, engine=engine).damaged == 1


def test_the_mark_that_an_editor_puts_at_the_start_of_a_file_costs_no_record(place: Place) -> None:
    place.add("hooks", *(hook(ago) for ago in range(2_000, 0, -1)))
    file = place.file("hooks")
    expected = metrics.summary(place.context, TODAY, engine="plain")
    for engine in ("plain", "sql"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        for window in (TODAY, Window(NOW_MS - 3 * DAY, NOW_MS + 1)):
            found = metrics.summary(place.context, window, engine=engine)
            assert (found.hooks[0].calls, found.damaged) == (1_439 if window == TODAY else 2_000, 0)
    assert expected.hooks[0].calls == 1_439


def test_what_cannot_be_read_at_all_is_one_clear_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add("hooks", *(hook(1, hook=f"h{number}") for number in range(2_000)))
    monkeypatch.setattr(lake, "MEMORY_LIMIT", "1MB")
    with pytest.raises(StorageError, match="need more memory than 1MB") as refused:
        place.rows("hooks")
    assert refused.value.hint == "ask for a shorter stretch of time"


@pytest.mark.parametrize("reader", [plain, lake])
@pytest.mark.parametrize("begun", [b"", None])
def test_sealing_in_the_midst_of_a_reading_loses_and_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, reader: Any, begun: bytes | None
) -> None:
    """The file is renamed when it has been listed and not yet opened; the next one is begun, or not yet."""
    place.add("hooks", *(hook(1) for _ in range(300)))
    live, listed = place.file("hooks"), reader.segments

    def seal_behind(root: Any, kind: str) -> Any:
        found = listed(root, kind)
        if kind == "hooks" and live.exists() and live.stat().st_size:
            live.rename(live.with_name("hooks.2026-05-06.1.jsonl"))
            if begun is not None:
                live.write_bytes(begun)
        return found

    monkeypatch.setattr(reader, "segments", seal_behind)
    found = metrics.summary(place.context, TODAY, engine="plain" if reader is plain else "sql")
    assert ([one.calls for one in found.hooks], found.damaged) == ([300], 0)


def test_the_index_is_private_derived_and_mended(place: Place) -> None:
    place.add("hooks", *(hook(number) for number in range(3_000, 0, -1)))
    expected = metrics.summary(place.context, TODAY, engine="plain")
    index = place.path / ".agent-studio/staging/blocks-hooks.json"
    assert os.stat(index).st_mode & 0o777 == 0o600  # noqa: PTH116 - the mode alone
    for damage in ("", "{", "[]", '{"version": 1, "files": {"hooks.jsonl": {"blocks": [[1]]}}}', "\x00"):
        index.write_text(damage)
        assert metrics.summary(place.context, TODAY, engine="plain") == expected
    live = place.file("hooks")
    live.write_bytes(b"".join(reversed(live.read_bytes().splitlines(keepends=True))))  # another file of the same size
    assert metrics.summary(place.context, TODAY, engine="plain") == expected


def test_the_summary_of_a_day_reads_little_of_a_month(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    minutes = 30 * 24 * 60
    place.add("hooks", *(hook(ago) for ago in range(minutes, 0, -2)))
    expected = metrics.summary(place.context, TODAY, engine="plain")
    read = 0

    def counted(line: bytes) -> Any:
        nonlocal read
        read += 1
        return record_of(line)

    monkeypatch.setattr(plain, "record_of", counted)
    assert metrics.summary(place.context, TODAY, engine="plain") == expected
    assert expected.hooks[0].calls == 719
    assert read < minutes / 2 / 5


def test_the_plain_reader_needs_little_memory_and_no_engine(place: Place) -> None:
    place.add("hooks", *(hook(ago / 100, executionTimeMs=ago % 97) for ago in range(60_000)))
    metrics.summary(place.context, TODAY, engine="plain")
    tracemalloc.start()
    metrics.summary(place.context, TODAY, engine="plain")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert place.file("hooks").stat().st_size > 10 << 20
    assert peak < 8 << 20


def test_a_query_is_written_once_for_every_engine() -> None:
    """What an engine has of its own is in the table of dialects, never in a query."""
    for name in metrics.queries():
        text = sql._text(name)
        for dialect in DIALECTS.values():
            assert not re.search(r"\{[a-z][a-z_0-9]*(\}|:(?!Int64\}|String\}))", dialect.render(text)), name
        for own in (
            "quantile_cont",
            "percentile_cont",
            "FILTER",
            "arg_max",
            "strftime",
            "epoch_ms",
            "read_json",
            "md5",
            "substr(",
        ):
            assert own not in text, f"{name} says {own}"
