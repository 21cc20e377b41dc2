"""The figures are true: both readers agree with a count of their own over whatever the journals hold.

The count here knows what was generated and never reads a line: what is damaged, late or from the future is known, not
found out.
"""

from __future__ import annotations

import gzip
import json
import random
import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio import clock
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.monitor import blocks, lake, metrics
from agent_studio.monitor.segments import JOURNALS, segments
from agent_studio.monitor.summary import Summary, Window

if TYPE_CHECKING:
    from pathlib import Path

HOUR, DAY = 3_600_000, 86_400_000
NOW = datetime(2026, 3, 31, 14, 20, 7, 123_000, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
FIRST_DAY = datetime(2026, 3, 26, tzinfo=UTC)
SUMMER = int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp() * 1000)
"""When the day begins in Berlin that has 23 hours."""
MIDNIGHT = int(datetime(2026, 3, 30, tzinfo=UTC).timestamp() * 1000)

WINDOWS = {
    "the last day": Window(NOW_MS + 1 - DAY, NOW_MS + 1),
    "the last hour": Window(NOW_MS + 1 - HOUR, NOW_MS + 1),
    "two days": Window(NOW_MS + 1 - 2 * DAY, NOW_MS + 1),
    "a week": Window(NOW_MS + 1 - 7 * DAY, NOW_MS + 1),
    "around midnight": Window(MIDNIGHT - HOUR // 2, MIDNIGHT + HOUR // 2),
    "the day of 23 hours": Window(SUMMER, SUMMER + 23 * HOUR),
    "a day that is over": Window(MIDNIGHT - 2 * DAY, MIDNIGHT - DAY),
    "to the end of the day": Window(MIDNIGHT + DAY, MIDNIGHT + 2 * DAY),
    "before anything": Window(NOW_MS - 60 * DAY, NOW_MS - 59 * DAY),
    "one millisecond": Window(NOW_MS - HOUR, NOW_MS - HOUR + 1),
}


class Line(NamedTuple):
    """A line of a journal, and the record that it is; None for damage."""

    data: bytes
    record: dict[str, Any] | None
    at_ms: int


class World:
    """A staging environment whose journals are known line by line."""

    def __init__(self, path: Path, seed: int, *, hooks: int = 1_500) -> None:
        self.path, self.chance = path, random.Random(seed)
        self.files: dict[str, list[list[Line]]] = {}
        (path / ".claude/staging/sessions").mkdir(parents=True)
        (path / ".claude/staging/metrics").mkdir()
        (path / ".claude/config.staging.yaml").write_text("environment: staging\n")
        self.context = context_of(path)
        for kind, count in (("hooks", hooks), ("agents", hooks // 5), ("errors", hooks // 5), ("sessions", hooks // 5)):
            if count:
                self._journal(kind, count)

    def _journal(self, kind: str, count: int) -> None:
        """Write a journal of six days: sealed with a twin, sealed, gzipped with and without one, and the live file."""
        folder, live = JOURNALS[kind]
        span_ms = NOW_MS - int(FIRST_DAY.timestamp() * 1000)
        days: dict[str, list[Line]] = defaultdict(list)
        for number in range(count):
            written_ms = NOW_MS - span_ms + span_ms * number // count
            day = clock.of_ms(written_ms)[:10]
            days[day] += self.lines(kind, written_ms)
        days[max(days)] += [self.line(kind, NOW_MS - self.chance.randrange(4 * DAY)) for _ in range(count // 20)]
        self.files[kind] = list(days.values())
        place = self.path / ".claude/staging" / folder
        for number, (day, lines) in enumerate(sorted(days.items())):
            data = b"".join(line.data + b"\n" for line in lines)
            if day == max(days):
                (place / live).write_bytes(data)
                continue
            name = f"{live.removesuffix('.jsonl')}.{day}.1.jsonl"
            (place / name).write_bytes(data)
            if number % 2 == 0:
                target = self.path / f".agent-studio/staging/lake/{kind}/{day}.1.parquet"
                target.parent.mkdir(parents=True, exist_ok=True)
                assert lake.copy(place / name, kind, target) == len([line for line in lines if line.data.strip()])
            if number in {0, 1}:
                (place / f"{name}.gz").write_bytes(gzip.compress(data))
                (place / name).unlink()

    def lines(self, kind: str, written_ms: int) -> list[Line]:
        draw = self.chance.random()
        if draw < 0.01:
            return [self._damage(kind, written_ms)]
        if draw < 0.02:
            return [
                self.line(kind, NOW_MS + 1 + self.chance.randrange(self.chance.choice([9 * HOUR, 30 * DAY])))
            ]  # a clock that was wrong
        if draw < 0.06:
            return [self.line(kind, written_ms - self.chance.randrange(30 * HOUR))]  # late
        if draw < 0.07:
            return [Line(b"", None, 0), self.line(kind, written_ms)]
        return [self.line(kind, written_ms)]

    def line(self, kind: str, at_ms: int) -> Line:
        pick = self.chance.choice
        environment = pick(["staging"] * 9 + ["production"])
        duration = pick([None, round(self.chance.lognormvariate(2, 1), 3), self.chance.randrange(30)])
        session = f"s{self.chance.randrange(12)}"
        record: dict[str, Any] = {"timestamp": clock.of_ms(at_ms)}
        if kind == "hooks":
            status = pick(["success"] * 8 + ["failure", "timeout", "blocked", "odd"])
            name = pick(["lint", "guard", "ünï ✓", "'; DROP TABLE hooks; --", "<b>\x1b[31m", None])
            record |= {"hook": name, "event": pick(["PreToolUse", "Stop"]), "tool": pick(["Bash", None]),
                       "executionTimeMs": duration, "status": status, "sessionId": session}  # fmt: skip
        elif kind == "agents":
            record |= {"agent": pick(["architect", "qa"]), "agentId": f"a{self.chance.randrange(99)}",
                       "sessionId": session, "durationMs": duration, "tokensUsed": pick([None, 12, 40_000]),
                       "status": pick(["completed"] * 5 + ["failed", "cancelled"])}  # fmt: skip
        elif kind == "errors":
            record |= {"errorType": "SystemError", "severity": pick(["CRITICAL", "HIGH", "MEDIUM", "LOW", "ODD"]),
                       "source": "hook", "message": f"broke {duration} times", "sessionId": session}  # fmt: skip
        else:
            record |= {"sessionId": session, "event": pick(["start", "prompt", "prompt", "stop", "end"])}
        record |= {"metadata": {"a": [1, {"b": "\n"}]}, "environment": environment, "release": None}
        text = json.dumps(record, ensure_ascii=self.chance.random() < 0.5, separators=(",", ":"))
        return Line(text.encode(), record, at_ms)

    def _damage(self, kind: str, at_ms: int) -> Line:
        data = self.line(kind, at_ms).data
        cut = self.chance.randrange(1, len(data))
        kinds = (
            data[:cut], data[:cut] + data, data + data, b"\x00" * 40, b"\xff\xfe" + data[2:], b"[]", b"17", b"null",
            b'"text"', b"{}", b"{\xef\xbb\xbf" + data[1:], b"nonsense", data.replace(b'"environment"', b'"nowhere"'),
            data.replace(b"T", b" ", 1), data.replace(b'"timestamp":"2', b'"timestamp":"x', 1),
            data.replace(b'"release"', b'"\\ud800"'), data[:cut] + b"\x01" + data[cut:],
        )  # fmt: skip
        return Line(self.chance.choice(kinds), None, 0)


def context_of(path: Path) -> Context:
    return open_context(Project(path), Choice(Environment.STAGING, "--env"), {})


class Truth:
    """An environment's figures, counted from what was generated."""

    def __init__(self, files: dict[str, list[list[Line]]], window: Window, environment: str = "staging") -> None:
        self.window, self.environment = window, environment
        self.damaged = sum(self._damaged(lines) for found in files.values() for lines in found)
        known = [(kind, line) for kind, found in files.items() for lines in found for line in lines if line.record]
        own = [(kind, line) for kind, line in known if line.record and line.record["environment"] == environment]
        self.future = sum(line.at_ms > NOW_MS and line.at_ms >= window.until_ms for _, line in own)
        self.newest_ms = max((line.at_ms for _, line in own if line.at_ms <= NOW_MS), default=None)
        self.records: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        for kind, line in own:
            if line.record and self._holds(line.at_ms):
                self.records[kind].append((line.at_ms, line.record))

    def _holds(self, at_ms: int) -> bool:
        return self.window.since_ms <= at_ms < self.window.until_ms

    def _damaged(self, lines: list[Line]) -> int:
        times = [line.at_ms if line.record else None for line in lines if line.data]
        count = 0
        for number, at_ms in enumerate(times):
            if at_ms is None:
                before = [one for one in times[:number] if one is not None]
                after = [one for one in times[number:] if one is not None]
                near = before[-1] if before else after[0] if after else self.window.since_ms
                count += self._holds(near)
        return count

    def by(self, kind: str, field: str) -> dict[str, list[tuple[int, dict[str, Any]]]]:
        groups: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        for at_ms, record in self.records[kind]:
            groups["unknown" if record[field] is None else record[field]].append((at_ms, record))
        return groups


def percentile(values: list[float], share: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def near(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-9)


def check(found: Summary, truth: Truth) -> None:
    """Compare every figure of a summary with the truth."""
    hooks = truth.by("hooks", "hook")
    assert {one.hook for one in found.hooks} == hooks.keys()
    for hook in found.hooks:
        runs = hooks[hook.hook]
        statuses = Counter(record["status"] for _, record in runs)
        times = [float(record["executionTimeMs"]) for _, record in runs if record["executionTimeMs"] is not None]
        assert hook.calls == len(runs)
        assert (hook.failures, hook.blocked) == (statuses["failure"] + statuses["timeout"], statuses["blocked"])
        assert (hook.timed, hook.last_ms) == (len(times), max(at for at, _ in runs))
        assert hook.avg_ms == near(statistics.fmean(times) if times else None)
        assert [hook.p50_ms, hook.p95_ms, hook.p99_ms] == [near(percentile(times, share)) for share in (50, 95, 99)]
    assert [(-one.calls, one.hook) for one in found.hooks] == sorted((-one.calls, one.hook) for one in found.hooks)

    agents = truth.by("agents", "agent")
    assert {one.agent for one in found.agents} == agents.keys()
    for agent in found.agents:
        runs = agents[agent.agent]
        statuses = Counter(record["status"] for _, record in runs)
        times = [float(record["durationMs"]) for _, record in runs if record["durationMs"] is not None]
        assert (agent.runs, agent.failures, agent.cancelled) == (len(runs), statuses["failed"], statuses["cancelled"])
        assert agent.tokens == sum(record["tokensUsed"] or 0 for _, record in runs)
        assert (agent.avg_ms, agent.p95_ms) == (
            near(statistics.fmean(times) if times else None), near(percentile(times, 95)),
        )  # fmt: skip
        assert agent.last_ms == max(at for at, _ in runs)

    errors = Counter((at // HOUR * HOUR, record["severity"]) for at, record in truth.records["errors"])
    assert {(one.hour_ms, one.severity): one.count for one in found.errors} == errors
    assert [one.hour_ms for one in found.errors] == sorted(one.hour_ms for one in found.errors)

    told = truth.by("sessions", "sessionId")
    starts = sum(any(record["event"] == "start" for _, record in one) for one in told.values())
    ends = {name: max((at for at, record in one if record["event"] == "end"), default=-1) for name, one in told.items()}
    heard = {
        name: max((at for at, record in one if record["event"] != "end"), default=-1) for name, one in told.items()
    }
    assert found.sessions.started == starts
    assert found.sessions.ended == sum(end >= 0 for end in ends.values())
    assert found.sessions.open == sum(heard[name] > ends[name] for name in told)
    assert found.sessions.prompts == sum(record["event"] == "prompt" for _, record in truth.records["sessions"])
    assert (found.damaged, found.future, found.newest_ms) == (truth.damaged, truth.future, truth.newest_ms)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("wörld [x] *"), seed=5)


@pytest.mark.parametrize("name", WINDOWS)
def test_every_figure_is_true_whatever_the_journals_hold(world: World, name: str) -> None:
    check(metrics.summary(world.context, WINDOWS[name], engine="sql"), Truth(world.files, WINDOWS[name]))


@pytest.mark.parametrize("block_bytes", [1, 3_000, 256 << 10])
@pytest.mark.parametrize("name", WINDOWS)
def test_every_figure_is_true_without_an_engine_however_files_are_cut_into_blocks(
    world: World, name: str, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", block_bytes)
    for index in world.path.glob(".agent-studio/staging/blocks-*.json"):
        index.unlink()
    for _ in range(2):  # as found out, and as kept
        check(metrics.summary(world.context, WINDOWS[name], engine="plain"), Truth(world.files, WINDOWS[name]))


@pytest.mark.parametrize(("before_ms", "after_ms", "damaged"), [(HOUR // 2, 9 * DAY, 1), (9 * DAY, HOUR // 2, 0)])
def test_damage_at_the_start_of_a_block_is_of_the_time_of_the_record_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_ms: int, after_ms: int, damaged: int
) -> None:
    world = World(tmp_path, 3, hooks=0)
    lines = [world.line("hooks", NOW_MS - before_ms), Line(b"{torn", None, 0), world.line("hooks", NOW_MS - after_ms)]
    lines += [world.line("hooks", NOW_MS - 8 * DAY) for _ in range(9)]
    (tmp_path / ".claude/staging/metrics/hooks.jsonl").write_bytes(b"".join(line.data + b"\n" for line in lines))
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", len(lines[0].data) + 1)
    world.files["hooks"] = [lines]
    for _ in range(2):
        found = metrics.summary(world.context, WINDOWS["the last hour"], engine="plain")
        assert found.damaged == damaged
        check(found, Truth(world.files, WINDOWS["the last hour"]))


def test_the_generated_world_has_what_it_is_for(world: World) -> None:
    truth = Truth(world.files, WINDOWS["a week"])
    assert truth.damaged > 5
    assert truth.future > 5
    names = [one.name for one in segments(world.context.root, "hooks")]
    assert len(names) == 6
    assert sum(name.endswith(".gz") for name in names) == 2
    assert all(truth.records[kind] for kind in JOURNALS)
    late = [line.at_ms for lines in world.files["hooks"] for line in lines if line.record]
    assert any(after < before - DAY for before, after in pairwise(late))


@pytest.mark.parametrize("seed", [11, 12])
def test_an_index_that_grew_with_the_file_leaves_nothing_out(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live file grows between readings, is sealed under a reader's eyes, and packed."""
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 3_000)
    world = World(tmp_path, seed, hooks=900)
    window = WINDOWS["the last day"]
    live = tmp_path / ".claude/staging/metrics/hooks.jsonl"
    lines, chance = world.files["hooks"][-1], random.Random(seed)
    while len(lines) < 900:
        check(metrics.summary(world.context, window, engine="plain"), Truth(world.files, window))
        more = [
            line for _ in range(chance.randrange(120)) for line in world.lines("hooks", NOW_MS - chance.randrange(DAY))
        ]
        lines += more
        with live.open("ab") as file:
            file.write(b"".join(line.data + b"\n" for line in more))
    sealed = live.with_name("hooks.2026-03-31.1.jsonl")
    live.rename(sealed)
    check(metrics.summary(world.context, window, engine="plain"), Truth(world.files, window))
    sealed.with_name(f"{sealed.name}.gz").write_bytes(gzip.compress(sealed.read_bytes()))
    check(
        metrics.summary(world.context, window, engine="plain"), Truth(world.files, window)
    )  # both are there: one counts
    sealed.unlink()
    for engine in ("plain", "sql"):
        check(metrics.summary(world.context, window, engine=engine), Truth(world.files, window))


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-10**17, 10**17), st.floats(allow_nan=True), _TEXTS,
                    st.lists(st.integers(0, 9), max_size=2), st.just({"a": 1}))  # fmt: skip
_STAMPS = st.one_of(
    st.integers(NOW_MS - 2 * DAY, NOW_MS + HOUR).map(clock.of_ms), st.sampled_from([
        "2026-03-31T24:00:00.000Z", "2026-02-30T00:00:00.000Z", "2026-03-31T14:20:07Z", "2026-03-31 14:20:07.000Z",
        "2026-03-31T14:20:07.0000", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z", "2026-03-31T14:20:60.000Z",
        "٢٠٢٦-03-31T14:20:07.000Z", "",
    ]), _VALUES,
)  # fmt: skip
_RECORDS = st.fixed_dictionaries(
    {"timestamp": _STAMPS},
    optional={"hook": _VALUES, "executionTimeMs": _VALUES, "environment": st.sampled_from(["staging", "production", 5]),
              "status": st.sampled_from(["success", "failure", "timeout", "blocked", None, 3]), "metadata": _VALUES},
).map(lambda record: json.dumps(record).encode())  # fmt: skip
_LINES = st.lists(
    st.one_of(_RECORDS, _RECORDS, st.binary(max_size=40).map(lambda data: data.translate(None, b"\r\n"))),
    min_size=1, max_size=30,
)  # fmt: skip


_RECORD = (
    b'{"timestamp":"2026-03-31T14:00:00.000Z","environment":"staging","hook":"a","executionTimeMs":4,"metadata":1}'
)
_ODD = {
    **{f"{blank!r} before": blank + _RECORD for blank in (
        b" \t", b"\x0b", b"\x0c", b"\r", b"\x00", b"\x85", b"\xc2\xa0",
    )},
    **{f"{blank!r} after": _RECORD + blank for blank in (b" \t", b"\x0b", b"\x0c", b"\r", b"\x1c", b"\xc2\xa0")},
    "a vertical tab inside": _RECORD.replace(b"{", b"{\x0b"),
    "900 levels": _RECORD.replace(b":1}", b":" + b"[" * 900 + b"]" * 900 + b"}"),
    "a name that is empty": _RECORD.replace(b'"a"', b'""'),
    "5000 digits": _RECORD.replace(b":4", b":" + b"1" * 5_000),
    "5000 digits inside": _RECORD.replace(b":1}", b":[-" + b"1" * 5_000 + b"]}"),
    **{f"text {text!r}": _RECORD.replace(b":4", b":" + json.dumps(text).encode()) for text in (
        "１２", "\u0661", "\u00a012", "12\u00a0", "\u200312", " 12 ", "\x0b12", "1_000", "_1", "inf", "nan", "+5",
        "1e3",
    )},
}  # fmt: skip
"""Lines on which a parser of Python's and the engine's have a view of their own."""


@pytest.mark.parametrize("name", _ODD)
def test_both_readers_take_an_odd_line_for_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / ".claude/staging/metrics").mkdir(parents=True)
    (tmp_path / ".claude/config.staging.yaml").write_text("environment: staging\n")
    (tmp_path / ".claude/staging/metrics/hooks.jsonl").write_bytes(_RECORD + b"\n" + _ODD[name] + b"\n")
    window = Window(NOW_MS - DAY, NOW_MS + 1)
    plain, sql = (metrics.summary(context_of(tmp_path), window, engine=engine) for engine in ("plain", "sql"))
    assert plain._replace(hooks=[]) == sql._replace(hooks=[])
    figures = [[(one.hook, one.calls, one.timed, one.avg_ms) for one in found.hooks] for found in (plain, sql)]
    assert figures[0] == figures[1]
    assert sum(one.calls for one in plain.hooks) + plain.damaged == 2


@settings(max_examples=40)
@given(lines=_LINES, end=st.sampled_from([b"", b"\n"]))
def test_both_readers_agree_on_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes
) -> None:
    path = tmp_path_factory.mktemp("any")
    (path / ".claude/staging/metrics").mkdir(parents=True)
    (path / ".claude/config.staging.yaml").write_text("environment: staging\n")
    (path / ".claude/staging/metrics/hooks.jsonl").write_bytes(b"\n".join(lines) + end)
    window = Window(NOW_MS - DAY, NOW_MS + 1)
    plain, sql = (metrics.summary(context_of(path), window, engine=engine) for engine in ("plain", "sql"))
    assert plain == sql
